"""Rows that are not plain arrays: memory maps, arrays on disk that only give slices, arrays of another namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import array_api_strict as strict
import numpy as np
import pytest

from gpuvgm import BayesianGaussianMixture
from gpuvgm.errors import InputError
from gpuvgm.estimator import reading
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_identical, assert_same_parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class OnDisk:
    """What h5py, zarr and dask give: a shape, a dtype, and slices."""

    def __init__(self, array: np.ndarray, largest: int = 1 << 62) -> None:
        self.array, self.shape, self.dtype, self.largest = array, array.shape, array.dtype, largest

    def __getitem__(self, part: object) -> np.ndarray:
        rows = self.array[part]
        assert rows.nbytes <= self.largest, "only blocks may be read"
        return rows


def settings(x: np.ndarray, **others: object) -> dict[str, object]:
    return {"n_components": 3, "init_params": x[:3].astype(float), "max_iter": 15, "random_state": 0, **others}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize("features", [1, 3])
def test_slices_give_the_same_fit_as_the_array(features: int, dtype: type) -> None:
    x = (blobs(np.random.default_rng(0), 60_000, features) * 50).astype(dtype)
    whole = BayesianGaussianMixture(**settings(x)).fit(x)
    disk = OnDisk(x, largest=1 << 23)
    parts = BayesianGaussianMixture(**settings(x)).fit(disk)
    assert_identical(parts, whole)
    np.testing.assert_array_equal(parts.predict(disk), whole.predict(x))
    np.testing.assert_array_equal(parts.score_samples(disk), whole.score_samples(x))


def test_what_is_not_finite_on_disk_is_named() -> None:
    x = blobs(np.random.default_rng(1), 50_000, 2)
    x[40_123, 1] = np.nan
    with pytest.raises(InputError, match="nan at row 40123, feature 1"):
        BayesianGaussianMixture(**settings(x)).fit(OnDisk(x))


def test_features_on_disk_are_counted() -> None:
    x = blobs(np.random.default_rng(1), 500, 2)
    model = BayesianGaussianMixture(**settings(x)).fit(OnDisk(x))
    with pytest.raises(ValueError, match="1 features, but BayesianGaussianMixture is expecting 2"):
        model.predict(OnDisk(x[:, :1]))
    with pytest.raises(ValueError, match="minimum of 2 rows"):
        model.fit(OnDisk(x[:1]))


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_a_start_from_a_sample_of_a_large_memory_map(
    init: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = blobs(np.random.default_rng(2), 40_000, 2)
    mapped = np.memmap(tmp_path / "x", mode="w+", dtype=x.dtype, shape=x.shape)
    mapped[:] = x
    monkeypatch.setattr(reading, "MAPPED_VALUES", 1000)
    given = settings(x, init_params=init, max_iter=200, tol=1e-6, n_init=3)
    model = BayesianGaussianMixture(**given).fit(mapped)
    assert model.lower_bound_ >= BayesianGaussianMixture(**given).fit(x).lower_bound_ - 0.02 * len(x)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("features", [1, 3])
def test_arrays_of_another_namespace(features: int, covariance_type: str, weighted: bool) -> None:
    x = blobs(np.random.default_rng(3), 900, features)
    weight = np.random.default_rng(4).integers(1, 4, len(x)).astype(float) if weighted else None
    given = settings(x, covariance_type=covariance_type)
    ours = BayesianGaussianMixture(**given).fit(strict.asarray(x), sample_weight=weight)
    theirs = BayesianGaussianMixture(**given).fit(x, sample_weight=weight)
    assert_same_parameters(ours, theirs, 1e-9)
    for method in ("predict", "predict_proba", "score_samples"):
        found = getattr(ours, method)(strict.asarray(x))
        assert found.__array_namespace__() is strict.asarray(x).__array_namespace__()
        np.testing.assert_allclose(np.from_dlpack(found), getattr(theirs, method)(x), atol=1e-9)
    assert ours.score(strict.asarray(x)) == pytest.approx(theirs.score(x))


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_of_another_namespace(init: str) -> None:
    x = blobs(np.random.default_rng(3), 900, 2)
    given = settings(x, init_params=init)
    ours = BayesianGaussianMixture(**given).fit(strict.asarray(x))
    assert_same_parameters(ours, BayesianGaussianMixture(**given).fit(x), 1e-6)


@pytest.mark.parametrize(
    ("engine", "place", "factor", "message"),
    [
        ("native", np.s_[:], 1.0, "main memory"),
        ("auto", np.s_[:, 0], 1.0, "2D array"),
        ("auto", np.s_[:], np.inf, "NaN or infinity"),
    ],
)
def test_what_another_namespace_cannot_do(engine: str, place: object, factor: float, message: str) -> None:
    x = strict.asarray((blobs(np.random.default_rng(3), 90, 2) * factor)[place])
    with pytest.raises(InputError, match=message):
        BayesianGaussianMixture(engine=engine).fit(x)


MEMORY = """
import sys, warnings
import numpy as np
from gpuvgm import BayesianGaussianMixture
warnings.simplefilter("ignore")
class Rows:
    def __init__(self, rows): self.shape, self.dtype = (rows, 8), np.dtype(np.float32)
    def __getitem__(self, part):
        start, stop, _ = part.indices(self.shape[0])
        return np.random.default_rng(start).normal(size=(stop - start, 8)).astype(np.float32)
model = BayesianGaussianMixture(n_components=5, max_iter=2, init_params=np.random.default_rng(0).normal(size=(5, 8)))
model.fit(Rows(100_000)).predict(Rows(100_000))
def peak():  # not ru_maxrss, which starts at what the parent process held
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
model.fit(Rows(int(sys.argv[1])))
print((peak() - before) // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows() -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY, "4000000"], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 32, "MiB; the rows would take 122"
