"""What the estimator refuses: parameters that do not fit the rows, or what was fitted before."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.errors import InputError
from gpuvgm.mixture.concentration import StickBreaking
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.reading import host_floats
from gpuvgm.mixture.rows import Rows
from gpuvgm.summary.grid import Floats

# parameters that may not change between calls of partial_fit
KEPT = (
    "n_components", "covariance_type", "weight_concentration_prior_type", "weight_concentration_prior",
    "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "reg_covar", "init_params",
)  # fmt: skip


def refuse_few(estimator: Any, rows: Rows) -> None:
    """Refuse fewer rows than components; a row with a weight stands for so many."""
    positive = rows.count if rows.weight is None else int(np.count_nonzero(to_numpy(rows.weight)))
    most = max(positive, int(rows.total))
    if most < estimator.n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {estimator.n_components}, n_samples = {most}"
        )


def refuse_summary(estimator: Any, features: int) -> None:
    """Refuse the summary for several features."""
    if estimator.algorithm == "summary" and features > 1:
        raise InputError(f'algorithm="summary" needs one feature, but X has {features}; use "exact" or "auto"')


def refuse_precision(estimator: Any) -> None:
    """Refuse float32 arithmetic, with the reason."""
    if isinstance(estimator.precision, str) and estimator.precision == "float32":
        raise InputError(
            'precision="float32" is for transform of TableTransformer only: a fit sums over rows, which takes float64; '
            "rows of float32 are widened exactly"
        )


def kept_settings(estimator: Any) -> dict[str, Any]:
    """Parameters that later calls of partial_fit are compared with."""
    return {name: getattr(estimator, name) for name in KEPT}


def refuse_changes(estimator: Any, before: dict[str, Any]) -> None:
    """Refuse other parameters than those that rows seen before were taken in with."""
    for name, value in before.items():
        now = getattr(estimator, name)
        if now is not value and not np.array_equal(now, value):
            raise InputError(f"{name} has changed since the first partial_fit: call fit, or use a new estimator")


def refuse_other_form(estimator: Any, warm: GaussianPosterior, features: int) -> None:
    """Refuse a warm start with another kind of mixture."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    same = {
        "n_components": warm.means.shape[0] == estimator.n_components,
        "covariance_type": warm.covariance_type == estimator.covariance_type,
        "weight_concentration_prior_type": isinstance(warm.concentration, StickBreaking) == process,
        "the number of features": warm.means.shape[1] == features,
    }
    for name, kept in same.items():
        if not kept:
            raise InputError(f"{name} has changed since the last fit: go on from it no more, and set warm_start=False")


def init_of(estimator: Any, features: int) -> str | Floats:
    """How to start: the name of a method, or centres in float64."""
    if isinstance(estimator.init_params, str):
        return estimator.init_params
    centres = host_floats(estimator.init_params)
    if centres.shape != (estimator.n_components, features):
        raise InputError(
            f"init_params holds centres of shape {centres.shape}, but n_components and the features of X ask for "
            f"{(estimator.n_components, features)}"
        )
    if not np.all(np.isfinite(centres)):
        raise InputError("init_params holds centres that are not finite")
    return centres
