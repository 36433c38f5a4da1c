"""Numbers that run on: that of the row before, and others of their row that are added or taken off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from gpuvgm.errors import InferenceWarning, warn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.names import PLACE, before, since
from gpuvgm.synthesis.sequences.rows import KeyRows

LEAST_STEPS = 20  # other than 0, that show a running number
LEAST_NUMBERS = 10  # different ones
LEAST_KEYS = 20  # of several rows, that show numbers of lines
PROBED = 256  # rows that pairs of columns are tried on first
MOSTLY = 0.99  # of the rows that keep a law, of which the others are told
NEAR = 1e-9  # of the largest number, by which sums may differ


@dataclass(frozen=True, slots=True)
class RunningNumber:
    """A number that is the one of the row before and one or two others of its row, such as a balance.

    Parameters
    ----------
    column : str
        The column.
    added, taken_off : tuple of str
        Columns that are added to it, and that are taken off.
    from_zero : bool
        Whether that of the first row begins at 0.
    """

    column: str
    added: tuple[str, ...]
    taken_off: tuple[str, ...]
    from_zero: bool = False

    def __str__(self) -> str:
        added, taken_off = (f" + {name}" for name in self.added), (f" - {name}" for name in self.taken_off)
        return f"{before(self.column)}{''.join(added)}{''.join(taken_off)} = {self.column}"

    @property
    def has_step(self) -> bool:
        """Whether one is added and one taken off, so that the step is a column of its own."""
        return bool(self.added and self.taken_off)

    @property
    def laws(self) -> tuple[str, ...]:
        """Laws of the row by which it is computed."""
        if not self.has_step:
            return (str(self),)
        step = since(self.column)
        return f"{self.added[0]} - {self.taken_off[0]} = {step}", f"{before(self.column)} + {step} = {self.column}"

    def steps(self, amounts: Mapping[str, Floats], rows: Ints) -> Floats:
        """What is added, less what is taken off, in some rows."""
        steps: Floats = np.zeros(len(rows))
        for name in self.added:
            steps += amounts[name][rows]
        for name in self.taken_off:
            steps -= amounts[name][rows]
        return steps


def law_of_places(rows: KeyRows, name: str, amounts: Floats, *, is_number: bool) -> str:
    """The law by which the place of a row makes a number in it, as those of lines; empty where it does not.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    name : str
        The column.
    amounts : ndarray of shape (rows,)
        Its numbers, NaN where they are missing.
    is_number : bool
        Whether it is modelled as numbers, not as categories, which can but be the place itself.
    """
    after = np.flatnonzero(~rows.are_first)
    if np.count_nonzero(rows.counts > 1) < LEAST_KEYS:
        return ""
    places, row = rows.places + 1, after[0]
    step = amounts[row] - amounts[row - 1]
    before_first = amounts[row] - step * places[row]
    if not (step and step % 1 == 0 and before_first % 1 == 0 and np.all(step * places + before_first == amounts)):
        return ""
    if (step, before_first) == (1, 0):
        return f"{PLACE} = {name}"
    sign = "-" if before_first < 0 else "+"
    return f"{step:.0f} * {PLACE} {sign} {abs(before_first):.0f} = {name}" if is_number else ""


def running_numbers(rows: KeyRows, amounts: Mapping[str, Floats], targets: Sequence[str]) -> tuple[RunningNumber, ...]:
    """Numbers that run on in all rows, with a warning of those that do so in nearly all.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    amounts : mapping of str to ndarray of shape (rows,)
        Columns of numbers, NaN where they are missing.
    targets : sequence of str
        Columns that may run on; others, of few different numbers, are only added.
    """
    found: dict[str, RunningNumber] = {}
    for name in filter(amounts.__contains__, targets):
        number = _running_number(rows, name, amounts, [*found])
        if number is not None:
            found[name] = number
    return tuple(found.values())


def _running_number(rows: KeyRows, name: str, amounts: Mapping[str, Floats], others: list[str]) -> RunningNumber | None:
    """How a number runs on; `others` run on themselves, and may be no part of it."""
    numbers, after = amounts[name], np.flatnonzero(~rows.are_first)
    steps = numbers[after] - numbers[after - 1]
    changes = np.flatnonzero(np.isfinite(steps) & (steps != 0))
    if len(changes) < LEAST_STEPS or len(np.unique(numbers[np.isfinite(numbers)])) < LEAST_NUMBERS:
        return None
    probe = changes[:PROBED]  # of many pairs of columns, few rows refute nearly all
    near = NEAR * float(np.nanmax(np.abs(numbers)))
    tried = [other for other in amounts if other not in (name, *others) and np.any(amounts[other][after])]
    for terms in _terms(tried):
        candidate = RunningNumber(name, *terms)
        if np.mean(np.abs(steps[probe] - candidate.steps(amounts, after[probe])) <= near) < MOSTLY:
            continue
        differences = np.abs(steps - candidate.steps(amounts, after))
        known = np.isfinite(differences)
        broken = np.flatnonzero(known & ~(differences <= near))
        if not len(broken):
            first = np.abs(numbers[rows.starts] - candidate.steps(amounts, rows.starts))
            from_zero = bool(np.all(first[np.isfinite(first)] <= near) and np.isfinite(first).any())
            return RunningNumber(name, *terms, from_zero=from_zero)
        if len(broken) <= (1 - MOSTLY) * np.count_nonzero(known):
            row = int(rows.order[after[broken[0]]])
            warn(
                f'"{candidate}" holds in all rows but {len(broken):,} of {np.count_nonzero(known):,}, such as row '
                f"{row:,}, so that samples do not keep it: mend these rows, or leave their keys out",
                InferenceWarning,
            )
            return None
    return None


def _terms(names: list[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Columns that may be added, and taken off: one, or two."""
    for name in names:
        yield (name,), ()
        yield (), (name,)
    for first, second in combinations(names, 2):
        yield (first, second), ()
        yield (first,), (second,)
        yield (second,), (first,)
        yield (), (first, second)
