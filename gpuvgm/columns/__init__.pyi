from .base import (
    MISSING,
    Category,
    Coded,
    ColumnPlan,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    FittedColumn,
    Slice,
    Values,
)
from .categorical import CategoricalColumn
from .categories import CategoryCounts
from .codecs import Codec, DatetimeCodec, FloatCodec, LogCodec, Number, UnreadText
from .codecs.arrays import as_numbers, cached_parts, floats
from .codecs.datetimes import count_unequal
from .codecs.integers import IntegerCodec
from .codecs.steps import with_learned_step
from .codecs.texts import form_of, values_in
from .continuous import MixtureColumn
from .general import GeneralColumn
from .histograms import Histogram
from .identifiers import IdColumn
from .inference import UUID
from .model import TableModel
from .names import NAMES, NameTemplate
from .numbers import NumericColumn
from .numeric import NumberPlan
from .options import KIND_NAMES, check_settings, is_null, json_value
from .passthrough import PassthroughColumn, RowCount
from .plots import new_axes
from .records import LARGEST_WHOLE, Count, check_plain, document_of, read_record
from .rules import choice, finite, none, whole
from .schema import TableSchema
from .specs import is_declared
from .text import html_table, texts_of
from .unseen import UnseenCounts, UnseenRows

__all__ = [
    "CategoricalColumn",
    "Category",
    "CategoryCounts",
    "Codec",
    "Coded",
    "ColumnPlan",
    "Count",
    "DatetimeCodec",
    "Decoder",
    "Encoder",
    "EncodingOptions",
    "FitRecord",
    "FittedColumn",
    "FloatCodec",
    "GeneralColumn",
    "Histogram",
    "IdColumn",
    "IntegerCodec",
    "KIND_NAMES",
    "LARGEST_WHOLE",
    "LogCodec",
    "MISSING",
    "MixtureColumn",
    "NAMES",
    "NameTemplate",
    "Number",
    "NumberPlan",
    "NumericColumn",
    "PassthroughColumn",
    "RowCount",
    "Slice",
    "TableModel",
    "TableSchema",
    "UUID",
    "UnreadText",
    "UnseenCounts",
    "UnseenRows",
    "Values",
    "as_numbers",
    "cached_parts",
    "check_plain",
    "check_settings",
    "choice",
    "count_unequal",
    "document_of",
    "finite",
    "floats",
    "form_of",
    "html_table",
    "is_declared",
    "is_null",
    "json_value",
    "new_axes",
    "none",
    "read_record",
    "texts_of",
    "values_in",
    "whole",
    "with_learned_step",
]
