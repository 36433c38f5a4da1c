from .estimator import BayesianGaussianMixture as BayesianGaussianMixture, MixtureEffort as MixtureEffort
from .protocol import Estimator as Estimator
from .reading import RowsOfSource as RowsOfSource
