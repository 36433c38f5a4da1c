"""Forms of texts by what rows have in modelled columns: dates that the texts hold, categories that say their form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import CHECKS
from gpuvgm.columns import CategoricalColumn, IdColumn, NumericColumn, TableModel
from gpuvgm.errors import InputError
from gpuvgm.laws import DatesInText
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.key_search import Claims
from gpuvgm.synthesis.keys.pattern_weights import with_categories
from gpuvgm.synthesis.keys.patterns import NUMBER, Pattern
from gpuvgm.synthesis.keys.seen import LONGEST
from gpuvgm.synthesis.keys.shapes import MOST_SHAPES, patterns_of

DENSE = 0.5  # of all numbers up to the largest of a date, that texts have whose numbers run on within dates
FOLLOWING = 0.5  # of all numbers, that have the next one, where they run on whatever the date


class CodeTexts(Protocol):
    """Laws `a -> code(b)`, by which texts of b hold dates of a, or codes of its categories."""

    @property
    def is_searched(self) -> bool:
        """Whether such laws are found."""

    @property
    def declared(self) -> Sequence[tuple[str, str]]:
        """Columns a and b of laws that are written."""

    @property
    def forbidden(self) -> Collection[tuple[str, str]]:
        """Columns a and b of which there shall be no law."""


@dataclass(frozen=True, slots=True)
class CodeSearch:
    """Looks for columns that say what texts hold.

    Parameters
    ----------
    model : TableModel
        The fitted columns.
    rows : pyarrow.Table
        A sample of the rows.
    refuted : set of (str, str)
        Columns whose dates others do not hold, whatever the sample says.
    codes : CodeTexts
        Which laws there may be.
    """

    model: TableModel
    rows: pa.Table
    refuted: Claims
    codes: CodeTexts

    def form_of(self, name: str, form: IdentifierForm, attributes: Collection[str] | None) -> IdentifierForm:
        """The form of a column, by what others say; of a key by attributes alone.

        Raises
        ------
        InputError
            Where the sample does not show a law that a user wrote.
        """
        names = [column.name for column in self.model.columns if column.is_encoded]
        allowed = self._wanted(name, [one for one in names if attributes is None or one in attributes])
        form = self._with_dates(name, form, allowed)
        if form.kind in ("number", "shape") and not form.domains:
            form = with_categories(name, form, self.model, self.rows, allowed)
        for operand, target in self.codes.declared:
            if target == name and operand not in (form.date, form.given) and (operand, target) not in self.refuted:
                raise InputError(self._why_not(operand, target, attributes))
        return form

    def _wanted(self, name: str, allowed: Sequence[str]) -> list[str]:
        """Columns that may say what a column holds: those of laws that are written, and others if these are found."""
        declared = [one for one in allowed if (one, name) in self.codes.declared]
        may_be_found = [one for one in allowed if self.codes.is_searched and (one, name) not in self.codes.forbidden]
        by_sort = [isinstance(self.model.by_name[one], NumericColumn) for one in declared]
        others = [one for one in may_be_found if isinstance(self.model.by_name[one], NumericColumn) not in by_sort]
        return [*declared, *(one for one in others if one not in declared)]

    def _why_not(self, operand: str, target: str, attributes: Collection[str] | None) -> str:
        """What is said of a law that the sample does not show."""
        law = f'laws: "{operand} -> code({target})"'
        if attributes is not None and operand not in attributes:
            return f'{law}: "{target}" is a key, and "{operand}" is not one of each'
        column = self.model.by_name[operand]
        if DatesInText.moments(column, self.rows.column(operand).combine_chunks()) is not None:
            return (
                f'{law}: the values of "{target}" do not hold the year, the month or another part of "{operand}" as '
                "digits at one place in all rows of the sample"
            )
        if isinstance(column, CategoricalColumn):
            return f'{law}: the values of "{target}" have no codes or forms that go with the categories of "{operand}"'
        return f'{law}: "{operand}" has neither dates nor categories; declare its kind, or give another column'

    def _with_dates(self, name: str, form: IdentifierForm, allowed: Collection[str]) -> IdentifierForm:
        """The form with the dates of the column of which most texts hold most; the same where they hold none."""
        values: Any = IdColumn.digits(self.rows.column(name)).combine_chunks()
        distinct = values.drop_null().unique().to_pylist()
        if (
            form.kind in ("address", "moment")
            or form.domains
            or CHECKS.found_in(distinct)
            or DatesInText.held(distinct)
        ):
            return form
        moments = {
            column: DatesInText.moments(self.model.by_name[column], self.rows.column(column).combine_chunks())
            for column in allowed
            if (column, name) not in self.refuted
        }
        known = {column: of_column for column, of_column in moments.items() if of_column is not None}
        date, dates = DatesInText.of_most(values, known)
        dated = _form_of_dated(distinct, dates.masked(distinct)) if date else None
        if dated is None or not any(pattern.dates for pattern in dated.patterns):
            return form
        return replace(dated, key=form.key, level=form.level, date=date, in_groups=True)


def _form_of_dated(texts: Sequence[str], masked: Sequence[str]) -> IdentifierForm | None:
    """The form of texts of which digits of dates are masked: running numbers, or shapes; None where they have none."""
    dates = [
        "".join(one for one, mark in zip(*pair, strict=True) if one != mark) for pair in zip(texts, masked, strict=True)
    ]
    most = max(Counter(date for date in dates if date).values())
    form = _running_numbers(masked, dates)
    if form is None:
        patterns = patterns_of([*masked], room=most)
        form = IdentifierForm("shape", patterns) if patterns else None
    if form is None:
        return None
    with_tokens = tuple(replace(pattern, text=_with_tokens(pattern.text)) for pattern in form.patterns)
    return replace(form, patterns=with_tokens, busiest=-(-(most << 32) // len(texts)))


def _with_tokens(text: str) -> str:
    """A pattern's text with parts of dates in place of their marks."""
    for part, mark in DatesInText.marks.items():
        text = text.replace(mark * DatesInText.digits[part], rf"\%{part}")
    return text


def _running_numbers(masked: Sequence[str], dates: Sequence[str]) -> IdentifierForm | None:
    """The form of numbers that run on within each date, or whatever the date; None of other texts.

    Letters before and behind the numbers may differ, such as those of a colour, if they are few.
    """
    matches = [re.fullmatch(r"([^0-9\\]*)([0-9]{1,18})([^0-9\\]*)", text) for text in masked]
    frames = Counter((match[1], match[3]) for match in matches if match)
    if not all(matches) or len(frames) > MOST_SHAPES or max(map(len, masked)) > LONGEST:
        return None
    digits = [match[2] for match in matches if match]
    numbers = np.array([*map(int, digits)])
    if not (
        _run_on_within(numbers, np.unique(dates, return_inverse=True)[1]) or _run_on(numbers, max(map(len, digits)))
    ):
        return None
    width = min(map(len, digits)) if any(text[0] == "0" for text in digits) else 0
    patterns = (Pattern(f"{before}{NUMBER}{after}", weight=count) for (before, after), count in frames.most_common())
    return IdentifierForm("number", tuple(patterns), width=width)


def _run_on_within(numbers: Any, dates: Any) -> bool:
    """Whether the numbers of each date are most of those up to their largest one."""
    largest = np.zeros(int(dates.max()) + 1, np.int64)
    np.maximum.at(largest, dates, numbers)
    return bool(len(numbers) >= DENSE * float(np.sum(largest - numbers.min() + 1.0)))


def _run_on(numbers: Any, digits: int) -> bool:
    """Whether most numbers have the next one, and as many more have no more digits."""
    distinct = np.unique(numbers)
    has_room = 10**digits - 1 - int(distinct[-1]) >= len(numbers)
    return has_room and bool(np.count_nonzero(np.diff(distinct) == 1) >= FOLLOWING * len(distinct))
