from .conditions import categories_that_meet
from .identifiers import IdentifierForm, describe_unmodelled
from .outputs import SampledTable
from .private.synthesizer import PrivateSynthesizer
from .synthesizer import TableSynthesizer, load

__all__ = [
    "IdentifierForm",
    "PrivateSynthesizer",
    "SampledTable",
    "TableSynthesizer",
    "categories_that_meet",
    "describe_unmodelled",
    "load",
]
