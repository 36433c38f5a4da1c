"""TableTransformer: fit, transform and inverse of whole tables, from what holds them to what shall hold them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gpuvgm import encoding
from gpuvgm.checks import check_choice, check_columns, check_origin, checked_seed
from gpuvgm.config import BLOCK_ROWS, EncodingRules, FitConfig
from gpuvgm.encoding import Decoded, EncodingOptions
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.frames import Block, Source, locate, open_source, refuse_overwriting, restore, stray_text
from gpuvgm.kinds.mixture import Plan
from gpuvgm.layouts import CompactLayout, OnehotLayout, encoded_reader, onehot_names
from gpuvgm.model import ColumnModel, TableModel
from gpuvgm.output import MODEL_KEY, arrow_type_of, write_parquet
from gpuvgm.report import Report, evaluate_table
from gpuvgm.schema import TableSchema, check_settings
from gpuvgm.seeding import Seeds
from gpuvgm.store import StoredModel, fingerprint, load_model, save_model
from gpuvgm.summary import Summary
from gpuvgm.table_fit import ColumnRequest, Run, fit_table, refit, refuse_infinite, summarise

OF_THIS_MACHINE = ("columns", "engine", "threads", "block_rows", "progress")  # parameters that a model file leaves out
Path_ = str | PathLike[str]
Progress = Callable[[str, int, int | None], None]


class TableTransformer(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Mode-specific normalisation of numeric columns.

    Every column gets a variational Gaussian mixture with a Dirichlet-process prior, fitted on every row in one pass.
    A value becomes its position within a mode, (x - mean) / (scale * sd), and the mode, drawn from the posterior
    (Xu et al. 2019); missing values become a mode of their own. The inverse gives values of the columns' own types.

    Parameters
    ----------
    columns : None, list of str, or dict
        None takes all columns, which must be numeric; a list takes those named; a dict maps names to a kind
        ("continuous", "drop") or to a dict of kind and options. What is said per column wins over what is said here.
    n_components : int
        Upper limit of modes per column.
    weight_threshold : float
        Components need more than this weight, and one training row, to become a mode.
    weight_concentration_prior : float
        Concentration of the Dirichlet process.
    max_iter : int
        Iterations of variational EM.
    tol, tol_per_row : float
        Change of the lower bound, in total or per row, below which EM stops.
    random_state : int or None
        Seed of sample, k-means and transform, below 2^32; None draws one at fit, which the model keeps.
    algorithm : {"summary", "exact", "auto"}
        "summary" fits in one pass, to 1e-8 of the exact result; "exact" reads every row in every iteration; "auto" is
        exact below 200,000 rows.
    effort : {"best", "research"}
        "best": many starts, each fitted to the end, the highest lower bound kept; `max_iter` and `tol` do not matter.
        "research": what the research code does, `max_iter` iterations from one k-means start.
    engine : {"auto", "native", "reference"}
        Who runs the rows.
    standardize : {"auto", True, False}
        Take the floor under variances (1e-6) relative to the column's variance; "auto" where its sd is below 1.
    scale : float
        Scalars are positions in units of `scale` standard deviations.
    tails : {"clip", "exact"}
        Clip scalars to ±0.99, or keep far values exactly.
    floor : float or None
        Added to each mode's probability before the draw, as in the research code; None: none.
    inf : {"error", "missing"}
        What to do with infinities.
    block_rows : int, optional
        Rows that are in memory at a time, per thread (default 1,048,576).
    threads : int, optional
        Threads; by default all cores.
    progress : callable, optional
        Called as ``progress(stage, done_rows, total_rows)``.

    Attributes
    ----------
    columns_ : dict of str to ColumnModel
        The fitted columns.
    schema_ : TableSchema
        The columns' kinds with the reason for each.
    layout_ : dict of str to list of (start, stop, activation)
        Spans of the onehot layout.
    """

    def __init__(
        self,
        columns: Any = None,
        *,
        n_components: int = 10,
        weight_threshold: float = 0.005,
        weight_concentration_prior: float = 1e-3,
        max_iter: int = 100,
        tol: float = 1e-3,
        tol_per_row: float | None = None,
        random_state: int | None = 0,
        algorithm: str = "summary",
        effort: str = "best",
        engine: str = "auto",
        standardize: bool | str = "auto",
        scale: float = 4.0,
        tails: str = "clip",
        floor: float | None = 1e-6,
        inf: str = "error",
        block_rows: int | None = None,
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
        self.block_rows = block_rows
        self.threads = threads
        self.progress = progress

    def fit(self, source: Any, y: Any = None) -> TableTransformer:
        """Fit every column on every row.

        Parameters
        ----------
        source : object
            A path, glob, folder or list of paths (Parquet, CSV, Arrow), a pandas, polars or pyarrow table, a dict of
            arrays, a two-dimensional array, or an iterator of these.
        y : None
            Ignored.

        Raises
        ------
        InputError
            For input that cannot be fitted; the message names file, column and row.
        """
        table = open_source(source)
        schema = TableSchema.declare(self.columns, table.schema, table.name, partial(stray_text, table))
        seed = secrets.randbits(32) if self.random_state is None else checked_seed(self.random_state, 2**32)
        with self._run("fit", table) as run:
            fitted = fit_table(table, self._requests(schema, seed), run, seed)
        self._keep(fitted.model, schema, dict(fitted.summaries))
        self.pandas_dtypes_ = {name: str(dtype) for name, dtype in (getattr(table, "dtypes", None) or {}).items()}
        return self

    def partial_fit(self, source: Any, y: Any = None) -> TableTransformer:
        """Add rows to what was fitted: their summary on the same grid is merged, and the columns are fitted again.

        The first call is `fit`; its rows decide the grid and the centres that every later fit starts from. The result
        equals to the bit one fit of all rows with that grid and those centres, which a fresh `fit` of all rows would
        choose anew.
        """
        if not hasattr(self, "model_"):
            return self.fit(source)
        if not self.summaries_:
            raise InputError(
                "this model was saved without its summaries: save it with summaries=True to add rows later"
            )
        empty = [column.name for column in self.model_.columns if column.mixture is None]
        if empty:
            raise InputError(
                f'column "{empty[0]}" had no value at fit, so rows cannot be added: fit again with all rows'
            )
        table = open_source(source)
        check_columns(table, self.model_)
        plans = [self._plan_again(column) for column in self.model_.columns]
        with self._run("fit", table) as run:
            new = summarise(plans, partial(table.blocks, list(self.model_.names), run.rows_per_block), run)
            refuse_infinite(table, new, run)
            merged = {name: summary.merge(new[name]) for name, summary in self.summaries_.items()}
            columns = refit(plans, merged, run)
        rows = self.model_.rows + next(iter(new.values())).rows
        self._keep(replace(self.model_, columns=columns, rows=rows), self.schema_, merged)
        return self

    def transform(
        self,
        source: Any,
        *,
        mode: Literal["sample", "argmax"] = "sample",
        layout: Literal["compact", "onehot"] = "compact",
        dtype: Literal["float32", "float64"] = "float32",
        seed: int | None = None,
        uniforms: Mapping[str, np.ndarray] | None = None,
        first_row: int = 0,
        out: Path_ | None = None,
    ) -> Any:
        """Scalars and modes of rows.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.
        mode : {"sample", "argmax"}
            Draw each row's mode from its posterior, or take the most probable one.
        layout : {"compact", "onehot"}
            `<column>.scalar` and `<column>.mode`, or a matrix of scalars and one-hot cells.
        dtype : {"float32", "float64"}
            Type of scalars and of the matrix.
        seed : int, optional
            Seed of the draws; by default the fitted one.
        uniforms : mapping of str to ndarray of shape (rows,), optional
            Uniforms in [0, 1) for columns, instead of the generator's.
        first_row : int
            Global index of the first row, where the source is a part of something larger.
        out : path, optional
            Parquet file to write; a `RunSummary` is returned then.

        Returns
        -------
        object
            The type that came in (a pyarrow Table for files, a dict of arrays for a two-dimensional array), or an
            ndarray for layout="onehot".
        """
        model = self._fitted()
        check_choice("mode", mode, ("sample", "argmax"))
        check_choice("layout", layout, ("compact", "onehot"))
        check_choice("dtype", dtype, ("float32", "float64"))
        table = open_source(source)
        check_columns(table, model)
        options = EncodingOptions(
            seed=checked_seed(model.seed if seed is None else seed),
            most_probable=mode == "argmax",
            dtype=dtype,
            first_row=checked_seed(first_row, 2**63, "first_row"),
            uniforms=encoding.checked_uniforms(model, uniforms, table.rows),
            place=partial(locate, table),
        )
        kind = CompactLayout if layout == "compact" else OnehotLayout
        return self._encode(table, options, kind(model, dtype, {MODEL_KEY: fingerprint(model)}), out)

    def _encode(
        self, table: Source, options: EncodingOptions, layout: CompactLayout | OnehotLayout, out: Path_ | None
    ) -> Any:
        """Encode all blocks, into a file or into what the caller gave."""
        model = self._fitted()
        encode = partial(encoding.encode_block, self.engine, model, options)
        with self._run("transform", table) as run:
            blocks = table.blocks(list(model.names), run.rows_per_block)
            if out is not None:
                refuse_overwriting(table, out)
                return write_parquet(run, out, layout.schema, lambda block: layout.batch(encode(block)), blocks)
            parts: list[Any] = []
            run.executor.map_blocks(lambda block: layout.part(encode(block)), blocks, parts.append)
        return layout.join(parts, table)

    def fit_transform(self, source: Any, y: Any = None, **options: Any) -> Any:
        """Fit, then transform the same rows."""
        table = open_source(source)
        if not table.repeatable:
            raise InputError(
                f"{table.name}: fit_transform reads the rows twice, but this source can be read only once; "
                "call fit and transform, each with a source of its own"
            )
        return self.fit(table).transform(table, **options)

    def inverse_transform(
        self,
        encoded: Any,
        *,
        return_valid: bool = False,
        invalid: Literal["mask", "drop"] = "mask",
        out: Path_ | None = None,
    ) -> Any:
        """Values of encoded rows, in the columns' own types.

        Parameters
        ----------
        encoded : object
            What `transform` gave, or a generator of such rows: compact columns, or a onehot matrix.
        return_valid : bool
            Also return which rows lie within the training range of every column.
        invalid : {"mask", "drop"}
            Keep rows outside the training range, or leave them out.
        out : path, optional
            Parquet file to write; a `RunSummary` is returned then.

        Returns
        -------
        object
            The type that came in (a dict of arrays for a matrix); with `return_valid` a pair of it and an ndarray of
            bool.
        """
        model = self._fitted()
        check_choice("invalid", invalid, ("mask", "drop"))
        table = open_source(encoded)
        check_origin(table, model)
        names, read = encoded_reader(model, table)

        def decode(block: Block) -> Decoded:
            decoded = encoding.decode_rows(self.engine, model, read(block), check=return_valid or invalid == "drop")
            if invalid == "drop" and not np.all(decoded.valid):
                kept = decoded.table.filter(pa.array(decoded.valid))
                return Decoded(kept, np.ones(kept.num_rows, np.bool_))
            return decoded

        with self._run("inverse", table) as run:
            blocks = table.blocks(names, run.rows_per_block)
            schema = pa.schema([(column.name, arrow_type_of(column)) for column in model.columns])
            if out is not None:
                refuse_overwriting(table, out)
                return write_parquet(run, out, schema, lambda block: decode(block).table, blocks)
            parts: list[Decoded] = []
            run.executor.map_blocks(decode, blocks, parts.append)
        values = restore(pa.Table.from_batches([part.table for part in parts], schema), table, self.pandas_dtypes_)
        if return_valid:
            return values, np.concatenate([part.valid for part in parts]) if parts else np.empty(0, np.bool_)
        return values

    def evaluate(self, source: Any) -> Report:
        """Figures of fidelity of the round trip, streamed in one pass.

        Parameters
        ----------
        source : object
            As for `fit`.
        """
        model = self._fitted()
        table = open_source(source)
        check_columns(table, model)
        with self._run("evaluate", table) as run:
            return evaluate_table(model, table.blocks(list(model.names), run.rows_per_block), run.engine, run.executor)

    def save(self, path: Path_, *, summaries: bool = False) -> None:
        """Write the model to a directory or a `.gpuvgm` file.

        Parameters
        ----------
        path : path
            Where to; an existing model there is replaced when the new one is complete.
        summaries : bool
            Keep the summaries too, for `partial_fit`. They hold nearly the raw data.
        """
        model = self._fitted()
        settings = {key: value for key, value in self.get_params(deep=False).items() if key not in OF_THIS_MACHINE}
        settings["pandas_dtypes"] = self.pandas_dtypes_
        save_model(StoredModel(model, settings, self.schema_, self.summaries_ if summaries else {}), fspath(path))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the onehot matrix's columns."""
        return np.array(onehot_names(self._fitted()), dtype=object)

    @property
    def layout_(self) -> dict[str, list[tuple[int, int, str]]]:
        """Spans (start, stop, activation) of the onehot layout, per column."""
        spans, start = {}, 0
        for column in self._fitted().columns:
            stop = start + 1 + column.width
            spans[column.name] = [(start, start + 1, "tanh"), (start + 1, stop, "softmax")]
            start = stop
        return spans

    @property
    def columns_(self) -> dict[str, ColumnModel]:
        """The fitted columns by name."""
        return {column.name: column for column in self._fitted().columns}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _keep(self, model: TableModel, schema: TableSchema, summaries: dict[str, Summary]) -> None:
        self.model_, self.schema_, self.summaries_ = model, schema, summaries

    def _fitted(self) -> TableModel:
        if not hasattr(self, "model_"):
            raise NotFittedError("this TableTransformer is not fitted yet: call fit, or load a model")
        model: TableModel = self.model_
        return model

    def _requests(self, schema: TableSchema, seed: int) -> list[ColumnRequest]:
        settings = self.get_params(deep=False) | {"random_state": seed}
        check_settings(settings)
        check_choice("algorithm", self.algorithm, ("summary", "exact", "auto"))
        config = FitConfig(**{name: settings[name] for name in FitConfig.__dataclass_fields__ if name in settings})
        rules = EncodingRules(self.scale, self.tails, self.floor)  # type: ignore[arg-type]  # checked above
        return [
            ColumnRequest(
                spec.name, spec.fit_config(config), spec.encoding_rules(rules), spec.inf(self.inf) == "missing"
            )
            for spec in schema.used
        ]

    def _plan_again(self, column: ColumnModel) -> Plan:
        """Plan of a fitted column: its grid, and the centres it would start from."""
        spec = self.schema_[column.name]
        config = next(
            request.config for request in self._requests(self.schema_, self.model_.seed) if request.name == spec.name
        )
        return Plan(
            column.name, column.codec, config, column.rules, self.summaries_[column.name].grid, _seeds_of(column)
        )

    @contextmanager
    def _run(self, stage: str, table: Source) -> Iterator[Run]:
        progress = self.progress
        report = None if progress is None else lambda done: progress(stage, done, table.rows)
        yield Run(
            self.engine, LocalExecutor(self.threads, report), BLOCK_ROWS if self.block_rows is None else self.block_rows
        )


def load(path: Path_) -> TableTransformer:
    """Read a model that `TableTransformer.save` wrote.

    Parameters
    ----------
    path : path
        A directory or a `.gpuvgm` file.

    Raises
    ------
    ModelFileError
        For a file that is damaged, tampered with, or newer than this library.
    """
    stored = load_model(fspath(path))
    settings = dict(stored.settings)
    dtypes = settings.pop("pandas_dtypes", {})
    settings.setdefault("effort", "research")  # models of format 1 knew no other
    transformer = TableTransformer(**settings)
    transformer._keep(stored.model, stored.schema, dict(stored.summaries))
    transformer.pandas_dtypes_ = dtypes
    return transformer


def _seeds_of(column: ColumnModel) -> Seeds | None:
    if column.mixture is None:
        return None
    return Seeds(column.mixture.centres, np.empty(0, np.int64))
