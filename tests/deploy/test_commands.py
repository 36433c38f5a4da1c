"""Every command in docker/ is one that the programs take, with all its options."""

from __future__ import annotations

import re
from importlib import import_module, util

import pytest
import typer

from gpuvgm.cli.commands import app
from tests.deploy.commands import FOLDER, MANIFESTS, Command, documents, every_command
from tests.deploy.processes import Machine

COMMANDS = every_command()


def parser_of(command: Command) -> tuple[object, list[str]]:
    """What reads the options of a command, and those."""
    program, *rest = command.words
    if program == "gpuvgm":
        return typer.main.get_command(app), rest
    if program == "dask" and rest[0] == "cuda":
        if util.find_spec("dask_cuda") is None:
            pytest.skip("dask-cuda is not installed: pip install gpuvgm[cu13]")
        return import_module("dask_cuda.cli").cuda.commands[rest[1]], rest[2:]
    if util.find_spec("distributed") is None:
        pytest.skip("Dask is not installed: pip install gpuvgm[dask]")
    return import_module(f"distributed.cli.dask_{rest[0]}").main, rest[1:]


def write_options(machine: Machine) -> None:
    """The files of the ConfigMap, where containers see them."""
    for document in documents(FOLDER / "kubernetes" / "options.yaml"):
        for name, text in document["data"].items():
            (machine.folder / "etc" / "gpuvgm" / name).write_text(machine.placed(text))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_options_exist(command, tmp_path):
    if command.words[:2] == ("python", "-c"):
        compile(command.words[2], str(command), "exec")
        return
    machine = Machine(tmp_path, ports=())
    write_options(machine)
    parser, words = parser_of(command)
    words = [machine.placed(word) for word in words]
    name = command.words[0]
    if name == "gpuvgm" and words != ["--help"]:
        name = words.pop(0)
        parser = parser.commands[name]
    elif name == "gpuvgm":
        return  # shown by test_an_image_answers
    assert not parser.make_context(name, words).args


def test_a_wrong_option_would_be_seen():
    parser, words = parser_of(Command("here", ("gpuvgm", "fit", "a", "--model", "b", "--no-such-option")))
    with pytest.raises(Exception, match="No such option: --no-such-option"):
        parser.commands[words[0]].make_context("fit", words[1:])


def test_commands_were_found_everywhere():
    programs = {command.words[:2] for command in COMMANDS}
    assert {("dask", "scheduler"), ("dask", "worker"), ("dask", "cuda"), ("gpuvgm", "fit")} <= programs
    origins = " ".join(command.origin for command in COMMANDS)
    for name in [
        "fit.yaml",
        "nightly.yaml",
        "dask.yaml",
        "gpu.yaml",
        "serve.yaml",
        "compose job",
        "cpu.Dockerfile",
        "head of",
    ]:
        assert name in origins
    assert len(MANIFESTS) == 8


def test_the_page_names_files_that_are_there():
    page = (FOLDER.parent / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"docker/[\w./-]*\w", page))
    assert named
    assert [name for name in named if not (FOLDER.parent / name).exists()] == []
