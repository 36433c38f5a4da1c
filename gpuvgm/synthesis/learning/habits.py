"""Days, times and values that keys have of their own, as far as they leave rows likely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuvgm.arrays import Column
from gpuvgm.columns import TableModel
from gpuvgm.engines import Engine
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Bins, Codes, Part, Persons, code_finder
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.keys import Habit, HabitSample, habits_of, lacking_keys, likely_habits
from gpuvgm.synthesis.learning.counting import CountingPlan
from gpuvgm.synthesis.learning.key_forms import first_columns
from gpuvgm.synthesis.learning.samples import TableSample


def learnt_habits(
    model: TableModel,
    plan: CountingPlan,
    network: Network,
    sample: TableSample,
    persons: Persons,
    engine: Engine,
) -> tuple[Habit, ...]:
    """Habits that a sample shows, where further columns allow them, as a network without habits has it."""
    of_habits = _habit_sample(model, plan, sample, persons, engine)
    columns: Mapping[str, Any] = model.by_name
    hashes = {name: columns[name].hashes(sample.column(name)) for name in first_columns(plan.forms)}
    habits, hashes = habits_of(of_habits, hashes, [*plan.attributes])
    if not habits:
        return ()
    structure = plan.structure
    lacking = lacking_keys(plan.forms, structure.keys_asked.values(), sample.column)
    codes = dict(enumerate(structure.with_parts([*of_habits.coded.values()], lacking)))

    def log_probability(name: str, column_codes: Codes, part_codes: Mapping[Part, Codes]) -> Floats:
        changed = {structure.place_of[name]: column_codes}
        changed |= {structure.place_of_part[part]: of_part for part, of_part in part_codes.items()}
        return network.log_shares_beside({*changed}, codes | changed, engine)

    return likely_habits(habits, of_habits, hashes, log_probability)


def _habit_sample(
    model: TableModel, plan: CountingPlan, sample: TableSample, persons: Persons, engine: Engine
) -> HabitSample:
    """The sample with bins of the columns that may have habits, and what finds bins of further values."""
    columns = model.by_name
    finders = {bins.name: code_finder(columns, bins, plan.structure.parts, engine) for bins in plan.structure.bins}

    def find(changed_name: str, values: Column) -> tuple[Codes, dict[Part, Codes]]:
        return finders[changed_name](lambda name: values if name == changed_name else sample.column(name))

    return HabitSample(columns, _bins_with_habits(plan), sample.column, find, tuple(finders), persons)


def _bins_with_habits(plan: CountingPlan) -> dict[str, Bins]:
    """Bins of the columns that are none of a key's, and that laws leave free."""
    bound, every = set[str](), plan.structure.bins
    counted_from = {(bins.name, bins.since) for bins in every}
    for law in (*plan.laws.deciding, *plan.laws.arranging):
        first = law.operands[0]
        if law.decides:
            bound.add(law.target)
        elif counted_from.isdisjoint({(law.target, first), (first, law.target)}):  # they may change places afterwards
            bound |= {law.target, first}
    return {bins.name: bins for bins in every if bins.name not in {*plan.attributes, *bound}}
