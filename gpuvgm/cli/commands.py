"""The command line: every command is one call or two of the public interface."""

from __future__ import annotations

import os
import shlex
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

import gpuvgm
from gpuvgm.cli.cluster import executor_of
from gpuvgm.cli.console import (
    BOUND_FAILED,
    DONE,
    NO_TERMINAL_WIDTH,
    STANDARD_OUTPUT,
    CommandOutcome,
    Terminal,
    exit_code,
    explain,
    json_text,
    report_error,
    written_to,
)
from gpuvgm.cli.options import (
    FIT,
    LIMITS,
    MACHINE,
    PRIVACY,
    VALUES,
    BlockRows,
    Columns,
    Compressed,
    Delimiter,
    FitEffort,
    FitSeed,
    For,
    GeneratorName,
    GoOn,
    Memory,
    Model,
    Out,
    Partitioned,
    PartRows,
    RowGroupRows,
    Scheduler,
    Source,
    Sources,
    Threads,
    Workers,
    app,
    command,
    option,
    parse_columns,
    parse_count,
    refuse,
)
from gpuvgm.config import (
    Algorithm,
    EngineName,
    Infinities,
    Layout,
    ModeChoice,
    ScalarType,
    Tails,
    UnknownCategories,
)
from gpuvgm.errors import ColumnsFailed, InputError, counted
from gpuvgm.files import SIGNALS

if TYPE_CHECKING:
    from gpuvgm.table import RunSummary, TableTransformer


def _limit(name: str, text: str, metavar: str | None = "SHARE", largest: float | None = None) -> Any:
    """Option for a limit of evaluate or validate."""
    return option(name, text, LIMITS, min=0, max=largest, metavar=metavar)


def _cap(name: str, of: str) -> Any:
    """Option for the maximum share of some rows."""
    return _limit(name, f"Maximum share of {of}.", largest=1)


def main() -> NoReturn:
    """Run the command line; SIGTERM and SIGHUP clear up as Ctrl-C does."""
    SIGNALS.listen(_end)
    app(prog_name="gpuvgm")
    raise SystemExit(DONE)


def _end(problem: KeyboardInterrupt) -> NoReturn:
    """End by a signal that arrived before the work began, or after its end."""
    report_error(explain(problem))
    # SystemExit would pass through whatever code the signal interrupted.
    os._exit(exit_code(problem))


@command
def demo(
    terminal: Terminal,
    *,
    out: Annotated[Path | None, option("--out", "Folder for the files; by default a new temporary folder.")] = None,
    rows: Annotated[int, option("--rows", "Maximum number of rows.", parser=parse_count, metavar="ROWS")] = 1_000_000,
) -> CommandOutcome:
    """Fit, encode, decode and evaluate an example table."""
    from gpuvgm.cli.demo import demonstrate

    with terminal.bars() as progress:
        return demonstrate(out, rows, progress)


@command
def generate(
    terminal: Terminal,
    path: Out,
    *,
    rows: Annotated[int, option("--rows", "Number of rows, for example 1e9.", parser=parse_count, metavar="ROWS")],
    kind: Annotated[
        Literal["amount", "mixed-table"], option("--kind", "amount: one column; mixed-table: a column of every kind.")
    ] = "amount",
    seed: Annotated[int, option("--seed", "Random seed.", min=0)] = 0,
    first_row: Annotated[
        int, option("--first-row", "Number of the first row to write.", parser=parse_count, metavar="ROW")
    ] = 0,
    file_rows: Annotated[
        int, option("--file-rows", "Rows per file, if OUT is a folder.", parser=parse_count, metavar="ROWS")
    ] = 1 << 26,
    resume: GoOn = False,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Generate an example table.

    Any range of rows can be generated on its own (--first-row, --rows).
    """
    from gpuvgm.execution import LocalExecutor

    with (
        written_to(terminal, path) as file,
        terminal.bars() as progress,
        executor_of(terminal, scheduler, workers, threads) as cluster,
    ):

        def report(count: int) -> None:
            progress("generate", count, rows)

        summary = gpuvgm.generate(
            file,
            rows,
            kind=kind,
            seed=seed,
            first_row=first_row,
            file_rows=file_rows,
            resume=resume,
            executor=LocalExecutor(threads, report)
            if cluster is None
            else gpuvgm.DaskExecutor(cluster.client, progress=report),
        )
    return _rows_outcome(terminal, path, summary, {"seed": seed})


def _rows_outcome(
    terminal: Terminal, path: str, summary: RunSummary, further: Mapping[str, Any], lines: Sequence[str] = ()
) -> CommandOutcome:
    """Outcome of a command that wrote rows; of standard output, which has these, it is told on stderr."""
    from gpuvgm.cli import tables as views

    if path != STANDARD_OUTPUT:
        return CommandOutcome({**views.run_document(summary), **further}, [views.run_line(summary), *lines])
    summary = replace(summary, path="standard output")
    for line in (views.run_line(summary), *lines):
        terminal.tell(line)
    return CommandOutcome({**views.run_document(summary), **further}, [])


@command
def fit(
    terminal: Terminal,
    source: Source,
    *,
    model: Model,
    columns: Columns = None,
    delimiter: Delimiter = None,
    algorithm: Annotated[
        Algorithm,
        option(
            "--algorithm",
            "summary: read the rows once, then fit a summary; exact: read all rows in every iteration.",
            FIT,
        ),
    ] = "summary",
    effort: FitEffort = "auto",
    inf: Annotated[
        Infinities,
        option("--inf", "Infinite values: raise an error, or treat them as missing.", VALUES),
    ] = "error",
    unknown: Annotated[
        UnknownCategories,
        option("--unknown", "Categories unseen in fit: raise an error, or encode as all zeros.", VALUES),
    ] = "error",
    max_categories: Annotated[
        int | None,
        option(
            "--max-categories",
            "Maximum number of one-hot columns per column; infrequent categories share one. By default a column with "
            "more than 256 categories becomes one scalar.",
            VALUES,
            min=1,
        ),
    ] = None,
    tails: Annotated[
        Tails | None,
        option(
            "--tails",
            "Extreme values: give them modes of their own (the default), clip them (the default with --effort "
            "research), or keep them exactly.",
            VALUES,
        ),
    ] = None,
    seed: FitSeed = 0,
    sample: Annotated[
        int | None,
        option(
            "--sample",
            "Number of rows to fit on; by default all.",
            FIT,
            parser=parse_count,
            metavar="ROWS",
        ),
    ] = None,
    stratified: Annotated[bool, option("--stratified", "Sample each column by strata of its values.", FIT)] = False,
    engine: Annotated[EngineName, option("--engine", "Compute engine.", MACHINE)] = "auto",
    block_rows: BlockRows = None,
    memory: Memory = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    summaries: Annotated[
        bool,
        option(
            "--summaries",
            "Store the summaries in the model, so that --add can add rows; they are close to raw data.",
        ),
    ] = False,
    add: Annotated[bool, option("--add", "Add the files of SOURCE that MODEL lacks; it needs its summaries.")] = False,
    failed: Annotated[
        bool, option("--failed", "Fit the columns that failed before, or that are declared differently now.")
    ] = False,
    verbose: Annotated[
        bool, option("--verbose", "Also print what `gpuvgm info` does: reasons, ranges and fits.")
    ] = False,
) -> CommandOutcome:
    """Fit a model to a table.

    SPEC.toml sets kinds and options of columns, for example:

    ```toml
    [columns]
    price = {kind = "continuous", inf = "missing"}
    delay = {kind = "mixed", modal = [0, "missing"]}
    id = "drop"
    ```

    If some columns fail, the others are kept next to MODEL, and --failed fits the rest. With a model that has
    summaries, --add reads only the files of SOURCE that are new. A fit that was interrupted begins again.
    """
    from gpuvgm.cli import tables as views
    from gpuvgm.cli.fit import add_files, complete, fit_columns
    from gpuvgm.cli.record import speed
    from gpuvgm.table import ModelFile, TableTransformer

    if add and failed:
        raise InputError("--add and --failed exclude each other; give one of them")
    ModelFile.at(model).check_target()
    start = time.perf_counter()
    with terminal.bars() as progress, executor_of(terminal, scheduler, workers, threads) as executor:
        transformer = TableTransformer(
            columns=parse_columns(columns),
            random_state=seed,
            algorithm=algorithm,
            effort=effort,
            engine=engine,
            tails=tails,
            inf=inf,
            unknown=unknown,
            max_categories=max_categories,
            executor=executor,
            sample_rows=sample,
            stratified=stratified,
            block_rows=block_rows,
            memory=memory,
            threads=threads,
            progress=progress,
        )
        table = _open_table(source, delimiter)
        fitted = add_files(transformer, table, model) if add else fit_columns(transformer, table, model, failed=failed)
    complete(fitted, model, summaries=summaries or add)
    seconds = time.perf_counter() - start
    rows = fitted.model_.rows
    line = f"{model}: fitted on {views.count_rows_of(fitted.model_)} in {seconds:.2f} s, {speed(rows, seconds)}"
    document = {"model": model, "seconds": seconds, **fitted.model_.describe()}
    report = fitted.fit_report_
    details = views.model_tables(fitted.model_) if verbose else [f"\n`gpuvgm info {shlex.quote(model)}` tells why"]
    notes = [textwrap.fill(note, NO_TERMINAL_WIDTH) for note in report.notes]
    return CommandOutcome(document, [line, *notes, f"\n{report.table}", *details])


@command
def kinds(
    terminal: Terminal,
    source: Source,
    *,
    out: Annotated[
        str | None,
        option("--out", "TOML file to write, for you to edit and hand to --columns.", metavar="SPEC.toml"),
    ] = None,
    delimiter: Delimiter = None,
    effort: FitEffort = "auto",
    seed: FitSeed = 0,
    memory: Memory = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Print the kinds that a fit would give the columns of a table, and write them to a file to edit.

    fit and train take the file as --columns SPEC.toml. What you change in it is declared. With nothing changed, and the
    same SOURCE and options, the model is the same as without it.
    """
    from gpuvgm.cli import tables as views
    from gpuvgm.io import Document

    target = None if out is None else Document.columns(out)
    with terminal.bars() as progress, executor_of(terminal, scheduler, workers, threads) as executor:
        machine: dict[str, Any] = {"executor": executor, "memory": memory, "threads": threads, "progress": progress}
        table = _open_table(source, delimiter)
        schema = gpuvgm.kinds(table, effort=effort, random_state=seed, **machine)
    if target is not None:
        target.write(schema.to_toml())
    columns = {spec.name: {"kind": spec.kind, "reason": spec.reason, **spec.options} for spec in schema.columns}
    written = [] if out is None else [f"{out}: edit it, and hand it back with --columns {shlex.quote(out)}"]
    return CommandOutcome({"source": source, "out": out, "columns": columns}, [views.kinds_table(schema), *written])


@command
def describe(
    terminal: Terminal,
    source: Source,
    *,
    html: Annotated[
        str | None, option("--html", "Also write the description as an HTML page to this file or URL.", metavar="PAGE")
    ] = None,
    delimiter: Delimiter = None,
    seed: FitSeed = 0,
    memory: Memory = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Describe a table without a model: kinds, moments, quantiles, missing and different values.

    All rows are read once, beside a sample.
    """
    from gpuvgm.io import Document

    page = None if html is None else Document.page(html)
    with terminal.bars() as progress, executor_of(terminal, scheduler, workers, threads) as executor:
        machine: dict[str, Any] = {"executor": executor, "memory": memory, "threads": threads, "progress": progress}
        result = gpuvgm.describe(_open_table(source, delimiter), random_state=seed, **machine)
    if page is not None:
        page.write(result.to_html())
    return CommandOutcome({"source": source, "html": html, **result.to_dict()}, [result.to_text()])


@command
def train(
    terminal: Terminal,
    source: Sources,
    *,
    model: Model,
    with_: Annotated[
        GeneratorName, option("--with", "counts: how the columns depend on each other; ctgan, tvae: a neural network.")
    ] = "counts",
    epochs: Annotated[int | None, option("--epochs", "Epochs of ctgan (by default 300) or tvae.", FIT, min=1)] = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    seed: Annotated[
        int | None, option("--seed", "Random seed of the training, and of sample by default; by default 0.", FIT, min=0)
    ] = None,
    memory: Memory = None,
    threads: Threads = None,
    private: Annotated[
        str | None,
        option(
            "--private",
            "Train a differentially private generator of the columns that this JSON file declares; experimental.",
            PRIVACY,
            metavar="DOMAIN.json",
        ),
    ] = None,
    epsilon: Annotated[
        float | None, option("--epsilon", "With --private: the promise, at most 20; above 3 it is weak.", PRIVACY)
    ] = None,
    delta: Annotated[
        float | None,
        option("--delta", "With --private: the probability with which it may fail, such as 1e-9.", PRIVACY),
    ] = None,
    rows_per_person: Annotated[
        int, option("--rows-per-person", "With --private: rows that a person has, at most.", PRIVACY, min=1)
    ] = 1,
    hold_out: Annotated[
        float,
        option(
            "--hold-out",
            "Share of the rows, or keys, that counts do not see, for evaluate --compare to measure by; with --key of "
            "tables without parents, with all that refers to them.",
            FIT,
            metavar="SHARE",
            min=0,
            max=1,
        ),
    ] = 0.0,
    safer: Annotated[
        bool, option("--safer", "Counts of smaller trees: samples come less near to single rows of the table.", FIT)
    ] = False,
    laws: Annotated[
        str,
        option(
            "--laws",
            'Laws between columns that counts keep: auto, off, or texts such as "auto; a + b = c; not a <= b; a -> b".',
            FIT,
            metavar="LAWS",
        ),
    ] = "auto",
    sequence_key: Annotated[
        str | None,
        option(
            "--sequence-key",
            "Column of keys whose rows belong together, such as the lines of an order: counts draw key after key.",
            FIT,
            metavar="COLUMN",
        ),
    ] = None,
    sequence_index: Annotated[
        str | None,
        option(
            "--sequence-index",
            "With --sequence-key: the column by which the rows of a key are in order; by default as they come. With "
            "--key: TABLE.COLUMN,...",
            FIT,
            metavar="COLUMN",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        option(
            "--key",
            "For tables that refer to each other, such as orders.customer=customers.id; once for each reference (in "
            "GPUVGM_KEY with spaces between).",
            FIT,
            metavar="CHILD.COLUMN=PARENT.KEY",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        option(
            "--keep",
            "With --key: tables that samples have as they are, since they name no persons, such as products.",
            FIT,
            metavar="TABLE,...",
        ),
    ] = None,
    resume: Annotated[
        bool, option("--resume", "Go on with the epochs of ctgan or tvae that an interrupted training left.")
    ] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Train a generator of synthetic rows on a table, or on several that refer to each other.

    A network whose training was interrupted continues with --resume. sample draws rows from MODEL.
    """
    from gpuvgm.cli.synthesize import train_generator, train_private

    if key:
        from gpuvgm.cli.databases import train_database

        foreign = {"--with": with_ != "counts", "--epochs": epochs is not None, "--private": private is not None}
        foreign |= {"--delimiter": delimiter is not None, "--memory": memory is not None}
        foreign |= {"--laws": laws != "auto", "--sequence-key": sequence_key is not None}
        foreign |= {"--resume": resume, "--scheduler": scheduler is not None, "--workers": workers is not None}
        foreign |= {"--epsilon": epsilon is not None, "--delta": delta is not None}
        chosen: dict[str, Any] = {"columns": parse_columns(columns), "random_state": seed or 0, "safer": safer}
        chosen |= {"threads": threads, "hold_out": hold_out}
        return train_database(source, model, key, keep, sequence_index, foreign, **chosen)
    if len(source) > 1 or keep is not None:
        raise InputError("several tables, and --keep, are for --key CHILD.COLUMN=PARENT.KEY, which is not given")
    promise = {"epsilon": epsilon, "delta": delta, "rows_per_person": rows_per_person}
    if private is not None:
        foreign = {"--with": with_ != "counts", "--epochs": epochs is not None, "--columns": columns is not None}
        foreign |= {"--delimiter": delimiter is not None, "--seed": seed is not None, "--hold-out": hold_out > 0}
        foreign |= {"--sequence-key": sequence_key is not None, "--sequence-index": sequence_index is not None}
        foreign |= {"--safer": safer, "--laws": laws != "auto", "--resume": resume, "--memory": memory is not None}
        with executor_of(terminal, scheduler, workers, threads) as executor:
            machine: Any = {"executor": executor, "threads": threads}
            made = train_private(private, source[0], model, promise, foreign, **machine)
        return CommandOutcome({"model": model, **made.to_dict()}, [f"{model}: {made.describe()}"])
    if epsilon is not None or delta is not None or rows_per_person > 1:
        raise InputError("--epsilon, --delta and --rows-per-person are for --private DOMAIN.json, which is not given")
    if resume and with_ == "counts":
        terminal.tell("--resume: counts have nothing to go on with; they begin again")
    start = time.perf_counter()
    with terminal.bars() as progress, executor_of(terminal, scheduler, workers, threads) as executor:
        settings: dict[str, Any] = {"columns": parse_columns(columns), "random_state": seed or 0}
        settings |= {"hold_out": hold_out, "safer": safer, "laws": laws}
        settings |= {"sequence_key": sequence_key, "sequence_index": sequence_index}
        settings |= {"executor": executor, "memory": memory, "threads": threads, "progress": progress}
        table = _open_table(source[0], delimiter)
        generator = train_generator(with_, table, model, settings, epochs=epochs, resume=resume)
    seconds = time.perf_counter() - start
    fitted = generator.transformer_.model_
    rows = fitted.rows
    line = f"{model}: {with_}, trained on {counted(rows, 'row')} in {seconds:.2f} s"
    real = [*fitted.real_values]  # of which the training has warned
    document = {"model": model, "with": with_, "rows": rows, "seconds": seconds, "real_values": real}
    unmodelled = generator._unmodelled
    laws_kept = [*generator.fit_report_.laws] if with_ == "counts" else []
    kept = f"laws: {'; '.join(laws_kept)}" if laws_kept else ""
    return CommandOutcome(document | {"laws": laws_kept}, [line, *filter(None, [kept, unmodelled])])


@command
def sample(
    terminal: Terminal,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that train wrote.")],
    path: Out,
    *,
    rows: Annotated[
        int | None,
        option(
            "--rows",
            "Number of rows, for example 1e6; by default that of the table.",
            parser=parse_count,
            metavar="ROWS",
        ),
    ] = None,
    keys: Annotated[
        int | None,
        option(
            "--keys",
            "In place of --rows: number of keys whose rows are all drawn, of a model with --sequence-key.",
            parser=parse_count,
            metavar="KEYS",
        ),
    ] = None,
    where: Annotated[
        str | None,
        option(
            "--where",
            'Conditions that all rows meet, for example "age >= 30 and city in (a, b) and rate is missing"; with '
            "--sequence-key, any(column) = value is met by some row of each key. Of tables that refer to each other "
            "those without parents have conditions, such as customers.country = AT.",
            metavar="CONDITIONS",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        option(
            "--sort",
            "Write the rows in the order of this column, of counts; running numbers that rise with it have no gaps.",
            metavar="COLUMN",
        ),
    ] = None,
    scale: Annotated[
        float | None,
        option(
            "--scale",
            "Of tables that refer to each other: how many times as many rows those without parents have; by default 1.",
        ),
    ] = None,
    seed: Annotated[int | None, option("--seed", "Random seed; by default that of the training.", min=0)] = None,
    for_: For = None,
    resume: GoOn = False,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Draw synthetic rows from a model that train wrote: all columns of its table, in their order and types."""
    from gpuvgm.cli.synthesize import sample_rows
    from gpuvgm.cli.where import parse_where
    from gpuvgm.table import ModelFile

    contents, conditions = ModelFile.at(model).load(), parse_where(where)
    if contents.generator == "database":
        from gpuvgm.cli.databases import sample_database

        foreign = {"--rows": rows is not None, "--keys": keys is not None}
        foreign |= {"--sort": sort is not None, "--for": for_ is not None, "--resume": resume}
        foreign |= {"--scheduler": scheduler is not None, "--workers": workers is not None}
        chosen = {"scale": 1.0 if scale is None else scale, "conditions": conditions, "seed": seed}
        return sample_database(model, contents, path, chosen, foreign)
    if scale is not None:
        raise InputError(f"--scale is for tables that refer to each other, and {model} holds one: give --rows")
    with (
        written_to(terminal, path) as file,
        terminal.bars() as progress,
        executor_of(terminal, scheduler, workers, threads) as executor,
    ):
        machine: Any = {"executor": executor, "threads": threads, "progress": progress}
        wanted: Any = {"keys": keys, "conditions": conditions, "sort": sort, "seed": seed}
        wanted |= {"out": file, "flavor": for_, "resume": resume}
        summary, share = sample_rows(model, contents, rows, wanted, **machine)
    met = [] if share is None else [f"{100 * share:.3g} % of the rows drawn met the conditions"]
    return _rows_outcome(terminal, path, summary, {"model": model, "condition_share": share}, met)


@command
def transform(
    terminal: Terminal,
    source: Source,
    path: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Parquet file, or folder of Parquet files, to write: a path or a URL.",
        ),
    ],
    *,
    model: Model,
    delimiter: Delimiter = None,
    mode: Annotated[
        ModeChoice,
        option("--mode", "sample: draw the mode of each row; argmax: take the most probable one."),
    ] = "sample",
    layout: Annotated[
        Layout, option("--layout", "compact: the number of the mode; onehot: one-hot columns.")
    ] = "compact",
    dtype: Annotated[ScalarType, option("--dtype", "Type of the scalars; float64 keeps all digits.")] = "float32",
    seed: Annotated[
        int | None, option("--seed", "Random seed of the draws; by default that of the fit.", min=0)
    ] = None,
    names: Annotated[
        str | None,
        option(
            "--names",
            "Names of the encoded columns; {column}.{part} by default. {part} is scalar or mode; a template without it "
            "names scalars, and modes get _{part} at the end.",
            metavar="TEMPLATE",
        ),
    ] = None,
    keep_original: Annotated[
        bool, option("--keep-original", "Also write the columns of SOURCE, in front of the encoded ones.")
    ] = False,
    part_rows: PartRows = 1 << 24,
    partitioned: Partitioned = False,
    compression: Compressed = None,
    row_group_rows: RowGroupRows = None,
    for_: For = None,
    resume: GoOn = False,
    block_rows: BlockRows = None,
    memory: Memory = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Encode the rows of a table as scalars and modes."""
    from gpuvgm.cli import tables as views

    with _open_model(terminal, model, scheduler, workers, threads, block_rows=block_rows, memory=memory) as transformer:
        run = transformer.transform(
            _open_table(source, delimiter),
            mode=mode,
            layout=layout,
            dtype=dtype,
            seed=seed,
            names=names,
            keep_original=keep_original,
            out=path,
            part_rows=part_rows,
            partitioned=partitioned,
            compression=compression,
            row_group_rows=row_group_rows,
            flavor=for_,
            resume=resume,
        )
    document = {**views.run_document(run), "model": model, "mode": mode, "layout": layout}
    return CommandOutcome(document, [views.run_line(run), *views.unseen_lines(run)])


@command
def inverse(
    terminal: Terminal,
    encoded: Annotated[str, typer.Argument(metavar="ENCODED", help="File or folder that transform wrote.")],
    path: Out,
    *,
    model: Model,
    names: Annotated[
        str | None,
        option("--names", "Names of the encoded columns, where ENCODED does not say them.", metavar="TEMPLATE"),
    ] = None,
    part_rows: PartRows = 1 << 24,
    partitioned: Partitioned = False,
    compression: Compressed = None,
    row_group_rows: RowGroupRows = None,
    for_: For = None,
    resume: GoOn = False,
    memory: Memory = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Decode rows into values of the original types."""
    opened = _open_model(terminal, model, scheduler, workers, threads, memory=memory)
    with written_to(terminal, path) as file, opened as transformer:
        run = transformer.inverse_transform(
            encoded,
            names=names,
            out=file,
            part_rows=part_rows,
            partitioned=partitioned,
            compression=compression,
            row_group_rows=row_group_rows,
            flavor=for_,
            resume=resume,
        )
    return _rows_outcome(terminal, path, run, {"model": model})


@command
def evaluate(
    terminal: Terminal,
    source: Sources,
    *,
    model: Model,
    delimiter: Delimiter = None,
    against: Annotated[
        str | None,
        option("--against", "Also measure the distance of MODEL to this model.", metavar="FULL"),
    ] = None,
    compare: Annotated[
        str | None,
        option("--compare", "Compare SOURCE with these synthetic rows instead.", metavar="SYNTHETIC"),
    ] = None,
    held_out: Annotated[
        str | None,
        option(
            "--held-out",
            "Of tables that refer to each other: a folder with tables of other rows, which were not fitted; parents of "
            "the sample should come no nearer to SOURCE's than these do.",
            metavar="FOLDER",
        ),
    ] = None,
    memory: Memory = None,
    max_error: Annotated[
        float | None, _limit("--max-error", "Maximum 99.9th percentile of the error, in standard deviations.", "SD")
    ] = None,
    max_relative_error: Annotated[
        float | None, _limit("--max-relative-error", "Maximum 99.9th percentile of the relative error.")
    ] = None,
    max_clipped_share: Annotated[
        float | None, _limit("--max-clipped-share", "Maximum share of clipped rows.", largest=1)
    ] = None,
    max_invalid_share: Annotated[
        float | None, _limit("--max-invalid-share", "Maximum share of rows outside the training range.", largest=1)
    ] = None,
    max_off_step_share: Annotated[
        float | None,
        _limit("--max-off-step-share", "Maximum share of rows that are not multiples of the step.", largest=1),
    ] = None,
    max_unknown_share: Annotated[
        float | None, _limit("--max-unknown-share", "Maximum share of rows with unseen categories.", largest=1)
    ] = None,
    max_ks: Annotated[
        float | None, _limit("--max-ks", "Maximum Kolmogorov-Smirnov distance.", "DISTANCE", largest=1)
    ] = None,
    max_wasserstein: Annotated[
        float | None, _limit("--max-wasserstein", "Maximum Wasserstein distance, in standard deviations.", "SD")
    ] = None,
    min_mode_agreement: Annotated[
        float | None, _limit("--min-mode-agreement", "Minimum share of rows that keep their mode.", largest=1)
    ] = None,
    min_level_agreement: Annotated[
        float | None, _limit("--min-level-agreement", "Minimum share of rows that keep their category.", largest=1)
    ] = None,
    min_score: Annotated[float | None, _limit("--min-score", "Minimum overall score.", "SCORE", largest=1)] = None,
    max_auc: Annotated[
        float | None,
        _limit("--max-auc", "Maximum AUC of a classifier that tells synthetic rows from SOURCE's.", "AUC", largest=1),
    ] = None,
    max_sequence_auc: Annotated[
        float | None,
        _limit("--max-sequence-auc", "The same of rows that belong together, such as a customer's.", "AUC", largest=1),
    ] = None,
    report: Annotated[
        str | None,
        option("--report", "Also write the results as JSON to this file or URL.", metavar="REPORT"),
    ] = None,
    html: Annotated[
        str | None,
        option("--html", "Also write the results as an HTML page to this file or URL.", metavar="PAGE"),
    ] = None,
    first_rows: Annotated[
        bool, option("--first-rows", "Show the first ten rows on the page; they may be personal data.")
    ] = False,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Measure what encoding and decoding change in a table, or compare it with synthetic rows.

    Tables that refer to each other are compared with a folder of samples. The exit code is 1 if a limit is exceeded.
    """
    from gpuvgm.io import Document

    target = None if report is None else Document.json(report)
    page = None if html is None else Document.page(html)
    limits = {
        "max_error": max_error,
        "max_relative_error": max_relative_error,
        "max_clipped_share": max_clipped_share,
        "max_invalid_share": max_invalid_share,
        "max_off_step_share": max_off_step_share,
        "max_unknown_share": max_unknown_share,
        "max_ks": max_ks,
        "max_wasserstein": max_wasserstein,
        "min_mode_agreement": min_mode_agreement,
        "min_level_agreement": min_level_agreement,
    }
    for limit, value in limits.items():
        if compare is not None and value is not None:
            raise InputError(f"--{limit.replace('_', '-')} is not for --compare")
    of_comparison = {"max_auc": max_auc, "max_sequence_auc": max_sequence_auc}
    if len(source) > 1:
        from gpuvgm.cli.databases import evaluate_database

        foreign = {f"--{limit.replace('_', '-')}": value is not None for limit, value in limits.items()}
        foreign |= {"--delimiter": delimiter is not None, "--against": against is not None}
        foreign |= {"--memory": memory is not None, "--first-rows": first_rows}
        foreign |= {"--scheduler": scheduler is not None, "--workers": workers is not None}
        bounds = {"min_score": min_score, **of_comparison}
        return evaluate_database(source, model, (compare, held_out), bounds, (report, html), foreign)
    refuse({"--held-out": held_out is not None}, "is for tables that refer to each other: train one with --hold-out")
    for limit, value in of_comparison.items():
        if compare is None and value is not None:
            raise InputError(f"--{limit.replace('_', '-')} is for --compare")
    from gpuvgm.table import TableTransformer, load_as

    with _open_model(terminal, model, scheduler, workers, threads, memory=memory) as transformer:
        distance = None if against is None else transformer.distance_to(load_as(TableTransformer, against))
        result = transformer.evaluate(_open_table(source[0], delimiter), compare=_open_synthetic(compare, delimiter))
    violations = result.broken({"min_score": min_score, **(limits if compare is None else of_comparison)})
    document = {"source": source[0], "model": model, **result.to_dict(), "broken": violations}
    if compare is not None:
        document["compare"] = compare
    view = [str(result)]
    if distance is not None:
        document["against"] = {"model": against, **distance.to_dict()}
        view += [f"\n{model} beside {against}:", str(distance)]
    if target is not None:
        target.write(json_text(document))
    if page is not None:
        name = PurePath(source[0]).name
        title = f"Round trip of {name}" if compare is None else f"{PurePath(compare).name} beside {name}"
        page.write(result.to_html(title=title, first_rows=first_rows))
    return CommandOutcome(document, view, BOUND_FAILED if violations else DONE, violations)


@command
def validate(
    terminal: Terminal,
    source: Source,
    *,
    model: Model,
    delimiter: Delimiter = None,
    memory: Memory = None,
    max_invalid_share: Annotated[float, _cap("--max-invalid-share", "values outside the training range")] = 0.001,
    max_off_step_share: Annotated[
        float, _cap("--max-off-step-share", "values that are not multiples of the step")
    ] = 0.001,
    max_unknown_share: Annotated[float, _cap("--max-unknown-share", "values in unseen categories")] = 0.0,
    max_shares: Annotated[
        float,
        _limit(
            "--max-shares", "Maximum difference between the shares of categories, modal and missing values.", largest=1
        ),
    ] = 0.1,
    max_ks: Annotated[
        float, _limit("--max-ks", "Maximum Kolmogorov-Smirnov distance to the training rows.", None, 1)
    ] = 0.1,
    max_mean_shift: Annotated[
        float, _limit("--max-mean-shift", "Maximum shift of the mean, in standard deviations.", "SD")
    ] = 0.25,
    max_sd_shift: Annotated[
        float, _limit("--max-sd-shift", "Maximum change of the standard deviation, in standard deviations.", "SD")
    ] = 0.25,
    max_skewness_shift: Annotated[
        float, _limit("--max-skewness-shift", "Maximum change of the skewness, as a share of 1 + the larger one.")
    ] = 0.5,
    max_quantile_shift: Annotated[
        float, _limit("--max-quantile-shift", "Maximum shift of any quantile, in standard deviations.", "SD")
    ] = 0.25,
    max_tail_ratio: Annotated[
        float, option("--max-tail-ratio", "Maximum ratio between the shares of extreme values.", LIMITS, min=1)
    ] = 10.0,
    threads: Threads = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> CommandOutcome:
    """Check whether a table resembles the training table.

    The exit code is 1 if a column exceeds a limit.
    """
    limits = {
        "max_invalid_share": max_invalid_share,
        "max_off_step_share": max_off_step_share,
        "max_unknown_share": max_unknown_share,
        "max_shares": max_shares,
        "max_ks": max_ks,
        "max_mean_shift": max_mean_shift,
        "max_sd_shift": max_sd_shift,
        "max_skewness_shift": max_skewness_shift,
        "max_quantile_shift": max_quantile_shift,
        "max_tail_ratio": max_tail_ratio,
    }
    with _open_model(terminal, model, scheduler, workers, threads, memory=memory) as transformer:
        result = transformer.validate(_open_table(source, delimiter))
    violations = result.broken(limits)
    document = {"source": source, "model": model, **result.to_dict(), "broken": violations}
    view = [result.to_text(limits), f"\n{source}: {counted(result.rows, 'row')}"]
    return CommandOutcome(document, view, BOUND_FAILED if violations else DONE, violations)


@command
def info(
    terminal: Terminal,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that fit or train wrote.")],
) -> CommandOutcome:
    """Print the contents of a model."""
    from gpuvgm.cli import tables as views
    from gpuvgm.table import ModelFile

    contents = ModelFile.at(model).load()
    if contents.generator == "private":
        made: Any = gpuvgm.PrivateSynthesizer._of_model(contents, model)
        return CommandOutcome({"model": model, **made.to_dict()}, [f"{model}: {made.describe()}"])
    if contents.generator == "database":
        from gpuvgm.cli.databases import describe_database

        return describe_database(model, contents)
    if contents.failed:
        unfinished = ColumnsFailed(contents.failed, len(contents.columns))
        raise InputError(f"{model}: this fit is unfinished: {unfinished}")
    line = f"{model}: {counted(len(contents.columns), 'column')}, fitted on {views.count_rows_of(contents)}"
    document = {"model": model, **contents.describe()}
    return CommandOutcome(document, [line, *views.model_tables(contents), *views.modes_tables(contents)])


@command
def doctor(
    terminal: Terminal,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="With --json: where to write the document."),
    ] = None,
    *,
    gpu: Annotated[
        bool, option("--gpu", "Check the GPU, its memory, cuDF: everything once, in a minute or two.")
    ] = False,
    cluster: Annotated[bool, option("--cluster", "With --gpu: check workers with GPUs too.")] = False,
    compile_only: Annotated[
        bool, option("--compile-only", "With --gpu: compile all kernels into CuPy's cache, and check nothing else.")
    ] = False,
) -> CommandOutcome:
    """Check what this machine can run, and what is missing."""
    if not gpu and (cluster or compile_only):
        raise InputError("--cluster and --compile-only belong to --gpu; add it")
    if file is not None and not terminal.json:
        raise InputError(f"doctor writes a file with --json alone; give --json {file}, or leave {file} out")
    from gpuvgm.io import Document

    target = None if file is None else Document.json(file)
    if gpu:
        from gpuvgm.cli.gpu_checks import examine

        outcome = examine(terminal.tell, cluster=cluster, compile_only=compile_only)
    else:
        diagnosis = gpuvgm.doctor()
        outcome = CommandOutcome(diagnosis.to_dict(), [str(diagnosis)])
    if target is None:
        return outcome
    target.write(json_text(outcome.document))
    return replace(outcome, written=True)


@command
def serve(
    terminal: Terminal,
    *,
    model: Annotated[Path, option("--model", "A model, or a folder of models.", metavar="DIR")],
    host: Annotated[str, option("--host", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("--port", "Port to listen on; 0 for any free port.", min=0, max=65535)] = 8080,
    token_file: Annotated[
        Path | None,
        option("--token-file", "File with the token that clients must send; or set GPUVGM_TOKEN."),
    ] = None,
    max_bytes: Annotated[
        str, option("--max-bytes", "Maximum size of a request body.", LIMITS, metavar="SIZE")
    ] = "64MiB",
    timeout: Annotated[float, option("--timeout", "Time limit of a request, in seconds.", LIMITS, min=0.1)] = 30,
    concurrency: Annotated[
        int | None,
        option(
            "--concurrency",
            "Maximum number of concurrent requests; by default 8 per core.",
            LIMITS,
            min=1,
        ),
    ] = None,
    threads: Threads = None,
) -> CommandOutcome:
    """Serve models over HTTP: transform and inverse.

    Requires the extra "serve", and runs until SIGTERM or Ctrl-C.
    """
    from gpuvgm.cli.serve import run_service
    from gpuvgm.execution import parse_memory

    limits = {
        "max_bytes": parse_memory(max_bytes),
        "timeout": timeout,
        "concurrency": concurrency,
        "threads": threads,
    }
    return run_service(model, (host, port), token_file, limits, terminal)


def _open_table(source: str, delimiter: str | None) -> Any:
    """The table that a command reads; it is opened here if a delimiter is given."""
    if delimiter is None:
        return source
    from gpuvgm.io import open_source

    return open_source(source, delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter))


def _open_synthetic(compare: str | None, delimiter: str | None) -> Any:
    """The table to compare with; a delimiter applies to it too if it is CSV."""
    from gpuvgm.io import expand

    if compare is None or delimiter is None:
        return compare
    return _open_table(compare, delimiter if "CSV" in expand(compare).formats else None)


@contextmanager
def _open_model(
    terminal: Terminal, model: str, scheduler: str | None, workers: int | None, threads: int | None, **settings: Any
) -> Iterator[TableTransformer]:
    """Load a model with this run's settings; the engine that fitted it may be missing here."""
    from gpuvgm.table import TableTransformer, load_as

    with terminal.bars() as progress, executor_of(terminal, scheduler, workers, threads) as executor:
        place: dict[str, Any] = {"engine": "auto", "executor": executor, "threads": threads, "progress": progress}
        yield load_as(TableTransformer, model, **place, **settings)
