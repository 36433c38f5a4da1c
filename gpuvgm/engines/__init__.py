"""Engines: the same row loops on different hardware, chosen once by name."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module, util

from gpuvgm.config import environment
from gpuvgm.engines.base import Engine, statistics_of
from gpuvgm.errors import EnvironmentProblem

__all__ = ["Engine", "get_engine", "native_is_built", "statistics_of"]

ENGINES = ("auto", "reference", "native")
_LOG = logging.getLogger("gpuvgm")


def native_is_built() -> bool:
    """Whether the C++ extension is there."""
    return util.find_spec("gpuvgm._native") is not None


@cache
def get_engine(name: str = "auto") -> Engine:
    """Engine by name.

    Parameters
    ----------
    name : {"auto", "reference", "native"}
        "auto" is the native engine where it was built, else the reference engine (said once in the log).

    Raises
    ------
    EnvironmentProblem
        For an engine that is unknown or not built.
    """
    if name not in ENGINES:
        raise EnvironmentProblem(f'engine "{name}" is unknown: choose from {", ".join(ENGINES)}')
    if name == "auto":
        name = "native" if native_is_built() else "reference"
        if name == "reference":
            _LOG.warning("gpuvgm was installed without its C++ extension: the slower NumPy engine is used")
    if name == "native":
        if not native_is_built():
            raise EnvironmentProblem('engine "native" was not built: install a C++ compiler and reinstall gpuvgm')
        engine: Engine = import_module("gpuvgm.engines.native").NativeEngine(environment("instruction_set"))
        return engine
    engine = import_module("gpuvgm.engines.reference").ReferenceEngine()
    return engine
