"""EM as the promise of the one-pass fit means it: every E-step reads every row."""

from __future__ import annotations

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.engines import get_engine
from gpuvgm.mixture import Posterior, Prior, Rows, Seeds
from gpuvgm.mixture.accumulate import hard_start, over_rows
from gpuvgm.mixture.em import Objective, Stopping, fit_mixture
from gpuvgm.summary import Cells, Floats, Frame


def over_every_row(x: np.ndarray, frame: Frame, prior: Prior) -> Objective:
    """Objective of a fit to a column."""
    return Objective(over_rows(get_engine("auto"), Rows.of(x), frame), prior, len(x))


def fit_from_centres(x: np.ndarray, frame: Frame, centres: Floats, config: FitConfig) -> Posterior:
    """Plain EM to its end, from rows that belong to the nearest centre each."""
    y = frame.apply(x)
    one, zero = np.ones(len(y)), np.zeros(len(y))
    prior = Prior.of_column(*Cells.of_values(y, one).mean_and_variance(), frame, config)
    start = prior.update(hard_start(y, one, zero, Seeds(centres).nearest(y), centres))
    return fit_mixture(over_every_row(x, frame, prior), start, Stopping.of(config, len(x))).posterior
