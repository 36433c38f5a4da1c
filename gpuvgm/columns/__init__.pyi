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
from .codecs import (
    Codec as Codec,
    DatetimeCodec as DatetimeCodec,
    FloatCodec as FloatCodec,
    LogCodec as LogCodec,
    Number as Number,
    UnreadText as UnreadText,
)
from .codecs.arrays import cached_parts as cached_parts, floats as floats
from .codecs.integers import IntegerCodec as IntegerCodec
from .codecs.steps import with_learned_step as with_learned_step
from .codecs.texts import form_of as form_of, values_in as values_in
from .continuous import MixtureColumn as MixtureColumn
from .general import GeneralColumn as GeneralColumn
from .histograms import Histogram as Histogram
from .identifiers import IdColumn as IdColumn
from .inference import UUID as UUID
from .model import TableModel as TableModel
from .names import NameTemplate as NameTemplate
from .numbers import NumericColumn as NumericColumn
from .numeric import NumberPlan as NumberPlan
from .options import KIND_NAMES as KIND_NAMES, check_settings as check_settings, is_null as is_null
from .passthrough import PassthroughColumn as PassthroughColumn
from .plots import new_axes as new_axes
from .records import (
    LARGEST_WHOLE as LARGEST_WHOLE,
    Count as Count,
    check_plain as check_plain,
    document_of as document_of,
    read_record as read_record,
)
from .rules import choice as choice, finite as finite, whole as whole
from .schema import TableSchema as TableSchema
from .specs import ColumnSpec as ColumnSpec, is_declared as is_declared
from .text import html_table as html_table, texts_of as texts_of
from .unseen import Unseen as Unseen
