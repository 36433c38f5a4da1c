"""The one exit for rows: counts of cells and of pairs of bins, which leave with noise alone.

This module alone reads rows, and asks `cells`, which nothing else calls, what each value counts as. Whatever rows hold,
it returns `Released`: integers with discrete Gaussian noise, and what they cost. Nothing else leaves it. Rows that do
not fit what is declared count in a declared cell, messages of problems say nothing of rows, and the log, warnings and
progress are silent as long as rows are read.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.engines import native_is_built
from gpuvgm.errors import InputError, listed
from gpuvgm.execution import LocalExecutor, Need, RunSettings, any_source, executor_for
from gpuvgm.io import Source, is_loaded, open_source
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.private.account import Release
from gpuvgm.synthesis.private.cells import arrow_array, declared_cells
from gpuvgm.synthesis.private.declared import FAN, Counted
from gpuvgm.synthesis.private.noise import discrete_gaussian

MOST_COUNTED = 1 << 61  # rows of a cell: more count as so many, so that neither sums nor noise leave 64 bits
READ_ONCE = "the rows can be read only once, and are to be read twice: give a table, or files"
_ONE_AT_A_TIME = Lock()
CHUNK = 1 << 15  # rows whose pairs are counted while their bins are in the cache
Tables = list[Ints]
Machine = tuple[Any, int | None]
BinsOf = Callable[[tuple[Ints, ...]], Mapping[str, Codes]]


class NothingRead(InputError):
    """A refusal that does not depend on rows, before any is counted: nothing of the promise is spent."""


@dataclass(frozen=True, slots=True)
class Released:
    """All that is learnt of rows.

    Parameters
    ----------
    columns : tuple of ndarray, int64
        Noisy counts of each column's levels: of its cells, of runs of 16 of them, and so on.
    pairs : tuple of ndarray of shape (bins, bins), int64
        Noisy counts of the bins of every two columns, in their order.
    releases : tuple of Release
        What both cost.
    """

    columns: tuple[Ints, ...]
    pairs: tuple[Ints, ...]
    releases: tuple[Release, ...]


def release(
    source: Any,
    columns: Mapping[str, Counted],
    releases: tuple[Release, ...],
    bins_of: BinsOf,
    machine: Machine,
) -> Released:
    """Count the rows of a table in two scans, and add noise.

    Parameters
    ----------
    source : object
        As for `TableTransformer.fit`, but it must be one that can be read twice.
    columns : mapping of str to Counted
        The columns.
    releases : tuple of Release
        Noise of the counts of columns, and of pairs.
    bins_of : callable
        Gives the bin of each cell of each column, from the noisy counts of columns alone.
    machine : (executor, threads)
        Where rows are read; see `TableTransformer`.

    Raises
    ------
    NothingRead
        For a cluster, columns that are not there, and sources that can be read only once.
    InputError
        For tables that cannot be read; without a reason, which would tell of rows.
    """
    _check_source(source)
    released = absent = stop = None
    is_spread = machine[0] is not None and not isinstance(machine[0], LocalExecutor)
    with _silence():
        try:
            table, cells_of = _opened(source, columns)
            is_spread = is_spread or executor_for(None, table) is not None
            absent = [name for name in columns if name not in table.schema.names]
            if not is_spread and not absent and table.repeatable:
                scan = partial(_scan, table, machine, [*columns])
                released = _released(scan, columns, cells_of, releases, bins_of)
        except BaseException as problem:  # noqa: BLE001 - its message, its context and its frames would tell of rows
            table, stop = None, type(problem)
    # Raised here, so that no problem of a row is the context of what is raised.
    if stop is not None and not issubclass(stop, Exception):  # the user's wish
        raise stop
    _check_was_read(is_spread=is_spread, absent=absent, is_repeatable=table is None or table.repeatable)
    if released is None:
        raise InputError(
            "the table cannot be read; the reason is not told, as it would tell of its rows: those who may see them "
            "find it with gpuvgm.TableTransformer().fit, which is not private"
        )
    return released


def _check_was_read(*, is_spread: bool, absent: Sequence[str] | None, is_repeatable: bool) -> None:
    """Raise NothingRead for the reasons for which no row was read; none of them depends on rows."""
    if is_spread:
        raise NothingRead(
            "rows are read in this process alone, as the workers of a cluster log what they cannot read, with its "
            "values: leave executor out, close the client, or give files"
        )
    if absent:
        raise NothingRead(
            f"there is no column {listed(absent)}, which the domain declares; leave out what is not there"
        )
    if not is_repeatable:
        raise NothingRead(READ_ONCE)


def _released(
    scan: Callable[..., Tables],
    columns: Mapping[str, Counted],
    cells_of: CellsOf,
    releases: tuple[Release, ...],
    bins_of: BinsOf,
) -> Released:
    """Noisy counts of columns, and then of pairs, whose bins the noisy counts of columns decide."""
    shapes = [(column.cells,) for column in columns.values()]
    counts = scan(partial(_column_counter, columns, cells_of), shapes)
    levels = [level for cells, column in zip(counts, columns.values(), strict=True) for level in _levels(cells, column)]
    noisy = _noisy(levels, releases[0])
    if len(releases) < 2:
        return Released(noisy, (), releases)
    bins = bins_of(noisy)
    pairs = scan(partial(_pair_counter, columns, cells_of, bins), pair_shapes(bins))
    return Released(noisy, _noisy(pairs, releases[1]), releases)


def _scan(
    table: Source,
    machine: Machine,
    names: Sequence[str],
    count: Callable[[], Any],
    shapes: Sequence[tuple[int, ...]],
) -> Tables:
    """Counts of all rows in tables of these shapes, from the columns with these names."""
    executor, threads = machine
    engine = "native" if native_is_built() else "reference"  # of the host, to which rows of devices come
    settings = RunSettings(engine, executor, None, threads, _tell_nothing)
    with settings.run("count", table, lambda: Need.fit(table.schema)) as run:
        counts: Tables | None = run.executor.map_merge(run.prepared(count), run.blocks(names), _sums)
    return counts or [np.zeros(shape, np.int64) for shape in shapes]  # there may be no rows


def pair_shapes(bins: Mapping[str, Codes]) -> list[tuple[int, int]]:
    """Bins of every two columns."""
    return [(first, second) for first, second in combinations([int(codes.max()) + 1 for codes in bins.values()], 2)]


def _noisy(tables: Tables, spent: Release) -> tuple[Ints, ...]:
    """Counts with noise: the only step from rows to what is released."""
    noise = discrete_gaussian(spent.scale, spent.variance // spent.scale, sum(table.size for table in tables))
    parts = np.split(noise, np.cumsum([table.size for table in tables])[:-1])
    return tuple(table + part.reshape(table.shape) for table, part in zip(tables, parts, strict=True))


# -- how rows are read without a word of them


def _tell_nothing(*_: Any) -> None:
    """Progress would tell how many rows there are."""


@contextmanager
def _silence() -> Iterator[None]:
    """Let neither log nor warnings tell of rows; one fit at a time, as both are those of the process."""
    log, drop = logging.getLogger("gpuvgm"), lambda _: False
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.addFilter(drop)
        try:
            yield
        finally:
            log.removeFilter(drop)


def _check_source(source: Any) -> None:
    """Refuse a path of nothing, and what can be read only once, before a row is read."""
    if isinstance(source, Iterator):
        raise NothingRead(READ_ONCE)
    if isinstance(source, (str, PathLike)) and "://" not in str(source) and not {*"*?["} & {*str(source)}:
        if not Path(source).expanduser().exists():
            raise NothingRead(f"{source}: there is no such file or folder")


def _opened(source: Any, columns: Mapping[str, Counted]) -> tuple[Source, CellsOf]:
    """A source in which rows of any kind can be read, and what gives the cells of a column of them."""
    if is_loaded("dask.array", "Array", source):
        source = any_source(source).frame  # type: ignore[attr-defined]  # of Dask, as all of its sources have
    if is_loaded("dask.dataframe", "DataFrame", source):
        frame = source[[label for label in source.columns if str(label) in columns]]
        cells = partial(_frame_of_cells, columns)
        return any_source(frame.map_partitions(cells, meta=cells(frame._meta))), _as_they_are
    if isinstance(source, np.ndarray) and source.ndim == 2 and not source.dtype.names:
        source = {str(number): source[:, number] for number in range(source.shape[1])}
    if isinstance(source, Mapping) or is_loaded("pandas", "DataFrame", source):
        return any_source(_arrays_of(source, columns)), declared_cells
    if isinstance(source, (str, PathLike, list, tuple)):
        return open_source(source, as_text=True), declared_cells
    return any_source(source), declared_cells


def _arrays_of(table: Any, columns: Mapping[str, Counted]) -> dict[str, Any]:
    """The declared columns of a frame or a dictionary; empty ones where some are absent, so that no row is read."""
    labels = {str(label): label for label in table.keys() if str(label) in columns}  # noqa: SIM118 - frames have keys
    if len(labels) < len(columns):
        return dict.fromkeys(labels, pa.nulls(0)) or {"": pa.nulls(0)}
    return {name: arrow_array(table[label]) for name, label in labels.items()}


def _frame_of_cells(columns: Mapping[str, Counted], frame: Any) -> Any:
    """Cells of a partition of Dask's frames, as a frame."""
    arrays = {str(label): arrow_array(frame[label]) for label in frame.columns}
    return type(frame)(
        {name: declared_cells(columns[name], array) for name, array in arrays.items()}, index=frame.index
    )


# -- counts


CellsOf = Callable[[Counted, Any], Codes]


def _as_they_are(_: Counted, values: Any) -> Codes:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _column_counter(columns: Mapping[str, Counted], cells_of: CellsOf) -> Callable[[Any], Tables]:
    """Return what counts the cells of each column in a block."""

    def count(block: Any) -> Tables:
        return [
            np.bincount(cells_of(column, block.batch.column(name)), minlength=column.cells)
            for name, column in columns.items()
        ]

    return count


def _pair_counter(
    columns: Mapping[str, Counted], cells_of: CellsOf, bins: Mapping[str, Codes]
) -> Callable[[Any], Tables]:
    """Return what counts the bins of every two columns in a block."""
    shapes = pair_shapes(bins)

    def count(block: Any) -> Tables:
        codes = np.array([bins[name][cells_of(column, block.batch.column(name))] for name, column in columns.items()])
        tables = [np.zeros(first * second, np.int64) for first, second in shapes]
        for start in range(0, codes.shape[1], CHUNK):
            part = codes[:, start : start + CHUNK].astype(np.int64)
            for table, (first, second), (_, width) in zip(tables, combinations(part, 2), shapes, strict=True):
                table += np.bincount(first * width + second, minlength=len(table))
        return [table.reshape(shape) for table, shape in zip(tables, shapes, strict=True)]

    return count


def _levels(counts: Ints, column: Counted) -> Tables:
    """Counts of a column's cells, of runs of cells, and so on, as `level_sizes` of the column says."""
    levels = [counts]
    for _ in column.level_sizes[1:]:
        runs = np.pad(levels[-1], (0, -len(levels[-1]) % FAN)).reshape(-1, FAN)
        levels.append(np.array([min(sum(run), MOST_COUNTED) for run in runs.tolist()]))
    return levels


def _sums(first: Tables, second: Tables) -> Tables:
    """Counts of both sets of rows; the limit keeps sums in 64 bits, in any order."""
    return [np.minimum(table + further, MOST_COUNTED) for table, further in zip(first, second, strict=True)]
