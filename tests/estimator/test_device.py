"""The estimator with engine="cuda", on a device that is emulated and on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm import BayesianGaussianMixture
from tests.conftest import needs_gpu
from tests.estimator.cases import blobs
from tests.estimator.closeness import assert_same_parameters
from tests.frames.device_arrays import up
from tests.kernels.building import needs_compiler
from tests.kernels.emulated import EmulatedDevice


def column(rows: int = 20_000) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.concatenate((random.normal(0, 1, rows // 2), random.normal(8, 0.5, rows - rows // 2)))[:, None]


def mixture(engine: str, **settings: object) -> BayesianGaussianMixture:
    given = {"n_components": 3, "random_state": 0, "max_iter": 20, "tol": 1e-12, "algorithm": "exact", **settings}
    return BayesianGaussianMixture(engine=engine, **given)


def assert_same(one: BayesianGaussianMixture, other: BayesianGaussianMixture) -> None:
    for name in ("means_", "covariances_", "weights_"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)


@pytest.fixture
def device(emulated_device: EmulatedDevice) -> EmulatedDevice:
    return emulated_device


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
def test_e_steps_over_rows_of_the_host_run_on_the_device(device: EmulatedDevice, weighted: bool) -> None:
    x = column()
    weight = np.random.default_rng(1).integers(0, 3, len(x)) if weighted else None
    ours, theirs = (mixture(engine).fit(x, sample_weight=weight) for engine in ("cuda", "native"))
    assert_same(ours, theirs)
    steps = [name for name, _ in device.launches if name.startswith("gpuvgm_e_step_3")]
    assert len(steps) == ours.n_iter_
    assert sum(name == "gpuvgm_chunk_totals" for name, _ in device.launches) == ours.n_iter_


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_of_the_device_stay_there(device: EmulatedDevice) -> None:
    x = column()
    centres = np.array([[-1.0], [0.5], [8.0]])
    ours = mixture("cuda", init_params=centres).fit(up(x))
    assert_same(ours, mixture("native", init_params=centres).fit(x))


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_summaries_are_the_same_to_the_bit(device: EmulatedDevice) -> None:
    x = column()
    ours, theirs = (mixture(engine, algorithm="summary").fit(x) for engine in ("cuda", "native"))
    for name in ("means_", "covariances_", "weights_"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert any(name.startswith("gpuvgm_summarise") for name, _ in device.launches)
    assert not any(name.startswith("gpuvgm_e_step") for name, _ in device.launches)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ["exact", "summary"])
def test_a_gpu_fits_what_the_host_fits(algorithm: str) -> None:
    x = column(300_000)
    assert_same(*(mixture(engine, algorithm=algorithm).fit(x) for engine in ("cuda", "auto")))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("features", [1, 3])
def test_arrays_of_cupy(features: int, covariance_type: str) -> None:
    import cupy

    x = blobs(np.random.default_rng(3), 200_000, features)
    for init in ("kmeans", "k-means++", "random", "random_from_data", x[:3]):
        given = {"n_components": 3, "max_iter": 15, "random_state": 0, "algorithm": "exact"}
        given |= {"covariance_type": covariance_type, "init_params": init}
        ours = BayesianGaussianMixture(**given).fit(cupy.asarray(x))
        if not isinstance(init, str):
            assert_same_parameters(ours, BayesianGaussianMixture(**given).fit(x), 1e-9)
        for method in ("predict", "predict_proba", "score_samples"):
            assert isinstance(getattr(ours, method)(cupy.asarray(x)), cupy.ndarray)
    weight = cupy.asarray(np.random.default_rng(4).integers(0, 3, len(x)))
    ours = BayesianGaussianMixture(**given).fit(cupy.asarray(x), sample_weight=weight.get())
    theirs = BayesianGaussianMixture(**given).fit(x, sample_weight=weight.get())
    assert_same_parameters(ours, theirs, 1e-9)
