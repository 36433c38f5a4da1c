"""Limits in text among numbers, such as "<0.5" and ">100" of a laboratory, and which one each category has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.laws.codes import Mask, numbers_in, places_in
from gpuvgm.laws.numeric import EVIDENCE
from gpuvgm.laws.sample import FEW_ROWS, LawSample
from gpuvgm.summary import Floats, Ints

BELOW, ABOVE = "<\u2264", ">\u2265"
SIGNS = (BELOW, ABOVE)
NONE, ANY = -1, -2  # in place of the word of a category: it has no such limit, or several or too few rows to tell


def words_in(column: FittedColumn, numbers: Floats) -> Ints:
    """Place of each row's word among those of a column of text; -1 for numbers and missing values."""
    plain = column.codec.plain if isinstance(column, NumericColumn) else None
    if plain is None or not plain.word_values:
        return np.full(len(numbers), -1)
    places: Ints = places_in(np.array([plain.number(value) for value in plain.word_values]), numbers)
    return places


def signs_of(column: FittedColumn, words: Ints) -> Ints:
    """Place in `SIGNS` of each row's limit, given the places of words; -1 for numbers and words that are no limits."""
    assert isinstance(column, NumericColumn)
    plain = column.codec.plain
    texts = [plain.word_of(value) or "" for value in plain.word_values]
    signs = [next((place for place, sign in enumerate(SIGNS) if text[0] in sign), -1) for text in texts]
    return np.array([*signs, -1])[words]


def limits_in(sample: LawSample, operand: str, target: str, codes: Sequence[int]) -> tuple[float, ...]:
    """Words of the limits below and above of each of several categories, one after the other; see `NONE` and `ANY`.

    Empty where the categories do not say which limit stands there, more clearly than chance would.
    """
    column, rows = sample.columns[target], sample.shuffled[:FEW_ROWS]
    words = words_in(column, numbers_in(column, sample.few_rows(target)))
    if not np.any(words >= 0):
        return ()
    categories, signs = sample.codes[operand][rows].astype(np.int64), signs_of(column, words)
    limits = np.full((len(codes), len(SIGNS)), ANY)
    for sign in range(len(SIGNS)):
        evidence, of_codes = 0.0, np.full(len(codes), ANY)
        for place, code in enumerate(codes):
            of_codes[place], nats = _limit_of(words, signs == sign, categories == code)
            several = sample.owners.at(rows).several(np.where((categories == code) & (signs == sign), 0, -1), 1)
            evidence += nats
            of_codes[place] = of_codes[place] if of_codes[place] == NONE or several[0] else ANY
        limits[:, sign] = of_codes if evidence >= EVIDENCE else ANY
    return tuple(limits.ravel().astype(float).tolist()) if np.any(limits != ANY) else ()


def _limit_of(words: Ints, is_limit: Mask, is_of_category: Mask) -> tuple[int, float]:
    """The word of a category's limits of a sign, and how much less likely they agree by chance, in nats."""
    own, others = words[is_limit & is_of_category], words[is_limit & ~is_of_category]
    if not len(own):
        share = (len(others) + 1) / (np.count_nonzero(~is_of_category) + 2)
        nats = -np.count_nonzero(is_of_category) * float(np.log1p(-share))
        return (NONE, nats) if nats >= EVIDENCE else (ANY, 0.0)
    if np.any(own != own[0]):
        return ANY, 0.0
    agreeing = (np.count_nonzero(others == own[0]) + 1) / (len(others) + 2) if len(others) else 1.0
    return int(own[0]), -len(own) * float(np.log(agreeing))
