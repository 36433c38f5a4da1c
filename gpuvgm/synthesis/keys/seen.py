"""What all rows of a table hold of the form of an identifier, so that new values are such as no row has.

No value is kept: of running numbers the largest is known, of letters and digits at fixed places which parts occur.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.codecs import Equation
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.synthesis.keys.patterns import (
    CLASSES,
    ENDLESS,
    NUMBER,
    Bytes,
    Pattern,
    SeenShape,
    bits,
    combinations_of,
    letters_of,
    of_shape,
)

MOST_PARTS = 1 << 12  # texts that no row has, of all patterns of a column together
ENOUGH = 4  # values that no row has for each row, or another window is tried
LONGEST = 256  # letters of a shape


@dataclass(frozen=True, slots=True)
class SeenValues:
    """What rows hold of a form; merging does not depend on the order.

    Parameters
    ----------
    largest : int or None
        Largest running number.
    longest : int
        Characters of the longest text, whatever its form.
    shapes : tuple of SeenShape
        For each pattern without a running number what rows hold of it.
    """

    largest: int | None = None
    longest: int = 0
    shapes: tuple[SeenShape, ...] = ()

    def merge(self, other: SeenValues) -> SeenValues:
        """What both sets of rows hold."""
        largest = max((values.largest for values in (self, other) if values.largest is not None), default=None)
        shapes = self.shapes or other.shapes
        if self.shapes and other.shapes:
            shapes = tuple(map(SeenShape.merge, self.shapes, other.shapes))
        return SeenValues(largest, max(self.longest, other.longest), shapes)

    @classmethod
    def of(cls, patterns: tuple[Pattern, ...], values: pa.Array[Any]) -> SeenValues:
        """What values hold of the patterns; of values that are no text, the largest."""
        plain: Any = plain_values_of(values).drop_null()
        if not len(plain):
            return cls()
        if not is_text_type(plain.type):
            return cls(pc.max(plain).as_py())
        texts = plain.cast(pa.large_string())
        longest = pc.max(pc.utf8_length(texts)).as_py()
        if NUMBER in patterns[0].tokens:
            matches = (pc.extract_regex(texts, pattern.expression).drop_null() for pattern in patterns)
            largest = [pc.max(match.field("number").cast(pa.int64())).as_py() for match in matches]
            return cls(max((number for number in largest if number is not None), default=None), longest)
        lengths: Any = pc.binary_length(texts)
        letters = dict[int, Bytes]()
        for length in {pattern.bytes for pattern in patterns}:
            has_length = pc.equal(lengths, pa.scalar(length, pa.int64()))
            letters[length] = letters_of(texts.filter(has_length).cast(pa.large_binary()), length)
        most = combinations_of(len(patterns))
        shapes = (SeenShape.of(of_shape(letters[shape.bytes], shape), shape, most) for shape in patterns)
        return cls(None, longest, tuple(shapes))


def refined_pattern(pattern: Pattern, shape: SeenShape, patterns: int, *, is_read: bool) -> Pattern:
    """The pattern whose values no row has, with the equations that rows fulfil but for a few that are mistyped.

    Parameters
    ----------
    pattern : Pattern
        The pattern before these rows.
    shape : SeenShape
        What the rows hold of it.
    patterns : int
        How many patterns the column has.
    is_read : bool
        Whether rows were read before these.
    """
    refined = pattern
    if pattern.unseen:
        occurs = bits(shape.parts[0] if shape.parts else b"", len(pattern.unseen))
        unseen = tuple(text for text, is_used in zip(pattern.unseen, occurs, strict=True) if not is_used)
        refined = replace(pattern, unseen=unseen) if unseen else replace(pattern, unseen=(), first=0, stop=0)
    elif not is_read and pattern.values < ENDLESS:
        refined = unseen_part(pattern, shape, patterns) or pattern
    if not any(shape.wrong):
        return refined
    counted = zip(pattern.equations, shape.wrong, strict=True)
    right = tuple(equation for equation, wrong in counted if Equation.are_right(shape.rows, wrong))
    return replace(refined, equations=right)


def unseen_part(pattern: Pattern, shape: SeenShape, patterns: int = 1) -> Pattern | None:
    """The pattern with a part that no row has: the first letters and digits of a window, as few as leave room.

    The windows are tried from the end of the text. The first one that leaves room for four times as many values as
    there are rows is taken, else the one with the most room. None where all parts occur, or where only whole values
    are unused: these would say which values the rows have. Beside dates even all letters and digits are no whole value.

    Parameters
    ----------
    pattern : Pattern
        A pattern without such a part.
    shape : SeenShape
        What rows hold of it.
    patterns : int
        How many patterns the column has.
    """
    varying = tuple(place for place, token in enumerate(pattern.tokens) if token[1:] in CLASSES)
    values, best, best_room = pattern.values, None, 0
    windows = pattern.windows(combinations_of(patterns))
    for window, part in zip(windows, shape.parts or (b"",) * len(windows), strict=True):
        sizes = [len(pattern.choices[place]) for place in window]
        occurs = bits(part, prod(sizes))
        longest = len(window) - (window == varying and not pattern.dates)
        for length in range(1, longest + 1):
            count = prod(sizes[:length])
            unseen = np.flatnonzero(~occurs.reshape(count, -1).any(axis=1))
            unseen = unseen[:: -(-len(unseen) * patterns // MOST_PARTS) or 1]
            room = len(unseen) * (values // count)
            if len(unseen) and room > best_room:
                best, best_room = _with_part(pattern, window[:length], unseen), room
            if best_room >= ENOUGH * shape.rows and best is not None:
                return best
    return best


def _with_part(pattern: Pattern, places: tuple[int, ...], numbers: NDArray[np.int64]) -> Pattern:
    """The pattern with a part of neighbouring places, whose texts are the combinations with some numbers."""
    choices = [pattern.choices[place] for place in range(places[0], places[-1] + 1)]
    texts = [""] * len(numbers)
    for choice in reversed(choices):
        numbers, ranks = np.divmod(numbers, len(choice))
        texts = [choice[rank] + text for rank, text in zip(ranks.tolist(), texts, strict=True)]
    return replace(pattern, unseen=tuple(texts), first=places[0], stop=places[-1] + 1)
