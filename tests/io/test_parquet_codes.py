"""Text that Parquet files store as codes of dictionaries: read as these, with the same values and the same fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import open_source, parquet
from gpuvgm.io.parquet import ParquetPart

ROWS = 30_000
DELTA = {"use_dictionary": False, "column_encoding": {"x": "DELTA_BYTE_ARRAY", "kept": "DELTA_LENGTH_BYTE_ARRAY"}}
OPTIONS: list[dict[str, Any]] = [{}, {"use_dictionary": False}, {"dictionary_pagesize_limit": 64}, DELTA]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]


def words(type_: Any = None) -> pa.Array[Any]:
    """Words, the later ones in later rows alone, so that row groups have other dictionaries; some missing or blank."""
    random = np.random.default_rng(0)
    names = np.array([*(f"wörd {i}" for i in range(40)), "", "  ", "NaN"])
    chosen = names[random.integers(0, 20, ROWS) + (np.arange(ROWS) * 23) // ROWS]
    return pa.array(chosen, pa.string(), mask=random.random(ROWS) < 0.05).cast(type_ or pa.string())


@pytest.mark.parametrize("type_", TEXTS, ids=str)
def test_codes_and_values_are_the_same_text(tmp_path: Path, type_: Any) -> None:
    table = pa.table({"x": words(type_), "n": np.arange(ROWS)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7_000)
    source = open_source(tmp_path / "t.parquet")
    coded = source.coded(["x", "n"])
    assert coded.schema.field("x").type == pa.dictionary(pa.int32(), type_)
    assert coded.schema.field("n").type == pa.int64()
    for read in (source, coded):
        tables = [block.table for block in read.blocks(["x", "n"], 4_096)]
        assert {rows.schema.field("x").type for rows in tables} == {read.schema.field("x").type}
        assert [value for rows in tables for value in rows.column("x").to_pylist()] == table["x"].to_pylist()
    sampled = source.sample(["x"], [(6_990, 20), (100, 3)])
    assert sampled.schema.field("x").type == type_
    assert sampled["x"].to_pylist() == [*table["x"].slice(6_990, 20).to_pylist(), *table["x"].slice(100, 3).to_pylist()]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("type_", TEXTS, ids=str)
def test_fits_and_encodings_are_those_of_the_table(tmp_path: Path, type_: Any, options: dict[str, Any]) -> None:
    same = pa.array(["same"] * ROWS).cast(type_)
    table = pa.table({"x": words(type_), "kept": words(), "same": same, "n": np.arange(ROWS) % 700})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7_000, **options)
    columns = {"x": "categorical", "kept": "pass", "same": "categorical", "n": "continuous"}
    of_table, of_file = (TableTransformer(columns, seed=3).fit(rows) for rows in (table, tmp_path / "t.parquet"))
    assert of_file.columns_["x"].categories == of_table.columns_["x"].categories
    assert of_file.columns_["x"].counts == of_table.columns_["x"].counts
    assert of_file.model_.digest() == of_table.model_.digest()
    expected = of_table.transform(table, layout="compact")
    assert of_file.transform(tmp_path / "t.parquet", layout="compact").equals(expected)
    of_file.transform(tmp_path / "t.parquet", layout="compact", out=tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").cast(expected.schema).equals(expected)
    kept = of_file.transform(tmp_path / "t.parquet", layout="compact", keep_original=True)
    assert kept["x"].to_pylist() == table["x"].to_pylist()


def test_parts_of_other_types_and_folders_of_keys_stay_text(tmp_path: Path) -> None:
    for name, type_ in (("key=a", pa.string()), ("key=b", pa.large_string())):
        (tmp_path / name).mkdir()
        pq.write_table(
            pa.table({"x": pa.array(["u", "v"] * 50, type_), "y": ["w"] * 100}), tmp_path / name / "t.parquet"
        )
    coded = open_source(tmp_path).coded(["x", "y", "key"])
    assert coded.schema.field("x").type == pa.large_string()
    assert coded.schema.field("key").type == pa.string()
    assert pa.types.is_dictionary(coded.schema.field("y").type)
    (block,) = coded.blocks(["x", "y", "key"], 1_000)
    assert block.batch.to_pylist() == [
        {"x": x, "y": "w", "key": key} for key in ("a", "b") for _ in range(50) for x in ("u", "v")
    ]


def test_files_of_text_have_no_codes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x\nu\nv\n")
    source = open_source(tmp_path / "t.csv")
    assert source.coded(["x"]).schema == source.schema


def test_text_that_is_stored_as_such_is_read_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    different = pa.array([f"text number {i} of many that are different" for i in range(60_000)])
    pq.write_table(
        pa.table({"many": different, "few": different.take(pa.array(np.arange(60_000) % 9))}),
        tmp_path / "t.parquet",
        dictionary_pagesize_limit=1 << 14,
    )
    types, plain = set(), ParquetPart._as_stored

    def watched(self: Any, *arguments: Any) -> Any:
        for batch in plain(self, *arguments):
            types.update((field.name, pa.types.is_dictionary(field.type)) for field in batch.schema)
            yield batch

    monkeypatch.setattr(ParquetPart, "_as_stored", watched)
    source = open_source(tmp_path / "t.parquet")
    for block in source.blocks(["many", "few"], 4_096):
        assert block.batch.schema.types == [pa.string(), pa.string()]
    assert types == {("many", False), ("few", True)}


def test_values_that_no_array_holds_together_come_in_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": ["a long text", "b"] * 500})
    pq.write_table(table, tmp_path / "t.parquet")
    monkeypatch.setattr(parquet, "MOST_TEXT_BYTES", 1_000)
    (part,) = open_source(tmp_path / "t.parquet").parts
    batches = [*part.read(["x"], 1_000)]
    assert max(batch.num_rows for batch in batches) == 90
    assert pa.Table.from_batches(batches)["x"].to_pylist() == table["x"].to_pylist()
    assert part.sample(["x"], [(1, 200)])[0][0].num_rows == 90


def test_generators_of_files_and_tables_are_the_same(tmp_path: Path) -> None:
    table = pa.table({"x": words(), "n": np.arange(ROWS) % 90})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7_000)
    samples = [TableSynthesizer().fit(rows).sample(500) for rows in (table, tmp_path / "t.parquet")]
    assert samples[0].equals(samples[1])


def test_invalid_text_in_a_dictionary_is_refused(tmp_path: Path) -> None:
    invalid: Any = pa.array([b"right", b"wr\xffng"] * 50).view(pa.string())
    pq.write_table(pa.table({"x": invalid}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    for read in (source, source.coded(["x"])):
        with pytest.raises(
            InputError, match=r't\.parquet: damaged Parquet file: column "x" cannot be read after row 0'
        ):
            [*read.blocks(["x"], 50)]
