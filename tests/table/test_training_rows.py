"""Rows to train on: the matrix of a transform, a batch at a time, whoever asks and wherever the rows are kept."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.arrays import mixed
from gpuvgm.errors import InputError
from gpuvgm.io import locked
from gpuvgm.io.locks import LOCKS
from gpuvgm.table import conditions, training
from gpuvgm.table.conditions import Conditions
from gpuvgm.table.shuffling import permuted
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.module import up

ROWS = 3000
PLACES = ("memory", "disk")


def table(rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(4)
    word = random.choice(np.array(["a", "b", "c", "d"]), rows, p=[0.6, 0.3, 0.09, 0.01])
    return pa.table(
        {
            "amount": pa.array(random.lognormal(3, 1, rows)),
            "word": pa.array(word, mask=random.random(rows) < 0.1),
            "sure": pa.array(random.random(rows) < 0.7),
            "wide": pa.array([f"w{n}" for n in random.integers(0, 300, rows)]),
            "range": pa.array(random.uniform(size=rows)),
            "note": pa.array([f"row {n}" for n in range(rows)]),
        }
    )


KINDS = {"range": {"kind": "general"}, "wide": {"kind": "categorical", "max_categories": 20}, "note": "pass"}


@pytest.fixture(scope="module")
def fitted() -> TableTransformer:
    return TableTransformer(
        {"amount": "continuous", "word": "categorical", "sure": "categorical", **KINDS}, effort="research", max_iter=10
    ).fit(table())


@pytest.fixture(scope="module")
def matrix(fitted: TableTransformer) -> Any:
    return fitted.transform(table(), layout="onehot")


def numbers_of(batch: Any, matrix: Any) -> list[int]:
    """Which rows of the matrix a batch holds; `amount` tells them apart."""
    place = {row.tobytes(): number for number, row in enumerate(matrix)}
    return [place[row.tobytes()] for row in batch]


@pytest.mark.parametrize("place", PLACES)
def test_the_matrix_of_a_transform(fitted: TableTransformer, matrix: Any, place: Any) -> None:
    rows = TrainingRows(fitted, table(), place=place)
    assert len(rows) == ROWS and rows.width == matrix.shape[1]
    np.testing.assert_array_equal(rows.matrix(np.arange(ROWS)), matrix, strict=True)
    for some in ([5, 5, -1], slice(10, 20), slice(None, None, -7)):
        np.testing.assert_array_equal(rows[some], matrix[some], strict=True)  # type: ignore[index]
    together = np.concatenate([batch.rows for batch in rows.batches(700, shuffle=False)])
    np.testing.assert_array_equal(together, matrix, strict=True)
    assert rows.nbytes == ROWS * (2 * 4 + 4 * 1 + 3 * 4), "scalars, codes and the index of three columns"


@pytest.mark.parametrize("size", [64, 1 << 25])
def test_sources_of_every_sort(
    fitted: TableTransformer, matrix: Any, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where blocks are short and the number of rows is not known before."""
    expected = TrainingRows(fitted, table()).batch(400)
    monkeypatch.setattr(training, "BLOCK_BYTES", size * 8)
    monkeypatch.setattr(conditions, "INDEX_ROWS", size)
    pq.write_table(table(), tmp_path / "rows.parquet")
    parts = (table().slice(start, 500) for start in range(0, ROWS, 500))
    for source in (tmp_path / "rows.parquet", table().to_pandas(), parts):
        rows = TrainingRows(fitted, source)
        np.testing.assert_array_equal(rows.matrix(np.arange(ROWS)), matrix)
        for one, other in zip(rows.batch(400), expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_drawn_rows_answer_their_conditions(fitted: TableTransformer, matrix: Any) -> None:
    rows = TrainingRows(fitted, table(), seed=3)
    conditions = rows.conditions
    batch = rows.batch(2000)
    assert conditions.names == ("word", "sure", "wide")
    assert batch.vectors.shape == (2000, conditions.width) and np.all(batch.vectors.sum(axis=1) == 1)
    for number, (name, (start, stop)) in enumerate(conditions.matrix_spans.items()):
        asked, first = batch.mask[:, number] == 1, conditions.spans[name][0]
        assert np.count_nonzero(asked) > 500
        np.testing.assert_array_equal(batch.rows[asked, start:stop], batch.vectors[asked, first : first + stop - start])
    numbers_of(batch.rows, matrix)  # all are rows of the table


def test_rare_categories_have_a_share_or_their_own(fitted: TableTransformer) -> None:
    rows = TrainingRows(fitted, table(), columns=["word"])
    (start, stop), drawn = rows.conditions.matrix_spans["word"], []
    for logarithmic in (True, False):
        share = rows.batch(20_000, logarithmic=logarithmic).rows[:, start:stop].mean(axis=0)
        np.testing.assert_allclose(share, rows.conditions.probabilities("word", logarithmic=logarithmic), atol=0.015)
        drawn.append(share.min())
    assert drawn[0] > 5 * drawn[1]


def test_steps_and_seeds(fitted: TableTransformer) -> None:
    rows, others = TrainingRows(fitted, table(), seed=1), TrainingRows(fitted, table(), seed=2)
    first, second = rows.batch(50), rows.batch(50)
    assert not np.array_equal(first.rows, second.rows) and not np.array_equal(first.rows, others.batch(50).rows)
    np.testing.assert_array_equal(rows.batch(50, step=0).rows, first.rows)
    np.testing.assert_array_equal(rows.batch(50).rows, second.rows, err_msg="it goes on from there")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_row_once_whoever_makes_the_batches(
    fitted: TableTransformer, matrix: Any, workers: int, place: Any
) -> None:
    rows = TrainingRows(fitted, table(), place=place, seed=5)
    alone = list(TrainingRows(fitted, table(), seed=5).batches(128, epoch=2))
    made = [list(rows.batches(128, epoch=2, worker=(number, workers))) for number in range(workers)]
    together = [made[number % workers][number // workers] for number in range(len(alone))]
    for one, other in zip(together, alone, strict=True):
        for array, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, expected, strict=True)
    found = numbers_of(np.concatenate([batch.rows for batch in alone]), matrix)
    assert sorted(found) == list(range(ROWS)) and found != sorted(found)
    assert [len(batch.rows) for batch in alone] == [128] * (ROWS // 128) + [ROWS % 128]


def test_processes_have_as_many_batches_and_no_row_twice(fitted: TableTransformer, matrix: Any) -> None:
    rows = TrainingRows(fitted, table())
    shares = [list(rows.batches(100, rank=(number, 7), worker=(0, 1))) for number in range(7)]
    assert {len(share) for share in shares} == {30 // 7}
    found = [n for share in shares for batch in share for n in numbers_of(batch.rows, matrix)]
    assert len(set(found)) == len(found) == 28 * 100
    assert len(list(rows.batches(700, drop_last=True))) == 4 and len(list(rows.batches(700))) == 5


def test_shuffled_rows_have_conditions_of_their_own(fitted: TableTransformer) -> None:
    rows = TrainingRows(fitted, table())
    epochs = [np.concatenate([batch.vectors for batch in rows.batches(500, epoch=epoch)]) for epoch in range(2)]
    assert not np.array_equal(epochs[0], epochs[1])
    for batch in rows.batches(500):
        for number, (name, (start, stop)) in enumerate(rows.conditions.matrix_spans.items()):
            asked, first = batch.mask[:, number] == 1, rows.conditions.spans[name][0]
            own = batch.vectors[asked, first : first + stop - start]
            np.testing.assert_array_equal(own, batch.rows[asked, start:stop])
            assert np.all(own.sum(axis=1) == 1)


def test_values_that_are_no_category_have_no_condition() -> None:
    known = {"word": np.repeat(["a", "b"], 50), "x": np.arange(100.0)}
    kinds: dict[str, Any] = {"word": {"kind": "categorical", "unknown": "ignore"}, "x": "continuous"}
    model = TableTransformer(kinds, effort="research", max_iter=3).fit(known)
    rows = TrainingRows(model, known | {"word": np.repeat(["a", "new"], 50)})
    batches = list(rows.batches(10, shuffle=False))
    assert [batch.mask.sum() for batch in batches] == [10] * 5 + [0] * 5
    assert (rows.batch(500).vectors == [1, 0]).all()


@pytest.mark.parametrize("place", PLACES)
def test_codes_of_one_byte_and_of_two(place: Any) -> None:
    random = np.random.default_rng(1)
    words = [f"w{n}" for n in random.permutation(np.arange(900) % 300)]
    source = pa.table({"few": pa.array(words[:3] * 300), "many": pa.array(words), "x": random.normal(size=900)})
    kinds: dict[str, Any] = {"few": "categorical", "many": {"kind": "categorical", "max_categories": 300}}
    model = TableTransformer(kinds | {"x": "continuous"}, effort="research", max_iter=3).fit(source)
    rows = TrainingRows(model, source, place=place)
    assert model.columns_["many"].code_dtype == np.int16 and rows.nbytes == 900 * (4 + 2 + 1 + 1 + 2 * 4)
    matrix = model.transform(source, layout="onehot")
    np.testing.assert_array_equal(rows.matrix(np.arange(900)), matrix, strict=True)
    batch = rows.batch(300)
    asked = batch.mask[:, 1] == 1
    np.testing.assert_array_equal(batch.rows[asked, 3:303], batch.vectors[asked, 3:])


def test_rows_do_not_follow_from_the_draw_of_their_conditions(fitted: TableTransformer, matrix: Any) -> None:
    """The frequent category is drawn by the smallest uniforms: all its rows must be as likely all the same."""
    training = TrainingRows(fitted, table(), columns=["word"], seed=1)
    conditions, trained = training.conditions, training.batch(4000)
    drawn = conditions.draw(4000, seed=1)
    own = np.flatnonzero(drawn.code == 0)
    picked = training.index.pick(drawn, seed=1)[own]
    batch = np.array(numbers_of(trained.rows[trained.vectors[:, 0] == 1], matrix))
    held = np.flatnonzero(matrix[:, conditions.matrix_spans["word"][0]] == 1)
    for rows in (picked, batch):
        assert np.mean(np.searchsorted(held, rows) / len(held)) == pytest.approx(0.5, abs=0.03)


def test_without_conditions(fitted: TableTransformer, matrix: Any) -> None:
    rows = TrainingRows(fitted, table(), columns=[])
    batch = rows.batch(300)
    assert batch.vectors.shape == batch.mask.shape == (300, 0)
    assert len(set(numbers_of(batch.rows, matrix))) > 200
    assert sum(len(batch.rows) for batch in rows.batches(1000)) == ROWS


@needs_compiler
def test_rows_of_a_device(strict_cupy: Any) -> None:
    values = np.random.default_rng(1).lognormal(size=500)
    settings: dict[str, Any] = {"effort": "research", "max_iter": 5}
    here = TableTransformer({"x": "continuous"}, **settings).fit({"x": values})
    there = TableTransformer({"x": "continuous"}, engine="cuda", **settings).fit({"x": up(values)})
    one, other = (TrainingRows(*given) for given in ((here, {"x": values}), (there, {"x": up(values)})))
    np.testing.assert_array_equal(one.batch(50).rows, other.batch(50).rows)


@needs_compiler
@pytest.mark.parametrize("columns", [None, []])
def test_rows_that_lie_on_the_device(fitted: TableTransformer, strict_cupy: Any, columns: Any) -> None:
    here, there = (TrainingRows(fitted, table(), place=place, seed=6, columns=columns) for place in ("memory", "cuda"))
    assert here.nbytes == there.nbytes and len(here) == len(there)
    uploads = strict_cupy.hardware.uploads
    uploads.clear()
    batches = [there.batch(300), there.batch(20, step=7), *there.batches(1024, epoch=3), there.matrix(np.array([5, 2]))]
    assert max(uploads, default=0) <= 1024, "what goes up are numbers of a batch"
    expected = [here.batch(300), here.batch(20, step=7), *here.batches(1024, epoch=3), here.matrix(np.array([5, 2]))]
    for batch, other in zip(batches, expected, strict=True):
        for one, array in zip(batch, other, strict=True):
            assert isinstance(one, strict_cupy.ndarray)
            np.testing.assert_array_equal(one.get(), array, strict=True)
    if columns is None:  # as CTGAN's sampler asks: the numbers of rows that answer conditions lie on the device
        drawn = there.conditions.drawn_codes(np.random.default_rng(0), 20, logarithmic=True)
        numbers = there.index.answers(*drawn, lambda held: held - 1)
        assert isinstance(numbers, strict_cupy.ndarray)
        np.testing.assert_array_equal(there.matrix(numbers).get(), here.matrix(numbers.get()))


@needs_compiler
def test_rows_that_do_not_fit_the_device(fitted: TableTransformer, strict_cupy: Any) -> None:
    gpuvgm.engines.get_engine("cuda")
    strict_cupy.hardware.memory = strict_cupy.hardware.used[0] + 1000
    with pytest.raises(InputError, match='place="memory" or "disk"'):
        TrainingRows(fitted, table(), place="cuda")


def test_a_folder_of_its_own_goes_with_the_rows(fitted: TableTransformer, tmp_path: Path) -> None:
    rows = TrainingRows(fitted, table(), place="disk", folder=tmp_path / "kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["gpuvgm-index", "gpuvgm-rows"]
    del rows
    gc.collect()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names
    own = TrainingRows(fitted, table(), place="disk")
    folder = own._store.folder
    assert folder is not None and folder.exists()
    del own
    gc.collect()
    assert not folder.exists()


def test_rows_that_are_mapped_outlive_others_in_the_same_folder(fitted: TableTransformer, tmp_path: Path) -> None:
    first = TrainingRows(fitted, table(), place="disk", folder=tmp_path)
    held, index = first.matrix(slice(None)), first.index.rows.copy()
    other = TrainingRows(fitted, table().slice(ROWS // 2), place="disk", folder=tmp_path)
    assert len(other) == ROWS // 2
    np.testing.assert_array_equal(first.matrix(slice(None)), held)
    np.testing.assert_array_equal(first.index.rows, index)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpuvgm-index", "gpuvgm-rows"]


def test_pickled_rows_know_when_others_took_their_place(fitted: TableTransformer, tmp_path: Path) -> None:
    first = TrainingRows(fitted, table(), place="disk", folder=tmp_path)
    before = pickle.dumps(first)
    other = TrainingRows(fitted, table().slice(ROWS // 2), place="disk", folder=tmp_path)
    for stored in (before, pickle.dumps(first)):
        with pytest.raises(InputError, match="no longer there.* a folder of its own"):
            pickle.loads(stored)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(other)).matrix(slice(None)), other.matrix(slice(None)))

    temporary = TrainingRows(fitted, table(), place="disk")
    stored = pickle.dumps(temporary)
    del temporary
    gc.collect()
    with pytest.raises(InputError, match="no longer there"):
        pickle.loads(stored)


def test_pickled_rows_know_others_of_the_same_size_and_time(fitted: TableTransformer, tmp_path: Path) -> None:
    file = tmp_path / "gpuvgm-rows"
    stored = pickle.dumps(TrainingRows(fitted, table(), place="disk", folder=tmp_path))
    changed = file.stat().st_mtime_ns
    TrainingRows(fitted, table().take(np.arange(ROWS)[::-1]), place="disk", folder=tmp_path)
    os.utime(file, ns=(changed, changed))
    with pytest.raises(InputError, match="no longer there, or damaged; others may have been written"):
        pickle.loads(stored)


def test_equal_rows_have_one_digest_wherever_they_are_kept(fitted: TableTransformer, tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "t.parquet")
    kept = [TrainingRows(fitted, source) for source in (table(), tmp_path / "t.parquet", iter([table()]), table())]
    kept.append(TrainingRows(fitted, table(), place="disk"))
    assert len({rows.digest for rows in kept}) == 1
    assert TrainingRows(fitted, table(ROWS - 1)).digest != kept[0].digest


@pytest.mark.parametrize("name", ["rows", "index"])
@pytest.mark.parametrize("fault", ["flip", "cut", "longer", "missing", "empty", "folder"])
def test_files_of_rows_that_are_damaged_are_refused(
    fitted: TableTransformer, tmp_path: Path, name: str, fault: str
) -> None:
    stored = pickle.dumps(TrainingRows(fitted, table(), place="disk", folder=tmp_path))
    file = tmp_path / f"gpuvgm-{name}"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.unlink()
    spoilt = {"flip": bytes(content), "cut": bytes(content[:-5]), "longer": bytes(content) + b"1", "empty": b""}
    if fault in spoilt:
        file.write_bytes(spoilt[fault])
    elif fault == "folder":
        file.mkdir()
    with pytest.raises(InputError, match=f"{tmp_path}: the rows of these TrainingRows are no longer there, or damaged"):
        pickle.loads(stored)


@pytest.mark.skipif(not LOCKS, reason="no locks on this system")
def test_one_process_at_a_time_writes_rows_to_a_folder(fitted: TableTransformer, tmp_path: Path) -> None:
    first = TrainingRows(fitted, table(), place="disk", folder=tmp_path)
    with locked(tmp_path / "gpuvgm-rows"), pytest.raises(InputError, match="works there; wait for it"):
        TrainingRows(fitted, table(), place="disk", folder=tmp_path)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).matrix([7]), first.matrix([7]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpuvgm-index", "gpuvgm-rows"]


FULL = """
import gpuvgm, pyarrow.parquet as pq, resource, signal, sys
table = pq.read_table(sys.argv[1])
transformer = gpuvgm.TableTransformer({"word": "categorical", "sure": "categorical"}, effort="research").fit(table)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    gpuvgm.TrainingRows(transformer, table, place="disk", folder=sys.argv[2])
except OSError as problem:
    print(problem.filename)
"""


@pytest.mark.skipif(not LOCKS, reason="limits of POSIX")
@pytest.mark.parametrize("limit", [1000, 13_000], ids=["rows", "index"])
def test_files_of_rows_that_have_no_room_are_an_error(tmp_path: Path, limit: int) -> None:
    pq.write_table(table().select(["word", "sure"]), tmp_path / "t.parquet")
    folder = tmp_path / "kept"
    script = [sys.executable, "-c", FULL, str(tmp_path / "t.parquet"), str(folder), str(limit)]
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == f"{folder}\n"
    assert [path.name for path in folder.iterdir()] == (["gpuvgm-rows"] if limit > 1000 else [])


def test_other_files_of_a_folder_stay(fitted: TableTransformer, tmp_path: Path) -> None:
    for name in ("rows", "index"):
        (tmp_path / name).write_text("mine")
    TrainingRows(fitted, table(), place="disk", folder=tmp_path)
    assert [(tmp_path / name).read_text() for name in ("rows", "index")] == ["mine"] * 2
    with pytest.raises(InputError, match="no folder for rows can be there"):
        TrainingRows(fitted, table(), place="disk", folder=tmp_path / "rows")


@pytest.mark.parametrize("logarithmic", [True, False])
def test_conditions_are_those_of_the_rows(logarithmic: bool) -> None:
    colours = {"colour": ["red"] * 600 + ["blue"] * 300 + ["green"] * 100, "size": ["S", "L"] * 500}
    fitted = TableTransformer().fit(colours)
    rows = TrainingRows(fitted, {name: values[:900] for name, values in colours.items()})
    drawn = np.sum(
        [rows.batch(100, step=step, logarithmic=logarithmic).vectors.sum(axis=0) for step in range(40)], axis=0
    )
    own = rows.conditions.spans["colour"]
    weights = np.log1p([600, 300, 0]) if logarithmic else np.array([600, 300, 0])
    np.testing.assert_allclose(drawn[slice(*own)] / drawn[slice(*own)].sum(), weights / weights.sum(), atol=0.03)
    assert drawn[own[0] + 2] == 0, "no row is green"

    whole = TrainingRows(fitted, colours)
    assert whole.conditions.probabilities("colour").tolist() == Conditions(fitted).probabilities("colour").tolist()


def test_rows_without_any_category() -> None:
    fitted = TableTransformer({"word": {"kind": "categorical", "unknown": "ignore"}}).fit({"word": ["a", "b"] * 50})
    rows = TrainingRows(fitted, {"word": ["new"] * 20})
    with pytest.raises(InputError, match='no row has a category of "word"'):
        rows.batch(5)
    assert sum(len(batch.rows) for batch in rows.batches(7)) == 20


@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_category_without_a_place_in_the_matrix_is_refused(place: Any) -> None:
    words = {"word": [f"w{n % 300}" for n in range(ROWS)]}
    fitted = TableTransformer({"word": {"kind": "categorical", "encoding": "interval", "unknown": "ignore"}}).fit(words)
    new = {"word": [*words["word"][:10], "new"]}
    with pytest.raises(InputError, match=r'column "word": 1 value is not .* \(first at row 10\)'):
        TrainingRows(fitted, new, place=place)
    assert not np.isnan(TrainingRows(fitted, words, place=place).matrix(slice(None))).any()


@pytest.mark.parametrize("columns", [None, []])
def test_pickled_rows_of_the_disk_are_mapped_again(fitted: TableTransformer, columns: Any) -> None:
    sizes = {}
    for place in PLACES:
        rows = TrainingRows(fitted, table(), place=place, columns=columns)
        stored = pickle.dumps(rows)
        sizes[place], again = len(stored), pickle.loads(stored)
        for one, other in zip(again.batch(50), rows.batch(50), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
        del again
        gc.collect()
        rows.batch(50)  # the copy did not remove the folder
    assert sizes["memory"] - sizes["disk"] > 0.9 * rows.nbytes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"place": "tape"}, "place"),
        ({"folder": "x"}, 'place="disk"'),
        ({"columns": ["range"]}, "no one-hot columns to condition on"),
        ({"columns": ["none"]}, "was not fitted"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_is_refused(fitted: TableTransformer, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        TrainingRows(fitted, table(), **options)


def test_shares_and_sizes_that_are_refused(fitted: TableTransformer) -> None:
    rows = TrainingRows(fitted, table())
    for options in ({"rank": (2, 2)}, {"worker": (-1, 2)}):
        with pytest.raises(InputError, match="less than the second"):
            next(rows.batches(10, **options))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a whole number, at least 1"):
        next(rows.batches(0))
    with pytest.raises(InputError, match="no rows to train on"):
        TrainingRows(fitted, table().slice(0, 0))
    notes = table().select(["note"])
    with pytest.raises(InputError, match="no column that is encoded"):
        TrainingRows(TableTransformer({"note": "pass"}).fit(notes), notes)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 16, 17, 1000, 4097])
def test_places_are_permuted(rows: int) -> None:
    places = np.arange(rows, dtype=np.uint64)
    first = permuted(places, rows, 1, 0)
    assert sorted(first) == list(range(rows))
    if rows > 16:
        assert any(first != permuted(places, rows, 1, 1)) and any(first != permuted(places, rows, 2, 0))
        apart = np.abs(np.diff(first)).mean()
        assert apart == pytest.approx(rows / 3, rel=0.3)  # of random neighbours


def test_mixed_bits_are_as_often_set_as_not() -> None:
    bits = np.unpackbits(mixed(np.arange(4096, dtype=np.uint64), 7, 1).view(np.uint8)).reshape(4096, 64)
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 0.04)
    assert "TrainingRows" in gpuvgm.__all__


MASK = np.arange(ROWS) % 7 == 3


@pytest.mark.parametrize(
    "chosen",
    [
        MASK,
        MASK.tolist(),
        np.zeros(ROWS, bool),
        [],
        [5, -1, 5],
        np.array([7, 0], np.uint64),
        np.array([-ROWS, ROWS - 1], np.int32),
        5,
        -2,
        np.int16(9),
        slice(None, None, -700),
        slice(ROWS, None),
    ],
)
def test_rows_are_chosen_as_those_of_an_array(fitted: TableTransformer, matrix: Any, chosen: Any) -> None:
    rows = TrainingRows(fitted, table())
    np.testing.assert_array_equal(rows[chosen], matrix[chosen], strict=True)
    np.testing.assert_array_equal(rows.matrix(chosen), matrix[chosen], strict=True)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (MASK[:-1], r"a mask of 3,000 booleans or a slice; got bool of shape \(2999,\)"),
        ([True, False], "a mask of 3,000 booleans"),
        (True, "a mask of 3,000 booleans"),
        ([0.5, 1.0], "rows are chosen by whole numbers, .*; got float64"),
        (1.0, "got float64"),
        (["word"], "got <U4"),
        (None, "got object"),
        ([[1, 2]], r"got int64 of shape \(1, 2\)"),
        ([[1], [2, 3]], "these are no numbers of rows"),
        ([0, ROWS], "there is no row 3,000: there are 3,000"),
        (-ROWS - 1, "there is no row -3,001"),
        (np.array([2**64 - 1], np.uint64), "there is no row 18,446,744,073,709,551,615"),
    ],
)
def test_rows_that_cannot_be_chosen_are_refused(fitted: TableTransformer, chosen: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        TrainingRows(fitted, table())[chosen]


def test_what_is_no_batch_and_what_is_no_transformer_are_refused() -> None:
    table = {"colour": ["red", "red", "blue"] * 100}
    transformer = gpuvgm.TableTransformer().fit(table)
    rows = gpuvgm.TrainingRows(transformer, table)
    for wrong in (0, -5, "x", 2.5, True):
        with pytest.raises(InputError, match="rows must be a whole number, at least 1"):
            rows.batch(wrong)
    with pytest.raises(InputError, match="a fitted TableTransformer comes first, then the rows; got dict"):
        gpuvgm.TrainingRows(table, transformer)
    with pytest.raises(InputError, match="got TableTransformer"):
        gpuvgm.TrainingRows(gpuvgm.TableTransformer(), table)
