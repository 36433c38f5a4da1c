"""In how many rows of two tables each law of the original one holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuvgm.io import taken
from gpuvgm.laws import Laws, LawSample
from gpuvgm.report.advice import Advice
from gpuvgm.report.laws.dated import HoldsDate
from gpuvgm.report.laws.keys import OverRows
from gpuvgm.report.laws.rows import SomeRows
from gpuvgm.report.laws.rules import Decides, Halves, Rising, Rule, Seen, Share, Unique, Within
from gpuvgm.report.measures import NOTHING, ReportPart, share

LEAST_HELD = 0.99  # of the rows of the original table, in which a law holds
FEW_ROWS, TRIES = 60, 5  # rows without one that breaks an equation are among so many, and how often they are drawn
BROKEN, LEAST_LOST = 0.97, 5  # of its share there, below which the verdict names it, and rows that break it at least


@dataclass(frozen=True, slots=True)
class LawShare(ReportPart):
    """A law of the original table, and in how many rows it holds.

    Parameters
    ----------
    law : str
        The law, as people write it.
    columns : tuple of str
        Its columns.
    original : float
        Share of the rows of the original table in which it holds, of those that it judges, 0 to 1.
    synthetic : float or None
        That of the synthetic table; None where it judges none, as where no value of a key comes again.
    rows : int
        Synthetic rows that it judges, or keys, or steps between rows of a key.
    declared : bool
        Whether ``TableSynthesizer(laws=...)`` keeps it, as all original rows do.
    """

    law: str
    columns: tuple[str, ...]
    original: float
    synthetic: float | None
    rows: int
    declared: bool

    @property
    def lost(self) -> float:
        """Rows that break it, beyond as many as in the original table."""
        return 0.0 if self.synthetic is None else max(self.original - self.synthetic, 0.0) * self.rows

    @property
    def is_broken(self) -> bool:
        """Whether it holds in clearly fewer rows than of the original table."""
        return self.synthetic is not None and self.synthetic < BROKEN * self.original and self.lost >= LEAST_LOST

    @property
    def synthetic_text(self) -> str:
        """The share of the synthetic table for people."""
        return NOTHING if self.synthetic is None else share(self.synthetic)

    @property
    def sentence(self) -> str:
        """What a verdict says of it."""
        before = "all" if self.original == 1 else share(self.original)
        return f'the law "{self.law}" holds in {self.synthetic_text} of the rows, in the original in {before}'

    @property
    def advice(self) -> Advice:
        """What the page says of it at the top."""
        remedy = f'Declare it: laws=["auto", "{self.law}"].' if self.declared else "The generator does not keep it."
        return Advice(f"{self.sentence[0].upper()}{self.sentence[1:]}.", remedy)


@dataclass(frozen=True, slots=True)
class Between(Rule):
    """A law between columns that samples can keep; see `gpuvgm.laws`."""

    columns: tuple[str, ...]
    law: Laws  # one

    @property
    def may_be_declared(self) -> bool:
        """Yes."""
        return True

    @classmethod
    def each(cls, laws: Laws) -> Iterator[Between]:
        """Yield each of several laws."""
        return (cls(one.names, Laws([one])) for one in laws)

    @property
    def text(self) -> str:
        """The law, as people write it."""
        return str(self.law[0])

    def share(self, rows: SomeRows) -> Share:
        """Rows that lack a value of a column are not judged, nor those whose values a table of the law lacks."""
        law = self.law[0]
        outcome = law.score(rows.columns, rows.column)
        broken = outcome.broken | rows.unknown.get(law.target, False)
        if law.has_keys and not law.has_table:  # categories without a step of their own have nothing to keep
            judged = ~np.isnan(law.known(rows.columns, rows.column)) & (rows.hashes[law.target] != 0)
        else:
            present = [rows.hashes[name] != 0 for name in law.names]
            judged = np.logical_and.reduce([np.ones(len(broken), np.bool_), *present])
            for name in law.operands:
                judged &= ~rows.unknown.get(name, np.zeros(len(judged), np.bool_))
            judged &= (outcome.broken | outcome.certain) if law.has_table else True
        return int(np.count_nonzero(judged & ~broken)), int(np.count_nonzero(judged))


def laws_of(rows: SomeRows, key: str = "", index: str = "") -> Iterator[Rule]:
    """Yield the laws that rows of the original table obey, which belong to the keys of a column, if any."""
    between = [*Between.each(_laws_between(rows, key))]
    yield from between
    decided = [frozenset(rule.columns) for rule in between]
    by_keys = [*Decides.find(rows, decided)]
    yield from by_keys
    halves = Halves.of(rows, next((rule.columns[0] for rule in reversed(by_keys)), None))
    yield from Seen.find(rows, decided, halves)
    # Steps say nothing of where numbers lie.
    deciding = [rule for rule in between if rule.law[0].has_table or not rule.law[0].has_keys]
    yield from Within.find(rows, [frozenset(rule.columns) for rule in deciding], halves)
    for rules in (HoldsDate.find(rows), Seen.missing_together(rows, halves), Unique.find(rows), Rising.find(rows)):
        yield from rules
    yield from OverRows.find(rows, key, index)


def _laws_between(rows: SomeRows, key: str) -> Laws:
    """Laws that all rows keep, and equations that some few rows do: these hold in most others, if they are laws.

    What one key has alone decides nothing: all its rows have the same.
    """
    encoded = {name: column for name, column in rows.columns.items() if column.is_encoded}

    def found(rows: SomeRows) -> Laws:
        sample = LawSample(encoded, rows.column)
        return Laws.find(sample.of_keys(rows.hashes[key]) if key else sample)

    laws = [*found(rows)]
    for seed in range(TRIES if rows.rows.num_rows > 2 * FEW_ROWS else 0):
        places = np.random.default_rng(seed).permutation(rows.rows.num_rows)[:FEW_ROWS]
        laws += found(replace(rows, rows=taken(rows.rows, places)))
    by_columns = {frozenset(law.names): law for law in reversed(laws)}  # of several forms the first one found
    return Laws(reversed(by_columns.values()))


def law_shares(
    original: SomeRows, synthetic: SomeRows, declared: tuple[Any, ...], key: str = "", index: str = ""
) -> tuple[LawShare, ...]:
    """Shares of the laws of the original table, and of declared ones, in both tables; those that lost most rows first.

    Parameters
    ----------
    original, synthetic : SomeRows
        Rows of both tables.
    declared : tuple of Law
        Laws that no search finds, which a generator has.
    key, index : str
        Columns of the keys that rows belong to, and of the order of these; empty for none.
    """
    shares = list[LawShare]()
    for rule in (*laws_of(original, key, index), *Between.each(Laws(declared))):
        before, after = rule.share(original), rule.share(synthetic)
        if before[1] and before[0] >= LEAST_HELD * before[1]:
            original_share, is_kept = before[0] / before[1], rule.may_be_declared and before[0] == before[1]
            synthetic_share = after[0] / after[1] if after[1] else None
            of_tables = original_share, synthetic_share, after[1], is_kept
            shares.append(LawShare(rule.text, tuple(rule.columns), *of_tables))
    return tuple(sorted(shares, key=lambda one: -one.lost))
