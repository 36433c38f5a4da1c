"""Numbers that run in steps: 1, 2, 3 or "A-0001", "A-0002". Whoever counts has the same ones, and they name no one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import gcd
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.io import is_text_type

_PARTS = r"^(?P<before>.*?)(?P<number>\d{1,18})(?P<after>\D*)$"
_LEAST = 20  # numbers with the same text around them
_TRIED = 2_000  # numbers of the range


@dataclass(frozen=True, slots=True)
class RunningNumbers:
    """Numbers with the same text around them, of which some values of a column are most.

    Parameters
    ----------
    before, after : str
        The text around them.
    digits : int
        To which they are filled with zeros; 1 where they are not.
    numbers : range
        From the least to the largest one, at their step.
    """

    before: str
    after: str
    digits: int
    numbers: range

    @classmethod
    def of(cls, values: Any) -> RunningNumbers | None:
        """Those of some values of a column; None for values of other types and forms."""
        if not (is_text_type(values.type) or pa.types.is_integer(values.type)):
            return None
        parts = pc.extract_regex(pc.unique(values.cast(pa.string())).drop_null(), _PARTS).drop_null()
        texts = [parts.field(name).to_pylist() for name in ("before", "number", "after")]
        around = Counter(zip(texts[0], texts[2], strict=True)).most_common(1)
        if not around or around[0][1] < max(_LEAST, len(parts) / _LEAST):
            return None
        before, after = around[0][0]
        digits = [text for first, text, last in zip(*texts, strict=True) if (first, last) == (before, after)]
        numbers = [*map(int, digits)]
        step = gcd(*(number - numbers[0] for number in numbers)) or 1
        shortest = min(map(len, digits))
        is_filled = any(text.startswith("0") and len(text) > 1 for text in digits)
        return cls(before, after, shortest if is_filled else 1, range(min(numbers), max(numbers) + step, step))

    def some(self) -> pa.Array[Any]:
        """Values of some numbers of the range, at even steps, as text."""
        numbers = self.numbers[:: max(len(self.numbers) // _TRIED, 1)]
        return pa.array([f"{self.before}{number:0{self.digits}}{self.after}" for number in numbers])
