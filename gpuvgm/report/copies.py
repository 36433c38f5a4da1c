"""Synthetic rows that repeat original rows, whole or in part, beside how often original rows repeat each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import beside, mixed, namespace_of, narrowed, to_numpy, widened
from gpuvgm.codecs import cached_parts
from gpuvgm.report.differences import RARE
from gpuvgm.report.measures import ReportPart, share
from gpuvgm.summary import Floats, Ints

LEAST = 0.005  # of the rows, from which on a difference is worth a word
_TOGETHER = 10  # equal rows, up to which they may belong to each other
_OWNER = 1  # key of a hash
Words = NDArray[np.uint64]
Blocks = Sequence[NDArray[Any]]  # of a column, one after the other


@dataclass(frozen=True, slots=True)
class Copies(ReportPart):
    """Numbers and shares of synthetic rows that equal an original row, with a yardstick from the original rows.

    Tables of few categories repeat their rows anyhow. The yardstick is a random half of the original rows: rows that
    are drawn like these equal one of that half as often as those of the other half do, whatever the table. Shares of
    halves are their means over all ways to halve the table, so that no half is drawn.

    Where some rows come so often that they hide the others, only rows that come once in the half count.

    Parameters
    ----------
    columns : tuple of str
        The columns in which rows are equal.
    rows, synthetic_rows : int
        Rows of both tables.
    copied_rows : int
        Synthetic rows that equal an original row.
    half_share : float
        Share of the synthetic rows that equal a row of one half of the original ones.
    other_half_share : float
        Share of the other half's rows that do.
    by_chance : float
        Difference of the shares that chance hardly ever exceeds: three standard errors, in which up to ten equal rows
        count as one, and rows of one owner go together.
    held_out_share : float or None
        Share of the rows that were held out of the fit that do; None where none are compared.
    once : bool
        Whether the shares are of rows that equal one that comes once in the half.
    """

    columns: tuple[str, ...]
    rows: int
    synthetic_rows: int
    copied_rows: int
    half_share: float
    other_half_share: float
    by_chance: float
    held_out_share: float | None = None
    once: bool = False
    _DERIVED: ClassVar[tuple[str, ...]] = ("share", "stand_out")
    TITLE: ClassVar[str] = "copied rows"
    WHAT: ClassVar[str] = "rows"  # are compared
    REMEDY: ClassVar[str] = "The generator repeats original rows."
    _OF_HALF: ClassVar[str] = "equal one of a half of the original rows"

    @property
    def share(self) -> float:
        """Share of the synthetic rows that equal an original row."""
        return self.copied_rows / self.synthetic_rows

    @property
    def how(self) -> str:
        """How these rows repeat original ones, as words."""
        return "exactly"

    @property
    def what(self) -> str:
        """What these rows do, as words."""
        return "equal an original row"

    @property
    def share_text(self) -> str:
        """The share, as words."""
        return f"{share(self.share)} of the synthetic {self.WHAT} {self.what}"

    @property
    def text(self) -> str:
        """The share and its yardstick, as words."""
        halves = share(self.half_share), share(self.other_half_share)
        held_out = "" if self.held_out_share is None else f" and {share(self.held_out_share)} of those held out"
        of_half = f"{self._OF_HALF}{' that comes once there' if self.once else ''}"
        return f"{self.share_text}: {halves[0]} {of_half}, and {halves[1]} of the other half's {self.WHAT}{held_out} do"

    @property
    def yardstick(self) -> float:
        """The larger share of the original rows that `half_share` is compared with."""
        return max(self.other_half_share, self.held_out_share or 0.0)

    @property
    def excess(self) -> float:
        """Difference of `half_share` and `yardstick`."""
        return self.half_share - self.yardstick

    @property
    def stand_out(self) -> bool:
        """True if the excess is more than chance explains, and at least 0.005."""
        return self.excess >= max(LEAST, self.by_chance)

    @classmethod
    def count(cls, columns: Sequence[str], rows: Rows, deviations: float = RARE) -> Self:
        """Count the synthetic rows that equal original ones, and how often these equal each other.

        Parameters
        ----------
        columns : sequence of str
            The columns in which rows are equal.
        rows : Rows
            What is compared of the rows of each table.
        deviations : float
            Standard errors that chance hardly ever exceeds.
        """
        known = KnownRows.of(rows.original, rows.owners)
        deviations *= float(np.sqrt(known.clustering(rows)))
        parts = _Part(known.rows, known.owners - 1), known.part(rows.synthetic), known.part(rows.held_out)
        of_all = cls._of_parts(columns, parts, deviations, once=False)
        of_once = of_all if of_all.stand_out else cls._of_parts(columns, parts, deviations, once=True)
        return of_once if of_once.stand_out else of_all

    @classmethod
    def _of_parts(cls, columns: Sequence[str], parts: Sequence[_Part], deviations: float, *, once: bool) -> Self:
        original, synthetic, held_out = parts
        other_half_share, half_share, held_out_share = (part.share(once=once) for part in parts)
        yardstick = held_out if held_out_share > other_half_share else original
        hits = half_share * synthetic.size + max(other_half_share, held_out_share) * yardstick.size
        mean = hits / (synthetic.size + yardstick.size)
        variance = synthetic.variance(mean, once=once) + yardstick.variance(mean, once=once)
        return cls(
            columns=tuple(columns),
            rows=original.size,
            synthetic_rows=synthetic.size,
            copied_rows=synthetic.copied_rows,
            half_share=half_share,
            other_half_share=other_half_share,
            by_chance=deviations * float(np.sqrt(variance)),
            held_out_share=held_out_share if held_out.size else None,
            once=once,
        )


class Rows(NamedTuple):
    """64 bits for each row of each table, the same for equal rows.

    Parameters
    ----------
    original, synthetic : ndarray of uint64
        Of the original rows that were fitted, and of the synthetic ones.
    held_out : ndarray of uint64, optional
        Of the rows that were held out of the fit.
    owners : ndarray of uint64, optional
        For each original row the person or thing that it belongs to, where several rows do: equal rows of one of them
        count once.
    """

    original: Words
    synthetic: Words
    held_out: Words | None = None
    owners: Words | None = None

    @classmethod
    def of(cls, tables: Iterable[Iterable[Words]], owners: Words | None) -> Self:
        """The sums of the words of the columns of two tables, or of three; `owners` are those of the first."""
        original, synthetic, *held_out = map(sum_of, tables)
        return cls(original, synthetic, held_out[0] if held_out else None, owners)


class KnownRows(NamedTuple):
    """The different original rows: how many there are of each, and how many owners they have."""

    different: Words
    rows: Ints
    owners: Ints

    @classmethod
    def of(cls, words: Words, owners: Words | None) -> Self:
        """Count the rows; each has an owner of its own where none are stated."""
        xp = namespace_of(words)
        different, rows = xp.unique(words, return_counts=True)
        if owners is None:
            return cls(different, rows, rows)
        first = xp.unique(mixed(words ^ owners, _OWNER), return_index=True)[1]
        return cls(different, rows, xp.unique(words[first], return_counts=True)[1])

    def owners_of(self, words: Words) -> Ints:
        """Owners of the original rows that equal each of some rows."""
        xp = namespace_of(self.different)
        place = xp.minimum(xp.searchsorted(self.different, words), len(self.different) - 1)
        of_rows: Ints = xp.where(self.different[place] == words, self.owners[place], 0)
        return of_rows

    def clustering(self, rows: Rows) -> float:
        """How much larger the variance of a share is as rows of one owner go together (Kish 1965, design effect)."""
        if rows.owners is None:
            return 1.0
        hits = hits_of(to_numpy(self.owners_of(rows.original)) - 1)
        deviations = hits - np.mean(hits)
        of_owners = np.bincount(np.unique(to_numpy(rows.owners), return_inverse=True)[1], deviations)
        return max(1.0, float(np.sum(of_owners**2) / max(np.sum(deviations**2), 1e-300)))

    def part(self, words: Words | None) -> _Part:
        """Rows of another table by what they equal; none where there is no table."""
        if words is None:
            return _Part(self.rows[:0], self.owners[:0])
        different, rows = namespace_of(words).unique(words, return_counts=True)
        owners = self.owners_of(beside(different, self.different))
        return _Part(beside(rows, owners), owners)


class _Part:
    """Different rows of a table: how many there are of each, and how many owners of original rows equal to each.

    Those with the same two numbers are counted where they lie, so that few numbers come to the host.
    """

    def __init__(self, rows: Ints, owners: Ints) -> None:
        packed, counts = namespace_of(rows).unique((rows << 32) + owners, return_counts=True)
        pairs = to_numpy(packed)
        self._rows, self._owners = pairs >> 32, pairs & (1 << 32) - 1
        self._all_rows = to_numpy(counts) * self._rows  # of all that have the same two numbers
        self.size = int(np.sum(self._all_rows))

    @property
    def copied_rows(self) -> int:
        """Rows that equal an original row."""
        return int(np.sum(self._all_rows[self._owners > 0]))

    def share(self, *, once: bool) -> float:
        """Share of the rows that have an equal one in a half of the original rows, or one that comes `once` there."""
        return float(np.sum(self._all_rows * hits_of(self._owners, once=once)) / max(self.size, 1))

    def variance(self, mean: float, *, once: bool) -> float:
        """Of the share, where equal rows may belong to each other; of many the share is known."""
        weights = self._all_rows * np.minimum(self._rows, _TOGETHER)
        return float(np.sum(weights * (hits_of(self._owners, once=once) - mean) ** 2) / max(self.size, 1) ** 2)


def hits_of(owners: Ints, *, once: bool = False) -> Floats:
    """Share of all halves of the owners that have one of so many, or just one of them."""
    return np.asarray(owners * 0.5**owners if once else 1 - 0.5**owners)


def column_words(values: NDArray[Any], place: int, *, as_float32: bool = False) -> Words:
    """64 bits for each value of a column, the same for equal ones; those of rows are the sums of their columns'."""
    words: Words = namespace_of(values).empty(len(values), np.uint64)
    for part in cached_parts(words):
        words[part] = mixed(_value_bits(values[part], as_float32=as_float32), place)
    return words


def copies(
    original: Mapping[str, Blocks], synthetic: Mapping[str, Blocks], modelled: int, repeated: Sequence[str] = ()
) -> Copies:
    """Compare the rows of two tables: in the columns that are modelled, and in all.

    Samples have values of their own in columns that no model sees, so that rows are equal in the others alone; where
    these say little, all columns may say more. The answer that stands out most is returned.

    Parameters
    ----------
    original, synthetic : mapping of str to sequence of ndarray
        Columns of both tables in blocks of the same rows: numbers with NaN for missing values, codes, or hashes.
    modelled : int
        Number of modelled columns, which come first.
    repeated : sequence of str
        Modelled columns that do more than tell rows apart.
    """
    names = tuple(original)
    narrow = {name: _is_narrow(original[name]) or _is_narrow(synthetic[name]) for name in names}
    answers = []
    for columns in dict.fromkeys(filter(None, (names[:modelled], names, tuple(repeated)))):
        tables = [[(table[name], narrow[name]) for name in columns] for table in (original, synthetic)]
        answers.append(Copies.count(columns, Rows.of(map(_words_of_columns, tables), None)))
    return max(answers, key=lambda answer: (answer.stand_out, answer.excess))


def _words_of_columns(columns: Sequence[tuple[Blocks, bool]]) -> Iterator[Words]:
    """Words of each column of a table, on the device if any column lies there.

    Beside each column stands whether one table has only numbers of float32, so that it is compared as such.
    """
    place = next((blocks[0] for blocks, _ in columns if namespace_of(blocks[0]) is not np), columns[0][0][0])
    for number, (blocks, as_float32) in enumerate(columns):
        words = [column_words(values, number, as_float32=as_float32) for values in blocks]
        yield beside(namespace_of(words[0]).concatenate(words), place)


def sum_of(columns: Iterable[Words]) -> Words:
    """Words of the rows, those of their columns added up."""
    return reduce(add, columns)


def _is_narrow(blocks: Blocks) -> bool:
    """Return whether all values are numbers that float32 represents exactly."""
    # NaN differs from itself.
    return all(
        values.dtype.kind == "f" and ((_of_float32(values) == values) | (values != values)).all() for values in blocks
    )


def _of_float32(numbers: NDArray[Any]) -> Floats:
    """The nearest numbers that float32 represents; infinite for larger ones."""
    with np.errstate(over="ignore"):
        numbers_of_float32: Floats = widened(narrowed(numbers))
    return numbers_of_float32


def _value_bits(values: NDArray[Any], *, as_float32: bool) -> Words:
    """64 bits for each value; one form of zero and of a missing value among numbers."""
    if values.dtype.kind != "f":
        return values.astype(np.uint64)
    # Adding 0.0 turns -0.0 into 0.0, which compares equal but has other bits.
    numbers = (_of_float32(values) if as_float32 else values) + 0.0
    # NaN has many bit patterns; all rows take the same one.
    bits: Words = namespace_of(numbers).where(numbers != numbers, np.nan, numbers).view(np.uint64)
    return bits
