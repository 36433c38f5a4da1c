"""Two tables beside each other, against scores computed over all rows at once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from scipy import stats

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import Need
from gpuvgm.report import Comparison
from gpuvgm.report.column_pairs import different_share
from gpuvgm.report.differences import ks_complement, tv_complement
from gpuvgm.report.measures import share
from gpuvgm.report.page import WIDE
from gpuvgm.report.pair_trends import ROWS as PAIR_ROWS, missing_together, pair_trends, thinned
from tests.report.documents import parsed
from tests.report.tables import COLUMNS, numbers, synthetic_table
from tests.report.test_page import first_rows, sections

ROWS = 4000
CATEGORIES = ("city", "size")


@pytest.fixture(scope="module")
def original(table: pa.Table) -> pa.Table:
    return table


@pytest.fixture(scope="module")
def synthetic() -> pa.Table:
    return synthetic_table(ROWS // 2)


@pytest.fixture(scope="module")
def comparison(transformer: gpuvgm.TableTransformer, original: pa.Table, synthetic: pa.Table) -> Comparison:
    return transformer.evaluate(original, compare=synthetic)


VALUES = st.lists(st.integers(-4, 4), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_ks_complement(one: list[int], other: list[int]) -> None:
    apart = (abs(np.mean(np.array(one) <= value) - np.mean(np.array(other) <= value)) for value in range(-5, 5))
    expected = 1 - max(apart)
    assert ks_complement(np.array(one, float), np.array(other, float)) == pytest.approx(expected, abs=1e-12)


def test_scores_of_nothing() -> None:
    assert ks_complement(np.empty(0), np.ones(3)) == ks_complement(np.ones(3), np.empty(0)) == 0
    assert tv_complement({}, {"a": 1}) == tv_complement({"a": 1}, {}) == 0
    assert ks_complement(np.empty(0), np.empty(0)) is tv_complement({}, {}) is None


@given(VALUES, VALUES)
def test_tv_complement(one: list[int], other: list[int]) -> None:
    shares = [{key: count / len(values) for key, count in Counter(values).items()} for values in (one, other)]
    common = sum(min(share, shares[1].get(key, 0)) for key, share in shares[0].items())
    assert tv_complement(Counter(one), Counter(other)) == pytest.approx(common, abs=1e-12)


def test_scores_equal_those_of_all_rows(comparison: Comparison, original: pa.Table, synthetic: pa.Table) -> None:
    assert list(comparison.columns) == [*(name for name in original.column_names if name != "key"), "key"]
    assert comparison.columns["key"].score is None, "which no model sees"
    for name, column in [*comparison.columns.items()][:-1]:
        one, other = original[name].drop_null(), synthetic[name].drop_null()
        if name in CATEGORIES:
            expected = tv_complement(Counter(one.to_pylist()), Counter(other.to_pylist()))
        else:
            expected = 1 - stats.ks_2samp(numbers(one), numbers(other), method="asymp").statistic
        assert column.score == pytest.approx(expected, abs=1e-12), name
        assert (column.rows, column.missing) == (ROWS, original[name].null_count)
        assert (column.synthetic_rows, column.synthetic_missing) == (ROWS // 2, synthetic[name].null_count)
    assert comparison.score == pytest.approx(np.mean([*comparison.scores.values()]))
    assert len(comparison.scores) == 11


def test_wasserstein_and_descriptions(comparison: Comparison, original: pa.Table, synthetic: pa.Table) -> None:
    column = comparison.columns["plain"]
    one, other = numbers(original["plain"]), numbers(synthetic["plain"])
    assert column.wasserstein == pytest.approx(stats.wasserstein_distance(one, other) / np.std(one), abs=2e-3)
    assert column.before.mean == pytest.approx(np.mean(one))
    assert column.after.mean == pytest.approx(np.mean(other))
    zeros = {count.text: (count.rows_before, count.rows_after) for count in comparison.columns["zeros"].modal}
    assert zeros["0"] == tuple(np.count_nonzero(numbers(table["zeros"]) == 0) for table in (original, synthetic))


def test_pairs_of_columns(comparison: Comparison, original: pa.Table, synthetic: pa.Table) -> None:
    assert len(comparison.pairs) == 11 * 10 / 2
    scores = [pair.score for pair in comparison.pairs]
    lost = [pair.lost for pair in comparison.pairs]
    assert lost == sorted(lost, reverse=True)
    assert comparison.pair_score == pytest.approx(np.mean(scores))
    found = {(pair.one, pair.other): pair for pair in comparison.pairs}
    pair = found["plain", "holes"]
    rows = []
    for table in (original, synthetic):
        x, y = numbers(table["plain"]), numbers(table["holes"])
        rows.append(np.corrcoef(x[~np.isnan(y)], y[~np.isnan(y)])[0, 1])
    assert (pair.metric, pair.before, pair.after) == ("correlation", pytest.approx(rows[0]), pytest.approx(rows[1]))
    assert pair.score == pytest.approx(1 - abs(rows[0] - rows[1]) / 2)
    edges = np.linspace(*np.quantile(numbers(original["plain"]), (0, 1)), 11)[1:-1]
    counts = []
    for table in (original, synthetic):
        places = np.searchsorted(edges, numbers(table["plain"]), side="right").tolist()
        counts.append(Counter(zip(places, table["city"].to_pylist(), strict=True)))
    pair = found["plain", "city"]
    assert (pair.metric, pair.before, pair.after) == ("contingency", None, None)
    assert pair.score == pytest.approx(tv_complement(*counts))


def test_dependence_that_is_lost_has_a_low_score(random: np.random.Generator) -> None:
    x, group = random.normal(size=2000), np.arange(2000) % 2
    table = {"x": x + 3 * group, "y": 2 * x, "group": np.where(group, "b", "a"), "constant": np.ones(2000)}
    shuffled = {name: random.permutation(values) for name, values in table.items()}
    fitted = gpuvgm.TableTransformer({"constant": "continuous"}, effort="research", max_iter=5).fit(table)
    found = fitted.evaluate(table, compare=shuffled)
    assert found.score == 1
    scores = {(pair.one, pair.other): pair.score for pair in found.pairs}
    assert scores["x", "y"] == pytest.approx(1 - np.corrcoef(table["x"], table["y"])[0, 1] / 2, abs=0.05)
    assert scores["x", "group"] < 0.8
    assert scores["x", "constant"] is None
    assert found.pairs[-1].score is None
    assert f"\n\nmean score of all pairs of columns: {found.pair_score:.3f}\n\n" in str(found)
    assert found.verdict == (
        f"A{found.detection.text[1:]}; overall score 1.000 of 1 for 4 columns; "
        f"pairs to look at: x and group ({scores['x', 'group']:.3f}), x and y ({scores['x', 'y']:.3f})"
    )


@pytest.mark.parametrize("categories", [3, 2000])
def test_many_joint_categories_count_the_same(categories: int, random: np.random.Generator) -> None:
    tables = [{name: random.integers(0, categories, 500) for name in "ab"} for _ in range(2)]
    counts = [Counter(zip(table["a"].tolist(), table["b"].tolist(), strict=True)) for table in tables]
    (pair,) = pair_trends(*tables)
    assert pair.score == pytest.approx(tv_complement(*counts))


def test_long_tables_are_thinned() -> None:
    rows = thinned(np.arange(3 * PAIR_ROWS))
    assert rows.tolist() == list(range(0, 3 * PAIR_ROWS, 3))
    assert thinned(rows[:7]).tolist() == rows[:7].tolist()
    assert len(thinned(rows[:0])) == 0


def test_new_categories_count(comparison: Comparison, synthetic: pa.Table) -> None:
    city = comparison.columns["city"]
    new = synthetic["city"].to_pylist().count("new")
    assert (city.new_rows, city.categories) == (new, 4)
    rows = {level.value: (level.rows_before, level.rows_after) for level in city.levels}
    assert list(rows) == ["a", "b", "c", "new"]
    assert rows["new"] == (0, new)
    assert (city.other_rows_before, city.other_rows_after) == (0, 0)


def test_the_same_table_has_the_score_1(transformer: gpuvgm.TableTransformer, original: pa.Table) -> None:
    same = transformer.evaluate(original, compare=original)
    assert same.score == 1
    copied = "100 % of the synthetic rows equal an original row"
    assert same.verdict == f"{copied}; overall score 1.000 of 1 for 11 columns"
    assert "Nothing stands out." not in parsed(same.to_html()).text


@pytest.mark.parametrize("compare", [False, True])
def test_text_that_cannot_be_read_is_located(tmp_path: Path, compare: bool) -> None:
    days = pa.table({"day": [f"2013-01-{day:02}" for day in range(1, 29)] * 4})
    fitted = gpuvgm.TableTransformer({"day": "continuous"}).fit(days)
    wrong = pa.table({"day": ["2013-01-01", "n/a"]})
    pq.write_table(wrong, tmp_path / "wrong.parquet")
    for rows, place in ((wrong, "pyarrow.Table, row 1"), (tmp_path / "wrong.parquet", "wrong.parquet, row 2")):
        with pytest.raises(InputError, match=rf'column "day": .*"?n/a.*first at .*{place}'):
            fitted.evaluate(*((days,) if compare else (rows,)), **({"compare": rows} if compare else {}))
    with pytest.raises(InputError, match=r'column "day": .*first at .*row 2'):
        fitted.evaluate(tmp_path / "wrong.parquet", compare=days)


@pytest.mark.parametrize("numbers", [[1e17] * 40, [1e17, 1e17 + 16] * 20, [-1e308, 1e308] * 20, [np.nan] * 40])
def test_pairs_of_numbers_that_have_no_ten_bins(numbers: list[float]) -> None:
    table = {"x": np.array(numbers), "c": np.array([0, 0, 1, 1] * 10)}
    (pair,) = pair_trends(table, table)
    assert pair.score == 1
    (pair,) = pair_trends(table, table | {"x": table["x"][::-1]})
    assert 0 <= pair.score <= 1


def test_the_verdict_names_the_lowest_scores_first(comparison: Comparison) -> None:
    columns = {f"c{i}": replace(comparison.columns["plain"], score=i / 10) for i in range(10)}
    found = replace(comparison, columns=columns, detection=None)
    assert found.verdict == (
        "Overall score 0.450 of 1 for 10 columns; look at c0 (0.000), c1 (0.100), c2 (0.200) and 6 more"
    )
    assert found.broken({"min_score": 0.45}) == found.broken({"min_score": None}) == []
    assert found.broken({"min_score": 0.5}) == ["the overall score is 0.45, but must be at least 0.5"]
    with pytest.raises(InputError, match='no limit is called "max_ks": choose from min_score, max_auc'):
        found.broken({"max_ks": 0.1})


@pytest.mark.parametrize(("block_rows", "threads"), [(4096, 1), (1 << 20, 2)])
def test_blocks_and_threads_change_nothing(
    comparison: Comparison, original: pa.Table, synthetic: pa.Table, block_rows: int, threads: int
) -> None:
    how = {"block_rows": block_rows, "threads": threads}
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", **how).fit(original)
    found = fitted.evaluate(original, compare=synthetic)
    assert replace(found, facts=None).to_html() == replace(comparison, facts=None).to_html()


def test_workers_change_nothing(comparison: Comparison, original: pa.Table, synthetic: pa.Table) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research").fit(original)
    with gpuvgm.cluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        fitted.set_params(executor=gpuvgm.DaskExecutor(client), block_rows=4096)
        assert fitted.evaluate(original, compare=synthetic).to_dict() == comparison.to_dict()


def test_sources_that_are_read_once(
    transformer: gpuvgm.TableTransformer, comparison: Comparison, original: pa.Table, synthetic: pa.Table
) -> None:
    found = transformer.evaluate(iter([original]), compare=iter([synthetic]))
    assert found.to_dict()["columns"] == comparison.to_dict()["columns"]


def test_the_page(comparison: Comparison, original: pa.Table, synthetic: pa.Table, tmp_path: Path) -> None:
    text = comparison.to_html(tmp_path / "page.html", title="<b> beside <a>", first_rows=True)
    assert (tmp_path / "page.html").read_text() == text
    tree = parsed(text)
    assert tree.all("h1")[0].text == "<b> beside <a>"
    assert tree.all("p", "verdict")[0].text == f"{comparison.verdict}."
    assert tree.all("p", "facts")[0].text == comparison.facts_line
    assert comparison.facts_line.startswith("pyarrow.Table: 4,000 rows, pyarrow.Table: 2,000 rows, read in ")
    found = sections(tree)
    assert list(found) == comparison.worst_first and set(found) == set(comparison.columns)
    for name, section in found.items():
        assert bool(section.all("svg", "histogram")) == (name not in (*CATEGORIES, "key"))
    part = share(comparison.columns["city"].new_rows / (ROWS // 2))
    assert f"{part} of the synthetic rows hold categories that the original table lacks" in found["city"].text
    assert "Kind categorical: declared." in found["city"].text
    assert "Left out" not in tree.text
    assert "Kind pass: declared." in found["key"].text
    (pairs,) = [one for one in tree.all("table") if (one.attributes["aria-label"] or "").startswith("Pairs of columns")]
    first = comparison.pairs[0]
    assert first.metric == "correlation"
    told = ["correlation", f"{first.before:.2f}", f"{first.after:z.2f}", f"{first.score:.3f}"]
    row = pairs.all("tbody")[0].all("tr")[0]
    assert [cell.text for cell in row.children] == [first.one, first.other, *told]
    for table in tree.all("table"):
        rows = [[cell.text for cell in row.children] for row in table.all("tbody")[0].all("tr")]
        assert all(any(text not in ("", "–") for text in column) for column in zip(*rows, strict=True)) or not rows
    assert "The bins mislead where values are skewed" in tree.text
    head, first, *rest = first_rows(text)
    assert [cell.text for cell in head[1:3]] == ["plain", "synthetic"]
    assert [float(cell.text) for cell in first[1:3]] == pytest.approx(
        [original["plain"][0].as_py(), synthetic["plain"][0].as_py()], rel=1e-5
    )
    assert len(rest) == 9
    assert first_rows(comparison.to_html()) == []
    assert "--first-rows" in comparison.to_html()
    assert not parsed(comparison._repr_html_()).all("script")


@pytest.mark.parametrize("spoilt", ["a", "c", "e"])
def test_a_spoilt_column_stands_first(spoilt: str) -> None:
    """Shifted, without one of its categories, or with a correlation that is broken."""
    random = np.random.default_rng(2)
    a, d = random.normal(size=(2, ROWS))
    rows = {
        "a": a, "b": random.gamma(2, 1, ROWS), "c": random.choice([*"xyz"], ROWS, p=[0.6, 0.35, 0.05]), "d": d,
        "e": 2 * d + 0.1 * random.normal(size=ROWS), "f": random.choice([*"uv"], ROWS), "g": random.normal(size=ROWS),
    }  # fmt: skip
    spoil = {"a": lambda x: x + 0.5, "c": lambda x: np.where(x == "z", "x", x), "e": random.permutation}
    again = {name: values[random.permutation(ROWS)] for name, values in rows.items() if name in "abcfg"}
    order = random.permutation(ROWS)
    again |= {"d": d[order], "e": rows["e"][order]}
    again = {name: spoil[name](again[name]) if name == spoilt else again[name] for name in rows}
    found = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(rows).evaluate(rows, compare=again)
    assert spoilt in found.worst_first[: 2 if spoilt == "e" else 1], "of a broken pair both columns are alike"
    shown = [line.split()[0] for line in found.to_text().splitlines() if "complement" in line.lower()][: len(rows)]
    page = parsed(found.to_html())
    assert shown == list(sections(page)) == found.worst_first
    *told, problem = page.all("ul", "warning")[0].all("li")
    assert len(told) == (spoilt != "c"), "5 % of the rows are no more than hardly told"
    assert all(spoilt in line.text.partition("seen first: ")[2] for line in told)
    measure = {
        "a": "The KS complement is 0.", "c": "of the original rows hold categories", "e": "in the original table 1.00"
    }  # fmt: skip
    assert spoilt in [link.text for link in problem.all("a")]
    assert measure[spoilt] in problem.text


@pytest.mark.parametrize("lost", [False, True])
def test_a_pair_is_said_to_have_changed_where_neither_chance_nor_its_columns_do_it(lost: bool) -> None:
    random = np.random.default_rng(3)
    words = np.array([f"w{i}" for i in range(40)])
    one = random.integers(0, 40, ROWS)
    table = {"one": words[one], "other": words[(one + random.integers(0, 5, ROWS)) % 40], "x": random.normal(size=ROWS)}
    few = {name: values[:500] for name, values in table.items()} | {"x": 3 * random.normal(size=500)}
    if lost:
        few["other"] = random.permutation(few["other"])
    pairs = {(pair.one, pair.other): pair for pair in pair_trends(*map(as_rows, (table, few)))}
    assert all(pair.score < 0.8 for pair in pairs.values()), "few rows, and numbers of another spread"
    assert [names for names, pair in pairs.items() if pair.lost >= 0.1] == [("one", "other")] * lost


def as_rows(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: values if values.dtype.kind == "f" else np.array([int(word[1:]) for word in values])
        for name, values in table.items()
    }


def test_categories_that_few_rows_lack_by_chance_are_not_told_of() -> None:
    table = {"word": ["often"] * 98 + ["rare"] * 2, "x": np.arange(100) / 7}
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table)
    few = {name: values[:90] for name, values in table.items()}
    assert "categories that the synthetic table lacks" not in fitted.evaluate(table, compare=few).to_html()


def test_figures_that_no_column_has_are_no_columns_of_the_page() -> None:
    table = {"word": ["often", "rare"] * 50}
    page = parsed(gpuvgm.TableTransformer().fit(table).evaluate(table, compare=table).to_html())
    (overview,) = page.all("table", "overview")
    assert [cell.text for cell in overview.all("th")] == ["column", "kind", "values", "score", "word"]


NUMBERS = [1, 2, 3, 5] * 50
DATES = ["2013-01-01", "02.03.2014", "2015-07-09"]


@pytest.mark.parametrize(
    ("values", "declared", "what"),
    [
        (NUMBERS, None, "numbers"),
        ([*map(str, NUMBERS)], None, "numbers"),
        ([f"${number}" for number in NUMBERS], None, "numbers"),
        (DATES * 60, None, "dates or times"),
        (NUMBERS, "categorical", ""),
        (NUMBERS, "continuous", ""),
        ([0, 1] * 100, None, ""),
        ([*"abcd"] * 50, None, ""),
        ([True, False, None] * 60, None, ""),
    ],
)
def test_numbers_and_dates_that_became_categories_are_told_of(values: list, declared: str | None, what: str) -> None:
    table = {"column": values}
    fitted = gpuvgm.TableTransformer(declared and {"column": declared}).fit(table)
    for result in (fitted.evaluate(table, compare=table), fitted.evaluate(table)):
        page = parsed(result.to_html()).text
        assert ("Nothing stands out." in page) == (not what)
        assert (f"The {what} count as categories" in page) == bool(what)


def test_text_and_document(comparison: Comparison) -> None:
    lines = str(comparison).splitlines()
    first = r"A classifier tells synthetic rows from original ones with effort \(AUC 0\.6[89]\d,"
    assert re.fullmatch(first, lines[0]), "keys run on"
    assert max(map(len, lines)) <= 80
    for name in comparison.columns:
        assert any(line.split()[:1] == [name] for line in lines)
    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    figures = ["rows", "synthetic_rows", "verdict", "laws", "detection", "score", "pair_score", "copies"]
    figures += ["near", "combinations", "real_values", "real_shares", "real_rows"]
    assert [*document] == [*figures, "pairs", "columns"]
    assert document["pairs"][0] == asdict(comparison.pairs[0])
    assert {"metric", "score", "missing", "synthetic_missing", "before", "after", "wasserstein"} <= set(
        document["columns"]["plain"]
    )
    assert not {"profile", "pictures"} & {*document["columns"]["plain"], *document["columns"]["city"]}
    assert document["columns"]["city"]["metric"] == "TV complement"


def test_columns_without_values() -> None:
    table = pa.table({"x": [1.0, 2.0, 4.0] * 20, "y": ["a", "b", None] * 20})
    nothing = pa.table({"x": pa.nulls(9, pa.float64()), "y": pa.nulls(9, pa.string())})
    fitted = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit(table)
    for one, other in ((table, nothing), (nothing, table)):
        found = fitted.evaluate(one, compare=other)
        assert found.verdict == "Overall score 0.000 of 1 for 2 columns; look at x (0.000), y (0.000)"
        assert found.broken({"min_score": 0.5}) == ["the overall score is 0, but must be at least 0.5"]
        assert "The KS complement is 0.000." in parsed(found.to_html()).text
        json.dumps(found.to_dict(), allow_nan=False)
    found = fitted.evaluate(nothing, compare=nothing)
    assert (found.score, found.verdict) == (None, "No column has a value")
    assert found.broken({"min_score": 0.5}) == ["the overall score is not known, but must be at least 0.5"]
    assert "The tables have no value here." in parsed(found.to_html()).text
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_share_of_missing_values_is_lost_too() -> None:
    random = np.random.default_rng(5)
    table = {"x": random.normal(size=2000), "g": random.choice([*"ab"], 2000), "y": random.normal(size=2000)}
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table)
    found = fitted.evaluate(table, compare=table | {"y": np.where(np.arange(2000) % 5 < 3, table["y"], np.nan)})
    assert found.verdict.endswith("3 columns; look at y (missing 0 %, synthetic 40.0 %)")
    assert found.worst_first[0] == "y"


def test_pairs_of_which_few_rows_have_both_values_are_nothing_to_look_at() -> None:
    random = np.random.default_rng(6)
    table = dict(zip("xyz", random.normal(size=(3, 4000)), strict=True))
    table["z"] = np.where(random.random(4000) < 0.03, table["z"], np.nan)
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table)
    for _ in range(10):
        half, other = np.split(random.permutation(4000), 2)
        halves = ({name: values[rows] for name, values in table.items()} for rows in (half, other))
        found = fitted.evaluate(next(halves), compare=next(halves))
        assert found.verdict.endswith("3 columns; no column stands out")


def test_constants_and_values_far_apart() -> None:
    table, far = {"x": np.full(50, 3.5)}, {"x": np.full(20, 1e9)}
    fitted = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit(table)
    found = fitted.evaluate(table, compare=far)
    assert (found.score, found.columns["x"].wasserstein) == (0.0, None)
    assert "nan" not in found.to_html()


def test_types_may_differ_where_values_mean_the_same() -> None:
    one = pa.table({"n": pa.array(range(60), pa.int64()), "c": pa.array(["a", "b", "c"] * 20), "f": [True, False] * 30})
    other = pa.table(
        {"n": pa.array(np.arange(60.0)), "c": one["c"].combine_chunks().dictionary_encode(), "f": one["f"]}
    )
    fitted = gpuvgm.TableTransformer({"n": "continuous"}, effort="research").fit(one)
    assert fitted.evaluate(one, compare=other).score == 1
    with pytest.raises(InputError, match='column "n" holds'):
        fitted.evaluate(one, compare=other.set_column(0, "n", one["c"]))
    words = pa.array([b"\xff"] * 60, pa.binary())
    with pytest.raises(InputError, match='"c": holds binary values'):
        fitted.evaluate(one, compare=other.set_column(1, "c", words))


def test_what_cannot_be_compared(transformer: gpuvgm.TableTransformer, original: pa.Table) -> None:
    with pytest.raises(InputError, match=r"no column \"plain\""):
        transformer.evaluate(original, compare=original.drop_columns("plain"))
    with pytest.raises(InputError, match="there are no rows to compare"):
        transformer.evaluate(original, compare=original.slice(0, 0))
    assert transformer.evaluate(original, compare=original.drop_columns("key")).score == 1
    keys = gpuvgm.TableTransformer({"key": "pass"}).fit({"key": range(9)})
    with pytest.raises(InputError, match="encodes no column"):
        keys.evaluate({"key": range(9)}, compare={"key": range(9)})


def test_a_limit_of_memory_counts_the_rows_that_are_kept(original: pa.Table, synthetic: pa.Table) -> None:
    schema = original.schema
    more = Need.compare(schema, 10**8).peak(1, 4096) - Need.compare(schema, 0).peak(1, 4096)
    assert more >= 8 * 10**8 * len(schema)
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", max_iter=5).fit(original)
    assert fitted.set_params(memory="1GiB").evaluate(original, compare=synthetic).score > 0.9
    with pytest.raises(InputError, match="too little for these columns"):
        fitted.set_params(memory="300MiB").evaluate(original, compare=synthetic)


def test_wide_tables_are_packed(random: np.random.Generator) -> None:
    wide = {f"c{i}": random.normal(size=100) for i in range(WIDE + 1)}
    fitted = gpuvgm.TableTransformer(effort="research", n_components=2, max_iter=5).fit(wide)
    tree = parsed(fitted.evaluate(wide, compare=wide).to_html(first_rows=True))
    assert len(tree.all("template", "packed")) == 1
    assert "Shown are the first 50 of 51 columns." in tree.text


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rows", [60, 4_000])
def test_rows_of_one_distribution_are_nothing_to_look_at(rows: int, seed: int) -> None:
    """Few rows, or many categories, have low scores by chance."""
    random = np.random.default_rng(seed)
    tables = [
        {
            "x": random.normal(size=rows),
            "code": np.array([f"c{i}" for i in random.integers(0, rows // 10, rows)]),
            "flag": random.choice([*"yn"], rows, p=[0.9, 0.1]),
        }
        for _ in range(2)
    ]
    columns = {"x": "continuous", "code": "categorical", "flag": "categorical"}
    fitted = gpuvgm.TableTransformer(columns, effort="research", max_iter=5).fit(tables[0])
    found = fitted.evaluate(tables[0], compare=tables[1])
    assert found.columns["code"].score < 0.9
    assert found.verdict.endswith("3 columns; no column stands out")
    assert "The TV complement" not in found.to_html()


def test_the_share_of_different_values_does_not_depend_on_the_number_of_rows() -> None:
    """As many rows are drawn of both tables; the expectation is that of all ways to draw them."""
    values = [0, 0, 0, 1, 1, 2]
    occurrences = np.unique(values, return_counts=True)[1]
    for rows in range(1, 7):
        expected = np.mean([len({*drawn}) for drawn in combinations(values, rows)]) / rows
        assert different_share(occurrences, rows) == pytest.approx(expected, abs=1e-9)
    assert different_share(np.ones(10**6, np.int64), 1000) == 1
    assert different_share(occurrences, 0) == 0


NOTES = pa.array([f"note {'x' * (i % 40)} {i}" for i in range(2000)])


@pytest.mark.parametrize(
    ("spoilt", "words", "told"),
    [
        (pc.utf8_slice_codeunits(NOTES, 0, 12), "note (lengths 0.", "The lengths of the texts differ"),
        (pa.array(NOTES.to_pylist()[:500] * 4), "note (different 100 %, synthetic 25.0 %)", "and 25.0 % of as many"),
        (pa.array([None, *NOTES.to_pylist()[1:1000]] * 2), "note (different 100 %, synthetic 50.0 %)", "different"),
        (pa.array([None] * 1000 + NOTES.to_pylist()[1000:]), "note (missing 0 %, synthetic 50.0 %)", "are missing"),
        (NOTES, "", ""),
    ],
)
def test_a_column_that_no_model_sees_may_be_the_worst(spoilt: pa.Array, words: str, told: str) -> None:
    table = pa.table({"x": np.random.default_rng(0).normal(size=2000), "note": NOTES})
    fitted = gpuvgm.TableTransformer({"note": "pass"}, effort="research", max_iter=5).fit(table)
    found = fitted.evaluate(table, compare=pa.table({"x": table["x"], "note": spoilt}))
    assert found.columns["note"].score is None and len(found.scores) == 1
    assert words in found.verdict
    assert (found.worst_first[0] == "note") == bool(words) == ("look at note" in found.verdict)
    page = found.to_html()
    assert told in sections(parsed(page))["note"].text
    assert not any(note in page for note in NOTES.to_pylist())


def test_longer_identifiers_are_nothing_to_look_at() -> None:
    table = pa.table({"x": np.random.default_rng(0).normal(size=2000), "user": [f"u{i}" for i in range(2000)]})
    fitted = gpuvgm.TableTransformer({"user": "id"}, effort="research", max_iter=5).fit(table)
    longer = pa.array([f"u{i}" for i in range(10**7, 10**7 + 2000)])
    found = fitted.evaluate(table, compare=table.set_column(1, "user", longer))
    assert found.columns["user"].length_score is None
    assert found.columns["user"].lost <= 0
    assert "look at" not in found.verdict


@pytest.mark.parametrize("note", [False, True])
def test_values_that_are_missing_together(note: bool) -> None:
    random = np.random.default_rng(1)
    is_missing = random.random(ROWS) < 0.2
    a, b = np.where(is_missing, np.nan, random.normal(size=(2, ROWS)))
    texts = [None if gone else f"text {i}" for i, gone in enumerate(is_missing)]
    table = pa.table({"a": a, "b": texts if note else b, "c": np.where(random.random(ROWS) < 0.2, np.nan, a + 1)})
    fitted = gpuvgm.TableTransformer({"b": "pass"} if note else None, effort="research", max_iter=5).fit(table)
    order = random.permutation(ROWS)
    found = fitted.evaluate(table, compare=table.set_column(1, "b", table["b"].take(order)))
    pairs = {(pair.one, pair.other): pair for pair in found.pairs if not pair.of_values}
    other_missing = table["b"].is_null(nan_is_null=True).to_numpy()[order]
    together = (is_missing & other_missing).sum() / (is_missing | other_missing).sum()
    pair = pairs.get(("a", "b")) or pairs["b", "a"]
    assert (pair.before, pair.after, pair.score) == (1.0, pytest.approx(together), pytest.approx(together))
    assert f"(missing together 100 %, synthetic {share(together)})" in found.verdict
    assert {*found.worst_first[:2]} <= {"a", "b", "c"}
    page = found.to_html()
    assert "The generator does not know which values are missing together." in page
    same = fitted.evaluate(table, compare=table)
    assert all(pair.score == 1 for pair in same.pairs if not pair.of_values)
    assert found.pair_score == pytest.approx(np.mean([pair.score for pair in found.pairs if pair.of_values]))


def test_missing_values_that_coincide_by_chance_are_no_pair() -> None:
    random = np.random.default_rng(2)
    tables = [{name: random.random(5000) < 0.1 for name in "abcdef"} for _ in range(2)]
    assert [*missing_together(*tables)] == []
    tables[1] |= {"a": tables[1]["b"]}
    (pair,) = missing_together(*tables)
    assert (pair.one, pair.other, pair.after) == ("a", "b", 1.0)
    assert pair.lost > 0.5


def test_hours_of_dates_are_compared_and_named_first() -> None:
    """Hours that are later change moments of a year by nothing that a distance of moments sees."""
    random = np.random.default_rng(2)
    days, minutes = random.integers(0, 364, 4_000), random.integers(8 * 60, 18 * 60, 4_000)
    when = np.datetime64("2025-01-01T00:00:00") + days * np.timedelta64(1, "D") + minutes * np.timedelta64(1, "m")
    amount = random.lognormal(3, 1, 4_000).round(2)
    tables = [{"amount": amount[half], "when": when[half]} for half in (slice(2_000), slice(2_000, None))]
    fitted = gpuvgm.TableTransformer().fit(tables[0])
    honest = fitted.evaluate(tables[0], compare=tables[1]).columns["when"]
    assert all(part.score >= part.reachable for part in honest.parts.values())
    assert [*honest.parts] == ["hour", "weekday", "day of the month"]
    later = tables[1] | {"when": tables[1]["when"] + np.timedelta64(6, "h")}
    found = fitted.evaluate(tables[0], compare=later)
    column = found.columns["when"]
    assert column.score > 0.95
    shares = [
        np.bincount(rows["when"].astype("M8[h]").astype(int) % 24, minlength=24) / 2_000 for rows in (tables[0], later)
    ]
    assert column.parts["hour"].score == pytest.approx(1 - np.abs(shares[0] - shares[1]).sum() / 2)
    assert column.worst_figure == f"hour {column.parts['hour'].score:.3f}"
    assert found.worst_first[0] == "when" and f"look at when ({column.worst_figure})" in found.verdict
    assert "The hour has another distribution: its TV complement is" in found.to_html()
    assert found.to_dict()["columns"]["when"]["parts"]["hour"]["score"] == column.parts["hour"].score
    days_alone = pa.table({"day": pa.array(when.astype("M8[D]")[:2_000])})
    alone = gpuvgm.TableTransformer().fit(days_alone)
    assert [*alone.evaluate(days_alone, compare=days_alone).columns["day"].parts] == ["weekday", "day of the month"]
