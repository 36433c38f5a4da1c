"""Which client works: the one that was given, whatever other client is current, or none."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import gpuvgm

X = {"x": np.random.default_rng(0).normal(size=2000)}


@pytest.fixture(scope="module")
def unnamed():
    """A client in this process that is not the current one."""
    from distributed import Client, LocalCluster

    settings = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
def test_a_client_that_is_given_need_not_be_current(unnamed, monkeypatch, algorithm):
    settings = {"effort": "research", "max_iter": 5, "algorithm": algorithm}
    monkeypatch.setattr("distributed.client._global_clients", weakref.WeakValueDictionary())
    fitted = gpuvgm.TableTransformer(**settings, executor=unnamed).fit(X)
    alone = gpuvgm.TableTransformer(**settings).fit(X)
    if algorithm == "summary":
        assert fitted.model_.digest() == alone.model_.digest()
    np.testing.assert_allclose(fitted.columns_["x"].means, alone.columns_["x"].means, rtol=1e-9)
