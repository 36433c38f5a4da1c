"""Numbers that run on over all keys: they rise with a time, no two are the same, and any part is drawn alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.synthesis.keys.curves import LEAST_KEYS, NumberCurve
from gpuvgm.synthesis.sequences import learning, source

KEYS = 250
SAMPLED = 3000  # rows, more than in the tables


def visits(seed: int, unit: str) -> pd.DataFrame:
    """Rows of members in the order of their times, which are so many seconds, or days, apart."""
    random = np.random.default_rng(seed)
    rows = []
    for member in range(KEYS):
        time = int(random.integers(0, 400))
        for _ in range(2 + random.poisson(4)):
            rows.append((f"M{member + 1000}", time, round(random.lognormal(2, 1), 2)))
            time += 1 + int(random.geometric(0.02))
    table = pd.DataFrame(rows, columns=["member", "time", "price"]).sort_values("time", kind="stable")
    scale = 3571 if unit == "s" else 1
    table["time"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(table.time * scale, unit=unit)
    return table.reset_index(drop=True)


def with_numbers(kind: str) -> pd.DataFrame:
    table = visits(0, "D" if kind == "days" else "s")
    number = np.arange(len(table)) + 100_001
    if kind == "text":
        years = table.time.dt.year
        table.insert(0, "number", [f"INV-{year}-{of_year:06}" for year, of_year in zip(years, number, strict=True)])
    elif kind == "padded":
        table.insert(0, "number", [f"No {of_all:07}" for of_all in number - 100_000])
    elif kind == "small":
        table.insert(0, "number", number.astype(np.int32))
    else:
        table.insert(0, "number", number)
    return table


def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer[Any]:
    return gpuvgm.TableSynthesizer(sequence_key="member", sequence_index="time", threads=1).fit(table)


@pytest.fixture(scope="module", params=["seconds", "days", "text", "padded"])
def model(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[Any]]:
    table = with_numbers(request.param)
    return table, fitted(table)


def falls(rows: pd.DataFrame, number: str = "number") -> int:
    """Rows whose number is below one of an earlier time."""
    ordered = rows.sort_values(["time", number])
    later = ordered.time.diff() > pd.Timedelta(0)
    return int((later & (ordered[number] <= ordered[number].shift())).sum())


def test_numbers_rise_with_the_time_over_all_keys(model: Any) -> None:
    table, synthesizer = model
    rows = synthesizer.sample(SAMPLED, seed=1)
    assert falls(table) == 0
    assert falls(rows) == 0
    assert rows.number.is_unique
    assert not rows.number.isin(table.number).any()
    assert rows.number.dtype == table.number.dtype
    assert "number (running numbers that rise with time)" in str(synthesizer)


def test_any_part_of_the_numbers_is_drawn_alone(model: Any) -> None:
    _, synthesizer = model
    rows = synthesizer.sample(SAMPLED)
    for first_row, count in ((0, 1), (137, 411), (SAMPLED - 5, 5)):
        part = synthesizer.sample(count, first_row=first_row)
        assert part.equals(rows.iloc[first_row : first_row + count].reset_index(drop=True))


def test_a_file_keeps_how_numbers_rise(model: Any, tmp_path: Any) -> None:
    _, synthesizer = model
    synthesizer.save(tmp_path / "model.gpuvgm")
    assert gpuvgm.load(tmp_path / "model.gpuvgm").sample(500).equals(synthesizer.sample(500))


def test_no_interval_shows_fewer_keys_than_five(model: Any) -> None:
    table, synthesizer = model
    curve = synthesizer.identifiers_["number"].curve
    times = np.asarray(
        synthesizer.transformer_.model_["time"].all_numbers(pa.array(table.time).cast(pa.timestamp("us")))
    )
    intervals = np.searchsorted(curve.ends, np.rint((times - curve.start) / curve.step), side="right")
    intervals = np.minimum(intervals, len(curve.ends) - 1)
    assert table.groupby(intervals).member.nunique().min() >= LEAST_KEYS
    assert table.groupby(intervals).size().tolist() == list(curve.rows)


def test_texts_keep_their_form_and_the_date_of_their_row() -> None:
    rows = fitted(with_numbers("text")).sample(SAMPLED)
    parts = rows.number.str.extract(r"^INV-(\d{4})-(\d+)$")
    assert (parts[0].astype(int) == rows.time.dt.year).all()
    assert parts[1].str.len().nunique() == 1


def test_numbers_of_a_small_type_stay_within_it() -> None:
    rows = fitted(with_numbers("small")).sample(SAMPLED)
    assert rows.number.dtype == np.int32
    assert rows.number.is_unique
    assert rows.number.rank().corr(rows.time.rank()) > 0.999


def test_rows_beyond_the_room_are_told_of_and_have_numbers_of_their_own() -> None:
    curve = NumberCurve("time", 0.0, 1.0, 10, (5, 10), (30, 10), 40, 100, 1, 1)
    rows = np.arange(1000, dtype=np.uint64)
    times = (np.arange(1000) * 7 % 10).astype(float)
    numbers = curve.numbers("number", times, rows, 0)
    assert len(np.unique(numbers)) == 1000
    for first in range(0, 1000, 100):
        part = slice(first, first + 100)
        order = np.argsort(times[part], kind="stable")
        assert np.all(np.diff(numbers[part][order].astype(np.int64)) > 0)
    with pytest.raises(InputError, match="no numbers for row"):
        curve.numbers("number", times[:1], np.array([2**62], np.uint64), 0)


def test_places_rise_with_each_step_and_follow_the_rows() -> None:
    curve = NumberCurve("time", 0.0, 1.0, 1000, (500, 1000), (90, 10), 10_000, 10, 1, 1)
    numbers = curve.numbers("number", np.arange(1000.0), np.zeros(1000, np.uint64), 0).astype(np.int64)
    assert np.all(np.diff(numbers) >= 10)
    assert 0.8 < numbers[500] / numbers[-1] < 0.9


@pytest.mark.parametrize("kind", ["seconds", "padded"])
def test_numbers_of_a_table_of_which_some_keys_are_learnt(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(source, "MOST_HELD", 100)
    monkeypatch.setattr(learning, "SAMPLE_ROWS", 700)
    table = with_numbers(kind)
    synthesizer = fitted(table)
    rows = synthesizer.sample(SAMPLED)
    curve = synthesizer.identifiers_["number"].curve
    assert sum(curve.rows) < len(table)
    assert falls(rows) == 0
    assert rows.number.is_unique
    assert not rows.number.isin(table.number).any()
    if kind == "seconds":
        assert curve.first == table.number.min()


def test_numbers_in_another_order_do_not_rise() -> None:
    table = with_numbers("seconds")
    table["number"] = np.random.default_rng(1).permutation(table.number)
    with pytest.warns(gpuvgm.errors.InferenceWarning, match="does not see"):
        synthesizer = fitted(table)
    assert synthesizer.identifiers_["number"].curve is None
    assert synthesizer.sample(5).number.diff().dropna().eq(1).all()


def test_a_sample_of_more_rows_than_the_room_is_told_of(model: Any) -> None:
    _, synthesizer = model
    curve = synthesizer.identifiers_["number"].curve
    with pytest.warns(UserWarning, match='draw it in order, with sort="time"'):
        synthesizer.sample(10, first_row=curve.room)


def test_a_fit_does_not_ask_for_a_kind_of_numbers_that_rise() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpuvgm.TableSynthesizer(sequence_key="member", sequence_index="time").fit(with_numbers("text"))
    assert not any("does not see" in str(warning.message) for warning in caught)
