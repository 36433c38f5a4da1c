"""Databases in files: models that come back, and samples as a folder of Parquet files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.io import ParquetSink
from gpuvgm.synthesis.databases.stored import BODIES, stored_database
from gpuvgm.table import ModelFile
from tests.synthesis.databases.shop import Tables


def assert_equal(tables: Tables, others: Tables) -> None:
    """The same tables, to the bit."""
    assert [*tables] == [*others]
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, others[name], check_exact=True)


@pytest.mark.parametrize("name", ["shop", "shop.gpuvgm"])
def test_models_are_stored(tmp_path: Path, name: str, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables) -> None:
    synthesizer.save(tmp_path / name)
    assert (tmp_path / name).is_dir() == (name == "shop")
    loaded: Any = gpuvgm.load(tmp_path / name)
    assert isinstance(loaded, gpuvgm.DatabaseSynthesizer)
    assert_equal(loaded.sample(seed=1), sample)
    assert loaded.describe() == synthesizer.describe()
    assert loaded.to_dict() == synthesizer.to_dict()
    assert [*loaded.keep] == ["products"]
    assert (loaded.bins, loaded.safer, loaded.random_state) == (1000, False, 0)


def test_loaded_models_are_as_the_fitted_ones(
    tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables, tables: Tables, comparison: Any
) -> None:
    """They can be evaluated, and saved again."""
    synthesizer.save(tmp_path / "shop.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "shop.gpuvgm")
    assert loaded.evaluate(tables, sample).to_dict() == comparison.to_dict()
    loaded.save(tmp_path / "again.gpuvgm")
    assert_equal(gpuvgm.load(tmp_path / "again.gpuvgm").sample(2), synthesizer.sample(2))


def test_settings_are_stored(tmp_path: Path, tables: Tables) -> None:
    of_customers = {"customers": tables["customers"]}
    synthesizer = gpuvgm.DatabaseSynthesizer(bins=20, safer=True, random_state=7, threads=1).fit(of_customers, keys={})
    synthesizer.save(tmp_path / "customers.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "customers.gpuvgm")
    assert (loaded.bins, loaded.safer, loaded.random_state) == (20, True, 7)
    assert_equal(loaded.sample(), synthesizer.sample(seed=7))


def test_models_are_stored_in_place_of_others(tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    gpuvgm.TableSynthesizer(bins=20, threads=1).fit({"x": [1, 2, 3] * 20}).save(tmp_path / "model.gpuvgm")
    assert isinstance(gpuvgm.load(tmp_path / "model.gpuvgm"), gpuvgm.TableSynthesizer)
    synthesizer.save(tmp_path / "model.gpuvgm")
    assert isinstance(gpuvgm.load(tmp_path / "model.gpuvgm"), gpuvgm.DatabaseSynthesizer)


def test_damaged_files_are_refused(tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    synthesizer.save(tmp_path / "shop.gpuvgm")
    body = (tmp_path / "shop.gpuvgm").read_bytes()
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    for spoilt in (bytes(flipped), body[: len(body) // 2], b""):
        (tmp_path / "spoilt.gpuvgm").write_bytes(spoilt)
        with pytest.raises(ModelFileError):
            gpuvgm.load(tmp_path / "spoilt.gpuvgm")
    synthesizer.save(tmp_path / "shop")
    (tmp_path / "shop" / "network.arrow").write_bytes(b"ARROW1")
    with pytest.raises(ModelFileError):
        gpuvgm.load(tmp_path / "shop")


def body_of(tables: list[str], bodies: list[bytes], schemas: list[bytes]) -> bytes:
    """The body of a model, of bodies of tables."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, BODIES) as writer:
        writer.write_table(pa.table({"table": tables, "body": bodies, "schema": schemas}, schema=BODIES))
    return bytes(sink.getvalue().to_pybytes())


SPOILT = ["lacks a table", "empty body", "another body", "kept without rows", "empty schema", "no Arrow"]


@pytest.mark.parametrize("spoilt", SPOILT)
def test_parts_that_do_not_fit_together_are_refused(
    tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer, spoilt: str
) -> None:
    """Files whose checksums hold, and whose parts are not of one model."""
    model = stored_database(synthesizer._fitted)
    rows = pa.ipc.open_file(pa.py_buffer(bytes(model.network))).read_all()
    names: list[Any] = rows.column("table").to_pylist()
    bodies: list[Any] = rows.column("body").to_pylist()
    schemas: list[Any] = rows.column("schema").to_pylist()
    assert names == ["customers", "orders", "lines", "products"]
    # As it is, it can be read.
    bodies_of = {
        "as it is": (names, bodies, schemas),
        "lacks a table": (names[1:], bodies[1:], schemas[1:]),
        "empty body": (names, [b"", *bodies[1:]], schemas),
        "another body": (names, [bodies[3], *bodies[1:]], schemas),
        "kept without rows": (names, [*bodies[:3], bodies[0]], schemas),
        "empty schema": (names, bodies, [b"", *schemas[1:]]),
    }
    for case in ("as it is", spoilt):
        body = body_of(*bodies_of[case]) if case in bodies_of else b"no table of Arrow"
        ModelFile.at(tmp_path / case).save(replace(model, network=body), lambda _: None)
        if case == "as it is":
            assert isinstance(gpuvgm.load(tmp_path / case), gpuvgm.DatabaseSynthesizer)
        else:
            with pytest.raises(ModelFileError):
                gpuvgm.load(tmp_path / case)


def test_samples_are_written(tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer, sample: Tables) -> None:
    paths = synthesizer.sample(out=tmp_path / "shop", seed=1)
    assert paths == {name: tmp_path / "shop" / f"{name}.parquet" for name in sample}
    assert sorted(path.name for path in (tmp_path / "shop").iterdir()) == sorted(f"{name}.parquet" for name in sample)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert_equal({name: pd.read_parquet(path) for name, path in paths.items()}, sample)
    synthesizer.sample(out=str(tmp_path / "twice"), scale=2)
    assert pq.read_metadata(tmp_path / "twice" / "customers.parquet").num_rows == 2 * len(sample["customers"])


def test_nothing_is_left_of_samples_that_fail(
    tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = list[int]()
    write = ParquetSink.write

    def failing(sink: ParquetSink, batch: Any) -> None:
        if len(written) == 2:
            raise OSError("No space left on device")
        written.append(batch.num_rows)
        write(sink, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ParquetSink, "write", failing)
        with pytest.raises(OSError, match="No space left on device"):
            synthesizer.sample(out=tmp_path / "shop")
    assert len(written) == 2
    assert not any(tmp_path.iterdir())
    synthesizer.sample(out=tmp_path / "shop")
    assert len([*(tmp_path / "shop").iterdir()]) == 4


def test_folders_are_new_and_local(tmp_path: Path, synthesizer: gpuvgm.DatabaseSynthesizer) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("rows")
    for name in ("there", "file"):
        with pytest.raises(InputError, match="is there already; give the name of a new folder"):
            synthesizer.sample(out=tmp_path / name)
    with pytest.raises(InputError, match="create it first"):
        synthesizer.sample(out=tmp_path / "none" / "shop")
    for url in ("s3://bucket/shop", "https://example.org/shop"):
        with pytest.raises(InputError, match="are written to a folder of this machine"):
            synthesizer.sample(out=url)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]
    assert not any((tmp_path / "there").iterdir())
    assert (tmp_path / "file").read_text() == "rows"
