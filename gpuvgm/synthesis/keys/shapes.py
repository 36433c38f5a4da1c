"""Which shapes texts have: letters, digits and signs at the places where others of the same shape have such."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import commonprefix

import numpy as np
import pyarrow as pa

from gpuvgm.columns import UUID
from gpuvgm.synthesis.keys.checks import CHECKS, check_by_name, equations_of, letters_by_length
from gpuvgm.synthesis.keys.seen import CLASSES, CODE, ENDLESS, LONGEST, Pattern, SeenValues, unseen_part

LEAST_ROWS_OF_CODE = 10  # on average; of the most frequent code's rows others have this share at least
LEAST_OF_CODES = 0.1
LEAST_OF_EACH = 5  # values that a code or a shape has, or it may name someone
MOST_NUMBERS = 64  # of neighbouring digits that are codes, such as years and prefixes of phone numbers
LEAST_ALIKE = 100  # texts of a shape, below which a letter that all share may be one of a person
MOST_SHAPES = 32
ALIKE = 0.95  # of texts have one of the shapes, where letters are told from digits
LEAST_CHANGES = 2  # from letters to digits and back, of texts in which they are mixed
FEW_LETTERS = 0.8  # of a class, which are all that come at a place
_LEADING_ZERO = r"(?<![0-9\\])(0*)0(?=\\0)"  # that all numbers have, before the other digits, in a pattern
#: A mark for each class that texts are read by, which is no letter of theirs.
_MARKS = {name: chr(number) for number, name in enumerate("0aAhHC2VBbw+-", 1)}
_SIMPLE = {ord(letter): _MARKS[name] for name in "0aA" for letter in CLASSES[name]}
#: Of letters and digits mixed: what all places have together, the narrowest first.
_MIXED = [{ord(letter): _MARKS[name] for letter in CLASSES[name]} for name in "hHC2VBbw+-"]
_TOKENS = {mark: f"\\{name}" for name, mark in _MARKS.items()}
_UNREAD = re.compile(r"[\x00-\x0d\\?]")  # in texts that have no shape
LOOKED_AT = 1_000  # texts, by which is seen whether letters are told from digits
#: Letters at some places of texts that standards name.
_NAMED = {
    UUID: {19: "89abAB"},  # RFC 9562: the variant
    r"[0-7][0-9A-HJKMNP-TV-Z]{25}": {0: "01234567"},  # ULIDs, whose time has 48 bits
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
    every : bool
        Whether all texts of the column have the shape, so that what they share is no one's.
    padded : bool
        Whether numbers may begin with zeros.
    """

    texts: list[str]
    tokens: tuple[str, ...]
    every: bool
    padded: bool

    @cached_property
    def letters(self) -> list[Counter[str]]:
        """How many texts have which letters at each place."""
        if not self.texts[0].isascii() or not all(map(str.isascii, self.texts)):
            return [Counter(place) for place in zip(*self.texts, strict=True)]
        counts = (np.bincount(letters, minlength=128) for letters in letters_by_length(self.texts)[0].T)
        return [Counter({chr(at): int(of[at]) for at in np.flatnonzero(of).tolist()}) for of in counts]

    def at(self, run: tuple[int, int]) -> Counter[str]:
        """How many texts have what at neighbouring places."""
        return Counter(text[slice(*run)] for text in self.texts)


def patterns_of(texts: list[str], *, check: str = "", numbers: bool = True) -> tuple[Pattern, ...]:
    """Patterns of different texts with their check digits, the most frequent first; empty where they have none.

    Parameters
    ----------
    texts : list of str
        The texts.
    check : str
        Name of check digits that they are known to have; those of others are found.
    numbers : bool
        Whether neighbouring digits of which there are few may be codes, such as years.
    """
    check = check or check_by_name(texts)
    plain = _without_check_digits(texts, check) if check else texts
    shapes = _shapes_of([text for text in plain if len(text) <= LONGEST and not _UNREAD.search(text)], len(plain))
    patterns = [_pattern_of(shape, check, numbers=numbers and not check) for shape in shapes]
    return tuple(pattern for pattern in patterns if any(token[1:] in CLASSES for token in pattern.tokens))


def _without_check_digits(texts: list[str], check: str) -> list[str]:
    """The different texts with right check digits, with zeros in place of these."""
    plain = dict[str, None]()
    for block in letters_by_length(texts):
        right = block[CHECKS[check].holds(block)]
        right[:, CHECKS[check].places(block.shape[1])] = ord("0")
        plain |= dict.fromkeys(row.tobytes().decode() for row in right)
    return [*plain]


def _shapes_of(texts: list[str], count: int) -> list[_Shape]:
    """Shapes of texts out of so many, the most frequent first; those of hardly any are left out.

    Letters are told from digits where few shapes then are those of nearly all texts, or where nothing else has few.
    """
    ends = _common_ends(texts)
    looked_at = texts[:: len(texts) // LOOKED_AT + 1]
    way = _SIMPLE | _of_other_alphabets(texts)
    if hexadecimal := _hexadecimal_of(looked_at, way, ends):
        way = hexadecimal
    elif _share_of_few(_members_of(looked_at, way, ends), len(looked_at)) < ALIKE and _are_mixed(looked_at, ends):
        shares = [_share_of_few(_members_of(looked_at, one, ends), len(looked_at), mixed=True) for one in _MIXED]
        enough = min(ALIKE, max(shares))
        way = next(one for one, share in zip(_MIXED, shares, strict=True) if share >= enough) if enough else way
    members = _members_of(texts, way, ends)
    most = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_SHAPES]
    least = LEAST_OF_EACH if most and len(most[0][1]) >= LEAST_OF_EACH else 2
    if len(most) == 1 and count == len(most[0][1]):
        least = 1
    padded = len(texts) < LEAST_ALIKE or any(re.search(r"(?<![0-9])0", text) for text in texts)
    return [
        _Shape(alike, tuple(_TOKENS.get(mark, mark) for mark in marks), len(alike) == count, padded)
        for marks, alike in most
        if len(alike) >= least
    ]


def _of_other_alphabets(texts: list[str]) -> dict[int, str]:
    """Classes of letters such as those with accents, in place of which new texts have letters of ASCII."""
    letters = {letter for text in texts if not text.isascii() for letter in text if not letter.isascii()}
    cased = (letter for letter in letters if letter.lower() != letter.upper())
    return {ord(letter): _MARKS["A" if letter.isupper() else "a"] for letter in cased}


def _common_ends(texts: list[str]) -> tuple[int, int]:
    """How many letters all texts begin and end with."""
    before = len(commonprefix(texts))
    return before, len(commonprefix([text[before:][::-1] for text in texts]))


def _members_of(texts: list[str], way: dict[int, str], ends: tuple[int, int]) -> dict[str, list[str]]:
    """Texts by the marks of the classes of their letters, but where all texts begin and end with the same."""
    members, (before, after) = defaultdict[str, list[str]](list), ends
    for text in texts:
        stop = len(text) - after
        members[text[:before] + text[before:stop].translate(way) + text[stop:]].append(text)
    return members


def _hexadecimal_of(texts: list[str], simple: dict[int, str], ends: tuple[int, int]) -> dict[int, str] | None:
    """Marks of hexadecimal digits, where no other letters come in many texts, and these at the places of digits."""
    if len(texts) < LEAST_ALIKE:
        return None
    shapes = len(_members_of(texts, simple, ends))
    alike = ((way, _members_of(texts, way, ends)) for way in _MIXED[:2])
    return next(
        (way for way, one in alike if len(one) < shapes and _share_of_few(one, len(texts), mixed=True) >= ALIKE), None
    )


def _are_mixed(texts: list[str], ends: tuple[int, int]) -> bool:
    """Return whether letters follow digits, and digits letters, in most texts."""
    middles = (text[ends[0] : len(text) - ends[1]] for text in texts)
    changes = [len(re.findall(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])", middle)) for middle in middles]
    return bool(np.median(changes) >= LEAST_CHANGES) if changes else False


def _share_of_few(members: dict[str, list[str]], count: int, *, mixed: bool = False) -> float:
    """Share of texts that have one of a few shapes; 0 where mixed ones differ by letters, which they leave out."""
    sizes = sorted(map(len, members.values()), reverse=True)[:MOST_SHAPES]
    if mixed and len({re.sub("[0-9A-Za-z]", "0", marks) for marks in members}) < len(members):
        return 0.0
    return sum(size for size in sizes if size > 1 or len(sizes) == 1) / max(count, 1)


def _pattern_of(shape: _Shape, check: str, *, numbers: bool) -> Pattern:
    """The pattern of a shape that keeps most of what its texts share and leaves room for new values."""
    closing = CHECKS[check].places(len(shape.texts[0])) if check else ()
    tokens = [r"\0" if place in closing else token for place, token in enumerate(_narrowed(shape))]
    places = [place for place, token in enumerate(tokens) if token in (r"\0", r"\1")]
    blocks = letters_by_length(shape.texts) if not check and shape.texts[0].isascii() else []
    equations = equations_of(blocks[0], places) if blocks and places else ()
    base = Pattern("", (), len(shape.texts), check=check, equations=equations)
    ways = list[Pattern]()
    for codes in _ways_of(shape, tokens, closing, numbers=numbers):
        way = replace(base, text=codes.text, codes=codes.codes)
        if equations and not way.closing:
            continue
        if _leaves_room(way, shape.texts):
            return way
        ways.append(way)
    return ways[-1] if ways else replace(base, text="".join(tokens), equations=())


def _narrowed(shape: _Shape) -> list[str]:
    """The tokens, with letters that all texts share, and numbers without leading zeros, of texts that are many."""
    many, tokens = len(shape.texts) >= LEAST_ALIKE, [*shape.tokens]
    for place, (token, letters) in enumerate(zip(shape.tokens, shape.letters, strict=True)):
        if len(letters) == 1 and (many or shape.every):
            tokens[place] = shape.texts[0][place]
        elif token == r"\0" and not (place and shape.tokens[place - 1][-1].isdecimal()):
            tokens[place] = r"\0" if shape.padded and (not many or "0" in letters) else r"\1"
    return tokens


def _ways_of(shape: _Shape, tokens: list[str], closing: Sequence[int], *, numbers: bool) -> Iterator[Pattern]:
    """Patterns that keep codes of neighbouring letters and digits, those that keep most first; at last the usual one.

    Where numbers leave no room, one leading zero of all of them may, or else other digits that all share. Where all
    letters are codes, the last ones are not kept: real names side by side would be one.
    """
    alphabets = _alphabets_of(shape, tokens)
    words = _runs(tokens, closing, "aA")
    digits = [run for run in _runs(tokens, closing, "01") if len(shape.at(run)) <= MOST_NUMBERS]
    usual = _with_codes(shape, tokens, words, {})
    for runs in ([*words, *digits], words) if numbers else (words,):
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


def _runs(tokens: Sequence[str], closing: Sequence[int], names: str) -> list[tuple[int, int]]:
    """First and last place of neighbouring letters, or digits, of which some are not the same in all texts."""
    is_one = str.isalpha if "a" in names else str.isdecimal
    marks = "".join(
        "." if place in closing or (len(token) == 2 and token[1] not in names) or not is_one(token[-1]) else token[0]
        for place, token in enumerate(tokens)
    )
    return [match.span() for match in re.finditer(r"[^.]+", marks) if "\\" in match[0]]


def _alphabets_of(shape: _Shape, tokens: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Letters of the places of digits, or of letters and digits, that have few of their class."""
    named = next((places for form, places in _NAMED.items() if all(map(re.compile(form).fullmatch, shape.texts))), {})
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
    """The shape, in which neighbouring places are codes where texts have such there, and few letters at others."""
    of_runs = {run: _as_long(codes_of(shape.at(run))) for run in runs}
    codes = {(place, place + 1): letters for place, letters in alphabets.items()}
    codes = {run: one for run, one in codes.items() if not any(a <= run[0] < b for (a, b), of in of_runs.items() if of)}
    text, place, chosen = "", 0, list[tuple[str, ...]]()
    for (first, stop), own in sorted((codes | of_runs).items()):
        if not own:
            continue
        text += "".join(tokens[place:first]) + (CODE if len(own) > 1 else own[0])
        chosen += [own] if len(own) > 1 else []
        place = stop
    return Pattern(text + "".join(tokens[place:]), tuple(chosen))


def codes_of(counts: Counter[str]) -> tuple[str, ...]:
    """Texts that so many values have that they are codes: none of rare ones, and none at all where there are many."""
    if len(counts) > 1 and len(counts) * LEAST_ROWS_OF_CODE > counts.total():
        return ()
    least = max(LEAST_OF_CODES * max(counts.values(), default=0), LEAST_OF_EACH if len(counts) > 1 else 1)
    return tuple(sorted(text for text, count in counts.items() if count >= least))


def _as_long(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some codes that have as many bytes as letters, so that all texts of a shape are equally long."""
    return codes if len(codes) < 2 else tuple(code for code in codes if code.isascii())


def _leaves_room(pattern: Pattern, texts: list[str]) -> bool:
    """Return whether a pattern makes as many values as there are texts with a part that none of these has."""
    if pattern.values >= ENDLESS:
        return True
    with_part = unseen_part(pattern, SeenValues.of((pattern,), pa.array(texts)).shapes[0])
    return with_part is not None and with_part.limit >= len(texts)
