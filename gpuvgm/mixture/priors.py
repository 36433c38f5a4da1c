"""The estimator's prior: what the user gives is checked, what is left out comes from the rows, as in scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.mixture.kmeans import is_far_from_zero
from gpuvgm.mixture.posterior_nd import FORMS, CovarianceType, GaussianPrior
from gpuvgm.mixture.rows import Moments
from gpuvgm.summary.grid import Floats


def checked_prior(estimator: Any, moments: Moments) -> GaussianPrior:
    """Prior of a fit, in the rows' own units.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Its parameters.
    moments : Moments
        Moments of the rows.

    Raises
    ------
    ValueError
        For a prior of the wrong shape, or one that is no covariance.
    """
    features = len(moments.mean)
    concentration, precision = estimator.weight_concentration_prior, estimator.mean_precision_prior
    return GaussianPrior(
        covariance_type=estimator.covariance_type,
        concentration_type=estimator.weight_concentration_prior_type,
        weight_concentration=1.0 / estimator.n_components if concentration is None else concentration,
        mean=moments.mean if estimator.mean_prior is None else _given(estimator.mean_prior, (features,), "means"),
        mean_precision=1.0 if precision is None else precision,
        degrees_of_freedom=_degrees_of_freedom(estimator.degrees_of_freedom_prior, features),
        covariance=_covariance(
            estimator.covariance_prior, estimator.covariance_type, moments.scatter / (moments.total - 1)
        ),
        reg_covar=estimator.reg_covar,
        origin=moments.mean if is_far_from_zero(moments.mean, moments.deviations) else np.zeros(features),
    )


def _degrees_of_freedom(given: float | None, features: int) -> float:
    if given is None:
        return features
    if given <= features - 1.0:
        raise ValueError(
            f"The parameter 'degrees_of_freedom_prior' should be greater than {features - 1}, but got {given:.3f}."
        )
    return given


def _covariance(given: Any, covariance_type: CovarianceType, of_rows: Floats) -> Floats:
    features = len(of_rows)
    if given is None:
        variances = np.diagonal(of_rows).copy()
        forms = {"diag": variances, "spherical": np.mean(variances)}
        return np.asarray(forms.get(covariance_type, of_rows))
    if covariance_type == "spherical":
        return np.asarray(given, dtype=np.float64)
    diagonal = FORMS[covariance_type].diagonal
    shape = (features,) if diagonal else (features, features)
    covariance = _given(given, shape, f"{covariance_type} covariance_prior")
    if diagonal:
        if np.any(covariance <= 0):
            raise ValueError(f"'{covariance_type} precision' should be positive")
    elif not np.allclose(covariance, covariance.T) or np.any(np.linalg.eigvalsh(covariance) <= 0):
        raise ValueError(f"'{covariance_type} precision' should be symmetric, positive-definite")
    return covariance


def _given(values: Any, shape: tuple[int, ...], name: str) -> Floats:
    from sklearn.utils import check_array

    array: Floats = check_array(values, dtype=[np.float64, np.float32], ensure_2d=False)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    return array
