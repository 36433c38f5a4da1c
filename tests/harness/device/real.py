"""What the installed CuPy has: names and signatures, read without a GPU."""

from __future__ import annotations

import inspect
import sys
from functools import cache
from types import ModuleType
from typing import Any


@cache
def cupy() -> ModuleType:
    """CuPy itself, also while something else stands in its place."""
    standing = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "cupy"}
    try:
        import cupy as found

        real: ModuleType = found
    finally:
        if standing and hasattr(standing.get("cupy"), "hardware"):
            for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
                del sys.modules[name]
        sys.modules.update(standing)
    return real


@cache
def signature(owner: str, name: str) -> inspect.Signature | None:
    """The arguments of a function of the module ("cupy") or of a method ("ndarray"); None where nothing tells them."""
    place: Any = cupy() if owner == "cupy" else cupy().ndarray
    found = getattr(place, name)
    try:
        return inspect.signature(found)
    except (ValueError, TypeError):
        return _documented(found, name)


def _documented(found: Any, name: str) -> inspect.Signature | None:
    """As the first line of the docstring says, where Cython wrote it."""
    first = (found.__doc__ or "").partition("\n")[0]
    if f"{name}(" not in first:
        return None
    arguments = first.partition("(")[2].partition(")")[0]
    space: dict[str, Any] = {}
    try:
        exec(f"def told({arguments}): ...", {}, space)  # noqa: S102
    except (SyntaxError, NameError):
        return None
    return inspect.signature(space["told"])
