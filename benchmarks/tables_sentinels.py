"""Made columns with sentinels: whether each gets a one-hot column of its own, and what a perfect network decodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

import gpuvgm
from gpuvgm.columns import MISSING, CategoricalColumn, MixtureColumn

SENTINELS: tuple[tuple[int, ...], ...] = ((-999,), (9999,), (97, 98, 99), (-1, -2, -3))
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
SIZES = (200, 2_000, 20_000, 100_000)
#: Values from 12 to 86, far from all sentinels: a bell and a skewed shape.
SHAPES = ("bell", "skewed")
TYPES = ("float", "whole")
LEAST_SHARE, LEAST_ROWS = 0.005, 20  # from here on every sentinel is aimed at
NETWORK_SCALAR = 0.25  # standard deviation of a scalar within a Gaussian mode


@dataclass(frozen=True)
class MadeColumn:
    """A column with sentinels.

    Parameters
    ----------
    shape, type : str
        Of the other values.
    sentinels : tuple of int
        Values that are no quantity; none for a column that only has the others.
    share : float
        Of the rows, that each of them has.
    rows : int
        All rows.
    """

    shape: str
    type: str
    sentinels: tuple[int, ...]
    share: float
    rows: int

    @property
    def is_aimed_at(self) -> bool:
        """Whether each sentinel is frequent enough to be seen."""
        return bool(self.sentinels) and self.share >= LEAST_SHARE and self.share * self.rows >= LEAST_ROWS

    def values(self) -> np.ndarray:
        """The column."""
        random = np.random.default_rng([self.rows, len(self.sentinels), round(1e4 * self.share)])
        bell = np.clip(random.normal(50, 8, self.rows), 12, 86)
        x = bell if self.shape == "bell" else 12 + 70 * random.beta(2, 6, self.rows)
        if self.type == "whole":
            x = np.rint(x)
        places = random.permutation(self.rows)
        each = round(self.share * self.rows)
        for i, sentinel in enumerate(self.sentinels):
            x[places[i * each : (i + 1) * each]] = sentinel
        return x.astype(np.int64) if self.type == "whole" else x


def made_columns() -> Iterator[MadeColumn]:
    """All columns whose sentinels have a row; those without sentinels last."""
    for shape, type_, sentinels, share, rows in product(SHAPES, TYPES, SENTINELS, SHARES, SIZES):
        if share * rows >= 1:
            yield MadeColumn(shape, type_, sentinels, share, rows)
    for shape, type_, rows in product(SHAPES, TYPES, SIZES):
        yield MadeColumn(shape, type_, (), 0.0, rows)


def judge(made: MadeColumn) -> dict[str, Any]:
    """What the defaults make of a column: sentinels with a one-hot column, other modal values, and what comes back.

    "decoded" is the share of sentinel rows that come back as they were, if their scalars are those of a network that
    has learned the modes and knows nothing else: normal with a quarter's standard deviation, cut at 1.
    """
    x = made.values()
    transformer = gpuvgm.TableTransformer(threads=1, random_state=0).fit({"x": x})
    column = transformer.columns_["x"]
    modal = own_values(column)
    found: dict[str, Any] = {
        "own": sum(value in modal for value in made.sentinels),
        "others": [] if isinstance(column, CategoricalColumn) else sorted(modal - set(made.sentinels)),
        "scale": bool(transformer.fit_report_.columns["x"].scale),
    }
    rows = x[np.isin(x, made.sentinels)]
    if len(rows):
        encoded = dict(transformer.transform({"x": rows}))
        if "x.scalar" in encoded:
            random = np.random.default_rng(0)
            scalars = np.clip(random.normal(0, NETWORK_SCALAR, len(rows)), -1, 1)
            encoded["x.scalar"] = scalars.astype(encoded["x.scalar"].dtype)
        found["decoded"] = float(np.mean(np.asarray(transformer.inverse_transform(encoded)["x"]) == rows))
    return found


def own_values(column: Any) -> set[Any]:
    """Values of a fitted column that have a one-hot column of their own."""
    if isinstance(column, MixtureColumn):
        return set(column.modal_values) - {MISSING}
    return set(column.categories) if isinstance(column, CategoricalColumn) else set()
