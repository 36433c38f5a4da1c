"""Datetimes of the first rows of keys, which have no row before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from tests.synthesis.sequences.trades import appointments, ferry_trips, school_buses

MINUTE = pd.Timedelta(minutes=1)


@pytest.fixture(scope="module")
def tours() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[pd.DataFrame]]:
    table = ferry_trips(250, 2)
    return table, gpuvgm.TableSynthesizer(sequence_key="tour", sequence_index="due", threads=1).fit(table)


def test_first_rows_have_times_near_others_of_their_row(tours: tuple[pd.DataFrame, gpuvgm.TableSynthesizer]) -> None:
    """Counted from the row before, first departures fell hours from when they were due."""
    table, synthesizer = tours
    assert "around due" in str(synthesizer.network_)
    sample = synthesizer.sample(keys=400)
    late, late_of_table = ((rows.left - rows.due) / MINUTE for rows in (sample, table))
    first = ~sample.tour.duplicated()
    assert late.between(late_of_table.min(), late_of_table.max()).all()
    assert abs(late[first].mean() - late_of_table[~table.tour.duplicated()].mean()) < 0.7
    assert abs((late < 0).mean() - (late_of_table < 0).mean()) < 0.03


def test_times_are_counted_from_the_likeliest_of_the_row_before(
    tours: tuple[pd.DataFrame, gpuvgm.TableSynthesizer],
) -> None:
    """The last departure is nearer to when the next one is due, but the timetable says when."""
    steps = tours[1].sample(keys=100).groupby("tour").due.diff().dropna() / MINUTE
    assert steps.isin([20, 30, 40, 60]).mean() > 0.99


def test_later_rows_have_such_times_too() -> None:
    """Appointments weeks after the one before: who comes early comes minutes early."""
    table = appointments(250, 7)
    sample = (
        gpuvgm.TableSynthesizer(sequence_key="patient", sequence_index="due", threads=1).fit(table).sample(keys=300)
    )
    early, early_of_table = ((rows.due - rows.came) / MINUTE for rows in (sample, table))
    assert early.abs().max() < early_of_table.abs().max() + 15
    assert abs(np.std(early) - np.std(early_of_table)) < 1
    assert (sample.came <= sample.gone).all()


def test_no_key_alone_says_how_far_before_the_other_time_rows_lie() -> None:
    """One ferry of the harbour left an hour early all day."""
    table = ferry_trips(250, 2)
    early = table.tour == table.tour.value_counts().index[0]
    assert early.sum() > 5
    table.loc[early, "left"] = table.due[early] - 60 * MINUTE
    sample = gpuvgm.TableSynthesizer(sequence_key="tour", sequence_index="due", threads=1).fit(table).sample(keys=400)
    late = (sample.left - sample.due) / MINUTE
    assert (late < 0).any()
    assert late.min() > -30


def loaded_and_densities(
    synthesizer: gpuvgm.TableSynthesizer, table: pd.DataFrame, folder: Path
) -> tuple[gpuvgm.TableSynthesizer, np.ndarray]:
    """The synthesizer from a file, whose rows in parts and densities are the same, and the densities of a table."""
    synthesizer.save(folder / "model.gpuvgm")
    loaded = gpuvgm.load(folder / "model.gpuvgm")
    parts = [loaded.sample(part, first_row=first) for first, part in ((0, 70), (70, 1), (71, 129))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), synthesizer.sample(200))
    densities = synthesizer.score_samples(table)
    np.testing.assert_array_equal(loaded.score_samples(table), densities)
    return loaded, densities


def test_rows_with_such_times_are_the_same_in_any_part(
    tours: tuple[pd.DataFrame, gpuvgm.TableSynthesizer], tmp_path: Path
) -> None:
    """And from a file, whose densities are the same."""
    table, synthesizer = tours
    _, densities = loaded_and_densities(synthesizer, table, tmp_path)
    assert np.isfinite(densities).all()


@pytest.fixture(scope="module")
def runs() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[pd.DataFrame]]:
    table = school_buses(300, 1)
    return table, gpuvgm.TableSynthesizer(sequence_key="run", sequence_index="at", threads=1).fit(table)


def test_first_rows_keep_to_the_calendar(runs: tuple[pd.DataFrame, gpuvgm.TableSynthesizer]) -> None:
    """A quarter of the runs began at other hours, and on weekends; later rows are minutes after the one before."""
    sample = runs[1].sample(keys=600)
    starts = sample.loc[~sample.run.duplicated(), "at"].dt
    assert (starts.hour == 6).mean() > 0.98
    assert (starts.day_of_week > 4).mean() < 0.02
    assert starts.month.isin([7, 8]).mean() < 0.02
    steps = sample.groupby("run")["at"].diff().dropna() / MINUTE
    assert steps.isin([3, 5, 8, 12]).mean() > 0.99


def test_rows_on_the_calendar_are_the_same_in_any_part(
    runs: tuple[pd.DataFrame, gpuvgm.TableSynthesizer], tmp_path: Path
) -> None:
    """And from a file; starts on school days are likelier than at night or on a Sunday."""
    table, synthesizer = runs
    loaded, densities = loaded_and_densities(synthesizer, table, tmp_path)
    first = ~table.run.duplicated()
    for moved in (pd.Timedelta(hours=12), pd.Timedelta(days=(6 - table["at"][0].day_of_week) % 7)):
        others = loaded.score_samples(table.assign(at=table["at"] + moved))
        assert np.isfinite(others).all()
        assert others[first][0] < densities[first][0] - 1


def test_conditions_hold_in_rows_on_the_calendar(runs: tuple[pd.DataFrame, gpuvgm.TableSynthesizer]) -> None:
    may = (pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-31 23:59"))
    sample = runs[1].sample(keys=30, conditions={"any(at)": may})
    assert sample.groupby("run")["at"].apply(lambda at: at.between(*may).any()).all()


def test_later_rows_keep_their_hours_days_and_weeks_after_the_one_before() -> None:
    """Visits of a climbing hall, half of them more than a week apart: few of the steps have a day of their own."""
    random, visits = np.random.default_rng(11), list[tuple[str, pd.Timestamp]]()
    for member in range(500):
        day = pd.Timestamp("2025-01-02") + pd.Timedelta(days=int(random.integers(0, 200)))
        for _ in range(1 + random.poisson(5)):
            hour, minute = random.choice([10, 12, 17, 18, 19], p=[0.1, 0.1, 0.2, 0.35, 0.25]), random.integers(0, 60)
            visits.append((f"M{3000 + member}", day + pd.Timedelta(hours=int(hour), minutes=int(minute))))
            day += pd.Timedelta(days=1 + int(random.exponential(12)))
    table = pd.DataFrame(visits, columns=["member", "begun"])
    fitted = gpuvgm.TableSynthesizer(sequence_key="member", sequence_index="begun", threads=1).fit(table)
    sample = fitted.sample(keys=1500)
    hours, hours_of_table = (
        rows.begun[rows.member.duplicated()].dt.hour.value_counts(normalize=True) for rows in (sample, table)
    )
    assert hours[hours.index.difference(hours_of_table.index)].sum() < 0.01
    assert (hours - hours_of_table).abs().max() < 0.03
    steps, steps_of_table = (
        rows.groupby("member").begun.diff().dropna() / pd.Timedelta(days=1) for rows in (sample, table)
    )
    assert ks_2samp(steps, steps_of_table).statistic < 0.05
