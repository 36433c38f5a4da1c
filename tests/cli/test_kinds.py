"""What evaluate and info print of columns of every kind."""

from __future__ import annotations

from decimal import Decimal
from textwrap import fill

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.running import document, invoke

ROWS = 3000
SPEC = """\
[columns]
zeros = {kind = "mixed", modal = [0]}
log = {kind = "continuous", log = true}
range = "general"
city = "categorical"
a_long_name_of_a_column_of_levels = "categorical"
key = "pass"
gone = "drop"
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    random = np.random.default_rng(0)
    seconds = random.integers(1_600_000_000, 1_700_000_000, ROWS)
    table = pa.table(
        {
            "zeros": np.where(random.random(ROWS) < 0.3, 0.0, random.gamma(2, 50, ROWS)),
            "holes": pa.array(random.normal(size=ROWS), mask=random.random(ROWS) < 0.1),
            "log": random.lognormal(0, 1, ROWS),
            "range": random.normal(size=ROWS),
            "cents": pa.array(
                [Decimal(int(c)).scaleb(-2) for c in random.integers(1, 10**5, ROWS)], pa.decimal128(9, 2)
            ),
            "a_moment_with_a_zone": pa.array(seconds * 10**9 + 123_456_789, pa.timestamp("ns", "Europe/Berlin")),
            "city": pa.array(random.choice(["Ulm", "Bonn", None], ROWS)),
            "a_long_name_of_a_column_of_levels": [f"category {i % 30}" for i in range(ROWS)],
            "key": [f"k{i}" for i in range(ROWS)],
            "gone": np.zeros(ROWS),
        }
    )
    pq.write_table(table, folder / "t.parquet")
    (folder / "spec.toml").write_text(SPEC)
    arguments = ("--columns", folder / "spec.toml", "--effort", "research", "--verbose")
    text = invoke("fit", folder / "t.parquet", "--model", folder / "m.gpuvgm", *arguments, env={"COLUMNS": "80"}).stdout
    return folder, table, text


def narrow(text: str) -> str:
    """The text, if no line is longer than 80 characters and nothing was cut; lines with paths are left out."""
    lines = [line for line in text.splitlines() if "/" not in line]
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    return text


def test_fit_and_info_name_every_column_in_80_characters(files):
    folder, table, fitted = files
    info = invoke("info", folder / "m.gpuvgm", env={"COLUMNS": "80"}).stdout
    for text in (narrow(fitted), narrow(info)):
        starts = {line.split(" ")[1] for line in text.splitlines() if line.startswith(" ") and line[1:2].strip()}
        for name in table.column_names:
            assert any(name.startswith(start) for start in starts), name
        assert "declared" in text
        assert "identif" not in text
    for part in ("Bonn", "missing", "and 20 more", "exp(", "2020-09-13T", "continuous", "mixed", "general", "drop"):
        assert part in info


def test_the_document_of_info(files):
    folder, table, _ = files
    found = document("info", folder / "m.gpuvgm")
    assert found["dropped"] == {"gone": "declared"}
    columns = found["columns"]
    assert list(columns) == table.column_names[:-1]
    assert {name: column["kind"] for name, column in columns.items()} == {
        "zeros": "mixed",
        "holes": "mixed",
        "log": "continuous",
        "range": "general",
        "cents": "continuous",
        "a_moment_with_a_zone": "continuous",
        "city": "categorical",
        "a_long_name_of_a_column_of_levels": "categorical",
        "key": "pass",
    }
    assert all(column["reason"] and column["type"] and column["rows"] == ROWS for column in columns.values())
    zeros = [mode for mode in columns["zeros"]["modes"] if "modal_value" in mode]
    assert zeros == [{"code": 0, "modal_value": 0.0, "text": "0", "rows": zeros[0]["rows"]}]
    assert sum(mode["rows"] for mode in columns["holes"]["modes"]) == ROWS
    assert columns["cents"]["codec"]["name"] == "decimal"
    assert columns["cents"]["minimum_text"] == f"{Decimal(columns['cents']['minimum']).scaleb(-2):f}"
    assert {"low", "high", "margin", "clip", "minimum_text"} <= set(columns["range"])
    categories = columns["city"]["levels"]
    assert {category["level"] for category in categories} == {"Ulm", "Bonn", None}
    assert sum(category["rows"] for category in categories) == ROWS
    assert len(columns["a_long_name_of_a_column_of_levels"]["levels"]) == 30


def test_evaluate_shows_every_kind_in_80_characters(files):
    folder, table, _ = files
    arguments = ("evaluate", folder / "t.parquet", "--model", folder / "m.gpuvgm")
    text = narrow(invoke(*arguments, env={"COLUMNS": "80"}).stdout)
    for part in ("KS", "Wasserstein", "same category", "modal value", "exactly: ", "median relative", "skewness"):
        assert part in text
    found = document(*arguments)
    assert set(found["columns"]) == set(table.column_names) - {"gone"}
    assert found["invalid_rows"] == 0
    assert found["overall"]["level_agreement"] == {"worst": 1.0, "column": "city", "mean": 1.0}


@pytest.mark.parametrize(
    ("option", "limit", "column"),
    [
        ("--max-error", "0", "holes"),
        ("--max-relative-error", "0", "holes"),
        ("--max-ks", "0", "holes"),
        ("--max-wasserstein", "0", "holes"),
        ("--min-mode-agreement", "0", None),
        ("--min-level-agreement", "1", None),
        ("--max-invalid-share", "0", None),
        ("--max-clipped-share", "1", None),
    ],
)
def test_limits(files, tmp_path, option, limit, column):
    folder, _, _ = files
    arguments = ("evaluate", folder / "t.parquet", "--model", folder / "m.gpuvgm")
    name, code = option.removeprefix("--"), 0 if column is None else 1
    (tmp_path / "c.toml").write_text(f"[evaluate]\n{name} = {limit}\n")
    ways = [
        {"extra": (option, limit)},
        {"env": {"GPUVGM_" + name.upper().replace("-", "_"): limit}},
        {"extra": ("--config", tmp_path / "c.toml")},
    ]
    for way in ways:
        broken = document(*arguments, *way.get("extra", ()), env=way.get("env"), code=code)["broken"]
        assert any(f'column "{column}"' in text for text in broken) if column else broken == []


def test_the_width_of_the_matrix_is_said(tmp_path):
    """And warned about where hundreds of categories make it, which they do with the research code alone."""
    rows = 3_000
    table = pa.table({"name": [f"n{i % 800}" for i in range(rows)], "few": ["a", "b", "c"] * (rows // 3)})
    pq.write_table(table, tmp_path / "t.parquet")
    result = invoke("fit", tmp_path / "t.parquet", "--model", tmp_path / "m.gpuvgm", "--effort", "research")
    said = "the one-hot matrix has 803 columns, most of them for name (800), few (3)"
    assert said in " ".join(result.stdout.split())
    assert said in " ".join(result.stderr.split())
    narrow = invoke("fit", tmp_path / "t.parquet", "--model", tmp_path / "n.gpuvgm", "--columns", "few")
    assert "has 3 columns" in narrow.stdout
    assert "one-hot" not in narrow.stderr
    pq.write_table(pa.concat_tables([table] * 3), tmp_path / "t.parquet")  # of fewer than ten rows each they are text
    default = invoke("fit", tmp_path / "t.parquet", "--model", tmp_path / "d.gpuvgm")
    assert "has 4 columns, most of them for few (3), name (1)" in " ".join(default.stdout.split())
    assert "one-hot" not in default.stderr


def test_a_fit_of_many_columns_fits_one_screen(tmp_path):
    rows = {
        f"months_since_{i}": [f"k{j} {i}" for j in range(600)] if i % 10 == 0 else [(i + j) % 50 for j in range(600)]
        for i in range(30)
    }
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    arguments = ("fit", tmp_path / "t.parquet", "--model", tmp_path / "m.gpuvgm", "--effort", "research")
    result = invoke(*arguments, env={"COLUMNS": "80"})
    told = "\n".join(fill(line, 80) for line in (result.stderr + result.stdout).splitlines())
    assert len(told.splitlines()) <= 45
    assert 'the model does not see "months_since_0"' in told.splitlines()[0] and "iterations" not in told
    assert "iterations" in invoke(*arguments, "--verbose").stdout


def test_infrequent_categories_may_share_a_column(tmp_path):
    table = pa.table({"name": [f"n{i % 800}" for i in range(8_100)], "few": ["a", "b", "c"] * 2_700})
    pq.write_table(table, tmp_path / "t.parquet")
    invoke("fit", tmp_path / "t.parquet", "--model", tmp_path / "m.gpuvgm", "--max-categories", "50")
    described = document("info", tmp_path / "m.gpuvgm")
    assert described["width"] == 53
    name = described["columns"]["name"]
    assert (name["encoding"], name["max_categories"], name["infrequent"]) == ("onehot", 50, 751)
    assert [level["code"] for level in name["levels"][48:51]] == [48, 49, 49]
    broken = document(
        "evaluate", tmp_path / "t.parquet", "--model", tmp_path / "m.gpuvgm", "--min-level-agreement", "0.9", code=1
    )["broken"]
    assert any('column "name"' in text for text in broken)


def test_describe_prints_a_table_without_a_model(tmp_path):
    pq.write_table(
        pa.table({"price": [20.15, 20.16] * 200, "city": ["Wien", "Graz", None, "Wien"] * 100}), tmp_path / "t.parquet"
    )
    text = invoke("describe", tmp_path / "t.parquet", "--html", tmp_path / "page.html").stdout
    assert "400 rows, 2 columns" in text and "20.155" in text and "missing values in 1 column" in text
    assert "20.155" in (tmp_path / "page.html").read_text(encoding="utf-8")
    found = document("describe", tmp_path / "t.parquet", "--threads", "1")
    assert found["columns"]["city"]["missing"] == 100 and found["columns"]["price"]["quantiles"][2] == 20.155
    assert "ends in .html" in invoke("describe", tmp_path / "t.parquet", "--html", tmp_path / "page.txt", code=2).stderr
