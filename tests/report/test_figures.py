from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len

import gpuvgm
from gpuvgm.datasets import amount
from gpuvgm.errors import InputError
from gpuvgm.report import Report
from gpuvgm.report.counting import ErrorHistogram
from gpuvgm.report.measures import short
from gpuvgm.report.text import aligned

RESOLUTION = 1 + 2.0**-4
ERRORS = st.lists(st.floats(0, 1e9), max_size=50).map(np.array)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    values = amount(0, 60_000, seed=3)
    holes = np.where(np.arange(len(values)) % 10 == 0, np.nan, values)
    return pa.table({"Amount": values, "holes": holes, "cents": (100 * values).astype(np.int64)})


@pytest.fixture(scope="module")
def transformer(table: pa.Table) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(block_rows=1 << 14).fit(table)


@given(ERRORS, ERRORS)
def test_merged_histogram_is_that_of_all_errors(one: np.ndarray, other: np.ndarray) -> None:
    merged = ErrorHistogram.of(one).merge(ErrorHistogram.of(other))
    whole = ErrorHistogram.of(np.concatenate((one, other)))
    assert np.array_equal(merged.counts, whole.counts)
    assert merged.maximum == whole.maximum


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9, 0.999])
def test_quantiles_are_never_too_low_and_at_most_one_bin_too_high(share: float) -> None:
    errors = np.exp(np.random.default_rng(1).normal(-12, 6, 10_001))
    exact = np.quantile(errors, share, method="inverted_cdf")
    assert exact <= ErrorHistogram.of(errors).quantile(share) <= exact * RESOLUTION


def test_quantiles_of_zeros_tiny_and_huge_errors() -> None:
    assert ErrorHistogram().quantile(0.5) == 0
    assert ErrorHistogram.of(np.array([0.0, 1e-300])).quantile(0.999) == 1e-300
    assert ErrorHistogram.of(np.array([1e-300])).maximum == 1e-300
    assert ErrorHistogram.of(np.array([1e200, np.inf])).quantile(0.5) == 2.0**64


def test_figures_equal_those_computed_over_all_rows_at_once(
    transformer: gpuvgm.TableTransformer, table: pa.Table, report: Report
) -> None:
    back = transformer.inverse_transform(transformer.transform(table))
    scalars = transformer.transform(table)
    for name in table.column_names:
        x, again = table[name].to_pandas().to_numpy(float), back[name].to_pandas().to_numpy(float)
        kept = ~np.isnan(x)
        column = transformer.columns_[name]
        mean = np.sum(column.weights * column.means)
        variance = np.sum(column.weights * (column.stds**2 + (column.means - mean) ** 2))
        error = np.abs(again - x)[kept] / np.sqrt(variance)  # sd of the mixture, not of the rows
        figures = report.columns[name]
        assert figures.rows == len(x)
        assert figures.missing == np.count_nonzero(~kept)
        assert figures.maximum_error == pytest.approx(np.max(error), rel=1e-9)
        median = np.quantile(error, 0.5, method="inverted_cdf")
        assert median * 0.999 <= figures.median_error <= median * RESOLUTION * 1.001
        clipped = np.abs(scalars[f"{name}.scalar"].to_numpy()) >= np.float32(0.99)
        assert figures.clipped_share == np.count_nonzero(clipped) / np.count_nonzero(kept)
        assert figures.invalid_rows == 0
        assert 0.999 < figures.mode_agreement <= 1


def test_rows_of_components_without_a_mode_are_counted(table: pa.Table) -> None:
    transformer = gpuvgm.TableTransformer({"Amount": "continuous"}, tails="clip").fit(table.select(["Amount"]))
    column, report = transformer.columns_["Amount"], transformer.evaluate(table)
    assert not np.all(column.active)
    assert column.mixture is not None
    x = table["Amount"].to_numpy()[:, None]
    density = column.mixture.posterior.log_coefficients() - 0.5 * ((x - column.means) / column.stds) ** 2
    best = np.argmax(density, axis=1)
    assert report.columns["Amount"].under_threshold_rows == np.count_nonzero(~column.active[best])


def test_exact_tails_clip_nothing_and_keep_the_error_small(table: pa.Table) -> None:
    report = gpuvgm.TableTransformer(["Amount"], tails="exact").fit(table).evaluate(table)
    assert report.columns["Amount"].clipped_share == 0
    assert report.broken({"max_error": 1e-5, "min_mode_agreement": 0.999, "max_clipped_share": 0}) == []


def test_broken_limits_name_column_figure_and_remedy(report: Report) -> None:
    sentences = report.broken({"max_error": 1e-12, "min_mode_agreement": None, "max_invalid_share": 0.0})
    named = [name for name, figures in report.columns.items() if figures.p999_error > 1e-12]
    assert [text.split(":")[0] for text in sentences] == [f'column "{name}"' for name in named]
    assert all("99.9th percentile of the round-trip error" in text for text in sentences)
    assert all('tails="exact"' in text for text in sentences)
    with pytest.raises(InputError, match="max_eror"):
        report.broken({"max_eror": 1})


@pytest.mark.parametrize("tails", ["modes", "clip", "exact"])
def test_rows_beyond_the_training_range_are_invalid(tails: str, table: pa.Table) -> None:
    """As they come in, whether they are clipped or not."""
    amount = table["Amount"].to_numpy()
    high = pa.table({"Amount": np.r_[amount, np.max(amount) * np.linspace(1.01, 100, 1_000)]})
    report = gpuvgm.TableTransformer(["Amount"], tails=tails).fit(table).evaluate(high)
    assert report.columns["Amount"].invalid_rows == report.invalid_rows == 1_000
    assert any('"Amount"' in sentence for sentence in report.broken({"max_invalid_share": 0.001}))


def test_long_names_are_broken_to_fit(report: Report) -> None:
    name = "n" * 200
    lines = (
        Report(rows=report.rows, invalid_rows=0, columns={name: replace(report.columns["Amount"], unequal_rows=1)})
        .to_text()
        .splitlines()
    )
    assert max(map(len, lines)) <= 80
    assert sum(line.count("n" * 10) for line in lines) > 2
    exact = replace(report.columns["Amount"], unequal_rows=0)
    text = Report(rows=report.rows, invalid_rows=0, columns={name: exact}).to_text()
    assert "median error" not in text, "of what comes back exactly there is nothing to tell"


def test_letters_of_two_places_keep_tables_straight() -> None:
    lines = aligned(["rows"], [("顧客番号", ["1"]), ("age", ["22"]), ("value", ["数"]), ("番" * 100, ["3"])])
    places = [cell_len(line) for line in lines]
    assert max(places) <= 80
    assert len({places[i] for i in (0, 1, 2, 3, -1)}) == 1


def test_no_rows(transformer: gpuvgm.TableTransformer, table: pa.Table) -> None:
    with pytest.raises(InputError, match=r"pyarrow\.Table: there are no rows to evaluate"):
        transformer.evaluate(table.slice(0, 0))


def test_the_verdict_names_the_worst_column_first(random: np.random.Generator) -> None:
    far = {f"far{i}": np.append(random.normal(size=4000), np.full(40, 20.0 * 4**i)) for i in range(3)}
    kinds = {name: {"kind": "continuous", "n_components": 1, "tails": "clip"} for name in far} | {"city": "categorical"}
    table = far | {"city": ["a", "b"] * 2020, "whole": np.arange(4040) % 7}
    fitted = gpuvgm.TableTransformer(kinds, unknown="ignore").fit(table)
    report = fitted.evaluate(table | {"city": ["a", "z"] * 2020})
    errors = {name: report.columns[name].p999_error for name in far}
    worst, *others = sorted([*far, "city"], key=lambda name: -errors.get(name, 0.5))
    words = f"1 of 5 columns comes back exactly; look at {worst} first (99.9 % error {short(errors[worst])} sd), then "
    assert report.verdict == words + ", ".join(others)
    assert "; look at city (50.0 % of rows change)" in replace(report, columns={"city": report.columns["city"]}).verdict
    slight = {
        name: replace(report.columns["far0"], p999_error=1e-7, maximum_error=error)
        for name, error in (("less", 0.5), ("more", 2.0))
    }
    assert "; look at more first (largest error 2 sd), then less" in replace(report, columns=slight).verdict
    many = {f"copy {i}": report.columns["far0"] for i in range(30)}
    assert replace(report, columns=many).verdict.endswith(", then " + ", ".join(list(many)[1:7]) + " and 23 more")


def test_text_and_dict_hold_every_column(report: Report) -> None:
    assert str(report) == report.to_text()
    changed = {name: replace(report.columns[name], unequal_rows=1) for name in ("Amount", "cents")}
    lines = replace(report, columns={**report.columns, **changed}).to_text().splitlines()
    assert lines[0] == report.verdict.replace(" exactly", ", 2 of them to within a rounding")
    assert lines[1] == report.facts_line
    assert lines[3] == "every row comes back exactly: holes"
    for first in (6, 10):
        assert [line.split()[0] for line in lines[first : first + 2]] == [*changed]
        assert len({len(line) for line in lines[first - 1 : first + 2]}) == 1
    assert max(map(len, lines)) <= 80
    assert report.to_dict()["columns"]["holes"]["missing"] == 6000


@pytest.mark.parametrize(
    "values",
    [
        np.concatenate((np.random.default_rng(1).random(2000), np.random.default_rng(2).normal(1e11, 1e8, 2000))),
        np.concatenate(
            (np.random.default_rng(1).normal(1e-9, 1e-12, 1000), np.random.default_rng(2).normal(1e9, 1, 1000))
        ),
    ],
    ids=["ratios beside billions", "tiny ones beside billions"],
)
def test_small_values_that_are_lost_beside_large_ones_do_not_come_back(values: np.ndarray) -> None:
    transformer = gpuvgm.TableTransformer().fit({"x": values})
    report = transformer.evaluate({"x": values})
    decoded = np.asarray(transformer.inverse_transform(transformer.transform({"x": values}))["x"])
    assert len(np.unique(decoded[:1000])) < 500
    assert report.verdict.startswith("0 of 1 column come back; look at x (errors larger than distances of values, KS ")


def test_only_rows_without_an_error_come_back_exactly() -> None:
    values = np.random.default_rng(0).lognormal(10, 10, 3000)
    transformer = gpuvgm.TableTransformer().fit({"x": values})
    decoded = np.asarray(transformer.inverse_transform(transformer.transform({"x": values}))["x"])
    profile = transformer.evaluate({"x": values}).columns["x"].profile
    assert profile.no_errors == np.sum(decoded == values) < 100


def test_whole_numbers_come_back_only_if_every_one_is_equal() -> None:
    """Identifiers of 62 bits are off by hundreds, which is no more than a rounding of float64."""
    numbers = np.random.default_rng(0).integers(1, 2**62, 3_000)
    report = gpuvgm.TableTransformer({"x": "continuous"}, random_state=0).fit({"x": numbers}).evaluate({"x": numbers})
    assert not report.columns["x"].comes_back
    assert (
        report.verdict
        == f"0 of 1 column come back; look at x ({report.columns['x'].unequal_rows:,} rows a rounding apart)"
    )
    small = gpuvgm.TableTransformer(random_state=0).fit({"x": numbers >> 20}).evaluate({"x": numbers >> 20})
    assert small.columns["x"].comes_back and small.columns["x"].unequal_rows == 0
