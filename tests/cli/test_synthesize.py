"""From a table to a synthetic table by `train` and `sample`."""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext
from functools import partialmethod
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.cli import synthesize
from gpuvgm.datasets import Generator
from gpuvgm.errors import InputError
from gpuvgm.io.sink import CsvSink
from gpuvgm.table import RunSummary
from tests.cli.running import document, invoke

ROWS = 3000


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV file as people have them."""
    path = tmp_path_factory.mktemp("messy") / "people.csv"
    random = np.random.default_rng(0)
    age = random.integers(18, 90, ROWS)
    rate = random.normal(3, 1, ROWS).round(2)
    joined, seen = np.datetime64("2015-01-01") + random.integers(0, 3000, (2, ROWS))
    words = random.choice(["a", "green", "house", "then", "runs", "over", "hill", "into"], (ROWS, 12))
    columns = {
        "customer": [f"C{row:06d}" for row in range(ROWS)],
        "age": age,
        "city": pa.array(random.choice(["Rome", "New York", "Bonn"], ROWS), mask=random.random(ROWS) < 0.05),
        "price": [f"${price:,.2f}" for price in random.lognormal(5, 1, ROWS)],
        "rate": pa.array(rate, mask=random.random(ROWS) < 0.1),
        "stars": random.integers(1, 6, ROWS),
        "joined": pa.array(joined),
        "seen": pa.array([day.strftime("%d/%m/%Y") for day in seen.tolist()], mask=random.random(ROWS) < 0.03),
        "phone": [f"+49 {number:07d}" for number in random.integers(0, 10**7, ROWS)],
        "note": pa.array([" ".join(sentence) for sentence in words], mask=random.random(ROWS) < 0.2),
        "group": np.where(age > 65, "retired", "working"),
        "country": ["DE"] * ROWS,
    }
    pa_csv.write_csv(pa.table(columns), path)
    return path


@pytest.fixture(scope="module")
def model(table):
    path = table.with_name("people.gpuvgm")
    text = invoke("train", table, "--model", path).stdout
    assert f"people.gpuvgm: counts, trained on {ROWS:,} rows in" in text
    assert "not modelled: customer (running numbers), phone (random letters and digits), note (missing values)" in text
    return path


def test_from_a_table_to_a_table(table, model, tmp_path):
    out = tmp_path / "synthetic.parquet"
    found = document("sample", model, out, "--rows", "2e3")
    assert (found["rows"], found["path"], found["model"]) == (2000, str(out), str(model))
    rows, real = pq.read_table(out), gpuvgm.TableTransformer().fit(str(table))
    assert rows.column_names == list(real.columns_)
    assert rows.schema.field("joined").type == pa.date32()
    assert set(rows["city"].to_pylist()) == {"Rome", "New York", "Bonn", None}
    assert rows["customer"][0].as_py() == f"C{ROWS:06d}"
    assert all(price.startswith("$") for price in rows["price"].to_pylist())
    assert pc.mean(pc.equal(pc.greater(rows["age"], 65), pc.equal(rows["group"], "retired"))).as_py() > 0.98


def test_a_csv_file_comes_back_as_one(table, model, tmp_path):
    out = tmp_path / "synthetic.csv"
    assert document("sample", model, out, "--rows", "2e3")["bytes"] == out.stat().st_size
    real, synthetic = pa_csv.read_csv(table), pa_csv.read_csv(out)
    for field in synthetic.schema:
        expected = pa.null() if field.name == "note" else real.schema.field(field.name).type
        assert field.type == expected, field.name
    texts = {"customer": r"C\d{6}", "price": r"\$[\d,]+\.\d\d", "seen": r"\d\d/\d\d/20\d\d", "phone": r"\+49 \d{7}"}
    for name, pattern in texts.items():
        assert pc.all(pc.match_substring_regex(synthetic[name], f"^({pattern})?$")).as_py(), name
    for name in ("city", "seen", "rate"):
        empty = [pc.fill_null(pc.cast(rows[name], "string"), "") for rows in (real, synthetic)]
        trained, sampled = (pc.mean(pc.equal(values, "")).as_py() for values in empty)
        assert trained > 0
        assert sampled == pytest.approx(trained, abs=0.03), name
    invoke("sample", model, tmp_path / "same.parquet", "--rows", "2e3")
    pa_csv.write_csv(pq.read_table(tmp_path / "same.parquet"), tmp_path / "same.csv")
    assert (tmp_path / "same.csv").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("command", ["sample", "generate", "inverse"])
def test_rows_are_printed_as_csv(table, model, tmp_path, command):
    encoded, fitted = tmp_path / "encoded.parquet", tmp_path / "fitted.gpuvgm"
    arguments = {"sample": ["sample", model], "generate": ["generate", "--rows", "40", "--kind", "mixed-table"]}
    if command == "inverse":
        invoke("fit", table, "--model", fitted, "--columns", "age,city,rate")
        invoke("transform", table, encoded, "--model", fitted)
    arguments["inverse"] = ["inverse", encoded, "--model", fitted]
    invoke(*arguments[command], tmp_path / "rows.csv")
    result = invoke(*arguments[command], "-")
    assert result.stdout == (tmp_path / "rows.csv").read_text()
    assert "gpuvgm: standard output: " in result.stderr
    assert invoke(*arguments[command], "-", "--quiet").stderr == ""
    assert "- and --json both write to standard output" in invoke(*arguments[command], "-", "--json", code=2).stderr
    assert not (tmp_path / "-").exists()


def test_other_outputs_than_csv_are_not_printed(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"spans": pa.array([1, 2] * 200, pa.duration("s"))}), "spans.parquet")
    invoke("train", "spans.parquet", "--model", "spans.gpuvgm")
    assert "standard output (CSV): " in invoke("sample", "spans.gpuvgm", "-", code=2).stderr
    invoke("fit", table, "--model", "table.gpuvgm", "--columns", "age")
    told = invoke("transform", table, "-", "--model", "table.gpuvgm", code=2).stderr
    assert '"-": name a file or a folder' in told
    assert not (tmp_path / "-").exists()


def test_a_sample_has_the_rows_of_its_table(model, tmp_path):
    assert document("sample", model, tmp_path / "out.parquet")["rows"] == ROWS


def test_a_sample_is_written_in_the_order_of_a_column(model, tmp_path):
    invoke("sample", model, tmp_path / "rows.parquet", "--sort", "joined")
    invoke("sample", model, tmp_path / "unsorted.parquet")
    rows, unsorted = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("rows", "unsorted"))
    assert rows["joined"].to_pylist() == sorted(unsorted["joined"].to_pylist())
    assert sorted(rows["customer"].to_pylist()) == sorted(unsorted["customer"].to_pylist())


def test_an_order_that_cannot_be_is_refused(model, tmp_path):
    told = invoke("sample", model, tmp_path / "rows.parquet", "--sort", "join", code=2).stderr
    assert 'sort: there is no modelled column "join"' in told and 'did you mean "joined"' in told
    assert "give no resume" in invoke("sample", model, tmp_path / "rows", "--sort", "joined", "--resume", code=2).stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("ending", [".xlsx", ".ods", ".json", ".tsv"])
def test_of_names_of_other_formats_csv_is_named_too(model, tmp_path, ending):
    told = invoke("sample", model, tmp_path / f"out{ending}", code=2).stderr
    assert "name it out.csv, which spreadsheets open, or out.parquet" in told


def test_rare_conditions_are_a_warning_that_names_the_option(model, tmp_path):
    told = invoke(
        "sample",
        model,
        tmp_path / "out.parquet",
        "--rows",
        "9",
        "--where",
        "age = 89 and city = Bonn and joined = 2015-01-01",
    ).stderr
    assert "gpuvgm: warning: --where: the model expects only" in told


def test_without_ctgan_a_sample_says_what_the_model_is(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesize.ModelFile, "load", lambda _: Mock(generator="tvae", rows=5))
    missing = ModuleNotFoundError("gpuvgm.integrations.ctgan needs CTGAN", name="ctgan")
    monkeypatch.setattr(synthesize, "_network", Mock(side_effect=missing))
    told = invoke("sample", "m.gpuvgm", tmp_path / "rows", code=3).stderr
    assert "m.gpuvgm: holds a TVAE, a neural network that draws its rows with ctgan (gpuvgm.integrations" in told


@pytest.mark.parametrize(("problem", "code"), [(KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "full"), 3)])
def test_of_a_csv_file_that_cannot_be_written_nothing_stays(model, tmp_path, monkeypatch, problem, code):
    (tmp_path / "out.csv").write_text("before")
    monkeypatch.setattr(CsvSink, "write", Mock(side_effect=problem))
    invoke("sample", model, tmp_path / "out.csv", "--rows", "9", code=code)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_the_seed_decides(model, tmp_path):
    seeds = {"a": (), "b": ("--seed", "0"), "c": ("--seed", "1")}
    for name, seed in seeds.items():
        invoke("sample", model, tmp_path / f"{name}.parquet", "--rows", "100", *seed)
    first, same, other = (pq.read_table(tmp_path / f"{name}.parquet") for name in seeds)
    assert first.equals(same)
    assert not first.equals(other)


def test_conditions_hold_in_every_row(model, tmp_path):
    where = "age >= 30 and age <= 40 and city in (Rome, 'New York') and stars >= 4 and joined <= 2018-01-01"
    invoke("sample", model, tmp_path / "out.parquet", "--rows", "500", "--where", f"{where} and rate is missing")
    rows = pq.read_table(tmp_path / "out.parquet")
    assert rows.num_rows == 500
    assert 30 <= min(rows["age"].to_pylist()) <= max(rows["age"].to_pylist()) <= 40
    assert set(rows["city"].to_pylist()) == {"Rome", "New York"}
    assert set(rows["stars"].to_pylist()) == {4, 5}
    assert max(rows["joined"].to_pylist()).isoformat() <= "2018-01-01"
    assert rows["rate"].null_count == 500


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("agee >= 3", '--where: there is no modelled column "agee"; there are '),
        ("age >= old", '--where: column "age": "old" is no number'),
        ("city >= Rome", '--where: column "city": its categories are no numbers, and have no range: list them'),
        ("city = Paris", "--where: column \"city\": 'Paris' is none of its categories"),
        ("stars >= many", '--where: column "stars": not all are values of a column of type int64'),
        ("age > 30", '"age > 30": ranges include their ends'),
    ],
)
def test_a_wrong_condition_is_named(model, tmp_path, where, message):
    assert message in invoke("sample", model, tmp_path / "out.parquet", "--rows", "9", "--where", where, code=2).stderr
    assert not (tmp_path / "out.parquet").exists()


def test_a_model_without_a_generator(table, tmp_path):
    invoke("fit", table, "--model", tmp_path / "m.gpuvgm", "--columns", "age")
    told = invoke("sample", tmp_path / "m.gpuvgm", tmp_path / "out.parquet", "--rows", "9", code=2).stderr
    assert "a model that fit wrote, which generates no rows; write one with `gpuvgm train`" in told


def test_columns_and_kinds(table, tmp_path):
    invoke("train", table, "--model", tmp_path / "m.gpuvgm", "--columns", "age,group")
    invoke("sample", tmp_path / "m.gpuvgm", tmp_path / "out.parquet", "--rows", "9")
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["age", "group"]


def test_a_table_is_opened_once(tmp_path):
    """A file of text is read through for its types, and what is odd about it is said, once."""
    path = tmp_path / "numbers.csv"
    path.write_text("1.5,b\n" + "2.5,x\n3.5,y\n" * 100)
    told = invoke("train", path, "--model", tmp_path / "numbers.gpuvgm").stderr
    assert told.count("the header holds the number 1.5") == 1


def test_counts_have_no_epochs(table, tmp_path):
    told = invoke("train", table, "--model", tmp_path / "m.gpuvgm", "--epochs", "3", code=2).stderr
    assert "--epochs is for ctgan and tvae" in told
    message = "'forest' in the environment variable GPUVGM_WITH"
    assert message in invoke("train", table, "--model", "m.gpuvgm", env={"GPUVGM_WITH": "forest"}, code=2).stderr


def test_columns_of_real_values_and_copied_rows_are_told(tmp_path, random):
    rows = {"account": [f"account {who * 7919:018}" for who in random.integers(0, 500, 6000)]}
    rows |= {
        "amount": random.lognormal(3, 1, 6000).round(6),
        "state": random.choice([f"s{i}" for i in range(50)], 6000),
    }
    table, model, out, page = (tmp_path / name for name in ("t.parquet", "m.gpuvgm", "s.parquet", "p.html"))
    pq.write_table(pa.table(rows), table)
    told = invoke("train", table, "--model", model)
    assert 'samples hold real values of "account": text of more than 255 different values' in told.stderr
    assert "declare --columns 'account={key=true}', which makes new ones, or \"drop\"" in told.stderr
    assert document("train", table, "--model", model)["real_values"] == ["account"]
    invoke("sample", model, out, "--rows", "2000")
    compared = ("evaluate", table, "--model", model, "--compare")
    found = document(*compared, out, "--html", page)
    assert (found["real_values"], found["copies"]["stand_out"]) == (["account"], False)
    assert 'Synthetic rows hold real values of "account"' in page.read_text().replace("&quot;", '"')
    assert 'Synthetic rows hold real values of "account"' in invoke(*compared, out).stdout
    assert invoke(*compared, table).stdout.startswith(
        "100 % of the synthetic rows equal an original row; overall score 1.0"
    )
    assert document(*compared, table)["copies"]["stand_out"]


def test_the_generator_can_stand_in_a_file(table, tmp_path):
    (tmp_path / "options.toml").write_text('[train]\nwith = "counts"\nseed = 3\n')
    model = tmp_path / "m.gpuvgm"
    found = document("train", table, "--model", model, "--columns", "age", "--config", tmp_path / "options.toml")
    assert found["with"] == "counts"
    assert gpuvgm.load(model).random_state == 3


def test_an_interrupted_training_leaves_nothing_and_counts_begin_again(table, tmp_path, monkeypatch):
    path = tmp_path / "people.gpuvgm"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(gpuvgm.TableSynthesizer, "fit", interrupt)
        invoke("train", _parquet(table), "--model", path, code=130)
    assert not list(tmp_path.glob("*people*"))
    told = invoke("train", _parquet(table), "--model", path, "--resume").stderr
    assert "--resume: counts have nothing to go on with; they begin again" in told
    assert gpuvgm.load(path).network_.counts.rows == ROWS


def test_a_training_whose_columns_fail_says_how_to_declare_them(tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "y": [1.0, float("inf"), 2.0]}), tmp_path / "bad.parquet")
    told = invoke("train", tmp_path / "bad.parquet", "--model", tmp_path / "m.gpuvgm", code=2).stderr
    assert 'column "y"' in told and "give failed columns another kind: --columns NAME=KIND" in told
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_workers_train_and_draw_the_same(table, model, tmp_path):
    invoke("train", _parquet(table), "--model", tmp_path / "workers.gpuvgm", "--workers", "2")
    for name, options in (("workers", ["--workers", "2"]), ("people", [])):
        given = tmp_path / "workers.gpuvgm" if options else model
        invoke("sample", given, tmp_path / name, "--rows", "500", "--seed", "1", *options)
    drawn = [pq.read_table(tmp_path / name) for name in ("workers", "people")]
    assert drawn[0].num_rows == 500 and drawn[0].equals(drawn[1])


def test_an_interrupted_sample_goes_on(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Generator, "write", partialmethod(Generator.write, file_rows=200))
    draw = ["sample", model, tmp_path / "parts", "--rows", "500", "--seed", "1"]
    invoke(*draw)
    kept, missing, _ = sorted((tmp_path / "parts").glob("*.parquet"))
    before, whole = kept.stat().st_mtime_ns, pq.read_table(tmp_path / "parts")
    missing.unlink()
    told = invoke(*draw, code=2).stderr
    assert told.endswith(
        "2 files are there already, of 3 (first part-00000.parquet): go on with --resume, or remove "
        "them to begin again\n"
    )
    invoke(*draw, "--resume")
    assert kept.stat().st_mtime_ns == before
    assert pq.read_table(tmp_path / "parts").equals(whole)


def test_one_file_begins_again(table, model, tmp_path):
    encoded = tmp_path / "e.parquet"
    commands = {
        encoded: ("transform", table, encoded, "--model", model),
        tmp_path / "b.parquet": ("inverse", encoded, tmp_path / "b.parquet", "--model", model),
        tmp_path / "s.csv": ("sample", model, tmp_path / "s.csv", "--rows", "50"),
        tmp_path / "g.parquet": ("generate", tmp_path / "g.parquet", "--rows", "50"),
    }
    for out, command in commands.items():
        invoke(*command)
        before = out.read_bytes()
        out.write_bytes(b"PAR1")
        told = invoke(*command, "--resume").stderr
        assert told.count("--resume: one file is written as a whole; it begins again") == 1, command
        assert out.read_bytes() == before


def test_a_sample_appears_as_a_whole_and_every_command_checks_it(table, model, tmp_path, monkeypatch):
    monkeypatch.setattr(Generator, "write", partialmethod(Generator.write, file_rows=200))
    found = document("sample", model, tmp_path / "s", "--rows", "500")
    assert (found["rows"], found["path"]) == (500, str(tmp_path / "s"))
    files = [f"part-0000{number}.parquet" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["_manifest.json", *files]
    invoke("fit", tmp_path / "s", "--model", tmp_path / "m.gpuvgm", "--columns", "age")
    invoke("transform", tmp_path / "s", tmp_path / "e", "--model", tmp_path / "m.gpuvgm")
    invoke("evaluate", table, "--model", model, "--compare", tmp_path / "s")
    body = bytearray((tmp_path / "s" / files[1]).read_bytes())
    body[len(body) // 2] ^= 1
    (tmp_path / "s" / files[1]).write_bytes(body)
    told = invoke("transform", tmp_path / "s", tmp_path / "f", "--model", tmp_path / "m.gpuvgm", code=2).stderr
    assert f"{files[1]}: damaged" in told and "--resume" in told
    invoke("sample", model, tmp_path / "s", "--rows", "500", "--resume")
    invoke("transform", tmp_path / "s", tmp_path / "f", "--model", tmp_path / "m.gpuvgm")
    invoke("train", tmp_path / "s", "--model", tmp_path / "n.gpuvgm", "--columns", "age")


def test_networks_work_in_one_process(table, tmp_path, monkeypatch):
    monkeypatch.setattr("gpuvgm.cli.commands.executor_of", lambda *_: nullcontext(object()))
    told = invoke("train", table, "--model", tmp_path / "m.gpuvgm", "--with", "tvae", "--workers", "2", code=2).stderr
    assert "--scheduler and --workers are for counts; tvae works in one process" in told
    assert not list(tmp_path.iterdir())


def test_networks_draw_from_the_first_row_on(tmp_path, monkeypatch):
    stored = Mock(generator="tvae")
    monkeypatch.setattr(synthesize.ModelFile, "load", lambda _: stored)
    network = Mock(**{"load.return_value.sample.return_value": RunSummary(str(tmp_path / "rows"), 5, 1, 1, 0.1)})
    monkeypatch.setattr(synthesize, "_network", lambda *_: network)
    told = invoke("sample", "m.gpuvgm", tmp_path / "rows", "--rows", "5", "--resume").stderr
    assert "--resume: tvae draws its rows one after the other, from the first on" in told


def _parquet(table):
    path = table.with_suffix(".parquet")
    if not path.exists():
        pq.write_table(pa_csv.read_csv(table), path)
    return path


def test_infinities_of_databases_are_not_written_as_csv(tmp_path):
    days = pa.array(np.where(np.arange(400) % 9, np.arange(400) + 18_000, 2**31 - 1).astype(np.int32), pa.int32())
    moments = pa.array(np.where(np.arange(400) % 9, np.arange(400) * 10**9, 2**63 - 1), pa.timestamp("us"))
    for name, column in (("day", days.cast(pa.date32())), ("moment", moments)):
        pq.write_table(pa.table({name: column, "x": np.arange(400)}), tmp_path / "t.parquet")
        invoke("train", tmp_path / "t.parquet", "--model", tmp_path / "m.gpuvgm")
        invoke("sample", tmp_path / "m.gpuvgm", tmp_path / "rows.parquet")
        told = invoke("sample", tmp_path / "m.gpuvgm", tmp_path / "rows.csv", code=2).stderr
        assert f'column "{name}" has moments beyond the year 32767' in told
        assert not (tmp_path / "rows.csv").exists()

        invoke("sample", tmp_path / "m.gpuvgm", tmp_path / "rows.csv", "--where", f"{name} <= 2100-01-01")
        (tmp_path / "rows.csv").unlink()


# -- private generators

PEOPLE = {
    "age": {"kind": "number", "low": 0, "high": 120, "step": 1},
    "city": {"kind": "category", "categories": ["Rome", "New York"], "other": "elsewhere", "missing": True},
    "joined": {"kind": "date", "low": "2000-01-01", "high": "2030-01-01"},
}


@pytest.fixture(scope="module")
def domain(table):
    path = table.with_name("domain.json")
    path.write_text(json.dumps(PEOPLE))
    return path


@pytest.fixture(scope="module")
def private_model(table, domain):
    path = table.with_name("private.gpuvgm")
    text = invoke("train", table, "--model", path, *private_options(domain)).stdout
    assert "private.gpuvgm: (1, 1e-09)-differentially private for persons with at most 1 row" in text
    assert "experimental" in text
    assert "rows" not in text.replace("1 row", "")
    assert f"{ROWS:,}" not in text
    return path


def private_options(domain):
    return "--private", domain, "--epsilon", 1, "--delta", 1e-9


def test_private_rows_hold_what_is_declared(private_model, tmp_path):
    text = invoke("sample", private_model, tmp_path / "rows.parquet", "--rows", 500, "--where", "age >= 65").stdout
    assert "500 rows" in text
    rows = pq.read_table(tmp_path / "rows.parquet")
    assert rows.column_names == [*PEOPLE]
    assert pc.min(rows["age"]).as_py() >= 65
    assert set(rows["city"].to_pylist()) <= {"Rome", "New York", "elsewhere", None}


def test_private_rows_have_no_order(private_model, tmp_path):
    told = invoke("sample", private_model, tmp_path / "rows.parquet", "--sort", "age", code=2).stderr
    assert "--sort is for counts" in told


def test_by_default_as_many_private_rows_are_drawn_as_noisy_counts_say(private_model, tmp_path):
    invoke("sample", private_model, tmp_path / "rows.parquet")
    rows = pq.read_metadata(tmp_path / "rows.parquet").num_rows
    assert rows == gpuvgm.load(private_model).rows_
    assert 0 < abs(rows - ROWS) + 1 < 1000


def test_the_document_of_a_private_model_has_its_promise_and_nothing_of_the_rows(table, domain, private_model):
    told = document("train", table, "--model", table.with_name("other.gpuvgm"), *private_options(domain))
    shown = document("info", private_model)
    assert told["epsilon"] == shown["epsilon"] == "1"
    assert shown["neighbours"] == told["neighbours"]
    assert {*told} - {"run"} == {*shown} - {"run"} == {"model", *gpuvgm.load(private_model).to_dict()}
    assert told["run"]["stages"] == []
    assert "experimental" in invoke("info", private_model).stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--with", "ctgan"),
        ("--epochs", 3),
        ("--columns", "age"),
        ("--delimiter", ";"),
        ("--seed", 0),
        ("--hold-out", 0.1),
        ("--safer",),
        ("--laws", "off"),
        ("--resume",),
        ("--memory", "1GiB"),
    ],
)
def test_options_that_learn_of_rows_are_not_for_private_generators(table, domain, options):
    text = invoke(
        "train", table, "--model", table.with_name("x.gpuvgm"), *private_options(domain), *options, code=2
    ).stderr
    assert f"{options[0]} is not for --private" in text
    assert not table.with_name("x.gpuvgm").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epsilon", 1), "delta must be a number"),
        (("--delta", 1e-9), "epsilon must be a number"),
        (("--epsilon", 30, "--delta", 1e-9), "at most 20"),
        (("--epsilon", 1, "--delta", 0.1), "at most 1e-5"),
    ],
)
def test_promises_that_are_none_are_refused(table, domain, options, message):
    place = table.with_name("x.gpuvgm")
    assert message in invoke("train", table, "--model", place, "--private", domain, *options, code=2).stderr
    assert not place.exists()


def test_a_promise_without_a_domain_is_refused(table):
    for option in (("--epsilon", 1), ("--delta", 1e-9), ("--rows-per-person", 2)):
        text = invoke("train", table, "--model", table.with_name("x.gpuvgm"), *option, code=2).stderr
        assert "--private DOMAIN.json" in text


@pytest.mark.parametrize(
    "command",
    [
        ("transform", "{table}", "{folder}/out.parquet", "--model", "{model}"),
        ("evaluate", "{table}", "--model", "{model}"),
        ("validate", "{table}", "--model", "{model}"),
        ("inverse", "{table}", "{folder}/out.parquet", "--model", "{model}"),
        ("fit", "{table}", "--model", "{model}", "--add"),
    ],
)
def test_other_commands_refuse_a_private_model_by_name(table, private_model, tmp_path, command):
    words = [word.format(table=table, model=private_model, folder=tmp_path) for word in command]
    assert "a private synthesizer" in invoke(*words, code=2).stderr
    assert gpuvgm.load(private_model).rows_


def test_a_service_refuses_a_private_model_by_name(private_model, tmp_path):
    models = pytest.importorskip("gpuvgm.service.models")
    with pytest.raises(InputError, match="private synthesizer"):
        models.load_models(private_model)
