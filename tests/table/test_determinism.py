"""The same bits for any block size, number of threads, split into files, instruction set and order of merging."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_info

from gpuvgm import TableTransformer, engines
from gpuvgm.engines import native_is_built
from tests.conftest import make_engine, native_names
from tests.harness.shapes import shape

ROWS = 30_000


def table() -> dict[str, np.ndarray]:
    x = shape("cents", ROWS)
    return {"a": x, "b": np.where(x > 100, np.nan, shape("mixed signs", ROWS)), "c": np.arange(ROWS) % 777}


def parameters(transformer: TableTransformer) -> list[bytes]:
    return [
        part.tobytes()
        for column in transformer.columns_.values()
        for part in (
            column.means,
            column.stds,
            column.weights,
            np.array(column.order),
            np.array(column.fit.lower_bound),
        )
    ]


@pytest.fixture(scope="module")
def baseline() -> TableTransformer:
    return TableTransformer(threads=1).fit(table())


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
@pytest.mark.parametrize(("block_rows", "threads"), [(1, 1), (4096, 3), (12_288, 2), (10**9, 4)])
@pytest.mark.covering(1)
def test_blocks_and_threads(algorithm: str, block_rows: int, threads: int) -> None:
    settings = {"algorithm": algorithm, "effort": "research", "max_iter": 20}
    one = TableTransformer(threads=1, **settings).fit(table())
    other = TableTransformer(threads=threads, block_rows=block_rows, **settings).fit(table())
    assert parameters(one) == parameters(other)
    for layout in ("compact", "onehot"):
        a, b = (t.transform(table(), layout=layout) for t in (one, other))  # type: ignore[arg-type]
        for key in a if layout == "compact" else [slice(None)]:
            np.testing.assert_array_equal(a[key], b[key])


def test_columns_side_by_side_leave_warnings_and_threads_as_they_were() -> None:
    draws = np.random.default_rng(0)
    few = {str(i): draws.integers(0, 3, 20_000) for i in range(24)}  # fewer values than centres: k-means warns
    settings = {"effort": "research", "max_iter": 2, "threads": 8}
    fitted = TableTransformer(dict.fromkeys(few, "continuous"), **settings)
    TableTransformer({"0": "continuous"}, **settings).fit({"0": few["0"]})
    before = list(warnings.filters), [pool["num_threads"] for pool in threadpool_info()]
    for _ in range(3):
        fitted.fit(few)
    assert (list(warnings.filters), [pool["num_threads"] for pool in threadpool_info()]) == before


def test_one_file_or_many(baseline: TableTransformer, tmp_path: Path) -> None:
    whole = pa.table(table())
    for i, (start, stop) in enumerate([(0, 1), (1, 5000), (5000, 5000), (5000, 29_999), (29_999, ROWS)]):
        pq.write_table(whole.slice(start, stop - start), tmp_path / f"part-{i}.parquet", row_group_size=1234)
    many = TableTransformer().fit(tmp_path)
    assert parameters(many) == parameters(baseline)
    assert many.transform(tmp_path).equals(baseline.transform(whole))


def test_other_columns_change_nothing(baseline: TableTransformer) -> None:
    alone = TableTransformer(columns=["b"]).fit(table())
    np.testing.assert_array_equal(alone.transform(table())["b.mode"], baseline.transform(table())["b.mode"])


def test_transform_repeats_itself_and_seeds_differ(baseline: TableTransformer) -> None:
    first, again = baseline.transform(table()), baseline.transform(table())
    other, seed = baseline.transform(table(), seed=5), baseline.transform(table(), seed=0)
    np.testing.assert_array_equal(first["a.mode"], again["a.mode"])
    np.testing.assert_array_equal(first["a.mode"], seed["a.mode"])
    assert np.mean(first["a.mode"] != other["a.mode"]) > 0.01


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
def test_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for name in native_names():
        chosen = make_engine(name)
        monkeypatch.setattr(engines, "get_engine", lambda _="auto", chosen=chosen: chosen)
        for module in ("gpuvgm.table.numeric_fit", "gpuvgm.execution.aggregate", "gpuvgm.table.encode"):
            monkeypatch.setattr(f"{module}.get_engine", lambda _="auto", chosen=chosen: chosen)
        transformer = TableTransformer(["a"]).fit({"a": table()["a"][:5000]})
        encoded = transformer.transform(table())
        assert transformer.columns_["a"].fit.effort == "auto"
        results.append((parameters(transformer), [values.tobytes() for values in encoded.values()]))
    assert all(result == results[0] for result in results)


def test_reference_engine_gives_the_same_model_to_rounding() -> None:
    settings = {"effort": "research", "max_iter": 20}  # where a bound is flat, a search may end anywhere
    native, reference = (TableTransformer(engine=name, **settings).fit(table()) for name in ("auto", "reference"))
    for name, column in native.columns_.items():
        other = reference.columns_[name]
        np.testing.assert_allclose(column.means, other.means, rtol=1e-9, atol=1e-9 * column.stds.max())
        np.testing.assert_array_equal(column.active, other.active)
        assert column.order == other.order
    a, b = native.transform(table()), native.set_params(engine="reference").transform(table())
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name])


def test_partial_fit_equals_one_fit_on_the_same_grid() -> None:
    x = table()
    half = {name: values[: ROWS // 2] for name, values in x.items()}
    rest = {name: values[ROWS // 2 :] for name, values in x.items()}
    grown = TableTransformer(effort="research").partial_fit(half).partial_fit(rest)
    merged = TableTransformer(effort="research").fit(half).partial_fit(rest)
    assert parameters(grown) == parameters(merged)
    whole = TableTransformer(effort="research").fit(x)
    for name, column in grown.columns_.items():
        other = whole.columns_[name]
        assert column.fit.rows == other.fit.rows == ROWS
        assert grown.summaries_[name].ordinary == whole.summaries_[name].ordinary
    from gpuvgm.summary import Summary

    direct = Summary.from_array(x["a"], grown.summaries_["a"].grid)
    for part in ("cell", "count", "first", "second"):
        np.testing.assert_array_equal(getattr(direct, part), getattr(grown.summaries_["a"], part))


@pytest.mark.parametrize("zeros", [(0.0, -0.0), (-0.0, 0.0)])
def test_the_sign_of_a_least_zero_does_not_depend_on_blocks(zeros: tuple[float, float]) -> None:
    x = np.random.default_rng(0).lognormal(size=5000)
    x[[0, -1]] = zeros
    fitted = TableTransformer({"x": {"kind": "continuous", "log": True}}, effort="research", block_rows=4096)
    assert str(fitted.fit({"x": x}).columns_["x"].codec.low) == "0.0"


@pytest.mark.parametrize("effort", ["auto", "best"])
def test_the_order_of_rows_where_the_sample_has_all_of_them(effort: str) -> None:
    """Kinds, steps, scales, modes and their parameters; the research code's k-means knows the order."""
    rows = table() | {"d": np.round(shape("cents", ROWS)[::-1] * 20) / 20, "e": np.arange(ROWS) % 7 > 3}
    random, found = np.random.default_rng(3), []
    for places in (
        np.arange(ROWS),
        np.roll(np.arange(ROWS), ROWS // 3),
        random.permutation(ROWS),
        np.argsort(rows["a"]),
    ):
        fitted = TableTransformer(effort=effort).fit({name: values[places] for name, values in rows.items()})
        kinds = [(spec.kind, spec.reason) for spec in fitted.schema_.columns]
        numbers = {name: column for name, column in fitted.columns_.items() if column.kind != "categorical"}
        found.append((kinds, {name: repr(column.to_json()) for name, column in numbers.items()}))
    assert found[0] == found[1] == found[2] == found[3]
