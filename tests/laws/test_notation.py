"""How laws are written: with any names of columns, also in quotes, and what is said of those that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.laws.sorts import LAWS, law_of_text, text_of
from gpuvgm.laws.texts import quoted, texts_of

LETTERS = ("a", "b", "c", "d", "end", "start", "nights")
FURTHER = (
    "a + b + d = c", "a - d + b = c", "a - b - d = c", "a + b - d + nights = c",
    "a - b = c in hours", "a / b * 100 = c", "abs(a) = b", "log(1 + a) = b", "exp(a) = b",
    "sqrt(a) = b", "ceil(a) = b", "a^3 = b", "2.5 * a = b", "a / 0.5 = b", "(a - 32) / 1.8 = b", "a - 1900 = b",
    "a -> b", "a, b -> c",
    "a * b * d = c", "a * (1 - b / 100) = c", "max(0, a - b) = c", "min(10, a) = b", "clock(a) - b = clock(c)",
    "days(a) - days(b) = c", "a <= b", "a = b", "floor(a / 3) = b", "17.5 * a * b = c", "60 * a + b = c", "a + b = 100",
    "a -> steps(b)",
)  # fmt: skip
TEXTS = [*(example for sort in LAWS for example in sort.examples), *FURTHER]
#: Names that hold blanks and quotes, and names that hold signs, which are read in quotes alone.
BLANK = ("net amount", 'size 5"', "tax (7 %)", "rest of it", "time in days", "first day", "not paid")
SIGNED = ("a + b", "x -> y", "steps(z)", "2.5", "days(x)", 'a "; c', "a = b")


def _with(names: tuple[str, ...], text: str, write: Callable[[str], str]) -> str:
    """A text with other names in place of its letters."""
    of_letters = dict(zip(LETTERS, names, strict=True))
    return re.sub(rf"\b({'|'.join(LETTERS)})\b(?!\()", lambda match: write(of_letters[match[1]]), text)


@pytest.mark.parametrize(("names", "write"), [(BLANK, str), (BLANK, quoted), (SIGNED, quoted)])
@pytest.mark.parametrize("text", TEXTS)
def test_laws_are_of_columns_with_any_names(text: str, names: tuple[str, ...], write: Callable[[str], str]) -> None:
    of_letters = dict(zip(LETTERS, names, strict=True))
    wanted = law_of_text(text, LETTERS).renamed(of_letters.__getitem__)
    law = law_of_text(_with(names, text, write), names)
    assert law.identity == wanted.identity
    assert law_of_text(text_of(law, names), names).identity == law.identity
    assert (text_of(law, names) == str(law)) or (names is SIGNED and '"' in text_of(law, names))


def test_quotes_tell_laws_apart_that_are_written_alike() -> None:
    names = ("kind", "amount", "steps(amount)")
    by_steps, looked_up = (law_of_text(f"kind -> {text}", names) for text in ('steps("amount")', '"steps(amount)"'))
    assert (by_steps.sign, by_steps.target) == ("steps", "amount")
    assert (looked_up.sign, looked_up.target) == ("->", "steps(amount)") and str(by_steps) == str(looked_up)
    assert text_of(looked_up, names) == "kind -> steps(amount)"
    assert text_of(by_steps, names) == '"kind" -> steps("amount")'
    assert text_of(by_steps, names[:2]) == "kind -> steps(amount)"
    assert texts_of('"a; b" <= c; not "not d" <= e;') == ['"a; b" <= c', 'not "not d" <= e']


def test_both_of_two_laws_that_are_written_alike_are_kept() -> None:
    """One column is called as steps of the other one are written."""
    random = np.random.default_rng(0)
    currency = random.choice(["JPY", "EUR"], 3_000)
    amount = np.where(currency == "JPY", random.lognormal(8, 1, 3_000).round(), random.lognormal(4, 1, 3_000).round(2))
    table = pd.DataFrame({"currency": currency, "amount": amount, "steps(amount)": (currency == "JPY") * 0.99 + 0.01})
    laws = gpuvgm.TableSynthesizer({"steps(amount)": "categorical"}).fit(table).fit_report_.laws
    assert {*laws} == {"currency -> steps(amount)", '"currency" -> steps("amount")'}
    written = gpuvgm.TableSynthesizer({"steps(amount)": "categorical"}, laws=[*laws]).fit(table)
    assert {*written.fit_report_.laws} == {*laws}
    rows = written.sample(2_000)
    assert (rows.groupby("currency")["steps(amount)"].nunique() == 1).all()
    assert (rows.loc[rows["currency"] == "JPY", "amount"] % 1 == 0).all()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A column of each sort."""
    random, rows = np.random.default_rng(0), 600
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, rows), "D")
    seen = day + pd.to_timedelta(random.integers(0, 86_400, rows), "s")
    return pd.DataFrame(
        {
            "net amount": random.lognormal(3, 1, rows).round(2),
            'size 5"': random.integers(1, 90, rows),
            "kind": random.choice(["x", "y", "z"], rows),
            "day": day,
            "seen at": seen,
            "in zone": seen.tz_localize("UTC"),
            "time": [f"{at // 60:02}:{at % 60:02}" for at in random.integers(0, 1440, rows)],
            "few": random.choice([1, 2, 5], rows),
            "ref": [f"R{number:05}" for number in range(rows)],
            "share": random.normal(size=rows),
        }
    )


WRONG = [
    ('net amount + kind = size 5"', 'column "kind" is not modelled as numbers: its categories are no numbers'),
    ("net amount + day = seen at", '"day" holds moments without a time zone.*"end - start = stay in days"'),
    ("net amount - ref = share", 'column "ref" is not modelled, .* declare its kind, such as "categorical"'),
    ("kind -> ref", 'column "ref" is not modelled, .* declare its kind'),
    ("net amount * day = share", '"net amount" holds numbers, "day" holds moments'),
    ("net amount * (1 + kind / 100) = share", 'column "kind" is not modelled as numbers'),
    ("1000 * kind + few = net amount", 'column "kind" is not modelled as numbers'),
    ("1.8 * day + 32 = net amount", '"day" holds moments without a time zone, "net amount" holds numbers'),
    ("log(kind) = net amount", 'column "kind" is not modelled as numbers'),
    ("floor(net amount) = few", 'column "few" is not modelled as numbers: declare it "continuous"'),
    (
        "days(in zone) - days(seen at) = share",
        '"in zone" holds moments with a time zone.*days\\(\\) takes dates without',
    ),
    ("day - seen at = share", '"day" holds moments.*a time between: "end - start = stay in days"'),
    ("clock(day) + few = clock(time)", '"day" holds moments.*clock\\(\\) takes times of the day, and numbers'),
    ("floor(0.9 * day) = share", '"day" holds moments.*such a law takes numbers, or in days\\(\\) dates'),
    ("min(kind, 10) = share", 'column "kind" is not modelled as numbers'),
    ("kind + few + net amount = 100", 'column "kind" is not modelled as numbers'),
    ("net amount -> steps(share)", 'column "net amount" has not up to 64 categories: declare it "categorical"'),
    ("kind -> steps(share)", 'column "share" has no numbers with a step, such as cents; give another column'),
    ("few -> steps(net amount)", 'no category of "few" has a longer step in the sample'),
    ("day <= in zone", '"day" holds moments without.*"in zone" holds moments with.*an order takes columns of one sort'),
    ("net amount -> kind", 'no value of "net amount" has 5 rows of the sample'),
    ("kind -> kind", '"kind" stands twice; give each column once'),
    ('few + few = size 5"', '"few" stands twice'),
    ("total = net amount + share", 'there is no column "total"; the nearest laws are written "a \\+ b = c"'),
    ("net amounts + share = few", 'did you mean "net amount \\+ share = few"'),
    ("net amount ** 2 = share", 'did you mean "net amount\\^2 = share"'),
    ("net amount % 10 = share", "what no text says, an object with holds\\(rows\\) does"),
    ("previous(share) <= share", "previous\\(\\) and count\\(\\) are of rows that belong to keys: give sequence_key"),
    ("", "an empty text is no law; leave it out"),
    ("not kind <= few", 'column "kind" is not modelled as numbers'),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_wrong_laws_are_told_with_their_column_and_a_remedy(text: str, why: str, table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=rf"^laws: .*{why}"):
        gpuvgm.TableSynthesizer(laws=[text]).fit(table)


def test_names_with_signs_are_to_be_quoted(table: pd.DataFrame) -> None:
    signed = table.rename(columns={"share": "a -> b", "few": "a + b"})
    with pytest.raises(InputError, match="with names that hold signs in quotes"):
        gpuvgm.TableSynthesizer(laws=["net amount + a + b + a -> b = 100"]).fit(signed)
    laws: Any = ['"net amount" <= "a -> b"', 'not "net amount" <= "size 5"""']
    gpuvgm.TableSynthesizer(laws=laws).fit(signed)


def test_laws_of_sequences_are_those_of_keys_or_of_rows() -> None:
    """A law of columns of the key is learnt of keys, one of others of rows."""
    random = np.random.default_rng(0)
    key = np.repeat(np.arange(400), random.integers(1, 5, 400))
    left, right = random.integers(0, 90, (2, len(key)))
    first = random.integers(10, 99, 400)[key]
    frame = pd.DataFrame({"order": [f"O{one:04}" for one in key], "left": left, "right": right, "both": left + right})
    frame["first"], frame["last"] = first, first + key % 7
    laws = ["left + right = both", "first <= last"]
    fitted = gpuvgm.TableSynthesizer(sequence_key="order", laws="; ".join(laws)).fit(frame)
    assert {*fitted.fit_report_.laws} == {*laws}
    rows = fitted.sample(1_000)
    assert (rows["left"] + rows["right"] == rows["both"]).all() and (rows["first"] <= rows["last"]).all()
    with pytest.raises(InputError, match="'left \\+ first \\+ x = both' is no law"):
        gpuvgm.TableSynthesizer(sequence_key="order", laws=["left + first + x = both"]).fit(frame)
