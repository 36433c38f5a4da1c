"""What is drawn of rows, or of keys, until values are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Codes


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Bins of rows, and places in the bins, where they lie.

    Parameters
    ----------
    codes : mapping of int to ndarray of shape (rows,), uint16
        By place of a column its bins, and by place of a part its codes.
    readings : mapping of int to ndarray of shape (rows,)
        By place of a column, the places in its bins; of columns that have them.
    """

    codes: Mapping[int, Codes] = field(default_factory=dict)
    readings: Mapping[int, Any] = field(default_factory=dict)

    @classmethod
    def of_column(cls, place: int, codes: Codes, readings: Any) -> CodedRows:
        """Those of one column."""
        return cls({place: codes}, {place: readings})

    def __or__(self, further: CodedRows) -> CodedRows:
        """These columns, and further ones."""
        return CodedRows({**self.codes, **further.codes}, {**self.readings, **further.readings})

    def at(self, rows: Ints | None) -> CodedRows:
        """Some of the rows; None takes them as they are."""
        codes = {place: taken_rows(column, rows) for place, column in self.codes.items()}
        return CodedRows(codes, {place: taken_rows(column, rows) for place, column in self.readings.items()})

    def first(self, rows: int) -> CodedRows:
        """The first rows."""
        codes = {place: column[:rows] for place, column in self.codes.items()}
        return CodedRows(codes, {place: column[:rows] for place, column in self.readings.items()})

    def of_places(self, places: Sequence[int]) -> CodedRows:
        """Some columns and parts."""
        codes = {place: self.codes[place] for place in places}
        return CodedRows(codes, {place: self.readings[place] for place in places if place in self.readings})

    @property
    def on_host(self) -> CodedRows:
        """The same on the host."""
        codes = {place: to_numpy(column) for place, column in self.codes.items()}
        return CodedRows(codes, {place: to_numpy(column) for place, column in self.readings.items()})


def taken_rows(values: Any, rows: Ints | None) -> Any:
    """Values of some rows, where they lie; None takes them as they are."""
    return values if rows is None else values[namespace_of(values).asarray(rows)]
