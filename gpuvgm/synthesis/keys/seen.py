"""What all rows of a table hold of the form of an identifier, so that new values can be such as no row has.

No value is kept: of running numbers the largest, of letters and digits at fixed places which short parts occur.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, groupby
from math import prod
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.engines import philox_words
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.rules import whole
from gpuvgm.synthesis.keys.checks import CHECKS, Bytes, Equation, Equations
from gpuvgm.synthesis.keys.streams import column_number, shuffled

#: Letters and digits at a place of a pattern, by the name that follows a backslash there, the narrower ones first.
CLASSES = {
    "0": digits,
    "1": digits[1:],  # of numbers without leading zeros
    "a": ascii_lowercase,
    "A": ascii_uppercase,
    "h": f"{digits}abcdef",
    "H": f"{digits}ABCDEF",
    "C": f"{digits}ABCDEFGHJKMNPQRSTVWXYZ",  # Crockford's base 32, as in ULIDs
    "2": f"{ascii_uppercase}234567",  # base 32 of RFC 4648
    "V": f"{digits}ABCDEFGHJKLMNPRSTUVWXYZ",  # ISO 3779: vehicles
    "B": f"{digits}{ascii_uppercase}",
    "b": f"{digits}{ascii_lowercase}",
    "w": f"{digits}{ascii_uppercase}{ascii_lowercase}",
    "+": f"{ascii_uppercase}{ascii_lowercase}{digits}+/",  # base 64 of RFC 4648
    "-": f"{ascii_uppercase}{ascii_lowercase}{digits}-_",  # and for names of files
}
CODE, PART, NUMBER, CHECK = r"\c", r"\u", r"\n", r"\k"
MOST_COMBINATIONS = 1 << 20  # of letters and digits in a window
LEAST_COMBINATIONS = 1 << 15  # of one of many shapes
MOST_WINDOWS, FEW_WINDOWS = 4, 2  # at the end of a shape, and of one of many
MOST_PARTS = 1 << 12  # that no row has, of all patterns of a column
MOST_SHUFFLED = 1 << 62  # values of a shape that are told apart by their number
ENDLESS = 1 << 96  # values, of which random ones are those of no row, as of random UUIDs
ENOUGH = 4  # values for each row
MOST_NUMBERED = 1 << 48  # values that are counted on: of a shape, 2^50 and more are told apart by their number
KEPT_FREE = 2  # values for each new one, so that new ones do not tell which others there are
LONGEST = 256  # letters of a shape


@dataclass(frozen=True)
class Pattern:
    """Tokens of an identifier: classes of letters, codes, parts that no row has, numbers, check digits, fixed letters.

    Parameters
    ----------
    text : str
        The tokens; those other than fixed letters stand behind a backslash.
    codes : tuple of tuple of str
        Texts to choose from for each code.
    weight : int
        Share of the values that have this pattern, of those of all patterns.
    unseen : tuple of str
        Texts that no row has at some places, from which is chosen there; empty where there are none.
    first, stop : int
        Those places: the first token, and that behind the last one.
    check : str
        Name of the check digits, one of `CHECKS`; empty without.
    equations : tuple of Equation
        That the digits of all values fulfil.
    """

    text: str
    codes: tuple[tuple[str, ...], ...] = ()
    weight: Annotated[int, whole(1)] = 1
    unseen: tuple[str, ...] = ()
    first: Annotated[int, whole()] = 0
    stop: Annotated[int, whole()] = 0
    check: str = ""
    equations: tuple[Equation, ...] = ()

    def require(self, *, numbers: bool) -> None:
        """Raise ValueError where the parts of a loaded pattern do not fit together."""
        tokens = _tokens_of(self.text)
        known = {CODE, NUMBER, *(f"\\{name}" for name in CLASSES)}
        if "\\" in tokens or any(len(token) > 1 and token not in known for token in tokens):
            raise ValueError("its pattern has tokens that are not known")
        if tokens.count(NUMBER) != numbers or tokens.count(CODE) != len(self.codes) or not all(self.codes):
            raise ValueError("its pattern has other tokens than codes and numbers")
        if not numbers and any(len({len(one.encode()) for one in texts}) > 1 for texts in self.codes):
            raise ValueError("the codes of its pattern are not equally long")
        lengths = {len(text) for text in self.unseen} | {self.stop - self.first if self.unseen else 0}
        if self.stop > len(tokens) or len(lengths) > 1 or CODE in tokens[self.first : self.stop]:
            raise ValueError("the parts that no row has are none of its pattern")
        if self.check not in ("", *CHECKS) or any(not one.fits(self.bytes) for one in self.equations):
            raise ValueError("its check digits are not those of its pattern")
        if self.check and not all(0 <= place < self.bytes for place in self.closing):
            raise ValueError("its pattern has no place for check digits")

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in their order."""
        tokens = [*_tokens_of(self.text)]
        for place in self._closing_tokens:
            tokens[place] = CHECK
        if self.unseen:
            tokens[self.first : self.stop] = [PART]
        return tuple(tokens)

    @cached_property
    def _closing_tokens(self) -> list[int]:
        """Places of the tokens that are check digits."""
        places = {*self.closing}
        stops = accumulate(len(_first_of(choice).encode()) for choice in self._plain_choices)
        return [place for place, stop in enumerate(stops) if stop - 1 in places] if places else []

    @cached_property
    def _plain_choices(self) -> list[tuple[str, ...]]:
        codes = iter(self.codes)
        return [_choice(token, codes, ()) for token in _tokens_of(self.text)]

    @cached_property
    def bytes(self) -> int:
        """Bytes of each text of a shape, which has no running number."""
        return sum(len(_first_of(choice).encode()) for choice in self._plain_choices)

    @property
    def characters(self) -> int:
        """Characters of each text of a shape."""
        return sum(len(_first_of(choice)) for choice in self._plain_choices)

    @cached_property
    def closing(self) -> tuple[int, ...]:
        """Places of the check digits among the bytes."""
        if self.check:
            return tuple(CHECKS[self.check].places(self.bytes))
        return Equations.of(self.equations, self.digits).closing if self.equations else ()

    @cached_property
    def digits(self) -> tuple[int, ...]:
        """Places of digits that may be any, among the bytes."""
        stops = accumulate(len(_first_of(choice).encode()) for choice in self._plain_choices)
        return tuple(stop - 1 for token, stop in zip(_tokens_of(self.text), stops, strict=True) if token == r"\0")

    @cached_property
    def choices(self) -> list[tuple[str, ...]]:
        """Texts of each token; none for the running number."""
        codes = iter(self.codes)
        return [_choice(token, codes, self.unseen) for token in self.tokens]

    @cached_property
    def values(self) -> int:
        """How many values the pattern has."""
        return prod(max(len(choice), 1) for choice in self.choices)

    @cached_property
    def room(self) -> int:
        """How many values it has that no row has."""
        return self.values if self.unseen or self.values >= ENDLESS else 0

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """First and last byte of each token; texts of codes are equally long."""
        lengths = [len(_first_of(choice).encode()) for choice in self.choices]
        stops = np.cumsum(lengths).tolist()
        return [(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]

    def windows(self, most: int) -> list[tuple[int, ...]]:
        """Places of neighbouring letters and digits, from the last ones back, whose combinations can be counted."""
        windows: list[tuple[int, ...]] = [()]
        count = 1
        for place, token in reversed([*enumerate(self.tokens)]):
            if token[1:] in CLASSES:
                count *= len(CLASSES[token[1]])
                if count > most:
                    windows.append(())
                    count = len(CLASSES[token[1]])
                windows[-1] = (place, *windows[-1])
            elif token in (CODE, CHECK):  # of which not every text is counted
                windows.append(())
                count = 1
        return [window for window in windows if window][: MOST_WINDOWS if most > LEAST_COMBINATIONS else FEW_WINDOWS]

    @property
    def expression(self) -> str:
        """Regular expression whose group "number" is the running number."""
        parts = [
            "(?P<number>[0-9]{1,18})" if token == NUMBER else f"(?:{'|'.join(map(re.escape, choice))})"
            for token, choice in zip(self.tokens, self.choices, strict=True)
        ]
        return rf"\A{''.join(parts)}\z"

    @cached_property
    def limit(self) -> int:
        """How many values are made of it: half of those that no row has, so that they do not tell the others."""
        return min(self.room // KEPT_FREE, MOST_NUMBERED)

    def lacking(self, other: Pattern) -> SeenShape:
        """What rows hold by which this pattern became the other one."""
        unseen, equations = {*other.unseen}, {*other.equations}
        wrong = [one not in equations for one in self.equations]
        parts = [text not in unseen for text in self.unseen]
        packed = [np.packbits(np.array(one, np.bool_)).tobytes() for one in (parts, wrong)]
        return SeenShape(0, (packed[0],), packed[1])

    def longer(self, more: int) -> Pattern:
        """The pattern without its part, with more letters or digits behind the last one that is no check digit."""
        whole_one = replace(self, unseen=(), first=0, stop=0)
        tokens = whole_one.tokens
        place = max((at + 1 for at, token in enumerate(tokens) if token[1:] in CLASSES), default=len(tokens))
        token = tokens[place - 1] if place and tokens[place - 1][1:] in CLASSES else r"\0"
        at = whole_one.spans[place - 1][1] if place else 0
        plain = _tokens_of(self.text)
        text = "".join((*plain[:place], *[r"\0" if token == r"\1" else token] * more, *plain[place:]))
        return replace(whole_one, text=text, equations=tuple(one.stretched(at, more) for one in self.equations))

    def texts(self, counter: NDArray[np.uint64], name: str, seed: int, number: Any = None) -> pa.Array[Any]:
        """Texts by their numbers, of a running number those that are passed; no two the same while there are enough."""
        parts: list[Any] = _drawn_texts(self.choices, counter, name, seed)
        if number is not None:
            parts[self.tokens.index(NUMBER)] = number
        joined = list[Any]()
        for is_fixed, group in groupby(parts, lambda part: isinstance(part, str)):
            neighbours = [*group]
            joined += ["".join(neighbours)] if is_fixed else neighbours
        if all(isinstance(part, str) for part in joined):
            joined = [pa.array(["".join(joined)] * len(counter), pa.string())]
        texts: pa.Array[Any] = pc.binary_join_element_wise(*joined, "")
        if not self.closing:
            return texts
        letters = letters_of(texts.cast(pa.large_binary()), self.bytes).copy()
        words = philox_words(counter, column_number(f"{name}/check"), seed)[0]
        self.close(letters, words)
        offsets = np.arange(len(letters) + 1, dtype=np.int32) * letters.shape[1]
        buffers: Any = [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())]
        closed: pa.Array[Any] = pa.Array.from_buffers(pa.string(), len(letters), buffers)
        return closed

    def close(self, letters: Bytes, words: NDArray[np.uint64]) -> None:
        """Write the check digits into letters, shape (texts, bytes); of several that are right the words choose."""
        if self.check:
            CHECKS[self.check].close(letters)
        else:
            Equations.of(self.equations, self.digits).close(letters, words)


def _tokens_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\\?.", text, re.S))


def _first_of(choice: tuple[str, ...]) -> str:
    return choice[0] if choice else ""


def _choice(token: str, codes: Any, unseen: tuple[str, ...]) -> tuple[str, ...]:
    if len(token) == 1:
        return (token,)
    if token == CODE:
        texts: tuple[str, ...] = next(codes)
        return texts
    if token == CHECK:
        return ("0",)
    return () if token == NUMBER else unseen if token == PART else tuple(CLASSES[token[1]])


def _drawn_texts(
    choices: list[tuple[str, ...]], counter: NDArray[np.uint64], name: str, seed: int
) -> list[pa.Array[Any] | str]:
    """Texts of rows from the choices at each place, no two rows the same while there are enough; one where all agree.

    The places at the end, as many as have fewer than 2^62 combinations, are shuffled together; those before are drawn.
    """
    count, first = 1, len(choices)
    while first and count * max(len(choices[first - 1]), 1) <= MOST_SHUFFLED:
        first -= 1
        count *= max(len(choices[first]), 1)
    ranks: Any = shuffled(counter % np.uint64(count), count, name, seed)
    texts: list[pa.Array[Any] | str] = []
    for position, choice in reversed([*enumerate(choices)]):
        if len(choice) < 2:
            texts.append("".join(choice))
            continue
        size = np.uint64(len(choice))
        if position >= first:
            ranks, digit = np.divmod(ranks, size)
        else:
            digit = philox_words(counter, column_number(f"{name}/{position}"), seed)[0] * size >> np.uint64(32)
        places: Any = pa.array(digit)
        texts.append(pa.array(choice, pa.string()).take(places))
    return texts[::-1]


@dataclass(frozen=True, slots=True)
class SeenShape:
    """What rows hold of a pattern without a running number.

    Parameters
    ----------
    rows : int
        Rows that have it.
    parts : tuple of bytes
        For each window a bit for each combination of its letters and digits, which is set where a row has it; of a
        pattern with a part that no row had, a bit for each of its texts.
    wrong : bytes
        A bit for each of its equations, which is set where a row does not fulfil it.
    """

    rows: int = 0
    parts: tuple[bytes, ...] = ()
    wrong: bytes = b""

    def merge(self, other: SeenShape) -> SeenShape:
        """What both sets of rows hold."""
        return SeenShape(
            self.rows + other.rows,
            tuple(map(_either, self.parts, other.parts)) if self.parts and other.parts else self.parts or other.parts,
            _either(self.wrong, other.wrong) if self.wrong and other.wrong else self.wrong or other.wrong,
        )

    @classmethod
    def of(cls, letters: Bytes, pattern: Pattern, most: int) -> SeenShape:
        """What texts of the pattern hold, given their bytes, and the most combinations of a window."""
        wrong = np.packbits(np.array([not one.holds(letters).all() for one in pattern.equations], np.bool_)).tobytes()
        if pattern.unseen:
            return cls(len(letters), (_seen_texts(letters, pattern),), wrong)
        windows = pattern.windows(most) if pattern.values < ENDLESS else ()
        return cls(len(letters), tuple(_seen_combinations(letters, pattern, window) for window in windows), wrong)


def _either(part: bytes, other: bytes) -> bytes:
    """The bits that are set in one of both."""
    return np.bitwise_or(np.frombuffer(part, np.uint8), np.frombuffer(other, np.uint8)).tobytes()


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
        largest = max((one.largest for one in (self, other) if one.largest is not None), default=None)
        both = tuple(map(SeenShape.merge, self.shapes, other.shapes)) if self.shapes and other.shapes else ()
        return SeenValues(largest, max(self.longest, other.longest), both or self.shapes or other.shapes)

    @classmethod
    def of(cls, patterns: tuple[Pattern, ...], values: pa.Array[Any]) -> SeenValues:
        """What some rows hold."""
        plain: Any = plain_values_of(values).drop_null()
        if not len(plain):
            return cls()
        if not is_text_type(plain.type):
            return cls(pc.max(plain).as_py())
        texts = plain.cast(pa.large_string())
        longest = pc.max(pc.utf8_length(texts)).as_py()
        if NUMBER in patterns[0].tokens:
            numbers = pc.extract_regex(texts, patterns[0].expression).drop_null().field("number").cast(pa.int64())
            return cls(pc.max(numbers).as_py(), longest)
        lengths: Any = pc.binary_length(texts)
        most, rows = combinations_of(len(patterns)), dict[int, Bytes]()
        for length in {pattern.bytes for pattern in patterns}:
            is_so = pc.equal(lengths, pa.scalar(length, pa.int64()))
            rows[length] = letters_of(texts.filter(is_so).cast(pa.large_binary()), length)
        return cls(None, longest, tuple(SeenShape.of(_of_shape(rows[one.bytes], one), one, most) for one in patterns))


def combinations_of(patterns: int) -> int:
    """The most combinations of a window that are counted for each of some patterns."""
    return max(MOST_COMBINATIONS // patterns, LEAST_COMBINATIONS)


def letters_of(rows: Any, length: int) -> Bytes:
    """Bytes of large binary values that are equally long, shape (texts, bytes)."""
    if not len(rows):
        return np.empty((0, length), np.uint8)
    offsets = np.frombuffer(rows.buffers()[1], np.int64, len(rows) + 1, 8 * rows.offset)
    return np.frombuffer(rows.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, length)


def _of_shape(letters: Bytes, pattern: Pattern) -> Bytes:
    """Those of some texts that have a shape, but for what its codes and check digits are."""
    places = dict[str, list[int]]()
    for token, (first, _) in zip(pattern.tokens, pattern.spans, strict=True):
        places.setdefault(token, []).append(first)
    fixed = [
        (first + at, byte)
        for token, (first, _) in zip(pattern.tokens, pattern.spans, strict=True)
        if len(token) == 1
        for at, byte in enumerate(token.encode())
    ]
    if fixed:
        where, wanted = (np.array(part) for part in zip(*fixed, strict=True))
        letters = letters[(letters[:, where] == wanted.astype(np.uint8)).all(axis=1)]
    for token, own in places.items():
        if token[1:] in CLASSES:
            matches = _members(token[1])[letters[:, own]].all(axis=1)
            letters = letters if matches.all() else letters[matches]
    return letters


@cache
def _members(name: str) -> NDArray[np.bool_]:
    """Which bytes are in a class."""
    members: NDArray[np.bool_] = _ranks(name) >= 0
    return members


@cache
def _ranks(name: str) -> NDArray[np.int64]:
    """Place of each byte in a class; -1 for those of others."""
    ranks = np.full(256, -1, np.int64)
    ranks[np.frombuffer(CLASSES[name].encode(), np.uint8)] = np.arange(len(CLASSES[name]))
    return ranks


def _seen_combinations(letters: Bytes, pattern: Pattern, window: tuple[int, ...]) -> bytes:
    """A bit for each combination of the letters and digits of a window."""
    tokens, spans, numbers, size = pattern.tokens, pattern.spans, np.zeros(len(letters), np.int64), 1
    for place in window:
        base = len(CLASSES[tokens[place][1]])
        numbers, size = numbers * base + _ranks(tokens[place][1])[letters[:, spans[place][0]]], size * base
    seen = np.zeros(size, np.bool_)
    seen[numbers] = True
    return np.packbits(seen).tobytes()


def _seen_texts(letters: Bytes, pattern: Pattern) -> bytes:
    """A bit for each text of the part that no row had."""
    first, stop = pattern.spans[pattern.tokens.index(PART)]
    parts = np.ascontiguousarray(letters[:, first:stop]).view(f"S{stop - first}")[:, 0]
    return np.packbits(np.isin([text.encode() for text in pattern.unseen], parts)).tobytes()


def bits(part: bytes, size: int) -> NDArray[np.bool_]:
    """The bits of a part of what rows hold; none where they hold nothing."""
    return np.unpackbits(np.frombuffer(part, np.uint8), count=size).astype(np.bool_) if part else np.zeros(size, bool)


def refined_pattern(pattern: Pattern, seen: SeenShape, patterns: int, *, is_read: bool) -> Pattern:
    """The pattern of values that no row has, and of equations that all rows fulfil.

    Parameters
    ----------
    pattern : Pattern
        The pattern.
    seen : SeenShape
        What rows hold of it.
    patterns : int
        How many patterns the column has.
    is_read : bool
        Whether rows were read before these.
    """
    refined = pattern
    if pattern.unseen:
        is_seen = bits(seen.parts[0] if seen.parts else b"", len(pattern.unseen))
        unseen = tuple(text for text, one in zip(pattern.unseen, is_seen, strict=True) if not one)
        refined = replace(pattern, unseen=unseen) if unseen else replace(pattern, unseen=(), first=0, stop=0)
    elif not is_read and pattern.values < ENDLESS:
        refined = unseen_part(pattern, seen, patterns) or pattern
    wrong = bits(seen.wrong, len(pattern.equations))
    if not wrong.any():
        return refined
    right = tuple(one for one, is_wrong in zip(pattern.equations, wrong, strict=True) if not is_wrong)
    return replace(refined, equations=right)


def unseen_part(pattern: Pattern, seen: SeenShape, patterns: int = 1) -> Pattern | None:
    """The pattern with a part that no row has: the first letters and digits of a window, as few as leave room.

    Of several the last window that leaves room for four times as many values as rows have the form, or the one with
    the most room. None where all parts occur, or only whole values do not.
    """
    places = [place for place, token in enumerate(pattern.tokens) if token[1:] in CLASSES]
    values, best, best_room = pattern.values, None, 0
    windows = pattern.windows(combinations_of(patterns))
    for window, part in zip(windows, seen.parts or (b"",) * len(windows), strict=True):
        sizes = [len(pattern.choices[place]) for place in window]
        occurs = bits(part, prod(sizes))
        for kept in range(1, len(window) + (window != tuple(places))):
            count = prod(sizes[:kept])
            unseen = np.flatnonzero(~occurs.reshape(count, -1).any(axis=1))
            unseen = unseen[:: -(-len(unseen) * patterns // MOST_PARTS) or 1]
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
    return replace(pattern, unseen=tuple(texts), first=places[0], stop=places[-1] + 1)
