"""Models, reports and runs as documents for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from gpuvgm.codecs import codec_document
from gpuvgm.columns import CategoricalColumn, ColumnModel, GeneralColumn, MixtureColumn, TableModel
from gpuvgm.console import speed
from gpuvgm.report.texts import counted, fitted_length_text, length_text, level_text, mean_text, modal_text, value_text

if TYPE_CHECKING:
    from gpuvgm import TableTransformer

LISTED_LEVELS = 10


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
    reasons = fitted.schema_.reasons
    columns = {column.name: column_document(column, reasons.get(column.name, "")) for column in model.columns}
    dropped = {spec.name: spec.reason for spec in fitted.schema_.columns if spec.kind == "drop"}
    return {"rows": model.rows, "seed": model.seed, "source": model.source, "columns": columns, "dropped": dropped}


def column_document(column: ColumnModel, reason: str) -> dict[str, Any]:
    """One fitted column."""
    fit = column.fit
    document = {
        "kind": column.kind,
        "reason": reason,
        "type": column.type,
        "rows": fit.rows,
        "missing": fit.missing,
        "fit": {part: getattr(fit, part) for part in type(fit).__dataclass_fields__},
    }
    if isinstance(column, MixtureColumn):
        return document | _range_document(column) | _mixture_document(column)
    if isinstance(column, GeneralColumn):
        ends = {"margin": column.margin, "clip": column.clip, "low": column.low, "high": column.high}
        return document | _range_document(column) | ends
    if isinstance(column, CategoricalColumn):
        apart = {"unknown": column.unknown, "declared": column.declared, "dictionary": column.dictionary}
        return document | apart | {"levels": levels(column)}
    return document


def _range_document(column: MixtureColumn | GeneralColumn) -> dict[str, Any]:
    ends = {"minimum": column.minimum, "maximum": column.maximum}
    texts = {f"{end}_text": value_text(column.codec, value) for end, value in ends.items()}
    return {**ends, **texts, "resolution": column.resolution, "codec": codec_document(column.codec)}


def _mixture_document(column: MixtureColumn) -> dict[str, Any]:
    return {
        "components": len(column.means),
        "modes": modes(column),
        "scale": column.rules.scale,
        "tails": column.rules.tails,
        "floor": column.rules.floor,
        "precision": column.rules.precision,
    }


def modes(column: MixtureColumn) -> list[dict[str, Any]]:
    """The cells of a column, in the order of its encoding; means and deviations of log columns are of logarithms."""
    active = column.active_components
    modal = len(column.modal_values)
    out: list[dict[str, Any]] = []
    for cell, (index, rows) in enumerate(zip(column.order, column.cell_counts, strict=True)):
        if index < modal:
            value = column.modal_values[index]
            out.append({"cell": cell, "modal_value": value, "text": modal_text(column.codec, value), "rows": int(rows)})
            continue
        k = int(active[index - modal])
        figures = {"mean": column.means[k], "sd": column.stds[k], "weight": column.weights[k]}
        out.append({"cell": cell, "component": k, **{name: float(value) for name, value in figures.items()}})
        out[-1]["rows"] = int(rows)
    return out


def levels(column: CategoricalColumn) -> list[dict[str, Any]]:
    """The levels of a column, by falling frequency; `first_row` is -1 for those that did not occur."""
    texts = (level_text(column.type, level) for level in column.levels)
    parts = zip(column.levels, texts, column.counts, column.first_rows, strict=True)
    return [
        {"cell": cell, "level": level, "text": text, "rows": rows, "first_row": first}
        for cell, (level, text, rows, first) in enumerate(parts)
    ]


def model_tables(fitted: TableTransformer) -> list[Table]:
    """What the columns are and why, what they hold, and how they were fitted; one line a column in each table."""
    columns = list(fitted.columns_.values())
    tables = [_kinds_table(fitted)]
    numbers = [column for column in columns if isinstance(column, (MixtureColumn, GeneralColumn))]
    if numbers:
        tables.append(_ranges_table(numbers))
    mixtures = [column for column in columns if isinstance(column, MixtureColumn)]
    if mixtures:
        tables.append(_fits_table(mixtures))
    return tables


def _kinds_table(fitted: TableTransformer) -> Table:
    table = _table("column", "type", "kind", "rows", "missing", "why this kind", loose=("type", "why this kind"))
    for spec in fitted.schema_.columns:
        column = fitted.columns_.get(spec.name)
        held = ("", spec.kind, "", "")
        if column is not None:
            held = (column.type, column.kind, f"{column.fit.rows:,}", f"{column.fit.missing:,}")
        table.add_row(spec.name, *held, spec.reason)
    return table


def _ranges_table(columns: Iterable[MixtureColumn | GeneralColumn]) -> Table:
    table = _table("column", "minimum", "maximum", "resolution", loose=("minimum", "maximum"))
    for column in columns:
        ends = (value_text(column.codec, end) for end in (column.minimum, column.maximum))
        table.add_row(column.name, *ends, length_text(column.type, column.resolution, 3))
    return table


def _fits_table(columns: Iterable[MixtureColumn]) -> Table:
    table = _table("column", "modes", "fit", "fit error")
    for column in columns:
        fit = column.fit
        stopped = f"{fit.algorithm}, {fit.effort}, {fit.iterations} it., {'' if fit.converged else 'not '}conv."
        table.add_row(
            column.name,
            f"{np.count_nonzero(column.active)} of {len(column.means)}",
            stopped if column.mixture else "no ordinary value",
            number(fit.fit_error, 2),
        )
    return table


def modes_tables(fitted: TableTransformer) -> list[Table]:
    """One line a mode of continuous and mixed columns, and one a level of categorical ones, the first ten of them."""
    columns = list(fitted.columns_.values())
    mixtures = [column for column in columns if isinstance(column, MixtureColumn)]
    categorical = [column for column in columns if isinstance(column, CategoricalColumn)]
    return [_modes_table(mixtures)] * bool(mixtures) + [_levels_table(categorical)] * bool(categorical)


def _modes_table(columns: Iterable[MixtureColumn]) -> Table:
    table = _table("column", "cell", "mean or modal value", "sd", "weight", "rows", loose=("mean or modal value",))
    for column in columns:
        for mode in modes(column):
            figures = (mode.get("text", ""), "", "")
            if "mean" in mode:
                figures = (
                    mean_text(column, mode["mean"], mode["sd"]),
                    fitted_length_text(column, mode["sd"], 6),
                    f"{mode['weight']:.4f}",
                )
            table.add_row(column.name if mode["cell"] == 0 else "", str(mode["cell"]), *figures, f"{mode['rows']:,}")
        table.add_section()
    return table


def _levels_table(columns: Iterable[CategoricalColumn]) -> Table:
    table = _table("column", "level", "rows", "share", loose=("level",))
    for column in columns:
        for level in levels(column)[:LISTED_LEVELS]:
            share = f"{100 * level['rows'] / max(column.fit.rows, 1):.2f} %"
            table.add_row(column.name if level["cell"] == 0 else "", level["text"], f"{level['rows']:,}", share)
        if column.width > LISTED_LEVELS:
            table.add_row("", f"and {column.width - LISTED_LEVELS:,} more", "", "")
        table.add_section()
    return table


def lines_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """Any small table; all columns but the first are set to the right."""
    table = _table(*titles)
    for line in lines:
        table.add_row(*line)
    return table


def _table(*titles: str, loose: Sequence[str] = ()) -> Table:
    """A table in which only names, and what stands under the `loose` titles, may be broken."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        left = i == 0 or title == "why this kind"
        table.add_column(
            title, justify="left" if left else "right", overflow="fold", no_wrap=i > 0 and title not in loose
        )
    return table


def number(value: float | None, digits: int = 6) -> str:
    """A number for people."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def training_rows(model: TableModel) -> str:
    """How many rows a model was fitted on, and of how many they were a sample."""
    sample = model.source.get("sample")
    if not isinstance(sample, dict):
        return counted(model.rows, "row")
    total = "an unknown number" if sample.get("of") is None else f"{sample['of']:,}"
    return f"a sample of {model.rows:,} of {total} rows"


def size(count: int) -> str:
    """Bytes for people."""
    value, units = float(count), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
