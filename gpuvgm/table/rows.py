"""What a fitted table does with rows: transform, batches, inverse, evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gpuvgm.columns.base import EncodingOptions
from gpuvgm.columns.model import ColumnModel, Span, TableModel
from gpuvgm.columns.schema import TableSchema
from gpuvgm.config import check_choice, checked_seed
from gpuvgm.errors import ColumnsFailed, InputError, SourceChangedError
from gpuvgm.execution.context import Run, executor_for
from gpuvgm.execution.local import LocalExecutor, bounded
from gpuvgm.execution.memory import Need, parse_memory
from gpuvgm.execution.sources import open_source
from gpuvgm.io import Source, joined, restore
from gpuvgm.report import ModelDistance, Report, evaluate_table, model_distance
from gpuvgm.table.dask import decode_lazily, encode_lazily
from gpuvgm.table.decode import Decoded, Decoding, EncodedTable, check_origin, decoded_schema, joined_valid
from gpuvgm.table.encode import Coding, OnehotLayout, OnWorker, check_columns, checked_uniforms, encoded_schema
from gpuvgm.table.model_file import MODEL_KEY, fingerprint
from gpuvgm.table.write import PART_ROWS, Parts, target_of, write_rows

Path_ = str | PathLike[str]
Progress = Callable[[str, int, int | None], None]
_WITHOUT_METADATA = ("pandas", "polars", "dict", "matrix", "cudf")  # flavours of results


class FittedRows(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Transform and inverse of a table that is fitted; `TableTransformer` adds the fit.

    Attributes
    ----------
    engine, executor, threads, block_rows, memory, progress : object
        As for `TableTransformer`.
    model_ : TableModel
        The fitted columns.
    schema_ : TableSchema
        The columns of the source and their kinds.
    pandas_dtypes_ : dict of str to dtype or str
        dtypes that decoded columns get in pandas.
    """

    engine: str
    executor: Any
    threads: int | None
    block_rows: int | None
    memory: int | str | None
    progress: Progress | None
    model_: TableModel
    schema_: TableSchema
    pandas_dtypes_: dict[str, Any]

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
        part_rows: int = PART_ROWS,
        resume: bool = False,
    ) -> Any:
        """Encode rows as scalars and modes.

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
            Parquet file to write, or a folder of such (a name without an ending); a `RunSummary` is returned then.
        part_rows : int
            Rows of each file of a folder.
        resume : bool
            Go on with a folder whose writing was cut short: the same source, model and options; what is there, and
            has the checksum that it was written with, is kept.

        Returns
        -------
        object
            The type that came in (a pyarrow Table for files, a dict of arrays for a two-dimensional array, cuDF for
            cuDF, CuPy arrays for arrays on a device), or a matrix for layout="onehot": an ndarray, or a CuPy array
            where the source lies on a device.
        """
        table = open_source(source)
        if table.lazy and out is None:
            if uniforms is not None:
                raise InputError("uniforms cannot be given for frames of Dask, whose rows are drawn where they are")
            options = {"mode": mode, "layout": layout, "dtype": dtype, "seed": seed}
            return encode_lazily(self._alone(), table, options, first_row)
        how = self._options(table, mode, dtype, seed, first_row)
        drawn = checked_uniforms(self._fitted(), uniforms, table.rows)
        coding = self._coding(table, how, layout, drawn, written=out is not None)
        need = partial(Need.transform, self._read(table), coding.schema, written=out is not None)
        with self._run("transform", table, need) as run:
            coding = replace(coding, engine=run.engine)
            if out is None:
                return self._in_memory(run, table, coding)
            asked = coding.asked(table) | {"part_rows": part_rows}
            parts = Parts(target_of(table, out, resume=resume), coding.schema, asked, part_rows)
            return write_rows(run, table, self._fitted().names, parts, OnWorker(coding.batches), resume=resume)

    def _in_memory(self, run: Run, table: Source, coding: Coding) -> Any:
        """Encoded rows as what the caller gave; a matrix is filled where it is, if the rows come to this process."""
        blocks = run.blocks(table, self._fitted().names, len(coding.schema))
        found: list[Any] = []
        if run.spread:
            run.executor.map_blocks(OnWorker(coding.parts), blocks, found.append)
            return replace(coding, engine=run.here.engine).form().join(found, table, self._flavour())
        form, encode = coding.form(table), coding.encoder()
        whole = form.empty(table.rows) if isinstance(form, OnehotLayout) and table.rows is not None else None
        run.executor.map_blocks(lambda block: form.part(encode(block), whole), blocks, found.append)
        if whole is not None and sum(map(len, found)) != len(whole):
            raise SourceChangedError(f"{table.name}: its number of rows changed while it was read")
        return form.join(found if whole is None else [whole], table, self._flavour())

    def iter_batches(
        self,
        source: Any,
        batch_rows: int,
        *,
        mode: Literal["sample", "argmax"] = "sample",
        layout: Literal["compact", "onehot"] = "onehot",
        dtype: Literal["float32", "float64"] = "float32",
        seed: int | None = None,
        first_row: int = 0,
        drop_last: bool = False,
    ) -> Iterator[Any]:
        """Encoded rows in batches, in bounded memory: what a training loop reads, with a new seed for each epoch.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.
        batch_rows : int
            Rows of a batch.
        mode : {"sample", "argmax"}
            Draw each row's mode from its posterior, or take the most probable one.
        layout : {"compact", "onehot"}
            `<column>.scalar` and `<column>.mode`, or a matrix of scalars and one-hot cells.
        dtype : {"float32", "float64"}
            Type of scalars and of the matrix.
        seed : int, optional
            Seed of the draws; by default the fitted one.
        first_row : int
            Global index of the first row, where the source is a part of something larger.
        drop_last : bool
            Leave out a last batch that is shorter.

        Yields
        ------
        object
            As `transform` returns; a matrix by default. Together the batches are what `transform` would have returned.
        """
        table = open_source(source)
        batch_rows = checked_seed(batch_rows, 2**63, "batch_rows")
        how = self._options(table, mode, dtype, seed, first_row)
        coding = self._coding(table, how, layout, {}, written=False)
        need = partial(Need.transform, self._read(table), coding.schema, written=False)
        with self._run("transform", table, need) as cluster:
            run = cluster.here
            coding = replace(coding, engine=cluster.engine_here(self.engine, table))
            encode, form = coding.encoder(), coding.form(table)
            rows = run.rows_of_batches(batch_rows, len(form.schema))
            blocks = run.reading(table).blocks(self._fitted().names, rows)
            for part in run.executor.stream(lambda block: form.part(encode(block)), blocks):
                for start in range(0, len(part), batch_rows):
                    rows = part[start : start + batch_rows]
                    if len(rows) == batch_rows or not drop_last:
                        yield form.join([rows], table, self._flavour())

    def _options(self, table: Source, mode: str, dtype: str, seed: int | None, first_row: int) -> EncodingOptions:
        """How the rows of a table are encoded."""
        model = self._fitted()
        check_choice("mode", mode, ("sample", "argmax"))
        check_choice("dtype", dtype, ("float32", "float64"))
        check_columns(table, model)
        return EncodingOptions(
            seed=checked_seed(model.seed if seed is None else seed),
            most_probable=mode == "argmax",
            dtype=dtype,
            first_row=checked_seed(first_row, 2**63, "first_row"),
            place=table.place,
        )

    def _coding(
        self, table: Source, options: EncodingOptions, layout: str, uniforms: Mapping[str, np.ndarray], *, written: bool
    ) -> Coding:
        """How the blocks of a table are encoded and handed out; only what keeps metadata names the model."""
        check_choice("layout", layout, ("compact", "onehot"))
        flavour = self._flavour() or ("matrix" if layout == "onehot" else table.flavour)
        marks = {MODEL_KEY: self._fingerprint()} if written or flavour not in _WITHOUT_METADATA else {}
        model = self._fitted()
        schema = encoded_schema(model, layout, options.dtype, table.schema, marks)
        return Coding(self.engine, model, options, uniforms, layout, schema)

    def _alone(self) -> Self:
        """A copy for one partition in one thread of a worker: the model, without cluster, listener and summaries."""
        self._fitted()
        alone = type(self)(**self.get_params(deep=False) | {"executor": None, "progress": None, "threads": 1})
        alone.model_, alone.pandas_dtypes_ = self.model_, self.pandas_dtypes_
        return alone

    def inverse_transform(
        self,
        encoded: Any,
        *,
        return_valid: bool = False,
        invalid: Literal["mask", "drop"] = "mask",
        out: Path_ | None = None,
        part_rows: int = PART_ROWS,
        resume: bool = False,
    ) -> Any:
        """Decode rows to values of the columns' own types.

        Parameters
        ----------
        encoded : object
            What `transform` gave, or a generator of such rows: compact columns, or a onehot matrix.
        return_valid : bool
            Also return which rows lie within the training range of every column.
        invalid : {"mask", "drop"}
            Keep rows outside the training range, or leave them out.
        out : path, optional
            Parquet file to write, or a folder of such (a name without an ending); a `RunSummary` is returned then.
        part_rows : int
            Rows of each file of a folder.
        resume : bool
            Go on with a folder whose writing was cut short: the same source, model and options; what is there, and
            has the checksum that it was written with, is kept.

        Returns
        -------
        object
            The type that came in (a dict of arrays for a matrix); with `return_valid` a pair of it and an array of
            bool, which lies on the device where the values do. Arrays of integers with missing values are float64 with
            NaN while all lie from -2^53 to 2^53, else objects (int and None); see docs/how-to/missing.md.
        """
        model = self._fitted()
        check_choice("invalid", invalid, ("mask", "drop"))
        table = open_source(encoded)
        check_origin(table, model)
        if table.lazy and out is None:
            return decode_lazily(self._alone(), table, invalid, return_valid=return_valid)
        decoding = Decoding("reference", model, table, check=return_valid, drop=invalid == "drop")

        def need() -> Need:
            passed = decoding.reader().passed_types
            return Need.transform(table.schema, decoded_schema(model, passed), written=out is not None)

        with self._run("inverse", table, need) as run:
            read = replace(decoding, engine=run.here.engine).reader()
            schema = decoded_schema(model, read.passed_types)
            given = EncodedTable(table.name, table.flavour, table.schema) if run.spread else table
            decoding = replace(decoding, engine=run.engine, table=given)
            if out is not None:
                asked = decoding.asked(table) | {"part_rows": part_rows}
                parts = Parts(target_of(table, out, resume=resume), schema, asked, part_rows)
                return write_rows(run, table, read.names, parts, OnWorker(decoding.batches), resume=resume)
            blocks = run.blocks(table, read.names) if run.spread else read.blocks(run, table)
            found: list[Decoded] = []
            function = OnWorker(decoding.rows) if run.spread else decoding.rows(read)
            run.executor.map_blocks(function, blocks, found.append)
        values = restore(joined([part.table for part in found], schema), table, self.pandas_dtypes_)
        return (values, joined_valid(found)) if return_valid else values

    def evaluate(self, source: Any) -> Report:
        """Measure the fidelity of the round trip, streamed in one pass.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.

        Returns
        -------
        Report
            Figures of every column and of the table.

        Raises
        ------
        InputError
            For rows that the model cannot encode, or when there are none.
        """
        model, table = self._fitted(), open_source(source)
        check_columns(table, model)
        with self._run("evaluate", table, partial(Need.evaluate, self._read(table))) as run:
            return replace(evaluate_table(model, table, run), reasons=self.schema_.reasons)

    def distance_to(self, other: FittedRows) -> ModelDistance:
        """How far this model is from another one of the same columns, as a fit on a sample from that on all rows.

        Parameters
        ----------
        other : TableTransformer
            The other fitted one; distances are in units of its standard deviations.

        Returns
        -------
        ModelDistance
            For every column of numbers the modes of both, the Kolmogorov-Smirnov and the Wasserstein distance of the
            fitted densities and the shares of modal values; for categories the total variation distance of their shares.

        Raises
        ------
        InputError
            For models whose columns cannot be compared.
        """
        return model_distance(self._fitted(), other._fitted())

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars", "pyarrow"}, optional
            A table of this kind, in either layout; "default": what came in, and an ndarray for layout="onehot". None
            changes nothing.

        Returns
        -------
        TableTransformer
            The transformer itself.
        """
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas", "polars", "pyarrow"))
            self._sklearn_output_config = {"transform": transform}  # the name under which clone keeps it
        return self

    def _fingerprint(self) -> str:
        """Fingerprint of the model, computed once."""
        model, known = self._fitted(), self.__dict__.get("_fingerprint_of")
        if known is None or known[0] is not model:
            self._fingerprint_of = known = (model, fingerprint(model))
        return str(known[1])

    def _flavour(self) -> str | None:
        """What `set_output` chose here, or scikit-learn's own setting for all; None for the default."""
        chosen = getattr(self, "_sklearn_output_config", {"transform": get_config()["transform_output"]})["transform"]
        return None if chosen == "default" else str(chosen)

    def get_feature_names_out(
        self, input_features: Any = None, *, layout: Literal["compact", "onehot"] = "compact"
    ) -> np.ndarray:
        """Name the columns that `transform` gives in a layout.

        Parameters
        ----------
        input_features : object
            Ignored; scikit-learn passes the names of the columns.
        layout : {"compact", "onehot"}
            The layout.

        Returns
        -------
        ndarray of shape (columns,), object
            Names, in the order of the columns.
        """
        check_choice("layout", layout, ("compact", "onehot"))
        model = self._fitted()
        compact = [name for column in model.columns for name in column.compact_names]
        return np.array(model.onehot_names if layout == "onehot" else compact, dtype=object)

    @property
    def layout_(self) -> dict[str, list[Span]]:
        """Spans (start, stop, activation) of the onehot layout, per column."""
        return self._fitted().spans()

    @property
    def columns_(self) -> dict[str, ColumnModel]:
        """The fitted columns by name."""
        return {column.name: column for column in self._fitted().columns}

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.executor = None
        cloned: Self = BaseEstimator.__sklearn_clone__(bare)
        cloned.executor = self.executor  # a client of Dask is one connection, which no copy can have
        return cloned

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _fitted(self) -> TableModel:
        if not hasattr(self, "model_"):
            unfinished = getattr(self, "unfinished_", None)
            if unfinished is not None:
                raise NotFittedError(
                    f"this fit is unfinished: {ColumnsFailed(unfinished.failed, len(unfinished.columns))}"
                )
            raise NotFittedError("this TableTransformer is not fitted yet: call fit, or load a model")
        model: TableModel = self.model_
        return model

    def _read(self, table: Source) -> pa.Schema:
        """The fitted columns as they are in a table."""
        return pa.schema([table.schema.field(name) for name in self._fitted().names])

    @contextmanager
    def _run(self, stage: str, table: Source, need: Callable[[], Need]) -> Iterator[Run]:
        """Where and how a stage is done; what it needs of the memory is asked only where that is limited."""
        progress, memory = self.progress, None if self.memory is None else parse_memory(self.memory)
        report = None if progress is None else lambda done: progress(stage, done, table.rows)
        cluster = executor_for(self.executor, table)
        if cluster is not None:
            LocalExecutor(self.threads)  # refuses wrong numbers; workers have threads and memory of their own
            yield Run.spread_over(cluster, table, self.engine, report, self.block_rows)
            return
        threads = self.threads
        if isinstance(self.executor, LocalExecutor):
            threads, report = self.executor.threads, report or self.executor.progress
        run = Run.over(table, self.engine, threads, report, self.block_rows)
        with bounded(threads):
            yield run if memory is None else run.within(memory, need())
