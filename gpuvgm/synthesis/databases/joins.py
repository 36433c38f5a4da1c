"""Rows beside the rows that they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns import PassthroughColumn
from gpuvgm.errors import InputError
from gpuvgm.io import is_datetime_type, is_number_type, is_text_type, joined_arrays, plain_type, plain_values_of, taken
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
        sides = zip(keys_in(parent, reference), keys_in(child, reference, of=parent.schema), strict=True)
        columns = [codes_of(pa.concat_arrays([own.cast(of_child.type), of_child])) for own, of_child in sides]
        codes, known = codes_together(columns), np.logical_and.reduce([of_column >= 0 for of_column in columns])
        keys, of_children = codes[: parent.num_rows], codes[parent.num_rows :]
        _check_keys(reference, keys, known[: parent.num_rows])
        rows = np.full(codes.max(initial=-1) + 1, NONE)
        rows[keys] = np.arange(parent.num_rows)
        lacking = np.setdiff1d(of_children[known[parent.num_rows :]], keys)
        rows[lacking] = parent.num_rows + np.arange(len(lacking))
        rows = np.where(known[parent.num_rows :], rows[of_children], NONE)
        return cls(reference, _in_order_of_rows(rows, parent.num_rows), parent.num_rows)

    def reordered(self, children: Ints | None, parents: Ints | None) -> Links:
        """The links of the same tables, whose rows are in another order.

        Parameters
        ----------
        children, parents : ndarray of int64, optional
            Places of the rows of both tables in their new order.
        """
        rows = self.rows if children is None else self.rows[children]
        if parents is not None:
            places = np.append(np.empty(self.parents, np.int64), NONE)
            places[parents] = np.arange(self.parents)
            rows = np.where(rows < self.parents, places[np.minimum(rows, self.parents)], rows)
        return replace(self, rows=_in_order_of_rows(rows, self.parents))

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
        return targets_of(self.rows < 0, self.is_here)

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
        equal = int(np.count_nonzero(both & (self.rows == first.rows)))
        return are_apart(self.counts, first.counts, int(np.count_nonzero(both)), equal)

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
        known = self.rows != NONE
        return decides(self.rows[known], taken(whole_array(column), np.flatnonzero(known)))

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
        lacking, elsewhere = self.rows == NONE, self.rows >= self.parents
        keys = self.rows.copy()
        keys[elsewhere] = number_elsewhere(self.parents, self.rows[elsewhere] - self.parents)
        keys[lacking] = number_alone(self.parents, np.arange(np.count_nonzero(lacking)))
        return pa.array(keys)


def whole_array(column: Any) -> Any:
    """A column as one array. A chunked one is no argument of pyarrow's `chunked_array`, in whose copy views crash."""
    return joined_arrays(column.chunks, column.type) if isinstance(column, pa.ChunkedArray) else column


def recencies(reference: Reference, owners: Ints, codes: Ints) -> Any:
    """Texts that say which of the rows of a further parent that rows before refer to comes back.

    Parameters
    ----------
    reference : Reference
        The reference to the further parent.
    owners, codes : ndarray of shape (rows,), int64
        Numbers of the rows of both parents, of one first parent after the other.
    """
    return reference.recency.of_codes(codes, np.append(True, owners[1:] != owners[:-1])[: len(owners)])


def alone_unless(are_there: Bools, numbers: Ints) -> Ints:
    """Numbers of rows, where they are there; elsewhere a number below 0 that no other row has."""
    return np.where(are_there, numbers, -1 - np.arange(len(numbers)))


def targets_of(is_lacking: Bools, is_here: Bools) -> Any:
    """Whether the row that each child refers to is there, given which children have no key."""
    return np.select([is_lacking, is_here], [NOWHERE, HERE], ELSEWHERE)


def are_apart(counts: Any, of_first: Any, both: int, equal: int) -> bool:
    """Whether no child has one row of a table as two of its parents, as several would by chance.

    Parameters
    ----------
    counts, of_first : ndarray of int
        Children of each row of the table, as the one parent and as the other one.
    both, equal : int
        Children of which both parents are there, and of which they are one row.
    """
    by_chance = float(np.sum(counts.astype(np.float64) * of_first)) / max(both, 1)
    return by_chance >= LEAST_EQUAL and not equal


def decides(owners: Ints, values: Any) -> bool:
    """Whether all rows of an owner have one value, as far as any has several rows."""
    different = len(np.unique(owners))
    pairs = np.unique(np.stack([owners, codes_of(values)]), axis=1)
    return different < len(owners) and pairs.shape[1] == different


def codes_of(values: Any) -> Ints:
    """A number for each different value of an array, -1 where it is missing; one for all lists and such."""
    try:
        return np.asarray(values.dictionary_encode().indices.fill_null(-1), np.int64)
    except pa.ArrowNotImplementedError:  # no samples have them
        return np.where(np.asarray(values.is_valid()), 0, -1)


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


def number_elsewhere(parents: int, keys: Ints) -> Ints:
    """Numbers of keys that a parent of so many rows lacks, by their places among these."""
    return parents + 2 * keys


def number_alone(parents: int, rows: Ints) -> Ints:
    """Numbers of rows without a key, by their places among these."""
    return parents + 2 * rows + 1


def keys_in(rows: Any, reference: Reference, of: pa.Schema | None = None) -> list[Any]:
    """Columns of keys of a parent; with the columns of the parent those of a child, as the parent has them.

    Missing are also NaN, as pandas has whole numbers as floats where some are missing, and blank text.

    Parameters
    ----------
    rows : pyarrow.Table or pyarrow.RecordBatch
        Rows of the parent or of the child.
    reference : Reference
        The reference.
    of : pyarrow.Schema, optional
        Columns of the parent, where the rows are those of the child.

    Raises
    ------
    InputError
        For columns of other types.
    """
    if of is None:
        return [_plain_keys(rows.column(name)) for name in reference.key]
    names = zip(reference.columns, reference.key, strict=True)
    return [
        _cast(reference, _plain_keys(rows.column(name)), plain_type(of.field(of_parent).type))
        for name, of_parent in names
    ]


def hashes_of_keys(columns: Sequence[Any]) -> Any:
    """A hash of each row of a key's columns, missing where one of these is."""
    words, lacking = np.zeros(len(columns[0]), np.uint64), np.zeros(len(columns[0]), np.bool_)
    for column in columns:
        hashes = PassthroughColumn.hashes(column)
        words, lacking = mixed(words ^ hashes, 0), lacking | (hashes == 0)
    return pa.array(words, mask=lacking)


def _plain_keys(column: Any) -> Any:
    """Values of a column of keys."""
    values = plain_values_of(whole_array(column))
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), None, values)
    if is_text_type(values.type):
        lengths: Any = pc.binary_length(pc.utf8_trim_whitespace(values))
        # Not `if_else`, which makes no valid arrays of slices of text in pyarrow 23.
        are_blank = pa.array(np.asarray(lengths.fill_null(-1)) == 0)
        return pc.replace_with_mask(values, are_blank, pa.scalar(None, values.type))
    return values


def _cast(reference: Reference, values: Any, type_: pa.DataType) -> Any:
    """Keys of a child as values of the type of the parent's, which is null where that has no keys at all."""
    if pa.types.is_null(type_):
        return values
    try:
        if not pa.types.is_null(values.type) and _family(type_) != _family(values.type):
            raise pa.ArrowInvalid("one of them means something else")
        return values.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            f"keys: {reference}: the columns hold {values.type} and {type_}, "
            "which do not go together: make them of one type"
        ) from problem


def _family(type_: pa.DataType) -> str:
    """What values of a type are, each of which may be cast to others of its family alone."""
    families = {"time": is_datetime_type, "number": is_number_type, "text": is_text_type}
    return next((family for family, holds in families.items() if holds(type_)), str(type_))


def _in_order_of_rows(rows: Ints, parents: int) -> Ints:
    """Numbers of parents' rows, of which those that are not there are numbered as their children come."""
    elsewhere = np.flatnonzero(rows >= parents)
    _, first, codes = np.unique(rows[elsewhere], return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = parents + np.arange(len(first))
    numbered = rows.copy()
    numbered[elsewhere] = ranks[codes]
    return numbered


def check_known(reference: Reference, known: Bools, first_row: int = 0) -> None:
    """Refuse rows of a parent without a key, of which the first has a number."""
    if not known.all():
        row = first_row + int(np.argmin(known))
        raise InputError(
            f'keys: {reference}: row {row:,} of "{reference.parent}" has no key: fill it in, or drop the row'
        )


def repeated_keys(reference: Reference, rows: Sequence[int]) -> InputError:
    """The error of two rows of a parent with the same key, whose numbers may be unknown."""
    repeated = f"rows {rows[0]:,} and {rows[1]:,}" if len(rows) > 1 else "two rows"
    return InputError(
        f'keys: {reference}: {repeated} of "{reference.parent}" have the same key: drop one '
        "of them, or give a column in which no value comes twice"
    )


def _check_keys(reference: Reference, keys: Ints, known: Bools) -> None:
    """Refuse keys that are missing or come twice."""
    check_known(reference, known)
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(first) < len(keys):
        repeated = int(first[np.argmax(counts > 1)])
        raise repeated_keys(reference, [repeated, int(np.flatnonzero(keys == keys[repeated])[1])])
