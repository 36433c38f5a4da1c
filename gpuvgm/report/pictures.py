"""Shares of the rows of two tables on one axis, of columns and of pairs of them: what pages and matplotlib draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.codecs import Codec
from gpuvgm.columns import Histogram
from gpuvgm.errors import InputError
from gpuvgm.report.charts import Label, axis_labels
from gpuvgm.report.detection import date_parts
from gpuvgm.report.figures import ValueCount
from gpuvgm.summary import Floats, Ints

FEWEST = 5  # original rows that hold a value, or lie on either side of a quantile, of those that are shown
PAIR_BINS = 16  # of a column in the picture of a pair, at most
PAIR_CATEGORIES = 11
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = tuple(f"{hour}:00" if hour % 3 == 0 else "" for hour in range(24))
#: Texts of the parts of dates that are drawn, in the order of their numbers from 0 on.
PARTS: Mapping[str, Sequence[str]] = {"hour": _HOURS, "weekday": _WEEKDAYS}

Tables = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Bins of a column on an axis from 0 to 1.

    Parameters
    ----------
    title : str
        What is on the axis: the column, or a part of its values, such as "hour of when".
    places : tuple of float
        Edges of the bins, ascending.
    ticks : tuple of Label
        Values at their places.
    scale : str
        The scale for people; empty for a linear one.
    named : bool
        Whether the bins are categories, each with a tick of its own.
    edges : tuple of float
        The edges in the numbers of the column's codec; empty for bins of anything else.
    """

    title: str
    places: tuple[float, ...]
    ticks: tuple[Label, ...]
    scale: str = ""
    named: bool = False
    edges: tuple[float, ...] = ()

    @classmethod
    def of_names(cls, title: str, names: Sequence[str], *, named: bool = True) -> Axis:
        """Bins of one width with a name each, which may be empty."""
        count = max(len(names), 1)
        ticks = [Label((place + 0.5) / count, name) for place, name in enumerate(names) if name]
        return cls(title, tuple((np.arange(count + 1) / count).tolist()), tuple(ticks), named=named)

    @classmethod
    def of_histogram(cls, title: str, codec: Codec, histogram: Histogram) -> Axis:
        """The axis of a histogram of a column with a codec."""
        scale = "logarithmic" if histogram.logarithmic else codec.formula
        ticks = tuple(axis_labels(codec.type, histogram))
        return cls(title, histogram.places, ticks, scale, edges=histogram.edges)


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the rows of two tables in the bins of an axis.

    Parameters
    ----------
    axis : Axis
        The axis.
    original, synthetic : tuple of float
        Shares of all rows of each table, 0 to 1; rows that are not on the axis are missing from the sum.
    """

    axis: Axis
    original: tuple[float, ...]
    synthetic: tuple[float, ...]

    @classmethod
    def of(cls, axis: Axis, counts: Sequence[Sequence[int] | Ints], rows: Sequence[int]) -> Shares:
        """Shares of the rows in each bin of both tables, of all their rows."""
        original, synthetic = (
            tuple((np.array(table) / max(total, 1)).tolist()) for table, total in zip(counts, rows, strict=True)
        )
        return cls(axis, original, synthetic)

    @classmethod
    def of_values(
        cls, title: str, values: Sequence[ValueCount], unlisted: Sequence[int], rows: Sequence[int]
    ) -> Shares:
        """Shares of categories, and of all others together; `unlisted` are their rows in both tables."""
        names = [count.text for count in values] + ["others"] * any(unlisted)
        counts = [[count.rows_before for count in values], [count.rows_after for count in values]]
        with_others = [[*table, *[count] * any(unlisted)] for table, count in zip(counts, unlisted, strict=True)]
        return cls.of(Axis.of_names(title, names), with_others, rows)

    @property
    def heights(self) -> tuple[Floats, Floats]:
        """Shares in bins of the usual width, so that areas are shares where bins differ in width."""
        width = np.maximum(np.diff(self.axis.places), 1e-12)
        original, synthetic = (np.array(table) * np.median(width) / width for table in (self.original, self.synthetic))
        return original, synthetic


def shares_of_parts(name: str, codec: Codec, original: Floats, synthetic: Floats) -> tuple[Shares, ...]:
    """Shares of hours and weekdays of two tables' dates and times; a part that does not vary is left out.

    Parameters
    ----------
    name : str
        The column.
    codec : Codec
        Its codec.
    original, synthetic : ndarray of shape (rows,)
        Its numbers in both tables; NaN for missing ones.
    """
    tables = [date_parts(codec, numbers) for numbers in (original, synthetic)]
    pictures = []
    for part, names in PARTS.items():
        if part not in tables[0]:
            continue
        values = [table[part][~np.isnan(table[part])].astype(np.int64) for table in tables]
        if len(np.unique(np.concatenate(values))) > 1:
            counts = [np.bincount(table, minlength=len(names)) for table in values]
            axis = Axis.of_names(f"{part} of {name}", names, named=False)
            pictures.append(Shares.of(axis, counts, [len(original), len(synthetic)]))
    return tuple(pictures)


@dataclass(frozen=True, slots=True)
class Binned:
    """Rows of a column of two tables by the bins of an axis.

    Parameters
    ----------
    axis : Axis
        The bins, `PAIR_BINS` at most.
    original, synthetic : ndarray of shape (rows,), int64
        The bin of each row; -1 for rows that are in none.
    """

    axis: Axis
    original: Ints
    synthetic: Ints

    @classmethod
    def of_numbers(cls, axis: Axis, tables: Sequence[Floats]) -> Binned:
        """Numbers in the bins of an axis, several of which may become one."""
        last = len(axis.edges) - 1
        kept = [*range(0, last, -(-last // PAIR_BINS)), last]
        edges = np.array(axis.edges)[kept]
        original, synthetic = (_bins_of(edges, numbers) for numbers in tables)
        return cls(replace(axis, places=tuple(axis.places[i] for i in kept), edges=()), original, synthetic)

    @classmethod
    def of_codes(cls, title: str, names: Mapping[int, str], missing: int, tables: Sequence[Ints]) -> Binned:
        """Codes of categories, of which those with a name have a bin each, and all others one."""
        names = dict([*names.items()][:PAIR_CATEGORIES])
        bins = np.full(missing + 1, len(names))
        bins[[*names]] = np.arange(len(names))
        bins[missing] = -1
        original, synthetic = (bins[codes] for codes in tables)
        has_others = any(np.any(table == len(names)) for table in (original, synthetic))
        return cls(Axis.of_names(title, [*names.values(), *["others"] * has_others]), original, synthetic)


def _bins_of(edges: Floats, numbers: Floats) -> Ints:
    """The bin of each number between ascending edges, the last one among them; -1 for others and for missing ones."""
    bins = np.searchsorted(edges, numbers, side="right") - 1
    bins[numbers == edges[-1]] -= 1
    return np.where(bins < len(edges) - 1, bins, -1)


@dataclass(frozen=True, slots=True)
class JointShares:
    """Joint shares of the rows of two tables in the bins of two columns.

    Parameters
    ----------
    across, upwards : Axis
        The axes.
    original, synthetic : ndarray of shape (bins across, bins upwards), float32
        Shares of all rows of each table.
    """

    across: Axis
    upwards: Axis
    original: NDArray[np.float32]
    synthetic: NDArray[np.float32]

    @property
    def largest(self) -> float:
        """The largest share in either table, which is where the scale of colours ends."""
        return max(float(np.max(self.original)), float(np.max(self.synthetic)))


@dataclass(frozen=True, slots=True)
class JointPictures:
    """Joint shares of all pairs of the columns that may be drawn.

    Parameters
    ----------
    axes : mapping of str to Axis
        Axis of each column.
    shares : mapping of pairs of str to pairs of ndarray
        Joint shares of the two columns in both tables.
    """

    axes: Mapping[str, Axis] = field(default_factory=dict)
    shares: Mapping[tuple[str, str], Tables] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, Binned]) -> JointPictures:
        """Count the rows of all pairs."""
        shares: dict[tuple[str, str], Tables] = {}
        for pair in combinations(columns, 2):
            first, second = (columns[name] for name in pair)
            sizes = len(first.axis.places) - 1, len(second.axis.places) - 1
            shares[pair] = (
                _joint(first.original, second.original, sizes), _joint(first.synthetic, second.synthetic, sizes)
            )  # fmt: skip
        return cls({name: binned.axis for name, binned in columns.items()}, shares)

    def __contains__(self, pair: tuple[str, str]) -> bool:
        """Return whether a pair of columns, in any order, can be drawn."""
        return pair in self.shares or pair[::-1] in self.shares

    def pair(self, across: str, upwards: str) -> JointShares:
        """Joint shares of two columns, in any order.

        Raises
        ------
        InputError
            For a pair that cannot be drawn.
        """
        if (across, upwards) not in self:
            raise InputError(
                f'there is no picture of "{across}" and "{upwards}": pairs are of the first columns that a model sees, '
                f"whose values name no one: {', '.join(self.axes)}"
            )
        if (across, upwards) in self.shares:
            original, synthetic = self.shares[across, upwards]
        else:
            original, synthetic = (table.T for table in self.shares[upwards, across])
        return JointShares(self.axes[across], self.axes[upwards], original, synthetic)


def _joint(first: Ints, second: Ints, sizes: tuple[int, int]) -> NDArray[np.float32]:
    """Shares of all rows in each pair of bins of one table."""
    have_both = (first >= 0) & (second >= 0)
    counts = np.bincount(first[have_both] * sizes[1] + second[have_both], minlength=sizes[0] * sizes[1])
    return (counts.reshape(sizes) / max(len(first), 1)).astype(np.float32)
