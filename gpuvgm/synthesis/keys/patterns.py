"""Patterns of texts: new values by their numbers, with what no row of the table has in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, groupby
from math import prod
from string import ascii_lowercase, ascii_uppercase, digits as decimal_digits
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.codecs import CHECKS, Equation
from gpuvgm.engines import philox_words
from gpuvgm.laws import DatesInText
from gpuvgm.rules import whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.keys.streams import column_number, shuffled

Bytes = NDArray[np.uint8]
#: Letters and digits at a place of a pattern, by the name that follows a backslash there, the narrower ones first.
CLASSES = {
    "0": decimal_digits,
    "1": decimal_digits[1:],  # of numbers without leading zeros
    "a": ascii_lowercase,
    "A": ascii_uppercase,
    "h": f"{decimal_digits}abcdef",
    "H": f"{decimal_digits}ABCDEF",
    "C": f"{decimal_digits}ABCDEFGHJKMNPQRSTVWXYZ",  # Crockford's base 32, as in ULIDs
    "2": f"{ascii_uppercase}234567",  # base 32 of RFC 4648
    "V": f"{decimal_digits}ABCDEFGHJKLMNPRSTUVWXYZ",  # ISO 3779: vehicles
    "B": f"{decimal_digits}{ascii_uppercase}",
    "b": f"{decimal_digits}{ascii_lowercase}",
    "w": f"{decimal_digits}{ascii_uppercase}{ascii_lowercase}",
    "+": f"{ascii_uppercase}{ascii_lowercase}{decimal_digits}+/",  # base 64 of RFC 4648
    "-": f"{ascii_uppercase}{ascii_lowercase}{decimal_digits}-_",  # and for names of files
}
CODE, PART, NUMBER, CHECK = r"\c", r"\u", r"\n", r"\k"
DATE_TOKENS = {rf"\%{part}": digits for part, digits in DatesInText.digits.items()}  # and the length of each
MOST_COMBINATIONS = 1 << 20  # of the letters and digits of a window, each with a bit; patterns of a column share them
LEAST_COMBINATIONS = 1 << 15  # of a window, however many patterns there are
MOST_WINDOWS, FEW_WINDOWS = 4, 2  # of a pattern that is alone or one of a few, and of one of many
MOST_SHUFFLED = 1 << 62  # combinations that are shuffled, so that no two rows have the same
ENDLESS = 1 << 96  # values: a random one, such as a random UUID, is surely that of no row
MOST_NUMBERED = 1 << 48  # new values of a pattern: fewer than are shuffled, so that all differ
KEPT_FREE = 2  # values without a row for each new one: if all were made, the rest would be those of the table


@dataclass(frozen=True)
class Pattern:
    """Form of an identifier: tokens that are classes of letters, codes, numbers, check digits or fixed letters.

    Parameters
    ----------
    text : str
        The tokens. A backslash stands before the name of a class, a code or a number, and a backslash and a percent
        sign before that of a part of a date.
    codes : tuple of tuple of str
        For each code the texts that it can be.
    weight : int
        Values that have this pattern: its share is in proportion to it.
    unseen : tuple of str
        Texts that no row has at neighbouring places; a new value has one of them there. Empty where none is known.
    first, stop : int
        These places: the first token, and the one behind the last.
    check : str
        Name of the check digits, one of `CHECKS`; empty without.
    equations : tuple of Equation
        Equations that the digits of all values fulfil.
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
        known = {CODE, NUMBER, *DATE_TOKENS, *(f"\\{name}" for name in CLASSES)}
        if "\\" in tokens or any(len(token) > 1 and token not in known for token in tokens):
            raise ValueError("its pattern has tokens that are not known")
        if tokens.count(NUMBER) != numbers or tokens.count(CODE) != len(self.codes) or not all(self.codes):
            raise ValueError("its pattern has other tokens than codes and numbers")
        if not numbers and any(len({len(code.encode()) for code in texts}) > 1 for texts in self.codes):
            raise ValueError("the codes of its pattern are not equally long")
        lengths = {len(text) for text in self.unseen} | {self.stop - self.first if self.unseen else 0}
        if self.stop > len(tokens) or len(lengths) > 1 or CODE in tokens[self.first : self.stop]:
            raise ValueError("the parts that no row has are none of its pattern")
        if self.check not in ("", *CHECKS) or not all(equation.fits(self.bytes) for equation in self.equations):
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
        return Equation.together(self.equations, self.digits).closing if self.equations else ()

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
            elif token in (CODE, CHECK, *DATE_TOKENS):  # of which not every text is counted
                windows.append(())
                count = 1
        return [window for window in windows if window][: MOST_WINDOWS if most > LEAST_COMBINATIONS else FEW_WINDOWS]

    @property
    def expression(self) -> str:
        """Regular expression whose group "number" is the running number, "date0" a date at the first token."""
        tokens = enumerate(zip(self.tokens, self.choices, strict=True))
        return rf"\A{''.join(_expression_of(place, *token_and_choice) for place, token_and_choice in tokens)}\z"

    @property
    def dates(self) -> dict[int, str]:
        """By place of a token, the part of a date that stands there."""
        return {place: token[2:] for place, token in enumerate(self.tokens) if token in DATE_TOKENS}

    def count_dates(self, texts: pa.Array[Any], moments: Ints) -> tuple[int, int]:
        """How many texts have the pattern, and hold other dates than their moments, in seconds since 1970."""
        fields: Any = pc.extract_regex(texts, self.expression)
        has_form = np.asarray(fields.is_valid())
        of_form, broken = fields.filter(pa.array(has_form)), np.zeros(int(has_form.sum()), np.bool_)
        for place, part in self.dates.items():
            numbers = of_form.field(f"date{place}").cast(pa.int64()).to_numpy()
            broken |= numbers != DatesInText.numbers(moments[has_form], part)
        return len(broken), int(np.count_nonzero(broken))

    @property
    def without_dates(self) -> Pattern:
        """The pattern with any digits in place of those of dates."""
        more = np.cumsum([0, *(DATE_TOKENS.get(token, 1) for token in _tokens_of(self.text))]).tolist()
        text = self.text
        for token, digits in DATE_TOKENS.items():
            text = text.replace(token, r"\0" * digits)
        return replace(self, text=text, first=more[self.first], stop=more[self.stop])

    @cached_property
    def limit(self) -> int:
        """How many values are made of it: half of those that no row has, so that they do not tell the others."""
        return min(self.room // KEPT_FREE, MOST_NUMBERED)

    def lacking(self, refined: Pattern) -> SeenShape:
        """What rows must hold, so that this pattern is refined to that one."""
        unseen, equations = {*refined.unseen}, {*refined.equations}
        occurs = [text not in unseen for text in self.unseen]
        wrong = tuple(int(equation not in equations) for equation in self.equations)
        return SeenShape(0, (_packed(occurs),), wrong)

    def longer(self, more: int) -> Pattern:
        """The pattern without its part, with more letters or digits behind the last one that is no check digit."""
        whole_pattern = replace(self, unseen=(), first=0, stop=0)
        tokens = whole_pattern.tokens
        end = max((place + 1 for place, token in enumerate(tokens) if token[1:] in CLASSES), default=len(tokens))
        token = tokens[end - 1] if end and tokens[end - 1][1:] in CLASSES else r"\0"
        added = [r"\0" if token == r"\1" else token] * more
        written = _tokens_of(self.text)
        first_byte = whole_pattern.spans[end - 1][1] if end else 0
        equations = tuple(equation.stretched(first_byte, more) for equation in self.equations)
        return replace(whole_pattern, text="".join((*written[:end], *added, *written[end:])), equations=equations)

    def by_code(self) -> list[Pattern]:
        """The pattern with each text of its first code in the code's stead; itself alone where it has none."""
        tokens = _tokens_of(self.text)
        if CODE not in tokens or self.check or self.equations or self.unseen:
            return [self]
        place = tokens.index(CODE)
        before, after = "".join(tokens[:place]), "".join(tokens[place + 1 :])
        return [replace(self, text=f"{before}{code}{after}", codes=self.codes[1:]) for code in self.codes[0]]

    def texts(
        self, counter: NDArray[np.uint64], name: str, seed: int, number: Any = None, moments: Ints | None = None
    ) -> pa.Array[Any]:
        """Texts by their numbers, no two the same while there are enough, but for dates.

        Parameters
        ----------
        counter : ndarray of shape (texts,), uint64
            The numbers.
        name : str
            Name of the stream of random numbers.
        seed : int
            The seed.
        number : pyarrow.Array, optional
            Running numbers as text, of a pattern with such.
        moments : ndarray of shape (texts,), int64, optional
            Seconds since 1970, of a pattern with dates.
        """
        parts: list[Any] = _drawn_texts(self.choices, counter, name, seed)
        if number is not None:
            parts[self.tokens.index(NUMBER)] = number
        if moments is not None:
            for place, part in self.dates.items():
                parts[place] = DatesInText.texts(moments, part)
        texts = _joined(parts, len(counter))
        if not self.closing:
            return texts
        letters = letters_of(texts.cast(pa.large_binary()), self.bytes).copy()
        self.close(letters, philox_words(counter, column_number(f"{name}/check"), seed)[0])
        return _texts_of(letters)

    def close(self, letters: Bytes, words: NDArray[np.uint64]) -> None:
        """Write the check digits into letters, shape (texts, bytes); of several that are right the words choose."""
        if self.check:
            CHECKS[self.check].close(letters)
        else:
            Equation.together(self.equations, self.digits).close(letters, words)


def _tokens_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\\%.|\\?.", text, re.S))


def _expression_of(place: int, token: str, choice: tuple[str, ...]) -> str:
    """Regular expression of a token."""
    if token in DATE_TOKENS:
        return f"(?P<date{place}>[0-9]{{{DATE_TOKENS[token]}}})"
    return "(?P<number>[0-9]{1,18})" if token == NUMBER else f"(?:{'|'.join(map(re.escape, choice))})"


def _first_of(choice: tuple[str, ...]) -> str:
    return choice[0] if choice else ""


def _choice(token: str, codes: Any, unseen: tuple[str, ...]) -> tuple[str, ...]:
    if len(token) == 1:
        return (token,)
    if token == CODE:
        texts: tuple[str, ...] = next(codes)
        return texts
    if token == CHECK or token in DATE_TOKENS:
        return ("0" * DATE_TOKENS.get(token, 1),)
    return () if token == NUMBER else unseen if token == PART else tuple(CLASSES[token[1]])


def _drawn_texts(
    choices: list[tuple[str, ...]], counter: NDArray[np.uint64], name: str, seed: int
) -> list[pa.Array[Any] | str]:
    """Texts at each place, one for each row, or a single text where there is no choice.

    The last places, as many as have at most 2^62 combinations, are shuffled together, so that no two rows are the same
    while there are enough; those before are drawn.
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
        indices: Any = pa.array(digit)
        texts.append(pa.array(choice, pa.string()).take(indices))
    return texts[::-1]


def _joined(parts: list[Any], rows: int) -> pa.Array[Any]:
    """Texts of rows that consist of parts: arrays, or the same text in all rows."""
    joined = list[Any]()
    for is_fixed, group in groupby(parts, lambda part: isinstance(part, str)):
        neighbours = [*group]
        joined += ["".join(neighbours)] if is_fixed else neighbours
    if all(isinstance(part, str) for part in joined):
        return pa.array(["".join(joined)] * rows, pa.string())
    texts: pa.Array[Any] = pc.binary_join_element_wise(*joined, "")
    return texts


def _texts_of(letters: Bytes) -> pa.Array[Any]:
    """Texts by their bytes, shape (texts, bytes)."""
    offsets = np.arange(len(letters) + 1, dtype=np.int32) * letters.shape[1]
    buffers: Any = [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())]
    texts: pa.Array[Any] = pa.Array.from_buffers(pa.string(), len(letters), buffers)
    return texts


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
    wrong : tuple of int
        For each of its equations the rows that do not fulfil it.
    """

    rows: int = 0
    parts: tuple[bytes, ...] = ()
    wrong: tuple[int, ...] = ()

    def merge(self, other: SeenShape) -> SeenShape:
        """What both sets of rows hold."""
        wrong = self.wrong or other.wrong
        if self.wrong and other.wrong:
            wrong = tuple(map(sum, zip(self.wrong, other.wrong, strict=True)))
        parts = (
            tuple(map(_either, self.parts, other.parts)) if self.parts and other.parts else self.parts or other.parts
        )
        return SeenShape(self.rows + other.rows, parts, wrong)

    @classmethod
    def of(cls, letters: Bytes, pattern: Pattern, most: int) -> SeenShape:
        """What texts of the pattern hold, given their bytes, and the most combinations of a window."""
        wrong = tuple(int(np.count_nonzero(~equation.holds(letters))) for equation in pattern.equations)
        if pattern.unseen:
            return cls(len(letters), (_seen_texts(letters, pattern),), wrong)
        windows = pattern.windows(most) if pattern.values < ENDLESS else ()
        return cls(len(letters), tuple(_seen_combinations(letters, pattern, window) for window in windows), wrong)


def _packed(mask: Iterable[bool]) -> bytes:
    """A bit for each entry of a mask."""
    return np.packbits(np.array([*mask], np.bool_)).tobytes()


def _either(first: bytes, second: bytes) -> bytes:
    """The bits that are set in the first or the second part."""
    return np.bitwise_or(np.frombuffer(first, np.uint8), np.frombuffer(second, np.uint8)).tobytes()


def combinations_of(patterns: int) -> int:
    """The most combinations of a window that are counted for each of some patterns."""
    return max(MOST_COMBINATIONS // patterns, LEAST_COMBINATIONS)


def letters_of(rows: Any, length: int) -> Bytes:
    """Bytes of large binary values that are equally long, shape (texts, bytes)."""
    if not len(rows):
        return np.empty((0, length), np.uint8)
    offsets = np.frombuffer(rows.buffers()[1], np.int64, len(rows) + 1, 8 * rows.offset)
    return np.frombuffer(rows.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, length)


def of_shape(letters: Bytes, pattern: Pattern) -> Bytes:
    """The texts of a shape, whatever their codes and check digits, which are compared elsewhere or made anew."""
    places_by_class: dict[str, list[int]] = {}
    fixed: dict[int, int] = {}
    for token, (first, _) in zip(pattern.tokens, pattern.spans, strict=True):
        if len(token) == 1:
            fixed |= {first + at: byte for at, byte in enumerate(token.encode())}
        elif token[1:] in CLASSES:
            places_by_class.setdefault(token[1], []).append(first)
        elif token in DATE_TOKENS:
            places_by_class.setdefault("0", []).extend(range(first, first + DATE_TOKENS[token]))
    if fixed:
        letters = letters[(letters[:, [*fixed]] == np.array([*fixed.values()], np.uint8)).all(axis=1)]
    for name, places in places_by_class.items():
        matches = _members(name)[letters[:, places]].all(axis=1)
        letters = letters if matches.all() else letters[matches]  # most often all match, and nothing is copied
    return letters


@cache
def _members(name: str) -> NDArray[np.bool_]:
    """Which bytes are in a class."""
    members: NDArray[np.bool_] = _ranks(name) >= 0
    return members


@cache
def _ranks(name: str) -> NDArray[np.int64]:
    """Place of each byte in a class; -1 of bytes that are not in it."""
    ranks = np.full(256, -1, np.int64)
    ranks[np.frombuffer(CLASSES[name].encode(), np.uint8)] = np.arange(len(CLASSES[name]))
    return ranks


def _seen_combinations(letters: Bytes, pattern: Pattern, window: tuple[int, ...]) -> bytes:
    """A bit for each combination of the letters and digits of a window, set where a text has it."""
    combinations, count = np.zeros(len(letters), np.int64), 1
    for place in window:
        name, column = pattern.tokens[place][1], pattern.spans[place][0]
        base = len(CLASSES[name])
        combinations = combinations * base + _ranks(name)[letters[:, column]]
        count *= base
    occurs = np.zeros(count, np.bool_)
    occurs[combinations] = True
    return np.packbits(occurs).tobytes()


def _seen_texts(letters: Bytes, pattern: Pattern) -> bytes:
    """A bit for each text of the part that no row had."""
    first, stop = pattern.spans[pattern.tokens.index(PART)]
    parts = np.ascontiguousarray(letters[:, first:stop]).view(f"S{stop - first}")[:, 0]
    return np.packbits(np.isin([text.encode() for text in pattern.unseen], parts)).tobytes()


def bits(part: bytes, size: int) -> NDArray[np.bool_]:
    """The bits of a part of `SeenShape` as a mask; an empty part has no bit set."""
    if not part:
        return np.zeros(size, np.bool_)
    return np.unpackbits(np.frombuffer(part, np.uint8), count=size).astype(np.bool_)
