"""The estimator with engine="cuda", on the strict device and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuvgm import BayesianGaussianMixture, TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.mixture.rows import Rows
from tests.conftest import needs_gpu
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.hardware import Hardware
from tests.harness.device.module import up
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_same_parameters


def column(rows: int = 20_000) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.concatenate((random.normal(0, 1, rows // 2), random.normal(8, 0.5, rows - rows // 2)))[:, None]


def mixture(engine: str, **settings: object) -> BayesianGaussianMixture:
    given = {"n_components": 3, "random_state": 0, "max_iter": 20, "tol": 1e-12, "algorithm": "exact", **settings}
    return BayesianGaussianMixture(engine=engine, **given)


@pytest.fixture
def device(strict_cupy: Any) -> Hardware:
    return strict_cupy.hardware


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
def test_e_steps_over_rows_of_the_host_run_on_the_device(device: Hardware, weighted: bool) -> None:
    x = column()
    weight = np.random.default_rng(1).integers(0, 3, len(x)) if weighted else None
    ours, theirs = (mixture(engine).fit(x, sample_weight=weight) for engine in ("cuda", "native"))
    assert_same_parameters(ours, theirs, 1e-9)
    steps = [name for name, _ in device.launches if name.startswith("gpuvgm_e_step_3")]
    assert len(steps) == ours.n_iter_
    assert sum(name == "gpuvgm_chunk_totals" for name, _ in device.launches) == ours.n_iter_


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_of_the_device_stay_there(device: Hardware) -> None:
    x = column()
    centres = np.array([[-1.0], [0.5], [8.0]])
    ours = mixture("cuda", init_params=centres).fit(up(x))
    assert_same_parameters(ours, mixture("native", init_params=centres).fit(x), 1e-9)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_summaries_are_the_same_to_the_bit(device: Hardware) -> None:
    x = column()
    ours, theirs = (mixture(engine, algorithm="summary").fit(x) for engine in ("cuda", "native"))
    for name in ("means_", "covariances_", "weights_"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert any(name.startswith("gpuvgm_summarise") for name, _ in device.launches)
    assert not any(name.startswith("gpuvgm_e_step") for name, _ in device.launches)


@pytest.fixture(params=["strict", pytest.param("gpu", marks=[pytest.mark.gpu, needs_gpu])])
def cupy(request: pytest.FixtureRequest) -> Any:
    """CuPy on a GPU, and what stands for it."""
    if request.param == "gpu":
        import cupy

        return cupy
    return request.getfixturevalue("strict_cupy")


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data", "centres"])
@pytest.mark.covering(2)
def test_arrays_of_cupy(cupy: Any, features: int, covariance_type: str, init: str) -> None:
    x = blobs(np.random.default_rng(3), 20_000, features)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "algorithm": "exact"}
    given |= {"covariance_type": covariance_type, "init_params": x[:3] if init == "centres" else init}
    ours = BayesianGaussianMixture(**given).fit(cupy.asarray(x))
    theirs = BayesianGaussianMixture(**given).fit(x)
    if init == "centres":
        assert_same_parameters(ours, theirs, 1e-9)
    for method in ("predict", "predict_proba", "score_samples"):
        found = getattr(ours, method)(cupy.asarray(x))
        assert isinstance(found, cupy.ndarray)
        np.testing.assert_allclose(found.get(), getattr(ours, method)(x), rtol=1e-9, atol=1e-12)
    assert ours.score(cupy.asarray(x)) == pytest.approx(ours.score(x))
    assert isinstance(ours.fit_predict(cupy.asarray(x)), cupy.ndarray)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("algorithm", ["exact", "summary", "auto"])
@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_cupy(cupy: Any, features: int, algorithm: str, whole: bool) -> None:
    if features > 1 and algorithm == "summary":
        pytest.skip("summaries have one feature")
    x, random = blobs(np.random.default_rng(3), 9000, features), np.random.default_rng(4)
    weight = random.integers(0, 3, len(x)) if whole else random.uniform(0, 2, len(x))
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "algorithm": algorithm, "init_params": x[:3]}
    theirs = BayesianGaussianMixture(**given).fit(x, sample_weight=weight)
    for rows, weights in (
        (cupy.asarray(x), cupy.asarray(weight)),
        (cupy.asarray(x), weight),
        (x, cupy.asarray(weight)),
    ):
        ours = BayesianGaussianMixture(**given).fit(rows, sample_weight=weights)
        assert_same_parameters(ours, theirs, 1e-9)
        again = BayesianGaussianMixture(**given).partial_fit(rows, sample_weight=weights)
        assert_same_parameters(again.partial_fit(rows, sample_weight=0 * weights), again, 0)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ["exact", "auto"])
def test_weights_of_cupy_stay_on_the_device(strict_cupy: Any, algorithm: str) -> None:
    """As many rows again, with their weights, bring none of them: of rows a sample is taken, of weights nothing."""
    x = blobs(np.random.default_rng(3), 4 * Rows.SEED_ROWS, 1)
    weight = np.tile([0.0, 1.0, 2.0, 1.0], Rows.SEED_ROWS)
    given = {"n_components": 3, "max_iter": 5, "random_state": 0, "algorithm": algorithm}
    down = []
    for count in (2 * Rows.SEED_ROWS, 4 * Rows.SEED_ROWS):
        with strict_cupy.hardware.ledger.stage(f"{count} rows") as entry:
            ours = BayesianGaussianMixture(**given).fit(up(x[:count]), sample_weight=up(weight[:count]))
        down.append(entry.bytes_down)
    assert down[1] - down[0] < 2 * Rows.SEED_ROWS, f"{down}: a byte a row, for cells that grow; weights have eight"
    theirs = BayesianGaussianMixture(engine="native", **given).fit(x, sample_weight=weight)
    assert_same_parameters(ours, theirs, 1e-9)


@needs_compiler
@pytest.mark.parametrize("weight", [np.tile([0.0, 1.0, 2.0], 3000), np.random.default_rng(4).random(9000)])
def test_samples_of_a_device_are_those_of_the_host(strict_cupy: Any, weight: np.ndarray) -> None:
    x = blobs(np.random.default_rng(3), len(weight), 1)
    found, expected = Rows.of(up(x), up(weight)).sample(1000), Rows(x, weight).sample(1000)
    assert np.array_equal(found.array, expected.array)


@needs_compiler
@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0, 1.0], [1.0, np.nan, 1.0, 1.0], [1.0, 1.0, 1.0]])
def test_weights_of_cupy_that_cannot_count_rows(strict_cupy: Any, weight: list[float]) -> None:
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    with pytest.raises(ValueError) as expected:
        BayesianGaussianMixture().fit(x, sample_weight=weight)
    with pytest.raises(ValueError) as found:
        BayesianGaussianMixture().fit(up(x), sample_weight=up(np.array(weight)))
    assert str(found.value) == str(expected.value)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("place", ["CuPy", "cuDF"])
@pytest.mark.parametrize("settings", [{"algorithm": "auto"}, {"algorithm": "exact"}, {"features": 3}], ids=str)
def test_nothing_but_samples_and_sums_comes_to_the_host(
    strict_cupy: Any, cudf: Any, settings: dict[str, Any], place: str
) -> None:
    """As many rows again bring not a byte of theirs: of samples two are taken, and of cells few become more."""
    options, rows = dict(settings), 2 * Rows.SEED_ROWS
    features = options.pop("features", 1)
    x = blobs(np.random.default_rng(3), 2 * rows, features)
    down = []
    for count in (rows, 2 * rows):
        given = up(x[:count]) if place == "CuPy" else cudf.DataFrame(up(x[:count]), columns=list("abc"[:features]))
        with strict_cupy.hardware.ledger.stage(f"{count} rows") as entry:
            mixture("auto", **{"max_iter": 5} | options).fit(given)
        down.append(entry.bytes_down)
    sample = 8 * features * Rows.SEED_ROWS
    assert sample < down[0] < 2.5 * sample
    assert down[1] - down[0] < 8 * features * rows / 10, f"{down}"


@needs_compiler
@pytest.mark.parametrize("effort", ["research", "auto"])
def test_exact_columns_of_tables_stay_on_the_device(strict_cupy: Any, cudf: Any, effort: str) -> None:
    rows = 3 * Rows.SEED_ROWS
    x = blobs(np.random.default_rng(3), rows, 1)
    frame = cudf.DataFrame({"x": up(x[:, 0].copy())})
    settings: dict[str, Any] = {"algorithm": "exact", "effort": effort, "max_iter": 5}
    with strict_cupy.hardware.ledger.stage("fit") as entry:
        found = TableTransformer(**settings).fit(frame).columns_["x"]
    assert entry.bytes_down < 8 * rows
    expected = TableTransformer(**settings).fit(pd.DataFrame(x, columns=["x"])).columns_["x"]
    assert found.fit.algorithm == expected.fit.algorithm == "exact"
    if effort == "auto":
        assert found.fit.lower_bound == pytest.approx(expected.fit.lower_bound, rel=1e-9)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("algorithm", ["exact", "auto"])
@pytest.mark.parametrize("where", ["another device", "a stream of its own"])
def test_the_callers_device_and_stream_are_used(strict_cupy: Any, where: str, algorithm: str, features: int) -> None:
    """Threads begin on the first device and on its null stream; rows that lie elsewhere stay in the caller's thread."""
    x = blobs(np.random.default_rng(3), 9000, features)
    weight = np.random.default_rng(4).integers(0, 3, len(x))
    given = {"n_components": 3, "max_iter": 5, "random_state": 0, "algorithm": algorithm, "init_params": x[:3]}
    theirs = BayesianGaussianMixture(**given).fit(x, sample_weight=weight)
    cuda = strict_cupy.cuda
    with cuda.Device(1) if where == "another device" else cuda.Stream(non_blocking=True):
        rows = up(x)
        ours = BayesianGaussianMixture(**given).fit(rows, sample_weight=up(weight))
        labels = ours.predict(rows)
        assert np.mean(labels.get() != theirs.predict(x)) < 1e-3
    assert_same_parameters(ours, theirs, 1e-9)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("features", [1, 2])
def test_rows_of_another_device_than_the_current_one_are_refused(strict_cupy: Any, features: int) -> None:
    x = blobs(np.random.default_rng(3), 3000, features)
    fitted, rows = mixture("cuda").fit(up(x)), up(x)
    with strict_cupy.cuda.Device(1):
        there = up(x)
    calls = (mixture("auto").fit, mixture("cuda", algorithm="summary").fit, fitted.predict, fitted.score_samples)
    for call in calls:
        with pytest.raises(InputError, match="X: rows lie on device 1, but device 0 is the current one"):
            call(there)
    with pytest.raises(InputError, match="sample_weight: rows lie on device 1"):
        mixture("auto").fit(rows, sample_weight=there[:, 0])


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_priors_and_centres_may_lie_on_the_device(strict_cupy: Any) -> None:
    x = blobs(np.random.default_rng(3), 3000, 2)
    given = {"n_components": 3, "max_iter": 5, "random_state": 0}
    priors = {"mean_prior": np.array([0.5, 1.0]), "covariance_prior": np.eye(2), "init_params": x[:3]}
    theirs = BayesianGaussianMixture(**given, **priors).fit(x)
    ours = BayesianGaussianMixture(**given, **{name: up(values) for name, values in priors.items()}).fit(up(x))
    assert_same_parameters(ours, theirs, 1e-9)


@needs_compiler
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ["exact", "summary"])
def test_copies_wait_for_what_the_callers_stream_still_does(strict_cupy: Any, algorithm: str) -> None:
    """Memory that was just freed may still be read by kernels of the caller's stream, which lanes know nothing of."""
    x = column()
    theirs = mixture("native", algorithm=algorithm, init_params=x[[0, 1, -1]]).fit(x)
    _ = up(np.zeros(1000)) + 1.0
    ours = mixture("cuda", algorithm=algorithm, init_params=x[[0, 1, -1]]).fit(x)
    assert_same_parameters(ours, theirs, 1e-9)
