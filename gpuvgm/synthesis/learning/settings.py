"""What a user asks of a fit, as the stages of learning take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor, Need, Run, RunSettings
from gpuvgm.io import Source
from gpuvgm.laws import Laws
from gpuvgm.report import HoldOut
from gpuvgm.rules import whole
from gpuvgm.synthesis.counts import TreeSettings
from gpuvgm.table import TableTransformer

_BINS = whole(2, 1000)
_MACHINE = ("engine", "executor", "memory", "threads", "progress")


@dataclass(frozen=True, slots=True)
class SynthesizerSettings:
    """Parameters of a `TableSynthesizer`.

    Parameters
    ----------
    columns : object
        The columns and their kinds, or a fitted transformer.
    bins : int
        Intervals of a column of numbers.
    laws : str or sequence
        Laws that rows keep, as texts or objects, or how they are found.
    conditions_on : tuple of str
        Columns that are drawn first.
    safer : bool
        Grow smaller trees.
    random_state : int or None
        Seed of the fit.
    sequence_key, sequence_index : str or None
        Column of the keys that rows belong to, and the one that orders their rows.
    hold_out : float
        Share of the rows, or of the keys that they belong to, that the fit does not see.
    given : tuple of str
        Columns that are not drawn: all others may depend on them.
    forgotten : tuple of str
        Columns of which rows of a key do not ask what the row before has.
    made : tuple of str
        Columns that are no columns of the user's table, of which no warning tells.
    undecided : tuple of str
        Columns that laws which are found do not decide.
    machine : mapping of str to object
        Where and how the work is done, as `RunSettings` has it.
    """

    columns: Any
    bins: int
    laws: str | Sequence[Any]
    conditions_on: tuple[str, ...]
    safer: bool
    random_state: int | None
    machine: Mapping[str, Any]
    sequence_key: str | None = None
    sequence_index: str | None = None
    hold_out: float = 0.0
    given: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Settings of the parameters of a `TableSynthesizer`, whose names may be any labels."""
        columns = tuple(map(str, parameters["conditions_on"]))
        names = (parameters["sequence_key"], parameters["sequence_index"])
        key, index = (None if name is None else str(name) for name in names)
        machine = {name: parameters[name] for name in _MACHINE}
        others = {name: parameters[name] for name in ("columns", "bins", "laws", "safer", "random_state", "hold_out")}
        return cls(conditions_on=columns, machine=machine, sequence_key=key, sequence_index=index, **others)

    @staticmethod
    def check(bins: Any, safer: Any, laws: Any) -> None:
        """Raise InputError, a ValueError, for values that a parameter cannot have."""
        _BINS(bins, "bins")
        if not isinstance(safer, bool):
            raise InputError(f"safer must be true or false, got {safer!r}")
        Laws.named(laws)

    @property
    def trees(self) -> TreeSettings:
        """How trees are grown."""
        return TreeSettings.of(safer=self.safer)

    @property
    def engine(self) -> Engine:
        """Engine of what is computed in this process."""
        return get_engine(self.machine["engine"])

    @property
    def threads(self) -> int:
        """Threads of what is computed in this process."""
        return LocalExecutor(self.machine["threads"]).threads

    def rule(self, table: Source) -> HoldOut | None:
        """Which rows of a table are held out; None for none. Those of a key are held out together.

        Raises
        ------
        InputError
            For no share, and where the columns are fitted already.
        """
        if not self.hold_out:
            return None
        if isinstance(self.columns, TableTransformer):
            raise InputError("hold_out: the transformer has seen all rows: give columns that are not fitted")
        return HoldOut(self.hold_out, self.random_state or 0, tuple(table.schema.names), self.sequence_key)

    def run(self, stage: str, table: Source) -> AbstractContextManager[Run]:
        """The run of a stage over all rows."""
        return RunSettings(**self.machine).run(stage, table, lambda: Need.fit(table.schema))
