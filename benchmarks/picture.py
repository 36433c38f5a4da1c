"""The pictures of README and documentation, but that of docs/peers.md: ``python -m benchmarks picture`` draws them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import gpuvgm
from benchmarks.inputs import COLUMN, amounts
from benchmarks.machine import ROOT
from benchmarks.plan import newest
from benchmarks.public_tables import real_table
from gpuvgm.columns import MixtureColumn
from gpuvgm.report import Comparison

DOCS = ROOT / "docs"
ROWS = 100_000  # of generated amounts
POINTS = 5_000  # of each table in a scatter plot
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def draw(folder: Path = DOCS, names: Iterable[str] | None = None) -> list[Path]:
    """Draw pictures; the same bytes whenever the versions are the same.

    Parameters
    ----------
    folder : Path
        Where they are written to.
    names : iterable of str, optional
        Names without an ending, of `PICTURES`; by default all.

    Returns
    -------
    list of Path
        The pictures.
    """
    import matplotlib

    matplotlib.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PICTURES if names is None else names:
        paths.append(folder / f"{name}.svg")
        style = {"svg.hashsalt": "gpuvgm", "svg.fonttype": "path", "savefig.dpi": 120}
        with matplotlib.rc_context(style):
            PICTURES[name]().savefig(paths[-1], metadata={"Date": None})
    return paths


def modes(rows: int = ROWS) -> Any:
    """A generated column and its modes."""
    transformer = gpuvgm.TableTransformer().fit({COLUMN: amounts(rows)})
    column = transformer.columns_[COLUMN]
    assert isinstance(column, MixtureColumn)
    ax: Any = column.plot(rows=transformer.summaries_[COLUMN])
    ax.set_title(f"{rows:,} generated payment amounts and their modes", loc="left", fontsize="medium")
    return ax.figure


def synthetic() -> Any:
    """Diamonds beside those of a sample: prices by carats and clarity."""
    from matplotlib import pyplot

    table = real_table("diamonds", "ggplot2")
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    rows = {"real": table.sample(POINTS, random_state=0), "synthetic": synthesizer.sample(POINTS)}
    clarities = "I1 SI2 SI1 VS2 VS1 VVS2 VVS1 IF".split()  # from the worst to the best
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
    for ax, (title, frame) in zip(axes, rows.items(), strict=True):
        colours = np.searchsorted(np.arange(len(clarities)), frame["clarity"].astype(str).map(clarities.index))
        points = ax.scatter(
            frame["carat"], frame["price"], c=colours, s=3, cmap="viridis", linewidths=0, rasterized=True
        )
        ax.set(xscale="log", yscale="log", xlabel="carat", title=f"{POINTS:,} {title} diamonds")
        ax.set_xticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
        ax.set_yticks([500, 1500, 5000, 15_000], ["500", "1,500", "5,000", "15,000"])
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("price, $")
    bar = figure.colorbar(points, ax=axes, label="clarity", pad=0.01)
    bar.set_ticks(range(len(clarities)), labels=clarities)
    return figure


def compared() -> Any:
    """What the comparison of the tutorial shows."""
    return tutorial_comparison().plot()[0].figure


def joint() -> Any:
    """Two columns of the first example on how to synthesize a table."""
    names: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        exec(blocks("how-to/synthesize.md")[0], names)
    comparison = names["synthesizer"].evaluate(names["table"])
    return comparison.plot_pair("age", "income")[0].figure


@cache
def tutorial_comparison() -> Comparison:
    """The tutorial's table, compared with a sample of it."""
    make_table, in_python = blocks("tutorial.md")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        exec(make_table, {})
        names: dict[str, Any] = {}
        exec(in_python.partition("rows =")[0], names)
        return names["synthesizer"].evaluate("orders.csv")


def blocks(page: str) -> list[str]:
    """The Python that a page of the documentation shows."""
    return _PYTHON.findall((DOCS / page).read_text(encoding="utf-8"))


def steps() -> Any:
    """Seconds by rows of the steps that docs/explanation/steps.md tells of, as they are committed."""
    from matplotlib import pyplot

    found: dict[str, dict[int, float]] = {}
    for document in map(json.loads, newest("results")):
        if document["benchmark"] == "steps" and (whole := document["details"].get("whole")):
            found.setdefault(document["case"], {})[document["rows"]] = whole
    figure, ax = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for number, (name, seconds) in enumerate(found.items(), 1):
        ax.loglog([*seconds], [*seconds.values()], "o-", label=f"{number}. {name}")
    ax.set(xlabel="rows", ylabel="seconds of one core for fit, transform and inverse")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


PICTURES: dict[str, Callable[[], Any]] = {
    "modes": modes, "synthetic": synthetic, "compared": compared, "joint": joint, "steps": steps,
}  # fmt: skip
