"""An estimator's prior and start, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.errors import InputError
from gpuvgm.estimator.reading import host_floats, hosted
from gpuvgm.mixture import MATRICES, CovarianceType, Prior
from gpuvgm.summary import Floats


def checked_prior(estimator: Any, mean_of_rows: Floats, covariance_of_rows: Floats, origin: Floats) -> Prior:
    """Prior of a fit, in the rows' own units.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Its parameters.
    mean_of_rows : ndarray of shape (D,)
        Mean of the rows.
    covariance_of_rows : ndarray of shape (D, D)
        Covariance of the rows.
    origin : ndarray of shape (D,)
        As for `Prior`.

    Raises
    ------
    ValueError
        For a prior of the wrong shape, or one that is no covariance.
    """
    features = len(mean_of_rows)
    concentration, precision = estimator.weight_concentration_prior, estimator.mean_precision_prior
    mean = mean_of_rows if estimator.mean_prior is None else _checked_array(estimator.mean_prior, (features,), "means")
    covariance = _covariance(estimator.covariance_prior, estimator.covariance_type, covariance_of_rows)
    return Prior(
        covariance_type=estimator.covariance_type,
        concentration_type=estimator.weight_concentration_prior_type,
        weight_concentration=1.0 / estimator.n_components if concentration is None else concentration,
        mean=mean if features > 1 else float(mean[0]),
        mean_precision=1.0 if precision is None else precision,
        degrees_of_freedom=_degrees_of_freedom(estimator.degrees_of_freedom_prior, features),
        covariance=covariance if features > 1 else float(covariance.item()),
        reg_covar=estimator.reg_covar,
        origin=origin if features > 1 else float(origin[0]),
    )


def _degrees_of_freedom(prior: float | None, features: int) -> float:
    if prior is None:
        return features
    if prior <= features - 1.0:
        raise ValueError(
            f"The parameter 'degrees_of_freedom_prior' should be greater than {features - 1}, but got {prior:.3f}."
        )
    return prior


def _covariance(prior: Any, covariance_type: CovarianceType, of_rows: Floats) -> Floats:
    features, prior = len(of_rows), hosted("covariance_prior", prior)
    if prior is None:
        variances = np.diagonal(of_rows).copy()
        forms = {"diag": variances, "spherical": np.mean(variances)}
        return np.asarray(forms.get(covariance_type, of_rows))
    if covariance_type == "spherical":
        return np.asarray(prior, dtype=np.float64)
    covariance = _checked_array(prior, prior_shape(covariance_type, features), f"{covariance_type} covariance_prior")
    if covariance_type == "diag":
        if np.any(covariance <= 0):
            raise ValueError(f"'{covariance_type} precision' should be positive")
    elif not np.allclose(covariance, covariance.T) or np.any(np.linalg.eigvalsh(covariance) <= 0):
        raise ValueError(f"'{covariance_type} precision' should be symmetric, positive-definite")
    return covariance


def prior_shape(covariance_type: CovarianceType, features: int) -> tuple[int, ...]:
    """Shape of the prior of a form of covariance."""
    if covariance_type in MATRICES:
        return (features, features)
    return (features,) if covariance_type == "diag" else ()


def _checked_array(values: Any, shape: tuple[int, ...], name: str) -> Floats:
    from sklearn.utils import check_array

    array: Floats = check_array(hosted(name, values), dtype=[np.float64, np.float32], ensure_2d=False)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    return array


def init_of(estimator: Any, features: int) -> str | Floats:
    """Start of a fit: the name of a method, or centres in float64."""
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
