"""What a sample shows of columns that are not modelled: their forms, keys among them, and what these determine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.io import Source
from gpuvgm.laws import Laws
from gpuvgm.synthesis.keys import (
    PROBED,
    Claims,
    IdentifierCounts,
    IdentifierForm,
    columns_left_out,
    find_forms,
    find_orders,
    levels_of_keys,
)
from gpuvgm.synthesis.learning.samples import TableSample, sampled_rows


@dataclass(frozen=True, slots=True)
class KeyForms:
    """Forms of the columns that are not modelled, and attributes of the keys among them.

    Parameters
    ----------
    forms : mapping of str to IdentifierForm
        By column that is not modelled.
    attributes : mapping of str to str
        Modelled columns that have one value for each key, each with the first column of these keys.
    """

    forms: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, model: TableModel, sample: TableSample, refuted: Claims, laws: str | Sequence[Any]) -> KeyForms:
        """Those that a sample shows, without what is refuted, and with the laws about texts that a user asks for.

        Raises
        ------
        InputError
            For such a law of columns that there are not or that do not have it.
        """
        modelled = [column.name for column in model.columns if column.is_encoded]
        codes = Laws.of_codes(laws, modelled, [name for name in model.by_name if name not in modelled])
        return cls(*find_forms(model, sample.thinned.rows, sample.rows, refuted, codes))

    def decide(self, name: str, dependent: str) -> bool:
        """Whether a column has keys of which each has one value of another column, in samples too."""
        form, of_dependent = self.forms.get(name), self.forms.get(self.attributes.get(dependent, dependent))
        if form is None or form.key is None or of_dependent is None or of_dependent.key is None:
            return False
        return form.key.group == of_dependent.key.group and of_dependent.level in form.key.path(form.level)

    def without_decided(self, wanted: str | Sequence[Any], modelled: Collection[str]) -> list[Any]:
        """Laws that a user asks for, without those that forms keep: of texts, and that a key decides a column.

        Raises
        ------
        InputError
            For a column that the keys of another one do not decide.
        """
        laws = Laws.of_codes(wanted, modelled, self.forms).remaining
        return [
            law for law in laws if not (isinstance(law, str) and any(self._keep(law, *pair) for pair in _arrows(law)))
        ]

    def _keep(self, text: str, name: str, dependent: str) -> bool:
        """Whether keys keep the law that a column of theirs decides another; False if it is none of keys."""
        form = self.forms.get(name)
        if form is None or form.key is None:
            return False
        if not self.decide(name, dependent):
            raise InputError(
                f'laws: "{text}": samples have new values of "{name}", and "{dependent}" is not one of each'
            )
        return True


def _arrows(text: str) -> Iterator[tuple[str, str]]:
    """Yield what decides and what is decided, for each place where a text has an arrow."""
    for sign, order in (("->", 1), ("<-", -1)):
        parts = text.split(f" {sign} ")
        sides = ((f" {sign} ".join(parts[:place]), f" {sign} ".join(parts[place:])) for place in range(1, len(parts)))
        yield from ((pair[::order][0].strip().strip('"'), pair[::order][1].strip().strip('"')) for pair in sides)


def first_columns(forms: Mapping[str, IdentifierForm]) -> list[str]:
    """The first column of each level of keys."""
    return [names[0] for names in levels_of_keys(forms).values()]


def keys_that_count(model: TableModel, forms: Mapping[str, IdentifierForm]) -> list[str]:
    """Columns of which each value may be someone: the first one of each level of keys, and what samples have new of."""
    moments = {name for name, form in forms.items() if form.kind == "moment"}
    texts = [column for column in model.columns if column.kind in {"id", "pass"} and column.holds_text]
    names = [column.name for column in (*model.identifiers, *texts) if column.name not in moments]
    without_level = [name for name in dict.fromkeys(names) if name not in forms or forms[name].key is None]
    return [*first_columns(forms), *without_level]


def orders_left_out(table: Source, model: TableModel) -> list[str]:
    """Columns that the model leaves out, such as dropped ones, and that few rows show to be of orders."""
    names = columns_left_out(model, table.schema)
    rows = sampled_rows(table, names, model.seed, PROBED) if names else pa.table({})
    return [*find_orders(model.by_name, (), rows, whole=False)]


def forms_of_table(table: Source, model: TableModel) -> dict[str, IdentifierForm]:
    """Forms of the columns that are not modelled, which make no value of the table."""
    sample, refuted = TableSample.of_model(table, model), frozenset[tuple[str, str]]()
    while True:
        forms, _ = find_forms(model, sample.thinned.rows, sample.rows, refuted)
        counts = _counts_of_forms(table, model, forms)
        if counts is None:
            return forms
        claims = counts.refuted(forms, {})
        if claims <= refuted:
            return counts.refined(forms)
        refuted |= claims


def _counts_of_forms(table: Source, model: TableModel, forms: Mapping[str, IdentifierForm]) -> IdentifierCounts | None:
    """What all rows hold of the columns whose forms have to know it; None without rows."""
    read = {name: form for name, form in forms.items() if form.is_read}
    blocks = table.blocks([*read], BLOCK_ROWS) if read else ()
    counts = [IdentifierCounts.of(model.by_name, read, {}, block.host_column) for block in blocks]
    return reduce(IdentifierCounts.merge, counts) if counts else None
