"""``python -m benchmarks NAME``: a table, and JSON lines with --json FILE; one JSON document with --json alone.

NAME is one of fit, exact, estimator, effort, defaults, transform, inverse, table, files, peers, import, picture,
billion, scaling, threads, resources, steps, serve, synthesizer, training, which needs ctgan, gpu, which needs one,
predict, which prints what kernels and whole stages would take on GPUs and measures the host's work on a column, and
plan, what runs past this machine would take, which measures nothing; pages writes the tables of docs/scaling.md,
docs/peers.md, docs/how-to/resources.md, and of samples.md, counts.md and steps.md in docs/explanation; tables fits
public tables that nobody here chose and holds what the defaults chose against labels and goals; samples trains CTGAN
and TVAE on several encodings, judges what they sample, and goes on where its file of results ends; closeness prints
how far EM on cells ends from EM on rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    billion,
    closeness,
    defaults,
    engine,
    estimator,
    files,
    gpu,
    pages,
    peers,
    peers_page,
    picture,
    plan,
    predict,
    resources,
    samples,
    scaling,
    serve,
    steps,
    synthesis,
    table,
    tables,
    threads,
    training,
)
from benchmarks.machine import describe_machine, machine_line
from benchmarks.measure import Measurement, append_lines, documents, show
from gpuvgm.engines import ENGINES, cuda_problem

#: Name, function of the number of rows, and how many rows it takes by default.
BENCHMARKS: dict[str, tuple[Callable[..., list[Measurement]], int]] = {
    "fit": (engine.measure_fit, 20_000_000),
    "exact": (engine.measure_exact, 20_000_000),
    "estimator": (estimator.measure, 1_000_000),
    "effort": (estimator.best_effort, 300_000),
    "defaults": (defaults.measure, 1_000_000),
    "transform": (engine.measure_transform, 20_000_000),
    "inverse": (engine.measure_inverse, 20_000_000),
    "table": (table.measure, 1_000_000),
    "files": (files.measure, 8_000_000),
    "peers": (peers.measure, 200_000),
    "import": (engine.measure_imports, 1_000),
    "gpu": (gpu.measure, 1_000_000_000),
    "billion": (billion.measure, 1_000_000_000),
    "scaling": (scaling.measure, 100_000_000),
    "threads": (threads.measure, 100_000_000),
    "resources": (resources.measure, 10_000_000),
    "steps": (steps.measure, 100_000_000),
    "serve": (serve.measure, 200_000_000),
    "training": (training.measure, 10_000_000),
    "synthesizer": (synthesis.measure, 10_000_000),
}
#: Options that a benchmark takes beside the number of rows.
OPTIONS = {
    "table": ("columns", "effort"),
    "resources": ("columns",),
    "peers": ("flights",),
    "billion": ("engine", "gpus"),
    "scaling": ("engine", "gpus", "partitions"),
    "samples": samples.OPTIONS,
    "tables": ("splits",),
}
#: Options that are refused where a benchmark does not take them.
REFUSED = ("engine", "partitions", "splits", *samples.OPTIONS)
CLOSENESS_ROWS = 1_000_000
STANDARD_OUTPUT = Path("-")
#: What measures nothing, or prints a text of its own.
TEXTS: dict[str, Callable[[argparse.Namespace], str]] = {
    "closeness": lambda options: "\n".join(closeness.text(options.rows or CLOSENESS_ROWS)),
    "pages": lambda _: "\n".join(f"wrote {path}" for path in pages.write()),
    "picture": lambda _: "\n".join(f"wrote {path}" for path in picture.draw()),
    "plan": lambda _: plan.text(),
}
OTHERS = (*TEXTS, "predict", "samples", "tables")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark, print its table, and append its JSON lines; a missed aim is shown, not raised."""
    options = parse(arguments)
    console = Console(width=None if Console().is_terminal else 150)
    if options.benchmark in TEXTS:
        print(TEXTS[options.benchmark](options))
        return 0
    if options.benchmark == "samples":
        return samples.run(options, console)
    if options.benchmark == "tables":
        return tables.run(options, console)
    if options.benchmark == "predict":
        return predict.run(Console(width=None if Console().is_terminal else 250), options.json)
    needs_gpu = options.benchmark == "gpu" or options.engine == "cuda"
    if needs_gpu and (problem := cuda_problem()) is not None:
        console.print(f"nothing is measured: {problem}")
        return 1
    measure, rows = BENCHMARKS[options.benchmark]
    machine = describe_machine()
    chosen = {name: getattr(options, name) for name in OPTIONS.get(options.benchmark, ())}
    measurements = measure(options.rows or rows, **{name: value for name, value in chosen.items() if value is not None})
    many = None if options.partitions is None else f"{options.partitions} partitions"
    title = ", ".join(
        filter(None, (options.benchmark, options.engine, many))
    )  # the pages take those of the default alone
    if options.json == STANDARD_OUTPUT:
        print(json.dumps(documents(title, machine, measurements)))
        return 0
    shown = peers_page.show if options.benchmark == "peers" else show
    shown(f"{title}: {machine_line(machine)}", measurements, console)
    if options.json is not None:
        append_lines(options.json, title, machine, measurements)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, *OTHERS])
    parser.add_argument("--rows", type=lambda text: int(float(text)), help="rows of the largest measurement")
    parser.add_argument("--columns", type=int, help="columns of the table (table; resources: at most)")
    parser.add_argument("--effort", choices=("research", "best"), help="how hard to fit (table)")
    parser.add_argument("--flights", type=lambda text: int(float(text)), help="rows that CTGAN is fitted on (peers)")
    parser.add_argument("--engine", choices=ENGINES, help="compute engine (billion: of the fit; scaling)")
    parser.add_argument("--gpus", type=int, help="GPUs, a worker each (billion, scaling; with --engine cuda)")
    parser.add_argument("--partitions", type=int, help="of a Dask frame, for what they cost the client (scaling)")
    parser.add_argument("--splits", type=int, help=f"of held-out rows of each column ({tables.SPLITS}; tables)")
    told = (
        "append JSON lines to this file, or print one JSON document instead of a table (samples: to benchmarks/results)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", nargs="?", const=STANDARD_OUTPUT, help=told)
    samples.add_options(parser)
    options = parser.parse_args(arguments)
    for name in REFUSED:
        if getattr(options, name) is not None and name not in OPTIONS.get(options.benchmark, ()):
            parser.error(f"{options.benchmark} has no --{name}")
    if options.gpus is not None and options.engine != "cuda":
        parser.error("--gpus is for --engine cuda")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
