from .key_forms import forms_of_table as forms_of_table
from .learning import learn as learn
from .row_model import RowModel as RowModel
from .settings import SynthesizerSettings as SynthesizerSettings
from .stored import read_model as read_model
