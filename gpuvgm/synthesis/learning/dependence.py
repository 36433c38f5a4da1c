"""Laws of a sample, and which columns may depend on which beside them and the keys."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from gpuvgm.columns import TableModel
from gpuvgm.synthesis.bins import Persons, SampledRows
from gpuvgm.synthesis.counts import Dependence
from gpuvgm.synthesis.drawing import lacking_keys, levels_of_attributes
from gpuvgm.synthesis.keys import rows_of_keys
from gpuvgm.synthesis.laws import Law, LawSearch, columns_to_restrict, made_of
from gpuvgm.synthesis.learning.key_forms import KeyForms
from gpuvgm.synthesis.learning.samples import TableSample
from gpuvgm.synthesis.learning.settings import SynthesizerSettings


def laws_of(
    model: TableModel,
    sample: SampledRows,
    of_orders: Persons,
    keys: KeyForms,
    broken: Set[str],
    settings: SynthesizerSettings,
) -> tuple[Law, ...]:
    """Laws of a sample of the rows, but for those that further rows break; its persons by orders alone come with it."""
    if settings.laws == "off":
        return ()
    columns = {column.name: column for column in model.columns if column.is_encoded}
    dependence = Dependence(levels_of_attributes(keys.forms, keys.attributes))
    search = LawSearch(
        columns, sample.rows, dependence, settings.conditions_on, settings.engine, of_orders, sample.persons
    )
    return search.laws(settings.laws, broken)


def dependence_of(
    keys: KeyForms, laws: Sequence[Law], settings: SynthesizerSettings, sample: TableSample
) -> Dependence:
    """Which columns may depend on which, with evidence from a sample of rows."""
    levels = levels_of_attributes(keys.forms, keys.attributes)
    one_of_each = {levels[name]: rows_of_keys(sample.rows.column(key)) for name, key in keys.attributes.items()}
    lacking = lacking_keys(keys.forms, dict.fromkeys(keys.attributes.values()), sample.column)
    ordering = [law for law in laws if not law.is_learnt]
    dependence = Dependence(
        levels,
        one_of_each,
        columns_to_restrict(laws, settings.conditions_on),
        keys.attributes,
        {part.column: codes for part, codes in lacking.items() if codes.any()},
        frozenset(law.target for law in ordering if law.decides),
        made_of(ordering),
    )
    return replace(dependence, deciders=_deciders(laws))


def _deciders(laws: Sequence[Law]) -> dict[str, Set[str]]:
    """Columns that decide others by a law, in the end, by these."""
    deciding = [law for law in laws if law.has_table]
    chains = Dependence(made_of=made_of(deciding))
    return {law.target: chains.sources(law.target) for law in deciding}
