"""Stages of a fit: each gives a record of its own, and changes nothing of those that it takes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.execution import any_source
from gpuvgm.synthesis.bins import Persons, SampledRows
from gpuvgm.synthesis.counts import Dependence
from gpuvgm.synthesis.counts.stages import CodedSample, StructureLearner
from gpuvgm.synthesis.drawing.coded_rows import CodedRows
from gpuvgm.synthesis.learning.columns import fitted_columns
from gpuvgm.synthesis.learning.samples import TableSample

ROWS = 3000


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """Orders of working days, two in five of them at the price that was asked, with the weekday as a column."""
    random = np.random.default_rng(2)
    day = random.integers(0, 400, ROWS)
    ordered = pd.Timestamp("2024-01-01") + pd.to_timedelta(day - np.where(day % 7 > 4, 2, 0), unit="D")
    asked = random.lognormal(3, 1, ROWS).round(2)
    paid = np.where(random.random(ROWS) < 0.4, asked, (asked * random.uniform(0.5, 1.5, ROWS)).round(2))
    return pd.DataFrame({"ordered": ordered, "weekday": ordered.day_name(), "asked": asked, "paid": paid})


@pytest.fixture(scope="module")
def learner(orders: pd.DataFrame) -> StructureLearner:
    settings, table = gpuvgm.TableSynthesizer(threads=1)._settings, any_source(orders)
    transformer = fitted_columns(settings, table)
    sample = TableSample.of_model(table, transformer.model_)
    rows = SampledRows(sample.column, Persons(), sample.thin_places)
    return StructureLearner(transformer, rows, 50, settings.trees.rules, settings.engine, settings.threads)


def contents(coded: CodedSample) -> dict[str, Any]:
    """All that a record has, with copies of the codes."""
    parts = {field.name: getattr(coded, field.name) for field in fields(coded)}
    codes = {name: column.codes.tobytes() for name, column in coded.codes.items()}
    return {**parts, "bins": dict(coded.bins), "codes": codes}


def test_a_stage_changes_nothing_that_it_takes(learner: StructureLearner) -> None:
    binned = learner.binned(Dependence(), Dependence())
    before = contents(binned)
    on_clocks = learner.on_clocks(binned)
    assert contents(binned) == before
    assert binned.bins["ordered"].clock is None and on_clocks.bins["ordered"].clock is not None
    before = contents(on_clocks)
    with_twins = learner.with_twins(on_clocks)
    assert contents(on_clocks) == before
    assert [bins.twin for bins in with_twins.bins.values() if bins.twin is not None] in (["asked"], ["paid"])
    before = contents(with_twins)
    structure = learner.grown(with_twins)
    assert contents(with_twins) == before
    assert {bins.name: bins for bins in structure.bins} == with_twins.bins


def test_readings_of_a_column_stand_beside_its_bins() -> None:
    first = CodedRows.of_column(0, np.array([3, 1], np.uint16), np.array([0.5, 7.0]))
    rows = first | CodedRows({0: np.array([2, 2], np.uint16), 5: np.array([4, 6], np.uint16)})
    assert rows.codes[0].tolist() == [2, 2] and rows.readings[0].tolist() == [0.5, 7.0]  # bins are drawn again alone
    assert first.codes[0].tolist() == [3, 1] and [*first.codes] == [0]
    chosen = rows.at(np.array([1])).of_places([5, 0])
    assert {place: codes.tolist() for place, codes in chosen.codes.items()} == {5: [6], 0: [2]}
    assert {place: readings.tolist() for place, readings in chosen.readings.items()} == {0: [7.0]}


@pytest.mark.parametrize("made", [(), ("count()",)])
def test_no_warning_tells_of_columns_that_are_made(made: tuple[str, ...], recwarn: pytest.WarningsRecorder) -> None:
    table = any_source({"count()": np.append(np.random.default_rng(0).poisson(2, 500), 40_000)})
    settings = gpuvgm.TableSynthesizer({"count()": {"kind": "continuous", "integer": True}}, threads=1)._settings
    fitted_columns(replace(settings, made=made), table)
    assert ["asinh" in str(warning.message) for warning in recwarn] == [True] * (not made)


def test_rows_that_lack_several_values_lack_them_together() -> None:
    """Although each of eighteen other columns tells more of both numbers."""
    rng = np.random.default_rng(0)
    usual, are_lost = rng.normal(0, 1, 1500), rng.random(1500) < 0.03
    table = pd.DataFrame({f"near {number}": (usual + rng.normal(0, 0.2, 1500)).round(2) for number in range(18)})
    for name in ("left", "arrived"):
        table[name] = np.where(are_lost, np.nan, (usual + rng.normal(0, 0.5, 1500)).round(2))
    lacking = gpuvgm.TableSynthesizer(threads=1).fit(table).sample(2000)[["left", "arrived"]].isna()
    assert 0.015 < lacking.all(axis=1).mean() < 0.07
    assert (lacking["left"] != lacking["arrived"]).mean() < 0.015
