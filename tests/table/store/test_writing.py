"""Written beside and renamed; nothing else is ever replaced, nothing partial is left."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

import gpuvgm
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.table import model_file as store
from gpuvgm.table.model_file import ModelFile
from tests.table.store.samples import make_stored

FORMS = ["model", "model.gpuvgm"]


@pytest.mark.parametrize("name", FORMS)
def test_a_model_is_replaced(tmp_path, name):
    ModelFile.at(tmp_path / name).save(make_stored())
    ModelFile.at(tmp_path / name).save(replace(make_stored(summaries=False), settings={"n": 2}))
    assert ModelFile.at(tmp_path / name).load().settings == {"n": 2}
    assert ModelFile.at(tmp_path / name).load().summaries == {}
    assert os.listdir(tmp_path) == [name]


def test_a_model_behind_a_link_is_replaced_where_it_lies(tmp_path):
    ModelFile.at(tmp_path / "model").save(make_stored())
    (tmp_path / "link").symlink_to("model")
    ModelFile.at(tmp_path / "link").save(replace(make_stored(), settings={"n": 2}))
    assert (tmp_path / "link").is_symlink()
    assert ModelFile.at(tmp_path / "model").load().settings == {"n": 2}


def twice(model):
    """A model that no fit gives, and that cannot be loaded: a category twice."""
    (town,) = (column for column in model.columns if column.name == "town é")
    spoilt = replace(town, categories=("b", None, "b", "A"))
    return replace(model, columns=tuple(spoilt if column is town else column for column in model.columns))


@pytest.mark.parametrize("name", FORMS)
def test_what_could_not_be_loaded_is_not_written(tmp_path, name):
    ModelFile.at(tmp_path / name).save(make_stored())
    with pytest.raises(InputError, match=r"not written, as it could not be read again: .*town é.*; please report it"):
        ModelFile.at(tmp_path / name).save(twice(make_stored()))
    assert ModelFile.at(tmp_path / name).load().rows == make_stored().rows
    with pytest.raises(InputError, match="not written"):
        ModelFile.at(tmp_path / "another.gpuvgm").save(twice(make_stored()))
    assert os.listdir(tmp_path) == [name]


def test_what_a_model_is_loaded_as_is_proven_too(tmp_path):
    def load(model):
        raise ModelFileError(f"no class has {model.rows} rows")

    with pytest.raises(InputError, match="not written, as it could not be read again: no class has"):
        ModelFile.at(tmp_path / "model.gpuvgm").save(make_stored(), load)
    assert not [*tmp_path.iterdir()]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "model").mkdir()
    ModelFile.at(tmp_path / "model").save(make_stored())
    assert ModelFile.at(tmp_path / "model").load().rows == 10**12


@pytest.mark.parametrize("files", [["precious.txt"], ["manifest.json"], ["model.json"], ["sub/precious.txt"]])
def test_other_folders_are_not_replaced(tmp_path, files):
    for file in files:
        (tmp_path / "work" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / file).write_text("{}")
    with pytest.raises(InputError, match=r"work: a folder that is no gpuvgm model is not replaced"):
        ModelFile.at(tmp_path / "work").save(make_stored())
    assert all((tmp_path / "work" / file).read_text() == "{}" for file in files)
    assert os.listdir(tmp_path) == ["work"]


def test_a_model_folder_with_other_files_is_not_replaced(tmp_path):
    ModelFile.at(tmp_path / "model").save(make_stored())
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"also holds notes\.txt"):
        ModelFile.at(tmp_path / "model").save(make_stored())


def test_impossible_targets(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.gpuvgm").mkdir()
    for name, message in [("file", "no model"), ("folder.gpuvgm", "is a folder"), ("absent/model", "does not exist")]:
        with pytest.raises(InputError, match=message):
            ModelFile.at(tmp_path / name).check_target()


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", FORMS)
def test_a_failed_write_leaves_the_old_model(tmp_path, name, problem, monkeypatch):
    ModelFile.at(tmp_path / name).save(make_stored())
    monkeypatch.setattr(store.os, "fsync", Mock(side_effect=problem))
    with pytest.raises(type(problem)):
        ModelFile.at(tmp_path / name).save(replace(make_stored(), settings={"n": 2}))
    assert ModelFile.at(tmp_path / name).load().settings["n_components"] == 10
    assert os.listdir(tmp_path) == [name]


def test_a_failed_swap_brings_the_old_model_back(tmp_path, monkeypatch):
    ModelFile.at(tmp_path / "model").save(make_stored())
    rename = Path.rename

    def fail(self, target):
        if self.suffix == ".partial":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        ModelFile.at(tmp_path / "model").save(make_stored())
    assert os.listdir(tmp_path) == ["model"]
    assert ModelFile.at(tmp_path / "model").load().rows == 10**12


@pytest.mark.parametrize("kind", [gpuvgm.TableTransformer, gpuvgm.TableSynthesizer])
def test_equal_fits_give_equal_files_with_a_time_of_their_own(tmp_path, monkeypatch, kind):
    table = {
        "amount": np.random.default_rng(0).normal(size=500),
        "colour": np.array(["red", "blue"])[np.arange(500) % 2],
    }
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a", "b"):
        kind().fit(table).save(tmp_path / f"{name}.gpuvgm")
    assert (tmp_path / "a.gpuvgm").read_bytes() == (tmp_path / "b.gpuvgm").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.gpuvgm") as archive:
        assert json.loads(archive.read("model.json"))["created"] == "2023-11-14T22:13:20+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError, match='SOURCE_DATE_EPOCH="yesterday": give whole seconds since 1970'):
        kind().fit(table).save(tmp_path / "c.gpuvgm")
    assert not (tmp_path / "c.gpuvgm").exists()
