"""Stages from a sample of rows to a structure: bins, clocks, twins, then the network of parents and the trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn, Engine, GrowthRules
from gpuvgm.synthesis.bins import (
    PARTS,
    RARE,
    TWIN,
    Bins,
    Clock,
    Part,
    Rows,
    SampledRows,
    bins_on_clock,
    coded_columns,
    coded_parts,
    origins_of,
)
from gpuvgm.synthesis.counts.category_orders import reordered_bins
from gpuvgm.synthesis.counts.date_parts import clocks_and_parts
from gpuvgm.synthesis.counts.density import likeliest_bins
from gpuvgm.synthesis.counts.network import Structure
from gpuvgm.synthesis.counts.structure import Dependence, learn_structure
from gpuvgm.synthesis.counts.trees import grow_all
from gpuvgm.synthesis.counts.twins import twins_of
from gpuvgm.synthesis.keys import LACKING_CODES
from gpuvgm.table import TableTransformer


@dataclass(frozen=True, slots=True)
class CodedSample:
    """Bins of the columns, and those of the rows of a sample.

    Parameters
    ----------
    bins : mapping of str to Bins
        Bins of each modelled column.
    codes : mapping of str to AskedColumn
        The bin of each row.
    parts : tuple of Part
        What trees may ask for beside bins.
    of_few : Dependence
        Which columns may depend on which, with evidence from the few rows that parents are chosen by.
    of_rows : Dependence
        The same, with evidence from all rows of the sample.
    """

    bins: Mapping[str, Bins]
    codes: Mapping[str, AskedColumn]
    parts: tuple[Part, ...]
    of_few: Dependence
    of_rows: Dependence


@dataclass(frozen=True, slots=True)
class StructureLearner:
    """What the stages know of the columns and the rows.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns, and summaries of their training rows.
    sample : SampledRows
        A sample of the rows.
    interval_limit : int
        Intervals of a column of numbers, at most.
    rules : GrowthRules
        What splits of trees may be.
    engine : Engine
        Compute engine.
    threads : int
        Threads that grow trees.
    """

    transformer: TableTransformer
    sample: SampledRows
    interval_limit: int
    rules: GrowthRules
    engine: Engine
    threads: int

    @property
    def columns(self) -> dict[str, FittedColumn]:
        """The columns that are modelled."""
        return {column.name: column for column in self.transformer.model_.columns if column.is_encoded}

    @property
    def rows(self) -> Rows:
        """Rows of the sample."""
        return self.sample.rows

    def structure(self, of_few: Dependence, of_rows: Dependence) -> Structure:
        """Bins, network and trees."""
        coded = self.binned(of_few, of_rows)
        coded = self.on_clocks(coded)
        coded = self.with_twins(coded)
        coded = self.with_orders(coded)
        return self.grown(coded)

    def binned(self, of_few: Dependence, of_rows: Dependence) -> CodedSample:
        """Bins of all columns, as if none kept to a calendar."""
        bins = likeliest_bins(self.transformer, self.sample, self.interval_limit, self.engine, of_few)
        codes, origins = coded_columns(self.columns, bins, self.rows, self.engine), origins_of(bins.values())
        return CodedSample(bins, codes, (), of_few.counted_from(origins), of_rows.counted_from(origins))

    def on_clocks(self, coded: CodedSample) -> CodedSample:
        """The sample with bins of clock readings, where columns of datetimes keep to a calendar."""
        clocks, parts = clocks_and_parts(self.columns, coded.bins, coded.codes, self.sample, coded.of_rows)
        bins = {name: self._bins_on_clock(coded.bins[name], clock, coded.of_few) for name, clock in clocks.items()}
        codes = coded_columns(self.columns, bins, self.rows, self.engine)
        return replace(coded, bins={**coded.bins, **bins}, codes={**coded.codes, **codes}, parts=parts)

    def _bins_on_clock(self, bins: Bins, clock: Clock, dependence: Dependence) -> Bins:
        if bins.since is not None:  # they stay those of the time between
            return replace(bins, calendar=clock)
        name = bins.name
        intervals, summary = dependence.intervals(name, self.interval_limit), self.transformer.summaries_[name]
        return bins_on_clock(
            self.columns[name], clock, self.sample, summary, intervals, are_told=bool(dependence.first)
        )

    def with_twins(self, coded: CodedSample) -> CodedSample:
        """The sample with columns that have a twin, and with parts that tell rare numbers of deciding columns."""
        twins = twins_of(self.columns, coded.bins, coded.codes, self.rows, coded.of_rows)
        bins = {**coded.bins, **twins}
        of_twins = tuple(Part(name, TWIN) for name in twins)
        parts = (*coded.parts, *of_twins, *parts_of_deciders(self.columns, bins, coded.of_rows))
        on_calendars = {name: column for name, column in bins.items() if column.calendar is not None}
        origins = origins_of((twins | on_calendars).values()), origins_of(bins.values())
        of_few, of_rows = coded.of_few.with_twins(*origins), coded.of_rows.with_twins(*origins)
        return CodedSample(bins, coded.codes, parts, of_few, of_rows)

    def with_orders(self, coded: CodedSample) -> CodedSample:
        """The sample with bins of many categories in an order by other columns, where trees tell more of them so."""
        bins = reordered_bins(coded.bins, coded.codes, coded.of_rows, self.engine, self.rules)
        codes = coded_columns({name: self.columns[name] for name in bins}, bins, self.rows, self.engine)
        return replace(coded, bins={**coded.bins, **bins}, codes={**coded.codes, **codes})

    def grown(self, coded: CodedSample) -> Structure:
        """The network of parents, chosen by few rows, and trees, grown from all of the sample."""
        codes = [column.codes[self.sample.few] for column in coded.codes.values()]
        nodes = learn_structure([*coded.bins.values()], codes, self.engine, coded.of_few)
        names = [node.name for node in nodes]
        keys = {
            Part(name, "missing"): AskedColumn(lacking, LACKING_CODES, is_category=True)
            for name, lacking in coded.of_rows.lacking.items()
        }
        asked = dict[str | Part, AskedColumn]((name, coded.codes[name]) for name in names)
        asked.update([*coded_parts(self.columns, coded.bins, coded.parts, self.rows).items(), *keys.items()])
        on_clocks = dict.fromkeys(part.column for part in coded.parts if part.name in PARTS)
        dependence = replace(coded.of_rows, first=(*coded.of_rows.first, *on_clocks))
        # Rows of a key are learnt from beside the row before, where each tells much of whose it is.
        persons = self.sample.persons.numbers() if dependence.given else ()
        order, trees = grow_all(asked, dependence, self.engine, self.threads, self.rules, persons)
        return Structure(tuple(coded.bins[name] for name in names), nodes, order, trees, (*coded.parts, *keys))


def parts_of_deciders(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], dependence: Dependence
) -> list[Part]:
    """Parts that tell which numbers of columns that decide others are rare.

    None of those on a clock, or counted from others, whose bins do not tell; nor of attributes of keys, whose values
    with counts of their own are others once keys are counted.
    """
    deciders = set[str]().union(*dependence.deciders.values()) - {*dependence.levels}
    numbers = [name for name in bins if name in deciders and isinstance(columns[name], NumericColumn)]
    return [Part(name, RARE) for name in numbers if bins[name].since is None and bins[name].clock is None]
