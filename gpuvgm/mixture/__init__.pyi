from .em import Stopping, Verbosity
from .estimator_fit import Estimate, Problem
from .incremental import begin_partial_fit
from .initialization import Seeds, quiet_k_means
from .posterior import MATRICES, ConcentrationType, CovarianceType, Dirichlet, Posterior, Prior, StickBreaking
from .rows import SEED_ROWS, Choice, Moments, Rows, sums_of
from .search import SummaryConfig, fit_from_quantiles
from .special import LOG_2_PARTS, exp, log, normal_cdf
from .summary_fit import ColumnFit, MixturePlan, fit

__all__ = [
    "Choice",
    "ColumnFit",
    "ConcentrationType",
    "CovarianceType",
    "Dirichlet",
    "Estimate",
    "LOG_2_PARTS",
    "MATRICES",
    "MixturePlan",
    "Moments",
    "Posterior",
    "Prior",
    "Problem",
    "Rows",
    "SEED_ROWS",
    "Seeds",
    "StickBreaking",
    "Stopping",
    "SummaryConfig",
    "Verbosity",
    "begin_partial_fit",
    "exp",
    "fit",
    "fit_from_quantiles",
    "log",
    "normal_cdf",
    "quiet_k_means",
    "sums_of",
]
