"""Tables sorted by key: the same bits whatever the order of the given rows, and files that none else reads or keeps."""

from __future__ import annotations

import pickle
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.io import Source
from gpuvgm.synthesis.sequences.sorted_files import PART_BYTES, SortedParts
from gpuvgm.synthesis.sequences.sorting import sorted_by

KEYS, ROWS, SMALL = 100, 1_500, 6 << 10


@pytest.fixture(scope="module")
def table() -> pa.Table:
    random = np.random.default_rng(0)
    key = np.minimum(random.geometric(0.02, ROWS), KEYS)
    kinds = random.integers(0, 4, ROWS)
    return pa.table(
        {
            "value": pa.array(np.array([0.0, -0.0, np.nan, 1.0])[kinds], mask=kinds == 3),
            "day": pa.array(random.integers(0, 5, ROWS).astype("M8[D]"), mask=random.random(ROWS) < 0.1),
            "key": pa.array([f"C{of}" for of in key], mask=random.random(ROWS) < 0.05),
            "sort": pa.array(random.choice(["a", "b", "c"], ROWS)).dictionary_encode(),
            "list": pa.array([[1]] * ROWS),
        }
    )


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("gpuvgm.synthesis.sequences.sorted_files.MOST_BITS", 2)  # so that parts are parted again
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def once(rows: pa.Table, batch_rows: int = 200) -> Iterator[pa.Table]:
    """The rows as an iterator, which is read once and does not lie in memory."""
    return (rows.slice(start, batch_rows) for start in range(0, rows.num_rows, batch_rows))


def read(source: Source, columns: Sequence[str] | None = None, block_rows: int = 700) -> pa.Table:
    names = source.schema.names if columns is None else columns
    batches = [block.batch for block in source.blocks(names, block_rows)]
    return pa.Table.from_batches(batches, source.fields(names))


def bits(rows: pa.Table) -> bytes:
    """The rows as a file, of one batch; categories as text."""
    plain = rows.set_column(3, "sort", rows.column("sort").cast(pa.string()))
    plain = plain.set_column(
        0, "value", pa.chunked_array([chunk.view(pa.int64()) for chunk in plain.column("value").chunks])
    )
    return str(plain.to_pydict()).encode()


def shuffled(rows: pa.Table, seed: int) -> pa.Table:
    return rows.take(pa.array(np.random.default_rng(seed).permutation(rows.num_rows)))


@pytest.mark.parametrize("part_bytes", [SMALL, 20 << 10, PART_BYTES])
def test_any_order_of_rows_gives_the_same_bits_and_parts_of_any_size_too(
    table: pa.Table, part_bytes: int, temporary: Path
) -> None:
    with sorted_by(any_source(table), "key", "day") as in_memory:
        expected = bits(read(in_memory))
    for seed in range(2):
        with sorted_by(any_source(once(shuffled(table, seed))), "key", "day", part_bytes=part_bytes) as source:
            assert isinstance(source, SortedParts) == (part_bytes < PART_BYTES)
            assert source.repeatable and source.rows == ROWS and source.schema == table.schema
            assert bits(read(source)) == bits(read(source, block_rows=333)) == expected
    assert not [*temporary.iterdir()]


def test_rows_of_a_key_follow_each_other_in_the_order_of_the_index(table: pa.Table, temporary: Path) -> None:
    with sorted_by(any_source(once(table)), "key", "day", part_bytes=SMALL) as source:
        rows = read(source).select(["key", "day"]).to_pylist()
        with sorted_by(source, "key", "day") as again:
            assert again is source
    assert sorted(map(str, rows)) == sorted(map(str, table.select(["key", "day"]).to_pylist()))
    keys = [row["key"] for row in rows if row["key"] is not None]
    starts = [key for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key]
    assert len(starts) == len({*keys}) and starts != sorted(starts)
    for before, after in zip(rows, rows[1:], strict=False):
        if before["key"] == after["key"] and before["key"] is not None:
            assert after["day"] is None or (before["day"] is not None and before["day"] <= after["day"])


def test_rows_of_a_key_keep_their_order_without_an_index(table: pa.Table, temporary: Path) -> None:
    numbered = table.append_column("number", pa.array(np.arange(ROWS)))
    for part_bytes in (SMALL, PART_BYTES):
        with sorted_by(any_source(once(numbered)), "key", part_bytes=part_bytes) as source:
            rows = read(source, ["key", "number"]).drop_null()
        numbers = rows.group_by("key", use_threads=False).aggregate([("number", "list")]).column("number_list")
        for number in numbers.to_pylist():
            assert number == sorted(number)


def test_parts_are_private_and_small_but_for_a_long_key(table: pa.Table, temporary: Path) -> None:
    long, lacking = (
        table.slice(0, 600).set_column(2, "key", pa.array([key] * 600, pa.string())) for key in ("long", None)
    )
    rows = shuffled(pa.concat_tables([table, long, lacking]), 1)
    with sorted_by(any_source(once(rows)), "key", "day", part_bytes=SMALL) as source:
        assert isinstance(source, SortedParts)
        (folder,) = temporary.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert {*folder.iterdir()} == {*source.parts}
        parts = [pa.Table.from_batches(source.dictionaries.batches(path)) for path in source.parts]
    large = [rows for rows in parts if rows.drop_columns("sort").nbytes > SMALL]
    assert "long" in {key for rows in large for key in rows.column("key").to_pylist()}
    assert {pc.count_distinct(rows.column("key"), mode="all").as_py() for rows in large} == {1}
    assert not any(rows.column("key").null_count for rows in large)


def test_categories_without_rows_stay(table: pa.Table, temporary: Path) -> None:
    words = pa.DictionaryArray.from_arrays(table.column("sort").combine_chunks().indices, ["x", "y", "z", "never"])
    other = pa.DictionaryArray.from_arrays(table.column("sort").combine_chunks().indices, ["y", "w", "x"])
    rows = pa.concat_tables([table.set_column(3, "sort", column) for column in (words, other)])
    with sorted_by(any_source(once(rows)), "key", "day", part_bytes=SMALL) as source:
        column = read(source).column("sort")
    assert {*column.chunk(0).dictionary.to_pylist()} == {"x", "y", "z", "never", "w"}
    counts = {row["values"]: row["counts"] for row in column.cast(pa.string()).value_counts().to_pylist()}
    assert counts == {
        row["values"]: row["counts"] for row in rows.column("sort").cast(pa.string()).value_counts().to_pylist()
    }


def test_a_sample_has_the_rows_of_runs(table: pa.Table, temporary: Path) -> None:
    with sorted_by(any_source(once(table)), "key", "day", part_bytes=SMALL) as source:
        every, names = read(source, ["key", "sort"]), ["sort", "key"]
        runs = [(1_490, 10), (0, 5), (700, 600)]
        expected = pa.concat_tables([every.slice(*run) for run in runs]).select(names)
        assert source.sample(names, runs).to_pylist() == expected.to_pylist()
        assert source.sample([], [(5, 3)]).num_columns == 0 == source.sample(names, []).num_rows
        assert sum(block.rows for block in source.blocks([], 700)) == ROWS


ORDERED = {
    "keys in any order": ({"key": ["b", "b", "a", "c", "c"], "day": [1, 2, 0, 5, 5]}, True),
    "missing keys anywhere": ({"key": ["b", None, "a", None, None], "day": [1, 2, 0, 5, 4]}, True),
    "missing and NaN last": ({"key": ["b"] * 5, "day": [1.0, 2.0, np.nan, None, None]}, True),
    "a key comes twice": ({"key": ["b", "a", "b", "c", "c"], "day": [1, 2, 3, 4, 5]}, False),
    "a day falls": ({"key": ["b", "b", "a", "c", "c"], "day": [2, 1, 0, 5, 5]}, False),
    "a number after NaN": ({"key": ["b", "b", "a", "c", "c"], "day": [np.nan, 1.0, 0, 5, 5]}, False),
    "a day after a missing one": ({"key": ["b", "b", "a", "c", "c"], "day": [None, 1, 0, 5, 5]}, False),
    "booleans fall": ({"key": ["b", "b", "a", "c", "c"], "day": [True, False, True, True, True]}, False),
    "no rows": ({"key": pa.array([], pa.string()), "day": pa.array([], pa.int8())}, True),
}


@pytest.mark.parametrize("block_rows", [1, 2, 10])
@pytest.mark.parametrize(("columns", "is_sorted"), ORDERED.values(), ids=ORDERED)
def test_sorted_sources_are_passed_through(
    columns: dict[str, Any], is_sorted: bool, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuvgm.synthesis.sequences.sorting.BLOCK_ROWS", block_rows)
    source = any_source(pa.table(columns))
    with sorted_by(source, "key", "day") as rows:
        assert (rows is source) == is_sorted


def test_a_fault_in_the_middle_leaves_nothing_behind(table: pa.Table, temporary: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        for number, rows in enumerate(once(table)):
            if number == 6:
                assert [*temporary.iterdir()]
                raise OSError("the network is down")
            yield rows

    with pytest.raises(OSError, match="network"), sorted_by(any_source(broken()), "key", "day", part_bytes=SMALL):
        pytest.fail("is not reached")
    assert not [*temporary.iterdir()]
    with pytest.raises(ValueError, match="body"), sorted_by(any_source(once(table)), "key", part_bytes=SMALL):
        raise ValueError("body")
    assert not [*temporary.iterdir()]


def test_rows_of_any_type_are_sorted(temporary: Path) -> None:
    random = np.random.default_rng(3)
    numbers = pa.array(random.integers(0, 40, ROWS))
    texts = numbers.cast(pa.string())
    table = pa.table(
        {
            "view": texts.cast(pa.string_view()),
            "small": numbers.cast(pa.decimal128(21, 2)),
            "half": numbers.cast(pa.float16()),
            "day": numbers.cast(pa.int32()).cast(pa.date32()),
            "key": texts.dictionary_encode(),
            "of key": texts,
        }
    )
    for key, index in (("key", "day"), ("view", "small"), ("day", "view")):
        with sorted_by(any_source(once(table)), key, index, part_bytes=SMALL) as source:
            assert pickle.loads(pickle.dumps(source)).place(3) == "generator, row 3 of its rows when they are sorted"
            rows = read(source)
            with sorted_by(source, key, index) as again:
                assert again is source
        assert rows.column("of key").to_pylist() == rows.column("key").cast(pa.string()).to_pylist()
        assert sorted(rows.column("of key").to_pylist()) == sorted(texts.to_pylist())
    with pytest.raises(InputError, match="halffloat"), sorted_by(any_source(table), "key", "half"):
        pytest.fail("is not reached")


@pytest.mark.parametrize(
    ("key", "index", "message"),
    [
        ("kye", None, "kye"),
        ("key", "dya", "dya"),
        ("list", None, '"list".*list<'),
        ("key", "list", "numbers, times or text"),
    ],
)
def test_columns_that_order_nothing_are_named(table: pa.Table, key: str, index: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message), sorted_by(any_source(table), key, index):
        pytest.fail("is not reached")
