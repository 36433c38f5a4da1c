"""Laws over the rows of a key: a column of it is their number, sum, or first, last, least or largest value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Column
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import is_datetime_type, is_number_type, replaced_rows, taken
from gpuvgm.laws import Laws, Unit
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of, values_of_amounts

Function = Literal["count", "sum", "min", "max", "first", "last"]
Sign = Literal["+", "-"]
LEAST_KEYS = 20  # of several rows that differ, and keep the law
LEAST_NUMBERS = 10  # different ones of its target
LEAST_COUNTS = 3  # of a target that counts rows
NEAR = 1e-9  # of a number, by which a sum of floats may differ
Arrays = Callable[[str], Column]


@dataclass(frozen=True, slots=True)
class KeyLaw:
    """A law between a column of keys and one of their rows.

    Parameters
    ----------
    target : str
        The column of the keys.
    function : {"count", "sum", "min", "max", "first", "last"}
        What it is of the rows of its key.
    operand : str
        The column of the rows; of a count any.
    addend : str
        Another column of the keys, such as what is paid for sending, that a sum is added to; empty for none.
    sign : {"+", "-"}
        Whether the addend is added or, as a discount is, taken off.
    """

    target: str
    function: Function
    operand: str
    addend: str = ""
    sign: Sign = "+"

    def __str__(self) -> str:
        operand = "" if self.function == "count" else self.operand
        addend = f" {self.sign} {self.addend}" if self.addend else ""
        return f"{self.target} = {self.function}({operand}){addend}"

    def compute(
        self, columns: Mapping[str, FittedColumn], rows: Arrays, starts: Ints, keys: Mapping[str, Column]
    ) -> Column:
        """Values of the keys: what the law says, and the sampled ones where rows lack a number.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns.
        rows : callable
            Gives a column of the rows, key after key.
        starts : ndarray of shape (keys,), int64
            First row of each key.
        keys : mapping of str to Array
            Sampled values of the keys.
        """
        operand = self._operand(columns, rows)
        sums = np.add.reduceat(operand, starts)
        if self.function in ("count", "sum"):
            return self.of_sums(columns, sums, keys)
        known = np.flatnonzero(~np.isnan(sums))
        computed = taken(rows(self.operand), _rows_of_function(self.function, operand, starts)[known])
        values: Column = replaced_rows(keys[self.target], known, computed)
        return values

    def of_sums(self, columns: Mapping[str, FittedColumn], sums: Floats, keys: Mapping[str, Column]) -> Column:
        """Values of keys of which the sums are known; those that are sampled where they are not."""
        totals = self._in_all(columns, sums, keys.__getitem__)
        known = np.flatnonzero(~np.isnan(totals))
        values: Column = replaced_rows(keys[self.target], known, values_of_amounts(columns[self.target], totals[known]))
        return values

    def rounding(self, columns: Mapping[str, FittedColumn], sums: Floats, keys: Mapping[str, Column]) -> Floats:
        """By how much the totals of keys are above their sums, as they are rounded to steps of their column."""
        totals = amounts_of(columns[self.target], self.of_sums(columns, sums, keys))
        in_all = self._in_all(columns, sums, keys.__getitem__)
        rest: Floats = totals - in_all
        return np.where(np.abs(rest) > NEAR * np.abs(in_all), rest, 0.0)

    def share_kept(self, columns: Mapping[str, FittedColumn], rows: KeyRows) -> float:
        """Share of the keys that keep the law, of those that lack no number; 1 where all do."""
        of_rows, targets = self._both_sides(columns, rows)
        return self._share_near(columns, of_rows, targets)

    def _share_near(self, columns: Mapping[str, FittedColumn], of_rows: Floats, targets: Floats) -> float:
        """Share of the numbers that are what the law says, of those that are known; 1 where none is."""
        known = ~(np.isnan(of_rows) | np.isnan(targets))
        kept = self._are_near(columns, of_rows, targets)[known]
        return float(np.mean(kept)) if len(kept) else 1.0

    def is_kept_without_rows(self, columns: Mapping[str, FittedColumn], keys: Mapping[str, Column]) -> bool:
        """Whether keys without rows keep a sum with an addend, of which they have that alone."""
        targets = amounts_of(columns[self.target], keys[self.target])
        of_none = self._in_all(columns, np.zeros(len(targets)), keys.__getitem__)
        return bool(np.all(self._are_near(columns, of_none, targets)))

    def _are_near(self, columns: Mapping[str, FittedColumn], of_rows: Floats, targets: Floats) -> Any:
        """Where numbers are what the law says."""
        near = np.maximum(_step_of(columns[self.target]) / 2, NEAR * np.abs(of_rows))
        return np.abs(of_rows - targets) <= near

    def is_kept(self, columns: Mapping[str, FittedColumn], rows: KeyRows) -> bool:
        """Whether all keys keep the law."""
        return self.share_kept(columns, rows) == 1

    def is_shown(self, columns: Mapping[str, FittedColumn], rows: KeyRows) -> bool:
        """Whether enough keys show that they keep it, of several rows that differ."""
        of_rows, targets = self._both_sides(columns, rows)
        if self.function in ("count", "sum"):
            differs = rows.counts > 1
        else:
            numbers = self._operand(columns, rows.column)
            differs = np.minimum.reduceat(numbers, rows.starts) < np.maximum.reduceat(numbers, rows.starts)
        shows = differs & ~(np.isnan(of_rows) | np.isnan(targets))
        if self.addend:  # else two columns of keys that are equal would be one and a sum of nothing
            sums = np.add.reduceat(self._operand(columns, rows.column), rows.starts)
            if len(np.unique(sums[shows])) < LEAST_NUMBERS:
                return False
        least = LEAST_COUNTS if self.function == "count" else LEAST_NUMBERS
        return bool(np.count_nonzero(shows) >= LEAST_KEYS) and len(np.unique(targets[shows])) >= least

    def _both_sides(self, columns: Mapping[str, FittedColumn], rows: KeyRows) -> tuple[Floats, Floats]:
        """What the law says of each key, and what it has."""
        numbers = self._operand(columns, rows.column)
        targets = amounts_of(columns[self.target], taken(rows.column(self.target), rows.starts))
        if self.function in ("count", "sum"):
            sums = np.add.reduceat(numbers, rows.starts)
            return self._in_all(columns, sums, lambda name: taken(rows.column(name), rows.starts)), targets
        return numbers[_rows_of_function(self.function, numbers, rows.starts)], targets

    def _in_all(self, columns: Mapping[str, FittedColumn], sums: Floats, keys: Arrays) -> Floats:
        """Sums of rows, and what their keys add to them."""
        return self._with_addend(sums, amounts_of(columns[self.addend], keys(self.addend))) if self.addend else sums

    def _with_addend(self, sums: Floats, added: Floats) -> Floats:
        return sums + added if self.sign == "+" else sums - added

    def _operand(self, columns: Mapping[str, FittedColumn], rows: Arrays) -> Floats:
        """Numbers of the rows; of a count each is 1."""
        if self.function == "count":
            return np.ones(len(rows(self.operand)))
        return amounts_of(columns[self.operand], rows(self.operand))


def _step_of(column: Any) -> float:
    """Step of what the numbers of a column mean; 0 where they may be any."""
    unit: Any = Unit.of(column)
    return float(column.codec.plain.spacing * unit.factor) if isinstance(column, NumericColumn) else 0.0


def _rows_of_function(function: Function, numbers: Floats, starts: Ints) -> Ints:
    """The row of each key that has its first, last, least or largest number."""
    stops = np.append(starts[1:], len(numbers))
    if function in ("first", "last"):
        return starts if function == "first" else stops - 1
    keys = np.repeat(np.arange(len(starts)), stops - starts)
    order = np.lexsort((numbers if function == "min" else -numbers, keys))
    return order[starts]


def laws_of_keys(rows: KeyRows, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> tuple[KeyLaw, ...]:
    """One law for each column of keys that keeps one, but for those that numbers of rows begin with."""
    plan = replace(plan, constants=tuple(name for name in plan.constants if name not in plan.starts.values()))
    laws: dict[str, KeyLaw] = {}
    for law in _candidates(plan, columns):
        if law.target not in laws and law.is_kept(columns, rows) and law.is_shown(columns, rows):
            laws[law.target] = law
    for law in _with_addends(laws, rows, plan, columns):
        if not {law.target, law.addend} & {*laws} and law.is_shown(columns, rows):
            laws[law.target] = law
    return tuple(laws.values())


def free_of_laws(totals: Sequence[KeyLaw], laws: Laws, name_of: Callable[[str], str]) -> tuple[KeyLaw, ...]:
    """Laws over rows but for sums whose addend or target other laws compute anew once sums are known.

    Parameters
    ----------
    totals : sequence of KeyLaw
        Laws over the rows of a key.
    laws : Laws
        Laws between columns of keys.
    name_of : callable
        Gives the name of a column of these laws among those of the former.
    """
    changed, computed = {law.target for law in totals}, set[str]()
    for law in laws.in_order():
        if changed.intersection(map(name_of, law.operands)):
            computed.add(name_of(law.target))
            changed.add(name_of(law.target))
    return tuple(law for law in totals if not law.addend or not {law.target, law.addend} & computed)


def kept_laws(laws: Sequence[KeyLaw], columns: Mapping[str, FittedColumn], rows: KeyRows) -> tuple[KeyLaw, ...]:
    """The laws that some rows keep."""
    return tuple(law for law in laws if law.is_kept(columns, rows))


def columns_of_laws(key: str, laws: Sequence[KeyLaw]) -> list[str]:
    """The key, and the columns that laws are of."""
    return [*dict.fromkeys([key, *(name for law in laws for name in (law.target, law.operand, law.addend) if name)])]


def _candidates(plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> Iterator[KeyLaw]:
    """Laws between columns of one type; counts of rows first."""
    any_column = plan.varying[0]
    yield from (KeyLaw(name, "count", any_column) for name in plan.constants if _is_whole(columns[name]))
    targets = [name for name in plan.constants if _is_numeric(columns[name])]
    operands = [name for name in plan.asked if _is_numeric(columns[name])]
    for function in get_args(Function)[1:]:
        for target in targets:
            for operand in operands:
                types = columns[target].decoded_type, columns[operand].decoded_type
                if types[0] == types[1] and not (function == "sum" and is_datetime_type(types[0])):
                    yield KeyLaw(target, function, operand)


def _with_addends(
    laws: Mapping[str, KeyLaw], rows: KeyRows, plan: SequencePlan, columns: Mapping[str, FittedColumn]
) -> Iterator[KeyLaw]:
    """Sums of rows and a column of keys that all keys keep, of targets that are no sum of rows alone.

    What varies more is the target: a discount made of a total that is drawn, and of a sum, would be any number.
    """
    amounts = {
        name: amounts_of(columns[name], taken(rows.column(name), rows.starts))
        for name in plan.constants
        if _is_amount(columns[name])
    }
    spreads = {name: float(np.nanstd(of_keys)) for name, of_keys in amounts.items() if not np.isnan(of_keys).all()}
    sums = dict[str, Floats]()
    for law in _candidates(plan, columns):
        if law.function == "sum" and law.target not in laws and law.target in spreads:
            if law.operand not in sums:
                sums[law.operand] = np.add.reduceat(law._operand(columns, rows.column), rows.starts)
            for addend in spreads:
                if addend != law.target and spreads[addend] <= spreads[law.target]:
                    for sign in get_args(Sign):
                        found = replace(law, addend=addend, sign=sign)
                        of_rows = found._with_addend(sums[law.operand], amounts[addend])
                        if found._share_near(columns, of_rows, amounts[law.target]) == 1:
                            yield found


def _is_amount(column: FittedColumn) -> bool:
    """Whether values are numbers, also where these are few and thus categories."""
    return isinstance(column, (NumericColumn, CategoricalColumn)) and is_number_type(column.decoded_type)


def _is_numeric(column: FittedColumn) -> bool:
    return isinstance(column, NumericColumn) and is_number_type(column.decoded_type)


def _is_whole(column: FittedColumn) -> bool:
    return isinstance(column, (NumericColumn, CategoricalColumn)) and pa.types.is_integer(column.decoded_type)
