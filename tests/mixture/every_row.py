"""EM as the promise of the one-pass fit means it: every E-step reads every row."""

from __future__ import annotations

import numpy as np

from gpuvgm.engines import get_engine
from gpuvgm.mixture import Prior, Rows
from gpuvgm.mixture.accumulate import over_rows
from gpuvgm.mixture.em import Objective
from gpuvgm.summary import Frame


def over_every_row(x: np.ndarray, frame: Frame, prior: Prior) -> Objective:
    """Objective of a fit to a column."""
    return Objective(over_rows(get_engine("auto"), Rows.of(x), frame), prior, len(x))
