"""scikit-learn's checks of what an estimator must do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sklearn.mixture
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_XFAIL_CHECKS
from sklearn.utils.estimator_checks import parametrize_with_checks

from gpuvgm import BayesianGaussianMixture

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

ESTIMATORS = [
    BayesianGaussianMixture(),
    BayesianGaussianMixture(algorithm="exact", max_iter=5, n_init=2),
    BayesianGaussianMixture(covariance_type="tied", max_iter=5),
    BayesianGaussianMixture(covariance_type="diag", max_iter=5, init_params="random_from_data"),
    BayesianGaussianMixture(
        covariance_type="spherical", max_iter=5, weight_concentration_prior_type="dirichlet_distribution"
    ),
    BayesianGaussianMixture(engine="reference", max_iter=5),
]


def checks_of(estimators: list[BayesianGaussianMixture], expected: Callable) -> pytest.MarkDecorator:
    """`parametrize_with_checks` with a list: pytest warns of the iterators that scikit-learn passes it."""
    mark = parametrize_with_checks(estimators, expected_failed_checks=expected)
    names, checks = mark.args
    return pytest.mark.parametrize(names, list(checks), **mark.kwargs)


def expected_failures(_: BayesianGaussianMixture) -> dict[str, str]:
    """No more than scikit-learn expects of its own class."""
    return PER_ESTIMATOR_XFAIL_CHECKS.get(sklearn.mixture.BayesianGaussianMixture, {})


@checks_of(ESTIMATORS, expected_failures)
def test_scikit_learns_checks(estimator: BayesianGaussianMixture, check) -> None:
    check(estimator)


# Weights cannot equal repeated rows where k-means draws its centres among the rows.
SEVERAL = [BayesianGaussianMixture(n_components=2, max_iter=20, covariance_type=kind) for kind in ("full", "diag")]


def expected_of_several(estimator: BayesianGaussianMixture) -> dict[str, str]:
    """What scikit-learn expects of its KMeans, which draws rows as well."""
    reason = "sample_weight is not equivalent to removing/repeating samples."
    return {**expected_failures(estimator), "check_sample_weight_equivalence_on_dense_data": reason}


@checks_of(SEVERAL, expected_of_several)
def test_scikit_learns_checks_of_several_components(estimator: BayesianGaussianMixture, check) -> None:
    check(estimator)
