"""PrivateSynthesizer: blindfold, promise, refusals, samples and files."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import zipfile
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import gpuvgm
from gpuvgm.engines import native_is_built
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.synthesis.private import cells, mechanism
from gpuvgm.synthesis.private.account import Promise
from gpuvgm.table import TableTransformer, load_as
from tests.synthesis.private.tables import COLUMNS, DOMAIN, odd_rows, ordinary_rows

PROMISE = {"epsilon": 1, "delta": 1e-9}


def fitted(source=None, domain=DOMAIN, **settings):
    source = ordinary_rows(5000) if source is None else source
    return gpuvgm.PrivateSynthesizer(domain, **{**PROMISE, **settings}).fit(source)


@pytest.fixture(scope="module")
def synthesizer():
    return fitted()


# -- blindfold


def canned(tables, release):
    """Answers that depend on what is asked alone."""
    return tuple(
        (np.arange(table.size) * 7919 % 97 * (release.variance % 7 + 1) + 5).reshape(table.shape) for table in tables
    )


def tables_of_three_kinds():
    empty = ordinary_rows(300)[:0].drop(columns="note")
    return ordinary_rows(300).drop(columns="note"), odd_rows(), empty


def as_text(frame):
    return pa.table({name: cells._texts_of(frame[name]) for name in COLUMNS})


def sources_of(frame, folder, name):
    """The same rows from everywhere."""
    texts = as_text(frame)
    place = folder / name
    (place / "parts").mkdir(parents=True)
    pa.parquet.write_table(texts, place / "rows.parquet", row_group_size=50)
    for part in range(2):
        pa.parquet.write_table(texts.slice(part * 3, 3 if part == 0 else None), place / "parts" / f"{part}.parquet")
    pa.csv.write_csv(texts, place / "rows.csv")
    with pa.ipc.new_file(place / "rows.arrow", texts.schema) as writer:
        writer.write_table(texts)
    yield "pandas", frame
    yield "pyarrow", texts
    yield "dict", {column: frame[column].to_numpy() for column in frame}
    yield "Parquet", place / "rows.parquet"
    yield "folder", place / "parts"
    yield "CSV", place / "rows.csv"
    yield "IPC", place / "rows.arrow"
    polars = pytest.importorskip("polars")
    yield "polars", polars.from_arrow(texts)
    dask, frames = pytest.importorskip("dask"), pytest.importorskip("dask.dataframe")
    with dask.config.set({"dataframe.convert-string": False}):
        yield "Dask", frames.from_pandas(frame, npartitions=2)


def model_and_samples(made, path):
    """All that is shown, stored or drawn of a synthesizer, as bytes."""
    made.save(path)
    drawn = made.sample(200, seed=3)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, drawn.schema) as writer:
        writer.write_table(drawn)
    shown = [str(made), repr(made.ledger_), str(made.network_), made.rows_, sorted(vars(made))]
    return path.read_bytes(), sink.getvalue().to_pybytes(), repr(shown), pickle.dumps(made._model.released)


SETTINGS = [
    {},
    {"epsilon": 10},
    {"epsilon": 0.1, "delta": 1e-6},
    {"rows_per_person": 5},
    {"threads": 1},
    {"engine": "reference"},
    {"domain": {"age": DOMAIN["age"]}},
    {"domain": {name: DOMAIN[name] for name in ("city", "active", "level")}},
]


@pytest.mark.filterwarnings("ignore:epsilon 10 is a weak promise")
@pytest.mark.parametrize("settings", SETTINGS)
def test_blindfold_the_model_is_the_same_bytes_for_all_tables(settings, tmp_path, monkeypatch):
    """With the one function between counts and noise replaced, nothing can depend on rows."""
    monkeypatch.setattr(mechanism, "_noisy", canned)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    found = set()
    for at, frame in enumerate(tables_of_three_kinds()):
        for kind, source in sources_of(frame, tmp_path, str(at)) if not settings else [("pandas", frame)]:
            found.add(model_and_samples(fitted(source, **settings), tmp_path / "made.gpuvgm"))
            assert len(found) == 1, (at, kind)


def test_a_cluster_reads_no_rows(tmp_path, capfd):
    """Its workers log what they cannot read."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as client:
        for kind, source in sources_of(ordinary_rows(), tmp_path, "rows"):
            with pytest.raises(InputError, match="in this process alone"):
                fitted(source, executor=client)
            if kind == "Dask":
                with pytest.raises(InputError, match="in this process alone"):
                    fitted(source)
        made = fitted(ordinary_rows())
        made.executor = client
        assert made.sample(50, out=tmp_path / "drawn").rows == 50
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_the_blindfold_the_model_depends_on_rows(tmp_path):
    few, many = fitted(ordinary_rows(100)), fitted(ordinary_rows(20_000))
    assert many.rows_ > 10 * few.rows_


@pytest.mark.parametrize("name", [*COLUMNS])
def test_no_value_of_the_rows_is_kept(name, tmp_path):
    """A value that is in all rows comes out only where it is declared."""
    frame = ordinary_rows(3000)
    frame["city"], frame["score"] = "Zürich-17", 0.123456789
    made = fitted(frame)
    made.save(tmp_path / "made.gpuvgm")
    with zipfile.ZipFile(tmp_path / "made.gpuvgm") as archive:
        body = b"".join(archive.read(member) for member in archive.namelist())
    assert "Zürich-17".encode() not in body
    assert b"0.123456789" not in body
    assert b"note" not in body
    assert b"3000" not in body
    drawn = made.sample(3000)
    assert set(drawn["city"].to_pylist()) <= {*DOMAIN["city"]["categories"], "elsewhere", None}
    assert 0.123456789 not in drawn["score"].to_pylist()
    assert name in drawn.schema.names


# -- the promise


@pytest.mark.filterwarnings("ignore:epsilon 10 is a weak promise")
def test_the_ledger_costs_no_more_than_the_promise():
    for settings in SETTINGS:
        made = fitted(**settings)
        wanted = {**PROMISE, "rows_per_person": 1} | settings
        promise = Promise.of(*(wanted[name] for name in ("epsilon", "delta", "rows_per_person")))
        spent = sum(release.rho for release in made.ledger_)
        assert Fraction(9, 10) * promise.rho < spent <= promise.rho
        assert {release.rows for release in made.ledger_} == {settings.get("rows_per_person", 1)}


def test_more_rows_of_a_person_mean_more_noise(synthesizer):
    five = fitted(rows_per_person=5)
    for one, more in zip(synthesizer.ledger_, five.ledger_, strict=True):
        assert more.variance == pytest.approx(25 * one.variance, rel=0.02)


def test_noise_differs_between_fits_of_the_same_rows():
    frame = ordinary_rows(500)
    first, second = fitted(frame), fitted(frame)
    assert not all(map(np.array_equal, first._model.released.columns, second._model.released.columns))
    assert not all(map(np.array_equal, first._model.released.pairs, second._model.released.pairs))


# -- refusals


@pytest.mark.parametrize(
    "setting",
    [{"random_state": 0}, {"like": None}, {"laws": "auto"}, {"bins": 64}, {"hold_out": 0.1}, {"progress": print}]
    + [{"columns": None}, {"seed": 1}, {"conditions_on": ["age"]}],
)
def test_settings_that_learn_of_rows_are_refused(setting):
    with pytest.raises(TypeError, match=next(iter(setting))):
        gpuvgm.PrivateSynthesizer(DOMAIN, **PROMISE, **setting)


def test_there_is_no_promise_by_default():
    with pytest.raises(TypeError, match="epsilon"):
        gpuvgm.PrivateSynthesizer(DOMAIN)


@pytest.mark.parametrize(
    "name", ["partial_fit", "merge", "score_samples", "validate", "plot", "transformer_", "fit_report_", "schema_"]
)
def test_what_would_tell_of_rows_or_cost_more_is_not_there(synthesizer, name):
    assert not hasattr(synthesizer, name)


def test_a_second_fit_is_refused(synthesizer, tmp_path):
    with pytest.raises(InputError, match="another"):
        synthesizer.fit(ordinary_rows(10))
    synthesizer.save(tmp_path / "made.gpuvgm")
    with pytest.raises(InputError, match="another"):
        gpuvgm.load(tmp_path / "made.gpuvgm").fit(ordinary_rows(10))
    with pytest.raises(InputError, match="another"):
        copy.deepcopy(synthesizer).fit(ordinary_rows(10))
    clone(synthesizer).fit(ordinary_rows(10))  # an object of its own, which costs its own epsilon


def test_a_fit_that_rows_decided_against_counts_as_one(tmp_path):
    made = gpuvgm.PrivateSynthesizer(DOMAIN, **PROMISE)
    (tmp_path / "ragged.csv").write_text(",".join(COLUMNS) + "\n1,2\n")
    with pytest.raises(InputError, match="cannot be read"):
        made.fit(tmp_path / "ragged.csv")
    with pytest.raises(InputError, match="another"):
        made.fit(ordinary_rows(10))


class Unreadable(list):
    def __iter__(self):
        raise AssertionError("a row was read")


@pytest.mark.parametrize("kind", ["frame", "dict", "matrix", "arrow", "csv", "nowhere", "iterator", "stream"])
def test_a_fit_refused_before_a_row_is_read_may_be_tried_again(kind, tmp_path):
    """No row can have changed the refusal, and nothing was counted."""
    frame = ordinary_rows(10).drop(columns="age")
    frame.to_csv(tmp_path / "rows.csv")
    source = {
        "frame": frame,
        "dict": {name: Unreadable([1]) for name in frame},
        "matrix": frame.to_numpy(),
        "arrow": pa.Table.from_pandas(frame),
        "csv": tmp_path / "rows.csv",
        "nowhere": tmp_path / "nowhere.csv",
        "iterator": map(lambda part: pytest.fail("a part was read"), [frame]),
        "stream": pa.Table.from_pandas(ordinary_rows(10)).to_reader(),
    }[kind]
    made = gpuvgm.PrivateSynthesizer(DOMAIN, **PROMISE)
    with pytest.raises(InputError, match="column|no such file|only once"):
        made.fit(source)
    assert made.fit(ordinary_rows(10)).sample(3).num_rows == 3
    with pytest.raises(InputError, match="another"):
        made.fit(ordinary_rows(10))


def test_a_weak_promise_is_said_once_at_the_fit(tmp_path):
    made = gpuvgm.PrivateSynthesizer({"age": DOMAIN["age"]}, epsilon=3.5, delta=1e-9)
    with pytest.warns(UserWarning, match=r"epsilon 3\.5 is a weak promise") as warned:
        made.fit(ordinary_rows(10))
    assert len(warned) == 1
    assert warned[0].filename == __file__
    made.save(tmp_path / "made.gpuvgm")
    gpuvgm.load(tmp_path / "made.gpuvgm").sample(3)
    fitted(epsilon=3)


@pytest.mark.parametrize("method", ["sample", "save", "evaluate", "describe", "to_dict"])
def test_an_object_that_is_not_fitted_says_so(method):
    made = gpuvgm.PrivateSynthesizer(DOMAIN, **PROMISE)
    arguments = {"sample": (1,), "save": ("x.gpuvgm",), "evaluate": (ordinary_rows(3),)}.get(method, ())
    with pytest.raises(NotFittedError):
        getattr(made, method)(*arguments)
    assert "PrivateSynthesizer" in str(made)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (None, "kind"),
        ({}, "kind"),
        ({"kind": "text"}, "free text"),
        ({"kind": "continuous"}, "kind"),
        ({"kind": "number"}, "low"),
        ({"kind": "number", "low": 0}, "high"),
        ({"kind": "number", "low": 0, "high": 0}, "less"),
        ({"kind": "number", "low": 1, "high": 0}, "less"),
        ({"kind": "number", "low": "a", "high": 1}, "number"),
        ({"kind": "number", "low": 0, "high": float("inf")}, "2\\^53"),
        ({"kind": "number", "low": 0, "high": float("nan")}, "nan"),
        ({"kind": "number", "low": 0, "high": 1e300}, "2\\^53"),
        ({"kind": "number", "low": 0, "high": 1, "step": -1}, "step"),
        ({"kind": "number", "low": 0, "high": 1, "step": 2}, "step"),
        ({"kind": "number", "low": 0.2, "high": 1.3, "step": 1}, "decimal places"),
        ({"kind": "number", "low": 0, "high": 1, "scale": "square"}, "scale"),
        ({"kind": "number", "low": 0, "high": 1, "scale": "log", "unit": 0}, "unit"),
        ({"kind": "number", "low": 0, "high": 1, "special": 3}, "list"),
        ({"kind": "number", "low": 0, "high": 1, "special": [1, 1]}, "differ"),
        ({"kind": "number", "low": 0, "high": 1, "special": ["x"]}, "number"),
        ({"kind": "number", "low": 0, "high": 1, "missing": "yes"}, "missing"),
        ({"kind": "number", "low": 0, "high": 1, "modal": [0]}, "modal"),
        ({"kind": "number", "low": 0, "high": 1, "step": "auto"}, "number"),
        ({"kind": "category"}, "categories"),
        ({"kind": "category", "categories": "auto"}, "list"),
        ({"kind": "category", "categories": []}, "categories"),
        ({"kind": "category", "categories": ["a", 1]}, "all"),
        ({"kind": "category", "categories": ["a", "a"]}, "differ"),
        ({"kind": "category", "categories": [1.5]}, "all"),
        ({"kind": "category", "categories": ["a"], "other": "a"}, "differ"),
        ({"kind": "category", "categories": [str(at) for at in range(40_000)]}, "32,768"),
        ({"kind": "date", "low": "soon", "high": "2000-01-01"}, "soon"),
        ({"kind": "date", "low": "2000-01-01", "high": "2000-01-01"}, "less"),
        ({"kind": "datetime", "low": "2000-01-01", "high": "2000-02-01"}, "step"),
        ({"kind": "datetime", "low": "2000-01-01", "high": "2000-02-01", "step": "1 fortnight"}, "step"),
        ({"kind": "datetime", "low": "2000-01-01", "high": "2000-02-01", "step": "0s"}, "step"),
        ({"kind": "datetime", "low": "2000-01-01", "high": "2000-02-01", "step": "1s", "tz": "Moon"}, "Moon"),
        ({"kind": "boolean", "other": 1}, "other"),
        ({"kind": "id", "first": 0.5}, "decimal places"),
        ({"kind": "id", "first": "A-17"}, "number"),
    ],
)
def test_domains_that_are_none_are_refused_before_a_row_is_read(own, message):
    made = gpuvgm.PrivateSynthesizer({"age": DOMAIN["age"], "x": own}, **PROMISE)
    with pytest.raises(InputError, match=f'column "x".*{message}'):
        made.fit(ordinary_rows(3))
    with pytest.raises(InputError, match='column "x"'):  # not a second fit: no row has been read
        made.fit(ordinary_rows(3))


@pytest.mark.parametrize("domain", [None, [], {}, {"number": {"kind": "id"}}, "absent.json"])
def test_domains_without_columns_are_refused(domain):
    with pytest.raises(InputError, match="domain"):
        fitted(domain=domain)


def test_a_domain_may_be_a_file(tmp_path):
    path = tmp_path / "domain.json"
    path.write_text(json.dumps(DOMAIN))
    assert fitted(domain=path).sample(3).schema == fitted().sample(3).schema
    path.write_text("{")
    with pytest.raises(InputError, match="JSON"):
        fitted(domain=path)


# -- samples


def test_samples_hold_what_is_declared(synthesizer):
    drawn = synthesizer.sample(20_000).to_pandas()
    assert [*drawn] == [*DOMAIN]
    assert drawn["number"].tolist() == [*range(100, 20_100)]
    assert drawn["age"].dropna().between(0, 120).all()
    assert drawn["age"].isna().mean() == pytest.approx(0.1, abs=0.05)
    assert drawn["amount"].between(-50, 10_000).all()
    assert np.array_equal(drawn["amount"], drawn["amount"].round(2))
    assert (drawn["amount"] == 0).mean() == pytest.approx(0.3, abs=0.1)
    assert drawn["score"].between(-1.5, 2.5).all()
    assert {*drawn["level"].unique()} <= {1, 2, 3}
    assert drawn["seen"].dt.floor("15min").equals(drawn["seen"])
    assert drawn["seen"].between(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")).all()
    assert pd.to_datetime(drawn["born"]).dropna().between("1950-01-01", "2005-12-31").all()


def test_types_follow_from_the_declaration(synthesizer):
    types = {field.name: str(field.type) for field in synthesizer.sample(1).schema}
    assert types == {
        "number": "int64",
        "age": "int64",
        "amount": "double",
        "score": "double",
        "city": "string",
        "level": "int64",
        "active": "bool",
        "born": "date32[day]",
        "seen": "timestamp[us]",
    }


def test_columns_depend_on_each_other():
    frame = ordinary_rows(50_000)
    frame["amount"] = frame["age"].fillna(0) * 3
    frame["city"] = np.where(frame["age"] > 60, "Bern", "Graz")
    drawn = fitted(frame, epsilon=3).sample(20_000).to_pandas()
    old = drawn["age"] > 70
    assert (drawn["city"][old] == "Bern").mean() > 0.9
    assert drawn["amount"][old].median() > 200
    assert drawn["amount"][drawn["age"] < 40].median() < 130


def test_independent_columns_stay_so_when_both_depend_on_a_third():
    draw = np.random.default_rng(0)
    third = draw.integers(0, 4, 40_000)
    frame = pd.DataFrame({name: (third + draw.integers(0, 2, 40_000)) % 4 for name in "ab"} | {"c": third})
    domain = {name: {"kind": "category", "categories": [0, 1, 2, 3]} for name in "abc"}
    drawn = fitted(frame, domain=domain).sample(400_000).to_pandas()
    for _, group in drawn.groupby("c"):
        table = pd.crosstab(group["a"], group["b"], normalize=True).to_numpy()
        assert np.abs(table - np.outer(table.sum(1), table.sum(0))).sum() < 0.1  # by chance and noise .01 or .02


def test_the_network_is_shown_with_parents_alone(synthesizer):
    lines = str(synthesizer.network_).splitlines()
    assert {line.split()[0] for line in lines} == {*COLUMNS}
    assert sum(len(line.split()) > 1 for line in lines) == len(COLUMNS) - 1
    assert "+" not in str(synthesizer.network_)


def test_rows_are_functions_of_seed_and_number(synthesizer, tmp_path):
    rows = synthesizer.sample(5000, seed=7)
    assert synthesizer.sample(1000, first_row=3000, seed=7).equals(rows.slice(3000, 1000))
    assert not synthesizer.sample(5000, seed=8).equals(rows)
    assert synthesizer.sample(0, seed=7).equals(rows.slice(0, 0))
    synthesizer.sample(5000, seed=7, out=tmp_path / "rows.parquet")
    assert pa.parquet.read_table(tmp_path / "rows.parquet").replace_schema_metadata().equals(rows)
    summary = synthesizer.sample(5000, seed=7, out=tmp_path / "rows.csv")
    assert summary.rows == 5000


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
def test_engines_draw_the_same_rows(tmp_path, synthesizer):
    synthesizer.save(tmp_path / "made.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "made.gpuvgm").set_params(engine="native")
    reference = gpuvgm.load(tmp_path / "made.gpuvgm").set_params(engine="reference")
    assert loaded.sample(3000).equals(reference.sample(3000))


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"age": (65, None)}, lambda rows: (rows["age"] >= 65).all()),
        ({"age": [30, 40]}, lambda rows: rows["age"].isin([30, 40]).all()),
        ({"age": None}, lambda rows: rows["age"].isna().all()),
        ({"amount": 0}, lambda rows: (rows["amount"] == 0).all()),
        ({"amount": (10.004, 20)}, lambda rows: rows["amount"].between(10.01, 20).all()),
        ({"score": (None, 0)}, lambda rows: (rows["score"] <= 0).all()),
        ({"city": ["Bern", None]}, lambda rows: (rows["city"].isna() | (rows["city"] == "Bern")).all()),
        ({"city": "elsewhere"}, lambda rows: (rows["city"] == "elsewhere").all()),
        ({"active": True}, lambda rows: rows["active"].all()),
        ({"level": (2, 3)}, lambda rows: rows["level"].isin([2, 3]).all()),
        ({"born": ("1960-01-01", "1960-12-31")}, lambda rows: pd.to_datetime(rows["born"]).dt.year.eq(1960).all()),
        ({"seen": ("2024-01-05", None)}, lambda rows: (rows["seen"] >= pd.Timestamp("2024-01-05")).all()),
        (
            {"age": (65, None), "active": True, "city": "Bern"},
            lambda rows: ((rows["age"] >= 65) & rows["active"] & (rows["city"] == "Bern")).all(),
        ),
    ],
)
def test_conditions_are_met_by_all_rows(synthesizer, conditions, holds):
    rows = synthesizer.sample(500, conditions=conditions).to_pandas()
    assert len(rows) == 500
    assert holds(rows)


def test_rows_under_a_condition_have_the_distribution_that_the_model_has(synthesizer):
    every = synthesizer.sample(200_000).to_pandas()
    those = synthesizer.sample(50_000, conditions={"age": (60, 70)}, seed=1).to_pandas()
    expected = every[every["age"].between(60, 70)]
    for name in ("city", "level", "active"):
        shares = [frame[name].value_counts(normalize=True, dropna=False).sort_index() for frame in (expected, those)]
        assert np.abs(shares[0] - shares[1]).max() < 0.03  # 10,000 rows or so: six standard deviations


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"weight": 1}, "weight"),
        ({"number": 101}, "number"),
        ({"city": "Paris"}, "Paris"),
        ({"age": "old"}, "old"),
        ({"age": (40, 30)}, "ends before"),
        ({"age": (200, None)}, "0 to 120"),
        ({"born": 17}, "17"),
        ({"level": None}, "None"),
    ],
)
def test_conditions_that_no_row_can_meet_are_refused(synthesizer, conditions, message):
    with pytest.raises(InputError, match=message):
        synthesizer.sample(5, conditions=conditions)


@pytest.mark.parametrize(("rows", "arguments"), [(-1, {}), (1.5, {}), (1, {"seed": -1}), (1, {"first_row": -1})])
def test_rows_that_are_none_are_refused(synthesizer, rows, arguments):
    with pytest.raises(InputError):
        synthesizer.sample(rows, **arguments)


def test_an_empty_table_gives_a_model_too():
    drawn = fitted(ordinary_rows(10)[:0]).sample(100)
    assert drawn.num_rows == 100


def test_evaluation_compares_with_raw_rows(synthesizer):
    comparison = synthesizer.evaluate(ordinary_rows(2000).drop(columns="note"), n=2000)
    assert comparison.columns["level"].score > 0.8


# -- files


def test_what_is_loaded_is_what_was_saved(synthesizer, tmp_path):
    for path in (tmp_path / "made.gpuvgm", tmp_path / "folder"):
        synthesizer.save(path)
        loaded = gpuvgm.load(path)
        assert isinstance(loaded, gpuvgm.PrivateSynthesizer)
        assert loaded.sample(2000).equals(synthesizer.sample(2000))
        assert loaded.ledger_ == synthesizer.ledger_
        assert loaded.describe() == synthesizer.describe()
        assert loaded.to_dict() == synthesizer.to_dict()
        assert loaded.rows_ == synthesizer.rows_
    assert pickle.loads(pickle.dumps(synthesizer)).sample(50).equals(synthesizer.sample(50))  # noqa: S301


def test_the_file_holds_the_promise_and_what_it_cost_and_nothing_of_the_source(synthesizer, tmp_path):
    synthesizer.save(tmp_path / "folder")
    document = json.loads((tmp_path / "folder" / "model.json").read_text())
    assert {
        part: document[part] for part in ("rows", "seed", "source", "columns", "schema", "summaries", "failed")
    } == {
        "rows": 0,
        "seed": 0,
        "source": {},
        "columns": [],
        "schema": [],
        "summaries": {},
        "failed": {},
    }
    (own,) = document["settings"].values()
    assert {*own} == {
        *("with", "domain", "epsilon", "delta", "rows_per_person", "unit", "neighbours", "rho", "releases")
    }
    assert own["domain"] == DOMAIN
    assert (own["epsilon"], own["delta"]) == ("1", "1/1000000000")
    assert {release["name"]: release["variance"] for release in own["releases"]} == {
        release.name: release.variance for release in synthesizer.ledger_
    }
    assert Fraction(own["rho"]) == sum(release.rho for release in synthesizer.ledger_)
    (column,) = pa.ipc.open_file(tmp_path / "folder" / "network.arrow").read_all().columns
    assert len(column) == len(synthesizer._model.released.columns) + len(synthesizer._model.released.pairs)


def changed(document, place, value):
    document = copy.deepcopy(document)
    part = document["settings"]["synthesizer"]
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    return document


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["epsilon"], "1/2"),
        (["epsilon"], "2"),
        (["epsilon"], "30"),
        (["delta"], "1/1000000000000"),
        (["rows_per_person"], 2),
        (["rho"], "1/1000"),
        (["releases", 0, "variance"], 5),
        (["releases", 0, "scale"], 0),
        (["releases", 1, "tables"], 1),
        (["releases"], []),
        (["unit"], "a row"),
        (["domain", "age", "high"], 40),
        (["domain", "age"], {"kind": "text"}),
        (["domain"], {}),
    ],
)
def test_files_that_promise_what_they_do_not_keep_are_refused(synthesizer, tmp_path, place, value):
    synthesizer.save(tmp_path / "folder")
    path = tmp_path / "folder" / "model.json"
    body = json.dumps(changed(json.loads(path.read_text()), place, value), ensure_ascii=False).encode()
    path.write_bytes(body)
    manifest = json.loads((tmp_path / "folder" / "manifest.json").read_text())
    manifest["files"]["model.json"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    (tmp_path / "folder" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match="inconsistent"):
        gpuvgm.load(tmp_path / "folder")


def test_other_readers_of_models_refuse_it_by_name(synthesizer, tmp_path):
    path = tmp_path / "made.gpuvgm"
    synthesizer.save(path)
    with pytest.raises(InputError, match="private synthesizer"):
        load_as(TableTransformer, path)
    pytest.importorskip("ctgan")
    from gpuvgm.integrations.ctgan import CTGAN

    with pytest.raises(InputError, match=r"CTGAN\.save"):
        CTGAN.load(path)


def test_settings_of_the_machine_leave_the_model_as_it_is(synthesizer):
    assert synthesizer.get_params()["rows_per_person"] == 1
    assert "differentially private" in str(synthesizer)
    assert "experimental" in synthesizer.describe()
    assert str(synthesizer.rows_) not in str(synthesizer)
