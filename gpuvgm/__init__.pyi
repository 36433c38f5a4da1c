from .cli import doctor
from .datasets import generate
from .estimator import BayesianGaussianMixture
from .execution import DaskExecutor, cluster
from .summary import Summary
from .synthesis import PrivateSynthesizer, TableSynthesizer, load
from .table import Conditions, TableTransformer, TrainingRows

__all__ = [
    "BayesianGaussianMixture",
    "Conditions",
    "DaskExecutor",
    "PrivateSynthesizer",
    "Summary",
    "TableSynthesizer",
    "TableTransformer",
    "TrainingRows",
    "cluster",
    "doctor",
    "generate",
    "load",
]

__version__: str
