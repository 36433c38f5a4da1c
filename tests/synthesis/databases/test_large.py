"""Databases of more rows than are held in memory: the same models and samples, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuvgm import DatabaseSynthesizer
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.synthesis.databases import flow, keyed, large, learning, sampler
from gpuvgm.synthesis.databases.learning import TablesToLearn, tables_to_learn
from gpuvgm.synthesis.databases.references import Reference
from tests.synthesis.databases.shop import FLIGHTS, SHOP, VISITS, Tables, flights, lost, pair, visits
from tests.synthesis.databases.test_database_files import assert_equal

PAIR = {"orders.customer": "customers.id"}


@pytest.fixture
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no rows could be held, and blocks were short."""
    monkeypatch.setattr(learning, "MOST_HELD", 0)
    for module in (keyed, large):
        monkeypatch.setattr(module, "READ_ROWS", 37)


@pytest.fixture(autouse=True)
def few_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the children of few parents were drawn together."""
    for module in (sampler, flow):
        monkeypatch.setattr(module, "PARENTS", 25)


def fitted(tables: Any, keys: Any, **parameters: Any) -> DatabaseSynthesizer:
    return DatabaseSynthesizer(threads=1, bins=5, **parameters).fit(tables, keys=keys)


def incomplete(customers: int, seed: int) -> Tables:
    """Orders in some order, of which some have no customer, and some one that is not there."""
    tables, rng = pair(customers, seed), np.random.default_rng(seed)
    orders = tables["orders"].assign(number=rng.permutation(3 * customers))
    keys = orders.customer.to_numpy(object)
    keys[rng.random(len(keys)) < 0.1] = None
    orders["customer"] = pd.Series(keys).replace({f"C-{20_000 + 7 * number}": f"D-{number}" for number in range(9)})
    return {**tables, "orders": orders}


def stock(customers: int, seed: int) -> Tables:
    """Customers, their orders, and lines of these with their products: totals are sums of lines."""
    tables, rng = incomplete(customers, seed), np.random.default_rng(seed)
    orders = tables["orders"].drop(columns=["channel", "number"]).assign(id=1000 + 3 * np.arange(3 * customers))
    products = pd.DataFrame({"id": np.arange(20), "price": rng.lognormal(3, 1, 20).round(2)})
    chosen, of = rng.integers(0, 20, 9 * customers), rng.integers(0, len(orders), 9 * customers)
    order = orders.id.to_numpy()[of] + (rng.random(len(of)) < 0.1)  # some are not there
    lines = pd.DataFrame({"order": order, "product": chosen, "net": products.price.to_numpy()[chosen]})
    orders["total"] = lines.groupby("order").net.sum().reindex(orders.id).fillna(0).round(2).to_numpy()
    return {**tables, "orders": orders, "lines": lines, "products": products}


def bills(customers: int, seed: int) -> Tables:
    """Visits to branches, of which some are closed or not known, and bills of these visits."""
    tables, rng = visits(customers, seed), np.random.default_rng(seed)
    rows = tables["visits"].assign(
        branch=lost(tables["visits"].branch, 0.1, 0.05, ["X0001", "X0002", "X0003"]),
        id=10 + 7 * np.arange(len(tables["visits"])),
    )
    of = np.sort(rng.integers(0, len(rows), 2 * len(rows)))
    drawn = {"visit": rows.id.to_numpy()[of], "paid": (rows.amount.to_numpy()[of] / 2).round(1)}
    return {**tables, "visits": rows, "bills": pd.DataFrame(drawn)}


def transfers(accounts: int, seed: int) -> Tables:
    """Transfers from accounts to others; none pays itself."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"id": 100 + 3 * np.arange(accounts), "kind": rng.choice(["private", "firm"], accounts)})
    payer = np.sort(rng.integers(0, accounts, 9 * accounts))
    payee = (payer + rng.integers(1, accounts, len(payer))) % accounts
    ids = rows.id.to_numpy()
    paid = pd.DataFrame({"payer": ids[payer], "payee": ids[payee], "amount": rng.lognormal(4, 1, len(payer)).round(2)})
    return {"accounts": rows, "transfers": paid}


def courses(students: int, seed: int) -> Tables:
    """Students, each of whom takes a course but once."""
    rng = np.random.default_rng(seed)
    taken = [(student, course) for student in range(students) for course in rng.choice(12, 6, replace=False)]
    rows = pd.DataFrame(taken, columns=["student", "course"]).assign(mark=rng.integers(1, 6, len(taken)))
    of_courses = pd.DataFrame({"id": np.arange(12), "hours": rng.integers(1, 9, 12)})
    return {"students": pd.DataFrame({"id": np.arange(students)}), "courses": of_courses, "taken": rows}


def returns(patients: int, seed: int) -> Tables:
    """Visits to doctors, of whom most patients see one again; who has no doctor is seen by a nurse."""
    random, doctors = np.random.default_rng(seed), 40
    fields = random.choice(["heart", "eye", "skin"], doctors)
    ids, fees = np.array([f"D-{number:03}" for number in range(doctors)], object), random.integers(6, 12, doctors) * 7.3
    owners = np.repeat(np.arange(patients), random.integers(2, 7, patients))
    seen = random.integers(0, doctors, len(owners))
    for row in range(1, len(owners)):
        if owners[row] == owners[row - 1] and random.random() < 0.6:
            seen[row] = seen[row - 1]
    none = random.random(len(owners)) < 0.1
    visits = {
        "patient": owners,
        "doctor": np.where(none, None, ids[seen]),
        "charged": np.where(none, np.nan, fees[seen]),
        "day": np.concatenate([np.sort(random.integers(0, 700, count)) for count in np.bincount(owners)]),
    }
    return {
        "patients": pd.DataFrame({"id": np.arange(patients), "age": random.integers(18, 90, patients)}),
        "doctors": pd.DataFrame({"id": ids, "field": fields, "fee": fees}),
        "visits": pd.DataFrame(visits),
    }


STARS: dict[str, tuple[Tables, dict[str, str]]] = {
    "bills": (bills(70, 0), {**VISITS, "bills.visit": "visits.id"}),
    "transfers": (transfers(60, 0), {"transfers.payer": "accounts.id", "transfers.payee": "accounts.id"}),
    "courses": (courses(60, 0), {"taken.student": "students.id", "taken.course": "courses.id"}),
    "returns": (returns(400, 0), {"visits.patient": "patients.id", "visits.doctor": "doctors.id"}),
}


def in_files(tables: Tables, folder: Path) -> dict[str, Path]:
    """Tables as folders of two files, whose rows are in another order."""
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        shuffled = rows.sample(frac=1, random_state=0)
        for number, part in enumerate((shuffled[20:], shuffled[:20])):
            part.to_parquet(folder / name / f"{number}.parquet", index=False)
    return {name: folder / name for name in tables}


def test_models_and_samples_are_those_of_tables_in_memory(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Whatever the order of rows and files, and whether samples are written as they are drawn."""
    tables, given = incomplete(60, 0), {"sequence_index": {"orders": "number"}}
    held = fitted(tables, PAIR, **given)
    request.getfixturevalue("nothing_held")
    merged = fitted(in_files(tables, tmp_path / "tables"), PAIR, **given)
    assert merged._model.parts["orders"].record == held._model.parts["orders"].record
    sample = held.sample(seed=1)
    assert_equal({name: rows.to_pandas() for name, rows in merged.sample(seed=1).items()}, sample)
    paths = merged.sample(seed=1, out=tmp_path / "sample")
    assert flow.can_flow(merged._model)
    assert_equal({name: pd.read_parquet(path) for name, path in paths.items()}, sample)
    elsewhere = sample["orders"].customer[~sample["orders"].customer.isin(sample["customers"].id)]
    assert 0 < elsewhere.isna().sum() < len(elsewhere)
    assert not elsewhere.isin(tables["customers"].id).any()


@pytest.mark.parametrize("name", STARS)
def test_tables_of_several_parents_are_learnt_alike(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Whatever the order of rows and files."""
    tables, keys = STARS[name]
    held = fitted(tables, keys)
    request.getfixturevalue("nothing_held")
    sources = {table: any_source(rows) for table, rows in tables.items()}
    with tables_to_learn(sources, Reference.read(keys), (), {}) as to_learn:
        assert isinstance(to_learn, large.LargeTables)
    merged = fitted(in_files(tables, tmp_path) if name == "transfers" else tables, keys)
    if name != "transfers":  # whose rows have an order of their own
        assert merged.to_dict() == held.to_dict()
        assert_equal(merged.sample(seed=1), held.sample(seed=1))
    records = [{table: part.record for table, part in of._model.parts.items()} for of in (merged, held)]
    assert records[0] == records[1]
    if name == "bills":
        assert held._model.parts["visits"].record.further == {"visits.branch -> branches.code": 3}
    elif name == "transfers":
        assert held._model.parts["transfers"].record.apart == ("transfers.payer -> accounts.id",)
    elif name == "returns":
        assert held._model.plan.returning == ("visits.doctor -> doctors.id",)
        assert "each of one of doctors, often one again" in str(held)
        assert "doctor.fee = charged" in str(held)  # of few fees, as there may be others in samples
    else:
        assert held._model.parts["taken"].record.unique == (("student", "course"),)


def _share_again(visits: pd.DataFrame) -> float:
    """Share of the visits after the first ones that are to the doctor of the visit before."""
    doctors = visits.groupby("patient").doctor
    return float((visits.doctor == doctors.shift()).sum() / (len(visits) - visits.patient.nunique()))


@pytest.mark.parametrize("name", STARS)
def test_rows_of_several_parents_are_written_as_they_are_drawn(name: str, tmp_path: Path) -> None:
    synthesizer = fitted(*STARS[name])
    assert flow.can_flow(synthesizer._model)
    sample = synthesizer.sample(2, seed=1)
    paths = synthesizer.sample(2, seed=1, out=tmp_path / "sample")
    assert_equal({table: pd.read_parquet(path) for table, path in paths.items()}, sample)
    if name == "bills":
        assert 0.05 < (~sample["visits"].branch.isin(sample["branches"].code)).mean() < 0.3
    elif name == "transfers":
        assert (sample["transfers"].payer != sample["transfers"].payee).all()
    elif name == "returns":
        tables = STARS[name][0]
        # By chance one in forty is.
        assert 0.7 < _share_again(sample["visits"]) / _share_again(tables["visits"]) < 1.1
        of_doctors = sample["visits"].merge(sample["doctors"], left_on="doctor", right_on="id")
        assert (of_doctors.charged == of_doctors.fee).all()
    else:
        assert not sample["taken"].duplicated(["student", "course"]).any()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("tables", "keys", "parameters"),
    [(stock(60, 0), SHOP, {"keep": ["products"]}), (flights(60, 0), FLIGHTS, {})],
    ids=["three tables one below the other", "keys of several columns"],
)
def test_other_databases_are_learnt_and_sampled_alike(
    tables: Tables, keys: Any, parameters: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    held = fitted(tables, keys, **parameters)
    request.getfixturevalue("nothing_held")
    merged = fitted(tables, keys, **parameters)
    assert merged.to_dict() == held.to_dict()
    parts = [synthesizer._model.parts.values() for synthesizer in (merged, held)]
    assert [part.record for part in parts[0]] == [part.record for part in parts[1]]
    sample = held.sample(seed=1)
    assert_equal(merged.sample(seed=1), sample)
    paths = merged.sample(seed=1, out=tmp_path / "sample")
    assert_equal({name: pd.read_parquet(path) for name, path in paths.items()}, sample)


def test_rows_with_the_same_key_and_without_one_are_named(nothing_held: None) -> None:
    tables = pair(60, 0)
    rows = tables["customers"]
    for ids, message in (
        (rows.id.where(rows.index != 50, rows.id[7]), 'rows 7 and 50 of "customers" have the same key'),
        (rows.id.where(rows.index != 50), 'row 50 of "customers" has no key'),
    ):
        with pytest.raises(InputError, match=message):
            fitted({**tables, "customers": rows.assign(id=ids)}, PAIR)


def test_further_parents_of_too_many_rows_to_be_looked_up(nothing_held: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables are held then."""
    sources = {name: any_source(rows) for name, rows in visits(60, 0).items()}
    monkeypatch.setattr(learning, "MOST_LOOKED_UP", 59)
    with tables_to_learn(sources, Reference.read(VISITS), (), {}) as tables:
        assert isinstance(tables, TablesToLearn)
        assert tables.plan.seconds("visits")
