"""From tables that refer to each other to others, by `train`, `sample` and `evaluate`."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from gpuvgm.table import ModelFile
from tests.cli.running import document, invoke

CUSTOMERS, ORDERS = 300, 900
KEYS = ("--key", "orders.customer=customers.id", "--key", "orders.country=countries.code")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Customers, their orders, and the countries that these go to, as files of two formats."""
    folder, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    ids = np.array([f"C-{20_000 + 7 * number}" for number in range(CUSTOMERS)])
    customers = {"id": ids, "segment": random.choice(["private", "business"], CUSTOMERS)}
    orders = {
        "customer": ids[np.sort(random.integers(0, CUSTOMERS, ORDERS))],
        "country": random.choice(["DE", "FR", "IT"], ORDERS),
        "amount": random.lognormal(3, 1, ORDERS).round(2),
    }
    countries = {"code": ["DE", "FR", "IT"], "name": ["Germany", "France", "Italy"]}
    pq.write_table(pa.table(customers), folder / "customers.parquet")
    pa_csv.write_csv(pa.table(orders), folder / "bookings.csv")
    pq.write_table(pa.table(countries), folder / "countries.parquet")
    return [f"{folder}/customers.parquet", f"orders={folder}/bookings.csv", f"{folder}/countries.parquet"]


@pytest.fixture(scope="module")
def model(sources, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "shop.gpuvgm"
    text = invoke("train", *sources, *KEYS, "--keep", "countries", "--model", path).stdout
    assert f"customers: {CUSTOMERS} rows" in text and "countries: 3 rows, kept as they are" in text
    assert f'orders: {ORDERS} rows, by "customer" rows of customers' in text
    return path


def test_customers_that_are_held_out_are_compared(sources, tmp_path):
    model, folder = tmp_path / "shop.gpuvgm", tmp_path / "sample"
    invoke("train", *sources, *KEYS, "--keep", "countries", "--hold-out", "0.3", "--model", model)
    drawn = document("sample", model, folder)
    rows = pq.read_table(drawn["paths"]["customers"]).num_rows
    assert 0.6 * CUSTOMERS < rows < 0.8 * CUSTOMERS
    compared = document("evaluate", *sources, "--model", model, "--compare", folder)
    assert compared["has_held_out"] and compared["near"][0]["figures"]["held_out_share"] is not None


def test_a_folder_of_tables_is_drawn_and_compared(sources, model, tmp_path):
    folder = tmp_path / "sample"
    found = document("sample", model, folder, "--scale", "2")
    assert {*found["paths"]} == {"customers", "orders", "countries"}
    customers, orders, countries = (pq.read_table(folder / f"{name}.parquet") for name in found["paths"])
    assert customers.num_rows == 2 * CUSTOMERS
    assert {*orders["customer"].to_pylist()} <= {*customers["id"].to_pylist()}
    assert countries["name"].to_pylist() == ["Germany", "France", "Italy"]
    page = tmp_path / "page.html"
    compared = document("evaluate", *sources, "--model", model, "--compare", folder, "--html", page)
    (reference,) = compared["references"]
    assert reference["original"]["here"] == reference["sampled"]["here"] == 1
    assert {*compared["tables"]} == {"customers", "orders"} and not compared["broken"]
    assert "orders.customer -&gt; customers.id" in page.read_text(encoding="utf-8")


def test_parents_of_a_sample_are_compared_with_tables_held_out(sources, model, tmp_path):
    """A folder of other rows; the tables themselves, as a sample, repeat parents that no other rows do."""
    orders = pa_csv.read_csv(sources[1].partition("=")[2])
    for name in ("copies", "others"):
        (tmp_path / name).mkdir()
        pq.write_table(pq.read_table(sources[0]), tmp_path / name / "customers.parquet")
    pq.write_table(orders, tmp_path / "copies" / "orders.parquet")
    amounts = pa.array(np.random.default_rng(1).lognormal(3, 1, ORDERS).round(2))
    others = orders.set_column(orders.schema.get_field_index("amount"), "amount", amounts)
    pq.write_table(others, tmp_path / "others" / "orders.parquet")
    compared = ("evaluate", *sources, "--model", model, "--compare", tmp_path / "copies")
    told = "orders.customer -> customers.id: sampled customers with their orders repeat real ones: 100.00% equal one"
    assert invoke(*compared).stdout.startswith(told)
    found = document(*compared, "--held-out", tmp_path / "others")
    (parents,) = found["near"]
    assert parents["stand_out"] and parents["figures"]["held_out_share"] < 0.05
    assert found["held_out"] == str(tmp_path / "others")
    refused = invoke(*compared, "--held-out", tmp_path / "copies", code=2).stderr
    assert 'held_out: "orders" has the rows of the tables themselves' in refused
    refused = invoke("evaluate", sources[0], "--model", model, "--held-out", tmp_path / "others", code=2).stderr
    assert "--held-out is for tables that refer to each other" in refused


def test_rows_without_parents_meet_conditions(model, tmp_path):
    where = ("--where", "customers.segment = business")
    document("sample", model, tmp_path / "sample", *where)
    customers = pq.read_table(tmp_path / "sample" / "customers.parquet")
    assert customers["segment"].to_pylist() == CUSTOMERS * ["business"]
    told = invoke("sample", model, tmp_path / "none", "--where", "orders.amount >= 3", code=2).stderr
    assert '--where: rows of "orders" are drawn for those of "customers"' in told
    assert not (tmp_path / "none").exists()


def test_a_model_is_read_once(model, tmp_path, monkeypatch):
    reads, load = [], ModelFile.load
    monkeypatch.setattr(ModelFile, "load", lambda file: (reads.append(file), load(file))[1])
    document("info", model)
    assert len(reads) == 1
    document("sample", model, tmp_path / "sample")
    assert len(reads) == 2


def test_a_limit_that_a_table_breaks_is_told_by_the_exit_code(sources, model, tmp_path):
    report = tmp_path / "report.json"
    limits = ("--min-score", "0.9999", "--report", report)
    broken = document("evaluate", *sources, "--model", model, *limits, code=1)["broken"]
    assert any(text.startswith("customers: ") for text in broken)
    assert json.loads(report.read_text(encoding="utf-8"))["broken"] == broken


def test_references_come_from_a_file_and_from_the_environment(sources, model, tmp_path):
    config, path = tmp_path / "gpuvgm.toml", tmp_path / "shop.gpuvgm"
    config.write_text(f'[train]\nkey = {json.dumps([*KEYS[1::2]])}\nkeep = "countries"\n', encoding="utf-8")
    invoke("train", *sources, "--config", config, "--model", path)
    again = tmp_path / "again.gpuvgm"
    given = {"GPUVGM_KEY": " ".join(KEYS[1::2]), "GPUVGM_KEEP": "countries"}
    invoke("train", *sources, "--model", again, env={**os.environ, **given})
    tables = [document("info", one)["tables"] for one in (model, path, again)]
    assert tables[0] == tables[1] == tables[2]


def test_kinds_and_orders_are_given_by_table(sources, tmp_path):
    spec, path = tmp_path / "spec.toml", tmp_path / "shop.gpuvgm"
    spec.write_text('[columns.orders]\nnote = "drop"\n', encoding="utf-8")
    told = invoke("train", *sources, *KEYS, "--columns", spec, "--model", path, code=2).stderr
    assert 'no column "note"' in told
    told = invoke("train", *sources, *KEYS, "--sequence-index", "orders.day", "--model", path, code=2).stderr
    assert '"day"' in told
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "orders.customer"], "write CHILD.COLUMN=PARENT.KEY"),
        (["--key", "orders.customer=clients.id"], 'no table "clients"'),
        ([*KEYS, "--with", "tvae"], "--with is for one table"),
        ([*KEYS, "--laws", "off"], "--laws is for one table"),
        ([*KEYS, "--keep", "cities"], 'keep: there is no table "cities"'),
        ([], "are for --key CHILD.COLUMN=PARENT.KEY"),
    ],
)
def test_what_cannot_be_trained(sources, tmp_path, arguments, message):
    assert message in invoke("train", *sources, *arguments, "--model", tmp_path / "m.gpuvgm", code=2).stderr
    assert not [*tmp_path.iterdir()]


def test_tables_have_names_of_their_own(sources, tmp_path):
    twice = [sources[0], sources[0], "--key", "customers.id=customers.id", "--model", tmp_path / "m.gpuvgm"]
    assert 'a table "customers" is there already' in invoke("train", *twice, code=2).stderr


def test_options_of_one_table_are_refused_for_several(sources, model, tmp_path):
    out = tmp_path / "sample"
    for option, value in (("--rows", "5"), ("--sort", "amount")):
        assert f"{option} is for one table" in invoke("sample", model, out, option, value, code=2).stderr
    assert "none of which is encoded alone" in invoke("transform", sources[0], out, "--model", model, code=2).stderr
    assert (
        "--max-ks is for one table" in invoke("evaluate", *sources, "--model", model, "--max-ks", "0.1", code=2).stderr
    )
    assert not out.exists()


def test_options_of_several_tables_are_refused_for_one(sources, tmp_path):
    path = tmp_path / "one.gpuvgm"
    invoke("train", sources[0], "--model", path)
    assert "--scale is for tables" in invoke("sample", path, tmp_path / "out.csv", "--scale", "2", code=2).stderr
    assert "a model of one table" in invoke("evaluate", *sources, "--model", path, code=2).stderr
