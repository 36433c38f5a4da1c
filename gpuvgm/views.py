"""Models, reports and runs as documents for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from gpuvgm.console import speed

if TYPE_CHECKING:
    from gpuvgm import TableTransformer
    from gpuvgm.model import ColumnModel


def run_document(run: Any) -> dict[str, Any]:
    """A `RunSummary` or a `GeneratedFile`."""
    parts = ("path", "rows", "bytes", "columns", "seconds")
    return {part: getattr(run, part) for part in parts if hasattr(run, part)}


def run_line(run: Any, seconds: float) -> str:
    """The same as one line."""
    return f"{run.path}: {counted(run.rows, 'row')}, {size(run.bytes)}, {seconds:.2f} s, {speed(run.rows, seconds)}"


def model_document(fitted: TableTransformer) -> dict[str, Any]:
    """A fitted model."""
    model = fitted.model_
    reasons = {spec.name: spec.reason for spec in fitted.schema_.columns}
    columns = {column.name: column_document(column, reasons.get(column.name, "")) for column in model.columns}
    return {"rows": model.rows, "seed": model.seed, "source": model.source, "columns": columns}


def column_document(column: ColumnModel, reason: str) -> dict[str, Any]:
    """One fitted column."""
    fit = column.fit
    return {
        "kind": column.kind,
        "reason": reason,
        "type": column.codec.type,
        "rows": fit.rows,
        "missing": fit.missing,
        "components": len(column.means),
        "modes": modes(column),
        "minimum": column.minimum,
        "maximum": column.maximum,
        "resolution": column.resolution,
        "scale": column.rules.scale,
        "tails": column.rules.tails,
        "floor": column.rules.floor,
        "fit": {part: getattr(fit, part) for part in type(fit).__dataclass_fields__},
    }


def modes(column: ColumnModel) -> list[dict[str, Any]]:
    """The cells of a column, in the order of its encoding."""
    active = column.active_components
    modal = len(column.modal_values)
    out: list[dict[str, Any]] = []
    for cell, index in enumerate(column.order):
        if index < modal:
            out.append({"cell": cell, "modal_value": column.modal_values[index]})
            continue
        k = int(active[index - modal])
        figures = {"mean": column.means[k], "sd": column.stds[k], "weight": column.weights[k]}
        out.append({"cell": cell, "component": k, **{name: float(value) for name, value in figures.items()}})
    return out


def columns_tables(columns: Iterable[ColumnModel]) -> list[Table]:
    """What the columns hold, and how they were fitted; one line a column in each table."""
    held = _table("column", "type", "kind", "rows", "missing", "minimum", "maximum")
    fitted = _table("column", "modes", "resolution", "fit", "fit error")
    for column in columns:
        fit = column.fit
        bounds = (number(column.minimum), number(column.maximum))
        held.add_row(column.name, column.codec.type, column.kind, f"{fit.rows:,}", f"{fit.missing:,}", *bounds)
        stopped = f"{fit.algorithm}, {fit.effort}, {fit.iterations} it., {'' if fit.converged else 'not '}conv."
        fitted.add_row(
            column.name,
            f"{np.count_nonzero(column.active)} of {len(column.means)}",
            number(column.resolution, 3),
            stopped if column.mixture else "no ordinary value",
            number(fit.fit_error, 2),
        )
    return [held, fitted]


def modes_table(columns: Iterable[ColumnModel]) -> Table:
    """One line a mode."""
    table = _table("column", "cell", "mean", "sd", "weight")
    for column in columns:
        for mode in modes(column):
            if "mean" in mode:
                figures = (number(mode["mean"]), number(mode["sd"]), f"{mode['weight']:.4f}")
            else:
                figures = ("missing", "", "")
            table.add_row(column.name if mode["cell"] == 0 else "", str(mode["cell"]), *figures)
        table.add_section()
    return table


def lines_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """Any small table; all columns but the first are set to the right."""
    table = _table(*titles)
    for line in lines:
        table.add_row(*line)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):  # only names may be broken
        table.add_column(title, justify="left" if i == 0 else "right", overflow="fold", no_wrap=i > 0)
    return table


def number(value: float | None, digits: int = 6) -> str:
    """A number for people."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def counted(count: int, word: str) -> str:
    """So many of something."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def size(count: int) -> str:
    """Bytes for people."""
    value, units = float(count), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
