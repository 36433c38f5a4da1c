"""What the kinds of columns share: requests, tallies, and encoded parts of a column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Column, host_rows
from gpuvgm.columns.model import ColumnModel, GeneralColumn, MixtureColumn
from gpuvgm.columns.schema import ColumnSpec
from gpuvgm.config import EncodingRules, FitConfig
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Floats

Cells = NDArray[np.unsignedinteger]
Place = Callable[[int], str]
TOO_SMALL = "values are infinite, or too small for the logarithm that the column was fitted with"


@dataclass(frozen=True, slots=True)
class ColumnRequest:
    """What is asked for one column.

    Parameters
    ----------
    spec : ColumnSpec
        Its kind and own options.
    config : FitConfig
        How to fit it.
    rules : EncodingRules
        How its scalars are made.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them.
    unknown : {"error", "ignore"}
        What a value that is no level does.
    """

    spec: ColumnSpec
    config: FitConfig
    rules: EncodingRules
    infinite_is_missing: bool = False
    unknown: str = "error"

    @property
    def name(self) -> str:
        """The column."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How a transform is done.

    Parameters
    ----------
    seed : int
        Seed of the generator.
    most_probable : bool
        Take the most probable mode instead of drawing one.
    dtype : str
        Type of the scalars, "float32" or "float64".
    first_row : int
        Global index of the source's first row.
    place : callable
        From a row of the source to the words that name its place in messages.
    """

    seed: int
    most_probable: bool = False
    dtype: str = "float32"
    first_row: int = 0
    place: Place = "row {}".format


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive values of a column that is being encoded.

    Parameters
    ----------
    values : pyarrow.Array or DeviceColumn
        The values.
    first_row : int
        Row of the source where they begin.
    uniforms : ndarray of shape (rows,), optional
        Uniforms to draw modes with, instead of the generator's.
    """

    values: Column
    first_row: int
    uniforms: Floats | None = None


@dataclass(frozen=True, slots=True)
class Coded:
    """An encoded part of a column: what its kind has of scalar and cell; `passed` for columns handed through.

    Scalars and cells lie where the column's numbers do: on the device for floats, integers and datetimes that came from
    there, on the host for levels, decimals and logarithms.
    """

    scalar: Floats | None = None
    cell: Cells | None = None
    passed: Column | None = None


class Encoder(Protocol):
    """Encodes parts of one column."""

    def __call__(self, part: Slice) -> Coded:
        """Encoded values.

        Raises
        ------
        InputError
            For a value that the model has no place for: the message names column and row.
        """


@dataclass(frozen=True, slots=True)
class Values:
    """Decoded values of a column, and which of them lie in its training range (None: all)."""

    array: Column
    valid: NDArray[np.bool_] | None = None


class Decoder(Protocol):
    """Decodes parts of one column."""

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values in the column's own type; `first_row` names rows in messages."""


def refuse(column: ColumnModel, rows: NDArray[np.bool_], place: Place, problem: str, remedy: str) -> NoReturn:
    """Refuse rows of a column, naming the first; `place` takes a position within `rows`."""
    rows = host_rows(rows)
    first = place(int(np.argmax(rows)))
    raise InputError(f'column "{column.name}": {np.count_nonzero(rows)} {problem} (first at {first}); {remedy}')


def refuse_infinite(column: MixtureColumn | GeneralColumn, rows: NDArray[np.bool_], place: Place) -> NoReturn:
    """Refuse rows of a fitted column that are infinite, or whose logarithm is."""
    if column.codec.name == "log":
        refuse(column, rows, place, TOO_SMALL, "fit again with these rows, or clean them")
    refuse(column, rows, place, "values are infinite", 'fit with inf="missing" or clean them')


def refuse_cell(column: ColumnModel, row: int, cell: object) -> NoReturn:
    """Refuse a cell that the column does not have."""
    raise InputError(
        f'column "{column.name}.mode": {cell} at row {row} is none of the {column.width} cells '
        f"(0 … {column.width - 1}); was it encoded with another model?"
    )
