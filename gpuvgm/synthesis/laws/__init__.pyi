from .laws import (
    Law as Law,
    LawKeeper as LawKeeper,
    LawSearch as LawSearch,
    Rule as Rule,
    check_laws as check_laws,
    columns_to_restrict as columns_to_restrict,
    laws_under as laws_under,
    made_of as made_of,
    merged_laws as merged_laws,
    tell_of_broken as tell_of_broken,
)
