"""Undeclared text, whose kind all rows decide: categories, free text, or identifiers.

What a sample shows of it depends on where its rows lie: values that come back may be neighbours, or far from each
other. So a sample only proposes, and chooses what is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gpuvgm.arrays import Column, on_host
from gpuvgm.codecs import FIRST_ROWS, Refuted, are_like_values
from gpuvgm.columns.base import MISSING, MOST_ORDINARY, ColumnPlan, FitRecord, FittedColumn
from gpuvgm.columns.categorical import CategoricalPlan, plan_categories
from gpuvgm.columns.categories import CategoryCounts, array_of, value_type
from gpuvgm.columns.distinct import DistinctValues
from gpuvgm.columns.identifiers import IdColumn
from gpuvgm.columns.inference import (
    DIFFERENT_TEXTS,
    LEAST_NAMED,
    MANY_TEXTS,
    Texts,
    are_uuids,
    is_free_text,
)
from gpuvgm.columns.passthrough import PassthroughColumn
from gpuvgm.columns.specs import ColumnRequest, ColumnSpec
from gpuvgm.columns.text import type_name
from gpuvgm.engines import Engine
from gpuvgm.errors import counted
from gpuvgm.io import plain_values_of

#: Of no more rows every source's sample has all, so that it says whether a text comes back.
SAMPLED_WHOLE = 1 << 17
#: An approximate number that is so many times another one is surely larger.
SURELY = 1.05


@dataclass(frozen=True, slots=True)
class TextCounts:
    """What is counted of text; merging does not depend on the order.

    Parameters
    ----------
    rows, missing : int
        Rows, and those without a value.
    different : DistinctValues
        The different values.
    categories : CategoryCounts, optional
        Rows of each; None where they are not counted, or are too many for a column.
    """

    rows: int
    missing: int
    different: DistinctValues
    categories: CategoryCounts | None

    @classmethod
    def of_categories(cls, counts: CategoryCounts, limit: int) -> TextCounts:
        """Counts of the categories of some rows."""
        hashes = PassthroughColumn.hashes(array_of(counts.categories, counts.type))
        present = hashes != 0
        different = DistinctValues.of(hashes[present], counts.counts[present])
        return cls(counts.rows, int(counts.counts[~present].sum()), different, _within(counts, limit))

    @classmethod
    def of_rows(cls, values: pa.Array[Any]) -> TextCounts:
        """Counts of rows, without their categories."""
        hashes = PassthroughColumn.hashes(values)
        present = hashes[hashes != 0]
        return cls(len(values), len(values) - len(present), DistinctValues.of(present), None)

    def merge(self, counts: TextCounts) -> TextCounts:
        """Counts of both sets of rows."""
        categories = None
        if self.categories is not None and counts.categories is not None:
            limit = self.categories.limit // 2
            categories = _within(self.categories.merge(counts.categories), limit)
        rows, missing = self.rows + counts.rows, self.missing + counts.missing
        return TextCounts(rows, missing, self.different.merge(counts.different), categories)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def number(self) -> int:
        """How many different values there are, or about how many; whatever was counted, it is the same."""
        return min(self.different.number, self.present)

    @property
    def text(self) -> str:
        """How many different values there are, for people: to three digits where that is not exact."""
        exact = self.different.is_exact
        number = self.number if exact else round(self.number, 3 - len(str(self.number)))
        return f"{'' if exact else 'about '}{counted(number, 'distinct value')}"


def _within(counts: CategoryCounts, limit: int) -> CategoryCounts | None:
    """Counts of no more categories than a column can have, which may be merged; None of more."""
    return replace(counts, limit=2 * limit) if len(counts.categories) <= limit else None


@dataclass(frozen=True, slots=True)
class TextPlan(ColumnPlan):
    """Plan of undeclared text.

    Parameters
    ----------
    categories : CategoricalPlan
        Its plan, if it is categorical.
    remark : str
        What its reason says beside the numbers; may be empty.
    counts_categories : bool
        Whether categories are counted. If not, the sample shows that they are hardly so few.
    may_identify : bool
        Whether text that is different in all rows is an identifier: nobody would read it as a number or a date.
    is_once : bool
        Whether no text of the sample comes back.
    are_uuids : bool
        Whether all texts of the sample are UUIDs.
    """

    categories: CategoricalPlan
    remark: str
    counts_categories: bool
    may_identify: bool
    is_once: bool
    are_uuids: bool

    @property
    def name(self) -> str:
        """The column."""
        return self.categories.name

    @property
    def counts_codes(self) -> bool:
        """Whether text is counted by its codes; see `CategoricalPlan.counts_codes`."""
        return self.counts_categories

    def statistics(self, engine: Engine, values: Column, first_row: int) -> TextCounts:
        """Counts of rows."""
        if not self.counts_categories:
            return TextCounts.of_rows(on_host(values))
        counts = CategoryCounts.of(values, first_row).of_type(value_type(self.categories.type))
        return TextCounts.of_categories(counts, self.categories.limit)

    def final_spec(self, counts: TextCounts) -> ColumnSpec:
        """What the column is, by all rows."""
        kind = self._kind(counts)
        reasons = {"id": self._why_identifier, "pass": self._why_passed, "categorical": self._why_categories}
        content, conclusion = reasons[kind](counts)
        missing = f", {counts.missing:,} of {counts.rows:,} missing" if counts.missing else ""
        parts = (f"{content}{missing}{conclusion}", self.remark)
        return ColumnSpec(self.name, kind, "; ".join(filter(None, parts)))

    @property
    def _type(self) -> str:
        """The column's type, for people."""
        return type_name(self.categories.type)

    def _why_identifier(self, counts: TextCounts) -> tuple[str, str]:
        if self.are_uuids:
            return "UUIDs", ""
        is_exact = counts.different.is_exact or counts.rows <= SAMPLED_WHOLE
        return f"{self._type}, {'' if is_exact else 'nearly '}all {counts.present:,} values different", ""

    def _why_passed(self, counts: TextCounts) -> tuple[str, str]:
        content = f"{self._type} with {counts.text} in {counts.present:,} rows"
        if is_free_text(counts.number, counts.present):
            return content, ": identifiers or free text"
        return content, f": more than {self.categories.limit:,} cannot be modelled"

    def _why_categories(self, counts: TextCounts) -> tuple[str, str]:
        number = counts.number
        if counts.categories is not None:
            number = len(counts.categories.categories) - (MISSING in counts.categories.categories)
        rows = f" in {counts.present:,} rows" if number > MOST_ORDINARY else ""
        return f"{self._type} with {counted(number, 'distinct value')}{rows}", ""

    def _kind(self, counts: TextCounts) -> str:
        """The column's kind, by all rows."""
        number, present = counts.number, counts.present
        if self.are_uuids and number > MANY_TEXTS:
            return "id"
        is_once = self.is_once if counts.rows <= SAMPLED_WHOLE else counts.different.all_once
        # A few values that come back in many rows may be none of those with the smallest hashes.
        if self.may_identify and is_once and present >= LEAST_NAMED and number >= DIFFERENT_TEXTS * present:
            return "id"
        is_counted = counts.categories is not None
        are_many = not is_counted and (self.counts_categories or number > SURELY * self.categories.limit)
        return "pass" if are_many or is_free_text(number, present) else "categorical"

    def fit(self, counts: TextCounts) -> FittedColumn:
        """The column's model.

        Raises
        ------
        Refuted
            Where it is categorical, and its categories are not counted.
        """
        kind, name, type_ = self._kind(counts), self.name, self.categories.type
        if kind == "id":
            return IdColumn(name, type_, FitRecord("none", counts.rows, counts.missing), "sequence", 0, 1)
        if kind == "pass":
            return PassthroughColumn(name, type_, FitRecord("none", counts.rows, 0))
        if counts.categories is None:
            raise Refuted(f'column "{name}": {counts.text} in {counts.present:,} rows, fewer than the sample shows')
        return self.categories.fit(counts.categories)


def plan_text(request: ColumnRequest, sample: pa.ChunkedArray[Any]) -> TextPlan:
    """Plan of undeclared text; the last plan counts categories whatever the sample proposes."""
    spec = request.spec
    values, is_proposed = plain_values_of(sample), spec.kind == "id"
    texts = Texts.of(values if is_proposed else values[:0])
    first = values.drop_null().slice(0, FIRST_ROWS)
    is_known = len(first) > 0
    return TextPlan(
        plan_categories(request, sample),
        spec.remark or "",
        counts_categories=request.is_final or spec.kind == "categorical",
        may_identify=not spec.remark and not (is_known and are_like_values(first)),
        is_once=is_proposed and texts.distinct == len(texts.present),
        are_uuids=is_known and are_uuids(values),
    )
