"""Laws of a sample, and which columns may depend on which beside them and the keys."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from gpuvgm.engines import AskedColumn
from gpuvgm.laws import Laws, LawSample
from gpuvgm.synthesis.bins import Persons, SampledRows
from gpuvgm.synthesis.counts import Dependence, order_of
from gpuvgm.synthesis.keys import lacking_keys, levels_of_attributes, rows_of_keys
from gpuvgm.synthesis.learning.key_forms import KeyForms
from gpuvgm.synthesis.learning.samples import TableSample, table_maker
from gpuvgm.synthesis.learning.settings import SynthesizerSettings
from gpuvgm.table import TableTransformer


def laws_of(
    transformer: TableTransformer,
    sample: SampledRows,
    of_orders: Persons,
    keys: KeyForms,
    broken: Set[tuple[str, ...]],
    settings: SynthesizerSettings,
) -> Laws:
    """Laws of a sample of the rows, but for those that further rows break; its persons by orders alone come with it."""
    if settings.laws == "off":
        return Laws()
    # Of two columns that make a third one, that of the row itself does, before what is known of the row before.
    in_order = sorted(transformer.model_.columns, key=lambda column: column.name in settings.given)
    columns = {column.name: column for column in in_order if column.is_encoded}
    dependence = Dependence(levels_of_attributes(keys.forms, keys.attributes), given=frozenset(settings.given))
    of_sampling = replace(dependence, first=(*settings.given, *settings.made, *settings.conditions_on))
    of_laws = replace(dependence, given=dependence.given.union(settings.undecided))

    def ordering(columns: Mapping[str, AskedColumn]) -> list[str]:
        return order_of(columns, of_sampling, settings.engine)

    as_fitted = table_maker(transformer)
    others = [column.name for column in transformer.model_.columns if not column.is_encoded]
    law_sample = LawSample(columns, sample.rows, of_orders, sample.persons, ordering, as_fitted, others, settings.made)
    wanted = keys.without_decided(settings.laws, columns)
    return Laws.find(law_sample, wanted, broken, of_laws.allows, settings.conditions_on)


def dependence_of(keys: KeyForms, laws: Laws, settings: SynthesizerSettings, sample: TableSample) -> Dependence:
    """Which columns may depend on which, with evidence from a sample of rows."""
    levels = levels_of_attributes(keys.forms, keys.attributes)
    one_of_each = {levels[name]: rows_of_keys(sample.rows.column(key)) for name, key in keys.attributes.items()}
    # Columns that are not drawn ask for nothing: which rows lack a key of these alone need not be known.
    asking = dict.fromkeys(key for name, key in keys.attributes.items() if name not in settings.given)
    lacking = lacking_keys(keys.forms, asking, sample.column)
    ordering = Laws(law for law in laws if not law.is_learnt)
    dependence = Dependence(
        levels,
        one_of_each,
        (*settings.given, *laws.to_restrict(settings.conditions_on)),
        keys.attributes,
        {part.column: codes for part, codes in lacking.items() if codes.any()},
        frozenset(law.target for law in ordering if law.decides),
        ordering.made_of,
    )
    return replace(dependence, deciders=_deciders(laws), given=frozenset(settings.given))


def _deciders(laws: Laws) -> dict[str, Set[str]]:
    """Columns that decide others by a law, in the end, by these."""
    deciding = Laws(law for law in laws if law.has_table)
    chains = Dependence(made_of=deciding.made_of)
    return {law.target: chains.sources(law.target) for law in deciding}
