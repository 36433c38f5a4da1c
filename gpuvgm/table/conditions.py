"""Conditional vectors: what CTGAN-style training shows a generator, and the training rows that answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import FittedColumn, TableModel
from gpuvgm.errors import InputError, listed
from gpuvgm.summary import Floats, Ints

INDEX_ROWS = 1 << 22  # sorted together
Room = Callable[[tuple[int, int], type[np.unsignedinteger]], NDArray[np.unsignedinteger]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Conditions of a batch, one a row.

    Parameters
    ----------
    vectors : ndarray of shape (rows, width), float32
        The one-hot columns of all columns: 1 at the one that is asked for.
    mask : ndarray of shape (rows, columns), float32
        One-hot over the columns: 1 at the column that is asked for.
    column, code : ndarray of shape (rows,), int64
        The same as numbers: position among `Conditions.names`, and one-hot column of that column.
    """

    vectors: NDArray[np.float32]
    mask: NDArray[np.float32]
    column: Ints
    code: Ints


class Conditions:
    """Conditional vectors over the one-hot columns of a fitted table (Xu et al. 2019, section 4.3).

    `TrainingRows.conditions` has them.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted table.
    columns : sequence of str, optional
        Columns to condition on; by default all one-hot encoded categorical ones, as CTGAN does. Continuous and mixed
        columns may be named too: their modes are conditioned on then, as CTAB-GAN does.
    counts : sequence of ndarray of shape (one-hot columns,), optional
        For each column how many rows have each one-hot column; by default in the fit.

    Attributes
    ----------
    names : tuple of str
        The columns.
    width : int
        Length of a conditional vector.
    spans : dict of str to (start, stop)
        Where each column's one-hot columns lie in a conditional vector.
    matrix_spans : dict of str to (start, stop)
        Where they lie in the onehot matrix.

    Raises
    ------
    InputError
        For columns that have no one-hot columns.

    Examples
    --------
    >>> import gpuvgm
    >>> table = {"colour": ["red", "red", "red", "blue"] * 100, "size": ["S", "M"] * 200}
    >>> conditions = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table).conditions
    >>> conditions.names, conditions.width
    (('colour', 'size'), 4)
    >>> conditions.spans
    {'colour': (0, 2), 'size': (2, 4)}
    """

    def __init__(
        self, transformer: Any, columns: Sequence[str] | None = None, *, counts: Sequence[Ints] | None = None
    ) -> None:
        model: TableModel = transformer.model_
        if isinstance(columns, str):
            raise InputError(f'columns="{columns}": give a list of names, ["{columns}"]')
        if columns is None:
            columns = [column.name for column in model.categorical if column.has_codes]
        self._columns = [_with_codes(model, name) for name in columns]
        self.names = names = tuple(columns)
        self._counts = [column.code_counts for column in self._columns] if counts is None else counts
        self._widths = np.array([column.width for column in self._columns], np.int64)
        ends = np.cumsum([0, *self._widths])
        self.width, self._starts = int(ends[-1]), ends[:-1]
        self._owner = np.repeat(np.arange(len(self.names)), self._widths)  # the column of each code of a vector
        self.spans = {name: (int(ends[i]), int(ends[i + 1])) for i, name in enumerate(self.names)}
        matrix = model.spans()
        self.matrix_spans = {name: matrix[name][-1][:2] for name in self.names}
        self._cumulative = {
            logarithmic: np.cumsum([p for name in names for p in self.probabilities(name, logarithmic=logarithmic)])
            for logarithmic in (False, True)
        }

    def probabilities(self, name: str, *, logarithmic: bool = True) -> Floats:
        """Probability of each one-hot column of a column.

        Parameters
        ----------
        name : str
            The column.
        logarithmic : bool
            By the logarithm of 1 + training rows, which gives rare categories a share ("training by sampling"); else by
            the number of training rows.

        Returns
        -------
        ndarray of shape (one-hot columns,)
            Adds up to 1; all zero if no row has any of them.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> conditions = rows.conditions
        >>> conditions.probabilities("colour").round(2).tolist()
        [0.55, 0.45]
        >>> conditions.probabilities("colour", logarithmic=False).tolist()
        [0.75, 0.25]
        """
        counts = self._counts[self._position(name)]
        weight = np.log1p(counts) if logarithmic else counts
        return np.asarray(weight / (np.sum(weight) or 1))

    def draw(self, rows: int, seed: int, *, logarithmic: bool = True) -> Drawn:
        """Draw the conditions of a batch: a column at random, then one of its one-hot columns by `probabilities`.

        Parameters
        ----------
        rows : int
            Number of conditions.
        seed : int
            The same seed draws the same conditions.
        logarithmic : bool
            As for `probabilities`: True for training, False for sampling rows like those of the table.

        Returns
        -------
        Drawn
            Conditional vectors and masks of the batch.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> drawn = rows.conditions.draw(1000, seed=1)
        >>> drawn.vectors.shape, drawn.mask.shape
        ((1000, 2), (1000, 1))
        >>> drawn.vectors.sum(axis=0).tolist()  # red and blue, by the logarithm of their frequency
        [558.0, 442.0]
        """
        random = np.random.Generator(np.random.PCG64(seed))
        return self.drawn(*self.drawn_codes(random, rows, logarithmic=logarithmic))

    def drawn_codes(self, random: np.random.Generator, rows: int, *, logarithmic: bool) -> tuple[Ints, Ints]:
        """Draw conditions as numbers alone; see `draw`.

        Parameters
        ----------
        random : Generator
            What draws.
        rows : int
            Number of conditions.
        logarithmic : bool
            As for `probabilities`.

        Returns
        -------
        column : ndarray of shape (rows,), int64
            Position among the columns.
        code : ndarray of shape (rows,), int64
            One-hot column of that column.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> conditions = rows.conditions
        >>> column, code = conditions.drawn_codes(np.random.default_rng(0), 1000, logarithmic=False)
        >>> np.bincount(code).tolist()  # red and blue, by their frequency
        [733, 267]
        """
        if not self.names:
            raise InputError(
                "the table has no categorical column with one-hot columns to condition on; name other columns"
            )
        cumulative = self._cumulative[logarithmic]
        if cumulative[-1] == 0:
            raise InputError(f"no row has a category of {listed(self.names)}: there is nothing to condition on")
        place = np.searchsorted(cumulative, random.random(rows) * cumulative[-1], side="right")
        column = self._owner[place]
        return column, place - self._starts[column]

    def given(self, name: str, value: object, rows: int) -> Drawn:
        """Make the same condition for all rows: a column holds a value.

        Parameters
        ----------
        name : str
            The column.
        value : object
            One of its categories or modal values; None for missing.
        rows : int
            Number of conditions.

        Returns
        -------
        Drawn
            Conditional vectors and masks, all rows equal.

        Raises
        ------
        InputError
            For a value that has no one-hot column.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> rows.conditions.given("colour", "blue", 2).vectors.tolist()
        [[0.0, 1.0], [0.0, 1.0]]
        """
        code = self._columns[self._position(name)].code_of(value)
        if code is None:
            raise InputError(f'column "{name}": {value!r} has no one-hot column of its own')
        return self.at(name, code, rows)

    def at(self, name: str, code: int, rows: int) -> Drawn:
        """Make the same condition for all rows: one of the one-hot columns of a column is 1.

        Parameters
        ----------
        name : str
            The column.
        code : int
            Number of the one-hot column among those of the column.
        rows : int
            Number of conditions.

        Returns
        -------
        Drawn
            Conditional vectors and masks, all rows equal.

        Raises
        ------
        InputError
            For a one-hot column that the column does not have.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> rows.conditions.at("colour", 1, 2).vectors.tolist()
        [[0.0, 1.0], [0.0, 1.0]]
        """
        position = self._position(name)
        if not 0 <= code < self._columns[position].width:
            raise InputError(
                f'column "{name}" has {self._columns[position].width} one-hot columns, but no number {code}'
            )
        return self.drawn(np.full(rows, position), np.full(rows, code))

    def _position(self, name: str) -> int:
        if name not in self.names:
            raise InputError(f'column "{name}" is not conditioned on; these are: {", ".join(self.names)}')
        return self.names.index(name)

    def drawn(self, column: Ints, code: Ints) -> Drawn:
        """Make conditions of columns and one-hot columns.

        Parameters
        ----------
        column, code : ndarray of shape (rows,), int64
            Position among the columns, and one-hot column of that column; one past its last for no condition.

        Returns
        -------
        Drawn
            Conditional vectors and masks, those of no condition all zero.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> code = np.array([1, 0, 2])  # the last one, one past the two one-hot columns, is no condition
        >>> rows.conditions.drawn(np.zeros(3, np.int64), code).vectors.tolist()
        [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
        """
        vectors = np.zeros((len(column), self.width), np.float32)
        mask = np.zeros((len(column), len(self.names)), np.float32)
        place, column_or_none = self.places(column, code)
        rows = np.flatnonzero(place < self.width)
        vectors[rows, place[rows]] = 1
        mask[rows, column_or_none[rows]] = 1
        return Drawn(vectors, mask, column, code)

    def places(self, column: Ints, code: Ints) -> tuple[Ints, Ints]:
        """Return positions of the ones in conditional vectors and masks.

        Parameters
        ----------
        column, code : ndarray of shape (rows,), int64
            As for `drawn`.

        Returns
        -------
        place : ndarray of shape (rows,), int64
            Position in the vector; one past the last for no condition.
        column : ndarray of shape (rows,), int64
            Position in the mask; one past the last for no condition.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100, "size": ["S", "M"] * 200}
        >>> conditions = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table).conditions
        >>> place, column = conditions.places(np.array([0, 1]), np.array([1, 1]))
        >>> place.tolist(), column.tolist()
        ([1, 3], [0, 1])
        """
        holds = code < self._widths[column]
        return (
            np.where(holds, self._starts[column] + code, self.width),
            np.where(holds, column, len(self.names)),
        )


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Rows sorted by the one-hot column that is 1, per column.

    Parameters
    ----------
    rows : array of shape (columns, rows), uint32, or uint64 from 2^32 rows on
        For each column all rows, by one-hot column.
    ends : ndarray of shape (one-hot columns + columns,)
        Where each one-hot column's rows begin, and the last one's end, one column after the other.
    first : ndarray of shape (columns + 1,)
        Where each column begins in these.
    """

    rows: Any
    ends: Ints
    first: Ints

    @property
    def starts(self) -> list[Ints]:
        """For each column the first position of each one-hot column's rows, shape (one-hot columns + 1,)."""
        return np.split(self.ends, self.first[1:-1])[: len(self.rows)]

    @classmethod
    def of(cls, codes: Sequence[NDArray[Any]], widths: Sequence[int], room: Room = np.empty) -> RowIndex:
        """Index of the one-hot columns of several columns, sorted by counting, block by block.

        Parameters
        ----------
        codes : sequence of ndarray of shape (rows,)
            Number of the one-hot column that is 1, for each column; one past its last stands for none.
        widths : sequence of int
            How many one-hot columns each column has.
        room : callable
            Makes an array to be filled, of a shape and dtype.
        """
        count = len(codes[0]) if len(codes) else 0
        rows = room((len(codes), count), np.uint32 if count < 2**32 else np.uint64)
        starts = [np.zeros(0, np.int64)]
        for code, width, order in zip(codes, widths, rows, strict=True):
            parts = [slice(start, start + INDEX_ROWS) for start in range(0, len(code), INDEX_ROWS)]
            counts = [np.bincount(code[part], minlength=width + 1) for part in parts]
            ends = np.cumsum([0, *sum(counts, np.zeros(width + 1, np.int64))])
            next_places = ends[:-1].copy()
            for part, code_counts in zip(parts, counts, strict=True):
                # Stable, so that rows of a code stay in order, whatever the blocks.
                by_code = np.argsort(code[part], kind="stable")
                shifts = np.repeat(next_places - (np.cumsum(code_counts) - code_counts), code_counts)
                order[np.arange(len(by_code)) + shifts] = by_code + part.start
                next_places += code_counts
            starts.append(ends[: width + 1])
        return cls(rows, np.concatenate(starts), np.cumsum([len(start) for start in starts]))

    def pick(self, conditions: Drawn, seed: int) -> Ints:
        """A random row that answers each condition, shape (rows,).

        Raises
        ------
        InputError
            For a condition that no row answers.
        """
        random = np.random.Generator(np.random.PCG64([seed, 1]))  # another stream than the one that drew the conditions
        return self.answers(conditions.column, conditions.code, partial(draw_below, random))

    def answers(self, column: Ints, code: Ints, choose: Callable[[Ints], Ints]) -> Ints:
        """A row that has a 1 in each one-hot column, shape (rows,).

        Parameters
        ----------
        column, code : ndarray of shape (rows,), int64
            Column, by its number, and one-hot column of each.
        choose : callable
            From how many rows have a 1 in each one-hot column to which of them is taken.

        Raises
        ------
        InputError
            For a one-hot column that is 0 in all rows.
        """
        at = self.first[column] + code
        begin = self.ends[at]
        counts = self.ends[at + 1] - begin
        if not counts.all():
            none = np.argmin(counts)
            raise InputError(
                f"no row has a 1 in one-hot column {code[none]} of column {column[none]} of the conditions"
            )
        positions = column * self.rows.shape[1] + begin + choose(counts)
        rows: Ints = self.rows.reshape(-1)[namespace_of(self.rows).asarray(positions)].astype(np.int64)
        return rows


def draw_below(random: np.random.Generator, counts: Ints) -> Ints:
    """Draw a random number below each of some counts."""
    # The product may round up to the count itself.
    return np.minimum((random.random(len(counts)) * counts).astype(np.int64), counts - 1)


def _with_codes(model: TableModel, name: str) -> FittedColumn:
    if name not in model.names:
        raise InputError(f'column "{name}" was not fitted; fitted columns: {", ".join(model.names)}')
    column = model[name]
    if not column.has_codes:
        remedy = "; fit it with max_categories, which makes it one-hot" if column.kind == "categorical" else ""
        raise InputError(
            f'column "{name}" is a {column.kind} column, which has no one-hot columns to condition on{remedy}'
        )
    return column
