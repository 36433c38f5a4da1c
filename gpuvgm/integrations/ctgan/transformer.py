"""CTGAN's DataTransformer on gpuvgm's engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from gpuvgm.arrays import Column, column_of, namespace_of
from gpuvgm.codecs import float_values, form_of
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, MixtureColumn
from gpuvgm.config import RESEARCH_FLOOR, Algorithm, Effort, EngineName, Flavor, Standardize
from gpuvgm.errors import InputError, counted_values, listed, pip_command, warn
from gpuvgm.execution import any_source, lazy_frame
from gpuvgm.integrations.ctgan.objects import ObjectTexts, object_texts
from gpuvgm.io import Source, is_number_type, is_text_type, plain_values_of
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.table import RunSummary, TableTransformer, TrainingRows

RANDOM_STATE = 42  # of the k-means that CTGAN starts from
STOCK = "ctgan.data_transformer"
NETWORK_KINDS = ("continuous", "mixed", "general", "categorical")
Options = Mapping[str, Any]


class DataTransformer:
    """Rows for CTGAN and TVAE: their `DataTransformer`, with the fit and the transform of `TableTransformer`.

    It has the arguments, methods and attributes of `ctgan.data_transformer.DataTransformer`. A continuous column
    becomes a scalar and a one-hot column for each mode, in the order of the fitted components. A discrete column
    becomes a one-hot column for each value, in the order in which they came, and one for missing values at the end.
    Discrete columns of pandas may hold any objects that have a hash. Each call of `transform` takes a seed from NumPy's
    global generator, so that `CTGAN.set_random_state` makes runs repeatable.

    Parameters
    ----------
    max_clusters : int
        Largest number of modes of a column.
    weight_threshold : float
        A component becomes a mode if its weight is larger than this.
    columns : mapping of str to str or dict, optional
        Kinds of single columns ("continuous", "mixed", "general", "categorical"), or dicts of kind and options, as in
        `TableTransformer`: ``{"amount": {"log": True, "modal": [0]}, "age": {"integer": True}}``. Modal values, which
        may include None for missing values, get one-hot columns beside those of the modes. A categorical column with
        ``{"encoding": "interval"}`` is a scalar; CTGAN does not condition on it.
    effort : {"research", "auto", "best"}
        "research" fits as CTGAN does; "auto" and "best" search from several starts.
    standardize : {"auto", True, False}
        Whether the smallest variance of a component is relative to the variance of the column; in CTGAN it is not.
    algorithm : {"summary", "exact", "auto"}
        "summary" fits the counts of one scan; "exact" reads every row in every iteration.
    engine : {"auto", "native", "reference"}
        Compute engine.
    threads : int, optional
        Threads; by default all cores.
    compact : bool
        Let `transform` return `gpuvgm.TrainingRows`, which take a few bytes a row and from which `DataSampler` draws.

    Attributes
    ----------
    output_info_list : list of list of SpanInfo
        For each column the width and the activation of its parts.
    output_dimensions : int
        Columns of the matrix.
    dataframe : bool
        Whether a DataFrame was fitted. If so, the inverse returns a DataFrame.

    Raises
    ------
    ModuleNotFoundError
        If ctgan is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from gpuvgm.integrations.ctgan import DataTransformer
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 600)
    >>> frame = pd.DataFrame({"amount": amount, "colour": ["red", "red", "blue"] * 200})
    >>> transformer = DataTransformer()
    >>> transformer.fit(frame, ["colour"])
    >>> transformer.transform(frame).shape == (600, transformer.output_dimensions)
    True
    """

    def __init__(
        self,
        max_clusters: int = 10,
        weight_threshold: float = 0.005,
        *,
        columns: Mapping[str, Any] | None = None,
        effort: Effort = "research",
        standardize: Standardize = False,
        algorithm: Algorithm = "summary",
        engine: EngineName = "auto",
        threads: int | None = None,
        compact: bool = False,
    ) -> None:
        stock_transformers()
        self._compact = compact
        self._columns: dict[str, Options] = {
            str(name): {"kind": options} if isinstance(options, str) else options
            for name, options in (columns or {}).items()
        }
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
        raw_data : pandas.DataFrame, ndarray of shape (rows, columns), path, or what `TableTransformer.fit` takes
            The training rows; columns of an array are named by position.
        discrete_columns : iterable of str or int
            Names of the columns that hold values to tell apart; all others hold numbers.

        Raises
        ------
        InputError
            For columns that cannot be fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> transformer = DataTransformer()
        >>> transformer.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"])
        >>> transformer.output_dimensions
        2
        """
        frame = _frame_of(raw_data)
        source = any_source(raw_data if frame is None else frame)
        discrete = [str(name) for name in list_names(discrete_columns) or ()]
        source.check_request(discrete)
        kinds = self._kinds(source, discrete)
        numbers = [name for name, options in kinds.items() if options["kind"] != "categorical"]
        texts = {} if frame is None else object_texts(frame, set(kinds) - set(numbers))
        types = {name: source.schema.field(name).type for name in numbers}
        non_numeric = [
            name for name, type_ in types.items() if not (is_number_type(type_) or pa.types.is_boolean(type_))
        ]
        if non_numeric:
            raise _no_numbers(source, non_numeric, discrete)
        table = _ByWeight(kinds, **self._settings).fit(source if frame is None else _in_texts(frame, texts, numbers))
        table.summaries_ = {}  # nearly the raw rows, which no pickle of a synthesizer should hold
        _change_columns(table, _in_order_of_appearance)
        if frame is not None:
            _give_booleans(table, [str(label) for label in _boolean_labels(frame)])
        self._take(table, texts, _without_rows(raw_data, frame, source.flavour), source.flavour)

    def take(self, table: TableTransformer) -> None:
        """Be fitted with a table that is.

        Parameters
        ----------
        table : TableTransformer
            Columns of any kind. Those that are not encoded are no part of the matrix.

        Examples
        --------
        >>> import gpuvgm
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> transformer = DataTransformer()
        >>> transformer.take(gpuvgm.TableTransformer().fit({"colour": ["red", "red", "blue"] * 200}))
        >>> transformer.output_dimensions
        2
        """
        self._take(table, {}, None, table.frame_)

    def _take(self, table: TableTransformer, texts: dict[str, ObjectTexts], empty: Any, flavour: str) -> None:
        self._table, self._texts, self._empty, self._flavour = table, texts, empty, flavour
        self._ignoring = copy(table)  # values that were not seen
        _change_columns(self._ignoring, _ignoring_unknown)
        self._column_transform_info_list = [_column_info(column) for column in table.model_.encoded]
        self.output_info_list = [column.output_info for column in self._column_transform_info_list]
        self.output_dimensions = table.model_.onehot_width
        self.dataframe = not isinstance(empty, np.ndarray)

    def transform(self, raw_data: Any) -> NDArray[np.float64] | TrainingRows:
        """Encode rows as the matrix that CTGAN trains on.

        Parameters
        ----------
        raw_data : pandas.DataFrame, ndarray of shape (rows, columns), path, or what `TableTransformer.transform` takes
            Rows with the fitted columns.

        Returns
        -------
        ndarray of shape (rows, output_dimensions), or TrainingRows
            Scalars within ±0.99 and one-hot columns.

        Raises
        ------
        InputError
            For missing values in a continuous column that had none in `fit`.

        Warns
        -----
        UserWarning
            For values of a discrete column that `fit` had not seen, whose one-hot columns are zeros. Among compact rows
            they raise an error.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> frame = pd.DataFrame({"colour": ["red", "red", "blue"] * 200})
        >>> transformer = DataTransformer()
        >>> transformer.fit(frame, ["colour"])
        >>> transformer.transform(frame)[1:3].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        if self._compact:
            return self.rows(raw_data)
        rows = self._encodable(raw_data if lazy_frame(raw_data) is None else raw_data.compute())
        options: dict[str, Any] = {"layout": "onehot", "dtype": "float64", "seed": draw_seed()}
        matrix, unseen = self._ignoring.transform(rows, return_unseen=True, **options)
        for name, sorts in unseen.items():
            if "unknown" in sorts:
                problem = counted_values(
                    sorts["unknown"], "values were not seen in fit: their one-hot columns are zeros"
                )
                warn(f'column "{name}": {problem}')
        return np.ascontiguousarray(matrix)

    def rows(self, raw_data: Any, seed: int | None = None, **options: Any) -> TrainingRows:
        """Encode rows and keep them compact.

        Parameters
        ----------
        raw_data : object
            As for `transform`.
        seed : int, optional
            Seed of the modes; by default one from NumPy's global generator.
        **options
            Arguments of `TrainingRows`.

        Returns
        -------
        TrainingRows
            The rows.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> frame = pd.DataFrame({"colour": ["red", "red", "blue"] * 200})
        >>> transformer = DataTransformer()
        >>> transformer.fit(frame, ["colour"])
        >>> transformer.rows(frame, seed=0).batch(50).rows.shape
        (50, 2)
        """
        seed = draw_seed() if seed is None else seed
        table = copy(self._fitted())
        table.seed = seed
        return TrainingRows(table, self._encodable(raw_data), seed=seed, **options)

    def inverse_transform(self, data: Any, sigmas: Any = None) -> Any:
        """Decode rows to the type and the dtypes that were fitted.

        Parameters
        ----------
        data : ndarray of shape (rows, output_dimensions)
            Scalars, and any numbers for one-hot columns, of which the largest wins.
        sigmas : ndarray of shape (output_dimensions,), optional
            Standard deviations of normal noise, from NumPy's global generator, to add to the scalars.

        Returns
        -------
        pandas.DataFrame or ndarray
            The rows; of a polars DataFrame such a one.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> frame = pd.DataFrame({"colour": ["red", "red", "blue"] * 200})
        >>> transformer = DataTransformer()
        >>> transformer.fit(frame, ["colour"])
        >>> transformer.inverse_transform(transformer.transform(frame))["colour"][:3].tolist()
        ['red', 'red', 'blue']
        """
        table, matrix = self._fitted(), self._with_noise(data, sigmas)
        rows = table.inverse_transform(matrix)
        for name, texts in self._texts.items():
            rows[name] = texts.decode(rows[name])
        if not self.dataframe and self._flavour == "matrix":
            return np.stack([*rows.values()], axis=1, dtype=self._empty.dtype, casting="unsafe")
        if not self.dataframe:
            return rows.to_numpy()
        if self._flavour == "polars":
            return rows
        if self._flavour != "pandas":
            import pandas

            return rows.to_pandas() if hasattr(rows, "to_pandas") else pandas.DataFrame(rows)
        if self._empty is None:
            return rows
        rows.columns = self._empty.columns
        truths = _boolean_labels(self._empty)
        return rows.astype(dict.fromkeys(truths, "bool")) if truths else rows

    def write(
        self,
        matrices: Iterator[NDArray[Any]],
        out: str | Path,
        sigmas: Any = None,
        flavor: Flavor | None = None,
    ) -> RunSummary:
        """Decode rows into a Parquet file or a folder of Parquet files, one matrix at a time.

        Parameters
        ----------
        matrices : iterator of ndarray of shape (rows, output_dimensions)
            As for `inverse_transform`.
        out : path
            The file, or a folder (a name without an ending).
        sigmas : ndarray of shape (output_dimensions,), optional
            As for `inverse_transform`.
        flavor : {"spark"}, optional
            As for `TableTransformer.inverse_transform`.

        Returns
        -------
        RunSummary
            Summary of the written files.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> frame = pd.DataFrame({"colour": ["red", "red", "blue"] * 200})
        >>> transformer = DataTransformer()
        >>> transformer.fit(frame, ["colour"])
        >>> transformer.write(iter([transformer.transform(frame)] * 2), "rows.parquet").rows
        1200
        """
        summary: RunSummary = self._fitted().inverse_transform(
            (self._with_noise(matrix, sigmas) for matrix in matrices), out=out, flavor=flavor
        )
        return summary

    def _with_noise(self, data: Any, sigmas: Any) -> NDArray[Any]:
        """Outputs of a network with noise on their scalars; see `inverse_transform`."""
        matrix = np.asarray(data)
        if matrix.ndim != 2 or matrix.shape[1] != self.output_dimensions:
            raise InputError(f"the rows have the shape {matrix.shape}; give {self.output_dimensions} columns")
        if sigmas is not None:
            matrix = np.array(matrix, np.result_type(matrix, np.float32))
            for spans in self._fitted().layout_.values():
                start, _, activation = spans[0]
                if activation == "tanh":
                    matrix[:, start] = np.random.normal(matrix[:, start], sigmas[start])
        return matrix

    def convert_column_name_value_to_id(self, column_name: Any, value: Any) -> dict[str, int]:
        """Find the numbers of a discrete column and of one of its values, for conditional sampling.

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

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import DataTransformer
        >>> transformer = DataTransformer()
        >>> transformer.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"])
        >>> transformer.convert_column_name_value_to_id("colour", "blue")
        {'discrete_column_id': 0, 'column_id': 0, 'value_id': 1}
        """
        model = self._fitted().model_
        columns = [column.name for column in model.encoded]
        discrete = [column.name for column in model.categorical if column.has_codes]
        if str(column_name) not in discrete:
            is_fitted = str(column_name) in columns
            problem = f"`{column_name}` is continuous" if is_fitted else f"`{column_name}` doesn't exist in the data"
            raise InputError(f"The column_name {problem}. Discrete columns: {', '.join(discrete) or 'none'}")
        column = model[str(column_name)]
        assert isinstance(column, CategoricalColumn)
        return {
            "discrete_column_id": discrete.index(column.name),
            "column_id": columns.index(column.name),
            "value_id": _value_id(column, self._texts.get(column.name), value),
        }

    def _text_conditions(self, conditions: Mapping[str, Any]) -> dict[str, Any]:
        """Conditions with texts in place of the values of columns that are fitted as texts."""
        texts, conditions = self._texts, {str(label): value for label, value in conditions.items()}
        return {name: texts[name].condition(value) if name in texts else value for name, value in conditions.items()}

    def _fitted(self) -> TableTransformer:
        if not hasattr(self, "_table"):
            raise NotFittedError("this DataTransformer is not fitted yet: call fit")
        return self._table

    def _encodable(self, raw_data: Any) -> Any:
        """Rows as the fitted columns take them."""
        columns, frame = self._fitted().model_.encoded, _frame_of(raw_data)
        if frame is not None:
            numbers = [column.name for column in columns if not isinstance(column, CategoricalColumn)]
            return _in_texts(frame, self._texts, numbers)
        objects = [name for name, texts in self._texts.items() if not texts.are_values]
        if objects:
            raise InputError(f"{listed(objects)}: fitted with objects of Python; give rows as a pandas DataFrame")
        return raw_data

    def _kinds(self, source: Source, discrete: list[str]) -> dict[str, Options]:
        """Kind and options of every column."""
        source.check_request(list(self._columns))
        kinds: dict[str, Options] = {}
        for name in source.schema.names:
            options, is_discrete = dict(self._columns.get(name, {})), name in discrete
            kind = options.setdefault("kind", "categorical" if is_discrete else "continuous")
            if kind not in NETWORK_KINDS or (is_discrete and kind != "categorical"):
                problem = "is discrete" if kind in NETWORK_KINDS else f"can be {listed(NETWORK_KINDS)}"
                raise InputError(f'column "{name}" {problem}, and columns says that it is {kind!r}')
            if kind == "categorical" and not {"encoding", "max_categories"} & set(options):
                options["encoding"] = "onehot"
            kinds[name] = options
        return kinds


@dataclass(frozen=True, slots=True)
class _BooleanColumn(MixtureColumn):
    """A continuous column of the numbers 0 and 1 that gives booleans back."""

    @property
    def decoded_type(self) -> pa.DataType:
        """Booleans."""
        return pa.bool_()

    def in_decoded_type(self, values: Column) -> Column:
        """Decoded numbers as booleans."""
        shares = float_values(values)  # NaN for missing ones
        return column_of(shares > 0, pa.bool_(), namespace_of(shares).isnan(shares))


def _change_columns(table: TableTransformer, change: Callable[[FittedColumn], FittedColumn]) -> None:
    """Put other columns in place of those of a fitted table."""
    table.model_ = replace(table.model_, columns=tuple(map(change, table.model_.columns)))


def _in_order_of_appearance(column: FittedColumn) -> FittedColumn:
    """One-hot columns in the order in which their categories came, that of missing values last, as ctgan has them."""
    if not isinstance(column, CategoricalColumn) or not column.has_codes or column.infrequent or column.declared:
        return column
    parts = zip(column.categories, column.counts, column.appearance, strict=True)
    by_appearance = sorted(parts, key=lambda part: (part[0] is MISSING, part[2]))
    categories, counts, appearance = zip(*by_appearance, strict=True) if by_appearance else ((), (), ())
    return replace(column, categories=categories, counts=counts, appearance=appearance)


def _ignoring_unknown(column: FittedColumn) -> FittedColumn:
    """The column with zeros for unknown values, where it has one-hot columns."""
    if isinstance(column, CategoricalColumn) and column.has_codes:
        return replace(column, unknown="ignore")
    return column


def _give_booleans(table: TableTransformer, names: Collection[str]) -> None:
    """Let continuous columns that were fitted as 0 and 1 give booleans back."""

    def with_booleans(column: FittedColumn) -> FittedColumn:
        if column.name not in names or not isinstance(column, MixtureColumn):
            return column
        table.pandas_dtypes_[column.name] = np.dtype(bool)
        return _BooleanColumn(**{field.name: getattr(column, field.name) for field in fields(column)})

    _change_columns(table, with_booleans)


class _ByWeight(TableTransformer):
    """Takes every component above the weight threshold for a mode, in the order of the components."""

    _further_settings = MappingProxyType({"active_by": "weight"})


def stock_transformers() -> Any:
    """The module with CTGAN's own transformer."""
    try:
        return import_module(STOCK)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "ctgan":
            raise
        message = f"gpuvgm.integrations.ctgan needs CTGAN: {pip_command('ctgan')}"
        raise ModuleNotFoundError(message, name="ctgan") from error


def draw_seed() -> int:
    """A seed from NumPy's global generator, which `CTGAN.set_random_state` makes repeatable."""
    return int.from_bytes(np.random.bytes(8), "little")


def list_names(discrete_columns: Iterable[Any] | None) -> list[Any] | None:
    """Return the discrete columns as a list, None where there is no argument.

    One name, whose letters would be taken for names, is refused.
    """
    if isinstance(discrete_columns, str):
        raise InputError(f'discrete_columns="{discrete_columns}": give a list of names, ["{discrete_columns}"]')
    return None if discrete_columns is None else list(discrete_columns)


_LOOKED_AT = 1 << 16  # first rows
_MOST_DISCRETE = 1000  # different values among them: CTGAN gives each a one-hot column and a condition


def _no_numbers(source: Source, names: Sequence[str], discrete: Sequence[str]) -> InputError:
    """The error for continuous columns without numbers: they are discrete, but for text of many numbers or dates."""
    block = next(source.blocks(names, _LOOKED_AT), None)
    counts = {name: 0 if block is None else _different_values(block.batch.column(name)) for name in names}
    others = [name for name in names if counts[name] <= _MOST_DISCRETE]
    columns, hold = ("column", "holds") if len(others) == 1 else ("columns", "hold")
    problems = [f"{columns} {listed(others)} {hold} no numbers: give discrete_columns={[*discrete, *others]!r}"]
    problems += [
        f'column "{name}" holds text of {counts[name]:,} different numbers or dates, too many to be discrete: convert '
        "it; without discrete_columns, CTGAN and TVAE read it as such"
        for name in names
        if name not in others
    ]
    return InputError("; ".join(problems if others else problems[1:]))


def _different_values(column: pa.Array[Any]) -> int:
    """Number of different texts, if they are numbers or dates in one form; else 0."""
    values = pa.chunked_array([plain_values_of(column)])
    return len(values.unique()) if is_text_type(values.type) and form_of(values) is not None else 0


def _frame_of(rows: Any) -> Any:
    """A frame of pandas, or an array that holds no numbers as one, with the dtypes of objects inferred; else None."""
    import pandas

    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "bOSU":
        rows = pandas.DataFrame(rows, columns=[str(number) for number in range(rows.shape[1])])
    if not isinstance(rows, pandas.DataFrame):
        return None
    objects = [position for position, dtype in enumerate(rows.dtypes) if dtype == "object"]
    inferred, frame = rows.iloc[:, objects].infer_objects(), rows.copy(deep=False)
    for place, position in enumerate(objects):
        frame.isetitem(position, inferred.iloc[:, place].array)
    return frame


def _in_texts(frame: Any, texts: Mapping[str, ObjectTexts], numbers: Collection[str]) -> Any:
    """A frame with texts for the objects of discrete columns, and 0 and 1 for booleans among numbers."""
    text_frame = frame.copy(deep=False)
    text_frame.columns = [str(label) for label in frame.columns]  # its own labels are given back at the end
    for position, (label, column) in enumerate(frame.items()):
        if str(label) in texts:
            text_frame.isetitem(position, texts[str(label)].encode(column))
        elif str(label) in numbers and column.dtype == bool:
            text_frame.isetitem(position, column.astype("int8"))
    return text_frame


def _without_rows(rows: Any, frame: Any, flavour: str) -> Any:
    """Dtype of an array, or labels and dtypes of a frame, without anything of its rows; None for other tables."""
    if flavour == "matrix" or isinstance(rows, np.ndarray):
        return np.empty((0, 0), rows.dtype)
    if frame is None:
        return None
    empty = frame[:0].reset_index(drop=True)  # the levels of an index hold its values, without rows too
    empty.attrs = {}
    return empty


def _boolean_labels(frame: Any) -> list[Any]:
    """Labels of the columns of NumPy's booleans."""
    return [label for label, dtype in frame.dtypes.items() if str(dtype) == "bool"]


def _column_info(column: FittedColumn) -> Any:
    """A fitted column as CTGAN's transformer describes its own."""
    ctgan = stock_transformers()
    spans = [ctgan.SpanInfo(*part) for part in column.matrix_parts]
    kind = "continuous" if column.has_scalar else "discrete"
    return ctgan.ColumnTransformInfo(column.name, kind, column, spans, column.has_scalar + column.width)


def _value_id(column: CategoricalColumn, texts: ObjectTexts | None, value: Any) -> int:
    """One-hot column of a value of a discrete column."""
    import pandas

    series = pandas.Series([value if texts is None else texts.text(value)])
    try:
        place = int(column.index.find(pa.nulls(1) if series.isna().all() else pa.array(series))[0])
    except ARROW_PROBLEMS:
        place = -1
    if place < 0:
        categories = ", ".join(repr(category) for category in column.categories[:20]) + (
            ", …" if column.width > 20 else ""
        )
        raise InputError(f'column "{column.name}" does not hold the value {value!r}; it holds {categories}')
    return min(place, column.width - 1)
