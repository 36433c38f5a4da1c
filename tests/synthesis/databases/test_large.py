"""Databases of more rows than are held in memory: the same models and samples, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuvgm import DatabaseSynthesizer
from gpuvgm.errors import InputError
from gpuvgm.synthesis.databases import keyed, large, learning
from tests.synthesis.databases.shop import FLIGHTS, INDEX, SHOP, VISITS, Tables, flights, pair, shop, visits
from tests.synthesis.databases.test_database_files import assert_equal

PAIR = {"orders.customer": "customers.id"}


@pytest.fixture
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no rows could be held, and blocks were short."""
    monkeypatch.setattr(learning, "MOST_HELD", 0)
    for module in (keyed, large):
        monkeypatch.setattr(module, "READ_ROWS", 37)


def fitted(tables: Any, keys: Any, **parameters: Any) -> DatabaseSynthesizer:
    return DatabaseSynthesizer(threads=1, bins=20, **parameters).fit(tables, keys=keys)


def incomplete(customers: int, seed: int) -> Tables:
    """Orders, of which some have no customer, and some one that is not there."""
    tables, rng = pair(customers, seed), np.random.default_rng(seed)
    keys = tables["orders"].customer.to_numpy(object)
    keys[rng.random(len(keys)) < 0.1] = None
    tables["orders"]["customer"] = pd.Series(keys).replace({f"C-{20_000 + 7 * n}": f"D-{n}" for n in range(0, 30, 3)})
    tables["orders"]["amount"] = rng.lognormal(3, 1, len(keys)).round(2)
    return tables


def test_shops_are_learnt_alike(request: pytest.FixtureRequest) -> None:
    """Three tables one below the other, and one that is kept."""
    tables = shop(60, 0)
    held = fitted(tables, SHOP, sequence_index=INDEX, keep=["products"])
    request.getfixturevalue("nothing_held")
    merged = fitted(tables, SHOP, sequence_index=INDEX, keep=["products"])
    assert merged.to_dict() == held.to_dict()
    assert merged._model.parts["lines"].record == held._model.parts["lines"].record
    assert_equal(merged.sample(seed=1), held.sample(seed=1))


@pytest.mark.parametrize(("tables", "keys"), [(incomplete(120, 0), PAIR), (flights(200, 0), FLIGHTS)])
def test_rows_without_parents_and_keys_of_several_columns_are_learnt_alike(
    tables: Tables, keys: dict[str, str], request: pytest.FixtureRequest
) -> None:
    held = fitted(tables, keys)
    request.getfixturevalue("nothing_held")
    merged = fitted(tables, keys)
    child = next(iter(keys)).partition(".")[0]
    assert merged._model.parts[child].record == held._model.parts[child].record
    assert_equal(merged.sample(), held.sample())


def test_the_order_of_rows_and_files_changes_nothing(nothing_held: None, tmp_path: Path) -> None:
    tables = incomplete(120, 0)
    tables["orders"]["number"] = np.arange(len(tables["orders"]))
    folders = dict[str, Path]()
    for name, rows in tables.items():
        folders[name] = tmp_path / name
        folders[name].mkdir()
        shuffled = rows.sample(frac=1, random_state=0)
        for number, part in enumerate((shuffled[100:], shuffled[:100])):
            part.to_parquet(folders[name] / f"{number}.parquet", index=False)
    index = {"orders": "number"}
    samples = [fitted(of, PAIR, sequence_index=index).sample() for of in (tables, folders)]
    assert_equal(samples[0], {name: rows.to_pandas() for name, rows in samples[1].items()})


def test_rows_with_the_same_key_and_without_one_are_named(nothing_held: None) -> None:
    tables = pair(60, 0)
    rows = tables["customers"]
    for ids, message in (
        (rows.id.where(rows.index != 50, rows.id[7]), 'rows 7 and 50 of "customers" have the same key'),
        (rows.id.where(rows.index != 50), 'row 50 of "customers" has no key'),
    ):
        with pytest.raises(InputError, match=message):
            fitted({**tables, "customers": rows.assign(id=ids)}, PAIR)


def test_further_parents_are_learnt_in_memory(nothing_held: None) -> None:
    """Their rows are chosen among all."""
    assert fitted(visits(60, 0), VISITS)._model.plan.seconds("visits")
