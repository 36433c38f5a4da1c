"""The one exit for rows: counts of cells and of pairs of bins, which leave with noise alone.

This module alone sees rows. What it gives is `Released`, whatever the rows hold: integers with discrete Gaussian noise,
and what they cost. Nothing else leaves it: rows that do not fit what is declared count in some declared cell, problems
are told without what they tell of rows, and the log, warnings and progress are silent as long as rows are read.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from numbers import Real
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.columns import DatetimeCodec, is_null
from gpuvgm.engines import get_engine, native_is_built
from gpuvgm.errors import InputError, listed
from gpuvgm.execution import LocalExecutor, Need, RunSettings, any_source, executor_for
from gpuvgm.io import Source, is_loaded, is_plain_number_type, is_text_type, open_source, parse_or_null, plain_values_of
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.private.account import Release
from gpuvgm.synthesis.private.declared import FAN, UNITS, Counted, DeclaredCategories, DeclaredNumbers
from gpuvgm.synthesis.private.noise import discrete_gaussian

MOST_COUNTED = 1 << 61  # rows of a cell: more count as so many, so that neither sums nor noise leave 64 bits
HUGE = 10**300  # beyond all bounds, and yet a float
_ONE_AT_A_TIME = Lock()
CHUNK = 1 << 15  # rows whose pairs are counted while their bins are in the cache
Tables = list[Ints]
Machine = tuple[Any, int | None]
BinsOf = Callable[[tuple[Ints, ...]], Mapping[str, Codes]]


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
    InputError
        For a cluster, columns that are not there, sources that can be read only once, and those that cannot be read;
        without a reason, which would tell of rows.
    """
    _check_place(source)
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
    if is_spread:
        raise InputError(
            "rows are read in this process alone, as the workers of a cluster log what they cannot read, with its "
            "values: leave executor out, close the client, or give files"
        )
    if absent:
        raise InputError(f"there is no column {listed(absent)}, which the domain declares; leave out what is not there")
    if table is not None and not table.repeatable:
        raise InputError("the rows can be read only once, and are to be read twice: give a table, or files")
    if released is None:
        raise InputError(
            "the table cannot be read; the reason is not told, as it would tell of its rows: those who may see them "
            "find it with gpuvgm.TableTransformer().fit, which is not private"
        )
    return released


def _released(
    scan: Callable[..., Tables],
    columns: Mapping[str, Counted],
    cells_of: CellsOf,
    releases: tuple[Release, ...],
    bins_of: BinsOf,
) -> Released:
    shapes = [(column.cells,) for column in columns.values()]
    counts = scan(partial(_column_counter, columns, cells_of), shapes)
    levels = [level for own, column in zip(counts, columns.values(), strict=True) for level in _levels(own, column)]
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
    """Counts of all rows of some columns in tables of some shapes."""
    executor, threads = machine
    engine = "native" if native_is_built() else "reference"  # of the host, to which rows of devices come
    settings = RunSettings(engine, executor, None, threads, _tell_nothing)
    with settings.run("count", table, lambda: Need.fit(table.schema)) as run:
        counts: Tables | None = run.executor.map_merge(run.prepared(count), run.blocks(names), _sums)
    return counts or [np.zeros(shape, np.int64) for shape in shapes]  # there may be no rows


def pair_shapes(bins: Mapping[str, Codes]) -> list[tuple[int, int]]:
    """Bins of every two columns."""
    return [(first, second) for first, second in combinations([int(own.max()) + 1 for own in bins.values()], 2)]


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


def _check_place(source: Any) -> None:
    """Refuse a path of nothing: that there is no file tells of no row."""
    if isinstance(source, (str, PathLike)) and "://" not in str(source) and not {*"*?["} & {*str(source)}:
        if not Path(source).expanduser().exists():
            raise InputError(f"{source}: there is no such file or folder")


def _opened(source: Any, columns: Mapping[str, Counted]) -> tuple[Source, CellsOf]:
    """A source in which rows of any kind can be read, and what gives the cells of a column of them."""
    if is_loaded("dask.dataframe", "DataFrame", source):
        frame = source[[label for label in source.columns if str(label) in columns]]
        cells = partial(_frame_of_cells, columns)
        return any_source(frame.map_partitions(cells, meta=cells(frame._meta))), _as_they_are
    if isinstance(source, Mapping) or is_loaded("pandas", "DataFrame", source):
        labels = [label for label in source.keys() if str(label) in columns]  # noqa: SIM118 - frames have no others
        source = {str(label): _array_of(source[label]) for label in labels} or {"": np.empty(0)}
    if isinstance(source, (str, PathLike, list, tuple)):
        return open_source(source, any_source, as_text=True), _cells
    return any_source(source), _cells


def _frame_of_cells(columns: Mapping[str, Counted], frame: Any) -> Any:
    """Cells of a partition of Dask's frames, as a frame."""
    arrays = {str(label): _array_of(frame[label]) for label in frame.columns}
    return type(frame)({name: _cells(columns[name], own) for name, own in arrays.items()}, index=frame.index)


def _array_of(values: Any) -> Any:
    """A column of a frame or a dictionary as it is; as text where it holds objects, whatever they are."""
    if not hasattr(values, "dtype") and not hasattr(values, "type"):  # a list
        array = np.asanyarray(values)
        values = array if array.dtype.kind in "biufM" else np.array([*values, None], object)[:-1]
    if getattr(getattr(values, "dtype", None), "hasobject", False):
        return _texts_of(values)
    try:
        array = pa.array(values, from_pandas=True) if hasattr(values, "iloc") else values
    except Exception:  # noqa: BLE001 - Arrow has no type for it
        return _texts_of(values)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _texts_of(values: Any) -> Any:
    """Objects as text, each by its own value: no other row decides what a row is."""
    return pa.array([_text_of(value) for value in values], pa.large_string())


def _text_of(value: Any) -> bytes | None:
    """All digits of a number, whatever its type; anything else as it writes itself."""
    try:
        if is_null(value) or value != value:
            return None
        is_number = isinstance(value, Real)
        text = f"{float(min(max(value, -HUGE), HUGE)):.17g}" if is_number else str(value)
        return text.encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - objects may do anything
        return b""


# -- cells of rows


CellsOf = Callable[[Counted, Any], Codes]


def _as_they_are(_: Counted, values: Any) -> Codes:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _cells(column: Counted, values: Any) -> Codes:
    """The cell of each row, of any values: those that are no value of the column lie in a declared cell too."""
    if pa.types.is_dictionary(values.type):
        entries = np.append(_cells(column, values.dictionary), np.uint16(_lacking(column)))
        places = values.indices.cast(pa.int64()).fill_null(len(entries) - 1)
        return np.asarray(entries[places.to_numpy()])
    plain = plain_values_of(values)
    return _number_cells(column, plain) if isinstance(column, DeclaredNumbers) else _category_cells(column, plain)


def _lacking(column: Counted) -> int:
    """Cell of missing values; without one that of what is no value."""
    return column.cells - 1 if column.has_missing else column.rest


def _number_cells(column: DeclaredNumbers, values: Any) -> Codes:
    """Cells of numbers, of which those beyond the bounds lie in the outermost ones."""
    codec = column.codec
    numbers = _moments(codec, values) if isinstance(codec, DatetimeCodec) else _numbers(values)
    codes = np.append(np.arange(column.ordinary), _lacking(column)).astype(np.uint16)
    cells = get_engine().find_bins(numbers, column.edges[1:-1], codes)
    for place, value in enumerate(column.modal_numbers, column.ordinary):
        cells[numbers == value] = place
    return cells


def _category_cells(column: DeclaredCategories, values: Any) -> Codes:
    """Cells of categories."""
    rows: Any = _texts(values)
    if not pa.types.is_string(column.type):
        of_text = pa.types.is_boolean(column.type) and is_text_type(values.type)
        rows = pa.array(_numbers(parse_or_null(values, pa.bool_()) if of_text else values))
    declared: Any = column.categories[: column.cells - column.has_missing]
    entries: Any = pa.array(declared).cast(rows.type)
    found = pc.index_in(rows, value_set=entries, skip_nulls=True).fill_null(column.rest)
    lacks = values.is_null(nan_is_null=True)
    return np.asarray(pc.if_else(lacks, _lacking(column), found).to_numpy(zero_copy_only=False).astype(np.uint16))


def _texts(values: Any) -> Any:
    """Values as text; null where they have none."""
    if is_text_type(values.type):
        return values.cast(pa.large_string())
    distinct, places = np.unique(_numbers(values), return_inverse=True)
    return _texts_of(distinct).take(pa.array(places))


def _numbers(values: Any) -> Floats:
    """Values as numbers; NaN where they are none."""
    type_ = values.type
    if is_text_type(type_):
        values = parse_or_null(pc.utf8_trim_whitespace(values.cast(pa.large_string())), pa.float64())
    elif not is_plain_number_type(type_) and not pa.types.is_boolean(type_) and not pa.types.is_decimal(type_):
        return np.full(len(values), np.nan)
    return np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _moments(codec: DatetimeCodec, values: Any) -> Floats:
    """Dates and datetimes as numbers; NaN where they are none. Those with a zone count in UTC."""
    if is_text_type(values.type):
        texts = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")  # of nanoseconds
        zoned = parse_or_null(texts, pa.timestamp("us", "UTC"))
        values = pc.coalesce(parse_or_null(texts, pa.timestamp("us")), zoned.cast(pa.timestamp("us")))
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    if not pa.types.is_timestamp(values.type):
        return np.full(len(values), np.nan)
    lacks = values.is_null().to_numpy(zero_copy_only=False)
    ticks, factor = np.array(values.cast(pa.int64()).fill_null(0).to_numpy()), UNITS.get(values.type.unit)
    ticks = ticks // 1000 if factor is None else np.clip(ticks, -(2**61) // factor, 2**61 // factor) * factor
    unit = UNITS["d"] if pa.types.is_date(codec.type) else 1
    return np.where(lacks, np.nan, (ticks // unit - codec.base).astype(np.float64))


# -- counts


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
    """Counts of a column's cells, of runs of them, and so on."""
    levels = [counts]
    for _ in column.level_sizes[1:]:
        runs = np.pad(levels[-1], (0, -len(levels[-1]) % FAN)).reshape(-1, FAN)
        levels.append(np.array([min(sum(run), MOST_COUNTED) for run in runs.tolist()]))
    return levels


def _sums(first: Tables, second: Tables) -> Tables:
    """Counts of both sets of rows; the limit keeps sums in 64 bits, in any order."""
    return [np.minimum(own + other, MOST_COUNTED) for own, other in zip(first, second, strict=True)]
