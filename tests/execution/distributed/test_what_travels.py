"""What goes to tasks and comes from them holds the rows that it stands for, and no others."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.execution import any_source, dask_rows
from gpuvgm.execution.partitions import Reading
from gpuvgm.io import Packed, TableSource
from tests.execution.distributed.working import lazy_frame, model_of, parts_of

dask = pytest.importorskip("dask")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")
ROWS, RUNS, LENGTH = 40_000, 200, 8
WORDS = 20_000
TEXTS = [f"a line of text, and its number is {i}" for i in range(ROWS)]
DTYPES = {
    "str": "str",
    "object": object,
    "string": "string[pyarrow]",
    "large_string": pd.ArrowDtype(pa.large_string()),
    "binary": pd.ArrowDtype(pa.binary()),
    "fixed_size_binary": pd.ArrowDtype(pa.binary(16)),
    "list": pd.ArrowDtype(pa.list_(pa.string())),
    "struct": pd.ArrowDtype(pa.struct([("text", pa.string()), ("number", pa.int64())])),
    "bool": pd.ArrowDtype(pa.bool_()),
    "int64": pd.ArrowDtype(pa.int64()),
    "category": "category",
    "dictionary": pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
}


def series(name: str, rows: int = ROWS, words: int = WORDS) -> pd.Series:
    """A column of pandas of a type."""
    if name in ("category", "dictionary"):
        coded = pd.Categorical.from_codes(np.arange(rows) % words, [f"one of many words, {i}" for i in range(words)])
        return pd.Series(coded).astype(DTYPES[name])
    plain: Any = {
        "binary": [text.encode() for text in TEXTS[:rows]],
        "fixed_size_binary": [text.encode()[-16:] for text in TEXTS[:rows]],
        "list": [[text] for text in TEXTS[:rows]],
        "struct": [{"text": text, "number": i} for i, text in enumerate(TEXTS[:rows])],
        "bool": np.arange(rows) % 3 == 0,
        "int64": np.arange(rows),
    }.get(name, TEXTS[:rows])
    return pd.Series(plain, dtype=DTYPES[name])


def runs() -> list[tuple[int, int]]:
    return [(start, LENGTH) for start in range(0, ROWS - LENGTH, ROWS // RUNS)]


def read_of(monkeypatch: pytest.MonkeyPatch, source: Any) -> tuple[pa.Table, list[int]]:
    """A sample, and how long the pickle is of what each task gives for it."""
    sizes = []
    read = dask_rows._read_runs

    def told(*arguments: Any) -> Any:
        found = read(*arguments)
        sizes.append(len(pickle.dumps(found)))
        return found

    monkeypatch.setattr(dask_rows, "_read_runs", told)
    with dask.config.set(scheduler="synchronous"):
        return source.sample(source.schema.names, runs()), sizes


def split(frame: pd.DataFrame, partitions: int) -> Any:
    """A frame of Dask over slices of the rows."""
    return lazy_frame(parts_of(frame, *(ROWS * number // partitions for number in range(1, partitions))))


def slices_of(frame: pd.DataFrame, source: Any) -> pa.Table:
    """The sample as slices of the whole frame."""
    return any_source(frame).sample(source.schema.names, runs()).cast(source.schema)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_task_gives_the_sampled_rows_alone(monkeypatch, name, partitions):
    frame = pd.DataFrame({"x": series(name)})
    source = any_source(split(frame, partitions))
    found, sizes = read_of(monkeypatch, source)
    expected = slices_of(frame, source)
    assert found.schema == source.schema and found.to_pylist() == expected.to_pylist()
    row = 4 if name in ("category", "dictionary") else 8 + len(TEXTS[-1]) + 16
    assert len(sizes) == partitions and sum(sizes) < RUNS * LENGTH * row + 6000 * partitions, sizes


def test_a_dictionary_that_all_partitions_have_is_there_once():
    """And so is the sample of a table in memory, whose hundreds of runs had a copy each."""
    words = pd.Index([f"one of many words, {i}" for i in range(WORDS)], dtype=object)
    frame = pd.DataFrame({"x": pd.Categorical.from_codes(np.arange(ROWS) % WORDS, words)})
    for given in (frame, split(frame, 4)):
        source = any_source(given)
        with dask.config.set(scheduler="synchronous"):
            column = source.sample(["x"], runs()).column("x")
        places = {chunk.dictionary.buffers()[2].address for chunk in column.chunks if len(chunk)}
        assert len(places) == 1 and column.num_chunks > RUNS // 2
        assert column.chunk(1).dictionary.to_pylist() == frame["x"].cat.categories.to_list()


def test_partitions_with_dictionaries_of_their_own_keep_them():
    words = [["a", "b", "unused"], ["a", "b", "unused"], ["b", "c"], [None, "a"]]
    parts = [pd.DataFrame({"x": pd.arrays.ArrowExtensionArray(dictionary_of(one))}) for one in words]
    source = any_source(lazy_frame(parts))
    with dask.config.set(scheduler="synchronous"):
        column = source.sample(["x"], [(0, 400)]).column("x")
    assert column.to_pylist() == [value for part in parts for value in part["x"].array.__arrow_array__().to_pylist()]
    assert [chunk.dictionary.to_pylist() for chunk in column.chunks if len(chunk)] == words


def dictionary_of(words: list[Any]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.arange(100) % 2, pa.int32()), pa.array(words, pa.string()))


@pytest.mark.parametrize("kind", ["table", "polars"])
def test_rows_that_go_with_their_partition_go_alone(kind):
    table = pa.table({"text": TEXTS, "number": np.arange(ROWS), "list": [[text] for text in TEXTS]})
    given = pytest.importorskip("polars").from_arrow(table) if kind == "polars" else table
    source = any_source(given)
    assert isinstance(source, TableSource)
    from gpuvgm.execution.dask import parts_of_task
    from gpuvgm.execution.partitions import partitions

    sent = [
        parts_of_task(one)[0]
        for one in partitions(source, Reading("reference", tuple(source.schema.names), 1000), ROWS // 20)
    ]
    sizes = [len(pickle.dumps(one)) for one in sent]
    assert len(sizes) == 20 and sum(sizes) < 2 * table.nbytes < sum(len(pickle.dumps(source.table)) for _ in sizes)
    rows = [block for one in sent for block in Packed.unpack(one).read().blocks]
    assert [block.first_row for block in rows] == list(accumulate([1000] * 39, initial=0))
    assert pa.Table.from_batches([block.batch for block in rows]).to_pylist() == source.table.to_pylist()


@pytest.fixture
def foreign() -> Iterator[list[tuple[Any, int, int]]]:
    """Arrays that were pickled with other rows than theirs: type, rows, and times the bytes of these."""
    met: list[tuple[Any, int, int]] = []
    kinds = [one for one in vars(pa.lib).values() if isinstance(one, type) and issubclass(one, pa.Array)]
    before = {one: copyreg.dispatch_table.get(one) for one in kinds}

    def reduced(array: Any) -> Any:
        own = pa.concat_arrays([array, array.slice(0, 0)]).get_total_buffer_size()
        if array.get_total_buffer_size() > 1.5 * own + 4096:
            met.append((array.type, len(array), array.get_total_buffer_size() // max(own, 1)))
        return array.__reduce__()

    for one in kinds:
        copyreg.pickle(one, reduced)
    yield met
    for one, its in before.items():
        copyreg.dispatch_table.pop(one) if its is None else copyreg.pickle(one, its)


def mixed(rows: int = 30_000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": random.lognormal(3, 1, rows).round(2),
            "city": random.choice(list("abcdef"), rows),
            "word": pd.Categorical(random.choice([f"word {i}" for i in range(3000)], rows)),
            "note": [f"free text number {i} and so on" for i in random.integers(0, 10**9, rows)],
            "key": [f"K{i:08d}" for i in range(rows)],
            "one": ["the same"] * rows,
            "bytes": pd.array([b"%d" % i for i in range(rows)], dtype=pd.ArrowDtype(pa.binary())),
            "list": pd.array([[i] for i in range(rows)], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        }
    )


@pytest.fixture(scope="module")
def serialising() -> Iterator[Any]:
    """Two workers in this process, which pickle all the same what they send."""
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("kind", ["pandas", "arrow", "parquet", "dask"])
def test_no_stage_sends_other_rows(serialising, foreign, tmp_path, kind):
    frame = mixed()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=25_000)
    partitions = dd.from_pandas(frame, npartitions=3)
    here = {"arrow": table, "parquet": tmp_path / "rows.parquet", "dask": partitions.compute()}.get(kind, frame)
    given = partitions if kind == "dask" else here
    settings = {"effort": "research", "max_iter": 2, "block_rows": 4096}
    executor = gpuvgm.DaskExecutor(serialising, partition_rows=12_000)
    fitted = gpuvgm.TableTransformer(executor=executor, **settings).fit(given)
    assert model_of(fitted) == model_of(gpuvgm.TableTransformer(**settings).fit(here))
    encoded = fitted.transform(given)
    encoded = encoded.compute() if kind == "dask" else encoded
    fitted.transform(given, out=tmp_path / "encoded.parquet")
    fitted.inverse_transform(encoded)
    fitted.inverse_transform(tmp_path / "encoded.parquet")
    fitted.evaluate(given)
    gpuvgm.TableSynthesizer(executor=executor).fit(given)
    assert foreign == []
