"""Cubins read with NVIDIA's tools: what a kernel occupies, and its instructions."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

TOOLS = {"cuobjdump": "nvidia-cuda-cuobjdump", "nvdisasm": "nvidia-cuda-nvdisasm"}
_RESOURCES = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_SUBROUTINE = re.compile(r"^\$[.$\w]*:")


@dataclass(frozen=True, slots=True)
class Resources:
    """What a kernel occupies: registers a thread, bytes of stack and of local memory a thread, shared bytes a block."""

    registers: int
    stack: int
    shared: int
    local: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, as ``LDG.E.128 R4, desc[UR4][R2.64]``."""

    opcode: str
    operands: str

    @property
    def name(self) -> str:
        """Opcode without its modifiers."""
        return self.opcode.partition(".")[0]

    @property
    def modifiers(self) -> tuple[str, ...]:
        """Modifiers of the opcode."""
        return tuple(self.opcode.split(".")[1:])


@dataclass(frozen=True, slots=True)
class Listing:
    """Instructions of a kernel in their order; `body` of them are its own, the others those of subroutines it calls."""

    instructions: tuple[Instruction, ...]
    body: int

    def own(self) -> tuple[Instruction, ...]:
        """Instructions outside of subroutines."""
        return self.instructions[: self.body]


def resources(cubin: bytes, name: str) -> Resources:
    """What a kernel of a cubin occupies."""
    found = {kernel: numbers for kernel, *numbers in _RESOURCES.findall(_run("cuobjdump", cubin, "-res-usage"))}
    return Resources(*map(int, found[name]))


@cache
def disassemble(cubin: bytes, name: str) -> Listing:
    """Instructions of a kernel of a cubin."""
    text = _run("nvdisasm", cubin, "-c", "-ndf")  # the analysis of data flow takes a quarter of the time
    return parse(text, name)


def parse(text: str, name: str) -> Listing:
    """Instructions of a kernel in the text that ``nvdisasm -c`` writes."""
    instructions: list[Instruction] = []
    inside, body = False, None
    for line in map(str.strip, text.splitlines()):
        if line.startswith(".section") or line.startswith("//-----"):
            inside = inside and not line.startswith("//-----") or f".text.{name}," in line
        elif inside and _SUBROUTINE.match(line):
            if body is None:
                body = len(instructions)
        elif inside and (found := _INSTRUCTION.match(line)):
            instructions.append(Instruction(*found.groups()))
    if not instructions:
        raise ValueError(f"there is no kernel {name}")
    while instructions[-1].name == "NOP":
        instructions.pop()
    return Listing(tuple(instructions), len(instructions) if body is None else body)


@cache
def tool_folder() -> Path:
    """Folder with cuobjdump and nvdisasm: those on PATH, else copies of the wheels' ones made executable.

    Raises
    ------
    FileNotFoundError
        A tool is in neither place.
    """
    folder = Path(_scratch().name)
    for tool, wheel in TOOLS.items():
        target = folder / tool
        shutil.copyfile(_installed(tool, wheel), target)
        target.chmod(target.stat().st_mode | stat.S_IXUSR)
    return folder


def _installed(tool: str, wheel: str) -> Path:
    try:
        files = metadata.files(wheel) or []
        for file in files:
            if file.name == tool and file.parent.name == "bin":
                return Path(str(file.locate()))
    except metadata.PackageNotFoundError:
        pass
    on_path = shutil.which(tool)
    if on_path is None:
        raise FileNotFoundError(f"{tool} is not installed")
    return Path(on_path)


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes when this process ends."""
    return tempfile.TemporaryDirectory(prefix="gpuvgm-kernels-")


def _run(tool: str, cubin: bytes, *options: str) -> str:
    folder = tool_folder()
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    with tempfile.NamedTemporaryFile(suffix=".cubin", dir=folder) as file:
        file.write(cubin)
        file.flush()
        command: Sequence[str] = (str(folder / tool), *options, file.name)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
