"""The one exit for rows: counts of cells and of pairs of bins, which leave with noise alone.

This module alone sees rows. Whatever these hold, it returns `Released`: integers with discrete Gaussian noise, and what
they cost. Nothing else leaves it. Rows that do not fit what is declared count in a declared cell, messages of problems
say nothing of rows, and the log, warnings and progress are silent as long as rows are read.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import combinations
from numbers import Complex, Real
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.codecs import DatetimeCodec, is_null
from gpuvgm.engines import get_engine, native_is_built
from gpuvgm.errors import InputError, listed
from gpuvgm.execution import LocalExecutor, Need, RunSettings, any_source, executor_for
from gpuvgm.io import (
    Source,
    is_loaded,
    is_moment_type,
    is_plain_number_type,
    is_text_type,
    open_source,
    parse_or_null,
    plain_values_of,
)
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.private.account import Release
from gpuvgm.synthesis.private.declared import FAN, UNITS, Counted, DeclaredCategories, DeclaredNumbers
from gpuvgm.synthesis.private.noise import discrete_gaussian

MOST_COUNTED = 1 << 61  # rows of a cell: more count as so many, so that neither sums nor noise leave 64 bits
HUGE = 10**300  # beyond all bounds, and yet a float
NOTHING = "\uffff"  # stands for what is neither text nor a number nor a moment: Unicode has no such character
FIRST, LAST = datetime.min, datetime.max  # moments before and after are taken for these, which all bounds lie between
WITHOUT_TEXT = (bytes, bytearray, memoryview, timedelta, time, UUID, list, tuple, dict, set, frozenset, np.ndarray)
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
        return any_source(_arrays_of(source, columns)), _cells
    if isinstance(source, (str, PathLike, list, tuple)):
        return open_source(source, as_text=True), _cells
    return any_source(source), _cells


def _arrays_of(table: Any, columns: Mapping[str, Counted]) -> dict[str, Any]:
    """The declared columns of a frame or a dictionary; empty ones where some are absent, so that no row is read."""
    labels = {str(label): label for label in table.keys() if str(label) in columns}  # noqa: SIM118 - frames have keys
    if len(labels) < len(columns):
        return dict.fromkeys(labels, pa.nulls(0)) or {"": pa.nulls(0)}
    return {name: _array_of(table[label]) for name, label in labels.items()}


def _frame_of_cells(columns: Mapping[str, Counted], frame: Any) -> Any:
    """Cells of a partition of Dask's frames, as a frame."""
    arrays = {str(label): _array_of(frame[label]) for label in frame.columns}
    return type(frame)({name: _cells(columns[name], array) for name, array in arrays.items()}, index=frame.index)


# -- columns in memory as Arrow arrays, in which no row decides what another one is


def _array_of(values: Any) -> Any:
    """A column of a frame, a dictionary or a matrix: as it is if its type holds for all rows, else as text."""
    if is_loaded("pandas", "Index", values) or is_loaded("pandas.api.extensions", "ExtensionArray", values):
        values = sys.modules["pandas"].Series(values)
    if is_loaded("pandas", "Series", values):
        return _array_of_series(values)
    if isinstance(values, np.ndarray):
        return _array_of_numpy(values)
    if not hasattr(values, "dtype") and not hasattr(values, "type"):
        return _array_of_list(list(values) if hasattr(values, "__len__") else [values])
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _array_of_series(series: Any) -> Any:
    """A column of pandas."""
    if isinstance(series.dtype, np.dtype):
        return _array_of_numpy(series.to_numpy())
    if is_loaded("pandas", "CategoricalDtype", series.dtype):
        places = series.cat.codes.to_numpy()
        return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), _array_of(series.cat.categories))
    try:
        is_foreign = any(is_loaded("pandas", name, series.dtype) for name in ("PeriodDtype", "IntervalDtype"))
        array = _texts_of(series) if is_foreign else pa.array(series, from_pandas=True)
    except Exception:  # noqa: BLE001 - Arrow has no type for it
        return _texts_of(series)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _array_of_numpy(values: Any) -> Any:
    """An array of NumPy, in which rows that are masked are missing."""
    if isinstance(values, np.ma.MaskedArray):
        array = _array_of_numpy(values.data)
        return pc.if_else(pa.array(np.ma.getmaskarray(values)), pa.scalar(None, array.type), array)
    kind = values.dtype.kind
    if kind == "M":
        return pa.array(_in_microseconds(values))
    if kind in "biuf":
        known = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.dtype(np.float64)
        return pa.array(values.astype(known, copy=False))
    return _array_of_list(values.tolist()) if kind == "U" else _texts_of(values)


def _array_of_list(values: list[Any]) -> Any:
    """Objects as numbers or texts where all are, which are the same as the texts of each."""
    types = {*map(type, values)}
    if types == {np.datetime64} and len({value.dtype for value in values}) == 1:
        return _array_of_numpy(np.array(values))
    with suppress(OverflowError, UnicodeError, *ARROW_PROBLEMS):
        if types <= {bool, int, float}:
            return pa.array(np.array(values, np.float64))
        if types <= {str}:
            return pa.array(values, pa.large_string())
    return _texts_of(values)


def _in_microseconds(moments: Any) -> Any:
    """NumPy's datetimes of any unit, cut to microseconds; those beyond the first and the last year are at its end."""
    first, last = np.array([FIRST, LAST], "M8[us]")
    unit = np.datetime_data(moments.dtype)[0]
    if unit == "generic":  # NaT alone
        return np.full(len(moments), "NaT", "M8[us]")
    if unit not in ("ns", "ps", "fs", "as"):  # in which the ends wrap around
        moments = np.maximum(np.minimum(moments, last.astype(moments.dtype)), first.astype(moments.dtype))
    return np.maximum(np.minimum(moments.astype("M8[us]"), last), first)


def _texts_of(values: Any) -> Any:
    """Objects as text, each by its own value."""
    return pa.array([_text_of(value) for value in values], pa.large_string())


def _text_of(value: Any) -> bytes | None:
    """Text of a value, which depends on neither its type nor its unit; None where it is missing."""
    try:
        if getattr(value, "ndim", None) == 0:  # of NumPy, or a tensor
            value = value[()]
            value = value if isinstance(value, (np.datetime64, np.timedelta64)) else value.item()
        if is_null(value) or value != value:
            return None
        return _text_of_present(value).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - objects may do anything
        return NOTHING.encode()


def _text_of_present(value: Any) -> str:
    """All digits of a number, date and time of a moment, anything else as it writes itself."""
    if isinstance(value, str):
        return str.__str__(value)  # of enumerations too, which write themselves otherwise
    if isinstance(value, Complex) and not isinstance(value, Real):
        if value.imag:
            return NOTHING
        value = value.real
    if isinstance(value, (Real, Decimal)):
        return f"{float(min(max(value, -HUGE), HUGE)) + 0.0:.17g}"  # there is one zero
    if isinstance(value, (date, np.datetime64)) or is_loaded("pandas", "Period", value):
        return _moment_of(value).isoformat(" ").removesuffix(" 00:00:00")
    return NOTHING if isinstance(value, (*WITHOUT_TEXT, np.timedelta64)) else str(value)


def _moment_of(value: Any) -> datetime:
    """A date or a datetime of Python, NumPy or pandas, in UTC if it has a zone, or the beginning of a period."""
    value = getattr(value, "start_time", value)
    if hasattr(value, "to_datetime64"):  # of pandas, which reach further than Python's
        is_near = FIRST.year <= value.year <= LAST.year
        value = value.to_pydatetime(warn=False) if is_near else value.to_datetime64()
    if isinstance(value, np.datetime64):
        moment: datetime = _in_microseconds(np.asarray([value]))[0].item()
        return moment
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date
    shift, moment = value.utcoffset() or timedelta(), value.replace(tzinfo=None, fold=0)
    try:
        return moment - shift
    except OverflowError:
        return FIRST if shift > timedelta() else LAST


# -- cells of rows


CellsOf = Callable[[Counted, Any], Codes]


def _as_they_are(_: Counted, values: Any) -> Codes:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _cells(column: Counted, values: Any) -> Codes:
    """The cell of each row, whatever its value: what is no value of the column lies in a declared cell, too."""
    if pa.types.is_dictionary(values.type):
        entries = np.append(_cells(column, values.dictionary), np.uint16(_lacking(column)))
        places = values.indices.cast(pa.int64()).fill_null(len(entries) - 1)
        return np.asarray(entries[places.to_numpy()])
    plain = plain_values_of(values)
    return _number_cells(column, plain) if isinstance(column, DeclaredNumbers) else _category_cells(column, plain)


def _lacking(column: Counted) -> int:
    """Cell of missing values; where none are declared, that of what is no value of the column."""
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
    rows: Any
    if pa.types.is_string(column.type):
        rows = _texts(values)
    else:
        of_text = pa.types.is_boolean(column.type) and is_text_type(values.type)
        rows = pa.array(_numbers(parse_or_null(values, pa.bool_()) if of_text else values))
    declared: Any = column.categories[: column.cells - column.has_missing]
    entries: Any = pa.array(declared).cast(rows.type)
    places = pc.index_in(rows, value_set=entries, skip_nulls=True).fill_null(column.rest)
    lacks = values.is_null(nan_is_null=True)
    return np.asarray(pc.if_else(lacks, _lacking(column), places).to_numpy(zero_copy_only=False).astype(np.uint16))


def _is_number_type(type_: pa.DataType) -> bool:
    return is_plain_number_type(type_) or bool(pa.types.is_boolean(type_) or pa.types.is_decimal(type_))


def _texts(values: Any) -> Any:
    """Values as text, each by its own value; missing ones as any."""
    if is_text_type(values.type):
        return values.cast(pa.large_string())
    if is_moment_type(values.type):
        rows: Any = _ticks(values).view("M8[us]")
    elif _is_number_type(values.type):
        rows = _numbers(values)
    else:
        return pa.repeat(pa.scalar(NOTHING, pa.large_string()), len(values))
    distinct, places = np.unique(rows, return_inverse=True)
    return _texts_of(distinct).take(pa.array(places))


def _numbers(values: Any) -> Floats:
    """Values as numbers, of which there is one zero; NaN where they are none."""
    if not is_text_type(values.type) and not _is_number_type(values.type):
        return np.full(len(values), np.nan)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.large_string())  # as floats, Arrow rounds them by their scale
    if is_text_type(values.type):
        values = parse_or_null(pc.utf8_trim_whitespace(values.cast(pa.large_string())), pa.float64())
    return np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) + 0.0


def _moments(codec: DatetimeCodec, values: Any) -> Floats:
    """Dates and datetimes as numbers; NaN where they are none. Those with a zone count in UTC."""
    if is_text_type(values.type):
        texts = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")  # of nanoseconds
        # Each is parsed in one way alone: which texts are wrong takes long to find, as Arrow does not say it.
        has_zone: Any = pc.match_substring_regex(texts, r"[T ].*(Z|[+-][0-9:]+)$")
        zoned = parse_or_null(pc.if_else(has_zone, texts, None), pa.timestamp("us", "UTC"))
        plain = parse_or_null(pc.if_else(has_zone, None, texts), pa.timestamp("us"))
        values = pc.coalesce(plain, zoned.cast(pa.timestamp("us")))
    if not is_moment_type(values.type):
        return np.full(len(values), np.nan)
    lacks = values.is_null().to_numpy(zero_copy_only=False)
    unit = UNITS["d"] if pa.types.is_date(codec.type) else 1
    return np.where(lacks, np.nan, (_ticks(values) // unit - codec.base).astype(np.float64))


def _ticks(values: Any) -> Ints:
    """Moments in microseconds, those of the years beyond Python's at its ends; missing ones as any."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    ticks, factor = np.array(values.cast(pa.int64()).fill_null(0).to_numpy()), UNITS.get(values.type.unit)
    if factor is None:
        return ticks // 1000
    first, last = (int(end.astype(np.int64)) for end in np.array([FIRST, LAST], "M8[us]"))
    return np.asarray(np.clip(np.clip(ticks, first // factor, last // factor) * factor, first, last))


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
    """Counts of a column's cells, of runs of cells, and so on, as `level_sizes` of the column says."""
    levels = [counts]
    for _ in column.level_sizes[1:]:
        runs = np.pad(levels[-1], (0, -len(levels[-1]) % FAN)).reshape(-1, FAN)
        levels.append(np.array([min(sum(run), MOST_COUNTED) for run in runs.tolist()]))
    return levels


def _sums(first: Tables, second: Tables) -> Tables:
    """Counts of both sets of rows; the limit keeps sums in 64 bits, in any order."""
    return [np.minimum(table + further, MOST_COUNTED) for table, further in zip(first, second, strict=True)]
