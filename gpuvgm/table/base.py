"""Fit, transform and inverse of whole tables, from any source to the result that the caller wants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from inspect import signature
from os import PathLike, fspath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import numpy as np

from gpuvgm.columns import FittedColumn, TableModel, TableSchema, check_settings
from gpuvgm.config import (
    Algorithm,
    Compression,
    Effort,
    EngineName,
    Flavor,
    Infinities,
    InvalidRows,
    Layout,
    ModeChoice,
    ScalarType,
    Standardize,
    Tails,
    UnknownCategories,
)
from gpuvgm.errors import (
    ColumnsFailed,
    InferenceWarning,
    InputError,
    NamedParameters,
    warn,
)
from gpuvgm.execution import Progress, Run, RunSettings, any_source
from gpuvgm.io import Source, TableLike, restore
from gpuvgm.rules import choice, whole
from gpuvgm.summary import Floats, Summary
from gpuvgm.table.dask import decode_lazily, encode_lazily
from gpuvgm.table.decode import Decoding, EncodedTable, check_origin, holds_matrices
from gpuvgm.table.encode import Coding, encoded_names, template_of
from gpuvgm.table.fit import add_rows, check_can_grow, fit_source, new_files
from gpuvgm.table.model_file import ModelFile
from gpuvgm.table.results import (
    decode_in_memory,
    decode_to_files,
    encode_in_batches,
    encode_in_memory,
    encode_to_files,
    lazy_result,
)
from gpuvgm.table.settings import OF_THIS_MACHINE, StoredSettings
from gpuvgm.table.warnings import warning_of_convergence, warnings_of, warnings_of_modes
from gpuvgm.table.write import PART_ROWS, FileOutput, ParquetOptions

if TYPE_CHECKING:
    from gpuvgm.report import Comparison, Evaluator, FitReport, HoldOut, ModelDistance, Report, Validation

_LOG = logging.getLogger("gpuvgm")
Path_ = str | PathLike[str]
Output = Literal["default", "pandas", "polars", "pyarrow"]
_FRAMES = ("pandas", "polars", "pyarrow")


class BaseTransformer(NamedParameters):
    """Fit, transform and inverse of tables: what a `TableTransformer` does, whose page tells the parameters."""

    model_: TableModel
    summaries_: dict[str, Summary]
    pandas_dtypes_: dict[str, Any]
    frame_: str = ""
    labels_: Mapping[str, Any] = MappingProxyType({})  # of columns whose label is no text, by name
    _seconds: Mapping[str, float] = MappingProxyType({})  # of the stages of the last fit
    _engine: str = ""  # that the last fit ran on, and why
    _parts: Sequence[Mapping[str, Any]] = ()  # of the rows of the last fit, with their seconds
    _path: str = ""  # of the file that holds the model
    _hold_out: HoldOut | None = None  # rows that a generator's fit did not see
    _sequence: tuple[str, str] | None = None  # columns of a generator's keys, and of the order of their rows or ""
    _further_settings: Mapping[str, Any] = MappingProxyType({})  # of fits, which are no parameters

    def __init__(
        self,
        columns: Any = None,
        *,
        n_components: int = 10,
        weight_threshold: float = 0.005,
        weight_concentration_prior: float | None = None,
        max_iter: int = 100,
        tol: float = 1e-3,
        tol_per_row: float | None = None,
        random_state: int | None = 0,
        algorithm: Algorithm = "summary",
        effort: Effort = "auto",
        engine: EngineName = "auto",
        standardize: Standardize = "auto",
        scale: float = 4.0,
        tails: Tails | None = None,
        floor: float | None = None,
        inf: Infinities = "error",
        unknown: UnknownCategories = "error",
        max_categories: int | None = None,
        layout: Layout | None = None,
        mode: ModeChoice = "sample",
        dtype: ScalarType = "float32",
        seed: int | None = None,
        executor: Any = None,
        sample_rows: int | None = None,
        stratified: bool = False,
        block_rows: int | None = None,
        memory: int | str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.columns = columns
        self.n_components = n_components
        self.weight_threshold = weight_threshold
        self.weight_concentration_prior = weight_concentration_prior
        self.max_iter = max_iter
        self.tol = tol
        self.tol_per_row = tol_per_row
        self.random_state = random_state
        self.algorithm = algorithm
        self.effort = effort
        self.engine = engine
        self.standardize = standardize
        self.scale = scale
        self.tails = tails
        self.floor = floor
        self.inf = inf
        self.unknown = unknown
        self.max_categories = max_categories
        self.layout = layout
        self.mode = mode
        self.dtype = dtype
        self.seed = seed
        self.executor = executor
        self.sample_rows = sample_rows
        self.stratified = stratified
        self.block_rows = block_rows
        self.memory = memory
        self.threads = threads
        self.progress = progress

    def fit(self, source: TableLike, y: Any = None) -> Self:
        """Fit every column on every row.

        Parameters
        ----------
        source : object
            A path, URL, glob, folder or list of paths (Parquet, CSV, Arrow), a pandas, polars or pyarrow table, a
            polars LazyFrame, a DuckDB relation, a pyarrow Dataset, a dict of arrays, a two-dimensional array, a frame
            or an array of Dask, or an iterator of these. Of a CUDA device: a cuDF frame, a dict of arrays or a
            two-dimensional array (CuPy, PyTorch, or any other with DLPack), which stay there.
        y : None
            Ignored.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Raises
        ------
        InputError
            For input that cannot be fitted; the message names file, column and row.
        ColumnsFailed
            If some columns cannot be fitted. The others are kept for `fit_failed`.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000), "colour": ["red", "blue"] * 500}
        >>> transformer = gpuvgm.TableTransformer().fit(table)
        >>> {name: column.kind for name, column in transformer.columns_.items()}
        {'amount': 'continuous', 'colour': 'categorical'}
        """
        return self._fit(any_source(source))

    def fit_failed(self, source: TableLike) -> Self:
        """Fit the columns that failed in the fit before, or that are declared differently now; keep the others.

        Parameters
        ----------
        source : object
            The source of the fit before.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Raises
        ------
        InputError
            If no column failed before, and as `fit`.
        ColumnsFailed
            If columns fail again.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> rows = {"good": np.arange(500.0), "bad": np.append(np.arange(499.0), np.inf)}
        >>> transformer = gpuvgm.TableTransformer()
        >>> try:
        ...     transformer.fit(rows)
        ... except gpuvgm.errors.ColumnsFailed as problem:
        ...     print(list(problem.failed))
        ['bad']
        >>> transformer = transformer.set_params(columns={"bad": {"inf": "missing"}}).fit_failed(rows)
        >>> list(transformer.columns_)
        ['good', 'bad']
        """
        if not hasattr(self, "unfinished_"):
            raise InputError("no column of this transformer failed: call fit")
        return self._fit(any_source(source), self.unfinished_)

    def add_files(self, source: TableLike) -> Self:
        """Add the files of a source that the model lacks, without reading the others again; see `partial_fit`.

        Parameters
        ----------
        source : path, glob, folder, URL or list of paths
            The files of the fit, and new ones.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Raises
        ------
        InputError
            If files of the fit are gone or changed, if the source is no file, if the model was fitted on a sample, or
            has no summaries.

        Examples
        --------
        >>> from pathlib import Path
        >>> import gpuvgm
        >>> Path("days").mkdir()
        >>> _ = gpuvgm.generate("days/monday.parquet", 1000)
        >>> transformer = gpuvgm.TableTransformer().fit("days")
        >>> _ = gpuvgm.generate("days/tuesday.parquet", 500, seed=1)
        >>> transformer.add_files("days").model_.rows
        1500
        """
        table, origin = any_source(source), self._fitted().source
        new = new_files(table, origin)
        if new is not None:
            self.partial_fit(new)
            additions = {"added": origin["added"]} if "added" in origin else {}
            self.model_ = replace(self.model_, source=table.fingerprint() | additions)
        return self

    def _fit(
        self,
        table: Source,
        earlier_fit: TableModel | None = None,
        *,
        silent: bool = False,
        found: Mapping[str, tuple[Mapping[str, Any], str]] = MappingProxyType({}),
    ) -> Self:
        """Fit all columns, or those that an earlier fit has not finished, and warn of choices made in them.

        `found` are options of columns that are not declared, with the reasons.
        """
        fit = fit_source(table, self._fit_settings, self._run_settings, earlier_fit, found)
        self._seconds, self._engine, self._parts = fit.seconds, fit.engine, fit.parts
        self._note_form(table)
        self._take(fit.model)
        if fit.model.failed:
            raise ColumnsFailed(fit.model.failed, len(fit.model.columns))
        self._tell_of_convergence()
        for text, cause in () if silent else warnings_of(self.model_):
            warn(text, InferenceWarning, cause)
        return self

    def _tell_of_convergence(self) -> None:
        """Warn of columns whose search ended before EM had converged; others that have not are told in the log."""
        warning = warning_of_convergence(self.model_)
        if warning:
            from sklearn.exceptions import ConvergenceWarning

            warn(warning, ConvergenceWarning)
        elif _LOG.isEnabledFor(logging.INFO):
            fits = {column.name: column.fit for column in self.model_.columns}
            statement = self.model_.describe_unconverged(fits)
            if statement:
                unconverged = [name for name, fit in fits.items() if fit.stopped_early]
                _LOG.info("%s", statement, extra={"unconverged": unconverged})

    def _note_form(self, table: Source) -> None:
        """Note the kind of a table, and its dtypes and labels in pandas, as which rows come back."""
        self.frame_, self.pandas_dtypes_ = table.flavour, dict(getattr(table, "dtypes", None) or {})
        self.labels_ = dict(getattr(table, "labels", None) or {})

    def _take(self, fitted: TableModel) -> None:
        """Take over the state of a fit, finished or not."""
        for part in ("model_", "summaries_", "unfinished_"):
            self.__dict__.pop(part, None)
        if fitted.failed:
            self.unfinished_ = fitted
            return
        self.model_ = replace(fitted, schema=fitted.final_schema, summaries={})
        self.summaries_ = fitted.summaries
        self._path = ""

    def partial_fit(self, source: TableLike, y: Any = None) -> Self:
        """Add rows: merge their counts with those of the rows before, and fit the columns again.

        The first call is the same as `fit`. Its rows determine the grid and the centres from which all later fits
        start. The result is the same to the bit as one fit of all rows with this grid and these centres. (`fit` of all
        rows would choose its own.) New categories are added, unless the categories were declared.

        Parameters
        ----------
        source : object
            As for `fit`.
        y : None
            Ignored.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Raises
        ------
        InputError
            If the rows do not match the model, or the model was saved without its summaries.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer()
        >>> for seed in range(3):
        ...     table = {"amount": np.random.default_rng(seed).normal(50, 9, 1000)}
        ...     transformer = transformer.partial_fit(table)
        >>> transformer.fit_report_.rows
        3000
        """
        if not hasattr(self, "model_"):
            return self.fit(source)
        model = replace(self.model_, summaries=self.summaries_)
        check_can_grow(model)
        self._take(add_rows(any_source(source), model, self._fit_settings, self._run_settings))
        self._tell_of_convergence()
        return self

    def fit_transform(self, source: TableLike, y: Any = None, **options: Any) -> Any:
        """Fit, then transform the same rows.

        Parameters
        ----------
        source : object
            As for `fit`; one that can be read twice.
        y : object, optional
            Not used. If it is given, an estimator follows in the pipeline. It would take mode numbers for quantities,
            so with the compact layout there is a warning.
        **options
            Arguments of `transform`.

        Returns
        -------
        object
            As `transform` returns.

        Raises
        ------
        InputError
            For a source that can be read only once.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> gpuvgm.TableTransformer().fit_transform(table, layout="onehot")[2:4].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        table = any_source(source)
        if not table.repeatable:
            raise InputError(
                f"{table.name}: fit_transform reads the rows twice, but this source can be read only once; "
                "call fit and transform, each with a source of its own"
            )
        self.fit(table)
        if y is not None and (options.get("layout") or self._layout_of(table.flavour)) == "compact":
            for text, cause in warnings_of_modes(self.model_):
                warn(text, cause=cause)
        return self.transform(table, **options)

    def transform(
        self,
        source: TableLike,
        *,
        mode: ModeChoice | None = None,
        layout: Layout | None = None,
        dtype: ScalarType | None = None,
        seed: int | None = None,
        names: str | None = None,
        keep_original: bool = False,
        uniforms: Mapping[str, np.ndarray] | None = None,
        first_row: int = 0,
        return_unseen: bool = False,
        out: Path_ | None = None,
        part_rows: int | Literal["file"] = PART_ROWS,
        partitioned: bool = False,
        compression: Compression | None = None,
        row_group_rows: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Any:
        """Encode rows as scalars and modes.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.
        mode, layout, dtype, seed : optional
            Override the constructor's.
        names : str, optional
            Template of the encoded columns' names. ``{column}`` stands for the column, ``{part}`` for "scalar", for
            "mode", or for "mode" and the number of a one-hot column, joined by the character before ``{part}``. A
            template without ``{part}`` is the name of scalars, and modes get ``_{part}`` at the end:
            "{column}_Transformed" gives "price_Transformed" and "price_Transformed_mode". By default
            "{column}.{part}".
        keep_original : bool
            Also give the columns of the source, in front of the encoded ones; then layout="onehot" gives a table too.
        uniforms : mapping of str to ndarray of shape (rows,), optional
            Random numbers in [0, 1) to draw modes with, for single columns, instead of those of the generator.
        first_row : int
            Number of the first row, if the source is a part of a larger table.
        return_unseen : bool
            Also return the counts of values that the fit had not seen; a `RunSummary` always has them.
        out : path, optional
            Parquet file to write, or, if the name has no ending, a folder of such files. Then a `RunSummary` is
            returned.
        part_rows : {"file"} or int
            Rows of each file of a folder; "file" writes one file for each file of the source, in their order.
        partitioned : bool
            Write the folders ``key=value`` that the files of the source lie in. As there, files lack the columns that
            the names of their folders say.
        compression : {"zstd", "snappy", "none"}, optional
            One codec for all columns of the files, which get dictionaries too. By default each column has the encoding
            and the codec (none or LZ4) that are the fastest.
        row_group_rows : int, optional
            Rows of the files' row groups; by default 2^20, or fewer so that a group has at most 32 MiB.
        flavor : {"spark"}, optional
            Write columns whose types Spark does not read in Parquet as others that it reads; see docs/how-to/spark.md.
        resume : bool
            Continue a folder whose writing was interrupted, with the same source, model and options. Files that are
            complete, which their checksums tell, are kept. Without `resume` they are an error, and stay.

        Returns
        -------
        object
            With the compact layout the type of the source: a pyarrow Table for files, a dict of arrays for a
            two-dimensional array, cuDF for cuDF, CuPy arrays for arrays on a device. With layout="onehot" a matrix: an
            ndarray, or a CuPy array for a source on a device. Lazy tables of Dask and polars give lazy tables in
            either layout, whose rows are encoded when they are computed. With `return_unseen` a pair of this and a
            dict. For each column with such values the dict counts those "outside" the training range, "clipped"
            (another value comes back), "off_step" (no multiples of the column's step), "unknown" (no category of the
            column) and "infrequent" (categories that share a one-hot column).

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000), "colour": ["red", "blue"] * 500}
        >>> transformer = gpuvgm.TableTransformer().fit(table)
        >>> {name: len(values) for name, values in transformer.transform(table).items()}
        {'amount.scalar': 1000, 'amount.mode': 1000, 'colour.mode': 1000}
        >>> matrix = transformer.transform(table, layout="onehot", seed=1)
        >>> matrix.shape == (1000, len(transformer.get_feature_names_out(layout="onehot")))
        True
        """
        table = any_source(source)
        settings = self._settings_of_rows(mode, layout or self._layout_of(table.flavour), dtype, seed)
        settings |= {"names": names, "keep_original": keep_original, "uniforms": uniforms, "first_row": first_row}
        if table.lazy and out is None:
            if uniforms is not None or return_unseen:
                name = "return_unseen" if return_unseen else "uniforms"
                raise InputError(f"{name} cannot be given for frames of Dask, whose rows are drawn where they are")
            return encode_lazily(self._alone(), table, settings)
        coding = self._coding(table, settings, to_file=out is not None)
        if out is None and self._flavour() is None:
            lazy = lazy_result(table, coding, self._run_settings, "return_unseen" if return_unseen else None)
            if lazy is not None:
                return lazy
        options = ParquetOptions(partitioned, part_rows == "file", compression, row_group_rows, flavor)
        with self._run(coding, table, out, row_group_rows) as run:
            if out is not None:
                return encode_to_files(run, coding, FileOutput(out, part_rows, options, resume), settings)
            encoded, unseen = encode_in_memory(run, coding, self._flavour())
            return (encoded, unseen.rows()) if return_unseen else encoded

    def iter_batches(
        self,
        source: TableLike,
        batch_rows: int,
        *,
        mode: ModeChoice | None = None,
        layout: Layout = "onehot",
        dtype: ScalarType | None = None,
        seed: int | None = None,
        first_row: int = 0,
        drop_last: bool = False,
    ) -> Iterator[Any]:
        """Yield encoded rows in batches, for a training loop, in bounded memory. Give each epoch another seed.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.
        batch_rows : int
            Rows of a batch.
        mode : optional
            Overrides the constructor's.
        layout : {"compact", "onehot"}
            `<column>.scalar` and `<column>.mode`, or a matrix of scalars and one-hot columns.
        dtype, seed : optional
            As `mode`.
        first_row : int
            Number of the first row, if the source is a part of a larger table.
        drop_last : bool
            Leave out the last batch if it is shorter.

        Yields
        ------
        object
            As `transform` returns; a matrix by default. Together the batches are what `transform` would have returned.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000)}
        >>> transformer = gpuvgm.TableTransformer().fit(table)
        >>> for epoch in range(2):
        ...     print([len(matrix) for matrix in transformer.iter_batches(table, 400, seed=epoch)])
        [400, 400, 200]
        [400, 400, 200]
        """
        table = any_source(source)
        batch_rows = whole(1)(batch_rows, "batch_rows")
        settings = self._settings_of_rows(mode, layout, dtype, seed) | {"first_row": first_row}
        coding = self._coding(table, settings, to_file=False)
        with self._run(coding, table) as run:
            yield from encode_in_batches(run, coding, self._flavour(), batch_rows, drop_last=drop_last)

    def _layout_of(self, flavour: str) -> Layout:
        """The default layout for a kind of table: scikit-learn's arrays become matrices."""
        return self.layout or ("onehot" if flavour == "matrix" else "compact")

    def _settings_of_rows(
        self, mode: str | None, layout: str | None, dtype: str | None, seed: int | None
    ) -> dict[str, Any]:
        """How rows are encoded: the arguments, or else the constructor's."""
        seed = self.seed if seed is None else seed
        return {"mode": mode or self.mode, "layout": layout, "dtype": dtype or self.dtype, "seed": seed}

    def _coding(self, table: Source, settings: Mapping[str, Any], *, to_file: bool) -> Coding:
        """The coding of a table; only results that keep metadata get the fingerprint of the model."""
        coding = Coding.of(self.engine, self._fitted(), table, settings, to_file=to_file)
        if to_file or coding.keeps_metadata(table, self._flavour()):
            return coding.marked(self._fingerprint(), settings.get("names"))
        return coding

    def _run(
        self, coding: Coding | Decoding, table: Source, out: Path_ | None = None, group_rows: int | None = None
    ) -> AbstractContextManager[Run]:
        """A run over a table's rows that are encoded or decoded, to memory or to files in row groups."""
        need = partial(coding.need, table, to_file=out is not None, group_rows=group_rows)
        return self._run_settings.run(coding.stage, table, need)

    def _alone(self) -> Self:
        """A copy for one thread of a worker: the model and settings, without cluster, listener and summaries."""
        self._fitted()
        copy = type(self)(**settings_of(self) | {"executor": None, "progress": None, "threads": 1})
        copy.model_, copy.pandas_dtypes_, copy.frame_ = self.model_, self.pandas_dtypes_, self.frame_
        copy.labels_ = self.labels_
        return copy

    def inverse_transform(
        self,
        encoded: TableLike,
        *,
        names: str | None = None,
        return_valid: bool = False,
        invalid: InvalidRows = "mask",
        out: Path_ | None = None,
        part_rows: int | Literal["file"] = PART_ROWS,
        partitioned: bool = False,
        compression: Compression | None = None,
        row_group_rows: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Any:
        """Decode rows to values of the columns' own types.

        Numbers may lie beyond the training range where a generator has learnt little; see `invalid`.

        Parameters
        ----------
        encoded : object
            What `transform` gave, or a generator of such rows: compact columns, or a onehot matrix. Other columns are
            left out.
        names : str, optional
            Template of the columns' names, as for `transform`; by default what the file or pyarrow table says, which
            `transform` gave, else "{column}.{part}".
        return_valid : bool
            Also return which rows are within the training range in every column.
        invalid : {"mask", "drop"}
            Whether rows outside the training range are kept or left out.
        out : path, optional
            File to write (Parquet, or CSV where it ends in .csv or .csv.gz), or a folder of Parquet files (a name
            without an ending); a `RunSummary` is returned then.
        part_rows : {"file"} or int
            Rows of each file of a folder; "file" writes one file for each file of the source, in their order.
        partitioned : bool
            As for `transform`.
        compression : {"zstd", "snappy", "none"}, optional
            As for `transform`.
        row_group_rows : int, optional
            As for `transform`.
        flavor : {"spark"}, optional
            As for `transform`.
        resume : bool
            Go on with a folder whose writing was cut short: the same source, model and options; what is there, and
            has the checksum that it was written with, is kept. Without `resume` it is an error, and stays.

        Returns
        -------
        object
            The type that came in, lazy if that was; for a matrix the kind of table that was fitted (pandas, polars or
            pyarrow), or else a dict of arrays. With `return_valid` a pair of this and an array of bool, on the same
            device. Integers with missing values become float64 with NaN, or, if any lies beyond ±2^53, objects (int and
            None); see docs/how-to/missing.md. Frames of pandas and cuDF, and dicts, have the fitted labels, also those
            that are no text; a model file keeps numbers among them, and tuples of numbers and text.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> transformer = gpuvgm.TableTransformer(layout="onehot").fit(table)
        >>> decoded = transformer.inverse_transform(transformer.transform(table))
        >>> decoded["colour"][:4].tolist()
        ['red', 'red', 'red', 'blue']
        """
        model = self._fitted()
        choice(InvalidRows)(invalid, "invalid")
        table = any_source(encoded)
        template = check_origin(table, self._fingerprint(), names)
        if table.lazy and out is None:
            return decode_lazily(self._alone(), table, template.text, invalid, return_valid=return_valid)
        encoded_table = EncodedTable(table.name, "matrix" if holds_matrices(table) else table.flavour, table.schema)
        decoding = Decoding("reference", model, encoded_table, template, check=return_valid, drop=invalid == "drop")
        if out is None and self._flavour() is None:
            lazy = lazy_result(table, decoding, self._run_settings, "return_valid" if return_valid else None)
            if lazy is not None:
                return lazy
        options = ParquetOptions(partitioned, part_rows == "file", compression, row_group_rows, flavor)
        with self._run(decoding, table, out, row_group_rows) as run:
            if out is not None:
                return decode_to_files(run, decoding, FileOutput(out, part_rows, options, resume), self.pandas_dtypes_)
            rows, valid = decode_in_memory(run, decoding)
        # A matrix does not say which frames the caller uses: decoded rows have the kind of table that was fitted.
        of_fit = table.flavour == "matrix" and table.arrays is np and self.frame_ in _FRAMES
        values = restore(rows, table, self.pandas_dtypes_, self.frame_ if of_fit else None, self.labels_)
        return (values, valid) if return_valid else values

    @overload
    def evaluate(self, source: TableLike, *, compare: None = None) -> Report: ...

    @overload
    def evaluate(self, source: TableLike, *, compare: TableLike) -> Comparison: ...

    def evaluate(self, source: TableLike, *, compare: TableLike | None = None) -> Report | Comparison:
        """Encode and decode rows, and measure how exactly they come back; or compare two tables.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.
        compare : object, optional
            Synthetic rows that are compared with those of `source`, instead of what is decoded of them. It needs the
            columns that are encoded; others are compared if it has them. Both tables are kept in memory, up to 8 bytes
            a value: that of a device if they lie there, and are no files.

        Returns
        -------
        Report or Comparison
            Measures of every column and of the table; with `compare`, scores.

        Raises
        ------
        InputError
            If the model cannot encode the rows, or there are none.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000).round(2)}
        >>> report = gpuvgm.TableTransformer().fit(table).evaluate(table)
        >>> print(report.verdict)
        1 of 1 column comes back exactly
        >>> synthetic = {"amount": np.random.default_rng(1).normal(50, 9, 1000).round(2)}
        >>> comparison = gpuvgm.TableTransformer().fit(table).evaluate(table, compare=synthetic)
        >>> print(comparison.detection.words)
        synthetic rows can hardly be told from original ones
        >>> print(f"{comparison.score:.3f}")
        0.971
        """
        if compare is None:
            return self._evaluator().evaluate(any_source(source))
        tables = any_source(source), any_source(compare)
        return self._evaluator().compare(*tables)

    def _note_hold_out(self, rule: HoldOut, table: Source) -> None:
        """Note that the fit has seen the rows of a table without those held out; its source was a copy of these."""
        self._hold_out = rule
        self._note_form(table)
        self.model_ = replace(self.model_, source=table.fingerprint())

    def _note_sequence(self, key: str, index: str) -> None:
        """Note that the rows of the table belong to keys, and which column orders those of a key, if any does."""
        self._sequence = key, index

    def _evaluator(self) -> Evaluator:
        from gpuvgm.report import Evaluator

        return Evaluator(self._fitted(), self._run_settings, self._path, self._hold_out, self._sequence)

    def validate(self, source: TableLike) -> Validation:
        """Judge whether a decoded or generated table looks like the training table, of which only the model is needed.

        Compared are values outside the training range, between steps or of no category, the shares of categories, modal
        and missing values, quantiles, mean and tails. Nothing is clipped or rounded first.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.

        Returns
        -------
        Validation
            Measures of every column; `broken()` says what is wrong.

        Raises
        ------
        InputError
            If the table has no rows, or columns of other types than the training table.

        Examples
        --------
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"colour": ["red", "red", "red", "blue"] * 100})
        >>> validation = transformer.validate({"colour": ["red", "red", "red", "green"] * 100})
        >>> print(validation.broken()[0])
        column "colour": share of values that are no category is 0.25, but may be at most 0
        """
        return self._evaluator().validate(any_source(source))

    def distance_to(self, other: BaseTransformer) -> ModelDistance:
        """Measure how far this model is from another one of the same columns, for example one fitted to more rows.

        Parameters
        ----------
        other : TableTransformer
            The other model. Distances are in units of its standard deviations.

        Returns
        -------
        ModelDistance
            For each numeric column the numbers of modes, the Kolmogorov-Smirnov and Wasserstein distances between the
            fitted densities, and the shares of modal values; for each categorical column the total variation distance
            between the shares of categories.

        Raises
        ------
        InputError
            For models whose columns cannot be compared.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000)}
        >>> transformer = gpuvgm.TableTransformer().fit(table)
        >>> distance = gpuvgm.TableTransformer(sample_rows=500).fit(table).distance_to(transformer)
        >>> distance.rows, distance.other_rows, round(distance.columns["amount"].ks, 2)
        (500, 1000, 0.01)
        """
        from gpuvgm.report import ModelDistance

        return ModelDistance.between(self._fitted(), other._fitted())

    def plot(self, name: str, ax: Any = None, *, rows: Floats | None = None) -> Any:
        """Draw one column with matplotlib: its modes over the histogram of its rows, or its categories.

        Parameters
        ----------
        name : str
            A fitted column.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        rows : ndarray of shape (rows,), optional
            Values to draw; by default the training rows. A model that was saved without summaries has none, and draws
            its modes alone.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on.

        Raises
        ------
        InputError
            For a column that cannot be drawn.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"amount": np.random.default_rng(0).normal(50, 9, 1000)})
        >>> ax = transformer.plot("amount", ax=Figure().subplots())
        >>> ax.get_xlabel()
        'amount'
        >>> ax.figure.savefig("amount.png")
        """
        model = self._fitted()
        if name not in model.names:
            raise InputError(f'there is no column "{name}": the model has {", ".join(model.names)}')
        return model[name].plot(ax, rows=self.summaries_.get(name) if rows is None else rows)

    def save(self, path: Path_, *, summaries: bool = False) -> None:
        """Write the model, or an unfinished fit, to a directory or a `.gpuvgm` file.

        Parameters
        ----------
        path : path
            Where to; an existing model there is replaced when the new one is complete.
        summaries : bool
            Save the summaries too, which `partial_fit` needs. They reveal nearly all of the data.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000)}
        >>> gpuvgm.TableTransformer().fit(table).save("table.gpuvgm")
        >>> gpuvgm.load("table.gpuvgm").feature_names_in_.tolist()
        ['amount']
        """
        model = self._stored(summaries=summaries)
        ModelFile.at(fspath(path)).save(model, lambda read: load_as(BaseTransformer, path, read))

    def _stored(self, *, summaries: bool) -> TableModel:
        """The model that `save` writes."""
        fitted = getattr(self, "unfinished_", None)
        if fitted is None:
            fitted = replace(self._fitted(), summaries=self.summaries_)
        settings = StoredSettings(settings_of(self), self.pandas_dtypes_, self.frame_, self.labels_).to_json()
        return replace(fitted, settings=settings, summaries=fitted.summaries if summaries else {})

    def _fit_for_samples(
        self, table: Source, found: Mapping[str, tuple[Mapping[str, Any], str]] = MappingProxyType({})
    ) -> Self:
        """Fit a table for a generator, without the warnings of `fit`: the generator warns of its samples.

        Parameters
        ----------
        table : Source
            The table, opened; `TableTransformer.fit` says what is raised.
        found : mapping of str to (mapping, str)
            Options of columns that are not declared, such as those of keys, with the reasons.

        Returns
        -------
        TableTransformer
            The transformer itself.
        """
        return self._fit(table, silent=True, found=found)

    def _save_generator(
        self,
        settings: Mapping[str, Any],
        network: bytes,
        path: Path_,
        load: Callable[[TableModel], object] = lambda _: None,
    ) -> None:
        """Write the columns of a generator, without summaries, and its network; raises as `save`.

        Parameters
        ----------
        settings : mapping
            The generator's own, as JSON can hold them.
        network : bytes
            Its network.
        path : path
            Where to.
        load : callable
            What loading makes of the model; nothing is written where it fails.
        """
        ModelFile.at(path).save(self._generator(settings, network), load)

    def _generator(self, settings: Mapping[str, Any], network: bytes) -> TableModel:
        """The columns of a generator, without summaries, and its network, as a file has them."""
        model = self._stored(summaries=False)
        return replace(model, settings=model.settings | {"synthesizer": settings}, network=network)

    def set_output(self, *, transform: Output | None = None) -> Self:
        """Choose what `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars", "pyarrow"}, optional
            The kind of table to return, in either layout. "default": the type of the source, and an ndarray for
            layout="onehot". None changes nothing.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Examples
        --------
        >>> import pandas as pd
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "red", "blue"] * 100}
        >>> transformer = gpuvgm.TableTransformer().set_output(transform="pandas")
        >>> encoded = transformer.fit_transform(table)
        >>> isinstance(encoded, pd.DataFrame), encoded.shape
        (True, (400, 1))
        """
        if transform is not None:
            choice(Output)(transform, "transform")
            self._sklearn_output_config = {"transform": transform}  # the name under which clone keeps it
        return self

    def _fingerprint(self) -> str:
        """Fingerprint of the model, computed once."""
        model, entry = self._fitted(), self.__dict__.get("_fingerprint_of")
        if entry is None or entry[0] is not model:
            self._fingerprint_of = entry = (model, model.fingerprint())
        return str(entry[1])

    def _flavour(self) -> str | None:
        """The output that `set_output` chose; None for the default."""
        output = getattr(self, "_sklearn_output_config", {"transform": "default"})["transform"]
        return None if output == "default" else str(output)

    @property
    def schema_(self) -> TableSchema:
        """The columns' kinds with the reason for each."""
        return self._fitted().schema

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns at fit."""
        return np.array([column.name for column in self.schema_.columns], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of the columns at fit."""
        return len(self.schema_.columns)

    def get_feature_names_out(
        self, input_features: Any = None, *, layout: Layout | None = None, names: str | None = None
    ) -> np.ndarray:
        """Name the columns that `transform` gives in a layout.

        Parameters
        ----------
        input_features : object
            Ignored; scikit-learn passes the names of the columns.
        layout : {"compact", "onehot"}, optional
            The layout; by default the constructor's, or that of what was fitted.
        names : str, optional
            Template of the names, as for `transform`.

        Returns
        -------
        ndarray of shape (columns,), object
            Names, in the order of the columns.

        Examples
        --------
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"colour": ["red", "red", "red", "blue"] * 100})
        >>> transformer.get_feature_names_out().tolist()
        ['colour.mode']
        >>> transformer.get_feature_names_out(layout="onehot").tolist()
        ['colour.mode.0', 'colour.mode.1']
        """
        layout_name, model = layout or self._layout_of(self.frame_), self._fitted()
        check_settings({"layout": layout_name})
        return np.array(encoded_names(model, layout_name, template_of(names)), dtype=object)

    @property
    def layout_(self) -> dict[str, list[tuple[int, int, str]]]:
        """Spans (start, stop, activation) of the onehot layout, per column."""
        return self._fitted().spans()

    @property
    def columns_(self) -> dict[str, FittedColumn]:
        """The fitted columns by name."""
        return {column.name: column for column in self._fitted().columns}

    @property
    def fit_report_(self) -> FitReport:
        """Report of the fit: rows, engine and why, kinds with reasons, steps, modes, widths and seconds."""
        from gpuvgm.report import FitReport

        return FitReport.of(self._fitted(), self._seconds, self._engine, self._parts)

    def _fitted(self) -> TableModel:
        if not hasattr(self, "model_"):
            from sklearn.exceptions import NotFittedError

            unfinished = getattr(self, "unfinished_", None)
            if unfinished is not None:
                raise NotFittedError(
                    f"this fit is unfinished: {ColumnsFailed(unfinished.failed, len(unfinished.columns))}"
                )
            raise NotFittedError("this TableTransformer is not fitted yet: call fit, or load a model")
        return self.model_

    @property
    def _fit_settings(self) -> dict[str, Any]:
        """Settings of a fit."""
        return {**settings_of(self), **self._further_settings}

    @property
    def _run_settings(self) -> RunSettings:
        """Where and how rows are worked on."""
        return RunSettings(self.engine, self.executor, self.memory, self.threads, self.progress, self.block_rows)


_SETTINGS = tuple(signature(BaseTransformer).parameters)


def settings_of(transformer: BaseTransformer) -> dict[str, Any]:
    """The arguments that a transformer was made with."""
    return {name: getattr(transformer, name) for name in _SETTINGS}


Transformer = TypeVar("Transformer", bound=BaseTransformer)


def load_as(kind: type[Transformer], path: Path_, model: TableModel | None = None, **machine: Any) -> Transformer:
    """Read the transformer of a model, or of a synthesizer; raises as `gpuvgm.load` does.

    Parameters
    ----------
    kind : type
        Class of the transformer.
    path : path
        A directory or a `.gpuvgm` file.
    model : TableModel, optional
        What was read from it already.
    **machine
        Parameters that a model file leaves out.
    """
    model = ModelFile.at(fspath(path)).load() if model is None else model
    stored = StoredSettings.of_model(model, path, _SETTINGS)
    transformer = kind(**stored.arguments, **machine)
    transformer.pandas_dtypes_, transformer.frame_, transformer.labels_ = stored.dtypes, stored.frame, stored.labels
    transformer._take(replace(model, settings={}, network=b""))
    transformer._path, transformer._hold_out, transformer._sequence = fspath(path), stored.hold_out, stored.sequence
    return transformer


def load_for(transformer: Transformer, path: Path_) -> tuple[Transformer, list[str]]:
    """Read the transformer of a model, which works where and as another one does.

    Returns
    -------
    fitted : TableTransformer
        The transformer of the model.
    ignored : list of str
        Settings of the other one that are lost: neither defaults nor those of the model.
    """
    machine = {name: getattr(transformer, name) for name in OF_THIS_MACHINE if name != "columns"}
    fitted = load_as(type(transformer), path, **machine)
    changes, defaults, settings = settings_of(transformer), settings_of(BaseTransformer()), settings_of(fitted)
    further = [name for name in changes if name not in OF_THIS_MACHINE]
    return fitted, [name for name in further if changes[name] not in (defaults[name], settings[name])]
