"""Parents that the fit does not see, with all rows that refer to them: which are, and what `evaluate` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.synthesis.databases.held_out import HeldOutRows
from gpuvgm.synthesis.databases.learning import TablesToLearn
from tests.synthesis.databases.shop import INDEX, LIBRARY, SHOP, VISITS, Tables, library, pair, shop, visits

PAIR = {"orders.customer": "customers.id"}


def fitted_by(
    monkeypatch: pytest.MonkeyPatch, tables: Tables, keys: dict[str, str], **settings: Any
) -> tuple[gpuvgm.DatabaseSynthesizer, TablesToLearn]:
    """A synthesizer, and the tables that it saw."""
    seen = list[TablesToLearn]()
    of: Callable[..., TablesToLearn] = TablesToLearn.of

    def noted(*arguments: Any) -> TablesToLearn:
        seen.append(of(*arguments))
        return seen[-1]

    monkeypatch.setattr(TablesToLearn, "of", noted)
    synthesizer = gpuvgm.DatabaseSynthesizer(threads=1, **settings).fit(tables, keys=keys)
    return synthesizer, seen[-1]


@pytest.fixture(scope="module")
def partly(tables: Tables) -> gpuvgm.DatabaseSynthesizer:
    """Fitted to about seven tenths of the customers."""
    return gpuvgm.DatabaseSynthesizer(sequence_index=INDEX, keep=["products"], hold_out=0.3, threads=1).fit(
        tables, keys=SHOP
    )


def test_persons_are_held_out_whole(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    """With a customer go all orders, and all lines of these; products are seen whole."""
    synthesizer, learnt = fitted_by(monkeypatch, tables, SHOP, keep=["products"], hold_out=0.3)
    rules = synthesizer._model.held_out.rules
    assert {*rules} == {"customers"} and rules["customers"].share == 0.3
    whole = TablesToLearn.by(synthesizer._model.plan, learnt.sources)
    fitted, others = whole.parted(synthesizer._model.held_out)
    seen, rest = ({name: of.to_pandas() for name, of in part.rows.items()} for part in (fitted, others))
    assert 0.2 < len(rest["customers"]) / len(tables["customers"]) < 0.4
    for name, rows in tables.items():
        assert len(seen[name]) + len(rest[name]) == len(rows) * (2 if name == "products" else 1)
    for part in (seen, rest):
        assert {*part["orders"].customer} <= {*part["customers"].id} and {*part["lines"].order} == {*part["orders"].id}
    assert not {*rest["customers"].id} & {*seen["customers"].id}
    for name in ("customers", "orders", "lines"):
        columns = [column for column in tables[name] if column in learnt.rows[name].schema.names]  # but references
        ours, expected = learnt.rows[name].to_pandas()[columns], seen[name][columns]
        expected = expected.sort_values(columns, ignore_index=True)
        pd.testing.assert_frame_equal(ours.sort_values(columns, ignore_index=True), expected, check_dtype=False)
    assert synthesizer._fitted.parts["customers"].record.rows == len(seen["customers"])


def test_the_rows_fitted_are_those_of_a_fit_of_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = pair(300, 0)
    synthesizer, learnt = fitted_by(monkeypatch, tables, PAIR, hold_out=0.25)
    whole = TablesToLearn.by(synthesizer._model.plan, learnt.sources)
    rows = {name: of.to_pandas() for name, of in whole.parted(synthesizer._model.held_out)[0].rows.items()}
    alone = gpuvgm.DatabaseSynthesizer(threads=1).fit(rows, keys=PAIR)
    for name, sample in synthesizer.sample().items():
        pd.testing.assert_frame_equal(sample, alone.sample()[name])


def test_the_choice_depends_on_values_and_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = pair(300, 0)
    shuffled = {name: rows.sample(frac=1, random_state=3) for name, rows in tables.items()}
    first, second, other = (
        {*learnt.rows["customers"].column("id").to_pylist()}
        for _, learnt in (
            fitted_by(monkeypatch, tables, PAIR, hold_out=0.3),
            fitted_by(monkeypatch, shuffled, PAIR, hold_out=0.3),
            fitted_by(monkeypatch, tables, PAIR, hold_out=0.3, random_state=1),
        )
    )
    assert first == second != other


def test_what_was_held_out_is_the_yardstick(tables: Tables, partly: gpuvgm.DatabaseSynthesizer, tmp_path: Path) -> None:
    found = partly.evaluate(tables)
    assert found.has_held_out and "Not judged" not in str(found)
    for parents in found.near:
        assert parents.figures.held_out_share is not None and not parents.stand_out
    sources = {name: any_source(rows) for name, rows in tables.items()}
    fitted, _ = TablesToLearn.by(partly._model.plan, sources).parted(partly._model.held_out)
    (customers,) = (parents for parents in found.near if parents.child == "orders")
    assert customers.figures.rows == len({*fitted.rows["orders"].column("customer").to_pylist()})
    partly.save(tmp_path / "shop.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "shop.gpuvgm")
    assert loaded.hold_out == 0.3 and str(loaded.evaluate(tables)) == str(found)
    # Copies of the fitted rows are told; of those that were not fitted there are none among the tables.
    copied = partly.evaluate(tables, {name: rows.to_pandas() for name, rows in fitted.rows.items()})
    assert all(parents.stand_out and parents.figures.share == 1 for parents in copied.near)


def test_tables_that_are_given_are_compared_in_their_place(tables: Tables, partly: gpuvgm.DatabaseSynthesizer) -> None:
    own, others = partly.evaluate(tables), partly.evaluate(tables, held_out=shop(300, 5))
    rows, shares = (
        [{of.child: getattr(of.figures, name) for of in found.near} for found in (own, others)]
        for name in ("rows", "held_out_share")
    )
    assert rows[0] == rows[1]
    assert shares[0] != shares[1]


@pytest.mark.parametrize(
    ("tables", "keys"),
    [
        (visits(200, 0), VISITS),
        (library(120, 0), LIBRARY),
    ],
    ids=["visits", "library"],
)
def test_a_further_parent_is_seen_whole(tables: Tables, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All branches and books are there: those held out refer to them as well."""
    synthesizer, learnt = fitted_by(monkeypatch, tables, keys, hold_out=0.3)
    (held,) = synthesizer._model.held_out.rules
    for reference, links in learnt.links.items():
        assert links.is_here.all()
        if reference.parent != held:
            assert learnt.rows[reference.parent].num_rows == len(tables[reference.parent])
    found = synthesizer.evaluate(tables)
    assert found.has_held_out and not any(parents.stand_out for parents in found.near)


def test_tables_without_parents_that_none_refers_to_are_held_out_by_row() -> None:
    tables = {**pair(200, 0), "visitors": pd.DataFrame({"age": range(400)})}
    rules = gpuvgm.DatabaseSynthesizer(hold_out=0.5, threads=1).fit(tables, keys=PAIR)._model.held_out.rules
    assert {*rules} == {"customers", "visitors"}


def test_a_share_so_small_that_no_one_is_held_out_says_so(tables: Tables) -> None:
    synthesizer = gpuvgm.DatabaseSynthesizer(keep=["products"], hold_out=1e-9, threads=1).fit(tables, keys=SHOP)
    lines = str(synthesizer.evaluate(tables)).splitlines()
    assert lines[-1].startswith("Not judged, as the tables that were held out have too few parents with children")


@pytest.mark.parametrize("share", [1, -0.1, "x", True])
def test_what_is_no_share_is_refused(share: Any) -> None:
    with pytest.raises(InputError, match="^hold_out is a share above 0 and below 1"):
        gpuvgm.DatabaseSynthesizer(hold_out=share).fit(pair(60, 0), keys=PAIR)


def test_without_a_share_nothing_is_held_out(synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    assert synthesizer._model.held_out == HeldOutRows() and synthesizer.hold_out == 0
