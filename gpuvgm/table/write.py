"""What transform and inverse write: Parquet output, and the words about it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gpuvgm.columns.model import TableModel
from gpuvgm.errors import InputError
from gpuvgm.execution.context import Run
from gpuvgm.io import Block, Given, Location, ParquetSink, Source, location_of, refuse_overwriting
from gpuvgm.io.manifest import inside

MODEL_KEY = "gpuvgm.model"  # metadata of encoded files: the fingerprint of the model


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a transform or an inverse to a file did.

    Parameters
    ----------
    path : str
        The file written.
    rows, bytes, columns : int
        Its rows, size and columns.
    seconds : float
        Time taken.
    files : int
        Files; more than one in a folder.
    """

    path: str
    rows: int
    bytes: int
    columns: int
    seconds: float
    files: int = 1


def write_parquet(
    run: Run,
    out: Given,
    schema: pa.Schema,
    function: Callable[[Block], pa.RecordBatch],
    blocks: Iterator[Block],
) -> RunSummary:
    """Results of all blocks into a Parquet file, which appears when it is complete."""
    started = time.perf_counter()
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    with ParquetSink(out, schema, metadata) as sink:
        run.executor.map_blocks(function, blocks, sink.write)
    return RunSummary(str(out), sink.rows, sink.bytes, len(schema), time.perf_counter() - started)


def target_of(source: Source, out: Given, *, resume: bool) -> Location:
    """The file or folder to write.

    Raises
    ------
    InputError
        Where it would be read as part of the source, or one file is to be resumed.
    """
    target = location_of(out)
    refuse_overwriting(source, target if target.suffix else inside(target, "part-00000.parquet"))
    if isinstance(target, Path) and target.is_symlink() and not target.suffix:
        target = Path(os.path.realpath(target))
    held = [] if target.suffix else _inside_of(target, source)
    if held:
        raise InputError(f"{target}: holds {held[0]}, which is read; give another name to write")
    if resume and target.suffix:
        raise InputError(
            f"{target}: one file is written as a whole: give a folder (a name without an ending) to resume"
        )
    return target


def _inside_of(folder: Location, source: Source) -> list[Location]:
    """Files of a source that lie in a folder."""
    if not isinstance(folder, Path):
        return []
    final = os.path.realpath(folder)
    paths = [path for path in source.paths if isinstance(path, Path)]
    return [path for path in paths if Path(os.path.realpath(path)).is_relative_to(final)]


def decoded_schema(model: TableModel, passed: Mapping[str, pa.DataType]) -> pa.Schema:
    """Columns of decoded rows; `passed` holds the types of the columns handed through, as far as they are there."""
    fields = []
    for column in model.columns:
        if column.is_encoded:
            fields.append(pa.field(column.name, column.decoded_type))
        elif column.name in passed:
            fields.append(pa.field(column.name, passed[column.name]))
    return pa.schema(fields)
