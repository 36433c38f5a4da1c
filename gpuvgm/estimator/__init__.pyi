from .estimator import BayesianGaussianMixture as BayesianGaussianMixture, MixtureEffort as MixtureEffort
from .reading import RowsOfSource as RowsOfSource
