"""Every command, its document and its text."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.cli import commands
from gpuvgm.cli.options import OPTIONS
from gpuvgm.datasets.amounts import amount
from gpuvgm.report.validation import LIMITS
from tests.cli.conftest import ROWS
from tests.cli.running import document, invoke, run


def test_version():
    assert invoke("--version").stdout == f"gpuvgm {gpuvgm.__version__}\n"


def test_no_command_is_help():
    assert "transform" in invoke().stdout
    assert invoke("-h").stdout == invoke().stdout


def test_the_commands_and_options_are_those_that_work():
    common = {"json", "quiet", "debug", "progress", "log_format", "record", "config"}
    machine, memory = {"threads", "scheduler", "workers"}, {"memory"}
    assert {name: options - common for name, options in OPTIONS.items()} == {
        "demo": {"out", "rows"},
        "generate": {"rows", "kind", "seed", "first_row", "file_rows", "resume", *machine},
        "fit": {
            "model",
            "columns",
            "delimiter",
            "engine",
            "algorithm",
            "effort",
            "inf",
            "unknown",
            "max_categories",
            "tails",
            "seed",
            "sample",
            "stratified",
            "block_rows",
            "summaries",
            "add",
            "failed",
            "verbose",
            *machine,
            *memory,
        },
        "kinds": {"out", "delimiter", "effort", "seed", *machine, *memory},
        "describe": {"html", "delimiter", "seed", *machine, *memory},
        "transform": {
            "model",
            "delimiter",
            "mode",
            "layout",
            "dtype",
            "seed",
            "names",
            "keep_original",
            "block_rows",
            "part_rows",
            "partitioned",
            "compression",
            "row_group_rows",
            "for",
            "resume",
            *machine,
            *memory,
        },
        "inverse": {
            "model",
            "names",
            "part_rows",
            "partitioned",
            "compression",
            "row_group_rows",
            "for",
            "resume",
            *machine,
            *memory,
        },
        "train": {
            "model",
            "with",
            "epochs",
            "private",
            "epsilon",
            "delta",
            "rows_per_person",
            "hold_out",
            "safer",
            "laws",
            "sequence_key",
            "sequence_index",
            "key",
            "keep",
            "columns",
            "delimiter",
            "seed",
            "resume",
            *machine,
            *memory,
        },
        "sample": {"rows", "keys", "where", "sort", "scale", "seed", "for", "resume", *machine},
        "evaluate": {
            *machine,
            *memory,
            "model",
            "delimiter",
            "against",
            "max_error",
            "max_relative_error",
            "min_mode_agreement",
            "min_level_agreement",
            "max_ks",
            "max_wasserstein",
            "max_invalid_share",
            "max_off_step_share",
            "max_unknown_share",
            "max_clipped_share",
            "report",
            "html",
            "first_rows",
            "compare",
            "held_out",
            "min_score",
            "max_auc",
            "max_sequence_auc",
        },
        "validate": {
            *{*machine, *memory, "model", "delimiter", "max_invalid_share", "max_off_step_share", "max_unknown_share"},
            *{"max_shares", "max_ks", "max_mean_shift", "max_sd_shift", "max_skewness_shift", "max_quantile_shift"},
            "max_tail_ratio",
        },
        "info": set(),
        "doctor": {"gpu", "cluster", "compile_only"},
        "serve": {
            *{"model", "host", "port", "token_file", "max_bytes", "timeout", "concurrency", "threads"},
        },
    }


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_every_command_names_every_option(command):
    text = invoke(command, "--help", env={"COLUMNS": "200"}).stdout
    for option in OPTIONS[command]:
        assert "--" + option.replace("_", "-") in text
    assert "GPUVGM_" in text


def test_help_groups_the_options():
    text = invoke("evaluate", "--help").stdout
    groups = [line.strip("╭─╮ ") for line in text.splitlines() if line.startswith("╭")]
    assert groups == ["Arguments", "Options", "Machine", "Limits", "Output and settings"]


def test_shells_complete_names():
    env = {"_GPUVGM_COMPLETE": "complete_bash", "COMP_WORDS": "gpuvgm fit --bl", "COMP_CWORD": "2"}
    assert run(env=env)[0].split() == ["--block-rows"]


def test_generate(tmp_path):
    found = document("generate", tmp_path / "a.parquet", "--rows", "1e3", "--seed", "7")
    assert (found["rows"], found["seed"], found["path"]) == (1000, 7, str(tmp_path / "a.parquet"))
    assert found["bytes"] == (tmp_path / "a.parquet").stat().st_size
    assert pq.read_table(tmp_path / "a.parquet")["Amount"].to_pylist() == amount(0, 1000, 7).tolist()


@pytest.mark.parametrize("text", ["many", "1.5", "-3", "inf", "nan", "1e999999999"])
def test_generate_refuses_what_is_no_count(tmp_path, text):
    result = invoke("generate", tmp_path / "a.parquet", f"--rows={text}", code=2)
    assert "is not a whole number of at least 0" in result.stderr


def test_fit_says_what_it_fitted(folder, tmp_path):
    found = document("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", "x, n", "--seed", "5")
    assert found["rows"] == ROWS
    assert found["seed"] == 5
    assert list(found["columns"]) == ["x", "n"]
    assert found["columns"]["x"]["missing"] > 0
    assert found["columns"]["n"]["fit"]["rows"] == ROWS
    assert found["columns"]["n"]["fit"]["effort"] == "auto"
    assert (tmp_path / "m" / "manifest.json").exists()
    assert not (tmp_path / "m" / "summaries").exists()


def test_fit_passes_its_options_on(folder, tmp_path):
    x_of_its_own = 'x = { kind = "continuous", tails = "clip", n_components = 3 }'
    (tmp_path / "spec.toml").write_text(f'[columns]\n{x_of_its_own}\nword = "drop"\n')
    found = document(
        "fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", tmp_path / "spec.toml",
        "--algorithm", "exact", "--tails", "exact", "--engine", "reference", "--summaries",
        "--block-rows", "4096", "--threads", "1",
    )  # fmt: skip
    x, n = found["columns"]["x"], found["columns"]["n"]
    assert (x["components"], n["components"]) == (3, 10)
    assert (x["tails"], n["tails"]) == ("clip", "exact")
    assert x["fit"]["algorithm"] == n["fit"]["algorithm"] == "exact"
    assert x["reason"] == f"declared; {x['missing']} rows are missing"
    assert n["reason"] == "int64 with 100 distinct values in 5,000"
    assert (x["kind"], n["kind"]) == ("mixed", "continuous")


def test_every_column_is_fitted_with_an_inferred_kind(folder, tmp_path):
    columns = document("fit", folder / "table.parquet", "--model", tmp_path / "m")["columns"]
    assert {name: column["kind"] for name, column in columns.items()} == {
        "x": "mixed",
        "n": "continuous",
        "word": "categorical",
    }
    constant = "the same in all rows, which takes no column of the matrix"
    assert columns["word"]["reason"] == f"string with 1 distinct value; {constant}"


def test_kinds_are_declared_by_name(folder, tmp_path):
    arguments = ("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns")
    columns = document(*arguments, "n=general, word = pass")["columns"]
    assert {name: column["kind"] for name, column in columns.items()} == {"x": "mixed", "n": "general", "word": "pass"}
    wrong = invoke(*arguments, "n=ordinal", code=2).stderr
    assert '"ordinal" is not a kind' in wrong


def test_effort_is_an_option_and_a_variable(folder, tmp_path):
    def fitted(*arguments, **env):
        command = ("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", "x", *arguments)
        return document(*command, env=env)["columns"]["x"]["fit"]

    best = fitted("--effort", "best")
    assert (best["effort"], fitted(GPUVGM_EFFORT="best")) == ("best", best)
    assert fitted()["effort"] == "auto"
    for research in (fitted("--effort", "research"), fitted(GPUVGM_EFFORT="research")):
        assert (research["effort"], research["bound_with_fewer"]) == ("research", None)
        assert best["bound_with_fewer"] < best["lower_bound"]
    assert fitted("--effort", "best", GPUVGM_EFFORT="research")["effort"] == "best"
    wrong = invoke("fit", folder / "table.parquet", "--model", tmp_path / "m", "--effort", "some", code=2)
    assert "--effort" in wrong.stderr
    assert "'auto', 'best', 'research'" in wrong.stderr


def test_summaries_are_kept_when_asked_for(folder, tmp_path):
    invoke("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", "x", "--summaries")
    assert [path.name for path in (tmp_path / "m" / "summaries").iterdir()] == ["0.arrow"]


@pytest.mark.parametrize("text", ["x = 'continuous'\n", "[columns]\nx='continuous'\n[other]\n", "columns = 3\n"])
def test_spec_files_of_another_form_are_refused(folder, tmp_path, text):
    (tmp_path / "spec.toml").write_text(text)
    message = invoke(
        "fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", tmp_path / "spec.toml", code=2
    ).stderr
    assert "spec.toml: expected a table [columns]" in message


def test_transform_and_inverse(folder, tmp_path):
    arguments = (folder / "table.parquet", tmp_path / "e.parquet", "--model", folder / "m.gpuvgm")
    found = document("transform", *arguments)
    assert (found["rows"], found["mode"], found["layout"]) == (ROWS, "sample", "compact")
    encoded = pq.read_table(tmp_path / "e.parquet")
    assert encoded.column_names == ["x.scalar", "x.mode", "n.scalar", "n.mode"]

    document("transform", *arguments, "--seed", "9")
    other = pq.read_table(tmp_path / "e.parquet")
    assert not other.equals(encoded)
    document("transform", *arguments, "--seed", "9", "--block-rows", "4096", "--threads", "3")
    assert pq.read_table(tmp_path / "e.parquet").equals(other)
    document("transform", *arguments, "--mode", "argmax")
    assert not pq.read_table(tmp_path / "e.parquet").equals(other)
    document("transform", *arguments, "--layout", "onehot")
    assert pq.read_table(tmp_path / "e.parquet").num_columns > 4

    assert found["unseen"] == {}
    strange = pq.read_table(folder / "table.parquet").slice(0, 9).to_pydict()
    pq.write_table(pa.table({**strange, "n": [10**9, *strange["n"][1:]]}), tmp_path / "strange.parquet")
    told = invoke("transform", tmp_path / "strange.parquet", *arguments[1:])
    assert "n: 1 outside the training range, 1 clipped\n" in told.stdout
    assert 'column "n": 1 value outside the training range (first at ' in told.stderr

    back = document("inverse", folder / "encoded.parquet", tmp_path / "b.parquet", "--model", folder / "m.gpuvgm")
    assert back["rows"] == ROWS
    given, got = (pq.read_table(path) for path in (folder / "table.parquet", tmp_path / "b.parquet"))
    assert np.mean(given["n"].to_numpy() == got["n"].to_numpy()) > 0.99
    assert given["x"].null_count == got["x"].null_count


def test_scalars_may_keep_all_digits(folder, tmp_path):
    target = tmp_path / "encoded.parquet"
    document("transform", folder / "table.parquet", target, "--model", folder / "m.gpuvgm", "--dtype", "float64")
    scalars = [field for field in pq.read_schema(target) if field.name.endswith(".scalar")]
    assert {str(field.type) for field in scalars} == {"double"}


def test_the_limits_of_validate_are_those_of_the_library():
    given = inspect.signature(commands.validate).parameters
    assert {name: given[name].default for name in LIMITS} == dict(LIMITS)


@pytest.mark.parametrize(("delimiter", "character"), [("tab", "\t"), (r"\t", "\t"), (":", ":")])
def test_the_delimiter_of_csv_files_may_be_given(folder, tmp_path, delimiter, character):
    source, header = tmp_path / "t.csv", f"a,b{character}c"
    source.write_text(header + "\n" + "".join(f"{i},5{character}{i % 7}\n" for i in range(99)))
    options = ("--model", tmp_path / "m.gpuvgm", "--delimiter", delimiter)
    assert set(document("fit", source, *options)["columns"]) == {"a,b", "c"}
    assert document("transform", source, tmp_path / "e.parquet", *options)["rows"] == 99
    pq.write_table(pa.table({"a,b": [0.5], "c": [1]}), tmp_path / "s.parquet")
    for synthetic, rows in ((source, 99), (tmp_path / "s.parquet", 1)):
        assert document("evaluate", source, *options, "--compare", synthetic)["synthetic_rows"] == rows
    for command in ("evaluate", "validate"):
        assert document(command, source, *options)["rows"] == 99
        wrong = (command, source, *options[:2])
        told = invoke(*wrong, code=2, env={"GPUVGM_DELIMITER": "|"}).stderr
        assert f"t.csv: the delimiter '|' does not split the header {header!r}" in told
        assert "no column" in invoke(*wrong, code=2).stderr


def test_evaluate(evaluation):
    found = document(*evaluation, "--max-error", "10", "--min-mode-agreement", "0")
    assert found["rows"] == ROWS
    assert found["broken"] == []
    assert set(found["columns"]) == {"x", "n"}
    assert {"median_error", "p999_error", "maximum_error", "clipped_share", "mode_agreement"} <= set(
        found["columns"]["x"]
    )
    assert "x" in invoke(*evaluation).stdout


@pytest.mark.parametrize("command", ["evaluate", "validate"])
def test_the_verdict_is_the_first_line(folder, command):
    verdict = str(getattr(gpuvgm.load(folder / "m.gpuvgm"), command)(folder / "table.parquet")).splitlines()[0]
    result = invoke(command, folder / "table.parquet", "--model", folder / "m.gpuvgm")
    assert result.stderr == ""
    assert result.stdout.splitlines()[0] == verdict
    assert f"table.parquet: {ROWS:,} rows" in result.stdout


def test_evaluate_writes_a_page(evaluation, tmp_path):
    shown = ("--html", tmp_path / "page.html", "--first-rows")
    found = document(*evaluation, *shown, "--max-error", "0", code=1)
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Round trip of table.parquet</h1>" in page
    assert page.count('class="column"') == len(found["columns"])
    invoke(*evaluation, "--html", tmp_path / "bare.html")
    assert "<h2>First rows" in page and "<h2>First rows" not in (tmp_path / "bare.html").read_text()
    (tmp_path / "page.html").unlink()
    for wrong, words in ((tmp_path / "page.json", "a page is HTML"), (tmp_path / "none" / "x.html", "does not exist")):
        assert words in " ".join(invoke(*evaluation, "--html", wrong, code=2).stderr.split())


def test_evaluate_compares_with_synthetic_rows(folder, evaluation, tmp_path):
    table = pq.read_table(folder / "table.parquet")
    pq.write_table(table.slice(0, ROWS // 2), tmp_path / "synthetic.parquet")
    arguments = (*evaluation, "--compare", tmp_path / "synthetic.parquet")
    found = document(*arguments, "--html", tmp_path / "page.html")
    assert (found["rows"], found["synthetic_rows"], found["compare"]) == (ROWS, ROWS // 2, str(arguments[-1]))
    assert found["score"] == np.mean([column["score"] for column in found["columns"].values()])
    assert "<h1>synthetic.parquet beside table.parquet</h1>" in (tmp_path / "page.html").read_text()
    text = " ".join(invoke(*arguments).stdout.split())
    assert text.startswith(found["verdict"])
    assert "synthetic.parquet: " in text and "model m.gpuvgm" in text
    assert document(*arguments, "--min-score", found["score"])["broken"] == []
    assert "the overall score is" in invoke(*arguments, "--min-score", 1, code=1).stdout
    auc = found["detection"]["auc"]
    assert document(*arguments, "--max-auc", auc)["broken"] == []
    assert "the AUC of a classifier is" in invoke(*arguments, "--max-auc", 0.4, code=1).stdout
    for limit in ("--max-auc", "--max-sequence-auc"):
        assert f"{limit} is for --compare" in invoke(*evaluation, limit, 1, code=2).stderr
    # The table has no keys of several rows.
    assert "is not known without enough keys" in invoke(*arguments, "--max-sequence-auc", 1, code=1).stdout
    assert "--max-ks is not for --compare" in invoke(*arguments, "--max-ks", 1, code=2).stderr
    alone = document(*evaluation)
    assert document(*evaluation, "--min-score", alone["score"])["broken"] == []


def test_info(folder):
    found = document("info", folder / "m.gpuvgm")
    assert found["rows"] == ROWS
    x = found["columns"]["x"]
    weights = [mode["weight"] for mode in x["modes"] if "weight" in mode]
    assert 0.9 < sum(weights) <= 1.001
    assert {"modal_value": None, "code": x["modes"][-1]["code"]} in x["modes"] or any(
        "modal_value" in m for m in x["modes"]
    )
    assert x["minimum"] < 0 < x["resolution"]
    text = invoke("info", folder / "m.gpuvgm").stdout
    for part in ("x", "n", "missing", "summary, auto, ", " iterations"):
        assert part in text


def test_doctor():
    found = document("doctor")
    assert found["version"] == gpuvgm.__version__
    assert {engine["name"] for engine in found["engines"]} == {"reference", "native", "cuda"}
    assert str(gpuvgm.doctor()) in invoke("doctor").stdout


def test_quiet_prints_nothing_but_documents(folder):
    result = invoke("info", folder / "m.gpuvgm", "--quiet")
    assert result.output == ""
    assert json.loads(invoke("info", folder / "m.gpuvgm", "--quiet", "--json").stdout)["rows"] == ROWS


def test_names_with_brackets_are_not_markup(tmp_path):
    pq.write_table(pa.table({"[red]x[/red] :smile:": np.arange(50.0)}), tmp_path / "t.parquet")
    text = invoke("fit", tmp_path / "t.parquet", "--model", tmp_path / "m").stdout
    assert "[red]x[/red] :smile:" in text


def test_module_and_process(folder):
    out, err = run("info", folder / "m.gpuvgm", "--json")
    assert json.loads(out)["rows"] == ROWS
    assert err == ""


def test_names_kept_columns_and_files_by_options_or_a_toml_file(tmp_path):
    """What is written with them is decoded without being told of them."""
    rows = {"amount": np.random.default_rng(0).normal(50, 9, 500).round(2), "colour": ["red", "blue"] * 250}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    invoke("fit", tmp_path / "rows.parquet", "--model", tmp_path / "m.gpuvgm")
    (tmp_path / "options.toml").write_text(
        '[transform]\nnames = "{column}_Transformed"\nkeep-original = true\n'
        'compression = "zstd"\nrow-group-rows = 200\n'
    )
    given = ("--names", "{column}_Transformed", "--keep-original", "--compression", "zstd", "--row-group-rows", 200)
    for options in (given, ("--config", tmp_path / "options.toml")):
        transform = ("transform", tmp_path / "rows.parquet", tmp_path / "e.parquet", "--model", tmp_path / "m.gpuvgm")
        invoke(*transform, *options)
        footer = pq.read_metadata(tmp_path / "e.parquet")
        encoded = ["amount_Transformed", "amount_Transformed_mode", "colour_Transformed_mode"]
        assert footer.schema.names == ["amount", "colour", *encoded]
        assert (footer.num_row_groups, footer.row_group(0).column(0).compression) == (3, "ZSTD")
        invoke("inverse", tmp_path / "e.parquet", tmp_path / "b.parquet", "--model", tmp_path / "m.gpuvgm")
        assert pq.read_table(tmp_path / "b.parquet").equals(pq.read_table(tmp_path / "rows.parquet"))
    pq.write_table(pq.read_table(tmp_path / "e.parquet").replace_schema_metadata({}), tmp_path / "e.parquet")
    decode = ("inverse", tmp_path / "e.parquet", tmp_path / "b.parquet", "--model", tmp_path / "m.gpuvgm")
    assert 'no columns "amount.scalar"' in invoke(*decode, code=2).stderr
    invoke(*decode, "--names", "{column}_Transformed", "--row-group-rows", 100)
    assert pq.read_metadata(tmp_path / "b.parquet").num_row_groups == 5
