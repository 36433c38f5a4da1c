"""The searches: never below "research", reproducible to the bit, and on the rows where that is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns import MixtureColumn
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.errors import InputError
from tests.harness.shapes import each_shape, shape

ROWS = 2_000
HELD_MODES = {"cents", "lognormal", "poisson", "cauchy", "70 % zeros", "two close spikes", "two values", "zipf"}
ONE_MODE = {"timestamps", "three rows far out", "constant"}
SEARCHED = ("auto", "best")
EFFORTS = (*SEARCHED, "research")


def fitted(x: np.ndarray, **settings: Any) -> MixtureColumn:
    column = TableTransformer({"x": "continuous"}, **settings).fit({"x": x}).columns_["x"]
    assert isinstance(column, MixtureColumn)
    return column


def bits(column: MixtureColumn) -> list[Any]:
    arrays = (column.means, column.stds, column.weights)
    return [part.tobytes() for part in arrays] + [column.order, column.fit]


def test_auto_is_the_default() -> None:
    assert TableTransformer().effort == "auto"
    x = shape("lognormal", ROWS)
    assert bits(fitted(x)) == bits(fitted(x, effort="auto"))


@pytest.mark.parametrize("effort", SEARCHED)
@each_shape(sorted(HELD_MODES | ONE_MODE))
def test_a_search_is_at_its_end_and_knows_what_fewer_modes_cost(name: str, effort: str) -> None:
    x = shape(name, ROWS)
    best, research = (fitted(x, effort=each).fit for each in (effort, "research"))
    assert (best.effort, research.effort) == (effort, "research")
    assert best.converged
    assert best.fit_error < 1e-8
    assert research.bound_with_fewer is None
    if name in ONE_MODE:
        assert best.bound_with_fewer is None
    else:
        assert best.bound_with_fewer is not None
        assert best.bound_with_fewer <= best.lower_bound


@pytest.mark.parametrize("name", ["lognormal", "cents", "t3 returns"])
def test_auto_ends_little_below_best(name: str) -> None:
    x = shape(name, ROWS)
    auto, best = (fitted(x, effort=effort).fit for effort in SEARCHED)
    assert best.lower_bound >= auto.lower_bound >= best.lower_bound - 1e-3 * ROWS


@pytest.mark.parametrize(
    ("means", "deviations", "shares"),
    [([0], [1], [1]), ([0, 2], [1, 1.5], [0.5, 0.5]), ([0, 0, 0], [1, 3, 9], [0.5, 0.3, 0.2])],
)
def test_many_rows_get_no_more_modes_than_they_need(
    means: list[float], deviations: list[float], shares: list[float]
) -> None:
    """The bound is highest with as many as were drawn, which components taken away one by one do not lead to."""
    random = np.random.default_rng(2)
    drawn = random.choice(len(means), 1_000_000, p=shares)
    x = random.normal(np.take(means, drawn), np.take(deviations, drawn))
    assert len(fitted(x).active_components) == len(means)


@pytest.mark.parametrize("rows", [3_000, 8_000])
def test_clusters_far_apart_are_modes_of_their_own_width(rows: int) -> None:
    column = fitted(np.random.default_rng(0).normal(np.resize([0, 10, 28, 52, 80, 112], rows), 0.5))
    held = column.weights > 0.01
    np.testing.assert_allclose(np.sort(column.means[held]), [0, 10, 28, 52, 80, 112], atol=0.1)
    assert column.stds[held].max() < 1.2 * column.stds[held].min()


@pytest.mark.parametrize("effort", SEARCHED)
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 11])
def test_few_rows(rows: int, effort: str) -> None:
    x = shape("lognormal", rows)
    best = fitted(x, effort=effort).fit
    assert best.rows == rows
    assert np.isfinite(best.lower_bound)


@pytest.mark.parametrize("effort", SEARCHED)
def test_max_iter_and_tol_do_not_matter(effort: str) -> None:
    x = shape("t3 returns", ROWS)
    best, research = (fitted(x, effort=each, max_iter=1, tol=1e9) for each in (effort, "research"))
    assert research.fit.iterations == 1
    assert bits(best) == bits(fitted(x, effort=effort))


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("algorithm", ["summary", "exact"])
@pytest.mark.covering(1)
def test_neither_threads_nor_blocks_change_a_bit(effort: str, algorithm: str) -> None:
    table = {"a": shape("cents", 2 * CHUNK_ROWS + 100), "b": shape("mixed signs", 2 * CHUNK_ROWS + 100)}
    table["b"][::7] = np.nan
    settings = {"effort": effort, "algorithm": algorithm}
    one, other, again = (
        TableTransformer(**settings, threads=threads, block_rows=block_rows).fit(table).columns_
        for threads, block_rows in ((1, 1), (3, CHUNK_ROWS), (3, CHUNK_ROWS))
    )
    for name in table:
        assert bits(one[name]) == bits(other[name]) == bits(again[name])


@pytest.mark.parametrize(
    "name",
    ["1e12 +- 1", "70 % zeros", *(pytest.param(n, marks=pytest.mark.exhaustive) for n in ("cents", "t3 returns"))],
)
def test_the_exact_algorithm_ends_on_the_rows_where_the_summary_ends(name: str) -> None:
    x = shape(name, 5_000)
    exact, summary = (fitted(x, algorithm=algorithm, effort="best").fit for algorithm in ("exact", "summary"))
    assert (exact.algorithm, exact.fit_error) == ("exact", 0.0)
    assert summary.algorithm == "summary"
    assert exact.lower_bound == pytest.approx(summary.lower_bound, abs=1e-6 * len(x))
    assert exact.bound_with_fewer == summary.bound_with_fewer


@pytest.mark.parametrize("effort", SEARCHED)
def test_few_values_are_fitted_as_rows_are(effort: str) -> None:
    x = np.random.default_rng(0).integers(0, 40, ROWS) ** 2.0
    exact, summary = (fitted(x, algorithm=algorithm, effort=effort) for algorithm in ("exact", "summary"))
    assert summary.fit.cells == len(np.unique(x))
    assert summary.fit.fit_error < 1e-8
    assert summary.fit.lower_bound == pytest.approx(exact.fit.lower_bound, abs=1e-4 * ROWS)


def test_engines_reach_the_same_bound() -> None:
    x = shape("cents", ROWS)
    native, reference = (fitted(x, engine=engine, effort="best").fit for engine in ("auto", "reference"))
    assert native.lower_bound == pytest.approx(reference.lower_bound, abs=1e-7 * ROWS)


@pytest.mark.parametrize("effort", SEARCHED)
def test_partial_fit_searches_again(effort: str) -> None:
    x = shape("cents", ROWS)
    declared = {"x": "continuous"}
    transformer = TableTransformer(declared, effort=effort).fit({"x": x[:1500]}).partial_fit({"x": x[1500:]})
    grown, whole = transformer.columns_["x"].fit, fitted(x, effort=effort).fit
    assert (grown.rows, grown.effort) == (ROWS, effort)
    assert grown.lower_bound == pytest.approx(whole.lower_bound, abs=1e-6 * ROWS)
    assert grown.bound_with_fewer is not None


def test_a_column_may_have_an_effort_of_its_own() -> None:
    table = {"a": shape("lognormal", ROWS), "b": shape("lognormal", ROWS)}
    for effort, other in (("auto", "research"), ("best", "auto"), ("research", "best")):
        columns = (
            TableTransformer({"a": {"kind": "continuous", "effort": other}, "b": "continuous"}, effort=effort)
            .fit(table)
            .columns_
        )
        assert [columns[name].fit.effort for name in "ab"] == [other, effort]
        for name, own in (("a", other), ("b", effort)):
            assert columns[name].fit.lower_bound == fitted(table[name], effort=own).fit.lower_bound


def test_a_column_of_another_effort_keeps_it_when_rows_are_added() -> None:
    x = shape("lognormal", 500)
    transformer = TableTransformer({"x": {"effort": "research"}}).fit({"x": x}).partial_fit({"x": x})
    assert transformer.columns_["x"].fit.effort == "research"


@pytest.mark.parametrize("wrong", ["most", "", None, 1, True])
def test_wrong_efforts_are_refused(wrong: object) -> None:
    with pytest.raises(InputError, match='effort must be "auto", "best" or "research"'):
        TableTransformer(effort=wrong).fit({"x": np.arange(9.0)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match='column "x": effort must be "auto", "best" or "research"'):
        TableTransformer({"x": {"effort": wrong}}).fit({"x": np.arange(9.0)})
