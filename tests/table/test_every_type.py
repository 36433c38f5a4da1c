"""The whole way of every type of Arrow: fit, save, load, transform, inverse, sample, reports and commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import gpuvgm
from gpuvgm.cli.commands import app
from gpuvgm.errors import InputError
from tests.io.arrow_types import ALL, field_of, table_with
from tests.io.conftest import write_file

pytestmark = pytest.mark.filterwarnings("ignore::gpuvgm.errors.InferenceWarning")
USUAL = {"int64", "decimal32(9, 2)", "decimal128(38, -2)", "string_view", "uuid", "interval", "map",
         "struct, never null", "deep struct", "dense union", "run ends", "bool8", "own", "list of own",
         "dictionary of structs", "dictionary of uuid", "not registered"}  # fmt: skip
NAMES = [pytest.param(name, marks=[] if name in USUAL else pytest.mark.exhaustive) for name in ALL]


def values_of(column: Any) -> list[Any]:
    whole = pa.chunked_array(column.chunks, column.type).combine_chunks() if column.num_chunks else pa.nulls(0)
    return whole.storage.to_pylist() if isinstance(whole.type, pa.BaseExtensionType) else whole.to_pylist()


@pytest.mark.parametrize("name", NAMES)
def test_rows_come_back_from_a_saved_model(name: str, reloaded: Any) -> None:
    table = table_with(name)
    model = reloaded(gpuvgm.TableTransformer().fit(table))
    assert model.columns_[name].row_type == ALL[name].type
    encoded = model.transform(table, dtype="float64")
    back = model.inverse_transform(encoded)
    back.validate(full=True)
    assert back.schema.types == table.schema.types
    assert values_of(back.column(name)) == values_of(table.column(name))
    if model.columns_[name].kind == "pass":
        assert encoded.schema.field(name).equals(field_of(name), check_metadata=True)
        assert back.schema.field(name).equals(field_of(name), check_metadata=True)
    report = model.evaluate(table)
    assert report.columns[name].rows == table.num_rows and str(report) and report.to_html()
    assert str(model.validate(table)) and model.fit_report_ and str(model.schema_)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_a_saved_model_have_the_type(name: str, tmp_path: Path, reloaded: Any) -> None:
    table = table_with(name)
    fitted = gpuvgm.TableSynthesizer(threads=1).fit(table)
    model = reloaded(fitted)
    sample = model.sample(40)
    sample.validate(full=True)
    assert sample.schema.types == table.schema.types
    assert values_of(sample.column(name)) == values_of(fitted.sample(40).column(name))
    if model.transformer_.columns_[name].kind == "pass" and name not in ("free text", "uuid"):
        assert values_of(sample.column(name)) == [None] * 40
    assert str(gpuvgm.TableTransformer().fit(table).evaluate(table, compare=sample))
    assert len(model.score_samples(table)) == table.num_rows
    written(model, tmp_path / "sample.parquet", name)
    written(model, tmp_path / "sample.csv", name)


def written(model: Any, path: Path, name: str) -> None:
    """Write a sample, which can be read, or is refused by the name of the column."""
    try:
        model.sample(40, out=path)
    except InputError as problem:
        assert f'column "{name}" is of type {ALL[name].type}, ' in str(problem)
        assert "cannot hold" in str(problem)
        assert not path.exists()
    else:
        assert path.suffix == ".csv" or pq.read_table(path).num_rows == 40


def run(*arguments: object, exits: tuple[int, ...] = (0,)) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], prog_name="gpuvgm")
    assert result.exit_code in exits, (arguments, result.output)
    return result.output


@pytest.mark.parametrize("name", [one for one in NAMES if "dictionary of uuid" not in one.values])  # in no file
def test_commands_take_files_of_the_type(name: str, tmp_path: Path) -> None:
    """Parquet, or an Arrow file where Parquet cannot hold the type; what cannot be written is told, by the column."""
    table, source = table_with(name), tmp_path / "table.parquet"
    try:
        pq.write_table(table, source)
        pq.read_schema(source)
    except (pa.ArrowException, OSError):
        source.unlink(missing_ok=True)
        source = write_file(table, tmp_path / "table.arrow")
    model, encoded, sample = (tmp_path / one for one in ("model.gpuvgm", "encoded.parquet", "sample.parquet"))
    run("fit", source, "--model", model)
    assert run("info", model) and json.loads(run("info", model, "--json"))["columns"][name]["rows"] == table.num_rows
    for command in ("evaluate", "validate"):
        run(command, source, "--model", model, exits=(0, 1))
    told = run("transform", source, encoded, "--model", model, exits=(0, 2))
    if encoded.exists():
        told = run("inverse", encoded, tmp_path / "back.parquet", "--model", model, exits=(0, 2))
        assert (tmp_path / "back.parquet").exists() or f'column "{name}" is of type' in told
        expected = pq.read_table(source) if source.suffix == ".parquet" else table
        if gpuvgm.load(model).columns_[name].kind == "pass":
            back = pq.read_table(tmp_path / "back.parquet")
            assert back.schema.field(name).type == expected.schema.field(name).type
            assert values_of(back.column(name)) == values_of(expected.column(name))
    else:
        assert f'column "{name}" is of type' in told
    run("train", source, "--model", tmp_path / "synthesizer.gpuvgm")
    for out in (sample, tmp_path / "sample.csv"):
        told = run("sample", tmp_path / "synthesizer.gpuvgm", out, "--rows", 40, exits=(0, 2))
        assert out.exists() or f'column "{name}" is of type' in told
    if sample.exists():
        run("evaluate", source, "--model", model, "--compare", sample, exits=(0, 1))
