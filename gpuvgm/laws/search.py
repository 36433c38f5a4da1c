"""The search for laws in a sample of the rows, and for those that users write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from gpuvgm.errors import InputError
from gpuvgm.laws.law import Law, is_free
from gpuvgm.laws.numeric import Equation
from gpuvgm.laws.programmed import ProgrammedLaw
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.sorts import LAWS, law_of_text
from gpuvgm.laws.sums import Sum
from gpuvgm.laws.texts import texts_of


@dataclass(frozen=True, slots=True)
class LawSearch:
    """Looks for laws in a sample of rows. Parameters as for `Laws.find`."""

    sample: LawSample
    allows: Callable[[str, str], bool]
    conditioned: Sequence[str]

    def laws(self, wanted: str | Sequence[Any], refuted: Set[tuple[str, ...]]) -> tuple[Law, ...]:
        """Laws of the rows. Parameters and errors as for `Laws.find`."""
        texts = texts_of(wanted)
        without = [self._declared(text.removeprefix("not ")) for text in texts if text.startswith("not ")]
        declared = [
            self._declared(text) for text in texts if not text.startswith("not ") and text not in ("auto", "off")
        ]
        chosen = list[Law]()
        for law in declared:
            if law.identity not in refuted and not self._fits(law, chosen):
                why = "is computed already, is to have conditions, or is one of those of a key"
                raise InputError(f'laws: "{law}" cannot be kept beside the others: "{law.target}" {why}')
            self._choose(chosen, [law], refuted)
        forbidden, rounding = {*refuted, *(form.identity for law in without for form in law.forms)}, list[Law]()
        forms_of = dict[Law, Sequence[Law]]()  # by law that was found
        for forms in self._forms(chosen) if "auto" in texts else ():
            found = self._choose(chosen, forms, forbidden) or self._make_room(chosen, forms, forbidden, forms_of)
            if found is not None:
                forms_of[found] = forms
            rounding += [law for law in forms if law.rounds and law.identity not in forbidden]
        laws: Sequence[Law] = [*chosen, *self._rounding_orders(rounding, chosen)]
        for sort in LAWS:
            laws = sort.without_implied(laws, self.sample)
        return *laws, *self._programmed(wanted, refuted)

    def _forms(self, chosen: Sequence[Law]) -> Iterator[Sequence[Law]]:
        """Yield the laws that the sample suggests, each as its forms, given those that are chosen meanwhile."""
        sorts = [sort for sort in LAWS if len(self.sample.shuffled) >= sort.least_rows]
        sorts.sort(key=lambda sort: sort.turn)
        arithmetic = [sort for sort in sorts if sort.turn <= Sum.turn]
        for sort in arithmetic:
            yield from sort.find(self.sample)
        yield from self._forms_with_zeros([sort for sort in arithmetic if sort.has_zeros], chosen)
        for sort in sorts[len(arithmetic) :]:
            yield from sort.find(self.sample)

    def _forms_with_zeros(self, sorts: Sequence[type[Law]], chosen: Sequence[Law]) -> Iterator[Sequence[Law]]:
        """Yield laws of columns that no law computes, and that are 0 in some rows instead."""
        for target in self.sample.with_zeros():
            if any(law.target == target for law in chosen if law.decides):
                continue
            sample = self.sample.beside_zeros(target)
            for forms in (forms for sort in sorts for forms in sort.find(sample)):
                equations = (law for law in forms if isinstance(law, Equation) and law.target == target)
                laws = (replace(law, or_zero=True) for law in equations if law.has_zeros)
                yield [law for law in laws if law.is_evident(self.sample)]

    def _programmed(self, wanted: str | Sequence[Any], refuted: Set[tuple[str, ...]]) -> Iterator[Law]:
        """Yield the laws that are a user's objects, but for those that some row breaks."""
        programs = () if isinstance(wanted, str) else (law for law in wanted if not isinstance(law, str))
        laws = (ProgrammedLaw.of(program, self.sample) for program in programs)
        return (law for law in laws if law.identity not in refuted)

    def _declared(self, text: str) -> Law:
        """The law that a user wrote, which is of columns that have such laws."""
        law = law_of_text(text, self.sample.columns, self.sample.unmodelled)
        if twice := [name for name in law.names if law.names.count(name) > 1]:
            raise InputError(f'laws: "{law}": "{twice[0]}" stands twice; give each column once')
        law.check_kinds(self.sample.columns)
        return law.learnt(self.sample)

    def _choose(self, chosen: list[Law], forms: Iterable[Law], forbidden: Set[tuple[str, ...]]) -> Law | None:
        """Add the first form of a law that fits the laws chosen before, unless it is forbidden or one of them."""
        law = next((form for form in forms if self._fits(form, chosen)), None)
        if law is None or law.identity in {*forbidden, *(before.identity for before in chosen)}:
            return None
        chosen.append(law)
        return law

    def _make_room(
        self,
        chosen: list[Law],
        forms: Sequence[Law],
        forbidden: Set[tuple[str, ...]],
        forms_of: dict[Law, Sequence[Law]],
    ) -> Law | None:
        """Add a form of a law for which one that was chosen before computes another column, if there are such forms.

        A column may be two sums: what is paid out with all that is taken off, and what is earned. Of these one computes
        it, and the other one computes a part of it. Orders and tables are no such laws.
        """
        if not all(form.decides and not form.has_table for form in forms):
            return None
        for place, before in enumerate(chosen):
            others = [*chosen[:place], *chosen[place + 1 :]]
            for form in forms_of.get(before, ()):
                if form != before and form.identity not in forbidden and self._fits(form, others):
                    law = self._choose([*others, form], forms, forbidden)
                    if law is not None:
                        chosen[place], forms_of[form] = form, forms_of[before]
                        chosen.append(law)
                        return law
        return None

    def _rounding_orders(self, rounding: Sequence[Law], chosen: Sequence[Law]) -> Iterator[Law]:
        """Yield laws by which all columns that are in order with each other are rounded in the same way.

        Then they stay in order, and their values remain rounded where they are swapped.
        """
        by_target, deciding = {law.target: law for law in rounding}, [law for law in chosen if law.decides]
        remaining = [law for law in chosen if not law.decides]
        while remaining:
            group, names = [], {*remaining[0].names}
            while joined := [law for law in remaining if not names.isdisjoint(law.names)]:
                group += joined
                names.update(*(law.names for law in joined))
                remaining = [law for law in remaining if law not in joined]
            laws = [by_target[name] for name in sorted(names) if name in by_target]
            alike = {(law.operands, law.keys, law.values, law.limits) for law in laws}
            are_alike = all(law.exchanges(self.sample.columns) for law in group) and len(alike) == 1
            if are_alike and len(laws) == len(names) and all(self._fits(law, deciding) for law in laws):
                yield from laws

    def _fits(self, law: Law, chosen: Sequence[Law]) -> bool:
        """Whether a law's target can be made so beside laws that are chosen."""
        if not law.decides:
            computing = {before.target for before in chosen if before.decides and not before.has_table}
            target = law.target
            both_ways = all(self.allows(name, target) and self.allows(target, name) for name in law.operands)
            return both_ways and not any(name in computing for name in law.names)
        may_be_computed = law.has_table or law.target not in self.conditioned
        is_allowed = all(self.allows(law.target, name) for name in law.operands)
        return may_be_computed and is_allowed and is_free(law, chosen)
