"""Dask frames whose rows belong to keys, which lie in several partitions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn

import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.execution import Run, any_source
from gpuvgm.synthesis.sequences import source
from gpuvgm.synthesis.sequences.sorting import RowOrder
from tests.synthesis.sequences.trades import hospital_stays

dataframe: Any = pytest.importorskip("dask.dataframe", reason="Dask is not installed")
OF_KEYS: dict[str, Any] = {"sequence_key": "patient", "sequence_index": "arrival", "threads": 1}


def stays() -> pd.DataFrame:
    """Rows of a patient lie anywhere."""
    return hospital_stays(250, 0).sample(frac=1, random_state=1, ignore_index=True)


def part_of_stays(number: int) -> pd.DataFrame:
    return stays().iloc[number * 121 : (number + 1) * 121]


@pytest.mark.parametrize("is_held", [True, False])
def test_frames_are_fitted_as_tables_are(monkeypatch: pytest.MonkeyPatch, *, is_held: bool) -> None:
    """Of known and of unknown length, in memory and by way of sorted files."""
    if not is_held:
        monkeypatch.setattr(source, "MOST_HELD", 100)
    expected = gpuvgm.TableSynthesizer(**OF_KEYS).fit(stays()).sample(keys=100)
    frames = dataframe.from_pandas(stays(), npartitions=5, sort=False), dataframe.from_map(part_of_stays, range(5))
    for frame in frames:
        synthesizer = gpuvgm.TableSynthesizer(**OF_KEYS).fit(frame)
        pd.testing.assert_frame_equal(synthesizer.sample(keys=100), expected, check_dtype=False)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    pytest.importorskip("distributed", reason="Dask is not installed")
    with gpuvgm.cluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        yield client


def refused(*_: object) -> NoReturn:
    raise AssertionError("rows went through this process")


@pytest.mark.parametrize("hold_out", [None, 0.2])
def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch, client: Any, hold_out: float | None) -> None:
    """They keep the rows, of which those of a patient meet on one of them; keys are held out together."""
    monkeypatch.setattr(source, "MOST_HELD", 100)
    of_keys: dict[str, Any] = {**OF_KEYS, "hold_out": hold_out}
    early, late = stays().query("patient < 'P00180'"), stays().query("patient >= 'P00180'")
    expected = gpuvgm.TableSynthesizer(**of_keys).fit(early)
    synthesizer = gpuvgm.TableSynthesizer(executor=gpuvgm.DaskExecutor(client), **of_keys)
    frame = dataframe.from_pandas(early, npartitions=3, sort=False)
    with monkeypatch.context() as patch:
        if hold_out is None:
            patch.setattr(type(any_source(frame)), "blocks", refused)
        synthesizer.fit(frame)
        pd.testing.assert_frame_equal(synthesizer.sample(keys=100), expected.sample(keys=100), check_dtype=False)
        synthesizer.partial_fit(dataframe.from_pandas(late, npartitions=2, sort=False))
    again = expected.partial_fit(late).sample(keys=100)
    pd.testing.assert_frame_equal(synthesizer.sample(keys=100), again, check_dtype=False)


def test_types_of_rows_stay(client: Any) -> None:
    """Rows of a key meet in the order of the source, with the categories of all partitions."""
    table = pa.table(
        {
            "key": pa.array([1, 2, None, 1, 2, 2, None, 3]),
            "kind": pa.chunked_array([pa.array(list("abca")), pa.array(list("dcba"))]).dictionary_encode(),
            "day": pa.array([date(2026, 12, day) for day in range(1, 9)]),
            "price": pa.array([Decimal(number) / 4 for number in range(8)], pa.decimal128(9, 2)),
        }
    )
    order = RowOrder("key")
    run = Run.over(any_source(table), "auto", gpuvgm.DaskExecutor(client, partition_rows=3))
    with run.grouped(table.schema.names, order.hashes, order.sort) as grouped:
        assert grouped.schema.equals(table.schema)
        parts = [*grouped.each(lambda rows: rows)]
        assert len(grouped.lengths) == 3
    rows = pa.concat_tables(part.cast(table.schema) for part in parts).to_pylist()
    assert sorted(rows, key=str) == sorted(table.to_pylist(), key=str)
    for key in (1, 2, 3):
        days = [[row["day"] for row in part.to_pylist() if row["key"] == key] for part in parts]
        assert [part for part in days if part] == [[row["day"] for row in table.to_pylist() if row["key"] == key]]
