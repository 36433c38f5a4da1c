"""Accounting: what noise costs, beside numbers of an independent library."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gpuvgm.errors import InputError
from gpuvgm.synthesis.private.account import Promise, Release, delta_of
from gpuvgm.synthesis.private.declared import Domain
from gpuvgm.synthesis.private.model import releases_of


@given(st.floats(1e-3, 20), st.integers(5, 15))
def test_the_promise_is_kept_by_its_own_bound_and_hardly_undercut(epsilon, digits):
    promise = Promise.of(epsilon, Fraction(1, 10**digits), 1)
    rho = promise.rho
    assert delta_of(rho, promise.epsilon) <= promise.delta
    assert delta_of(rho * (1 + Fraction(1, 10**4)), promise.epsilon) > promise.delta


@pytest.mark.parametrize(("rho", "epsilon"), [(0.015, 1.0), (1.5, 10.0), (5.0, 20.0), (2e-6, 0.01)])
def test_the_bound_is_the_least_over_all_orders(rho, epsilon):
    orders = 1 + np.geomspace(1e-4, 1e5, 200_000)
    logs = (orders - 1) * (orders * rho - epsilon) + orders * np.log1p(-1 / orders) - np.log(orders - 1)
    assert float(delta_of(Fraction(str(rho)), Fraction(str(epsilon)))) == pytest.approx(exp(logs.min()), rel=1e-3)


def test_the_bound_is_below_the_older_one():
    # Bun & Steinke (2016), proposition 1.3: epsilon = rho + 2 sqrt(rho log(1 / delta)).
    rho, delta = 0.02, 1e-6
    older = rho + 2 * np.sqrt(rho * log(1 / delta))
    assert delta_of(Fraction(str(rho)), Fraction(str(older))) < delta


@given(
    st.integers(1, 5000),
    st.integers(1, 1000),
    st.fractions(Fraction(1, 10**4), Fraction(5)),
    st.sampled_from(["a", "b"]),
)
def test_releases_cost_no_more_than_they_may(tables, rows, rho, name):
    release = Release.within(name, tables, rho, rows)
    # T tables that differ by k in a cell have the squared distance T k^2: rho = T k^2 / (2 variance).
    assert release.rho == Fraction(tables * rows**2, 2 * release.variance) <= rho
    assert release.variance % release.scale == 0


def test_more_rows_of_a_person_cost_as_group_privacy_says():
    one, three = (Release("columns", 7, 900, 30, rows) for rows in (1, 3))
    assert three.rho == 9 * one.rho  # k^2: Bun & Steinke (2016), proposition 1.9


@pytest.mark.parametrize(
    ("promise", "word"),
    [
        ((20.1, 1e-9, 1), "epsilon"),
        ((0, 1e-9, 1), "epsilon"),
        ((-1, 1e-9, 1), "epsilon"),
        ((float("nan"), 1e-9, 1), "epsilon"),
        ((float("inf"), 1e-9, 1), "epsilon"),
        (("much", 1e-9, 1), "epsilon"),
        ((None, 1e-9, 1), "epsilon"),
        ((True, 1e-9, 1), "epsilon"),
        ((1, 1.1e-5, 1), "delta"),
        ((1, 0, 1), "delta"),
        ((1, None, 1), "delta"),
        ((1, 1e-9, 0), "rows_per_person"),
        ((1, 1e-9, 1.5), "rows_per_person"),
        ((1, 1e-9, True), "rows_per_person"),
        ((1, 1e-9, 2**21), "rows_per_person"),
    ],
)
def test_promises_that_are_none_are_refused(promise, word):
    with pytest.raises(InputError, match=word):
        Promise.of(*promise)


def test_a_promise_that_needs_too_much_noise_is_refused():
    with pytest.raises(InputError, match="epsilon"):
        Release.within("pairs", 1000, Promise.of(1e-6, 1e-12, 1000).rho, 1000)


#: Epsilons that Google's dp-accounting 0.6.0 finds for discrete Gaussian noise of these (tables, variance), by
#: ``python -m benchmarks.private accounting``: upper bounds, by privacy loss distributions.
DP_ACCOUNTING = {
    (0.3, 1e-6): (((20, 15752), (45, 11814)), 0.27956),
    (0.3, 1e-9): (((20, 27089), (45, 20315)), 0.28699),
    (1, 1e-6): (((20, 1643), (45, 1232)), 0.93051),
    (1, 1e-9): (((20, 2673), (45, 2006)), 0.95142),
    (3, 1e-6): (((20, 217), (45, 162)), 2.80105),
    (3, 1e-9): (((20, 333), (45, 250)), 2.8485),
    (10, 1e-6): (((20, 27), (45, 20)), 9.23932),
    (10, 1e-9): (((20, 39), (45, 27)), 9.54945),
}
WIDE = {f"x{at}": {"kind": "number", "low": 0, "high": 1000, "step": 1} for at in range(10)}


@pytest.mark.parametrize("case", DP_ACCOUNTING)
def test_another_library_finds_less_than_what_is_promised_and_nearly_as_much(case):
    noise, epsilon = DP_ACCOUNTING[case]
    releases = releases_of(Domain.of(WIDE), Promise.of(*case, 1))
    assert tuple((release.tables, release.variance) for release in releases) == noise
    assert 0.9 * case[0] <= epsilon <= case[0]
