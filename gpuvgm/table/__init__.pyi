from .base import BaseTransformer, load_as, load_for
from .conditions import Conditions, RowIndex
from .decode import onehot_parts, real_scalars
from .description import jsonable
from .fit_report import warnings_of_samples
from .model_file import ModelFile
from .training import Place, TrainingBatch, TrainingRows
from .transformer import TableTransformer
from .write import Parts, RunSummary

__all__ = [
    "BaseTransformer",
    "Conditions",
    "ModelFile",
    "Parts",
    "Place",
    "RowIndex",
    "RunSummary",
    "TableTransformer",
    "TrainingBatch",
    "TrainingRows",
    "jsonable",
    "load_as",
    "load_for",
    "onehot_parts",
    "real_scalars",
    "warnings_of_samples",
]
