"""Text that is not modelled: new values in the form of those of the table, each a function of its row's number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.codecs import CHECKS, values_in
from gpuvgm.columns import IdColumn, TableModel
from gpuvgm.engines import philox_words
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.rules import whole
from gpuvgm.synthesis.keys.key_search import ALIKE, Claims, check_of, keys_that_determine, trees_of_keys
from gpuvgm.synthesis.keys.keys import KeyLayout
from gpuvgm.synthesis.keys.pattern_weights import pattern_weights
from gpuvgm.synthesis.keys.patterns import CODE, ENDLESS, MOST_NUMBERED, NUMBER, Pattern, SeenShape
from gpuvgm.synthesis.keys.seen import LONGEST, SeenValues, refined_pattern
from gpuvgm.synthesis.keys.shapes import LEAST_OF_EACH, codes_of, patterns_of
from gpuvgm.synthesis.keys.streams import column_number, shuffled

SLOTS = 1 << 10  # of consecutive numbers, which patterns share by their weights
MADE = {
    "number": "running numbers",
    "address": "addresses of no host",
    "shape": "random letters and digits",
    "moment": "missing values",
    "missing": "missing values",
}
_ADDRESS = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!\Z)|\Z)){4}"  # of version 4 of the Internet Protocol
FIRST_UNUSED = 0xF0000000  # RFC 1112, section 4: addresses from 240.0.0.0 on are of no host
MAIL = r"([^@\s]+)@([^@\s]+\.[A-Za-z]+)"  # an e-mail address: what stands before its domain, and that
FOLLOWING = 0.5  # of the numbers of a sample that have the next one there, by which they run
TIMES_AS_MANY = 3  # rows as in the table, for which patterns by categories must have values
NEAR = 0.1  # of the range of all numbers: so little those behind all codes span together
LEAST_RUNNING = 100  # numbers behind codes of digits
LONGEST_PREFIX = 7  # digits of such codes, and one more
NEAR_THE_END = 0.05  # of all numbers of so many digits: nearer to their end, they are drawn, and do not run on


@dataclass(frozen=True, slots=True)
class IdentifierForm:
    """Form of the values of a column that is not modelled. No value of it is one of the table.

    Parameters
    ----------
    kind : {"number", "address", "shape", "moment", "missing"}
        Numbers that run on after the largest of the table; IPv4 addresses that no host has; letters and digits drawn
        at the places where all values of a pattern have such, no two rows the same; or missing values, for dates and
        times that are not read, and for sentences.
    patterns : tuple of Pattern
        Patterns of the values, the most frequent first; of numbers a single one.
    width : int
        Least digits of a number.
    largest : int
        Largest number of the table.
    length : int
        Characters of the longest text of the table; 0 where its rows are not read yet.
    key : KeyLayout, optional
        Of a key: which rows have the same one.
    level : int
        Level of the keys of the column in that layout.
    missing : int
        Of 2^32 rows, how many have no value, as in a sample; of keys their layout knows more.
    domains : tuple of str
        Of e-mail addresses: the domains that several have, one of which is drawn behind each value of the pattern.
    domain_values : tuple of int
        Addresses of each domain, in a sample.
    given : str
        Column whose categories say which patterns there are, such as a country that of plates; empty where none does.
    weights : tuple of tuple of int
        For each of its categories the different values of each pattern, in a sample; 0 for those of fewer than five.
    """

    kind: Literal["number", "address", "shape", "moment", "missing"]
    patterns: tuple[Pattern, ...] = ()
    width: Annotated[int, whole(0, LONGEST)] = 0
    largest: Annotated[int, whole(-(2**63), 2**64 - 1)] = -1
    length: Annotated[int, whole()] = 0
    key: KeyLayout | None = None
    level: Annotated[int, whole()] = 0
    missing: Annotated[int, whole(0, 2**32)] = 0
    domains: tuple[str, ...] = ()
    domain_values: tuple[Annotated[int, whole(1)], ...] = ()
    given: str = ""
    weights: tuple[tuple[Annotated[int, whole()], ...], ...] = ()

    @classmethod
    def of_columns(
        cls, model: TableModel, rows: pa.Table, many: pa.Table, refuted: Claims = frozenset()
    ) -> dict[str, IdentifierForm]:
        """Forms of the columns that are not modelled, where a sample of the rows shows one; see `refined`.

        Columns that keys determine, such as names beside customer numbers, are made once for each key.

        Parameters
        ----------
        model : TableModel
            The fitted columns.
        rows : pyarrow.Table
            The sample that shows the forms.
        many : pyarrow.Table
            A larger sample, which says what keys determine and how many values are missing.
        refuted : set of (str, str)
            Columns of keys that do not determine another one, whatever the samples say.
        """
        identifiers = _identifiers_of(model, many)
        keys = {column.name: many.column(column.name) for column in identifiers if column.regenerate == "key"}
        forms: dict[str, IdentifierForm | None] = {
            column.name: identifier_form(rows.column(column.name), is_key=column.name in keys)
            or cls("number", (Pattern(NUMBER),), largest=column.first - column.step)
            for column in identifiers
        }
        for column in model.columns:
            if column.kind == "pass" and column.name in rows.column_names:
                texts = _texts_in(rows.column(column.name))
                forms[column.name] = _form_of_mails(texts, _shape_of_texts) or _shape_of_texts(texts)
        dependents = {name: many.column(name) for name, form in forms.items() if form is not None and name not in keys}
        for name, (layout, level) in _levels_of_columns(keys, dependents, refuted).items():
            forms[name] = replace(forms[name] or cls("missing"), key=layout, level=level)
        for name, form in forms.items():
            if form is not None and form.kind == "shape" and not (form.key or form.domains):
                patterns, given, weights = pattern_weights(name, form.patterns, model, rows)
                forms[name] = replace(form, patterns=patterns, given=given, weights=weights)
        lacking = {name: plain_values_of(many.column(name)).null_count for name in forms}
        return {
            name: replace(form, missing=(lacking[name] << 32) // max(many.num_rows, 1))
            for name, form in forms.items()
            if form is not None
        }

    def check(self, levels: Mapping[tuple[str, int], Any]) -> None:
        """Raise ValueError where the parts of a loaded form do not fit together, or are of keys of other levels."""
        if bool(self.given) != bool(self.weights) or any(len(one) != len(self.patterns) for one in self.weights):
            raise ValueError("patterns have other shares beside categories than there are patterns")
        if len(self.domains) != len(self.domain_values):
            raise ValueError("domains of e-mail addresses have no shares")
        if not self.patterns and self.kind in ("number", "shape"):
            raise ValueError("values of a form have no pattern")
        for pattern in self.patterns:
            pattern.require(numbers=self.kind == "number")
        if self.key is not None:
            self.key.check()
            lacking = [level for level in range(len(self.key.above) + 1) if (self.key.group, level) not in levels]
            if lacking or self.level > len(self.key.above):
                raise ValueError(f'there are no keys of level {[*lacking, self.level][0]} of "{self.key.group}"')

    @property
    def is_read(self) -> bool:
        """True if it depends on what rows hold."""
        return bool(self.patterns or self.key)

    @property
    def is_plain(self) -> bool:
        """True of running numbers with nothing around them."""
        return self.kind == "number" and [pattern.text for pattern in self.patterns] == [NUMBER]

    def seen(self, values: pa.Array[Any]) -> SeenValues:
        """What some rows hold of the patterns: of e-mail addresses what is before any domain."""
        if not (self.is_plain and pa.types.is_integer(values.type)):
            values = IdColumn.digits(values)
        if self.domains:
            texts: Any = plain_values_of(values).cast(pa.large_string())
            values = pc.list_element(pc.split_pattern(texts, "@", max_splits=1), 0)
        return SeenValues.of(self.patterns, values)

    def refined(self, values: SeenValues) -> IdentifierForm:
        """The form that makes none of the values of some rows, nor any that it did not make before."""
        if not self.patterns:
            return self
        if self.kind == "number":
            return self if values.largest is None else replace(self, largest=max(self.largest, values.largest))
        count, is_read = len(self.patterns), bool(self.length)
        shapes = values.shapes or (SeenShape(),) * count
        patterns = tuple(
            refined_pattern(pattern, shape, count, is_read=is_read)
            for pattern, shape in zip(self.patterns, shapes, strict=True)
        )
        return replace(self, patterns=patterns, length=max(self.length, values.longest, 1))

    def merge(self, other: IdentifierForm) -> IdentifierForm:
        """The form that makes no value of the tables of both; both come from one form."""
        shapes = tuple(map(Pattern.lacking, self.patterns, other.patterns))
        return self.refined(SeenValues(other.largest, other.length, shapes))

    def slots(self) -> NDArray[np.int64]:
        """Ends of the shares of the patterns among `SLOTS` numbers that follow each other, the first one at 0."""
        weights = np.cumsum([pattern.weight for pattern in self.patterns])
        rest = SLOTS - len(weights)  # each has one at least
        return np.append(0, weights * rest // weights[-1] + np.arange(1, len(weights) + 1))

    def _places_beside(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """As `places`, of rows with these categories, -1 for those that are not known: patterns are drawn."""
        limits = np.array([pattern.limit for pattern in self.patterns], np.uint64)
        in_all = [pattern.weight for pattern in self.patterns]
        weights = np.array([*(one if any(one) else in_all for one in self.weights), in_all], np.float64)
        ends = np.cumsum(weights, axis=1)
        words = philox_words(counter, column_number(f"{name}/pattern"), seed)[0]
        drawn = words * (ends[categories, -1] / 2.0**32)
        pattern_of = np.sum(drawn[:, None] >= ends[categories], axis=1)
        widest = np.argmax(np.where(weights > 0, limits, 0), axis=1)[categories]
        beyond = counter >= limits[pattern_of]
        in_widest = beyond & (counter < limits[widest])
        # As in `places`: the upper half of a pattern is that of numbers which no other pattern has left.
        numbers = np.where(in_widest, counter + limits[widest], counter)
        return np.where(in_widest, widest, np.where(beyond, -1, pattern_of)), numbers

    def with_room(self, rows: int) -> IdentifierForm:
        """The form by categories where each pattern has room for all values of several times as many rows; else alike.

        Rows take the values of a pattern by their numbers, whichever category they have.
        """
        if not self.given:
            return self
        used = np.any(np.array(self.weights) > 0, axis=0)
        limits = [pattern.limit for pattern, is_used in zip(self.patterns, used.tolist(), strict=True) if is_used]
        has_room = min(limits, default=0) >= TIMES_AS_MANY * rows
        return self if has_room else self.alike

    @property
    def alike(self) -> IdentifierForm:
        """The form with the same patterns beside all categories."""
        return replace(self, given="", weights=())

    def places(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The pattern of each number, and its number among the pattern's values; -1 and the rest where none is left.

        Of a form by categories these are those of the rows, if they are known.
        """
        if self.given and categories is not None:
            return self._places_beside(name, counter, seed, categories)
        limits = np.array([pattern.limit for pattern in self.patterns], np.uint64)
        widest = int(np.argmax(limits))
        pattern_of, numbers = np.zeros(len(counter), np.int64), counter
        if len(limits) > 1:
            ends = self.slots()
            turns, slots = np.divmod(counter, np.uint64(SLOTS))
            slots = shuffled(slots, SLOTS, f"{name}/pattern", seed)
            pattern_of = np.searchsorted(ends, slots.astype(np.int64), side="right") - 1
            sizes = np.diff(ends).astype(np.uint64)
            numbers = turns * sizes[pattern_of] + slots - ends[pattern_of].astype(np.uint64)
        beyond = numbers >= limits[pattern_of]
        in_widest = beyond & (counter < limits[widest])
        # A number past its pattern's limit takes the upper half of the widest pattern, which no turn reaches.
        moved = np.where(in_widest, counter + limits[widest], counter - limits[widest])
        numbers = np.where(beyond, moved, numbers)
        return np.where(in_widest, widest, np.where(beyond, -1, pattern_of)), numbers

    @property
    def unlengthened(self) -> int:
        """Numbers below it have values no longer than those of the table."""
        if self.kind == "shape":
            return max(pattern.limit for pattern in self.patterns)
        if self.kind != "number" or not self.width:  # running numbers without zeros before them grow
            return 2**64
        return int(10 ** max(self.width, len(str(self.largest)))) - 1 - self.largest

    def room_beside(self, texts: list[str]) -> int:
        """How many values it makes that are no longer than those of some texts, and none of them."""
        return self.refined(self.seen(pa.array(texts))).unlengthened if self.patterns else 0

    def longer(self, name: str, numbers: NDArray[np.uint64], seed: int) -> int:
        """How many of some numbers have values that are longer than those of the table."""
        if self.kind == "shape":
            which, _ = self.places(name, numbers, seed, np.full(len(numbers), -1))
            return int(np.count_nonzero(which < 0))
        return int(np.count_nonzero(numbers >= np.uint64(self.unlengthened)))

    def lacking(self, name: str, rows: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
        """Which rows of some numbers have no value, of what is no key: drawn, in the table's share."""
        words = philox_words(rows, column_number(f"{name}/missing"), seed)[0]
        return np.asarray(words < np.uint64(self.missing))

    def values(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: NDArray[np.int64] | None = None
    ) -> pa.Array[Any]:
        """Values by their numbers, those of rows or of keys, as text; of rows with categories of `given`, if known."""
        if MADE[self.kind] == MADE["missing"] or not len(counter):
            return pa.nulls(len(counter), pa.string())
        if self.kind == "address":
            return _unused_addresses(counter, name, seed)
        if self.kind == "number":
            numbers = pa.array(counter.astype(np.int64) + (self.largest + 1)).cast(pa.string())
            padded = pc.utf8_lpad(numbers, self.width, "0") if self.width else numbers
            texts = self.patterns[0].texts(counter, name, seed, padded)
        else:
            texts = self._texts(name, *self.places(name, counter, seed, categories), seed)
        return self._with_domains(texts, name, counter, seed) if self.domains else texts

    def _texts(self, name: str, which: NDArray[np.int64], numbers: NDArray[np.uint64], seed: int) -> pa.Array[Any]:
        """Texts of shapes by their numbers in these, longer ones where no shape has more that no row has."""
        indices_of_pieces = list[NDArray[np.int64]]()
        pieces: list[pa.Array[Any]] = []
        for place in np.unique(which).tolist():
            indices = np.flatnonzero(which == place)
            if place < 0:
                pieces.append(self._longer_texts(name, numbers[indices], seed))
            else:
                stream = f"{name}/shape {place}" if place else name
                pieces.append(self.patterns[place].texts(numbers[indices], stream, seed))
            indices_of_pieces.append(indices)
        if len(pieces) == 1:
            return pieces[0]
        order: Any = pa.array(np.argsort(np.concatenate(indices_of_pieces), kind="stable"))
        return pa.concat_arrays(pieces).take(order)

    def _longer_texts(self, name: str, numbers: NDArray[np.uint64], seed: int) -> pa.Array[Any]:
        """Texts by their numbers that are longer than any of the table, by as few letters or digits as possible."""
        pattern, start = self.patterns[0], 0
        texts: pa.Array[Any] = pa.nulls(len(numbers), pa.string())
        for length in range(self.length + 1, LONGEST + 1):
            longer = pattern.longer(length - pattern.characters)
            stop = start + min(longer.values, MOST_NUMBERED)
            has_length = (numbers >= start) & (numbers < stop)
            new_texts = longer.texts(numbers[has_length] - np.uint64(start), f"{name}/longer", seed)
            texts = pc.replace_with_mask(texts, pa.array(has_length), new_texts)
            if not (numbers >= stop).any():
                break
            start = stop
        return texts

    def _with_domains(self, texts: pa.Array[Any], name: str, counter: NDArray[np.uint64], seed: int) -> pa.Array[Any]:
        """E-mail addresses whose domains have the shares that they have in the table."""
        words = philox_words(counter, column_number(f"{name}/domain"), seed)[0]
        ends = np.cumsum(self.domain_values)
        places = np.searchsorted(ends, words * (ends[-1] / 2.0**32), side="right")
        domains: Any = pa.array(self.domains, pa.string()).take(pa.array(places))
        addresses: pa.Array[Any] = pc.binary_join_element_wise(texts, domains, "@")
        return addresses


def _identifiers_of(model: TableModel, rows: pa.Table) -> list[Any]:
    """Columns of identifiers that have values in samples, those that stand for others first.

    The first column of a level of keys stands for it: one that most rows have, and that tells most of them apart.
    """
    identifiers = [column for column in model.identifiers if column.regenerate != "missing"]
    names = [column.name for column in identifiers if column.regenerate == "key"]
    different = {name: len(plain_values_of(rows.column(name)).unique()) for name in names}
    return sorted(identifiers, key=lambda column: (column.fit.missing, -different.get(column.name, 0)))


def _levels_of_columns(
    keys: Mapping[str, Any], dependents: Mapping[str, Any], refuted: Claims
) -> dict[str, tuple[KeyLayout, int]]:
    """Layout and level of each column of keys, and of the dependents that such a column determines."""
    levels = trees_of_keys(keys, refuted)
    firsts = {level: name for name, level in reversed(levels.items())}
    determined = keys_that_determine({name: keys[name] for name in firsts.values()}, dependents, refuted)
    return levels | {name: levels[key] for name, key in determined.items()}


def _unused_addresses(counter: NDArray[np.uint64], name: str, seed: int) -> pa.Array[Any]:
    """IPv4 addresses of rows that no host has, no two rows the same up to 2^28."""
    count = (1 << 32) - FIRST_UNUSED
    numbers = shuffled(counter % np.uint64(count), count, name, seed).astype(np.uint32) + np.uint32(FIRST_UNUSED)
    parts = [pa.array(numbers >> np.uint32(shift) & np.uint32(255)).cast(pa.string()) for shift in (24, 16, 8, 0)]
    texts: pa.Array[Any] = pc.binary_join_element_wise(*parts, ".")
    return texts


def identifier_form(values: Any, *, is_key: bool = False) -> IdentifierForm | None:
    """Form of a sample of identifiers, of which all rows have not been read; see `IdentifierForm.refined`.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        The sample.
    is_key : bool
        Whether texts with blanks, such as phone numbers, are no sentences.

    Returns
    -------
    IdentifierForm or None
        None where they are no text, or have no form in common and are no sentences.
    """
    texts = _texts_in(values)
    if not texts:
        return _form_of_numbers(IdColumn.digits(values).drop_null().unique().to_pylist())
    form = _whole_form(texts)
    form = form or _form_of_mails(texts, lambda names: identifier_form(pa.array(names), is_key=is_key))
    if form is not None:
        return form
    check = check_of(texts) if is_key else ""
    running = None if check or CHECKS.found_in(texts) else _running_numbers(texts)
    after = 0 if running is None else _numbers_after(running, texts)
    if running is not None and after == ENDLESS:
        return running
    shape = _shape_of_texts(texts, check, is_key=is_key)
    if shape is not None and (running is None or shape.room_beside(texts) > min(after, len(texts))):
        return shape
    return running or (IdentifierForm("missing") if _hold_spaces(texts) and not is_key else None)


def _form_of_numbers(texts: list[str]) -> IdentifierForm | None:
    """The form of whole numbers with check digits, none of which begins with a zero, or of those that begin with codes.

    None of others.
    """
    form = _shape_of_texts(texts, is_key=True) if CHECKS.found_in(texts) else _numbers_behind_digits(texts)
    if form is None:
        return None
    patterns = (replace(pattern, text=re.sub(r"\A\\0", r"\\1", pattern.text)) for pattern in form.patterns)
    return replace(form, patterns=tuple(patterns))


def _shape_of_texts(texts: list[str], check: str = "", *, is_key: bool = False) -> IdentifierForm | None:
    """The shapes of texts, but of sentences, which have one at most; None where they have none."""
    if form := _whole_form(texts):
        return form
    patterns = patterns_of(texts, check=check)
    if _hold_spaces(texts) and not is_key:
        of_letters = any(letter.isalpha() for text in texts for letter in text)
        covered = sum(pattern.weight for pattern in patterns)
        if covered < (1.0 if of_letters else ALIKE) * len(texts) or (of_letters and len(patterns) > 1):
            return None
    return IdentifierForm("shape", patterns) if patterns else None


def _form_of_mails(texts: list[str], form_of: Callable[[list[str]], IdentifierForm | None]) -> IdentifierForm | None:
    """The form of what stands before the domains of e-mail addresses, with the domains that several addresses have.

    None where the texts are no addresses, or have one domain alone: that is a part of their shape.
    """
    if not texts or "@" not in texts[0]:
        return None
    addresses = [re.fullmatch(MAIL, text) for text in texts]
    domains = Counter(address[2] for address in addresses if address)
    kept = sorted(domain for domain, count in domains.items() if count >= LEAST_OF_EACH)
    if not all(addresses) or len(domains) == 1 or not kept:
        return None
    form = form_of([*dict.fromkeys(address[1] for address in addresses if address)])
    if form is None or form.kind not in {"number", "shape"}:
        return None
    return replace(form, domains=tuple(kept), domain_values=tuple(domains[domain] for domain in kept))


def _running_numbers(texts: list[str]) -> IdentifierForm | None:
    """The form of running numbers between a few prefixes and one ending; None where texts have no such form.

    Digits before the numbers, such as a year, are a part of the prefix where all texts have the same.
    """
    head = re.match(r"([^\\]*[0-9][^0-9\\]+)?", commonprefix(texts))
    common = head[0] if head else ""
    # Of 18 digits, so that the numbers of a sample are below 2^63.
    matches = [re.fullmatch(r"([^0-9\\]*)([0-9]{1,18})([^0-9\\]*)", text[len(common) :]) for text in texts]
    if behind := _numbers_behind_digits(texts):
        return behind
    prefixes = codes_of(Counter(match[1] for match in matches if match))
    are_words = len(prefixes) > 1 and _hold_spaces([*prefixes])
    if not all(matches) or not prefixes or are_words or len({match[3] for match in matches if match}) > 1:
        return None
    digits = [match[2] for match in matches if match]
    width = min(map(len, digits)) if any(text[0] == "0" for text in digits) else 0
    after = next(match[3] for match in matches if match)
    before, codes = (prefixes[0], ()) if len(prefixes) == 1 else (CODE, (prefixes,))
    return IdentifierForm("number", (Pattern(f"{common}{before}{NUMBER}{after}", codes),), width=width)


def _numbers_behind_digits(texts: list[str]) -> IdentifierForm | None:
    """The form of running numbers behind digits that are codes, such as a year or a branch; None for other texts.

    Behind such codes numbers lie near each other, and in all far from each other.
    """
    length = len(texts[0]) if texts else 0
    if len(texts) < LEAST_RUNNING or not all(len(text) == length and text.isdecimal() for text in texts):
        return None
    ordered = sorted(texts)
    span = int(ordered[-1]) - int(ordered[0]) + 1
    for digits in range(1, min(length - 1, LONGEST_PREFIX)):
        prefixes = codes_of(Counter(text[:digits] for text in ordered))
        ends = [(text[:digits], int(text)) for text in ordered]
        if 1 < len(prefixes) == len({prefix for prefix, _ in ends}):
            least, largest = dict(reversed(ends)), dict(ends)
            if sum(largest[prefix] - least[prefix] + 1 for prefix in prefixes) <= NEAR * span:
                return IdentifierForm("number", (Pattern(f"{CODE}{NUMBER}", (prefixes,)),), width=length - digits)
    return None


def _numbers_after(form: IdentifierForm, texts: list[str]) -> int:
    """How many numbers of as many digits follow the largest one, so that new values are no longer.

    Endless where they run on, as numbers of invoices do; random ones would use up what is left.
    """
    digits: Any = pc.extract_regex(pa.array(texts), form.patterns[0].expression).field("number").drop_null()
    numbers = np.unique(digits.cast(pa.int64()).to_numpy())
    numbers_in_all = 10 ** pc.max(pc.utf8_length(digits)).as_py()
    after = numbers_in_all - 1 - int(numbers[-1])
    run_on = np.count_nonzero(np.diff(numbers) == 1) >= FOLLOWING * len(numbers)
    return ENDLESS if run_on or after > max(len(texts), NEAR_THE_END * numbers_in_all) else after


def _texts_in(values: Any) -> list[str]:
    """The different texts of a column; none of another one."""
    plain = plain_values_of(values)
    texts: list[Any] = pc.unique(plain.drop_null().cast(pa.string())).to_pylist() if is_text_type(plain.type) else []
    return texts


def _hold_spaces(texts: list[str]) -> bool:
    """Return whether some texts have several words, as sentences do."""
    return any(" " in text.strip() for text in texts)


def _whole_form(texts: list[str]) -> IdentifierForm | None:
    """The form of texts whose digits cannot be drawn one by one: addresses, dates and times; None for others."""
    if texts and all(re.fullmatch(_ADDRESS, text) for text in texts):
        return IdentifierForm("address")
    return IdentifierForm("moment") if texts and values_in(pa.array(texts)) == "dates or times" else None
