"""Which sets of a test's parameters `make test` takes: together they hold every value, or every pair of values.

`@pytest.mark.covering(1)` on a test: every value of every parameter, of fixtures' parameters too, is in a set that is
run. `@pytest.mark.covering(2)`: so is every pair of values of two parameters. The other sets are marked exhaustive.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import pytest

Part = tuple[tuple[str, int], ...]


def mark_exhaustive(items: list[pytest.Item]) -> None:
    """Mark what is not needed, test by test."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("covering") and not item.get_closest_marker("exhaustive"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        (strength,) = cases[0].get_closest_marker("covering").args  # type: ignore[union-attr]
        chosen = chosen_cases([values_of(case) for case in cases], strength)
        for number, case in enumerate(cases):
            if number not in chosen:
                case.add_marker(pytest.mark.exhaustive)


def values_of(item: pytest.Item) -> dict[str, int]:
    """Which value each parameter has: parametrize hands the same objects to all sets that hold them."""
    callspec = getattr(item, "callspec", None)
    return {name: id(value) for name, value in callspec.params.items()} if callspec else {}


def chosen_cases(cases: list[dict[str, int]], strength: int) -> set[int]:
    """Places of cases that hold every part of `strength` values that any case holds; few, found greedily."""
    parts = [parts_of(case, strength) for case in cases]
    missing = set().union(*parts)
    chosen: set[int] = set()
    while missing:
        best = max(range(len(cases)), key=lambda number: len(parts[number] & missing))
        chosen.add(best)
        missing -= parts[best]
    return chosen or {0}


def parts_of(case: dict[str, int], strength: int) -> set[Part]:
    """All sets of so many values that a case holds."""
    return set(combinations(sorted(case.items()), min(strength, len(case)))) if case else set()
