from .bins import categories_that_meet as categories_that_meet
from .databases import DatabaseSynthesizer as DatabaseSynthesizer
from .keys import IdentifierForm as IdentifierForm
from .outputs import SampledTable as SampledTable
from .private import PrivateSynthesizer as PrivateSynthesizer
from .synthesizer import TableSynthesizer as TableSynthesizer, load as load
