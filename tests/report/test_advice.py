"""What is said of columns, and that nothing is said of good ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Report
from gpuvgm.report.advice import Advice, advice
from gpuvgm.report.figures import NumberFigures
from gpuvgm.report.measures import share, short

RANDOM = np.random.default_rng(0)
ROWS = 5000


def said(report: Report, name: str = "x") -> str:
    return " ".join(f"{one.problem} {one.remedy}" for one in advice(name, report.columns[name]))


def evaluated(values: object, rows: object = None, **options: object) -> Report:
    columns = {"x": {"kind": "continuous", **options}} if options or rows is None else None
    fitted = gpuvgm.TableTransformer(columns, max_iter=500).fit({"x": values})
    return fitted.evaluate({"x": values if rows is None else rows})


@pytest.fixture(scope="module")
def good() -> NumberFigures:
    figures = evaluated(RANDOM.normal(size=ROWS)).columns["x"]
    assert isinstance(figures, NumberFigures)
    return figures


def test_nothing_of_a_good_column(good: NumberFigures) -> None:
    assert advice("x", good) == []


def test_clipped_rows_and_where() -> None:
    values = np.r_[RANDOM.normal(size=ROWS), np.full(20, 50.0)]
    text = said(evaluated(values, n_components=1, tails="clip"))
    assert "are cut at ±0.99 (mostly above, most of them in mode 0)" in text
    assert 'tails="exact"' in text
    for tails in ("modes", "exact"):
        assert "cut" not in said(evaluated(values, n_components=1, tails=tails))


def test_fits_that_stopped_early_or_are_not_exact(good: NumberFigures) -> None:
    assert good.profile is not None
    fit = replace(good.profile.fit, converged=False, iterations=100, fit_error=1e-5, effort="research")
    one = replace(good, profile=replace(good.profile, fit=fit))
    text = " ".join(f"{found.problem} {found.remedy}" for found in advice("x", one))
    assert "stopped after 100 iterations" in text
    assert 'effort="best"' in text
    assert 'algorithm="exact"' in text
    best = replace(one, profile=replace(good.profile, fit=replace(fit, effort="best")))
    assert 'effort="best"' not in " ".join(found.remedy for found in advice("x", best))


def test_rows_that_are_not_those_of_the_fit(good: NumberFigures) -> None:
    values = np.r_[RANDOM.normal(0, 1, ROWS), RANDOM.normal(50, 1, ROWS)]
    assert "fitted weight" in said(evaluated(values, values[:ROWS]))
    assert "outside the range that was fitted" in said(evaluated(values, values * 3, tails="exact"))


def test_roundings_and_spikes() -> None:
    text = said(evaluated(RANDOM.poisson(300, ROWS) / 3))
    assert "come back a rounding apart" in text
    assert "a rounding apart" not in said(evaluated(RANDOM.poisson(30, ROWS) / 10))
    values = np.where(RANDOM.random(ROWS) < 0.2, -1.0, RANDOM.normal(10, 3, ROWS))
    assert 'columns={"x": {"kind": "mixed", "modal": [-1]}}' in said(evaluated(values))


def test_a_few_rows_that_set_the_scale() -> None:
    text = said(evaluated(np.r_[RANDOM.normal(size=ROWS), 1e12]))
    assert "larger than the distances between many of its values" in text
    assert "integer=True" not in text


def test_small_tables_without_repeated_values_raise_no_word_of_roundings() -> None:
    for seed in range(3):
        report = evaluated(np.random.default_rng(seed).uniform(size=500), tails="exact")
        assert report.columns["x"].ks > 1e-3
        assert "a rounding apart" not in said(report)


def test_unknown_levels() -> None:
    fitted = gpuvgm.TableTransformer({"x": "categorical"}, unknown="ignore").fit({"x": ["a", "b"] * 9})
    report = fitted.evaluate({"x": ["a", "z"] * 5})
    assert said(report).startswith("50.0 % of rows hold a value that the fit did not know")
    assert advice("x", fitted.evaluate({"x": ["a"]}).columns["x"]) == []
    shared = gpuvgm.TableTransformer(max_categories=2).fit({"x": ["a", "a", "b", "c"]})
    (found,) = advice("x", shared.evaluate({"x": ["a", "b", "c", "c"]}).columns["x"])
    assert found.problem.startswith("75") and "max_categories" in found.remedy, found


CONSTANT = 'Every row holds the same value. It tells a model nothing: kind="drop" leaves it out.'


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        ([3.5] * 50, "continuous"),
        ([3] * 50, "general"),
        ([7.0] * 50, {"kind": "mixed", "modal": [7]}),
        (["a"] * 50, "categorical"),
        ([True] * 50, "categorical"),
    ],
)
def test_constants(values: list[object], spec: object) -> None:
    assert said(gpuvgm.TableTransformer({"x": spec}).fit({"x": values}).evaluate({"x": values})) == CONSTANT


def test_what_is_no_constant() -> None:
    for values in (["a"] * 49 + ["b"], ["a"] * 49 + [None], [True] * 49 + [False]):
        assert said(gpuvgm.TableTransformer({"x": "categorical"}).fit({"x": values}).evaluate({"x": values})) == ""
    values = [7.0] * 49 + [8.0]
    fitted = gpuvgm.TableTransformer({"x": {"kind": "mixed", "modal": [7]}}).fit({"x": values})
    assert CONSTANT not in said(fitted.evaluate({"x": values}))
    nothing = {"x": pa.nulls(50, pa.string())}
    fitted = gpuvgm.TableTransformer({"x": "categorical"}).fit(pa.table(nothing))
    assert said(fitted.evaluate(pa.table(nothing))) == 'No row has a value. Leave the column out (kind="drop").'


def test_text_that_tells_rows_apart() -> None:
    names = [f"name {i}" for i in range(98)] + ["name 0", None]
    fitted = gpuvgm.TableTransformer({"x": "categorical"}).fit({"x": names})
    (found,) = advice("x", fitted.evaluate({"x": names}).columns["x"])
    assert found.problem.startswith("98 different values in 99 rows: it looks like an identifier or free text")
    assert 'kind="id"' in found.remedy and found.sort == "warning"
    assert said(fitted.evaluate({"x": names[:90] + names[:10]})) == "", "a tenth of the names occurs twice"
    assert said(fitted.evaluate({"x": names[:19]})) == "", "of so few rows all may be different by chance"


def test_whole_numbers_that_tell_rows_apart() -> None:
    numbers = 10**9 + 1000 * RANDOM.permutation(4000)
    fitted = gpuvgm.TableTransformer({"x": "continuous"}, tails="exact", max_iter=500).fit({"x": numbers})
    (found,) = [
        one for one in advice("x", fitted.evaluate({"x": numbers}).columns["x"]) if "identifiers" in one.problem
    ]
    assert found.sort == "note" and 'kind="id"' in found.remedy
    for others in (numbers.astype(float), np.r_[numbers, numbers[:100]]):
        report = gpuvgm.TableTransformer({"x": "continuous"}, tails="exact").fit({"x": others}).evaluate({"x": others})
        assert "identifiers" not in said(report)
    assert "identifiers" not in said(fitted.evaluate({"x": numbers[:99]}))


def test_notes_are_no_warnings() -> None:
    uniform = RANDOM.uniform(size=ROWS)
    assert advice("x", evaluated(uniform, n_components=3).columns["x"]) == [], (
        "all components are in use, and all is well"
    )
    found = advice("x", evaluated(uniform, np.r_[uniform, np.full(ROWS, 2.0)], n_components=3).columns["x"])
    assert [one.sort for one in found if isinstance(one, Advice) and "components are in use" in one.problem] == ["note"]


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "0 %"), (1, "100 %"), (1e-7, "< 0.001 %"), (1 - 1e-7, "> 99.999 %"), (0.5, "50.0 %"), (2e-4, "0.020 %")],
)
def test_shares(part: float, text: str) -> None:
    assert share(part) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1.25e-7, "1.2e-7"), (0.0123, "0.012"), (123.4, "123"), (2e5, "2.0e5")]
)
def test_figures(value: float, text: str) -> None:
    assert short(value) == text
