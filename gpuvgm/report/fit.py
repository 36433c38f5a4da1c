"""Reports of fits for people: rows, kinds with reasons, steps, modes, widths and seconds."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from gpuvgm.columns import FittedColumn, TableModel, html_table
from gpuvgm.errors import counted
from gpuvgm.report.measures import Measure, ReportPart, Unit
from gpuvgm.report.text import figures_table

FEW = 3  # columns of which a note names each; of more it says how many they are
_WORDS = Unit(str, str)
_COUNT = Unit(lambda count: str(count or ""), str)  # nothing in the place of 0


@dataclass(frozen=True, slots=True)
class ColumnFitReport(ReportPart):
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
    iterations : int
        Iterations of EM; 0 where there is no mixture.
    converged : bool
        Whether EM converged; true where there is no mixture.
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
    iterations: int = 0
    converged: bool = True
    MEASURES: ClassVar[Sequence[Measure]] = (
        Measure("kind", "kind", _WORDS),
        Measure("width", "width", _COUNT),
        Measure("modes", "modes", _COUNT),
        Measure("tail_modes", "tails", _COUNT),
        Measure("modal_values", "modal", _COUNT),
        Measure("step", "step", _WORDS),
        Measure("scale_name", "scale", _WORDS),
    )

    @property
    def scale_name(self) -> str:
        """The function that was fitted, without its parameters."""
        return self.scale.partition("(")[0]

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
            iterations=column.fit.iterations,
            converged=not column.fit.stopped_early,
        )


@dataclass(frozen=True, slots=True, repr=False)
class FitReport(ReportPart):
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
        What the laws leave open, and what might be declared otherwise, such as keys.
    unconverged : str
        The columns whose EM did not converge, with iterations and bound, in a sentence; empty if there are none.
    parts : tuple of dict
        The parts that the rows were read in, 1,024 at most: `part` (the file), `first_row`, `rows`, and the `seconds`
        that one thread took for it; on a cluster the `worker`. Empty for a model that was loaded.
    """

    rows: int
    width: str
    columns: Mapping[str, ColumnFitReport]
    dropped: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)
    engine: str = ""
    laws: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    unconverged: str = ""
    parts: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(
        cls, model: TableModel, seconds: Mapping[str, float], engine: str, parts: Sequence[Mapping[str, Any]]
    ) -> FitReport:
        """The record of a fitted table."""
        reasons = model.schema.reasons
        columns = {column.name: ColumnFitReport.of(column, reasons.get(column.name, "")) for column in model.columns}
        dropped = {spec.name: spec.reason for spec in model.schema.columns if spec.kind == "drop"}
        widths = model.describe_widths(model.widths)
        unconverged = model.describe_unconverged({column.name: column.fit for column in model.columns})
        return cls(
            model.rows, widths, columns, dropped, dict(seconds), engine, unconverged=unconverged, parts=tuple(parts)
        )

    @property
    def _lines(self) -> list[str]:
        """Sentences above the table."""
        times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in self.seconds.items())
        by = f" by the engine {self.engine}" if self.engine else ""
        fitted = f"fitted on {counted(self.rows, 'row')}{by}{f': {times}' if times else ''}"
        return [fitted, *self._slowest_part, *self.notes]

    @property
    def _slowest_part(self) -> list[str]:
        """How long the parts took, where there are several."""
        if len(self.parts) < 2:
            return []
        slowest = max(self.parts, key=lambda part: part["seconds"])
        average = sum(part["seconds"] for part in self.parts) / len(self.parts)
        by = f" by {slowest['worker']}" if "worker" in slowest else ""
        at = f"row {slowest['first_row']:,} on ({slowest['part']}){by}"
        return [f"{len(self.parts):,} parts: {average:.3f} s on average, {slowest['seconds']:.3f} s from {at}"]

    @property
    def notes(self) -> list[str]:
        """Widths, dropped columns, fits that did not converge, laws, and what might be declared."""
        dropped = [f"dropped: {', '.join(self.dropped)}"] * bool(self.dropped)
        unconverged = sum(not column.converged for column in self.columns.values())
        are_few = unconverged <= FEW
        return [
            self.width if are_few else f"{self.width}; EM did not converge in {unconverged:,} columns",
            *dropped,
            *[self.unconverged] * (are_few and bool(self.unconverged)),
            *[f"laws: {'; '.join(self.laws)}"] * bool(self.laws),
            *self.proposals,
        ]

    @property
    def _measures(self) -> list[Measure]:
        """Measures of which any column has a figure."""
        columns = self.columns.values()
        return [measure for measure in ColumnFitReport.MEASURES if any(map(measure.text, columns))]

    @property
    def table(self) -> str:
        """One line a column: kind, width, modes, step and scale."""
        return "\n".join(figures_table(self._measures, self.columns))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: fitted on {counted(self.rows, 'row')}; {self.width}>"

    def __str__(self) -> str:
        reasons = [f"{name}: {column.reason}" for name, column in self.columns.items() if column.reason]
        return "\n\n".join(filter(None, ("\n".join(self._lines), self.table, "\n".join(reasons))))

    def _repr_html_(self) -> str:
        """The report as HTML, for notebooks."""
        measures = self._measures
        titles = ["column", *(measure.title for measure in measures), "reason"]
        rows = [
            (name, *(measure.text(column) for measure in measures), column.reason)
            for name, column in self.columns.items()
        ]
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self._lines)
        return lines + html_table(titles, rows)
