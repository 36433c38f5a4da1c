from .estimator import BayesianGaussianMixture, MixtureEffort
from .reading import RowsOfSource

__all__ = [
    "BayesianGaussianMixture",
    "MixtureEffort",
    "RowsOfSource",
]
