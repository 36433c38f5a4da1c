"""Which shapes texts have: texts of a shape have letters, digits and signs at the same places."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import commonprefix

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import CHECKS, Equation
from gpuvgm.synthesis.keys.patterns import CLASSES, CODE, ENDLESS, Bytes, Pattern
from gpuvgm.synthesis.keys.seen import LONGEST, SeenValues, unseen_part

LEAST_ROWS_OF_CODE = 10  # values of a code, on average
LEAST_OF_CODES = 0.1  # of the values of the most frequent code: a code with fewer is a rare one
LEAST_OF_EACH = 5  # values that a code or a shape has, or it may name someone
LONGEST_PREFIX = 7  # digits that a number may begin with, such as a year or a branch
MOST_NUMBERS = 64  # different numbers at a run of digits that are codes, such as years and prefixes of phone numbers
LEAST_ALIKE = 100  # texts of a shape: of fewer, a letter that all share may be that of one person
MOST_SHAPES = 32
ALIKE = 0.95  # least share of the texts that have one of a few shapes, or they are read in another way
LEAST_CHANGES = 2  # from letters to digits and back, in texts in which they are mixed
FEW_LETTERS = 0.8  # of a class: where all texts have fewer at a place, new ones have these alone
_LEADING_ZERO = r"(?<![0-9\\])(0*)0(?=\\0)"  # that all numbers have, before the other digits, in a pattern
#: A mark for each class that texts are read by, which is no letter of theirs.
_MARKS = {name: chr(number) for number, name in enumerate("0aAhHC2VBbw+-", 1)}
_SIMPLE = {ord(letter): _MARKS[name] for name in "0aA" for letter in CLASSES[name]}
#: Of letters and digits mixed: what all places have together, the narrowest first.
_MIXED = [{ord(letter): _MARKS[name] for letter in CLASSES[name]} for name in "hHC2VBbw+-"]
_TOKENS = {mark: f"\\{name}" for name, mark in _MARKS.items()}
_UNREAD = re.compile(r"[\x00-\x0d\\?]")  # in texts that have no shape
LOOKED_AT = 1_000  # texts, by which is seen whether letters are told from digits
#: Classes that texts which standards name may have, and letters at some of their places.
_NAMED: dict[str, tuple[str, dict[int, str]]] = {
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}": ("hH", {19: "89abAB"}),  # RFC 9562: the variant
    r"[0-7][0-9A-HJKMNP-TV-Z]{25}": ("C", {0: "01234567"}),  # ULIDs, whose time has 48 bits
}


@dataclass(frozen=True)
class _Shape:
    """Texts of a shape.

    Parameters
    ----------
    texts : list of str
        Different texts, equally long.
    tokens : tuple of str
        A class or a fixed letter for each of their places.
    is_only : bool
        Whether all texts of the column have the shape, so that what they share names no one.
    padded : bool
        Whether numbers may begin with zeros.
    room : int
        Values that its pattern must have, that no text has.
    """

    texts: list[str]
    tokens: tuple[str, ...]
    is_only: bool
    padded: bool
    room: int

    @cached_property
    def letters(self) -> list[Counter[str]]:
        """How many texts have which letters at each place."""
        if not self.texts[0].isascii() or not all(map(str.isascii, self.texts)):
            return [Counter(place) for place in zip(*self.texts, strict=True)]
        counts = (np.bincount(place, minlength=128) for place in _letters_of(self.texts).T)
        return [Counter({chr(code): int(of[code]) for code in np.flatnonzero(of).tolist()}) for of in counts]

    def at(self, run: tuple[int, int]) -> Counter[str]:
        """How many texts have what at neighbouring places."""
        return Counter(text[slice(*run)] for text in self.texts)


def patterns_of(
    texts: list[str], *, check: str = "", numbers: bool = True, room: int | None = None
) -> tuple[Pattern, ...]:
    """Patterns of different texts with their check digits, the most frequent first; empty where they have none.

    Parameters
    ----------
    texts : list of str
        The texts.
    check : str
        Name of check digits that they are known to have; those of others are found.
    numbers : bool
        Whether neighbouring digits of which there are few may be codes, such as years.
    room : int, optional
        Values that each pattern must have, that no text has; by default as many as there are texts of it.
    """
    check = check or CHECKS.name_of(texts)
    plain = CHECKS.plain(texts, check) if check else texts
    read = [text for text in plain if len(text) <= LONGEST and not _UNREAD.search(text)]
    shapes = _shapes_of(read, len(plain), room)
    shapes = sorted((part for shape in shapes for part in _of_one_length(shape)), key=lambda shape: -len(shape.texts))
    patterns = [_pattern_of(shape, check, numbers=numbers and not check) for shape in shapes]
    return tuple(pattern for pattern in patterns if any(token[1:] in CLASSES for token in pattern.tokens))


def _shapes_of(texts: list[str], count: int, room: int | None) -> list[_Shape]:
    """Shapes of texts, the most frequent first; those of hardly any texts are left out.

    Parameters
    ----------
    texts : list of str
        Texts that may have a shape.
    count : int
        All texts of the column.
    room : int or None
        As for `patterns_of`.
    """
    ends = _common_ends(texts)
    members = _members_of(texts, _marks_of(texts, ends), ends)
    most = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_SHAPES]
    largest = len(most[0][1]) if most else 0
    least = LEAST_OF_EACH if largest >= LEAST_OF_EACH else 2
    if len(most) == 1 and count == largest:  # what all texts of a column share is no one's
        least = 1
    padded = len(texts) < LEAST_ALIKE or any(re.search(r"(?<![0-9])0", text) for text in texts)
    return [
        _Shape(alike, tuple(_TOKENS.get(mark, mark) for mark in marks), len(alike) == count, padded, room or len(alike))
        for marks, alike in most
        if len(alike) >= least
    ]


def _of_one_length(shape: _Shape) -> list[_Shape]:
    """The shape; where codes such as AŽ and LR differ in bytes, one for the texts of each number of bytes."""
    if all(map(str.isascii, shape.texts)):
        return [shape]
    codes = (codes_of(shape.at(run)) for run in _runs(_narrowed(shape), (), "aA"))
    if all(len({len(code.encode()) for code in texts}) < 2 for texts in codes):
        return [shape]
    of_length = defaultdict[int, list[str]](list)
    for text in shape.texts:
        of_length[len(text.encode())].append(text)
    parts = [texts for texts in of_length.values() if len(texts) >= LEAST_OF_EACH]
    by_default = shape.room == len(shape.texts)
    return [
        replace(shape, texts=texts, is_only=False, room=len(texts) if by_default else shape.room) for texts in parts
    ] or [shape]


def _marks_of(texts: list[str], ends: tuple[int, int]) -> dict[int, str]:
    """Mark of each letter's class, by which texts have few shapes.

    Letters are told from digits where nearly all texts then have one of a few shapes, or where no other way has few.
    """
    probed = texts[:: len(texts) // LOOKED_AT + 1]
    for named in _named(texts)[0]:
        if {letter for text in texts for letter in text if letter.isalnum()} <= {*CLASSES[named]}:
            return {ord(letter): _MARKS[named] for letter in CLASSES[named]}
    simple = _SIMPLE | _of_other_alphabets(texts)
    if hexadecimal := _hexadecimal_of(probed, simple, ends):
        return hexadecimal
    if _share_of_few(_members_of(probed, simple, ends), len(probed)) >= ALIKE or not _are_mixed(probed, ends):
        return simple
    shares = [_share_of_few(_members_of(probed, marks, ends), len(probed), mixed=True) for marks in _MIXED]
    enough = min(ALIKE, max(shares))
    return next(marks for marks, share in zip(_MIXED, shares, strict=True) if share >= enough) if enough else simple


def _named(texts: Sequence[str]) -> tuple[str, dict[int, str]]:
    """Classes of letters that texts of a standard may have, and letters at some places; nothing for others."""
    forms = (parts for form, parts in _NAMED.items() if all(map(re.compile(form).fullmatch, texts)))
    return next(forms, ("", {}))


def _of_other_alphabets(texts: list[str]) -> dict[int, str]:
    """Marks of letters beyond ASCII, such as those with accents, in place of which new texts have letters of ASCII."""
    letters = {letter for text in texts if not text.isascii() for letter in text if not letter.isascii()}
    cased = (letter for letter in letters if letter.lower() != letter.upper())
    return {ord(letter): _MARKS["A" if letter.isupper() else "a"] for letter in cased}


def _common_ends(texts: list[str]) -> tuple[int, int]:
    """How many letters all texts begin and end with."""
    before = len(commonprefix(texts))
    return before, len(commonprefix([text[before:][::-1] for text in texts]))


def _members_of(texts: list[str], mark_of: dict[int, str], ends: tuple[int, int]) -> dict[str, list[str]]:
    """Texts by their shape: marks in place of letters, but where all texts begin and end with the same."""
    members, (before, after) = defaultdict[str, list[str]](list), ends
    for text in texts:
        stop = len(text) - after
        members[text[:before] + text[before:stop].translate(mark_of) + text[stop:]].append(text)
    return members


def _hexadecimal_of(texts: list[str], simple: dict[int, str], ends: tuple[int, int]) -> dict[int, str] | None:
    """Marks of hexadecimal digits, where many texts have no other letters, and have these at the places of digits."""
    if len(texts) < LEAST_ALIKE:
        return None
    shapes = len(_members_of(texts, simple, ends))
    for marks in _MIXED[:2]:
        members = _members_of(texts, marks, ends)
        if len(members) < shapes and _share_of_few(members, len(texts), mixed=True) >= ALIKE:
            return marks
    return None


def _are_mixed(texts: list[str], ends: tuple[int, int]) -> bool:
    """Return whether letters follow digits, and digits letters, in most texts."""
    middles = (text[ends[0] : len(text) - ends[1]] for text in texts)
    changes = [len(re.findall(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])", middle)) for middle in middles]
    return bool(np.median(changes) >= LEAST_CHANGES) if changes else False


def _share_of_few(members: dict[str, list[str]], count: int, *, mixed: bool = False) -> float:
    """Share of texts that have one of a few shapes, of which each has several texts.

    Where letters and digits have the same mark, it is 0 if shapes differ by fixed letters: these are codes.
    """
    sizes = sorted(map(len, members.values()), reverse=True)[:MOST_SHAPES]
    if mixed and len({re.sub("[0-9A-Za-z]", "0", marks) for marks in members}) < len(members):
        return 0.0
    return sum(size for size in sizes if size > 1 or len(sizes) == 1) / max(count, 1)


def _pattern_of(shape: _Shape, check: str, *, numbers: bool) -> Pattern:
    """The pattern of a shape that keeps most of what its texts share and leaves room for new values."""
    closing = CHECKS[check].places(len(shape.texts[0])) if check else ()
    tokens = [r"\0" if place in closing else token for place, token in enumerate(_narrowed(shape))]
    places = [place for place, token in enumerate(tokens) if token in (r"\0", r"\1")]
    has_sums = bool(places) and not check and shape.texts[0].isascii()
    equations = Equation.of_texts(_letters_of(shape.texts), places) if has_sums else ()
    base = Pattern("", (), len(shape.texts), check=check, equations=equations)
    patterns = list[Pattern]()
    for tokens_and_codes in _ways_of(shape, tokens, closing, numbers=numbers):
        pattern = replace(base, text=tokens_and_codes.text, codes=tokens_and_codes.codes)
        if equations and not pattern.closing:  # codes stand where the equations need digits
            continue
        if _leaves_room(pattern, shape):
            return pattern
        patterns.append(pattern)
    return patterns[-1] if patterns else replace(base, text="".join(tokens), equations=())


def _letters_of(texts: list[str]) -> Bytes:
    """Bytes of those of equally long texts that are ASCII, shape (texts, bytes)."""
    plain = "".join(text for text in texts if text.isascii())
    return np.frombuffer(plain.encode(), np.uint8).reshape(-1, len(texts[0]))


def _narrowed(shape: _Shape) -> list[str]:
    """The tokens, narrowed to what many texts share: the same letter everywhere, numbers without leading zeros."""
    many, tokens = len(shape.texts) >= LEAST_ALIKE, [*shape.tokens]
    for place, (token, letters) in enumerate(zip(shape.tokens, shape.letters, strict=True)):
        if len(letters) == 1 and (many or shape.is_only):
            tokens[place] = shape.texts[0][place]
        elif token == r"\0" and not (place and shape.tokens[place - 1][-1].isdecimal()):
            tokens[place] = r"\0" if shape.padded and (not many or "0" in letters) else r"\1"
    return tokens


def _ways_of(shape: _Shape, tokens: list[str], closing: Sequence[int], *, numbers: bool) -> Iterator[Pattern]:
    """Yield patterns that keep codes of neighbouring letters and digits, those that keep most first.

    Where the numbers have no room for new ones, they get it by a leading zero that all have, or else by other digits
    that all share. Where all letters are codes, the last ones are not kept: real names side by side may be a person's.
    """
    alphabets = _alphabets_of(shape, tokens)
    words = _runs(tokens, closing, "aA")
    digits = [run for run in _runs(tokens, closing, "01") if len(shape.at(run)) <= MOST_NUMBERS]
    usual = _with_codes(shape, tokens, words, {})
    prefix = _prefix_of(shape, tokens, closing)
    ways = [[*words, *prefix]] * bool(prefix) + [[*words, *digits]] * numbers + [words]
    for runs in ways:
        yield _with_codes(shape, tokens, runs, alphabets)
        pattern = _with_codes(shape, tokens, runs, {})
        yield pattern
        yield replace(pattern, text=re.sub(_LEADING_ZERO, r"\1\\0", pattern.text))
    while words and not any(token[1:] in CLASSES for token in usual.tokens):
        words = words[:-1]
        usual = _with_codes(shape, tokens, words, {})
        yield usual
    wider = [of if of == r"\0" else token for of, token in zip(shape.tokens, tokens, strict=True)]
    yield _with_codes(shape, wider, words, {})
    yield usual


def _runs(tokens: Sequence[str], closing: Sequence[int], classes: str) -> list[tuple[int, int]]:
    """First place of neighbouring letters, or digits, that are not all the same in all texts, and the place behind."""
    is_of_kind = str.isalpha if "a" in classes else str.isdecimal
    marks = "".join(
        "."
        if place in closing or (len(token) == 2 and token[1] not in classes) or not is_of_kind(token[-1])
        else token[0]
        for place, token in enumerate(tokens)
    )
    return [match.span() for match in re.finditer(r"[^.]+", marks) if "\\" in match[0]]


def _prefix_of(shape: _Shape, tokens: Sequence[str], closing: Sequence[int]) -> list[tuple[int, int]]:
    """The places of codes that the first digits begin with, such as a year or a branch; none without.

    All texts have one of a few such codes, fewer than their digits could make, each with the same zero behind it.
    """
    for first, stop in _runs(tokens, closing, "01")[:1] if len(shape.texts) >= LEAST_ALIKE else []:
        for end in range(first + 2, min(stop, first + LONGEST_PREFIX)):
            counts = shape.at((first, end))
            possible = 10 ** sum(len(letters) > 1 for letters in shape.letters[first:end])
            are_codes = 1 < len(counts) == len(codes_of(counts)) <= min(MOST_NUMBERS, FEW_LETTERS * possible)
            if are_codes and {*shape.letters[end]} == {"0"}:
                return [(first, end)]
    return []


def _alphabets_of(shape: _Shape, tokens: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Letters of the places of digits, or of letters and digits, that have few of their class."""
    _, named = _named(shape.texts)
    alphabets = dict[int, tuple[str, ...]]()
    for place, (token, letters) in enumerate(zip(tokens, shape.letters, strict=True)):
        members = CLASSES.get(token[1:].replace("1", "0"), "")
        if place in named and members:
            alphabets[place] = tuple(letter for letter in named[place] if letter in members)
        elif members and token[1] not in "aA" and len(shape.texts) >= LEAST_ALIKE:
            kept = codes_of(letters)
            if len(kept) == len(letters) <= FEW_LETTERS * len(members):
                alphabets[place] = kept
    return alphabets


def _with_codes(
    shape: _Shape, tokens: Sequence[str], runs: Sequence[tuple[int, int]], alphabets: dict[int, tuple[str, ...]]
) -> Pattern:
    """The pattern of a shape with codes: at runs of places whose texts are codes, and at places with an alphabet."""
    of_runs = {run: _as_long(codes_of(shape.at(run))) for run in runs}
    codes = {(place, place + 1): letters for place, letters in alphabets.items()}
    covered = {place for (first, stop), texts in of_runs.items() if texts for place in range(first, stop)}
    codes = {run: letters for run, letters in codes.items() if run[0] not in covered}
    text, place, choices = "", 0, list[tuple[str, ...]]()
    for (first, stop), texts in sorted((codes | of_runs).items()):
        if not texts:
            continue
        text += "".join(tokens[place:first]) + (CODE if len(texts) > 1 else texts[0])
        choices += [texts] if len(texts) > 1 else []
        place = stop
    return Pattern(text + "".join(tokens[place:]), tuple(choices))


def codes_of(counts: Counter[str]) -> tuple[str, ...]:
    """Texts that are codes, as many values have each: without rare ones; none at all where there are too many."""
    if len(counts) > 1 and len(counts) * LEAST_ROWS_OF_CODE > counts.total():
        return ()
    least = max(LEAST_OF_CODES * max(counts.values(), default=0), LEAST_OF_EACH if len(counts) > 1 else 1)
    return tuple(sorted(text for text, count in counts.items() if count >= least))


def _as_long(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes that have as many bytes as letters, so that all texts of a shape are equally long."""
    return codes if len(codes) < 2 else tuple(code for code in codes if code.isascii())


def _leaves_room(pattern: Pattern, shape: _Shape) -> bool:
    """Return whether a pattern has a part that no text has, by which it makes as many values as are needed."""
    if pattern.values >= ENDLESS:
        return True
    with_part = unseen_part(pattern, SeenValues.of((pattern,), pa.array(shape.texts)).shapes[0])
    return with_part is not None and with_part.limit >= shape.room
