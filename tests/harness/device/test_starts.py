"""Where fits of rows on a device start: the sums are those of the host, whatever the parts, and cost few operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuvgm
from gpuvgm import BayesianGaussianMixture
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import get_engine
from gpuvgm.mixture import Rows, accumulate
from gpuvgm.mixture.accumulate import start_statistics
from gpuvgm.mixture.initialization import CentreStart, LabelStart, RandomStart, RowStart, nearest
from gpuvgm.mixture.statistics import Statistics
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.ledger import Entry
from tests.harness.device.module import up

pytestmark = [needs_compiler, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]
COMPONENTS = 4


def start_of(kind: str, rows: int, features: int) -> RowStart:
    centres = np.random.default_rng(1).normal(size=(COMPONENTS, features))
    starts: dict[str, RowStart] = {
        "centres": CentreStart(centres),
        "labels": LabelStart(centres, np.random.default_rng(2).integers(0, COMPONENTS, rows)),
        "random": RandomStart(np.zeros_like(centres), np.random.RandomState(3)),
    }
    return starts[kind]


def sums_of(x: Any, weight: Any, kind: str, form: str) -> Statistics:
    rows, engine = Rows.of(x, weight), get_engine("cuda")
    start = start_of(kind, *x.shape)
    return start_statistics(engine, rows, start, np.full(x.shape[1], 0.25), diagonal=form == "diag")


@pytest.mark.parametrize("kind", ["centres", "labels", "random"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("features", "form"), [(1, "full"), (1, "diag"), (3, "full"), (3, "diag"), (17, "full")])
@pytest.mark.covering(2)
def test_sums_are_those_of_the_host_and_the_same_for_any_parts(
    strict_cupy: Any,
    monkeypatch: pytest.MonkeyPatch,
    random: np.random.Generator,
    kind: str,
    weighted: bool,
    features: int,
    form: str,
) -> None:
    x = random.normal(size=(5 * CHUNK_ROWS + 7, features))
    weight = random.uniform(0, 3, len(x)) if weighted else None
    expected = sums_of(x, weight, kind, form)
    found = []
    for chunks in (2, 16):  # of a part
        for name in ("START_VALUES", "BLOCK_VALUES"):
            monkeypatch.setattr(accumulate, name, chunks * CHUNK_ROWS * features)
        found.append(sums_of(up(x), None if weight is None else up(weight), kind, form))
    for name in ("reference", "counts", "first", "second"):
        one, other = (getattr(sums, name) for sums in found)
        if features < 17:  # the array formulas add longer chunks
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, getattr(expected, name), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2])
def test_rows_between_centres_go_where_those_of_the_host_go(strict_cupy: Any, features: int) -> None:
    """On a lattice many rows are as near to one centre as to another."""
    x = np.random.default_rng(0).integers(0, 9, size=(1000, features)).astype(float)
    centres = np.repeat(np.array([[4.0], [2.0], [6.0], [2.0]]), features, axis=1)
    np.testing.assert_array_equal(nearest(up(x), centres).get(), nearest(x, centres))


def cost_of(ledger: Any, blocks: int, features: int, **given: Any) -> Entry:
    x = up(np.random.default_rng(0).normal(size=(blocks << 18, features)))
    mixture = BayesianGaussianMixture(n_components=3, max_iter=2, algorithm="exact", random_state=0, **given)
    with ledger.stage(f"{blocks}") as entry:
        mixture.fit(x)
    return entry


@pytest.mark.parametrize("features", [1, 2])
def test_more_rows_cost_no_more_operations_and_waits(strict_cupy: Any, features: int) -> None:
    gpuvgm.engines.get_engine("cuda")  # it starts with a row
    centres = np.arange(3.0 * features).reshape(3, features)
    few, many = (cost_of(strict_cupy.hardware.ledger, blocks, features, init_params=centres) for blocks in (1, 4))
    for name in ("kernels", "operations", "synchronisations", "allocations", "names"):
        assert getattr(few, name) == getattr(many, name), name
    assert many.operations < 60 and many.synchronisations < 10


def test_a_sample_of_the_rows_waits_once(strict_cupy: Any) -> None:
    x = np.random.default_rng(0).normal(size=(1 << 19, 2))
    there, here = (Rows.of(rows) for rows in (up(x), x))
    with strict_cupy.hardware.ledger.stage("sample") as entry:
        found = there.sample(1000)
    np.testing.assert_array_equal(found.array, here.sample(1000).array)
    assert entry.synchronisations == 1 and entry.operations == 1
