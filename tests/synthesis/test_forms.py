"""Forms of keys: new values have the lengths, letters, signs and check digits of the table's, and none is one of it."""

from __future__ import annotations

import base64
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.codecs import CHECKS, Equation
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.patterns import Pattern
from gpuvgm.synthesis.keys.seen import SeenValues
from gpuvgm.synthesis.keys.text_forms import identifier_form
from tests.synthesis.checked import with_check_digits

Random = np.random.Generator
Make = Callable[[Random, int], str]
VALUES = 3_000
VEHICLE, CROCKFORD = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CAPITALS, HEX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789abcdef"
FIRSTS = ("Anna", "Otto", "Maria", "Jürgen", "Zoë", "Max", "Sophie", "Christian")


def letters(random: Random, count: int, alphabet: str = CAPITALS) -> str:
    return "".join(alphabet[at] for at in random.integers(0, len(alphabet), count))


def digits(random: Random, count: int) -> str:
    return letters(random, count, "0123456789")


def word(random: Random, shortest: int, longest: int) -> str:
    return letters(random, int(random.integers(shortest, longest))).capitalize()


def one_of(random: Random, *texts: str) -> str:
    return texts[int(random.integers(0, len(texts)))]


def checked(check: str, make: Callable[[Random], str]) -> Make:
    return lambda random, i: with_check_digits(make(random), check)


def health_number(random: Random, i: int) -> str:
    """Weights 10 to 2 modulo 11; numbers whose check digit would be 10 are not issued."""
    while True:
        nine = random.integers(0, 10, 9)
        check = -int(nine @ np.arange(10, 1, -1)) % 11
        if check < 10:
            return "".join(map(str, [*nine, check]))


def uuid(random: Random, version: int) -> UUID:
    return UUID(bytes=random.bytes(16), version=version)


#: How values are made, and what all of them match, those of samples too.
FORMS: dict[str, tuple[Make, str]] = {
    "patient": (lambda r, i: f"P{r.integers(10**6, 10**7)}", r"P[1-9]\d{6}"),
    "padded": (lambda r, i: f"P{r.integers(0, 10**7):07d}", r"P\d{7}"),
    "customer": (lambda r, i: f"C{(i * 7 + 3) % VALUES:05d}", r"C\d{5}"),
    "invoice": (lambda r, i: f"{2021 + i % 4}-{i // 4:06d}", r"202[1-4]-\d{6}"),
    "unpadded": (lambda r, i: f"{r.integers(1, 10**6)}", r"[1-9]\d{0,5}"),
    "name": (lambda r, i: f"{one_of(r, *FIRSTS, word(r, 3, 9))} {word(r, 4, 12)}", r"[A-Z][a-zëü]+ [A-Z][a-z]+"),
    "names": (
        lambda r, i: f"{one_of(r, *FIRSTS)} {one_of(r, 'von ', '')}{word(r, 4, 9)}-{word(r, 3, 9)}",
        r"\w[\w -]+",
    ),
    "plate": (
        lambda r, i: f"{letters(r, 1 + i % 3)}-{letters(r, 1 + i % 2)} {r.integers(10, 10**4)}",
        r"[A-Z]{1,3}-[A-Z]{1,2} [1-9]\d{1,3}",
    ),
    "mail": (
        lambda r, i: f"{word(r, 3, 8).lower()}.{word(r, 3, 9).lower()}@{one_of(r, 'web', 'post')}.example",
        r"[a-z]+\.[a-z]+@(web|post)\.example",
    ),
    "phone": (lambda r, i: f"+49 {one_of(r, '151', '160', '170')} {digits(r, 7)}", r"\+49 1(51|60|70) \d{7}"),
    "phones": (
        lambda r, i: f"+{one_of(r, '49', '1', '44')} {digits(r, 3)} {digits(r, 6 + i % 3)}",
        r"\+(49|1|44) \d{3} \d{6,8}",
    ),
    "uuid": (lambda r, i: str(uuid(r, 4)), r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "two versions": (
        lambda r, i: str(uuid(r, 1 + 3 * (i % 2))).upper(),
        r"[0-9A-F]{8}-[0-9A-F]{4}-[14][0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}",
    ),
    "md5": (lambda r, i: r.bytes(16).hex(), r"[0-9a-f]{32}"),
    "sha-256": (lambda r, i: r.bytes(32).hex().upper(), r"[0-9A-F]{64}"),
    "short hash": (lambda r, i: r.bytes(4).hex(), r"[0-9a-f]{8}"),
    "mac": (lambda r, i: r.bytes(6).hex(":"), r"([0-9a-f]{2}:){5}[0-9a-f]{2}"),
    "MAC": (lambda r, i: r.bytes(6).hex("-").upper(), r"([0-9A-F]{2}-){5}[0-9A-F]{2}"),
    "ipv6": (lambda r, i: str(IPv6Address(r.bytes(16))), r"([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"),
    "base64": (lambda r, i: base64.b64encode(r.bytes(16)).decode(), r"[A-Za-z0-9+/]{21}[AQgw]=="),
    "of three lengths": (
        lambda r, i: base64.b64encode(r.bytes(15 + i % 3)).decode(),
        r"[A-Za-z0-9+/]{20}|[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{23}=",
    ),
    "base64url": (lambda r, i: base64.urlsafe_b64encode(r.bytes(18)).decode(), r"[\w-]{24}"),
    "ulid": (lambda r, i: f"01H{letters(r, 23, CROCKFORD)}", r"01H[0-9A-HJKMNP-TV-Z]{23}"),
    "token": (
        lambda r, i: f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(r.bytes(30)).decode()}.{r.bytes(16).hex()}",
        r"eyJhbGciOiJIUzI1NiJ9\.[\w-]{40}\.[\w-]{32}",
    ),
    "wallet": (lambda r, i: f"0x{letters(r, 40, HEX)}", r"0x[0-9a-f]{40}"),
    "vehicle": (checked("vehicle", lambda r: f"WVW{letters(r, 14, VEHICLE)}"), r"WVW[0-9A-HJ-NPR-Z]{14}"),
    "isin": (checked("isin", lambda r: f"{one_of(r, 'US', 'DE')}{digits(r, 10)}"), r"(US|DE)\d{10}"),
    "british isin": (checked("isin", lambda r: f"GB00{letters(r, 7, VEHICLE)}0"), r"GB00[0-9A-HJ-NPR-Z]{7}\d"),
    "tax number": (checked("mod 11,10", lambda r: f"{r.integers(1, 10)}{digits(r, 10)}"), r"[1-9]\d{10}"),
    "card": (
        checked("luhn", lambda r: f"4{digits(r, 3)} {digits(r, 4)} {digits(r, 4)} {digits(r, 4)}"),
        r"4\d{3} \d{4} \d{4} \d{4}",
    ),
    "device": (checked("luhn", lambda r: digits(r, 15)), r"\d{15}"),
    "insured": (
        checked("ean", lambda r: f"756.{digits(r, 4)}.{digits(r, 4)}.{digits(r, 2)}"),
        r"756(\.\d{4}){2}\.\d\d",
    ),
    "ean-8": (checked("ean", lambda r: digits(r, 8)), r"\d{8}"),
    "isbn-10": (checked("isbn-10", lambda r: digits(r, 10)), r"\d{9}[\dX]"),
    "orcid": (
        checked("mod 11-2", lambda r: f"0000-000{digits(r, 1)}-{digits(r, 4)}-{digits(r, 4)}"),
        r"[\d-]{18}[\dX]",
    ),
    "entity": (checked("mod 97-10", lambda r: f"{digits(r, 4)}00{letters(r, 12, VEHICLE)}00"), r"\d{4}00\w{12}\d\d"),
    "reference": (checked("mod 97-10", lambda r: digits(r, 12)), r"\d{12}"),
    "national": (checked("97 - n", lambda r: digits(r, 11)), r"\d{11}"),
    "iban": (checked("iban", lambda r: f"DE00{digits(r, 18)}"), r"DE\d{20}"),
    "ibans": (
        checked("iban", lambda r: one_of(r, f"DE00{digits(r, 18)}", f"NL00{one_of(r, 'ABNA', 'INGB')}{digits(r, 10)}")),
        r"DE\d{20}|NL\d\d(ABNA|INGB)\d{10}",
    ),
    "nif": (checked("nif", lambda r: f"{digits(r, 8)}A"), r"\d{8}[A-Z]"),
    "aadhaar": (
        checked("verhoeff", lambda r: f"{r.integers(2, 10)}{digits(r, 3)} {digits(r, 4)} {digits(r, 4)}"),
        r"[2-9]\d{3}( \d{4}){2}",
    ),
    "music": (checked("mod 37,36", lambda r: f"A1{letters(r, 16, CAPITALS + '0123456789')}"), r"A1[0-9A-Z]{16}"),
    "blood": (checked("mod 37-2", lambda r: f"G{letters(r, 11, CAPITALS + '0123456789')}0"), r"G[0-9A-Z]{11}[0-9A-Z*]"),
    "health": (health_number, r"\d{10}"),
}
CHECK_OF = {
    "vehicle": "vehicle", "isin": "isin", "british isin": "isin", "tax number": "mod 11,10", "card": "luhn",
    "device": "luhn", "insured": "ean", "ean-8": "ean", "isbn-10": "isbn-10", "orcid": "mod 11-2",
    "entity": "mod 97-10", "reference": "mod 97-10", "national": "97 - n", "iban": "iban", "ibans": "iban",
    "nif": "nif", "aadhaar": "verhoeff", "music": "mod 37,36", "blood": "mod 37-2", "health": "isbn-10",
}  # fmt: skip


def values_of(name: str, count: int = VALUES) -> list[str]:
    """Different made-up values."""
    random, made = np.random.default_rng(16), dict[str, None]()
    for i in range(2 * count):
        made[FORMS[name][0](random, i)] = None
        if len(made) == count:
            break
    return [*made]


def form_of(values: list[str], count: int | None = None) -> IdentifierForm:
    """The form that a sample of values shows, and all of them."""
    form = identifier_form(pa.chunked_array([values[:count]]), is_key=True)
    assert form is not None
    return form.refined(form.seen(pa.array(values)))


def made_of(form: IdentifierForm, count: int, first: int = 0) -> list[str]:
    texts: list[str] = form.values("key", np.arange(first, first + count, dtype=np.uint64), 0).to_pylist()
    return texts


@pytest.mark.parametrize("count", [VALUES, pytest.param(150, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", FORMS)
def test_new_values_have_the_form_of_those_of_the_table(name: str, count: int) -> None:
    """All in the same form with right check digits; none real, and no two the same."""
    values, expression = values_of(name, count), re.compile(FORMS[name][1])
    made = made_of(form_of(values), count)
    assert all(map(expression.fullmatch, values))
    assert [text for text in made if not expression.fullmatch(text)] == []
    assert not {*made} & {*values} and len({*made}) == count
    if name in CHECK_OF:
        assert all(with_check_digits(text, CHECK_OF[name]) == text for text in made)


def test_lengths_come_in_their_shares() -> None:
    """Of numbers without leading zeros and of the words of names."""
    for name in ("name", "phones", "unpadded", "plate"):
        values = values_of(name)
        real, made = (Counter(map(len, texts)) for texts in (values, made_of(form_of(values), VALUES)))
        shares = [abs(real[length] - made[length]) / VALUES for length in {*real} | {*made}]
        assert sum(shares) / 2 < 0.08, name


def test_values_are_those_of_the_table_s_lengths_while_twice_as_many_are_free() -> None:
    """Then all others are longer, and none is made twice; those of whole parts of a sample are the same."""
    random = np.random.default_rng(1)
    values = [f"K{number:04d}" for number in random.choice(10_000, 3_000, replace=False)]
    form = form_of(values)
    (pattern,) = form.patterns
    free = [f"{part}{rest}" for part in pattern.unseen for rest in range(10 ** (4 - len(pattern.unseen[0])))]
    assert form.unlengthened == pattern.limit == len(free) // 2
    made = made_of(form, 5_000)
    assert all(len(text) == 5 for text in made[: pattern.limit])
    assert all(len(text) == 6 and text[0] == "K" for text in made[pattern.limit :])
    assert len({*made}) == 5_000 and not {*made} & {*values}
    assert made_of(form, 2_000, first=1_500) == made[1_500:3_500]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Customers of several rows each, whose keys are of several forms."""
    random = np.random.default_rng(4)
    who = random.integers(0, 1_500, 6_000)
    names = ["patient", "name", "md5", "insured", "health", "phones"]
    keys = {name: np.array(values_of(name, 1_500))[who] for name in names}
    few = np.array([f"{number:03d}" for number in random.choice(1_000, 800, replace=False)])
    return pd.DataFrame(keys | {"few": few[who % 800], "amount": random.integers(1, 40, 6_000)})


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return fit(table)


def fit(table: Any, **options: Any) -> gpuvgm.TableSynthesizer:
    columns = {name: {"key": True} for name in ["patient", "name", "md5", "insured", "health", "phones", "few"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return gpuvgm.TableSynthesizer(columns, **options).fit(table)


def test_keys_of_tables_keep_their_forms(table: pd.DataFrame, fitted: Any, reloaded: Any) -> None:
    with pytest.warns(
        UserWarning, match=r'column "few": [\d,]+ of [\d,]+ new values are longer than those of the table'
    ):
        sample = fitted.sample(6_000)
    for name in table.columns[:6]:
        assert sample[name].str.fullmatch(FORMS[name][1]).all(), name
        assert not {*sample[name]} & {*table[name]}
        assert sample.groupby(name)["patient"].nunique().max() == 1
    assert not {*sample["few"]} & {*table["few"]}
    columns = list(table.columns[:6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert reloaded(fitted).sample(6_000).equals(sample)
        part = fitted.sample(500, first_row=3_000)
    assert part[columns].equals(sample[columns][3_000:3_500].reset_index(drop=True))


def test_forms_do_not_depend_on_parts_of_rows(table: pd.DataFrame, fitted: Any) -> None:
    """What is counted is the same of all rows at once, of parts that are added, and of fits that are merged."""
    halves = [table[:3_000], table[3_000:]]
    first = fit(halves[0])
    second = gpuvgm.TableSynthesizer(like=first).fit(halves[1])
    forth, back = first.merge(second).identifiers_, second.merge(first).identifiers_
    assert forth == back == first.partial_fit(halves[1]).identifiers_
    form = fitted.identifiers_["patient"]
    blocks = [SeenValues.of(form.patterns, pa.array(table["patient"][at::5])) for at in range(5)]
    seen = SeenValues()
    for block in blocks:
        seen = block.merge(seen)
    assert seen == SeenValues.of(form.patterns, pa.array(table["patient"]))


def test_equations_that_a_row_breaks_are_no_form() -> None:
    """Found in a sample, refuted by rows that are not in it, by rows that are added, and by a fit that is merged."""
    values = values_of("health")
    wrong = [f"{(int(value) + 1) % 10**10:010d}" for value in values[: VALUES // 20]]
    form = form_of(values)
    assert form.patterns[0].equations and form.patterns[0].closing
    few = form_of([*values, *wrong[: VALUES // 100]], count=VALUES)
    assert few.patterns[0].equations == form.patterns[0].equations
    every = form_of([*values, *wrong], count=VALUES)
    later = form.refined(form.seen(pa.array(wrong)))
    merged = [form.merge(later), later.merge(form)]
    for other in (every, later, *merged):
        assert other.patterns[0].equations == ()
        made = made_of(other, VALUES)
        assert all(re.fullmatch(r"\d{10}", text) for text in made) and not {*made} & {*values, *wrong}


@pytest.mark.parametrize(
    ("modulus", "weights"),
    [
        (10, (1, 3, 1, 3, 1, 3, 1)),
        (9, (1,) * 8),
        (11, (2, 3, 4, 5, 6, 7, 1)),
        (7, (1, 2, 3, 4, 1)),
        (97, (3, 5, 9, 10, 1)),
    ],
)
def test_equations_are_those_that_digits_fulfil(modulus: int, weights: tuple[int, ...]) -> None:
    random = np.random.default_rng(modulus)
    rows = random.integers(0, 10, (40_000, len(weights)))
    rows = rows[rows @ weights % modulus == 3 % modulus][: len(weights) + 20]
    letters = (rows + ord("0")).astype(np.uint8)
    found = Equation.of_texts(letters, range(len(weights)))
    assert Equation.of_texts(letters[1:], range(len(weights))) == ()  # too few to tell
    assert np.prod([one.modulus for one in found]) == modulus
    solved = Equation.together(found, tuple(range(len(weights))))
    others = random.integers(ord("0"), ord("9") + 1, (2_000, len(weights))).astype(np.uint8)
    closed = others.copy()
    solved.close(closed, random.integers(0, 2**32, 2_000).astype(np.uint64))
    kept = [place for place in range(len(weights)) if place not in solved.closing]
    assert (closed[:, kept] == others[:, kept]).all() and len(solved.closing) <= 3
    assert ((closed.astype(int) - ord("0")) @ weights % modulus == 3 % modulus).all()


def test_random_numbers_fulfil_no_equation() -> None:
    random = np.random.default_rng(0)
    for places in (5, 9, 12):
        for rows in (places + 20, 3_000):
            letters = random.integers(ord("0"), ord("9") + 1, (rows, places)).astype(np.uint8)
            assert Equation.of_texts(letters, range(places)) == ()


@pytest.mark.parametrize("share", [0.002, 0.01])
@pytest.mark.parametrize(("modulus", "weights"), [(11, (2, 3, 4, 5, 6, 7, 8, 1)), (7, (1, 2, 3, 4, 5, 6, 1, 1))])
def test_equations_are_found_though_some_numbers_are_mistyped(
    modulus: int, weights: tuple[int, ...], share: float
) -> None:
    random = np.random.default_rng(1)
    rows = random.integers(0, 10, (40_000, len(weights)))
    rows = rows[rows @ weights % modulus == 0][:2_000]
    rows[random.random(len(rows)) < share, 3] = 4
    (found,) = Equation.of_texts((rows + ord("0")).astype(np.uint8), range(len(weights)))
    assert found.modulus == modulus and np.mean(rows @ weights % modulus == 0) < 1
    multiples = {tuple(factor * weight % modulus for weight in weights) for factor in range(1, modulus)}
    assert found.weights in multiples


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("iban", "GB82 WEST 1234 5698 7654 32"), ("mod 97-10", "5493001KJTIIGC8Y1R12"), ("luhn", "3782-822463-10005"),
        ("isin", "US0378331005"), ("isin", "GB00B03MLX29"), ("ean", "4006381333931"), ("ean", "756.9217.0769.85"),
        ("isbn-10", "080442957X"), ("mod 11-2", "0000-0002-1825-0097"), ("mod 11,10", "86095742719"),
        ("mod 37,36", "A12425GABC1234002M"), ("mod 37-2", "G123489654321Y"), ("vehicle", "1M8GDM9AXKP042788"),
        ("nif", "12345678Z"), ("verhoeff", "2363"), ("97 - n", "93051822361"),
    ],
)  # fmt: skip
def test_check_digits_are_those_of_their_standards(check: str, text: str) -> None:
    """Published examples; any other digit in place of a check digit is wrong."""
    letters = np.frombuffer(text.encode(), np.uint8)[None]
    assert CHECKS[check].holds(letters).all()
    for place in CHECKS[check].places(len(text)):
        wrong = letters.copy()
        wrong[0, place] = ord("0") if wrong[0, place] != ord("0") else ord("1")
        assert not CHECKS[check].holds(wrong).any()


def test_names_are_no_real_ones_side_by_side() -> None:
    """Where first and last names are each of many, the last ones are new; no digits are added to them."""
    random = np.random.default_rng(2)
    lasts = [word(random, 5, 9) for _ in range(40)]
    values = sorted({f"{one_of(random, *FIRSTS)} {one_of(random, *lasts)}" for _ in range(5_000)})
    form = form_of(values)
    made = made_of(form, 2_000)
    assert all(re.fullmatch(r"\w+ [A-Z][a-z]+", text) for text in made)
    assert not {*made} & {*values} and len({*made}) == 2_000
    assert len([text for text in made if text.split()[1] in lasts]) < 20


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (Pattern(r"\q\0"), "tokens that are not known"),
        (Pattern(r"\c\0", (("a", "bb"),)), "not equally long"),
        (Pattern(r"\c\0"), "other tokens than codes"),
        (Pattern(r"\0\0", unseen=("123",), stop=2), "parts that no row has"),
        (Pattern(r"\0\0", check="sum"), "check digits are not those"),
        (Pattern(r"\0", check="mod 97-10"), "no place for check digits"),
        (Pattern(r"\0\0", equations=(Equation(7, (0, 5), (1, 1), 0),)), "check digits are not those"),
    ],
)
def test_patterns_whose_parts_do_not_fit_together_are_refused(pattern: Pattern, message: str) -> None:
    """As a forged model may have them."""
    with pytest.raises(ValueError, match=message):
        IdentifierForm("shape", (pattern,)).check({})


def parcels(random: Random, rows: int = VALUES) -> pd.DataFrame:
    """Numbers of parcels whose form is that of the carrier, and of customers whose is not."""
    carrier = random.choice(["Post", "Bote", "Rad", "Boot"], rows, p=[0.5, 0.3, 0.199, 0.001])
    forms = {
        "Post": lambda: f"JJD{digits(random, 12)}",
        "Bote": lambda: f"{letters(random, 2)}{digits(random, 7)}",
        "Rad": lambda: one_of(random, f"R-{digits(random, 6)}", f"{letters(random, 3)}.{digits(random, 5)}"),
        "Boot": lambda: f"JJD{digits(random, 12)}",
    }
    customer = [one_of(random, f"K{digits(random, 6)}", f"{digits(random, 5)}x") for _ in range(rows)]
    tracks = [forms[one]() for one in carrier]
    return pd.DataFrame({"carrier": carrier, "track": tracks, "customer": customer, "x": random.normal(size=rows)})


SHAPES = {"Post": r"JJD\d{12}", "Bote": r"[A-Z]{2}\d{7}", "Rad": r"R-\d{6}|[A-Z]{3}\.\d{5}"}


def test_patterns_go_with_the_categories_that_tell_them(reloaded: Any) -> None:
    table = parcels(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    form = fitted.identifiers_["track"]
    assert form.given == "carrier" and fitted.identifiers_["customer"].given == ""
    assert [*form.weights[fitted.transformer_.model_.by_name["carrier"].categories.index("Boot")]] == [0, 0, 0, 0]
    rows = fitted.sample(6_000)
    for carrier, shape in SHAPES.items():
        part = rows.loc[rows["carrier"] == carrier, "track"]
        assert len(part) > 500 and part.str.fullmatch(shape).all()
    both = rows.loc[rows["carrier"] == "Rad", "track"].str.startswith("R-").mean()
    assert abs(both - 0.5) < 0.06
    assert rows["track"].is_unique and not {*rows["track"]} & {*table["track"]}
    some = pd.concat([fitted.sample(50), fitted.sample(5_950, first_row=50)], ignore_index=True)
    assert some.equals(rows)
    assert fitted.sample(300, conditions={"carrier": "Bote"})["track"].str.fullmatch(SHAPES["Bote"]).all()


def wines(random: Random) -> pd.DataFrame:
    """Numbers of casks, whose letter stands for the colour."""
    colour = random.choice(["red", "white", "rose"], VALUES, p=[0.5, 0.3, 0.2])
    codes = [f"{one[0].upper() if one != 'rose' else 'P'}{digits(random, 6)}" for one in colour]
    return pd.DataFrame({"colour": colour, "code": codes, "litres": random.gamma(2, 90, VALUES).round()})


def tickets(random: Random) -> pd.DataFrame:
    """Numbers of tickets, whose prefix is that of the desk; one desk has two."""
    desk = random.choice(["sales", "repairs", "billing"], VALUES)
    prefix = {"sales": ["SL"], "repairs": ["RP", "RX"], "billing": ["BL"]}
    texts = [f"{one_of(random, *prefix[one])}-{digits(random, 7)}/24" for one in desk]
    return pd.DataFrame({"ticket": texts, "desk": desk, "minutes": random.gamma(2, 9, VALUES).round()})


@pytest.mark.parametrize(
    ("table_of", "name", "by", "length"), [(wines, "code", "colour", 1), (tickets, "ticket", "desk", 2)]
)
def test_codes_within_patterns_go_with_the_categories_that_they_stand_for(
    table_of: Any, name: str, by: str, length: int, reloaded: Any
) -> None:
    table = table_of(np.random.default_rng(5))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    assert fitted.identifiers_[name].given == by
    rows = fitted.sample(6_000)
    pairs = {*zip(table[by], table[name].str[:length], strict=True)}
    assert {*zip(rows[by], rows[name].str[:length], strict=True)} == pairs
    assert rows[name].is_unique and not {*rows[name]} & {*table[name]}
    permuted = table.assign(**{by: table[by].sample(frac=1, random_state=1).to_numpy()})
    form = gpuvgm.TableSynthesizer().fit(permuted).identifiers_[name]
    assert form.given == "" and len(form.patterns) == 1


def test_patterns_without_room_go_with_no_category() -> None:
    """Rows take values by their numbers: of a thousand values a category of a few rows would have none left."""
    random = np.random.default_rng(2)
    kind = random.choice(["a", "b"], VALUES, p=[0.9, 0.1])
    texts = [f"A{digits(random, 3)}" if one == "b" else f"B-{digits(random, 9)}" for one in kind]
    table = pd.DataFrame({"kind": kind, "text": texts, "x": random.normal(size=VALUES)})
    fitted = gpuvgm.TableSynthesizer({"text": "pass"}).fit(table)
    assert fitted.identifiers_["text"].given == ""
    assert fitted.sample(VALUES)["text"].is_unique


def test_what_few_persons_have_beside_a_category_is_not_told() -> None:
    random = np.random.default_rng(4)
    table = parcels(random)
    table["owner"] = [f"P{number:06}" for number in random.integers(0, 900, VALUES)]
    rare = table.index[:30]
    table.loc[rare, "carrier"], table.loc[rare, "owner"] = "Schiff", "P999999"
    table.loc[rare, "track"] = [f"QQ-{digits(random, 8)}" for _ in rare]
    fitted = gpuvgm.TableSynthesizer({"owner": {"key": True}, "track": "pass"}).fit(table)
    form = fitted.identifiers_["track"]
    place = fitted.transformer_.model_.by_name["carrier"].categories.index("Schiff")
    assert form.given == "carrier" and not any(form.weights[place])


def test_patterns_beside_other_categories_are_refused(tmp_path: Any) -> None:
    """As a forged model may have them."""
    fitted = gpuvgm.TableSynthesizer().fit(parcels(np.random.default_rng(3)))
    form = fitted.identifiers_["track"]
    for wrong, why in (
        ({"given": "x"}, '"x" has not the categories by which "track" has its patterns'),
        ({"weights": form.weights[:2]}, '"carrier" has not the categories'),
        ({"weights": tuple(one[:1] for one in form.weights)}, "other shares beside categories than there are patterns"),
        ({"given": ""}, "other shares beside categories"),
    ):
        wrong_forms = {**fitted.identifiers_, "track": replace(form, **wrong)}
        fitted._with(replace(fitted._fitted, forms=wrong_forms))
        with pytest.raises(InputError, match=why):
            fitted.save(tmp_path / "wrong.gpuvgm")
