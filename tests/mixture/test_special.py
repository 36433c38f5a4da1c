"""K-vector functions against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special as scipy_special

from gpuvgm.engines import native_is_built
from gpuvgm.mixture import special
from tests.conftest import make_engine, native_names

ARGUMENTS = np.concatenate([10.0 ** np.linspace(-6, 12, 4001), np.linspace(0.5, 3, 1001), [1.0, 2.0]])


@pytest.fixture(params=["numpy", "native"])
def functions(request: pytest.FixtureRequest) -> special.Functions:
    """Both implementations in turn."""
    if request.param == "numpy":
        return special.IN_NUMPY
    if not native_is_built():
        pytest.skip("the C++ extension was not built")
    return special.Functions(special.log, special.exp, special.digamma, special.gammaln)


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension was not built")
@pytest.mark.parametrize("name", special.Functions._fields)
def test_both_give_the_same_bits(name: str) -> None:
    np.testing.assert_array_equal(getattr(special, name)(ARGUMENTS), getattr(special.IN_NUMPY, name)(ARGUMENTS))


@pytest.mark.parametrize("name", native_names())
def test_every_instruction_set_gives_the_bits_of_numpys_operations(name: str, random: np.random.Generator) -> None:
    everything = random.integers(0, 2**63, 50_000, np.int64).view(np.float64)  # positive numbers of any size, and NaN
    edges = np.array([5e-324, 2.2250738585072014e-308, 1.0, np.sqrt(0.5), np.nextafter(1, 0), 1.7976931348623157e308])
    kernels = make_engine(name)._kernels
    for x in (np.r_[edges, everything[everything < np.inf]], edges, edges[:1]):
        np.testing.assert_array_equal(kernels.log(x), special.IN_NUMPY.log(x))
    # Eight of usual sizes are done at once; 1e-300 and 1e25 are where others begin.
    sizes = np.r_[10.0 ** random.uniform(-300, 25, 5_000), 1e-300, 1e-301, 9e24, 1e25, 1e200, everything[:99], 1.0, 7.5]
    for x in (sizes, ARGUMENTS, sizes[:3], np.repeat(np.sqrt(0.5), 9)):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(kernels.digamma(x), special.IN_NUMPY.digamma(x))
            np.testing.assert_array_equal(kernels.gammaln(x), special.IN_NUMPY.gammaln(x))
    powers = np.r_[random.uniform(-760, 720, 50_000), random.normal(size=5_000), -0.0, 0.0, 709.79, -745.2, 800, -800]
    for x in (powers, np.r_[powers[:700], np.nan, np.inf, -np.inf], powers[:3]):
        np.testing.assert_array_equal(kernels.exp(x), special.IN_NUMPY.exp(x))


def test_log_is_within_two_ulp(functions: special.Functions) -> None:
    ours, theirs = functions.log(ARGUMENTS), np.log(ARGUMENTS)
    assert np.max(np.abs(ours - theirs) / np.maximum(np.spacing(np.abs(theirs)), 2.0**-54)) <= 2


def test_log_of_subnormal_and_huge(functions: special.Functions) -> None:
    x = np.array([5e-324, 2.2e-308, 1.7e308, 1.0])
    np.testing.assert_allclose(functions.log(x), np.log(x), rtol=3e-16, atol=0)


@pytest.mark.parametrize(("name", "tolerance"), [("digamma", 4e-15), ("gammaln", 3e-14)])
def test_against_scipy(functions: special.Functions, name: str, tolerance: float) -> None:
    ours, theirs = getattr(functions, name)(ARGUMENTS), getattr(scipy_special, name)(ARGUMENTS)
    assert np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))) < tolerance


def test_recurrences(functions: special.Functions) -> None:
    x = np.array([0.3, 1.7, 25.0])
    np.testing.assert_allclose(functions.digamma(x + 1), functions.digamma(x) + 1 / x, rtol=1e-14)
    np.testing.assert_allclose(functions.gammaln(x + 1), functions.gammaln(x) + np.log(x), rtol=1e-13, atol=1e-14)
