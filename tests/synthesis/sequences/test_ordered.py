"""Samples in the order of a column: the rows of the sample, sorted in memory or in files, numbered without gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError

KEYS, SAMPLED = 250, 3000


def invoices() -> pd.DataFrame:
    """Invoices of customers, numbered over all customers, and by other numbers within each year."""
    random = np.random.default_rng(0)
    rows = []
    for customer in range(KEYS):
        time = int(random.integers(0, 300 * 86400))
        for _ in range(2 + random.poisson(4)):
            kind = str(random.choice(["paper", "mail", "portal"]))
            rows.append((f"C{customer + 1000}", time, kind, round(random.lognormal(2, 1), 2)))
            time += 1 + int(random.exponential(30 * 86400))
    table = pd.DataFrame(rows, columns=["customer", "time", "kind", "total"])
    table["time"] = pd.Timestamp("2024-06-01") + pd.to_timedelta(table.time, unit="s")
    table = table.sort_values("time", kind="stable").reset_index(drop=True)
    year = table.time.dt.year
    of_year = table.groupby(year).cumcount() + 1
    table.insert(0, "invoice", [f"INV-{one}-{number:06}" for one, number in zip(year, of_year, strict=True)])
    table.insert(0, "booking", np.arange(len(table)) * 10 + 5010)
    table.loc[table.index[50::97], "total"] = np.nan
    return table


@pytest.fixture(scope="module")
def model() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[Any]]:
    table = invoices()
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="customer", sequence_index="time", threads=1)
    return table, synthesizer.fit(table)


def test_numbers_of_a_sample_in_order_have_no_gaps(model: Any) -> None:
    table, synthesizer = model
    rows = synthesizer.sample(SAMPLED, sort="time")
    assert rows.time.is_monotonic_increasing
    assert (rows.booking == table.booking.min() + 10 * np.arange(SAMPLED)).all()
    parts = rows.invoice.str.extract(r"^INV-(\d{4})-(\d{6})$").astype(int)
    assert (parts[0] == rows.time.dt.year).all()
    assert (parts[1] == rows.groupby(rows.time.dt.year).cumcount() + 1).all()
    assert rows.dtypes.equals(table.dtypes)


def test_it_has_the_rows_of_the_sample(model: Any) -> None:
    _, synthesizer = model
    drawn = synthesizer.sample(SAMPLED, seed=3)
    numbers = ["booking", "invoice"]
    expected = drawn.sort_values("time", kind="stable").reset_index(drop=True)
    rows = synthesizer.sample(SAMPLED, seed=3, sort="time")
    pd.testing.assert_frame_equal(rows.drop(columns=numbers), expected.drop(columns=numbers))


@pytest.mark.parametrize("sort", ["time", "kind", "total"])
def test_files_are_sorted_as_rows_in_memory_are(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    _, synthesizer = model
    rows = synthesizer.sample(SAMPLED, sort=sort)
    synthesizer.sample(SAMPLED, sort=sort, out=tmp_path / "whole.parquet")
    monkeypatch.setattr("gpuvgm.synthesis.sequences.ordered.PART_BYTES", 1 << 14)
    monkeypatch.setattr("gpuvgm.synthesis.sequences.sorted_files.MOST_BITS", 2)
    monkeypatch.setattr("gpuvgm.synthesis.sampling.sampler.BLOCK_ROWS", 256)
    synthesizer.sample(SAMPLED, sort=sort, out=tmp_path / "parts.parquet")
    synthesizer.sample(SAMPLED, sort=sort, out=tmp_path / "folder")
    for name in ("whole.parquet", "parts.parquet", "folder"):
        written = pd.read_parquet(tmp_path / name)
        pd.testing.assert_frame_equal(written, rows, check_dtype=False)
    assert (rows[sort].dropna().is_monotonic_increasing) and rows[sort].isna().iloc[-1] == rows[sort].isna().any()


def test_other_orders_keep_the_numbers_of_the_sample(model: Any) -> None:
    _, synthesizer = model
    rows, drawn = synthesizer.sample(SAMPLED, sort="kind"), synthesizer.sample(SAMPLED)
    assert rows.booking.sort_values().tolist() == drawn.booking.sort_values().tolist()
    assert rows.kind.drop_duplicates().tolist() == ["mail", "paper", "portal"]


def test_keys_are_drawn_in_order(model: Any) -> None:
    _, synthesizer = model
    rows, drawn = synthesizer.sample(keys=20, sort="time"), synthesizer.sample(keys=20)
    assert rows.time.tolist() == drawn.time.sort_values().tolist()
    assert (rows.booking.diff().dropna() == 10).all()


def test_rows_without_a_sequence_are_sorted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.normal(0, 1, 2000).round(2), "y": random.choice(["a", "b"], 2000)})
    synthesizer = gpuvgm.TableSynthesizer(threads=1).fit(table)
    rows = synthesizer.sample(500, sort="x")
    expected = synthesizer.sample(500).sort_values("x", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected)
    synthesizer.sample(500, sort="x", out=tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), rows, check_dtype=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 5, "sort": "time", "first_row": 5}, "first_row: with sort, a sample is in order as a whole"),
        ({"keys": 5, "sort": "time", "first_key": 5}, "first_key: with sort, a sample is in order as a whole"),
        ({"n": 5, "sort": "tim"}, 'sort: there is no modelled column "tim".*did you mean "time"'),
        ({"n": 5, "sort": "customer"}, 'sort: there is no modelled column "customer"'),
        ({"n": 5, "sort": "booking"}, 'sort: "booking" rises with "time": give that column'),
        ({"n": 1, "sort": "time", "conditions": pd.DataFrame({"kind": ["mail"]})}, "give no sort"),
    ],
)
def test_what_has_no_order_is_refused(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model[1].sample(**options)


def test_nothing_is_written_of_a_sample_that_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="resume: with sort, a sample is written as a whole"):
        model[1].sample(5, sort="time", out=tmp_path / "folder", resume=True)
    assert not [*tmp_path.iterdir()]


def test_a_sample_that_breaks_off_leaves_no_file(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken off")

    monkeypatch.setattr("gpuvgm.synthesis.sequences.ordered.unmodelled_columns", broken)
    with pytest.raises(RuntimeError, match="broken off"):
        model[1].sample(50, sort="time", out=tmp_path / "rows.parquet")
    assert not [*tmp_path.iterdir()]
