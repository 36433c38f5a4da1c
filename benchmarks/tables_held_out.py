"""Log-likelihoods of rows that a fit has not seen: of the defaults, of the research code and of a mixture by BIC."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import gpuvgm
from benchmarks.defaults import LEAST_CHANCE, fit_of, interval_chances, step_likelihood
from benchmarks.peers_side import log_likelihood
from benchmarks.peers_sides import Mixture, mixture_of
from gpuvgm.codecs import Codec, CurvedCodec
from gpuvgm.columns import MISSING, MixtureColumn

AUTO, RESEARCH, BIC = "auto", "research", "BIC"
MOST_ROWS = 20_000  # of a split, two thirds of them to train on
MOST_COMPONENTS = 10


def likelihoods(x: np.ndarray, splits: int) -> dict[str, list[float]]:
    """Nats a row of held-out values by what was fitted, a number a split; nothing where they cannot be compared.

    Values on a step are judged by the probability of the interval of a step around them, others by their density.
    Research takes part where the defaults chose neither a scale nor spikes.

    Parameters
    ----------
    x : ndarray of shape (rows,)
        Values, none missing.
    splits : int
        Random splits into two thirds to train on and one third to judge by.
    """
    column = fit_of(x, AUTO)
    if not isinstance(column, MixtureColumn) or column.mixture is None:
        return {}
    codec: Codec = column.codec.plain
    spiked = any(value is not MISSING for value in column.modal_values)
    if spiked and codec.spacing == 0:
        return {}
    plain = not spiked and not isinstance(column.codec, CurvedCodec)
    found: dict[str, list[float]] = {name: [] for name in ((AUTO, RESEARCH, BIC) if plain else (AUTO, BIC))}
    for train, test in _splits(x, splits):
        fitted = _declared(train) if plain else fit_of(train, AUTO)
        if getattr(fitted, "mixture", None) is None:
            continue  # so few rows have too few different values
        found[AUTO].append(_of_column(fitted, test, codec))
        found[BIC].append(_of_mixture(_chosen_by_bic(train), test, codec))
        if plain:
            found[RESEARCH].append(_of_column(fit_of(train, RESEARCH), test, codec))
    return found if found[AUTO] else {}


def _splits(x: np.ndarray, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seed in range(splits):
        few = np.random.default_rng(seed).permutation(x)[:MOST_ROWS]
        cut = 2 * len(few) // 3
        yield few[:cut], few[cut:]


def _declared(x: np.ndarray) -> Any:
    """A fit of the defaults without a search for kind, scale and spikes."""
    return gpuvgm.TableTransformer({"x": "continuous"}, threads=1, random_state=0).fit({"x": x}).columns_["x"]


def _chosen_by_bic(x: np.ndarray) -> Mixture:
    """scikit-learn's mixture of as many components as have the least Bayesian information criterion."""
    centre, scale = np.mean(x), np.std(x) or 1.0
    rows = ((x - centre) / scale)[:, None]
    most = min(MOST_COMPONENTS, len(np.unique(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [GaussianMixture(count, random_state=0).fit(rows) for count in range(1, most + 1)]
    weights, means, deviations = mixture_of(min(fits, key=lambda fit: fit.bic(rows)))
    return Mixture(weights, means * scale + centre, deviations * scale)


def _of_column(column: MixtureColumn, x: np.ndarray, codec: Codec) -> float:
    if codec.spacing > 0:
        return step_likelihood(column, x, codec)
    mixture = Mixture(column.weights, column.means, column.stds)
    if not isinstance(column.codec, CurvedCodec):
        return log_likelihood(x, mixture)
    numbers = column.codec.of_inner(x)
    return log_likelihood(numbers, mixture) - float(np.mean(np.log(column.codec.slope(numbers))))


def _of_mixture(mixture: Mixture, x: np.ndarray, codec: Codec) -> float:
    if codec.spacing == 0:
        return log_likelihood(x, mixture)
    chances = interval_chances(mixture, x - codec.spacing / 2, x + codec.spacing / 2)
    return float(np.mean(np.log(np.maximum(chances, LEAST_CHANCE))))
