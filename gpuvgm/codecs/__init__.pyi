from .arrays import (
    cached_parts as cached_parts,
    float_values as float_values,
    missing_rows as missing_rows,
    present as present,
)
from .asinh import AsinhCodec as AsinhCodec
from .base import ORDINARY as ORDINARY, Codec as Codec, Number as Number, Refuted as Refuted
from .checks import CHECKS as CHECKS, Equation as Equation
from .curves import (
    CurvedCodec as CurvedCodec,
    rounding_in as rounding_in,
    rounding_variance as rounding_variance,
    unit_of as unit_of,
)
from .datetimes import DatetimeCodec as DatetimeCodec, comparable as comparable
from .ends import ends_of as ends_of
from .floats import FloatCodec as FloatCodec, holds_whole_steps as holds_whole_steps
from .integers import IntegerCodec as IntegerCodec
from .literals import Value as Value, is_null as is_null, json_value as json_value
from .logarithms import LogCodec as LogCodec
from .number_text import shorten_float as shorten_float
from .scales import SCALES as SCALES, codec_of as codec_of
from .steps import MOST_STRAYS as MOST_STRAYS, are_dust as are_dust, with_learned_step as with_learned_step
from .texts import (
    FIRST_ROWS as FIRST_ROWS,
    PARSES as PARSES,
    OfText as OfText,
    TextForm as TextForm,
    UnreadText as UnreadText,
    are_blank as are_blank,
    are_like_values as are_like_values,
    different_texts as different_texts,
    form_of as form_of,
    may_be_values as may_be_values,
    unread_values as unread_values,
    values_in as values_in,
)
from .types import check_value as check_value, codec_for as codec_for, read_column as read_column
