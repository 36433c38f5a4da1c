"""Numbers with check digits are keys and identifiers, whatever type holds them: samples have new right ones."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import gpuvgm
from gpuvgm.codecs import CHECKS
from gpuvgm.errors import InferenceWarning, InputError

ROWS, CARDS = 2_000, 500


def with_check(check: str, payloads: Any) -> list[str]:
    """Numbers with their check digits behind them."""
    places = len(CHECKS[check].places(12))
    letters = np.array([[*f"{payload}{'0' * places}".encode()] for payload in payloads], np.uint8)
    CHECKS[check].close(letters)
    return [row.tobytes().decode() for row in letters]


def right(check: str, texts: Any) -> bool:
    letters = np.array([[*text.encode()] for text in texts], np.uint8)
    return bool(CHECKS[check].holds(letters).all())


def lendings(check: str = "luhn") -> tuple[list[str], Any]:
    """Cards, each with several rows, and days."""
    random = np.random.default_rng(3)
    payloads = 10_000_000 + random.choice(89_999_999, CARDS, replace=False)
    cards = with_check(check, payloads)
    return [cards[place] for place in random.integers(0, CARDS, ROWS)], random.integers(1, 60, ROWS)


def missing(values: list[Any]) -> list[Any]:
    return [None if place % 10 == 3 else value for place, value in enumerate(values)]


HOLDERS = {
    "text": lambda cards: pa.array(cards),
    "categories": lambda cards: pa.array(cards).dictionary_encode(),
    "integers": lambda cards: pa.array([int(card) for card in cards], pa.int64()),
    "floats": lambda cards: pa.array(missing([float(card) for card in cards]), pa.float64()),
    "categories of integers": lambda cards: pa.array([*map(int, cards)]).dictionary_encode(),
    "decimals": lambda cards: pa.array([Decimal(card) for card in cards], pa.decimal128(14, 2)),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("check", ["luhn", "ean", "mod 97-10"])
def test_samples_have_new_cards_with_right_check_digits(holder: str, check: str) -> None:
    cards, days = lendings(check)
    table = pa.table({"card": HOLDERS[holder](cards), "days": days})
    with pytest.warns(InferenceWarning, match='samples have new values of "card".*check digits'):
        model = gpuvgm.TableSynthesizer(random_state=0).fit(table)
    sample = model.sample(1_000)["card"]
    assert sample.type == table.schema.field("card").type
    drawn = [str(value).partition(".")[0] for value in sample.to_pylist() if value is not None]
    assert right(check, drawn) and not {*drawn} & {*cards}
    assert len({*drawn}) < 0.9 * len(drawn)  # each in several rows, as in the table
    assert (sample.null_count > 0) == (holder == "floats")


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_files_have_cards_too(tmp_path: Path, format_: str) -> None:
    cards, days = lendings()
    table, path = pa.table({"card": [int(card) for card in cards], "days": days}), tmp_path / f"cards.{format_}"
    (pyarrow.csv.write_csv if format_ == "csv" else pyarrow.parquet.write_table)(table, path)
    spec = gpuvgm.kinds(path)["card"]
    assert (spec.kind, dict(spec.options)) == ("id", {"key": True}) and "check digits: luhn" in spec.reason


@pytest.mark.parametrize("holder", [*HOLDERS][:-1])  # the decimals have too few digits
@pytest.mark.parametrize(("name", "first"), [("ean", 400), ("code", 978)])
def test_articles_and_books_that_come_back_are_real(name: str, first: int, holder: str) -> None:
    random, places = np.random.default_rng(4), np.repeat(np.arange(100), ROWS // 100)
    numbers = with_check("ean", first * 10**9 + random.choice(10**9, 100, replace=False))
    values = HOLDERS[holder]([numbers[place] for place in places])
    table = pa.table({name: values, "product": pa.array([f"lamp {place}" for place in places])})
    sample = gpuvgm.TableSynthesizer().fit(table).sample(500)
    assert {*sample[name].to_pylist()} <= {*table[name].to_pylist()}
    if not table[name].null_count:  # else a number may be missing beside its product
        pairs = {*zip(table[name].to_pylist(), table["product"].to_pylist(), strict=True)}
        assert {*zip(sample[name].to_pylist(), sample["product"].to_pylist(), strict=True)} <= pairs


@pytest.mark.parametrize(("name", "first"), [("code", 756), ("customer_id", 400)])
def test_other_numbers_with_the_check_digit_of_articles_are_keys(name: str, first: int) -> None:
    random, places = np.random.default_rng(4), np.repeat(np.arange(100), ROWS // 100)
    numbers = [int(number) for number in with_check("ean", first * 10**9 + random.choice(10**9, 100, replace=False))]
    table = pa.table({name: [numbers[place] for place in places], "days": random.integers(0, 9, ROWS)})
    with pytest.warns(InferenceWarning, match="samples have new values"):
        fitted = gpuvgm.TableSynthesizer().fit(table)
    assert not {*fitted.sample(500)[name].to_pylist()} & {*numbers}


def test_sums_of_digits_that_no_name_has_are_check_digits() -> None:
    """Numbers of Dutch citizens, of which eleven divides a weighted sum."""
    random = np.random.default_rng(0)
    digits = random.integers(0, 10, (20_000, 9))
    digits[:, 0] = np.maximum(digits[:, 0], 1)
    numbers = digits[digits @ [9, 8, 7, 6, 5, 4, 3, 2, -1] % 11 == 0] @ 10 ** np.arange(8, -1, -1)
    table = {"citizen": random.choice(numbers[:400], ROWS), "days": random.integers(1, 60, ROWS)}
    with pytest.warns(InferenceWarning, match="a sum modulo 11"):
        drawn = np.asarray(gpuvgm.TableSynthesizer(random_state=0).fit(table).sample(1_000)["citizen"])
    digits = drawn[:, None] // 10 ** np.arange(8, -1, -1) % 10
    assert (digits @ [9, 8, 7, 6, 5, 4, 3, 2, -1] % 11 == 0).all() and not {*drawn} & {*table["citizen"]}


def test_long_numbers_of_persons_are_keys_by_their_name() -> None:
    random = np.random.default_rng(2)
    phones = 491_500_000_000 + random.choice(3 * 10**8, 300, replace=False)
    values = random.choice(phones, ROWS)
    table = {
        "phone": np.where(np.arange(ROWS) % 9 == 0, np.nan, values),
        "turnover": values,
        "days": np.arange(ROWS) % 30,
    }
    kinds = gpuvgm.kinds(table)
    assert [spec.kind for spec in kinds.columns] == ["id", "continuous", "continuous"]
    with pytest.warns(InferenceWarning, match='new values of "phone"'):
        drawn = gpuvgm.TableSynthesizer(random_state=0).fit(table).sample(1_000)["phone"]
    drawn = np.asarray(drawn)[~np.isnan(np.asarray(drawn))]
    assert not {*drawn} & {*phones} and len(np.unique(drawn)) < 0.9 * len(drawn) < 900
    assert gpuvgm.kinds({"phone": values % 10**6 + 10})["phone"].kind == "continuous"  # of few digits


def test_numbers_of_one_row_each_are_identifiers_until_rows_repeat_them(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    parcels = [int(text) for text in with_check("ean", 10**10 + random.choice(10**10, 4_000, replace=False))]
    kinds = gpuvgm.kinds({"parcel": parcels})
    assert kinds["parcel"].kind == "id" and not kinds["parcel"].options.get("key")
    monkeypatch.setattr("gpuvgm.execution.sampling.UNKNOWN_SAMPLE_ROWS", 400)
    monkeypatch.setattr("gpuvgm.execution.sampling.RUN_ROWS", 6)
    table = {"parcel": parcels * 3, "weight": range(12_000)}
    assert not gpuvgm.kinds(table)["parcel"].options.get("key")  # in the sample hardly any comes back
    repeated = gpuvgm.TableSynthesizer(random_state=0).fit(table).transformer_
    assert repeated.columns_["parcel"].regenerate == "key"
    assert repeated.schema_["parcel"].options == {"key": True}


def test_the_user_says_otherwise() -> None:
    cards, days = lendings()
    table = {"card": [int(card) for card in cards], "days": days}
    for kind in ("continuous", {"keep": True}):
        sample = gpuvgm.TableSynthesizer({"card": kind}, random_state=0).fit(table).sample(100)
        assert {*sample["card"]} & {*table["card"]}


def amounts(random: Any) -> dict[str, Any]:
    """Columns whose check digits are right by chance, or that have sums for another reason."""
    days = pd.date_range("2001-01-01", "2024-12-31").strftime("%Y%m%d").astype(int).to_numpy()
    return {
        "amount": random.integers(10_000, 99_999_999, ROWS),
        "balance": random.integers(10_000_000, 99_999_999, ROWS)[random.integers(0, 300, ROWS)],
        "in steps": random.integers(100, 999_999, ROWS) * 25,
        "of eleven": random.integers(10_000, 999_999, ROWS) * 11,
        "of seven": random.integers(200_000, 999_999, ROWS) * 7,
        "day": random.choice(days, ROWS),
        "clock": random.integers(10, 24, ROWS) * 10_000 + random.integers(0, 4, ROWS) * 1_500 + 30,
        "price": random.choice([99.0, 149.0, 1_990.0, 2_490.0], ROWS) + 1_000 * random.integers(0, 90, ROWS),
        "moment": 1_600_000_000 + random.integers(0, 10**8, ROWS),
        "twice": random.integers(100, 999, ROWS) * 1_001,
    }


def test_numbers_that_chance_alone_gives_check_digits_stay_numbers() -> None:
    for seed in range(3):
        table = amounts(np.random.default_rng(seed))
        kinds = gpuvgm.kinds(
            {**table, **{f"text of {name}": values.astype(int).astype(str) for name, values in table.items()}}
        )
        assert not [spec.name for spec in kinds.columns if spec.kind == "id"]


def running(codes: list[int], width: int) -> tuple[list[str], Any]:
    """Numbers that run on behind each of some codes, such as years and branches, and rows that have them."""
    random = np.random.default_rng(11)
    of_codes = random.choice(codes, CARDS)
    counts = {code: iter(range(1, CARDS)) for code in codes}
    numbers = [f"{code}{next(counts[code]):0{width}}" for code in of_codes.tolist()]
    return numbers, random.integers(0, CARDS, ROWS)


@pytest.mark.parametrize("codes", [[2021, 2022, 2023, 2024], [11, 12, 17, 31]])
@pytest.mark.parametrize("check", ["", "luhn"])
@pytest.mark.parametrize("is_text", [True, False])
def test_numbers_run_on_behind_codes(codes: list[int], check: str, *, is_text: bool) -> None:
    numbers, rows = running(codes, 6)
    numbers = with_check(check, numbers) if check else numbers
    table = pa.table({"no": [numbers[row] if is_text else int(numbers[row]) for row in rows], "x": rows % 7})
    fitted = gpuvgm.TableSynthesizer({"no": "key"}, random_state=0).fit(table)
    drawn = [*map(str, fitted.sample(1_000)["no"].to_pylist())]
    length = len(str(codes[0]))
    assert {text[:length] for text in drawn} == {*map(str, codes)}
    assert {*map(len, drawn)} == {len(numbers[0])} and not {*drawn} & {*numbers}
    assert not check or right(check, drawn)


def library(names_of_each: int = 1) -> dict[str, Any]:
    """Lendings with the names of those who have the cards."""
    cards, days = lendings()
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz"])
    random = np.random.default_rng(8)
    words = ["".join(random.choice(letters, 6)).title() for _ in range(2 * CARDS)]
    holders = {card: [f"{words[2 * place]} {words[2 * place + 1]}"] for place, card in enumerate(dict.fromkeys(cards))}
    for names in holders.values():
        names += [f"{names[0]} {word}" for word in words[1:names_of_each]]
    age = {card: int(random.integers(6, 90)) for card in holders}
    return {
        "card": [int(card) for card in cards],
        "name": [holders[card][place % names_of_each] for place, card in enumerate(cards)],
        "age": [age[card] for card in cards],
        "days": days,
    }


def test_laws_of_what_a_card_decides_are_kept_for_all_cards() -> None:
    table = library()
    fitted = gpuvgm.TableSynthesizer(laws=["card -> name", "age <- card", "auto"], random_state=0).fit(table)
    sample = fitted.sample(ROWS)
    rows = pd.DataFrame({name: np.asarray(sample[name]) for name in table})
    assert rows.groupby("card")[["name", "age"]].nunique().max().max() == 1
    assert not {*rows["card"]} & {*table["card"]} and not {*rows["name"]} & {*table["name"]}
    assert fitted.attributes_ == {"age": "card"} and not fitted.laws_
    for left, right in (("card", "days"), ("name", "days")):
        with pytest.raises(InputError, match=f'"{right}" is not one of each'):
            gpuvgm.TableSynthesizer(laws=[f"{left} -> {right}"], random_state=0).fit(table)


def test_a_report_says_of_which_values_a_lookup_is() -> None:
    random = np.random.default_rng(9)
    usual, rare = random.integers(0, 40, ROWS), 40 + np.arange(60) // 2
    product = np.append(usual, rare)
    price = np.round(random.gamma(3, 10, 100), 2)[product]
    table = {
        "product": [f"P{number}" for number in product],
        "price": price,
        "pieces": random.integers(1, 9, len(product)),
    }
    fitted = gpuvgm.TableSynthesizer(random_state=0).fit(table)
    text = "for values that 5 rows and more have, and for these alone: product -> price"
    assert text in str(fitted.fit_report_) and text in str(fitted)
    table = {name: values[:ROWS] for name, values in table.items()}
    assert "these alone" not in str(gpuvgm.TableSynthesizer(random_state=0).fit(table).fit_report_)


def mistyped(cards: list[str], share: float) -> list[str]:
    """Cards of which some have another digit than they should, or one too many."""
    random, typed = np.random.default_rng(8), [*cards]
    for place in np.flatnonzero(random.random(len(cards)) < share).tolist():
        card, at = cards[place], int(random.integers(1, 7))
        other = str((int(card[at]) + random.integers(1, 9)) % 10)
        typed[place] = f"{card[:at]}{other}{card[at + 1 :] if random.random() < 0.7 else card[at:]}"
    return typed


@pytest.mark.parametrize("holder", ["text", "integers"])
@pytest.mark.parametrize("times", [1, 4])
def test_numbers_with_sums_of_their_own_are_known_though_some_are_mistyped(holder: str, times: int) -> None:
    """Weights of a library, modulo 11; the column's name says nothing."""
    random, weights = np.random.default_rng(4), [3, 7, 9, 2, 5, 4, 8, 6, 1]
    rows = random.integers(0, 10, (400_000 // times, 9))
    rows = rows[(rows @ weights % 11 == 5) & (rows[:, 0] > 0)][: ROWS // times]
    cards = ["".join(map(str, row)) for row in rows.tolist()]
    assert len({*cards}) == ROWS // times
    column = mistyped([cards[place] for place in random.permutation(np.arange(ROWS) % len(cards))], 0.01)
    table = pa.table({"column": HOLDERS[holder](column), "days": random.integers(1, 60, ROWS)})
    model = gpuvgm.TableSynthesizer(random_state=0).fit(table)
    assert model.schema_["column"].kind == "id" and "a sum modulo 11" in model.schema_["column"].reason
    drawn = [str(value) for value in model.sample(1_000)["column"].to_pylist()]
    assert not {*drawn} & {*column} and all(len(card) == 9 for card in drawn)
    assert np.mean([np.dot([*map(int, card)], weights) % 11 == 5 for card in drawn]) == 1
