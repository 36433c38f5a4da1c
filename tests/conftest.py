"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gpuvgm.engines import get_engine, native_is_built
from gpuvgm.engines.base import Engine

# In the background signals may be ignored, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Long runs of the same code with other numbers, which tell nothing of a Python version.
EXHAUSTIVE = (
    "engines/test_engines.py",
    "engines/test_features.py",
    "estimator/test_faults.py",
    "estimator/test_parity.py",
    "maths/test_search.py",
    "reference/",
    "transformer/test_effort.py",
    "transformer/test_round_trip.py",
    "transformer/test_specification.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `EXHAUSTIVE`."""
    root = Path(__file__).parent
    for item in items:
        if str(item.path.relative_to(root)).startswith(EXHAUSTIVE):
            item.add_marker(pytest.mark.exhaustive)


def engine_names() -> list[str]:
    """Engines of this installation and, for the native one, every instruction set of the machine."""
    names = ["reference"]
    if native_is_built():
        from gpuvgm import _native

        names += [f"native-{name}" for name in _native.instruction_sets()]
    return names


def make_engine(name: str) -> Engine:
    """Engine by the name that `engine_names` gives it."""
    if name == "reference":
        return get_engine("reference")
    from gpuvgm.engines.native import NativeEngine

    return NativeEngine(name.removeprefix("native-"))


@pytest.fixture(params=engine_names())
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine in turn."""
    return make_engine(request.param)


@pytest.fixture(params=[name for name in engine_names() if name != "reference"])
def native(request: pytest.FixtureRequest) -> Engine:
    """The native engine on every instruction set in turn."""
    return make_engine(request.param)
