"""Files of every released format stay readable, and mean the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.store import fingerprint, load_model

DATA = Path(__file__).parent / "data"
ROWS = {"Amount": [0.0, 1.5, None, 2.25, 900.0, -3.0], "id": [2**60, 2**60 + 1, 2**60 + 500, None, 2**60 + 7, 2**60]}
FINGERPRINT = "8052d3aa61501819fa1c173d7af39179a62c7e4b890f0e1f88f395ef6745ac71"
AMOUNT_MEANS = ["0x1.316a6ea13ecbdp+7", "0x1.b8c7db6474215p+9", "0x1.31754b4eccdebp+7", "0x1.3dc1099765af5p+0"]
AMOUNT_ORDER, ID_ORDER = (2, 1, 0), (2, 3, 1, 0)
ID_NUMBERS = (1152921504606846978, 1152921504606847972, 1152921504606847439)
ENCODED = {
    "Amount.scalar": [
        "-0x1.7ea5380000000p-5",
        "-0x1.fa3c140000000p-6",
        "0x0.0p+0",
        "-0x1.78b4e80000000p-6",
        "0x1.12cef80000000p-5",
        "-0x1.40d9c80000000p-4",
    ],
    "Amount.mode": [0, 0, 2, 0, 1, 0],
    "id.scalar": [
        "-0x1.a17b180000000p-2",
        "-0x1.9f51880000000p-2",
        "0x1.3c72780000000p-5",
        "0x0.0p+0",
        "-0x1.9258300000000p-2",
        "-0x1.a17b180000000p-2",
    ],
    "id.mode": [0, 0, 1, 3, 0, 0],
}


def write_format_1() -> None:
    """Write the file; run once, when the format was new."""
    draws = np.random.default_rng(1)
    amounts = np.concatenate((np.round(draws.lognormal(1, 1, 250), 2), draws.normal(900, 5, 50)))
    ids = pa.array(2**60 + draws.integers(0, 1000, 300), pa.int64(), mask=np.arange(300) % 50 == 0)
    table = pa.table({"Amount": pa.array(amounts, mask=np.arange(300) == 7), "id": ids})
    columns = {"id": {"n_components": 3, "tails": "exact"}}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4, max_iter=50).fit(table)
    transformer.save(DATA / "format_1.gpuvgm", summaries=True)


@pytest.fixture(scope="module")
def stored():
    return load_model(DATA / "format_1.gpuvgm")


def test_format_1_values(stored):
    model = stored.model
    assert model.names == ("Amount", "id")
    assert (model.rows, model.seed) == (300, 5)
    assert FINGERPRINT == fingerprint(model)
    assert stored.settings["n_components"] == 4
    assert stored.schema["id"].options == {"n_components": 3, "tails": "exact"}
    amount, identity = model.columns
    assert [float(mean).hex() for mean in amount.mixture.posterior.means] == AMOUNT_MEANS
    assert (identity.minimum, identity.maximum, identity.codec.base) == ID_NUMBERS
    assert (amount.modal_values, amount.order, identity.order) == ((None,), AMOUNT_ORDER, ID_ORDER)
    assert stored.summaries["id"].rows == 300
    assert stored.summaries["id"].missing == 6


def test_format_1_encodes_as_it_did():
    transformer = gpuvgm.load(DATA / "format_1.gpuvgm")
    table = pa.table({"Amount": pa.array(ROWS["Amount"]), "id": pa.array(ROWS["id"], pa.int64())})
    encoded = transformer.transform(table)
    for name, values in ENCODED.items():
        expected = [float.fromhex(value) if isinstance(value, str) else value for value in values]
        assert encoded[name].to_pylist() == pytest.approx(expected, rel=1e-6, abs=1e-7), name
    assert transformer.inverse_transform(encoded)["id"].to_pylist() == ROWS["id"]


def test_format_1_takes_more_rows(stored):
    transformer = gpuvgm.load(DATA / "format_1.gpuvgm")
    table = pa.table({"Amount": pa.array(ROWS["Amount"]), "id": pa.array(ROWS["id"], pa.int64())})
    assert transformer.partial_fit(table).model_.rows == 306
