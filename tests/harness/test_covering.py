"""The sets of parameters that `make test` takes hold every value, or every pair of values, and are few."""

from __future__ import annotations

from itertools import product

import pytest

from tests.harness.covering import chosen_cases, parts_of

CASES = [dict(zip("abc", values, strict=True)) for values in product(range(4), range(3), range(2))]


@pytest.mark.parametrize(("strength", "most"), [(1, 4), (2, 14), (3, 24)])
def test_what_is_chosen_holds_all_parts(strength, most):
    chosen = chosen_cases(CASES, strength)
    held = set().union(*(parts_of(CASES[number], strength) for number in chosen))
    assert held == set().union(*(parts_of(case, strength) for case in CASES))
    assert len(chosen) <= most


def test_a_test_without_parameters_is_chosen():
    assert chosen_cases([{}], 1) == {0}
