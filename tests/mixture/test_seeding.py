"""k-means as a start: on one thread, whichever thread it is called from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from gpuvgm import _native
from gpuvgm.mixture import lloyd
from gpuvgm.mixture.initialization import k_means, quiet_k_means


def test_other_threads_run_k_means_on_one_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, fit = [], KMeans.fit

    def counted(self: KMeans, *rows: object, **weights: object) -> KMeans:
        threads.append(_openmp_effective_n_threads())
        return fit(self, *rows, **weights)

    monkeypatch.setattr(KMeans, "fit", counted)
    x = np.random.default_rng(0).normal(size=(1000, 2))

    def seeds(_: object) -> bytes:
        with threadpool_limits(3, user_api="openmp"):  # as where there are more cores
            return k_means(x, 5, np.random.RandomState(0))[0].tobytes()

    with quiet_k_means(), ThreadPoolExecutor(2) as pool:
        found = [seeds(None), *pool.map(seeds, range(3))]
    assert any(library["user_api"] == "openmp" for library in threadpool_info())
    assert threads == [1] * 4 and len(set(found)) == 1


def _columns() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    normal = random.normal(size=5000)
    return {
        "normal": normal,
        "far from zero": normal[:4097] + 1e6,
        "heavy tails": random.standard_cauchy(1000),
        "tiny": normal[:513] * 1e-160,
        "huge": normal[:300] * 1e150,
        "repeated": random.integers(0, 300, 2000) * 0.1,
        "fewer values than centres": random.integers(0, 4, 700).astype(np.float64),
        "few rows": normal[:7],
        "one row": normal[:1],
    }


@pytest.mark.parametrize("components", [1, 2, 7, 10])
@pytest.mark.parametrize("name", _columns())
def test_one_feature_has_the_bits_of_scikit_learn(name: str, components: int) -> None:
    x = _columns()[name].reshape(-1, 1)
    one, other = np.random.RandomState(8), np.random.RandomState(8)
    with quiet_k_means():
        expected = KMeans(min(components, len(x)), n_init=1, random_state=one).fit(x)
        centres, labels = k_means(x, components, other)
    assert np.array_equal(centres, expected.cluster_centers_)
    assert np.array_equal(labels, expected.labels_)
    assert one.uniform() == other.uniform()


def test_a_centre_without_rows_leaves_k_means_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    x = _columns()["normal"].reshape(-1, 1)
    expected = k_means(x, 10, np.random.RandomState(0))
    monkeypatch.setattr(lloyd, "_iterated", lambda *_: None)
    fits, fit = [], KMeans.fit
    monkeypatch.setattr(KMeans, "fit", lambda self, *rows, **weights: fits.append(self) or fit(self, *rows, **weights))
    found = k_means(x, 10, np.random.RandomState(0))
    assert len(fits) == 1 and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("instruction_set", _native.instruction_sets())
def test_every_instruction_set_finds_the_nearest_centres(instruction_set: str) -> None:
    rows, centres = _columns()["normal"], np.array([0.5, -2.0, 0.5, 1.0, -0.25])
    distances = centres * centres + -2.0 * (rows[:, None] * centres)
    nearest = np.argmin(distances, axis=1)
    labels = np.zeros(len(rows), np.int32)
    lloyd_of = _native.Kernels(instruction_set).lloyd
    counts, sums, changed = lloyd_of(rows, centres, labels)
    assert changed and np.array_equal(labels, nearest)
    assert np.array_equal(counts, np.bincount(nearest, minlength=5))
    assert np.array_equal(sums, np.bincount(nearest, rows, minlength=5))
    assert not lloyd_of(rows, centres, labels)[2]
