"""Folders that gpuvgm wrote are compared with their manifests when they are read."""

from __future__ import annotations

import json
import random
import shutil

import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from gpuvgm.io.manifest import manifest_text

PARTS = 5_000


@pytest.fixture(scope="module")
def whole(shared, tmp_path_factory):
    """An encoded folder of five files."""
    folder = tmp_path_factory.mktemp("manifests") / "whole"
    gpuvgm.load(shared / "model.gpuvgm").transform(shared / "rows", out=folder, part_rows=PARTS)
    return folder


@pytest.fixture
def encoded(whole, tmp_path):
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "encoded")


def changed(folder, **parts):
    """Another manifest, with the checksum of what it says."""
    place = folder / "_manifest.json"
    document = json.loads(place.read_text()) | parts
    document.pop("sha256")
    place.write_bytes(manifest_text(document))


def test_a_missing_file_is_named(transformer, encoded):
    (encoded / "part-00002.parquet").unlink()
    for read in (transformer.inverse_transform, transformer.evaluate, open_source):
        with pytest.raises(InputError, match=r"part-00002\.parquet: is missing; write the folder again with resume"):
            read(encoded)


def test_a_file_too_many_is_named(encoded):
    shutil.copy(encoded / "part-00000.parquet", encoded / "part-00009.parquet")
    with pytest.raises(InputError, match=r"part-00009\.parquet: gpuvgm did not write it there; remove it"):
        open_source(encoded)


def test_a_file_of_another_size_is_named(encoded):
    with (encoded / "part-00001.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"part-00001\.parquet: has \d+ bytes, \d+ were written; .*--resume"):
        open_source(encoded)


def test_files_of_other_rows_are_named(encoded):
    entries = json.loads((encoded / "_manifest.json").read_text())["done"]
    entries["part-00003.parquet"]["rows"] += 1
    changed(encoded, done=entries)
    with pytest.raises(InputError, match=r"part-00003\.parquet: holds 5,000 rows, 5,001 were written"):
        open_source(encoded)


def test_a_file_with_other_bytes_is_found_before_its_rows_are_read(transformer, encoded, tmp_path):
    entries = json.loads((encoded / "_manifest.json").read_text())["done"]
    entries["part-00001.parquet"]["sha256"] = entries["part-00000.parquet"]["sha256"]
    changed(encoded, done=entries)
    blocks = open_source(encoded).blocks(["amount.mode"], PARTS)
    assert next(blocks).rows == PARTS
    message = r"part-00001\.parquet: damaged: .* \(SHA-256\); write the folder again with resume=True"
    with pytest.raises(InputError, match=message):
        next(blocks)
    with pytest.raises(InputError, match=message):
        transformer.inverse_transform(encoded, out=tmp_path / "back.parquet")
    assert not (tmp_path / "back.parquet").exists()


def test_no_flipped_bit_of_a_manifest_is_overlooked(encoded, whole):
    place = encoded / "_manifest.json"
    body, chance, valid = place.read_bytes(), random.Random(0), 0
    for at in chance.sample(range(len(body)), 300):
        spoilt = bytearray(body)
        spoilt[at] ^= 1 << chance.randrange(8)
        place.write_bytes(spoilt)
        try:
            same = json.loads(spoilt) == json.loads(body)  # of two spaces one may be a line's end
        except ValueError:
            same = False
        if same:
            open_source(encoded)
        else:
            valid += 1
            with pytest.raises(InputError, match=r"_manifest\.json: (damaged manifest|was written in format)"):
                open_source(encoded)
    assert valid > 250


@pytest.mark.parametrize("manifest", [None, '{"entries": [1, 2]}'], ids=["none", "another program's"])
def test_without_its_manifest_a_folder_is_a_users_own(encoded, manifest):
    (encoded / "_manifest.json").unlink()
    if manifest is not None:
        (encoded / "_manifest.json").write_text(manifest)
    (encoded / "part-00002.parquet").unlink()
    assert open_source(encoded).rows == 20_001 - PARTS


def test_manifests_without_a_checksum_are_damaged(encoded):
    place = encoded / "_manifest.json"
    document = json.loads(place.read_text())
    del document["sha256"]
    place.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"_manifest\.json: damaged manifest \(its checksum does not fit\)"):
        open_source(encoded)


def test_unfinished_folders_are_refused(encoded):
    unfinished = encoded.rename(encoded.with_name(".encoded.unfinished"))
    changed(unfinished, complete=False)
    with pytest.raises(InputError, match=r"the folder is unfinished; go on with resume=True \(--resume\), or remove"):
        open_source(unfinished)


def test_folders_in_a_folder_are_compared_each(encoded, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "both" / "one")
    encoded.rename(tmp_path / "both" / "two")
    assert open_source(tmp_path / "both").rows == 2 * 20_001
    (tmp_path / "both" / "two" / "part-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"two/part-00000\.parquet: is missing"):
        open_source(str(tmp_path / "bo*"))


def test_folders_of_stores_are_compared(transformer, whole):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for file in whole.iterdir():
        store.pipe_file(f"/manifests/{file.name}", file.read_bytes())
    try:
        assert pq.read_table(whole).num_rows == open_source("memory://manifests").rows
        store.rm("/manifests/part-00003.parquet")
        with pytest.raises(InputError, match=r"memory://.*part-00003\.parquet: is missing"):
            transformer.inverse_transform("memory://manifests")
    finally:
        store.rm("/manifests", recursive=True)
