"""The encoded matrix against the specification's formula, written as a loop over rows."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns import MixtureColumn
from tests.harness.shapes import shape


def encode_row_by_row(column: MixtureColumn, x: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Posterior of all K, restricted to the active ones, plus 1e-6, renormalised; inverse-CDF draw; clip; one-hot.

    A modal value has its code and the scalar 0; missing is one of them.
    """
    assert column.mixture is not None
    posterior, frame = column.mixture.posterior, column.mixture.frame
    active = column.active_components
    out = np.zeros((len(x), 1 + column.width))
    codes = list(column.order)
    modal = len(column.modal_values)
    modal_codes = {value: codes.index(index) for index, value in enumerate(column.modal_values)}
    for row, (value, u) in enumerate(zip(x, uniforms, strict=True)):
        held = None if np.isnan(value) else float(value)
        if held in modal_codes:
            out[row, 1 + modal_codes[held]] = 1
            continue
        y = value * frame.scale - frame.centre
        log_p = posterior.log_coefficients() - (y - posterior.means) ** 2 / (2 * posterior.covariances)
        p = np.exp(log_p - np.logaddexp.reduce(log_p))
        p = p[active] + 1e-6
        p /= p.sum()
        mode = int(np.sum(np.cumsum(p)[:-1] <= u))
        sd = np.sqrt(posterior.covariances[active[mode]])
        out[row, 0] = np.clip((y - posterior.means[active[mode]]) / (4 * sd), -0.99, 0.99)
        out[row, 1 + codes.index(modal + mode)] = 1
    return out.astype(np.float32)


@pytest.mark.parametrize("random_state", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "declared", "modal"),
    [
        ("cents", "continuous", (None,)),
        ("t3 returns", "continuous", (None,)),
        ("70 % zeros", "continuous", (None,)),
        ("70 % zeros", "mixed", (0.0, None)),
        ("1e12 +- 1", "continuous", (None,)),
        ("integers", "continuous", (None,)),
        ("integers", {"modal": [7, None, -3]}, (7.0, None, -3.0)),
    ],
)
@pytest.mark.covering(1)
def test_onehot_matrix_equals_the_formula(
    name: str, declared: str | dict[str, object], modal: tuple[object, ...], random_state: int
) -> None:
    x = shape(name, 4_000, random_state)
    x[::13] = np.nan
    x[1::400] = -3
    settings = {"random_state": random_state, "tails": "clip", "floor": 1e-6}
    transformer = TableTransformer({"x": declared}, **settings).fit({"x": x})
    assert transformer.columns_["x"].modal_values == modal
    uniforms = np.random.default_rng(random_state).uniform(size=len(x))
    expected = encode_row_by_row(transformer.columns_["x"], x, uniforms)
    found = transformer.transform({"x": x}, layout="onehot", uniforms={"x": uniforms})
    np.testing.assert_array_equal(found, expected)
    cuts = [0, 1, 500, 501, 1700, 2900, 3999, 4000]
    batches = [
        transformer.transform({"x": x[a:b]}, layout="onehot", uniforms={"x": uniforms[a:b]})
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(batches), expected)


def test_order_is_by_falling_frequency_with_missing_among_the_modes() -> None:
    x = shape("cents", 20_000)
    x[::3] = np.nan
    column = TableTransformer({"x": "continuous"}).fit({"x": x}).columns_["x"]
    assert column.mixture is not None
    counts = np.array([np.isnan(x).sum(), *column.mixture.active_counts])[list(column.order)]
    assert np.all(np.diff(counts) <= 0)
    assert counts.sum() == len(x)


def test_activity_needs_weight_and_a_row() -> None:
    x = shape("cents", 20_000)
    column = TableTransformer(tails="clip").fit({"x": x}).columns_["x"]
    assert column.mixture is not None
    np.testing.assert_array_equal(column.active, (column.weights > 0.005) & (column.mixture.counts > 0))


def test_without_a_floor_the_nearest_mode_wins() -> None:
    x = np.concatenate([np.random.default_rng(0).normal(size=10_000), [500.0] * 20])
    settings = {"tails": "exact", "effort": "research"}  # the bell is one mode to a search, and several are needed
    default, bare = (TableTransformer(floor=floor, **settings).fit({"x": x}) for floor in (None, 0.0))
    rare = {"x": np.full(2000, 500.0)}
    assert len(bare.columns_["x"].active_components) > 1, "the rare rows' own component is under the threshold"
    nearest = bare.transform(rare, mode="argmax")["x.mode"][0]
    np.testing.assert_array_equal(bare.transform(rare)["x.mode"], nearest)
    assert len(np.unique(default.transform(rare)["x.mode"])) > 1
    assert default.columns_["x"].rules.floor == 1e-6


def test_standardize_decides_the_floor_under_variances() -> None:
    g = np.random.default_rng(0)
    x = 1e-5 * np.where(g.uniform(size=20_000) < 0.5, g.normal(size=20_000), 10 + g.normal(size=20_000))
    clear = TableTransformer(standardize="auto").fit({"x": x}).columns_["x"]
    collapsed = TableTransformer(standardize=False).fit({"x": x}).columns_["x"]
    assert clear.stds[clear.active].min() < 3e-5
    assert collapsed.stds[collapsed.active].min() > 5e-4
