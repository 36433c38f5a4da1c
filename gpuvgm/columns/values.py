"""What a description of a table counts of its columns, whatever these would become: one scan, and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import Column, mixed, on_host
from gpuvgm.codecs import Codec, cached_parts
from gpuvgm.columns.base import ColumnPlan
from gpuvgm.columns.categories import plain_values
from gpuvgm.columns.distinct import DistinctValues, Hashes
from gpuvgm.columns.numeric import NumberPlan, numbers_of, plain_codec
from gpuvgm.columns.open_text import TextCounts, TextPlan, plan_text
from gpuvgm.columns.options import NUMBERS
from gpuvgm.columns.passthrough import PassthroughColumn
from gpuvgm.columns.specs import ColumnSpec
from gpuvgm.engines import Engine
from gpuvgm.io import is_number_type, is_plain_number_type, plain_type, plain_values_of
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Pieces, Summary

MOST_REPEATED = 0.5  # different values of a sample's rows: blocks of fewer are brought to different values first
OFFSET_BYTES, LARGE_OFFSET_BYTES = 4, 8  # of a value of any length


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """What is counted of a column; merging is commutative to the last bit.

    Parameters
    ----------
    rows, missing : int
        All rows, and those without a value: NaN and blank text among them.
    bytes : int
        Bytes of the values in Arrow's memory, without masks of missing ones.
    different : DistinctValues or None
        The different values; None for types that are not compared, such as lists.
    summary : Summary, optional
        Summary of numbers.
    text : TextCounts, optional
        Counts of text whose kind all rows decide.
    """

    rows: int
    missing: int
    bytes: int
    different: DistinctValues | None
    summary: Summary | None = None
    text: TextCounts | None = None

    def merge(self, counts: ValueCounts) -> ValueCounts:
        """Counts of both sets of rows."""
        return ValueCounts(
            self.rows + counts.rows,
            self.missing + counts.missing,
            self.bytes + counts.bytes,
            _merged(self.different, counts.different),
            _merged(self.summary, counts.summary),
            _merged(self.text, counts.text),
        )

    @property
    def number(self) -> int | None:
        """How many different values there are, or about how many."""
        return None if self.different is None else min(self.different.number, self.rows - self.missing)


@dataclass(frozen=True, slots=True)
class ValuePlan(ColumnPlan):
    """Plan of what is counted of a column.

    Parameters
    ----------
    spec : ColumnSpec
        The column, with its kind.
    numbers : NumberPlan, optional
        For columns of numbers, dates and times: how they are summarised.
    text : TextPlan, optional
        For text whose kind all rows decide: how it is counted.
    repeats : bool
        Whether most values of the sample come back.
    """

    spec: ColumnSpec
    numbers: NumberPlan | None = None
    text: TextPlan | None = None
    repeats: bool = False

    @classmethod
    def of(cls, spec: ColumnSpec, settings: Mapping[str, Any], sample: pa.ChunkedArray[Any]) -> ValuePlan:
        """Plan of a column by a sample of its values, and the table's settings."""
        if spec.remark is not None:
            return cls(spec, text=plan_text(spec.request(settings), sample))
        sample = plain_values_of(sample)
        repeats = _number(sample) <= MOST_REPEATED * len(sample)
        if not (spec.kind in NUMBERS or is_number_type(plain_type(sample.type))):
            return cls(spec, repeats=repeats)
        options = {name: value for name, value in spec.options.items() if name in ("parse", "na_values")}
        request = replace(spec, kind="general", options=options).request(settings)
        codec = plain_codec(request, sample)
        grid = Pieces.grid_over(numbers_of(codec, (), sample))
        numbers = NumberPlan(
            name=spec.name,
            kind="general",
            codec=codec,
            modal=(),
            config=request.config,
            rules=request.rules,
            grid=grid,
            starts=(),
        )
        return cls(spec, numbers, repeats=repeats)

    @property
    def name(self) -> str:
        """The column."""
        return self.spec.name

    @property
    def codec(self) -> Codec | None:
        """Values to numbers and back; None for columns without numbers."""
        return None if self.numbers is None else self.numbers.codec

    def without_numbers(self) -> ValuePlan:
        """The plan for a column whose rows are no numbers, other than those of the sample."""
        return replace(self, numbers=None)

    def statistics(self, engine: Engine, values: Column, first_row: int) -> ValueCounts:
        """Counts of rows."""
        array = on_host(values)
        size = _bytes_of(array)
        if self.numbers is not None or not pa.types.is_dictionary(array.type):
            array = plain_values_of(array)
        if self.text is not None:
            text = self.text.statistics(engine, array, first_row)
            return ValueCounts(text.rows, text.missing, size, text.different, text=text)
        different = _different(array, repeats=self.repeats)
        if self.numbers is None:
            missing = plain_values(array).null_count if different is not None else array.null_count
            return ValueCounts(len(array), missing, size, different)
        summary = self.numbers.statistics(engine, array, first_row)
        return ValueCounts(len(array), summary.missing, size, different, summary)

    def final_spec(self, counts: ValueCounts) -> ColumnSpec:
        """The column with the kind that all rows give it."""
        return self.spec if self.text is None else self.text.final_spec(counts.text)  # type: ignore[arg-type]

    def pieces(self, counts: ValueCounts) -> Pieces | None:
        """The numbers as a distribution; None where there are none."""
        if self.numbers is None or counts.summary is None or not counts.summary.ordinary:
            return None
        return Pieces.of(counts.summary, whole=self.numbers.codec.name != "float")


def _merged(first: Any, second: Any) -> Any:
    return None if first is None else first.merge(second)


def _number(sample: pa.ChunkedArray[Any]) -> int:
    """Different values of a sample; of types that are not compared as many as there are rows."""
    try:
        return int(pc.count_distinct(sample).as_py())
    except ARROW_PROBLEMS:
        return len(sample)


def _different(values: Any, *, repeats: bool) -> DistinctValues | None:
    """The different values of rows; None for types that are not compared."""
    type_ = plain_type(values.type)
    if pa.types.is_nested(type_) or pa.types.is_interval(type_):
        return None
    if repeats:
        with suppress(*ARROW_PROBLEMS):  # for a type that Arrow has no table of values for
            values = values.unique()
    if is_plain_number_type(values.type) or pa.types.is_temporal(values.type):
        return _different_numbers(values)
    chunks: Sequence[Any] = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    hashes = np.concatenate([np.empty(0, np.uint64), *map(PassthroughColumn.hashes, chunks)])
    return DistinctValues.of(hashes[hashes != 0])


def _different_numbers(values: Any) -> DistinctValues:
    """The different numbers, dates and times; missing ones and NaN are none, and -0.0 is 0.0."""
    if values.null_count:
        values = values.drop_null()
    if pa.types.is_temporal(values.type):
        values = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())
    numbers = values.to_numpy(zero_copy_only=False)

    def hashes(part: slice) -> Hashes:
        rows = numbers[part]
        if rows.dtype.kind == "f":
            rows = rows.astype(np.float64) + 0.0
            rows = rows[~np.isnan(rows)]
        wide = rows.astype({"i": np.int64, "u": np.uint64}.get(rows.dtype.kind, rows.dtype), copy=False)
        return mixed(wide.view(np.uint64), 0)

    return DistinctValues.of_parts(hashes, [*cached_parts(numbers)], len(numbers))


def _bytes_of(values: Any) -> int:
    """Bytes of values in Arrow's memory, which do not depend on how rows are cut into blocks."""
    type_: Any = values.type
    if pa.types.is_dictionary(type_):
        return len(values) * int(type_.index_type.bit_width) // 8
    if pa.types.is_boolean(type_):
        return len(values)
    try:
        return len(values) * int(type_.bit_width) // 8
    except ValueError:
        pass
    try:
        is_large = pa.types.is_large_string(type_) or pa.types.is_large_binary(type_)
        offset = LARGE_OFFSET_BYTES if is_large else OFFSET_BYTES
        return len(values) * offset + int(pc.sum(pc.binary_length(values)).as_py() or 0)
    except ARROW_PROBLEMS:
        return int(values.nbytes)
