from .conditions import categories_that_meet
from .identifiers import IdentifierForm, describe_unmodelled
from .network import JointCounts
from .outputs import SampledTable
from .private.synthesizer import PrivateSynthesizer
from .synthesizer import TableSynthesizer, load

__all__ = [
    "IdentifierForm",
    "JointCounts",
    "PrivateSynthesizer",
    "SampledTable",
    "TableSynthesizer",
    "categories_that_meet",
    "describe_unmodelled",
    "load",
]
