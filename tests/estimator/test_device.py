"""The estimator with engine="cuda", on a device that is emulated and on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm import BayesianGaussianMixture
from tests.conftest import needs_gpu
from tests.frames.device_arrays import up, use_emulated_device
from tests.kernels.emulated import EmulatedDevice, needs_compiler


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
def device(monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    return use_emulated_device(monkeypatch)


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
