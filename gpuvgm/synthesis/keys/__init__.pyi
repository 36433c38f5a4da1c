from .beside import RowsBeside as RowsBeside
from .form_search import find_forms as find_forms
from .habit_search import HabitSample as HabitSample, habits_of as habits_of, likely_habits as likely_habits
from .habits import Habit as Habit, with_habits as with_habits
from .identifier_counts import IdentifierCounts as IdentifierCounts
from .identifier_levels import (
    KeyNumbers as KeyNumbers,
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
from .key_search import Claims as Claims, keys_found as keys_found, rows_of_keys as rows_of_keys
from .keys import LACKING_CODES as LACKING_CODES, KeyLayout as KeyLayout
from .orders import (
    PROBED as PROBED,
    OrderEvidence as OrderEvidence,
    Orders as Orders,
    columns_left_out as columns_left_out,
    describe_orders as describe_orders,
    find_orders as find_orders,
    orders_of_file as orders_of_file,
    tell_of_orders as tell_of_orders,
    without_amounts as without_amounts,
)
from .streams import column_number as column_number, seed_of_attempt as seed_of_attempt, shuffled as shuffled
