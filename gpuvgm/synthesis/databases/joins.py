"""Rows beside the rows that they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.errors import InputError
from gpuvgm.io import is_datetime_type, is_number_type, is_text_type, plain_values_of, taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.references import Reference

Bools = NDArray[np.bool_]
LEAST_EQUAL = 5  # of both parents of a child, expected by chance, where there are none
NONE = -1  # in place of the number of a row: the key is missing
HERE, ELSEWHERE, NOWHERE = "here", "elsewhere", "none"  # a row that is there, another one, or none


@dataclass(frozen=True, slots=True)
class Links:
    """Which row of its parent each row of a child refers to.

    Parameters
    ----------
    reference : Reference
        The reference.
    rows : ndarray of shape (rows of the child,), int64
        Number of the parent's row; -1 without a key; from `parents` on, numbers of keys that the parent lacks.
    parents : int
        Rows of the parent.
    """

    reference: Reference
    rows: Ints
    parents: int

    @classmethod
    def of(cls, reference: Reference, child: pa.Table, parent: pa.Table) -> Links:
        """The links of two tables.

        Raises
        ------
        InputError
            For a key that the parent has twice, or lacks in a row, and for columns of other types.
        """
        sides = zip(reference.key, reference.columns, strict=True)
        columns = [codes_of(_of_both(reference, parent.column(of), child.column(name))) for of, name in sides]
        codes, known = codes_together(columns), np.logical_and.reduce([of_column >= 0 for of_column in columns])
        keys, of_children = codes[: parent.num_rows], codes[parent.num_rows :]
        _check_keys(reference, keys, known[: parent.num_rows])
        rows = np.full(codes.max(initial=-1) + 1, NONE)
        rows[keys] = np.arange(parent.num_rows)
        lacking = np.setdiff1d(of_children[known[parent.num_rows :]], keys)
        rows[lacking] = parent.num_rows + np.arange(len(lacking))
        return cls(reference, np.where(known[parent.num_rows :], rows[of_children], NONE), parent.num_rows)

    @property
    def is_here(self) -> Bools:
        """Which children refer to a row that is there."""
        here: Bools = (self.rows >= 0) & (self.rows < self.parents)
        return here

    @property
    def counts(self) -> Ints:
        """Children of each row of the parent."""
        return np.bincount(self.rows[self.is_here], minlength=self.parents)

    @property
    def targets(self) -> Any:
        """Of each child: whether the row that it refers to is there."""
        return np.select([self.rows < 0, self.rows < self.parents], [NOWHERE, HERE], ELSEWHERE)

    @property
    def counts_elsewhere(self) -> Ints:
        """Children of each row that is not there: of those with one key, and each child without a key for itself."""
        elsewhere = np.bincount(self.rows[self.rows >= self.parents] - self.parents)
        return elsewhere[elsewhere > 0]

    def is_apart(self, first: Links) -> bool:
        """Whether no child has one row of a table as this and as another parent, as several would by chance."""
        if self.reference.parent != first.reference.parent:
            return False
        both = self.is_here & first.is_here
        by_chance = float(np.sum(self.counts * first.counts)) / max(int(np.count_nonzero(both)), 1)
        return by_chance >= LEAST_EQUAL and not bool(np.any(self.rows[both] == first.rows[both]))

    @property
    def places(self) -> Ints:
        """Place of each child among those of its parent, from 1 on."""
        _, numbers, counts = np.unique(self.rows, return_inverse=True, return_counts=True)
        order, starts = np.argsort(numbers, kind="stable"), np.cumsum(counts) - counts
        places = np.empty(len(order), np.int64)
        places[order] = 1 + np.arange(len(order)) - starts[numbers[order]]
        return places

    def decides(self, column: Any) -> bool:
        """Whether all children of a parent have one value of a column, as far as any has several."""
        owners = len(np.unique(self.rows))
        pairs = np.unique(np.stack([self.rows, codes_of(pa.chunked_array(column).combine_chunks())]), axis=1)
        return owners < len(self.rows) and pairs.shape[1] == owners

    @property
    def lacking(self) -> int:
        """Children without a key."""
        return int(np.count_nonzero(self.rows == NONE))

    def beside(self, parent: pa.Table, names: Sequence[str]) -> dict[str, Any]:
        """Columns of the parent beside the rows of the child, which lack them where the row is not there."""
        places = pa.array(self.rows, mask=~self.is_here)
        return {self.reference.beside(name): taken(parent.column(name).combine_chunks(), places) for name in names}

    @property
    def keys(self) -> Any:
        """A number for each row that is referred to; children without a key have one each."""
        lacking = self.rows == NONE
        keys = self.rows.copy()
        keys[lacking] = max(self.parents, int(self.rows.max(initial=0)) + 1) + np.arange(np.count_nonzero(lacking))
        return pa.array(keys)


def codes_of(values: Any) -> Ints:
    """A number for each different value of an array, -1 where it is missing."""
    return np.asarray(values.dictionary_encode().indices.fill_null(-1), np.int64)


def codes_together(columns: Sequence[Ints]) -> Ints:
    """A number for each different row of codes of some columns, from 0 on; what is missing is a value of its own."""
    codes = np.zeros(len(columns[0]), np.int64)
    for of_column in columns:
        codes = np.unique(codes * (of_column.max(initial=0) + 2) + of_column + 1, return_inverse=True)[1]
    return codes


def numbers_of(column: Any) -> Floats:
    """Numbers of a column, NaN where missing; of times their ticks."""
    values = plain_values_of(column if isinstance(column, pa.Array) else column.combine_chunks())
    if is_datetime_type(values.type):
        values = values.cast(pa.int64()) if not pa.types.is_date32(values.type) else values.cast(pa.int32())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _of_both(reference: Reference, parent: Any, child: Any) -> Any:
    """Values of a key's column of the parent, then those of the child, as one array."""
    columns = [plain_values_of(pa.chunked_array(column).combine_chunks()) for column in (parent, child)]
    # pandas has whole numbers as floats where some are missing.
    columns = [
        pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column
        for column in columns
    ]
    try:
        has_keys = not any(pa.types.is_null(column.type) for column in columns)
        if has_keys and _family(columns[0].type) != _family(columns[1].type):
            raise pa.ArrowInvalid("one of them means something else")
        return pa.concat_arrays([columns[0], columns[1].cast(columns[0].type)])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            f"keys: {reference}: the columns hold {columns[1].type} and {columns[0].type}, "
            "which do not go together: make them of one type"
        ) from problem


def _family(type_: pa.DataType) -> str:
    """What values of a type are, each of which may be cast to others of its family alone."""
    families = {"time": is_datetime_type, "number": is_number_type, "text": is_text_type}
    return next((family for family, holds in families.items() if holds(type_)), str(type_))


def _check_keys(reference: Reference, keys: Ints, known: Bools) -> None:
    """Refuse keys that are missing or come twice."""
    if not known.all():
        row = int(np.argmin(known))
        raise InputError(
            f'keys: {reference}: row {row:,} of "{reference.parent}" has no key: fill it in, or drop the row'
        )
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(first) < len(keys):
        repeated = int(first[np.argmax(counts > 1)])
        again = int(np.flatnonzero(keys == keys[repeated])[1])
        raise InputError(
            f'keys: {reference}: rows {repeated:,} and {again:,} of "{reference.parent}" have the same key: drop one '
            "of them, or give a column in which no value comes twice"
        )
