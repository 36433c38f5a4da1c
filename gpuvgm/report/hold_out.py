"""Rows of a table that a fit does not see, so that a generator is judged by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.codecs import DatetimeCodec
from gpuvgm.columns import PassthroughColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InputError, check_present
from gpuvgm.io import Block, Source, TableSource, is_datetime_type

_MOMENT, _NUMBER = 1, 2  # keys of hashes


@dataclass(frozen=True, slots=True)
class HoldOut:
    """A share of the rows of a table, chosen by a hash of each row's values, or of its key.

    The choice depends on the values and the seed alone, not on the place of a row or on how the table is read; equal
    rows, or all rows of a key, are held out together. Numbers are hashed as float64 and times by their moment, so that
    files of other types hold the same rows out; everything else as the text that Arrow writes of it.

    Parameters
    ----------
    share : float
        Share of the rows that is held out on average, above 0 and below 1.
    seed : int
        Seed of the choice.
    columns : tuple of str
        The columns whose values are hashed: all of the table that was fitted.
    key : str, optional
        The column of keys, which are hashed alone where rows have one.
    """

    share: float
    seed: int
    columns: tuple[str, ...]
    key: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.share, (int, float)) or not 0 < self.share < 1:
            raise InputError(f"hold_out is a share above 0 and below 1, or 0 for none; got {self.share!r}")

    @classmethod
    def of_settings(cls, settings: Any) -> HoldOut | None:
        """The rule among the settings of a generator; None where no rows were held out."""
        rule = settings.get("hold_out") if isinstance(settings, Mapping) else None
        if rule is None:
            return None
        if not isinstance(rule, Mapping) or {*rule} != {"share", "seed", "columns", "key"}:
            raise ValueError("its rule of rows that are held out is none")
        columns, key = tuple(map(str, rule["columns"])), rule["key"]
        if key is not None and key not in columns:
            raise ValueError("its rule of rows that are held out is none")
        return cls(rule["share"], int(rule["seed"]), columns, key)

    def to_settings(self) -> dict[str, Any]:
        """The rule as a dict that JSON can hold."""
        return asdict(self) | {"columns": [*self.columns]}

    def holds(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Rows that are held out, of a batch that has the columns."""
        words = [_hashes(batch.column(name)) for name in self.columns]
        first = np.full(batch.num_rows, self.seed, np.uint64)
        hashes = reduce(lambda former, place: mixed(former ^ words[place], place + 1), range(len(words)), first)
        if self.key is not None:
            key = words[self.columns.index(self.key)]
            hashes = np.where(key != 0, mixed(first ^ key, 1), hashes)
        return np.asarray(mixed(hashes, 0) < np.uint64(self.share * 2.0**64))

    def part(self, source: Source, *, held: bool) -> PartOfRows:
        """The rows of a table that are held out, or all others.

        Raises
        ------
        InputError
            For a table without one of the columns.
        """
        check_present(source.name, self.columns, source.schema.names)
        return PartOfRows(source, self, held)

    def left_in_memory(self, source: Source) -> TableSource:
        """The rows of a table that are not held out, as a table in memory."""
        blocks = self.part(source, held=False).blocks(source.schema.names, BLOCK_ROWS)
        table = pa.Table.from_batches([block.batch for block in blocks], source.schema)
        return TableSource(source.name, source.flavour, table, getattr(source, "dtypes", None))


def _hashes(values: Any) -> NDArray[np.uint64]:
    """64 bits of each value; 0 for missing ones, blank text among them."""
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    if is_datetime_type(plain.type):
        length = np.uint64(DatetimeCodec(plain.type, 0).nanoseconds)
        whole = plain.cast(pa.int32()) if pa.types.is_date32(plain.type) or pa.types.is_time32(plain.type) else plain
        words = np.asarray(whole.cast(pa.int64()).fill_null(0)).astype(np.uint64) * length  # modulo 2^64
        return np.where(np.asarray(plain.is_valid()), mixed(words, _MOMENT), np.uint64(0))
    if pa.types.is_integer(plain.type) or pa.types.is_floating(plain.type) or pa.types.is_decimal(plain.type):
        numbers = np.asarray(plain.cast(pa.float64(), safe=False).fill_null(np.nan)) + 0.0  # without the sign of 0
        return np.where(np.isnan(numbers), np.uint64(0), mixed(numbers.view(np.uint64), _NUMBER))
    return PassthroughColumn.hashes(plain)


@dataclass(frozen=True, slots=True)
class PartOfRows(Source):
    """The rows of a table that are held out, or those that are not, in their order; read from the whole table.

    Parameters
    ----------
    whole : Source
        The table.
    rule : HoldOut
        Which rows are held out.
    held : bool
        Whether these are its rows, or all others.
    """

    whole: Source
    rule: HoldOut
    held: bool
    rows: ClassVar[None] = None

    @property
    def name(self) -> str:
        """That of the table."""
        return self.whole.name

    @property
    def flavour(self) -> str:
        """That of the table."""
        return self.whole.flavour

    @property
    def schema(self) -> pa.Schema:
        """That of the table."""
        return self.whole.schema

    @property
    def repeatable(self) -> bool:
        """True if the table can be read again."""
        return self.whole.repeatable

    @property
    def place(self) -> Callable[[int], str]:
        """Describes the place of a row, which is counted among these alone."""
        return f"{self.name}, row {{}} of those that are {'' if self.held else 'not '}held out".format

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks; of the table all that the rule needs are read, too."""
        self.check_request(columns, block_rows)
        return Block.cut(self._batches(columns, block_rows), block_rows)

    def _batches(self, columns: Sequence[str], block_rows: int) -> Iterator[pa.RecordBatch]:
        read = [*dict.fromkeys([*columns, *self.rule.columns])]
        for block in self.whole.blocks(read, block_rows):
            batch = block.batch
            rows = replace(block, table=batch.select([*columns]))
            yield rows.filter(self.rule.holds(batch) == self.held).batch
