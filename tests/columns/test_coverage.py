"""Every training row has a mode that holds it: kept components, tail modes, and rows beyond them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from gpuvgm import TableTransformer
from gpuvgm.columns.coverage import Stretches, covered_by, modes_of_tails, tail_modes, with_needed
from gpuvgm.errors import UnseenWarning

RANDOM = np.random.default_rng(11)
LIMIT = np.float32(0.99)
SHAPES = {
    "lognormal": RANDOM.lognormal(3, 1, 30_000),
    "Cauchy": RANDOM.standard_cauchy(30_000),
    "Pareto": RANDOM.pareto(1.2, 30_000),
    "a far cluster": np.r_[RANDOM.normal(1_000, 300, 30_000), np.full(20, 4_983.25), -1e6],
    "one between": np.r_[RANDOM.normal(0, 1, 15_000), RANDOM.normal(1e5, 1, 15_000), 4e4],
    "far from zero": 1e9 + RANDOM.standard_t(2, 30_000),
    "tiny": 1e-9 * RANDOM.standard_t(2, 30_000),
    "huge": 1e300 * RANDOM.standard_t(2, 30_000),
    "few": np.array([0.1, 0.2, 7.7, 1e4]),
    "constant": np.full(50, 0.3),
}


def fitted(values: np.ndarray, **settings) -> TableTransformer:
    return TableTransformer({"x": "continuous"}, effort="best", **settings).fit({"x": values})


ON_ENGINES = [("native", name) for name in SHAPES] + [
    ("reference", name) for name in ("one between", "few", "constant")
]


@pytest.mark.parametrize(("engine", "name"), ON_ENGINES)
def test_every_row_comes_back(name: str, engine: str) -> None:
    """To within half a float32 step of its own mode: 4 sd 2^-24 for components."""
    values = SHAPES[name]
    transformer = fitted(values, engine=engine)
    column = transformer.columns_["x"]
    encoded = transformer.transform({"x": values}, seed=1)
    assert np.max(np.abs(encoded["x.scalar"])) <= LIMIT
    error = np.abs(transformer.inverse_transform(encoded)["x"] - values)
    assert np.max(error) <= column.resolution
    widths = np.empty(column.width)
    widths[column.mode_codes()] = column._means_and_widths[1] / column.mixture.frame.scale
    step = widths[encoded["x.mode"]] * 2.0**-24
    assert np.all(error <= 1.0001 * step + 4 * np.spacing(np.abs(values) + widths[encoded["x.mode"]]))


def test_clipped_as_in_the_research_code() -> None:
    values = SHAPES["a far cluster"]
    research = TableTransformer({"x": "continuous"}, effort="research").fit({"x": values}).columns_["x"]
    assert (research.rules.tails, research.rules.floor) == ("clip", 1e-6)
    best = fitted(values).columns_["x"]
    assert (best.rules.tails, best.rules.floor) == ("modes", None)
    asked = fitted(values, tails="clip", floor=1e-6).columns_["x"]
    assert (asked.rules.tails, asked.rules.floor, len(asked.mixture.tails)) == ("clip", 1e-6, 0)


def test_a_row_keeps_the_mode_that_holds_it() -> None:
    """What is drawn is drawn as without tail modes; only rows that do not fit move."""
    values = SHAPES["lognormal"]
    with_tails, without = fitted(values), fitted(values, tails="clip")
    codes = [one.transform({"x": values}, seed=4) for one in (with_tails, without)]
    components = []
    for one, encoded in zip((with_tails, without), codes, strict=True):
        column = one.columns_["x"]
        components.append(np.array(column.order)[encoded["x.mode"]])
    kept = np.abs(codes[1]["x.scalar"]) < LIMIT
    if with_tails.columns_["x"].active.tolist() == without.columns_["x"].active.tolist():
        np.testing.assert_array_equal(components[0][kept], components[1][kept])
        np.testing.assert_array_equal(codes[0]["x.scalar"][kept], codes[1]["x.scalar"][kept])
    assert 0 < np.count_nonzero(~kept) < 0.01 * len(values)


@pytest.mark.parametrize("shape", ["a far cluster", "one between", "Cauchy"])
def test_order_and_blocks_change_nothing(shape: str) -> None:
    values = SHAPES[shape]
    whole = fitted(values, block_rows=1 << 20)
    parts = fitted(values, block_rows=4096, threads=2)
    np.testing.assert_array_equal(parts.columns_["x"].mixture.tails, whole.columns_["x"].mixture.tails)
    one, other = (fit.transform({"x": values}, seed=2) for fit in (whole, parts))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_rows_beyond_the_range_are_coded_at_its_end() -> None:
    values = SHAPES["one between"]
    transformer = fitted(values)
    beyond = np.array([-1e9, 1e9, np.max(values), np.min(values)])
    encoded = transformer.transform({"x": beyond}, seed=1)
    assert np.abs(encoded["x.scalar"][:2]).tolist() == [LIMIT, LIMIT]
    back = transformer.inverse_transform(encoded)["x"]
    np.testing.assert_allclose(back[2:], beyond[2:], atol=transformer.columns_["x"].resolution)
    assert back[0] <= back[3] + 1 and back[1] >= back[2] - 1


def test_tail_modes_are_described_and_stored(tmp_path) -> None:
    values = SHAPES["one between"]
    transformer = fitted(values, n_components=2)
    (tail,) = [code for code in transformer.columns_["x"].describe_codes() if "tail" in code]
    assert tail["tail"][0] < 4e4 < tail["tail"][1]
    assert tail["rows"] == 1
    matrix = transformer.transform({"x": values}, layout="onehot", dtype="float64", seed=1)
    assert matrix.shape[1] == 1 + 3
    np.testing.assert_allclose(transformer.inverse_transform(matrix)["x"], values, atol=1e-6)


def test_missing_and_modal_rows_stay() -> None:
    rows = pd.DataFrame({"x": np.r_[SHAPES["Cauchy"], np.nan, 0.0, 0.0]})
    transformer = TableTransformer({"x": {"kind": "mixed", "modal": [0]}}, effort="best").fit(rows)
    back = transformer.inverse_transform(transformer.transform(rows, seed=1))
    assert back["x"].isna().sum() == 1
    assert (back["x"] == 0).sum() == 2


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 20)), min_size=1, max_size=6),
    st.lists(st.floats(-1_000, 1_000), min_size=1, max_size=40),
)
def test_rows_lie_in_modes_or_tail_modes(modes: list[tuple[float, float]], values: list[float]) -> None:
    """At most three tail modes on either side and one between two modes, without rows in none of them."""
    means, reaches = np.array(modes).T
    x = np.sort(values)
    rows = Stretches(x, x)
    tails = tail_modes(means, reaches, rows, x[0], x[-1])
    centres, widths = modes_of_tails(tails, 0.99)
    held = np.any(np.abs(x - means[:, None]) <= reaches[:, None], axis=0)
    in_tails = np.any(np.abs(x - centres[:, None]) <= 0.99 * widths[:, None], axis=0) if len(tails) else ~held & False
    assert np.all(held | in_tails)
    assert len(tails) <= 6 + len(means) - 1
    for low, high in tails:
        assert np.any((x >= low) & (x <= high))


def test_light_components_stay_where_only_they_hold_rows() -> None:
    means, reaches, weights = np.array([0.0, 50.0, 90.0]), np.array([10.0, 5.0, 5.0]), np.array([0.9, 0.001, 0.002])
    active = np.array([True, False, False])
    near, far = Stretches(np.array([-9.0]), np.array([9.0])), Stretches(np.array([1.0, 49.0]), np.array([2.0, 51.0]))
    assert with_needed(active, weights, means, reaches, near).tolist() == [True, False, False]
    assert with_needed(active, weights, means, reaches, far).tolist() == [True, True, False]
    assert len(covered_by(means, reaches)) == 3


def test_the_report_shows_tail_modes() -> None:
    values = SHAPES["one between"]
    report = fitted(values, n_components=2).evaluate({"x": np.r_[values, 1e9]})
    (tail,) = [mode for mode in report.columns["x"].profile.modes if mode.tail]
    assert (tail.rows, report.columns["x"].clipped_share > 0) == (1, True)
    assert f"<td>{tail.name}</td>" in report.to_html()
    clean = fitted(values).evaluate({"x": values}).columns["x"]
    assert (clean.clipped_share, clean.invalid_rows) == (0.0, 0)


@pytest.mark.filterwarnings("error")
def test_values_outside_the_training_range_are_told_of_once() -> None:
    x = np.random.default_rng(1).normal(size=4_000)
    transformer = TableTransformer(random_state=0).fit({"x": x, "y": x})
    transformer.transform({"x": x, "y": x})
    transformer.evaluate({"x": [1e6], "y": [0.0]})
    with pytest.warns(UnseenWarning) as told:
        transformer.set_params(block_rows=1_000).transform({"x": np.r_[x, 1e6, -1e9, x], "y": np.zeros(8_002)})
    (text,) = map(str, (warning.message for warning in told))
    assert text == 'column "x": 2 values outside the training range (first at dict, row 4000)'
