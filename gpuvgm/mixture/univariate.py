"""One feature between the two forms of a mixture: K-vectors in a column's frame, and the estimator's arrays."""

from __future__ import annotations

import numpy as np

from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.posterior_nd import CovarianceType, GaussianPosterior, GaussianPrior, precision_cholesky
from gpuvgm.mixture.rows import Coordinates
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.mixture.statistics_nd import GaussianStatistics
from gpuvgm.summary.grid import Frame


def coordinates_of(frame: Frame) -> Coordinates:
    """A column's frame as coordinates of rows with one feature."""
    return Coordinates(np.array([frame.centre]))


def one_prior(prior: GaussianPrior) -> Prior:
    """Prior of one feature; a shared variance is the only form of covariance that differs there."""
    return Prior(
        weight_concentration=prior.weight_concentration,
        mean=float(prior.mean[0]),
        mean_precision=prior.mean_precision,
        covariance=float(np.ravel(prior.covariance)[0]),
        degrees_of_freedom=prior.degrees_of_freedom,
        reg_covar=prior.reg_covar,
        concentration_type=prior.concentration_type,
        tied=prior.form.tied,
        origin=float(prior.origin[0]),
    )


def one_posterior(posterior: GaussianPosterior) -> Posterior:
    """Posterior of one feature, K-vectors throughout."""
    k = len(posterior.means)
    return Posterior(
        concentration=posterior.concentration,
        mean_precision=posterior.mean_precision,
        means=posterior.means[:, 0],
        degrees_of_freedom=np.full(k, posterior.degrees_of_freedom),
        covariances=np.full(k, np.ravel(posterior.covariances)),
    )


def from_one(posterior: Posterior, covariance_type: CovarianceType) -> GaussianPosterior:
    """The way back from `one_posterior`."""
    variances = posterior.covariances
    shapes = {"full": variances[:, None, None], "tied": variances[:1, None], "diag": variances[:, None]}
    covariances = shapes.get(covariance_type, variances)
    degrees = posterior.degrees_of_freedom
    return GaussianPosterior(
        covariance_type=covariance_type,
        concentration=posterior.concentration,
        mean_precision=posterior.mean_precision,
        means=posterior.means[:, None],
        degrees_of_freedom=degrees[0] if covariance_type == "tied" else degrees,
        covariances=covariances,
        precisions_cholesky=precision_cholesky(covariances, covariance_type),
    )


def flat_statistics(statistics: GaussianStatistics) -> ComponentStatistics:
    """Statistics of one feature as K-vectors."""
    k = len(statistics.counts)
    return ComponentStatistics(
        statistics.reference.reshape(k),
        statistics.counts,
        statistics.first.reshape(k),
        statistics.second.reshape(k),
        statistics.entropy,
    )
