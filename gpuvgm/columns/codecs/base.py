"""What every codec offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column
from gpuvgm.summary.grid import Floats

Number = int | float
Bools = NDArray[np.bool_]


def error_in_steps(error: float, step: float) -> float:
    """How far a multiple of a step may be from the one nearest to where an error put it."""
    return step * float(np.floor(error / step + 0.5))


class Codec(Protocol):
    """How one column's values become float64 numbers and come back.

    The numbers may lie on another origin than the values (`base`); everything fitted refers to the numbers. A single
    value is held in the column's own unit: a float for floating-point columns, otherwise an integer (datetimes in the
    unit of their type, decimals without their decimal point).
    """

    name: ClassVar[str]

    @property
    def type(self) -> str:
        """Arrow type of the column, as `str` gives it."""

    @property
    def base(self) -> int:
        """What is subtracted from the values, exactly, before they become numbers."""

    @property
    def limits(self) -> tuple[Number, Number]:
        """Least and largest value that the column can hold."""

    @property
    def spacing(self) -> float:
        """Distance of neighbouring numbers, where all lie on multiples of a step; 0 where they may lie anywhere."""

    def stays(self, type_: pa.DataType) -> bool:
        """Whether rows of a type are worked on where they lie; those of a device are taken to the host elsewhere."""

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows whose value is no multiple of the step that was learned; None where none was.

        Parameters
        ----------
        column : pyarrow.Array or DeviceColumn
            Rows of the column.
        numbers : ndarray of shape (rows,)
            What `encode` gave for them.
        """

    def encode(self, column: Column) -> Floats:
        """Numbers of a column, shape (rows,); NaN where a value is missing.

        Columns on a device that `stays` is true of give numbers there (float32 where the column has that precision);
        others are taken to the host.
        The column's type may differ from the codec's if its values mean the same.

        Raises
        ------
        InputError
            For a column of another sort; the message reads on from the column's name.
        """

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values of the numbers in the column's own type, where `encode` gives numbers; missing where one is NaN.

        That none is may be known before (`complete`), so that they need not be looked at.
        """

    def value(self, number: float) -> Number:
        """One number as a value in the column's own unit."""

    def number(self, value: Number) -> float:
        """The inverse of `value`."""

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Largest distance of a value from the one that `decode` gives for its number, which is off by some error.

        Parameters
        ----------
        error : float
            Of the number.
        low, high : int or float
            Ends of the values, in the column's own unit. Where it gives whole numbers only, the values are such, too.

        Returns
        -------
        float
            In the column's own unit; 0 where the values come back exactly.
        """

    def parse(self, given: object) -> Number:
        """What a user writes for one value, in the column's own unit.

        Raises
        ------
        ValueError
            Where it is no value of the column's type.
        """

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value, shape (rows,); False where a value is missing."""

    def show(self, value: Number) -> str:
        """A value as people write it."""


@dataclass(frozen=True, slots=True)
class CodecRules:
    """What a user may say of how a column is read and written.

    Parameters
    ----------
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them later.
    integer : bool
        Give whole numbers back, though the type can hold others.
    """

    infinite_is_missing: bool = False
    integer: bool = False
