"""Evaluation of tables by a fitted model: which rows are read, in which order, and the facts of the run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import gpuvgm
from gpuvgm.columns import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import check_present
from gpuvgm.execution import Need, Run, RunSettings
from gpuvgm.io import Source
from gpuvgm.report.comparison import Comparison
from gpuvgm.report.copies import Copies
from gpuvgm.report.counting import FIRST_COLUMNS, TableCounts
from gpuvgm.report.figures import RunFacts
from gpuvgm.report.hold_out import HoldOut
from gpuvgm.report.original_table import OriginalTable
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.report import Report
from gpuvgm.report.round_trip import evaluate_table
from gpuvgm.report.validation import Validation
from gpuvgm.summary import Ints

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates tables by a fitted model.

    Parameters
    ----------
    model : TableModel
        The fitted model.
    settings : RunSettings
        Where and how rows are worked on.
    path : str
        The file that holds the model; empty where it was fitted in this process.
    hold_out : HoldOut, optional
        Rows that the fit did not see, with which synthetic rows are compared too.
    sequence : (str, str), optional
        The column of keys to which the rows of a generator belong, and that of the order of their rows or "".
    """

    model: TableModel
    settings: RunSettings
    path: str = ""
    hold_out: HoldOut | None = None
    sequence: tuple[str, str] | None = None

    def evaluate(self, table: Source) -> Report:
        """Measure how exactly rows come back. Errors as for `evaluate_table`."""
        start = time.perf_counter()
        with self._scan("evaluate", table) as run:
            report = evaluate_table(self.model, run)
        return replace(report, reasons=self.model.schema.reasons, facts=self._facts(table, start))

    def validate(self, table: Source) -> Validation:
        """Judge whether a table looks like the training table. Errors as for `Validation.of`."""
        with self._scan("validate", table) as run:
            return Validation.of(self.model, run)

    def compare(self, table: Source, synthetic: Source, declared: tuple[Any, ...] = ()) -> Comparison:
        """Compare synthetic rows with those of a table.

        Parameters
        ----------
        table, synthetic : Source
            Both tables.
        declared : tuple of Law, optional
            Laws that are judged, too, though no search finds them.

        Raises
        ------
        InputError
            For a table without a column that is encoded, and as `OriginalTable.count`.
        """
        model, start, rule = self.model, time.perf_counter(), self.hold_out
        for source in (table, synthetic):
            check_present(source.name, [column.name for column in model.encoded], source.schema.names)
        names = [name for name in model.names if name in table.schema.names and name in synthetic.schema.names]

        def need() -> Need:
            return Need.compare(table.fields(names), (table.rows or 0) + (synthetic.rows or 0))

        fitted = table if rule is None else rule.part(table, held=False)
        with self.settings.run("evaluate", fitted, need) as run:
            original = OriginalTable.count(model, names, run, self.sequence)
        # The engine that counted on the host takes no rows of a device.
        engine = self.settings.engine if run.on_device else get_engine(run.here.engine).name
        settings, held_out = replace(self.settings, engine=engine), None
        if rule is not None:
            with settings.run("evaluate", rule.part(table, held=True), need) as run:
                held_out = original.count_held_out(run)
        with settings.run("compare", synthetic, need) as run:
            comparison = original.compare(*original.count_synthetic(run), held_out, declared)
        facts = replace(self._facts(table, start), synthetic=synthetic.name)
        return replace(comparison, reasons=model.schema.reasons, facts=facts)

    def trends(self, table: Source, synthetic: Source, groups: Mapping[str, Any]) -> tuple[PairTrend, ...]:
        """Dependence of pairs of columns in two tables, those that have lost most first.

        Parameters
        ----------
        table, synthetic : Source
            Both tables.
        groups : mapping of str to object
            A group of each column that is looked at, which is encoded; pairs of one group are not.
        """
        names = [name for name in self.model.names if name in groups][:FIRST_COLUMNS]
        original, (counts,) = self._counted(names, table, [synthetic])
        return original.trends(counts, groups)

    def near_keys(
        self, tables: Sequence[Source], keys: Mapping[Key, Sequence[Ints]], names: Collection[str], index: str
    ) -> dict[Key, Copies | None]:
        """Keys of a synthetic table that repeat those of the original one; None where too few have rows.

        Parameters
        ----------
        tables : sequence of Source
            The original table, the synthetic one, and one that was held out of the fit, if there is any.
        keys : mapping of object to sequence of ndarray of shape (rows,), int64
            Of each sort of keys the number of each row's in all tables; below 0 for rows without.
        names : collection of str
            Columns by which keys are compared, which are encoded.
        index : str
            The column of the order of their rows; "" for one of dates that rises, if there is any.
        """
        original, counts = self._counted([name for name in self.model.names if name in names], tables[0], tables[1:])
        return {key: original.near_keys(counts, of_tables, index) for key, of_tables in keys.items()}

    def _counted(
        self, names: Sequence[str], table: Source, compared: Sequence[Source]
    ) -> tuple[OriginalTable, list[TableCounts]]:
        """Some columns of a table, counted, and of those compared with it."""

        def need() -> Need:
            return Need.compare(table.fields(names), sum(source.rows or 0 for source in (table, *compared)))

        with self.settings.run("evaluate", table, need) as run:
            original = OriginalTable.count(self.model, names, run)
        counts = []
        for source in compared:
            with self.settings.run("compare", source, need) as run:
                counts.append(original.count_synthetic(run)[0])
        return original, counts

    def _scan(self, stage: str, table: Source) -> AbstractContextManager[Run]:
        """The run of one scan over a table that has the fitted columns."""
        self.model.check_source(table)
        return self.settings.run(stage, table, lambda: Need.evaluate(table.fields(self.model.names)))

    def _facts(self, table: Source, start: float) -> RunFacts:
        """Facts of a report on a table; `start` is the `time.perf_counter` of its beginning."""
        moment, seconds = datetime.now(UTC), time.perf_counter() - start
        return RunFacts(table.name, self.path, gpuvgm.__version__, f"{moment:%F %R} UTC", seconds)
