"""What a fitted table does with rows: transform, batches, inverse, evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gpuvgm.arrow_threads import bounded
from gpuvgm.checks import check_choice, check_columns, check_origin, checked_seed
from gpuvgm.columns import ColumnModel, TableModel
from gpuvgm.encoding import Decoded, TableDecoder, TableEncoder, checked_uniforms, joined_valid
from gpuvgm.engines import get_engine
from gpuvgm.errors import ColumnsFailed, SourceChangedError
from gpuvgm.frames import Source, joined, locate, open_source, refuse_overwriting, restore
from gpuvgm.kinds.base import EncodingOptions
from gpuvgm.layouts import (
    CompactLayout,
    Layout,
    OnehotLayout,
    Span,
    compact_names,
    onehot_names,
    spans_of,
)
from gpuvgm.memory import Need, parse_memory
from gpuvgm.output import MODEL_KEY, decoded_schema, write_parquet
from gpuvgm.readers import encoded_reader
from gpuvgm.report import Report
from gpuvgm.report.distance import ModelDistance, model_distance
from gpuvgm.report.evaluation import evaluate_table
from gpuvgm.run import Run, engine_for
from gpuvgm.store import fingerprint

Path_ = str | PathLike[str]
Progress = Callable[[str, int, int | None], None]


class FittedRows(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Transform and inverse of a table that is fitted; `TableTransformer` adds the fit.

    Attributes
    ----------
    engine, threads, block_rows, memory, progress : object
        As for `TableTransformer`.
    model_ : TableModel
        The fitted columns.
    pandas_dtypes_ : dict of str to dtype or str
        dtypes that decoded columns get in pandas.
    """

    engine: str
    threads: int | None
    block_rows: int | None
    memory: int | str | None
    progress: Progress | None
    model_: TableModel
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
            The type that came in (a pyarrow Table for files, a dict of arrays for a two-dimensional array, cuDF for
            cuDF, CuPy arrays for arrays on a device), or a matrix for layout="onehot": an ndarray, or a CuPy array
            where the source lies on a device.
        """
        table = open_source(source)
        encode, form = self._coding(table, mode, layout, dtype, seed, first_row, uniforms)
        need = Need.transform(self._read(table), form.schema, written=out is not None)
        with self._run("transform", table, need) as run:
            blocks = run.blocks(table, self._fitted().names, len(form.schema))
            if out is not None:
                refuse_overwriting(table, out)
                return write_parquet(run, out, form.schema, lambda block: form.batch(encode(block)), blocks)
            parts: list[Any] = []
            whole = form.empty(table.rows) if isinstance(form, OnehotLayout) and table.rows is not None else None
            run.executor.map_blocks(lambda block: form.part(encode(block), whole), blocks, parts.append)
        if whole is not None and sum(map(len, parts)) != len(whole):
            raise SourceChangedError(f"{table.name}: its number of rows changed while it was read")
        return form.join(parts if whole is None else [whole], table, self._flavour())

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
        source, mode, layout, dtype, seed, first_row
            As for `transform`.
        batch_rows : int
            Rows of a batch.
        drop_last : bool
            Leave out a last batch that is shorter.

        Yields
        ------
        object
            As `transform` returns; a matrix by default. Together the batches are what `transform` would have returned.
        """
        table = open_source(source)
        encode, form = self._coding(table, mode, layout, dtype, seed, first_row, None)
        batch_rows = checked_seed(batch_rows, 2**63, "batch_rows")
        with self._run("transform", table, Need.transform(self._read(table), form.schema, written=False)) as run:
            rows = run.rows_of_batches(batch_rows, len(form.schema))
            blocks = run.reading(table).blocks(self._fitted().names, rows)
            for part in run.executor.stream(lambda block: form.part(encode(block)), blocks):
                for start in range(0, len(part), batch_rows):
                    rows = part[start : start + batch_rows]
                    if len(rows) == batch_rows or not drop_last:
                        yield form.join([rows], table, self._flavour())

    def _coding(
        self,
        table: Source,
        mode: str,
        layout: str,
        dtype: str,
        seed: int | None,
        first_row: int,
        uniforms: Mapping[str, np.ndarray] | None,
    ) -> tuple[TableEncoder, Layout]:
        """What encodes the blocks of a table, and how they are handed out."""
        model = self._fitted()
        check_choice("mode", mode, ("sample", "argmax"))
        check_choice("layout", layout, ("compact", "onehot"))
        check_choice("dtype", dtype, ("float32", "float64"))
        check_columns(table, model)
        options = EncodingOptions(
            seed=checked_seed(model.seed if seed is None else seed),
            most_probable=mode == "argmax",
            dtype=dtype,
            first_row=checked_seed(first_row, 2**63, "first_row"),
            place=partial(locate, table),
        )
        engine = engine_for(self.engine, table)
        encode = TableEncoder(engine, model, options, checked_uniforms(model, uniforms, table.rows))
        metadata = {MODEL_KEY: self._fingerprint()}
        if layout == "onehot":
            return encode, OnehotLayout(get_engine(engine), model, dtype, metadata, table)
        return encode, CompactLayout(model, dtype, metadata, table.schema)

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
            The type that came in (a dict of arrays for a matrix); with `return_valid` a pair of it and an array of
            bool, which lies on the device where the values do.
        """
        model = self._fitted()
        check_choice("invalid", invalid, ("mask", "drop"))
        table = open_source(encoded)
        check_origin(table, model)
        engine = engine_for(self.engine, table)
        read = encoded_reader(get_engine(engine), model, table)
        rows_of = TableDecoder(engine, model, check=return_valid or invalid == "drop")

        def decode(block: Any) -> Decoded:
            decoded = rows_of(read(block))
            return decoded.kept() if invalid == "drop" else decoded

        schema = decoded_schema(model, read.passed_types)
        need = Need.transform(table.schema, schema, written=out is not None)
        with self._run("inverse", table, need) as run:
            blocks = read.blocks(run, table)
            if out is not None:
                refuse_overwriting(table, out)
                return write_parquet(run, out, schema, lambda block: decode(block).batch, blocks)
            parts: list[Decoded] = []
            run.executor.map_blocks(decode, blocks, parts.append)
        values = restore(joined([part.table for part in parts], schema), table, self.pandas_dtypes_)
        return (values, joined_valid(parts)) if return_valid else values

    def evaluate(self, source: Any) -> Report:
        """Figures of fidelity of the round trip, streamed in one pass.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the fitted columns.

        Raises
        ------
        InputError
            For rows that the model cannot encode, or when there are none.
        """
        model = self._fitted()
        table = open_source(source)
        check_columns(table, model)
        with self._run("evaluate", table, Need.evaluate(self._read(table))) as run:
            return evaluate_table(model, table, run)

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
            fitted densities and the shares of modal values; for levels the total variation distance of their shares.

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
        """Names of the columns that `transform` gives in this layout."""
        check_choice("layout", layout, ("compact", "onehot"))
        model = self._fitted()
        compact = [name for column in model.columns for name in compact_names(column)]
        return np.array(onehot_names(model) if layout == "onehot" else compact, dtype=object)

    @property
    def layout_(self) -> dict[str, list[Span]]:
        """Spans (start, stop, activation) of the onehot layout, per column."""
        return spans_of(self._fitted())

    @property
    def columns_(self) -> dict[str, ColumnModel]:
        """The fitted columns by name."""
        return {column.name: column for column in self._fitted().columns}

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
    def _run(self, stage: str, table: Source, need: Need) -> Iterator[Run]:
        progress = self.progress
        report = None if progress is None else lambda done: progress(stage, done, table.rows)
        run = Run.over(table, self.engine, self.threads, report, self.block_rows)
        with bounded(self.threads):
            yield run if self.memory is None else run.within(parse_memory(self.memory), need)
