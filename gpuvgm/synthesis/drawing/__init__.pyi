from .coded_rows import CodedRows as CodedRows
from .conditioned import PILOT_ROWS as PILOT_ROWS, ConditionedTrees as ConditionedTrees
from .drawing import ComputedColumn as ComputedColumn, Drawing as Drawing, Drawn as Drawn, KeyTable as KeyTable
from .filtered import (
    MOST_PILOT_ROWS as MOST_PILOT_ROWS,
    FilteredRows as FilteredRows,
    MadeRows as MadeRows,
    Window as Window,
)
from .values import (
    Values as Values,
    unmodelled_columns as unmodelled_columns,
    value_maker as value_maker,
    within_range as within_range,
)
