"""Figures of every kind of column against those computed over all rows at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import stats

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.report import Report
from gpuvgm.report.figures import SHARES, CategoryFigures, NumberFigures
from tests.report.tables import COLUMNS, NUMBERS, make_table, numbers

ROWS = 20_000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return make_table(ROWS)


@pytest.fixture(scope="module")
def back(transformer: gpuvgm.TableTransformer, table: pa.Table) -> pa.Table:
    return transformer.inverse_transform(transformer.transform(table))


def test_every_column_has_its_figures(report: Report, table: pa.Table) -> None:
    assert list(report.columns) == table.column_names
    kinds = {name: figures.kind for name, figures in report.columns.items()}
    assert kinds["holes"] == kinds["zeros"] == "mixed"
    assert kinds["log"] == kinds["when"] == "continuous"
    assert kinds["general"] == "general"
    assert kinds["city"] == kinds["size"] == "categorical"
    assert kinds["key"] == "pass"
    assert all(figures.rows == ROWS for figures in report.columns.values())
    assert all(figures.missing == table[name].null_count for name, figures in report.columns.items())


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_equal_those_of_all_rows(name: str, report: Report, table: pa.Table, back: pa.Table) -> None:
    figures = report.columns[name]
    assert isinstance(figures, NumberFigures)
    x, y = numbers(table[name]), numbers(back[name])
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    exact = stats.ks_2samp(x, y).statistic
    assert figures.ks - 1e-12 <= exact <= figures.ks + figures.ks_resolution + 1e-12
    assert figures.ks_resolution < 2e-3
    exact = stats.wasserstein_distance(x, y) / figures.sd
    assert abs(figures.wasserstein - exact) <= figures.wasserstein_resolution + 1e-12
    assert figures.wasserstein_resolution < 2e-3
    assert figures.maximum_error == pytest.approx(np.max(np.abs(x - y)) / figures.sd, rel=1e-6)
    kept = x != 0
    relative = np.abs(x - y)[kept] / np.abs(x[kept])
    assert figures.maximum_relative_error == pytest.approx(np.max(relative), rel=1e-6)
    for values, one in ((x, figures.before), (y, figures.after)):
        assert one is not None
        assert one.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6 * np.std(values))
        assert one.sd == pytest.approx(np.std(values), rel=1e-6)
        assert one.skewness == pytest.approx(stats.skew(values), rel=1e-3, abs=1e-3)
        assert one.kurtosis == pytest.approx(stats.kurtosis(values), rel=1e-3, abs=1e-3)
        assert one.quantiles[0] == np.min(values)
        assert one.quantiles[-1] == np.max(values)
        below = [np.mean(values <= quantile) for quantile in one.quantiles]
        above = [np.mean(values >= quantile) for quantile in one.quantiles]
        assert np.all(np.array(below) >= np.array(SHARES) - 1e-3)
        assert np.all(np.array(above) >= 1 - np.array(SHARES) - 1e-3)


def test_units(report: Report, transformer: gpuvgm.TableTransformer, table: pa.Table) -> None:
    column, figures = transformer.columns_["plain"], report.columns["plain"]
    mean = np.sum(column.weights * column.means)
    variance = np.sum(column.weights * (column.stds**2 + (column.means - mean) ** 2))
    assert figures.sd == pytest.approx(np.sqrt(variance), rel=1e-12)
    for name in ("log", "general"):
        assert report.columns[name].sd == pytest.approx(np.std(table[name].to_numpy()), rel=1e-6)


def test_texts_are_those_of_the_column(report: Report) -> None:
    before = report.columns["when"].before
    assert before is not None
    assert before.texts[2].startswith("2020-09-13T12:2")
    assert before.texts[2].endswith("Z")
    assert before.texts[1].endswith(" d")
    assert isinstance(before.quantiles[3], int)
    assert report.columns["cents"].before.texts[-1].count(".") == 1
    assert report.columns["day"].before.texts[2] == "1970-01-01"


def test_modal_values(report: Report, table: pa.Table) -> None:
    (zero,) = report.columns["zeros"].modal
    zeros = int(np.count_nonzero(table["zeros"].to_numpy() == 0))
    assert (zero.value, zero.text, zero.rows_before, zero.rows_after) == (0, "0", zeros, zeros)
    (missing,) = report.columns["holes"].modal
    holes = table["holes"].null_count
    assert (missing.value, missing.text, missing.rows_before, missing.rows_after) == (None, "missing", holes, holes)


def test_general_columns(transformer: gpuvgm.TableTransformer, report: Report, table: pa.Table) -> None:
    figures = report.columns["general"]
    assert figures.mode_agreement is None
    assert figures.maximum_error < 1e-12
    assert (figures.clipped_share, figures.invalid_rows) == (0, 0)
    assert report.columns["counts"].maximum_error == 0
    beyond = table.slice(0, 1000).set_column(4, "general", pa.array(np.full(1000, 50.0)))
    figures = transformer.evaluate(beyond).columns["general"]
    assert (figures.clipped_share, figures.invalid_rows, figures.ks) == (1, 0, 1)


def test_levels(report: Report, table: pa.Table) -> None:
    city = report.columns["city"]
    assert isinstance(city, CategoryFigures)
    assert [category.value for category in city.levels][:2] == ["a", "b"]
    assert {category.text for category in city.levels} == {"a", "b", "c", "missing"}
    for category in city.levels:
        held = pc.is_null(table["city"]) if category.value is None else pc.equal(table["city"], category.value)
        assert category.rows_before == category.rows_after == pc.sum(held).as_py()
    assert (city.level_agreement, city.total_variation, city.unknown_rows, city.level_count) == (1, 0, 0, 4)


def test_unknown_levels_are_lost() -> None:
    fitted = gpuvgm.TableTransformer({"x": "categorical"}, unknown="ignore").fit({"x": ["a", "b", "a", "b"] * 9})
    figures = fitted.evaluate({"x": ["a", "a", "z", None]}).columns["x"]
    assert (figures.rows, figures.missing, figures.unknown_rows) == (4, 1, 1)
    assert figures.level_agreement == 0.75  # what is missing comes back missing
    assert figures.total_variation == 0.25
    fitted = gpuvgm.TableTransformer({"x": "categorical"}, unknown="ignore").fit({"x": ["a", None, "a", "b"] * 9})
    figures = fitted.evaluate({"x": ["a", None, "z", None]}).columns["x"]
    assert (figures.missing, figures.unknown_rows, figures.level_agreement, figures.total_variation) == (
        2,
        1,
        0.75,
        0.25,
    )
    rows = {category.text: (category.rows_before, category.rows_after) for category in figures.levels}
    assert rows == {"a": (1, 1), "missing": (2, 3), "b": (0, 0)}


def test_many_levels_are_counted_and_the_top_listed() -> None:
    values = [f"category {i % 100}" for i in range(1000)] + ["category 7"] * 9
    fitted = gpuvgm.TableTransformer({"x": "categorical"}).fit({"x": values})
    report = fitted.evaluate({"x": values})
    figures = report.columns["x"]
    assert figures.level_count == 100
    assert figures.levels[0].value == "category 7"
    assert sum(category.rows_before for category in figures.levels) + figures.other_rows_before == figures.rows
    assert sum(category.rows_after for category in figures.levels) + figures.other_rows_after == figures.rows
    assert "and 95 more" not in str(report), "of what comes back exactly there is nothing to tell"
    fitted.set_params(unknown="ignore").fit({"x": values})
    assert "and 95 more" in str(fitted.evaluate({"x": [*values, "new"]}))


@pytest.mark.parametrize(("block_rows", "threads"), [(4096, 1), (4096, 3), (8192, 2), (1 << 20, 1)])
def test_blocks_and_threads_change_nothing(report: Report, table: pa.Table, block_rows: int, threads: int) -> None:
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", block_rows=block_rows, threads=threads).fit(table)
    assert fitted.evaluate(table) == report


def test_engines_agree(transformer: gpuvgm.TableTransformer, table: pa.Table) -> None:
    rows = table.slice(0, 3000)
    native = transformer.evaluate(rows)
    transformer.set_params(engine="reference")
    try:
        reference = transformer.evaluate(rows)
    finally:
        transformer.set_params(engine="auto")
    for name in report_numbers(native):
        one, other = native.columns[name], reference.columns[name]
        assert (one.before, one.modal, one.missing) == (other.before, other.modal, other.missing)
        for figure in ("clipped_share", "mode_agreement", "invalid_rows", "under_threshold_rows"):
            assert getattr(one, figure) == getattr(other, figure)
        # decoded values differ in their last bit
        for figure in ("median_error", "maximum_error", "p999_relative_error", "ks", "wasserstein"):
            assert getattr(one, figure) == pytest.approx(getattr(other, figure), rel=0.07, abs=1e-12)
    for name in ("city", "size", "key"):
        assert native.columns[name] == reference.columns[name]


def report_numbers(report: Report) -> list[str]:
    return [name for name, figures in report.columns.items() if isinstance(figures, NumberFigures)]


def test_a_source_that_can_be_read_only_once(
    transformer: gpuvgm.TableTransformer, report: Report, table: pa.Table
) -> None:
    def parts() -> Iterator[pa.Table]:
        for start in range(0, ROWS, 3000):
            yield table.slice(start, 3000)

    assert transformer.evaluate(parts()) == report


def test_one_row_and_no_value(transformer: gpuvgm.TableTransformer, table: pa.Table) -> None:
    one = transformer.evaluate(table.slice(0, 1))
    assert one.rows == 1
    assert all(figures.rows == 1 for figures in one.columns.values())
    assert one.columns["plain"].before.sd == 0
    assert one.columns["plain"].before.skewness is None
    json.dumps(one.to_dict(), allow_nan=False)
    assert max(map(len, str(one).splitlines())) <= 80
    holes = table.filter(pc.is_null(table["holes"])).slice(0, 5)
    none = transformer.evaluate(holes).columns["holes"]
    assert (none.rows, none.missing, none.before, none.ks, none.mode_agreement) == (5, 5, None, 0, 1)


def test_columns_without_any_value() -> None:
    table = pa.table({"x": pa.nulls(30, pa.float64()), "c": pa.nulls(30, pa.string())})
    report = gpuvgm.TableTransformer({"c": "categorical"}).fit(table).evaluate(table)
    assert report.columns["x"].missing == report.columns["c"].missing == report.columns["x"].rows == 30
    assert report.columns["x"].level_agreement == report.columns["c"].level_agreement == 1
    json.dumps(report.to_dict(), allow_nan=False)
    assert str(report).splitlines()[0] == "2 of 2 columns come back exactly"


def test_infinite_values_are_refused_with_their_place(transformer: gpuvgm.TableTransformer, table: pa.Table) -> None:
    values = table["plain"].to_numpy().copy()
    values[17_000] = np.inf
    wrong = table.set_column(0, "plain", pa.array(values))
    with pytest.raises(InputError, match=r'column "plain": 1 value is infinite \(first at pyarrow.Table, row 17000\)'):
        transformer.evaluate(wrong)


def test_rows_with_any_invalid_value(random: np.random.Generator) -> None:
    table = pa.table({"a": random.normal(size=500), "b": random.normal(size=500)})
    fitted = gpuvgm.TableTransformer(tails="exact", effort="research").fit(table)
    a, b = (table[name].to_numpy().copy() for name in ("a", "b"))
    a[:10], b[5:20] = 99.0, 99.0
    report = fitted.evaluate({"a": a, "b": b})
    assert (report.columns["a"].invalid_rows, report.columns["b"].invalid_rows, report.invalid_rows) == (10, 15, 20)
    assert report.to_dict()["invalid_share"] == report.invalid_share == 20 / 500
    (sentence,) = report.broken({"max_invalid_share": 0.035})
    assert "any value" in sentence


def test_overall(report: Report) -> None:
    overall = report.overall
    figures = {name: column.ks for name, column in report.columns.items() if isinstance(column, NumberFigures)}
    assert overall["ks"].worst == max(figures.values()) == figures[overall["ks"].column]
    assert overall["ks"].mean == pytest.approx(np.mean(list(figures.values())))
    assert overall["mode_agreement"].worst == min(
        c.mode_agreement for n, c in report.columns.items() if n in figures and c.kind != "general"
    )
    assert overall["level_agreement"].column in ("city", "size")


@pytest.mark.parametrize(
    ("bound", "limit", "words"),
    [
        ("max_error", 1e-30, "99.9th percentile of the round-trip error"),
        ("max_relative_error", 1e-30, "relative error"),
        ("max_clipped_share", -1, "clipped"),
        ("max_invalid_share", -1, "training range"),
        ("max_ks", -1, "Kolmogorov-Smirnov"),
        ("max_wasserstein", -1, "Wasserstein"),
        ("min_mode_agreement", 2, "mode agreement"),
        ("min_level_agreement", 2, "category agreement"),
    ],
)
def test_every_limit(report: Report, bound: str, limit: float, words: str) -> None:
    sentences = report.broken({bound: limit})
    assert sentences
    assert all(words in text for text in sentences if text.startswith("column"))
    assert report.broken({bound: None}) == []
    assert report.broken({bound: 0 if bound.startswith("min") else 1e9}) == []


def test_the_remedy_for_repeated_values() -> None:
    values = np.random.default_rng(0).integers(0, 9, 4000) / 10
    report = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit({"x": values}).evaluate({"x": values})
    (sentence,) = report.broken({"max_ks": 0.001})
    assert "declare them modal" in sentence


def test_the_score_is_the_mean_of_the_columns(report: Report) -> None:
    scores = [1 - getattr(report.columns[name], "ks", 0.0) for name in NUMBERS]
    scores += [1 - report.columns[name].total_variation for name in ("city", "size")]
    assert report.score == pytest.approx(np.mean(scores)) and 0.99 < report.score < 1
    assert f"overall score: {report.score:.3f} of 1" in str(report)
    assert report.broken({"min_score": report.score}) == report.broken({"min_score": None}) == []
    assert report.broken({"min_score": 1})[0].endswith("but must be at least 1")
    assert gpuvgm.TableTransformer({"x": "pass"}).fit({"x": ["a"]}).evaluate({"x": ["a"]}).score is None


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_correlations_before_and_after(order: slice, random: np.random.Generator) -> None:
    """Of values that are cut, which changes how they depend on others, and in both orders of the columns."""
    x = random.normal(size=4000)
    columns = {"x": x, "y": x + random.normal(size=4000), "far": np.append(x[:-1], 1e4), "city": ["a", "b"] * 2000}
    table = {name: columns[name] for name in [*columns][order]}
    fitted = gpuvgm.TableTransformer({"far": "continuous", "city": "categorical"}, effort="research", max_iter=20)
    report = fitted.fit(table).evaluate(table)
    back = fitted.inverse_transform(fitted.transform(table))
    assert len(report.pairs) == 3
    assert [pair.score for pair in report.pairs] == sorted(pair.score for pair in report.pairs)
    for pair in report.pairs:
        for rows, found in ((table, pair.before), (back, pair.after)):
            expected = np.corrcoef(np.asarray(rows[pair.one]), np.asarray(rows[pair.other]))[0, 1]
            assert found == pytest.approx(expected, abs=1e-12)


def test_the_sd_of_an_asinh_column_says_that_it_is_one_of_that_scale() -> None:
    rows = {"x": np.random.default_rng(0).lognormal(3, 1, 2000)}
    fitted = gpuvgm.TableTransformer({"x": {"kind": "continuous", "asinh": 4.0}}, max_iter=20).fit(rows)
    profile = fitted.evaluate(rows).columns["x"].profile
    assert profile.modes and all(mode.sd.endswith(" (asinh)") for mode in profile.modes)


def test_text_fits_80_columns_and_names_every_column(report: Report) -> None:
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 80
    same = " ".join(lines).partition("exactly: ")[2].partition("  ")[0].split(", ")
    for name, column in report.columns.items():
        assert (name in same) == column.unchanged
        assert any(line.split()[:1] == [name] for line in lines) or column.unchanged


def test_document_holds_everything(report: Report) -> None:
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert set(document) == {
        *("rows", "verdict", "score", "pair_score", "pairs", "invalid_rows", "invalid_share", "widths"),
        *("overall", "columns"),
    }
    plain = document["columns"]["plain"]
    assert {"ks", "wasserstein", "before", "after", "modal", "invalid_share", "kind"} <= set(plain)
    assert [quantile["share"] for quantile in plain["before"]["quantiles"]] == list(SHARES)
    assert {"mean", "sd", "skewness", "kurtosis", "mean_text", "sd_text"} <= set(plain["after"])
    city = document["columns"]["city"]["levels"][0]
    assert city["share_before"] == city["rows_before"] / ROWS
