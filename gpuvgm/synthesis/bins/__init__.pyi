from .bins import (
    Bins as Bins,
    Codes as Codes,
    asked_values as asked_values,
    bins_of as bins_of,
    bins_of_persons as bins_of_persons,
    bins_on_clock as bins_on_clock,
    bins_since as bins_since,
    origin_of as origin_of,
    origins_of as origins_of,
)
from .calendar import LEAST_GAIN as LEAST_GAIN, gain_of_days as gain_of_days, learn_clock as learn_clock
from .clock import (
    PARTS as PARTS,
    RARE as RARE,
    TWIN as TWIN,
    Clock as Clock,
    Part as Part,
    PartName as PartName,
)
from .conditions import (
    Finder as Finder,
    bins_with_mass as bins_with_mass,
    categories_that_meet as categories_that_meet,
    check_names as check_names,
    finder_of as finder_of,
    read_condition as read_condition,
    restricted as restricted,
    restricted_or_whole as restricted_or_whole,
    restricted_since as restricted_since,
    restricted_to as restricted_to,
    restricted_without as restricted_without,
    row_finder as row_finder,
    row_finders as row_finders,
)
from .finders import (
    bin_finder as bin_finder,
    bins_of_rows as bins_of_rows,
    check_fits as check_fits,
    check_origins as check_origins,
    code_finder as code_finder,
    coded_columns as coded_columns,
    coded_parts as coded_parts,
    part_finder as part_finder,
)
from .forms import Forms as Forms
from .numbers import (
    Rows as Rows,
    are_same as are_same,
    numbers_since as numbers_since,
    twin_numbers as twin_numbers,
)
from .origins import possible_origins as possible_origins
from .persons import LEAST_KEYS as LEAST_KEYS, KeysOfThings as KeysOfThings, Persons as Persons, hashes_of as hashes_of
from .sampled_rows import AskedValues as AskedValues, SampledRows as SampledRows
from .starts import start_finder as start_finder
from .training_values import are_singles as are_singles
