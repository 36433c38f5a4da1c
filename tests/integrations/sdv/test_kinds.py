"""Kinds of columns from SDV's metadata, without SDV."""

from __future__ import annotations

import json
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.integrations.sdv import read_keys, read_kinds

PEOPLE = {
    "columns": {
        "customer": {"sdtype": "id"},
        "badge": {"sdtype": "email"},
        "day": {"sdtype": "numerical"},
        "pay": {"sdtype": "numerical", "decimal_places": 2},
        "grade": {"sdtype": "ordinal"},
        "code": {"sdtype": "categorical"},
        "member": {"sdtype": "boolean"},
        "since": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        "name": {"sdtype": "first_name"},
        "note": {"sdtype": "unknown"},
        "city": {"sdtype": "city", "pii": False},
    },
    "primary_key": "customer",
    "alternate_keys": ["badge"],
}
SHOPS = {"columns": {"shop": {"sdtype": "numerical"}}, "primary_key": ["shop", "floor"]}
METADATA = {"tables": {"people": PEOPLE, "shops": SHOPS}, "relationships": [], "METADATA_SPEC_VERSION": "V2"}


def people(rows: int = 2_000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer": [f"C{number:05}" for number in range(rows)],
            "badge": [f"user{number}@example.org" for number in range(rows)],
            "day": np.arange(rows),
            "pay": random.lognormal(8, 1.5, rows).round(2),
            "grade": random.integers(1, 4, rows),
            "code": random.integers(10_000, 10_100, rows),
            "member": random.random(rows) < 0.3,
            "since": (pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, rows), unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "name": random.choice(["Ann", "Bob"], rows),
            "note": random.choice(["x", "y"], rows),
            "city": random.choice(["Rome", "Bonn"], rows),
        }
    )


def test_sdtypes_become_kinds() -> None:
    encoder = gpuvgm.TableTransformer(read_kinds(PEOPLE)).fit(people())
    assert {name: spec.kind for name, spec in dict(encoder.schema_).items()} == {
        "customer": "id",
        "badge": "id",
        "day": "continuous",  # which would be an identifier
        "pay": "continuous",
        "grade": "categorical",
        "code": "categorical",  # which would be continuous
        "member": "categorical",
        "since": "continuous",
        "name": "pass",  # which would be categorical
        "note": "pass",
        "city": "categorical",
    }


def test_numbers_keep_the_scale_that_is_inferred() -> None:
    table = {"pay": people()["pay"].to_numpy()}
    inferred = gpuvgm.TableTransformer().fit(table).schema_["pay"]
    read = gpuvgm.TableTransformer({"pay": read_kinds(PEOPLE)["pay"]}).fit(table).schema_["pay"]
    assert inferred.options["asinh"] == read.options["asinh"]


def test_personal_values_are_neither_stored_nor_sampled(tmp_path) -> None:
    table = people()
    synthesizer = gpuvgm.TableSynthesizer(read_kinds(METADATA, "people")).fit(table)
    rows = synthesizer.sample(200)
    for name in ("customer", "badge", "name"):
        assert not set(rows[name].dropna()) & set(table[name])
    synthesizer.save(tmp_path / "people.gpuvgm")
    with ZipFile(tmp_path / "people.gpuvgm") as held:
        members = b"".join(map(held.read, held.namelist()))
    assert b"Rome" in members and b"Bob" not in members


def test_a_key_of_several_columns_leaves_them_their_kinds() -> None:
    assert read_kinds(METADATA, table="shops") == {"shop": {"standardize": "auto"}}


def test_metadata_comes_as_an_object_a_dict_or_a_file(tmp_path) -> None:
    class Metadata:
        def to_dict(self):
            return {"tables": {"people": PEOPLE}}

    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(METADATA))
    kinds = read_kinds(PEOPLE)
    assert read_kinds(Metadata()) == read_kinds(path, "people") == read_kinds(str(path), table="people") == kinds


@pytest.mark.parametrize(
    ("metadata", "table", "told"),
    [
        (METADATA, None, 'several tables: say which one with table=; tables: "people", "shops"'),
        (METADATA, "peple", 'no table "peple"; tables: "people", "shops"'),
        ({"tables": {}}, None, "no columns are described"),
        ({"tables": {"people": []}}, None, "no columns are described"),
        ({"tables": [PEOPLE]}, None, "no columns are described"),
        ({"columns": ["age"]}, None, "no columns are described"),
        (pd.DataFrame({"age": [1]}), None, "no columns are described"),
        (7, None, "no columns are described"),
        ({"columns": {"age": {}}}, None, 'column "age" has no sdtype'),
        ({"columns": {"age": "numerical"}}, None, 'column "age" has no sdtype'),
    ],
)
def test_what_is_no_metadata_is_refused(metadata, table, told) -> None:
    with pytest.raises(InputError) as refused:
        read_kinds(metadata, table)
    assert told in str(refused.value)


def test_a_file_that_is_no_metadata_is_refused(tmp_path) -> None:
    path = tmp_path / "metadata.json"
    for content in (None, b"{", b"\xff"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=r"metadata\.json: .*give the JSON file"):
            read_kinds(path)


def test_relationships_are_keys():
    sides = {"parent_table_name": "customers", "parent_primary_key": "id"}
    orders = sides | {"child_table_name": "orders", "child_foreign_key": "customer"}
    weather = {"parent_table_name": "weather", "parent_primary_key": ["origin", "hour"]}
    flights = weather | {"child_table_name": "flights", "child_foreign_key": ["origin", "hour"]}
    found = read_keys({"tables": {}, "relationships": [orders, flights]})
    assert found == {"orders.customer": "customers.id", "flights.(origin, hour)": "weather.(origin, hour)"}
    assert read_keys(METADATA) == {}


@pytest.mark.parametrize("metadata", [5, {"relationships": [{}]}, {"relationships": 5}])
def test_what_has_no_relationships(metadata):
    with pytest.raises(InputError, match="metadata: no columns are described"):
        read_keys(metadata)
