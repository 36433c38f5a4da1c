"""Reports of fits for people: rows, kinds with reasons, steps, modes, widths and seconds."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import FittedColumn, TableModel, html_table
from gpuvgm.errors import counted, declaration, listed
from gpuvgm.io import is_text_type
from gpuvgm.report import aligned, widths_line

WIDE, NARROW = 1_000, 20  # columns of a matrix that are always, and never, too many
ROWS_PER_COLUMN = 5
MOST_NAMED = 20  # columns that a warning names
CODE_NAME = re.compile(r"(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))(?i:id|code|zip|zipcode|postal|postcode)$")


@dataclass(frozen=True, slots=True)
class ColumnFitReport:
    """Report of the fit of one column.

    Parameters
    ----------
    kind, reason : str
        Its kind, and why it has it.
    width : int
        Columns of the one-hot matrix.
    modes, tail_modes, modal_values : int
        One-hot columns of components, of tails, and of values of their own; all 0 where there is no mixture.
    step : str
        What all values are multiples of, as text; "" where there is no such step.
    scale : str
        The function that was fitted; "" for the values themselves.
    missing : int
        Training rows without a value.
    """

    kind: str
    reason: str
    width: int
    modes: int
    tail_modes: int
    modal_values: int
    step: str
    scale: str
    missing: int

    @classmethod
    def of(cls, column: FittedColumn, reason: str) -> ColumnFitReport:
        """The record of a fitted column."""
        codec, mixture = getattr(column, "codec", None), getattr(column, "mixture", None)
        modal = len(getattr(column, "modal_values", ())) if column.has_scalar and column.has_codes else 0
        return cls(
            kind=column.kind,
            reason=reason,
            width=column.has_scalar + column.width,
            modes=0 if mixture is None else int(np.count_nonzero(mixture.active)),
            tail_modes=0 if mixture is None else len(mixture.tails),
            modal_values=modal,
            step="" if codec is None else codec.step_text,
            scale="" if codec is None else codec.formula,
            missing=column.fit.missing,
        )


@dataclass(frozen=True, slots=True, repr=False)
class FitReport:
    """Report of a fit; `str` gives a table, notebooks show it as HTML.

    Parameters
    ----------
    rows : int
        Training rows.
    width : str
        How wide the one-hot matrix is, and because of which columns.
    columns : dict of str to ColumnFitReport
        The columns, in the table's order.
    dropped : dict of str to str
        Columns that take no part, with the reason.
    seconds : dict of str to float
        Seconds by stage; empty for a model that was loaded.
    engine : str
        The engine that fitted, and why it was taken; empty for a model that was loaded.
    laws : tuple of str
        Laws between columns, which samples keep.
    proposals : tuple of str
        What might be declared otherwise, such as keys.
    """

    rows: int
    width: str
    columns: Mapping[str, ColumnFitReport]
    dropped: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)
    engine: str = ""
    laws: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: TableModel, seconds: Mapping[str, float], engine: str) -> FitReport:
        """The record of a fitted table."""
        reasons = model.schema.reasons
        columns = {column.name: ColumnFitReport.of(column, reasons.get(column.name, "")) for column in model.columns}
        dropped = {spec.name: spec.reason for spec in model.schema.columns if spec.kind == "drop"}
        return cls(model.rows, widths_line(model.widths), columns, dropped, dict(seconds), engine)

    def to_dict(self) -> dict[str, Any]:
        """The report as a dict that JSON can hold."""
        return asdict(self)

    @property
    def _lines(self) -> list[str]:
        """Sentences above the table."""
        times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in self.seconds.items())
        by = f" by the engine {self.engine}" if self.engine else ""
        return [f"fitted on {counted(self.rows, 'row')}{by}{f': {times}' if times else ''}", *self.notes]

    @property
    def notes(self) -> list[str]:
        """How wide the matrix is, which columns take no part, which laws there are, and what might be declared."""
        dropped = [f"dropped: {', '.join(self.dropped)}"] * bool(self.dropped)
        return [self.width, *dropped, *[f"laws: {'; '.join(self.laws)}"] * bool(self.laws), *self.proposals]

    @property
    def _table(self) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Titles, and the cells of each column, without figures that no column has; scales by their functions."""
        columns = self.columns.values()
        figures = {
            "kind": [column.kind for column in columns],
            "width": [str(column.width or "") for column in columns],
            "modes": [str(column.modes or "") for column in columns],
            "tails": [str(column.tail_modes or "") for column in columns],
            "modal": [str(column.modal_values or "") for column in columns],
            "step": [column.step for column in columns],
            "scale": [column.scale.partition("(")[0] for column in columns],
        }
        figures = {title: cells for title, cells in figures.items() if any(cells)}
        rows = zip(*figures.values(), strict=True)
        return [*figures], [(name, [*cells]) for name, cells in zip(self.columns, rows, strict=True)]

    @property
    def table(self) -> str:
        """One line a column: kind, width, modes, step and scale."""
        return "\n".join(aligned(*self._table))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: fitted on {counted(self.rows, 'row')}; {self.width}>"

    def __str__(self) -> str:
        reasons = [f"{name}: {column.reason}" for name, column in self.columns.items() if column.reason]
        return "\n\n".join(filter(None, ("\n".join(self._lines), self.table, "\n".join(reasons))))

    def _repr_html_(self) -> str:
        """The report as HTML, for notebooks."""
        titles, rows = self._table
        reasons = [self.columns[name].reason for name, _ in rows]
        table = [(name, *cells, reason) for (name, cells), reason in zip(rows, reasons, strict=True)]
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self._lines)
        return lines + html_table(["column", *titles, "reason"], table)


CausedWarning = tuple[str, tuple[str, ...]]  # a warning, and what it is about


def warnings_of(model: TableModel) -> list[CausedWarning]:
    """Warnings of choices that the user may not want, each with its remedy."""
    kinds = '"id", "pass" or "drop"'
    return [*_column_warnings(model, kinds, (), are_samples=False), *_network_warnings(model, '"pass" or "drop"')]


def warnings_of_samples(model: TableModel, skip: Collection[str], *, network: bool) -> list[CausedWarning]:
    """Warnings of a generator, whose samples have no values of passthrough columns.

    Columns in `skip` are named by another warning. Warnings of scalars and widths are for networks: a generator from
    counts has bins instead.
    """
    network_warnings = _network_warnings(model, '"drop"') if network else ()
    return [*_column_warnings(model, '"id" or "drop"', skip, are_samples=True), *network_warnings]


def warnings_of_modes(model: TableModel) -> list[CausedWarning]:
    """Warnings of columns of the compact layout that an estimator after the transformer misreads."""
    modes = [name for column in model.encoded if column.width > 1 for name in column.compact_names()[-1:]]
    remark = 'numbers of modes, which an estimator takes for quantities: give layout="onehot"'
    return [(f"{listed(modes, 3)}: {remark}", ("modes", *model.names))] if modes else []


def _column_warnings(model: TableModel, kinds: str, skip: Collection[str], *, are_samples: bool) -> list[CausedWarning]:
    """Warnings for any model; `kinds` are those to declare for columns that it should not learn."""
    inferred = [spec for spec in model.schema.columns if not spec.is_declared]
    reasons = {spec.name: spec.reason for spec in inferred}
    word_columns = {column.name for column in model.numeric if column.codec.plain.word_values}
    integer_columns = [column.name for column in model.numeric if pa.types.is_integer(column.decoded_type)]
    codes = {*filter(CODE_NAME.search, integer_columns)}  # movie_id, movieId or ZIP, whose size says nothing
    unseen = {spec.name: spec.kind for spec in inferred if spec.kind in ("id", "pass") and spec.name not in skip}
    unseen_texts = [name for name, kind in unseen.items() if kind == "pass" and is_text_type(model[name].decoded_type)]
    remaining_kinds = kinds
    if "id" in unseen.values():  # it is one already
        remaining_kinds = kinds.removeprefix('"id"').lstrip(", ").removeprefix("or ")
    texts = [
        _warning(
            _among(reasons, unseen),
            "the model does not see",
            f"declare their kind, {_key_of(unseen_texts) * are_samples}or {remaining_kinds} if that is meant",
        ),
        _warning(
            _among(reasons, word_columns),
            "words among values are kept as words:",
            "name those that mean a missing value in na_values",
        ),
        _warning(
            _among(reasons, codes),
            "by their names these numbers may be codes:",
            f'declare the kind "categorical", {_key_of(_among(reasons, codes)) * are_samples}{kinds} if they are',
        ),
    ]
    return [warning for warning in texts if warning[0]]


def _network_warnings(model: TableModel, kinds: str) -> list[CausedWarning]:
    """Warnings of the columns that a network sees."""
    width, names = model.onehot_width, model.schema.names
    scalars = {column.name: column for column in model.categorical if column.encoding == "interval"}
    reasons = {
        spec.name: spec.reason.removesuffix(f"; {scalars[spec.name].encoding_reason}")
        for spec in model.schema.columns
        if spec.name in scalars and not spec.is_declared
    }
    remedy = f'declare max_categories, encoding="onehot" or the kind {kinds}'
    texts = [_warning(reasons, "one scalar stands for all categories of", remedy)] if reasons else []
    if width == 0:
        texts.append((f"{widths_line(model.widths)}: a network learns nothing of the table", ("width", *names)))
    elif width > min(WIDE, max(NARROW, model.rows // ROWS_PER_COLUMN)):
        texts.append((f"{widths_line(model.widths)}: declare the kind {kinds}, or max_categories", ("width", *names)))
    return texts


def _key_of(names: Collection[str]) -> str:
    """What makes new values of these columns, as part of a list of remedies; empty without columns."""
    return f"{declaration(names, {'key': True})} for new ones that come back in as many rows, " if names else ""


def _among(reasons: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The reasons of some columns, in the table's order."""
    return {name: reason for name, reason in reasons.items() if name in names}


def _warning(reasons: Mapping[str, str], statement: str, remedy: str) -> CausedWarning:
    """A warning: a statement on some columns with the reasons of each, and the remedy; "" without columns."""
    texts = [f"{listed([name])} ({reason})" for name, reason in reasons.items()]
    suffix = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    text = f"{statement} {', '.join(texts[:MOST_NAMED])}{suffix}: {remedy}" if texts else ""
    return text, (statement, *reasons)
