"""Models, reports and runs as documents for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.filesize import decimal
from rich.table import Table

from gpuvgm.cli.record import speed
from gpuvgm.columns import CategoricalColumn, GeneralColumn, MixtureColumn, TableModel, TableSchema
from gpuvgm.errors import counted

if TYPE_CHECKING:
    from gpuvgm.table import RunSummary

LISTED_CATEGORIES = 10
_UNSEEN = {
    "outside": "outside the training range",
    "clipped": "clipped",
    "off_step": "off the step",
    "unknown": "in unseen categories",
    "infrequent": "in infrequent categories",
}


def run_document(run: RunSummary) -> dict[str, Any]:
    """A `RunSummary` as a document."""
    return {part: getattr(run, part) for part in ("path", "rows", "bytes", "columns", "seconds", "unseen", "parts")}


def run_line(run: RunSummary) -> str:
    """A `RunSummary` as one line."""
    seconds = f"{run.seconds:.2f} s, {speed(run.rows, run.seconds)}"
    return f"{run.path}: {counted(run.rows, 'row')}, {decimal(run.bytes)}, {seconds}"


def unseen_lines(run: RunSummary) -> list[str]:
    """Values that the fit had not seen, one line for each column."""
    return [
        f"{column}: {', '.join(f'{rows:,} {_UNSEEN[sort]}' for sort, rows in sorts.items())}"
        for column, sorts in run.unseen.items()
    ]


def model_tables(model: TableModel) -> list[Table]:
    """Tables of a model with one line for each column: kinds and reasons, ranges, and fits."""
    tables = [_kinds_table(model)]
    if model.numeric:
        tables.append(_ranges_table(model.numeric))
    if model.mixtures:
        tables.append(_fits_table(model.mixtures))
    return tables


def kinds_table(schema: TableSchema) -> Table:
    """Table of the columns of a schema: kind, and why."""
    table = _table("column", "kind", "why this kind", loose=("why this kind",))
    for spec in schema.columns:
        table.add_row(spec.name, spec.kind, spec.reason)
    return table


def _kinds_table(model: TableModel) -> Table:
    columns = model.by_name
    table = _table("column", "type", "kind", "rows", "missing", "why this kind", loose=("type", "why this kind"))
    for spec in model.schema.columns:
        column = columns.get(spec.name)
        cells = ("", spec.kind, "", "")
        if column is not None:
            cells = (str(column.row_type), column.kind, f"{column.fit.rows:,}", f"{column.fit.missing:,}")
        table.add_row(spec.name, *cells, spec.reason)
    return table


def _ranges_table(columns: Iterable[MixtureColumn | GeneralColumn]) -> Table:
    table = _table("column", "minimum", "maximum", "resolution", loose=("minimum", "maximum"))
    for column in columns:
        ends = map(column.codec.value_text, (column.minimum, column.maximum))
        table.add_row(column.name, *ends, column.codec.plain.length_text(column.resolution, 3))
    return table


def _fits_table(columns: Iterable[MixtureColumn]) -> Table:
    table = _table("column", "modes", "fit", "fit error")
    for column in columns:
        fit = column.fit
        outcome = f"{fit.algorithm}, {fit.effort}, {counted(fit.iterations, 'iteration')}"
        outcome += ", not converged" if fit.stopped_early else ""
        table.add_row(
            column.name,
            f"{np.count_nonzero(column.active)} of {len(column.means)}",
            outcome if column.mixture else "no mixture",
            "" if fit.fit_error is None else f"{fit.fit_error:.2g}",
        )
    return table


def modes_tables(model: TableModel) -> list[Table]:
    """Tables with one line for each mode, and for each of the first ten categories."""
    mixtures, categorical = model.mixtures, model.categorical
    return [_modes_table(mixtures)] * bool(mixtures) + [_categories_table(categorical)] * bool(categorical)


def _modes_table(columns: Iterable[MixtureColumn]) -> Table:
    table = _table("column", "mode", "mean or modal value", "sd", "weight", "rows", loose=("mean or modal value",))
    for column in columns:
        for mode in column.describe_codes():
            figures = (mode.get("text", ""), "", "")
            if "mean" in mode:
                figures = (
                    column.codec.mean_text(mode["mean"], mode["sd"]),
                    column.codec.length_text(mode["sd"], 6),
                    f"{mode['weight']:.4f}",
                )
            table.add_row(column.name if mode["code"] == 0 else "", str(mode["code"]), *figures, f"{mode['rows']:,}")
        table.add_section()
    return table


def _categories_table(columns: Iterable[CategoricalColumn]) -> Table:
    table = _table("column", "category", "rows", "share", loose=("category",))
    for column in columns:
        for position, category in enumerate(column.describe_codes()[:LISTED_CATEGORIES]):
            share = f"{100 * category['rows'] / max(column.fit.rows, 1):.2f} %"
            table.add_row("" if position else column.name, category["text"], f"{category['rows']:,}", share)
        if len(column.categories) > LISTED_CATEGORIES:
            table.add_row("", f"and {len(column.categories) - LISTED_CATEGORIES:,} more", "", "")
        table.add_section()
    return table


def lines_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """A small table; columns but the first are aligned right."""
    table = _table(*titles)
    for line in lines:
        table.add_row(*line)
    return table


def _table(*titles: str, loose: Sequence[str] = ()) -> Table:
    """A table in which only names, and columns with `loose` titles, may wrap."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        is_text = i == 0 or title == "why this kind"
        table.add_column(
            title, justify="left" if is_text else "right", overflow="fold", no_wrap=i > 0 and title not in loose
        )
    return table


def count_rows_of(model: TableModel) -> str:
    """Describe the rows that a model was fitted on, and how many rows they were sampled from."""
    sample = model.source.get("sample")
    if not isinstance(sample, dict):
        return counted(model.rows, "row")
    total = "an unknown number of" if sample.get("of") is None else f"{sample['of']:,}"
    return f"a sample of {model.rows:,} of {total} rows"
