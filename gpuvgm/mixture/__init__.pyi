from .estimator_fit import Estimate, Problem
from .incremental import begin_partial_fit
from .initialization import Seeds, quiet_k_means
from .posterior import MATRICES, ConcentrationType, CovarianceType, Posterior, Prior, StickBreaking
from .rows import Rows
from .search import SummaryConfig, fit_from_quantiles
from .special import LOG_2_PARTS, exp, log, normal_cdf
from .summary_fit import ColumnFit, MixturePlan, fit

__all__ = [
    "ColumnFit",
    "ConcentrationType",
    "CovarianceType",
    "Estimate",
    "LOG_2_PARTS",
    "MATRICES",
    "MixturePlan",
    "Posterior",
    "Prior",
    "Problem",
    "Rows",
    "Seeds",
    "StickBreaking",
    "SummaryConfig",
    "begin_partial_fit",
    "exp",
    "fit",
    "fit_from_quantiles",
    "log",
    "normal_cdf",
    "quiet_k_means",
]
