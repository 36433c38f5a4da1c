"""The transformer of CTAB-GAN+ with its arguments, on gpuvgm's engines and without its faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from gpuvgm.columns import FittedColumn
from gpuvgm.config import RESEARCH_FLOOR, InvalidRows
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.io import Source
from gpuvgm.rules import choice
from gpuvgm.table import TableTransformer


class DataTransformer:
    """Mode-specific normalisation of a table for CTAB-GAN+ (Zhao et al. 2021).

    The matrix is the onehot layout of ``TableTransformer(effort="research")``: columns in the order of the table, modes
    and categories in the order of their frequency in the training rows, the most frequent first.

    Name columns by label or by position; an integer is a position unless it is a label. Columns in `categorical_list`
    are categorical, unless they are in `non_categorical_list` too. Columns in `mixed_dict` are mixed, those in
    `general_list` general, and all others continuous. Missing values need no sentinel: they get a mode or a category of
    their own. -9999999 is a number like any other, unless `mixed_dict` lists it.

    Parameters
    ----------
    train_data : pandas.DataFrame or ndarray of shape (rows, columns)
        The training rows.
    categorical_list : sequence
        Columns of categories.
    mixed_dict : mapping
        Numeric columns with modal values, and the list of these for each.
    general_list : sequence
        Columns whose range is mapped to [-1, 1].
    non_categorical_list : sequence
        Columns of `categorical_list` that have so many values that they are treated as numbers.
    n_clusters : int
        Largest number of components of a column.
    eps : float
        A component becomes a mode if its weight is larger than this and at least one training row belongs to it.
    **options
        Further arguments of `TableTransformer`; `effort` is "research", `tails` "clip" and `floor` 1e-6 unless given.

    Attributes
    ----------
    output_info : list of tuple
        Parts of the matrix: (1, "tanh", "no_g") for scalars, (1, "tanh", "yes_g") for those of general columns,
        (one-hot columns, "softmax").
    output_dim : int
        Columns of the matrix.
    model : list of FittedColumn
        The fitted columns.
    components : list of ndarray of bool or None
        For mixtures, which components are modes.
    ordering : list of ndarray of int or None
        For mixtures, the index of each one-hot column in [modal values, then modes in index order].

    Examples
    --------
    >>> import numpy as np
    >>> from gpuvgm.integrations.ctabgan import DataTransformer
    >>> debt = np.where(np.arange(600) % 3 == 0, 0.0, np.random.default_rng(0).lognormal(3, 1, 600))
    >>> rows = np.column_stack([debt, np.arange(600) % 2])
    >>> transformer = DataTransformer(rows, categorical_list=[1], mixed_dict={0: [0.0]})
    >>> transformer.fit()
    >>> transformer.output_info[-1], transformer.transform(rows).shape == (600, transformer.output_dim)
    ((2, 'softmax'), True)
    """

    def __init__(
        self,
        train_data: Any = None,
        categorical_list: Sequence[Any] = (),
        mixed_dict: Mapping[Any, Sequence[Any]] | None = None,
        general_list: Sequence[Any] = (),
        non_categorical_list: Sequence[Any] = (),
        n_clusters: int = 10,
        eps: float = 0.005,
        **options: Any,
    ) -> None:
        self.train_data = train_data
        self.categorical_columns = list(categorical_list)
        self.mixed_columns = {column: list(values) for column, values in (mixed_dict or {}).items()}
        self.general_columns = list(general_list)
        self.non_categorical_columns = list(non_categorical_list)
        self.n_clusters = n_clusters
        self.eps = eps
        settings = {"effort": "research", "tails": "clip", "floor": RESEARCH_FLOOR, **options}
        self._table = TableTransformer(n_components=n_clusters, weight_threshold=eps, **settings)
        self._table.set_output(transform="default")  # a matrix, whatever scikit-learn is set to

    def fit(self) -> None:
        """Fit every column on every training row.

        Raises
        ------
        InputError
            For columns that are not there, and for those that cannot be fitted as what they were said to be.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm.integrations.ctabgan import DataTransformer
        >>> transformer = DataTransformer(np.arange(600.0).reshape(-1, 1) % 3, categorical_list=[0])
        >>> transformer.fit()
        >>> transformer.output_info
        [(3, 'softmax')]
        """
        if self.train_data is None:
            raise InputError("there are no training rows: give train_data")
        source = _open_rows(self.train_data)
        names = source.schema.names
        labels = list(getattr(self.train_data, "columns", range(len(names))))
        self._table.columns = self._kinds(names, labels)
        self._table.fit(self.train_data)
        self._table.summaries_ = {}  # nearly the raw rows, which no pickle of a synthesizer should hold
        self._empty = self.train_data[:0].copy()
        self.model: list[FittedColumn] = list(self._table.columns_.values())
        mixture_columns = {column.name: column for column in self._table.model_.mixtures}
        mixtures = [mixture_columns.get(column.name) for column in self.model]
        self.components = [None if column is None else column.active for column in mixtures]
        self.ordering = [None if column is None else np.array(column.order) for column in mixtures]
        self.output_info = [part for column in self.model for part in _flagged_parts(column)]
        self.output_dim = sum(part[0] for part in self.output_info)

    def transform(self, data: Any, **options: Any) -> NDArray[np.float64]:
        """Encode rows as the matrix that CTAB-GAN+ trains on.

        Parameters
        ----------
        data : pandas.DataFrame or ndarray of shape (rows, columns)
            Rows; columns of an array are taken by position.
        **options
            Further arguments of `TableTransformer.transform`: mode, seed, uniforms, first_row.

        Returns
        -------
        ndarray of shape (rows, output_dim)
            Scalars and one-hot columns.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm.integrations.ctabgan import DataTransformer
        >>> rows = np.arange(600.0).reshape(-1, 1) % 3
        >>> transformer = DataTransformer(rows, categorical_list=[0])
        >>> transformer.fit()
        >>> transformer.transform(rows).shape
        (600, 3)
        """
        names = [column.name for column in self._fitted().model]
        source = _open_rows(data)
        if source.flavour == "matrix":
            if len(source.schema.names) != len(names):
                raise InputError(f"the rows have {len(source.schema.names)} columns, but {len(names)} were fitted")
            data = dict(zip(names, data.T, strict=True))
        matrix: NDArray[np.float64] = self._table.transform(data, layout="onehot", dtype="float64", **options)
        return matrix

    def inverse_transform(self, data: Any, invalid: InvalidRows = "mask") -> tuple[Any, NDArray[np.int64]]:
        """Decode rows to the type and the dtypes of the training rows.

        Parameters
        ----------
        data : ndarray of shape (rows, output_dim)
            Scalars, and any numbers for one-hot columns, of which the largest wins.
        invalid : {"mask", "drop"}
            Keep rows with a value outside the training range, or leave them out as the research code does.

        Returns
        -------
        rows : pandas.DataFrame or ndarray
            The rows.
        invalid_ids : ndarray of int
            Positions in `data` of the rows with a value outside the training range.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm.integrations.ctabgan import DataTransformer
        >>> rows = np.arange(600.0).reshape(-1, 1) % 3
        >>> transformer = DataTransformer(rows, categorical_list=[0])
        >>> transformer.fit()
        >>> decoded, invalid = transformer.inverse_transform(transformer.transform(rows))
        >>> decoded[:3, 0].tolist(), len(invalid)
        ([0.0, 1.0, 2.0], 0)
        """
        choice(InvalidRows)(invalid, "invalid")
        matrix = np.asarray(data)
        if matrix.ndim != 2 or matrix.shape[1] != self._fitted().output_dim:
            raise InputError(f"the rows have the shape {matrix.shape}; give {self.output_dim} columns")
        if hasattr(self._empty, "iloc"):
            import pandas

            encoded = pandas.DataFrame(matrix, columns=self._table.get_feature_names_out(layout="onehot"), copy=False)
            rows, valid = self._table.inverse_transform(encoded, return_valid=True)
            rows.columns = self._empty.columns
        else:
            arrays, valid = self._table.inverse_transform(matrix, return_valid=True)
            rows = np.stack([*arrays.values()], axis=1, dtype=self._empty.dtype, casting="unsafe")
        return rows[valid] if invalid == "drop" else rows, np.flatnonzero(~valid)

    def _fitted(self) -> DataTransformer:
        if not hasattr(self, "model"):
            raise NotFittedError("this DataTransformer is not fitted yet: call fit")
        return self

    def _kinds(self, names: Sequence[str], labels: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Kind and options of every column."""

        def names_of(argument: str, labels_or_positions: Iterable[Any]) -> list[str]:
            positions = [_position(argument, column, labels) for column in labels_or_positions]
            return [names[position] for position in positions]

        categorical = set(names_of("categorical_list", self.categorical_columns))
        categorical -= set(names_of("non_categorical_list", self.non_categorical_columns))
        general = names_of("general_list", self.general_columns)
        mixed_names = names_of("mixed_dict", self.mixed_columns)
        modal = dict(zip(mixed_names, self.mixed_columns.values(), strict=True))
        if len(modal) < len(mixed_names):
            raise InputError("mixed_dict names a column by its label and by its position; give it once")

        def kind(name: str) -> dict[str, Any]:
            if name in categorical:
                return {"kind": "categorical", "encoding": "onehot"}
            if name in modal:
                return {"kind": "mixed", "modal": modal[name]}
            return {"kind": "general" if name in general else "continuous"}

        return {name: kind(name) for name in names}


def _open_rows(rows: Any) -> Source:
    source = any_source(rows)
    if source.flavour not in ("pandas", "matrix"):
        raise InputError(f"give a pandas DataFrame or a two-dimensional NumPy array, not {source.name}")
    return source


def _position(argument: str, column: Any, labels: Sequence[Any]) -> int:
    """Position of a column that is named by its label or by its position."""
    if column in labels:
        return labels.index(column)
    if isinstance(column, (int, np.integer)) and 0 <= column < len(labels):
        return int(column)
    label_texts = ", ".join(map(repr, labels[:20])) + (", …" if len(labels) > 20 else "")
    raise InputError(f"{argument}: there is no column {column!r}; the columns are {label_texts}")


def _flagged_parts(column: FittedColumn) -> list[tuple[Any, ...]]:
    """Parts of the matrix that a column takes; scalars say whether the column is general."""
    flag = "yes_g" if column.kind == "general" else "no_g"
    return [(*part, flag) if part[1] == "tanh" else part for part in column.matrix_parts]
