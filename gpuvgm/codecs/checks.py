"""Check digits: those that standards name, read letter by letter, and equations that the digits of a column fulfil.

References: ISO/IEC 7064:2003; ISO/IEC 7812-1, annex B (Luhn); ISO 13616 (IBAN); ISO 6166 (ISIN); GS1 General
Specifications, section 7.9; ISO 2108 (ISBN-10); ISO 3779 with 49 CFR 565.15 (vehicles); Verhoeff (1969).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations, islice
from math import prod
from string import ascii_uppercase, digits
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gpuvgm.rules import whole

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Step = Callable[[int, int], int]  # a state, and the value of a letter
LETTERS = f"{digits}{ascii_uppercase}"
LARGEST_MODULUS = 97
MORE_THAN_DIGITS = 20  # values beyond the number of places: with fewer an equation may hold by chance
MOST_SOLVED = 200  # values beyond the number of places that are solved for equations; all values must fulfil these
MOST_CLOSING = 5  # digits by which equations are made to hold
LOOKED_AT, HALF = 200, 0.5  # values that are tried first, and the share of right ones for which all are tried
LEAST_WITH_LETTERS = 100  # values: of so many some have check digits such as X, where the standard has them
LEAST_READ = 3  # letters beside check digits
LEAST_BY_NAME = 20  # values: of fewer, check digits may be right by chance
ALIKE = 0.95  # share of the values with right check digits, as nearly all
LEAST_FOUND = 21  # different values that are taken for identifiers by their check digits alone
LEAST_CLOSINGS = 4  # different check digits among them
LEAST_SUM, LEAST_SUMMED = 5, 6  # modulus, and digits, of a sum that is taken for check digits
MOST_MISTYPED, TRIES = 0.02, 4  # share of the values that may be wrong, and how often a few are taken to be right
_PRIMES = [number for number in range(2, LARGEST_MODULUS + 1) if all(number % d for d in range(2, number))]
_PRIMES_OF_CHECKS = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 97]  # of sums that are made as check digits


Places = Callable[[int], Sequence[int]]  # by a number of letters
#: In which order letters are read, and where check digits are.
_FORWARD: tuple[Places, Places] = (lambda length: range(length - 1), lambda length: (length - 1,))
_BACKWARD: tuple[Places, Places] = (lambda length: range(length - 2, -1, -1), lambda length: (length - 1,))
_LAST_TWO: tuple[Places, Places] = (lambda length: range(length - 2), lambda length: (length - 2, length - 1))
_BEHIND_COUNTRY: tuple[Places, Places] = (lambda length: (*range(4, length), 0, 1), lambda length: (2, 3))
_VEHICLE: tuple[Places, Places] = (
    lambda length: [place for place in range(length) if place != 8],
    lambda length: (8,) if length == 17 else (),
)


@dataclass(frozen=True, slots=True)
class Check:
    """Check digits of a standard: a machine reads all other letters, and its last state says which they are.

    Parameters
    ----------
    steps : ndarray of shape (states, 256), uint8
        The state after a letter; letters that do not count leave it.
    start : int
        The first state.
    closing : ndarray of shape (states, check digits), uint8
        Check digits.
    order : callable
        Gives, for a number of letters, the places in the order in which they are read.
    places : callable
        Gives, for a number of letters, those of the check digits.
    """

    steps: Bytes
    start: int
    closing: Bytes
    order: Places
    places: Places

    def right(self, letters: Bytes) -> Bytes:
        """Check digits of texts, shape (texts, check digits)."""
        states = np.full(len(letters), self.start, np.uint8)
        for place in self.order(letters.shape[1]):
            states = self.steps[states, letters[:, place]]
        return self.closing[states]

    def holds(self, letters: Bytes) -> NDArray[np.bool_]:
        """Which texts have right check digits, given their bytes, shape (texts, bytes)."""
        places = self.places(letters.shape[1])
        if not places or letters.shape[1] < len(places) + LEAST_READ:
            return np.zeros(len(letters), np.bool_)
        right: NDArray[np.bool_] = (letters[:, places] == self.right(letters)).all(axis=1)
        return right

    def close(self, letters: Bytes) -> None:
        """Write right check digits."""
        letters[:, self.places(letters.shape[1])] = self.right(letters)


def _check(
    states: int,
    step: Step,
    start: int,
    closing: Callable[[int], str],
    values: str = digits,
    reading: tuple[Places, Places] = _FORWARD,
) -> Check:
    """A machine for which a letter counts as its place in `values`; other letters are not read."""
    steps = np.repeat(np.arange(states, dtype=np.uint8)[:, None], 256, axis=1)
    for value, letter in enumerate(values):
        steps[:, ord(letter)] = [step(state, value) for state in range(states)]
    ends = np.array([[*closing(state).encode()] for state in range(states)], np.uint8)
    return Check(steps, start, ends, *reading)


def _weighted(weights: tuple[Callable[[int], int], ...], *, letters: bool = False) -> Check:
    """Sum modulo 10 of digits from the end on, to each of which the next weight is applied; letters are two digits."""

    def step(state: int, value: int) -> int:
        for digit in (value,) if value < 10 else (value % 10, value // 10):
            turn, total = divmod(state, 10)
            state = (turn + 1) % len(weights) * 10 + (total + weights[turn](digit)) % 10
        return state

    values = LETTERS if letters else digits
    return _check(10 * len(weights), step, 0, lambda state: str(-state % 10), values=values, reading=_BACKWARD)


def _pure(modulus: int, radix: int, closing: str, *, values: str = digits) -> Check:
    """Pure systems of ISO/IEC 7064 with one check digit."""
    return _check(
        modulus,
        lambda state, value: (state + value) * radix % modulus,
        0,
        lambda state: closing[(1 - state) % modulus],
        values=values,
    )


def _hybrid(modulus: int, values: str) -> Check:
    """Hybrid systems of ISO/IEC 7064."""
    return _check(
        modulus + 1,
        lambda state, value: ((state + value) % modulus or modulus) * 2 % (modulus + 1),
        modulus,
        lambda state: values[(1 - state) % modulus],
        values=values,
    )


def _mod_97(reading: tuple[Places, Places]) -> Check:
    """MOD 97-10 of ISO/IEC 7064; letters count as two digits."""
    return _check(
        97,
        lambda state, value: (state * (10 if value < 10 else 100) + value) % 97,
        0,
        lambda state: f"{98 - state * 100 % 97:02d}",
        values=LETTERS,
        reading=reading,
    )


def _isbn_step(state: int, value: int) -> int:
    total, weighted = divmod(state, 11)
    total = (total + value) % 11
    return total * 11 + (weighted + total) % 11


_VEHICLE_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", "012345678912345678123457923456789", strict=True))
_VEHICLE_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 9, 8, 7, 6, 5, 4, 3, 2)


def _vehicle_step(state: int, value: int) -> int:
    place, total = divmod(state, 11)
    number = int(_VEHICLE_VALUES.get(LETTERS[value], "0"))
    return min(place + 1, 16) * 11 + (total + number * _VEHICLE_WEIGHTS[min(place, 15)]) % 11


_VERHOEFF = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _dihedral(first: int, second: int) -> int:
    """Product in the dihedral group of the pentagon."""
    sign = -1 if first >= 5 else 1
    return (first + sign * second) % 5 + 5 * ((first >= 5) != (second >= 5))


def _verhoeff_step(state: int, value: int) -> int:
    turn, product = divmod(state, 10)
    for _ in range(turn):
        value = _VERHOEFF[value]
    return (turn + 1) % 8 * 10 + _dihedral(product, value)


def _verhoeff_closing(state: int) -> str:
    return next(str(digit) for digit in range(10) if _dihedral(state % 10, digit) == 0)


class Checks(dict[str, Check]):
    """Check digits of standards by their names, which can be looked for in texts."""

    def name_of(self, texts: Sequence[str], names: Sequence[str] = (), least: int = LEAST_BY_NAME) -> str:
        """The name of check digits that nearly all texts have right; none of fewer texts than `least`.

        Parameters
        ----------
        texts : sequence of str
            Different texts.
        names : sequence of str
            Names that are looked for; by default all.
        least : int
            Of fewer texts, check digits may be right by chance.
        """
        if len(texts) < max(least, 1) or _are_short(texts, LEAST_READ + 1):
            return ""
        probed = _by_length(texts[:: len(texts) // LOOKED_AT + 1])
        likely = [name for name in names or self if _share_right(probed, self[name]) >= HALF]
        blocks = _by_length(texts) if likely else []
        right = (name for name in likely if _share_right(blocks, self[name]) >= ALIKE)
        are_few = len(texts) < LEAST_WITH_LETTERS
        return next((name for name in right if are_few or _has_all_letters(blocks, self[name])), "")

    def found_in(self, texts: Sequence[str]) -> str:
        """What check digits different texts surely have: the name of a standard, or of a sum of their digits; or "".

        Sums of a few digits, and those that make numbers multiples of another one, are none.
        """
        name = self.name_of(texts, least=LEAST_FOUND)
        if name:
            return name if len(_closings(_by_length(texts), self[name])) >= LEAST_CLOSINGS else ""
        if len(texts) < LEAST_FOUND or _are_short(texts, LEAST_SUMMED):
            return ""
        letters = max(_by_length(texts), key=len, default=np.empty((0, 0), np.uint8))
        if len(letters) < max(ALIKE * len(texts), LEAST_FOUND):
            return ""
        are_digits = np.all((letters >= ord("0")) & (letters <= ord("9")), axis=0)
        if np.count_nonzero(np.any(letters != letters[0], axis=0) & are_digits) < LEAST_SUMMED:
            return ""
        equations = Equation.of_texts(letters, np.flatnonzero(are_digits).tolist())
        sums = (equation for equation in equations if equation.is_check(letters))
        return next((f"a sum modulo {equation.modulus}" for equation in sums), "")

    def plain(self, texts: Sequence[str], name: str) -> list[str]:
        """The different texts with right check digits of a name, with zeros in place of these."""
        plain, check = dict[str, None](), self[name]
        for block in _by_length(texts):
            right = block[check.holds(block)]
            right[:, check.places(block.shape[1])] = ord("0")
            plain |= dict.fromkeys(row.tobytes().decode() for row in right)
        return [*plain]


def _has_all_letters(blocks: list[Bytes], check: Check) -> bool:
    """Return whether signs that are no digits, such as X, come among the check digits of a standard that has such.

    Where none does, the texts have the check digits of another standard.
    """
    signs = {*check.closing.ravel().tolist()} - {*digits.encode()}
    return not signs or bool(signs & _closings(blocks, check))


def _closings(blocks: list[Bytes], check: Check) -> set[int]:
    """Signs that come among the check digits of texts."""
    return {sign for block in blocks for sign in block[:, check.places(block.shape[1])].ravel().tolist()}


def _share_right(blocks: list[Bytes], check: Check) -> float:
    """Share of texts with right check digits."""
    right = sum(int(check.holds(block).sum()) for block in blocks)
    return right / max(sum(map(len, blocks)), 1)


def _are_short(texts: Sequence[str], length: int) -> bool:
    """Return whether too many texts are shorter than check digits need, which is told before any is read."""
    return sum(0 < len(text) < length and text.isascii() for text in texts) > (1 - ALIKE) * len(texts)


def _by_length(texts: Sequence[str]) -> list[Bytes]:
    """Bytes of those texts that are ASCII and not empty, shape (texts, bytes), by length."""
    by_length: dict[int, list[str]] = {}
    for text in texts:
        if text and text.isascii():
            by_length.setdefault(len(text), []).append(text)
    return [np.frombuffer("".join(by_length[length]).encode(), np.uint8).reshape(-1, length) for length in by_length]


#: By name, those with more check digits first.
CHECKS = Checks(
    {
        "iban": _mod_97(_BEHIND_COUNTRY),
        "mod 97-10": _mod_97(_LAST_TWO),
        "97 - n": _check(
            97,
            lambda state, value: (state * 10 + value) % 97,
            0,
            lambda state: f"{97 - state:02d}",
            reading=_LAST_TWO,
        ),
        "luhn": _weighted((lambda digit: digit * 2 - 9 * (digit > 4), int)),
        "isin": _weighted((lambda digit: digit * 2 - 9 * (digit > 4), int), letters=True),
        "ean": _weighted((lambda digit: 3 * digit, int)),
        "isbn-10": _check(121, _isbn_step, 0, lambda state: f"{digits}X"[-(state // 11 + state % 11) % 11]),
        "mod 11-2": _pure(11, 2, f"{digits}X"),
        "mod 37-2": _pure(37, 2, f"{LETTERS}*", values=LETTERS),
        "mod 11,10": _hybrid(10, digits),
        "mod 27,26": _hybrid(26, ascii_uppercase),
        "mod 37,36": _hybrid(36, LETTERS),
        "vehicle": _check(
            187,
            _vehicle_step,
            0,
            lambda state: f"{digits}X"[state % 11],
            values=LETTERS,
            reading=_VEHICLE,
        ),
        "nif": _check(
            23, lambda state, value: (state * 10 + value) % 23, 0, lambda state: "TRWAGMYFPDXBNJZSQVHLCKE"[state]
        ),
        "verhoeff": _check(80, _verhoeff_step, 10, _verhoeff_closing, reading=_BACKWARD),
    }
)


# -- equations


@dataclass(frozen=True, slots=True)
class Equation:
    """A weighted sum of digits that is the same in all values, modulo a number.

    Parameters
    ----------
    modulus : int
        A power of a prime, at most 97.
    places : tuple of int
        Places of digits among the bytes of a text.
    weights : tuple of int
        Their weights.
    constant : int
        The sum.
    """

    modulus: Annotated[int, whole(2, LARGEST_MODULUS)]
    places: tuple[Annotated[int, whole()], ...]
    weights: tuple[Annotated[int, whole(1, LARGEST_MODULUS)], ...]
    constant: Annotated[int, whole(0, LARGEST_MODULUS)]

    def fits(self, length: int) -> bool:
        """Return whether texts of so many bytes have all its places."""
        return 0 < len(self.places) == len(self.weights) and max(self.places) < length

    def rest(self, letters: Bytes, without: Sequence[int] = ()) -> Ints:
        """What the sum lacks where the digits at the places of `without` count as 0."""
        total = np.zeros(len(letters), np.int64)
        for place, weight in zip(self.places, self.weights, strict=True):
            if place not in without:
                total += (letters[:, place].astype(np.int64) - ord("0")) * weight
        rest: Ints = (self.constant - total) % self.modulus
        return rest

    def holds(self, letters: Bytes) -> NDArray[np.bool_]:
        """Which texts fulfil it, given their bytes, shape (texts, bytes)."""
        fulfilled: NDArray[np.bool_] = self.rest(letters) == 0
        return fulfilled

    @staticmethod
    def are_right(rows: int, wrong: int) -> bool:
        """Whether rows fulfil an equation, of which a few do not, as they are mistyped."""
        return wrong <= MOST_MISTYPED * rows

    def is_check(self, letters: Bytes) -> bool:
        """Whether the sum is one of many digits, nearly all that vary, and says no remainder of the whole number."""
        varying = {place for place in range(letters.shape[1]) if len({*letters[:, place].tolist()}) > 1}
        if self.modulus < LEAST_SUM or len(self.places) < max(LEAST_SUMMED, len(varying) - 1):
            return False
        powers = [pow(10, letters.shape[1] - 1 - place, self.modulus) for place in self.places]
        remainders = {tuple(factor * power % self.modulus for power in powers) for factor in range(1, self.modulus)}
        return self.weights not in remainders

    def stretched(self, at: int, more: int) -> Equation:
        """The equation of texts with more letters at a place, which do not count."""
        return replace(self, places=tuple(place + more * (place >= at) for place in self.places))

    @classmethod
    def of_texts(cls, letters: Bytes, places: Sequence[int]) -> tuple[Equation, ...]:
        """Equations that all different texts fulfil, of digits at some places; none where there are too few texts.

        Those that hold in whole numbers, such as that two digits are the same, are written with the largest modulus
        alone. Where no equation holds for all, one sum of many digits may hold but for a few that are mistyped.
        """
        varying = [place for place in places if len({*letters[:, place].tolist()}) > 1]
        if len(letters) < len(varying) + MORE_THAN_DIGITS or not varying:
            return ()
        kept: tuple[Equation, ...] = ()
        for equation in _candidates(letters, varying):
            if equation.holds(letters).all() and cls.together((*kept, equation), tuple(places)).closing:
                kept = (*kept, equation)
        return kept or tuple(islice(cls._but_for_few(letters, varying, places), 1))

    @classmethod
    def _but_for_few(cls, letters: Bytes, varying: Sequence[int], places: Sequence[int]) -> Iterator[Equation]:
        """Yield sums of many digits that hold but for a few texts, as others say of which none is mistyped."""
        size = len(varying) + MORE_THAN_DIGITS
        if len(varying) < LEAST_SUMMED or len(letters) < TRIES * size:
            return
        order = np.random.default_rng(0).permutation(len(letters))
        for start in range(0, TRIES * size, size):
            for equation in _candidates(letters[order[start : start + size]], varying, _PRIMES_OF_CHECKS):
                is_right = cls.are_right(len(letters), int(np.count_nonzero(~equation.holds(letters))))
                if is_right and equation.is_check(letters) and cls.together((equation,), tuple(places)).closing:
                    yield equation

    @staticmethod
    @lru_cache(maxsize=64)
    def together(equations: tuple[Equation, ...], places: tuple[int, ...]) -> Equations:
        """The equations with the digits that close them: the last of these places by which all rests can be made up.

        Without such digits where none can, or where there are too many rests.
        """
        rests = prod(equation.modulus for equation in equations)
        if rests > 10**MOST_CLOSING:
            return Equations(equations)
        for closing in _closing_places(equations, places):
            sums = _sums(equations, closing)
            counts = np.bincount(sums, minlength=rests)
            if counts.all():
                return Equations(equations, closing, np.argsort(sums, kind="stable"), np.append(0, np.cumsum(counts)))
        return Equations(equations)


@dataclass(frozen=True, slots=True)
class Equations:
    """Equations, and the digits by which they are made to hold.

    Parameters
    ----------
    equations : tuple of Equation
        The equations.
    closing : tuple of int
        Places of those digits; empty where none can.
    order : ndarray of shape (combinations,), int64
        The numbers that these digits can be, those that make up the same rests one after the other.
    starts : ndarray of shape (rests + 1,), int64
        Where the combinations of each rest begin.
    """

    equations: tuple[Equation, ...]
    closing: tuple[int, ...] = ()
    order: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    starts: Ints = field(default_factory=lambda: np.zeros(1, np.int64))

    def close(self, letters: Bytes, words: NDArray[np.uint64]) -> None:
        """Write digits with which all equations hold; where several do, random words choose."""
        rests = np.zeros(len(letters), np.int64)
        for equation in self.equations:
            rests = rests * equation.modulus + equation.rest(letters, self.closing)
        starts, counts = self.starts[rests], np.diff(self.starts)[rests]
        chosen = self.order[starts + (words % counts.astype(np.uint64)).astype(np.int64)]
        for place in reversed(self.closing):
            chosen, digit = np.divmod(chosen, 10)
            letters[:, place] = digit + ord("0")


def _closing_places(equations: Sequence[Equation], places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Sets of places by which equations may be made to hold, few and late ones first.

    Each has the last place of every equation, so none is yielded where an equation has none of the places.
    """
    usable = [[place for place in equation.places if place in places] for equation in equations]
    if not equations or not all(usable):
        return
    pivots = {max(of_equation) for of_equation in usable}
    candidates = sorted({place for of_equation in usable for place in of_equation} - pivots, reverse=True)
    for count in range(MOST_CLOSING + 1 - len(pivots)):
        for added in combinations(candidates[: count + 2], count):
            yield tuple(sorted((*pivots, *added)))


def _sums(equations: Sequence[Equation], closing: Sequence[int]) -> Ints:
    """For each number that the closing digits can be, their sums in all equations, as one number of mixed radix."""
    numbers, sums = np.arange(10 ** len(closing)), np.zeros(10 ** len(closing), np.int64)
    for equation in equations:
        weights = dict(zip(equation.places, equation.weights, strict=True))
        powers = [10**power for power in reversed(range(len(closing)))]
        parts = [numbers // power % 10 * weights.get(place, 0) for power, place in zip(powers, closing, strict=True)]
        sums = sums * equation.modulus + np.sum(parts, axis=0) % equation.modulus
    return sums


def _candidates(letters: Bytes, varying: Sequence[int], primes: Sequence[int] = _PRIMES) -> Iterator[Equation]:
    """Equations that a few of the texts fulfil, of digits at places where not all texts have the same."""
    digits_of_few = letters[:: len(letters) // (len(varying) + MOST_SOLVED) + 1, varying].astype(np.int64) - ord("0")
    first = digits_of_few[0]
    solved = {prime: _solved(digits_of_few - first, prime) for prime in primes}
    in_whole_numbers = min(map(len, solved.values()))  # such equations hold modulo every prime
    for prime, solutions in solved.items():
        if len(solutions) <= in_whole_numbers and prime != LARGEST_MODULUS:
            continue
        for modulus, weights in solutions:
            used = np.flatnonzero(weights)
            if len(used) >= 2:  # one place with few digits, such as even ones, is no check
                places = tuple(varying[index] for index in used.tolist())
                yield Equation(modulus, places, tuple(weights[used].tolist()), int(first @ weights % modulus))


def _solved(rows: Ints, prime: int) -> list[tuple[int, Ints]]:
    """Moduli, powers of a prime, and weights whose sums over each row are 0 modulo these.

    The rows are brought to diagonal form modulo the largest power up to 97; a column whose entry there is a multiple
    of a power of the prime is an equation modulo that.
    """
    power = prime
    while power * prime <= LARGEST_MODULUS:
        power *= prime
    rows, columns = rows % power, np.eye(rows.shape[1], dtype=np.int64)
    entries: list[int] = []
    for pivot in range(rows.shape[1]):
        remaining = rows[pivot:, pivot:]
        common = np.gcd(remaining, power)
        row, column = divmod(int(np.argmin(common)), common.shape[1]) if common.size else (0, 0)
        least = int(common[row, column]) if common.size else power
        entries.append(least)
        if least == power:
            entries += [power] * (rows.shape[1] - pivot - 1)
            break
        rows[[pivot, pivot + row]] = rows[[pivot + row, pivot]]
        rows[:, [pivot, pivot + column]] = rows[:, [pivot + column, pivot]]
        columns[:, [pivot, pivot + column]] = columns[:, [pivot + column, pivot]]
        inverse = pow(int(rows[pivot, pivot]) // least, -1, power)
        factors = rows[pivot, pivot + 1 :] // least * inverse % power
        rows[:, pivot + 1 :] = (rows[:, pivot + 1 :] - rows[:, pivot : pivot + 1] * factors) % power
        columns[:, pivot + 1 :] = (columns[:, pivot + 1 :] - columns[:, pivot : pivot + 1] * factors) % power
        below = rows[pivot + 1 :, pivot] // least * inverse % power
        rows[pivot + 1 :] = (rows[pivot + 1 :] - below[:, None] * rows[pivot]) % power
    return [(entry, columns[:, pivot] % entry) for pivot, entry in enumerate(entries) if entry > 1]
