from .conditions import categories_that_meet, row_finders
from .identifiers import IdentifierForm, describe_unmodelled, tell_of_samples
from .network import JointCounts
from .private.synthesizer import PrivateSynthesizer
from .synthesizer import TableSynthesizer, forms_of_table, load, restored_sample
from .values import unmodelled_columns, within_range

__all__ = [
    "IdentifierForm",
    "JointCounts",
    "PrivateSynthesizer",
    "TableSynthesizer",
    "categories_that_meet",
    "describe_unmodelled",
    "forms_of_table",
    "load",
    "restored_sample",
    "row_finders",
    "tell_of_samples",
    "unmodelled_columns",
    "within_range",
]
