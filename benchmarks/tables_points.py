"""Made columns of what goes wrong in real tables beside sentinels: text, dust, rare rows, codes, constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import product

import numpy as np

from benchmarks.public_tables import Label

SIZES = (300, 5_000)
FLAG_ROWS = 100_000
Values = np.ndarray | list[str]
Shape = Callable[[np.random.Generator, int], Values]
NUMBER_TEXT, DATE_TEXT, CATEGORIES = Label(("number text",)), Label(("date text",)), Label(("categorical",))
NUMBERS, TEXT, CONSTANT = Label(("continuous",)), Label(("passthrough",)), Label(("constant",))
WORDS = "alder birch cedar elm fir hazel larch maple oak pine rowan spruce willow yew".split()


def points() -> Iterator[tuple[str, Label, Values]]:
    """Name, label and values of each column; the labels are what is aimed at."""
    for (name, (label, shape)), rows in product(POINTS.items(), SIZES):
        yield f"{name}, {rows:,} rows", label, shape(np.random.default_rng(rows), rows)
    flag = np.zeros(FLAG_ROWS, np.int64)
    flag[np.random.default_rng(0).permutation(FLAG_ROWS)[:60]] = 1
    yield f"60 ones in {FLAG_ROWS:,} zeros", CATEGORIES, flag


def _written(write: Callable[[float], str]) -> Shape:
    """Amounts as text."""
    return lambda random, rows: [write(x) for x in np.round(random.lognormal(7, 1, rows), 2)]


def _dates(form: str) -> Shape:
    """Days of ten years as text."""

    def days(random: np.random.Generator, rows: int) -> Values:
        passed = random.integers(0, 3650, rows).tolist()
        return [f"{date(2010, 1, 1) + timedelta(days=count):{form}}" for count in passed]

    return days


def _with_word(word: str, share: float) -> Shape:
    """Numbers as text with a word among them."""

    def numbers(random: np.random.Generator, rows: int) -> Values:
        drawn = zip(random.gamma(2, 4, rows), random.random(rows), strict=True)
        return [word if chance < share else f"{x:.1f}" for x, chance in drawn]

    return numbers


def _rare(random: np.random.Generator, rows: int) -> Values:
    values = random.integers(1, 5, rows)
    values[random.integers(rows)] = 5
    return values


def _strays(random: np.random.Generator, rows: int) -> Values:
    values = np.round(random.gamma(3, 5, rows), 2)
    values[random.permutation(rows)[:3]] += 0.001
    return values


def _some_dust(random: np.random.Generator, rows: int) -> Values:
    """Tenths, of which the first that differ are computed otherwise: 5.699999999999999 for 5.7."""
    tenths = np.rint(random.gamma(4, 15, rows))
    values, dust = tenths / 10, tenths * 0.1
    few = np.flatnonzero(values != dust)[:6]
    values[few] = dust[few]
    return values


def _german(x: float) -> str:
    return f"{x:,.2f} €".translate(str.maketrans(",.", ".,"))


POINTS: dict[str, tuple[Label, Shape]] = {
    "23,288 with blanks behind": (NUMBER_TEXT, _written(lambda x: f"{x:,.0f}  ")),
    "$1,234.50": (NUMBER_TEXT, _written(lambda x: f"${x:,.2f}")),
    "1.234,50 €": (NUMBER_TEXT, _written(_german)),
    "12.5 %": (NUMBER_TEXT, _written(lambda x: f"{x % 100:.1f} %")),
    "2010/01/01": (DATE_TEXT, _dates("%Y/%m/%d")),
    "31/01/2013": (DATE_TEXT, _dates("%d/%m/%Y")),
    "9/30/1990 0:00:00": (DATE_TEXT, _dates("%-m/%-d/%Y 0:00:00")),
    "nil in 1 % of numbers": (NUMBER_TEXT, _with_word("nil", 0.01)),
    "N/A in 2 % of numbers": (NUMBER_TEXT, _with_word("N/A", 0.02)),
    "- in 3 % of numbers": (NUMBER_TEXT, _with_word("-", 0.03)),
    "<0.5 in 4 % of numbers": (NUMBER_TEXT, _with_word("<0.5", 0.04)),
    "five values, one in one row": (CATEGORIES, _rare),
    "three rows off steps of 0.01": (NUMBERS, _strays),
    "tenths with dust": (NUMBERS, lambda random, rows: np.rint(random.normal(60, 12, rows)) * 0.1),
    "tenths with dust in six rows": (NUMBERS, _some_dust),
    "bell of whole numbers": (NUMBERS, lambda random, rows: np.rint(random.normal(100, 15, rows))),
    "one number": (CONSTANT, lambda random, rows: np.full(rows, 7)),
    "one text": (CONSTANT, lambda random, rows: ["north"] * rows),
    "all missing": (CONSTANT, lambda random, rows: np.full(rows, np.nan)),
    "postal codes": (
        Label(("categorical", "id"), code=True),
        lambda random, rows: random.choice(random.integers(10_000, 99_999, rows // 3), rows),
    ),
    "ids of ten digits": (
        Label(("id",), code=True),
        lambda random, rows: 6_900_000_000 + random.choice(10**8, rows, replace=False),
    ),
    "sentences": (TEXT, lambda random, rows: [" ".join(random.choice(WORDS, 6)) for _ in range(rows)]),
}
