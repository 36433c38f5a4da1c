"""Rows of a sample that are rows of the table, against counts of Python's own; samples that copy, and honest ones."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, strategies as st

import gpuvgm
from gpuvgm.report import Comparison
from gpuvgm.report.copies import copies
from gpuvgm.report.measures import share
from tests.report.documents import parsed

ROWS = 2000
PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=9)


def payments(rows: int, seed: int, customers: int = 400) -> dict[str, list]:
    """A bank's table: every row has its own number and note, some columns repeat, amounts hardly do."""
    random = np.random.default_rng(seed)
    who = random.integers(0, customers, rows)
    return {
        "number": [*range(rows)],
        "iban": [f"DE{7919 * customer + 10**12:020}" for customer in who.tolist()],
        "amount": random.lognormal(3, 1, rows).round(6).tolist(),
        "channel": random.choice(["web", "store", "phone"], rows).tolist(),
        "note": [f"invoice {number} of {seed}" for number in range(rows)],
        "city": random.choice([f"city {i}" for i in range(40)], rows).tolist(),
    }


KINDS = {"number": "id", "iban": "categorical", "amount": "continuous", "channel": "categorical"}
KINDS |= {"note": "pass", "city": "pass"}


@pytest.fixture(scope="module")
def table() -> dict[str, list]:
    return payments(ROWS, 0)


@pytest.fixture(scope="module")
def transformer(table: dict[str, list]) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(KINDS, effort="research", max_iter=5).fit(table)


def first_rows_of(copied: dict[str, list], honest: dict[str, list], rows: int) -> dict[str, list]:
    """An honest sample whose first rows are copied ones."""
    return {name: [*copied[name][:rows], *honest[name][rows:]] for name in honest}


def as_columns(rows: list[tuple[int, int]]) -> dict[str, list[np.ndarray]]:
    one, other = np.array(rows).T
    return {"number": [one.astype(float)], "code": [other.astype(np.int32)]}


@given(PAIRS, PAIRS)
@example(
    [(0, 0), (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)],
    [(0, 0), (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)],  # only rows that come once stand out
)
def test_shares_are_those_of_all_halves(original: list, synthetic: list) -> None:
    """A row stays on its side of the table in half of all ways to halve it, each row by itself."""
    found = copies(as_columns(original), as_columns(synthetic), 2)
    assert found.copied_rows == sum(row in original for row in synthetic)
    halves = [part for size in range(len(original) + 1) for part in combinations(range(len(original)), size)]

    def is_hit(row: tuple[int, int], half: list[tuple[int, int]]) -> bool:
        return half.count(row) == 1 if found.once else row in half

    held = [[original[at] for at in half] for half in halves]
    assert found.half_share == pytest.approx(np.mean([[is_hit(row, rows) for row in synthetic] for rows in held]))
    others = [
        [is_hit(row, [original[i] for i in half if i != at]) for at, row in enumerate(original)] for half in halves
    ]
    assert found.other_half_share == pytest.approx(np.mean(others))


@pytest.mark.parametrize("what", ["itself", "shuffled", "renumbered", "half", "one in twenty", "without notes"])
def test_copied_rows_come_first_but_for_real_keys(what: str, table: dict, transformer: gpuvgm.TableTransformer) -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    honest = payments(ROWS, 1)
    synthetic, rows = {
        "itself": (table, ROWS),
        "shuffled": ({name: [values[i] for i in order] for name, values in table.items()}, ROWS),
        "renumbered": (table | {"number": [*range(10**6, 10**6 + ROWS)]}, ROWS),
        "half": (first_rows_of(table, honest, ROWS // 2), ROWS // 2),
        "one in twenty": (first_rows_of(table, honest, ROWS // 20), ROWS // 20),
        "without notes": (table | {"note": [None] * ROWS}, ROWS),
    }[what]
    found = transformer.evaluate(table, compare=synthetic)
    share = {ROWS: "100 %", ROWS // 2: "50.0 %", ROWS // 20: "5.00 %"}[rows]
    told = f"{share} of the synthetic rows equal an original row"
    assert (found.copies.copied_rows, found.copies.stand_out) == (rows, True)
    assert found.copies.half_share == pytest.approx(rows / ROWS / 2)
    keys = "" if what == "without notes" else f'{rows:,} of {ROWS:,} rows have a real value of "note"; '
    assert found.verdict.startswith(f"{keys}{told}; overall score ")
    assert "no column stands out" not in found.verdict
    assert found.to_text().replace("\n", " ").startswith(keys + told)
    page = parsed(found.to_html())
    assert page.all("p", "verdict")[0].text.startswith(keys + told)
    assert page.all("ul", "warning")[0].all("li")[1 if keys else 0].text.startswith(told)
    assert "Nothing stands out." not in page.text
    assert json.loads(json.dumps(found.to_dict()))["copies"]["copied_rows"] == rows


def test_every_comparison_has_a_line_of_copied_rows(table: dict, transformer: gpuvgm.TableTransformer) -> None:
    found = transformer.evaluate(table, compare=payments(ROWS, 1))
    line = (
        "0 % of the synthetic rows equal an original row: 0 % equal one of a half of the original rows, and 0 % of the "
        "other half's rows do"
    )
    assert line in found.to_text().replace("\n", " ")
    assert found.verdict.endswith("no column stands out")
    assert found.to_dict()["copies"] == {
        "columns": ["iban", "amount", "channel"],
        "rows": ROWS,
        "synthetic_rows": ROWS,
        "copied_rows": 0,
        "half_share": 0.0,
        "other_half_share": 0.0,
        "by_chance": 0.0,
        "held_out_share": None,
        "once": False,
        "share": 0.0,
        "stand_out": False,
    }
    (tile,) = [one for one in parsed(found.to_html()).all("dl")[0].all("div") if one.all("dt")[0].text == "copied rows"]
    assert tile.all("dd")[0].text == "0 %"


def test_columns_that_no_model_sees_tell_copies_of_a_table_of_two_booleans(random: np.random.Generator) -> None:
    rows = {name: random.choice(["yes", "no"], 300).tolist() for name in "ab"} | {
        "note": [f"n {i}" for i in range(300)]
    }
    fitted = gpuvgm.TableTransformer({"a": "categorical", "b": "categorical", "note": "pass"}).fit(rows)
    assert fitted.evaluate(rows, compare=rows).copies.stand_out
    plain = fitted.evaluate(rows, compare=rows | {"note": [None] * 300}).copies
    assert (plain.stand_out, plain.share, plain.columns) == (False, 1.0, ("a", "b"))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shapes", [(2, 2), (5, 20, 60), (40, 40, 40)])
def test_rows_of_one_distribution_are_no_copies(shapes: tuple[int, ...], seed: int) -> None:
    """The table has twice the rows of each of its halves, which repeat fewer of them."""
    random = np.random.default_rng(seed)
    table, other = (
        {f"c{i}": np.split((kinds * random.random(3000) ** 2).astype(np.int32), 2) for i, kinds in enumerate(shapes)}
        for _ in range(2)
    )
    half, rest = ({name: [rows[part]] for name, rows in table.items()} for part in range(2))
    for one, two in ((table, other), (half, rest), (table, {name: [rows[0][:40]] for name, rows in other.items()})):
        assert not copies(one, two, len(shapes)).stand_out
    assert copies(table, table, len(shapes)).stand_out == (len(shapes) > 2)


def test_rows_that_a_table_has_twice_are_the_tables_own() -> None:
    amounts = np.random.default_rng(0).normal(size=1000)
    twice, fresh = np.repeat(amounts, 2), np.random.default_rng(1).normal(size=1000)
    for original, synthetic, stand_out in ((twice, fresh, False), (amounts, fresh, False), (twice, amounts, True)):
        assert copies({"x": [original]}, {"x": [synthetic]}, 1).stand_out == stand_out


def test_numbers_beyond_those_of_float32_are_compared_too() -> None:
    table = {"x": np.array([1e300, 2e-300, np.inf, 0.1] * 5), "y": np.array([0.5, 1.5, 2.5, np.nan] * 5)}
    for other, copied in ((table["x"], 20), (-table["x"], 0)):
        found = copies({name: [rows] for name, rows in table.items()}, {"x": [other], "y": [table["y"]]}, 2)
        assert found.copied_rows == copied


def test_samples_of_counts_are_no_copies(random: np.random.Generator) -> None:
    rows = {"a": random.choice([*"xyz"], 3000), "b": random.choice([f"b{i}" for i in range(30)], 3000)}
    rows["c"] = np.where(random.random(3000) < 0.5, rows["a"], random.choice([*"uvw"], 3000))
    fitted = gpuvgm.TableSynthesizer().fit(rows)
    found = fitted.transformer_.evaluate(rows, compare=fitted.sample(3000))
    assert found.copies.share > 0.99
    assert not found.copies.stand_out
    bank = payments(ROWS, 0)
    fitted = gpuvgm.TableSynthesizer({name: KINDS[name] for name in ("iban", "amount", "channel")}).fit(bank)
    assert not fitted.transformer_.evaluate(bank, compare=fitted.sample(ROWS)).copies.stand_out


def test_values_are_equal_whatever_their_type() -> None:
    table = pa.table(
        {
            "amount": pa.array([0.1, -0.0, float("nan"), 2.5] * 20, pa.float32()),
            "price": pa.array([Decimal("1.10"), None, Decimal("3.00"), Decimal("4.25")] * 20),
            "word": pa.array(["a", "b", None, "c"] * 20),
            "note": pa.array([str(i) for i in range(80)]),
        }
    )
    other = pa.table(
        {
            "amount": pa.array([0.1, 0.0, None, 2.5] * 20),
            "price": pa.array([1.1, None, 3.0, 4.25] * 20),
            "word": pa.array(["a", "b", "", "c"] * 20).dictionary_encode(),
            "note": pa.array([*range(80)]),
        }
    )
    kinds = {"amount": "continuous", "price": "continuous", "word": "categorical", "note": "pass"}
    fitted = gpuvgm.TableTransformer(kinds, effort="research", max_iter=5).fit(table)
    for one, two in ((table, other), (other.set_column(1, "price", table["price"]), table)):
        found = fitted.evaluate(table, compare=two) if one is table else fitted.evaluate(one, compare=two)
        assert (found.copies.copied_rows, len(found.copies.columns)) == (80, 4)
        assert found.columns["note"].known_rows == 80


def test_one_row_is_no_evidence() -> None:
    fitted = gpuvgm.TableTransformer({"x": "continuous"}, effort="research", max_iter=5).fit({"x": [1.0, 2.5, 4.0] * 9})
    found = fitted.evaluate({"x": [1.0]}, compare={"x": [1.0]}).copies
    assert (found.copied_rows, found.half_share, found.other_half_share, found.stand_out) == (1, 0.5, 0.0, False)


@pytest.mark.parametrize("empty", [None, "", " "])
@pytest.mark.parametrize("column", ["city", "note", "number"])
def test_a_column_that_no_model_sees_stands_out_where_it_is_empty(
    column: str, empty: str | None, table: dict, transformer: gpuvgm.TableTransformer
) -> None:
    synthetic = payments(ROWS, 1) | {column: pa.array([empty] * ROWS, pa.string())}
    found = transformer.evaluate(table, compare=synthetic)
    assert found.verdict.endswith(f"look at {column} (missing 0 %, synthetic 100 %)")
    assert found.worst_first[0] == column
    assert (found.columns[column].missing, found.columns[column].synthetic_missing) == (0, ROWS)
    (problem,) = [one for one in parsed(found.to_html()).all("ul", "warning")[0].all("li") if one.all("a")]
    assert problem.text.startswith(
        f"{column}: 0 % of the original values are missing, and 100 % of the synthetic ones."
    )
    lines = [line.split() for line in found.to_text().splitlines()]
    assert [column, "0.00", "%", "100.00", "%"] in lines


def test_no_values_of_columns_that_no_model_sees_are_shown(table: dict, transformer: gpuvgm.TableTransformer) -> None:
    found = transformer.evaluate(table, compare=table)
    for text in (found.to_html(first_rows=True), found.to_text(), json.dumps(found.to_dict())):
        assert "invoice 1" not in text and "city 1" not in text
    assert [*found.columns] == ["iban", "amount", "channel", "number", "note", "city"]
    assert {pair.one for pair in found.pairs} | {pair.other for pair in found.pairs} == {"iban", "amount", "channel"}


def test_columns_of_real_values_are_named(table: dict, transformer: gpuvgm.TableTransformer) -> None:
    honest = payments(ROWS, 1)
    found = transformer.evaluate(table, compare=honest)
    assert found.real_values == found.to_dict()["real_values"] == ["iban"], "customers of both tables are the same"
    assert found.real_shares == found.to_dict()["real_shares"]
    assert found.real_shares["iban"] == np.mean(np.isin(honest["iban"], table["iban"]))
    part = share(found.real_shares["iban"])
    told = f'Synthetic rows hold real values of "iban" ({part} of them), each of which may name someone or something.'
    remedy = 'Declare columns={"iban": {"key": True}}, so that samples have new ones, or "drop".'
    assert f"{told} {remedy}" in found.to_text().replace("\n", " ")
    page = parsed(found.to_html())
    assert [one.text for one in page.all("ul", "warning")[0].all("li")] == [f"{told} {remedy}"]
    assert found.verdict.endswith("no column stands out"), "which is of shapes"
    renamed = honest | {"iban": [f"FR{i:020}" for i in range(ROWS)], "note": table["note"]}
    repeated = transformer.evaluate(table, compare=renamed)
    assert repeated.real_values == repeated.real_keys == ["note"]
    assert repeated.verdict.startswith('2,000 of 2,000 rows have a real value of "note"; '), (
        "samples shall have new ones"
    )
    assert "of them), each of which may name someone or something. The generator repeats" in repeated.to_text().replace(
        "\n", " "
    )


def test_pass_columns_of_any_type_are_compared(transformer: gpuvgm.TableTransformer) -> None:
    rows = pa.table({"x": [1.5, 2.5, 4.0] * 20, "list": [[1], None, [2, 3]] * 20, "raw": [b"\xff", b"\xfe", None] * 20})
    fitted = gpuvgm.TableTransformer({"x": "continuous", "list": "pass", "raw": "pass"}, effort="research").fit(rows)
    found = fitted.evaluate(rows, compare=rows)
    assert {name: (one.missing, one.known_rows) for name, one in found.columns.items() if name != "x"} == {
        "list": (20, 40),
        "raw": (20, 40),
    }


def known(found: Comparison) -> Counter:
    return Counter({name: getattr(column, "known_rows", 0) for name, column in found.columns.items()})


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_change_nothing(threads: int, table: dict, transformer: gpuvgm.TableTransformer) -> None:
    honest = first_rows_of(table, payments(ROWS, 1), 300)
    whole = transformer.evaluate(table, compare=honest)
    fitted = gpuvgm.TableTransformer(KINDS, effort="research", max_iter=5, block_rows=256, threads=threads).fit(table)
    parts = fitted.evaluate(table, compare=honest)
    assert (parts.copies, known(parts)) == (whole.copies, known(whole))
    assert whole.copies.copied_rows == 300
