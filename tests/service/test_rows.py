"""Transform and inverse over HTTP give what the library gives."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.service import json_bodies
from gpuvgm.service.app import create_app
from gpuvgm.service.limits import Limits
from gpuvgm.service.models import load_models
from tests.service.conftest import ARROW, JSON, TOKEN, Client, error_of, stream_of, table_from, table_of


@pytest.fixture(scope="module")
def local(folder):
    return gpuvgm.load(folder / "table.gpuvgm").set_output(transform="pyarrow")


@pytest.mark.parametrize(
    "options", [{}, {"mode": "argmax", "dtype": "float64"}, {"layout": "onehot"}, {"seed": 7, "first_row": 3}]
)
def test_transform_of_arrow(client, local, options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    response = client.post(f"table/transform?{query}", stream_of(table_of()))
    assert (response.status_code, response.headers["content-type"]) == (200, ARROW)
    assert int(response.headers["content-length"]) == len(response.content)
    assert table_from(response).equals(local.transform(table_of(), **options), check_metadata=True)


def test_answers_count_what_the_fit_had_not_seen(client, local):
    rows = table_of().slice(0, 3)
    strange = rows.set_column(0, "x", pa.array([20.0, 1e9, -1e9])).set_column(1, "n", pa.array([5, None, 10_000]))
    _, unseen = local.transform(strange, return_unseen=True)
    assert unseen == {"x": {"outside": 2}, "n": {"outside": 1}}
    arrow = table_from(client.post("table/transform", stream_of(strange)))
    assert json.loads(arrow.schema.metadata[b"gpuvgm.unseen"]) == unseen
    assert client.post("table/transform", stream_of(strange), accept=JSON).json()["unseen"] == unseen
    assert "unseen" not in client.post("table/transform", stream_of(rows), accept=JSON).json()
    back = table_from(client.post("table/inverse", stream_of(arrow)))
    assert back.schema.names == rows.schema.names


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_inverse_of_arrow(client, local, compression):
    encoded = local.transform(table_of())
    response = client.post("table/inverse", stream_of(encoded, compression=compression))
    assert table_from(response).equals(local.inverse_transform(encoded))


def test_valid_rows_and_dropped_ones(client, local):
    encoded = local.transform(table_of().slice(0, 3), dtype="float64")
    far = encoded.set_column(0, "x.scalar", pa.array([0.0, 1e6, 0.0]))
    _, expected = local.inverse_transform(far, return_valid=True)
    assert expected.tolist().count(False) >= 1
    response = client.post("table/inverse?return_valid=true", stream_of(far))
    assert table_from(response)["valid"].to_pylist() == expected.tolist()
    kept = table_from(client.post("table/inverse?invalid=drop", stream_of(far)))
    assert (kept.num_rows, kept.schema.names) == (int(expected.sum()), table_of().schema.names)
    listed = client.post("table/inverse?return_valid=true", stream_of(far), accept=JSON).json()
    assert listed["valid"] == expected.tolist()


def test_json_both_ways(client, local):
    rows = table_of().slice(0, 30)
    sent = client.post("table/inverse", stream_of(local.transform(rows)), accept=JSON).json()
    values = local.inverse_transform(local.transform(rows))
    columns = sent["columns"]
    assert sent["rows"] == 30
    assert columns["n"] == values["n"].to_pylist()
    assert None in columns["n"]
    assert columns["colour"] == values["colour"].to_pylist()
    assert columns["price"][0] == str(values["price"][0])
    assert columns["took"] == values["took"].cast(pa.int64()).to_pylist()
    encoded = client.post("table/transform", json.dumps({"columns": columns}).encode(), JSON, accept=ARROW)
    assert table_from(encoded).equals(local.transform(values))
    encoded = client.post("table/transform", json.dumps({"columns": columns}).encode(), JSON).json()
    assert list(encoded["columns"]) == local.transform(values).schema.names
    back = client.post("table/inverse", json.dumps({"columns": encoded["columns"]}).encode(), JSON).json()["columns"]
    assert (back["colour"], back["n"]) == (columns["colour"], columns["n"])
    np.testing.assert_allclose(back["x"], columns["x"], rtol=1e-5)


def test_many_categories_both_ways(tmp_path):
    """As intervals of one scalar, which is null in JSON for a value that is no category."""
    rows = pa.table({"code": [f"c{i % 300}" for i in range(3_300)]})
    fitted = gpuvgm.TableTransformer(unknown="ignore").fit(rows)
    fitted.save(tmp_path / "codes.gpuvgm")
    client = Client(create_app(load_models(tmp_path), Limits(threads=1)))
    new = {"code": ["c7", "nowhere", "c299"]}
    encoded = client.post("codes/transform", json.dumps({"columns": new}).encode(), JSON).json()["columns"]
    assert [value is None for value in encoded["code.scalar"]] == [False, True, False]
    back = client.post("codes/inverse", json.dumps({"columns": encoded}).encode(), JSON).json()["columns"]
    assert back["code"] == ["c7", None, "c299"]
    sent = client.post("codes/transform?layout=onehot", stream_of(rows))
    assert table_from(client.post("codes/inverse", sent.content)).equals(rows)
    message = error_of(client.post("codes/transform?layout=onehot", json.dumps({"columns": new}).encode(), JSON), 400)
    assert "for which its scalar has no place" in message
    client.app.gate.close()


def test_a_model_of_train_draws_rows(tmp_path):
    """Whatever table it was fitted on, a sample is Arrow, or JSON; rows depend on seed and number alone."""
    rows = table_of()
    of_arrow = gpuvgm.TableSynthesizer().fit(rows)
    gpuvgm.TableSynthesizer().fit(rows.to_pandas()).save(tmp_path / "drawn.gpuvgm")
    gpuvgm.TableTransformer().fit(rows).save(tmp_path / "encoded.gpuvgm")
    client = Client(create_app(load_models(tmp_path), Limits(threads=1, max_bytes=1 << 20)))

    def get(query, accept=ARROW):
        return client("GET", f"/v1/models/{query}", headers={"accept": accept})

    table = table_from(get("drawn/sample?rows=40&first_row=5&seed=3"))
    assert table.schema.names == rows.schema.names and table.num_rows == 40
    assert table["colour"].to_pylist() == of_arrow.sample(40, first_row=5, seed=3)["colour"].to_pylist()
    assert table_from(get("drawn/sample?rows=20&first_row=25&seed=3")).equals(table.slice(20))
    document = get("drawn/sample?rows=40&first_row=5&seed=3", "*/*").json()
    assert document["rows"] == 40 and document["columns"]["colour"] == table["colour"].to_pylist()
    assert table_from(get("drawn/sample?rows=0")).num_rows == 0
    assert table_from(client.post("drawn/transform", stream_of(rows))).num_rows == rows.num_rows
    assert "encodes rows and draws none" in error_of(get("encoded/sample?rows=4"), 404)
    assert 'no model "other"' in error_of(get("other/sample?rows=4"), 404)
    assert "rows: Field required" in error_of(get("drawn/sample"), 400)
    assert "choose from rows, seed, first_row" in error_of(get("drawn/sample?rows=4&mode=argmax"), 400)
    assert "ask for at most" in error_of(get("drawn/sample?rows=1000000000000"), 413)
    assert "Accept must name" in error_of(get("drawn/sample?rows=4", "text/csv"), 406)
    assert 'gpuvgm_rows_total{model="drawn",route="sample"} 100.0' in client("GET", "/metrics").text
    client.app.gate.close()


def test_no_rows(client, local):
    empty = table_of().slice(0, 0)
    assert table_from(client.post("table/transform", stream_of(empty))).equals(local.transform(empty))
    body = {"columns": {name: [] for name in empty.schema.names}}
    assert client.post("table/transform", json.dumps(body).encode(), JSON).json()["rows"] == 0


def test_numbers_without_a_place_in_json_are_null(client, local):
    encoded = local.transform(table_of().slice(0, 2), dtype="float64")
    undefined = encoded.set_column(0, "x.scalar", pa.array([np.nan, 0.0]))
    none, number = client.post("table/inverse", stream_of(undefined), accept=JSON).json()["columns"]["x"]
    assert (none, number > 0) == (None, True)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", ARROW), ("application/*", ARROW), (f"text/html, {JSON};q=0.5", JSON), (f"{JSON};q=0.1, {ARROW}", ARROW)],
)
def test_the_answer_is_of_the_kind_asked_for(client, accept, kind):
    response = client.post("one/transform", stream_of(table_of().select(["x"])), accept=accept)
    assert response.headers["content-type"] == kind


def test_wrong_kinds(client):
    assert "Accept must name" in error_of(client.post("one/transform", b"", accept="text/html"), 406)
    for kind in ("text/plain", "", "multipart/form-data"):
        assert "Content-Type must be" in error_of(client.post("one/transform", b"", kind), 415)
    packed = client.post("one/transform", b"", **{"content-encoding": "gzip"})
    assert "Content-Encoding" in error_of(packed, 415)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("mode=best", "mode: Input should be 'sample' or 'argmax'"),
        ("seed=-1", "seed: "),
        ("seed=18446744073709551616", "seed: "),
        ("out=/tmp/x.parquet", "out: unknown option; choose from mode, layout, dtype, seed, first_row"),
        ("first_row=x", "first_row: "),
    ],
)
def test_wrong_options(client, query, told):
    response = client.post(f"one/transform?{query}", stream_of(table_of().select(["x"])))
    assert f"wrong options in the query: {told}" in error_of(response, 400)


def test_options_of_an_inverse_are_its_own(client):
    told = error_of(client.post("one/inverse?mode=argmax", b""), 400)
    assert told == "wrong options in the query: mode: unknown option; choose from return_valid, invalid"


def test_all_missing_columns_are_named_at_once(client):
    told = error_of(client.post("table/transform", stream_of(table_of().select(["x", "n"]))), 400)
    assert told == 'the request: no columns "colour", "price", "when", "took"; columns: "x", "n"'


def test_the_service_describes_itself(client, made):
    overview = client("GET", "/").json()
    assert overview == {
        "service": "gpuvgm",
        "version": gpuvgm.__version__,
        "models": ["one", "table"],
        "description": "/docs",
    }
    paths = client("GET", "/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    assert {"GET /", "GET /health", "GET /metrics", "POST /v1/models/{name}/inverse"} < routes
    transform = paths["/v1/models/{name}/transform"]["post"]
    assert set(transform["requestBody"]["content"]) == {ARROW, "application/json"}
    assert set(transform["responses"]) == {"200", "default"}
    page = client("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(f"<code>{route}</code>" in page.text for route in routes)
    assert "layout (compact, onehot)" in page.text and "://" not in page.text  # nothing is loaded from elsewhere
    locked = made(token=TOKEN)
    for path in ("/", "/docs", "/openapi.json"):
        error_of(locked("GET", path), 401)
        assert locked("GET", path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_errors_name_column_and_row(client):
    rows = table_of().select(["x"]).slice(0, 4)
    missing = rows.set_column(0, "x", pa.array([1.0, None, 2.0, 3.0]))
    message = error_of(client.post("one/transform", stream_of(missing)), 400)
    assert message.startswith('column "x": 1 value is missing')
    assert "the request, row 1" in message
    assert 'no column "x"' in error_of(client.post("one/transform", stream_of(rows.rename_columns(["y"]))), 400)


@pytest.mark.parametrize("type_", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")])
def test_times_of_the_day_as_json(type_):
    values = pa.array([0, 3_600, None, 86_399], type_)
    document = json.loads(json_bodies.write_document(pa.table({"x": values})))
    body = json.dumps({"columns": document["columns"]}).encode()
    assert json_bodies.read_document(body, {"x": type_}).column("x").combine_chunks() == values
    with pytest.raises(InputError, match=r'column "x", row 1 is not a valid time'):
        json_bodies.read_document(b'{"columns": {"x": ["00:00:01", "25:00:00"]}}', {"x": type_})


@pytest.mark.parametrize("value", ["9" * 400, 10**400 - 1, f"0.{'0' * 40}1", f"-{'9' * 200}.5"])
def test_decimals_of_very_many_digits_are_refused(value):
    """Arrow reads the first as -1.00."""
    body = json.dumps({"columns": {"x": ["1.25", value]}}).encode()
    with pytest.raises(
        InputError, match=r'column "x", row 1 is not a valid decimal128\(10, 2\): it has 4?\d\d+ digits'
    ):
        json_bodies.read_document(body, {"x": pa.decimal128(10, 2)})
    longest = f"-{'9' * 36}.25"
    read = json_bodies.read_document(json.dumps({"columns": {"x": [longest]}}).encode(), {"x": pa.decimal128(38, 2)})
    assert str(read.column("x")[0]) == longest
