"""Fitted parts of a column of numbers: its mixture, and quantiles of its ordinary training values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns.records import Form, read_record, reader_of
from gpuvgm.columns.rules import boolean, finite, not_negative, positive, share
from gpuvgm.mixture import Posterior, StickBreaking
from gpuvgm.summary import Cells, Floats, Frame

TAILS = (0.001, 0.01)
FAR_OUT = 100.0  # quartile ranges from end to end: a row so far out may widen every component
SHARES = np.unique([*TAILS, *(np.arange(1, 32) / 32), *(1 - tail for tail in TAILS)])


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Parameters of a posterior, as documents hold them."""

    sticks: Annotated[Floats, positive]
    mean_precision: Annotated[Floats, positive]
    means: Annotated[Floats, finite]
    degrees_of_freedom: Annotated[Floats, positive]
    covariances: Annotated[Floats, positive]


def _write_posterior(posterior: Posterior) -> dict[str, Any]:
    weights = posterior.concentration
    assert isinstance(weights, StickBreaking)  # tables are fitted with no other prior
    return {"sticks": weights.sticks} | {part: getattr(posterior, part) for part in _GAUSSIANS}


def _read_posterior(document: Any, where: str) -> Posterior:
    parameters = read_record(_Parameters, document, where)
    return Posterior(StickBreaking(parameters.sticks), *(getattr(parameters, part) for part in _GAUSSIANS))


def _read_tails(document: Any, where: str) -> Floats:
    """Ends of intervals, of which there may be none."""
    return np.asarray(reader_of(Annotated[Floats, finite])(document, where).reshape(-1, 2))


_GAUSSIANS = ("mean_precision", "means", "degrees_of_freedom", "covariances")


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
    posterior: Annotated[Posterior, Form(_write_posterior, _read_posterior)]
    centres: Annotated[Floats, finite]
    counts: Annotated[Floats, not_negative]
    active: Annotated[NDArray[np.bool_], boolean]
    active_counts: Annotated[Floats, not_negative]
    tails: Annotated[Floats, Form(np.asarray, _read_tails)] = field(default_factory=lambda: np.empty((0, 2)))
    tail_counts: Annotated[Floats, not_negative] = field(default_factory=lambda: np.empty(0))

    @property
    def deviations(self) -> Floats:
        """Standard deviations in the frame's coordinates, shape (K,)."""
        return np.sqrt(self.posterior.covariances)

    def check(self) -> None:
        """Raise ValueError where the parameters of a loaded mixture do not fit together."""
        positive(self.frame.scale, "the frame's scale")
        finite(self.frame.centre, "the frame's centre")
        sticks, *vectors = _write_posterior(self.posterior).values()
        vectors += [self.counts, self.active]  # of few rows a search may have had fewer centres
        k = len(self.posterior.means)
        if sticks.shape != (2, k) or any(vector.shape != (k,) for vector in vectors):
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
    mean, sd : float
        Mean and standard deviation.
    numbers : tuple of float
        Numbers between values, ascending, near the quantiles of `SHARES`; none where all values are equal.
    shares : tuple of float
        Share of the ordinary rows that lie below each.
    """

    mean: Annotated[float, finite]
    sd: Annotated[float, not_negative]
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
        return cls(place, sd, tuple(borders.tolist()), tuple(cumulative[places].tolist()))

    def check(self) -> None:
        """Raise ValueError where numbers or shares do not ascend, or differ in length."""
        numbers, shares = self.numbers, self.shares
        if len(numbers) != len(shares) or sorted(numbers) != [*numbers] or sorted(shares) != [*shares]:
            raise ValueError("the quantiles do not ascend")
