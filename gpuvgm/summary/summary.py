"""Summaries: exact sums of one scan over a column, which can be merged in any order.

For every occupied cell of the grid a summary holds the count of its rows and the sums of their integer positions and
of the squares of these. Integers add up to the same total in any order, so that partitions, threads and retries cannot
change a bit of the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.errors import InputError, ModelFileError, counted_values
from gpuvgm.shortage import ARROW_PROBLEMS, reason
from gpuvgm.summary.grid import (
    DIRECTORY_DTYPE,
    NO_HOT_KEY,
    OUTER_CELLS,
    POSITION_BITS,
    CellGeometry,
    Floats,
    Frame,
    Grid,
    Ints,
    Keys,
    Masses,
    keys_of,
    values_of,
)

_WORD = 1 << 64
_UNEVEN = 1.2  # the points lie at 1/a below and a above the mean, in units of the cell's own deviation
_SMALL = 1 << 24  # rows whose sum of squared positions fits one 64-bit word
FORMAT = 2
_GRID_ARRAYS: dict[str, Any] = {
    "windows": DIRECTORY_DTYPE,
    "rests": np.float64,
    "midpoints": np.uint64,
    "anchors": np.uint64,
}
_SUMS = ("count", "first", "second", "second_high")  # what a summary holds of each cell
_SCHEMA = pa.schema([("cell", pa.int64()), *((name, pa.uint64()) for name in _SUMS)])
STRAYS = 9  # different values off the step that are kept: one more than a column can have modes for


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a distribution, with errors of single rows: those of n rows are smaller by the root of n.

    Errors are root mean squares of influence functions (Hampel et al. 1986, section 2.1).

    Parameters
    ----------
    skewness : float
        Third standardised moment; 0 where all values are the same.
    sd_error : float
        Standard error of the standard deviation, as a share of it.
    skewness_error : float
        Standard error of the skewness.
    """

    skewness: float
    sd_error: float
    skewness_error: float


@dataclass(frozen=True, slots=True)
class Cells:
    """Occupied cells as numbers, in ascending order of the grid.

    Parameters
    ----------
    mean : ndarray of shape (cells,)
        Mean of the rows, in the frame's coordinates.
    weight : ndarray of shape (cells,)
        Number of rows.
    scatter : ndarray of shape (cells,)
        Sum of squared deviations from the cell's mean.
    label : ndarray of shape (cells,)
        Rank of the nearest centre (0 = lowest).
    parent : ndarray of shape (cells,)
        The cell's number before splitting.
    unit : ndarray of shape (cells,)
        Width of the unit that positions were rounded to; 0 where the rows' values are known exactly.
    """

    mean: Floats
    weight: Floats
    scatter: Floats
    label: Ints
    parent: Ints
    unit: Floats

    @classmethod
    def of_values(cls, y: Floats, weight: Floats) -> Cells:
        """A cell for each of some values, with the rows that hold it."""
        zeros = np.zeros(len(y))
        return cls(y, weight, zeros, zeros.astype(np.int64), zeros.astype(np.int64), zeros)

    @property
    def rows(self) -> float:
        """Number of rows in all cells."""
        return float(np.sum(self.weight))

    def mean_and_variance(self) -> tuple[float, float]:
        """Mean and variance with ddof = 1 of the rows; the variance of a single row is 1 as in the prior.

        In memory, by NumPy's pairwise sums, with squares about the mean itself.
        """
        total = self.rows
        rough = float(np.sum(self.weight * self.mean) / total)
        # Summed again about the rough mean, so that an offset costs no digits.
        mean = rough + float(np.sum(self.weight * (self.mean - rough)) / total)
        squares = float(np.sum(self.weight * (self.mean - mean) ** 2) + np.sum(self.scatter))
        return mean, squares / (total - 1) if total > 1 else 1.0

    def shape(self) -> Shape:
        """Skewness of the rows, and the standard errors of deviation and skewness; rows of a cell lie at its mean."""
        mean, variance = self.mean_and_variance()
        if not variance > 0 or self.rows < 2:
            return Shape(0.0, 0.0, 0.0)
        z, share = (self.mean - mean) / np.sqrt(variance), self.weight / self.rows
        spread = self.scatter / self.weight / variance
        skewness = float(np.sum(share * (z**3 + 3 * z * spread)))
        influences = (z**2 - 1) / 2, z**3 - 3 * z - skewness * (1 + 1.5 * (z**2 - 1))
        of_sd, of_skewness = (float(np.sqrt(np.sum(share * influence**2))) for influence in influences)
        return Shape(skewness, of_sd, of_skewness)

    def coarsen(self) -> Cells:
        """Neighbouring cells of one window put together two by two, unless a midpoint lies between them."""
        if len(self.mean) == 0:
            return self
        pair = self.parent >> 1
        order = np.lexsort((self.label, pair))
        pair, label = pair[order], self.label[order]
        starts = np.flatnonzero(np.r_[True, (pair[1:] != pair[:-1]) | (label[1:] != label[:-1])])
        weight, mean = self.weight[order], self.mean[order]
        total = np.add.reduceat(weight, starts)
        # Means are taken about the first of a pair, so that a common offset does not cancel.
        anchor = np.repeat(mean[starts], np.diff(np.r_[starts, len(mean)]))
        means = mean[starts] + np.add.reduceat(weight * (mean - anchor), starts) / total
        gap = mean - np.repeat(means, np.diff(np.r_[starts, len(mean)]))
        scatter = np.add.reduceat(self.scatter[order] + weight * gap * gap, starts)
        return Cells(means, total, scatter, label[starts], pair[starts] << 1, np.zeros(len(starts)))

    def concatenate(self, cells: Cells) -> Cells:
        """These cells and others of the same grid."""
        return Cells(*(np.concatenate((getattr(self, part.name), getattr(cells, part.name))) for part in fields(Cells)))

    def uneven(self) -> Cells:
        """Every cell as two points with the same mean and scatter but a skewness of 0.37.

        A fit on them differs from one on the cells by what the third moments that a summary does not keep could do.
        """
        spread = np.sqrt(self.scatter / self.weight)
        share = _UNEVEN * _UNEVEN / (1 + _UNEVEN * _UNEVEN)
        return Cells(
            mean=np.concatenate((self.mean - spread / _UNEVEN, self.mean + spread * _UNEVEN)),
            weight=np.concatenate((self.weight * share, self.weight * (1 - share))),
            scatter=np.zeros(2 * len(self.mean)),
            label=np.tile(self.label, 2),
            parent=np.tile(self.parent, 2),
            unit=np.zeros(2 * len(self.mean)),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Exact sums of a column over the cells of a grid.

    Parameters
    ----------
    grid : Grid
        The grid that the sums belong to.
    cell : ndarray of int64
        Occupied cells, ascending.
    count, first, second, second_high : ndarray of uint64
        Rows, sum of positions, and sum of squared positions in two words (low, high), per occupied cell.
    missing, infinite : int
        Rows that are NaN and rows that are infinite; neither lies in a cell.
    minimum, maximum : float
        Smallest and largest finite value; inf and -inf where there is none.
    modal : tuple of int
        Rows of each modal value, where the column has such; they lie in no cell.
    ends : tuple of int or float, optional
        Smallest and largest value of the rows in the cells, in the unit of the column, exactly.
    off_step : int
        Rows in the cells whose value is no multiple of the step that was learned for the column.
    strays : tuple of float
        The least different ones of these values, at most `STRAYS`, ascending, as numbers of the plain scale.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> transformer = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4})
    >>> summary = transformer.summaries_["amount"]
    >>> summary.rows, summary.minimum, summary.maximum
    (1000, 0.0, 249.75)
    """

    grid: Grid
    cell: Ints
    count: Keys
    first: Keys
    second: Keys
    second_high: Keys
    missing: int
    infinite: int
    minimum: float
    maximum: float
    modal: tuple[int, ...] = ()
    ends: tuple[int | float, int | float] | None = None
    off_step: int = 0
    strays: tuple[float, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Parts to pickle: sums without their zero bytes, a third of the size between processes."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        words = {name: values.pop(name) for name in _SUMS} | {"cell": np.diff(values.pop("cell"), prepend=0)}
        columns = {name: _low_bytes(column.astype(np.uint64, copy=False)) for name, column in words.items()}
        return _unpickle, (len(self.cell), columns, values)

    @property
    def ordinary(self) -> int:
        """Rows that lie in a cell."""
        return int(np.sum(self.count))

    @property
    def rows(self) -> int:
        """All rows, missing, infinite and modal ones included."""
        return self.ordinary + self.missing + self.infinite + sum(self.modal)

    @classmethod
    def empty(cls, grid: Grid) -> Summary:
        """Summary of no rows.

        Parameters
        ----------
        grid : Grid
            The grid to use.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4})
        >>> gpuvgm.Summary.empty(transformer.summaries_["amount"].grid).rows
        0
        """
        no_sums = np.empty(0, np.uint64)
        return cls(grid, np.empty(0, np.int64), no_sums, no_sums, no_sums, no_sums, 0, 0, np.inf, -np.inf)

    @classmethod
    def from_array(cls, x: Floats, grid: Grid) -> Summary:
        """Summarise rows with NumPy; the definition that every engine's `summarise` equals.

        Parameters
        ----------
        x : ndarray of shape (rows,), float64
            Values; NaN is missing.
        grid : Grid
            The grid to use.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4})
        >>> grid = transformer.summaries_["amount"].grid
        >>> summary = gpuvgm.Summary.from_array(np.array([7.5, 20.25, np.nan]), grid)
        >>> summary.rows, summary.missing, summary.maximum
        (3, 1, 20.25)
        """
        x = np.asarray(x, dtype=np.float64)
        finite = x[np.isfinite(x)]
        y = grid.frame.apply(finite)
        keys = keys_of(y[np.isfinite(y)])
        cell, position = grid.locate(keys)
        cell = grid.split(cell, keys)
        cells, index, count = np.unique(cell, return_inverse=True, return_counts=True)
        first, second, high = (np.zeros(len(cells), np.uint64) for _ in range(3))
        np.add.at(first, index, position)
        for start in range(0, len(x), _SMALL):
            part = slice(start, start + _SMALL)
            block = np.zeros(len(cells), np.uint64)
            np.add.at(block, index[part], position[part] * position[part])
            second, high = _add_words(second, high, block, np.uint64(0))
        missing = int(np.count_nonzero(np.isnan(x)))
        # Of 0.0 and -0.0 the minimum is either, by the order of the rows; + 0.0 leaves the sign out.
        return cls(
            grid, cells, count.astype(np.uint64), first, second, high,
            missing, len(x) - len(finite) - missing,
            float(np.min(finite, initial=np.inf)) + 0.0, float(np.max(finite, initial=-np.inf)) + 0.0,
        ).of_all(len(x))  # fmt: skip

    def of_all(self, rows: int) -> Summary:
        """The summary, refused if it lacks some rows: finite values overflow in the frame of a tiny sample.

        Parameters
        ----------
        rows : int
            All rows that were summarised.

        Returns
        -------
        Summary
            The summary itself.

        Raises
        ------
        InputError
            Where it lacks some of them.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> summary.of_all(1000) is summary
        True
        """
        if self.rows != rows:
            problem = "values are more than 1e300 times as large as the sample of the column"
            raise InputError(f"{counted_values(rows - self.rows, problem)}: clean them, or fit with a larger sample")
        return self

    def merge(self, other: Summary) -> Summary:
        """Summary of both sets of rows; associative and commutative to the last bit.

        Parameters
        ----------
        other : Summary
            A summary with the same grid.

        Returns
        -------
        Summary
            Counts and moments added, in 128 bits.

        Raises
        ------
        InputError
            Where the two belong to different grids.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> more = gpuvgm.Summary.from_array(np.array([7.5, 300.0, np.nan]), summary.grid)
        >>> both = summary.merge(more)
        >>> both.rows, both.missing, both.maximum
        (1003, 1, 300.0)
        """
        if self.grid is not other.grid and self.grid.fingerprint != other.grid.fingerprint:
            raise InputError(
                "summaries of different grids cannot be merged: summarise the new rows with the stored grid"
            )
        missing, infinite = self.missing + other.missing, self.infinite + other.infinite
        minimum, maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        modal = tuple(map(add, self.modal, other.modal)) if self.modal and other.modal else self.modal or other.modal
        ends = [end for end in (self.ends, other.ends) if end is not None]
        range_ = (min(ends)[0], max(end[1] for end in ends)) if ends else None
        strays = tuple(sorted({*self.strays, *other.strays})[:STRAYS])
        figures = (missing, infinite, minimum, maximum, modal, range_, self.off_step + other.off_step, strays)
        if len(self.cell) == 0 or len(other.cell) == 0:
            summary = self if len(other.cell) == 0 else other
            return Summary(
                self.grid, summary.cell, summary.count, summary.first, summary.second, summary.second_high, *figures
            )
        cells = np.concatenate((self.cell, other.cell))
        cells.sort(kind="stable")  # two sorted runs: quicker than numpy.union1d
        cell = cells[np.diff(cells, prepend=-1) != 0]
        count, first, second, high = (np.zeros(len(cell), np.uint64) for _ in range(4))
        for part in (self, other):
            index = np.searchsorted(cell, part.cell)
            count[index] += part.count
            first[index] += part.first
            second[index], high[index] = _add_words(second[index], high[index], part.second, part.second_high)
        return Summary(self.grid, cell, count, first, second, high, *figures)

    def repeated(self, doublings: int) -> Summary:
        """Summary of the same rows, each 2^doublings times.

        Parameters
        ----------
        doublings : int
            At least 0.

        Returns
        -------
        Summary
            As if the rows had been repeated.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> summary.repeated(3).rows
        8000
        """
        times, carry_shift = np.uint64(doublings), np.uint64(64 - doublings)
        carry = self.second >> carry_shift if doublings else np.uint64(0)
        return replace(
            self,
            count=self.count << times,
            first=self.first << times,
            second=self.second << times,
            second_high=(self.second_high << times) | carry,
            missing=self.missing << doublings,
            infinite=self.infinite << doublings,
            modal=tuple(count << doublings for count in self.modal),
            off_step=self.off_step << doublings,
        )

    def cells(self) -> Cells:
        """Compute the occupied cells as numbers, moments taken about each cell's own mean from exact integers.

        Returns
        -------
        Cells
            In ascending order of their values.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> cells = summary.cells()
        >>> cells.rows, bool(np.all(np.diff(cells.mean) > 0))
        (1000.0, True)
        """
        grid, geometry = self.grid, self.grid.geometry(self.cell)
        low = geometry.low
        count = self.count.astype(np.float64)
        key = values_of(low + np.uint64(1)) - values_of(low)
        unit = np.ldexp(key, geometry.drop)
        deviations = self._deviations()
        offset, single = self._unit_offsets(geometry, deviations)
        mean = values_of(low) + (_mean_position(self.first, self.count) * unit + offset * key)
        scatter = deviations * unit * unit
        label = grid.labels(self.cell, low)
        order = np.lexsort((label, low))
        parent = grid.unsplit(self.cell)
        rounding = np.where(single | (geometry.drop == 0), 0.0, unit)
        return Cells(mean[order], count[order], scatter[order], label[order], parent[order], rounding[order])

    def masses(self) -> Masses:
        """Compute the occupied cells as intervals of keys, for building a finer grid from all rows instead of a sample.

        A cell whose rows are known to have one value gives the key of that value.

        Returns
        -------
        Masses
            In ascending order of their keys.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> masses = summary.masses()
        >>> float(masses.weight.sum()), bool(np.all(masses.low <= masses.high))
        (1000.0, True)
        """
        geometry = self.grid.geometry(self.cell)
        low = geometry.low.copy()
        high = geometry.low + ((np.uint64(1) << (geometry.drop + geometry.bits).astype(np.uint64)) - np.uint64(1))
        offset, single = self._unit_offsets(geometry, self._deviations())
        position = (self.first // self.count)[single] << geometry.drop[single].astype(np.uint64)
        low[single] += position + offset[single].astype(np.uint64)
        high[single] = low[single]
        order = np.argsort(low, kind="stable")
        return Masses(low[order], high[order], self.count[order].astype(np.float64))

    def write(self, sink: pa.NativeFile) -> None:
        """Write the summary into an open Arrow file.

        Parameters
        ----------
        sink : pyarrow.NativeFile
            The file.

        Examples
        --------
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> sink = pa.BufferOutputStream()
        >>> summary.write(sink)
        >>> gpuvgm.Summary.from_bytes(sink.getvalue().to_pybytes(), "amount").rows
        1000
        """
        table = self._table()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def from_bytes(cls, body: bytes, name: str) -> Summary:
        """Summary from the bytes of an Arrow file.

        Parameters
        ----------
        body : bytes
            What `write` wrote.
        name : str
            Its name in messages.

        Raises
        ------
        ModelFileError
            For bytes that are damaged, no summary, or of another format.

        Examples
        --------
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> import gpuvgm
        >>> summary = gpuvgm.TableTransformer().fit({"amount": np.arange(1000) / 4}).summaries_["amount"]
        >>> sink = pa.BufferOutputStream()
        >>> summary.write(sink)
        >>> gpuvgm.Summary.from_bytes(sink.getvalue().to_pybytes(), "amount").maximum
        249.75
        """
        try:
            table = ArrowBytes.of(body).table(_SCHEMA)
        except ARROW_PROBLEMS as error:
            raise ModelFileError(f"{name}: not a summary, or damaged ({reason(error)})") from error
        try:
            header = json.loads((table.schema.metadata or {}).get(b"gpuvgm.summary", b"{}"))
            file_format = header.get("format")
            if file_format != FORMAT:
                raise ModelFileError(
                    f"{name}: no summary of this version of gpuvgm (format {file_format!r:.60}); count again"
                )
            return cls._of_parts([column.to_numpy() for column in table.columns], header)
        except ModelFileError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            detail = str(error) or type(error).__name__
            raise ModelFileError(f"{name}: a summary that is damaged or inconsistent ({detail})") from error

    @classmethod
    def _of_parts(cls, numbers: Sequence[NDArray[Any]], header: Mapping[str, Any]) -> Summary:
        """Summary from its five columns and its header.

        Raises
        ------
        LookupError, TypeError, ValueError, ArithmeticError
            Where they are none.
        """
        cell, count, first, second, second_high = numbers
        frame = Frame(float.fromhex(header["scale"]), float.fromhex(header["centre"]))
        arrays = {part: np.frombuffer(bytes.fromhex(header[part]), dtype) for part, dtype in _GRID_ARRAYS.items()}
        grid = Grid(frame, hot_key=int(header["hot_key"]), **arrays)
        low, high = (float.fromhex(header[part]) for part in ("minimum", "maximum"))
        modal, ends = tuple(header["modal"]), None if header["ends"] is None else (header["ends"][0], header["ends"][1])
        strays = tuple(map(float.fromhex, header["strays"]))
        figures = (header["missing"], header["infinite"], low, high, modal, ends, header["off_step"], strays)
        summary = cls(grid, cell, count, first, second, second_high, *figures)
        _check_grid(grid)
        _check_sums(summary)
        return summary

    def _table(self) -> pa.Table:
        header = {
            "format": FORMAT,
            "scale": self.grid.frame.scale.hex(),
            "centre": self.grid.frame.centre.hex(),
            **{part: getattr(self.grid, part).tobytes().hex() for part in _GRID_ARRAYS},
            "hot_key": str(self.grid.hot_key),
            "missing": self.missing,
            "infinite": self.infinite,
            "minimum": self.minimum.hex(),
            "maximum": self.maximum.hex(),
            "modal": self.modal,
            "ends": self.ends,
            "off_step": self.off_step,
            "strays": [number.hex() for number in self.strays],
        }
        columns = {name: pa.array(getattr(self, name)) for name in ("cell", *_SUMS)}
        return pa.table(columns).replace_schema_metadata({"gpuvgm.summary": json.dumps(header)})

    def _deviations(self) -> Floats:
        """Sum of squared deviations of the positions of each cell from their mean, in units.

        That is the sum of (position - mean)^2 = sum of (position - q)^2 - r^2 / count, with first = q count + r.
        The first term is an integer. It fits one word for fewer than 2^24 rows, where arithmetic modulo 2^64 gives it
        exactly; larger cells are computed with Python's integers.
        """
        count, first, second, high = self.count, self.first, self.second, self.second_high
        q = first // count
        r = first - q * count
        about_q = second - q * (first + r)
        correction = r.astype(np.float64) * (r.astype(np.float64) / count.astype(np.float64))
        deviations = about_q.astype(np.float64) - correction
        for i in np.flatnonzero(count >= _SMALL):
            exact = int(second[i]) + _WORD * int(high[i]) - int(q[i]) * (int(first[i]) + int(r[i]))
            deviations[i] = exact - int(r[i]) ** 2 / int(count[i])
        return np.maximum(deviations, 0.0)

    def _unit_offsets(self, geometry: CellGeometry, deviations: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Keys from the start of a unit to the value it stands for, and the cells known to hold one value only.

        Such a cell is exact: its unit is one key, or its value is a lone repeated one of the sample.
        """
        index, anchors = self._anchor_cells()
        unit = (np.uint64(1) << geometry.drop[index].astype(np.uint64)) - np.uint64(1)
        offset, exact = geometry.offset.copy(), geometry.drop == 0
        offset[index] = ((anchors - geometry.low[index]) & unit).astype(np.float64)
        exact[index] = True
        return offset, np.asarray(exact & (deviations == 0))

    def _anchor_cells(self) -> tuple[Ints, Keys]:
        """Occupied cells that hold a lone repeated value of the sample, and the keys of these values."""
        anchors = self.grid.anchors
        if len(anchors) == 0 or len(self.cell) == 0:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        cell = self.grid.split(self.grid.locate(anchors)[0], anchors)
        index = np.minimum(np.searchsorted(self.cell, cell), len(self.cell) - 1)
        has_anchor = self.cell[index] == cell
        return index[has_anchor], anchors[has_anchor]


def _low_bytes(words: Keys) -> bytes:
    """Low bytes of the words, of each as many as the largest word needs."""
    width = (int(words.max(initial=0)).bit_length() + 7) // 8
    return np.ascontiguousarray(words, "<u8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()


def _unpickle(cells: int, columns: Mapping[str, bytes], values: Mapping[str, Any]) -> Summary:
    """Summary from the parts of its pickle."""
    words: dict[str, Any] = {}
    for name, column in columns.items():
        word_bytes = np.zeros((cells, 8), np.uint8)
        if cells:
            word_bytes[:, : len(column) // cells] = np.frombuffer(column, np.uint8).reshape(cells, -1)
        words[name] = word_bytes.view("<u8")[:, 0].astype(np.uint64)
    words["cell"] = np.cumsum(words["cell"].astype(np.int64))
    return Summary(**words, **values)


def _check_grid(grid: Grid) -> None:
    """Refuse windows that overlap, lie out of order, or count their cells otherwise than one after the other."""
    windows = grid.windows
    sizes, bits = windows["last"].astype(np.int64) + 1, windows["drop"].astype(np.int64) + windows["bits"]
    firsts = OUTER_CELLS + np.concatenate(([0], np.cumsum(sizes)[:-1])) if len(windows) else np.empty(0)
    if len(grid.rests) != len(windows) or not np.all(np.isfinite(grid.rests)) or np.any(np.diff(grid.entries) <= 0):
        raise ValueError("the windows of its grid are out of order")
    if not np.array_equal(windows["first"], firsts) or np.any(bits >= 64) or np.any(windows["bits"] > POSITION_BITS):
        raise ValueError("the windows of its grid do not follow each other")
    exponent = math.frexp(grid.frame.scale)[0]
    if exponent != 0.5 or not math.isfinite(grid.frame.centre) or not 0 <= grid.hot_key <= NO_HOT_KEY:
        raise ValueError("its grid has no frame")
    for keys in (grid.midpoints, grid.anchors):
        if np.any(keys[1:] <= keys[:-1]) or not np.all(np.isfinite(values_of(keys))):
            raise ValueError("its grid has midpoints or anchors that are out of order")


def _check_sums(summary: Summary) -> None:
    """Refuse sums that no set of rows can have."""
    counts = [summary.missing, summary.infinite, *summary.modal, summary.off_step]
    if any(type(count) is not int or not 0 <= count < 2**63 for count in counts):
        raise ValueError("it has counts that are no whole numbers from 0 on")
    cell, count, first = summary.cell, summary.count, summary.first
    cells = OUTER_CELLS + summary.grid.inner_cells + len(summary.grid.splits.parent)
    if len(cell) and (cell[0] < 0 or cell[-1] >= cells or np.any(np.diff(cell) <= 0)):
        raise ValueError("its cells are out of order, or none of its grid")
    positions = np.ldexp(1.0, summary.grid.geometry(cell).bits)
    if np.any(count == 0) or np.any(count >> np.uint64(62)) or np.any(first.astype(float) >= count * positions):
        raise ValueError("its cells hold sums that no rows have")
    if (
        math.isnan(summary.minimum)
        or math.isnan(summary.maximum)
        or (len(cell) and summary.ends is not None and not _is_range(summary.ends))
    ):
        raise ValueError("its range is none")


def _is_range(ends: Sequence[Any]) -> bool:
    numbers = [type(end) in (int, float) for end in ends]
    return all(numbers) and bool(ends[0] <= ends[1])


def _add_words(low: Keys, high: Keys, term: Keys, term_high: Keys | np.uint64) -> tuple[Keys, Keys]:
    """Sum of two 128-bit numbers in two words each."""
    total = low + term
    return total, high + term_high + (total < low)


def _mean_position(first: Keys, count: Keys) -> Floats:
    """First / count, correctly rounded or nearly so."""
    quotient = first // count  # sums may need more digits than float64 has; quotient and remainder have fewer
    return np.asarray(
        quotient.astype(np.float64) + (first - quotient * count).astype(np.float64) / count.astype(np.float64)
    )
