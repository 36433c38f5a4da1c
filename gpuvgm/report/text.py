"""A report's figures as text for people, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

from rich.cells import cell_len, chop_cells

from gpuvgm.report.figures import (
    MEASURES,
    SHARE_NAMES,
    SHARES,
    CategoryFigures,
    ColumnFigures,
    Description,
    NumberFigures,
    Overall,
    ValueCount,
    measures_of,
)
from gpuvgm.report.measures import Measure, percent_text

WIDTH = 80
LEAST_ROOM = 12  # for names; wide quantiles are left out to keep it
WIDE = 16
LISTED = 5  # categories and modal values of a column
GAP = "  "

Row = tuple[str, Sequence[str]]  # a name, and the cells beside it

_CHOICES = ((0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0), (0.0, 0.05, 0.5, 0.95, 1.0), (0.0, 0.5, 1.0), (0.0, 1.0), (0.5,))


def head_text(verdict: str, facts: str) -> str:
    """First lines of a report's text: the verdict, and the facts of the run, which may be empty."""
    return "\n".join(fill(line, WIDTH) for line in (verdict, facts) if line)


def report_text(columns: Mapping[str, ColumnFigures]) -> str:
    """Tables of columns of numbers and of categories, with notes on the words in them."""
    numbers = {name: column for name, column in columns.items() if isinstance(column, NumberFigures)}
    categories = {name: column for name, column in columns.items() if isinstance(column, CategoryFigures)}
    parts: list[list[str]] = []
    if numbers:
        measures = measures_of(NumberFigures)
        parts += [*figures_tables(measures, numbers), *_moment_tables(numbers), *_quantile_tables(numbers)]
        parts += [_modal_shares(numbers), notes_on(measures)]
    if categories:
        measures = measures_of(CategoryFigures)
        parts += [*figures_tables(measures, categories), _category_shares(categories), notes_on(measures)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def figures_table(measures: Sequence[Measure], columns: Mapping[str, Any]) -> list[str]:
    """Lines of a table of some measures of each column."""
    rows = [(name, [measure.text(column) for measure in measures]) for name, column in columns.items()]
    return aligned([measure.title for measure in measures], rows)


def figures_tables(measures: Sequence[Measure], columns: Mapping[str, Any]) -> list[list[str]]:
    """Lines of the tables that have the measures, in their order."""
    places = sorted({measure.table for measure in measures} - {0})
    return [figures_table([measure for measure in measures if measure.table == place], columns) for place in places]


def notes_on(measures: Sequence[Measure]) -> list[str]:
    """Lines that explain the titles of measures."""
    return [measure.note for measure in measures if measure.note]


def _description_pairs(columns: Mapping[str, NumberFigures]) -> Iterable[tuple[str, str, Description]]:
    """Yield descriptions of each column's values before and after; only the first has the column's name."""
    for name, column in columns.items():
        if column.before is not None and column.after is not None:
            yield name, "before", column.before
            yield "", "after", column.after


def overall_text(overall: Mapping[str, Overall], columns: int) -> list[str]:
    """The worst and the mean of every figure, where there is more than one column."""
    rows: list[Row] = []
    for name, of_all in overall.items():
        measure = MEASURES[name]
        rows.append((of_all.column, [measure.label, measure.unit.text(of_all.worst), measure.unit.text(of_all.mean)]))
    return ["\n".join(["the worst column, and the mean of all:", *aligned(["", "worst", "mean"], rows)])] * (
        columns > 1
    )


def _moment_tables(columns: Mapping[str, NumberFigures]) -> Iterable[list[str]]:
    """One table for columns of numbers, and one for those whose values take more room."""
    tables: dict[bool, list[Row]] = {False: [], True: []}
    for name, column in columns.items():
        pairs = list(_description_pairs({name: column}))
        is_wide = any(len(description.texts[0]) > WIDE for _, _, description in pairs)
        tables[is_wide] += [
            (
                label,
                [when, *description.texts[:2], _moment_text(description.skewness), _moment_text(description.kurtosis)],
            )
            for label, when, description in pairs
        ]
    return [aligned(["", "mean", "sd", "skewness", "kurtosis"], rows) for rows in tables.values() if rows]


def _moment_text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _quantile_tables(columns: Mapping[str, NumberFigures]) -> Iterable[list[str]]:
    """One table for all columns whose quantiles have room, and one for those that are wide."""
    columns_by_shares: dict[tuple[float, ...], dict[str, NumberFigures]] = {}
    for name, column in columns.items():
        if column.before is not None:
            fitting = (shares for shares in _CHOICES if _has_room(_quantile_rows({name: column}, shares)))
            columns_by_shares.setdefault(next(fitting, _CHOICES[-1]), {})[name] = column
    for shares, members in columns_by_shares.items():
        common_shares = next(
            (
                candidates
                for candidates in _CHOICES[_CHOICES.index(shares) :]
                if _has_room(_quantile_rows(members, candidates))
            ),
            shares,
        )
        titles = ["", *(SHARE_NAMES[share] for share in common_shares)]
        yield aligned(titles, _quantile_rows(members, common_shares))


def _quantile_rows(columns: Mapping[str, NumberFigures], shares: Sequence[float]) -> list[Row]:
    at = [2 + SHARES.index(share) for share in shares]
    return [
        (name, [when, *(description.texts[i] for i in at)]) for name, when, description in _description_pairs(columns)
    ]


def _has_room(rows: Sequence[Row]) -> bool:
    return _room([cells for _, cells in rows]) >= LEAST_ROOM


def _modal_shares(columns: Mapping[str, NumberFigures]) -> list[str]:
    rows = [row for name, column in columns.items() for row in _share_rows(name, column.modal, column.rows)]
    return aligned(["modal value", "before", "after"], rows) if rows else []


def _category_shares(columns: Mapping[str, CategoryFigures]) -> list[str]:
    rows: list[Row] = []
    for name, column in columns.items():
        rows += _share_rows(name, column.levels[:LISTED], column.rows)
        unlisted = column.level_count - min(LISTED, len(column.levels))
        if unlisted:
            rows.append(("", [f"and {unlisted:,} more", "", ""]))
    return aligned(["category", "before", "after"], rows) if rows else []


def _share_rows(name: str, counts: Sequence[ValueCount], rows: int) -> list[Row]:
    """Shares of values; the column's name stands in the first line only."""
    total = max(rows, 1)
    return [
        (
            name if i == 0 else "",
            [count.text, percent_text(count.rows_before / total), percent_text(count.rows_after / total)],
        )
        for i, count in enumerate(counts)
    ]


def first_names(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def by_width(widths: Mapping[str, int]) -> list[str]:
    """Columns of a table, those with the most columns of the one-hot matrix first."""
    return sorted(widths, key=lambda name: (widths[name], name), reverse=True)


def aligned(titles: Sequence[str], rows: Sequence[Row], heading: str = "column") -> list[str]:
    """Lines of a table with the names on the left, broken where they are too long for it."""
    cells = [titles, *(figures_of_row for _, figures_of_row in rows)]
    names = [heading, *(name for name, _ in rows)]
    widths, room = _widths(cells), max(2, _room(cells))  # a letter of some scripts takes two places
    name_pieces = [chop_cells(name, room) or [""] for name in names]
    wide = max(cell_len(pieces[-1]) for pieces in name_pieces)
    lines = []
    for (*first_pieces, last_piece), row in zip(name_pieces, cells, strict=True):
        figures = "".join(GAP + " " * (width - cell_len(text)) + text for text, width in zip(row, widths, strict=True))
        lines += [*first_pieces, last_piece + " " * (wide - cell_len(last_piece)) + figures]
    return lines


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))]


def _room(cells: Sequence[Sequence[str]]) -> int:
    """Columns of text that are left for names."""
    return WIDTH - sum(width + len(GAP) for width in _widths(cells)) if cells else WIDTH
