"""CTGAN's DataTransformer on gpuvgm's engines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from gpuvgm.arrays import on_host
from gpuvgm.columns.base import Coded, Decoder, FittedColumn, Values
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.options import json_value
from gpuvgm.config import RESEARCH_FLOOR, Algorithm, Effort, Standardize
from gpuvgm.engines import Engine, EngineName
from gpuvgm.errors import InputError, install_extra, listed
from gpuvgm.execution.sources import open_source
from gpuvgm.io import Source
from gpuvgm.io.arrow import is_number_type
from gpuvgm.io.source import check_request
from gpuvgm.table.decode import real_scalars
from gpuvgm.table.training import TrainingRows
from gpuvgm.table.transformer import TableTransformer
from gpuvgm.table.write import RunSummary

RANDOM_STATE = 42  # of the k-means that CTGAN starts from
STOCK = "ctgan.data_transformer"
KINDS = ("continuous", "mixed", "general", "categorical")
Options = Mapping[str, Any]


class DataTransformer:
    """Rows for CTGAN and TVAE: their `DataTransformer`, with the fit and the transform of `TableTransformer`.

    It has the arguments, methods and attributes of `ctgan.data_transformer.DataTransformer`. A continuous column
    becomes a scalar and a one-hot column for each mode, in the order of the fitted components. A discrete column
    becomes a one-hot column for each value, the most frequent first. Blank text is one value, and comes back as it was;
    a column that has several blank texts, or blank text beside missing values, is refused. Each call of `transform`
    takes a seed from NumPy's global generator, so that `CTGAN.set_random_state` makes runs repeatable.

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
            str(name): {"kind": said} if isinstance(said, str) else said for name, said in (columns or {}).items()
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
        source = open_source(raw_data)
        discrete = [str(name) for name in list_names(discrete_columns) or ()]
        check_request(source.name, source.schema, discrete)
        kinds = self._kinds(source, discrete)
        numbers = [name for name, options in kinds.items() if options["kind"] != "categorical"]
        self._blanks = blanks_of(raw_data, source, set(kinds) - set(numbers))
        types = {name: source.schema.field(name).type for name in numbers}
        others = [name for name, type_ in types.items() if not (is_number_type(type_) or pa.types.is_boolean(type_))]
        if others:
            held = f"column {listed(others)} holds" if len(others) == 1 else f"columns {listed(others)} hold"
            raise InputError(f"{held} no numbers: give discrete_columns={[*discrete, *others]!r}")
        table = _ByWeight(kinds, **self._settings).fit(_fittable(raw_data, source, numbers))
        table.summaries_ = {}  # nearly the raw rows, which no pickle of a synthesizer should hold
        if source.flavour == "pandas":
            _give_booleans(table, [str(label) for label in _truths(raw_data)])
            objects = raw_data.loc[:, raw_data.dtypes == "object"]
            table.pandas_dtypes_ |= dict(objects.infer_objects().dtypes)  # in which ctgan gives them back
        self._take(table, _without_rows(raw_data, source.flavour), source.flavour)

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
        self._blanks = {}
        self._take(table, None, table.frame_)

    def _take(self, table: TableTransformer, empty: Any, flavour: str) -> None:
        self._table, self._empty, self._flavour = table, empty, flavour
        self._column_transform_info_list = [_column_info(column) for column in table.model_.encoded]
        self.output_info_list = [column.output_info for column in self._column_transform_info_list]
        self.output_dimensions = table.model_.onehot_width
        self.dataframe = flavour != "matrix" or empty is None

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
            For values that have no place: missing in a continuous column, or not seen before in a discrete one.

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
        table, seed = self._fitted(), draw_seed()
        matrix = table.transform(self._encodable(raw_data), layout="onehot", dtype="float64", seed=seed)
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
        table, matrix = self._fitted(), self._noisy(data, sigmas)
        rows = table.inverse_transform(matrix)
        for name, blank in self._blanks.items():
            if blank is not None and self._flavour == "pandas":
                rows[name] = rows[name].fillna(blank)  # in the column's own type
            elif blank is not None:
                rows[name] = np.where(pa.array(rows[name], from_pandas=True).is_null(), blank, rows[name])
        if not self.dataframe:
            return np.stack([*rows.values()], axis=1, dtype=self._empty.dtype, casting="unsafe")
        if self._flavour == "polars":
            return rows
        if self._flavour != "pandas":
            import pandas

            return rows.to_pandas() if hasattr(rows, "to_pandas") else pandas.DataFrame(rows)
        if self._empty is None:
            return rows
        rows.columns = self._empty.columns
        truths = _truths(self._empty)
        return rows.astype(dict.fromkeys(truths, "bool")) if truths else rows

    def write(self, matrices: Iterator[NDArray[Any]], out: str | Path, sigmas: Any = None) -> RunSummary:
        """Decode rows into a Parquet file, or a folder of such, a matrix at a time.

        Parameters
        ----------
        matrices : iterator of ndarray of shape (rows, output_dimensions)
            As for `inverse_transform`.
        out : path
            The file, or a folder (a name without an ending).
        sigmas : ndarray of shape (output_dimensions,), optional
            As for `inverse_transform`.

        Returns
        -------
        RunSummary
            What was written.

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
        written: RunSummary = self._fitted().inverse_transform((self._noisy(one, sigmas) for one in matrices), out=out)
        return written

    def _noisy(self, data: Any, sigmas: Any) -> NDArray[Any]:
        """What a network gave, with noise on its scalars; see `inverse_transform`."""
        matrix = np.asarray(data)
        if matrix.ndim != 2 or matrix.shape[1] != self.output_dimensions:
            raise InputError(f"the rows have the shape {matrix.shape}; give {self.output_dimensions} columns")
        matrix = real_scalars(matrix)
        if sigmas is not None:
            matrix = matrix.copy()
            for spans in self._fitted().layout_.values():
                start, _, activation = spans[0]
                if activation == "tanh":
                    matrix[:, start] = np.random.normal(matrix[:, start], sigmas[start])
        return matrix

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
            there = str(column_name) in columns
            problem = f"`{column_name}` is continuous" if there else f"`{column_name}` doesn't exist in the data"
            raise InputError(f"The column_name {problem}. Discrete columns: {', '.join(discrete) or 'none'}")
        name = str(column_name)
        column = model[name]
        assert isinstance(column, CategoricalColumn)
        return {
            "discrete_column_id": discrete.index(column.name),
            "column_id": columns.index(column.name),
            "value_id": _value_id(column, None if value is not None and value == self._blanks.get(name) else value),
        }

    def _fitted(self) -> TableTransformer:
        if not hasattr(self, "_table"):
            raise NotFittedError("this DataTransformer is not fitted yet: call fit")
        return self._table

    def _encodable(self, raw_data: Any) -> Any:
        """Rows as the fitted columns take them."""
        columns = self._fitted().model_.encoded
        numbers = [column.name for column in columns if not isinstance(column, CategoricalColumn)]
        source = open_source(raw_data)
        for name, blank in blanks_of(raw_data, source, {column.name for column in columns} - set(numbers)).items():
            if blank != self._blanks.get(name, blank):
                raise InputError(f'column "{name}" holds {blank!r}, and held {self._blanks[name]!r} when it was fitted')
        return _fittable(raw_data, source, numbers)

    def _kinds(self, source: Source, discrete: list[str]) -> dict[str, Options]:
        """Kind and options of every column."""
        check_request(source.name, source.schema, list(self._columns))
        kinds: dict[str, Options] = {}
        for name in source.schema.names:
            options, is_discrete = dict(self._columns.get(name, {})), name in discrete
            kind = options.setdefault("kind", "categorical" if is_discrete else "continuous")
            if kind not in KINDS or (is_discrete and kind != "categorical"):
                problem = "is discrete" if kind in KINDS else f"can be {listed(KINDS)}"
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

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """What decodes parts of the column; the nearer of 0 and 1 counts."""
        numbers = MixtureColumn.decoder(self, engine, check=check)

        def booleans(part: Coded, first_row: int) -> Values:
            values = numbers(part, first_row)
            array: Any = on_host(values.array)
            return replace(values, array=pc.greater(array, pa.scalar(0, array.type)))

        return booleans


def _give_booleans(table: TableTransformer, names: Iterable[str]) -> None:
    """Let continuous columns that were fitted as 0 and 1 give booleans back."""
    columns = [
        _BooleanColumn(**{field.name: getattr(column, field.name) for field in fields(column)})
        if column.name in names and isinstance(column, MixtureColumn)
        else column
        for column in table.model_.columns
    ]
    table.model_ = replace(table.model_, columns=tuple(columns))
    table.pandas_dtypes_ |= {column.name: np.dtype(bool) for column in columns if isinstance(column, _BooleanColumn)}


class _ByWeight(TableTransformer):
    """Takes every component above the weight threshold for a mode, in the order of the components."""

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "active_by": "weight"}


def stock_transformers() -> Any:
    """The module with CTGAN's own transformer."""
    try:
        return import_module(STOCK)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "ctgan":
            raise
        message = f"gpuvgm.integrations.ctgan needs CTGAN: {install_extra('ctgan')}"
        raise ModuleNotFoundError(message, name="ctgan") from error


def draw_seed() -> int:
    """A seed from NumPy's global generator, which `CTGAN.set_random_state` makes repeatable."""
    return int.from_bytes(np.random.bytes(8), "little")


def list_names(discrete_columns: Iterable[Any] | None) -> list[Any] | None:
    """The discrete columns as a list, None where they are not given.

    One name, whose letters would be taken for names, is refused.
    """
    if isinstance(discrete_columns, str):
        raise InputError(f'discrete_columns="{discrete_columns}": give a list of names, ["{discrete_columns}"]')
    return None if discrete_columns is None else list(discrete_columns)


def blanks_of(rows: Any, source: Source, names: Collection[str]) -> dict[str, str | None]:
    """The blank text, or None for missing values, of discrete columns of a frame or an array that have one.

    Raises
    ------
    InputError
        For a column that has several, which are one category here.
    """
    if source.flavour not in ("pandas", "matrix"):
        return {}
    import pandas

    frame = rows if source.flavour == "pandas" else pandas.DataFrame(rows)
    found: dict[str, str | None] = {}
    for label, values in frame.items():
        if str(label) in names and not pandas.api.types.is_numeric_dtype(values):
            different = values.drop_duplicates()
            blanks: set[str | None] = {text for text in different if isinstance(text, str) and not text.strip()}
            blanks |= {None} if different.isna().any() else set()
            if len(blanks) > 1:
                shown = " and ".join(sorted("missing values" if blank is None else repr(blank) for blank in blanks))
                raise InputError(
                    f'column "{label}" has {shown}, which are one category here; give all but one of them another text'
                )
            found |= {str(label): blank for blank in blanks}
    return found


def _fittable(rows: Any, source: Source, continuous: Iterable[str]) -> Any:
    """The rows with booleans in continuous columns as 0 and 1, and text of NumPy's as objects; else their source."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "bUS":
        return rows.astype(np.int8 if rows.dtype.kind == "b" else object)
    truths = [label for label in _truths(rows) if str(label) in continuous] if source.flavour == "pandas" else []
    return rows.astype(dict.fromkeys(truths, "int8")) if truths else source


def _without_rows(rows: Any, flavour: str) -> Any:
    """Labels and types of a frame of pandas or of an array, without anything of its rows; None for other tables."""
    if flavour == "matrix":
        return np.empty((0, 0), rows.dtype)
    if flavour != "pandas":
        return None
    empty = rows[:0].reset_index(drop=True)  # the levels of an index hold its values, without rows too
    empty.attrs = {}
    return empty


def _truths(frame: Any) -> list[Any]:
    """Labels of the columns of NumPy's booleans."""
    return [label for label, dtype in frame.dtypes.items() if str(dtype) == "bool"]


def _column_info(column: FittedColumn) -> Any:
    """A fitted column as CTGAN's transformer describes its own."""
    ctgan = stock_transformers()
    spans = [ctgan.SpanInfo(*part) for part in column.matrix_parts]
    kind = "continuous" if column.has_scalar else "discrete"
    return ctgan.ColumnTransformInfo(column.name, kind, column, spans, column.has_scalar + column.width)


def _value_id(column: CategoricalColumn, value: Any) -> int:
    """One-hot column of a value of a discrete column."""
    try:
        code = column.code_of(json_value(value))
    except ValueError:
        code = None
    if code is None:
        shown = ", ".join(repr(category) for category in column.categories[:20]) + (", …" if column.width > 20 else "")
        raise InputError(f'column "{column.name}" does not hold the value {value!r}; it holds {shown}')
    return code
