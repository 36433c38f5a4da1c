"""A synthesizer of rows on a device counts and draws there, to the bits of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm import TableSynthesizer
from gpuvgm.synthesis.learning import learning
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.frames import DataFrame
from tests.table.test_device import in_stage_of

pytestmark = needs_compiler
ROWS = 6_000
LAUNCHED = {"gpuvgm_find_bins", "gpuvgm_count_rows", "gpuvgm_draw_rows"}


def orders() -> pd.DataFrame:
    """Orders, most of which were sent a while after, on a device as cuDF has them."""
    random = np.random.default_rng(3)
    ordered = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 10**7, ROWS), unit="s")
    sent = pd.Series(ordered + pd.to_timedelta(random.integers(600, 300_000, ROWS), unit="s"))
    amount = random.lognormal(3, 1, ROWS).round(2)
    return pd.DataFrame(
        {
            "ordered": ordered.astype("datetime64[us]"),
            "sent": sent.where(random.random(ROWS) > 0.1).astype("datetime64[us]"),
            "amount": np.where(random.random(ROWS) < 0.2, 0.0, amount),
            "pieces": (amount // 10 + random.integers(0, 3, ROWS)).astype(np.int64),
            "weight": np.where(random.random(ROWS) < 0.05, np.nan, amount * random.normal(1, 0.1, ROWS)),
            "city": random.choice(["Bern", "Rome", "Oslo"], ROWS, p=[0.6, 0.3, 0.1]),
        }
    )


@pytest.fixture(scope="module")
def expected() -> gpuvgm.TableSynthesizer:
    """What the host makes of them."""
    return gpuvgm.TableSynthesizer(engine="native").fit(orders())


def assert_same(found: gpuvgm.TableSynthesizer, expected: gpuvgm.TableSynthesizer) -> None:
    """Networks and rows have the same bits."""
    assert found.network_.nodes == expected.network_.nodes
    counts, others = found.network_.counts, expected.network_.counts
    for one, other in zip((*counts.pairs, *counts.triples), (*others.pairs, *others.triples), strict=True):
        assert isinstance(one, np.ndarray) and one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ["cuda", "native"])
def test_frames_of_cudf(strict_cupy: Any, cudf: Any, engine: str, expected: gpuvgm.TableSynthesizer) -> None:
    rows = orders()
    since = {bins.name: bins.since for bins in expected.network_.structure.bins}
    assert since["sent"] == "ordered" and max(len(node.parents) for node in expected.network_.nodes) == 2
    strict_cupy.hardware.launches.clear()
    found = gpuvgm.TableSynthesizer(engine=engine).fit(DataFrame.from_pandas(rows))
    assert_same(found, expected)
    sample = found.sample(3_000)
    launched = {launch[0] for launch in strict_cupy.hardware.launches}
    assert (launched & LAUNCHED) == (LAUNCHED if engine == "cuda" else set())
    np.testing.assert_array_equal(found.score_samples(rows[:500]), expected.score_samples(rows[:500]))
    back, wanted = sample.to_pandas(), expected.sample(3_000)
    for name in wanted:
        assert back[name].astype(wanted[name].dtype).equals(wanted[name]), name


def test_rows_of_the_host_are_drawn_on_the_device(strict_cupy: Any, expected: gpuvgm.TableSynthesizer) -> None:
    found = gpuvgm.TableSynthesizer(engine="cuda").fit(orders())
    assert_same(found, expected)
    strict_cupy.hardware.launches.clear()
    conditions = {"city": "Rome", "pieces": (1, 4)}
    assert found.sample(2_000, conditions=conditions).equals(expected.sample(2_000, conditions=conditions))
    assert {launch[0] for launch in strict_cupy.hardware.launches} == {"gpuvgm_draw_rows", "gpuvgm_draw_in_trees"}


def test_computed_columns_are_those_of_the_host(strict_cupy: Any) -> None:
    """Their bins are found on the host, and what depends on them is drawn on the device."""
    random, rows = np.random.default_rng(4), orders()
    rows["price"] = random.gamma(4, 5, ROWS).round(2)
    rows["net"] = (rows["price"] * rows["pieces"]).round(2)
    rows["size"] = np.where(rows["net"] > 100, "large", "small")
    expected, found = (gpuvgm.TableSynthesizer(engine=engine).fit(rows) for engine in ("native", "cuda"))
    assert "pieces * price = net" in {*map(str, found.laws_)} and found.laws_ == expected.laws_
    for conditions in (None, {"size": "large", "pieces": (1, 4)}):
        strict_cupy.hardware.launches.clear()
        assert found.sample(1_000, conditions=conditions).equals(expected.sample(1_000, conditions=conditions))
        assert "gpuvgm_draw_in_trees" in {launch[0] for launch in strict_cupy.hardware.launches}
    np.testing.assert_array_equal(found.score_samples(rows[:500]), expected.score_samples(rows[:500]))


@pytest.mark.parametrize("on_device", [False, True])
def test_twins_are_those_of_the_host(strict_cupy: Any, cudf: Any, on_device: bool) -> None:
    """Rows are told and counted where they lie; what a twin decides is made on the host."""
    random, rows = np.random.default_rng(6), orders()[["ordered", "sent", "amount"]]
    late = pd.to_timedelta(np.where(random.random(ROWS) < 0.6, 0, random.integers(-(10**6), 10**6, ROWS)), unit="s")
    rows["due"] = (rows["ordered"] + late).astype("datetime64[us]")
    rows["paid"] = np.where(random.random(ROWS) < 0.5, rows["amount"], random.lognormal(3, 1, ROWS).round(2))
    expected = TableSynthesizer(engine="native").fit(rows)
    twins = {bins.name: bins.twin for bins in expected.network_.structure.bins if bins.twin is not None}
    assert twins == {"due": "ordered", "paid": "amount"}
    found = TableSynthesizer(engine="cuda").fit(DataFrame.from_pandas(rows) if on_device else rows)
    assert_same(found, expected)
    for one, other in zip(found.network_.counts.answers, expected.network_.counts.answers, strict=True):
        np.testing.assert_array_equal(one, other)
    for conditions in (None, {"paid": (10.0, 30.0)}):
        sample, wanted = (one.sample(1_000, conditions=conditions) for one in (found, expected))
        back = sample.to_pandas() if on_device else sample
        for name in wanted:
            assert back[name].astype(wanted[name].dtype).equals(wanted[name]), name
    np.testing.assert_array_equal(found.score_samples(rows[:500]), expected.score_samples(rows[:500]))


def test_the_host_touches_no_rows_by_default(strict_cupy: Any, cudf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bins are found and counted where the rows lie: the counts alone cross the bus."""
    rows = orders().astype({"city": "category"})  # text comes to the host
    given = DataFrame.from_pandas(rows)
    ledger = strict_cupy.hardware.ledger
    count = learning.count_rows
    monkeypatch.setattr(learning, "count_rows", lambda *given: in_stage_of(given[0], ledger, count, *given[1:]))
    found = TableSynthesizer().fit(given)
    assert_same(found, TableSynthesizer(engine="native").fit(rows))
    counting, sizes = ledger.stages["apart"], found.network_.counts
    tables = sum(table.nbytes for table in (*sizes.pairs, *sizes.triples))
    assert "gpuvgm_count_rows" in counting.names
    assert counting.bytes_down - tables <= rows.memory_usage().sum() // 50


def bookings() -> pd.DataFrame:
    """Bookings of accounts, each of a customer with a segment and a score."""
    random = np.random.default_rng(9)
    owner = np.sort(random.integers(0, 400, 700))
    account = random.integers(0, 700, ROWS)
    who, mails, digits = owner[account], random.permutation(10_000), random.integers(10**17, 10**18, 700)
    return pd.DataFrame(
        {
            "iban": np.array([f"DE{number % 89 + 10}{number}" for number in digits])[account],
            "mail": np.array([f"user{number:04d}@web.example" for number in mails])[who],
            "score": random.normal(500, 90, 400).round()[who],
            "segment": np.array(["retail", "private"])[random.integers(0, 2, 400)][who],
            "limit": random.integers(1, 90, 700)[account] * 100,
            "amount": random.lognormal(3, 1, ROWS).round(2),
        }
    )


def test_attributes_of_keys_are_drawn_on_the_device(strict_cupy: Any) -> None:
    rows = bookings()
    expected, found = (gpuvgm.TableSynthesizer(engine=engine).fit(rows) for engine in ("native", "cuda"))
    assert_same(found, expected)
    assert found.attributes_ == {"score": "mail", "segment": "mail", "limit": "iban"} == expected.attributes_
    for options in ({}, {"first_row": 10**7}, {"conditions": {"segment": "retail", "amount": (20, None)}}):
        for count in (5, 4_000):
            assert found.sample(count, **options).equals(expected.sample(count, **options))
