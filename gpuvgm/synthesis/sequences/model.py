"""What is learnt of a table whose rows belong to keys: a model of the keys, and one of rows given the rows before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import FittedColumn, TableModel
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InputError, counted
from gpuvgm.io import Source
from gpuvgm.laws import Laws
from gpuvgm.records import document_of
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.keys import IdentifierForm, KeyLayout, describe_left_out, describe_unmodelled
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, read_twice
from gpuvgm.synthesis.sequences.names import COUNT, PLACE, REMAINING, before
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder
from gpuvgm.synthesis.sequences.source import added, keys_by_rows, tables_of_keys
from gpuvgm.synthesis.sequences.tables import SequenceTables
from gpuvgm.synthesis.sequences.totals import KeyLaw, columns_of_laws, free_of_laws, kept_laws
from gpuvgm.table import ModelFile, TableTransformer

PARTS = pa.schema([("keys", pa.large_binary()), ("steps", pa.large_binary())])  # models within the file of one
LEAST_KEYS = 5  # that have a number of rows which samples have
SEQUENCE = "sequence"  # what the settings of a model of sequences have, and no others


@dataclass(frozen=True, slots=True)
class SequenceRecord:
    """What a file has of a model of sequences beside its columns and the two models; see `SequenceModel`."""

    plan: SequencePlan
    layout: KeyLayout
    totals: tuple[KeyLaw, ...]


@dataclass(frozen=True, slots=True)
class SequenceModel:
    """What keys and their rows are drawn from; it tells what a `RowModel` tells.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns of the table.
    plan : SequencePlan
        Which columns are of keys, and which of rows.
    layout : KeyLayout
        Distribution of rows per key.
    keys : RowModel
        The keys, each a row.
    steps : RowModel
        The rows, beside what they ask of their key and of the row before.
    totals : tuple of KeyLaw
        Laws over the rows of a key.
    """

    transformer: TableTransformer
    plan: SequencePlan
    layout: KeyLayout
    keys: RowModel
    steps: RowModel
    totals: tuple[KeyLaw, ...]

    def check(self) -> None:
        """Raise ValueError where parts of a loaded model do not fit together."""
        plan, made = self.plan, {COUNT, PLACE, REMAINING, *map(before, self.plan.remembered), *self.plan.drawn}
        made |= {occurrence.name for occurrence in plan.occurrences}
        self.layout.check()
        if {plan.key, *plan.constants, *plan.varying} != {*self.columns}:
            raise ValueError("its columns are not those of the table")
        if not {plan.key, COUNT, *plan.constants} <= {*self.keys.columns} or not made <= {*self.steps.columns}:
            raise ValueError("its models lack columns")
        of_rows = {name for handed in plan.handed_over for name in (handed.column, handed.former)}
        of_rows |= {name for law in plan.balanced for name in law.names}
        of_rows |= {number.base for number in plan.running if number.base}
        if not of_rows <= {*plan.asked} or not {*plan.starts.values()} <= {"", *plan.constants}:
            raise ValueError("its laws between rows are not of its columns")
        for law in self.totals:
            if not {law.target, law.addend or law.target} <= {*plan.constants} or law.operand not in plan.varying:
                raise ValueError(f'"{law}" is no law of its columns')

    @staticmethod
    def layout_of(keys_by_rows: Mapping[int, int], key: str) -> KeyLayout:
        """Distribution of rows per key; see `layout_of`."""
        return layout_of(keys_by_rows, key)

    @property
    def table(self) -> TableModel:
        """The model of the columns."""
        return self.transformer.model_

    @property
    def columns(self) -> dict[str, FittedColumn]:
        """The columns by name."""
        return self.table.by_name

    @property
    def network(self) -> Network:
        """Trees, parents and counts of the rows."""
        return self.steps.network

    @property
    def forms(self) -> Mapping[str, IdentifierForm]:
        """Forms of the columns that are not modelled."""
        return {**self.steps.forms, **self.keys.forms}

    @property
    def attributes(self) -> Mapping[str, str]:
        """Columns that have one value for each key, each with these keys."""
        constants = (name for name in self.plan.constants if self.columns[name].is_encoded)
        return {**self.steps.attributes, **self.keys.attributes, **dict.fromkeys(constants, self.plan.key)}

    @property
    def laws(self) -> Laws:
        """Laws between columns of a row, and those of the row before."""
        carried = {carry_over.name for carry_over in self.plan.carry_overs}
        made = {COUNT, PLACE, REMAINING, *self.plan.known, *self.plan.made_of_rows} - carried
        laws = (law for law in (*self.keys.laws, *self.steps.laws) if made.isdisjoint(law.names))
        return Laws(law for law in laws if law.target not in carried)

    @property
    def kept_laws(self) -> Laws:
        """Laws that no row has broken."""
        return self.laws.kept

    @property
    def law_texts(self) -> tuple[str, ...]:
        """These laws, and those that forms of texts keep, as users write them."""
        of_forms = (text for name, form in self.forms.items() for text in form.laws(name))
        of_plan = map(str, (*self.plan.handed_over, *self.plan.balanced))
        return (*self.kept_laws.texts({*self.keys.columns, *self.steps.columns}), *of_plan, *of_forms)

    @property
    def proposals(self) -> tuple[str, ...]:
        """What the user may declare."""
        return ()

    def seed_of(self, part: RowRange, seed: int | None) -> int:
        """Seed of rows, which are checked: by default that of the fit."""
        return self.steps.seed_of(part, seed)

    @property
    def given(self) -> frozenset[str]:
        """Columns of the table of steps that are not drawn."""
        return frozenset(self.steps.network.structure.place_of) - self.plan.drawn

    def scored(self, table: Source) -> SequenceTables:
        """The tables of keys and steps of a table, whose rows are in order of their keys as they come."""
        return SequenceTables(KeyRows.read(table, RowOrder(self.plan.key)), self.plan, self.columns)

    def free_of_laws(self, laws: Laws, name_of: Callable[[str], str] = str) -> SequenceModel:
        """The model without sums of rows whose addend or target laws between columns of keys compute anew.

        Parameters
        ----------
        laws : Laws
            Laws of the keys.
        name_of : callable
            Gives the name of a column of these laws among those of the model.
        """
        return replace(self, totals=free_of_laws(self.totals, laws, name_of))

    def shares_of_totals(self, table: Source) -> dict[str, float]:
        """By law over the rows of a key, the share of the keys of a table that keep it."""
        rows = self.scored(table).rows
        return {str(law): law.share_kept(self.columns, rows) for law in self.totals}

    @property
    def description(self) -> list[str]:
        """Lines of text."""
        plan, layout = self.plan, self.layout
        keys = counted(self.keys.network.counts.rows, "key")
        order = f'in the order of "{plan.index}"' if plan.index else "in the order of the source"
        ways = f"; counted since the row before: {', '.join(plan.moving)}" if plan.moving else ""
        laws = [*self.law_texts, *map(str, self.totals)]
        lines = [
            f'fitted on {counted(layout.rows, "row")} of {keys} of "{plan.key}", {order}{ways}',
            f"of each key: {', '.join(plan.constants)}" if plan.constants else "",
            f"laws: {'; '.join(laws)}" if laws else "",
            describe_unmodelled(self.table, self.forms, {}),
            describe_left_out(self.table, self.forms),
            self.table.describe_real_values(),
        ]
        return [*filter(None, lines)]

    def stored(self, parameters: Mapping[str, Any]) -> TableModel:
        """The model as a file has it, given the parameters of its synthesizer."""
        parts: Any = [[ModelFile.packed(part.stored(parameters))] for part in (self.keys, self.steps)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, PARTS) as writer:
            writer.write_table(pa.table(parts, schema=PARTS))
        record = SequenceRecord(self.plan, self.layout, self.totals)
        rule = self.transformer._hold_out
        documents = {SEQUENCE: document_of(record), "hold_out": None if rule is None else rule.to_settings()}
        return self.transformer._generator(documents, sink.getvalue().to_pybytes())

    def of_rows(self, table: Source, settings: SynthesizerSettings) -> SequenceModel:
        """A model with the same plan, bins and networks, of the keys of a table alone."""
        with (
            read_twice(table, self.transformer._hold_out) as fitted,
            tables_of_keys(fitted, self.plan, self.columns, settings) as tables,
        ):
            totals, sizes = self.totals, dict[int, int]()
            known = partial(_laws_and_sizes, totals, self.columns)
            for kept, by_rows in tables.of_keys(columns_of_laws(self.plan.key, totals), known):
                totals, sizes = tuple(law for law in totals if law in kept), added(sizes, by_rows)
            keys, steps = self.keys.of_rows(tables.keys, settings), self.steps.of_rows(tables.steps, settings)
        layout = layout_of(sizes, self.plan.key)
        return replace(self, layout=layout, keys=without_missing(keys, self.plan.key), steps=steps, totals=totals)

    def with_rows(self, table: Source, settings: SynthesizerSettings) -> SequenceModel:
        """A model of the keys of a table, too, none of which it has yet."""
        return self.merge(self.of_rows(table, settings))

    def merge(self, other: object) -> SequenceModel:
        """A model of the keys of both, which have the same plan, bins and networks, and no key in common.

        Raises
        ------
        InputError
            For another plan, other bins or another network.
        """
        if not isinstance(other, SequenceModel) or self.plan != other.plan:
            raise InputError(
                "these fits have different columns of keys or plans, whose counts cannot be added: fit one of them "
                "with TableSynthesizer(like=the_other)"
            )
        sizes = (dict(zip(model.layout.sizes, model.layout.keys, strict=True)) for model in (self, other))
        layout = layout_of(added(*sizes), self.plan.key)
        return replace(
            self,
            layout=replace(layout, rows=self.layout.rows + other.layout.rows),
            keys=self.keys.merge(other.keys),
            steps=self.steps.merge(other.steps),
            totals=tuple(law for law in self.totals if law in other.totals),
        )


def _laws_and_sizes(
    laws: Sequence[KeyLaw], columns: Mapping[str, FittedColumn], rows: KeyRows
) -> tuple[tuple[KeyLaw, ...], dict[int, int]]:
    """The laws that some rows keep, and how many keys have so many rows."""
    return kept_laws(laws, columns, rows), keys_by_rows(rows)


def without_missing(keys: RowModel, key: str) -> RowModel:
    """The model of keys without missing ones: which are is a column of its own, as only those of one row may be."""
    return replace(keys, forms={**keys.forms, key: replace(keys.forms[key], missing=0)})


def layout_of(keys_by_rows: Mapping[int, int], key: str) -> KeyLayout:
    """Distribution of rows per key; numbers of rows that few keys have are their means in groups of such.

    Parameters
    ----------
    keys_by_rows : mapping of int to int
        How many keys have so many rows.
    key : str
        The column of the keys.
    """
    sizes = {size: keys for size, keys in keys_by_rows.items() if keys >= LEAST_KEYS}
    rare = np.array([size for size, keys in sorted(keys_by_rows.items()) for _ in range(keys) if keys < LEAST_KEYS])
    for group in np.array_split(rare, max(len(rare) // LEAST_KEYS, 1)):
        size = round(float(group.mean())) if len(group) >= LEAST_KEYS else 0
        if len(group) and not size:  # the few that are left have as many rows as the keys nearest to them
            size = min(sizes or {1: 0}, key=lambda common: abs(common - float(group.mean())))
        if size:
            sizes[size] = sizes.get(size, 0) + len(group)
    rows = sum(size * keys for size, keys in keys_by_rows.items())
    ordered = dict(sorted(sizes.items()))
    return KeyLayout(key, rows=rows, sizes=tuple(ordered), keys=tuple(ordered.values()), columns=((key,),))
