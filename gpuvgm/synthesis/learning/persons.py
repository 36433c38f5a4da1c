"""Values of numbers whose persons all rows tell, as a sample of the rows does not show them."""

from __future__ import annotations

from dataclasses import replace

from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import RARE, AskedValues, SampledRows, asked_values, bins_of_persons
from gpuvgm.synthesis.counts import Structure
from gpuvgm.synthesis.learning.counting import CountingPlan, TableCounts
from gpuvgm.table import TableTransformer


def values_to_ask(transformer: TableTransformer, structure: Structure, sample: SampledRows) -> dict[str, AskedValues]:
    """Values of columns of numbers of which a sample does not show that several persons have them."""
    if not sample.persons.keys:
        return {}
    columns, summaries = transformer.model_.by_name, transformer.summaries_
    names = [bins.name for bins in structure.bins if bins.since is None and bins.clock is None]
    asked = ((name, asked_values(columns[name], summaries.get(name), sample)) for name in names)
    return {name: values for name, values in asked if values is not None}


def persons_of_values(plan: CountingPlan, counts: TableCounts, sample: SampledRows) -> dict[str, Ints]:
    """How many persons have each value that was asked, as `SampledRows.known` has it."""
    persons = {name: keys.persons(sample.persons.are_rare) for name, keys in counts.keys.items()}
    return {name: values.known(persons[name]) for name, values in plan.asked.items()}


def structure_of_persons(
    transformer: TableTransformer, structure: Structure, sample: SampledRows
) -> tuple[Structure, bool]:
    """The structure with the same bins, given how many persons have values; and whether none is of few."""
    columns, summaries = transformer.model_.by_name, transformer.summaries_
    names = {bins.name for bins in structure.bins if bins.since is None and bins.clock is None} & sample.known.keys()
    deciders = {part.column for part in structure.parts if part.name == RARE}
    bins_and_fairness = [
        bins_of_persons(columns[bins.name], summaries[bins.name], sample, bins, decides=bins.name in deciders)
        if bins.name in names
        else (bins, True)
        for bins in structure.bins
    ]
    bins = tuple(bins for bins, _ in bins_and_fairness)
    return replace(structure, bins=bins), all(is_fair for _, is_fair in bins_and_fairness)
