"""Profile of a column of numbers for a page: histogram, modes, errors and how the fit went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuvgm.codecs import Codec, Number
from gpuvgm.columns import FitRecord, GeneralColumn, Histogram, MixtureColumn
from gpuvgm.report.counting import EncodedCounts, ErrorHistogram
from gpuvgm.summary import Pieces

_SPIKE_SHARE, _SPIKE_HEIGHT = 0.05, 5.0  # of the rows; times the mean of the bins beside it
_BESIDE = 3
KS = 1e-3  # distances of more rows than chance and rounding explain
_FEW_ROWS = 5  # a step of KS is one row: so many change places with their neighbours where no value repeats
_ROUNDINGS = 2  # a place counts from the middle of the frame: the difference and the sum are rounded


@dataclass(frozen=True, slots=True)
class ModeProfile:
    """One one-hot column of a fitted column.

    Parameters
    ----------
    code : int
        Its number in encoded rows.
    name : str
        Mean, modal value, or ends of a tail mode, for people.
    rows : int
        Rows that drew the code.
    sd : str
        Standard deviation, for people; empty for modal values and tail modes.
    weight : float or None
        Fitted weight; None for modal values and tail modes.
    below, above : int
        Rows of the mode that were cut at the lower and the upper limit.
    scalars : tuple of int
        Rows by scalar: below -1, in `SCALAR_BINS` even bins, from 1 on; empty for modal values and tail modes.
    scalar_sd : float
        Standard deviation of the scalars of rows that are distributed as the mode.
    tail : bool
        Whether it is a tail mode.
    """

    code: int
    name: str
    rows: int
    sd: str = ""
    weight: float | None = None
    below: int = 0
    above: int = 0
    scalars: tuple[int, ...] = ()
    scalar_sd: float = 0.0
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Spike:
    """A value that many rows hold, though it is not modal.

    Parameters
    ----------
    text : str
        The value, for people.
    share : float
        Share of the rows.
    declared : str
        The column's modal values with this one among them, as one would write them.
    options : mapping of str to float or bool
        Other declared options of the column that its values need.
    """

    text: str
    share: float
    declared: str
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """Distributions of a continuous, mixed or general column.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type.
    fit : FitRecord
        Record of the fit.
    components : int
        Components that the mixture may use.
    histogram : Histogram or None
        None where there are no ordinary rows.
    modes : tuple of ModeProfile
        The one-hot columns: components by rising mean, then modal values.
    below, above : int
        Rows that were cut at the lower and the upper limit; of general columns, rows outside the range.
    errors : tuple of int
        Round-trip errors in [2^j, 2^(j + 1)) times `error_unit` sd, for j from -64 on.
    no_errors : int
        Rows that come back exactly.
    error_unit : float
        Unit of `errors`, in sd.
    spike : Spike or None
        The heaviest value that stands out.
    heaviest : float
        Share of the rows that hold the most frequent value, modal ones left out.
    other_weight : float
        Fitted weight of the components that are no modes; modes draw their rows.
    different : float
        Share of different values among the sampled ones, of whole numbers; 0 for others.
    """

    type: Any
    fit: FitRecord
    components: int
    histogram: Histogram | None
    modes: tuple[ModeProfile, ...]
    below: int
    above: int
    errors: tuple[int, ...]
    no_errors: int
    error_unit: float
    spike: Spike | None
    heaviest: float = 0.0
    other_weight: float = 0.0
    different: float = 0.0


def modes_of(column: MixtureColumn, counts: EncodedCounts) -> tuple[ModeProfile, ...]:
    """The one-hot columns of a column: components by rising mean, tail modes, then modal values."""
    positions, modal = column.mode_codes(), len(column.modal_values)
    rows = np.sum(counts.scalars, axis=1)
    modes = []
    active, weights = column.active_components.tolist(), column.weights
    for k in column.components_by_mean.tolist():
        code = int(positions[modal + active.index(k)])
        modes.append(
            ModeProfile(
                code=code,
                name=column.codec.rounded_mean_text(float(column.means[k]), float(column.stds[k])),
                sd=column.codec.rounded_length_text(float(column.stds[k])),
                weight=float(weights[k]),
                rows=int(rows[code]),
                below=int(counts.below[code]),
                above=int(counts.above[code]),
                scalars=tuple(counts.scalars[code].tolist()),
                scalar_sd=1 / column.rules.scale,
            )
        )
    for tail in (code for code in column.describe_codes() if "tail" in code):
        code = tail["code"]
        below, above = int(counts.below[code]), int(counts.above[code])
        modes.append(ModeProfile(code, tail["text"], int(rows[code]), below=below, above=above, tail=True))
    for value, code in zip(column.modal_values, positions[:modal].tolist(), strict=True):
        modes.append(ModeProfile(code, column.codec.plain.modal_text(value), int(rows[code])))
    return tuple(modes)


def spike_of(column: MixtureColumn, pieces: Pieces, histogram: Histogram, rows: int) -> Spike | None:
    """Return the most frequent single value if it stands out from its neighbourhood."""
    single = np.flatnonzero((pieces.scatter == 0) & (pieces.unit == 0))
    if not len(single):
        return None
    largest = single[np.argmax(pieces.count[single])]
    share, number = float(pieces.count[largest]) / rows, float(pieces.places()[largest])
    bin_ = int(np.searchsorted(histogram.edges, number, side="right")) - 1
    neighbours = [
        *histogram.before[max(bin_ - _BESIDE, 0) : max(bin_, 0)],
        *histogram.before[bin_ + 1 : bin_ + 1 + _BESIDE],
    ]
    neighbour_mean = sum(neighbours) / len(neighbours) if neighbours else 0.0
    if share < _SPIKE_SHARE or pieces.count[largest] < _SPIKE_HEIGHT * neighbour_mean or len(pieces.count) == 1:
        return None
    codec = column.codec.plain
    value = codec.value(number)
    if codec.name == "float":
        value = _shortest(float(value), _ROUNDINGS * np.spacing(max(abs(number), abs(pieces.frame.centre))))
    modal = [_modal_literal(codec, modal_value) for modal_value in (*column.modal_values, value)]
    options = column.codec.declared | ({"integer": True} if getattr(codec, "integer", False) else {})
    return Spike(codec.value_text(value), share, f"[{', '.join(modal)}]", options)


def _shortest(value: float, tolerance: float) -> float:
    """Return the number of fewest digits within `tolerance` of the value."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 17))
    return next((float(text) for text in texts if abs(float(text) - value) <= tolerance), value)


def _modal_literal(codec: Codec, value: Number | None) -> str:
    """A modal value as one would write it, with all its digits."""
    if value is None:
        return '"missing"'
    text = codec.show(value)
    return text if codec.name in ("float", "integer") else repr(text)


def heaviest(pieces: Pieces, rows: int) -> float:
    """Share of the rows that hold the most frequent single value."""
    return float(np.max(pieces.count[pieces.scatter == 0], initial=0.0)) / max(rows, 1)


def usual_ks(rows: int) -> float:
    """Kolmogorov-Smirnov distance up to which chance and rounding explain it, for a number of rows."""
    return max(KS, _FEW_ROWS / max(rows, 1))


def hides_values(ks: float, rows: int, heaviest_share: float) -> bool:
    """Return whether values lie closer together than their errors: more change places than are equal."""
    return ks > max(usual_ks(rows), 2 * heaviest_share)


def profile_of(
    column: MixtureColumn | GeneralColumn,
    pieces: tuple[Pieces, Pieces],
    encoded: EncodedCounts,
    errors: ErrorHistogram,
    error_unit: float,
) -> NumberProfile:
    """Profile of a column from the counts of its rows.

    Parameters
    ----------
    column : MixtureColumn or GeneralColumn
        The column.
    pieces : tuple of Pieces
        The values before and after the round trip.
    encoded : EncodedCounts
        Scalars and modes.
    errors : ErrorHistogram
        Errors of the round trip.
    error_unit : float
        Their unit, in sd.
    """
    mixture: Any = column if column.draws_modes else None
    modal = [column.codec.plain.number(value) for value in column.modal_values if value is not None]
    before, after = (values.without(modal) for values in pieces)
    with np.errstate(over="ignore", invalid="ignore"):  # at the end of the numbers there is no room for an axis
        histogram = Histogram.of(column, before, after) if before.rows and after.rows else None
    rows = round(before.rows)
    return NumberProfile(
        type=column.type,
        fit=column.fit,
        components=len(column.means),
        histogram=histogram,
        modes=modes_of(mixture, encoded) if mixture else (),
        below=int(np.sum(encoded.below)),
        above=int(np.sum(encoded.above)),
        errors=errors.octaves,
        no_errors=int(errors.counts[0]),
        error_unit=error_unit,
        spike=spike_of(mixture, before, histogram, rows) if mixture and histogram else None,
        heaviest=heaviest(before, rows),
        other_weight=float(np.sum(column.weights[~column.active])),
    )
