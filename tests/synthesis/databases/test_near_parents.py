"""Parents of a sample that repeat those of the tables with their children: copies, noise, good samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from tests.synthesis.databases.shop import DAY, LIBRARY, SHOP, Tables, library, shop

NOT_HELD_OUT = "Not judged, as no tables were held out of the fit"


@pytest.fixture(scope="module")
def held_out() -> Tables:
    """Another shop, which was not fitted."""
    return shop(300, 5)


def with_new_keys(tables: Tables, random: np.random.Generator) -> Tables:
    """The same rows in another order, with keys of their own."""
    customers, orders, lines = (tables[name].copy() for name in ("customers", "orders", "lines"))
    ids = dict(zip(customers.id, "C-" + (900_000 + random.permutation(len(customers))).astype(str), strict=True))
    numbers = dict(zip(orders.id, "O-" + (2_000_000 + random.permutation(len(orders))).astype(str), strict=True))
    customers["id"], orders["customer"] = customers.id.map(ids), orders.customer.map(ids)
    orders["id"], lines["order"] = orders.id.map(numbers), lines.order.map(numbers)
    drawn = {"customers": customers, "orders": orders, "lines": lines}
    return {**tables, **{name: rows.sample(frac=1, random_state=1) for name, rows in drawn.items()}}


def noisy(tables: Tables, random: np.random.Generator) -> Tables:
    """The same rows but for a day, and some noise on amounts."""
    orders, lines = tables["orders"].copy(), tables["lines"].copy()
    orders["day"] += random.integers(-1, 2, len(orders)) * DAY
    orders["total"] = (orders.total * random.normal(1, 0.003, len(orders))).round(2)
    for name in ("price", "amount"):
        lines[name] = (lines[name] * random.normal(1, 0.003, len(lines))).round(2)
    return {**tables, "orders": orders, "lines": lines}


def parents_of(comparison: Any, child: str) -> Any:
    """What is said of the parents of a table."""
    (parents,) = (parents for parents in comparison.near if parents.child == child)
    return parents


def test_a_good_sample_repeats_no_parents(comparison: Any) -> None:
    assert {parents.reference for parents in comparison.near} == {
        "orders.customer -> customers.id",
        "lines.order -> orders.id",
    }
    for parents in comparison.near:
        assert not parents.stand_out
        assert parents.figures.half_share < 0.03
        (line,) = (line for line in str(comparison).splitlines() if line == str(parents))
        assert "repeat no more real ones than chance explains: " in line
        assert "but for small changes" in line
    lines = str(comparison).splitlines()
    assert lines[-1].startswith(NOT_HELD_OUT)
    assert not any("repeat real ones" in line for line in lines)


def test_the_fitted_tables_repeat_all_parents(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    copied = synthesizer.evaluate(tables, tables)
    for parents in copied.near:
        assert parents.stand_out
        assert parents.figures.share == 1
        assert parents.figures.half_share == 0.5
        assert parents.figures.other_half_share < 0.01
    lines = str(copied).splitlines()
    assert lines[:2] == [str(parents) for parents in copied.near]  # what is worst comes first
    repeated = "sampled customers with their orders repeat real ones: 100.00% equal one exactly"
    told = f"orders.customer -> customers.id: {repeated}"
    assert told in "\n".join(lines[:2])
    assert told.replace(">", "&gt;") in copied.to_html()
    document = json.loads(json.dumps(copied.to_dict(), allow_nan=False))
    assert [parents["stand_out"] for parents in document["near"]] == [True, True]
    assert document["near"][0]["figures"]["half_share"] == 0.5
    assert document["near"][0]["figures"]["how"] == "exactly"


@pytest.mark.parametrize("held", [False, True])
def test_parents_with_new_keys_are_copies_still(
    held: bool, tables: Tables, held_out: Tables, synthesizer: gpuvgm.DatabaseSynthesizer
) -> None:
    """In another order of the rows, too; each child is one of its own parent."""
    copies = with_new_keys(tables, np.random.default_rng(0))
    found = synthesizer.evaluate(tables, copies, held_out=held_out if held else None)
    for parents in found.near:
        assert parents.stand_out
        assert parents.figures.half_share > 0.45


def test_small_changes_do_not_hide_parents(tables: Tables, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    changed = noisy(with_new_keys(tables, np.random.default_rng(0)), np.random.default_rng(1))
    found = synthesizer.evaluate(tables, changed)
    orders = parents_of(found, "lines")
    assert orders.stand_out
    assert orders.figures.half_share > 0.05
    assert "sampled orders with their lines repeat real ones" in str(found)
    assert "but for small changes (" in str(orders)


def test_some_copies_among_a_good_sample_stand_out(
    tables: Tables, sample: Tables, synthesizer: gpuvgm.DatabaseSynthesizer
) -> None:
    """A tenth of the customers with all that they ordered."""
    copies = with_new_keys(tables, np.random.default_rng(0))
    few = copies["customers"].iloc[:30]
    orders = copies["orders"][copies["orders"].customer.isin(few.id)]
    lines = copies["lines"][copies["lines"].order.isin(orders.id)]
    mixed = {
        name: pd.concat([sample[name], rows], ignore_index=True)
        for name, rows in {"customers": few, "orders": orders, "lines": lines}.items()
    }
    found = synthesizer.evaluate(tables, {**sample, **mixed})
    customers = parents_of(found, "orders")
    assert customers.stand_out
    assert 0.05 < customers.figures.share < 0.15


def test_held_out_parents_are_a_yardstick(
    tables: Tables, held_out: Tables, sample: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, tmp_path: Path
) -> None:
    found = synthesizer.evaluate(tables, sample, held_out=held_out)
    assert NOT_HELD_OUT not in str(found)
    for parents in found.near:
        assert 0 <= parents.figures.held_out_share < 0.03
        assert f" and {parents.figures.held_out_share:.2%} of those held out do)" in str(parents)
        assert not parents.stand_out
    for name, table in held_out.items():
        if name != "products":  # tables that are kept need not be there
            table.to_parquet(tmp_path / f"{name}.parquet")
    assert synthesizer.evaluate(tables, sample, held_out=tmp_path).to_dict() == found.to_dict()


def test_further_parents_are_judged_as_well() -> None:
    """Each loan is one of a member and one of a book; whichever comes first, both are judged."""
    tables = library(300, 0)
    synthesizer = gpuvgm.DatabaseSynthesizer(threads=1).fit(tables, keys=LIBRARY)
    found, copied = synthesizer.evaluate(tables), synthesizer.evaluate(tables, tables)
    assert sorted(parents.parent for parents in found.near) == ["books", "members"]
    assert not any(parents.stand_out for parents in found.near)
    assert all(parents.stand_out for parents in copied.near)


def test_few_parents_are_not_judged(synthesizer: gpuvgm.DatabaseSynthesizer, tables: Tables, sample: Tables) -> None:
    """Nor are those whose children are all elsewhere."""
    lost = sample["orders"].assign(customer=sample["orders"].customer.mask(np.arange(len(sample["orders"])) >= 15))
    found = synthesizer.evaluate(tables, {**sample, "orders": lost})
    assert parents_of(found, "orders").figures is None
    told = "there are too few customers with their orders to judge whether the sample repeats real ones"
    assert f"orders.customer -> customers.id: {told}" in str(found).splitlines()
    assert parents_of(found, "lines").figures is not None
    (document,) = (of for of in found.to_dict()["near"] if of["reference"].startswith("orders."))
    assert document == {"reference": "orders.customer -> customers.id", "stand_out": False, "figures": None}


def test_tables_that_cannot_be_held_out_are_named(
    tables: Tables, held_out: Tables, synthesizer: gpuvgm.DatabaseSynthesizer, tmp_path: Path
) -> None:
    lacking = {name: table for name, table in held_out.items() if name != "lines"}
    with pytest.raises(InputError, match='^held_out: there is no table "lines", which was fitted'):
        synthesizer.evaluate(tables, held_out=lacking)
    with pytest.raises(InputError, match="^held_out: give a dict"):
        synthesizer.evaluate(tables, held_out=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"customers\.parquet: is not there"):
        synthesizer.evaluate(tables, held_out=tmp_path)
    with pytest.raises(InputError, match='^held_out: "orders": no column "day"; columns: "id"'):
        synthesizer.evaluate(tables, held_out={**held_out, "orders": held_out["orders"].drop(columns="day")})
    repeated = pd.concat([held_out["customers"], held_out["customers"].iloc[:1]], ignore_index=True)
    with pytest.raises(InputError, match='rows 0 and 300 of "customers" have the same key'):
        synthesizer.evaluate(tables, held_out={**held_out, "customers": repeated})


def test_fitted_tables_are_not_held_out(
    tables: Tables, sample: Tables, synthesizer: gpuvgm.DatabaseSynthesizer
) -> None:
    """Beside them not even copies would be near."""
    with pytest.raises(InputError, match='^held_out: "[a-z]+" has the rows of the tables themselves'):
        synthesizer.evaluate(tables, sample, held_out=with_new_keys(tables, np.random.default_rng(0)))


def test_references_are_those_of_the_plan(synthesizer: gpuvgm.DatabaseSynthesizer, comparison: Any) -> None:
    """Products are kept, so that references to them say nothing."""
    assert len(comparison.near) == len(SHOP) - 1


def test_few_held_out_parents_hide_no_copies(
    tables: Tables, held_out: Tables, synthesizer: gpuvgm.DatabaseSynthesizer
) -> None:
    """What was held out is a further yardstick, and says when it is too short."""
    few = held_out["customers"].iloc[:8]
    orders = held_out["orders"][held_out["orders"].customer.isin(few.id)]
    lines = held_out["lines"][held_out["lines"].order.isin(orders.id)]
    found = synthesizer.evaluate(
        tables, tables, held_out={**held_out, "customers": few, "orders": orders, "lines": lines}
    )
    customers = parents_of(found, "orders")
    assert customers.stand_out
    assert customers.figures.held_out_share is None


def test_children_of_kept_parents_are_said_not_to_be_judged(tables: Tables) -> None:
    rows = {name: tables[name] for name in ("customers", "orders")}
    kept = gpuvgm.DatabaseSynthesizer(keep=["customers"]).fit(rows, keys={"orders.customer": "customers.id"})
    (line,) = (line for line in str(kept.evaluate(rows)).splitlines() if line.startswith("Not judged"))
    assert line == "Not judged, as they are kept as they are: whether customers with their orders repeat real ones"
