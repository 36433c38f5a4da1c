"""Files of every released format stay readable, and mean the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.table.model_file import FORMAT, fingerprint, load_model

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
#: Columns that come back without any rounding.
EXACT = {"id", "day", "city", "paid", "grade", "age", "note", "price"}
FINGERPRINT_5_KINDS = "293c7f8c5dea989d0744e258387eb1fa2c8cda4c149fb09c180515af9e02c4c0"
ENCODED_5_KINDS = "c70c502096d2102040185d0be26c708b47938a4a2e84ccc38a48bb6ae32612a0"
FINGERPRINT_5 = "71bfd82403749cf2979e280d06ce19632bb61026fbf8ba3e387b3a012d322c8e"
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
        kinds={},
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
        kinds={},
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
    3: SimpleNamespace(
        fingerprint="e3f1bc1adb3006f109eddf3d7808cd7a78cdafabcf2fd995cd85bf7fbcdfab7f",
        means=["0x1.3dc4472e5cc56p+0", "0x1.b8c845cf76852p+9", "0x1.2ccc50c9036f2p+7", "0x1.2ccc50c9036f2p+7"],
        order=(1, 2, 0),
        options={"n_components": 3, "tails": "exact", "effort": "research"},
        effort="best",
        efforts=["best", "research"],
        with_fewer=-1885.0493254693286,
        kinds={
            "income": "continuous",
            "delay": "mixed",
            "price": "continuous",
            "when": "continuous",
            "day": "mixed",
            "city": "categorical",
            "paid": "categorical",
            "size": "categorical",
            "grade": "categorical",
            "ratio": "general",
            "age": "general",
            "note": "pass",
        },
        income_low=0.0,
        delay_counts=(93, 94, 20),
        first_day=18000,
        prices=(13692, 993017),
        ages=[18, 98],
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
            "id.scalar": [
                "-0x1.a17b180000000p-2",
                "-0x1.9f51880000000p-2",
                "0x1.3c72780000000p-5",
                "0x0.0p+0",
                "-0x1.9258300000000p-2",
                "-0x1.a17b180000000p-2",
            ],
            "id.mode": [0, 0, 1, 3, 0, 0],
            "income.scalar": [
                "-0x1.83b9dc0000000p-2",
                "-0x1.709c180000000p-2",
                "-0x1.6f49320000000p-5",
                "-0x1.0393640000000p-2",
                "-0x1.e3b0040000000p-4",
                "0x1.973d0e0000000p-3",
            ],
            "income.mode": [0, 1, 0, 0, 0, 0],
            "delay.scalar": ["0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x1.74bc720000000p-2", "0x0.0p+0", "0x0.0p+0"],
            "delay.mode": [3, 3, 3, 2, 1, 0],
            "price.scalar": [
                "-0x1.b23c400000000p-4",
                "-0x1.7a11120000000p-3",
                "-0x1.77c3680000000p-2",
                "-0x1.5e22300000000p-2",
                "0x1.27b1820000000p-3",
                "-0x1.5cd2520000000p-2",
            ],
            "price.mode": [0, 1, 1, 0, 0, 0],
            "when.scalar": [
                "-0x1.9f35b00000000p-2",
                "-0x1.cffd4c0000000p-3",
                "-0x1.d190340000000p-5",
                "0x1.96a8440000000p-2",
                "-0x1.bcca8e0000000p-3",
                "-0x1.eae9860000000p-3",
            ],
            "when.mode": [0, 1, 0, 0, 0, 1],
            "day.scalar": [
                "0x0.0p+0",
                "0x1.32e2420000000p-2",
                "-0x1.f8b65a0000000p-5",
                "0x1.cbe5840000000p-5",
                "-0x1.865f940000000p-5",
                "0x0.0p+0",
            ],
            "day.mode": [2, 1, 1, 1, 0, 2],
            "city.mode": [0, 1, 2, 0, 1, 2],
            "paid.mode": [0, 1, 2, 2, 0, 0],
            "size.mode": [0, 1, 2, 2, None, 0],
            "grade.mode": [3, 0, 1, 2, 0, 1],
            "ratio.scalar": [
                "-0x1.b9d0cef6e6afcp-1",
                "0x1.c262d0d9d9200p-8",
                "-0x1.bf5c3208e9fd7p-1",
                "-0x1.769df29a9ec58p-4",
                "-0x1.43fc19b9f09bcp-1",
                "-0x1.80e3dcb44b634p-2",
            ],
            "age.scalar": [
                "-0x1.1997cc3cf3bb4p-1",
                "-0x1.9996fa8733f90p-5",
                "-0x1.33313be566faep-1",
                "-0x1.9996fa8733f90p-5",
                "0x1.33313be566fb0p-1",
                "0x1.fffcb92900f78p-1",
            ],
            "note": ["row 0", "row 1", "row 2", "row 30", "row 31", "row 32"],
        },
    ),
}

#: Format 4 says which law transform goes by; one column of its file has that of float32.
HELD[4] = SimpleNamespace(**vars(HELD[3]))
HELD[4].options = {**HELD[3].options, "precision": "float32"}
HELD[4].encoded = {
    **HELD[3].encoded,
    "id.scalar": [
        "-0x1.a17b180000000p-2",
        "-0x1.9f518a0000000p-2",
        "0x1.3c727a0000000p-5",
        "0x0.0p+0",
        "-0x1.9258320000000p-2",
        "-0x1.a17b180000000p-2",
    ],
}


#: What format 3, the first with other kinds, was told of the columns that formats 1 and 2 do not have.
COLUMNS = {
    "income": {"kind": "continuous", "log": True, "n_components": 2},
    "delay": {"kind": "mixed", "modal": [0, -1], "n_components": 2},
    "price": {"kind": "continuous", "tails": "exact", "n_components": 2},
    "when": {"kind": "continuous", "tails": "exact", "n_components": 2},
    "day": {"kind": "mixed", "modal": ["2024-01-31"], "n_components": 2},
    "city": "categorical",
    "paid": "categorical",
    "size": {"kind": "categorical", "categories": [1, 2, 3], "unknown": "ignore"},
    "grade": "categorical",
    "ratio": {"kind": "general", "clip": True},
    "age": "general",
    "note": "pass",
    "key": "drop",
}
TYPES = {
    "income": pa.float32(),
    "delay": pa.float64(),
    "price": pa.decimal128(10, 2),
    "when": pa.timestamp("us", "Europe/Berlin"),
    "day": pa.date32(),
    "city": pa.string(),
    "paid": pa.bool_(),
    "size": pa.int8(),
    "grade": pa.dictionary(pa.int8(), pa.string(), ordered=True),
    "ratio": pa.float64(),
    "age": pa.int16(),
    "note": pa.large_string(),
    "key": pa.int64(),
}


def training_rows() -> pa.Table:
    """What the models of formats 1 and 2, and the first columns of the others, were fitted on."""
    draws = np.random.default_rng(1)
    amounts = np.concatenate((np.round(draws.lognormal(1, 1, 250), 2), draws.normal(900, 5, 50)))
    ids = pa.array(2**60 + draws.integers(0, 1000, 300), pa.int64(), mask=np.arange(300) % 50 == 0)
    return pa.table({"Amount": pa.array(amounts, mask=np.arange(300) == 7), "id": ids})


def rows_of_every_kind() -> pa.Table:
    """What the model of format 3 was fitted on."""
    draws, number = np.random.default_rng(2), np.arange(300)
    grades = pa.DictionaryArray.from_arrays(
        pa.array(number % 3, pa.int8(), mask=number % 7 == 0), ["low", "high", "middle"], ordered=True
    )
    held = {
        "income": np.where(number % 50 == 1, 0, np.round(draws.exponential(900, 300))).astype(np.float32),
        "delay": pa.array(np.where(number % 3 > 0, -(number % 3 - 1.0), draws.normal(20, 5, 300)), mask=number < 20),
        "price": [Decimal(int(cents)) / 100 for cents in draws.integers(100, 10**6, 300)],
        "when": 1_700_000_000_000_000 + 10**6 * draws.integers(0, 10**7, 300),
        "day": np.where(number % 4 == 0, 19_753, draws.integers(18_000, 20_000, 300)).astype(np.int32),
        "city": [["Ulm", "Köln", None, "Ulm", "東京"][i % 5] for i in number],
        "paid": [[True, False, None, True][i % 4] for i in number],
        "size": 1 + number % 4,
        "ratio": draws.uniform(-3, 9, 300),
        "age": draws.integers(18, 99, 300),
        "note": [f"row {i}" for i in number],
        "key": number,
    }
    table = training_rows()
    for name, type_ in TYPES.items():
        values = grades if name == "grade" else pa.array(held[name]).cast(type_)
        table = table.append_column(name, values)
    return table


def write_format_1() -> None:
    """Write the file; run once, when the format was new."""
    columns = {"id": HELD[1].options}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4, max_iter=50)
    transformer.fit(training_rows()).save(DATA / "format_1.gpuvgm", summaries=True)


def write_format_2() -> None:
    """Write the file; run once, when the format was new."""
    transformer = gpuvgm.TableTransformer({"id": HELD[2].options}, random_state=5, n_components=4)
    transformer.fit(training_rows()).save(DATA / "format_2.gpuvgm", summaries=True)


def write_format_3() -> None:
    """Write the file; run once, when the format was new."""
    columns = {"Amount": "continuous", "id": {"kind": "continuous", **HELD[3].options}, **COLUMNS}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4)
    transformer.fit(rows_of_every_kind()).save(DATA / "format_3.gpuvgm", summaries=True)


def write_format_4() -> None:
    """Write the file; run once, when the format was new."""
    columns = {"Amount": "continuous", "id": {"kind": "continuous", **HELD[4].options}, **COLUMNS}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4)
    transformer.fit(rows_of_every_kind()).save(DATA / "format_4.gpuvgm", summaries=True)


def rows_with_steps() -> dict[str, np.ndarray]:
    """Cents with a row between two modes, hours, and decimals so fine that float32 scalars do not hold them."""
    random = np.random.default_rng(9)
    cents = np.round(np.r_[random.normal(10, 1, 200), random.normal(900, 2, 99), 400.25], 2)
    hours = np.datetime64("2020-01-01T00", "ns") + random.integers(0, 9_000, 300) * np.timedelta64(3600 * 10**9, "ns")
    return {"cents": cents, "hours": hours, "fine": np.round(random.normal(size=300), 9)}


def write_format_5() -> None:
    """Write the file; run once, when the format was new."""
    transformer = gpuvgm.TableTransformer(dict.fromkeys(rows_with_steps(), "continuous"), n_components=2)
    transformer.fit(rows_with_steps()).save(DATA / "format_5.gpuvgm", summaries=True)


def test_steps_and_tail_modes():
    """What format 5 is for: every row comes back as it was."""
    transformer, rows = gpuvgm.load(DATA / "format_5.gpuvgm"), rows_with_steps()
    assert fingerprint(transformer.model_) == FINGERPRINT_5
    columns = transformer.columns_
    assert [columns[name].codec.step for name in rows] == ["0.01", 3600 * 10**9, "0.000000001"]
    assert [columns[name].scalar_dtype for name in rows] == [None, None, "float64"]
    assert columns["cents"].mixture.tail_counts.sum() == 1
    back = transformer.inverse_transform(transformer.transform(rows, seed=0))
    for name, values in rows.items():
        np.testing.assert_array_equal(np.asarray(back[name]), values)
    assert transformer.partial_fit({**rows, "fine": rows["fine"] / 3}).columns_["fine"].codec.step is None


def rows_of_new_kinds() -> pa.Table:
    """An identifier, many categories, few of which are frequent, amounts with zeros, and numbers and dates as text."""
    random = np.random.default_rng(10)
    amounts = np.where(random.random(900) < 0.1, 0, np.round(random.lognormal(4, 1.5, 900), 2))
    days = np.datetime64("2021-03-01") + random.integers(0, 500, 900)
    return pa.table(
        {
            "key": pa.array([f"k-{i:05}" for i in random.permutation(900)]),
            "shop": pa.array([f"shop {i}" for i in random.integers(0, 300, 900)]),
            "area": pa.array([f"area {min(i, 9)}" for i in random.geometric(0.4, 900)]),
            "amount": amounts,
            "price": pa.array([f"{price:.2f}".replace(".", ",") for price in random.normal(50, 9, 900)]),
            "day": pa.array([str(day) for day in days]),
        }
    )


def write_format_5_kinds() -> None:
    """Write the file; run once, when the kinds were new."""
    shop = {"kind": "categorical", "encoding": "interval"}
    columns = {"key": "id", "shop": shop, "area": {"max_categories": 4}}
    transformer = gpuvgm.TableTransformer(columns, random_state=5, n_components=4)
    transformer.fit(rows_of_new_kinds()).save(DATA / "format_5_kinds.gpuvgm", summaries=True)


def test_kinds_of_format_5():
    transformer, rows = gpuvgm.load(DATA / "format_5_kinds.gpuvgm"), rows_of_new_kinds()
    assert fingerprint(transformer.model_) == FINGERPRINT_5_KINDS
    columns = transformer.columns_
    assert [column.kind for column in columns.values()] == ["id", *["categorical"] * 2, "mixed", *["continuous"] * 2]
    assert (columns["shop"].encoding, len(columns["area"].infrequent)) == ("interval", 6)
    assert (columns["amount"].codec.name, columns["amount"].modal_values) == ("asinh", (0.0,))
    back = transformer.inverse_transform(transformer.transform(rows, seed=0))
    for name in ("shop", "amount", "price", "day"):
        assert back[name].equals(rows[name]), name
    assert len(set(back["key"].to_pylist())) == rows.num_rows
    encoded = transformer.transform(rows, seed=0, layout="onehot", dtype="float64")
    assert sha256(np.ascontiguousarray(encoded).tobytes()).hexdigest() == ENCODED_5_KINDS


def some_rows(number: int) -> pa.Table:
    """Six rows; from format 3 on with the columns of all kinds."""
    rows = pa.table({"Amount": pa.array(ROWS["Amount"]), "id": pa.array(ROWS["id"], pa.int64())})
    if number < 3:
        return rows
    for name in TYPES:
        rows = rows.append_column(name, rows_of_every_kind()[name].take([0, 1, 2, 30, 31, 32]))
    return rows


@pytest.fixture(params=HELD)
def number(request):
    """Every format in turn."""
    return request.param


def test_every_format_has_a_file():
    assert [*HELD, 5] == list(range(1, FORMAT + 1))


def test_values(number):
    held, stored = HELD[number], load_model(DATA / f"format_{number}.gpuvgm")
    model = stored.model
    assert model.names == ("Amount", "id", *held.kinds)
    assert {column.name: column.kind for column in model.columns[2:]} == held.kinds
    assert (model.rows, model.seed) == (300, 5)
    assert held.fingerprint == fingerprint(model)
    assert stored.settings["n_components"] == 4
    assert stored.schema["id"].options == held.options
    amount, identity = model.columns[:2]
    assert [float(mean).hex() for mean in amount.mixture.posterior.means] == held.means
    assert (identity.minimum, identity.maximum, identity.codec.base) == ID_NUMBERS
    assert (amount.modal_values, amount.order, identity.order) == ((None,), held.order, (2, 3, 1, 0))
    assert [column.fit.effort for column in (amount, identity)] == held.efforts
    assert [column.fit.bound_with_fewer for column in (amount, identity)] == [held.with_fewer, None]
    assert stored.summaries["id"].rows == 300
    assert stored.summaries["id"].missing == 6


def test_precision(number):
    model = load_model(DATA / f"format_{number}.gpuvgm").model
    assert model["Amount"].rules.precision == "float64"
    assert model["id"].rules.precision == HELD[number].options.get("precision", "float64")


def test_rows_are_encoded_as_they_were(number):
    transformer = gpuvgm.load(DATA / f"format_{number}.gpuvgm")
    rows = some_rows(number)
    encoded = transformer.transform(rows)
    assert encoded.column_names == list(HELD[number].encoded)
    for name, values in HELD[number].encoded.items():
        if name.endswith(".scalar"):
            expected = [float.fromhex(value) for value in values]
            assert encoded[name].to_pylist() == pytest.approx(expected, rel=1e-6, abs=1e-7), name
        else:
            assert encoded[name].to_pylist() == values, name
    back = transformer.inverse_transform(encoded)
    assert [back.schema.field(name).type for name in back.column_names] == [
        rows.schema.field(name).type for name in back.column_names
    ]
    for name in EXACT & set(back.column_names):
        assert back[name].to_pylist() == rows[name].to_pylist(), name
    if "when" in back.column_names:  # a year in microseconds is more than a float32 scalar can tell apart
        pairs = zip(back["when"].to_pylist(), rows["when"].to_pylist(), strict=True)
        assert all(abs(found - given) < timedelta(seconds=1) for found, given in pairs)


def test_more_rows_are_taken_with_the_same_effort(number):
    transformer = gpuvgm.load(DATA / f"format_{number}.gpuvgm")
    assert transformer.effort == HELD[number].effort
    assert transformer.partial_fit(some_rows(number)).model_.rows == 306
    assert [transformer.columns_[name].fit.effort for name in ("Amount", "id")] == HELD[number].efforts


def test_every_kind_of_format_3_is_as_it_was():
    model = load_model(DATA / "format_3.gpuvgm").model
    assert [str(model[name].type) for name in HELD[3].kinds] == [str(TYPES[name]) for name in HELD[3].kinds]
    assert (model["income"].codec.name, model["income"].codec.low) == ("log", HELD[3].income_low)
    assert (model["delay"].modal_values, model["delay"].modal_counts) == ((0.0, -1.0, None), HELD[3].delay_counts)
    assert (model["day"].modal_values, model["day"].minimum) == ((19_753,), HELD[3].first_day)
    assert (model["price"].minimum, model["price"].maximum) == HELD[3].prices
    city = model["city"]
    assert (city.categories, city.counts, city.first_rows) == (
        ("Ulm", "Köln", None, "東京"),
        (120, 60, 60, 60),
        (0, 1, 2, 4),
    )
    assert model["paid"].categories == (True, False, None)
    size = model["size"]
    assert (size.categories, size.counts, size.unknown, size.declared) == ((1, 2, 3), (75, 75, 75), "ignore", True)
    assert model["grade"].dictionary == ("low", "high", "middle")
    assert model["grade"].categories[0] == "high"
    assert (model["ratio"].clip, model["ratio"].margin, model["age"].margin) == (True, 0.0, 0.001)
    assert [model["age"].minimum, model["age"].maximum] == HELD[3].ages
