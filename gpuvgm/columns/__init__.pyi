from .base import (
    MISSING as MISSING,
    Category as Category,
    Coded as Coded,
    ColumnPlan as ColumnPlan,
    EncodingOptions as EncodingOptions,
    FitRecord as FitRecord,
    FittedColumn as FittedColumn,
    Slice as Slice,
)
from .categorical import CategoricalColumn as CategoricalColumn
from .continuous import MixtureColumn as MixtureColumn
from .general import GeneralColumn as GeneralColumn
from .histograms import Histogram as Histogram
from .identifiers import IdColumn as IdColumn
from .model import TableModel as TableModel
from .names import NameTemplate as NameTemplate
from .numbers import NumericColumn as NumericColumn
from .numeric import NumberPlan as NumberPlan
from .options import KIND_NAMES as KIND_NAMES, check_settings as check_settings
from .passthrough import PassthroughColumn as PassthroughColumn
from .plots import new_axes as new_axes
from .schema import TableSchema as TableSchema
from .specs import ColumnSpec as ColumnSpec
from .text import html_table as html_table, texts_of as texts_of
from .unseen import Unseen as Unseen
