"""k-means as a start: on one thread, whichever thread it is called from."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
from sklearn.cluster import KMeans
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from gpuvgm import _native
from gpuvgm.mixture import initialization
from gpuvgm.mixture.initialization import k_means, quiet_k_means
from gpuvgm.mixture.rows import Rows, random_places


def test_other_threads_run_k_means_on_one_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, fit = [], KMeans.fit

    def counted(self: KMeans, *rows: object, **weights: object) -> KMeans:
        threads.append(_openmp_effective_n_threads())
        return fit(self, *rows, **weights)

    monkeypatch.setattr(KMeans, "fit", counted)
    x = np.random.default_rng(0).normal(size=(1000, initialization.MOST_FEATURES + 1))

    def seeds(_: object) -> bytes:
        with threadpool_limits(3, user_api="openmp"):  # as where there are more cores
            return k_means(x, 5, np.random.RandomState(0))[0].tobytes()

    with quiet_k_means(), ThreadPoolExecutor(2) as pool:
        found = [seeds(None), *pool.map(seeds, range(3))]
    assert any(library["user_api"] == "openmp" for library in threadpool_info())
    assert threads == [1] * 4 and len(set(found)) == 1


def _rows(features: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    normal = random.normal(size=(5000, features))
    return {
        "normal": normal,
        "far from zero": normal[:4097] + 1e6,
        "heavy tails": random.standard_cauchy((1000, features)),
        "tiny": normal[:513] * 1e-160,
        "huge": normal[:300] * 1e150,
        "by columns": np.asfortranarray(normal + 0.1),
        "few rows": normal[:7],
        "one row": normal[:1],
    }


def _rounded() -> dict[str, np.ndarray]:
    """One feature, of which rows lie just between two centres."""
    random = np.random.default_rng(4)
    return {
        "repeated": random.integers(0, 300, (2000, 1)) * 0.1,
        "fewer values than centres": random.integers(0, 4, (700, 1)).astype(np.float64),
    }


CASES = [(name, features) for name in _rows() for features in (1, 2, 5, 8, initialization.MOST_FEATURES)]


@pytest.mark.parametrize("components", [1, 2, 7, 10])
@pytest.mark.parametrize(("name", "features"), [*CASES, *((name, 1) for name in _rounded())])
def test_k_means_has_the_bits_of_scikit_learn(name: str, features: int, components: int) -> None:
    x = (_rows(features) | _rounded())[name]
    one, other = np.random.RandomState(8), np.random.RandomState(8)
    with quiet_k_means():
        expected = KMeans(min(components, len(x)), n_init=1, random_state=one).fit(x)
        centres, labels = k_means(x, components, other)
    assert np.array_equal(centres, expected.cluster_centers_)
    assert np.array_equal(labels, expected.labels_)
    assert one.uniform() == other.uniform()


def test_threads_share_the_rows_and_the_bits_stay() -> None:
    x = np.random.default_rng(0).normal(size=(70_001, 3))
    alone = k_means(x, 9, np.random.RandomState(1))
    with ThreadPoolExecutor(3) as pool:
        assert all(map(np.array_equal, k_means(x, 9, np.random.RandomState(1), pool=pool), alone))


def test_what_the_loops_cannot_do_is_left_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A centre that loses its rows, more features than BLAS sums in one chain, weights, and float32."""
    x = _rows()["normal"]
    expected = k_means(x, 10, np.random.RandomState(0))
    monkeypatch.setattr(initialization, "_iterate", lambda *_: None)
    fits, fit = [], KMeans.fit
    monkeypatch.setattr(KMeans, "fit", lambda self, *rows, **weights: fits.append(self) or fit(self, *rows, **weights))
    found = k_means(x, 10, np.random.RandomState(0))
    assert len(fits) == 1 and all(map(np.array_equal, found, expected))
    monkeypatch.setattr(initialization, "lloyd_k_means", lambda *_: pytest.fail("these are not for the loops"))
    k_means(np.tile(x[:100], initialization.MOST_FEATURES + 1), 2, np.random.RandomState(0))
    k_means(x[:100], 2, np.random.RandomState(0), np.ones(100))
    k_means(x[:100].astype(np.float32), 2, np.random.RandomState(0))
    assert len(fits) == 4


@pytest.mark.parametrize("features", [1, 3, 9])
@pytest.mark.parametrize("components", [1, 3, 4, 6])
@pytest.mark.parametrize("instruction_set", _native.instruction_sets())
def test_every_instruction_set_finds_the_nearest_centres(instruction_set: str, components: int, features: int) -> None:
    """Whole numbers, whose products are exact: of equal distances the first counts."""
    random = np.random.default_rng(5)
    x = random.integers(-9, 9, (1003, features)).astype(np.float64)
    centres = random.integers(-9, 9, (components, features)).astype(np.float64)
    distances = ((x[:, None] - centres) ** 2).sum(axis=2)
    nearest = np.argmin(distances, axis=1)
    kernels, labels = _native.Kernels(instruction_set), np.full(len(x), -1, np.int32)
    squares = (centres**2).sum(axis=1)
    assert kernels.nearest_centres(x, centres, squares, labels) and np.array_equal(labels, nearest)
    assert not kernels.nearest_centres(x, centres, squares, labels)
    counts, sums = kernels.sums_by_centre(x, labels, components)
    assert np.array_equal(counts, np.bincount(nearest, minlength=components))
    assert np.array_equal(sums, [x[nearest == k].sum(axis=0) for k in range(components)])
    least, out = np.full(len(x), 50.0), np.empty((components, len(x) + 2))
    kernels.closer(x, (x**2).sum(axis=1), least, centres, squares, out[:, 1:-1])
    assert np.array_equal(out[:, 1:-1], np.minimum(distances.T, 50.0))


def near_midpoints(centres: np.ndarray) -> np.ndarray:
    """Numbers about the midpoints of all centres, a few roundings away."""
    middles = ((centres[:, None] + centres) / 2).ravel()
    steps = np.spacing(np.maximum(np.abs(middles), np.max(np.abs(centres)))) * np.arange(-9, 10)[:, None] / 2
    return np.concatenate([(middles + steps).ravel(), centres])


@pytest.mark.parametrize("components", [1, 2, 7, 20])
@pytest.mark.parametrize("scale", [1.0, 1e-160, 1e150, 1e-9])
@pytest.mark.parametrize("instruction_set", _native.instruction_sets())
def test_rows_of_one_feature_are_labelled_and_summed_in_one_pass(
    instruction_set: str, scale: float, components: int
) -> None:
    """With the labels that all centres give, where the roundings of the distances decide too, and sums in row order."""
    random, kernels = np.random.default_rng(6), _native.Kernels(instruction_set)
    first = random.normal(size=components) * scale
    shifted = first + random.normal(size=components) * scale * 0.01
    stages = [
        first,
        np.nextafter(first, np.inf),
        shifted,
        shifted,
        np.where(np.arange(components) % 3, shifted, first[0]),
    ]
    rows = np.concatenate([random.normal(size=2000) * scale, *map(near_midpoints, stages), random.normal(size=7) * 1e6])
    x, largest = random.permutation(rows)[:, None], float(np.max(np.abs(rows)))
    labels, counts, expected = (
        np.full(len(x), -1, np.int32),
        np.zeros(components, np.int64),
        np.full(len(x), -1, np.int32),
    )
    with np.errstate(over="ignore", under="ignore"):
        for centres in stages:
            squares = centres**2
            changes = kernels.nearest_centres(x, centres[:, None], squares, expected)
            changed, sums = kernels.label_and_sum(x, centres[:, None], squares, largest, labels, counts)
            assert changed == changes and np.array_equal(labels, expected)
            assert np.array_equal(counts, np.bincount(expected, minlength=components))
            assert np.array_equal(sums, kernels.sums_by_centre(x, expected, components)[1])


def test_all_places_of_a_sample_that_is_no_smaller_are_the_rows() -> None:
    """Numbers of the same stream for fewer rows; so such a sample need not be drawn."""
    places = random_places(Rows.SEED_ROWS, Rows.SEED_ROWS).astype(np.int64)
    assert np.array_equal(places, np.arange(Rows.SEED_ROWS))
    assert np.array_equal(random_places(1000, Rows.SEED_ROWS), random_places(Rows.SEED_ROWS, Rows.SEED_ROWS)[:1000])


@pytest.mark.parametrize("rows", [1, 2, 3000])
def test_rows_that_a_sum_reaches_are_those_of_its_running_sums(rows: int) -> None:
    random = np.random.default_rng(7)
    x = random.random(rows) * (random.random(rows) < 0.3)
    ends = np.cumsum(x)
    parts = np.sort(np.concatenate([[0.0], ends[:: max(rows // 50, 1)], random.uniform(0, 1.1 * ends[-1] + 0.1, 40)]))
    expected = np.minimum(np.searchsorted(ends, parts), rows - 1)
    assert _native.Kernels("baseline").first_reaching(x, parts) == expected.tolist()


def test_loops_refuse_what_does_not_fit() -> None:
    kernels = _native.Kernels("baseline")
    x, labels = np.zeros((4, 2)), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match="as many features as the rows"):
        kernels.nearest_centres(x, np.zeros((3, 1)), np.zeros(3), labels)
    with pytest.raises(ValueError, match="one label a row"):
        kernels.nearest_centres(x, np.zeros((3, 2)), np.zeros(3), labels[:3])
    with pytest.raises(ValueError, match="the label of a centre"):
        kernels.sums_by_centre(x, labels + 3, 3)
    line, counts = x[:, :1].copy(), np.zeros(3, np.int64)
    for rows, their_labels, their_counts in (
        (x, labels, counts),
        (line, labels + 3, counts),
        (line, labels, counts[:2]),
    ):
        with pytest.raises(ValueError, match="one label a row"):
            kernels.label_and_sum(rows, rows[:3], np.zeros(3), 1.0, their_labels, their_counts)
    for parts in (np.array([2.0, 1.0]), None):
        with pytest.raises(ValueError, match="ascending parts"):
            kernels.first_reaching(np.empty(0) if parts is None else np.ones(3), np.ones(1) if parts is None else parts)
    with pytest.raises(ValueError, match="one result a row"):
        kernels.closer(x, np.zeros(4), np.zeros(4), x[:1], np.zeros(1), np.empty((1, 3)))


def test_thread_pools_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for them takes as long as k-means on some ten thousand rows."""
    monkeypatch.delitem(sys.modules, "sklearn.cluster")  # which a fit does not load
    looks: list[None] = []
    begin = threadpoolctl.ThreadpoolController.__init__
    monkeypatch.setattr(
        threadpoolctl.ThreadpoolController, "__init__", lambda pools: looks.append(None) or begin(pools)
    )
    initialization._thread_pools.cache_clear()
    rows = np.random.default_rng(0).normal(size=(100, 1))
    for _ in range(3):
        k_means(rows, 3, np.random.RandomState(0))
    assert len(looks) == 1
