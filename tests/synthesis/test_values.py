"""What bins turn into: values where rows lie, as often as in the table, and in its forms."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

import gpuvgm
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins.codes import count_codes


def _sample(values: Floats, rows: int = 20_000, **conditions: object) -> Floats:
    """Sampled values of a table of one column."""
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": values})
    return np.asarray(synthesizer.sample(rows, conditions=conditions or None)["x"])


@pytest.mark.parametrize("places", [1, 0, 12], ids=["tenths", "whole", "no step"])
def test_nothing_is_drawn_between_an_outlier_and_the_others(places: int) -> None:
    """One typing error among 300 weights comes as often as it did, near its value, and no value between."""
    weights = np.random.default_rng(0).normal(60, 10, 300).round(places)
    weights[17] = 60_000
    sample = _sample(weights)
    far = sample > 2 * np.sort(weights)[-2]
    assert np.mean(far) == pytest.approx(1 / 300, rel=0.35)
    assert np.all(np.abs(sample[far] - 60_000) < 30)
    assert not np.any(sample == 60_000)


def test_nothing_is_drawn_between_two_groups_of_values() -> None:
    """A gap within a column stays one, also where no bin ends there."""
    random = np.random.default_rng(1)
    values = np.concatenate((random.normal(0, 1, 397), random.normal(1000, 1, 203)))
    sample = _sample(values)
    assert np.mean(sample < 500) == pytest.approx(397 / 600, abs=0.015)
    assert not np.any((sample > 10) & (sample < 990))


def test_values_in_a_gap_have_a_density() -> None:
    """They are hardly likely, and can be conditions."""
    values = np.append(np.random.default_rng(0).normal(60, 10, 300).round(1), 60_000)
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": values})
    inside, gap = synthesizer.score_samples({"x": [60.0, 10_000.0]})
    assert -60 < gap < inside - 12
    assert np.all(np.asarray(synthesizer.sample(50, conditions={"x": (100, 50_000)})["x"]) <= 50_000)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("rows", [[5, 5, 5, 5], [3, 10, 10, 3], [2, 4, 6, 4, 2], [7, 20, 30, 9, 6]], ids=str)
def test_few_values_come_as_often_as_in_the_table(rows: list[int], dtype: type) -> None:
    """Outermost values lose no half of their step, and rare ones nothing to frequent ones beside them."""
    values = np.repeat(np.arange(1, len(rows) + 1), rows).astype(dtype)
    sample = _sample(values)
    shares = np.bincount(sample.astype(int), minlength=len(rows) + 1)[1:] / len(sample)
    np.testing.assert_allclose(shares, np.array(rows) / sum(rows), atol=0.04)


def test_few_valued_numbers_are_cut_by_value(random: np.random.Generator) -> None:
    children = random.choice([3.0, 0.0, 1.0, np.nan, 7.0, 2.0, 4.0], 700)
    table = pd.DataFrame({"children": children, "large": np.where(children > 2, "yes", "no")})
    synthesizer = gpuvgm.TableSynthesizer(random_state=0, laws="off").fit(table)
    structure = synthesizer.network_.structure
    place = structure.place_of["children"]
    column = synthesizer.transformer_.model_.by_name["children"]
    in_order = [column.categories[int(at)] for at in structure.bins[place].low]
    assert in_order == [None, 0, 1, 2, 3, 4, 7]  # by frequency they would be in another order
    trees = next(node.trees for node in structure.trees if place in node.asked)
    assert trees.nodes[0].tolist() == [0, 3, 1, -1]  # the bin of 2 is the last that goes left; there are no sides
    sample = synthesizer.sample(2_000, seed=1)
    assert np.mean((sample["children"] > 2) == (sample["large"] == "yes")) > 0.99
    every = pd.DataFrame([(value, large) for value in in_order for large in ("yes", "no")], columns=[*table])
    shares = np.exp(synthesizer.score_samples(every))
    assert shares.sum() == pytest.approx(1)
    known = table["children"].value_counts(normalize=True, dropna=False).reindex([np.nan, *in_order[1:]])
    assert shares.reshape(-1, 2).sum(axis=1) == pytest.approx(known, abs=0.01)


@pytest.mark.parametrize("values", [["b", "a", "c", "d"], [True, False], [2, 1]])
def test_other_categories_are_in_the_order_of_their_frequency(values: list[Any]) -> None:
    table = {"x": [value for rows, value in enumerate(values, 50) for _ in range(rows)]}
    structure = gpuvgm.TableSynthesizer(random_state=0).fit(table).network_.structure
    assert structure.bins[0].low.tolist() == [*range(len(values))]


def test_categories_that_are_decimals_or_dates_ascend() -> None:
    prices = [Decimal(text) for text in ("10.50", "9.90", "100.00")]
    days = [datetime.date(2024, month, 1) for month in (5, 2, 9)]
    rows = [(prices[at], days[at]) for rows, at in ((60, 0), (50, 1), (40, 2)) for _ in range(rows)]
    table = pa.table(dict(zip(("price", "day"), map(pa.array, zip(*rows, strict=True)), strict=True)))
    columns = {"price": "categorical", "day": "categorical"}
    structure = gpuvgm.TableSynthesizer(random_state=0, columns=columns, laws="off").fit(table).network_.structure
    assert [bins.low.tolist() for bins in structure.bins] == [[1, 0, 2]] * 2


def _of_codes(codes: Floats, rows: int, seed: int, shape: float = 1.2) -> Floats:
    """Rows with codes, of which some have many and some few."""
    random = np.random.default_rng(seed)
    shares = random.gamma(shape, 1, len(codes))
    return random.choice(codes, rows, p=shares / shares.sum())


def test_codes_that_lie_far_from_each_other_come_back() -> None:
    """Codes of 90 schools among 70,000 whole numbers: no other is drawn, and none that fewer than five rows have."""
    random = np.random.default_rng(4)
    table = _of_codes(random.choice(np.arange(20_000, 90_000), 90, replace=False), 900, 5)
    values, rows = np.unique(table, return_counts=True)
    assert np.sum(rows[rows >= 5]) < 0.95 * 900  # no list, as `are_few` has it
    drawn, shares = np.unique(_sample(table), return_counts=True)
    assert drawn.tolist() == values[rows >= 5].tolist()
    # Rows of a rarer one are given to those near it.
    assert np.abs(shares / shares.sum() - rows[rows >= 5] / 900).sum() / 2 < np.mean(rows[rows < 5].sum() / 900) + 0.02


@pytest.mark.parametrize("places", [0, 1], ids=["whole", "missing"])
def test_answers_of_surveys_come_back(places: int) -> None:
    """Refusals and others below zero, and answers with gaps between: none of them is made up."""
    random = np.random.default_rng(places)
    for seed in range(4):
        scale = random.choice(np.arange(1, 60), 28, replace=False)
        answers = _of_codes(np.concatenate(([-9, -7, -1], scale)), 1500, seed).astype(float if places else int)
        table = np.where(random.random(1500) < 0.1, np.nan, answers) if places else answers
        values, rows = np.unique(answers, return_counts=True)
        sample = _sample(table)
        assert {*sample[~np.isnan(sample)]} <= {*values} and len(values) > 20
        assert np.isin(sample, values[rows < 5]).mean() < 0.01


@pytest.mark.parametrize(("count", "each", "come_out"), [(250, 8, True), (1000, 8, False), (1000, 20, True)])
def test_numbers_of_few_rows_each_are_others(
    count: int, each: int, come_out: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Up to 256 codes come back, and more with ten rows each; else they may be those of customers."""
    random = np.random.default_rng(count)
    numbers = random.choice(np.arange(10_000, 100_000), count, replace=False)
    table = random.choice(numbers, count * each)
    with caplog.at_level("INFO", "gpuvgm"):
        sample = _sample(table)
    assert ('column "x": codes, of which samples have those of five rows and more' in caplog.text) == come_out
    assert ('column "x": numbers as of customers, in place of which samples have others' in caplog.text) != come_out
    share = np.isin(sample, numbers).mean()
    assert share == 1 if come_out else share < 3 * count / 90_000
    assert ks_2samp(sample, table).statistic < 0.02


def test_numbers_of_articles_come_back_however_many_there_are() -> None:
    """They name no one, as the name of the column says."""
    random = np.random.default_rng(2)
    numbers = random.choice(np.arange(10_000, 100_000), 1000, replace=False)
    table = {"article_no": random.choice(numbers, 8000)}
    sample = gpuvgm.TableSynthesizer().fit(table).sample(4000)
    assert np.isin(np.asarray(sample["article_no"]), numbers).mean() > 0.85


def test_codes_of_few_keys_do_not_come_back() -> None:
    """A doctor with many visits of one patient is not in a sample."""
    random = np.random.default_rng(3)
    doctors = random.choice(np.arange(10_000, 100_000), 80, replace=False)
    table = pd.DataFrame(
        {
            "patient": [f"p{number:04d}@mail.org" for number in random.integers(0, 400, 2000)],
            "doctor": random.choice(doctors[1:], 2000),
        }
    )
    table.loc[:30, ["patient", "doctor"]] = ["p9999@mail.org", doctors[0]]
    sample = gpuvgm.TableSynthesizer().fit(table).sample(8000)
    assert {*sample["doctor"]} == {*doctors[1:]}


@pytest.mark.parametrize(
    "law",
    [
        lambda random: random.integers(18, 90, 3000),
        lambda random: random.geometric(0.05, 3000),
        lambda random: random.pareto(1.5, 3000).round(),
        lambda random: random.normal(0, 20, 400).round(),
        lambda random: np.append(random.normal(60, 10, 300).round(), 60_000),
        lambda random: random.integers(0, 10**6, 50_000),
        lambda random: random.lognormal(8, 1, 20_000).round(),
    ],
    ids=["ages", "counts", "heavy tail", "small", "outlier", "wide", "income"],
)
def test_quantities_are_no_codes(law: Any) -> None:
    table = law(np.random.default_rng(7))
    values, rows = np.unique(table, return_counts=True)
    assert count_codes(values, rows, rows, np.ones(len(values), np.bool_), 1.0) == 0


def test_floats_of_32_bits_that_text_was_made_of_and_read_from_stay_such() -> None:
    """Readers of CSV are off by a last digit: of 40.6 in 32 bits comes 40.59999847412109, or ...412110."""
    random = np.random.default_rng(6)
    tenths = random.gamma(4, 9, 3000).round(1).clip(0, 100)
    singles = tenths.astype(np.float32).astype(float)
    table = np.where(random.random(3000) < 0.3, np.nextafter(singles, 200), singles)
    sample = _sample(table)
    assert np.all(np.abs(sample - sample.round(1)) < 1e-5)
    values, rows = np.unique(table, return_counts=True)
    listed = values[rows >= 8]
    assert np.isin(sample, listed).mean() == pytest.approx(np.isin(table, listed).mean(), abs=0.05)


def test_the_ends_of_few_rows_are_drawn_as_the_law_has_it() -> None:
    """Of 1, 2, 3, 4 in a row each the ends are drawn half as often as the normal law's middle, not a quarter."""
    sample = _sample(np.array([1, 2, 3, 4]))
    assert np.mean(sample == 1) == pytest.approx(0.16, abs=0.015)
    assert np.mean(sample == 4) == pytest.approx(0.16, abs=0.015)


@pytest.mark.parametrize("rows", [300, 1000])
def test_tails_reach_as_far_as_those_of_other_rows(rows: int) -> None:
    """Beyond the first and last per cent a heavy-tailed law keeps its shape."""
    random = np.random.default_rng(rows)
    table, others = random.standard_t(3, rows), random.standard_t(3, 100_000)
    sample = _sample(table, 50_000)
    for low, high in ((-np.inf, np.quantile(others, 0.01)), (np.quantile(others, 0.99), np.inf)):
        places = np.linspace(max(low, sample.min()), min(high, sample.max()), 200)
        difference = np.searchsorted(np.sort(sample), places) / 50_000 - np.searchsorted(np.sort(others), places) / 1e5
        assert np.max(np.abs(difference)) < 0.012


def _prices(random: np.random.Generator, rows: int) -> Floats:
    """Nine of ten end in .99."""
    return np.round(np.floor(random.lognormal(3, 0.8, rows)) + np.where(random.random(rows) < 0.9, 0.99, 0.49), 2)


def _marks(random: np.random.Generator, rows: int) -> Floats:
    """Three of four are whole."""
    marks = random.normal(60, 15, rows).clip(0, 100)
    return np.where(random.random(rows) < 0.75, marks.round(), marks.round(1))


def _salaries(random: np.random.Generator, rows: int) -> Floats:
    """Multiples of 50, some cents, and a few that are what a division left."""
    salaries, kind = random.lognormal(7.5, 0.4, rows), random.random(rows)
    return np.where(kind < 0.7, (salaries / 50).round() * 50, np.where(kind < 0.95, salaries.round(2), salaries))


def _rounded(random: np.random.Generator, rows: int) -> Floats:
    """Whole numbers, of which some are rounded to tens, some to hundreds."""
    counts, kind = random.gamma(3, 800, rows), random.random(rows)
    return np.where(kind < 0.4, counts.round(-2), np.where(kind < 0.7, counts.round(-1), counts.round()))


def _dusty(random: np.random.Generator, rows: int) -> Floats:
    """Differences of tenths, which are no tenths in floating point."""
    return random.normal(20, 4, rows).round(1) - random.normal(9, 3, rows).round(1)


@pytest.mark.parametrize("rows", [500, 800, 5000])
@pytest.mark.parametrize(
    ("law", "units"),
    [(_prices, (0.99, 0.49)), (_marks, (1.0, 0.1)), (_salaries, (50.0, 0.01)), (_rounded, (100.0, 10.0, 5.0))],
)
def test_values_have_the_forms_of_the_table(law: Any, units: tuple[float, ...], rows: int) -> None:
    """Endings, decimal places and multiples come as often as in further rows of the law."""
    table, others = law(np.random.default_rng(rows), rows), law(np.random.default_rng(1), 50_000)
    sample = _sample(table)
    for unit in units:
        shares = [np.mean(_has_form(values, unit)) for values in (sample, table, others)]
        assert abs(shares[0] - shares[2]) <= abs(shares[1] - shares[2]) + 0.03


def _has_form(values: Floats, unit: float) -> Any:
    """Mask of values that end so, where the unit is an ending, or else are multiples of it."""
    rest = values % 1 - unit if unit in (0.99, 0.49) else values - np.rint(values / unit) * unit
    return np.abs(rest) < 1e-8


def test_values_with_floating_point_dust_are_drawn_without() -> None:
    """3.3000000000000007 is as good as 3.3; nothing lies between the tenths."""
    sample = _sample(_dusty(np.random.default_rng(0), 2000))
    assert np.max(np.abs(sample - sample.round(1))) < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_cents_of_short_floats_stay_cents(dtype: Any) -> None:
    """Though the larger ones have no room for them."""
    values = np.random.default_rng(4).lognormal(5, 2, 20_000).round(2).clip(0, 60_000).astype(dtype)
    sample = _sample(values)
    assert sample.dtype == dtype and sample.max() > 40_000
    np.testing.assert_array_equal(sample, sample.astype(np.float64).round(2).astype(dtype))


def test_times_are_full_and_half_hours() -> None:
    """Eight of ten appointments begin so; their minutes come so."""
    random = np.random.default_rng(5)
    minutes = random.integers(0, 60 * 24 * 300, 3000)
    minutes = np.where(random.random(3000) < 0.8, minutes // 30 * 30, minutes)
    table = {"at": np.datetime64("2024-01-01T00:00") + minutes.astype("timedelta64[m]").astype("timedelta64[us]")}
    sample = np.asarray(gpuvgm.TableSynthesizer().fit(table).sample(10_000)["at"]).astype("datetime64[m]").astype(int)
    assert np.mean(sample % 30 == 0) == pytest.approx(np.mean(minutes % 30 == 0), abs=0.02)
    assert 0.4 < np.mean(sample[sample % 30 == 0] % 60 == 0) < 0.6


@pytest.mark.parametrize("law", [_prices, _salaries, _rounded])
def test_forms_meet_conditions(law: Any) -> None:
    """Rows under a condition have the forms of the others, and lie in its range."""
    table = law(np.random.default_rng(2), 4000)
    low, high = np.quantile(table, [0.4, 0.6])
    sample = _sample(table, 4000, x=(low, high))
    assert low <= sample.min() and sample.max() <= high
    inside = table[(table >= low) & (table <= high)]
    unit = {_prices: 0.99, _salaries: 50.0, _rounded: 100.0}[law]
    assert np.mean(_has_form(sample, unit)) == pytest.approx(np.mean(_has_form(inside, unit)), abs=0.06)


def test_the_probabilities_of_all_values_add_up_to_one() -> None:
    """Values of frequent forms have higher ones."""
    table = _rounded(np.random.default_rng(3), 3000)
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": table})
    values = np.arange(table.min(), table.max() + 1)
    probabilities = np.exp(synthesizer.score_samples({"x": values}))
    assert np.sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert np.sum(probabilities[values % 100 == 0]) == pytest.approx(np.mean(table % 100 == 0), abs=0.03)


def test_numbers_without_forms_have_none() -> None:
    """Neither laws that are smooth on their steps nor a few frequent values make any; nor does another seed."""
    random = np.random.default_rng(4)
    table = {
        "normal": random.normal(0, 1000, 20_000).round(),
        "income": random.lognormal(8, 1, 20_000).round(),
        "age": random.integers(18, 90, 20_000),
        "few": random.choice([3, 7, 11, 250, 999], 20_000),
        "float": random.normal(0, 1, 20_000),
    }
    assert [bins.forms for bins in gpuvgm.TableSynthesizer().fit(table).network_.structure.bins] == [None] * 5


def test_forms_are_saved_and_do_not_depend_on_partitions(tmp_path: Path) -> None:
    """A loaded model draws the same rows; so does one that was fitted to two parts of a table."""
    table = pa.table({"x": _prices(np.random.default_rng(6), 3000)})
    parts = pa.concat_tables([table.slice(0, 1000), table.slice(1000)])
    synthesizer, other = (gpuvgm.TableSynthesizer().fit(source) for source in (table, parts))
    synthesizer.save(tmp_path / "model.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "model.gpuvgm")
    forms = synthesizer.network_.structure.bins[0].forms
    assert forms is not None and forms.remainders
    assert synthesizer.sample(1000) == loaded.sample(1000) == other.sample(1000)
    assert loaded.network_.structure.bins[0].forms == forms


def _days(random: np.random.Generator, rows: int) -> pd.DatetimeIndex:
    """Days of sixty years."""
    return pd.to_datetime("1950-01-01") + pd.to_timedelta(random.integers(0, 22_000, rows), unit="D")


def _moments(rows: int) -> pd.DataFrame:
    """Dates, months and times as numbers, and as digits."""
    random = np.random.default_rng(rows)
    days, paid = _days(random, rows), _days(random, rows).strftime("%Y%m")
    hours, minutes = random.integers(0, 24, rows), random.integers(0, 60, rows)
    born = days.strftime("%Y%m%d")
    return pd.DataFrame(
        {
            "born": born.astype(int),
            "text": born,
            "float": pd.Series(born.astype(float)).where(random.random(rows) > 0.1),
            "month": paid.astype(int),
            "time": hours * 100 + minutes,
            "clock": hours * 10_000 + minutes * 100 + random.integers(0, 60, rows),
            "quarter": hours * 100 + minutes // 15 * 15,
        }
    )


@pytest.mark.parametrize("rows", [300, 3000])
def test_numbers_that_are_dates_and_times_stay_such(rows: int, caplog: pytest.LogCaptureFixture) -> None:
    """No month has 31 days too many, and no hour more than sixty minutes; the fit says how they are written."""
    with caplog.at_level("INFO", "gpuvgm"):
        synthesizer = gpuvgm.TableSynthesizer().fit(_moments(rows))
    for name, moments in (("born", "YYYYMMDD"), ("text", "YYYYMMDD"), ("time", "HHMM"), ("clock", "HHMMSS")):
        assert f'column "{name}": whole numbers that are {moments}' in caplog.text
    sample = synthesizer.sample(20_000)
    for name in ("born", "text", "float"):
        digits = sample[name].dropna().astype(float).astype(int).astype(str)
        assert pd.to_datetime(digits, format="%Y%m%d", errors="coerce").notna().all(), name
    assert pd.to_datetime(sample["month"].astype(str), format="%Y%m", errors="coerce").notna().all()
    for parts in (sample["time"], sample["quarter"], sample["clock"], sample["clock"] // 100):
        assert parts.mod(100).max() < 60
    assert sample["text"].str.len().eq(8).all()


def test_dates_as_numbers_are_as_even_over_the_year_as_in_the_table() -> None:
    """Conditions cut them, months have equal shares, and paydays stay the 28th."""
    table = _moments(4000)[["born"]].assign(paid=lambda frame: frame["born"] // 100 * 100 + 28)
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    sample = synthesizer.sample(20_000)
    months = np.bincount(sample["born"] // 100 % 100, minlength=13)[1:] / len(sample)
    np.testing.assert_allclose(months, np.bincount(table["born"] // 100 % 100, minlength=13)[1:] / 4000, atol=0.012)
    assert (sample["paid"] % 100 == 28).all()
    ranged = synthesizer.sample(500, conditions={"born": (19_800_115, 19_810_214)})
    assert ranged["born"].between(19_800_115, 19_810_214).all()
    assert pd.to_datetime(ranged["born"].astype(str), format="%Y%m%d", errors="coerce").notna().all()


def test_ordinary_whole_numbers_are_no_dates() -> None:
    """Neither numbers of eight or six digits, nor amounts, ages, years, or multiples of 50."""
    random = np.random.default_rng(8)
    table = {
        "eight": random.integers(19_000_000, 20_300_000, 3000),
        "six": random.integers(190_000, 203_000, 3000),
        "amount": random.integers(0, 2400, 3000),
        "small": random.integers(0, 60, 3000),
        "year": random.integers(1900, 1960, 3000),
        "fifties": random.integers(0, 48, 3000) * 50,
        "one wrong": np.append(_moments(2999)["born"], 19_650_230),
        "tens": random.integers(0, 2_000_000, 3000) * 10,
    }
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    forms = {bins.name: bins.forms for bins in synthesizer.network_.structure.bins}
    assert all(own is None or own.moments is None for own in forms.values())
    assert forms["eight"] is forms["six"] is forms["amount"] is None


@pytest.mark.parametrize(("times", "rows"), [(30, 3000), (200, 5000), (150, 1000)])
def test_few_valued_datetimes_bring_no_new_ones(times: int, rows: int) -> None:
    """Loads of a table are at the times at which it was loaded, also where some of these have few rows."""
    random = np.random.default_rng(times)
    loads = np.datetime64("2024-01-01") + np.sort(random.integers(0, 90 * 86_400, times)).astype("timedelta64[s]")
    loaded = loads[random.choice(times, rows, p=random.dirichlet(np.full(times, 2.0)))]
    table = {"loaded": loaded.astype("datetime64[us]"), "x": random.normal(size=rows)}
    sample = gpuvgm.TableSynthesizer().fit(table).sample(5000)
    assert np.isin(np.asarray(sample["loaded"]).astype("datetime64[s]"), loads).all()


@pytest.mark.parametrize("exponent", [17, 300])
def test_numbers_of_all_magnitudes_lie_on_no_decimal_places(exponent: int) -> None:
    """The largest floats are whole numbers, which says nothing of the others."""
    x = 10.0 ** np.random.default_rng(exponent).uniform(-exponent, exponent, 6_000)
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": x})
    sample = np.asarray(synthesizer.sample(6_000)["x"])
    assert ks_2samp(np.log10(x), np.log10(sample)).statistic < 0.04
    low, high = 10.0 ** (-0.2 * exponent), 10.0 ** (0.2 * exponent)
    between = np.asarray(synthesizer.sample(300, conditions={"x": (low, high)})["x"])
    assert np.all((between >= low) & (between <= high))
