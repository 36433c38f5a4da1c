"""What workers run: a function over the blocks of a portion, and merges of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from gpuvgm.execution.local import CallerExecutor, LocalExecutor
from gpuvgm.execution.partitions import HeldRows, OpenPortion
from gpuvgm.io import Block

R = TypeVar("R")


class Task:
    """A function that a worker holds, called with one portion after the other.

    Parameters
    ----------
    function : callable
        It takes a portion.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, portion: Any) -> Any:
        """What the function gives."""
        return self._function(portion)


def travels(portion: Any) -> bool:
    """Whether the rows of a portion go to the worker with it, and are not read there."""
    return isinstance(portion, (Block, HeldRows))


def opened(portion: Any) -> tuple[LocalExecutor, Any]:
    """What runs the blocks of a portion, and these blocks; a block is a portion of one."""
    if isinstance(portion, Block):
        return LocalExecutor(1), iter([portion])
    found: OpenPortion = portion.opened()
    return (CallerExecutor if found.on_device else LocalExecutor)(1), found.blocks


def blocks_merged(function: Callable[[Any], R], merge: Callable[[R, R], R], portion: Any) -> R | None:
    """The blocks' results as one; None for a portion without rows."""
    executor, blocks = opened(portion)
    return executor.map_merge(function, blocks, merge)


def merged_pair(merge: Callable[[R, R], R], one: R | None, other: R | None) -> R | None:
    """Results of two portions, either of which may have no rows."""
    if one is None or other is None:
        return other if one is None else one
    return merge(one, other)


def blocks_mapped(function: Callable[[Any], R], portion: Any) -> list[R]:
    """The blocks' results."""
    executor, blocks = opened(portion)
    return list(executor.stream(function, blocks))


def portion_given(function: Callable[[Any, LocalExecutor], R], portion: Any) -> R:
    """What a function makes of a portion."""
    return function(portion, LocalExecutor(1))


def held(function: Callable[[Iterator[Any]], R], portion: Any) -> R:
    """What a function makes of the blocks of a portion; it stays on the worker."""
    _, blocks = opened(portion)
    return function(blocks)


def sums_of_held(function: Callable[..., R], arguments: Sequence[Any], values: Sequence[Any]) -> list[R]:
    """What a function gives for each of the values that this worker holds."""
    return [function(value, *arguments) for value in values]
