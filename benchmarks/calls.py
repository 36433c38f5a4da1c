"""Calls that gpuvgm's code makes, counted as it runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import gpuvgm

#: Frames that newer versions of Python have no more, or that go on again and again.
IN_LINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
BUILTIN_TYPES = (list, dict, tuple, set, frozenset, str, bytes, int, float, bool, type)


class Calls:
    """Calls that gpuvgm's own code makes: of its functions and of libraries', not of Python's builtins."""

    def __init__(self) -> None:
        self.count, self._own = 0, Path(gpuvgm.__file__).parent
        self._known: dict[CodeType, bool] = {}

    def _is_own(self, frame: FrameType | None) -> bool:
        if frame is None:
            return False
        code = frame.f_code
        if code not in self._known:
            self._known[code] = self._own in Path(code.co_filename).parents
        return self._known[code]

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and not _is_builtin(called):
            self.count += self._is_own(frame)
        elif event == "call" and frame.f_code.co_name not in IN_LINE:
            self.count += self._is_own(frame.f_back)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count within, in this thread and in those that begin."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]


def _is_builtin(called: Any) -> bool:
    """Whether a function is one of Python's own, as `len`, or a method of its types."""
    return getattr(called, "__module__", None) == "builtins" or type(getattr(called, "__self__", None)) in BUILTIN_TYPES
