"""All stages from the rows of a table to a model of them.

A sample shows what columns, keys, laws and trees may be; one scan counts all rows in these. What the rows refute is
learnt again without it, and counted again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpuvgm.io import Source
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Persons, SampledRows, check_names
from gpuvgm.synthesis.counts import Network, StructureLearner
from gpuvgm.synthesis.keys import (
    Claims,
    IdentifierForm,
    Orders,
    find_orders,
    rows_per_key,
    tell_of_numbers,
    tell_of_orders,
    tell_of_repeats,
    tell_of_samples,
    without_amounts,
)
from gpuvgm.synthesis.learning.columns import fitted_columns
from gpuvgm.synthesis.learning.counting import CountingPlan, TableCounts, count_rows
from gpuvgm.synthesis.learning.dependence import dependence_of, laws_of
from gpuvgm.synthesis.learning.habits import learnt_habits
from gpuvgm.synthesis.learning.key_forms import KeyForms, first_columns, keys_that_count, orders_left_out
from gpuvgm.synthesis.learning.persons import persons_of_values, structure_of_persons, values_to_ask
from gpuvgm.synthesis.learning.row_model import RowModel
from gpuvgm.synthesis.learning.samples import TableSample, read_twice
from gpuvgm.synthesis.learning.sequences import tell_of_sequences
from gpuvgm.synthesis.learning.settings import SynthesizerSettings
from gpuvgm.table import TableTransformer

_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class FittedSample:
    """What does not change while the rows refute what a sample shows.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns.
    sample : TableSample
        A sample of the rows.
    left_out : tuple of str
        Columns that the model leaves out, and that may be of orders.
    orders : mapping
        Columns that are of orders by the sample.
    """

    transformer: TableTransformer
    sample: TableSample
    left_out: tuple[str, ...]
    orders: Orders


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken from a sample until all rows refute it.

    Parameters
    ----------
    keys : KeyForms
        Forms of the columns that are not modelled, and attributes of keys.
    refuted : set of (str, str)
        Columns of which the first does not determine the second.
    broken : frozenset of tuple of str
        Laws that rows break, by their `identity`.
    known : mapping of str to ndarray
        How many persons have values, as far as all rows were asked; see `SampledRows`.
    """

    keys: KeyForms
    refuted: Claims = frozenset()
    broken: frozenset[tuple[str, ...]] = frozenset()
    known: Mapping[str, Ints] = field(default_factory=dict)

    def beside(
        self, plan: CountingPlan, counts: TableCounts, fitted: FittedSample, laws: Any
    ) -> tuple[Assumptions, bool]:
        """What the counts of all rows leave of them, and whether that is all that the plan was made of."""
        against = plan.laws.tell_of_broken(counts.laws)
        IdentifierForm.tell_of_ended(plan.forms, counts.identifiers.of_dates(plan.forms))
        broken = self.broken.union(form.identity for law in against for form in law.forms)
        claims, keys = self.refuted | counts.identifiers.refuted(plan.forms, plan.attributes), self.keys
        if claims > self.refuted:
            keys = KeyForms.of(fitted.transformer.model_, fitted.sample, claims, laws)
        if keys == self.keys and not any(law.decides for law in against):
            return replace(self, broken=broken), True
        return Assumptions(keys, claims, broken), False


def learn(table: Source, settings: SynthesizerSettings) -> RowModel:
    """A model of the rows of a table, but for those that are held out, with warnings of what users may not want.

    Raises
    ------
    InputError
        For what cannot be fitted.
    """
    rule = settings.rule(table)
    with read_twice(table, rule) as rows:
        transformer = fitted_columns(settings, rows)
        model = learn_rows(transformer, rows, settings)
    if rule is not None:
        transformer._note_hold_out(rule, table)
    _tell_of_choices(model, is_fitted_by_user=transformer is settings.columns)
    return model


def learn_rows(transformer: TableTransformer, table: Source, settings: SynthesizerSettings) -> RowModel:
    """A model of all rows of a table; what they refute of a sample is learnt again."""
    fitted, keys = _fitted_sample(transformer, table, settings.laws)
    assumptions = Assumptions(keys)
    while True:
        sample = sampled_persons(fitted, assumptions, settings)
        plan = plan_of(fitted, sample, assumptions, settings)
        counts = count_rows(transformer.model_, plan, table, settings)
        assumptions, is_confirmed = assumptions.beside(plan, counts, fitted, settings.laws)
        if not is_confirmed:
            continue
        known = {**assumptions.known, **persons_of_values(plan, counts, sample)}
        assumptions, sample = replace(assumptions, known=known), replace(sample, known=known)
        structure, is_fair = structure_of_persons(transformer, plan.structure, sample)
        if is_fair or not plan.asked:
            return _model_of(fitted, replace(plan, structure=structure), counts, sample.persons, settings)


def _fitted_sample(transformer: TableTransformer, table: Source, laws: Any) -> tuple[FittedSample, KeyForms]:
    """A sample with its orders, and what it shows of columns that are not modelled."""
    model = transformer.model_
    left_out = orders_left_out(table, model)
    sample = TableSample.of_model(table, model, left_out)
    keys = KeyForms.of(model, sample, frozenset(), laws)
    moments = [name for name, form in keys.forms.items() if form.kind == "moment"]
    orders = find_orders(model.by_name, moments, sample.rows, whole=sample.is_whole)
    return FittedSample(transformer, sample, tuple(left_out), orders), keys


def sampled_persons(fitted: FittedSample, assumptions: Assumptions, settings: SynthesizerSettings) -> SampledRows:
    """The sample, and whose its rows are."""
    table = fitted.sample
    names = [*keys_that_count(fitted.transformer.model_, assumptions.keys.forms), *fitted.orders]
    persons = Persons.of(names, table.rows, whole=table.is_whole, sequence_key=settings.sequence_key)
    return SampledRows(table.column, persons, table.thin_places, assumptions.known, frozenset(settings.made))


def plan_of(
    fitted: FittedSample, sample: SampledRows, assumptions: Assumptions, settings: SynthesizerSettings
) -> CountingPlan:
    """Laws, bins, network and trees that the sample shows, and what all rows are to say beside their counts."""
    transformer, table, keys = fitted.transformer, fitted.sample, assumptions.keys
    of_orders = Persons.of(fitted.orders, table.rows, whole=table.is_whole)
    laws = laws_of(transformer, sample, of_orders, keys, assumptions.broken, settings)
    learner = StructureLearner(
        transformer, sample, settings.bins, settings.trees.rules, settings.engine, settings.threads
    )
    check_names(settings.conditions_on, learner.columns)
    few = table.thinned
    of_few = dependence_of(keys, laws, settings, few)
    of_rows = of_few if few is table else dependence_of(keys, laws, settings, table)
    structure = learner.structure(of_few, of_rows)
    is_asked = not table.is_whole and not assumptions.known
    asked = values_to_ask(transformer, structure, sample) if is_asked else {}
    orders = {} if table.is_whole else fitted.orders
    return CountingPlan(structure, keys.forms, keys.attributes, laws, sample.persons.names, asked, orders)


def _model_of(
    fitted: FittedSample, plan: CountingPlan, counts: TableCounts, persons: Persons, settings: SynthesizerSettings
) -> RowModel:
    """The model, of a plan that no row refutes."""
    transformer, sample = fitted.transformer, fitted.sample
    model = transformer.model_
    tell_of_numbers(model, plan.attributes, sample.rows)
    tell_of_repeats(model, sample.rows)
    if settings.sequence_key is None:
        tell_of_sequences(model.by_name, first_columns(plan.forms), sample.rows)
    refined = counts.identifiers.refined(plan.forms)
    forms = {name: form.with_room(counts.joint.rows) for name, form in refined.items()}
    laws = counts.laws.kept
    orders = _proposed_orders(fitted, plan, counts)
    plan = replace(plan, forms=forms, laws=laws)
    network = Network(plan.structure, counts.joint, rows_per_key(forms, plan.attributes), settings.trees)
    habits = learnt_habits(model, plan, network, sample, persons, settings.engine)
    network = replace(network, structure=replace(plan.structure, habits=habits))
    return RowModel(transformer, network, forms, dict(plan.attributes), laws, orders)


def _proposed_orders(fitted: FittedSample, plan: CountingPlan, counts: TableCounts) -> Orders:
    """Columns of orders that all rows confirm, and that could be declared as keys."""
    sample = fitted.sample
    confirmed = fitted.orders if sample.is_whole else counts.orders.confirmed(fitted.orders)
    are_none = {*fitted.left_out, *(name for name, form in plan.forms.items() if form.key is not None)}
    may_be_keys = {name: moments for name, moments in confirmed.items() if name not in are_none}
    return without_amounts(fitted.transformer.model_.by_name, may_be_keys, sample.rows)


def _tell_of_choices(model: RowModel, *, is_fitted_by_user: bool) -> None:
    """Warn of choices that users may not want in samples, and log the others."""
    tell_of_samples(model.table, model.forms, model.attributes, fitted_by_user=is_fitted_by_user)
    tell_of_orders(model.table, model.orders)
    for bins in model.network.structure.bins:
        if bins.forms is not None and bins.forms.moments is not None:
            _LOG.info('column "%s": whole numbers that are %s', bins.name, bins.forms.moments)
