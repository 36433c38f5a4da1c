"""Which form texts have by themselves, as a sample of them shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from os.path import commonprefix
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.codecs import CHECKS, values_in
from gpuvgm.columns import IdColumn
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.key_search import ALIKE, check_of
from gpuvgm.synthesis.keys.patterns import CODE, ENDLESS, NUMBER, Pattern
from gpuvgm.synthesis.keys.shapes import LEAST_OF_EACH, MOST_SHAPES, codes_of, patterns_of

_ADDRESS = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!\Z)|\Z)){4}"  # of version 4 of the Internet Protocol
MAIL = r"([^@\s]+)@([^@\s]+\.[A-Za-z]+)"  # an e-mail address: what stands before its domain, and that
FOLLOWING = 0.5  # of the numbers of a sample that have the next one there, by which they run
NEAR = 0.1  # of the range of all numbers: so little those behind all codes span together
LEAST_RUNNING = 100  # numbers behind codes of digits
LONGEST_PREFIX = 7  # digits of such codes, and one more
NEAR_THE_END = 0.05  # of all numbers of so many digits: nearer to their end, they are drawn, and do not run on


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
    texts = texts_in(values)
    if not texts:
        return _form_of_numbers(IdColumn.digits(values).drop_null().unique().to_pylist())
    form = _whole_form(texts)
    form = form or form_of_mails(texts, lambda names: identifier_form(pa.array(names), is_key=is_key))
    if form is not None:
        return form
    check = check_of(texts) if is_key else ""
    running = None if check or CHECKS.found_in(texts) else _running_numbers(texts)
    after = 0 if running is None else _numbers_after(running, texts)
    if running is not None and after == ENDLESS:
        return running
    shape = shape_of_texts(texts, check, is_key=is_key)
    if shape is not None and (running is None or shape.room_beside(texts) > min(after, len(texts))):
        return shape
    return running or (IdentifierForm("missing") if _hold_spaces(texts) and not is_key else None)


def _form_of_numbers(texts: list[str]) -> IdentifierForm | None:
    """The form of whole numbers with check digits, none of which begins with a zero, or of those that begin with codes.

    None of others.
    """
    form = shape_of_texts(texts, is_key=True) if CHECKS.found_in(texts) else _numbers_behind_digits(texts)
    if form is None:
        return None
    patterns = (replace(pattern, text=re.sub(r"\A\\0", r"\\1", pattern.text)) for pattern in form.patterns)
    return replace(form, patterns=tuple(patterns))


def shape_of_texts(texts: list[str], check: str = "", *, is_key: bool = False) -> IdentifierForm | None:
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


def form_of_mails(texts: list[str], form_of: Callable[[list[str]], IdentifierForm | None]) -> IdentifierForm | None:
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
    """The form of running numbers between a few prefixes and a few endings; None where texts have no such form.

    Digits before the numbers, such as a year, are a part of the prefix where all texts have the same.
    """
    head = re.match(r"([^\\]*[0-9][^0-9\\]+)?", commonprefix(texts))
    common = head[0] if head else ""
    # Of 18 digits, so that the numbers of a sample are below 2^63.
    matches = [re.fullmatch(r"([^0-9\\]*)([0-9]{1,18})([^0-9\\]*)", text[len(common) :]) for text in texts]
    if behind := _numbers_behind_digits(texts):
        return behind
    prefixes, endings = (codes_of(Counter(match[part] for match in matches if match)) for part in (1, 3))
    are_words = len(prefixes) > 1 and _hold_spaces([*prefixes])
    if not all(matches) or not prefixes or are_words or len({match[3] for match in matches if match}) > len(endings):
        return None
    digits = [match[2] for match in matches if match]
    width = min(map(len, digits)) if any(text[0] == "0" for text in digits) else 0
    if len(endings) > 1:
        frames = Counter((match[1], match[3]) for match in matches if match).most_common(MOST_SHAPES + 1)
        patterns = [Pattern(f"{common}{before}{NUMBER}{after}", weight=count) for (before, after), count in frames]
        return IdentifierForm("number", tuple(patterns), width=width) if len(patterns) <= MOST_SHAPES else None
    before, codes = (prefixes[0], ()) if len(prefixes) == 1 else (CODE, (prefixes,))
    return IdentifierForm("number", (Pattern(f"{common}{before}{NUMBER}{endings[0]}", codes),), width=width)


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
    matches = (pc.extract_regex(pa.array(texts), pattern.expression).drop_null() for pattern in form.patterns)
    digits: Any = pa.chunked_array([match.field("number") for match in matches])
    numbers = np.unique(digits.cast(pa.int64()).to_numpy())
    numbers_in_all = 10 ** pc.max(pc.utf8_length(digits)).as_py()
    after = numbers_in_all - 1 - int(numbers[-1])
    run_on = np.count_nonzero(np.diff(numbers) == 1) >= FOLLOWING * len(numbers)
    return ENDLESS if run_on or after > max(len(texts), NEAR_THE_END * numbers_in_all) else after


def texts_in(values: Any) -> list[str]:
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
