from .base import (
    MISSING,
    Category,
    Coded,
    ColumnPlan,
    EncodingOptions,
    FitRecord,
    FittedColumn,
    Slice,
)
from .categorical import CategoricalColumn
from .codecs import Codec, DatetimeCodec, FloatCodec, LogCodec, Number, UnreadText
from .codecs.arrays import cached_parts, floats
from .codecs.integers import IntegerCodec
from .codecs.steps import with_learned_step
from .codecs.texts import form_of, values_in
from .continuous import MixtureColumn
from .general import GeneralColumn
from .histograms import Histogram
from .identifiers import IdColumn
from .inference import UUID
from .model import TableModel
from .names import NameTemplate
from .numbers import NumericColumn
from .numeric import NumberPlan
from .options import KIND_NAMES, check_settings, is_null
from .passthrough import PassthroughColumn
from .plots import new_axes
from .records import LARGEST_WHOLE, Count, check_plain, document_of, read_record
from .rules import choice, finite, whole
from .schema import TableSchema
from .specs import ColumnSpec, is_declared
from .text import html_table, texts_of
from .unseen import Unseen

__all__ = [
    "CategoricalColumn",
    "Category",
    "Codec",
    "Coded",
    "ColumnPlan",
    "ColumnSpec",
    "Count",
    "DatetimeCodec",
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
    "NameTemplate",
    "Number",
    "NumberPlan",
    "NumericColumn",
    "PassthroughColumn",
    "Slice",
    "TableModel",
    "TableSchema",
    "UUID",
    "UnreadText",
    "Unseen",
    "cached_parts",
    "check_plain",
    "check_settings",
    "choice",
    "document_of",
    "finite",
    "floats",
    "form_of",
    "html_table",
    "is_declared",
    "is_null",
    "new_axes",
    "read_record",
    "texts_of",
    "values_in",
    "whole",
    "with_learned_step",
]
