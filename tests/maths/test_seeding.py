"""k-means as a start: on one thread, whichever thread it is called from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from gpuvgm.mixture.initialization import k_means_seeds, quiet_k_means


def test_other_threads_run_k_means_on_one_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, fit = [], KMeans.fit

    def counted(self: KMeans, *rows: object, **weights: object) -> KMeans:
        threads.append(_openmp_effective_n_threads())
        return fit(self, *rows, **weights)

    monkeypatch.setattr(KMeans, "fit", counted)
    x = np.random.default_rng(0).normal(size=1000)

    def seeds(_: object) -> bytes:
        with threadpool_limits(3, user_api="openmp"):  # as where there are more cores
            return k_means_seeds(x, 5, 0).centres.tobytes()

    with quiet_k_means(), ThreadPoolExecutor(2) as pool:
        found = [seeds(None), *pool.map(seeds, range(3))]
    assert any(library["user_api"] == "openmp" for library in threadpool_info())
    assert threads == [1] * 4 and len(set(found)) == 1
