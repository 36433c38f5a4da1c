"""Datetimes that are never before others of their row are drawn as the time since, and are not in samples either."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.synthesis import synthesizer
from gpuvgm.synthesis.counts.network import Network
from gpuvgm.synthesis.drawing.drawing import Drawing, Drawn
from gpuvgm.table import model_file

ROWS = 6000
DAY = 86_400.0


def _orders(rows: int = ROWS) -> pd.DataFrame:
    """Orders that are sent after two days and reach their customer after a while; some are still on their way."""
    random = np.random.default_rng(8)
    express = random.random(rows) < 0.4
    ordered = pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, int(366 * DAY), rows), unit="s")
    sent = ordered + pd.to_timedelta(random.integers(600, np.where(express, int(DAY), int(4 * DAY)), rows), unit="s")
    arrived = (sent + pd.to_timedelta(random.exponential(5, rows) + 0.5, unit="D")).floor("s")
    return pd.DataFrame(
        {
            "arrived": pd.Series(arrived).where(random.random(rows) > 0.1),
            "ordered": ordered,
            "sent": sent,
            "express": express,
            "born": (pd.to_datetime("1950-01-01") + pd.to_timedelta(random.integers(0, 18_000, rows), unit="D")),
        }
    )


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """The training rows."""
    return _orders()


@pytest.fixture(scope="module")
def fitted(orders: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer().fit(orders)


def _origins(synthesizer: gpuvgm.TableSynthesizer) -> dict[str, str]:
    bins = synthesizer.network_.structure.bins
    return {one.name: one.since for one in bins if one.since is not None}


def _days(frame: pd.DataFrame, later: str, earlier: str) -> np.ndarray:
    return (frame[later] - frame[earlier]).dropna().dt.total_seconds().to_numpy() / DAY


def test_the_time_between_is_distributed_as_in_the_table(orders: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """No order is sent before it is made; births, to which nothing lies near, are counted for themselves."""
    assert _origins(fitted) == {"sent": "ordered", "arrived": "sent"}
    sample = fitted.sample(20_000)
    for later, earlier in (("sent", "ordered"), ("arrived", "sent")):
        found, expected = _days(sample, later, earlier), _days(orders, later, earlier)
        assert found.min() >= expected.min() - 1 / DAY
        assert ks_2samp(found, expected).statistic < 0.03
    for name in ("ordered", "sent", "arrived"):
        assert ks_2samp(sample[name].dropna(), orders[name].dropna()).statistic < 0.03
        assert sample[name].dropna().between(orders[name].min(), orders[name].max()).mean() > 0.999
    assert sample["arrived"].isna().mean() == pytest.approx(0.1, abs=0.01)
    assert _days(sample[sample["express"]], "sent", "ordered").max() <= 1.1


def test_files_blocks_and_parts_give_the_same(
    orders: pd.DataFrame, fitted: gpuvgm.TableSynthesizer, tmp_path: Path, reloaded: Any
) -> None:
    """Counts do not depend on row groups; rows do not depend on which others are drawn, with conditions too."""
    table = pa.Table.from_pandas(orders, preserve_index=False)
    pq.write_table(table, tmp_path / "orders.parquet", row_group_size=700)
    other = gpuvgm.TableSynthesizer(threads=2).fit(tmp_path / "orders.parquet")
    for one, two in zip(other.network_.counts.pairs, fitted.network_.counts.pairs, strict=True):
        np.testing.assert_array_equal(one, two)
    conditions = {"arrived": ("2024-03-01", "2024-05-01")}
    whole = fitted.sample(5000, conditions=conditions)
    parts = [fitted.sample(n, conditions=conditions, first_row=first) for first, n in ((0, 1234), (1234, 3766))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    loaded = reloaded(fitted)
    pd.testing.assert_frame_equal(loaded.sample(5000, conditions=conditions), whole)


@pytest.mark.parametrize(
    "conditions",
    [
        {"sent": ("2024-03-01", "2024-03-20")},
        {"arrived": ("2024-03-01", "2024-03-20"), "express": True},
        {"sent": ("2024-02-01", "2024-06-01"), "ordered": ("2024-05-30", None)},
        {"arrived": None},
        {"arrived": [None, ("2024-12-01", None)]},
    ],
)
def test_conditions_leave_the_rows_that_meet_them(
    fitted: gpuvgm.TableSynthesizer, conditions: dict[str, object]
) -> None:
    """Rows under a condition are distributed as those of a sample without it that meet it."""
    every = fitted.sample(150_000)
    meet = np.ones(len(every), np.bool_)
    for name, condition in conditions.items():
        column, met = every[name], np.zeros(len(every), np.bool_)
        for one in condition if isinstance(condition, list) else [condition]:
            if isinstance(one, tuple):
                low, high = (pd.Timestamp(end) if end else None for end in one)
                met |= ((column >= low) if low else True) & ((column <= high) if high else column.notna())
            else:
                met |= column.isna() if one is None else column == one
        meet &= met
    expected, found = every[meet], fitted.sample(4000, conditions=conditions, seed=1)
    for name in ("ordered", "sent", "arrived"):
        if expected[name].notna().any():
            assert ks_2samp(found[name].dropna(), expected[name].dropna()).pvalue > 1e-4, name
        _expect_share(found[name].isna(), expected[name].isna())
    _expect_share(found["express"], expected["express"])


def _expect_share(found: pd.Series, expected: pd.Series) -> None:
    """Shares differ by four standard errors at most, where they are one."""
    share = pd.concat((found, expected)).mean()
    error = np.sqrt(share * (1 - share) * (1 / len(found) + 1 / len(expected)))
    assert abs(found.mean() - expected.mean()) <= 4 * error


def test_what_was_drawn_goes_with_the_rows(
    fitted: gpuvgm.TableSynthesizer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """No cycle keeps it until Python collects garbage: blocks of many rows would pile up."""
    rows, drawn = Drawing.rows, list[weakref.ref[np.ndarray]]()

    def watched(drawing: Drawing, *arguments: int) -> Drawn:
        found = rows(drawing, *arguments)
        drawn.extend(weakref.ref(places) for _, places in found)
        return found

    monkeypatch.setattr(Drawing, "rows", watched)
    request.addfinalizer(gc.enable)
    gc.disable()
    fitted.sample(100)
    assert drawn and all(one() is None for one in drawn)


def test_conditions_that_no_row_meets(fitted: gpuvgm.TableSynthesizer) -> None:
    """They are refused, at once where no datetime of the model meets them, else after many rows."""
    with pytest.raises(InputError, match='column "sent": no value of the model meets'):
        fitted.sample(10, conditions={"sent": ("2030-01-01", None)})
    early, late = {"ordered": (None, "2024-02-01")}, {"ordered": ("2024-04-01", None)}
    with pytest.raises(InputError, match='column "sent": no value of the model meets'):
        fitted.sample(10, conditions={**late, "sent": (None, "2024-03-01")})
    with pytest.raises(InputError, match='column "arrived": no value of the model meets'):
        fitted.sample(10, conditions={**early, "arrived": ("2024-12-20", None)})
    with pytest.raises(InputError, match='hardly any row of the model meets that on "arrived"'):
        fitted.sample(10, conditions={"arrived": "2024-03-10 12:00:00"})


def test_rows_out_of_order_are_unlikely(orders: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Densities are those of the time between."""
    swapped = orders.assign(sent=orders["sent"].to_numpy()[::-1])
    assert np.median(fitted.score_samples(orders)) > np.median(fitted.score_samples(swapped)) + 3


def test_units_missing_and_unusual_values() -> None:
    """Days follow microseconds of the same day; an end that never comes is modal; what may miss is no origin."""
    random = np.random.default_rng(1)
    start = (pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 1000, ROWS), unit="D")).to_series(
        index=range(ROWS)
    )
    end = (start + pd.to_timedelta(random.geometric(0.05, ROWS), unit="D")).astype("datetime64[us]")
    end = end.where(random.random(ROWS) > 0.3, pd.Timestamp("2261-12-31"))
    paid = (start + pd.to_timedelta(random.integers(0, 30, ROWS), unit="D")).where(random.random(ROWS) > 0.5)
    table = {
        "start": pa.array(start.dt.date, pa.date32()),
        "end": pa.array(end),
        "paid": pa.array(paid.astype("datetime64[ms]")),
        "again": pa.array(start.astype("datetime64[us]")),
        "zoned": pa.array(end.where(end < "2200", start)).cast(pa.timestamp("us", "Europe/Rome")),
    }
    synthesizer = gpuvgm.TableSynthesizer().fit(pa.table(table))
    assert _origins(synthesizer) == {"end": "start", "paid": "start", "again": "start"}
    sample = synthesizer.sample(4000).to_pandas()
    start = pd.to_datetime(sample["start"])
    assert (sample["again"] == start).all()
    ends = sample["end"] < pd.Timestamp("2200-01-01")
    assert ends.mean() == pytest.approx(0.7, abs=0.03)
    assert (sample.loc[~ends, "end"] == pd.Timestamp("2261-12-31")).all()
    assert (_days(sample[ends].assign(start=start), "end", "start") >= 1).all()
    assert (_days(sample.assign(start=start), "paid", "start") % 1 == 0).all()


def test_days_are_not_before_the_day_of_a_moment() -> None:
    """What arrives on the day of its order has a date at whose beginning the order was not there."""
    random = np.random.default_rng(4)
    ordered = pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, int(300 * DAY), ROWS), unit="s")
    arrived = (ordered + pd.to_timedelta(random.integers(0, 3, ROWS), unit="D")).date
    table = pa.table({"arrived": pa.array(arrived, pa.date32()), "ordered": pa.array(ordered)})
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    assert _origins(synthesizer) == {"arrived": "ordered"}
    for conditions in (None, {"arrived": ("2024-03-01", "2024-03-02")}):
        sample = synthesizer.sample(4000, conditions=conditions).to_pandas()
        days = (pd.to_datetime(sample["arrived"]) - sample["ordered"].dt.floor("D")).dt.days
        assert set(days) == {0, 1, 2}
        _expect_share(days == 0, pd.Series(random.random(100_000) < 1 / 3))
    assert sample["arrived"].nunique() == 2


def test_dates_of_a_calendar_stay_on_it() -> None:
    """What is due on the first of the next month is nearer to its calendar than to the date of its invoice."""
    random = np.random.default_rng(2)
    invoice = (pd.to_datetime("2021-01-01") + pd.to_timedelta(random.integers(0, 1000, ROWS), unit="D")).to_series()
    due = invoice.dt.to_period("M").add(1).dt.to_timestamp()
    synthesizer = gpuvgm.TableSynthesizer().fit(pd.DataFrame({"invoice": invoice, "due": due}))
    assert _origins(synthesizer) == {"invoice": "due"}  # as many days before
    assert "invoice  until due" in str(synthesizer.network_)
    sample = synthesizer.sample(3000)
    assert (sample["due"].dt.day == 1).mean() > 0.99
    assert (sample["invoice"] < sample["due"]).all()


def _stays() -> pd.DataFrame:
    """Stays in a hospital, in a window of three years, of patients who were born up to 90 years before."""
    random = np.random.default_rng(6)
    admission = pd.Series(pd.to_datetime("2021-01-01") + pd.to_timedelta(random.integers(0, 1000, ROWS), unit="D"))
    discharge = admission + pd.to_timedelta(random.integers(1, 200, ROWS), unit="D")
    birth = admission - pd.to_timedelta(random.integers(0, 33_000, ROWS), unit="D")
    return pd.DataFrame({"birth": birth, "admission": admission, "discharge": discharge})


@pytest.mark.parametrize("spoilt", ["nothing", "admission", "errors"])
def test_no_stay_ends_before_it_begins(spoilt: str) -> None:
    """Also where it lasts long, admissions are missing, or few rows of the table are wrong."""
    stays, random = _stays(), np.random.default_rng(7)
    missing = random.random(ROWS) < 0.05
    if spoilt == "admission":
        stays.loc[missing, "admission"] = pd.NaT
    if spoilt == "errors":
        stays.loc[::1000, "discharge"] = stays["admission"] - pd.Timedelta(days=20)
    sample = gpuvgm.TableSynthesizer().fit(stays).sample(20_000)
    assert not (sample["discharge"] < sample["admission"]).any()
    if spoilt != "admission":
        assert not (sample["admission"] < sample["birth"]).any()
    for name in stays:
        assert sample[name].isna().mean() == pytest.approx(stays[name].isna().mean(), abs=0.01)
        assert ks_2samp(sample[name].dropna(), stays[name].dropna()).statistic < 0.04
    assert ks_2samp(_days(sample, "discharge", "admission"), _days(stays, "discharge", "admission")).statistic < 0.03


def test_few_datetimes_are_counted_for_themselves(orders: pd.DataFrame) -> None:
    """99 rows are too few to tell that they are never before others; so is a column that is missing."""
    arrived = orders["arrived"].where(orders.index < 99)
    synthesizer = gpuvgm.TableSynthesizer({"arrived": "continuous", "sent": "continuous", "ordered": "continuous"})
    assert "arrived" not in _origins(synthesizer.fit(orders.assign(arrived=arrived)))
    assert "arrived" not in _origins(synthesizer.fit(orders.assign(arrived=pd.Series(pd.NaT, orders.index))))


def test_more_rows_are_counted_in_the_same_bins(orders: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """An order that was sent before it was made counts in the outermost bin."""
    odd = orders.head(100).assign(sent=orders["ordered"] - pd.Timedelta(days=3))
    more = gpuvgm.TableSynthesizer(like=fitted).fit(orders).partial_fit(odd)
    place = [bins.name for bins in more.network_.structure.bins].index("sent")
    gained = more.network_.counts.pairs[place].sum(axis=0) - fitted.network_.counts.pairs[place].sum(axis=0)
    assert gained[0] == 100 and gained.sum() == 100


@pytest.mark.parametrize(
    "origins", [{"ordered": "sent"}, {"ordered": "ordered"}, {"ordered": "nowhere"}, {"express": "sent"}]
)
def test_models_whose_datetimes_go_round_in_circles_are_refused(
    fitted: gpuvgm.TableSynthesizer, origins: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are other columns that are counted from one; none is written."""
    structure = fitted.network_.structure
    bins = tuple(replace(one, since=origins.get(one.name, one.since)) for one in structure.bins)
    spoilt = gpuvgm.TableSynthesizer(like=fitted).fit(_orders(500))
    network = Network(replace(structure, bins=bins), fitted.network_.counts)
    spoilt._with(replace(spoilt._fitted, network=network))
    with pytest.raises(InputError, match="not written, as it could not be read again"):
        spoilt.save(tmp_path / "spoilt.gpuvgm")
    assert not [*tmp_path.iterdir()]
    with monkeypatch.context() as unproven:
        unproven.setattr(model_file, "_read_model", lambda *_: None)
        unproven.setattr(synthesizer, "_of_model", lambda *_: None)
        spoilt.save(tmp_path / "spoilt.gpuvgm")
    with pytest.raises(ModelFileError, match="its network is inconsistent"):
        gpuvgm.load(tmp_path / "spoilt.gpuvgm")


def test_a_moment_and_its_day_are_not_counted_from_each_other() -> None:
    """Each is not before the other one, in steps of days."""
    random = np.random.default_rng(3)
    moment = pd.Series(
        pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, int(300 * DAY), ROWS), unit="s")
    )
    table = {"moment": pa.array(moment), "day": pa.array(moment.dt.date, pa.date32())}
    synthesizer = gpuvgm.TableSynthesizer().fit(pa.table(table))
    assert len(_origins(synthesizer)) == 1
    sample = synthesizer.sample(3000).to_pandas()
    assert (pd.to_datetime(sample["day"]) == sample["moment"].dt.floor("D")).all()


def test_steps_that_do_not_nest_are_not_counted_since_each_other() -> None:
    """A time between multiples of 10 and of 15 minutes is none of either."""
    random = np.random.default_rng(3)
    start = pd.to_datetime("2024-01-01") + pd.to_timedelta(10 * random.integers(0, 40_000, ROWS), unit="min")
    end = start.ceil("15min") + pd.to_timedelta(15 * random.integers(1, 90, ROWS), unit="min")
    assert _origins(gpuvgm.TableSynthesizer().fit(pd.DataFrame({"start": start, "end": end}))) == {}


def test_nanoseconds_of_many_years_stay_equal() -> None:
    """What was changed at its making comes back so, though float64 does not hold its nanoseconds."""
    random = np.random.default_rng(3)
    made = pd.to_datetime("2010-01-01") + pd.to_timedelta(random.integers(0, 3650 * 86_400 * 10**6, ROWS), unit="us")
    later = np.where(random.random(ROWS) < 0.4, 0, random.integers(0, 10**13, ROWS))
    frame = pd.DataFrame({"made": made, "changed": made + pd.to_timedelta(later, unit="us")}).astype("datetime64[ns]")
    sample = gpuvgm.TableSynthesizer().fit(frame).sample(4000)
    assert not (sample["changed"] < sample["made"]).any()
    _expect_share(sample["changed"] == sample["made"], frame["changed"] == frame["made"])


def test_dates_on_ends_of_months_are_not_counted_from_others() -> None:
    """The time between is as likely, but knows nothing of months."""
    draws, rows = np.random.default_rng(0), 3000
    months = draws.integers(0, 300, rows).astype("M8[M]") + np.timedelta64(300, "M")
    later = (months.astype("M8[D]") + draws.exponential(3000, rows).astype("m8[D]")).astype("M8[M]")
    table = pa.table(
        {
            "hired": months.astype("M8[D]"),
            "left": (later + np.timedelta64(1, "M")).astype("M8[D]") - np.timedelta64(1, "D"),
        }
    )
    sample = gpuvgm.TableSynthesizer(threads=1).fit(table).sample(rows)
    left = sample.column("left").to_numpy()
    assert np.mean((left + np.timedelta64(1, "D")).astype("M8[M]") > left.astype("M8[M]")) > 0.95
    assert np.all(sample.column("hired").to_numpy() <= left)


def _visits(random: np.random.Generator) -> pd.DataFrame:
    """Stays, which end in hours of their ward, and on the same day in one of these."""
    ward = random.choice(["surgery", "day clinic", "birth"], ROWS, p=[0.4, 0.4, 0.2])
    is_short = ward == "day clinic"
    begin = np.where(is_short, random.integers(7 * 60, 10 * 60, ROWS), random.integers(0, 1440, ROWS))
    nights = np.where(is_short, 0, random.integers(1, 12, ROWS))
    bounds = np.select([[is_short] * 2, [ward == "surgery"] * 2], [[[13], [18]], [[9], [12]]], [[8], [20]])
    day = np.datetime64("2024-01-01") + random.integers(0, 500, ROWS).astype("m8[D]")
    end = (day + nights.astype("m8[D]")).astype("M8[m]") + random.integers(*(60 * bounds)).astype("m8[m]")
    columns = {"ward": ward, "begin": (day + begin.astype("m8[m]")).astype("M8[s]"), "end": end.astype("M8[s]")}
    return pd.DataFrame(columns | {"cost": random.lognormal(7, 1, ROWS).round(2)})


def _rentals(random: np.random.Generator) -> pd.DataFrame:
    """Cars and vans, which come back while the house is open."""
    kind = random.choice(["car", "van"], ROWS)
    day = np.datetime64("2024-01-01") + random.integers(0, 500, ROWS).astype("m8[D]")
    open_, closed = np.where(kind == "car", [[7], [22]], [[8], [17]])
    back = (day + random.integers(1, 15, ROWS).astype("m8[D]")).astype("M8[m]")
    back = back + random.integers(60 * open_, 60 * closed).astype("m8[m]")
    begin = (day + random.integers(8 * 60, 18 * 60, ROWS).astype("m8[m]")).astype("M8[s]")
    return pd.DataFrame(
        {"kind": kind, "begin": begin, "end": back.astype("M8[s]"), "km": random.gamma(2, 200, ROWS).round()}
    )


@pytest.mark.parametrize("table_of", [_visits, _rentals])
def test_datetimes_that_are_counted_keep_their_hours(table_of: Any, reloaded: Any) -> None:
    """The house is open by day: then datetimes are counted from the beginning of the day of their origin."""
    table = table_of(np.random.default_rng(3))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert _origins(fitted) == {"end": "begin"} and "since the day of begin" in str(fitted.network_)
    rows, by = fitted.sample(2 * ROWS), table.columns[0]
    hours = {*zip(table[by], table["end"].dt.hour, strict=True)}
    assert np.mean([pair in hours for pair in zip(rows[by], rows["end"].dt.hour, strict=True)]) > 0.975
    assert (rows["begin"] <= rows["end"]).all()
    nights, of_table = (
        (frame["end"].dt.normalize() - frame["begin"].dt.normalize()).dt.days for frame in (rows, table)
    )
    assert ks_2samp(nights, of_table).statistic < 0.03
    assert np.isfinite(fitted.score_samples(table)).all()
    late = fitted.sample(300, conditions={"end": (pd.Timestamp("2024-08-01"), pd.Timestamp("2024-08-09"))})
    assert late["end"].between("2024-08-01", "2024-08-09").all() and (late["begin"] <= late["end"]).all()


def test_datetimes_without_hours_of_their_own_are_counted_from_the_moment(fitted: gpuvgm.TableSynthesizer) -> None:
    assert not any(bins.by_days for bins in fitted.network_.structure.bins)
