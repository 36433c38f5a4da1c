from .cli import doctor as doctor
from .datasets import generate as generate
from .estimator import BayesianGaussianMixture as BayesianGaussianMixture
from .execution import DaskExecutor as DaskExecutor, cluster as cluster
from .summary import Summary as Summary
from .synthesis import (
    DatabaseSynthesizer as DatabaseSynthesizer,
    PrivateSynthesizer as PrivateSynthesizer,
    TableSynthesizer as TableSynthesizer,
    load as load,
)
from .table import (
    TableTransformer as TableTransformer,
    TrainingRows as TrainingRows,
    describe as describe,
    kinds as kinds,
)

__version__: str
