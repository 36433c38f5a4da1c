"""A table of payments with a column of every kind; every value is a function of the seed and its row."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import decimals
from gpuvgm.datasets.amounts import amount_chunk, to_cents
from gpuvgm.datasets.ranges import CHUNK_ROWS, rows_of_chunks, stream_of

CHANNELS = ("app", "web", "store", "phone")
CHANNEL_SHARES = np.array([0.5, 0.3, 0.15, 0.05])
CHANNEL_FACTORS = np.array([1.0, 1.25, 0.8, 2.0])
CITIES = tuple(f"city-{number:03d}" for number in range(1, 201))
CITY_SHARES = np.arange(1, len(CITIES) + 1) ** -1.1 / np.sum(np.arange(1, len(CITIES) + 1) ** -1.1)
FIRST_ID = 10**9
START, DAYS = np.datetime64("2024-01-01", "us").astype(np.int64), 731
SECONDS_OF_A_DAY, NOON, DAY_SD = 86_400, 46_800.0, 12_600.0
MOST_QUANTITY = 50
_FIELDS: list[pa.Field[Any]] = [
    pa.field("id", pa.int64(), nullable=False),
    pa.field("amount", pa.float64(), nullable=False),
    pa.field("balance", pa.float64()),
    pa.field("quantity", pa.int32(), nullable=False),
    pa.field("when", pa.timestamp("us"), nullable=False),
    pa.field("city", pa.string(), nullable=False),
    pa.field("channel", pa.dictionary(pa.int8(), pa.string()), nullable=False),
    pa.field("active", pa.bool_(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("rate", pa.decimal128(9, 4), nullable=False),
]
TABLE_SCHEMA = pa.schema(_FIELDS)


def mixed_table_rows(first_row: int, rows: int, seed: int) -> pa.RecordBatch:
    """Rows of a table of payments.

    ========  ==============  =======================================================================================
    column    type            values
    ========  ==============  =======================================================================================
    id        int64           10^9 + row
    amount    float64         as `amount`, times 1, 1.25, 0.8 or 2 by channel, in cents
    balance   float64         13 % zeros, 5 % missing, else lognormal(7, 1) or, three in ten, debts: -lognormal(6, 1)
    quantity  int32           41 % zeros, else geometric(0.4), at most 50
    when      timestamp[us]   2024 and 2025, most at one o'clock in the afternoon
    city      string          200 categories, shares by Zipf's law with exponent 1.1
    channel   dictionary      "app" 50 %, "web" 30 %, "store" 15 %, "phone" 5 %
    active    bool            90 % where the quantity is above 0, else 65 %
    score     float64         mean of two uniforms on [0, 100)
    rate      decimal(9, 4)   1.25 to 4.9625 in steps of 0.0125, binomial
    ========  ==============  =======================================================================================

    Parameters
    ----------
    first_row, rows : int
        The range of rows; any partition of a range gives the same values.
    seed : int
        0 to 2**64 - 1.
    """
    return rows_of_chunks(mixed_table_chunk, TABLE_SCHEMA, first_row, rows, seed)


def mixed_table_chunk(chunk: int, seed: int) -> pa.RecordBatch:
    """Rows [chunk, chunk + 1) * CHUNK_ROWS; every column draws from a stream of its own."""
    draw = partial(stream_of, seed, chunk)
    channel = draw_categories(draw(1).random(CHUNK_ROWS), CHANNEL_SHARES)
    quantity = _quantity(draw(3))
    columns: dict[str, Any] = {
        "id": FIRST_ID + chunk * CHUNK_ROWS + np.arange(CHUNK_ROWS),
        "amount": to_cents(amount_chunk(chunk, seed) * CHANNEL_FACTORS[channel]),
        "balance": _balance(draw(2)),
        "quantity": quantity.astype(np.int32),
        "when": pa.array(_moments(draw(4))).cast(pa.timestamp("us")),
        "city": _named_codes(
            draw_categories(draw(5).random(CHUNK_ROWS), CITY_SHARES), CITIES, np.int16
        ).dictionary_decode(),
        "channel": _named_codes(channel, CHANNELS, np.int8),
        "active": draw(6).random(CHUNK_ROWS) < np.where(quantity > 0, 0.9, 0.65),
        "score": 100 * draw(7).random((2, CHUNK_ROWS)).mean(axis=0),
        "rate": decimals(12_500 + 125 * draw(8).binomial(297, 0.3, CHUNK_ROWS), TABLE_SCHEMA.field("rate").type, None),
    }
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns.values()], schema=TABLE_SCHEMA)


def draw_categories(uniform: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of categories by the inverse of their distribution function."""
    # Rounding may leave the last sum below 1.
    return np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1)


def _balance(draws: np.random.Generator) -> Any:
    uniform, normal = draws.random(CHUNK_ROWS), draws.standard_normal(CHUNK_ROWS)
    # 82 % of the balances are neither zero nor missing, and three in ten of those are debts.
    debt = uniform >= 1 - 0.3 * 0.82
    values = np.exp(normal + np.where(debt, 6.0, 7.0))
    values[debt] *= -1.0
    values[uniform < 0.13] = 0.0
    values = np.rint(values * 100) / 100
    return pa.array(values, mask=(uniform >= 0.13) & (uniform < 0.18))


def _quantity(draws: np.random.Generator) -> NDArray[np.int64]:
    counts = np.minimum(draws.geometric(0.4, CHUNK_ROWS), MOST_QUANTITY)
    return np.where(draws.random(CHUNK_ROWS) < 0.41, 0, counts)


def _moments(draws: np.random.Generator) -> NDArray[np.int64]:
    """Microseconds since 1970."""
    day = draws.integers(0, DAYS, CHUNK_ROWS)
    second = (NOON + DAY_SD * draws.standard_normal(CHUNK_ROWS)) % SECONDS_OF_A_DAY
    return START + day * (SECONDS_OF_A_DAY * 1_000_000) + (second * 1e6).astype(np.int64)


def _named_codes(codes: NDArray[np.int64], categories: tuple[str, ...], dtype: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(dtype)), pa.array(categories))
