"""Mixtures over several features: every engine, and every instruction set, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.engines import native_is_built
from gpuvgm.engines.base import Engine
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import KernelTable
from gpuvgm.summary import Frame
from tests.conftest import make_engine, native_names
from tests.mixture.test_multivariate import gaussian_rows, gaussian_table


@pytest.fixture(params=["reference", *native_names()])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Engines of the host; on devices the reference's own functions run over arrays of the device's namespace."""
    return make_engine(request.param)


REFERENCE = Engine()
SIZES = [0, 1, 7, 8, 9, 63, 64, 255, 256, 257, 4095, 4096, 4097, 9000]
SHAPES = [(1, 1), (2, 1), (5, 2), (10, 3), (3, 4), (7, 5), (4, 7), (10, 8), (9, 9), (3, 17), (33, 6)]


def assert_sums_agree(found: np.ndarray, expected: np.ndarray, rows: int) -> None:
    """Equal to 1e-12 of themselves, or of a count of all rows."""
    assert found.shape == expected.shape
    scale = np.maximum(np.abs(expected), max(1, min(rows, 4096)))
    np.testing.assert_array_less(np.abs(found - expected), 1e-12 * scale)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("components", "features"), SHAPES)
def test_e_step_of_every_shape(native: Engine, components: int, features: int, diagonal: bool) -> None:
    table = gaussian_table(components, features, diagonal, spread=1.5)
    x = gaussian_rows(5000, table)
    for weight in (None, np.random.default_rng(1).uniform(0, 3, len(x))):
        for rows in (x, x.astype(np.float32)):
            found, expected = (e.e_step_features(rows, weight, table) for e in (native, REFERENCE))
            assert_sums_agree(found, expected, len(x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("diagonal", [False, True])
def test_e_step_of_every_size(native: Engine, size: int, diagonal: bool) -> None:
    table = gaussian_table(4, 3, diagonal)
    x = gaussian_rows(size, table)
    found = native.e_step_features(x, None, table)
    assert found.shape == (-(-size // 4096), table.width)
    assert_sums_agree(found, REFERENCE.e_step_features(x, None, table), size)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("components", "features"), SHAPES)
def test_log_prob(native: Engine, components: int, features: int, diagonal: bool) -> None:
    table = gaussian_table(components, features, diagonal)
    for size in (0, 1, 9, 257, 300):
        x = gaussian_rows(size, table)
        for rows in (x, x.astype(np.float32)):
            found = native.log_prob(rows, table)
            assert found.shape == (size, components)
            np.testing.assert_allclose(found, REFERENCE.log_prob(rows, table), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("components", "features"), [(3, 130), (1500, 3)])
@pytest.mark.parametrize("diagonal", [False, True])
def test_many_features_and_components(native: Engine, components: int, features: int, diagonal: bool) -> None:
    table = gaussian_table(components, features, diagonal)
    x = gaussian_rows(300, table)
    found, expected = (e.e_step_features(x, None, table) for e in (native, REFERENCE))
    assert_sums_agree(found, expected, len(x))
    np.testing.assert_allclose(native.log_prob(x, table), REFERENCE.log_prob(x, table), rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("components", "features"), SHAPES)
def test_instruction_sets_agree_to_the_bit(components: int, features: int, diagonal: bool) -> None:
    first, *others = [make_engine(name) for name in native_names()]
    table = gaussian_table(components, features, diagonal)
    x = gaussian_rows(4500, table)
    x[17] = 1e150
    x[18:20] = 3e7
    table.coefficients[1::3] -= 700 + 10 * np.arange(len(table.coefficients[1::3]))  # on either side of 2^-1020
    weight = np.random.default_rng(2).integers(0, 4, len(x)).astype(float)
    for engine in others:
        for rows in (x, np.minimum(x, 1e30).astype(np.float32)):
            np.testing.assert_array_equal(engine.log_prob(rows, table), first.log_prob(rows, table))
            for given in (None, weight):
                np.testing.assert_array_equal(
                    engine.e_step_features(rows, given, table), first.e_step_features(rows, given, table)
                )


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_chunks_do_not_depend_on_their_block(engine: Engine, cut: int, diagonal: bool) -> None:
    table = gaussian_table(5, 6, diagonal)
    x = gaussian_rows(4 * 4096 + 100, table)
    weight = np.random.default_rng(3).uniform(0, 2, len(x))
    for w in (None, weight):
        parts = [slice(0, cut * 4096), slice(cut * 4096, None)]
        found = [engine.e_step_features(x[p], None if w is None else w[p], table) for p in parts]
        np.testing.assert_array_equal(np.concatenate(found), engine.e_step_features(x, w, table))
    found = [engine.log_prob(x[:cut], table), engine.log_prob(x[cut:], table)]
    np.testing.assert_allclose(np.concatenate(found), engine.log_prob(x, table), rtol=1e-14)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("components", [1, 4, 10])
def test_one_feature_is_the_e_step_of_one_column(engine: Engine, components: int, diagonal: bool) -> None:
    table = gaussian_table(components, 1, diagonal)
    half = table.precisions.ravel() ** 2 / (2 * np.log(2))
    column = KernelTable(Frame(1.0, table.centre[0]), table.means[:, 0].copy(), half, table.coefficients / np.log(2))
    x = gaussian_rows(9000, table)
    for weight in (None, np.random.default_rng(1).uniform(0, 3, len(x))):
        expected = engine.e_step(x[:, 0].copy(), weight, None, column)
        expected[:, -1] *= np.log(2)
        assert_sums_agree(engine.e_step_features(x, weight, table), expected, len(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_large_offset_loses_nothing(engine: Engine, dtype: str, diagonal: bool) -> None:
    near = gaussian_table(4, 3, diagonal)
    near = GaussianTable(np.zeros(3), near.means, near.precisions, near.coefficients)
    far = GaussianTable(np.full(3, 2.0**20), near.means, near.precisions, near.coefficients)
    x = np.round(gaussian_rows(5000, near) * 8) / 8  # both the rows and their shifted copies fit float32
    found = engine.e_step_features((x + 2.0**20).astype(dtype), None, far)
    np.testing.assert_array_equal(found, engine.e_step_features(x.astype(dtype), None, near))


@pytest.mark.parametrize("diagonal", [False, True])
def test_rows_without_weight_add_nothing(engine: Engine, diagonal: bool) -> None:
    table = gaussian_table(4, 3, diagonal)
    x = gaussian_rows(1000, table)
    weight = np.random.default_rng(5).integers(0, 2, len(x)).astype(float)
    expected = engine.e_step_features(x, weight, table)
    assert_sums_agree(engine.e_step_features(x[weight > 0], None, table), expected, len(x))
    x[weight == 0] = np.array([np.nan, np.inf, -1e300])
    np.testing.assert_array_equal(engine.e_step_features(x, weight, table), expected)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("precision", [1.0, 1e5])
def test_far_rows_give_no_nan(engine: Engine, precision: float, diagonal: bool) -> None:
    table = gaussian_table(4, 3, diagonal)
    table = GaussianTable(table.centre, table.means, precision * table.precisions, table.coefficients)
    x = np.array([[1e150, 0, 0], [1e6, -1e6, 1e6], [-1e150, 1e150, 1e150], [0, 0, 0], [1e154, 1e-320, -1e153]])
    for weight in (None, np.ones(len(x))):
        found = engine.e_step_features(x, weight, table)
        assert np.all(np.isfinite(found))
        assert found[0, :4].sum() == pytest.approx(len(x))


def test_vanishing_densities_give_no_nan(engine: Engine) -> None:
    table = gaussian_table(4, 3)
    for shift in (-700.0, -745.0, -1e4, 1e4):
        moved = GaussianTable(table.centre, table.means, table.precisions, table.coefficients + shift)
        x = gaussian_rows(500, table)
        found, expected = engine.e_step_features(x, None, moved), engine.e_step_features(x, None, table)
        np.testing.assert_allclose(found[:, :-1], expected[:, :-1], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found[:, -1], expected[:, -1] + 500 * shift, rtol=1e-12)


@pytest.mark.parametrize("diagonal", [False, True])
def test_components_without_a_share(engine: Engine, diagonal: bool) -> None:
    """Surplus components of a fit: their shares are nothing, whether they come before or after the others."""
    table = gaussian_table(8, 3, diagonal)
    live = np.array([1, 2, 5])
    coefficients = np.where(np.isin(np.arange(8), live), table.coefficients, -np.linspace(600, 1e5, 8))
    x = table.centre + table.means[live][np.arange(5000) % 3] + np.random.default_rng(1).normal(size=(5000, 3))
    few = GaussianTable(table.centre, table.means[live], table.precisions[live], table.coefficients[live])
    found = engine.e_step_features(x, None, GaussianTable(table.centre, table.means, table.precisions, coefficients))
    expected = engine.e_step_features(x, None, few)
    np.testing.assert_allclose(found[:, live], expected[:, :3], rtol=1e-13)
    np.testing.assert_allclose(found[:, 8:32].reshape(-1, 8, 3)[:, live].reshape(-1, 9), expected[:, 3:12], atol=1e-9)
    np.testing.assert_allclose(found[:, -1], expected[:, -1], rtol=1e-13)
    np.testing.assert_array_less(found[:, np.setdiff1d(np.arange(8), live)], 1e-200)


def test_rows_need_not_be_contiguous(engine: Engine) -> None:
    table = gaussian_table(4, 3)
    wide = np.asfortranarray(np.repeat(gaussian_rows(500, table), 2, axis=1))
    x = wide[::2, ::2]
    x.flags.writeable = False
    assert_sums_agree(engine.e_step_features(x, None, table), engine.e_step_features(x.copy("C"), None, table), len(x))
    np.testing.assert_allclose(engine.log_prob(x, table), engine.log_prob(x.copy("C"), table), rtol=1e-14)


def test_wrong_shapes_are_refused(native: Engine) -> None:
    table = gaussian_table(4, 3)
    x = gaussian_rows(10, table)
    centre, means, precisions, coefficients = table.centre, table.means, table.precisions, table.coefficients
    wrong = [
        GaussianTable(centre[:2], means, precisions, coefficients),
        GaussianTable(centre, means[:3], precisions, coefficients),
        GaussianTable(centre, means, precisions[:, :2], coefficients),
        GaussianTable(centre, means, precisions[None], coefficients),
        GaussianTable(centre, means, precisions, coefficients[:1]),
        GaussianTable(centre, means[:0], precisions[:0], coefficients[:0]),
    ]
    for bad in wrong:
        with pytest.raises(ValueError, match="need"):
            native.e_step_features(x, None, bad)
    with pytest.raises(ValueError, match="feature"):
        native.log_prob(x[:, :2].copy(), table)
    with pytest.raises(ValueError, match="float32 or float64"):
        native.log_prob(np.zeros((4, 3), np.int64), table)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one value a row"):
        native.e_step_features(x, np.ones(9), table)
