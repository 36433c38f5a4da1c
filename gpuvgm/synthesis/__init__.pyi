from .bins import categories_that_meet as categories_that_meet
from .keys import IdentifierForm as IdentifierForm, describe_unmodelled as describe_unmodelled
from .outputs import SampledTable as SampledTable
from .private import PrivateSynthesizer as PrivateSynthesizer
from .synthesizer import TableSynthesizer as TableSynthesizer, load as load
