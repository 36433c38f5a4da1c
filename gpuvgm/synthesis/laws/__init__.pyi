from .keeper import LawKeeper as LawKeeper
from .law import Law as Law
from .laws import (
    columns_to_restrict as columns_to_restrict,
    laws_under as laws_under,
    made_of as made_of,
    merged_laws as merged_laws,
    read_laws as read_laws,
    tell_of_broken as tell_of_broken,
)
from .search import LawSearch as LawSearch
