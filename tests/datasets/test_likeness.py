"""Small tables blown up: types, ranges and shares of the original, noise where it belongs, and none with noise=0."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import gpuvgm
from gpuvgm import TableTransformer
from gpuvgm.datasets import amount, likeness
from gpuvgm.datasets.likeness import Likeness
from gpuvgm.datasets.ranges import CHUNK_ROWS
from gpuvgm.errors import InputError

ROWS = 600
RANDOM = np.random.default_rng(0)
CENTS = np.round(RANDOM.lognormal(3, 1, ROWS), 2)
SMALL = pa.table(
    {
        "cents": pa.array(CENTS, mask=np.arange(ROWS) % 10 == 0),
        "float32": pa.array(RANDOM.normal(size=ROWS).astype(np.float32)),
        "wild": pa.array(np.where(np.arange(ROWS) % 50 == 0, np.inf, RANDOM.normal(size=ROWS))),
        "year": pa.array(RANDOM.integers(1950, 2020, ROWS).astype(np.int16)),
        "big": pa.array(RANDOM.integers(2**60, 2**60 + 10**6, ROWS)),
        "few": pa.array(RANDOM.integers(0, 5, ROWS)),
        "unsigned": pa.array(RANDOM.integers(0, 100, ROWS).astype(np.uint64) + np.uint64(2**63)),
        "when": pa.array(RANDOM.integers(0, 10**9, ROWS)).cast(pa.timestamp("s")).cast(pa.timestamp("ns", "UTC")),
        "day": pa.array([datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in RANDOM.integers(0, 99, ROWS)]),
        "price": pa.array([Decimal(int(c)).scaleb(-2) for c in RANDOM.integers(-500, 500, ROWS)], pa.decimal128(9, 2)),
        "wide": pa.array([Decimal(int(c)) for c in RANDOM.integers(0, 500, ROWS)], pa.decimal128(30, 0)),
        "text": pa.array([f"t{i % 7}" for i in range(ROWS)]),
        "category": pa.array([f"t{i % 3}" for i in range(ROWS)]).dictionary_encode(),
        "truth": pa.array(np.arange(ROWS) % 3 == 0),
        "nothing": pa.nulls(ROWS, pa.float64()),
    }
)
MOVED = ("cents", "float32", "wild", "year", "big", "when", "day", "price")


def column(table, name):
    return table.column(name).combine_chunks()


@pytest.fixture(scope="module")
def large():
    return pa.Table.from_batches([Likeness(SMALL, 0.1).rows(0, 30_000, 4)])


def test_types_are_those_of_the_table_and_cents_stay_cents(large):
    assert large.schema.types == SMALL.schema.types
    cents = column(large, "cents").drop_null().to_numpy()
    np.testing.assert_array_equal(np.round(cents, 2), cents)


@pytest.mark.parametrize("name", SMALL.schema.names)
def test_values_stay_in_their_range_and_missing_ones_keep_their_share(large, name):
    old, new = column(SMALL, name), column(large, name)
    assert abs(new.null_count / len(new) - old.null_count / len(old)) < 0.02
    if name in MOVED:
        kept = [np.asarray([v for v in values.to_pylist() if v is not None and v != np.inf]) for values in (old, new)]
        assert kept[0].min() <= kept[1].min() and kept[1].max() <= kept[0].max()
        assert len(set(kept[1].tolist())) > len(set(kept[0].tolist())) or name in ("year", "day", "price")
        assert abs(float(np.mean(kept[1] == kept[0][0])) - 1) > 0.5
    else:
        assert set(new.to_pylist()) <= set(old.to_pylist())


def test_noise_has_the_size_that_was_asked_for_in_ranks():
    rows = {"x": RANDOM.lognormal(0, 3, 2000)}
    drawn, moved = (Likeness(rows, noise).rows(0, 50_000, 1).column(0).to_numpy() for noise in (0, 0.25))
    ordered = np.sort(rows["x"])
    before, after = (np.interp(values, ordered, np.arange(2000) / 2000) for values in (drawn, moved))
    inner = np.abs(before - 0.5) < 0.1
    assert abs(np.std((after - before)[inner]) - 0.25 / np.sqrt(12)) < 0.002


def skewed() -> pa.Table:
    random = np.random.default_rng(1)
    rows = 5_000
    table = {
        "amount": amount(0, rows),
        "income": np.where(random.random(rows) < 0.4, 0, np.round(random.lognormal(8, 2, rows), 2)),
        "small": random.lognormal(0, 2, rows).astype(np.float32),
        "minutes": random.integers(0, 200, rows) * 5,
        "quarters": np.round(random.gamma(2, 30, rows) * 4) / 4,
        "children": np.where(random.random(rows) < 0.1, np.nan, random.integers(0, 4, rows)),
        "hour": pa.array(random.integers(0, 9_000, rows) * 3_600_000).cast(pa.timestamp("ms")),
        "month": pa.array(random.integers(0, 12, rows).astype(np.int32) * 30).cast(pa.date32()),
    }
    return pa.table(table)


@pytest.mark.parametrize("noise", [0.01, 0.1, 5])
def test_skewed_columns_keep_their_distribution_zeros_median_and_kind(noise):
    table = skewed()
    large = pa.Table.from_batches([Likeness(table, noise).rows(0, 30_000, 3)])
    for name in ("amount", "income", "small", "minutes", "quarters"):
        old, new = (part[name].to_numpy() for part in (table, large))
        assert stats.ks_2samp(old, new).statistic < 0.015
        assert abs(np.mean(old == 0) - np.mean(new == 0)) < 0.01
    schemas = [TableTransformer().fit(part).schema_ for part in (table, large.slice(0, 5_000))]
    kinds = [{name: schema[name].kind for name in table.schema.names} for schema in schemas]
    assert kinds[0] == kinds[1]


def test_steps_and_categories_stay():
    table = skewed()
    large = pa.Table.from_batches([Likeness(table, 0.1).rows(0, 30_000, 3)])
    assert not np.any(large["minutes"].to_numpy() % 5)
    assert not np.any(large["quarters"].to_numpy() * 4 % 1)
    assert not np.any(large["hour"].cast(pa.int64()).to_numpy() % 3_600_000)
    for name in ("children", "month"):
        assert set(map(str, large[name].to_pylist())) <= set(map(str, table[name].to_pylist()))


def test_identifiers_differ_again():
    rows = 1_200
    order = np.random.default_rng(2).permutation(rows)
    table = pa.table(
        {
            "number": 1_000 + 5 * order,
            "narrow": pa.array(order[:rows] - 100, pa.int16()),
            "name": pa.array([f"row {i:04}" for i in order], pa.string_view()),
            "x": np.ones(rows),
        }
    )
    made = Likeness(table, 0.1)
    large = pa.Table.from_batches([made.rows(0, 3 * rows, 3)])
    for name in ("number", "narrow", "name"):
        assert len(set(large[name].to_pylist())) == 3 * rows
    schemas = [TableTransformer().fit(part).schema_ for part in (table, large)]
    assert [[schema[name].kind for name in table.schema.names] for schema in schemas] == [
        ["id", "id", "id", "categorical"]
    ] * 2
    assert made.rows(70_000, 5, 3).equals(made.rows(65_000, 10_000, 3).slice(5_000, 5))
    assert len(set(Likeness(table, 0).rows(0, 3 * rows, 3).column("number").to_pylist())) <= rows


def test_single_rows_and_huge_numbers_are_blown_up():
    table = pa.table({"one": [1.5], "whole": [7]})
    assert Likeness(table, 0.1).rows(0, 3, 0).to_pylist() == [{"one": 1.5, "whole": 7}] * 3
    ends = np.array([-1.7e308, 0.1, 1.7e308])
    values = Likeness({"x": ends}, 0.1).rows(0, 1000, 0).column(0).to_numpy()
    assert np.all(np.isfinite(values)) and np.ptp(values / 1e308) > 3


def test_no_noise_only_draws_rows():
    drawn = pa.Table.from_batches([Likeness(SMALL, 0).rows(0, 5000, 4)])
    known = {str(row) for row in SMALL.to_pylist()}
    assert {str(row) for row in drawn.to_pylist()} <= known


def test_any_range_and_any_other_columns_give_the_same_values(large):
    whole = Likeness(SMALL, 0.1)
    first = CHUNK_ROWS - 10
    assert whole.rows(first, 20, 4).equals(whole.rows(0, 2 * CHUNK_ROWS, 4).slice(first, 20))
    alone = Likeness(SMALL.select(["year"]), 0.1).rows(0, 1000, 4)
    assert alone.column("year").equals(large.slice(0, 1000).column("year").combine_chunks())


def test_files_and_the_public_function(tmp_path):
    pq.write_table(SMALL.select(["cents", "text"]), tmp_path / "small.parquet")
    gpuvgm.generate(tmp_path / "large.parquet", 70_000, like=tmp_path / "small.parquet", seed=9)
    table = pq.read_table(tmp_path / "large.parquet")
    assert table.num_rows == 70_000 and table.schema.names == ["cents", "text"]
    assert table.slice(66_000, 4000).equals(
        pa.Table.from_batches([Likeness(SMALL.select(["cents", "text"]), 0.1).rows(66_000, 4000, 9)])
    )


def test_files_made_like_another_table_are_not_kept(tmp_path):
    settings = {"file_rows": 50, "seed": 1, "resume": True}
    first, other = ({"x": np.array(values)} for values in ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]))
    gpuvgm.generate(tmp_path / "large", 50, like=first, **settings)
    assert gpuvgm.generate(tmp_path / "large", 100, like=first, **settings).kept == 1
    with pytest.raises(InputError, match="holds other rows"):
        gpuvgm.generate(tmp_path / "large", 100, like=other, **settings)


def test_what_lies_under_missing_values_is_no_difference():
    values = np.array([1.0, 2.0, 3.0])
    there = np.array([True, False, True])
    one, same, other = (
        Likeness(pa.table({"x": pa.array(numbers, mask=~there)}), 0.1).digest
        for numbers in (values, values + [0, 9, 0], values + [0, 0, 9])
    )
    assert one == same != other


def test_large_tables_are_refused(monkeypatch):
    monkeypatch.setattr(likeness, "MOST_ROWS", 100)
    with pytest.raises(InputError, match="600 rows; blow up a sample"):
        Likeness(SMALL, 0.1)
    with pytest.raises(InputError, match="more than 100 rows"):
        Likeness(iter([{"x": np.arange(60.0)}] * 2), 0.1)
