"""Fitted parts of a column of numbers: its mixture, the rules of its scalars, and quantiles of its training values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns.options import not_negative, positive, share
from gpuvgm.config import Tails
from gpuvgm.mixture import Posterior, StickBreaking
from gpuvgm.records import read_as
from gpuvgm.rules import choice, finite
from gpuvgm.summary import Cells, Floats, Frame

TAILS = (0.001, 0.01)
FAR_OUT = 100.0  # quartile ranges from end to end: a row so far out may widen every component
LARGEST_FLOAT32 = 3.4028234663852886e38
SHARES = np.unique([*TAILS, *(np.arange(1, 32) / 32), *(1 - tail for tail in TAILS)])


@dataclass(frozen=True, slots=True)
class EncodingRules:
    """How values become scalars: the divisor, the tails, and the floor under a mode's probability.

    The defaults are those of `TableTransformer` with effort="auto".
    """

    scale: float = 4.0
    tails: Tails = "modes"
    floor: float | None = None

    @property
    def scalar_limit(self) -> float:
        """Largest scalar that transform writes: 0.99, or what float32 holds."""
        return LARGEST_FLOAT32 if self.tails == "exact" else 0.99

    @property
    def inverse_limit(self) -> float:
        """Largest scalar that the inverse takes as it is."""
        return LARGEST_FLOAT32 if self.tails == "exact" else 1.0


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Parameters of a posterior, as documents hold them."""

    sticks: Annotated[Floats, positive]
    mean_precision: Annotated[Floats, positive]
    means: Annotated[Floats, finite]
    degrees_of_freedom: Annotated[Floats, positive]
    covariances: Annotated[Floats, positive]

    @classmethod
    def of(cls, posterior: Posterior) -> _Parameters:
        """Parameters of a posterior of a table's column, which is fitted with no other prior."""
        weights = posterior.concentration
        assert isinstance(weights, StickBreaking)
        return cls(weights.sticks, *(getattr(posterior, name) for name in _GAUSSIANS))

    @property
    def part(self) -> Posterior:
        """The posterior."""
        return Posterior(StickBreaking(self.sticks), *(getattr(self, name) for name in _GAUSSIANS))


_GAUSSIANS = ("mean_precision", "means", "degrees_of_freedom", "covariances")
_FINITE: Any = Annotated[Floats, finite]


def _read_tails(document: Any, where: str) -> Floats:
    """Ends of intervals, of which there may be none."""
    ends: Floats = read_as(_FINITE, document, where)
    return ends.reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class MixtureModel:
    """A fitted mixture in the coordinates of its frame.

    Parameters
    ----------
    frame : Frame
        Coordinates of the column's numbers.
    posterior : Posterior
        The fitted posterior, K components.
    centres : ndarray of shape (K,)
        Centres that the fit started from.
    counts : ndarray of shape (K,)
        Training rows whose most probable component is k.
    active : ndarray of shape (K,), bool
        Components that rows may be given to.
    active_counts : ndarray of shape (A,)
        Training rows by most probable active component.
    tails : ndarray of shape (T, 2)
        Ends of the tail modes, which hold rows that no active component can hold; in the frame's coordinates.
    tail_counts : ndarray of shape (T,)
        Training rows of each tail mode; they are not counted in `active_counts`.
    """

    frame: Frame
    posterior: Annotated[Posterior, _Parameters]
    centres: Annotated[Floats, finite]
    counts: Annotated[Floats, not_negative]
    active: Annotated[NDArray[np.bool_], choice(Literal[True, False])]
    active_counts: Annotated[Floats, not_negative]
    tails: Annotated[Floats, _read_tails] = field(default_factory=lambda: np.empty((0, 2)))
    tail_counts: Annotated[Floats, not_negative] = field(default_factory=lambda: np.empty(0))

    @property
    def deviations(self) -> Floats:
        """Standard deviations in the frame's coordinates, shape (K,)."""
        return np.sqrt(self.posterior.covariances)

    def check(self) -> None:
        """Raise ValueError where the parameters of a loaded mixture do not fit together."""
        positive(self.frame.scale, "the frame's scale")
        finite(self.frame.centre, "the frame's centre")
        parameters, k = _Parameters.of(self.posterior), len(self.posterior.means)
        vectors = [getattr(parameters, name) for name in _GAUSSIANS]
        vectors += [self.counts, self.active]  # of few rows a search may have had fewer centres
        if parameters.sticks.shape != (2, k) or any(vector.shape != (k,) for vector in vectors):
            raise ValueError("the components' parameters differ in length")
        if self.active_counts.shape != (int(np.count_nonzero(self.active)),):
            raise ValueError("the active components differ in number")
        tails = self.tails
        if tails.shape != (len(self.tail_counts), 2) or not np.all(tails[:, 0] <= tails[:, 1]):
            raise ValueError("the tail modes are no intervals")


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Moments and quantiles of the ordinary training values of a column, in numbers of its codec.

    Parameters
    ----------
    mean, sd, skewness : float
        Mean, standard deviation, and third standardised moment.
    sd_error, skewness_error : float
        Standard errors of a single row; see `gpuvgm.summary.summary.Shape`.
    numbers : tuple of float
        Numbers between values, ascending, near the quantiles of `SHARES`; none where all values are equal.
    shares : tuple of float
        Share of the ordinary rows that lie below each.
    """

    mean: Annotated[float, finite]
    sd: Annotated[float, not_negative]
    skewness: Annotated[float, finite]
    sd_error: Annotated[float, not_negative]
    skewness_error: Annotated[float, not_negative]
    numbers: tuple[Annotated[float, finite], ...]
    shares: tuple[Annotated[float, share], ...]
    longest_tail: ClassVar[float] = TAILS[-1]

    @classmethod
    def of(cls, cells: Cells, frame: Frame) -> Quantiles:
        """Quantiles of the rows of a summary; at least one."""
        mean, variance = cells.mean_and_variance()
        cumulative = np.cumsum(cells.weight)[:-1] / cells.rows
        places = np.unique(np.searchsorted(cumulative, SHARES))
        places = places[places < len(cumulative)]
        borders = frame.invert((cells.mean[places] + cells.mean[places + 1]) / 2) if len(places) else np.empty(0)
        place, sd = float(frame.invert(np.array([mean]))[0]), float(np.sqrt(variance)) / frame.scale
        numbers, shares, shape = tuple(borders.tolist()), tuple(cumulative[places].tolist()), cells.shape()
        return cls(place, sd, shape.skewness, shape.sd_error, shape.skewness_error, numbers, shares)

    def check(self) -> None:
        """Raise ValueError where numbers or shares do not ascend, or differ in length."""
        numbers, shares = self.numbers, self.shares
        if len(numbers) != len(shares) or sorted(numbers) != [*numbers] or sorted(shares) != [*shares]:
            raise ValueError("the quantiles do not ascend")
