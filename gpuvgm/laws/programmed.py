"""Laws that are programs: Python objects that say of each row whether it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import on_host
from gpuvgm.errors import InputError
from gpuvgm.io import taken
from gpuvgm.laws.codes import Columns, Mask, Rows
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.sample import LawSample
from gpuvgm.rules import shown
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats, Ints

TRIED_ROWS, TRIED_PARTS = 1_000, 8  # of a sample, and parts of them that must get the same answers
TableMaker = Callable[[pa.Table], Any]  # makes rows a table of the kind that was fitted


def name_of_program(program: Any) -> str:
    """Name of a user's own law: its `name`, or else that of its class.

    Raises
    ------
    InputError
        For an object that is no law.
    """
    if isinstance(program, type):
        raise InputError(f"laws: {program.__name__} is a class; give an object of it, {program.__name__}()")
    if not callable(getattr(program, "holds", None)):
        raise InputError(f"laws: {shown(program)} is neither the text of a law nor an object with holds(rows)")
    name = getattr(program, "name", type(program).__name__)
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"laws: the name of a {type(program).__name__} must be text, got {shown(name)}")
    return name


@dataclass(frozen=True)  # no slots, as of all laws
class ProgrammedLaw(Law):
    """What a user's own object says of rows; those that break it are drawn again.

    Its `function` is its name. It has neither operands nor a target: nobody can tell which columns a program reads.

    Parameters
    ----------
    program : object, optional
        Has ``holds(rows)``. None where the law comes from a file, which holds no code.
    as_fitted : callable, optional
        Makes rows a table of the kind that was fitted, which `holds` gets.
    """

    program: Any = field(default=None, repr=False, compare=False)
    as_fitted: TableMaker | None = field(default=None, repr=False, compare=False)

    sign = "holds"
    examples = ()
    decides = False
    changes = False

    @classmethod
    def of(cls, program: Any, sample: LawSample) -> Self:
        """The law of an object, which is tried on some rows of a sample.

        Raises
        ------
        InputError
            For an object that is no law, or answers something else than a boolean for each row by itself.
        """
        law = cls((), "", function=name_of_program(program), program=program, as_fitted=sample.as_fitted)
        law._check_rows(sample)
        return law

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield none: no text is a program."""
        return iter(())

    @property
    def text(self) -> str:
        """Its name."""
        return self.function

    @property
    def names(self) -> tuple[str, ...]:
        """None: nobody can tell which columns it is of."""
        return ()

    def with_program(self, programs: Mapping[str, Any], as_fitted: TableMaker) -> Law:
        """The law with the object of its name, if that is among these."""
        if self.function not in programs:
            return self
        return replace(self, program=programs[self.function], as_fitted=as_fitted)

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """Rows break the law where `holds` says so; nothing is certain."""
        broken = ~self._answers(columns, rows)
        return Outcome(broken, np.zeros_like(broken), np.zeros_like(broken))

    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """None: the law has no target."""
        return np.empty(0)

    def check(self, columns: Columns) -> None:
        """Raise ValueError where a law from a file has other parts than a name and counts."""
        if not self.function or self.uncounted != type(self)((), "", function=self.function):
            raise ValueError(f"the law {shown(self.function)} has other parts than a name")

    def _answers(self, columns: Columns, rows: Rows) -> Mask:
        """Whether each row keeps the law; a missing answer counts as yes, as what lacks a value breaks no law."""
        arrays = {name: on_host(rows(name)) for name, column in columns.items() if column.is_encoded}
        count = len(next(iter(arrays.values()), ()))
        if not count:
            return np.ones(0, np.bool_)
        if self.program is None or self.as_fitted is None:
            program = f"{self}()" if self.function.isidentifier() else "..."
            raise InputError(
                f'laws: "{self}" is a Python object, and a model holds no code: load it in Python, with '
                f"gpuvgm.load(path, laws=[{program}])"
            )
        table = self.as_fitted(pa.table(arrays))
        try:
            answers = np.asarray(self.program.holds(table))
        except Exception as problem:  # whatever a user's code may raise
            wanted = f"its rows are a {type(table).__name__} of the modelled columns {', '.join(arrays)}"
            raise InputError(f'laws: "{self}": holds raised {type(problem).__name__}: {problem}; {wanted}') from problem
        return self._as_booleans(answers, count)

    def _as_booleans(self, answers: Any, count: int) -> Mask:
        """Answers as booleans, one for each row."""
        if answers.shape != (count,):
            shape = "one value" if not answers.shape else f"an array of shape {answers.shape}"
            raise InputError(f'laws: "{self}": holds gave {shape} for {count:,} rows, not one boolean for each row')
        try:
            array = pa.array(answers, from_pandas=True)
        except ARROW_PROBLEMS:
            array = pa.array(np.zeros(count))  # of several types
        if not pa.types.is_boolean(array.type) and not pa.types.is_null(array.type):
            raise InputError(f'laws: "{self}": holds gave {answers.dtype}, not one boolean for each row')
        return np.asarray(array.cast(pa.bool_()).fill_null(fill_value=True))

    def _check_rows(self, sample: LawSample) -> None:
        """Raise InputError where answers are none, or depend on which rows are asked together."""

        def answers(places: Ints) -> Mask:
            return self._answers(sample.columns, lambda name: taken(sample.rows(name), places))

        tried = sample.shuffled[:TRIED_ROWS]
        in_parts = np.concatenate([answers(part) for part in np.array_split(tried, TRIED_PARTS)])
        if not np.array_equal(answers(tried), in_parts):
            raise InputError(
                f'laws: "{self}": holds gives a row other answers beside other rows; it must judge each row by itself'
            )
