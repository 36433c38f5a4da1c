"""Damaged, truncated, tampered, missing and newer files are refused with a message that says which."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from gpuvgm import TableTransformer, arrow_bytes
from gpuvgm.errors import ModelFileError, pip_command
from gpuvgm.io import plain
from gpuvgm.table import load_as, model_file as members
from gpuvgm.table.model_file import FORMAT, ModelFile
from tests.table.store.samples import make_stored

FORMS = ["model", "model.gpuvgm"]


@pytest.fixture(params=FORMS)
def edit(request, tmp_path):
    """A function that writes a model whose files were changed, and returns its path."""

    def build(change, *, seal=False):
        ModelFile.at(tmp_path / "original").save(make_stored())
        folder = tmp_path / "original"
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        change(files)
        if seal:
            manifest = json.loads(files["manifest.json"])
            for name in manifest["files"]:
                manifest["files"][name] = {
                    "size": len(files[name]),
                    "sha256": hashlib.sha256(files[name]).hexdigest(),
                }
            files["manifest.json"] = json.dumps(manifest).encode()
        return write(tmp_path / request.param, files)

    return build


def write(path: Path, files):
    if path.suffix:
        with zipfile.ZipFile(path, "w") as archive:
            for name, body in files.items():
                archive.writestr(name, body)
        return path
    for name, body in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(body)
    return path


def document(files, name, change):
    content = json.loads(files[name])
    change(content)
    files[name] = json.dumps(content).encode()


def refuse(path, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        ModelFile.at(path).load()
    assert str(path) in str(caught.value)


#: What a file holds then, and what is said of it.
DAMAGE = {
    "changed": (lambda body: bytes([body[0] ^ 1]) + body[1:], "was changed after it was written"),
    "truncated": (lambda body: body[:-9], r"is truncated \(\d+ of \d+ bytes\)"),
    "longer": (lambda body: body + b" ", "was changed"),
}


@pytest.mark.parametrize("name", ["model.json", "summaries/0.arrow", "summaries/1.arrow"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files(edit, name, damage):
    change, message = DAMAGE[damage]
    refuse(edit(lambda files: files.update({name: change(files[name])})), f"{name} {message}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("model.json", "model.json is missing"),
        ("summaries/1.arrow", "summaries/1.arrow is missing"),
        ("manifest.json", "no gpuvgm model"),
    ],
)
def test_missing_file(edit, name, told):
    refuse(edit(lambda files: files.pop(name)), told)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"library": "other"}', b"[" * 100_000])
def test_damaged_manifest(edit, text):
    refuse(edit(lambda files: files.update({"manifest.json": text})), "manifest.json")


@pytest.mark.parametrize("change", [{"files": 3}, {"files": {"model.json": {}}}, {"files": {}}])
def test_inconsistent_manifest(edit, change):
    refuse(
        edit(lambda files: document(files, "manifest.json", lambda content: content.update(change))), "manifest.json"
    )


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "summaries/../../evil.arrow", "model.json/x", "other.py"])
def test_manifest_with_foreign_names(edit, name):
    foreign = {name: {"size": 1, "sha256": ""}}
    refuse(
        edit(lambda files: document(files, "manifest.json", lambda content: content["files"].update(foreign))), "lists"
    )


NEWER = rf"written by a newer gpuvgm \(format {FORMAT + 1}; .*\): {re.escape(pip_command('upgrade'))}"
OLDER = rf"written by an older gpuvgm \(format {FORMAT - 1}, not {FORMAT}\): fit again"


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        *((name, FORMAT + 1, NEWER) for name in ("manifest.json", "model.json")),
        *((name, FORMAT - 1, OLDER) for name in ("manifest.json", "model.json")),
        *(("model.json", number, "no valid format number") for number in (None, 0, "1", -3)),
    ],
)
def test_other_formats(edit, name, number, message):
    path = edit(lambda files: document(files, name, lambda content: content.update(format=number)), seal=True)
    refuse(path, message)


def drop_component(content):
    content["columns"][0]["mixture"]["posterior"]["means"].pop()


def held(content, name):
    return next(column for column in content["columns"] if column["name"] == name)


def log_of(codec):
    return {"name": "log", "low": None, "inner": codec}


CHANGES = {
    "component": drop_component,
    "order": lambda content: content["columns"][0].update(order=[0, 0, 1, 2]),
    "codec": lambda content: content["columns"][0]["codec"].update(name="pickle"),
    "argument": lambda content: content["columns"][0]["codec"].update(other=1),
    "columns": lambda content: content.pop("columns"),
    "number": lambda content: content["columns"][0]["mixture"]["counts"].__setitem__(0, "one"),
    "float": lambda content: content.update(rows={"$float": "ten"}),
    "list": lambda content: content.update(columns=3),
    "kind": lambda content: content["schema"][0].update(kind="other"),
    "summary": lambda content: content["summaries"].update(x="summaries/7.arrow"),
    "active": lambda content: content["columns"][0]["mixture"]["active_counts"].pop(),
    "modal counts": lambda content: held(content, "spikes")["modal_counts"].pop(),
    "modal values": lambda content: held(content, "spikes")["modal_values"].append(1.5),
    "log of a log": lambda content: held(content, "income").update(codec=log_of(held(content, "income")["codec"])),
    "inner codec": lambda content: held(content, "income")["codec"].pop("inner"),
    "type of a codec": lambda content: held(content, "when")["codec"].update(type=plain(pa.int64())),
    "type": lambda content: held(content, "price")["codec"].update(type={"$type": "AAAA"}),
    "kind of a column": lambda content: held(content, "town é").update(kind="ordinal"),
    "category twice": lambda content: held(content, "town é").update(categories=["b", None, "b", "A"]),
    "counts": lambda content: held(content, "paid")["counts"].pop(),
    "appearance": lambda content: held(content, "size")["appearance"].append(3),
    "dictionary": lambda content: held(content, "grade").update(dictionary=3),
    "fit": lambda content: held(content, "note").update(fit=None),
    "margin": lambda content: held(content, "general").update(margin="wide"),
}


@pytest.mark.parametrize("body", [b"", b"ARROW1 but not really"])
def test_inconsistent_summary(edit, body):
    refuse(edit(lambda files: files.update({"summaries/0.arrow": body}), seal=True), "inconsistent|summary")


def test_nothing_there(tmp_path):
    refuse(tmp_path / "absent", "there is no model")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", "no gpuvgm model")
    (tmp_path / "text.gpuvgm").write_text("hello")
    refuse(tmp_path / "text.gpuvgm", "no model of gpuvgm, or truncated")


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_zip_with_any_bit_changed_or_cut_off_is_refused_or_the_same(tmp_path_factory, share, bit, cut):
    path = tmp_path_factory.mktemp("zip") / "model.gpuvgm"
    ModelFile.at(path).save(make_stored())
    body = bytearray(path.read_bytes())
    at = int(share * len(body))
    body[at] ^= 1 << bit
    path.write_bytes(body[:at] if cut else body)
    try:
        stored = ModelFile.at(path).load()
    except ModelFileError as error:
        assert str(path) in str(error)
    else:  # a time or a permission in the directory of the zip
        assert stored.settings["n_components"] == 10


def test_members_with_foreign_names_are_never_extracted(tmp_path):
    path = tmp_path / "model.gpuvgm"
    ModelFile.at(path).save(make_stored())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.txt", "x")
        archive.writestr("/tmp/gpuvgm-evil.txt", "x")
    refuse(path, "which its manifest does not list")
    assert not (tmp_path.parent / "evil.txt").exists()
    assert not Path("/tmp/gpuvgm-evil.txt").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(tmp_path):
    path = tmp_path / "model.gpuvgm"
    ModelFile.at(path).save(make_stored())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", "{}")
    refuse(path, "holds a file twice")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_bytes, "LEAST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.gpuvgm"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", b" " * (1 << 25))
        archive.writestr("manifest.json", "{}")
    refuse(path, "would unpack to more than")


def test_extra_files_in_a_folder_do_not_matter(tmp_path):
    path = tmp_path / "model"
    ModelFile.at(path).save(make_stored())
    (path / ".DS_Store").write_text("")
    assert ModelFile.at(path).load().settings["n_components"] == 10


def test_what_is_no_ordinary_file_is_refused_and_never_opened(tmp_path):
    for name in ("model.json", "manifest.json", "summaries/0.arrow"):
        for sort, make in SORTS.items():
            folder = tmp_path / f"{sort}-{name.replace('/', '-').partition('.')[0]}"
            ModelFile.at(folder).save(make_stored())
            (folder / name).rename(tmp_path / "elsewhere")
            make(folder / name, tmp_path / "elsewhere")
            refuse(folder, "is no ordinary file|is a link to elsewhere")


SORTS = {
    "pipe": lambda path, elsewhere: os.mkfifo(path),
    "folder": lambda path, elsewhere: path.mkdir(),
    "link": lambda path, elsewhere: path.symlink_to(elsewhere),
    "device": lambda path, elsewhere: path.symlink_to("/dev/zero"),
    "socket": lambda path, elsewhere: os.mknod(path, stat.S_IFSOCK | 0o600),
}


def _posterior(content, name="spikes"):
    return held(content, name)["mixture"]["posterior"]


HOSTILE = {
    "nothing": lambda content: content.clear(),
    "a list of columns": lambda content: content.update(columns=7),
    "a column twice": lambda content: content["columns"].append(content["columns"][0]),
    "a schema without it": lambda content: content["schema"].pop(0),
    "a surrogate": lambda content: held(content, "note").update(name="\ud800"),
    "deep lists": lambda content: content.update(settings={"a": json.loads("[" * 900 + "]" * 900)}),
    "a huge number": lambda content: held(content, "spikes").update(maximum=10**400),
    "an infinite mean": lambda content: _posterior(content)["means"].__setitem__(0, {"$float": "inf"}),
    "a mean that is text": lambda content: _posterior(content)["means"].__setitem__(0, "1"),
    "a negative variance": lambda content: _posterior(content)["covariances"].__setitem__(0, -1.0),
    "no active component": lambda content: (
        held(content, "id").update(order=[]),
        held(content, "id")["mixture"].update(active=[False], active_counts=[]),
    ),
    "a modal value beyond the type": lambda content: held(content, "when").update(modal_values=[2**70]),
    "a modal value that is text": lambda content: held(content, "spikes").update(modal_values=["a", 1.0, None]),
    "another type of categories": lambda content: held(content, "town é").update(type=plain(pa.int64())),
    "categories that are equal in their type": lambda content: held(content, "size").update(type=plain(pa.float64())),
    "a range upside down": lambda content: held(content, "day").update(minimum=5, maximum=4),
    "an unknown option": lambda content: held(content, "day").update(clip="yes"),
    "a negative count": lambda content: held(content, "town é")["fit"].update(rows=-1),
    "rows that are text": lambda content: content.update(rows="7"),
    "a seed below 0": lambda content: content.update(seed=-1),
    "a number that is none": lambda content: content["settings"].update(tol={"$float": []}),
}


def _put(column, /, **parts):
    return lambda content: held(content, column).update(parts)


def _codec(column, /, **parts):
    return lambda content: held(content, column)["codec"].update(parts)


def _first(path, value):
    """Set the first number of a vector of a mixture."""

    def change(content):
        place = held(content, "id")["mixture"]
        for part in path:
            place = place[part]
        place[0] = value

    return change


REASONS = {
    "a name that is none": (_put("note", name=7), "a column: name is 7, not a text"),
    "a very long value": (_put("note", type=["x" * 100]), r"type is \['x{57}…, not an Arrow type"),
    "a type as text": (_put("note", type="int64"), "type is 'int64', not an Arrow type"),
    "a part of a codec": (_codec("spikes", other=1), "codec holds 'other', which is not known"),
    "text as numbers": (_codec("spikes", type=plain(pa.string())), r"DataType\(string\), not an Arrow type of numbers"),
    "an option of another word": (_put("size", unknown="skip"), 'unknown must be "error" or "ignore"'),
    "settings that are a list": (lambda content: content.update(settings=[]), r"settings is \[\], not an object"),
    "a count below 0": (_first(["counts"], -1.0), "must be a number, at least 0, got -1.0"),
    "a floor of 1": (
        lambda content: held(content, "id")["rules"].update(floor=1.0),
        "must be a number from 0 to below 1, got 1.0",
    ),
    "a category that is a list": (
        _put("size", categories=[1, 2, [3], None]),
        r"categories\[2\] is \[3\], not a category",
    ),
    "a category that is no text": (
        _put("town é", categories=["b", None, "\ud800", "A"]),
        "text that can be written as UTF-8",
    ),
    "a category that is not a number": (
        _put("share", categories=[1.0, 2.0, {"$float": "nan"}, None]),
        "nan, not a category",
    ),
    "a category beyond all types": (_put("size", categories=[1, 2, -(2**64), None]), "not a category"),
    "categories that are equal in the type": (
        _put("share", categories=[1.0, 1.0 + 2**-40, 0.0, None]),
        "4 different values",
    ),
    "a minimum that is not a number": (_put("spikes", minimum={"$float": "nan"}), "nan, not a value of the column"),
    "an infinite maximum": (_put("spikes", maximum={"$float": "inf"}), "inf, not a value of the column"),
    "one end": (_put("id", minimum=None), "one end of its range only"),
    "the other end": (_put("id", maximum=None), "one end of its range only"),
    "a modal value twice": (_put("spikes", modal_values=[1.0, None, 1.0]), "a modal value twice"),
    "a value below its type": (_put("day", minimum=-(2**31) - 1), "a whole number from -2147483648 to 2147483647"),
    "a value above its type": (_put("id", maximum=2**64), "a whole number from 0 to 18446744073709551615"),
    "a decimal beyond its digits": (_put("price", maximum=10**38), f"a whole number from -{'9' * 38} to {'9' * 38}"),
    "no width of a component": (_first(["posterior", "covariances"], 1e-320), "give no densities"),
    "a range as long as all numbers": (
        lambda content: (
            _codec("general", type=plain(pa.float64()))(content),
            _put("general", minimum=-1.7e308, maximum=1.7e308)(content),
        ),
        "its range has no width",
    ),
}


CONTENTS = {
    **{name: (change, "model.json is") for name, change in CHANGES.items()},
    **{
        name: (change, "model.json is (inconsistent|damaged)|no valid format number")
        for name, change in HOSTILE.items()
    },
    **REASONS,
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_that_no_fit_wrote_are_refused(edit, name):
    change, message = CONTENTS[name]
    refuse(edit(lambda files: document(files, "model.json", change), seal=True), message)


@pytest.mark.parametrize(("column", "message"), [("note", "no column of numbers"), ("sales", "more modal values")])
def test_a_summary_of_another_column_is_refused(edit, column, message):
    def move(content):
        content["summaries"][column] = content["summaries"].pop("spikes")

    refuse(edit(lambda files: document(files, "model.json", move), seal=True), message)


@pytest.mark.parametrize("name", ["manifest.json", "model.json"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch, name, times):
    path, read, replaced = tmp_path / "model", members._read_file, []
    ModelFile.at(path).save(make_stored())

    def replacing(folder, member, most):
        if member == name and len(replaced) < times:
            replaced.append(member)
            path.rename(tmp_path / f"old{len(replaced)}")
            ModelFile.at(path).save(replace(make_stored(), rows=200 + len(replaced)))
            if name == "manifest.json":
                (path / name).unlink()  # of a folder that is not complete yet
        return read(folder, member, most)

    monkeypatch.setattr(members, "_read_file", replacing)
    if times == 1 and name != "manifest.json":
        assert ModelFile.at(path).load().rows == 201
    elif times == 1:
        refuse(path, "no gpuvgm model, manifest.json is not there")
    else:
        refuse(path, "the model was replaced while it was read, twice; load it when it is complete")


@pytest.mark.parametrize(
    "record", [5, {}, {"plan": "x"}, {"plan": {"key": "a"}}, {"plan": {"key": "a", "index": None}}]
)
def test_columns_of_sequences_are_texts(record: object) -> None:
    fitted = TableTransformer().fit({"a": [1.0, 2.0, 3.5] * 20})
    model = fitted._generator({"sequence": record}, b"")
    with pytest.raises(ModelFileError, match=r"its columns of keys and their order are none.*write it again"):
        load_as(TableTransformer, "rows.gpuvgm", model)
