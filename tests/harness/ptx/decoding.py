"""PTX as NVRTC writes it, decoded for the interpreter."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tests.harness.ptx.interpreter import ATOMICS, INSTRUCTION, SPACES, Kernel, rules

BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}
#: What registers hold that nobody wrote: a kernel that reads them makes nonsense.
UNWRITTEN = 0xA5A5A5A5A5A5A5A5
_SPECIAL = {"%tid.x": "tid", "%ntid.x": "ntid", "%ctaid.x": "ctaid", "%nctaid.x": "nctaid"}
_ALWAYS_ZERO = {"%tid.y", "%tid.z", "%ctaid.y", "%ctaid.z", "_"}  # launches have one dimension; _: nobody wants it
_PARAMETER = re.compile(
    r"\.param\s+(?:\.align\s+(?P<align>\d+)\s+)?\.[a-z](?P<bits>\d+)\s+"
    r"(?:\.ptr\s+(?:\.\w+\s+)?(?:\.align\s+\d+\s+)?)?(?P<name>\w+)(?:\[(?P<count>\d+)\])?"
)
_VARIABLE = re.compile(
    r"\.(?P<space>shared|const)\s+\.align\s+(?P<align>\d+)\s+\.[a-z](?P<bits>\d+)\s+(?P<name>\w+)"
    r"(?:\[(?P<count>\d+)\])?(?:\s*=\s*\{(?P<values>[^}]*)\})?"
)
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
_ADDRESS = re.compile(r"\[\s*(?P<base>[%$\w]+)\s*(?:\+\s*(?P<offset>-?\d+))?\s*\]")


class UnknownInstruction(ValueError):
    """PTX that the interpreter does not know: it needs a line in rules.hpp, or decoding."""


def decode(text: str) -> Kernel:
    """The kernel of a PTX text, of which there must be one.

    Raises
    ------
    UnknownInstruction
        For what the interpreter does not know.
    """
    head, body = re.split(r"\n\{", text, maxsplit=1)
    body, rest = re.split(r"\n\}", body, maxsplit=1)
    entry = re.search(r"\.entry\s+(\w+)\(([^)]*)\)", head)
    assert entry, "there is no kernel"
    decoder = _Decoder(entry[1], files=dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', rest)))
    decoder.parameters(entry[2])
    decoder.variables(head[: entry.start()])
    decoder.variables(body)
    decoder.body(body)
    return decoder.finished()


class _Decoder:
    """Every register, immediate and symbol gets a place among a thread's registers, which operands then are."""

    def __init__(self, name: str, files: dict[str, str]) -> None:
        self.kernel, self.files = Kernel(name), files
        self.places: dict[str, int] = {}
        self.values: list[int] = []
        self.symbols: dict[str, tuple[str, int]] = {}  # space and address
        self.labels: dict[str, int] = {}
        self.registers: set[str] = set()  # of inline assembly, which declares them one by one
        self.rows: list[dict[str, Any]] = []

    def parameters(self, declarations: str) -> None:
        end = 0
        for declaration in filter(None, map(str.strip, declarations.split(","))):
            match = _PARAMETER.fullmatch(declaration)
            if match is None:
                raise UnknownInstruction(declaration)
            each = BYTES[match["bits"]]
            align, size = int(match["align"] or each), each * int(match["count"] or 1)
            start = -(-end // align) * align
            self.symbols[match["name"]] = ("param", start)
            self.kernel.parameters.append((start, size))
            end = start + size

    def variables(self, text: str) -> None:
        """Arrays in shared and in constant memory."""
        kernel = self.kernel
        for match in _VARIABLE.finditer(text):
            align, each = int(match["align"]), BYTES[match["bits"]]
            size = each * int(match["count"] or 1)
            end = kernel.shared_bytes if match["space"] == "shared" else len(kernel.constants)
            start = -(-end // align) * align
            self.symbols[match["name"]] = (match["space"], start)
            if match["space"] == "shared":
                kernel.shared_bytes = start + size
            else:
                values = [int(value) for value in (match["values"] or "").split(",") if value.strip()]
                assert each == 1, f"{match['name']}: constants of one byte alone are decoded"
                kernel.constants = kernel.constants.ljust(start, b"\0") + bytes(values).ljust(size, b"\0")

    def body(self, text: str) -> None:
        self.registers |= set(re.findall(r"\.reg\s+\.\w+\s+(%?\w+)\s*;", text))
        line = "an unknown line"
        for raw in text.splitlines():
            here = raw.partition("//")[0].strip()
            if match := re.match(r"\.loc\s+(\d+)\s+(\d+)", here):
                line = f"{self.files.get(match[1], '')}:{match[2]}"
            if here.startswith((".loc", ".file", ".pragma", ".reg", ".shared")):
                continue
            while match := re.match(r"([$\w]+):\s*", here):
                self.labels[match[1]] = len(self.rows)
                here = here[match.end() :]
            for statement in self._statements(here):
                self.rows.append(self._instruction(statement))
                self.kernel.text.append(statement)
                self.kernel.lines.append(line)

    @staticmethod
    def _statements(line: str) -> list[str]:
        """Instructions of a line; those of inline assembly stand in braces."""
        line = re.sub(r"^\{\s*(?=[.a-z])|(?<=;)\s*\}$", "", line)
        parts = [part.strip() for part in line.split(";")]
        return [part for part in parts if part.strip("{} ") and not part.startswith(".reg")]

    def _place(self, operand: str) -> int:
        """Where a register, an immediate or the address of a symbol lies."""
        if operand not in self.places:
            self.places[operand] = len(self.values)
            if operand in _SPECIAL:
                self.kernel.special[_SPECIAL[operand]] = len(self.values)
            self.values.append(self._initial(operand))
        return self.places[operand]

    def _initial(self, operand: str) -> int:
        if operand in _ALWAYS_ZERO or operand in _SPECIAL:
            return 0
        if operand in self.registers or re.fullmatch(r"%[a-z]+\d+", operand):
            return UNWRITTEN
        if re.fullmatch(r"0[dD][0-9A-Fa-f]{16}|0[fF][0-9A-Fa-f]{8}", operand):
            return int(operand[2:], 16)
        if re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?", operand):
            return int(operand.rstrip("U"), 0) & (2**64 - 1)
        space, address = self.symbols.get(operand, ("param", 0))
        if space == "param":
            raise UnknownInstruction(operand)
        return address

    def _instruction(self, statement: str) -> dict[str, Any]:
        row: dict[str, Any] = {"predicate": -1, "wanted": 1, "count": 1, "allocation": -1}
        if match := re.match(r"@(!?)(%p\d+)\s+", statement):
            row |= {"predicate": self._place(match[2]), "wanted": int(not match[1])}
            statement = statement[match.end() :]
        name, _, rest = statement.replace("\t", " ").partition(" ")
        operands = _OPERAND.findall(rest)
        kind = name.partition(".")[0]
        if kind in ("ld", "st", "atom", "red"):
            return row | self._access(name, operands)
        if kind == "bra":
            return row | {"rule": rules()["bra"], "label": operands[0]}
        if name in ("ret", "exit"):
            return row | {"rule": rules()["ret"]}
        if name == "bar.sync" and operands == ["0"]:
            return row | {"rule": rules()["bar.sync"]}
        if name == "mov.b64" and any(operand.startswith("{") for operand in operands):
            return row | self._halves(*operands)
        if name not in rules() or any(operand.startswith(("{", "[")) for operand in operands):
            raise UnknownInstruction(statement)
        result, *others = map(self._place, operands)
        return row | {"rule": rules()[name], "results": [result, 0, 0, 0], **dict(zip("abce", others, strict=False))}

    def _halves(self, to: str, of: str) -> dict[str, Any]:
        """Two registers made one, or one made two."""
        low, high = (self._place(one.strip()) for one in (to if to.startswith("{") else of).strip("{} ").split(","))
        if to.startswith("{"):
            return {"rule": rules()["mov.b64 unpack"], "results": [low, high, 0, 0], "a": self._place(of)}
        return {"rule": rules()["mov.b64 pack"], "results": [self._place(to), 0, 0, 0], "a": low, "b": high}

    def _access(self, name: str, operands: list[str]) -> dict[str, Any]:
        kind, *flags = name.split(".")
        space = next((flag for flag in flags if flag in SPACES), "generic")
        count = next((int(flag[1:]) for flag in flags if re.fullmatch(r"v[24]", flag)), 1)
        known = {space, f"v{count}", flags[-1], "volatile", "nc", "relaxed", "gpu", *ATOMICS}
        if not set(flags) <= known or not re.fullmatch(r"[usfb]\d+", flags[-1]):
            raise UnknownInstruction(name)
        each = BYTES[flags[-1][1:]]
        if space in ("shared", "generic"):
            self.kernel.shared_grain = min(self.kernel.shared_grain, each)
        row: dict[str, Any] = {"space": SPACES[space], "bytes": each, "count": count}
        row["is_signed"] = flags[-1].startswith("s")
        if kind in ("ld", "st"):
            registers, address = operands if kind == "ld" else reversed(operands)
            row["rule"] = rules()[kind]
        else:
            if flags[-1].startswith("f") or each < 4:
                raise UnknownInstruction(name)
            registers, address, *others = operands if kind == "atom" else ["", *operands]
            row |= {"rule": rules()["atom"], "atomic": ATOMICS[next(flag for flag in flags if flag in ATOMICS)]}
            row |= dict(zip("bc", map(self._place, others), strict=False))
        results = [self._place(one.strip()) for one in registers.strip("{} ").split(",") if one.strip()]
        assert len(results) in (count, 0), name
        return row | {"results": [*results, *[-1] * (4 - len(results))], **self._address(address, space)}

    def _address(self, text: str, space: str) -> dict[str, int]:
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise UnknownInstruction(text)
        offset = int(match["offset"] or 0)
        if match["base"].startswith("%"):
            return {"a": self._place(match["base"]), "offset": offset}
        lies_in, start = self.symbols[match["base"]]
        assert lies_in == space, text
        return {"a": -1, "offset": start + offset}

    def finished(self) -> Kernel:
        kernel = self.kernel
        kernel.code = np.zeros(len(self.rows), INSTRUCTION)
        for index, row in enumerate(self.rows):
            if "label" in row:
                row["offset"] = self.labels[row.pop("label")]
            for key, value in row.items():
                kernel.code[index][key] = value
        kernel.initial = np.array(self.values, np.uint64)
        kernel.executed = np.zeros(len(self.rows), np.uint64)
        return kernel
