from .attributes import Evidence as Evidence, find_attributes as find_attributes, values_of as values_of
from .checks import ALIKE as ALIKE
from .habit_search import HabitSample as HabitSample, habits_of as habits_of, likely_habits as likely_habits
from .habits import Habit as Habit, describe_habits as describe_habits, with_habits as with_habits
from .key_counts import KeyCounts as KeyCounts
from .key_search import (
    NEARLY_AS_MANY as NEARLY_AS_MANY,
    Claims as Claims,
    check_of as check_of,
    keys_found as keys_found,
    keys_that_determine as keys_that_determine,
    rows_of_keys as rows_of_keys,
    trees_of_keys as trees_of_keys,
)
from .keys import (
    LACKING_CODES as LACKING_CODES,
    LONGEST_PERIOD as LONGEST_PERIOD,
    MOST_COLUMNS as MOST_COLUMNS,
    KeyLayout as KeyLayout,
    codes_of_lacking as codes_of_lacking,
    period_of as period_of,
)
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
from .patterns import (
    CODE as CODE,
    ENDLESS as ENDLESS,
    MOST_NUMBERED as MOST_NUMBERED,
    NUMBER as NUMBER,
    Pattern as Pattern,
    SeenShape as SeenShape,
)
from .seen import LONGEST as LONGEST, SeenValues as SeenValues, refined_pattern as refined_pattern
from .shapes import LEAST_OF_EACH as LEAST_OF_EACH, codes_of as codes_of, patterns_of as patterns_of
from .streams import column_number as column_number, seed_of_attempt as seed_of_attempt, shuffled as shuffled
