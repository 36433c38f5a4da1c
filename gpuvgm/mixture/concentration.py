"""Posterior of the mixture's weights, for either prior: its expectations and its part of the lower bound.

Formulas: Blei & Jordan 2006 for the stick-breaking form of the Dirichlet process, Bishop 2006 §10.2 for the Dirichlet
distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpuvgm.mixture.special import digamma, gammaln, log

Vector = NDArray[np.float64]
LARGE = 1e7
ConcentrationType = Literal["dirichlet_process", "dirichlet_distribution"]


@dataclass(frozen=True, slots=True)
class StickBreaking:
    """Weights broken off a stick one after the other: component k takes the share v_k of what is left.

    Parameters
    ----------
    sticks : ndarray of shape (2, K)
        Beta parameters of the shares v_k.
    """

    sticks: Vector

    @classmethod
    def of(cls, prior: float, counts: Vector) -> StickBreaking:
        """Posterior from the prior's concentration and the rows of each component."""
        later = np.concatenate((np.add.accumulate(counts[::-1])[-2::-1], [0.0]))
        return cls(np.stack((1.0 + counts, prior + later)))

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return np.asarray(self.sticks[0] - 1.0)

    @property
    def weights(self) -> Vector:
        """Expected weights, normalised to sum to one."""
        a, b = self.sticks
        rest = np.multiply.accumulate(np.concatenate(([1.0], (b / (a + b))[:-1])))
        weights = a / (a + b) * rest
        return np.asarray(weights / np.add.accumulate(weights)[-1])

    def log_weights(self) -> Vector:
        """Expected logarithms of the weights."""
        a, b = self.sticks
        k = len(a)
        psi = digamma(np.concatenate((a, b, a + b)))
        psi_a, psi_b, psi_ab = psi[:k], psi[k : 2 * k], psi[2 * k :]
        log_rest = np.concatenate(([0.0], np.add.accumulate(psi_b - psi_ab)[:-1]))
        return np.asarray(psi_a - psi_ab + log_rest)

    def log_norms(self) -> Vector:
        """Logarithms of the Beta functions, the weights' terms of the lower bound."""
        a, b = self.sticks
        k = len(a)
        gamma = gammaln(np.concatenate((a, b, a + b)))
        far = b > LARGE  # there the last two would cancel
        return np.asarray(
            gamma[:k] + np.where(far, -_rise_of_gammaln(np.where(far, b, LARGE), a), gamma[k : 2 * k] - gamma[2 * k :])
        )


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Weights with a Dirichlet distribution.

    Parameters
    ----------
    concentration : ndarray of shape (K,)
        Parameters of the distribution.
    prior : float
        What the prior gave to each of them.
    """

    concentration: Vector
    prior: float

    @classmethod
    def of(cls, prior: float, counts: Vector) -> Dirichlet:
        """Posterior from the prior's concentration and the rows of each component."""
        return cls(prior + counts, prior)

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return np.asarray(self.concentration - self.prior)

    @property
    def weights(self) -> Vector:
        """Expected weights."""
        return np.asarray(self.concentration / np.add.accumulate(self.concentration)[-1])

    def log_weights(self) -> Vector:
        """Expected logarithms of the weights."""
        total = np.add.accumulate(self.concentration)[-1:]
        psi = digamma(np.concatenate((self.concentration, total)))
        return np.asarray(psi[:-1] - psi[-1])

    def log_norms(self) -> Vector:
        """Terms of the logarithm of the Dirichlet's normaliser, which are those of the lower bound."""
        gamma = gammaln(np.concatenate((self.concentration, np.add.accumulate(self.concentration)[-1:])))
        return np.asarray(gamma[:-1] - gamma[-1] / len(self.concentration))


def _rise_of_gammaln(b: Vector, a: Vector) -> Vector:
    """Logarithm of gamma(a + b) / gamma(b) for large b, by Stirling's formula; log1p by its artanh series."""
    t = a / b
    f = t / (2 + t)
    q = f * f
    log1p = np.where(t < 0.1, 2 * f * (1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q / 11))))), log(1 + t))
    return np.asarray(a * log(a + b) - a + (b - 0.5) * log1p)


Concentration = StickBreaking | Dirichlet
CONCENTRATIONS: dict[ConcentrationType, Callable[[float, Vector], Concentration]] = {
    "dirichlet_process": StickBreaking.of,
    "dirichlet_distribution": Dirichlet.of,
}
