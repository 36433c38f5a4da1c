"""What all rows of a table hold of the form of an identifier, so that new values can be such as no row has.

No value is kept: of running numbers the largest, of letters and digits at fixed places which short parts occur.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.io import is_text_type, plain_values_of

CLASSES = {"0": "0123456789", "a": "abcdefghijklmnopqrstuvwxyz", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
CODE, PART, NUMBER, CHECK = r"\c", r"\u", r"\n", r"\k"
MOST_COMBINATIONS = 1 << 20  # of letters and digits in a window
MOST_WINDOWS = 4  # at the end of a shape
MOST_PARTS = 1 << 12  # that no row has, of a pattern
ENOUGH = 4  # values for each row


@dataclass(frozen=True, slots=True)
class Pattern:
    """Tokens of an identifier: classes of letters, codes, parts that no row has, numbers, check digits, fixed letters.

    Parameters
    ----------
    text : str
        The tokens; those other than fixed letters stand behind a backslash.
    codes : tuple of tuple of str
        Texts to choose from for each code.
    unseen : tuple of str
        Texts to choose from for the part that no row has.
    """

    text: str
    codes: tuple[tuple[str, ...], ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in their order."""
        return tuple(re.findall(r"\\?.", self.text, re.S))

    @property
    def choices(self) -> list[tuple[str, ...]]:
        """Texts of each token; none for the running number."""
        codes = iter(self.codes)
        return [_choice(token, codes, self.unseen) for token in self.tokens]

    @property
    def characters(self) -> int:
        """Characters of each text of a shape, which has no running number."""
        return sum(len(choice[0]) for choice in self.choices)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last byte of each token; texts of codes are equally long."""
        lengths = [len(choice[0].encode()) for choice in self.choices]
        stops = np.cumsum(lengths).tolist()
        return [(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]

    @property
    def windows(self) -> list[tuple[int, ...]]:
        """Places of neighbouring letters and digits, from the last ones back, whose combinations can be counted."""
        windows: list[tuple[int, ...]] = [()]
        count = 1
        for place, token in reversed([*enumerate(self.tokens)]):
            if token[1:] in CLASSES:
                count *= len(CLASSES[token[1]])
                if count > MOST_COMBINATIONS:
                    windows.append(())
                    count = len(CLASSES[token[1]])
                windows[-1] = (place, *windows[-1])
            elif token == CODE:  # of which not every text is counted
                windows.append(())
                count = 1
        return [window for window in windows if window][:MOST_WINDOWS]

    @property
    def expression(self) -> str:
        """Regular expression whose group "number" is the running number."""
        parts = [
            "(?P<number>[0-9]{1,18})" if token == NUMBER else f"(?:{'|'.join(map(re.escape, choice))})"
            for token, choice in zip(self.tokens, self.choices, strict=True)
        ]
        return rf"\A{''.join(parts)}\z"


def _choice(token: str, codes: Any, unseen: tuple[str, ...]) -> tuple[str, ...]:
    if len(token) == 1:
        return (token,)
    if token == CODE:
        texts: tuple[str, ...] = next(codes)
        return texts
    if token == CHECK:
        return ("0",)
    return () if token == NUMBER else unseen if token == PART else tuple(CLASSES[token[1]])


@dataclass(frozen=True, slots=True)
class SeenValues:
    """What rows hold of a form; merging does not depend on the order.

    Parameters
    ----------
    rows : int
        Rows that have the form.
    largest : int or None
        Largest running number.
    longest : int
        Characters of the longest text, whatever its form.
    parts : tuple of bytes
        For each window a bit for each combination of its letters and digits, which is set where a row has it; of a
        pattern with a part that no row had, a bit for each of its texts.
    """

    rows: int = 0
    largest: int | None = None
    longest: int = 0
    parts: tuple[bytes, ...] = ()

    def merge(self, other: SeenValues) -> SeenValues:
        """What both sets of rows hold."""
        largest = max((one.largest for one in (self, other) if one.largest is not None), default=None)
        both = zip(self.parts, other.parts, strict=True) if self.parts and other.parts else ()
        parts = tuple(np.bitwise_or(*(np.frombuffer(part, np.uint8) for part in pair)).tobytes() for pair in both)
        parts = parts or self.parts or other.parts
        return SeenValues(self.rows + other.rows, largest, max(self.longest, other.longest), parts)

    @classmethod
    def of(cls, pattern: Pattern, values: pa.Array[Any]) -> SeenValues:
        """What some rows hold."""
        plain: Any = plain_values_of(values).drop_null()
        if not len(plain):
            return cls()
        if not is_text_type(plain.type):
            return cls(len(plain), pc.max(plain).as_py())
        texts = plain.cast(pa.large_string())
        longest = pc.max(pc.utf8_length(texts)).as_py()
        if NUMBER in pattern.tokens:
            numbers = pc.extract_regex(texts, pattern.expression).drop_null().field("number").cast(pa.int64())
            return cls(len(numbers), pc.max(numbers).as_py(), longest)
        letters = _letters_of_shape(texts, pattern)
        if pattern.unseen:
            return cls(len(letters), None, longest, (_seen_texts(letters, pattern),))
        parts = tuple(_seen_combinations(letters, pattern, window) for window in pattern.windows)
        return cls(len(letters), None, longest, parts)


def _letters_of_shape(texts: Any, pattern: Pattern) -> NDArray[np.uint8]:
    """Bytes of the texts that have a shape, shape (texts, bytes), but for what its codes are."""
    spans = pattern.spans
    length = spans[-1][1]
    lengths: Any = pc.binary_length(texts)
    rows: Any = texts.filter(pc.equal(lengths, pa.scalar(length, pa.int64()))).cast(pa.large_binary())
    offsets = np.frombuffer(rows.buffers()[1], np.int64, len(rows) + 1, 8 * rows.offset) if len(rows) else [0, 0]
    body = np.frombuffer(rows.buffers()[2], np.uint8) if len(rows) else np.empty(0, np.uint8)
    letters = body[offsets[0] : offsets[-1]].reshape(-1, length)
    matches = np.ones(len(letters), np.bool_)
    for token, choice, (first, stop) in zip(pattern.tokens, pattern.choices, spans, strict=True):
        if token[1:] in CLASSES:
            matches &= _ranks(token[1])[letters[:, first]] >= 0
        elif len(token) == 1:
            matches &= (letters[:, first:stop] == np.frombuffer(choice[0].encode(), np.uint8)).all(axis=1)
    return letters[matches]


@cache
def _ranks(name: str) -> NDArray[np.int64]:
    """Place of each byte in a class; -1 for those of others."""
    ranks = np.full(256, -1, np.int64)
    ranks[np.frombuffer(CLASSES[name].encode(), np.uint8)] = np.arange(len(CLASSES[name]))
    return ranks


def _seen_combinations(letters: NDArray[np.uint8], pattern: Pattern, window: tuple[int, ...]) -> bytes:
    """A bit for each combination of the letters and digits of a window."""
    tokens, spans, numbers, size = pattern.tokens, pattern.spans, np.zeros(len(letters), np.int64), 1
    for place in window:
        base = len(CLASSES[tokens[place][1]])
        numbers, size = numbers * base + _ranks(tokens[place][1])[letters[:, spans[place][0]]], size * base
    seen = np.zeros(size, np.bool_)
    seen[numbers] = True
    return np.packbits(seen).tobytes()


def _seen_texts(letters: NDArray[np.uint8], pattern: Pattern) -> bytes:
    """A bit for each text of the part that no row had."""
    first, stop = pattern.spans[pattern.tokens.index(PART)]
    parts = np.ascontiguousarray(letters[:, first:stop]).view(f"S{stop - first}")[:, 0]
    return np.packbits(np.isin([text.encode() for text in pattern.unseen], parts)).tobytes()


def bits(part: bytes, size: int) -> NDArray[np.bool_]:
    """The bits of a part of `SeenValues`."""
    return np.unpackbits(np.frombuffer(part, np.uint8), count=size).astype(np.bool_)


def unseen_part(pattern: Pattern, seen: SeenValues) -> Pattern | None:
    """The pattern with a part that no row has: the first letters and digits of a window, as few as leave room.

    Of several the last window that leaves room for four times as many values as rows have the form, or the one with
    the most room. None where all parts occur, or only whole values do not.
    """
    places = [place for place, token in enumerate(pattern.tokens) if token[1:] in CLASSES]
    values = prod(map(len, pattern.choices))
    best, best_room = None, seen.rows - 1
    for window, part in zip(pattern.windows, seen.parts, strict=True):
        sizes = [len(pattern.choices[place]) for place in window]
        occurs = bits(part, prod(sizes))
        for kept in range(1, len(window) + (window != tuple(places))):
            count = prod(sizes[:kept])
            unseen = np.flatnonzero(~occurs.reshape(count, -1).any(axis=1))
            unseen = unseen[:: -(-len(unseen) // MOST_PARTS) or 1]
            room = len(unseen) * (values // count)
            if len(unseen) and room > best_room:
                best, best_room = _with_part(pattern, window[:kept], unseen), room
            if best_room >= ENOUGH * seen.rows and best is not None:
                return best
    return best


def _with_part(pattern: Pattern, places: tuple[int, ...], numbers: NDArray[np.int64]) -> Pattern:
    """The pattern with texts at some neighbouring places, and the fixed letters between them."""
    choices = [pattern.choices[place] for place in range(places[0], places[-1] + 1)]
    texts = [""] * len(numbers)
    for choice in reversed(choices):
        numbers, rank = np.divmod(numbers, len(choice))
        texts = [choice[one] + text for one, text in zip(rank.tolist(), texts, strict=True)]
    tokens = (*pattern.tokens[: places[0]], PART, *pattern.tokens[places[-1] + 1 :])
    return Pattern("".join(tokens), pattern.codes, tuple(texts))
