from .conditioned import PILOT_ROWS as PILOT_ROWS, ConditionedTrees as ConditionedTrees
from .drawing import ComputedColumn as ComputedColumn, Drawing as Drawing, Drawn as Drawn, KeyTable as KeyTable
from .filtered import (
    MOST_PILOT_ROWS as MOST_PILOT_ROWS,
    FilteredRows as FilteredRows,
    MadeRows as MadeRows,
    Window as Window,
)
from .identifier_counts import IdentifierCounts as IdentifierCounts
from .identifier_levels import (
    KeyNumbers as KeyNumbers,
    check_attributes as check_attributes,
    key_numbers as key_numbers,
    lacking_keys as lacking_keys,
    layouts_of as layouts_of,
    levels_of_attributes as levels_of_attributes,
    levels_of_keys as levels_of_keys,
    rows_per_key as rows_per_key,
    tell_of_longer as tell_of_longer,
)
from .identifier_messages import (
    describe_left_out as describe_left_out,
    describe_unmodelled as describe_unmodelled,
    tell_of_numbers as tell_of_numbers,
    tell_of_repeats as tell_of_repeats,
    tell_of_samples as tell_of_samples,
)
from .identifiers import IdentifierForm as IdentifierForm
from .values import (
    Values as Values,
    unmodelled_columns as unmodelled_columns,
    value_maker as value_maker,
    within_range as within_range,
)
