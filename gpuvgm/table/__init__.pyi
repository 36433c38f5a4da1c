from .base import load_as as load_as, load_for as load_for
from .column_kinds import describe as describe, kinds as kinds
from .conditions import RowIndex as RowIndex
from .decode import onehot_parts as onehot_parts
from .description import jsonable as jsonable
from .model_file import ModelFile as ModelFile
from .training import Place as Place, TrainingBatch as TrainingBatch, TrainingRows as TrainingRows
from .transformer import TableTransformer as TableTransformer
from .warnings import warnings_of_samples as warnings_of_samples
from .write import Parts as Parts, RunSummary as RunSummary
