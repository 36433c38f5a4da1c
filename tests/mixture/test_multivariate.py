"""The formulas of several features against their definitions, row by row, and in other array namespaces."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest

from gpuvgm.arrays import namespace_of
from gpuvgm.engines import Engine, GaussianTable, KernelTable
from gpuvgm.engines.multivariate import e_step, log_prob
from gpuvgm.mixture.statistics import gaussian_statistics
from gpuvgm.summary import Frame

REFERENCE = Engine()


def gaussian_table(
    components: int, features: int, diagonal: bool = False, spread: float = 3.0, offset: float = 0.0
) -> GaussianTable:
    """Components of any shape, `spread` apart, their centre at about `offset`."""
    g = np.random.default_rng(10 * components + features)
    deviations = g.uniform(0.5, 2, (components, features))
    factors = np.triu(g.normal(0, 0.3, (components, features, features)), 1)
    factors[:, range(features), range(features)] = deviations
    return GaussianTable(
        offset + g.normal(size=features),
        g.normal(0, spread, (components, features)),
        deviations if diagonal else factors,
        g.normal(-3, 1, components),
    )


def gaussian_rows(rows: int, table: GaussianTable, seed: int = 1) -> np.ndarray:
    """Rows around the means of the table."""
    g = np.random.default_rng(seed)
    means = table.means[g.integers(0, table.components, rows)]
    return np.asarray(table.centre + means + g.normal(size=means.shape))


def densities_by_definition(x: np.ndarray, table: GaussianTable) -> np.ndarray:
    """ln of weight times density in long double, one row and component at a time."""
    out = np.empty((len(x), table.components), np.longdouble)
    for n, row in enumerate(x.astype(np.longdouble)):
        for k in range(table.components):
            d = row - table.centre - table.means[k]
            p = table.precisions[k].astype(np.longdouble)
            z = d * p if table.diagonal else np.array([np.sum(d * p[:, j]) for j in range(table.features)])
            out[n, k] = table.coefficients[k] - np.sum(z * z) / 2
    return out


def sums_by_definition(x: np.ndarray, weight: np.ndarray, table: GaussianTable) -> tuple[np.ndarray, np.ndarray]:
    """Sums of all rows in long double, and the sums of their magnitudes."""
    density = densities_by_definition(x, table)
    top = density.max(axis=1, keepdims=True)
    log_norm = (top + np.log(np.exp(density - top).sum(axis=1, keepdims=True)))[:, 0]
    r = np.exp(density - log_norm[:, None]) * weight[:, None]
    total, size = [r.sum(axis=0)], [r.sum(axis=0)]
    d = x.astype(np.longdouble)[:, None, :] - table.centre - table.means
    first = r[:, :, None] * d
    pairs = np.triu_indices(table.features) if not table.diagonal else (np.arange(table.features),) * 2
    second = first[:, :, pairs[0]] * d[:, :, pairs[1]]
    for terms in (first, second, (log_norm * weight)[:, None, None]):
        total.append(terms.sum(axis=0).ravel())
        size.append(np.abs(terms).sum(axis=0).ravel())
    return np.concatenate(total), np.concatenate(size)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("components", "features"), [(1, 1), (1, 3), (3, 1), (4, 2), (3, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sums_follow_their_definition(
    components: int, features: int, diagonal: bool, dtype: str, offset: float
) -> None:
    table = gaussian_table(components, features, diagonal, offset=offset)
    x = gaussian_rows(200, table).astype(dtype)
    weight = np.random.default_rng(2).uniform(0, 3, 200)
    expected, size = sums_by_definition(x, weight, table)
    found = e_step(x, weight, table)
    assert found.shape == (1, table.width)
    assert found.dtype == np.float64
    np.testing.assert_array_less(np.abs(found[0] - expected), 2e-13 * size + 1e-300)
    np.testing.assert_allclose(log_prob(x, table), densities_by_definition(x, table), rtol=1e-13, atol=1e-12)


def test_without_weights_every_row_counts_once() -> None:
    table = gaussian_table(3, 4)
    x = gaussian_rows(500, table)
    np.testing.assert_array_equal(e_step(x, None, table), e_step(x, np.ones(500), table))


@pytest.mark.parametrize("diagonal", [False, True])
def test_whole_weights_are_repeated_rows(diagonal: bool) -> None:
    table = gaussian_table(4, 3, diagonal)
    x = gaussian_rows(300, table)
    weight = np.random.default_rng(3).integers(0, 5, 300)
    expected = e_step(np.repeat(x, weight, axis=0), None, table)
    np.testing.assert_allclose(e_step(x, weight.astype(float), table), expected, rtol=1e-12, atol=1e-10)


def test_one_feature_is_the_kernel_of_one_column() -> None:
    table = gaussian_table(5, 1)
    half = table.precisions[:, 0, 0] ** 2 / (2 * np.log(2))
    column = KernelTable(Frame(1.0, table.centre[0]), table.means[:, 0], half, table.coefficients / np.log(2))
    x = gaussian_rows(5000, table)
    expected = REFERENCE.e_step(x[:, 0].copy(), None, None, column)
    expected[:, -1] *= np.log(2)
    np.testing.assert_allclose(e_step(x, None, table), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_namespaces_compute_the_same(diagonal: bool, dtype: str) -> None:
    table = gaussian_table(4, 3, diagonal)
    x = gaussian_rows(1000, table).astype(dtype)
    weight = np.random.default_rng(4).uniform(0, 2, 1000)
    foreign = strict.asarray(x)
    assert namespace_of(foreign) is strict
    assert namespace_of(x) is np
    for given in (None, weight):
        found = e_step(foreign, None if given is None else strict.asarray(given), table)
        assert isinstance(found, type(foreign))
        np.testing.assert_array_equal(np.asarray(found), e_step(x, given, table))
    np.testing.assert_array_equal(np.asarray(log_prob(foreign, table)), log_prob(x, table))


def test_other_namespaces_take_larger_chunks() -> None:
    table = gaussian_table(2, 2)
    x = gaussian_rows((1 << 16) + 5, table)
    found = np.asarray(e_step(strict.asarray(x), None, table))
    assert found.shape == (2, table.width)
    expected = e_step(x, None, table)
    np.testing.assert_allclose(found.sum(axis=0), expected.sum(axis=0), rtol=1e-11, atol=1e-9)
    assert log_prob(strict.asarray(x), table).shape == (len(x), 2)


@pytest.mark.parametrize("diagonal", [False, True])
def test_statistics_and_their_entropy(diagonal: bool) -> None:
    table = gaussian_table(4, 3, diagonal, spread=1.0)
    x = gaussian_rows(10_000, table)
    found = gaussian_statistics(e_step(x, None, table), table)
    density = log_prob(x, table)
    log_r = density - np.logaddexp.reduce(density, axis=1)[:, None]
    r = np.exp(log_r)
    d = (x - table.centre)[:, None, :] - table.means
    second = np.einsum("nk,nki,nki->ki" if diagonal else "nk,nki,nkj->kij", *((r, d, d)))
    np.testing.assert_array_equal(found.reference, table.means)
    np.testing.assert_allclose(found.counts, r.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.first, np.einsum("nk,nki->ki", r, d), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.second, second, rtol=1e-11, atol=1e-9)
    np.testing.assert_array_equal(found.second, found.second if diagonal else found.second.transpose(0, 2, 1))
    assert found.entropy == pytest.approx(-np.sum(r * log_r), rel=1e-10)


def test_statistics_do_not_depend_on_the_blocks() -> None:
    table = gaussian_table(3, 4)
    x = gaussian_rows(20_000, table)
    whole = gaussian_statistics(e_step(x, None, table), table)
    parts = [e_step(part, None, table) for part in np.split(x, [4096, 12_288, 16_384])]
    again = gaussian_statistics(np.concatenate(parts), table)
    for name in ("counts", "first", "second", "entropy"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


@pytest.mark.parametrize("diagonal", [False, True])
def test_statistics_of_no_rows(diagonal: bool) -> None:
    table = gaussian_table(3, 2, diagonal)
    found = gaussian_statistics(e_step(np.empty((0, 2)), None, table), table)
    assert found.counts.shape == (3,)
    assert found.second.shape == ((3, 2) if diagonal else (3, 2, 2))
    assert found.entropy == 0
    assert e_step(strict.zeros((0, 2), dtype=strict.float64), None, table).shape == (0, table.width)
    assert log_prob(np.empty((0, 2)), table).shape == (0, 3)
