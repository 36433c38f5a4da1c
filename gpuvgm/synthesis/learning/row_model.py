"""What is learnt of a table: all that its samples are drawn from, and what further rows add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from gpuvgm.columns import FittedColumn, TableModel
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InputError, counted
from gpuvgm.io import Source
from gpuvgm.laws import Laws
from gpuvgm.records import document_of
from gpuvgm.synthesis.counts import Network, TreeSettings, write_network
from gpuvgm.synthesis.keys import (
    IdentifierForm,
    Orders,
    describe_left_out,
    describe_orders,
    describe_unmodelled,
    rows_per_key,
)
from gpuvgm.synthesis.learning.counting import CountingPlan, TableCounts, count_rows
from gpuvgm.synthesis.learning.key_forms import keys_that_count
from gpuvgm.synthesis.learning.samples import read_twice, table_maker
from gpuvgm.synthesis.learning.settings import SynthesizerSettings
from gpuvgm.table import TableTransformer

Path_ = str | PathLike[str]
PARAMETERS = ("bins", "safer", "random_state", "laws")  # of a synthesizer, that a file keeps
DOCUMENTS = ("hold_out", "identifiers", "attributes", "proven", "orders")  # beside columns and network


@dataclass(frozen=True, slots=True)
class RowModel:
    """What rows are drawn from.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns.
    network : Network
        Trees, parents and counts of the modelled columns.
    forms : mapping of str to IdentifierForm
        Forms of the columns that are not modelled.
    attributes : mapping of str to str
        Modelled columns that have one value for each key, each with the first column of these keys.
    laws : Laws
        Laws between columns, with the rows that break them.
    orders : mapping
        Columns that may be of orders.
    """

    transformer: TableTransformer
    network: Network
    forms: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    laws: Laws
    orders: Orders

    @property
    def table(self) -> TableModel:
        """The model of the columns."""
        return self.transformer.model_

    @property
    def columns(self) -> dict[str, FittedColumn]:
        """The columns by name."""
        return self.table.by_name

    @property
    def kept_laws(self) -> Laws:
        """Laws that no row has broken."""
        return self.laws.kept

    @property
    def law_texts(self) -> tuple[str, ...]:
        """These laws, and those that forms of texts keep, as users write them."""
        of_forms = (text for name, form in self.forms.items() for text in form.laws(name))
        return (*self.kept_laws.texts(self.columns), *of_forms)

    @property
    def keys_of_persons(self) -> list[str]:
        """Columns of which each value may be someone."""
        return keys_that_count(self.table, self.forms)

    def with_programs(self, programs: Sequence[Any]) -> RowModel:
        """The model with laws that are objects, of which a file has the names alone; errors as of `Laws`."""
        return replace(self, laws=self.laws.with_programs(programs, table_maker(self.transformer)))

    @property
    def plan(self) -> CountingPlan:
        """How further rows are counted: in the same bins, and what the laws claim."""
        return CountingPlan(self.network.structure, self.forms, self.attributes, self.laws.uncounted)

    def of_rows(self, table: Source, settings: SynthesizerSettings) -> RowModel:
        """A model with the same bins and network, of the rows of a table alone."""
        counts = self._counts(table, settings)
        forms = counts.identifiers.refined(self.forms)
        network = replace(self.network, counts=counts.joint, rows_per_key=rows_per_key(forms, self.attributes))
        return replace(self, network=network, forms=forms, laws=counts.laws)

    def with_rows(self, table: Source, settings: SynthesizerSettings) -> RowModel:
        """A model of the rows of a table, too."""
        counts = self._counts(table, settings)
        network = replace(self.network, counts=self.network.counts.merge(counts.joint))
        forms = counts.identifiers.refined(self.forms)
        IdentifierForm.tell_of_ended(self.forms, forms)
        return replace(self, network=network, forms=forms, laws=self._laws_with(counts.laws))

    def _laws_with(self, counted_elsewhere: Laws) -> Laws:
        """Laws with the counts of further rows; a warning names those that these are the first to break."""
        laws = self.laws.merge(counted_elsewhere)
        self.laws.tell_of_broken(laws)
        return laws

    def _counts(self, table: Source, settings: SynthesizerSettings) -> TableCounts:
        """Counts of the rows of a table, but for those that are held out."""
        with read_twice(table, self.transformer._hold_out) as rows:
            return count_rows(self.table, self.plan, rows, settings)

    def merge(self, other: object) -> RowModel:
        """A model of the rows of both, which have the same bins and network.

        Raises
        ------
        InputError
            For other bins or another network.
        """
        is_alike = isinstance(other, RowModel) and self.network.structure.equals(other.network.structure)
        if not isinstance(other, RowModel) or not is_alike or self.plan.laws != other.plan.laws:
            raise InputError(
                "these fits have different bins or networks, whose counts cannot be added: fit one of them with "
                "TableSynthesizer(like=the_other)"
            )
        network = replace(self.network, counts=self.network.counts.merge(other.network.counts))
        forms = {name: form.merge(other.forms[name]) for name, form in self.forms.items()}
        IdentifierForm.tell_of_ended(self.forms, forms)
        return replace(self, network=network, forms=forms, laws=self._laws_with(other.laws))

    def seed_of(self, part: RowRange, seed: int | None) -> int:
        """Seed of rows, which are checked: by default that of the fit."""
        row_seed = self.table.seed if seed is None else int(seed)
        part.check(row_seed)
        return row_seed

    def stored(self, parameters: Mapping[str, Any]) -> TableModel:
        """The model as a file has it, given the parameters of its synthesizer."""
        rule = self.transformer._hold_out
        documents = (
            None if rule is None else rule.to_settings(),
            {name: document_of(form) for name, form in self.forms.items()},
            self.attributes,
            tuple(map(document_of, self.laws)),
            self.orders,
        )
        kept = {**parameters, "laws": Laws.named(parameters["laws"])}
        settings = {name: kept[name] for name in PARAMETERS} | dict(zip(DOCUMENTS, documents, strict=True))
        settings["safer"] = self.network.settings == TreeSettings.of(safer=True)  # of the synthesizer that this is like
        return self.transformer._generator(settings, write_network(self.network))

    @property
    def proposals(self) -> tuple[str, ...]:
        """What the laws leave open, and what the user may declare."""
        return tuple(filter(None, [self._rare, describe_orders(self.table, self.orders)]))

    @property
    def _rare(self) -> str:
        """Which laws leave rare values out; empty where none does."""
        return self.kept_laws.describe_rare(self.columns)

    @property
    def description(self) -> list[str]:
        """Lines of text."""
        structure, rows = self.network.structure, counted(self.network.counts.rows, "row")
        laws = f"laws: {'; '.join(self.law_texts)}" if self.law_texts else ""
        habits = ", ".join(habit.describe(self.columns) for habit in structure.habits)
        unmodelled = describe_unmodelled(self.table, self.forms, self.attributes)
        left_out = describe_left_out(self.table, self.forms)
        orders = describe_orders(self.table, self.orders)
        lines = (
            laws,
            self._rare,
            f"habits: {habits}" if habits else "",
            unmodelled,
            left_out,
            self.table.describe_real_values(),
            orders,
        )
        return [f"fitted on {rows}: {counted(len(structure.bins), 'column')} modelled", *filter(None, lines)]
