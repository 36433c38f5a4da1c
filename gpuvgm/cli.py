"""The command line: every command is one call or two of the public interface."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

import gpuvgm
from gpuvgm import views
from gpuvgm.console import BOUND_FAILED, DONE, Outcome, Terminal, Terminated, speed
from gpuvgm.options import (
    BlockRows,
    Engine,
    Model,
    Seed,
    Source,
    Threads,
    app,
    command,
    option,
    parse_columns,
    parse_count,
    warn_of_unknown_variables,
)


def main() -> NoReturn:
    """Run the command line; SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)
    warn_of_unknown_variables()
    app(prog_name="gpuvgm")
    raise SystemExit(DONE)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


@command
def demo(
    terminal: Terminal,
    *,
    out: Annotated[
        Path | None, option("--out", "Folder for the files; by default a new one.", show_default=False)
    ] = None,
    rows: Annotated[
        int, option("--rows", "Rows at most; of generated rows this many.", parser=parse_count, metavar="ROWS")
    ] = 1_000_000,
) -> Outcome:
    """Run the main job on real data and print what it did."""
    from gpuvgm.demonstration import demonstrate

    with terminal.bars() as progress:
        return demonstrate(out, rows, progress)


@command
def generate(
    terminal: Terminal,
    path: Annotated[str, typer.Argument(metavar="OUT", help="Parquet file to write.", show_default=False)],
    *,
    rows: Annotated[int, option("--rows", "Rows, for example 1e9.", parser=parse_count, metavar="ROWS")],
    seed: Annotated[int, option("--seed", "Seed; the same gives the same rows.", min=0)] = 0,
) -> Outcome:
    """Write generated payment amounts, one column "Amount"."""
    from gpuvgm.execution import LocalExecutor

    start = time.perf_counter()
    with terminal.bars() as progress:
        report = None if progress is None else lambda done: progress("generate", done, rows)
        written = gpuvgm.generate(path, rows, seed=seed, executor=LocalExecutor(progress=report))
    seconds = time.perf_counter() - start
    document = {**views.run_document(written), "path": str(written.path), "seed": seed, "seconds": seconds}
    return Outcome(document, [views.run_line(written, seconds)])


@command
def fit(
    terminal: Terminal,
    source: Source,
    *,
    model: Model,
    columns: Annotated[
        str | None,
        option("--columns", "Names with commas between, or SPEC.toml; by default all columns.", show_default=False),
    ] = None,
    engine: Engine = "auto",
    algorithm: Annotated[
        Literal["auto", "summary", "exact"], option("--algorithm", "One pass, or every row in every iteration.")
    ] = "summary",
    effort: Annotated[
        Literal["best", "research"], option("--effort", "Search for the best fit, or 100 iterations from one start.")
    ] = "best",
    inf: Annotated[
        Literal["error", "missing"], option("--inf", "Refuse infinite values, or take them as missing.")
    ] = "error",
    tails: Annotated[Literal["clip", "exact"], option("--tails", "Clip far values, or keep them exactly.")] = "clip",
    seed: Annotated[int, option("--seed", "Seed of the fit, and of transform unless given there.", min=0)] = 0,
    block_rows: BlockRows = None,
    threads: Threads = None,
    summaries: Annotated[
        bool, option("--summaries", "Keep the summaries in the model; they are near-raw data.")
    ] = False,
) -> Outcome:
    """Fit a model on every row of a source.

    SPEC.toml says what each column is, for example:

    \b
        [columns]
        price = {kind = "continuous", inf = "missing"}
        id = "drop"
    """  # noqa: D301  # \b keeps the lines
    from gpuvgm.store import check_target

    check_target(model)
    start = time.perf_counter()
    with terminal.bars() as progress:
        transformer = gpuvgm.TableTransformer(
            columns=parse_columns(columns),
            random_state=seed,
            algorithm=algorithm,
            effort=effort,
            engine=engine,
            tails=tails,
            inf=inf,
            block_rows=block_rows,
            threads=threads,
            progress=progress,
        ).fit(source)
    transformer.save(model, summaries=summaries)
    seconds = time.perf_counter() - start
    rows = transformer.model_.rows
    line = f"{model}: fitted on {views.counted(rows, 'row')} in {seconds:.2f} s, {speed(rows, seconds)}"
    document = {"model": model, "seconds": seconds, **views.model_document(transformer)}
    return Outcome(document, [line, *views.columns_tables(transformer.columns_.values())])


@command
def transform(
    terminal: Terminal,
    source: Source,
    path: Annotated[str, typer.Argument(metavar="OUT", help="Parquet file to write.", show_default=False)],
    *,
    model: Model,
    mode: Annotated[
        Literal["sample", "argmax"], option("--mode", "Draw each row's mode, or take the most probable.")
    ] = "sample",
    layout: Annotated[
        Literal["compact", "onehot"], option("--layout", "Scalar and mode of each column, or one-hot cells.")
    ] = "compact",
    seed: Seed = None,
    block_rows: BlockRows = None,
    threads: Threads = None,
) -> Outcome:
    """Encode every row of a source as scalars and modes."""
    with terminal.bars() as progress:
        transformer = _loaded(model, progress=progress, block_rows=block_rows, threads=threads)
        run = transformer.transform(source, mode=mode, layout=layout, seed=seed, out=path)
    document = {**views.run_document(run), "model": model, "mode": mode, "layout": layout}
    return Outcome(document, [views.run_line(run, run.seconds)])


@command
def inverse(
    terminal: Terminal,
    encoded: Annotated[str, typer.Argument(metavar="ENCODED", help="What transform wrote.", show_default=False)],
    path: Annotated[str, typer.Argument(metavar="OUT", help="Parquet file to write.", show_default=False)],
    *,
    model: Model,
) -> Outcome:
    """Decode rows into values of the columns' own types."""
    with terminal.bars() as progress:
        run = _loaded(model, progress=progress).inverse_transform(encoded, out=path)
    return Outcome({**views.run_document(run), "model": model}, [views.run_line(run, run.seconds)])


@command
def evaluate(
    terminal: Terminal,
    source: Source,
    *,
    model: Model,
    max_error: Annotated[
        float | None,
        option(
            "--max-error",
            "Largest 99.9th percentile of the error allowed, in sd of the column.",
            min=0,
            metavar="SD",
            show_default=False,
        ),
    ] = None,
    min_mode_agreement: Annotated[
        float | None,
        option(
            "--min-mode-agreement",
            "Smallest share of rows in the same mode.",
            min=0,
            max=1,
            metavar="SHARE",
            show_default=False,
        ),
    ] = None,
) -> Outcome:
    """Measure how well rows survive the round trip; exit code 1 when a bound is broken."""
    with terminal.bars() as progress:
        report = _loaded(model, progress=progress).evaluate(source)
    broken = report.broken({"max_error": max_error, "min_mode_agreement": min_mode_agreement})
    document = {"source": source, "model": model, **report.to_dict(), "broken": broken}
    view = [f"{source}: {views.counted(report.rows, 'row')}", str(report)]
    return Outcome(document, view, BOUND_FAILED if broken else DONE, broken)


@command
def info(
    terminal: Terminal,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that fit wrote.", show_default=False)],
) -> Outcome:
    """Print what a model holds."""
    fitted = gpuvgm.load(model)
    columns = list(fitted.columns_.values())
    line = f"{model}: {views.counted(len(columns), 'column')}, fitted on {views.counted(fitted.model_.rows, 'row')}"
    document = {"model": model, **views.model_document(fitted)}
    return Outcome(document, [line, *views.columns_tables(columns), views.modes_table(columns)])


@command
def doctor(terminal: Terminal) -> Outcome:
    """Print what this machine can run, and what is missing."""
    diagnosis = gpuvgm.doctor()
    return Outcome(diagnosis.to_dict(), [str(diagnosis)])


def _loaded(model: str, **settings: Any) -> gpuvgm.TableTransformer:
    """A model with this run's settings; the engine that fitted it may not be there."""
    transformer: gpuvgm.TableTransformer = gpuvgm.load(model).set_params(engine="auto", **settings)
    return transformer
