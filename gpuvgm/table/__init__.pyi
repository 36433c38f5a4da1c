from .base import BaseTransformer, load_as, load_for
from .conditions import Conditions, RowIndex
from .decode import EncodedTable, onehot_parts
from .description import jsonable
from .fit_report import warnings_of_samples
from .model_file import MANIFEST, SUFFIX, check_target, load_model, save_model
from .training import Place, TrainingBatch, TrainingRows
from .transformer import TableTransformer
from .write import Parts, RunSummary

__all__ = [
    "BaseTransformer",
    "Conditions",
    "EncodedTable",
    "MANIFEST",
    "Parts",
    "Place",
    "RowIndex",
    "RunSummary",
    "SUFFIX",
    "TableTransformer",
    "TrainingBatch",
    "TrainingRows",
    "check_target",
    "jsonable",
    "load_as",
    "load_for",
    "load_model",
    "onehot_parts",
    "save_model",
    "warnings_of_samples",
]
