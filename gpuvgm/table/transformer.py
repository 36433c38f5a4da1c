"""TableTransformer: fit, transform and inverse of whole tables, from what holds them to what shall hold them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import fspath
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuvgm.columns.documents import one_of, optional, whole
from gpuvgm.columns.model import FittedTable, TableModel
from gpuvgm.columns.numeric import plan_again
from gpuvgm.columns.options import check_settings
from gpuvgm.columns.plots import ColumnPlots
from gpuvgm.columns.schema import TableSchema
from gpuvgm.config import checked_seed
from gpuvgm.engines import ENGINES
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.execution.context import Run
from gpuvgm.execution.memory import Need
from gpuvgm.execution.sampling import check_sample, sample_bytes, sampled_source
from gpuvgm.execution.sources import open_source
from gpuvgm.io import Source, check_folder_of, location_of
from gpuvgm.summary.summary import Summary
from gpuvgm.table.checkpoint import open_journal
from gpuvgm.table.encode import check_columns
from gpuvgm.table.fit import add_rows, fit_source, raise_failures, requests_of
from gpuvgm.table.model_file import load_model, save_model
from gpuvgm.table.rows import FittedRows, Path_, Progress

OF_THIS_MACHINE = (
    "columns",
    "engine",
    "executor",
    "threads",
    "block_rows",
    "memory",
    "progress",
)  # parameters that a model file leaves out
HELD_BY_FORMAT_1 = ("block_rows", "engine", "threads")  # of these


class TableTransformer(ColumnPlots, FittedRows):
    """Mode-specific normalisation of the columns of a table.

    Every column of numbers gets a variational Gaussian mixture with a Dirichlet-process prior, fitted on every row in
    one pass. A value becomes its position within a mode, (x - mean) / (scale * sd), and the mode, drawn from the
    posterior (Xu et al. 2019); missing values become a mode of their own. Text, booleans and low-cardinality numbers
    are one-hot encoded. The inverse gives values of the columns' own types.

    Parameters
    ----------
    columns : None, list of str, or dict
        None takes all columns and infers their kinds; a list takes those named, and infers too; a dict maps names to a
        kind ("continuous", "mixed", "categorical", "general", "pass", "drop") or to a dict of kind and options, and the
        columns that it does not name are inferred. What is said per column wins over what is said here.
        Options of single columns: `modal` (values with cells of their own, None for missing), `integer` (round what is
        decoded), `log` (fit logarithms), `clip` (general columns: keep new rows within [-1, 1]), `categories`; and of
        the arguments below n_components, weight_threshold, weight_concentration_prior, max_iter, tol, tol_per_row,
        effort, precision, standardize, scale, tails, floor, inf and unknown.
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
    engine : {"auto", "native", "cuda", "reference"}
        Compute engine. "auto" is the GPU for rows that lie there, and for tables of 2^27 values and more, if it is
        usable; else the processor's cores. On a GPU cuDF, where it is installed, reads Parquet files too.
    precision : {"float64", "float32"}
        Arithmetic of `transform`, kept with the model. "float32" is for GPUs with few FP64 units: a law of its own, the
        same on every engine to the bit, without an FP64 instruction in its rows. Scalars differ by 2e-7 of themselves
        (and by 2^-48 |x| / (scale sd) where numbers lie far from zero), and about one drawn mode in a million is
        another. Fits and the inverse always work in float64: the inverse waits for memory on every GPU. Modes that
        float32 cannot hold beside each other are refused.
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
    unknown : {"error", "ignore"}
        What to do with a value of a categorical column that is none of its categories: stop, or give it no cell.
    executor : DaskExecutor or distributed.Client, optional
        The cluster that works on the rows. By default frames of Dask are worked on by the current client, if there is
        one, and everything else by this process.
    sample_rows : int, optional
        Fit on about so many rows, which are held in memory, instead of all: seeded runs of consecutive rows spread over
        the source, of which only these are read; the first rows where the number of rows is unknown (CSV, iterators). A
        category that the sample lacks stops a later transform: `unknown="ignore"`, or `categories` of the column, is the
        remedy; numbers beyond the sample's range are clipped, or kept with `tails="exact"`.
    stratified : bool
        Read four times `sample_rows` rows, and let every column take its rows from strata of its own values, the least
        and the largest among them. Columns are fitted each by itself, so that rows need not stay together.
    block_rows : int, optional
        Rows that are in memory at a time, per thread (default 1,048,576); wins over `memory`.
    memory : int or str, optional
        Memory that the process shall keep to, in bytes or as "512MB" or "1.5GiB": blocks are made as short, and threads
        as few, as it takes. What the caller holds (tables, summaries of this fit, results that are returned) is not
        counted. Results are the same whatever the memory, but for algorithm="exact" with effort="research", whose
        k-means runs on a sample where all rows of a column do not fit; the log says so.
    threads : int, optional
        Threads that compute, and at most as many of Arrow's that decode files; by default all cores.
    progress : callable, optional
        Called as ``progress(stage, done_rows, total_rows)``.

    Attributes
    ----------
    columns_ : dict of str to ColumnModel
        The fitted columns.
    schema_ : TableSchema
        The columns' kinds with the reason for each.
    unfinished_ : FittedTable
        After `ColumnsFailed`: what was fitted, and why the other columns were not.
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
        precision: str = "float64",
        standardize: bool | str = "auto",
        scale: float = 4.0,
        tails: str = "clip",
        floor: float | None = 1e-6,
        inf: str = "error",
        unknown: str = "error",
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
        self.precision = precision
        self.standardize = standardize
        self.scale = scale
        self.tails = tails
        self.floor = floor
        self.inf = inf
        self.unknown = unknown
        self.executor = executor
        self.sample_rows = sample_rows
        self.stratified = stratified
        self.block_rows = block_rows
        self.memory = memory
        self.threads = threads
        self.progress = progress

    def fit(
        self, source: Any, y: Any = None, *, resume: bool = False, journal: Path_ | None = None
    ) -> TableTransformer:
        """Fit every column on every row.

        Parameters
        ----------
        source : object
            A path, URL, glob, folder or list of paths (Parquet, CSV, Arrow), a pandas, polars or pyarrow table, a dict
            of arrays, a two-dimensional array, a frame of Dask, or an iterator of these. Of a CUDA device: a cuDF
            frame, a dict of arrays or a two-dimensional array (CuPy, PyTorch, or any other with DLPack), which stay
            there.
        y : None
            Ignored.
        resume : bool
            Go on: after `ColumnsFailed`, fit only the columns that are not fitted yet, or are declared otherwise now;
            of a model that is fitted, and holds its summaries, fit in the files that came to its source since, without
            reading the others again; with a journal, read only the rows that it does not hold.
        journal : path, optional
            Folder to keep what is counted in, partition by partition of files of a known length, so that a fit that is
            cut short can go on. It holds nearly the raw data; remove it when the model is saved.

        Returns
        -------
        TableTransformer
            The transformer itself.

        Raises
        ------
        InputError
            For input that cannot be fitted; the message names file, column and row.
        SourceChangedError
            For files that are not those that the run to resume began with.
        ColumnsFailed
            Where some columns cannot be fitted; what is fitted of the others is kept for `resume`.
        """
        table = open_source(source)
        left = hasattr(self, "unfinished_")
        if resume and journal is None and hasattr(self, "model_"):
            return self._grown(table)
        if resume and not left and journal is None:
            raise InputError("there is nothing to resume: no fit of this transformer was left unfinished")
        before = self.unfinished_ if resume and left else None
        seed = self._fit_seed() if before is None else before.seed
        settings = self.get_params(deep=False) | {"random_state": seed}
        names = TableSchema.declare(self.columns, table.schema, table.name).names
        rows, held = self._sampled(table, names, seed)
        need = partial(Need.fit, _chosen(table, names), held)
        with self._run("fit", rows, need) as run, _journalled(run, journal, rows, resume=resume) as kept:
            fitted = fit_source(rows, self.columns, settings, kept, before)
        self.pandas_dtypes_ = dict(getattr(table, "dtypes", None) or {})
        self._take(fitted)
        raise_failures(fitted)
        return self

    def _grown(self, table: Source) -> TableTransformer:
        """The fit with the files that are new since."""
        known = self.model_.source
        if "sample" in known:
            raise InputError(
                f"{table.name}: the model was fitted on a sample, beside which all rows of new files would weigh too "
                "much; fit again without resume"
            )
        new = table.new_since(known)
        if new is None:
            return self
        self.partial_fit(new)
        added = {"added": known["added"]} if "added" in known else {}
        self.model_ = replace(self.model_, source=table.fingerprint() | added)
        return self

    def _sampled(self, table: Source, names: Sequence[str], seed: int) -> tuple[Source, int]:
        """The rows to fit on, all or a sample of them, and how many bytes of them a sample holds."""
        count = check_sample(self.sample_rows, stratified=self.stratified)
        if count is None:
            return table, 0
        held = sample_bytes(_chosen(table, names), table.rows, count, stratified=self.stratified)
        with self._run("fit", table, partial(Need.fit, _chosen(table, names), held)):
            return sampled_source(table, names, count, seed, stratified=self.stratified), held

    def _take(self, fitted: FittedTable) -> None:
        """Become what is fitted, or what is left unfinished."""
        for part in ("model_", "schema_", "summaries_", "unfinished_"):
            self.__dict__.pop(part, None)
        if fitted.failed:
            self.unfinished_ = fitted
            return
        self._keep(fitted.model, fitted.final_schema, fitted.summaries)

    def _fit_seed(self) -> int:
        return secrets.randbits(32) if self.random_state is None else checked_seed(self.random_state, 2**32)

    def partial_fit(self, source: Any, y: Any = None) -> TableTransformer:
        """Add rows to what was fitted: their summary on the same grid is merged, and the columns are fitted again.

        The first call is `fit`; its rows decide the grid and the centres that every later fit starts from. The result
        equals to the bit one fit of all rows with that grid and those centres, which a fresh `fit` of all rows would
        choose anew. New categories of categorical columns join the old ones, unless these were declared.

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
            For rows that do not fit the model, and for a model that was saved without its summaries.
        """
        if not hasattr(self, "model_"):
            return self.fit(source)
        model = self.model_
        numeric = model.numeric
        if not all(column.name in self.summaries_ for column in numeric):
            raise InputError(
                "this model was saved without its summaries: save it with summaries=True to add rows later"
            )
        empty = [column.name for column in numeric if column.minimum is None]
        if empty:
            raise InputError(
                f'column "{empty[0]}" had no value at fit, so rows cannot be added: fit again with all rows'
            )
        table = open_source(source)
        check_columns(table, model)
        settings = self.get_params(deep=False) | {"random_state": model.seed}
        requests = {request.name: request for request in requests_of(self.schema_, settings)}
        plans = [plan_again(column, requests[column.name], self.summaries_[column.name].grid) for column in numeric]
        with self._run("fit", table, partial(Need.fit, _chosen(table, model.names))) as run:
            fitted = add_rows(table, model, plans, self.summaries_, run)
        for failure in fitted.failed.values():
            raise failure.problem
        origin = table.added_to(_without_sample(model.source))
        grown = FittedTable(self.schema_, fitted.columns, fitted.summaries, {}, model.seed, fitted.rows, origin)
        self._keep(grown.model, grown.final_schema, fitted.summaries)
        return self

    def fit_transform(self, source: Any, y: Any = None, **options: Any) -> Any:
        """Fit, then transform the same rows.

        Parameters
        ----------
        source : object
            As for `fit`; one that can be read twice.
        y : None
            Ignored.
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
        """
        table = open_source(source)
        if not table.repeatable:
            raise InputError(
                f"{table.name}: fit_transform reads the rows twice, but this source can be read only once; "
                "call fit and transform, each with a source of its own"
            )
        return self.fit(table).transform(table, **options)

    def save(self, path: Path_, *, summaries: bool = False) -> None:
        """Write the model, or an unfinished fit, to a directory or a `.gpuvgm` file.

        Parameters
        ----------
        path : path
            Where to; an existing model there is replaced when the new one is complete.
        summaries : bool
            Keep the summaries too, for `partial_fit`. They hold nearly the raw data.
        """
        left = getattr(self, "unfinished_", None)
        fitted = left or FittedTable.of(self._fitted(), self.schema_, self.summaries_, {})
        settings = {key: value for key, value in self.get_params(deep=False).items() if key not in OF_THIS_MACHINE}
        settings["pandas_dtypes"] = {name: str(dtype) for name, dtype in self.pandas_dtypes_.items()}
        held = fitted.summaries if summaries else {}
        save_model(replace(fitted, settings=settings, summaries=held), fspath(path))

    def _keep(self, model: TableModel, schema: TableSchema, summaries: dict[str, Summary]) -> None:
        self.model_, self.schema_, self.summaries_ = model, schema, summaries


@contextmanager
def _journalled(run: Run, given: Path_ | None, table: Source, *, resume: bool) -> Iterator[Run]:
    """The run with its journal, if it has one: only files can be told from others when they are read again."""
    if given is None or not table.paths:
        yield run
        return
    folder = location_of(given)
    if not isinstance(folder, Path):
        raise InputError(f"{folder}: a journal lies on this machine; give a path")
    check_folder_of(folder)
    with open_journal(folder, table, resume=resume) as journal:
        yield replace(run, journal=journal)


def _without_sample(source: dict[str, Any]) -> dict[str, Any]:
    """Fingerprint of a source that more rows than those of a sample were taken from."""
    return {name: part for name, part in source.items() if name != "sample"}


def _chosen(table: Source, names: Sequence[str]) -> pa.Schema:
    return pa.schema([table.schema.field(name) for name in names])


def _check_stored(path: Path_, settings: dict[str, Any], dtypes: Any) -> None:
    """Refuse settings that no transformer has."""
    known = {*TableTransformer._get_param_names()} - {*OF_THIS_MACHINE} | {*HELD_BY_FORMAT_1}
    unknown = sorted(set(settings) - known)
    try:
        if unknown:
            raise InputError(f"it has a setting {unknown[0]!r:.60}, which is unknown")
        if not isinstance(dtypes, dict) or not all(isinstance(dtype, str) for dtype in dtypes.values()):
            raise InputError("its dtypes of pandas are no texts")
        check_settings(settings)
        for name in ("block_rows", "threads"):
            optional(whole(1))(settings.get(name), name)
        optional(one_of(*ENGINES))(settings.get("engine"), "engine")
    except ValueError as problem:
        raise ModelFileError(f"{fspath(path)}: model.json is inconsistent ({problem}); write the model again") from None


def load(path: Path_) -> TableTransformer:
    """Read a model that `TableTransformer.save` wrote.

    Parameters
    ----------
    path : path
        A directory or a `.gpuvgm` file.

    Returns
    -------
    TableTransformer
        The fitted transformer.

    Raises
    ------
    ModelFileError
        For a file that is damaged, tampered with, or newer than this library.
    """
    stored = load_model(fspath(path))
    settings = dict(stored.settings)
    dtypes = settings.pop("pandas_dtypes", {})
    settings.setdefault("effort", "research")  # models of format 1 knew no other
    _check_stored(path, settings, dtypes)
    transformer = TableTransformer(**settings)
    transformer.pandas_dtypes_ = dtypes
    if stored.failed:
        transformer.unfinished_ = replace(stored, settings={})
    else:
        transformer._keep(stored.model, stored.schema, stored.summaries)
    return transformer
