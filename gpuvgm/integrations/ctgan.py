"""CTGAN's DataTransformer on gpuvgm's engines, and a context in which CTGAN and TVAE use it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from gpuvgm.columns.base import MODE, SCALAR
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.model import ColumnModel
from gpuvgm.columns.options import plain
from gpuvgm.config import BLOCK_ROWS, RESEARCH_FLOOR
from gpuvgm.engines import get_engine
from gpuvgm.engines.base import OnehotPart, ReadPart
from gpuvgm.errors import InputError
from gpuvgm.execution.sources import open_source
from gpuvgm.integrations.ctgan_rows import CompactMatrix, DataSampler
from gpuvgm.io import Source
from gpuvgm.io.source import check_request
from gpuvgm.table.decode import real_scalars
from gpuvgm.table.transformer import TableTransformer

RANDOM_STATE = 42  # of the k-means that CTGAN starts from
STOCK, STOCK_SAMPLER = "ctgan.data_transformer", "ctgan.data_sampler"

Fitted = MixtureColumn | CategoricalColumn

_LOCK = Lock()
_ENTERED: list[partial[DataTransformer]] = []  # by the contexts that are open, the newest last


class DataTransformer:
    """Rows for CTGAN and TVAE: their `DataTransformer`, with the fit and the transform of `TableTransformer`.

    The arguments, methods and attributes are those of `ctgan.data_transformer.DataTransformer`. A continuous column
    becomes a scalar and one cell for each mode, in the order of the fitted components; a discrete one a cell for each
    value, the most frequent first. Missing values and blank text are one value of a discrete column. Each call of
    `transform` takes one seed from NumPy's global generator, so that `CTGAN.set_random_state` makes runs repeatable.

    Parameters
    ----------
    max_clusters : int
        Upper limit of modes per column.
    weight_threshold : float
        Components need more than this weight to become a mode.
    effort : {"research", "auto", "best"}
        "research" fits as CTGAN does; "auto" and "best" search from several starts.
    standardize : {"auto", True, False}
        Take the floor under variances relative to the column's variance; CTGAN does not.
    algorithm : {"summary", "exact", "auto"}
        "summary" fits in one scan; "exact" reads every row in every iteration.
    engine : {"auto", "native", "reference"}
        Compute engine.
    threads : int, optional
        Threads; by default all cores.
    compact : bool
        `transform` gives a `CompactMatrix`, a few bytes a row, which `DataSampler` takes rows from.

    Attributes
    ----------
    output_info_list : list of list of SpanInfo
        For each column the width and the activation of its parts.
    output_dimensions : int
        Columns of the matrix.
    dataframe : bool
        Whether a DataFrame was fitted, which is what the inverse gives then.

    Raises
    ------
    ModuleNotFoundError
        Where ctgan is not installed.
    """

    def __init__(
        self,
        max_clusters: int = 10,
        weight_threshold: float = 0.005,
        *,
        effort: str = "research",
        standardize: bool | str = False,
        algorithm: str = "summary",
        engine: str = "auto",
        threads: int | None = None,
        compact: bool = False,
    ) -> None:
        _ctgan()
        self._compact = compact
        self._settings: dict[str, Any] = {
            "n_components": max_clusters,
            "weight_threshold": weight_threshold,
            "effort": effort,
            "tails": "clip",
            "floor": RESEARCH_FLOOR,
            "standardize": standardize,
            "algorithm": algorithm,
            "engine": engine,
            "threads": threads,
            "random_state": RANDOM_STATE,
        }

    def fit(self, raw_data: Any, discrete_columns: Iterable[Any] = ()) -> None:
        """Fit every column on every row.

        Parameters
        ----------
        raw_data : pandas.DataFrame or ndarray of shape (rows, columns)
            The training rows; columns of an array are named by position.
        discrete_columns : iterable of str or int
            Names of the columns that hold values to tell apart; all others hold numbers.

        Raises
        ------
        InputError
            For a column that cannot be fitted, and for missing values in a continuous one.
        """
        source = _source(raw_data)
        discrete = _names(source, discrete_columns)
        continuous = [name for name in source.schema.names if name not in discrete]
        onehot = {"kind": "categorical", "encoding": "onehot"}
        kinds = {**dict.fromkeys(continuous, "continuous"), **dict.fromkeys(discrete, onehot)}
        table = _ByWeight(kinds, **self._settings).fit(_fittable(raw_data, continuous))
        _refuse_missing(source, table)
        table.summaries_ = {}  # nearly the raw rows, which no pickle of a synthesizer should hold
        self._table, self._continuous, self._empty = table, continuous, raw_data[:0].copy()
        self._column_transform_info_list = [_described(column) for column in table.columns_.values()]
        self.output_info_list = [column.output_info for column in self._column_transform_info_list]
        self.output_dimensions = sum(column.output_dimensions for column in self._column_transform_info_list)
        self.dataframe = source.flavour == "pandas"

    def transform(self, raw_data: Any) -> NDArray[np.float64] | CompactMatrix:
        """Encode rows as the matrix that CTGAN trains on.

        Parameters
        ----------
        raw_data : pandas.DataFrame or ndarray of shape (rows, columns)
            Rows with the fitted columns.

        Returns
        -------
        ndarray of shape (rows, output_dimensions), or CompactMatrix
            Scalars within ±0.99 and one-hot cells.

        Raises
        ------
        InputError
            For values that have no place: missing in a continuous column, or not seen before in a discrete one.
        """
        columns = self._fitted()
        _source(raw_data)
        seed = int.from_bytes(np.random.bytes(8), "little")
        encoded = self._table.transform(_fittable(raw_data, self._continuous), dtype="float64", seed=seed)
        parts: list[OnehotPart] = []
        for column, _ in columns:
            scalar = np.asarray(encoded[column.name + SCALAR]) if column.has_scalar else None
            cell = _places(column).astype(column.cell_dtype)[np.asarray(encoded[column.name + MODE])]
            parts.append((scalar, cell, column.width))
        if self._compact:
            return CompactMatrix(parts, self._table.engine)
        matrix = np.empty((len(raw_data), self.output_dimensions))
        get_engine(self._table.engine).fill_onehot(parts, matrix)
        return matrix

    def inverse_transform(self, data: Any, sigmas: Any = None) -> Any:
        """Decode rows to the type and the dtypes that were fitted.

        Parameters
        ----------
        data : ndarray of shape (rows, output_dimensions)
            Scalars, and any numbers for cells, of which the largest wins.
        sigmas : ndarray of shape (output_dimensions,), optional
            Standard deviations of normal noise, from NumPy's global generator, to add to the scalars.

        Returns
        -------
        pandas.DataFrame or ndarray
            The rows.
        """
        columns = self._fitted()
        matrix = np.asarray(data)
        if matrix.ndim != 2 or matrix.shape[1] != self.output_dimensions:
            raise InputError(f"the rows have the shape {matrix.shape}; give {self.output_dimensions} columns")
        matrix = real_scalars(matrix)
        engine = get_engine(self._table.engine)
        encoded: dict[str, NDArray[Any]] = {}
        parts: list[ReadPart] = []
        for column, _ in columns:
            scalar = np.empty(len(matrix), matrix.dtype) if column.has_scalar else None
            parts.append((scalar, np.empty(len(matrix), column.cell_dtype), np.arange(column.width), False))
        engine.read_onehot(matrix, parts)
        for (column, start), (scalar, place, _, _) in zip(columns, parts, strict=True):
            if scalar is not None:
                encoded[column.name + SCALAR] = scalar if sigmas is None else np.random.normal(scalar, sigmas[start])
            encoded[column.name + MODE] = np.argsort(_places(column)).astype(column.cell_dtype)[place]
        return self._as_given(encoded)

    def convert_column_name_value_to_id(self, column_name: Any, value: Any) -> dict[str, int]:
        """Where a value of a discrete column stands, for conditional sampling.

        Parameters
        ----------
        column_name : str
            A discrete column.
        value : object
            One of its values.

        Returns
        -------
        dict
            `column_id` among all columns, `discrete_column_id` among the discrete ones, `value_id` among the values.

        Raises
        ------
        InputError
            For a column that was not fitted or is not discrete, and for a value that it does not hold.
        """
        columns = [column.name for column, _ in self._fitted()]
        discrete = [name for name in columns if name not in self._continuous]
        column = {column.name: column for column in self._table.model_.categorical}.get(str(column_name))
        if column is None:
            problem = "is continuous" if str(column_name) in columns else "was not fitted"
            raise InputError(f'column "{column_name}" {problem}; discrete columns: {", ".join(discrete) or "none"}')
        return {
            "discrete_column_id": discrete.index(column.name),
            "column_id": columns.index(column.name),
            "value_id": _value_id(column, value),
        }

    def _fitted(self) -> list[tuple[Fitted, int]]:
        """The columns, each with its first place in the matrix."""
        if not hasattr(self, "_table"):
            raise NotFittedError("this DataTransformer is not fitted yet: call fit")
        columns = [one.transform for one in self._column_transform_info_list]
        ends = np.cumsum([0, *(one.output_dimensions for one in self._column_transform_info_list)])
        return [(column, int(end)) for column, end in zip(columns, ends[:-1], strict=True)]

    def _as_given(self, encoded: dict[str, NDArray[Any]]) -> Any:
        """Decoded rows as what was fitted."""
        if self.dataframe:
            import pandas

            frame = self._table.inverse_transform(pandas.DataFrame(encoded))
            frame.columns = self._empty.columns
            truths = _truths(self._empty)
            return frame.astype(dict.fromkeys(truths, "bool")) if truths else frame
        arrays = self._table.inverse_transform(encoded)
        rows = np.empty((len(encoded[next(iter(encoded))]), len(arrays)), self._empty.dtype)
        for position, array in enumerate(arrays.values()):
            rows[:, position] = array
        return rows


class _ByWeight(TableTransformer):
    """Takes every component above the weight threshold for a mode."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002  # scikit-learn's signature
        return {**super().get_params(deep), "active_by": "weight"}


@contextmanager
def installed(**options: Any) -> Iterator[None]:
    """Let CTGAN and TVAE use this `DataTransformer`, and CTGAN the `DataSampler` that goes with it.

    ``with installed(): CTGAN().fit(rows)``. CTGAN's rows are kept compact: they take a few bytes each beside the frame
    that is given, and losses are those with the whole matrix, to the last bit. What was fitted within goes on working
    afterwards: it can be sampled from, saved and loaded. Contexts may be nested; the innermost decides. The names
    belong to the process: other threads that fit a synthesizer meanwhile use these classes too. The modules
    `ctgan.data_transformer` and `ctgan.data_sampler` keep their own, so that synthesizers that were fitted without
    these ones are saved and loaded as ever.

    Parameters
    ----------
    **options
        Keyword arguments of `DataTransformer`.

    Raises
    ------
    ModuleNotFoundError
        Where ctgan is not installed.
    """
    maker = partial(DataTransformer, **options)
    maker()
    with _LOCK:
        _ENTERED.append(maker)
        _name_newest()
    try:
        yield
    finally:
        with _LOCK:
            _ENTERED.remove(maker)
            _name_newest()


def _name_newest() -> None:
    """Give every module of ctgan that uses a DataTransformer the newest one, or its own again.

    One that has a DataSampler too gets ours, which takes compact rows.
    """
    stock, samplers = _ctgan().DataTransformer, import_module(STOCK_SAMPLER)
    newest = _ENTERED[-1] if _ENTERED else None
    modules: list[tuple[str, Any]] = list(sys.modules.items())
    for name, module in modules:
        if not name.startswith("ctgan.") or name in (STOCK, STOCK_SAMPLER):
            continue
        held: Any = vars(module).get("DataTransformer")
        if held is not stock and getattr(held, "func", None) is not DataTransformer:
            continue
        module.DataTransformer = newest or stock
        if hasattr(module, "DataSampler"):
            module.DataSampler = DataSampler if newest else samplers.DataSampler
            if newest:
                module.DataTransformer = partial(newest, **{"compact": True, **newest.keywords})


def _ctgan() -> Any:
    """The module with CTGAN's own transformer."""
    try:
        return import_module(STOCK)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "ctgan":
            raise
        message = 'gpuvgm.integrations.ctgan needs CTGAN: pip install "gpuvgm[ctgan]"'
        raise ModuleNotFoundError(message, name="ctgan") from error


def _source(rows: Any) -> Source:
    source = open_source(rows)
    if source.flavour not in ("pandas", "matrix"):
        raise InputError(f"give a pandas DataFrame or a two-dimensional NumPy array, not {source.name}")
    return source


def _names(source: Source, discrete_columns: Iterable[Any]) -> list[str]:
    """Names of the discrete columns; a column of an array is named by its position."""
    if isinstance(discrete_columns, str):
        raise InputError(f'discrete_columns="{discrete_columns}": give a list of names, ["{discrete_columns}"]')
    names = [str(name) for name in discrete_columns]
    check_request(source.name, source.schema, names)
    return names


def _fittable(rows: Any, continuous: Iterable[str]) -> Any:
    """The rows with booleans in continuous columns as 0 and 1, and text of NumPy's as objects."""
    if hasattr(rows, "iloc"):
        truths = [label for label in _truths(rows) if str(label) in continuous]
        return rows.astype(dict.fromkeys(truths, "int8")) if truths else rows
    if rows.dtype.kind == "b":
        return rows.astype(np.int8)
    return rows.astype(object) if rows.dtype.kind in "US" else rows


def _truths(frame: Any) -> list[Any]:
    """Labels of the columns of NumPy's booleans."""
    return [label for label, dtype in frame.dtypes.items() if str(dtype) == "bool"]


def _refuse_missing(source: Source, table: TableTransformer) -> None:
    """Refuse continuous columns with missing rows, for which CTGAN has no place."""
    for column in table.model_.mixtures:
        if column.fit.missing:
            raise InputError(
                f'column "{column.name}": {column.fit.missing} values are missing '
                f"(first at {_first_missing(source, column)}),"
                " and CTGAN has no place for them in a continuous column; fill them in, or leave the rows out"
            )


def _first_missing(source: Source, column: MixtureColumn) -> str:
    for block in source.blocks([column.name], BLOCK_ROWS):
        missing = np.flatnonzero(np.isnan(column.codec.encode(block.table.column(column.name))))
        if len(missing):
            return source.locate(block.first_row + int(missing[0]))
    raise InputError(f'column "{column.name}" changed while it was read')


def _described(column: ColumnModel) -> Any:
    """A fitted column as CTGAN's transformer describes its own."""
    ctgan = _ctgan()
    spans = [ctgan.SpanInfo(1, "tanh")] if column.has_scalar else []
    spans.append(ctgan.SpanInfo(column.width, "softmax"))
    kind = "continuous" if column.has_scalar else "discrete"
    return ctgan.ColumnTransformInfo(column.name, kind, column, spans, column.has_scalar + column.width)


def _places(column: Fitted) -> NDArray[np.int64]:
    """Place in CTGAN's matrix of every cell: components in index order, categories as they are."""
    return np.array(column.order, np.int64)


def _value_id(column: CategoricalColumn, value: Any) -> int:
    """Cell of a value of a discrete column."""
    try:
        cell = column.cell_of(plain(value))
    except ValueError:
        cell = None
    if cell is None:
        shown = ", ".join(repr(category) for category in column.categories[:20]) + (", …" if column.width > 20 else "")
        raise InputError(f'column "{column.name}" does not hold the value {value!r}; it holds {shown}')
    return cell
