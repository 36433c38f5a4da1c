"""Several laws of one table: how they are found, kept beside each other, counted and told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from gpuvgm.errors import InputError, counted, listed
from gpuvgm.laws.code_texts import CodeTexts
from gpuvgm.laws.codes import Columns, Mask, Rows
from gpuvgm.laws.law import Law, is_free
from gpuvgm.laws.owners import SEVERAL
from gpuvgm.laws.programmed import name_of_program
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.search import LawSearch
from gpuvgm.laws.sorts import is_law_of, law_of_document, text_of
from gpuvgm.laws.texts import texts_of

_LOG = logging.getLogger("gpuvgm")


class Laws(tuple[Law, ...]):
    """Several laws of one table."""

    @classmethod
    def find(
        cls,
        sample: LawSample,
        wanted: str | Sequence[Any] = "auto",
        refuted: Set[tuple[str, ...]] = frozenset(),
        allows: Callable[[str, str], bool] = lambda name, other: True,
        conditioned: Sequence[str] = (),
    ) -> Self:
        """Laws of a sample of rows that can be kept beside each other.

        Parameters
        ----------
        sample : LawSample
            The rows.
        wanted : str or sequence
            As `laws` of `TableSynthesizer`.
        refuted : set of tuple of str
            Laws that some row breaks, whatever the sample says, by their `identity`.
        allows : callable, optional
            Whether a column may depend on another one; any may on any by default.
        conditioned : sequence of str
            Columns that are to have conditions. None is computed, except by a lookup.

        Raises
        ------
        InputError
            For what is no law of the columns, or cannot be kept beside others.
        """
        return cls(LawSearch(sample, allows, conditioned).laws(wanted, refuted))

    @classmethod
    def of_documents(cls, documents: Iterable[Any], columns: Columns) -> Self:
        """Laws from the documents of a model's file.

        Raises
        ------
        ValueError
            Where a document is no law of the columns, or two laws do not go together.
        """
        laws = cls(map(law_of_document, documents))
        for law in laws:
            law.check(columns)
        if len(laws.in_order()) < len(laws.deciding):
            raise ValueError("two laws compute the same column")
        return laws

    @staticmethod
    def named(wanted: Any) -> str | tuple[str, ...]:
        """Texts of laws that a user asks for, with the names of those that are objects.

        Raises
        ------
        InputError
            For what is no law, and for two objects of one name.
        """
        if isinstance(wanted, str):
            return wanted
        if not isinstance(wanted, (list, tuple)):
            what = '"auto", "off", or a list of texts of laws and of objects with holds(rows)'
            raise InputError(f"laws must be {what}, got {wanted!r}")
        names = [name_of_program(law) for law in wanted if not isinstance(law, str)]
        if len({*names}) < len(names):
            raise InputError(f"laws: two of {listed(names)} have one name; set name of one of these objects")
        return tuple(law if isinstance(law, str) else name_of_program(law) for law in wanted)

    @staticmethod
    def of_codes(wanted: str | Sequence[Any], modelled: Collection[str], others: Collection[str]) -> CodeTexts:
        """What of the laws that a user asks for is about texts, given names of columns; see `CodeTexts.of`."""
        return CodeTexts.of(wanted, modelled, others)

    @staticmethod
    def by_names(wanted: str | Sequence[Any], names: Collection[str]) -> tuple[list[str], list[str]]:
        """Texts of laws that a user asks for: those of columns with some names alone, and those of others.

        "auto" and "off" are in both, and so is what is forbidden of these columns.
        """
        of_names, others = list[str](), list[str]()
        for text in texts_of(wanted):
            is_forbidden = text.startswith("not ")
            if text in ("auto", "off") or is_law_of(text.removeprefix("not "), names):
                of_names.append(text)
            if text not in of_names or text in ("auto", "off") or is_forbidden:
                others.append(text)
        return of_names, others

    def with_programs(self, wanted: Sequence[Any], as_fitted: Callable[[Any], Any]) -> Self:
        """Laws with the code of those that are objects, which no file holds.

        Parameters
        ----------
        wanted : sequence
            These objects; texts among them are laws that need none.
        as_fitted : callable
            As of `LawSample`.

        Raises
        ------
        InputError
            For objects that are none of these laws.
        """
        self.named(wanted)
        programs = {name_of_program(law): law for law in wanted if not isinstance(law, str)}
        names = [str(law) for law in self.judging]
        if unknown := [name for name in programs if name not in names]:
            of_model = f"it has {listed(names)}" if names else "none of its laws is an object"
            raise InputError(f"laws: the model has no law {listed(unknown)}; {of_model}")
        return type(self)(law.with_program(programs, as_fitted) for law in self)

    def texts(self, names: Collection[str]) -> list[str]:
        """The laws as users write them, given the names of all columns."""
        return [text_of(law, names) for law in self]

    @property
    def kept(self) -> Self:
        """Those that no row breaks."""
        return type(self)(law for law in self if law.holds)

    def describe_rare(self, columns: Columns) -> str:
        """Which of them say nothing of values that few rows have; empty where none does."""
        rare = [str(law) for law in self if law.lacks_keys(columns)]
        whose = f"for values that {SEVERAL} rows and more have, and for these alone"
        return f"laws {whose}: {'; '.join(rare)}" if rare else ""

    @property
    def uncounted(self) -> Self:
        """Those without what rows say of them."""
        return type(self)(law.uncounted for law in self)

    @property
    def deciding(self) -> Self:
        """Those that compute their target."""
        return type(self)(law for law in self if law.decides)

    @cached_property
    def arranging(self) -> Self:
        """Those that compute none of their columns, but change them together, as orders do."""
        changing = (law for law in self if not law.decides and law.changes)
        return type(self)(law for law in changing if law not in self.testing)

    @cached_property
    def testing(self) -> Self:
        """Orders of columns that other laws compute: rows that break them are drawn again, not put in order."""
        computed = {law.target for law in self.deciding}
        orders = (law for law in self if not law.decides and law.changes)
        return type(self)(law for law in orders if not computed.isdisjoint(law.names))

    @cached_property
    def judging(self) -> Self:
        """Those that change no row: rows that break them are drawn again."""
        return type(self)(law for law in self if not law.changes)

    def in_order(self) -> Self:
        """Laws that compute, each after those that compute its operands.

        Raises
        ------
        ValueError
            Where columns are computed from each other.
        """
        remaining, ordered = {law.target: law for law in self.deciding}, list[Law]()
        while remaining:
            ready = [law for law in remaining.values() if not any(name in remaining for name in law.operands)]
            if not ready:
                raise ValueError(f"laws compute {listed([*remaining])} from each other")
            ordered += ready
            for law in ready:
                del remaining[law.target]
        return type(self)(ordered)

    def recomputed(
        self, columns: Mapping[str, Any], arrays: Mapping[str, Any], changed: Collection[str]
    ) -> dict[str, Any]:
        """Columns that laws compute from changed ones, and from each other; those that are changed stay.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns.
        arrays : mapping of str to Array
            Their values, with the changed ones; laws of further columns are left out.
        changed : collection of str
            Columns that have other values.
        """
        values, stale = dict(arrays), {*changed}
        made = dict[str, Any]()
        for law in self.in_order():
            if (
                stale.intersection(law.operands)
                and law.target not in changed
                and values.keys() >= {law.target, *law.operands}
            ):
                made |= law.compute(columns, values.__getitem__, values.__getitem__)[0]
                values |= made
                stale.add(law.target)
        return made

    def solved(
        self,
        columns: Mapping[str, Any],
        arrays: Mapping[str, Any],
        changed: Sequence[str],
        others: Collection[str],
        sampled: Collection[str],
    ) -> tuple[dict[str, Any], Mask]:
        """Columns with which rows keep the laws of some that have other values, and the rows that do.

        An operand that a law computes is changed as these are. Then columns that laws compute of them are made anew.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns.
        arrays : mapping of str to Array
            Their values, with the changed ones.
        changed : sequence of str
            Columns that have other values.
        others : collection of str
            Columns that may have others.
        sampled : collection of str
            Columns of these that may, whatever law computes them.

        Returns
        -------
        arrays : dict of str to Array
            The columns that have other values.
        are_kept : ndarray of shape (rows,), bool
            Which rows keep laws of which no operand may have another value.
        """
        unsolved = list[Law]()
        laws = {target: law for target, law in self.by_target.items() if not law.rounds}
        made, targets = {name: arrays[name] for name in changed}, [*changed]
        for target in targets:
            if target not in laws or target in sampled:
                continue
            free = [name for name in others if name not in targets]
            if target not in changed:
                free = [name for name in free if name in sampled or name not in laws]
            form = next((form for form in laws[target].forms if form.target in free), None)
            if form is None:
                unsolved.append(laws[target])
                continue
            # Where an operand is missing the law says nothing.
            form = replace(form, apart=form.apart + 1)
            values = {**arrays, **made}
            made |= form.compute(columns, values.__getitem__, values.__getitem__)[0]
            targets.append(form.target)
        made |= self.recomputed(columns, {**arrays, **made}, targets)
        broken = [law.score(columns, {**arrays, **made}.__getitem__).broken for law in unsolved]
        return made, ~np.logical_or.reduce([np.zeros(len(arrays[changed[0]]), np.bool_), *broken])

    @property
    def made_of(self) -> dict[str, set[str]]:
        """Columns that values of others are made of: what computes them, and what they change together with."""
        columns: dict[str, set[str]] = {}
        for law in (*self.deciding, *self.arranging):
            columns.setdefault(law.target, set()).update(law.operands)
            for operand in () if law.decides else law.operands:
                columns.setdefault(operand, set()).add(law.target)
        return columns

    @cached_property
    def by_target(self) -> dict[str, Law]:
        """Those that compute, by their target, each after those that compute its operands."""
        return {law.target: law for law in self.in_order()}

    def refute(self, columns: Columns, rows: Rows) -> Self:
        """Those with the rows that break them counted."""
        return type(self)(law.refute(columns, rows) for law in self)

    def merge(self, counted_elsewhere: Self) -> Self:
        """Laws with the counts of two sets of rows."""
        return type(self)(map(Law.merge, self, counted_elsewhere))

    def tell_of_broken(self, after: Self) -> list[Law]:
        """Warn of laws that held before some rows were counted, and do not hold after; these are returned."""
        broken = [law for former, law in zip(self, after, strict=True) if former.holds and not law.holds]
        for law in broken:
            _LOG.warning('the law "%s" is broken by %s: samples do not keep it', law, counted(law.breaches, "row"))
        return broken

    def to_restrict(self, names: Sequence[str]) -> tuple[str, ...]:
        """Columns whose values decide whether some columns meet conditions: these, or those they are looked up by."""
        operands = {law.target: law.operands for law in self if law.has_table}
        while any(name in operands for name in names):
            names = [operand for name in names for operand in operands.get(name, (name,))]
        return tuple(dict.fromkeys(names))

    def without_computing(self, names: Collection[str], columns: Columns) -> Self:
        """Laws in forms that compute none of some columns, where a form computes another column on steps as fine."""
        chosen = list(self)
        for place, law in enumerate(self):
            if law.target in names:
                remaining = [*chosen[:place], *chosen[place + 1 :]]
                others = (form for form in law.forms if form.target not in names)
                forms = (form for form in others if is_free(form, remaining) and form.is_on_steps(columns))
                if (form := next(forms, None)) is not None:
                    # The law does not say which values of its new target are missing: so they are sampled.
                    chosen[place] = replace(form, apart=form.apart + 1)
        return type(self)(chosen)
