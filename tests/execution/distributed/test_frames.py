"""Frames of Dask: fitted as one table, encoded and decoded lazily in the user's own graph."""

from __future__ import annotations

import gc
import pickle
import uuid
from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source, dask_frames
from gpuvgm.execution.context import executor_for
from gpuvgm.execution.dask import DaskExecutor
from gpuvgm.execution.dask_frames import DaskFrame
from gpuvgm.execution.partitions import Reading
from gpuvgm.io.arrow import common_type, promoted
from tests.columns import tables
from tests.execution.distributed.working import lazy_frame, model_of, parts_of, wait_until

dd = pytest.importorskip("dask.dataframe")
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
key_split = pytest.importorskip("dask.utils").key_split
cloudpickle = pytest.importorskip("cloudpickle")
ROWS = 2003
CUTS = [1, 7, pytest.param(100, marks=pytest.mark.exhaustive), "gaps"]
COLUMNS = {name: kind for name, kind in tables.DECLARED.items() if name not in ("income", "ratio")}


def made(rows: int = ROWS) -> pd.DataFrame:
    """A pandas frame with dtypes of every sort, and an index of its own."""
    frame = tables.table(rows, 4).drop_columns(["income", "ratio"]).to_pandas()
    frame["count"] = frame["count"].astype("Int64").mask(frame["age"] > 95)
    frame["city"] = frame["city"].astype("category")
    frame["note"] = frame["note"].astype("string[pyarrow]")
    frame.index = pd.Index(np.arange(rows) * 3 + 7, name="id")
    return frame


@pytest.fixture(scope="module")
def frame():
    return made()


@pytest.fixture(scope="module")
def one(frame):
    return gpuvgm.TableTransformer(COLUMNS, effort="research").fit(frame)


def split(frame, partitions):
    return dd.from_pandas(frame, npartitions=partitions, sort=False)


def with_gaps(frame):
    """Partitions of very different lengths, three of them empty."""
    return lazy_frame(parts_of(frame, 0, 1, 800, 800, 801, 1500, ROWS))


@pytest.mark.parametrize("where", ["client", "no client"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.covering(1)
def test_a_fit_is_that_of_the_whole_frame(request, frame, one, where, cut):
    if where == "client":
        request.getfixturevalue("client")
    lazy = with_gaps(frame) if cut == "gaps" else split(frame, cut)
    with dask.config.set(scheduler="threads") if where == "no client" else dask.config.set({}):
        fitted = gpuvgm.TableTransformer(COLUMNS, effort="research").fit(lazy)
    assert model_of(fitted) == model_of(one)
    assert fitted.schema_ == one.schema_


@pytest.mark.parametrize("listened", [True, False])
def test_a_scan_is_sent_as_one_graph(client, frame, one, monkeypatch, listened):
    """Dask goes through all of a frame's graph for each submission; a client is told of every task that it asks for."""
    sent, kept = [], []
    monkeypatch.setattr(type(client), "submit", counting(type(client).submit, kept))
    monkeypatch.setattr(type(client), "compute", counting(type(client).compute, sent))
    done = []
    progress = {"progress": lambda stage, rows, total: done.append((stage, rows))} if listened else {}
    lazy = split(frame, 40)
    with distributed.get_task_stream(client) as ran:
        fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", executor=client, **progress).fit(lazy)
    assert model_of(fitted) == model_of(one)
    assert {len(args[1]) for args in sent} == {41 if listened else 1}
    rows = [step for step in done if step[0] == "fit"]
    assert len(rows) == (40 * len(sent) if listened else 0) and (not listened or rows[-1] == ("fit", ROWS))
    assert {stage for stage, _ in done} == ({"fit", "search modes"} if listened else set())
    assert len(kept) <= 2 * len(sent) + 1  # the function of a scan, and what the fit asks a worker
    tasks = Counter(key_split(task["key"]) for task in ran.data)
    assert (tasks["gpuvgm-scan-columns"], tasks["gpuvgm-merge"]) == (40 * len(sent), 6 * len(sent)), tasks


def test_threads_that_dask_is_set_to_come_before_the_current_client(client, frame):
    source = any_source(dd.from_pandas(frame, npartitions=2))
    assert executor_for(None, source).client is client
    with dask.config.set(scheduler="threads"):
        assert executor_for(None, source) is None
        assert executor_for(client, source).client is client


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("what", ["table", "estimator"])
def test_rows_are_counted_by_the_client_that_is_given(client, monkeypatch, what):
    """Another client is current, and gets no task."""
    parts = np.split(np.random.default_rng(0).normal(size=3000), 3)
    lazy, asked = dd.from_map(lambda x: pd.DataFrame({"x": x}), parts, meta=pd.DataFrame({"x": [0.0]})), []
    monkeypatch.setattr(dask_frames, "_COUNTED", {})
    with distributed.Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as other:
        monkeypatch.setattr(other, "get", lambda *given, **options: asked.append(given))
        monkeypatch.setattr(other, "compute", lambda *given, **options: asked.append(given))
        if what == "table":
            gpuvgm.TableTransformer({"x": "continuous"}, effort="research", executor=client).fit(lazy)
        else:
            gpuvgm.BayesianGaussianMixture(n_components=2, executor=client, random_state=0).fit(lazy)
    assert dask_frames._COUNTED and not asked


def test_a_persisted_partition_costs_no_task_of_its_own(client, frame, one):
    lazy = split(frame, 40).persist()
    distributed.wait(lazy)
    given = {"effort": "research", "executor": client}
    gpuvgm.TableTransformer(COLUMNS, **given).fit(lazy)  # counts the rows
    with distributed.get_task_stream(client) as ran:
        fitted = gpuvgm.TableTransformer(COLUMNS, **given).fit(lazy)
    assert model_of(fitted) == model_of(one)
    tasks = Counter(key_split(task["key"]) for task in ran.data)
    scan, merge, sample = "gpuvgm-scan-columns", "gpuvgm-merge", "gpuvgm-sample-columns"
    function, texts = "gpuvgm-prepare-scan", "gpuvgm-read-texts"
    scans = tasks[scan] // 40
    assert tasks.keys() <= {"gpuvgm-ask-a-worker", function, texts, sample, scan, merge}
    assert tasks[sample] <= 40 and tasks[texts] == 1 and tasks[merge] == 6 * scans and tasks[function] == scans >= 1


READS, NO_ROWS = "reads", pd.DataFrame({"x": [], "y": []}, dtype=float)


def noted(number, folder):
    """A partition whose computation is told in a file of its own."""
    (folder / READS).mkdir(exist_ok=True)
    (folder / READS / f"{number}-{uuid.uuid4()}").touch()
    random = np.random.default_rng(number)
    return pd.DataFrame({"x": random.normal(size=400), "y": random.lognormal(size=400)})


@pytest.mark.parametrize("algorithm", ["summary", "exact"])
@pytest.mark.parametrize("where", ["client", "threads"])
@pytest.mark.parametrize("counted", [True, False])
def test_a_fit_computes_partitions_once_and_counts_them(client, tmp_path, monkeypatch, counted, where, algorithm):
    """Where their lengths are known, once in all; and they are not kept when memory is short."""
    lazy = dd.from_map(noted, range(6), folder=tmp_path, meta=NO_ROWS)
    if not counted:
        monkeypatch.setitem(dask_frames._COUNTED, any_source(lazy).frame._name, (400,) * 6)
    settings = {"effort": "research", "max_iter": 3, "algorithm": algorithm}
    with dask.config.set(scheduler="threads" if where == "threads" else None):
        found = gpuvgm.TableTransformer(**settings).fit(lazy)
    reads = Counter(path.name.partition("-")[0] for path in (tmp_path / READS).iterdir())
    assert reads == dict.fromkeys("012345", 2 if counted else 1)
    monkeypatch.setattr(dask_frames, "KEPT_SHARE", 0)
    with dask.config.set(scheduler="threads" if where == "threads" else None):
        again = gpuvgm.TableTransformer(**settings).fit(lazy)
    assert model_of(found) == model_of(again)
    assert sum(1 for _ in (tmp_path / READS).iterdir()) >= 6 * (3 if not counted else 4)


def with_text(number, folder):
    """A partition whose text takes far more than the type of its column says."""
    frame = noted(number, folder)
    return frame.assign(y=[f"{number} {row:03d} " * 250 for row in range(len(frame))])


def test_partitions_are_kept_by_what_they_take(client, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_frames, "KEPT_BYTES", 500_000, raising=False)  # a worker; a partition takes 600 kB
    lazy = dd.from_map(with_text, range(6), folder=tmp_path, meta=NO_ROWS.astype({"y": str}))
    monkeypatch.setitem(dask_frames._COUNTED, any_source(lazy).frame._name, (400,) * 6)
    gpuvgm.TableTransformer(effort="research", max_iter=3).fit(lazy)
    reads = Counter(path.name.partition("-")[0] for path in (tmp_path / READS).iterdir())
    assert reads == {"0": 1, **dict.fromkeys("12345", 2)}


def test_partitions_that_a_fit_kept_are_forgotten_after_it(client, tmp_path):
    """At once, not when Python collects garbage."""
    gc.collect()
    gc.disable()
    try:
        lazy = dd.from_map(noted, range(6), folder=tmp_path, meta=NO_ROWS)
        gpuvgm.TableTransformer(effort="research", max_iter=3).fit(lazy)
        wait_until(lambda: not any(str(key).startswith("('noted") for key in client.futures))
    finally:
        gc.enable()


def test_of_a_partition_only_the_columns_that_are_read_are_looked_at(frame):
    """A persisted one comes whole, and types of Python objects are found by going through them."""
    source, opened = any_source(split(frame, 1)), []
    (partition,) = source.partitions(Reading("reference", ("price", "city"), 10))
    open_part = source.declared.open
    noting = replace(source.declared, open=lambda part: opened.append(list(part.columns)) or open_part(part))
    partition = replace(partition, declared=noting)
    assert partition.of(frame).rows == ROWS
    assert opened == [["price", "city"]]


def counting(method, calls):
    """A method that notes what it is called with."""

    def counted(*arguments, **options):
        calls.append(arguments)
        return method(*arguments, **options)

    return counted


def test_a_frame_of_many_partitions_is_sampled_where_its_runs_lie(client, frame):
    lazy = split(frame, 7)
    runs = [(1900, 50), (3, 4), (250, 900), (0, 0), (5, 2)]  # in any order, over partitions and within
    found = any_source(lazy).sample(["price", "age"], runs)
    rows = np.concatenate([np.arange(start, start + length) for start, length in runs])
    np.testing.assert_array_equal(found.column("price").to_numpy(), frame["price"].to_numpy()[rows])
    np.testing.assert_array_equal(found.column("age").to_numpy(), frame["age"].to_numpy()[rows])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("layout", ["compact", "onehot"])
@pytest.mark.covering(1)
def test_encoded_and_decoded_frames_are_those_of_pandas(client, frame, one, cut, layout):
    lazy = with_gaps(frame) if cut == "gaps" else split(frame, cut)
    encoded = one.transform(lazy, layout=layout)
    expected = one.transform(frame, layout=layout)
    if layout == "onehot":
        expected = pd.DataFrame(expected, index=frame.index, columns=one.get_feature_names_out(layout="onehot"))
    assert_lazy_equal(encoded, lazy, expected)
    back = one.inverse_transform(encoded)
    assert_lazy_equal(back, lazy, one.inverse_transform(expected))


@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_names_and_kept_columns_of_lazy_frames(client, frame, one, layout):
    options = {"layout": layout, "names": "{column}_{part}", "keep_original": True}
    lazy = split(frame, 3)
    encoded, expected = one.transform(lazy, **options), one.transform(frame, **options)
    pd.testing.assert_frame_equal(encoded.compute(), expected, check_categorical=False)
    back = one.inverse_transform(encoded, names="{column}_{part}")
    assert_lazy_equal(back, lazy, one.inverse_transform(expected, names="{column}_{part}"))


def assert_lazy_equal(lazy, source, expected):
    assert lazy.divisions == source.divisions
    computed = lazy.compute()
    pd.testing.assert_frame_equal(computed, expected)
    assert dict(lazy.dtypes) == dict(expected.dtypes), (dict(lazy.dtypes), dict(expected.dtypes))


def test_nothing_is_computed_before_it_is_asked_for(frame, one, tmp_path):
    def counted(part):
        with (tmp_path / "calls").open("a") as file:
            file.write("x")
        return part

    lazy = split(frame, 5).map_partitions(counted, meta=frame.iloc[:0])
    encoded = one.inverse_transform(one.transform(lazy))
    before = (tmp_path / "calls").stat().st_size
    assert before <= 5  # the rows were counted once, for the offsets
    again = one.transform(lazy)
    assert (tmp_path / "calls").stat().st_size == before
    with dask.config.set(scheduler="threads"):
        assert len(encoded.compute()) == len(again.compute()) == ROWS
    assert (tmp_path / "calls").stat().st_size == before + 10


def test_rows_are_numbered_through(frame, one):
    lazy = split(frame, 7)
    shifted = one.transform(lazy, first_row=12345, seed=9)
    with dask.config.set(scheduler="threads"):
        pd.testing.assert_frame_equal(shifted.compute(), one.transform(frame, first_row=12345, seed=9))


def test_validity_and_dropped_rows_keep_index_and_divisions(frame, one):
    encoded = one.transform(frame).copy()
    encoded.loc[encoded.index % 5 == 0, "price.scalar"] = np.nan
    lazy = dd.from_pandas(encoded, npartitions=7)
    values, valid = one.inverse_transform(lazy, return_valid=True)
    expected, kept = one.inverse_transform(encoded, return_valid=True)
    with dask.config.set(scheduler="threads"):
        pd.testing.assert_frame_equal(values.compute(), expected)
        pd.testing.assert_series_equal(valid.compute(), pd.Series(kept, encoded.index, name="valid"))
        dropped, left = one.inverse_transform(lazy, return_valid=True, invalid="drop")
        pd.testing.assert_frame_equal(dropped.compute(), expected[kept])
        pd.testing.assert_series_equal(left.compute(), pd.Series(True, encoded.index[kept], name="valid"))
        assert dropped.divisions == lazy.divisions
        row = encoded.index[kept][1000]
        pd.testing.assert_frame_equal(dropped.loc[row:row].compute(), expected.loc[row:row])


def test_results_compose_with_the_users_graph(frame, one):
    lazy = dd.from_pandas(frame, npartitions=6)
    encoded = one.transform(lazy)
    found = encoded.assign(double=encoded["price.scalar"] * 2)
    found = found[found["price.mode"] == 0].merge(lazy[["age"]], left_index=True, right_index=True)
    expected = one.transform(frame)
    expected = expected.assign(double=expected["price.scalar"] * 2)
    expected = expected[expected["price.mode"] == 0].merge(frame[["age"]], left_index=True, right_index=True)
    with dask.config.set(scheduler="threads"):
        pd.testing.assert_frame_equal(found.compute().sort_index(), expected.sort_index())


def test_files_are_written_from_frames(client, frame, one, tmp_path):
    one.transform(frame, out=tmp_path / "one.parquet")
    one.transform(split(frame, 7), out=tmp_path / "many.parquet")
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "many.parquet"))
    assert one.evaluate(split(frame, 7)).to_dict() == one.evaluate(frame).to_dict()


@pytest.mark.filterwarnings("ignore:.*inplace:DeprecationWarning")  # Dask's reader, with pandas 3.1
def test_rows_of_parquet_files_are_known_without_reading(frame, one, tmp_path, monkeypatch):
    with dask.config.set(scheduler="threads"):
        dd.from_pandas(frame, npartitions=4).to_parquet(tmp_path / "parts")
    lazy = dd.read_parquet(tmp_path / "parts")
    read = Mock(side_effect=AssertionError("a partition was read"))
    monkeypatch.setattr("gpuvgm.execution.dask_frames.as_argument", read)
    assert any_source(lazy).rows == ROWS
    encoded = one.transform(lazy)
    with dask.config.set(scheduler="threads"):
        pd.testing.assert_frame_equal(encoded.compute(), one.transform(frame))


def test_partitions_of_another_schema_are_named(client, frame):
    parts = [frame[["price", "age"]].iloc[:50], frame[["price"]].iloc[50:90]]
    lazy = lazy_frame(parts, enforce_metadata=False)
    with pytest.raises(InputError, match=r'partition 1: column "age" is missing, .* has it'):
        gpuvgm.TableTransformer().fit(lazy)
    parts = [frame[["age"]].iloc[:50], frame[["age"]].iloc[50:90].astype("float32")]
    lazy = lazy_frame(parts, enforce_metadata=False)
    with pytest.raises(InputError, match=r'partition 1: column "age" has type float, in .* int8'):
        gpuvgm.TableTransformer().fit(lazy)


def parts_that_differ(case: str) -> list[pa.Array]:
    """Two parts of a column, of which the first has the type that holds both, or no values."""
    many = np.arange(300)
    return {
        "integers": [pa.array(many * 2**33), pa.array(many % 7, pa.int32())],
        "floats": [pa.array(many / 7), pa.array(many / 8, pa.float32())],
        "units": [pa.array(many + 1, pa.timestamp("ns")), pa.array(many * 10**6, pa.timestamp("us"))],
        "no values": [pa.nulls(300, pa.string()), pa.array(np.array(["a", "b", "c"])[many % 3])],
        "dictionary": [
            pa.array(np.array(["d", "b"])[many % 2]),
            pa.array(np.array(["a", "b", "c"])[many % 3]).dictionary_encode(),
        ],
    }[case]


@pytest.mark.filterwarnings("ignore:.*inplace:DeprecationWarning")  # Dask's reader, with pandas 3.1
@pytest.mark.parametrize("case", ["integers", "floats", "units", "no values", "dictionary"])
@pytest.mark.parametrize("way", ["frames", "files", "files of other names"])
def test_partitions_that_differ_are_one_table_of_the_common_type(tmp_path, case, way):
    parts = parts_that_differ(case)
    type_ = common_type([part.type for part in parts])
    whole = pa.table({"x": pa.concat_arrays([promoted(part, type_) for part in parts])})
    for name, part in zip("ba" if way == "files of other names" else "ab", parts, strict=True):
        table = pa.table({"x": pa.nulls(len(part)) if part.null_count and way != "frames" else part})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    if way == "files of other names":
        whole = pa.concat_tables([whole.slice(300), whole.slice(0, 300)])
    frames = [pa.table({"x": part}).to_pandas() for part in parts]
    lazy = lazy_frame(frames, enforce_metadata=False) if way == "frames" else dd.read_parquet(tmp_path)
    with dask.config.set(scheduler="threads"):
        fitted = gpuvgm.TableTransformer().fit(lazy)
        encoded = fitted.transform(lazy).compute().reset_index(drop=True)
    # pandas has text as large_string
    whole = whole.cast(pa.schema([("x", pa.large_string())])) if type_ == pa.string() else whole
    expected = gpuvgm.TableTransformer().fit(whole)
    assert fitted.model_.digest() == expected.model_.digest()
    pd.testing.assert_frame_equal(encoded, expected.transform(whole).to_pandas())


def test_files_that_dask_narrows_are_refused(tmp_path):
    for name in "abcdef":  # Dask orders them by their hashes, so that the first is any of them
        for other in "abcdef":
            type_ = pa.float64() if name == other else pa.float32()
            pq.write_table(pa.table({"x": pa.array([0.1] * 40, type_)}), tmp_path / f"{other}.parquet")
        lazy = dd.read_parquet(tmp_path, filesystem="arrow")
        if lazy.dtypes["x"] == "float32":
            with pytest.raises(InputError, match=r'differ in the types of "x", .*: pass the path itself'):
                gpuvgm.TableTransformer().fit(lazy)
            return
    raise AssertionError("Dask gave the common type each time")


def test_partitions_that_change_their_length_are_named(client, frame, tmp_path):
    seen = tmp_path / "seen"

    def growing(part):
        if seen.exists() and len(part) == 40:
            return pd.concat([part, part])
        return part

    parts = [frame[["price"]].iloc[:50], frame[["price"]].iloc[50:90]]
    lazy = lazy_frame(parts).map_partitions(growing)
    source = any_source(lazy)
    assert source.rows == 90
    seen.touch()
    with pytest.raises(InputError, match="partition 1 has 80 rows now, and had 40 when they were counted: persist"):
        gpuvgm.TableTransformer().fit(source)


def test_columns_of_python_objects(frame):
    values = [Decimal(i % 700).scaleb(-2) if i % 9 else None for i in range(ROWS)]
    whole = pd.DataFrame({"paid": pd.Series(values, dtype=object), "x": frame["price"].to_numpy()})
    one = gpuvgm.TableTransformer(effort="research").fit(whole)
    with dask.config.set({"scheduler": "threads", "dataframe.convert-string": False}):
        lazy = lazy_frame(parts_of(whole, 600))
        many = gpuvgm.TableTransformer(effort="research").fit(lazy)
        assert model_of(many) == model_of(one)
        pd.testing.assert_frame_equal(many.transform(lazy).compute(), one.transform(whole))


def test_uniforms_are_refused(frame, one):
    with pytest.raises(InputError, match="uniforms cannot be given for frames of Dask"):
        one.transform(split(frame, 2), uniforms={"price": np.zeros(ROWS)})


def test_the_graph_holds_the_model_and_not_its_summaries(frame, one):
    few, many = (dd.from_map(made, [ROWS] * count, meta=frame.iloc[:0]) for count in (1, 60))
    sizes = [len(cloudpickle.dumps(dict(one.transform(some).__dask_graph__()))) for some in (few, many)]
    assert len(pickle.dumps(one.summaries_)) > 2 * sizes[0]
    assert sizes[1] < sizes[0] + 60 * 2000


def test_a_series_is_no_table(frame):
    with pytest.raises(InputError, match="Series"):
        gpuvgm.TableTransformer().fit(split(frame, 2)["price"])


def test_a_dask_frame_is_a_source(frame):
    with dask.config.set(scheduler="threads"):
        source = any_source(split(frame, 7))
        assert isinstance(source, DaskFrame)
        alone = any_source(frame)
        assert source.schema == alone.schema
        runs = [(3, 700), (1500, 2), (2000, 3)]
        assert source.sample(["age", "price"], runs).equals(alone.sample(["age", "price"], runs))
        blocks = list(source.blocks(["price", "age"], 300))
    assert [block.rows for block in blocks] == [300] * 6 + [203]
    assert pa.Table.from_batches([b.batch for b in blocks]).equals(alone.sample(["price", "age"], [(0, ROWS)]))


def test_empty_partitions_are_left_out(client, frame):
    seen = []
    executor = DaskExecutor(client, partition_rows=1)
    gpuvgm.TableTransformer(["age"], executor=executor, progress=lambda *step: seen.append(step)).fit(with_gaps(frame))
    assert [done for stage, done, _ in seen if stage == "fit"] == [1, 800, 801, 1500, ROWS]
    assert [step for step in seen if step[0] != "fit"] == [("search modes", 0, 1), ("search modes", 1, 1)]


def test_a_partition_without_a_value_has_the_type_of_the_others():
    words = pd.Series(["a"] * 30 + [None] * 10 + ["b"] * 10, dtype=object)
    whole = pd.DataFrame({"word": words, "x": np.arange(50) % 7})
    with dask.config.set({"scheduler": "threads", "dataframe.convert-string": False}):
        lazy = dd.from_map(
            lambda part: part, [whole.iloc[:30], whole.iloc[30:40], whole.iloc[40:]], meta=whole.iloc[:0]
        )
        one, many = (gpuvgm.TableTransformer(effort="research").fit(source) for source in (whole, lazy))
        assert model_of(many) == model_of(one)
        pd.testing.assert_frame_equal(many.transform(lazy).compute(), one.transform(whole))


def test_an_error_of_a_partition_names_its_first_row(frame):
    transformer = gpuvgm.TableTransformer({"note": "categorical"}).fit(frame.iloc[:1500])
    lazy = transformer.transform(dd.from_pandas(frame, npartitions=4))
    with (
        dask.config.set(scheduler="threads"),
        pytest.raises(InputError, match="partition that begins at row 1[05]0.*no category"),
    ):
        lazy.compute()


def test_identifiers_and_text_of_a_lazy_frame() -> None:
    rows = 3_000
    days = pd.date_range("2013-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    frame = pd.DataFrame({"key": np.arange(rows) * 5 + 100, "name": [f"n{i}" for i in range(rows)], "day": days})
    lazy = dd.from_pandas(frame, npartitions=3)
    transformer = gpuvgm.TableTransformer().fit(lazy)
    assert [spec.kind for spec in transformer.schema_.columns] == ["id", "id", "continuous"]
    alone = gpuvgm.TableTransformer().fit(frame)
    assert [repr(column.to_json()).replace("large_string", "string") for column in transformer.columns_.values()] == [
        repr(column.to_json()).replace("large_string", "string") for column in alone.columns_.values()
    ]  # text of Dask's frames is of either type, by their versions
    back = transformer.inverse_transform(transformer.transform(lazy)[["day.scalar", "day.mode"]]).compute()
    assert back["key"].tolist() == frame["key"].tolist()
    assert back["name"].tolist() == [str(row) for row in range(rows)]
    assert back["day"].tolist() == frame["day"].tolist()


def test_partitions_by_quantiles_of_the_rows_are_found_once(frame, monkeypatch):
    """Dask may find others when it is asked again, as `set_index` and `sort_values` do where a frame is optimised."""
    shuffle = pytest.importorskip("dask.dataframe.dask_expr._shuffle")
    find, asked = shuffle._calculate_divisions, []

    def drifting(*given):
        asked.append(given)
        divisions, *rest = find(*given)
        return [divisions[0], *(one + 3 * len(asked) for one in divisions[1:-1]), divisions[-1]], *rest

    class Forgetful(dict):
        def __contains__(self, key):
            return False

    monkeypatch.setattr(shuffle, "_calculate_divisions", drifting)
    monkeypatch.setattr(shuffle, "divisions_lru", Forgetful())
    lazy = split(frame[["age", "price"]], 5).set_index("age", drop=False)
    fitted = gpuvgm.TableTransformer(effort="research").fit(lazy)
    assert fitted.model_.rows == len(fitted.transform(lazy).compute()) == ROWS


def test_int96_of_a_path_is_read_by_workers(client, tmp_path):
    """Dask itself makes 1816-03-29 of 9999-12-31."""
    table = pa.table({"t": pa.array([datetime(9999, 12, 31), datetime(2020, 1, 1)] * 50, pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    transformer = gpuvgm.TableTransformer(executor=client).fit(tmp_path / "t.parquet")
    encoded = transformer.transform(tmp_path / "t.parquet")
    assert transformer.inverse_transform(encoded).equals(table)
