"""Laws that are a user's own objects: rows that break them are drawn again, and no file holds their code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.laws import Laws
from gpuvgm.records import document_of
from tests.cli.running import invoke

ROWS = 1500


class Tariff:
    """What belongs to a stay adds up to a multiple of a number, which no text of a law says."""

    def __init__(self, divisor: int = 4) -> None:
        self.divisor = divisor

    def holds(self, rows: Any) -> Any:
        return sum(np.asarray(rows[name]) for name in ("nights", "guests", "meals")) % self.divisor == 0


class Answers:
    """Gives what it is told to."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def holds(self, rows: Any) -> Any:
        return self.answers(rows)


def _stays(divisor: int = 4, rows: int = ROWS) -> pd.DataFrame:
    """Stays of guests, each with some of them, whose nights, guests and meals add up to a multiple of the divisor."""
    random = np.random.default_rng(5)
    nights, guests, meals = random.integers(0, 64 * divisor, (3, rows))
    visitor = np.repeat(np.arange(rows // 5), 5)
    return pd.DataFrame(
        {
            "booking": [f"B-{number:06d}" for number in random.permutation(10**6)[:rows]],
            "visitor": [f"V{number:05d}" for number in visitor * 17],
            "born": random.integers(1930, 2000, rows // 5)[visitor],
            "nights": nights,
            "guests": guests,
            "meals": meals + -(nights + guests + meals) % divisor,
            "paid": pd.Series(random.random(rows) < 0.5, dtype="boolean").mask(random.random(rows) < 0.1),
        }
    )


KEYS = {"booking": {"key": True}, "visitor": {"key": True}}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The training rows."""
    return _stays()


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them, with keys."""
    return gpuvgm.TableSynthesizer(KEYS, laws=["auto", Tariff()]).fit(table)


@pytest.fixture(scope="module")
def sample(fitted: gpuvgm.TableSynthesizer) -> pd.DataFrame:
    """Rows of it."""
    rows: pd.DataFrame = fitted.sample(ROWS)
    return rows


def test_all_rows_keep_it(table: pd.DataFrame, fitted: Any, sample: pd.DataFrame) -> None:
    assert "laws: Tariff" in str(fitted) and fitted.fit_report_.laws == ("Tariff",)
    assert Tariff().holds(sample).all()
    without = gpuvgm.TableSynthesizer(KEYS, laws="off").fit(table).sample(ROWS)
    assert 0.15 < Tariff().holds(without).mean() < 0.35
    # A row that is drawn again keeps its keys, and what they have.
    pd.testing.assert_frame_equal(sample[["booking", "visitor", "born"]], without[["booking", "visitor", "born"]])
    keeps = Tariff().holds(without)
    pd.testing.assert_frame_equal(sample[keeps], without[keeps])


def test_a_row_is_a_function_of_its_number(fitted: Any, sample: pd.DataFrame, tmp_path: Path) -> None:
    parts = [fitted.sample(500, first_row=first) for first in (0, 500, 1000)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), sample)
    fitted.sample(ROWS, out=tmp_path / "sample.parquet")
    pd.testing.assert_frame_equal(
        pq.read_table(tmp_path / "sample.parquet").to_pandas(), sample, check_dtype=False, check_column_type=False
    )
    copy: Any = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(copy.sample(500), sample[:500])
    copy.sample(ROWS, out=tmp_path / "again.parquet")
    metadata = [pq.read_metadata(tmp_path / f"{name}.parquet").metadata for name in ("sample", "again")]
    assert metadata[0][b"gpuvgm.digest"] == metadata[1][b"gpuvgm.digest"]


def test_workers_change_nothing(table: pd.DataFrame, fitted: Any, sample: pd.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "rows.parquet", row_group_size=700)
    with gpuvgm.cluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        executor = gpuvgm.DaskExecutor(client)
        again: Any = gpuvgm.TableSynthesizer(KEYS, laws=["auto", Tariff()], executor=executor)
        again.fit(tmp_path / "rows.parquet").sample(ROWS, out=tmp_path / "folder")
    written = pq.read_table(tmp_path / "folder").to_pandas()
    assert written.to_dict("list") == sample.astype(written.dtypes.to_dict()).to_dict("list")


@pytest.mark.parametrize("columns", [None, KEYS])
def test_conditions_and_programs_hold_together(columns: Any, table: pd.DataFrame) -> None:
    fitted = gpuvgm.TableSynthesizer(columns, laws=[Tariff()]).fit(table.drop(columns=[] if columns else [*KEYS]))
    rows = fitted.sample(300, conditions={"nights": (50, 100), "born": (1950, None)})
    assert Tariff().holds(rows).all() and rows["nights"].between(50, 100).all() and (rows["born"] >= 1950).all()
    wanted = pd.DataFrame({"nights": [50, 60, 50, 70]})
    rows = fitted.sample(4, conditions=wanted)
    assert Tariff().holds(rows).all() and rows["nights"].tolist() == [50, 60, 50, 70]


@pytest.mark.parametrize("kind", ["pandas", "polars", "dict", "arrow", "parquet"])
def test_rows_are_of_the_kind_that_was_fitted(kind: str, tmp_path: Path) -> None:
    frame = _stays(rows=300).drop(columns=[*KEYS]).rename(columns={"born": 0})
    arrow = pa.Table.from_pandas(frame.rename(columns={0: "0"}), preserve_index=False)
    pq.write_table(arrow, tmp_path / "stays.parquet")
    tables = {
        "pandas": frame,
        "polars": pl.from_arrow(arrow),
        "dict": {name: frame[name].to_numpy() for name in frame if name != "paid"},
        "arrow": arrow,
        "parquet": tmp_path / "stays.parquet",
    }
    types = list[tuple[type, str]]()

    def answers(rows: Any) -> Any:
        dtypes = {name: rows[name].dtype for name in rows} if kind in ("pandas", "dict") else rows.schema
        types.append((type(rows), str(dtypes)))
        return np.asarray(rows["nights"]) >= 0

    fitted = gpuvgm.TableSynthesizer(laws=[Answers(answers)]).fit(tables[kind])
    of_fit = len(types)
    sample = fitted.sample(50)
    assert len(types) > of_fit and len({*types}) == 1 and types[0][0] is type(sample)


def test_missing_answers_count_as_kept() -> None:
    frame = _stays(rows=300).drop(columns=[*KEYS])
    fitted = gpuvgm.TableSynthesizer(laws=[Answers(lambda rows: rows["paid"] | (rows["nights"] >= 0))]).fit(frame)
    assert fitted.laws_[0].holds
    fitted = gpuvgm.TableSynthesizer(laws=[Answers(lambda rows: rows["paid"])]).fit(frame)
    assert fitted.laws_ == ()
    paid = frame.assign(paid=frame["paid"].where(frame["paid"].fillna(False)))
    fitted = gpuvgm.TableSynthesizer(laws=[Answers(lambda rows: rows["paid"])]).fit(paid)
    assert fitted.laws_[0].holds and fitted.sample(100)["paid"].all()


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (lambda rows: True, "holds gave one value for .* rows, not one boolean for each row"),
        (lambda rows: rows["nights"][:2] > 0, r"holds gave an array of shape \(2,\) for"),
        (lambda rows: rows[["nights"]] > 0, r"holds gave an array of shape \(\d+, 1\)"),
        (lambda rows: rows["nights"], "holds gave int64, not one boolean for each row"),
        (lambda rows: np.array([True, "x"] * len(rows), object)[: len(rows)], "holds gave object, not"),
        (lambda rows: rows["night"] > 0, "holds raised KeyError: 'night'; its rows are a DataFrame of the modelled"),
        (lambda rows: rows["nights"] <= rows["nights"].mean(), "other answers beside other rows"),
    ],
)
def test_what_holds_gives_is_checked(answers: Any, problem: str) -> None:
    frame = _stays(rows=300).drop(columns=[*KEYS])
    with pytest.raises(InputError, match=f'laws: "Answers": {problem}|laws: "Answers": holds gives a row {problem}'):
        gpuvgm.TableSynthesizer(laws=[Answers(answers)]).fit(frame)


@pytest.mark.parametrize(
    ("laws", "problem"),
    [
        ([Tariff], r"Tariff is a class; give an object of it, Tariff\(\)"),
        ([len], "<built-in function len> is neither the text of a law nor an object with holds"),
        ([Tariff(), Tariff(2)], 'two of "Tariff", "Tariff" have one name'),
        (Tariff(), r'laws must be "auto", "off", or a list of texts of laws and of objects with holds\(rows\), got'),
        (["Tariff"], "'Tariff' is no law of the modelled columns"),
    ],
)
def test_what_is_no_law_is_refused(laws: Any, problem: str, table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=problem):
        gpuvgm.TableSynthesizer(laws=laws).fit(table)


def test_rows_that_break_it_end_it(table: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    wrong = table.assign(meals=table["meals"] + (np.arange(ROWS) < 3))
    fitted = gpuvgm.TableSynthesizer(laws=[Tariff()]).fit(wrong)
    assert fitted.laws_ == () and 'the law "Tariff" is broken by 3 rows: samples do not keep it' in caplog.text
    fitted = gpuvgm.TableSynthesizer(laws=[Tariff()]).fit(table)
    assert fitted.partial_fit(table).laws_[0].holds
    assert fitted.partial_fit(wrong).laws_[0].breaches == 3 and "laws:" not in str(fitted)
    assert not Tariff().holds(fitted.sample(200)).all()


def test_fits_that_are_merged_have_it(table: pd.DataFrame, fitted: Any, sample: pd.DataFrame, reloaded: Any) -> None:
    alike = gpuvgm.TableSynthesizer(like=fitted).fit(table)
    pd.testing.assert_frame_equal(alike.sample(ROWS), sample)
    for merged in (fitted.merge(alike), fitted.merge(reloaded(alike))):
        assert Tariff().holds(merged.sample(200)).all()
    other = gpuvgm.TableSynthesizer(KEYS, laws="off").fit(table)
    with pytest.raises(InputError, match="different bins or networks"):
        fitted.merge(other)


def test_laws_that_hardly_any_row_keeps_are_refused() -> None:
    frame, divisor = _stays(400, 3000).drop(columns=[*KEYS]), 400
    fitted = gpuvgm.TableSynthesizer(laws=[Tariff(divisor), Answers(lambda rows: rows["nights"] >= 0)]).fit(frame)
    problem = 'of 16,384 rows of the model, .* keep "Tariff", 16,384 keep "Answers", .* keep all, and one of 64 must'
    for first_row in (0, 10**6):
        with pytest.raises(InputError, match=problem):
            fitted.sample(1, first_row=first_row)
    with pytest.raises(InputError, match='rows that meet the conditions, .* keep "Tariff"'):
        fitted.sample(1, conditions={"nights": (0, 5000)})


def test_a_file_has_its_name_and_no_code(fitted: Any, table: Any, sample: Any, tmp_path: Path) -> None:
    path = tmp_path / "stays.gpuvgm"
    fitted.save(path)
    loaded: Any = gpuvgm.load(path)
    assert loaded.laws_ == fitted.laws_ and loaded.laws == ["auto", "Tariff"] and "laws: Tariff" in str(loaded)
    refusal = r'"Tariff" is a Python object, and a model holds no code: .* gpuvgm.load\(path, laws=\[Tariff\(\)\]\)'
    for use in (lambda: loaded.sample(1), lambda: loaded.score_samples(table), lambda: loaded.partial_fit(table)):
        with pytest.raises(InputError, match=refusal):
            use()
    refused = invoke("sample", path, tmp_path / "sample.parquet", "--rows", 5, code=2)
    assert '"Tariff" is a Python object' in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "sample.parquet").exists()
    again: Any = gpuvgm.load(path, laws=fitted.laws)
    pd.testing.assert_frame_equal(again.sample(ROWS), sample)
    assert again.laws == fitted.laws
    with pytest.raises(InputError, match='the model has no law "Answers"; it has "Tariff"'):
        gpuvgm.load(path, laws=[Answers(None)])


def test_other_models_take_no_programs(table: pd.DataFrame, tmp_path: Path) -> None:
    part = table[["nights", "born"]]
    gpuvgm.TableTransformer().fit(part).save(tmp_path / "encoder.gpuvgm")
    with pytest.raises(InputError, match="laws are for a TableSynthesizer, which this is not"):
        gpuvgm.load(tmp_path / "encoder.gpuvgm", laws=[Tariff()])
    gpuvgm.TableSynthesizer().fit(part).save(tmp_path / "counts.gpuvgm")
    with pytest.raises(InputError, match='the model has no law "Tariff"; none of its laws is an object'):
        gpuvgm.load(tmp_path / "counts.gpuvgm", laws=[Tariff()])


def test_documents_are_checked(fitted: Any) -> None:
    columns, parts = fitted.transformer_.model_.by_name, document_of(fitted.laws_[0])
    document = json.loads(json.dumps(parts))
    assert Laws.of_documents([document], columns) == fitted.laws_ and "program" not in document
    for changed in ({"function": ""}, {"target": "born"}, {"factor": 2.0}):
        with pytest.raises(ValueError, match="has other parts than a name"):
            Laws.of_documents([document | changed], columns)


def test_densities_and_comparisons_know_it(table: pd.DataFrame, fitted: Any) -> None:
    wrong = table.assign(meals=table["meals"] + np.arange(ROWS) % 2)
    assert np.isneginf(fitted.score_samples(wrong)).tolist() == [False, True] * (ROWS // 2)
    shares = {share.law: share for share in fitted.evaluate(table).laws}
    assert (shares["Tariff"].original, shares["Tariff"].synthetic, shares["Tariff"].rows) == (1, 1, ROWS)
