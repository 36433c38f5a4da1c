"""A terminal of any width: what its screen shows after what was written to it."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ESCAPE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")
WITHOUT_EFFECT = {"m", "h", "l"}  # colours, and whether the cursor is shown


class Screen:
    """The rows of a terminal that never scrolls, with the sequences that bars are drawn with.

    Parameters
    ----------
    columns : int
        Width.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.wrapped: set[int] = set()  # rows that go on in the next one
        self.row = self.column = 0

    def write(self, text: str) -> Screen:
        """Show what a program writes."""
        while text:
            sequence = ESCAPE.match(text)
            if sequence:
                self._obey(sequence[1], sequence[2])
            elif text[0] == "\r":
                self.column = 0
            elif text[0] == "\n":
                self._go_down()
            elif text[0].isprintable():
                self._put(text[0])
            else:
                raise ValueError(f"no terminal of ours knows {text[:9]!r}")
            text = text[sequence.end() :] if sequence else text[1:]
        return self

    @property
    def lines(self) -> list[str]:
        """What is seen, where a line that the terminal broke is one line; empty ones are left out."""
        lines = [""]
        for number, row in enumerate(self.rows):
            lines[-1] += "".join(row)
            if number not in self.wrapped:
                lines.append("")
        return [line.rstrip() for line in lines if line.strip()]

    def _obey(self, numbers: str, name: str) -> None:
        count = int(numbers) if numbers.isdigit() else 1
        if name == "A":
            self.row = max(0, self.row - count)
        elif (numbers, name) == ("2", "K"):
            self.rows[self.row] = []
            self.wrapped -= {self.row - 1, self.row}
        elif name not in WITHOUT_EFFECT:
            raise ValueError(f"no terminal of ours knows ESC[{numbers}{name}")

    def _put(self, letter: str) -> None:
        if self.column == self.columns:
            self.wrapped.add(self.row)
            self._go_down()
            self.column = 0
        row = self.rows[self.row]
        row += " " * (self.column + 1 - len(row))
        row[self.column] = letter
        self.column += 1

    def _go_down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, Callable[[], str]]]:
    """A terminal of a width: its descriptor for programs, and what reads all that they write, once they are started."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read() -> str:
        os.close(child)
        written = b""
        while part := _read(parent):
            written += part
        return written.decode()

    try:
        yield child, read
    finally:
        os.close(parent)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError as problem:  # what Linux says when the other end was closed
        if problem.errno != errno.EIO:
            raise
        return b""
