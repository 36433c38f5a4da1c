"""References as users write them, and what is refused before anything is learnt."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.synthesis.databases.references import Reference, in_order, unnamed_references
from tests.synthesis.databases.shop import FLIGHTS, SHOP, VISITS, Tables, flights, pair, shop, visits

PAIR = {"orders.customer": "customers.id"}


def refusal(tables: Tables, keys: dict[str, str], **parameters: Any) -> str:
    """What a fit says that is refused."""
    with pytest.raises(InputError) as refused:
        gpuvgm.DatabaseSynthesizer(threads=1, **parameters).fit(tables, keys=keys)
    return str(refused.value)


def test_references_are_read() -> None:
    weather, orders = Reference.read({"orders.customer": "customers.id", **FLIGHTS})
    assert orders == Reference("orders", ("customer",), "customers", ("id",))
    assert weather == Reference("flights", ("airport", "departs"), "weather", ("airport", "hour"))
    assert str(orders) == "orders.customer -> customers.id"
    assert str(weather) == "flights.(airport, departs) -> weather.(airport, hour)"
    assert Reference.read({" flights.(airport,departs) ": "weather.( airport , hour )"}) == (weather,)


def test_names_of_columns_may_have_dots_and_blanks() -> None:
    (reference,) = Reference.read({"order lines.sold to.id": "customers.customer id"})
    assert reference == Reference("order lines", ("sold to.id",), "customers", ("customer id",))


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("orders", "customers.id"),
        ("orders.customer", "customers"),
        ("orders.", "customers.id"),
        (".customer", "customers.id"),
        ("orders.customer", ""),
        ("orders.()", "customers.id"),
        ("orders.(customer, day", "customers.(id, joined)"),
        ("orders.(customer, day)", "customers.id"),
        ("orders.customer", "customers.(id, joined)"),
    ],
)
def test_what_is_no_reference_is_refused(child: str, parent: str) -> None:
    message = refusal(pair(20, 0), {child: parent})
    assert message.startswith(f'keys: "{child}": "{parent}" is no reference; write "orders.customer": "customers.id"')
    assert '"flights.(origin, hour)": "weather.(origin, hour)"' in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"order.customer": "customers.id"}, 'there is no table "order"; did you mean "orders"'),
        ({"orders.customer": "customer.id"}, 'there is no table "customer"; did you mean "customers"'),
        ({"orders.custmer": "customers.id"}, 'table "orders" has no column "custmer"; did you mean "customer"'),
        ({"orders.customer": "customers.joind"}, 'table "customers" has no column "joind"; did you mean "joined"'),
        (
            {"lines.(order, numbers)": "orders.(id, lines)"},
            'table "lines" has no column "numbers"; did you mean "number"?, for lines.(order, numbers) -> ',
        ),
    ],
)
def test_tables_and_columns_are_there(keys: dict[str, str], message: str) -> None:
    assert refusal(shop(20, 0), keys).startswith(f"keys: {message}")


def test_circles_are_refused() -> None:
    tables = shop(20, 0)
    message = refusal(tables, {"orders.customer": "customers.id", "customers.id": "orders.customer"})
    assert "keys: the tables refer to each other in a circle" in message
    assert message.endswith("leave one reference out")
    assert "customers -> orders -> customers" in message or "orders -> customers -> orders" in message
    longer = refusal(tables, {**SHOP, "customers.country": "lines.order"})
    assert all(table in longer for table in ("customers", "orders", "lines"))
    assert "products" not in longer


def test_tables_that_refer_to_themselves_are_refused() -> None:
    staff = pd.DataFrame({"id": range(30), "manager": [0] * 30})
    message = refusal({"staff": staff}, {"staff.manager": "staff.id"})
    assert message == (
        "keys: staff.manager -> staff.id: a table that refers to itself has no first row: leave this reference out, "
        'and "manager" is drawn as any column'
    )


def test_parents_come_before_their_children() -> None:
    names = ["lines", "orders", "products", "customers"]
    order = in_order(Reference.read(SHOP), names)
    assert sorted(order) == sorted(names)
    assert order.index("customers") < order.index("orders") < order.index("lines")
    assert order.index("products") < order.index("lines")


def test_repeated_keys_are_refused_with_both_rows() -> None:
    tables = pair(20, 0)
    tables["customers"].loc[[4, 17], "id"] = tables["customers"].id[9]
    message = refusal(tables, PAIR)
    assert message.startswith(
        'keys: orders.customer -> customers.id: rows 4 and 9 of "customers" have the same key: drop one of them'
    )


def test_keys_of_several_columns_are_repeated_as_a_whole() -> None:
    tables = flights(40, 0)
    repeated = tables["weather"]["airport"].duplicated() & ~tables["weather"]["hour"].duplicated()
    assert repeated.any()  # each column for itself comes more than once
    weather = tables["weather"].iloc[[*range(40), 7]].reset_index(drop=True)
    message = refusal({**tables, "weather": weather}, FLIGHTS)
    assert 'rows 7 and 40 of "weather" have the same key' in message


def test_missing_keys_of_parents_are_refused() -> None:
    tables = pair(20, 0)
    tables["customers"].loc[13, "id"] = None
    message = 'keys: orders.customer -> customers.id: row 13 of "customers" has no key: fill it in, or drop the row'
    assert refusal(tables, PAIR) == message
    tables = flights(40, 0)
    tables["weather"].loc[5, "airport"] = None
    assert 'row 5 of "weather" has no key' in refusal(tables, FLIGHTS)


@pytest.mark.parametrize("values", [["C-20000"], [0.5]])
def test_keys_are_of_types_that_go_together(values: list[Any]) -> None:
    tables = pair(20, 0)
    tables["customers"]["id"] = range(20)
    tables["orders"]["customer"] = values * 60
    message = refusal(tables, PAIR)
    assert message.startswith("keys: orders.customer -> customers.id: the columns hold ")
    assert message.endswith(" and int64, which do not go together: make them of one type")


def test_columns_that_two_references_take_are_refused() -> None:
    tables = flights(40, 0)
    tables["airports"] = pd.DataFrame({"airport": ["EWR", "JFK", "LGA"]})
    message = refusal(tables, {**FLIGHTS, "flights.airport": "airports.airport"})
    assert message.startswith('keys: "airport" of "flights" is part of two references, ')
    assert "leave one of them out, or keep the parent of one" in message


def test_names_suggest_references() -> None:
    columns = {
        "customers": ["id", "country"],
        "orders": ["id", "customer"],
        "calls": ["Customer_ID", "day"],
        "letters": ["customer", "id"],
        "visits": ["customers", "customerid"],
        "parcels": ["number", "custom"],
    }
    suggested = [*unnamed_references(Reference.read(PAIR), columns)]
    assert suggested == [
        '"calls.Customer_ID": "customers.id"',
        '"letters.customer": "customers.id"',
        '"visits.customers": "customers.id"',
        '"visits.customerid": "customers.id"',
    ]
    keys = Reference.read({"orders.buyer": "customers.customer_number"})
    assert [*unnamed_references(keys, {**columns, "calls": ["customer_number"]})][0] == (
        '"orders.customer": "customers.customer_number"'
    )


def test_references_that_are_not_declared_give_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    tables = pair(20, 0)
    tables["calls"] = tables["orders"].rename(columns={"customer": "customer_id"})
    message = r'keys: names suggest "calls\.customer_id": "customers\.id", which is not among them'
    # What is refused comes after the warnings, so that nothing need be learnt.
    tables["customers"].loc[3, "id"] = None
    with pytest.warns(InferenceWarning, match=message), pytest.raises(InputError, match="row 3"):
        gpuvgm.DatabaseSynthesizer(threads=1).fit(tables, keys=PAIR)
    recwarn.clear()
    with pytest.raises(InputError, match="row 3"):
        gpuvgm.DatabaseSynthesizer(threads=1).fit(tables, keys={**PAIR, "calls.customer_id": "customers.id"})
    assert not [warning for warning in recwarn if "names suggest" in str(warning.message)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": {"order": {}}}, 'columns: there is no table "order"; did you mean "orders"'),
        (
            {"sequence_index": {"ordres": "channel"}},
            'sequence_index: there is no table "ordres"; did you mean "orders"',
        ),
        ({"keep": ["customer"]}, 'keep: there is no table "customer"; did you mean "customers"'),
        (
            {"keep": ["orders"]},
            'keep: "orders" refers to "customers", whose keys are new in samples: keep that one, too',
        ),
        ({"keep": ["customers", "orders"]}, "keep: all tables are kept as they are: leave those out of which"),
        ({"bins": 1}, "bins must be a whole number from 2 to 1000, got 1"),
        ({"columns": {"orders": {"channell": "id"}}}, 'orders: no column "channell"; did you mean "channel"'),
        ({"sequence_index": {"orders": "days"}}, 'sequence_index: orders has no column "days"'),
    ],
)
def test_parameters_name_what_is_there(parameters: dict[str, Any], message: str) -> None:
    assert refusal(pair(40, 0), PAIR, **parameters).startswith(message)


def test_tables_that_may_be_kept_give_a_warning() -> None:
    tables = shop(60, 0)
    few = {"orders": tables["orders"], "products": tables["products"].iloc[:12]}
    few["orders"] = few["orders"][["customer"]].assign(product=np.resize(few["products"].id, len(few["orders"])))
    assert len(few["orders"]) >= 120
    keys = {"orders.product": "products.id"}
    message = (
        'products: samples have invented rows; if its 12 rows are no persons\', keep=["products"] gives samples the'
    )
    with pytest.warns(InferenceWarning) as warned:
        gpuvgm.DatabaseSynthesizer(threads=1).fit(few, keys=keys)
    assert any(str(warning.message).startswith(message) for warning in warned)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpuvgm.DatabaseSynthesizer(keep=["products"], threads=1).fit(few, keys=keys)
        gpuvgm.DatabaseSynthesizer(threads=1).fit(pair(40, 0), keys=PAIR)  # persons, of few orders each
    assert not [warning for warning in caught if "invented rows" in str(warning.message)]


@pytest.mark.parametrize("table", ["customers", "orders"])
def test_tables_without_rows_are_refused(table: str) -> None:
    tables = pair(40, 0)
    tables[table] = tables[table].iloc[:0]
    assert refusal(tables, PAIR) == f"{table}: there are no rows to fit on"


def test_files_of_a_header_alone_are_refused(tmp_path: Path) -> None:
    tables = visits(40, 0)
    for name, rows in tables.items():
        (rows if name != "branches" else rows.iloc[:0]).to_csv(tmp_path / f"{name}.csv", index=False)
    files = {name: tmp_path / f"{name}.csv" for name in tables}
    assert refusal(files, VISITS) == "branches: there are no rows to fit on"


@pytest.mark.parametrize("rows", [0, 40])
def test_parents_without_any_key_are_refused_where_these_have_no_type(rows: int) -> None:
    tables = {name: pa.Table.from_pandas(of_name) for name, of_name in pair(40, 0).items()}
    customers = tables["customers"].slice(0, rows)
    tables["customers"] = customers.set_column(customers.schema.get_field_index("id"), "id", pa.nulls(rows))
    if rows:
        message = 'keys: orders.customer -> customers.id: row 0 of "customers" has no key: fill it in, or drop the row'
    else:
        message = "customers: there are no rows to fit on"
    assert refusal(tables, PAIR) == message
