"""Frames of cuDF and of Dask given to the estimator: fitted as their numbers are, predicted where they lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpuvgm import BayesianGaussianMixture
from gpuvgm.errors import InputError
from tests.engines.kernels.building import needs_compiler
from tests.execution.distributed.working import lazy_frame, parts_of
from tests.harness.device.frames import DataFrame, Series, dask_frame, decimal_type, register_frames
from tests.harness.device.module import is_strict, up
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_same_parameters

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pytestmark = [needs_compiler, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]
ROWS = 9000
CUTS = (2500, 2500, 2501)
METHODS = ("predict", "predict_proba", "score_samples")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    with dask.config.set(scheduler="threads"):
        yield


def table(features: int) -> pd.DataFrame:
    x = blobs(np.random.default_rng(3), ROWS, features)
    frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(features)], index=np.arange(ROWS) * 2)
    frame["c0"] = frame["c0"].astype(np.float32)
    if features > 1:
        frame["c1"] = (100 * frame["c1"]).astype(np.int32)
    return frame


def mixture(frame: pd.DataFrame, **settings: Any) -> BayesianGaussianMixture:
    given = {"n_components": 3, "max_iter": 15, "random_state": 0, "init_params": frame.to_numpy(np.float64)[:3]}
    return BayesianGaussianMixture(**given | settings)


def host(values: Any) -> np.ndarray:
    if isinstance(values, DataFrame):
        return np.stack([host(values[name]) for name in values.columns], axis=1)
    if isinstance(values, Series):
        return values.to_arrow().to_numpy(zero_copy_only=False)
    return values.get() if is_strict(values) else np.asarray(values)


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("algorithm", ["exact", "auto"])
def test_frames_of_cudf(cudf: Any, features: int, algorithm: str) -> None:
    frame = table(features)
    expected = mixture(frame, algorithm=algorithm).fit(frame.astype(np.float64))
    given = DataFrame.from_pandas(frame)
    found = mixture(frame, algorithm=algorithm).fit(given)
    assert_same_parameters(found, expected, 1e-9)
    assert list(found.feature_names_in_) == list(frame.columns)
    for method in METHODS:
        values = getattr(found, method)(given)
        assert is_strict(values)
        np.testing.assert_allclose(host(values), getattr(found, method)(frame), rtol=1e-9, atol=1e-12)
    weight = np.random.default_rng(4).integers(0, 3, ROWS)
    found = mixture(frame, algorithm=algorithm).fit(given, sample_weight=Series(up(weight)))
    assert_same_parameters(found, mixture(frame, algorithm=algorithm).fit(frame, sample_weight=weight), 1e-9)


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("algorithm", ["exact", "summary"])
def test_frames_of_dask(cudf: Any, place: str, features: int, algorithm: str) -> None:
    if features > 1 and algorithm == "summary":
        algorithm = "auto"
    frame = table(features)
    expected = mixture(frame, algorithm=algorithm).fit(frame.astype(np.float64))
    if place == "device":
        lazy = dask_frame([DataFrame.from_pandas(part) for part in parts_of(frame, *CUTS)])
    else:
        lazy = lazy_frame(parts_of(frame, *CUTS))
    found = mixture(frame, algorithm=algorithm).fit(lazy)
    assert_same_parameters(found, expected, 1e-9)
    assert list(found.feature_names_in_) == list(frame.columns)
    for method in METHODS:
        values = getattr(found, method)(lazy)
        assert hasattr(values, "compute")
        computed = values.compute()
        assert isinstance(computed, (DataFrame, Series)) == (place == "device")
        np.testing.assert_allclose(host(computed), getattr(found, method)(frame), rtol=1e-9, atol=1e-12)
        if place == "host":
            assert list(computed.index) == list(frame.index)
    if place == "host":
        assert found.score(lazy) == pytest.approx(found.score(frame))
    weight = pd.Series(np.random.default_rng(4).integers(0, 3, ROWS), frame.index)
    found = mixture(frame, algorithm=algorithm).fit(lazy, sample_weight=dd.from_pandas(weight, npartitions=3))
    assert_same_parameters(found, mixture(frame, algorithm=algorithm).fit(frame, sample_weight=weight), 1e-9)


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("sizes", ["known", "unknown"])
def test_arrays_of_dask(cudf: Any, strict_cupy: Any, place: str, features: int, sizes: str) -> None:
    register_frames()
    x = blobs(np.random.default_rng(3), ROWS, features)
    ends = [0, 2500, 2500, 2501, ROWS]
    parts = [dask.delayed(up if place == "device" else np.asarray)(x[i:j]) for i, j in itertools.pairwise(ends)]
    meta = up(x[:0]) if place == "device" else x[:0]
    rows = [len(range(*pair)) if sizes == "known" else np.nan for pair in itertools.pairwise(ends)]
    lazy = da.concatenate(
        [da.from_delayed(part, (count, features), meta=meta) for part, count in zip(parts, rows, strict=True)],
        allow_unknown_chunksizes=True,
    )
    frame = pd.DataFrame(x)
    expected = mixture(frame).fit(x)
    found = mixture(frame).fit(lazy)
    assert_same_parameters(found, expected, 1e-9)
    for method in METHODS:
        values = getattr(found, method)(lazy)
        assert type(values._meta) is (strict_cupy.ndarray if place == "device" else np.ndarray)
        np.testing.assert_allclose(host(values.compute()), getattr(found, method)(x), rtol=1e-9, atol=1e-12)
    assert found.score(lazy) == pytest.approx(found.score(x))


@pytest.mark.parametrize("features", [1, 3])
def test_frames_of_dask_are_added_to_rows_seen_before(cudf: Any, features: int) -> None:
    frame = table(features)
    first, second = frame.iloc[:4000], frame.iloc[4000:]
    expected = mixture(frame).partial_fit(first).partial_fit(second)
    found = mixture(frame).partial_fit(dd.from_pandas(first, npartitions=2)).partial_fit(DataFrame.from_pandas(second))
    assert_same_parameters(found, expected, 1e-9)


def test_a_partition_is_computed_once_a_scan(cudf: Any) -> None:
    frame, computed = table(3), []

    def counted(part: pd.DataFrame) -> pd.DataFrame:
        computed.append(len(part))
        return part

    lazy = dd.from_map(counted, parts_of(frame, *CUTS), meta=frame.iloc[:0])
    mixture(frame, algorithm="exact", max_iter=2).fit(lazy)
    assert computed.count(2500) < 10


def test_frames_that_hold_no_numbers(cudf: Any) -> None:
    words = pd.DataFrame({"x": [1.0, 2.0, 3.0], "w": ["a", "b", "c"]})
    given = DataFrame({"x": up(words["x"].to_numpy()), "w": Series.from_arrow(pa.array(words["w"].tolist()))})
    for frame in (given, dask_frame([given]), dd.from_pandas(words, npartitions=1)):
        with pytest.raises(InputError, match='X: column "w" holds .*string: only numbers can be fitted'):
            BayesianGaussianMixture().fit(frame)


@pytest.mark.parametrize("type_", [pa.dictionary(pa.int8(), pa.string()), decimal_type(64, 9, 2)], ids=str)
def test_what_stands_for_words_or_decimals_is_no_number(cudf: Any, type_: Any) -> None:
    column = pa.array(["1", "2", "1"])
    held = column.dictionary_encode() if pa.types.is_dictionary(type_) else column.cast(type_)
    with pytest.raises(InputError, match=r'X: column "w" holds .*: only numbers can be fitted'):
        BayesianGaussianMixture().fit(DataFrame({"w": Series.from_arrow(held)}))


def test_missing_numbers_of_frames_are_refused(cudf: Any) -> None:
    column = Series.from_arrow(pa.array([1, None, 3, 4]))
    with pytest.raises(InputError, match="NaN or infinity"):
        BayesianGaussianMixture().fit(DataFrame({"x": column}))
    with pytest.raises(InputError, match="X holds nan at row 1, feature 0"):
        BayesianGaussianMixture().fit(dask_frame([DataFrame({"x": column})]))


def test_other_names_of_features_are_refused(cudf: Any) -> None:
    frame = table(3)
    fitted = mixture(frame).fit(DataFrame.from_pandas(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(DataFrame.from_pandas(frame.rename(columns={"c1": "other"})))


def test_fitted_on_a_stream_that_does_not_wait_for_cudfs(cudf: Any, strict_cupy: Any) -> None:
    frame = table(3)
    with strict_cupy.cuda.Stream(non_blocking=True) as stream:
        given = DataFrame.from_pandas(frame)
        stream.synchronize()
        found = mixture(frame).fit(given)
        labels = found.predict(given)
        assert len(labels.get()) == ROWS
    assert_same_parameters(found, mixture(frame).fit(frame), 1e-9)
