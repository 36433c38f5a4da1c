"""Rows to train on: encoded once, stored compactly, and expanded to a matrix for each batch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import is_on_device, mixed, namespace_of, to_numpy
from gpuvgm.columns import NameTemplate, TableModel
from gpuvgm.engines import OnehotPart, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.files import partial_of, temporary_folder
from gpuvgm.io import TableLike, locked, naming_file
from gpuvgm.rules import choice, whole
from gpuvgm.summary import Ints
from gpuvgm.table.conditions import Conditions, RowIndex, draw_below
from gpuvgm.table.encode import refuse_unknown
from gpuvgm.table.shuffling import permuted

Place = Literal["memory", "disk", "cuda"]
_SEED = whole(0, 2**64 - 1)
_NAMES = NameTemplate.DEFAULT  # of the parts of a column in a row
BLOCK_BYTES = 1 << 25  # of rows that are encoded together
BLOCK_ROWS = 1 << 14  # that are permuted together
Matrix = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class TrainingBatch(NamedTuple):
    """Training rows with the conditions that they answer.

    Parameters
    ----------
    rows : ndarray of shape (rows, width), float32
        As `TableTransformer.transform(layout="onehot")` gives them.
    vectors : ndarray of shape (rows, width of the conditions), float32
        The one-hot columns of the columns that are conditioned on; zeros where a row has none.
    mask : ndarray of shape (rows, columns), float32
        One-hot over these columns.
    """

    rows: Matrix
    vectors: Matrix
    mask: Matrix


class TrainingRows:
    """The encoded rows of a table in a few bytes each, and batches of them for a training.

    Every row is encoded once, and kept in memory or in a file. It takes the bytes of its scalars (float32) and modes,
    and 4 bytes for each column that is conditioned on, to find the rows with a certain category. The matrix of scalars
    and one-hot columns exists for one batch at a time.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted table.
    source : object
        The rows, as for `TableTransformer.fit`.
    place : {"memory", "disk", "cuda"}
        Where the rows are kept. "disk": in `folder`, or in a temporary folder that is removed with this object. "cuda":
        on the GPU, where the batches are made too. The batches are the same for all three.
    seed : int
        Seed of everything random: conditions, the rows that meet them, and the order of rows.
    columns : sequence of str, optional
        Columns to condition on; by default all one-hot encoded categorical ones, as CTGAN does. Continuous and mixed
        columns may be named too: their modes are conditioned on then, as CTAB-GAN does. An empty list means none.
    folder : path, optional
        Folder for place="disk", where it keeps the files gpuvgm-rows and gpuvgm-index. A folder holds the rows of one
        object: those of an older one are replaced.

    Attributes
    ----------
    transformer : TableTransformer
        The fitted table.
    conditions : Conditions
        The conditional vectors: how long they are and which one-hot columns they have; it draws them, and makes those
        of a given value.
    index : RowIndex
        Rows by the one-hot column that is 1, for each column that is conditioned on.
    width : int
        Columns of the matrix.
    nbytes : int
        Bytes of the rows and of their index, wherever they are kept.
    digest : str
        SHA-256 of the encoded rows, in hexadecimal digits; computed when it is first asked for.

    Raises
    ------
    InputError
        If the model cannot encode a value, or `columns` names a column without one-hot columns.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 1000)
    >>> table = {"amount": amount, "colour": ["red", "red", "red", "blue"] * 250}
    >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
    >>> batch = rows.batch(500)
    >>> len(rows), batch.rows.shape == (500, rows.width), batch.vectors.shape
    (1000, True, (500, 2))
    """

    def __init__(
        self,
        transformer: Any,
        source: TableLike,
        *,
        place: Place = "memory",
        seed: int = 0,
        columns: Sequence[str] | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if not hasattr(transformer, "model_"):
            raise InputError(f"a fitted TableTransformer comes first, then the rows; got {type(transformer).__name__}")
        choice(Place)(place, "place")
        if folder is not None and place != "disk":
            raise InputError('a folder is for rows on the disk: give place="disk" too')
        self._seed = _SEED(seed, "seed")
        self.transformer = transformer
        self.conditions = Conditions(transformer, columns)
        self._model: TableModel = transformer.model_
        if not self._model.encoded:
            raise InputError(
                "the table has no column that is encoded, so there is nothing to train on: declare the kind of one, "
                'as columns={"name": "categorical"}'
            )
        self._parts = [(_NAMES.scalar(c.name), _NAMES.mode(c.name), c.width) for c in self._model.encoded]
        self.place = place
        self._engine = place if place == "cuda" else "auto" if transformer.engine == "cuda" else transformer.engine
        get_engine(self._engine)
        self._store = _Store(place, folder)
        self.width = self._model.onehot_width
        self._dtype = self._row_dtype()
        with self._store.writing():
            self._rows = self._encode(transformer, source)
            if len(self) == 0:
                raise InputError("there are no rows to train on")
            names, records = self.conditions.names, self._rows.view(self._dtype)[:, 0]
            codes, widths = [records[_NAMES.mode(name)] for name in names], [self._model[name].width for name in names]
            self.index = RowIndex.of(codes, widths, self._store.index)
        counts = [np.diff(starts) for starts in self.index.starts]
        self.conditions = Conditions(transformer, self.conditions.names, counts=counts)
        if place == "cuda":
            self._rows = self._on_device(self._rows)
            self.index = replace(self.index, rows=self._on_device(self.index.rows))
        self._next_step = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        """Rows on the disk stay where they are, and their files are mapped again."""
        if self._store.folder is None:
            return self.__dict__
        rows = _ArrayMark(self._rows.dtype, self._rows.shape, self.digest)
        index = _ArrayMark(self.index.rows.dtype, self.index.rows.shape, self._index_digest)
        return {**self.__dict__, "_rows": rows, "index": replace(self.index, rows=index)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        if self._store.folder is not None:
            self._rows = self._store.mapped_array("rows", state["_rows"])
            self.index = replace(self.index, rows=self._store.mapped_array("index", self.index.rows))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the encoded rows."""
        return _array_digest(to_numpy(self._rows))

    @cached_property
    def _index_digest(self) -> str:
        return _array_digest(self.index.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows and of their index."""
        return int(self._rows.nbytes + self.index.rows.nbytes)

    def batch(self, rows: int, *, step: int | None = None, logarithmic: bool = True) -> TrainingBatch:
        """Draw conditions, and for each a row that meets it: training by sampling (Xu et al. 2019, section 4.3).

        Parameters
        ----------
        rows : int
            Number of rows.
        step : int, optional
            Number of the batch: the same number gives the same rows. By default it counts the calls, from 0.
        logarithmic : bool
            Draw categories by the logarithm of their frequency, so that rare ones are drawn more often; else by their
            frequency. Without columns to condition on, all rows are equally likely.

        Returns
        -------
        TrainingBatch
            Rows, conditional vectors and masks.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100, "size": ["S", "M"] * 200}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> batch = rows.batch(50)
        >>> batch.rows.shape, batch.vectors.shape, batch.mask.shape
        ((50, 4), (50, 4), (50, 2))
        >>> bool((batch.rows[batch.vectors == 1] == 1).all())  # every row answers its condition
        True
        """
        rows = whole(1)(rows, "rows")
        number = self._next_step if step is None else _SEED(step, "step")
        self._next_step = number + 1
        random = np.random.Generator(np.random.PCG64([self._seed, number]))
        if not self.conditions.names:
            return self._batch(self._columns(random.integers(0, len(self), rows)))
        column, code = self.conditions.drawn_codes(random, rows, logarithmic=logarithmic)
        row_numbers = self.index.answers(column, code, partial(draw_below, random))
        return self._batch(self._columns(row_numbers), column, code)

    def batches(
        self,
        rows: int,
        *,
        epoch: int = 0,
        shuffle: bool = True,
        rank: tuple[int, int] = (0, 1),
        worker: tuple[int, int] = (0, 1),
        drop_last: bool = False,
    ) -> Iterator[TrainingBatch]:
        """Yield every row once, in batches; the condition of each row is one of its own categories.

        The batches do not depend on how many processes make them: process r of R makes the batches r, r + R, r + 2 R
        and so on. Its worker w of W makes every W-th of these, from the w-th on, so that a loader that asks its workers
        in turn gets them in order.

        Parameters
        ----------
        rows : int
            Rows of a batch.
        epoch : int
            Number of the epoch; each epoch has its own order of rows.
        shuffle : bool
            Random order of rows, or that of the source.
        rank : (int, int)
            Number of this process in a distributed training, from 0, and the number of processes. All processes get
            the same number of batches: batches that are left over, and a shorter last one, are left out.
        worker : (int, int)
            Number of this worker of the process's loader, and the number of its workers.
        drop_last : bool
            Leave out the last batch if it is shorter.

        Yields
        ------
        TrainingBatch
            Rows, conditional vectors and masks.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> [len(batch.rows) for batch in rows.batches(150)]
        [150, 150, 100]
        """
        for name, (position, total) in (("rank", rank), ("worker", worker)):
            if not 0 <= position < total:
                raise InputError(
                    f"{name}=({position}, {total}): the first number is at least 0 and less than the second"
                )
        (process, processes), (position, workers) = rank, worker
        count = self.batch_count(rows, processes, drop_last=drop_last)
        numbers = np.arange(process + processes * position, count * processes, processes * workers)
        batches = max(1, BLOCK_ROWS // rows)  # batches whose rows are found together
        for start in range(0, len(numbers), batches):
            places = (numbers[start : start + batches, None] * rows + np.arange(rows)).ravel()
            places = places[places < len(self)]
            row_numbers = permuted(places.astype(np.uint64), len(self), self._seed, epoch) if shuffle else places
            for first in range(0, len(row_numbers), rows):
                part = row_numbers[first : first + rows]
                columns = self._columns(part)
                yield self._batch(columns, *self._conditions_of(part, columns, epoch))

    def batch_count(self, rows: int, processes: int = 1, *, drop_last: bool = False) -> int:
        """Count the batches that `batches` yields in each process.

        Parameters
        ----------
        rows : int
            Rows of a batch.
        processes : int
            Number of processes.
        drop_last : bool
            Leave out the last batch if it is shorter.

        Returns
        -------
        int
            Number of batches of a process, all its workers together.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> rows.batch_count(150), rows.batch_count(150, drop_last=True)
        (3, 2)
        """
        rows = whole(1)(rows, "rows")
        return (len(self) // rows + (processes == 1 and not drop_last and len(self) % rows > 0)) // processes

    def matrix(self, rows: Any) -> Matrix:
        """Some rows as a matrix; they are chosen as those of a NumPy array.

        Parameters
        ----------
        rows : array-like of int of shape (rows,), array-like of bool of shape (len(self),), slice, or int
            Numbers of the rows, from the end where they are negative; or which rows.

        Returns
        -------
        ndarray of shape (rows, width), float32
            As `TableTransformer.transform(layout="onehot")` gives it; shape (width,) for a single number.

        Raises
        ------
        InputError
            For numbers of rows that are not there, a mask of another length, and for all else.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> rows = gpuvgm.TrainingRows(gpuvgm.TableTransformer().fit(table), table)
        >>> rows.matrix(slice(2, 4)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        numbers = self._row_numbers(rows)
        matrix = self._matrix(self._columns(numbers.reshape(-1)))
        return matrix if numbers.ndim else matrix[0]

    __getitem__ = matrix

    def _row_numbers(self, rows: Any) -> Ints:
        """Convert numbers, a mask or a slice to numbers of rows."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        try:
            numbers: Any = rows if hasattr(rows, "shape") and is_on_device(rows) else np.asarray(rows)
        except ValueError as problem:
            raise InputError(f"these are no numbers of rows: {problem}") from problem
        if numbers.dtype == np.bool_ and numbers.shape == (len(self),):
            return namespace_of(numbers).flatnonzero(numbers)  # type: ignore[no-any-return]
        if numbers.dtype.kind not in "iu" and numbers.size or numbers.ndim > 1:
            raise InputError(
                f"rows are chosen by whole numbers, a mask of {len(self):,} booleans or a slice; "
                f"got {numbers.dtype} of shape {numbers.shape}"
            )
        outside = (numbers >= len(self)) | (numbers < -len(self))
        if outside.any():
            raise InputError(f"there is no row {int(numbers[outside][0]):,}: there are {len(self):,}")
        return numbers.astype(np.int64)  # type: ignore[no-any-return]

    def _columns(self, rows: Ints) -> dict[str, Any]:
        """Scalars and codes of some rows, each as a contiguous array; fields of one type are copied together."""
        xp = namespace_of(self._rows)
        records = self._rows.take(xp.asarray(rows), axis=0)
        columns: dict[str, Any] = {}
        for kind, names in groupby(self._dtype.names or (), lambda name: self._dtype[name]):
            fields = list(names)
            first = self._dtype.fields[fields[0]][1] // kind.itemsize  # type: ignore[index]
            block = xp.ascontiguousarray(records.view(kind)[:, first : first + len(fields)].T)
            columns.update(zip(fields, block, strict=True))
        return columns

    def _batch(self, columns: dict[str, Any], column: Ints | None = None, code: Ints | None = None) -> TrainingBatch:
        rows = self._matrix(columns)
        xp = namespace_of(rows)
        if column is None or code is None:
            return TrainingBatch(rows, *(xp.zeros((len(rows), 0), np.float32) for _ in range(2)))
        place, column = self.conditions.places(column, code)
        widths = self.conditions.width, len(self.conditions.names)
        vectors, mask = (
            self._fill([(None, xp.asarray(ones.astype(np.int32)), width)], len(rows), width)
            for ones, width in zip((place, column), widths, strict=True)
        )
        return TrainingBatch(rows, vectors, mask)

    def _matrix(self, columns: dict[str, Any]) -> Matrix:
        parts = [(columns.get(scalar), columns.get(code), width) for scalar, code, width in self._parts]
        return self._fill(parts, len(next(iter(columns.values()))), self.width)

    def _fill(self, parts: Sequence[OnehotPart], rows: int, width: int) -> Matrix:
        out: Any = namespace_of(self._rows).empty((rows, width), np.float32)
        get_engine(self._engine).fill_onehot(parts, out)
        matrix: Matrix = out
        return matrix

    def _conditions_of(self, rows: Ints, columns: dict[str, Any], epoch: int) -> tuple[Ints | None, Ints | None]:
        """For each row a column at random, and its code there; both depend on the row and the epoch alone."""
        names = self.conditions.names
        if not names:
            return None, None
        column = (mixed(rows.astype(np.uint64), self._seed, epoch) % np.uint64(len(names))).astype(np.int64)
        xp = namespace_of(self._rows)
        codes = xp.stack([columns[_NAMES.mode(name)] for name in names])
        return column, to_numpy(codes[xp.asarray(column), xp.arange(len(rows))]).astype(np.int64)

    def _on_device(self, array: NDArray[Any]) -> Any:
        copy = get_engine(self._engine).copy_to_device(array)
        if copy is None:
            raise InputError(
                f'the device has no room for {array.nbytes} bytes of rows: keep them with place="memory" or "disk"'
            )
        return copy

    def _encode(self, transformer: Any, source: Any) -> Bytes:
        """Encode all rows, block by block, into the store; shape (rows, bytes of a row)."""
        dtype = self._dtype
        names, rows = list(dtype.names or ()), max(1, BLOCK_BYTES // dtype.itemsize)
        table = any_source(source)
        intervals = {_NAMES.scalar(c.name): c.name for c in self._model.encoded if not c.all_known and not c.has_codes}
        first_row = 0
        with self._store.growing("rows", dtype, table.rows) as add:
            for part in transformer.iter_batches(table, rows, layout="compact", dtype="float32"):
                for block in any_source(part).blocks(names, rows):
                    records = np.zeros(block.rows, dtype)
                    for name in names:
                        records[name] = self._numbers(name, block.host_column(name), dtype[name])
                    for scalar, name in intervals.items():
                        refuse_unknown(name, records[scalar], first_row)
                    add(records)
                    first_row += block.rows
        return self._store.take_array("rows", dtype.itemsize)

    def _row_dtype(self) -> np.dtype[Any]:
        """Type of a row: its scalars and codes, the largest first.

        Its size is a multiple of 4 bytes, so that a view of the rows as any field's type has whole steps.
        """
        fields: list[tuple[str, np.dtype[Any]]] = []
        for column in self._model.encoded:
            fields += [(_NAMES.scalar(column.name), np.dtype(np.float32))] * column.has_scalar
            fields += [(_NAMES.mode(column.name), np.dtype(column.code_dtype))] * (column.width > 0)
        fields.sort(key=lambda field: (-field[1].itemsize, field[1].kind))
        packed = np.dtype(fields)
        names, offsets = [name for name, _ in fields], [packed.fields[name][1] for name, _ in fields]  # type: ignore[index]
        itemsize = -(-packed.itemsize // 4) * 4
        return np.dtype(
            {"names": names, "formats": [kind for _, kind in fields], "offsets": offsets, "itemsize": itemsize}
        )

    def _numbers(self, name: str, values: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Scalars or codes of a block; null or NaN, which stands for no category, becomes one past the last code."""
        numbers: NDArray[Any] = np.asarray(values.to_numpy(zero_copy_only=False))
        if dtype.kind == "f" or numbers.dtype.kind != "f":
            return numbers
        widths = {mode: width for _, mode, width in self._parts}
        return np.where(np.isnan(numbers), widths[name], numbers)


def _write_array(file: FileIO, folder: Path, part: NDArray[Any]) -> None:
    """Add an array to a file; errors name the folder."""
    with naming_file(folder):
        view = part.reshape(-1).view(np.uint8).data
        while view:
            view = view[file.write(view) :]


def _reserve(file: FileIO, size: int) -> None:
    """Set the length of a file; a full disk is an error here, while in mapped memory it would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _array_digest(array: NDArray[Any]) -> str:
    letters: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.sha256(letters).hexdigest()


class _ArrayMark(NamedTuple):
    """Type, shape and digest by which an array in a file is recognised."""

    dtype: Any
    shape: tuple[int, int]
    digest: str


class _Store:
    """Arrays in memory, or in the files of a folder, which are mapped.

    Parameters
    ----------
    place : str
        See `TrainingRows`.
    folder : path, optional
        The folder; by default one that is removed with this object.
    """

    def __init__(self, place: str, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder).absolute()
        if place == "disk" and folder is None:
            self.folder = temporary_folder(self, "gpuvgm-rows")
        self._array: Any = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from writing to the folder.

        Raises
        ------
        InputError
            Where one does, or no folder can be there.
        """
        if self.folder is None:
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(f"{self.folder}: no folder for rows can be there ({problem.strerror})") from problem
        with locked(self._file("rows")):
            yield

    @contextmanager
    def growing(self, name: str, dtype: np.dtype[Any], rows: int | None) -> Iterator[Callable[[NDArray[Any]], None]]:
        """Append parts to an array, whose number of rows may be known; `take_array` returns it."""
        if self.folder is not None:
            with self._new(name) as file:
                yield partial(_write_array, file, self.folder)
                self._array = np.memmap(file, np.uint8, "r") if file.tell() else np.empty(0, np.uint8)
            return
        array, filled = np.zeros(rows or 0, dtype), 0  # also between fields: the digest counts all bytes

        def add(part: NDArray[Any]) -> None:
            nonlocal filled
            if filled + len(part) > len(array):
                # Grown by half, so that the copies of all steps are few.
                array.resize(max(filled + len(part), 3 * filled // 2), refcheck=False)
            array[filled : filled + len(part)] = part
            filled += len(part)

        yield add
        array.resize(filled, refcheck=False)
        self._array = array

    def take_array(self, name: str, width: int) -> Bytes:
        """The array of all parts that were appended, shape (rows, width)."""
        array, self._array = self._array, None
        rows: Bytes = np.asarray(array.view(np.uint8)).reshape(-1, width)
        return rows

    def index(self, shape: tuple[int, int], dtype: Any) -> Any:
        """An empty array for the rows by the codes of columns; see `RowIndex.of`."""
        if self.folder is None or 0 in shape:
            return np.empty(shape, dtype)
        with self._new("index") as file:
            with naming_file(self.folder):
                _reserve(file, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            return np.asarray(np.memmap(file, dtype, "r+", shape=shape))

    def mapped_array(self, name: str, mark: _ArrayMark) -> Any:
        """Map the array of a file that another object has written.

        Raises
        ------
        InputError
            Where it is damaged or another's.
        """
        if 0 in mark.shape:
            return np.empty(mark.shape, mark.dtype)
        with suppress(OSError, ValueError), self._file(name).open("rb") as file:
            array = np.asarray(np.memmap(file, mark.dtype, "r", shape=mark.shape))
            if os.fstat(file.fileno()).st_size == array.nbytes and _array_digest(array) == mark.digest:
                return array
        raise InputError(
            f"{self.folder}: the rows of these TrainingRows are no longer there, or damaged; others may have been "
            "written to the same folder: give each a folder of its own, or none"
        )

    @contextmanager
    def _new(self, name: str) -> Iterator[FileIO]:
        """Write a new file, which gets its name at the end, so that maps of an older one stay valid."""
        with partial_of(self._file(name)) as path, path.open("w+b", buffering=0) as file:
            yield file
            path.replace(self._file(name))

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"gpuvgm-{name}"
