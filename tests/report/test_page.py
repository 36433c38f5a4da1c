"""The page of a report: its parts, that nothing comes from elsewhere, and that what comes from data is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.columns import texts_of
from gpuvgm.errors import InputError
from gpuvgm.report import Report
from gpuvgm.report.counting import FIRST_COLUMNS as COLUMNS_SHOWN, FirstRows
from gpuvgm.report.figures import RunFacts
from gpuvgm.report.page import WIDE
from tests.report.documents import Node, parsed
from tests.report.tables import COLUMNS, make_table

EVIL = '<script>alert("x")</script>'


def page_of(report: Report) -> str:
    """The page without what differs between two runs: date and seconds."""
    return replace(report, facts=None).to_html()


@pytest.fixture(scope="module")
def tree(report: Report) -> Node:
    return parsed(report.to_html(title="of <everything>"))


def sections(tree: Node) -> dict[str, Node]:
    return {section.all("h2")[0].text: section for section in tree.all("details", "column")}


def test_nothing_comes_from_elsewhere(report: Report) -> None:
    text = report.to_html()
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=", text)
    tree = parsed(text)
    assert [link.attributes["href"] for link in tree.all("link")] == ["data:,"]
    assert all((link.attributes["href"] or "").startswith("#") for link in tree.all("a"))
    (script,) = tree.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    (policy,) = [meta for meta in tree.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{digest}'" in (policy.attributes["content"] or "")
    assert "default-src 'none'" in (policy.attributes["content"] or "")


def test_every_piece_of_the_page_is_used() -> None:
    folder = Path(gpuvgm.__file__).parent / "report"
    pieces = re.findall(r"^<!-- (\w+) -->$", (folder / "page.html").read_text("utf-8"), re.MULTILINE)
    code = "".join(file.read_text("utf-8") for file in folder.glob("*.py"))
    used = set(re.findall(r'\bpiece\(\s*"(\w+)"', code))
    assert sorted(pieces) == sorted(used)


def test_head(tree: Node) -> None:
    names = {meta.attributes.get("name"): meta.attributes.get("content") for meta in tree.all("meta")}
    assert names["viewport"] == "width=device-width, initial-scale=1"
    assert tree.all("title")[0].text == tree.all("h1")[0].text == "of <everything>"
    assert tree.all("html")[0].attributes["lang"] == "en"


def test_the_verdict_comes_first_and_the_facts_after_it(report: Report, tree: Node) -> None:
    head = tree.all("main")[0].children[:3]
    assert [part.attributes.get("class") for part in head] == [None, "verdict", "facts"]
    assert head[1].text == f"{report.verdict}."
    assert re.fullmatch(
        r"pyarrow\.Table: 4,000 rows read in \d+\.\d\d s, gpuvgm \d+\.\d+\.\d+, \d{4}-\d\d-\d\d \d\d:\d\d UTC",
        head[2].text,
    )
    assert not parsed(page_of(report)).all("p", "facts")


def test_the_facts_name_the_files(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0, 4.0] * 20})
    pq.write_table(rows, tmp_path / "rows.parquet")
    gpuvgm.TableTransformer(effort="research").fit(rows).save(tmp_path / "model.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "model.gpuvgm")
    line = loaded.evaluate(tmp_path / "rows.parquet").facts_line
    assert line.startswith("rows.parquet: 60 rows read in ")
    assert ", model model.gpuvgm, gpuvgm " in line
    assert str(tmp_path) not in line
    assert "model.gpuvgm" not in loaded.fit(rows).evaluate(rows).facts_line, "the file holds another model"


def test_the_facts_tell_no_credentials() -> None:
    assert RunFacts("data/part-0?.parquet", "", "1", "today", 1.0).line(2).startswith("part-0?.parquet: 2 rows")
    line = RunFacts(
        "https://host/folder/rows.parquet?signature=secret", "s3://bucket/m.gpuvgm", "1", "today", 0.5
    ).line(1)
    assert line == "rows.parquet: 1 row read in 0.50 s, model m.gpuvgm, gpuvgm 1, today"


def test_the_overview_links_to_every_column(tree: Node, table: pa.Table) -> None:
    (overview,) = tree.all("table", "overview")
    rows = overview.all("tbody")[0].all("tr")
    names = [row.all("a")[0].text for row in rows]
    assert names == list(sections(tree)) and set(names) == set(table.column_names)
    assert names[-2:] == ["size", "key"], "columns without a loss come last"
    assert [bool(row.all("svg", "spark")) for row in rows] == [name != "key" for name in names]
    places = [section.attributes["id"] for section in tree.all("details", "column")]
    assert [row.all("a")[0].attributes["href"] for row in rows] == [f"#{place}" for place in places]
    titles = overview.all("thead")[0].all("th")
    assert all(len(row.children) == len(titles) for row in rows)
    for row in rows:
        for cell in row.children[2:]:
            value = cell.attributes["data-v"]
            assert value == "" or np.isfinite(float(value or "nan")), "what the script sorts by"


def test_accessible(tree: Node) -> None:
    assert all(head.attributes.get("scope") in ("col", "row") for head in tree.all("th"))
    charts = tree.all("svg", "chart")
    assert len(charts) > 20
    for drawn in charts:
        assert drawn.attributes["role"] == "img"
        assert [child.name for child in drawn.children[:2]] == ["title", "desc"]
        assert all(child.text for child in drawn.children[:2])
    assert all(box.attributes["tabindex"] == "0" for box in tree.all("div", "scroll"))
    ids = [node.attributes["id"] for node in tree.all("details") if "id" in node.attributes]
    assert len(set(ids)) == len(ids)


def test_every_kind_of_column(tree: Node, report: Report) -> None:
    found = sections(tree)
    for name in ("plain", "holes", "zeros", "log", "cents", "when", "day"):
        assert found[name].all("svg", "histogram")
        modes = len(report.columns[name].profile.histogram.curves)
        assert len(found[name].all("path", "mode")) == len(found[name].all("svg", "spark")) == modes >= 1
        assert bool(found[name].all("svg", "errors")) == (report.columns[name].maximum_error > 0)
    assert "Every row comes back exactly" in found["counts"].text
    for name in ("general", "counts"):
        assert found[name].all("svg", "histogram")
        assert not found[name].all("svg", "spark")
    assert [row.all("th")[0].text for row in found["city"].all("tbody")[0].all("tr")][0] == "a"
    assert not found["city"].all("svg")
    assert "Handed through" in found["key"].text
    assert "missing" in found["holes"].text


def test_ticks_are_values_of_the_column(tree: Node) -> None:
    found = sections(tree)
    texts = [text.text for text in found["when"].all("svg", "histogram")[0].all("text", "tick")]
    assert texts
    assert all(text.startswith("2020-09-") for text in texts)
    cents = [text.text for text in found["cents"].all("svg", "histogram")[0].all("text", "tick")]
    assert {"200", "800"} <= set(cents), "0.01 to 1000.00, not in hundredths"


@pytest.mark.parametrize(("first", "unit"), [(10**15, 1.0), (1_700_000_000, 1.0), (48, 1e-6)])
def test_numbers_far_from_zero_can_be_told_apart(first: int, unit: float) -> None:
    values = first + unit * np.random.default_rng(0).permutation(4000)
    rows = {"x": values.astype(np.int64) if unit == 1 else values}
    text = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit(rows).evaluate(rows).to_html()
    (found,) = sections(parsed(text)).values()
    ticks = [tick.text for tick in found.all("svg", "histogram")[0].all("text", "tick")]
    modes = [row.all("td")[0].text for row in found.all("tbody")[0].all("tr")]
    mean = next(row.all("td")[0].text for row in found.all("tbody")[-1].all("tr") if row.all("th")[0].text == "mean")
    for texts in (ticks, modes):
        assert 1 < len(set(texts)) == len(texts)
    assert abs(float(mean) - float(np.mean(values))) < 20 * unit


def test_one_row_is_not_one_rows() -> None:
    rows = {"x": np.append(np.nan, np.random.default_rng(0).normal(size=999))}
    fitted = gpuvgm.TableTransformer(effort="research").fit(rows)
    assert "1 row is missing" in fitted.schema_["x"].reason
    (found,) = sections(parsed(fitted.evaluate({"x": rows["x"][1:2]}).to_html())).values()
    assert "continuous1 row" in found.text.replace("mixed", "continuous")
    assert not re.search(r"\b1 rows", found.text)


def test_remedies_are_told_for_the_command_line_where_there_are_any(report: Report) -> None:
    nothing = {"x": np.full(50, np.nan)}
    page = gpuvgm.TableTransformer({"x": "continuous"}).fit(nothing).evaluate(nothing).to_html()
    assert "--columns NAME=drop" in parsed(page).text
    fine = {"x": np.random.default_rng(0).uniform(size=500)}
    page = gpuvgm.TableTransformer(tails="exact").fit(fine).evaluate(fine).to_html()
    assert "--columns NAME=drop" not in parsed(page).text


def test_workers_change_nothing() -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    table = make_table(3000)
    with gpuvgm.cluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        alone = gpuvgm.TableTransformer(COLUMNS, effort="research").fit(table)
        spread = alone.evaluate(table)
        alone.set_params(executor=gpuvgm.DaskExecutor(client), block_rows=4096)
        assert page_of(alone.evaluate(table)) == page_of(spread)


def test_what_comes_from_data_is_escaped() -> None:
    table = pa.table({EVIL: [0.5, 1.5, 2.5] * 40, "category": [EVIL, "a&b", "'\""] * 40, "of all": [EVIL] * 120})
    report = gpuvgm.TableTransformer({"of all": "categorical"}, effort="research").fit(table).evaluate(table)
    for text in (report.to_html(title=EVIL), report._repr_html_()):
        assert "<script>alert" not in text
        found = parsed(text)
        assert len(found.all("script")) <= 1
        assert set(sections(found)) == set(table.column_names)
        assert EVIL in [head.text for head in sections(found)["category"].all("th")]


def test_names_that_cannot_be_shown(tmp_path: Path) -> None:
    names = {
        "a\x00b": "a\\x00b",
        "\x1b[31m": "\\x1b[31m",
        "\u202egnp.exe": "\\u202egnp.exe",
        "two\nlines": "two\nlines",
    }
    table = pa.table(dict.fromkeys(names, [0.5, 1.5, 2.5] * 20))
    report = gpuvgm.TableTransformer(effort="research", n_components=1).fit(table).evaluate(table)
    tree = parsed(report.to_html(tmp_path / "page.html", title="half \ud800"))
    assert list(sections(tree)) == list(names.values())
    assert tree.all("title")[0].text == "half \\ud800"


def test_kinds_have_reasons_and_what_was_left_out_is_named() -> None:
    zeros = [0.0] * 120 + [i + 0.5 for i in range(120)]
    table = pa.table({"zeros": zeros, EVIL: ["a", "b", "c"] * 80, "given": range(240)})
    kinds = {EVIL: "drop", "given": {"kind": "continuous"}}
    tree = parsed(gpuvgm.TableTransformer(kinds, effort="research").fit(table).evaluate(table).to_html())
    found = sections(tree)
    assert "Kind mixed: 50.0 % of the sampled values are 0" in found["zeros"].text
    assert "Kind continuous: declared." in found["given"].text
    assert EVIL not in found
    assert f"Left out{EVIL}: declared" in tree.text


def test_the_widest_columns_of_the_matrix() -> None:
    table = {f"c{i}": [f"v{k % (i + 2)}" for k in range(60)] for i in range(10)} | {"key": range(60)}
    fitted = gpuvgm.TableTransformer({"key": "pass"}).fit(table)
    report = fitted.evaluate(table)
    tree = parsed(report.to_html())
    (widest,) = [
        one for one in tree.all("table") if (one.attributes["aria-label"] or "").startswith("The one-hot matrix")
    ]
    rows = [[cell.text for cell in row.children] for row in widest.all("tbody")[0].all("tr")]
    assert rows[:2] == [["c9", "11", "16.9 %"], ["c8", "10", "15.4 %"]]
    assert len(rows) == 8, "of ten columns of the matrix; the eleventh is not in it"
    assert "has 65 columns. Shown are the 8 widest of 10." in tree.text
    assert fitted.model_.onehot_width == 65 == sum(report.to_dict()["widths"].values())
    assert "the one-hot matrix has 65 columns, most of them for c9 (11), c8 (10), c7 (9)" in " ".join(
        str(report).split()
    )
    passed = gpuvgm.TableTransformer({"key": "pass"}).fit({"key": table["key"]}).evaluate({"key": table["key"]})
    assert "matrix" not in str(passed)
    assert "Width of the matrix" not in passed.to_html()


def test_the_page_shows_the_score_and_the_correlations_that_change_most(report: Report, tree: Node) -> None:
    assert f"{report.score:.3f}" in tree.text
    (shown,) = [one for one in tree.all("table") if (one.attributes["aria-label"] or "").startswith("Pearson")]
    rows = [[cell.text for cell in row.children] for row in shown.all("tbody")[0].all("tr")]
    pairs = [pair for pair in report.pairs if pair.before is not None][: len(rows)]
    assert [row[:3] for row in rows] == [[pair.one, pair.other, f"{pair.before:z.4f}"] for pair in pairs]
    assert f"Shown are the {len(rows)} of 36 pairs" in tree.text


def first_rows(text: str) -> list[list[Node]]:
    """Cells of the table of first rows, its head first; empty where there is none."""
    found = [
        one
        for one in parsed(text).all("table")
        if (one.attributes["aria-label"] or "").startswith("Values of the first")
    ]
    return [row.children for one in found for row in one.all("tr")]


@pytest.mark.parametrize("block_rows", [4096, 1 << 20])
def test_first_rows_before_and_after(table: pa.Table, block_rows: int) -> None:
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", block_rows=block_rows).fit(table)
    head, *rows = first_rows(fitted.evaluate(table).to_html(first_rows=True))
    assert [cell.text for cell in head[1::2]] == table.column_names
    assert {cell.text for cell in head[2::2]} == {"decoded"}
    assert [row[0].text for row in rows] == [str(place) for place in range(1, 11)]
    back = fitted.inverse_transform(fitted.transform(table))
    for place, name in enumerate(table.column_names):
        for side, values in enumerate((table[name], back[name])):
            assert [row[1 + 2 * place + side].text for row in rows] == texts_of(values.combine_chunks()[:10]), name


def test_first_rows_mark_values_that_change() -> None:
    far = np.append(1e3, np.random.default_rng(0).normal(size=500))
    table = {"far": far, "whole": np.arange(501) % 7, "<b>": ["<i>", None, "b"] * 167}
    kinds = {"far": {"kind": "continuous", "n_components": 1, "tails": "clip"}}
    report = gpuvgm.TableTransformer(kinds).fit(table).evaluate(table)
    _, first, second, *_ = first_rows(report.to_html(first_rows=True))
    assert first[1].text == "1000" != first[2].text
    assert [[cell.text for cell in row if cell.all("b")] for row in (first, second)] == [[first[2].text], []]
    assert [cell.text for cell in second[-2:]] == ["missing", "missing"]
    assert [cell.text for cell in first[-2:]] == ["<i>", "<i>"]
    assert first_rows(report.to_html()) == [] == first_rows(report._repr_html_()), "they may be personal data"
    assert "1000" not in str(report.to_dict()["columns"]["whole"])


def test_a_table_with_fewer_rows_than_are_shown() -> None:
    report = gpuvgm.TableTransformer().fit({"x": [1.0, 2.0] * 50}).evaluate({"x": [1.0, 2.0, 1.0]})
    assert [[cell.text for cell in row] for row in first_rows(report.to_html(first_rows=True))[1:]] == [
        ["1", "1", "1"], ["2", "2", "2"], ["3", "1", "1"],
    ]  # fmt: skip


def test_parts_of_first_rows_merge_in_any_order() -> None:
    whole = FirstRows(0, {"x": ("a", "b", "c", "d")}, {"x": ("A", "B", "C", "D")})
    parts = [FirstRows(i, {"x": whole.before["x"][i : i + 2]}, {"x": whole.after["x"][i : i + 2]}) for i in (0, 2)]
    later = FirstRows(4096, {}, {})
    for one, two, three in permutations([*parts, later]):
        assert one.merge(two).merge(three) == one.merge(two.merge(three)) == whole


def test_columns_with_the_same_problem_share_a_line() -> None:
    values = {f"c{i}": np.full(40, float(i)) for i in range(10)} | {"other": np.full(40, np.nan)}
    kinds = dict.fromkeys(values, "continuous")
    report = gpuvgm.TableTransformer(kinds, effort="research").fit(values).evaluate(values)
    (listed,) = [one for one in parsed(report.to_html()).all("ul", "warning") if one.all("a")]
    same, other = listed.all("li")
    assert [link.text for link in same.all("a")] == [f"c{i}" for i in range(7)]
    assert same.text.startswith("c0: Every row holds the same value. Much the same in c1, c2, ")
    assert " and 3 more. " in same.text
    assert other.text.startswith("other: No row has a value. ")


def test_columns_without_values_and_with_one() -> None:
    table = pa.table(
        {
            "nothing": pa.nulls(50, pa.float64()),
            "no category": pa.nulls(50, pa.string()),
            "one": np.full(50, 3.5),
            "two": [1.0, 2.0] * 25,
            "huge": 1e305 * np.linspace(-1, 1, 50),
            "tiny": 1e-308 * np.linspace(0.01, 1, 50),
            "zeros": np.zeros(50),
        }
    )
    kinds = {name: "continuous" for name in ("one", "two", "huge", "tiny", "zeros")} | {"no category": "categorical"}
    fitted = gpuvgm.TableTransformer(kinds, effort="research").fit(table)
    for rows in (table, table.slice(0, 1)):
        found = sections(parsed(fitted.evaluate(rows).to_html()))
        assert "No row has a value" in found["nothing"].text
        assert not found["nothing"].all("svg", "histogram")
        assert "Every row holds the same value" in found["one"].text
        assert all("nan" not in (path.attributes["d"] or "") for path in found["huge"].all("path"))


def test_fifty_columns_are_less_than_two_megabytes(random: np.random.Generator) -> None:
    values = {f"column {i}": random.normal(random.normal(0, 5, 6)[random.integers(0, 6, 2000)], 0.7) for i in range(50)}
    report = gpuvgm.TableTransformer(effort="research", max_iter=20).fit(values).evaluate(values)
    assert sum(len(column.profile.modes) for column in report.columns.values()) > 200
    assert len(report.to_html().encode()) < 2_000_000


def test_written_to_a_file(report: Report, tmp_path: Path) -> None:
    assert report.to_html(tmp_path / "page.html") == (tmp_path / "page.html").read_text() == report.to_html()
    report.to_html("memory://pages/page.htm")
    with pytest.raises(InputError, match=r"a page is HTML: give it a name that ends in \.html"):
        report.to_html(tmp_path / "page.json")
    with pytest.raises(InputError, match="the folder .* does not exist"):
        report.to_html(tmp_path / "none" / "page.html")


def test_notebooks_get_the_same_folded_and_without_a_script(report: Report) -> None:
    tree = parsed(report._repr_html_())
    assert not tree.all("script")
    assert not tree.all("html")
    assert list(sections(tree)) == report.worst_first
    assert all("open" not in section.attributes for section in tree.all("details", "column"))
    other = Report(rows=report.rows, invalid_rows=1, columns=report.columns)._repr_html_()
    assert tree.all("details", "column")[0].attributes["id"] not in other, "two reports in one notebook"


def test_the_document_has_no_profiles(report: Report) -> None:
    assert "profile" not in report.to_dict()["columns"]["plain"]
    assert "profile" not in repr(report)


def test_the_columns_of_a_wide_table_are_packed(random: np.random.Generator) -> None:
    wide = {f"c{i}": random.normal(size=200) for i in range(WIDE + 1)} | {"<b>": ["red", "blue"] * 100}
    transformer = gpuvgm.TableTransformer(effort="research", n_components=2, max_iter=5)
    report = transformer.fit(wide).evaluate(wide)
    text = report.to_html(first_rows=True)
    tree = parsed(text)
    places = tree.all("details", "column")
    assert [len(section.children) for section in places] == [1] * len(wide)  # the heading alone
    assert not any("open" in section.attributes for section in places)
    (packed,) = tree.all("template", "packed")
    bodies = zlib.decompress(base64.b64decode(packed.text)).decode().split("\0")
    few = {name: values for name, values in wide.items() if name in ("c0", "<b>")}
    plain = gpuvgm.TableTransformer(effort="research", n_components=2, max_iter=5).fit(few).evaluate(few).to_html()
    assert len(bodies) == len(wide)
    assert len(first_rows(text)[0]) == 1 + 2 * COLUMNS_SHOWN
    assert f"Shown are the first {COLUMNS_SHOWN} of {len(wide)} columns." in tree.text
    assert bodies[0] in plain and bodies[-1] in plain
    assert "<noscript>" in text and "<noscript>" not in plain
