"""Files of every released format stay readable, and mean the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.store import FORMAT, fingerprint, load_model

DATA = Path(__file__).parent / "data"
ROWS = {"Amount": [0.0, 1.5, None, 2.25, 900.0, -3.0], "id": [2**60, 2**60 + 1, 2**60 + 500, None, 2**60 + 7, 2**60]}
ID_NUMBERS = (1152921504606846978, 1152921504606847972, 1152921504606847439)
IDS = {
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
#: What the files of each format hold; that of format 1 says nothing of effort and was fitted the only way there was.
HELD = {
    1: SimpleNamespace(
        fingerprint="8052d3aa61501819fa1c173d7af39179a62c7e4b890f0e1f88f395ef6745ac71",
        means=["0x1.316a6ea13ecbdp+7", "0x1.b8c7db6474215p+9", "0x1.31754b4eccdebp+7", "0x1.3dc1099765af5p+0"],
        order=(2, 1, 0),
        options={"n_components": 3, "tails": "exact"},
        effort="research",
        efforts=["research", "research"],
        with_fewer=None,
        encoded={
            "Amount.scalar": [
                "-0x1.7ea5380000000p-5",
                "-0x1.fa3c140000000p-6",
                "0x0.0p+0",
                "-0x1.78b4e80000000p-6",
                "0x1.12cef80000000p-5",
                "-0x1.40d9c80000000p-4",
            ],
            "Amount.mode": [0, 0, 2, 0, 1, 0],
            **IDS,
        },
    ),
    2: SimpleNamespace(
        fingerprint="ca4bf23d83b96d8f0f2c3524c4fbe40790f3fd70e855336ee0df8d5252598ff8",
        means=["0x1.3dc4472e5cc56p+0", "0x1.b8c845cf76852p+9", "0x1.2ccc50c9036f2p+7", "0x1.2ccc50c9036f2p+7"],
        order=(1, 2, 0),
        options={"n_components": 3, "tails": "exact", "effort": "research"},
        effort="best",
        efforts=["best", "research"],
        with_fewer=-1885.0493254693286,
        encoded={
            "Amount.scalar": [
                "-0x1.7eaab80000000p-5",
                "-0x1.fa441a0000000p-6",
                "0x0.0p+0",
                "-0x1.78bb700000000p-6",
                "0x1.12c7b80000000p-5",
                "-0x1.40de080000000p-4",
            ],
            "Amount.mode": [0, 0, 2, 0, 1, 0],
            **IDS,
        },
    ),
}


def training_rows() -> pa.Table:
    """What the models of all files were fitted on."""
    draws = np.random.default_rng(1)
    amounts = np.concatenate((np.round(draws.lognormal(1, 1, 250), 2), draws.normal(900, 5, 50)))
    ids = pa.array(2**60 + draws.integers(0, 1000, 300), pa.int64(), mask=np.arange(300) % 50 == 0)
    return pa.table({"Amount": pa.array(amounts, mask=np.arange(300) == 7), "id": ids})


def write_format_1() -> None:
    """Write the file; run once, when the format was new."""
    columns = {"id": HELD[1].options}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4, max_iter=50)
    transformer.fit(training_rows()).save(DATA / "format_1.gpuvgm", summaries=True)


def write_format_2() -> None:
    """Write the file; run once, when the format was new."""
    transformer = gpuvgm.TableTransformer({"id": HELD[2].options}, random_state=5, n_components=4)
    transformer.fit(training_rows()).save(DATA / "format_2.gpuvgm", summaries=True)


def some_rows() -> pa.Table:
    return pa.table({"Amount": pa.array(ROWS["Amount"]), "id": pa.array(ROWS["id"], pa.int64())})


@pytest.fixture(params=HELD)
def number(request):
    """Every format in turn."""
    return request.param


def test_every_format_has_a_file():
    assert list(HELD) == list(range(1, FORMAT + 1))


def test_values(number):
    held, stored = HELD[number], load_model(DATA / f"format_{number}.gpuvgm")
    model = stored.model
    assert model.names == ("Amount", "id")
    assert (model.rows, model.seed) == (300, 5)
    assert held.fingerprint == fingerprint(model)
    assert stored.settings["n_components"] == 4
    assert stored.schema["id"].options == held.options
    amount, identity = model.columns
    assert [float(mean).hex() for mean in amount.mixture.posterior.means] == held.means
    assert (identity.minimum, identity.maximum, identity.codec.base) == ID_NUMBERS
    assert (amount.modal_values, amount.order, identity.order) == ((None,), held.order, (2, 3, 1, 0))
    assert [column.fit.effort for column in model.columns] == held.efforts
    assert [column.fit.bound_with_fewer for column in model.columns] == [held.with_fewer, None]
    assert stored.summaries["id"].rows == 300
    assert stored.summaries["id"].missing == 6


def test_rows_are_encoded_as_they_were(number):
    transformer = gpuvgm.load(DATA / f"format_{number}.gpuvgm")
    encoded = transformer.transform(some_rows())
    for name, values in HELD[number].encoded.items():
        expected = [float.fromhex(value) if isinstance(value, str) else value for value in values]
        assert encoded[name].to_pylist() == pytest.approx(expected, rel=1e-6, abs=1e-7), name
    assert transformer.inverse_transform(encoded)["id"].to_pylist() == ROWS["id"]


def test_more_rows_are_taken_with_the_same_effort(number):
    transformer = gpuvgm.load(DATA / f"format_{number}.gpuvgm")
    assert transformer.effort == HELD[number].effort
    assert transformer.partial_fit(some_rows()).model_.rows == 306
    assert [column.fit.effort for column in transformer.columns_.values()] == HELD[number].efforts
