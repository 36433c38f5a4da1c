"""Samples of tables that refer to each other: references, keys, laws over tables, and what they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.synthesis.databases.synthesizer import DatabaseSynthesizer
from tests.synthesis.databases.shop import DAY, FLIGHTS, VISITS, Tables, flights, lost, pair, visits

PAIR = {"orders.customer": "customers.id"}


def fitted(tables: Tables, keys: dict[str, str], **parameters: Any) -> DatabaseSynthesizer:
    return DatabaseSynthesizer(**{"threads": 1, **parameters}).fit(tables, keys=keys)


def assert_equal(tables: Tables, others: Tables) -> None:
    """The same tables, to the bit."""
    assert [*tables] == [*others]
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, others[name], check_exact=True)


def numbers_of_children(child: pd.Series[Any], keys: pd.Series[Any]) -> pd.Series[Any]:
    """By key, how many rows refer to it."""
    return child.value_counts().reindex(keys).fillna(0)


def lead_to_rows(child: pd.DataFrame, columns: list[str], parent: pd.DataFrame, key: list[str]) -> np.ndarray[Any, Any]:
    """Which rows of a child refer to a row of the parent."""
    keys = pd.MultiIndex.from_frame(parent[key])
    return pd.MultiIndex.from_frame(child[columns]).isin(keys)


@pytest.fixture(scope="module")
def visited() -> tuple[Tables, DatabaseSynthesizer]:
    """Visits of which some lead to no customer or no branch of the table."""
    tables = visits(250, 0)
    rows = tables["visits"]
    elsewhere = [f"C-{90_000 + number}" for number in range(30)]
    tables["visits"] = rows.assign(
        customer=lost(rows.customer, 0.12, 0.07, elsewhere),
        branch=lost(rows.branch.sample(frac=1, random_state=0).set_axis(rows.index), 0.1, 0.06, ["S9000", "S9001"]),
        amount=rows.amount,
    )
    return tables, fitted(tables, VISITS)


def test_samples_are_like_the_tables(tables: Tables, sample: Tables) -> None:
    assert [*sample] == [*tables]
    for name, table in tables.items():
        assert [*sample[name]] == [*table]
        assert sample[name].dtypes.equals(table.dtypes)
        assert isinstance(sample[name].index, pd.RangeIndex)
    assert len(sample["customers"]) == len(tables["customers"])
    assert abs(len(sample["orders"]) / len(tables["orders"]) - 1) < 0.15
    assert abs(len(sample["lines"]) / len(sample["orders"]) - len(tables["lines"]) / len(tables["orders"])) < 0.2
    assert not sample["orders"].isna().any(axis=None)


def test_references_lead_to_rows_of_the_sample(sample: Tables) -> None:
    assert sample["orders"].customer.isin(sample["customers"].id).all()
    assert sample["lines"].order.isin(sample["orders"].id).all()
    assert sample["lines"]["product"].isin(sample["products"].id).all()


@pytest.mark.parametrize("table", ["customers", "orders"])
def test_keys_are_unique_and_new(tables: Tables, synthesizer: DatabaseSynthesizer, table: str) -> None:
    for scale in (0.5, 1, 3):
        keys = synthesizer.sample(scale, seed=2)[table].id
        assert keys.is_unique
        assert not keys.isin(tables[table].id).any()
        assert (keys.str.len() == tables[table].id.str.len().iloc[0]).all()


def test_rows_of_a_parent_come_one_after_the_other(synthesizer: DatabaseSynthesizer) -> None:
    """Children are in the order of their parents, and nearly all are numbered from 1 on."""
    for seed in range(3):
        sampled = synthesizer.sample(2, seed=seed)
        orders, lines = sampled["orders"], sampled["lines"]
        for child, parent in ((orders.customer, sampled["customers"]), (lines.order, orders)):
            assert (np.diff(pd.Index(parent.id).get_indexer(child)) >= 0).all()
        assert (lines.number == lines.groupby("order").cumcount() + 1).mean() > 0.995


def test_totals_are_sums_of_lines(synthesizer: DatabaseSynthesizer) -> None:
    for seed in range(3):
        sampled = synthesizer.sample(seed=seed)
        orders, of_orders = sampled["orders"].set_index("id"), sampled["lines"].groupby("order")
        np.testing.assert_allclose(of_orders.amount.sum().reindex(orders.index), orders.total, atol=0.005)
        assert (of_orders.size().reindex(orders.index) == orders.lines).all()
        assert orders.total.nunique() > len(orders) / 2
    laws = synthesizer.describe()[2]
    assert "order.lines = count()" in laws
    assert "order.total = sum(amount)" in laws
    assert "price * pieces = amount" in laws


def test_lines_have_what_their_product_has(synthesizer: DatabaseSynthesizer) -> None:
    sampled = synthesizer.sample(seed=3)
    lines = sampled["lines"].merge(sampled["products"], left_on="product", right_on="id", suffixes=("", "_of_product"))
    assert len(lines) == len(sampled["lines"])
    assert (lines.price == lines.price_of_product).all()
    np.testing.assert_allclose(lines.price * lines.pieces, lines.amount, atol=0.005)


def test_nobody_orders_before_joining(tables: Tables, synthesizer: DatabaseSynthesizer) -> None:
    for seed in range(3):
        sampled = synthesizer.sample(2, seed=seed)
        orders = sampled["orders"].merge(sampled["customers"], left_on="customer", right_on="id")
        after = orders.day - orders.joined
        assert after.min() >= 0 * DAY
        assert after.max() <= 430 * DAY
        assert after.nunique() > 100
        assert (orders.day.dt.normalize() == orders.day).all()


def test_numbers_of_children_are_those_of_like_parents(tables: Tables, synthesizer: DatabaseSynthesizer) -> None:
    sampled = synthesizer.sample(4, seed=1)

    def figures(shop: Tables) -> tuple[float, float, float]:
        customers = shop["customers"]
        counts = numbers_of_children(shop["orders"].customer, customers.id).to_numpy()
        is_italian = (customers.country == "IT").to_numpy()
        return float((counts == 0).mean()), float(counts[is_italian].mean()), float(counts[~is_italian].mean())

    of_sample, of_table = figures(sampled), figures(tables)
    assert of_table[0] > 0.1
    assert abs(of_sample[0] - of_table[0]) < 0.05
    assert abs(of_sample[1] / of_table[1] - 1) < 0.15
    assert abs(of_sample[2] / of_table[2] - 1) < 0.15


def test_tables_are_kept(tables: Tables, synthesizer: DatabaseSynthesizer) -> None:
    for scale in (0.5, 2):
        pd.testing.assert_frame_equal(synthesizer.sample(scale)["products"], tables["products"])
    assert synthesizer.describe()[3] == "products: 40 rows, kept as they are"


def test_parents_are_as_many_as_the_scale_says(tables: Tables, synthesizer: DatabaseSynthesizer) -> None:
    for scale in (0.5, 2):
        sampled = synthesizer.sample(scale)
        assert len(sampled["customers"]) == scale * len(tables["customers"])
        assert abs(len(sampled["orders"]) / len(tables["orders"]) / scale - 1) < 0.2
        assert abs(len(sampled["lines"]) / len(tables["lines"]) / scale - 1) < 0.25
    least = synthesizer.sample(1e-6)
    assert len(least["customers"]) == 1
    assert [*least["orders"]] == [*tables["orders"]]


def test_rows_without_parents_meet_conditions(synthesizer: DatabaseSynthesizer) -> None:
    """And have as many children as such rows have; those of other tables follow."""
    conditions = {"customers.country": "IT", "customers.joined": ("2024-03-01", None)}
    sampled = synthesizer.sample(2, conditions=conditions, seed=1)
    customers = sampled["customers"]
    assert len(customers) == 600
    assert (customers.country == "IT").all()
    assert (customers.joined >= pd.Timestamp("2024-03-01")).all()
    assert 3.5 < len(sampled["orders"]) / 600 < 5.5  # of all 2.1
    assert sampled["orders"].customer.isin(customers.id).all()
    assert_equal(synthesizer.sample(conditions={}), synthesizer.sample())


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"orders.day": ("2024-03-01", None)}, 'rows of "orders" are drawn for those of "customers": give conditions'),
        ({"products.category": "toys"}, '"products" is kept as it is'),
        ({"country": "IT"}, 'there is no table "country" for "country": write "customers.country"'),
        ({"customers.land": "IT"}, 'there is no modelled column "land"'),
        ({"customers.country": "AT"}, "'AT' is none of its categories"),
        (["customers.country"], "give a dict, such as"),
    ],
)
def test_conditions_that_cannot_be(synthesizer: DatabaseSynthesizer, conditions: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        synthesizer.sample(conditions=conditions)
    assert str(refused.value).startswith(("conditions: ", 'column "country": '))


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "2", None])
def test_scales_are_positive_numbers(synthesizer: DatabaseSynthesizer, scale: Any) -> None:
    with pytest.raises(InputError, match=r"^scale"):
        synthesizer.sample(scale)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_are_numbers_of_64_bits(synthesizer: DatabaseSynthesizer, seed: int) -> None:
    with pytest.raises(InputError, match=r"seed must be in \[0, 2\*\*64\)"):
        synthesizer.sample(seed=seed)


def test_rows_are_functions_of_the_seed(synthesizer: DatabaseSynthesizer, sample: Tables) -> None:
    assert_equal(synthesizer.sample(seed=1), sample)
    assert_equal(synthesizer.sample(), synthesizer.sample(seed=synthesizer.random_state))
    other = synthesizer.sample(seed=2)
    assert all(not other[name].equals(sample[name]) for name in ("customers", "orders", "lines"))
    assert (other["customers"].country[:100] != sample["customers"].country[:100]).any()


def test_threads_change_nothing() -> None:
    tables = visits(100, 3)
    assert_equal(*(fitted(tables, VISITS, threads=threads).sample(2) for threads in (1, 2)))


@pytest.mark.slow
def test_engines_change_nothing() -> None:
    tables = pair(40, 3)
    assert_equal(*(fitted(tables, PAIR, engine=engine).sample(2) for engine in ("auto", "reference")))


def test_as_many_rows_lead_elsewhere_and_nowhere(visited: tuple[Tables, DatabaseSynthesizer]) -> None:
    """Of the first parent, as exactly as rows can be divided, and with as many children of each row elsewhere."""
    tables, synthesizer = visited
    rows = tables["visits"]
    here = rows.customer.isin(tables["customers"].id)
    elsewhere = rows.customer[~here].dropna()
    for scale, seed in ((0.5, 0), (1, 1), (3, 2)):
        sampled = synthesizer.sample(scale, seed=seed)
        keys = sampled["visits"].customer
        is_here = keys.isin(sampled["customers"].id)
        assert abs(is_here.mean() - here.mean()) < 0.01
        assert abs(keys.isna().mean() - rows.customer.isna().mean()) < 0.01
        others = keys[~is_here].dropna()
        assert not others.isin(rows.customer).any()
        assert abs(others.value_counts().mean() - elsewhere.value_counts().mean()) < 0.7


def test_as_many_rows_lead_to_no_further_parent(visited: tuple[Tables, DatabaseSynthesizer]) -> None:
    tables, synthesizer = visited
    rows = tables["visits"]
    here = rows.branch.isin(tables["branches"].code)
    sampled = synthesizer.sample(3, seed=2)
    keys = sampled["visits"].branch
    is_here = keys.isin(sampled["branches"].code)
    assert abs(is_here.mean() - here.mean()) < 0.04
    assert abs(keys.isna().mean() - rows.branch.isna().mean()) < 0.03
    assert sampled["branches"].code.is_unique
    assert keys[~is_here].dropna().nunique() == 2
    assert not keys.isin(rows.branch.dropna()).any()


def test_further_parents_are_like_what_their_children_have() -> None:
    tables = visits(250, 0)
    synthesizer = fitted(tables, VISITS)
    assert (
        str(synthesizer)
        .splitlines()[3]
        .startswith('visits: 1,000 rows, by "customer" rows of customers, by "branch" each of one of branches')
    )
    sampled = synthesizer.sample(2, seed=1)
    rows = sampled["visits"].merge(sampled["branches"], left_on="branch", right_on="code")
    assert len(rows) == len(sampled["visits"])
    sells = rows.groupby("size").amount.median()
    assert abs(sells["large"] - 100) < 3
    assert abs(sells["small"] - 20) < 3
    # Those of a size have about as many visits each as in the table.
    counts = numbers_of_children(sampled["visits"].branch, sampled["branches"].code)
    of_table = numbers_of_children(tables["visits"].branch, tables["branches"].code)
    assert abs(counts.mean() / of_table.mean() - 1) < 0.15
    assert abs(counts.std() / of_table.std() - 1) < 0.5


def test_two_references_lead_to_one_table() -> None:
    """Nobody plays against oneself."""
    rng = np.random.default_rng(0)
    teams = pd.DataFrame({"name": [f"T{number:03}" for number in range(40)], "league": rng.choice([*"ab"], 40)})
    home = rng.integers(0, 40, 1500)
    away = (home + rng.integers(1, 40, 1500)) % 40
    matches = pd.DataFrame({"home": teams.name.to_numpy()[home], "away": teams.name.to_numpy()[away]})
    matches["goals"] = rng.poisson(2, 1500)
    keys = {"matches.home": "teams.name", "matches.away": "teams.name"}
    sampled = fitted({"teams": teams, "matches": matches}, keys).sample(seed=1)
    assert sampled["matches"].home.isin(sampled["teams"].name).all()
    assert sampled["matches"].away.isin(sampled["teams"].name).all()
    assert sampled["matches"].home.nunique() == sampled["matches"].away.nunique() == 40


def test_children_of_a_parent_have_different_further_parents() -> None:
    """No student takes a course twice, as many would by chance; where there are too few courses, exams are left out."""
    rng = np.random.default_rng(0)
    students = pd.DataFrame({"id": [f"S-{number:04}" for number in range(200)], "year": rng.integers(1, 5, 200)})
    courses = pd.DataFrame({"code": [f"K{number:02}" for number in range(30)], "points": rng.choice([5, 10], 30)})
    taken = np.concatenate([rng.choice(30, 5, replace=False) for _ in range(200)])
    exams = pd.DataFrame({"student": students.id.repeat(5).to_numpy(), "course": courses.code.to_numpy()[taken]})
    exams["grade"] = rng.choice([*"ABCD"], 1000)
    notes = exams.iloc[np.sort(rng.integers(0, 1000, 300))][["student", "course"]].reset_index(drop=True)
    key = ["student", "course"]
    keys = {"exams.student": "students.id", "exams.course": "courses.code"}
    keys["notes.(student, course)"] = "exams.(student, course)"
    synthesizer = fitted({"students": students, "courses": courses, "exams": exams, "notes": notes}, keys)
    assert synthesizer._fitted.parts["exams"].record.unique == (("student", "course"),)
    for scale in (0.1, 0.5, 2):
        sampled = synthesizer.sample(scale)
        sizes = sampled["exams"].groupby("student").size()
        assert (sizes == min(5, len(sampled["courses"]))).all()
        assert not sampled["exams"].duplicated(key).any()
        assert lead_to_rows(sampled["notes"], key, sampled["exams"], key).all()
        assert len(sampled["notes"]) > 0.1 * len(sampled["exams"])


def test_one_row_is_reached_in_two_ways() -> None:
    """Lines refer to the customer of their order as well."""
    tables = pair(200, 0)
    orders = tables["orders"].assign(id=[f"O-{500_000 + 3 * number}" for number in range(600)])
    rng = np.random.default_rng(1)
    lines = orders.loc[np.sort(rng.integers(0, 600, 1200)), ["id", "customer"]].reset_index(drop=True)
    lines = lines.set_axis(["order", "customer"], axis=1).assign(pieces=rng.poisson(3, 1200))
    keys = {**PAIR, "lines.order": "orders.id", "lines.customer": "customers.id"}
    tables = {"customers": tables["customers"], "orders": orders, "lines": lines}
    sampled = fitted(tables, keys).sample(seed=2)
    through = sampled["lines"].order.map(sampled["orders"].set_index("id").customer)
    assert (through == sampled["lines"].customer).all()
    assert sampled["lines"].customer.nunique() > 100
    # Where they are of anyone, they are not.
    lines = lines.assign(customer=rng.permutation(lines.customer))
    sampled = fitted({**tables, "lines": lines}, keys).sample(seed=2)
    through = sampled["lines"].order.map(sampled["orders"].set_index("id").customer)
    assert (through == sampled["lines"].customer).mean() < 0.1
    assert sampled["lines"].customer.isin(sampled["customers"].id).all()


def test_keys_of_several_columns() -> None:
    tables = flights(300, 0)
    synthesizer = fitted(tables, FLIGHTS)
    key = ["airport", "hour"]
    for scale in (0.5, 1, 2):
        sampled = synthesizer.sample(scale, seed=1)
        assert len(sampled["weather"]) == 300 * scale
        assert not sampled["weather"].duplicated(key).any()
        assert lead_to_rows(sampled["flights"], ["airport", "departs"], sampled["weather"], key).all()
    rows = sampled["flights"].merge(sampled["weather"], left_on=["airport", "departs"], right_on=key)
    assert np.corrcoef(rows.wind, rows.delay)[0, 1] > 0.8


def test_tables_with_keys_of_several_columns_are_kept() -> None:
    rng = np.random.default_rng(0)
    grid = pd.MultiIndex.from_product([["EWR", "JFK", "LGA"], range(12)], names=["airport", "hour"]).to_frame(
        index=False
    )
    weather = grid[(grid.hour + grid.airport.factorize()[0]) % 3 > 0].reset_index(drop=True)
    rows = weather.iloc[rng.integers(0, len(weather), 800)].set_axis(["airport", "departs"], axis=1)
    tables = {"weather": weather, "flights": rows.assign(delay=rng.normal(0, 1, 800).round(1))}
    sampled = fitted(tables, FLIGHTS, keep=["weather"]).sample()
    pd.testing.assert_frame_equal(sampled["weather"], weather)
    assert lead_to_rows(sampled["flights"], ["airport", "departs"], weather, ["airport", "hour"]).mean() > 0.99


def test_parts_of_keys_tell_of_children_and_refer_to_tables_that_are_kept() -> None:
    """An airport is a part of the key of its weather, and a row of a table that samples have as it is."""
    tables, airports = flights(300, 0), pd.DataFrame({"code": ["EWR", "JFK", "LGA"], "height": [5, 4, 7]})
    goals = {"EWR": ["ORD", "IAH"], "JFK": ["LAX", "SFO"], "LGA": ["ATL", "DCA"]}
    chosen = np.random.default_rng(0).integers(0, 2, 900)
    tables["flights"]["to"] = [goals[code][goal] for code, goal in zip(tables["flights"].airport, chosen, strict=True)]
    keys = {**FLIGHTS, "flights.airport": "airports.code"}
    sampled = fitted({**tables, "airports": airports}, keys, keep=["airports"]).sample()
    pd.testing.assert_frame_equal(sampled["airports"], airports)
    rows = sampled["flights"]
    assert lead_to_rows(rows, ["airport", "departs"], sampled["weather"], ["airport", "hour"]).all()
    assert all(to in goals[code] for code, to in zip(rows.airport, rows.to, strict=True))


def test_references_to_tables_that_are_kept_have_real_keys() -> None:
    tables = visits(150, 0)
    tables["visits"]["branch"] = lost(tables["visits"].branch, 0.1, 0.1, ["S9999"])
    sampled = fitted(tables, VISITS, keep=["branches"]).sample(2)
    keys, of_table = sampled["visits"].branch, tables["visits"].branch
    assert keys.dropna().isin([*tables["branches"].code, "S9999"]).all()
    assert abs(keys.isna().mean() - of_table.isna().mean()) < 0.04
    assert abs((keys == "S9999").mean() - (of_table == "S9999").mean()) < 0.04
    rows = sampled["visits"].merge(tables["branches"], left_on="branch", right_on="code")
    assert rows.groupby("size").amount.median()["large"] > 90


def test_rows_without_a_parent_alone() -> None:
    tables = pair(60, 0)
    tables["orders"]["customer"] = pd.Series([None] * 180, dtype="str")
    sampled = fitted(tables, PAIR).sample()
    assert len(sampled["orders"]) == 180
    assert sampled["orders"].customer.isna().all()
    assert sampled["orders"].channel.notna().all()
    tables["orders"]["customer"] = [f"X-{number % 50}" for number in range(180)]
    sampled = fitted(tables, PAIR).sample()
    assert abs(len(sampled["orders"]) - 180) < 10
    assert not sampled["orders"].customer.isin(sampled["customers"].id).any()


def test_numbers_as_keys() -> None:
    """Nothing is new of numbers that follow each other, but they are unique, and lead to their rows."""
    tables = pair(150, 0)
    numbers = pd.Series(np.arange(1000, 1150), tables["customers"].id)
    tables["orders"]["customer"] = tables["orders"].customer.map(numbers).astype("Int64")
    tables["orders"].loc[::10, "customer"] = pd.NA
    tables["customers"]["id"] = numbers.to_numpy()
    sampled = fitted(tables, PAIR).sample(2)
    assert sampled["customers"].id.is_unique
    assert sampled["customers"].id.dtype == np.int64
    assert sampled["orders"].customer.dtype == "Int64"
    assert sampled["orders"].customer.dropna().isin(sampled["customers"].id).all()
    assert abs(sampled["orders"].customer.isna().mean() - 0.1) < 0.01


def test_tables_come_back_as_the_kind_that_was_fitted(tmp_path: Path) -> None:
    tables = pair(40, 0)
    orders = tables["orders"]
    orders.to_parquet(tmp_path / "orders.parquet", index=False)
    kinds: Tables = {
        "frames": tables["customers"],
        "arrow": pa.Table.from_pandas(orders, preserve_index=False),
        "arrays": {name: orders[name].to_numpy() for name in orders},
        "file": tmp_path / "orders.parquet",
        "polars": pl.from_pandas(orders),
    }
    names = ["arrow", "arrays", "file", "polars"]
    sampled = fitted(kinds, {f"{name}.customer": "frames.id" for name in names}).sample()
    assert isinstance(sampled["frames"], pd.DataFrame)
    assert isinstance(sampled["arrow"], pa.Table)
    assert isinstance(sampled["file"], pa.Table)
    assert isinstance(sampled["polars"], pl.DataFrame)
    assert isinstance(sampled["arrays"], dict) and isinstance(sampled["arrays"]["channel"], np.ndarray)
    frames = [sampled["arrow"].to_pandas(), sampled["file"].to_pandas(), sampled["polars"].to_pandas()]
    for rows in (*frames, pd.DataFrame(sampled["arrays"])):
        assert [*rows] == ["customer", "channel"]
        assert rows.customer.isin(sampled["frames"].id).all()


def test_the_order_of_parents_changes_little() -> None:
    tables = visits(120, 0)
    shuffled = {**tables, "customers": tables["customers"].sample(frac=1, random_state=0, ignore_index=True)}
    samples = [fitted(given, VISITS).sample(4) for given in (tables, shuffled)]
    for sampled in samples:
        counts = numbers_of_children(sampled["visits"].customer, sampled["customers"].id)
        assert abs(counts.mean() - 4) < 0.4
        assert abs((counts == 0).mean() - np.exp(-4)) < 0.04
        assert abs((sampled["visits"].amount > 60).mean() - (tables["visits"].amount > 60).mean()) < 0.06


def test_children_are_drawn_in_the_order_of_an_index() -> None:
    tables = pair(150, 0)
    days = pd.Timestamp("2025-01-01") + np.random.default_rng(0).integers(0, 300, 450) * DAY
    tables["orders"]["day"] = days
    sampled = fitted(tables, PAIR, sequence_index={"orders": "day"}).sample()
    steps = sampled["orders"].groupby("customer").day.diff().dropna()
    assert (steps >= 0 * DAY).all()
    sampled = fitted(tables, PAIR).sample()
    assert (sampled["orders"].groupby("customer").day.diff().dropna() < 0 * DAY).mean() > 0.2


def test_what_is_not_fitted_says_so(tmp_path: Path) -> None:
    synthesizer = DatabaseSynthesizer()
    message = "this DatabaseSynthesizer is not fitted yet: call fit, or load a model"
    with pytest.raises(NotFittedError, match=message):
        synthesizer.sample()
    with pytest.raises(NotFittedError, match=message):
        synthesizer.evaluate({})
    with pytest.raises(NotFittedError, match=message):
        synthesizer.save(tmp_path / "model.gpuvgm")
    assert not any(tmp_path.iterdir())


def test_clones_have_the_parameters_alone(synthesizer: DatabaseSynthesizer) -> None:
    copy = clone(synthesizer)
    assert copy.get_params() == synthesizer.get_params()
    with pytest.raises(NotFittedError):
        copy.sample()
    every: dict[str, Any] = {
        "columns": {"orders": {"id": "id"}},
        "sequence_index": {"orders": "day"},
        "keep": ["products"],
        "hold_out": 0.2,
        "bins": 50,
        "safer": True,
        "random_state": 3,
        "engine": "reference",
        "threads": 2,
    }
    assert clone(DatabaseSynthesizer(**every)).get_params() == every
    with pytest.raises(TypeError, match='unexpected keyword argument "kept"; did you mean "keep"'):
        DatabaseSynthesizer(kept=["products"])  # type: ignore[call-arg]


def test_texts(tables: Tables, synthesizer: DatabaseSynthesizer) -> None:
    assert str(DatabaseSynthesizer(bins=50)) == repr(DatabaseSynthesizer(bins=50)) == "DatabaseSynthesizer(bins=50)"
    lines = synthesizer.describe()
    assert str(synthesizer) == "\n".join([repr(synthesizer), *lines])
    assert repr(synthesizer).startswith("DatabaseSynthesizer(keep=['products'], sequence_index={'lines': 'number'}")
    assert [line.partition(":")[0] for line in lines] == [*tables]
    assert lines[0] == "customers: 300 rows"
    assert lines[1].startswith(f'orders: {len(tables["orders"]):,} rows, by "customer" rows of customers; laws: ')
    assert lines[2].startswith(f'lines: {len(tables["lines"]):,} rows, by "order" rows of orders; laws: ')
    assert gpuvgm.DatabaseSynthesizer is DatabaseSynthesizer
