from .columns import fitted_columns as fitted_columns
from .key_forms import forms_of_table as forms_of_table
from .learning import learn as learn, learn_rows as learn_rows
from .row_model import RowModel as RowModel
from .samples import read_twice as read_twice, table_maker as table_maker
from .settings import SynthesizerSettings as SynthesizerSettings
from .stored import read_model as read_model
