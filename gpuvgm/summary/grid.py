"""The adaptive grid: which cell a value falls into, and what a cell's sums say of its rows.

A value x is taken as y = x * scale - centre. The 64 bits of y, reordered so that their order is the order of numbers,
are its *key*. The top 16 bits of the key (sign, exponent, 4 bits of mantissa) find an entry of the directory. Where the
sample has mass, an entry has a window of inner cells, 2^(drop + bits) keys wide each; elsewhere 64 outer cells of 2^42
keys serve. Inside a cell, positions are counted in units of 2^drop keys, at most 2^20 of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]
Ints = NDArray[np.int64]

POSITION_BITS = 20
ENTRY_SHIFT = 48
ENTRIES = 1 << 16
OUTER_SHIFT = 42
OUTER_DROP = OUTER_SHIFT - POSITION_BITS
OUTER_CELLS = 1 << 22
NO_HOT_KEY = (1 << 64) - 1  # the key of a NaN: no row has it

MASS_BITS = 14  # an entry with a share s of the sample gets about s * 2^14 cells
LEAST_BITS = 6
MOST_BITS = 16
REPEATED = 8  # an entry whose values appear this often on average holds few values, not a continuum
REPEATED_BITS = 4  # spare bits of such an entry
MOST_INNER_CELLS = 1 << 20
_LENGTHS = ENTRY_SHIFT + 2  # of keys in an entry, from 0 bits on, and one more
HOT_SHARE = 0.02  # a value this frequent is counted apart, or its cell would be a bottleneck

DIRECTORY_DTYPE = np.dtype([("start", "<u8"), ("first", "<u4"), ("last", "<u2"), ("drop", "u1"), ("bits", "u1")])


def keys_of(y: Floats) -> Keys:
    """Bits of `y` as unsigned numbers whose order is the order of the values; -0.0 counts as 0.0."""
    bits = (np.ascontiguousarray(y, dtype=np.float64) + 0.0).view(np.int64)
    # All bits of negative numbers are flipped, since larger magnitudes come first; of others the sign alone.
    keys: Keys = (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)
    return keys


def values_of(keys: Keys) -> Floats:
    """Values that have these keys; the inverse of `keys_of`."""
    bits = np.ascontiguousarray(keys, dtype=np.uint64).view(np.int64)
    values: Floats = (bits ^ (~(bits >> 63) | np.int64(-(2**63)))).view(np.float64)
    return values


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates of a column's rows: y = x * scale - centre, with a power of two as the scale."""

    scale: float
    centre: float

    @classmethod
    def around(cls, sample: Floats, *, keep_small: bool = False) -> Frame:
        """Frame with the sample's lower median at 0; columns beyond 2^±400 are scaled by an exact power of two.

        Parameters
        ----------
        sample : ndarray of shape (rows,)
            Values; those that are not finite are left out.
        keep_small : bool
            Leave tiny columns as they are: an absolute floor under the variance hides them anyway.
        """
        ordinary = sample[np.isfinite(sample)]
        if len(ordinary) == 0:
            return cls(1.0, 0.0)
        exponent = int(np.frexp(np.max(np.abs(ordinary)))[1])
        tiny, huge = exponent < -400 and not keep_small and bool(np.any(ordinary)), exponent > 400
        scale = float(np.ldexp(1.0, -min(max(exponent, -1000), 1000))) if tiny or huge else 1.0
        middle = (len(ordinary) - 1) // 2
        return cls(scale, float(np.partition(ordinary, middle)[middle]) * scale)

    def apply(self, x: Floats) -> Floats:
        """Coordinates of `x`, where it lies."""
        y: Floats = x * self.scale - self.centre
        return y

    def invert(self, y: Floats) -> Floats:
        """Values that have coordinates `y`, where these lie."""
        x: Floats = (y + self.centre) * (1 / self.scale)  # the reciprocal of a power of two is exact
        return x


@dataclass(frozen=True, slots=True)
class CellGeometry:
    """Borders and units of cells.

    Parameters
    ----------
    low : ndarray of uint64
        First key of the cell.
    drop, bits : ndarray of int64
        log2 of the keys in a unit of position, and of the units in the cell.
    offset : ndarray of float64
        Keys from the start of a unit to the value that it stands for.
    """

    low: Keys
    drop: Ints
    bits: Ints
    offset: Floats


@dataclass(frozen=True, slots=True)
class Splits:
    """Parts of cells, by ascending midpoint.

    Parameters
    ----------
    midpoint : ndarray of uint64
        Key from which on rows belong to the part.
    parent : ndarray of uint64
        The cell that is split.
    rank : ndarray of int64
        Rank of the centre nearest to the part's rows.
    """

    midpoint: Keys
    parent: Keys
    rank: Ints


def middle_of_unit(drop: int | Ints) -> Floats:
    """Keys from the start of a unit of 2^drop keys to its middle."""
    return np.asarray(0.5 * (np.ldexp(1.0, drop) - 1))


@dataclass(frozen=True)
class Grid:
    """Cells of one column.

    Parameters
    ----------
    frame : Frame
        Coordinates of the rows.
    windows : ndarray of `DIRECTORY_DTYPE`
        One window for each directory entry that holds mass, by ascending entry.
    midpoints : ndarray of uint64
        Ascending keys of the midpoints between centres; a cell that holds one is split there.
    hot_key : int
        Key of the most frequent value where it is frequent enough to be counted apart.
    anchors : ndarray of uint64
        Ascending keys of repeated sample values that are alone in their cell: such a cell stands for its value exactly.
    rests : ndarray of float64
        For every window, where in its unit a position stands, in keys: the middle, or the one place where all sample
        values lie (whole numbers, say).
    """

    frame: Frame
    windows: NDArray[np.void]
    rests: Floats
    midpoints: Keys
    hot_key: int
    anchors: Keys

    @classmethod
    def around(cls, numbers: Floats) -> Grid:
        """Grid around numbers that are a sample of the rows."""
        frame = Frame.around(numbers)
        return cls.of(frame, Masses.of_sample(frame.apply(numbers)), np.empty(0))

    @classmethod
    def of(cls, frame: Frame, masses: Masses, centres: Floats, refinements: int = 0) -> Grid:
        """Grid whose inner cells each hold about the same mass, split at the midpoints between centres.

        Parameters
        ----------
        frame : Frame
            Coordinates of the rows.
        masses : Masses
            Where the mass lies.
        centres : ndarray of shape (K,)
            Centres that rows will start from, in the frame's coordinates.
        refinements : int
            How often the cells were found too wide; each makes four of one.
        """
        entry = masses.low >> np.uint64(ENTRY_SHIFT)
        starts = np.flatnonzero(np.append(len(entry) > 0, entry[1:] != entry[:-1]))
        ends = np.append(starts[1:], len(entry))[: len(starts)]
        parts = _GridParts(masses, starts, ends)
        low, high = parts.cores()
        bits = _within_budget(parts.cell_bits(low, high, float(np.sum(masses.weight)), MASS_BITS + 2 * refinements))
        width = _cell_width(low, high, bits)
        drop = np.maximum(width - POSITION_BITS, 0)
        cells = np.left_shift(1, bits)
        windows = np.zeros(len(starts), DIRECTORY_DTYPE)
        windows["start"], windows["last"], windows["drop"], windows["bits"] = low, cells - 1, drop, width - drop
        windows["first"] = OUTER_CELLS + np.cumsum(cells) - cells
        rests, total = parts.rests(low, drop), float(np.sum(masses.weight))
        hot_key, anchors = NO_HOT_KEY, np.empty(0, np.uint64)
        single = masses.low == masses.high
        if np.any(single):
            weight = np.where(single, masses.weight, 0.0)
            heaviest = int(np.argmax(weight))
            hot_key = int(masses.low[heaviest]) if weight[heaviest] >= HOT_SHARE * total else NO_HOT_KEY
            anchors = _lone_values(cls(frame, windows, rests, np.empty(0, np.uint64), hot_key, anchors), masses)
        return cls(frame, windows, rests, midpoint_keys(centres), hot_key, anchors)

    def __getstate__(self) -> dict[str, Any]:
        """State to pickle: the fields alone; cached properties are computed again from them."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def entries(self) -> Ints:
        """Directory entry of every window."""
        return np.asarray(self.windows["start"] >> np.uint64(ENTRY_SHIFT)).astype(np.int64)

    @cached_property
    def inner_cells(self) -> int:
        """Number of inner cells."""
        return int(np.sum(self.windows["last"].astype(np.int64) + 1))

    def directory(self) -> NDArray[np.void]:
        """All 2^16 entries, in 1 MiB; those without a window send every key to the outer cells."""
        table = np.zeros(ENTRIES, DIRECTORY_DTYPE)
        # no key of the entry lies in the one-key window at the entry's own end
        table["start"] = np.arange(1, ENTRIES + 1, dtype=np.uint64) << np.uint64(ENTRY_SHIFT)
        table[self.entries] = self.windows
        return table

    @cached_property
    def splits(self) -> Splits:
        """Cells that hold a midpoint: the inner cell where a window covers it, and the outer cell around it."""
        inner = self.locate(self.midpoints)[0].astype(np.uint64)
        outer = self.midpoints >> np.uint64(OUTER_SHIFT)
        rank = np.arange(1, len(self.midpoints) + 1)
        in_window = inner != outer
        midpoint = np.concatenate((self.midpoints, self.midpoints[in_window]))
        parent, rank = np.concatenate((outer, inner[in_window])), np.concatenate((rank, rank[in_window]))
        order = np.argsort(midpoint, kind="stable")
        return Splits(midpoint[order], parent[order], rank[order].astype(np.int64))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything that decides which cell a value belongs to."""
        digest = hashlib.sha256(np.array([self.frame.scale, self.frame.centre]).tobytes())
        # Not the hot key: it decides how the rows of a cell are counted, and not which rows these are.
        for part in (self.windows, self.rests, self.midpoints, self.anchors):
            digest.update(part.tobytes() + b"|")
        return digest.hexdigest()

    def locate(self, keys: Keys) -> tuple[Ints, Keys]:
        """Cell (before splitting) and position inside it, for every key."""
        entry = (keys >> np.uint64(ENTRY_SHIFT)).astype(np.int64)
        index = np.searchsorted(self.entries, entry)
        has_window = np.append(self.entries, ENTRIES)[index] == entry
        window = np.append(self.windows, np.zeros(1, DIRECTORY_DTYPE))[index]
        units = (keys - window["start"]) >> window["drop"].astype(np.uint64)
        bits = window["bits"].astype(np.uint64)
        inner = units >> bits
        in_window = has_window & (inner <= window["last"])
        cell = np.where(in_window, window["first"] + inner, keys >> np.uint64(OUTER_SHIFT)).astype(np.int64)
        outer_position = (keys >> np.uint64(OUTER_DROP)) & np.uint64((1 << POSITION_BITS) - 1)
        return cell, np.where(in_window, units & ((np.uint64(1) << bits) - np.uint64(1)), outer_position)

    def split(self, cells: Ints, keys: Keys) -> Ints:
        """Cells after splitting: rows at or above a midpoint inside their cell belong to the midpoint's part."""
        split_cells = cells.copy()
        for part, (midpoint, parent) in enumerate(zip(self.splits.midpoint, self.splits.parent, strict=True)):
            split_cells[(cells == parent) & (keys >= midpoint)] = OUTER_CELLS + self.inner_cells + part
        return split_cells

    def cells_of(self, y: Floats) -> Ints:
        """Cells of rows with these coordinates, after splitting."""
        keys = keys_of(y)
        return self.split(self.locate(keys)[0], keys)

    def place_of_hot_key(self) -> tuple[int, int]:
        """Cell and position of rows with the hot key; 0 where there is none."""
        if self.hot_key == NO_HOT_KEY:
            return 0, 0
        key = np.array([self.hot_key], np.uint64)
        cell, position = self.locate(key)
        return int(self.split(cell, key)[0]), int(position[0])

    def is_split_between(self, centres: Floats, rounding: float = 0.0) -> bool:
        """Return whether the cells end at the midpoints between centres, to within `rounding` of the range of these."""
        wanted = midpoint_keys(centres)
        if not rounding or len(wanted) != len(self.midpoints):
            return np.array_equal(wanted, self.midpoints)
        apart = np.abs(values_of(wanted) - values_of(self.midpoints))
        return bool(np.all(apart <= rounding * np.ptp(centres)))

    def unsplit(self, cells: Ints) -> Ints:
        """Cells before splitting: a part's parent, every other cell itself."""
        part = cells - (OUTER_CELLS + self.inner_cells)
        if len(self.splits.parent) == 0:
            return cells
        return np.where(part >= 0, self.splits.parent.astype(np.int64)[np.maximum(part, 0)], cells)

    def geometry(self, cells: Ints) -> CellGeometry:
        """Borders and units of cells; a part has those of its parent."""
        parent = self.unsplit(cells)
        low = parent.astype(np.uint64) << np.uint64(OUTER_SHIFT)
        drop = np.full(len(cells), OUTER_DROP, np.int64)
        bits = np.full(len(cells), POSITION_BITS, np.int64)
        offset = np.full(len(cells), middle_of_unit(OUTER_DROP))
        inner = parent >= OUTER_CELLS
        if np.any(inner):
            index = np.searchsorted(self.windows["first"], parent[inner], side="right") - 1
            window = self.windows[index]
            drop[inner], bits[inner], offset[inner] = window["drop"], window["bits"], self.rests[index]
            width = (drop[inner] + bits[inner]).astype(np.uint64)
            low[inner] = window["start"] + ((parent[inner] - window["first"]).astype(np.uint64) << width)
        return CellGeometry(low, drop, bits, offset)

    def labels(self, cells: Ints, low: Keys) -> Ints:
        """Rank of the centre nearest to the rows of each cell (0 = lowest centre)."""
        part = cells - (OUTER_CELLS + self.inner_cells)
        rank = np.searchsorted(self.midpoints, low, side="left")
        if len(self.splits.rank) == 0:
            return rank
        return np.where(part >= 0, self.splits.rank[np.maximum(part, 0)], rank)


def _distinct_in_numpy(keys: Keys) -> tuple[Keys, Floats]:
    """The distinct keys, ascending, and how often each occurs."""
    distinct, counts = distinct_values(keys)
    return distinct, counts.astype(np.float64)


_distinct: Callable[[Keys], tuple[Keys, Floats]] = (
    _distinct_in_numpy if find_spec("gpuvgm._native") is None else import_module("gpuvgm._native").distinct
)


@dataclass(frozen=True, slots=True)
class Masses:
    """Masses that a grid is built from: intervals of keys, ascending, with the mass in each.

    A sample gives intervals of one key; the cells of a summary give their own borders.
    """

    low: Keys
    high: Keys
    weight: Floats

    @classmethod
    def of_sample(cls, y: Floats) -> Masses:
        """Masses of the finite values of a sample."""
        keys, counts = _distinct(keys_of(y[np.isfinite(y)]))
        return cls(keys, keys, counts)


def midpoints(centres: Floats) -> Floats:
    """Midpoints between neighbours of ascending centres."""
    middle: Floats = centres[:-1] + 0.5 * (centres[1:] - centres[:-1])
    return middle


def midpoint_keys(centres: Floats) -> Keys:
    """Ascending keys of the midpoints between neighbouring centres, one a pair of different centres."""
    return np.unique(keys_of(midpoints(np.unique(centres))))


@dataclass(frozen=True, slots=True)
class _GridParts:
    """Masses by entry of the directory: those of entry i are masses[starts[i] : ends[i]]."""

    masses: Masses
    starts: Ints
    ends: Ints

    def per_mass(self, values: NDArray[Any]) -> NDArray[Any]:
        """Value of the part of each mass."""
        return np.repeat(values, self.ends - self.starts)

    def cores(self) -> tuple[Keys, Keys]:
        """Keys between which the masses lie: all of them, or the middle where a few rows lie far from the rest."""
        masses, last_mass = self.masses, self.ends - 1
        low, high = masses.low[self.starts], np.maximum.reduceat(masses.high, self.starts)
        sums = np.add.reduceat(masses.weight, self.starts)
        running = np.cumsum(masses.weight)
        share = running - self.per_mass(running[self.starts] - masses.weight[self.starts])
        share /= self.per_mass(sums)
        low_mass = self.starts + np.add.reduceat(share < 0.01, self.starts, dtype=np.int64)
        high_mass = self.starts + np.add.reduceat(share < 0.99, self.starts, dtype=np.int64)
        inner_low, inner_high = (
            masses.low[np.minimum(low_mass, last_mass)],
            masses.high[np.minimum(high_mass, last_mass)],
        )
        narrow = (inner_high - inner_low + np.uint64(1)) * np.uint64(16) < high - low
        return np.where(narrow, inner_low, low), np.where(narrow, inner_high, high)

    def cell_bits(self, low: Keys, high: Keys, total: float, mass_bits: int) -> Ints:
        """log2 of the number of cells that each entry should have over its core."""
        masses, starts = self.masses, self.starts
        in_core = (masses.low >= self.per_mass(low)) & (masses.low <= self.per_mass(high))
        keys = np.add.reduceat(in_core, starts, dtype=np.int64)
        weight = np.add.reduceat(masses.weight, starts)
        has_repeats = np.logical_and.reduceat(masses.low == masses.high, starts)
        has_repeats &= weight >= REPEATED * (self.ends - starts)  # a few values again and again: a cell for each
        share_bits = np.ceil(np.log2(np.maximum(weight / total * 2.0**mass_bits, 1.0))).astype(np.int64)
        bits = np.where(has_repeats, 0, np.minimum(MOST_BITS, np.maximum(LEAST_BITS, share_bits)))
        cells = np.ldexp(1.0, bits)
        # Half of the cells that even rows would occupy.
        least_occupied = np.where(has_repeats, keys, 0.5 * cells * -np.expm1(-keys / cells))
        parts, offset = np.arange(len(starts)), masses.low[in_core] - np.repeat(low, keys)
        differ = np.frexp((offset[1:] ^ offset[:-1]).astype(np.float64))[1]  # bits up to the highest that differs
        differ[np.cumsum(keys)[:-1] - 1] = 0  # neighbours in two parts
        counts = np.bincount(np.repeat(parts * _LENGTHS, keys)[1:] + differ, minlength=len(parts) * _LENGTHS)
        borders = np.cumsum(counts.reshape(-1, _LENGTHS)[:, ::-1], axis=1)[:, ::-1]
        can_grow = bits < MOST_BITS
        while np.any(can_grow):
            can_grow &= 1 + borders[parts, _cell_width(low, high, bits) + 1] < least_occupied
            bits[can_grow] += 1
            can_grow &= bits < MOST_BITS
        # rows beside the sample's values, if there are any, find narrow cells; a single value has nothing beside it
        spare = np.where(has_repeats & (keys > 1), REPEATED_BITS, has_repeats.astype(np.int64))
        return np.asarray(np.minimum(MOST_BITS, bits + spare))

    def rests(self, start: Keys, drop: Ints) -> Floats:
        """Offset in its unit that all values of a window share, in keys; the middle if they differ or are too few."""
        masses = self.masses
        mask = np.left_shift(np.uint64(1), drop.astype(np.uint64)) - np.uint64(1)
        offset = (masses.low - self.per_mass(start)) & self.per_mass(mask)
        is_common = np.logical_and.reduceat(
            (masses.low == masses.high) & (offset == self.per_mass(offset[self.starts])), self.starts
        )
        is_common &= self.ends - self.starts > 1
        return np.where(is_common, offset[self.starts].astype(np.float64), middle_of_unit(drop))


def _within_budget(bits: Ints) -> Ints:
    """Bits of the entries, those of the largest windows reduced until all cells together fit the budget."""
    limit = MOST_BITS
    while np.sum(np.left_shift(1, np.minimum(bits, limit))) > MOST_INNER_CELLS:
        limit -= 1
    return np.asarray(np.minimum(bits, limit))


def _cell_width(low: Keys, high: Keys, bits: Ints) -> Ints:
    """log2 of the keys in a cell when 2^bits cells must cover low ... high, which lie in one entry."""
    length = np.frexp((high - low).astype(np.float64))[1]
    width: Ints = np.maximum(length - bits, 0)
    return width


def _lone_values(grid: Grid, masses: Masses) -> Keys:
    """Keys of values seen at least twice and alone in their cell."""
    is_repeated = (masses.weight >= 2) & (masses.low == masses.high)
    if not np.any(is_repeated):
        return np.empty(0, np.uint64)
    cells, _ = grid.locate(masses.low)
    is_alone = np.r_[True, cells[1:] != cells[:-1]] & np.r_[cells[1:] != cells[:-1], True]
    return np.asarray(masses.low[is_alone & is_repeated])
