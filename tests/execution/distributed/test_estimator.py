"""The estimator over a cluster: fits of frames and arrays of Dask are computed on the workers, as of their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from gpuvgm import BayesianGaussianMixture, DaskExecutor, TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.execution.dask import Tasks, answers_for
from tests.execution.distributed.working import model_of
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_same_parameters

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROWS, HERE = 20_000, os.getpid()


def frame_of(features: int) -> pd.DataFrame:
    return pd.DataFrame(blobs(np.random.default_rng(3), ROWS, features), columns=[f"c{j}" for j in range(features)])


def lazy(frame: pd.DataFrame) -> Any:
    """A frame of partitions that are no whole chunks, one without rows, which no process but the workers may make."""
    cuts = [0, 2500, 2500, 2501, 9000, ROWS]

    def part(pair: tuple[int, int]) -> pd.DataFrame:
        assert os.getpid() != HERE, "only the workers may read rows"
        return frame.iloc[pair[0] : pair[1]]

    return dd.from_map(part, list(zip(cuts[:-1], cuts[1:], strict=True)), meta=frame.iloc[:0])


class Slices:
    """Rows in this process that are read in blocks, as those of workers are: draws are from a sample of them."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, part: slice) -> np.ndarray:
        return self._array[part]


@pytest.mark.parametrize(
    ("features", "settings"),
    [
        (1, {"algorithm": "exact"}),
        (1, {"algorithm": "summary"}),
        (3, {"covariance_type": "full"}),
        (3, {"covariance_type": "diag", "init_params": "random_from_data"}),
        (1, {"effort": "best", "algorithm": "summary"}),
    ],
)
def test_fits_over_workers_are_those_of_the_rows(client: Any, features: int, settings: dict[str, Any]) -> None:
    frame = frame_of(features)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy()[:3]}
    expected = BayesianGaussianMixture(**given | settings).fit(Slices(frame.to_numpy()))
    found = BayesianGaussianMixture(**given | settings).fit(lazy(frame))
    assert_same_parameters(found, expected, 1e-10)
    assert list(found.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("executor", ["client", "DaskExecutor"])
@pytest.mark.parametrize("features", [1, 3])
def test_rows_of_this_process_go_to_the_cluster_that_is_given(clusters: Any, executor: str, features: int) -> None:
    frame, weight = frame_of(features), np.random.default_rng(4).integers(0, 3, ROWS)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy()[:3]}
    client = clusters[2]
    there = clone(BayesianGaussianMixture(**given, executor=client if executor == "client" else DaskExecutor(client)))
    with submissions() as sent:
        found = there.fit(frame, sample_weight=weight)
    assert sent.count(answers_for) > found.n_iter_
    expected = BayesianGaussianMixture(**given).fit(Slices(frame.to_numpy()), sample_weight=weight)
    assert_same_parameters(found, expected, 1e-10)
    assert list(found.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(found.predict(frame), expected.predict(frame.to_numpy()))


def test_what_is_no_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="The 'executor' parameter of BayesianGaussianMixture must be"):
        BayesianGaussianMixture(executor="cluster").fit([[1.0], [2.0]])


@contextmanager
def submissions() -> Iterator[list[Any]]:
    """Functions of the tasks that are sent one by one."""
    sent, submit = [], Tasks.submit

    def noted(self: Tasks, work: str, function: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(function)
        return submit(self, work, function, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tasks, "submit", noted)
        yield sent


@pytest.mark.parametrize("features", [1, 3])
def test_an_iteration_is_one_task_a_worker(client: Any, features: int) -> None:
    frame, tasks = frame_of(features), []
    rows = lazy(frame)
    given = {"n_components": 3, "random_state": 0, "init_params": frame.to_numpy()[:3], "tol": 0, "algorithm": "exact"}
    for iterations in (5, 25):
        with submissions() as sent:
            BayesianGaussianMixture(**given, max_iter=iterations).fit(rows)
        tasks.append(sent.count(answers_for))
    assert 0 < tasks[1] - tasks[0] <= 20 * 2


@pytest.mark.parametrize("init", ["kmeans", "k-means++"])
def test_each_partition_is_read_once_in_a_fit(client: Any, tmp_path: Path, init: str) -> None:
    """Nothing but the number of its rows is asked for before, which these chunks tell."""
    x = frame_of(2).to_numpy()

    def noted(chunk: np.ndarray, block_id: tuple[int, int] | None = None) -> np.ndarray:
        assert block_id is not None
        with (tmp_path / str(block_id[0])).open("a") as file:
            file.write("read\n")
        return chunk

    rows = da.from_array(x, chunks=(4500, 2)).map_blocks(noted, meta=np.empty((0, 0)))
    mixture = BayesianGaussianMixture(n_components=3, max_iter=20, tol=0, algorithm="exact", init_params=init)
    assert mixture.fit(rows).n_iter_ == 20
    assert {file.name: file.read_text().count("read") for file in tmp_path.iterdir()} == dict.fromkeys("01234", 1)


@pytest.mark.parametrize("features", [1, 3])
def test_the_fit_is_the_same_for_one_two_and_four_workers(clusters: Any, features: int) -> None:
    frame = frame_of(features)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "algorithm": "exact"}
    one, two, four = (
        BayesianGaussianMixture(**given, executor=clusters[workers]).fit(lazy(frame)) for workers in (1, 2, 4)
    )
    assert_same_parameters(two, one, 0)
    assert_same_parameters(four, one, 0)


def array_of(x: np.ndarray, chunks: Any) -> Any:
    """A Dask array whose chunks no process but the workers may make."""

    def chunk(part: np.ndarray) -> np.ndarray:
        assert not part.size or os.getpid() != HERE, "only the workers may read rows"
        return part

    return da.from_array(x, chunks=chunks).map_blocks(chunk, meta=np.empty((0, 0)))


def of_unknown_sizes(array: Any) -> Any:
    return array[array[:, 0] > -np.inf]


@pytest.mark.parametrize("sizes", ["known", "unknown"])
@pytest.mark.parametrize("features", [1, 3])
def test_arrays_of_dask(client: Any, features: int, sizes: str) -> None:
    x, weight = frame_of(features).to_numpy(), np.random.default_rng(4).integers(0, 3, ROWS)
    array = array_of(x, (7000, 2))
    array = array if sizes == "known" else of_unknown_sizes(array)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": x[:3]}
    expected = BayesianGaussianMixture(**given).fit(Slices(x))
    found = BayesianGaussianMixture(**given)
    labels = found.fit_predict(array)
    assert_same_parameters(found, expected, 1e-10)
    assert not hasattr(found, "feature_names_in_")
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels.compute(), expected.predict(x))
    for method, shape in (("predict_proba", (3,)), ("score_samples", ())):
        values = getattr(found, method)(array)
        assert values.chunks[0] == array.chunks[0] or sizes == "unknown"
        assert (values.dtype, values.shape[1:]) == (np.float64, shape)
        np.testing.assert_allclose(values.compute(), getattr(expected, method)(x), rtol=1e-9, atol=1e-12)
    assert found.score(array) == pytest.approx(expected.score(x))
    weighted = da.from_array(weight, chunks=4000)
    expected = BayesianGaussianMixture(**given).fit(Slices(x), sample_weight=weight)
    assert_same_parameters(BayesianGaussianMixture(**given).fit(array, sample_weight=weighted), expected, 1e-10)
    seen = BayesianGaussianMixture(**given).partial_fit(array).partial_fit(array, sample_weight=weighted)
    expected = BayesianGaussianMixture(**given).partial_fit(x).partial_fit(x, sample_weight=weight)
    assert_same_parameters(seen, expected, 1e-9)


def test_arrays_of_dask_that_are_no_rows(client: Any) -> None:
    fitted = BayesianGaussianMixture().fit(frame_of(2).to_numpy())
    for call in (BayesianGaussianMixture().fit, fitted.predict, TableTransformer().fit):
        with pytest.raises(InputError, match="a Dask array with 1 dimensions is no table: reshape it"):
            call(da.zeros(10, chunks=5))
    with pytest.raises(ValueError, match="X has 3 features, but BayesianGaussianMixture is expecting 2"):
        fitted.predict(da.zeros((10, 3), chunks=5))


@pytest.mark.parametrize("sizes", ["known", "unknown"])
def test_tables_in_arrays_of_dask(client: Any, sizes: str) -> None:
    x = frame_of(2).to_numpy()
    array = array_of(x, (7000, 1))
    array = array if sizes == "known" else of_unknown_sizes(array)
    settings = {"effort": "research", "max_iter": 20, "layout": "compact"}
    expected, found = TableTransformer(**settings).fit(x), TableTransformer(**settings).fit(array)
    assert model_of(found) == model_of(expected)
    encoded, there = found.transform(array), expected.transform(x)
    for name, column in encoded.compute().items():
        np.testing.assert_array_equal(column, there[name])
    matrix = found.transform(array, layout="onehot").to_dask_array()
    np.testing.assert_array_equal(matrix.compute(), expected.transform(x, layout="onehot"))
    back, there = expected.inverse_transform(matrix).compute(), expected.inverse_transform(matrix.compute())
    for name in ("0", "1"):
        np.testing.assert_array_equal(back[name], there[name])
    with pytest.raises(InputError, match="the array has 2 columns, but the onehot layout has"):
        found.inverse_transform(array)


@pytest.mark.parametrize("features", [1, 3])
def test_weights_and_later_rows_go_to_the_workers(client: Any, features: int) -> None:
    frame, weight = frame_of(features), np.random.default_rng(4).integers(0, 3, ROWS)
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy()[:3]}
    expected = BayesianGaussianMixture(**given).fit(Slices(frame.to_numpy()), sample_weight=weight)
    assert_same_parameters(BayesianGaussianMixture(**given).fit(lazy(frame), sample_weight=weight), expected, 1e-10)
    found, expected = BayesianGaussianMixture(**given), BayesianGaussianMixture(**given)
    for times in (weight, None, weight):  # of several features the third replaces the first
        found.partial_fit(lazy(frame), sample_weight=times)
        expected.partial_fit(frame, sample_weight=times)
        assert_same_parameters(found, expected, 1e-9)


def test_a_search_over_workers_is_no_worse_than_over_the_rows(client: Any) -> None:
    frame = frame_of(2)
    given = {"n_components": 3, "effort": "best", "random_state": 0}
    expected = BayesianGaussianMixture(**given).fit(Slices(frame.to_numpy()))
    found = BayesianGaussianMixture(**given).fit(lazy(frame))
    assert found.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-9)
    assert found.explanation_.held_out_score == pytest.approx(expected.explanation_.held_out_score, rel=1e-6)


def test_what_is_not_finite_is_named_by_its_row(client: Any) -> None:
    frame = frame_of(2)
    frame.iloc[9004, 1] = np.nan
    with pytest.raises(InputError, match="X holds nan at row 9004, feature 1"):
        BayesianGaussianMixture().fit(lazy(frame))
