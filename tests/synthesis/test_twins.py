"""Columns that often have the number of another one have it as often in samples."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import gpuvgm
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.synthesis.counts.network import Network
from gpuvgm.synthesis.drawing.values import value_maker

ROWS = 6000
DAYS = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.arange(900), unit="D")
PAIRS = [("due", "paid"), ("asked", "given"), ("first", "again"), ("first", "whole"), ("x", "y"), ("paid", "booked")]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(5)

    def mostly(share: float, values: Any, others: Any) -> Any:
        return np.where(random.random(ROWS) < share, values, others)

    due, first = random.integers(30, 800, ROWS), random.integers(0, 5000, ROWS)
    paid = mostly(0.86, due, due + random.integers(-30, 60, ROWS))
    asked, x = random.lognormal(5, 1, ROWS).round(2), random.normal(size=ROWS)
    again = mostly(0.3, first, random.integers(0, 5000, ROWS)).astype(np.float64)
    again[random.random(ROWS) < 0.1] = np.nan
    mark = random.integers(1, 6, ROWS)
    return pd.DataFrame(
        {
            "due": DAYS[due],
            "paid": DAYS[paid],
            "booked": DAYS[np.minimum(paid + mostly(0.5, 0, random.integers(0, 20, ROWS)), 899)],
            "asked": asked,
            "given": mostly(0.6, asked, (asked * random.uniform(0.3, 1, ROWS)).round(2)),
            "first": first,
            "again": again,
            "whole": mostly(0.9, first, first + random.integers(1, 3000, ROWS)),
            "x": x,
            "y": mostly(0.5, x, x + random.normal(size=ROWS)),
            "mark": mark,
            "other mark": mostly(0.5, mark, random.integers(1, 6, ROWS)),
        }
    )


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(hold_out=0.1).fit(table)


@pytest.fixture(scope="module")
def sample(fitted: gpuvgm.TableSynthesizer) -> pd.DataFrame:
    rows: pd.DataFrame = fitted.sample(3 * ROWS, seed=1)
    return rows


def equal(rows: pd.DataFrame, one: str, other: str) -> float:
    return float((rows[one] == rows[other]).mean())


def twins_of(network: Network) -> dict[str, str | None]:
    return {bins.name: bins.twin for bins in network.structure.bins if bins.twin is not None}


@pytest.mark.parametrize("pair", [*PAIRS, ("mark", "other mark")])
def test_columns_are_equal_as_often_as_in_the_table(
    pair: tuple[str, str], table: pd.DataFrame, sample: pd.DataFrame
) -> None:
    assert equal(sample, *pair) == pytest.approx(equal(table, *pair), abs=0.025)


def test_columns_whose_values_all_have_a_bin_have_no_twin(fitted: gpuvgm.TableSynthesizer) -> None:
    twins = twins_of(fitted.network_)
    assert {"paid": "due", "given": "asked", "y": "x"}.items() <= twins.items()
    assert {"mark", "other mark"}.isdisjoint({*twins, *twins.values()})
    assert "often due" in str(fitted.network_)


def test_what_is_ordered_stays_so_and_is_as_often_equal(sample: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    laws = {*map(str, fitted.laws_)}
    assert {"given <= asked", "first <= whole"} <= laws
    assert (sample["given"] <= sample["asked"]).all() and (sample["first"] <= sample["whole"]).all()


@pytest.mark.parametrize(
    ("name", "low", "high", "pair"),
    [
        ("paid", DAYS[300], DAYS[330], ("due", "paid")),
        ("due", DAYS[300], DAYS[330], ("due", "paid")),
        ("given", 100.0, 200.0, ("asked", "given")),
        ("y", -0.1, 0.1, ("x", "y")),
        ("y", 1.5, None, ("x", "y")),
    ],
)
def test_rows_that_meet_conditions_are_equal_as_often(
    name: str, low: Any, high: Any, pair: tuple[str, str], table: pd.DataFrame, fitted: gpuvgm.TableSynthesizer
) -> None:
    def meets(rows: pd.DataFrame) -> Any:
        return (rows[name] >= low) & (True if high is None else rows[name] <= high)

    rows = fitted.sample(2000, seed=2, conditions={name: (low, high)})
    assert meets(rows).all()
    assert equal(rows, *pair) == pytest.approx(equal(table[meets(table)], *pair), abs=0.06)


def test_narrow_conditions_leave_rows_as_often_equal(table: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Rows of a bin with their own number meet it far more seldom than the bin tells of those with their twin's."""
    every, values = fitted.sample(60_000, seed=4), [float(value) for value in np.sort(table["given"])[::600]]
    rows, of_values = (fitted.sample(500, seed=3, conditions={"given": one}) for one in ((100.0, 102.0), values))
    assert rows["given"].between(100, 102).all() and of_values["given"].isin(values).all()
    like = every[every["given"].between(100, 102)]
    assert equal(rows, "asked", "given") == pytest.approx(equal(like, "asked", "given"), abs=0.1)
    assert equal(of_values, "asked", "given") == pytest.approx(equal(every, "asked", "given"), abs=0.1)


def test_two_columns_that_are_to_have_conditions_may_be_twins(table: pd.DataFrame) -> None:
    found = gpuvgm.TableSynthesizer(conditions_on=["given", "asked"]).fit(table[["asked", "given", "mark"]])
    assert twins_of(found.network_) == {"asked": "given"}
    rows = found.sample(1000, conditions={"asked": (100.0, 300.0), "given": (100.0, 300.0)})
    like = table[table["asked"].between(100, 300) & table["given"].between(100, 300)]
    assert equal(rows, "asked", "given") == pytest.approx(equal(like, "asked", "given"), abs=0.06)


def test_columns_that_are_to_have_conditions_have_no_twin_but_may_be_one(table: pd.DataFrame) -> None:
    found = gpuvgm.TableSynthesizer(conditions_on=["y"]).fit(table[["x", "y"]])
    assert twins_of(found.network_) == {"x": "y"}
    rows, like = found.sample(2000, conditions={"y": (1.0, 1.2)}), table[(table["y"] >= 1.0) & (table["y"] <= 1.2)]
    assert equal(rows, "x", "y") == pytest.approx(equal(like, "x", "y"), abs=0.06)


def test_a_row_that_has_its_twins_number_is_far_likelier_than_one_that_nearly_has_it(
    table: pd.DataFrame, fitted: gpuvgm.TableSynthesizer
) -> None:
    rows = table[(table["given"] == table["asked"]) & (table["asked"] > 50)][:500]
    near = rows.assign(given=(rows["given"] - 0.01).round(2))
    own, others = fitted.score_samples(rows), fitted.score_samples(near)
    assert np.isfinite(own).all() and np.isfinite(others).all()
    assert np.median(own - others) > 3


def test_engines_have_the_same_rows(table: pd.DataFrame) -> None:
    """NumPy takes its time: of some columns, and fewer rows."""
    rows = table[["due", "paid", "asked", "given", "mark"]][:2_000]
    found = [gpuvgm.TableSynthesizer(engine=engine, hold_out=0.1).fit(rows) for engine in ("reference", "auto")]
    assert twins_of(found[0].network_) == twins_of(found[1].network_) == {"paid": "due", "given": "asked"}
    pd.testing.assert_frame_equal(*(one.sample(500, seed=1) for one in found))


def test_files_have_the_same_rows(fitted: gpuvgm.TableSynthesizer, sample: pd.DataFrame, reloaded: Any) -> None:
    pd.testing.assert_frame_equal(reloaded(fitted).sample(500, seed=1), sample[:500])


def test_partitions_leave_the_model_as_it_is(table: pd.DataFrame, tmp_path: Path) -> None:
    for at in range(3):
        table[at * 2000 : (at + 1) * 2000].to_parquet(tmp_path / f"{at}.parquet", index=False)
    networks = [gpuvgm.TableSynthesizer().fit(source).network_ for source in (tmp_path, table)]
    assert networks[0].structure.equals(networks[1].structure)
    for one, other in zip(networks[0].counts.answers, networks[1].counts.answers, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_tells_of_no_such_rows_is_refused(fitted: gpuvgm.TableSynthesizer, tmp_path: Path) -> None:
    structure = fitted.network_.structure
    without = [part for part in structure.parts if part.name != "same"]
    changed = type(structure)(structure.bins, structure.nodes, structure.order, structure.trees, tuple(without))
    with pytest.raises(ValueError, match="twin"):
        changed.check()


def test_a_model_whose_twins_are_of_another_sort_is_refused(
    fitted: gpuvgm.TableSynthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure = fitted.network_.structure
    bins = [replace(own, twin="due") if own.name == "y" else own for own in structure.bins]
    network = replace(fitted.network_, structure=replace(structure, bins=tuple(bins)))
    monkeypatch.setattr(fitted, "_model", replace(fitted._fitted, network=network))
    with pytest.raises(InputError, match='"due" has no numbers that "y" may have'):  # what is saved is loaded first
        fitted.save(tmp_path / "model.gpuvgm")


def test_a_table_of_few_rows_has_no_twins() -> None:
    rows = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) + (np.arange(60) % 2)})
    assert twins_of(gpuvgm.TableSynthesizer().fit(rows).network_) == {}


def test_twins_of_twins_may_be_in_order_and_operands_of_laws() -> None:
    random = np.random.default_rng(7)
    a, b = random.integers(0, 1000, 3000), np.where(random.random(3000) < 0.5, 0, random.integers(1, 1000, 3000))
    table = pd.DataFrame({"a": a, "b": b, "c": a + b})
    table["d"] = np.where(random.random(3000) < 0.5, table["c"], random.integers(0, 2000, 3000))
    found = gpuvgm.TableSynthesizer(conditions_on=["d"]).fit(table)
    rows = found.sample(6000, seed=1)
    assert (rows["a"] + rows["b"] == rows["c"]).all()
    assert equal(rows, "a", "c") == pytest.approx(equal(table, "a", "c"), abs=0.05)


def test_three_in_order_are_as_often_equal() -> None:
    random = np.random.default_rng(8)
    first = random.integers(0, 5000, 3000)
    second = np.maximum(first, np.where(random.random(3000) < 0.5, first, random.integers(0, 5000, 3000)))
    third = second + np.where(random.random(3000) < 0.5, 0, random.integers(0, 200, 3000))
    spent = pd.to_timedelta(random.integers(0, 10**8, 3000), unit="s")
    more = spent + pd.to_timedelta(np.where(random.random(3000) < 0.5, 0, random.integers(1, 10**6, 3000)), unit="s")
    table = pd.DataFrame({"first": first, "second": second, "third": third, "spent": spent, "more": more})
    rows = gpuvgm.TableSynthesizer().fit(table).sample(9000, seed=1)
    assert (rows["first"] <= rows["second"]).all() and (rows["second"] <= rows["third"]).all()
    for pair in [("first", "second"), ("second", "third"), ("spent", "more")]:
        assert equal(rows, *pair) == pytest.approx(equal(table, *pair), abs=0.05)


def _texts(form: str) -> Any:
    """What writes days and minutes of the year 2022 as text."""
    return lambda moments: pa.array([pd.Timestamp(one).strftime(form) for one in moments])


def _decimals(places: int) -> Any:
    scale = Decimal(1).scaleb(-places)
    return lambda tenths: pa.array(
        [(Decimal(int(one)) / 10).quantize(scale) for one in tenths], pa.decimal128(12, places)
    )


def _clocks(form: str) -> Any:
    return lambda minutes: pa.array([form.format(*divmod(int(one), 60)) for one in minutes])


FIRST_MINUTE = np.datetime64("2022-01-01T00:00")
FORMS: dict[str, dict[str, Any]] = {
    "whole numbers": {
        "text": lambda whole: pa.array([str(one) for one in whole]),
        "dollars": lambda whole: pa.array([f"${one:,}" for one in whole]),
        "euros": lambda whole: pa.array([f"{one},0 €" for one in whole]),
        "padded": lambda whole: pa.array([f"{one}.00" for one in whole], pa.large_string()),
        "int16": lambda whole: pa.array(whole, pa.int16()),
        "uint64": lambda whole: pa.array(whole, pa.uint64()),
        "float32": lambda whole: pa.array(whole.astype(np.float32)),
        "float64": lambda whole: pa.array(whole.astype(np.float64)),
    },
    "tenths": {
        "comma": lambda tenths: pa.array([f"{one / 10:.1f}".replace(".", ",") for one in tenths]),
        "hundredths": lambda tenths: pa.array([f"{one / 10:.2f}" for one in tenths]),
        "unit": lambda tenths: pa.array([f"{one / 10:.1f} kg" for one in tenths]),
        "decimal": _decimals(1),
        "longer decimal": _decimals(4),
        "float32": lambda tenths: pa.array((tenths / 10).astype(np.float32)),
        "float64": lambda tenths: pa.array(tenths / 10),
    },
    "days": {
        "iso": lambda days: _texts("%Y-%m-%d")(FIRST_MINUTE + 1440 * days),
        "German": lambda days: _texts("%d.%m.%Y")(FIRST_MINUTE + 1440 * days),
        "American": lambda days: _texts("%m/%d/%y")(FIRST_MINUTE + 1440 * days),
        "named": lambda days: _texts("%a, %d %b %Y")(FIRST_MINUTE + 1440 * days),
        "midnight": lambda days: _texts("%Y-%m-%d %H:%M:%S")(FIRST_MINUTE + 1440 * days),
        "date": lambda days: pa.array((FIRST_MINUTE + 1440 * days).astype("datetime64[D]")),
        "seconds": lambda days: pa.array((FIRST_MINUTE + 1440 * days).astype("datetime64[s]")),
        "nanoseconds": lambda days: pa.array((FIRST_MINUTE + 1440 * days).astype("datetime64[ns]")),
    },
    "moments": {
        "iso": lambda minutes: _texts("%Y-%m-%d %H:%M")(FIRST_MINUTE + minutes),
        "German": lambda minutes: _texts("%d.%m.%Y %H:%M")(FIRST_MINUTE + minutes),
        "halves": lambda minutes: _texts("%m/%d/%Y %I:%M %p")(FIRST_MINUTE + minutes),
        "T": lambda minutes: _texts("%Y-%m-%dT%H:%M:%S")(FIRST_MINUTE + minutes),
        "seconds": lambda minutes: pa.array((FIRST_MINUTE + minutes).astype("datetime64[s]")),
        "nanoseconds": lambda minutes: pa.array((FIRST_MINUTE + minutes).astype("datetime64[ns]")),
    },
    "times": {
        "short": _clocks("{}:{:02}"),
        "long": _clocks("{:02}:{:02}"),
        "seconds": _clocks("{:02}:{:02}:00"),
        "time32": lambda minutes: pa.array((60 * minutes).astype(np.int32)).cast(pa.time32("s")),
        "time64": lambda minutes: pa.array(60_000_000 * minutes).cast(pa.time64("us")),
    },
}  # fmt: skip
MOST = {"whole numbers": 2000, "tenths": 2000, "days": 700, "moments": 300_000, "times": 1440}


@pytest.fixture(scope="module", params=FORMS)
def sort(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Forms of values of one sort, numbers of them, a half of which are equal, and a fit of the table."""
    random, forms = np.random.default_rng(3), FORMS[request.param]
    first, *others = (random.integers(0, MOST[request.param], 1500) for _ in forms)
    numbers = dict(
        zip(forms, [first, *(np.where(random.random(1500) < 0.5, first, one) for one in others)], strict=True)
    )
    table = pa.table({name: forms[name](own) for name, own in numbers.items()})
    return forms, numbers, gpuvgm.TableSynthesizer().fit(table)


def test_equal_values_are_written_in_the_form_of_each_column(sort: Any) -> None:
    forms, numbers, found = sort
    name, *others = forms
    assert {*twins_of(found.network_)} >= {*others}
    rows = found.sample(3000)
    every = np.arange(max(own.max() for own in numbers.values()) + 1)
    read = {one: np.asarray(pc.index_in(rows.column(one), form(every)).fill_null(-1)) for one, form in forms.items()}
    assert min(own.min() for own in read.values()) >= 0 and found.validate(rows).broken() == []
    for one in others:
        assert np.mean(read[one] == read[name]) == pytest.approx(np.mean(numbers[one] == numbers[name]), abs=0.05)


def test_floats_of_32_bits_stay_such_beside_others() -> None:
    random = np.random.default_rng(4)
    single = random.normal(size=3000).astype(np.float32).astype(np.float64)
    others = np.where(random.random(3000) < 0.5, single, random.normal(size=3000))
    found = gpuvgm.TableSynthesizer(conditions_on=["others"]).fit(pd.DataFrame({"others": others, "single": single}))
    assert twins_of(found.network_) == {"single": "others"}
    rows = found.sample(3000)
    assert (rows["single"] == rows["single"].astype(np.float32)).all()
    assert (rows["single"] == rows["others"].astype(np.float32)).mean() == pytest.approx(0.5, abs=0.05)


def test_any_two_forms_may_be_those_of_twins(sort: Any) -> None:
    forms, numbers, found = sort
    columns, bins = found.transformer_.model_.by_name, {one.name: one for one in found.network_.structure.bins}
    low, high = max(own.min() for own in numbers.values()), min(own.max() for own in numbers.values())
    own = numbers[next(iter(forms))]
    own = own[(own >= low) & (own <= high)]
    for name, first in permutations(forms, 2):
        make = value_maker(columns, replace(bins[name], since=None, twin=first), get_engine("reference"))
        values = make(np.zeros(len(own), np.uint16), np.full(len(own), np.inf), lambda one: forms[one](own))
        assert values.equals(forms[name](own)), (name, first)
