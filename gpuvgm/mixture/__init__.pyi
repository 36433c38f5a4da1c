from .estimator_fit import Estimate as Estimate, Problem as Problem
from .incremental import begin_partial_fit as begin_partial_fit
from .initialization import Seeds as Seeds, quiet_k_means as quiet_k_means
from .posterior import (
    MATRICES as MATRICES,
    ConcentrationType as ConcentrationType,
    CovarianceType as CovarianceType,
    Posterior as Posterior,
    Prior as Prior,
    StickBreaking as StickBreaking,
)
from .rows import Rows as Rows
from .search import SummaryConfig as SummaryConfig, fit_from_quantiles as fit_from_quantiles
from .special import LOG_2_PARTS as LOG_2_PARTS, exp as exp, log as log, normal_cdf as normal_cdf
from .summary_fit import ColumnFit as ColumnFit, MixturePlan as MixturePlan, fit as fit
