"""Results of transform and inverse: lazily, in memory, in batches, or in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from gpuvgm.arrays import Array
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.engines import choose_engine
from gpuvgm.errors import InMemoryWarning, SourceChangedError, warn
from gpuvgm.execution import Run, RunSettings
from gpuvgm.io import Block, Source, metadata_of_values
from gpuvgm.table.decode import Decoded, Decoding, joined_valid
from gpuvgm.table.encode import Coding, OnehotLayout
from gpuvgm.table.unseen import UnseenCounts, UnseenRows
from gpuvgm.table.write import FileOutput, RunSummary

BATCHED_VALUES = 1 << 22  # encoded together where batches are smaller
Work = Coding | Decoding


# -- lazily


def lazy_result(table: Source, work: Work, settings: RunSettings, extra: str | None) -> Any:
    """A lazy table of the rows of a query; None for other tables, and, with a warning, where they are held in memory.

    Parameters
    ----------
    table : Source
        The rows.
    work : Coding or Decoding
        How they are encoded, or decoded.
    settings : RunSettings
        Where and how they are worked on.
    extra : str, optional
        An argument with which there is a second result, so that all rows are read at once.
    """
    if not table.is_query:
        return None
    if table.lazily is not None and extra is None:
        return table.lazily(work.schema, partial(_stream, table, work, settings))
    reason = "" if extra is None or table.lazily is None else f"with {extra} "
    remark = f"{table.name}: {reason}the result is held in memory; write it with out=, or take it with iter_batches"
    warn(remark, InMemoryWarning)
    return None


def _stream(table: Source, work: Work, settings: RunSettings) -> Iterator[pa.RecordBatch]:
    """Yield encoded or decoded rows, computed on demand."""
    unseen = UnseenCounts()
    with settings.run(work.stage, table, partial(work.need, table)) as cluster:
        run = cluster.here
        blocks = run.blocks(work.columns)
        for batch, unseen_rows in run.executor.stream(replace(work, engine=run.engine).batches(), blocks):
            unseen.add(unseen_rows)
            yield batch
    unseen.warn(table.place)


# -- in memory


def encode_in_memory(run: Run, coding: Coding, flavour: str | None) -> tuple[Any, UnseenCounts]:
    """Encoded rows in the form of the caller's table, or in that of `flavour`, and the counts of unseen values.

    A matrix is filled in place, if the rows come to this process.
    """
    table, model = run.source, coding.model
    coding = replace(coding, engine=run.engine)
    form = replace(coding, engine=run.here.engine).form(table)
    matrix = None
    if isinstance(form, OnehotLayout) and table.rows is not None and not run.executor.spread:
        matrix = form.full_matrix(table.rows)
    resident, schema = 0, table.schema
    if run.on_device and all(column.works_on_device(schema.field(column.name).type) for column in model.columns):
        # Columns are encoded one by one; for a matrix the results of all lie beside it until it is filled.
        resident = 1 if matrix is None else len(model.names)
    blocks = run.coded(coding.categories).blocks(coding.columns, len(coding.schema), resident=resident)
    parts: list[Any] = []
    unseen = UnseenCounts()

    def take(part: tuple[Any, UnseenRows]) -> None:
        parts.append(part[0])
        unseen.add(part[1])

    run.executor.map_blocks(run.prepared(coding.parts, form, matrix), blocks, take)
    if matrix is not None and sum(map(len, parts)) != len(matrix):
        raise SourceChangedError(f"{table.name}: its number of rows changed while it was read")
    unseen.warn(table.place)
    results: list[Any] = parts if matrix is None else [matrix]
    return form.join(results, table, flavour), unseen


def decode_in_memory(run: Run, decoding: Decoding) -> tuple[Any, Array | None]:
    """Decoded rows as one table, and a mask of those that are valid if they are checked."""
    reader = replace(decoding, engine=run.here.engine).reader(run.source)
    build, blocks = replace(decoding, engine=run.engine).rows, list[Decoded]()
    run.executor.map_blocks(run.prepared(build, reader), reader.blocks(run), blocks.append)
    schema = decoding.model.decoded_schema(reader.passthrough)
    rows = Block.joined(blocks, schema)
    return rows, joined_valid(blocks) if decoding.check else None


# -- in batches


def encode_in_batches(
    cluster: Run, coding: Coding, flavour: str | None, batch_rows: int, *, drop_last: bool
) -> Iterator[Any]:
    """Yield encoded rows in batches, each in the form of the caller's table, or in that of `flavour`."""
    run, table, engine = cluster.here, cluster.source, cluster.engine
    if cluster.executor.spread:
        engine = choose_engine(coding.engine, on_device=table.lies_on_device)
    coding = replace(coding, engine=engine)
    form, unseen = coding.form(table), UnseenCounts()
    most = min(run.block_rows or BLOCK_ROWS, BATCHED_VALUES // max(len(form.schema), 1))
    blocks = run.source.blocks(coding.model.names, batch_rows * max(1, most // batch_rows))
    in_frames = (flavour or (coding.layout == "compact" and table.flavour)) == "pandas"
    for part, unseen_rows in run.executor.stream(coding.parts(form), blocks):
        unseen.add(unseen_rows)
        part = part[: len(part) - len(part) % batch_rows] if drop_last else part
        if in_frames:  # made once a block: pandas takes longer to make a frame than to take rows of one
            yield from _frame_batches(form.join([part], table, flavour), batch_rows)
            continue
        for start in range(0, len(part), batch_rows):
            yield form.join([part[start : start + batch_rows]], table, flavour)
    unseen.warn(table.place)


def _frame_batches(frame: Any, rows: int) -> Iterator[Any]:
    """A pandas DataFrame in batches of so many rows, each with an index from 0 on."""
    for start in range(0, len(frame), rows):
        yield frame if len(frame) <= rows else frame.iloc[start : start + rows].reset_index(drop=True)


# -- in files


def encode_to_files(run: Run, coding: Coding, output: FileOutput, settings: Mapping[str, Any]) -> RunSummary:
    """Write encoded rows; `settings` are those that the coding was made with."""
    asked = coding.asked(run.source) | {"part_rows": output.part_rows}
    asked |= {name: settings[name] for name in ("names", "keep_original") if settings[name]}
    parts = output.parts(run.source, coding.schema, asked)
    build = replace(coding, engine=run.engine).batches
    return parts.write(run.coded(coding.categories), coding.columns, build, resume=output.resume)


def decode_to_files(run: Run, decoding: Decoding, output: FileOutput, dtypes: Mapping[str, Any]) -> RunSummary:
    """Write decoded rows; `dtypes` are those of the fitted columns in pandas."""
    columns, schema = decoding.columns, decoding.schema
    schema = schema.with_metadata(metadata_of_values(dtypes, schema, decoding.model.source))
    asked = decoding.asked(run.source) | {"part_rows": output.part_rows}
    parts = output.parts(run.source, schema, asked, decoded=True)
    return parts.write(run, columns, replace(decoding, engine=run.engine).batches, resume=output.resume)
