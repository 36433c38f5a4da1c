"""The search for laws in a sample of the rows, and for those that users write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.synthesis.bins import Persons, Rows
from gpuvgm.synthesis.counts import Dependence
from gpuvgm.synthesis.laws.codes import Columns
from gpuvgm.synthesis.laws.law import Law
from gpuvgm.synthesis.laws.laws import LAWS, law_of_text, sources
from gpuvgm.synthesis.laws.sample import LawSample
from gpuvgm.synthesis.laws.texts import texts_of


@dataclass(frozen=True)  # no slots: the sample is cached
class LawSearch:
    """Looks for laws in a sample of rows.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The modelled columns.
    rows : callable
        Gives the rows of a column in this sample.
    dependence : Dependence
        Which columns may depend on which.
    conditioned : sequence of str
        Columns that are to have conditions. None is computed, except by a lookup.
    engine : Engine
        Compute engine.
    persons : Persons
        Whose the rows are by numbers of orders alone: a value that decides another needs rows of several.
    owners : Persons
        Whose they are by all keys: a combination of values needs rows of several.
    """

    columns: Columns
    rows: Rows
    dependence: Dependence
    conditioned: Sequence[str]
    engine: Engine
    persons: Persons
    owners: Persons

    @cached_property
    def _sample(self) -> LawSample:
        dependence = replace(self.dependence, first=tuple(self.conditioned))
        return LawSample(self.columns, self.rows, self.persons, dependence, self.engine, self.owners)

    def laws(self, wanted: str | Sequence[str], refuted: Set[str]) -> tuple[Law, ...]:
        """Laws of the rows.

        Parameters
        ----------
        wanted : str or sequence of str
            As `laws` of `TableSynthesizer`.
        refuted : set of str
            Laws that some row breaks, whatever the sample says.

        Raises
        ------
        InputError
            For what is no law of the columns, or cannot be kept beside others.
        """
        texts = texts_of(wanted)
        without = [self._declared(text.removeprefix("not ")) for text in texts if text.startswith("not ")]
        declared = [
            self._declared(text) for text in texts if not text.startswith("not ") and text not in ("auto", "off")
        ]
        chosen = list[Law]()
        for law in declared:
            if str(law) not in refuted and not self._fits(law, chosen):
                why = "is computed already, is to have conditions, or is one of those of a key"
                raise InputError(f'laws: "{law}" cannot be kept beside the others: "{law.target}" {why}')
            self._choose(chosen, [law], refuted)
        forbidden = {*refuted, *(str(form) for law in without for form in law.forms)}
        for sort in sorted(LAWS, key=lambda sort: sort.turn) if "auto" in texts else ():
            if len(self._sample.shuffled) >= sort.least_rows:
                for forms in sort.find(self._sample):
                    self._choose(chosen, forms, forbidden)
        laws: Sequence[Law] = chosen
        for sort in LAWS:
            laws = sort.without_implied(laws)
        return tuple(laws)

    def _declared(self, text: str) -> Law:
        """The law that a user wrote, which is of columns that have such laws."""
        law = law_of_text(text, self.columns)
        law.check_kinds(self.columns)
        return law.learnt(self._sample)

    def _choose(self, chosen: list[Law], forms: Iterable[Law], forbidden: Set[str]) -> None:
        """Add the first form of a law that fits the laws chosen before, unless it is forbidden or one of them."""
        law = next((form for form in forms if self._fits(form, chosen)), None)
        if law is not None and str(law) not in {*forbidden, *map(str, chosen)}:
            chosen.append(law)

    def _fits(self, law: Law, chosen: Sequence[Law]) -> bool:
        """Whether a law's target can be made so beside laws that are chosen."""
        computing = {before.target: before for before in chosen if before.decides}
        if not law.decides:
            allows, target = self.dependence.allows, law.target
            both_ways = all(allows(name, target) and allows(target, name) for name in law.operands)
            return both_ways and not any(name in computing for name in law.names)
        conditioned = () if law.has_table else self.conditioned
        is_free = law.target not in {*computing, *conditioned, *sources(law.operands, computing)}
        return is_free and all(self.dependence.allows(law.target, name) for name in law.operands)
