"""Command line over environment over file over default."""

from __future__ import annotations

import pytest

from tests.cli.running import document, invoke


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "options.toml"
        path.write_text(text)
        return path

    return write


def seed(tmp_path, *arguments, env=None):
    return document("generate", tmp_path / "a.parquet", "--rows", "10", *arguments, env=env)["seed"]


def test_precedence(tmp_path, config):
    path = config("seed = 2\n")
    assert seed(tmp_path) == 0
    assert seed(tmp_path, "--config", path) == 2
    assert seed(tmp_path, "--config", path, env={"GPUVGM_SEED": "3"}) == 3
    assert seed(tmp_path, "--config", path, "--seed", "4", env={"GPUVGM_SEED": "3"}) == 4
    assert seed(tmp_path, env={"GPUVGM_SEED": "3"}) == 3
    assert seed(tmp_path, env={"GPUVGM_CONFIG": str(path)}) == 2


def test_a_commands_table_wins_over_the_top(tmp_path, config):
    path = config("seed = 2\nrows = 1e1\n[generate]\nseed = 5\n[fit]\nseed = 6\nblock-rows = 4096\n")
    found = document("generate", tmp_path / "a.parquet", "--config", path)
    assert (found["seed"], found["rows"]) == (5, 10)


def test_required_options_may_come_from_file_or_environment(folder, tmp_path, config):
    path = config(f'model = "{folder / "m.gpuvgm"}"\nmode = "argmax"\nthreads = 1\nblock_rows = "1e4"\n')
    found = document("transform", folder / "table.parquet", tmp_path / "e.parquet", "--config", path)
    assert found["mode"] == "argmax"
    env = {"GPUVGM_MODEL": str(folder / "m.gpuvgm"), "GPUVGM_LAYOUT": "onehot", "GPUVGM_BLOCK_ROWS": "1_000"}
    assert document("transform", folder / "table.parquet", tmp_path / "e.parquet", env=env)["layout"] == "onehot"


def test_common_options_too(folder, config):
    assert invoke("info", folder / "m.gpuvgm", "--config", config("json = true\n")).stdout.startswith("{")
    assert invoke("info", folder / "m.gpuvgm", env={"GPUVGM_JSON": "1"}).stdout.startswith("{")
    assert invoke("info", folder / "m.gpuvgm", env={"GPUVGM_QUIET": "true"}).stdout == ""
    assert invoke("doctor", "--config", config("progress = false\ndebug = false\nquiet = true\n")).stdout == ""


def test_columns_as_a_list(folder, tmp_path, config):
    path = config('[fit]\ncolumns = ["n", "x"]\n')
    found = document("fit", folder / "table.parquet", "--model", tmp_path / "m", "--config", path)
    assert list(found["columns"]) == ["n", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 2\n", 'unknown key "sed", did you mean "seed"'),
        ("[generate]\nmodel = 'm'\n", '[generate] unknown key "model"'),
        ("[other]\n", 'unknown key "other"'),
        ("seed = [1]\n", 'key "seed" holds a list'),
        ("seed = = 2\n", "not valid TOML"),
        ('seed = "two"\n', "--seed"),
        ("seed = -1\n", "--seed"),
    ],
)
def test_refusals(tmp_path, config, text, message):
    result = invoke("generate", tmp_path / "a.parquet", "--rows", "1", "--config", config(text), code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_config_file_that_is_not_there(tmp_path):
    result = invoke("doctor", "--config", tmp_path / "absent.toml", code=2)
    assert "absent.toml: No such file" in result.stderr


def test_no_variable_asks_for_help(folder):
    result = invoke("info", folder / "m.gpuvgm", env={"GPUVGM_HELP": "1"})
    assert "unknown environment variable GPUVGM_HELP" in result.stderr
