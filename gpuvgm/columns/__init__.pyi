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
    Refuted,
    Slice,
    Values,
)
from .categorical import CategoricalColumn
from .categories import CategoryCounts
from .codecs import Codec, CurvedCodec, DatetimeCodec, FloatCodec, LogCodec, Number, UnreadText
from .codecs.arrays import as_numbers, cached_parts, floats
from .codecs.datetimes import count_unequal
from .codecs.integers import IntegerCodec
from .codecs.shown import without_fractions
from .codecs.steps import with_learned_step
from .codecs.texts import OfText, form_of, values_in
from .continuous import MixtureColumn
from .general import GeneralColumn
from .histograms import Histogram
from .identifiers import IdColumn
from .inference import UUID
from .mixture_model import TAILS
from .model import KINDS, TableModel, column_from_json
from .names import NAMES, NameTemplate
from .numbers import NumericColumn, ordinary_numbers
from .numeric import NumberPlan, fitted_column, lowest_plan, modal_values
from .options import KIND_NAMES, check_settings, checked_option, is_null, json_value
from .passthrough import PassthroughColumn, RowCount
from .plots import new_axes
from .records import LARGEST_WHOLE, Count, check_plain, document_of, read_record
from .rules import choice, finite, none, whole
from .schema import ColumnRequest, ColumnSpec, TableSchema, is_declared
from .text import html_table, texts_of
from .unseen import UnseenCounts, UnseenRows

__all__ = [
    "CategoricalColumn",
    "Category",
    "CategoryCounts",
    "Codec",
    "Coded",
    "ColumnPlan",
    "ColumnRequest",
    "ColumnSpec",
    "Count",
    "CurvedCodec",
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
    "KINDS",
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
    "OfText",
    "PassthroughColumn",
    "Refuted",
    "RowCount",
    "Slice",
    "TAILS",
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
    "checked_option",
    "choice",
    "column_from_json",
    "count_unequal",
    "document_of",
    "finite",
    "fitted_column",
    "floats",
    "form_of",
    "html_table",
    "is_declared",
    "is_null",
    "json_value",
    "lowest_plan",
    "modal_values",
    "new_axes",
    "none",
    "ordinary_numbers",
    "read_record",
    "texts_of",
    "values_in",
    "whole",
    "with_learned_step",
    "without_fractions",
]
