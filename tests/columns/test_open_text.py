"""Text that nobody declared: all rows decide what it is, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.columns.distinct import KEPT, DistinctValues
from gpuvgm.columns.open_text import TextCounts
from gpuvgm.columns.passthrough import PassthroughColumn
from gpuvgm.errors import ColumnsFailed

Source = Callable[[pa.Table, Path], Any]


def csv_file(table: pa.Table, folder: Path) -> str:
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    return str(folder / "rows.csv")


def parquet_file(table: pa.Table, folder: Path) -> str:
    pq.write_table(table, folder / "rows.parquet", row_group_size=table.num_rows // 3 + 1)
    return str(folder / "rows.parquet")


def dask_frame(table: pa.Table, folder: Path) -> Any:
    return pytest.importorskip("dask.dataframe").from_pandas(table.to_pandas(), npartitions=3)


SOURCES: dict[str, Source] = {
    "frame": lambda table, folder: table.to_pandas(),
    "csv": csv_file,
    "parquet": parquet_file,
    "iterator": lambda table, folder: iter(table.to_batches(max_chunksize=7_001)),
    "dask": dask_frame,
}
FORMATS = ("frame", "csv", "parquet")


def patients(rows: int, rows_each: float, *, adjacent: bool = False) -> pa.Table:
    """Rows of patients, of whom each has one at least: neighbours, or spread over the table."""
    random = np.random.default_rng(7)
    people = int(rows / rows_each)
    numbers = np.concatenate((np.arange(people), random.integers(0, people, rows - people)))
    numbers = np.sort(numbers) if adjacent else random.permutation(numbers)
    names = pa.array([f"P{number:08}" for number in random.choice(10**8, people, replace=False)])
    return pa.table({"patient": names.take(pa.array(numbers)), "ward": random.integers(0, 3, rows)})


def kind_and_reason(source: Any) -> tuple[str, str]:
    spec = TableTransformer().fit(source).schema_["patient"]
    return spec.kind, spec.reason.replace("large_string", "string")


@pytest.mark.parametrize("adjacent", [False, True])
@pytest.mark.parametrize("rows_each", [2.2, 4, 8])
@pytest.mark.parametrize("rows", [20_000, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (200_000, 10**6))])
def test_no_patient_is_in_a_sample(rows, rows_each, adjacent, tmp_path) -> None:
    table = patients(rows, rows_each, adjacent=adjacent)
    real, reasons = set(table["patient"].to_pylist()), set()
    for name in FORMATS:
        synthesizer = TableSynthesizer(bins=20, random_state=0).fit(SOURCES[name](table, tmp_path))
        sample = pa.table(synthesizer.sample(1_000))
        assert sample["patient"].null_count == 0
        assert not real & set(sample["patient"].to_pylist())
        reasons.add(synthesizer.fit_report_.columns["patient"].reason.replace("large_string", "string"))
    (reason,) = reasons
    assert reason.endswith(f"distinct values in {rows:,} rows: identifiers or free text")


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("adjacent", [False, True])
def test_more_than_ten_rows_a_value_stay_categories(name, adjacent, tmp_path) -> None:
    table = patients(12_000, 12, adjacent=adjacent)
    kind, reason = kind_and_reason(SOURCES[name](table, tmp_path))
    assert (kind, reason.partition(";")[0]) == ("categorical", "string with 1,000 distinct values in 12,000 rows")


def test_the_warning_of_real_values_names_the_key() -> None:
    with pytest.warns(
        UserWarning, match='samples hold real values of "patient".* declare columns={"patient": {"key": True}}'
    ):
        synthesizer = TableSynthesizer(bins=20).fit(patients(12_000, 12))
    assert "real values" in str(synthesizer)


def test_the_warning_of_new_values_names_the_key() -> None:
    with pytest.warns(
        UserWarning, match=r'does not see "patient" \(.* free text\): .*\{"key": True\}\} for new ones that'
    ):
        TableSynthesizer(bins=20).fit(patients(12_000, 6))


@pytest.fixture
def small_samples(monkeypatch) -> None:
    """Samples of a hundredth of the rows, which show as little of a short table as others of a long one."""
    monkeypatch.setattr("gpuvgm.execution.sampling.UNKNOWN_SAMPLE_ROWS", 400)
    monkeypatch.setattr("gpuvgm.execution.sampling.RUN_ROWS", 6)
    monkeypatch.setattr("gpuvgm.columns.open_text.SAMPLED_WHOLE", 192)


def unique_texts(rows: int) -> pa.Table:
    return pa.table(
        {"patient": [f"{7919 * row % 99_991:05} of them" for row in range(rows)], "ward": [0, 1] * (rows // 2)}
    )


def late(first: pa.Table, other: pa.Table) -> pa.Table:
    """Rows that begin otherwise than they go on."""
    return pa.concat_tables([first, other])


def missing(rows: int) -> pa.Table:
    return pa.table({"patient": pa.nulls(rows, pa.string()), "ward": [0] * rows})


def sparse(table: pa.Table, step: int) -> pa.Table:
    """Rows of which one in so many has a text."""
    is_there = pa.array(np.arange(table.num_rows) % step == 0)
    texts = pa.compute.if_else(is_there, table["patient"], None)
    return table.set_column(0, "patient", texts)


def uuids(rows: int, distinct: int) -> pa.Table:
    texts = [f"00000000-0000-4000-8000-{row % distinct:012}" for row in range(rows)]
    return pa.table({"patient": texts, "ward": [0] * rows})


ROWS = 40_000
LOOKS = {
    "a value in twelve rows, spread": (patients(ROWS, 12), "categorical"),
    "in twelve rows, neighbours": (patients(ROWS, 12, adjacent=True), "categorical"),
    "in eight rows, spread": (patients(ROWS, 8), "pass"),
    "in eight rows, neighbours": (patients(ROWS, 8, adjacent=True), "pass"),
    "in one row each": (unique_texts(ROWS), "id"),
    "in one row each, after the first": (late(patients(3_000, 500), unique_texts(ROWS)), "pass"),
    "in one row each, but for the last rows": (late(unique_texts(ROWS), patients(ROWS, 500)), "pass"),
    "in one row each, at first": (late(unique_texts(600), patients(ROWS, 500)), "categorical"),
    "in one row each, after missing ones": (late(missing(2_000), unique_texts(ROWS)), "id"),
    "in one of a hundred rows, one each": (sparse(unique_texts(ROWS * 10), 100), "id"),
    "of few": (patients(ROWS, 3_000), "categorical"),
    "UUIDs after a few": (late(uuids(2_000, 5), uuids(ROWS, 200)), "id"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_all_rows_decide_whatever_a_sample_shows(look, small_samples, tmp_path) -> None:
    table, expected = LOOKS[look]
    found = {name: kind_and_reason(source(table, tmp_path)) for name, source in SOURCES.items()}
    assert {kind for kind, _ in found.values()} == {expected}, found
    assert len(set(found.values())) == 1, found


def test_too_many_categories_pass(small_samples, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("gpuvgm.columns.categorical.MOST_INTERVALS", 1_000)
    found = {name: kind_and_reason(source(patients(ROWS, 20), tmp_path)) for name, source in SOURCES.items()}
    reason = "string with 2,000 distinct values in 40,000 rows: more than 1,000 cannot be modelled"
    assert set(found.values()) == {("pass", reason)}


def test_missing_and_blank_text_is_no_row(tmp_path) -> None:
    table = patients(6_000, 5)
    gaps = pa.table({"patient": pa.array([None, "", "  "] * 10_000, pa.string()), "ward": np.zeros(30_000, np.int64)})
    for name in FORMATS:
        kind, reason = kind_and_reason(SOURCES[name](pa.concat_tables([table, gaps]), tmp_path))
        told = "string with 1,200 distinct values in 6,000 rows, 30,000 of 36,000 missing: identifiers or free text"
        assert (kind, reason) == ("pass", told), name


def test_a_declared_column_and_research_stay_as_they_are() -> None:
    table = patients(20_000, 4)
    assert TableTransformer({"patient": "categorical"}).fit(table).schema_["patient"].kind == "categorical"
    research = TableTransformer(effort="research").fit(table).schema_["patient"]
    assert (research.kind, research.reason) == ("categorical", "string with 5,000 distinct values")


@pytest.mark.parametrize("rows_each", [5, 12])
def test_rows_added_later_keep_the_kind_of_the_first_fit(rows_each) -> None:
    first, others = patients(6_000, rows_each), patients(60_000, 17 - rows_each)
    transformer = TableTransformer(random_state=0).fit(first)
    kind = transformer.schema_["patient"].kind
    transformer.partial_fit(others)
    assert transformer.schema_["patient"].kind == transformer.columns_["patient"].kind == kind
    synthesizer = TableSynthesizer(bins=20, random_state=0).fit(first)
    other = TableSynthesizer(like=synthesizer).fit(first if kind == "categorical" else others)
    assert other.merge(synthesizer).transformer_.columns_["patient"].kind == kind


def test_a_fit_that_goes_on_keeps_what_all_rows_decided() -> None:
    shares = pa.array([*np.linspace(0.1, 7, 5_999), np.inf])
    table = patients(6_000, 5).append_column("share", shares)
    transformer = TableTransformer(random_state=0)
    with pytest.raises(ColumnsFailed):
        transformer.fit(table)
    first = {column.name: column for column in transformer.unfinished_.columns}
    transformer.set_params(columns={"share": "drop"}).fit_failed(table)
    assert transformer.columns_["patient"] is first["patient"]
    assert (
        transformer.schema_["patient"].reason
        == "string with 1,200 distinct values in 6,000 rows: identifiers or free text"
    )


def test_dictionaries_are_text() -> None:
    table = patients(6_000, 5)
    for values in (table["patient"].dictionary_encode(), table["patient"].cast(pa.string_view())):
        assert TableTransformer().fit(table.set_column(0, "patient", values)).schema_["patient"].kind == "pass"
    values = patients(6_000, 12)["patient"].dictionary_encode()
    column = TableTransformer().fit(table.set_column(0, "patient", values)).columns_["patient"]
    assert len(column.categories) == len(column.dictionary) == 500


def test_counts_do_not_depend_on_the_order_of_parts() -> None:
    column = patients(60_000, 3)["patient"].combine_chunks()
    parts = [TextCounts.of_rows(column[at : at + 17_000]) for at in range(0, 60_000, 17_000)]
    whole = TextCounts.of_rows(column)
    assert len(whole.different.hashes) == KEPT
    assert abs(whole.number / 20_000 - 1) < 0.03
    for order in list(permutations(parts))[::5]:
        merged = reduce(TextCounts.merge, order)
        assert merged.different.hashes.tolist() == whole.different.hashes.tolist()
        assert merged.different.rows.tolist() == whole.different.rows.tolist()
        assert (merged.rows, merged.missing) == (60_000, 0)
    true_rows = dict(zip(*np.unique(PassthroughColumn.hashes(column), return_counts=True), strict=True))
    assert all(true_rows[key] == rows for key, rows in zip(whole.different.hashes, whole.different.rows, strict=True))


def test_values_and_rows_of_them_are_counted_alike() -> None:
    random = np.random.default_rng(0)
    hashes, rows = random.integers(0, 2**64, 50_000, np.uint64), random.integers(1, 4, 50_000)
    counted, repeated = DistinctValues.of(hashes, rows), DistinctValues.of(random.permutation(np.repeat(hashes, rows)))
    assert counted.hashes.tolist() == repeated.hashes.tolist() == np.sort(hashes)[:KEPT].tolist()
    assert counted.rows.tolist() == repeated.rows.tolist()
    assert DistinctValues.of(hashes[:0]).number == 0
