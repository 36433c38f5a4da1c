"""What all rows say of identifiers and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gpuvgm.synthesis.keys.attributes import Evidence, values_of
from gpuvgm.synthesis.keys.identifier_levels import columns_of_levels, layouts_of, levels_of_keys
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.key_counts import KeyCounts
from gpuvgm.synthesis.keys.seen import SeenValues


@dataclass(frozen=True, slots=True)
class IdentifierCounts:
    """What rows hold of the columns of forms; merging does not depend on the order.

    Parameters
    ----------
    values : dict of str to SeenValues
        What values hold, by column.
    keys : dict of str to KeyCounts
        Rows of keys, by group whose layout is not known.
    evidence : dict of str to Evidence
        By column of these keys, on the columns that it is said to determine.
    dates : dict of str to (int, int)
        By column of texts that hold dates, how many rows do, and how many of them hold others than those of their rows.
    """

    values: dict[str, SeenValues]
    keys: dict[str, KeyCounts]
    evidence: dict[str, Evidence]
    dates: dict[str, tuple[int, int]]

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Any],
        forms: Mapping[str, IdentifierForm],
        attributes: Mapping[str, str],
        rows: Callable[[str], Any],
    ) -> IdentifierCounts:
        """What rows hold, given the fitted columns, attributes of keys, and what gives a column's rows on the host."""
        claims = _claims_of(forms, attributes)
        dates = {name: form.date for name, form in forms.items() if form.date}
        names = dict.fromkeys([*forms, *dates.values(), *(name for several in claims.values() for name in several)])
        arrays = {name: rows(name) for name in names}
        values = {name: form.seen(arrays[name]) for name, form in forms.items() if form.patterns}
        hashes = {name: columns[name].hashes(arrays[name]) for name in claims}
        with_claims = {name: forms[name] for name in claims}
        keys, levels = {}, levels_of_keys(with_claims)
        for group, layout in layouts_of(with_claims).items():
            of_levels = [[hashes[name] for name in names] for names in columns_of_levels(levels, layout)]
            keys[group] = KeyCounts.of(of_levels, layout.above)
        evidence = {
            key: Evidence.of(hashes[key], [partial(values_of, columns[name], arrays[name]) for name in dependents])
            for key, dependents in claims.items()
            if dependents
        }
        held = {
            name: forms[name].count_dates(arrays[name], columns[date], arrays[date]) for name, date in dates.items()
        }
        return cls(values, keys, evidence, held)

    def merge(self, other: IdentifierCounts) -> IdentifierCounts:
        """What both sets of rows hold."""
        dates = self.dates.items()
        return IdentifierCounts(
            {name: values.merge(other.values[name]) for name, values in self.values.items()},
            {name: keys.merge(other.keys[name]) for name, keys in self.keys.items()},
            {name: evidence.merge(other.evidence[name]) for name, evidence in self.evidence.items()},
            {name: (rows + other.dates[name][0], broken + other.dates[name][1]) for name, (rows, broken) in dates},
        )

    def of_dates(self, forms: Mapping[str, IdentifierForm]) -> dict[str, IdentifierForm]:
        """Forms of texts that hold dates, without these where the rows hold others."""
        return {name: forms[name].with_dates_of(*counts) for name, counts in self.dates.items()}

    def refined(self, forms: Mapping[str, IdentifierForm]) -> dict[str, IdentifierForm]:
        """Forms that make no value of the rows, and keys that have as many rows as theirs."""
        levels, layouts = levels_of_keys(forms), layouts_of(forms)
        for group, keys in self.keys.items():
            layouts[group] = keys.layout(group, columns_of_levels(levels, layouts[group]))
        refined = {**forms, **{name: forms[name].refined(values) for name, values in self.values.items()}}
        refined |= self.of_dates(refined)
        return {
            name: replace(form, key=layouts[form.key.group]) if form.key else form for name, form in refined.items()
        }

    def refuted(self, forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]) -> set[tuple[str, str]]:
        """Columns of keys or dates, and others that they do not determine though the forms and attributes say so."""
        claims = _claims_of(forms, attributes)
        by_keys = {
            (name, dependent)
            for name, evidence in self.evidence.items()
            for dependent, is_right in zip(claims[name], evidence.confirms, strict=True)
            if not is_right
        }
        return by_keys | {(forms[name].date, name) for name, form in self.of_dates(forms).items() if not form.date}


def _claims_of(forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str]) -> dict[str, list[str]]:
    """Columns that each column of keys is said to determine, of groups whose layout is not known."""
    levels = levels_of_keys(forms)
    claims: dict[str, list[str]] = {}
    for (group, level), (first, *equivalents) in levels.items():
        layout = forms[first].key
        if layout is None or layout.keys:
            continue
        above = [levels[group, upper][0] for upper in layout.above[level : level + 1]]
        claims[first] = [*equivalents, *above, *(name for name, key in attributes.items() if key == first)]
        claims |= {name: [first] for name in equivalents}
    return claims
