"""Identifiers: which columns are some, what all rows say to it, and what rows get that come without them."""

from __future__ import annotations

import tracemalloc
import uuid
from dataclasses import astuple
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns.distinct import KEPT
from gpuvgm.columns.identifiers import IdStatistics
from gpuvgm.columns.passthrough import _text_sums_in_numpy, hashes_of_text
from gpuvgm.errors import InputError

ROWS = 3_000
RANDOM = np.random.default_rng(3)
AMOUNTS = RANDOM.lognormal(3, 1, ROWS)
UUIDS = [str(uuid.UUID(int=int(one))) for one in RANDOM.integers(0, 2**62, ROWS)]


def fitted(values, **options) -> TableTransformer:
    return TableTransformer(**options).fit(pa.table({"key": values, "amount": AMOUNTS[: len(values)]}))


def kind(values, **options) -> str:
    return fitted(values, **options).schema_["key"].kind


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.arange(ROWS), "int64, all 3,000 sampled values different, in steps of 1"),
        (RANDOM.permutation(ROWS) * 10 - 7, "int64, all 3,000 sampled values different, in steps of 10"),
        (np.delete(np.arange(ROWS), RANDOM.choice(ROWS, 250, replace=False)), "different, in steps of 1"),
        (np.arange(ROWS, dtype=np.uint64) + np.uint64(2**63), "uint64, all 3,000 sampled values different"),
        ([f"C{i:05}" for i in range(ROWS)], "string, all 3,000 values different"),
        (pa.array([f"C{i:05}" for i in range(ROWS)], pa.string_view()), "all 3,000 values different"),
        ([f"{i:05}" for i in range(ROWS)], "string, all 3,000 values different"),
        ([str(i) for i in range(ROWS)], 'text such as "0", all 3,000 sampled values different, in steps of 1'),
        (UUIDS, "UUIDs"),
        (UUIDS[:300] * 10, "UUIDs"),
        (UUIDS[:20], "UUIDs"),
    ],
)
def test_what_is_an_identifier(values, reason) -> None:
    transformer = fitted(values)
    assert transformer.schema_["key"].kind == "id"
    assert reason in transformer.schema_["key"].reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (RANDOM.choice(10**6, ROWS, replace=False), "continuous"),  # populations
        (np.delete(np.arange(ROWS), RANDOM.choice(ROWS, 400, replace=False)), "continuous"),  # 87 % of the range
        (np.r_[np.arange(ROWS - 1), 5], "continuous"),
        (np.arange(50), "continuous"),  # few rows: years, months
        (np.arange(ROWS) / 2, "continuous"),
        ([f"C{i:05}" for i in range(900)], "pass"),
        ([f"C{i % 2990:05}" for i in range(ROWS)], "pass"),
        (UUIDS[:20] * 150, "categorical"),
    ],
)
def test_what_is_none(values, expected) -> None:
    assert kind(values) == expected


def test_unique_numbers_that_are_none_are_pointed_out() -> None:
    reason = fitted(RANDOM.choice(10**6, ROWS, replace=False)).schema_["key"].reason
    assert '; all different, and 0.3 % of their range: declare it "id" if it tells rows apart' in reason
    assert "all different" not in fitted(RANDOM.integers(0, 10**6, ROWS) // 2 * 2).schema_["key"].reason


@pytest.mark.parametrize(("first", "kind"), [(1_900, "continuous"), (1_599, "id"), (2_001, "id")])
def test_what_may_be_years_stays_a_number(first: int, kind: str) -> None:
    spec = TableTransformer().fit({"x": np.arange(first, first + 101)}).schema_["x"]
    assert (spec.kind, "perhaps years" in spec.reason) == (kind, kind == "continuous")


def test_the_research_effort_knows_none() -> None:
    assert kind(np.arange(ROWS), effort="research") == "continuous"
    assert kind([f"C{i:05}" for i in range(ROWS)], effort="research") == "pass"


def test_they_have_no_codes_and_come_back_with_the_rows_that_carry_them() -> None:
    frame = pd.DataFrame({"key": RANDOM.permutation(ROWS), "amount": AMOUNTS, "name": [f"n{i}" for i in range(ROWS)]})
    transformer = TableTransformer().fit(frame)
    assert set(transformer.layout_) == {"amount"}
    encoded = transformer.transform(frame)
    assert encoded.columns.tolist() == ["key", "amount.scalar", "amount.mode", "name"]
    back = transformer.inverse_transform(encoded)
    pd.testing.assert_series_equal(back["key"], frame["key"])
    pd.testing.assert_series_equal(back["name"], frame["name"])


def test_rows_without_them_get_running_numbers() -> None:
    frame = pd.DataFrame({"key": np.arange(ROWS) * 5 + 100, "amount": AMOUNTS, "name": [f"n{i}" for i in range(ROWS)]})
    transformer = TableTransformer(block_rows=700).fit(frame)
    matrix = transformer.transform(frame, layout="onehot")
    back = transformer.inverse_transform(matrix)
    assert back.columns.tolist() == ["key", "amount", "name"]
    assert back["key"].tolist() == frame["key"].tolist()
    assert back["key"].dtype == frame["key"].dtype
    assert back["name"].tolist() == [str(i) for i in range(ROWS)]
    compact = transformer.transform(frame).drop(columns=["key"])
    assert transformer.inverse_transform(compact)["key"].tolist() == frame["key"].tolist()
    assert transformer.inverse_transform(compact)["name"].tolist() == frame["name"].tolist()


def test_or_missing_values_where_that_is_chosen() -> None:
    columns = {"key": {"kind": "id", "regenerate": "missing"}, "name": {"regenerate": "missing"}}
    table = pa.table({"key": np.arange(ROWS), "amount": AMOUNTS, "name": ["same"] * ROWS})
    transformer = TableTransformer(columns).fit(table)
    assert transformer.schema_["name"].kind == "id"
    back = transformer.inverse_transform(transformer.transform(table, layout="onehot"))
    assert back.schema.types == table.schema.types
    assert back["key"].null_count == back["name"].null_count == ROWS
    assert "regenerate" in transformer.columns_["key"].to_json()


def test_what_cannot_be_one_is_refused() -> None:
    with pytest.raises(InputError, match='column "amount" holds float64 values; an identifier holds whole numbers or'):
        TableTransformer({"amount": "id"}).fit(pa.table({"amount": AMOUNTS}))
    with pytest.raises(InputError, match="regenerate"):
        TableTransformer({"key": {"kind": "id", "regenerate": "random"}}).fit(pa.table({"key": [1, 2]}))


def test_a_type_that_is_too_narrow_for_running_numbers_is_named() -> None:
    table = pa.table({"key": pa.array(range(100), pa.int8()), "amount": AMOUNTS[:100]})
    transformer = TableTransformer({"key": "id"}).fit(table)
    matrix = transformer.transform(table, layout="onehot")
    with pytest.raises(InputError, match='column "key": its type int8 does not hold the running number 199'):
        transformer.inverse_transform(np.tile(matrix, (2, 1)))


def test_all_rows_have_a_word_in_it() -> None:
    """The sample of a long table sees different values only."""
    rows = 400_000
    keys = np.arange(rows)
    keys[keys % 2 == 1] = 0  # of 131,072 rows the sample holds some of these, of a few it might hold one
    table = pa.table({"key": keys, "amount": np.resize(AMOUNTS, rows)})
    assert TableTransformer().fit(table).schema_["key"].kind != "id"


def long_names(repeated: int) -> pa.Table:
    """Names of which only the last repeat: a reader of the first 2^18 rows sees different ones only."""
    rows = 2**18 + repeated
    names = [f"n{min(i, 2**18)}" for i in range(rows)]
    return pa.table({"name": names, "amount": np.resize(AMOUNTS, rows)})


@pytest.mark.exhaustive
def test_what_the_sample_said_and_the_rows_refute_is_planned_again(tmp_path) -> None:
    path = tmp_path / "names.csv"
    import pyarrow.csv

    pyarrow.csv.write_csv(long_names(60_000), path)
    transformer = TableTransformer().fit(path)
    spec = transformer.schema_["name"]
    assert spec.kind == "pass"
    assert spec.reason == "string with about 257,000 distinct values in 322,144 rows: identifiers or free text"
    once = TableTransformer().fit(iter(long_names(60_000).to_batches(50_000)))
    assert once.schema_["name"] == spec


def plain(counts: IdStatistics) -> list[Any]:
    """Statistics that can be compared."""
    return [*astuple(counts)[:-1], counts.different.hashes.tolist(), counts.different.rows.tolist()]


def test_statistics_do_not_depend_on_the_order() -> None:
    parts = [pa.array(part) for part in np.array_split(RANDOM.permutation(ROWS) * 6 - 4, 7)]
    whole = IdStatistics.of(pa.concat_arrays(parts))
    forth = back = IdStatistics.of(pa.array([], pa.int64()))
    for part in parts:
        forth = forth.merge(IdStatistics.of(part))
    for part in reversed(parts):
        back = IdStatistics.of(part).merge(back)
    assert plain(forth) == plain(back) == plain(whole)
    assert (whole.minimum, whole.maximum, whole.step, whole.filled) == (-4, 6 * ROWS - 10, 6, 1.0)


@pytest.mark.parametrize("distinct", [1, 10, 1_000, 30_000, 300_000])
@pytest.mark.parametrize("text", [False, True])
def test_the_count_of_different_values(distinct, text) -> None:
    values = pa.array(np.resize(np.arange(distinct), 300_000))
    different = IdStatistics.of(values.cast(pa.string()) if text else values).different
    assert abs(different.number / distinct - 1) < (0.03 if distinct > KEPT else 1e-9)
    assert different.is_exact == (distinct < KEPT)
    assert different.all_once == (distinct == 300_000)


def test_models_hold_them_and_grow(reloaded) -> None:
    table = pa.table({"key": np.arange(ROWS) + 7, "amount": AMOUNTS})
    transformer = TableTransformer().fit(table)
    loaded = reloaded(transformer, summaries=True)
    assert loaded.columns_["key"] == transformer.columns_["key"]
    loaded.partial_fit(pa.table({"key": np.arange(100) + 7 + ROWS, "amount": AMOUNTS[:100]}))
    assert loaded.columns_["key"].fit.rows == ROWS + 100
    assert (loaded.columns_["key"].first, loaded.columns_["key"].step) == (7, 1)


def test_a_table_of_identifiers_alone() -> None:
    transformer = TableTransformer().fit(pa.table({"key": np.arange(ROWS)}))
    assert transformer.model_.rows == ROWS
    assert transformer.model_.onehot_width == 0
    assert transformer.evaluate(pa.table({"key": np.arange(ROWS)})).columns["key"].kind == "id"


def test_texts_in_buffers_longer_than_their_rows() -> None:
    whole = pa.array(["a", "bcd", "", "ef"], pa.large_string())
    _, offsets, body = whole.buffers()
    padded = [None, pa.py_buffer(offsets.to_pybytes()[: 8 * 5] + b"\xff" * 3), pa.py_buffer(body.to_pybytes() + b"z")]
    for offset in (0, 1):
        given = pa.Array.from_buffers(pa.large_string(), 4 - offset, padded, offset=offset)
        np.testing.assert_array_equal(hashes_of_text(given), hashes_of_text(whole[offset:]))


@pytest.mark.parametrize(
    "texts",
    [
        ["ab", "cd", "\0z"],
        ["a", "bc", "def"],
        ["", ""],
        ["x" * 300, "x" * 301, "x" * 256, "y"],
        [f"{k}" for k in range(999)],
    ],
)
def test_hashes_of_text_are_those_of_each_text_alone(texts: list[str]) -> None:
    """Texts of one length are hashed at once, those of any lengths beside each other."""
    alone = np.concatenate([hashes_of_text(pa.array([text, "beside it"]))[:1] for text in texts])
    np.testing.assert_array_equal(hashes_of_text(pa.array(texts)), alone)
    assert len({*alone.tolist()}) == len({*texts})
    assert hashes_of_text(pa.array(["a", "user000001@web.example"])).tolist() == [
        9710566718592210515,
        17946319960015203405,
    ]


def test_long_texts_that_differ_late_have_other_hashes() -> None:
    texts = ["x" * length for length in (0, 1, 255, 256, 257, 511, 512, 513, 5_000)]
    texts += ["x" * 4_000 + end for end in ("", "a", "b")] + ["x" * 256 + "y" * 256, "y" * 256 + "x" * 256]
    hashes = hashes_of_text(pa.array(texts))
    assert len(set(hashes.tolist())) == len(texts)
    assert hashes_of_text(pa.array(texts)[3:]).tolist() == hashes[3:].tolist()


def test_native_sums_of_text_are_those_of_numpy() -> None:
    native, draws = pytest.importorskip("gpuvgm._native").text_sums, np.random.default_rng(0)
    lengths = np.concatenate((draws.integers(0, 40, 500), [0, 255, 256, 257, 3000]))
    offsets = np.concatenate(([7], 7 + np.cumsum(lengths))).astype(np.int64)
    texts = draws.integers(0, 256, offsets[-1] + 3).astype(np.uint8)
    factors = draws.integers(0, 2**64, 256, dtype=np.uint64)
    np.testing.assert_array_equal(native(offsets, texts, factors), _text_sums_in_numpy(offsets, texts, factors))
    assert len(native(offsets[:1], texts, factors)) == 0
    for broken in (offsets[::-1].copy(), offsets + 10, offsets - 8, offsets[:0]):
        with pytest.raises(ValueError, match="offsets"):
            native(broken, texts, factors)


def test_hashes_of_text_take_little_memory_and_do_not_depend_on_pieces() -> None:
    """A letter takes several numbers of eight bytes: 9 million letters at once took half a gigabyte."""
    texts = pa.array([f"user{number:06d}@mail-{number % 7}.web.example" for number in range(300_000)])
    tracemalloc.start()
    try:
        whole = IdStatistics.of(texts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80_000_000
    parts = [IdStatistics.of(texts[at : at + 77_777]) for at in range(0, 300_000, 77_777)]
    assert plain(reduce(IdStatistics.merge, parts)) == plain(whole)
    assert abs(whole.different.number / 300_000 - 1) < 0.03
