"""One scan over all rows: counts of their bins, and what they say of keys, laws and orders that a sample shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from gpuvgm.columns import FittedColumn, TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.io import Block, Source
from gpuvgm.laws import Laws
from gpuvgm.synthesis.bins import AskedValues, KeysOfThings, code_finder, hashes_of
from gpuvgm.synthesis.counts import JointCounts, Structure
from gpuvgm.synthesis.keys import IdentifierCounts, IdentifierForm, OrderEvidence, Orders, lacking_keys
from gpuvgm.synthesis.learning.settings import SynthesizerSettings


@dataclass(frozen=True, slots=True)
class CountingPlan:
    """What is counted of all rows.

    Parameters
    ----------
    structure : Structure
        Bins, network and trees.
    forms : mapping of str to IdentifierForm
        Forms of the columns that are not modelled.
    attributes : mapping of str to str
        Columns that keys determine, each with the first column of these keys.
    laws : Laws
        Laws between columns, whose breaches are counted.
    keys : tuple of str
        Columns of keys, of which there are counted those that have the asked values.
    asked : mapping of str to AskedValues
        By column, values of which all rows shall say how many keys have them.
    orders : mapping
        Columns that may be of orders.
    """

    structure: Structure
    forms: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    laws: Laws
    keys: tuple[str, ...] = ()
    asked: Mapping[str, AskedValues] = field(default_factory=dict)
    orders: Orders = field(default_factory=dict)

    @property
    def read_forms(self) -> dict[str, IdentifierForm]:
        """Forms that have to know the values of all rows."""
        return {name: form for name, form in self.forms.items() if form.is_read}

    @property
    def modelled(self) -> list[str]:
        """Names of the columns with bins."""
        return [bins.name for bins in self.structure.bins]


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What is counted of rows; merging does not depend on the order.

    Parameters
    ----------
    joint : JointCounts
        Counts of bins, in the network and the trees.
    identifiers : IdentifierCounts
        What they hold of the columns that are not modelled.
    laws : Laws
        The laws, with their breaches.
    keys : mapping of str to KeysOfThings
        By column, the keys that have the asked values.
    orders : OrderEvidence
        Whether values of orders have one moment.
    """

    joint: JointCounts
    identifiers: IdentifierCounts
    laws: Laws
    keys: Mapping[str, KeysOfThings]
    orders: OrderEvidence

    def merge(self, other: TableCounts) -> TableCounts:
        """Counts of both sets of rows."""
        return TableCounts(
            self.joint.merge(other.joint),
            self.identifiers.merge(other.identifiers),
            self.laws.merge(other.laws),
            {name: keys.merge(other.keys[name]) for name, keys in self.keys.items()},
            self.orders.merge(other.orders),
        )


def count_rows(model: TableModel, plan: CountingPlan, table: Source, settings: SynthesizerSettings) -> TableCounts:
    """Counts of all rows of a table."""
    model.check_source(table)
    columns, read = model.by_name, plan.read_forms
    keys = plan.keys if plan.asked else ()
    needed = [*dict.fromkeys((*plan.modelled, *read, *keys, *plan.orders))]
    known = {name: column for name, column in columns.items() if name in {*plan.modelled, *read, *plan.orders}}
    with settings.run("count", table) as run:
        build = partial(_counter, known, replace(plan, forms=read), run.engine)
        counts: TableCounts | None = run.executor.map_merge(run.prepared(build), run.blocks(needed), TableCounts.merge)
    if counts is None:
        raise InputError(f"{table.name}: there are no rows to fit on")
    return counts


def _counter(columns: dict[str, FittedColumn], plan: CountingPlan, engine: str) -> Callable[[Block], TableCounts]:
    """Return a function that counts a block of rows where they lie."""
    row_engine, structure = get_engine(engine), plan.structure
    code_finders = [code_finder(columns, bins, structure.parts, row_engine) for bins in structure.bins]
    value_finders = {name: values.finder(columns[name], row_engine) for name, values in plan.asked.items()}

    def joint_counts(block: Block) -> JointCounts:
        lacking = lacking_keys(plan.forms, structure.keys_asked.values(), block.host_column)
        codes = structure.with_parts([find(block.column) for find in code_finders], lacking)
        return structure.counts(codes, block.rows, row_engine)

    def keys_of_values(block: Block) -> dict[str, KeysOfThings]:
        hashes = [hashes_of(block.host_column(name)) for name in plan.keys] if value_finders else []
        return {
            name: KeysOfThings.of(find(block.column(name)), len(plan.asked[name]), hashes)
            for name, find in value_finders.items()
        }

    def count(block: Block) -> TableCounts:
        return TableCounts(
            joint_counts(block),
            IdentifierCounts.of(columns, plan.forms, plan.attributes, block.host_column),
            plan.laws.refute(columns, block.column),
            keys_of_values(block),
            OrderEvidence.of(columns, plan.orders, block.host_column),
        )

    return count
