"""What rows of a key before had: an order is not paid twice, nor shipped before it is paid, whatever lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.io import open_source
from gpuvgm.synthesis.sequences.occurrences import Occurrence, occurrences_of
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder
from tests.synthesis.sequences.trades import order_events


def broken(events: pd.DataFrame) -> float:
    """Share of orders that are paid or shipped twice, shipped before they are paid, or delivered without that."""
    orders = events.groupby("order", sort=False).event.apply(list)

    def is_broken(order: list[str]) -> bool:
        firsts = {event: order.index(event) if event in order else len(order) for event in ("paid", "shipped")}
        repeats = any(order.count(event) > 1 for event in firsts)
        is_delivered_early = order[-1] == "delivered" and "shipped" not in order
        return repeats or is_delivered_early or ("shipped" in order and firsts["paid"] > firsts["shipped"])

    return float(orders.map(is_broken).mean())


@pytest.fixture(scope="module")
def synthesizer() -> Any:
    events = order_events(600, 3)
    assert not broken(events)
    return gpuvgm.TableSynthesizer(sequence_key="order", sequence_index="at", random_state=0).fit(events)


def test_samples_remember_what_has_been(synthesizer: Any, tmp_path: Path) -> None:
    """A row before alone says little: a call lies between."""
    sample = synthesizer.sample(keys=1000)
    assert broken(sample) <= 0.02
    rows = synthesizer.sample(70, first_row=25)
    assert rows.equals(sample.iloc[25:95].reset_index(drop=True))
    synthesizer.save(tmp_path / "events.gpuvgm")
    assert gpuvgm.load(tmp_path / "events.gpuvgm").sample(keys=1000).equals(sample)


def test_each_row_knows_the_rows_of_its_key_before(synthesizer: Any) -> None:
    """Of rows in the order of keys, whose first ones know nothing."""
    column = synthesizer._model.columns["event"]
    table = pd.DataFrame({"order": [*"aaaabbb"], "event": "call paid note paid paid call note".split()})
    rows = KeyRows.read(open_source(table), RowOrder("order"))
    paid = Occurrence("event", [str(category) for category in column.categories].index("paid"))
    expected = ["no", "no", "yes", "yes", "no", "yes", "yes"]
    assert paid.of_rows(rows, column).to_pylist() == expected


def test_categories_by_lot_are_not_asked_for(synthesizer: Any) -> None:
    """Of the columns of events the channel has nothing to do with the rows before."""
    plan = synthesizer._model.plan
    columns = {occurrence.column for occurrence in plan.occurrences}
    assert columns == {"event"}
    random = np.random.default_rng(0)
    table = pd.DataFrame({"order": np.repeat(np.arange(300), 6), "event": random.choice([*"abcd"], 1800)})
    model = gpuvgm.TableSynthesizer(sequence_key="order", random_state=0).fit(table)._model
    assert model.plan.occurrences == ()
    assert occurrences_of(KeyRows.read(open_source(table), RowOrder("order")), model.columns, ["event"]) == ()


def test_what_has_been_counts_in_further_rows_conditions_and_scores(synthesizer: Any) -> None:
    """Orders of two parts, orders that are shipped, and rows of an order that is paid twice."""
    settings: Any = {"sequence_key": "order", "sequence_index": "at", "random_state": 0}
    first, second = order_events(300, 3), order_events(300, 4)
    second["order"] = "N" + second["order"].str[1:]
    added = gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(first).partial_fit(second)
    merged = gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(first)
    merged = merged.merge(gpuvgm.TableSynthesizer(like=synthesizer, **settings).fit(second))
    assert added.sample(keys=300).equals(merged.sample(keys=300)) and broken(merged.sample(keys=1000)) <= 0.02
    shipped = synthesizer.sample(keys=300, conditions={"any(event)": "shipped"})
    assert shipped.groupby("order").event.apply(lambda events: "shipped" in [*events]).all()
    assert broken(shipped) <= 0.02
    order = first[first.order == first.order[0]].reset_index(drop=True)
    again = order.assign(event=[*"placed paid call call paid call call shipped delivered".split()])
    assert order.event[4] == "call" and synthesizer.score_samples(again)[4] < synthesizer.score_samples(order)[4] - 3
