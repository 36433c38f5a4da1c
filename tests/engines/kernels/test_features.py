"""The kernel of E-steps over several features, against the array formulas and against their definition."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import ChunkSums, Engine, multivariate
from gpuvgm.engines.cuda import CudaEngine
from gpuvgm.engines.cuda.features import MOST_FEATURES, features_partials, has_kernel
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.mixture import MATRICES, CovarianceType, Prior
from gpuvgm.mixture.statistics import gaussian_statistics
from tests.engines.kernels.emulated import EmulatedDevice, resident
from tests.engines.kernels.test_e_step import check, weights
from tests.mixture.test_multivariate import gaussian_rows, gaussian_table, sums_by_definition

#: Components, features, diagonal, weighted, type of the rows; some have more tasks than threads, or all that fit. Most
#: numbers of components leave three of four, of which the loops over them take four at a time.
CASES = [
    (15, 2, False, False, "float64"),
    (7, 2, False, True, "float32"),
    (11, 3, True, False, "float32"),
    (11, 4, False, False, "float32"),
    (11, 5, False, True, "float32"),
    (11, 8, False, False, "float64"),
    (7, 8, False, True, "float64"),
    (7, 9, True, True, "float64"),
    (7, 13, False, False, "float32"),
    (26, 16, False, True, "float64"),
    (30, 16, False, True, "float64"),
    (30, 16, True, True, "float64"),
    (43, 3, False, True, "float64"),
    (1, 3, False, True, "float64"),
]
SIZES = [0, 1, 127, 128, 129, 4095, 4096, 4097, 8292]


def e_step(device: EmulatedDevice, x: np.ndarray, weight: np.ndarray | None, table: GaussianTable) -> np.ndarray:
    return device.to_host(features_partials(device, resident(x), resident(weight), table))


@pytest.mark.parametrize(("components", "features", "diagonal", "weighted", "dtype"), CASES)
def test_every_shape(
    device: EmulatedDevice, components: int, features: int, diagonal: bool, weighted: bool, dtype: str
) -> None:
    table = gaussian_table(components, features, diagonal, spread=1.5)
    x = gaussian_rows(700, table).astype(dtype)
    weight = weights(len(x)) if weighted else None
    assert has_kernel(table)
    check(e_step(device, x, weight, table), multivariate.e_step(x, weight, table))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("diagonal", [False, True])
def test_every_size(device: EmulatedDevice, size: int, diagonal: bool) -> None:
    table = gaussian_table(7, 3, diagonal)
    x = gaussian_rows(size, table)
    for weight in (None, weights(size)):
        check(e_step(device, x, weight, table), multivariate.e_step(x, weight, table))


def total_of(engine: Engine, partials: np.ndarray) -> np.ndarray:
    """Sums of all chunks, on the host."""
    total = ChunkSums(partials.shape[1])
    engine.add_chunks([(total, partials)])
    return total.total


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("components", "features"), [(7, 3), (7, 16)])
def test_the_definition(device: EmulatedDevice, components: int, features: int, diagonal: bool) -> None:
    table = gaussian_table(components, features, diagonal, spread=1.5)
    x = gaussian_rows(150, table)
    weight = weights(len(x))
    expected, sizes = sums_by_definition(x, weight, table)
    found = e_step(device, x, weight, table)[0]
    assert np.all(np.abs(found - expected) <= 1e-13 * (sizes + len(x)))


@pytest.mark.parametrize("covariance_type", get_args(CovarianceType))
def test_every_form_of_covariance(device: EmulatedDevice, covariance_type: CovarianceType) -> None:
    """From the E-step of a posterior to the next posterior."""
    x = gaussian_rows(3000, gaussian_table(3, 3))
    engine, centre = CudaEngine(Engine(), device), np.mean(x, axis=0)
    covariance = {"full": np.eye(3), "tied": np.eye(3), "diag": np.ones(3), "spherical": np.float64(1.0)}
    prior = Prior(
        0.1,
        np.zeros(3),
        1.0,
        covariance[covariance_type],
        3.0,
        1e-6,
        covariance_type=covariance_type,
        origin=np.zeros(3),
    )
    diagonal = covariance_type not in MATRICES
    start = gaussian_table(3, 3, diagonal)
    posterior = prior.update(gaussian_statistics(multivariate.e_step(x, None, start), start))
    table = posterior.gaussian_table(centre)
    found, expected = (
        prior.update(gaussian_statistics(total_of(engine, partials), table))
        for partials in (engine.e_step_features(resident(x), None, table), multivariate.e_step(x, None, table))
    )
    for name in ("means", "covariances", "precisions_cholesky"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-12)
    assert [name for name, _ in device.launches if "features" in name] == [
        f"gpuvgm_features_3_f8{'_diagonal' * diagonal}"
    ]


@pytest.mark.parametrize(("components", "features", "diagonal"), [(11, 3, False), (23, 9, False), (31, 3, True)])
def test_sums_do_not_depend_on_the_launch(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, components: int, features: int, diagonal: bool
) -> None:
    table = gaussian_table(components, features, diagonal)
    x = gaussian_rows(2 * CHUNK_ROWS + 77, table)
    whole = e_step(device, x, None, table)
    for chunk in range(3):
        part = x[chunk * CHUNK_ROWS : (chunk + 1) * CHUNK_ROWS]
        np.testing.assert_array_equal(e_step(device, part, None, table)[0], whole[chunk])
    run = device.run_blocks
    monkeypatch.setattr(
        device, "run_blocks", lambda program, blocks, arguments: run(program, min(blocks, 1), arguments)
    )
    np.testing.assert_array_equal(e_step(device, x, None, table), whole)


def test_float32_rows_are_those_of_the_same_numbers(device: EmulatedDevice) -> None:
    table = gaussian_table(7, 3)
    x = gaussian_rows(500, table).astype(np.float32)
    for weight in (None, weights(len(x))):
        np.testing.assert_array_equal(
            e_step(device, x, weight, table), e_step(device, x.astype(np.float64), weight, table)
        )


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("precision", [1.0, 1e5])
def test_far_rows(device: EmulatedDevice, precision: float, diagonal: bool) -> None:
    table = gaussian_table(7, 3, diagonal)
    table = GaussianTable(table.centre, table.means, precision * table.precisions, table.coefficients)
    x = np.array([[1e150, 0, 0], [1e6, -1e6, 1e6], [-1e150, 1e150, 1e150], [0, 0, 0], [1e154, 1e-320, -1e153]])
    for weight in (None, np.array([1.0, 2.0, 0.5, 1.0, 1.0])):
        found = e_step(device, x, weight, table)
        assert np.all(np.isfinite(found))
        np.testing.assert_allclose(found[0, :7].sum(), 5 if weight is None else weight.sum())
        np.testing.assert_allclose(found, multivariate.e_step(x, weight, table), rtol=1e-9)


@pytest.mark.parametrize("shift", [-745.0, -1e4, 1e4])
def test_vanishing_densities(device: EmulatedDevice, shift: float) -> None:
    table = gaussian_table(7, 3)
    moved = GaussianTable(table.centre, table.means, table.precisions, table.coefficients + shift)
    x = gaussian_rows(500, table)
    found, expected = e_step(device, x, None, moved), e_step(device, x, None, table)
    np.testing.assert_allclose(found[:, :-1], expected[:, :-1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found[:, -1], expected[:, -1] + 500 * shift, rtol=1e-12)


@pytest.mark.parametrize("diagonal", [False, True])
def test_rows_without_weight_add_nothing_whatever_they_are(device: EmulatedDevice, diagonal: bool) -> None:
    table = gaussian_table(7, 3, diagonal)
    x, weight = gaussian_rows(1000, table), weights(1000)
    expected = e_step(device, x, weight, table)
    x[weight == 0] = np.array([np.nan, np.inf, -1e300])
    np.testing.assert_array_equal(e_step(device, x, weight, table), expected)


@pytest.mark.parametrize("diagonal", [False, True])
def test_what_is_not_finite_shows_where_the_array_code_shows_it(device: EmulatedDevice, diagonal: bool) -> None:
    table = gaussian_table(7, 4, diagonal)
    for value in (np.nan, np.inf):
        x = gaussian_rows(300, table)
        x[17, 2] = value
        with np.errstate(invalid="ignore"):
            expected = multivariate.e_step(x, None, table)
        found = e_step(device, x, None, table)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    weight = np.ones(300)
    weight[3] = np.nan
    x = gaussian_rows(300, table)
    np.testing.assert_array_equal(
        np.isnan(e_step(device, x, weight, table)), np.isnan(multivariate.e_step(x, weight, table))
    )


def test_rows_with_gaps_between_them(device: EmulatedDevice) -> None:
    table = gaussian_table(7, 3)
    x = np.asfortranarray(np.repeat(gaussian_rows(500, table), 2, axis=1))[::2, ::2]
    weight = np.repeat(weights(len(x)), 2)[::2]
    assert not x.flags.c_contiguous and not weight.flags.c_contiguous
    expected = e_step(device, np.ascontiguousarray(x), np.ascontiguousarray(weight), table)
    np.testing.assert_array_equal(e_step(device, x, weight, table), expected)


def test_the_engine_takes_the_kernel_where_there_is_one(device: EmulatedDevice) -> None:
    engine = CudaEngine(Engine(), device)
    shapes = [(7, 2, True), (7, MOST_FEATURES, True), (3, 17, False), (50, 3, False)]
    of_one = [(1, 1, True), (3, 1, True), (50, 1, True)]
    for components, features, chosen in [*shapes, *of_one]:
        table = gaussian_table(components, features)
        x = gaussian_rows(CHUNK_ROWS + 9, table)
        device.launches.clear()
        for weight in (None, weights(len(x))):  # weights may lie on the host
            partials = engine.e_step_features(resident(x), weight if chosen else resident(weight), table)
            check(total_of(engine, partials), multivariate.e_step(x, weight, table).sum(axis=0, keepdims=True))
        kernel = "gpuvgm_e_step" if features == 1 else "gpuvgm_features"
        assert any(name.startswith(kernel) for name, _ in device.launches) == chosen


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_feature_by_its_own_kernel(device: EmulatedDevice, diagonal: bool, dtype: str) -> None:
    table = gaussian_table(4, 1, diagonal, offset=3.0)
    both = np.repeat(gaussian_rows(9000, table).astype(dtype), 2, axis=1)
    for weight in (None, weights(9000)):
        check(e_step(device, both[:, :1], weight, table), multivariate.e_step(both[:, :1], weight, table))


def test_what_fits_is_what_the_kernel_has_room_for() -> None:
    """Of the mixtures of a shape, the largest one that fits is among those that other tests run."""
    most = {d: max(k for k in range(1, 100) if has_kernel(gaussian_table(k, d))) for d in (3, 16)}
    assert most == {3: 43, 16: 30}
    assert has_kernel(gaussian_table(100, 1)) and not has_kernel(gaussian_table(1, 17))
