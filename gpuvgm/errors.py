"""The exceptions gpuvgm raises on purpose; the command line maps them to exit codes."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong input or wrong usage; the message names column, file and row where they exist (exit code 2)."""


class EnvironmentProblem(RuntimeError):
    """The machine lacks something: an engine is missing, a disk is full (exit code 3)."""


class ModelFileError(InputError):
    """A model file that is damaged, truncated, tampered with or newer than this library."""


class SourceChangedError(InputError):
    """A source that must be read twice was different the second time."""


def printable(text: str) -> str:
    """The text with escapes for what cannot be shown."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
