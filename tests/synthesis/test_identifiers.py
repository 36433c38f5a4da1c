"""New identifiers: none is one of the table, whatever the form, the parts of the rows and the order of merging."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning
from gpuvgm.synthesis.keys.identifiers import IdentifierForm
from gpuvgm.synthesis.keys.patterns import Pattern
from gpuvgm.synthesis.keys.seen import LONGEST, MOST_PARTS, SeenValues
from gpuvgm.synthesis.keys.shapes import patterns_of
from gpuvgm.synthesis.keys.text_forms import identifier_form

ROWS = 20_000
RANDOM = np.random.default_rng(7)
NUMBERS = RANDOM.permutation(ROWS)
DIGITS = RANDOM.integers(0, 10, (ROWS, 9))
LETTERS = RANDOM.integers(0, 26, (ROWS, 4)) + ord("a")


def texts(make: Any) -> list[str]:
    return [make(i) for i in range(ROWS)]


def phone(i: int) -> str:
    return "+49 {}{}{} {}{}{}{}{}{}".format(*DIGITS[i])


COLUMNS = {
    "whole": (NUMBERS * 10 - 500, None),
    "unsigned": (NUMBERS.astype(np.uint64) + np.uint64(2**63), None),
    "running": (texts(lambda i: f"T{NUMBERS[i]:05d}"), r"T\d{5}"),
    "year": (texts(lambda i: f"TX-2024-{NUMBERS[i]:08d}"), r"TX-2024-\d{8}"),
    "countries": (texts(lambda i: f"{['US', 'UK', 'DE'][i % 3]}-{NUMBERS[i]:05d}"), r"(US|UK|DE)-\d{5}"),
    "phone": (texts(phone), r"\+49 \d{3} \d{6}"),
    "code": (texts(lambda i: f"{'AB'[i % 2]}X{DIGITS[i][0]}-{phone(i)[-6:]}"), r"[AB]X\d-\d{6}"),
    "mail": (
        texts(lambda i: f"{bytes(LETTERS[i].tolist()).decode()}{i % 7}@{['web', 'mail'][i % 2]}.com"),
        r"[a-z]{4}\d@(web|mail)\.com",
    ),
    "full": ([f"{n % 100:02d}/{n // 100 % 100:02d}" for n in NUMBERS], r"\d\d/\d{3}"),
    "address": (
        texts(lambda i: f"10.{NUMBERS[i] // 256}.{NUMBERS[i] % 256}.{DIGITS[i][0]}"),
        r"2[45]\d(\.([1-9]?\d|1\d\d|2[0-4]\d|25[0-5])){3}",
    ),
    "uuid": (texts(lambda i: str(UUID(int=int(NUMBERS[i]), version=4))), r"[-0-9a-f]{36}"),
    "uneven": (texts(lambda i: f"{NUMBERS[i]}" if i % 2 else f"a{NUMBERS[i]}x{i % 7}"), None),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame({name: values for name, (values, _) in COLUMNS.items()} | {"x": NUMBERS % 40})


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(dict.fromkeys(COLUMNS, "id")).fit(table)


@pytest.fixture(scope="module")
def sample(fitted: gpuvgm.TableSynthesizer) -> pd.DataFrame:
    with pytest.warns(UserWarning, match='column "full": 20,000 of 20,000 new values are longer'):
        return fitted.sample(ROWS)


@pytest.mark.parametrize("name", COLUMNS)
def test_no_value_of_a_sample_is_one_of_the_table(name: str, table: pd.DataFrame, sample: pd.DataFrame) -> None:
    rows = sample[name]
    assert not {*rows} & {*table[name]}
    assert rows.is_unique
    pattern = COLUMNS[name][1]
    assert pattern is None or rows[: ROWS // 2].str.fullmatch(pattern).all()


def test_running_numbers_begin_after_all_rows_and_not_those_of_a_sample(tmp_path: Path) -> None:
    """The largest numbers stand in one place, of a file that does not know its rows."""
    rows = 300_000
    keys = np.arange(rows)
    keys[299_990] = 400_000
    frame = pd.DataFrame({"id": keys, "text": [f"C{key:06d}" for key in keys], "x": keys % 40})
    frame["year"] = [f"C-2024/{key}" for key in keys]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    columns = dict.fromkeys(["id", "text", "year"], "id")
    sample = gpuvgm.TableSynthesizer(columns).fit(tmp_path / "rows.csv").sample(3).to_pydict()
    assert sample["id"] == [400_001, 400_002, 400_003]
    assert sample["text"] == ["C400001", "C400002", "C400003"]
    assert sample["year"] == ["C-2024/400001", "C-2024/400002", "C-2024/400003"]


@pytest.mark.parametrize("name", ["running", "phone", "full"])
def test_what_is_seen_does_not_depend_on_blocks_or_their_order(name: str) -> None:
    values: Any = COLUMNS[name][0]
    form = identifier_form(pa.chunked_array([values]))
    assert form is not None
    parts = [SeenValues.of(form.patterns, pa.array(values[at::7])) for at in range(7)]
    forth = back = SeenValues()
    for part in parts:
        forth, back = forth.merge(part), part.merge(back)
    assert forth == back == SeenValues.of(form.patterns, pa.array(values))


def test_forms_of_more_rows_make_none_of_them(table: pd.DataFrame) -> None:
    """By another fit that is merged, or by rows that are added: what the first rows lacked is no longer made."""
    half = gpuvgm.TableSynthesizer(dict.fromkeys(COLUMNS, "id")).fit(table[: ROWS // 2])
    other = gpuvgm.TableSynthesizer(like=half).fit(table[ROWS // 2 :])
    merged, swapped = half.merge(other), other.merge(half)
    assert merged.identifiers_ == swapped.identifiers_ == half.partial_fit(table[ROWS // 2 :]).identifiers_
    with pytest.warns(UserWarning, match='column "full": 5,000 of 5,000 new values are longer'):
        rows = merged.sample(5_000)
    assert not any({*rows[name]} & {*table[name]} for name in COLUMNS)


def test_what_a_form_keeps_are_no_values(fitted: gpuvgm.TableSynthesizer) -> None:
    """Parts of a text at most, each of which leaves many values open, and no more than 4,096."""
    for form in fitted.identifiers_.values():
        assert sum(len(pattern.unseen) for pattern in form.patterns) <= MOST_PARTS
        for pattern in form.patterns:
            assert not pattern.unseen or pattern.values >= 10 * len(pattern.unseen)


def test_shapes_whose_values_all_occur_get_longer() -> None:
    values = pa.chunked_array([[f"{n:02d}-x" for n in range(100)]])
    form = IdentifierForm("shape", (Pattern(r"\0\0-x"),))
    longer = form.refined(SeenValues.of(form.patterns, values.chunk(0)))
    made = longer.values("x", np.arange(1_500, dtype=np.uint64), 0).to_pylist()
    assert len({*made}) == 1_500
    assert all(re.fullmatch(r"\d{3}-x", text) for text in made[:1_000])
    assert all(re.fullmatch(r"\d{4}-x", text) for text in made[1_000:])
    longer = longer.refined(SeenValues.of(longer.patterns, pa.array(["123-xyz"])))
    assert re.fullmatch(r"\d{6}-x", longer.values("x", np.arange(1, dtype=np.uint64), 0)[0].as_py())
    longest = longer.refined(SeenValues.of(longer.patterns, pa.array(["x" * LONGEST])))
    assert longest.values("x", np.arange(1, dtype=np.uint64), 0).null_count == 1


def test_texts_of_other_shapes_are_not_counted() -> None:
    seen = SeenValues.of((Pattern(r"ä\0\a"),), pa.array(["ä1a", "ä1A", "a1a", "ä1", "ä1ab", None, "ää1"]))
    (shape,) = seen.shapes
    assert (shape.rows, seen.longest) == (1, 4)
    assert np.unpackbits(np.frombuffer(shape.parts[0], np.uint8)).sum() == 1


def test_rare_texts_are_no_codes() -> None:
    """A prefix of one row may name someone."""
    values = [f"{'AB' if i else 'ZQ'}{i:05d}-{i % 7}" for i in range(5_000)]
    form = identifier_form(pa.chunked_array([values]))
    assert form is not None
    assert "ZQ" not in repr(form)


LACKING = {
    "number": np.arange(4_000) * 10,
    "running": [f"C{i:05d}" for i in range(4_000)],
    "shape": [phone(i) for i in range(4_000)],
    "uuid": [str(UUID(int=i * 7919 << 64 | i)) for i in range(4_000)],
}


@pytest.mark.parametrize("declared", [None, dict.fromkeys(LACKING, "id")])
def test_as_many_identifiers_are_missing_as_in_the_table(declared: Any, reloaded: Any) -> None:
    missing = np.random.default_rng(3).random(4_000) < 0.3
    columns = {name: pa.array(values, mask=missing) for name, values in LACKING.items()}
    table = pa.table(columns).append_column("x", pa.array(NUMBERS[:4_000] % 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        fitted = gpuvgm.TableSynthesizer(declared, random_state=0, threads=1).fit(table)
    sample = fitted.sample(4_000)
    for name in LACKING if declared else list(LACKING)[1:]:  # such numbers are modelled
        present = sample[name].drop_null().to_pylist()
        assert sample[name].null_count / 4_000 == pytest.approx(missing.mean(), abs=0.03)
        assert len({*present}) == len(present) and not {*present} & {*table[name].to_pylist()}
    assert reloaded(fitted).sample(4_000).equals(sample)
    assert fitted.sample(4_000, first_row=1_000).slice(0, 500).equals(sample.slice(1_000, 500))


YEARS, PREFIXES = range(2015, 2024), ("0151", "0160", "0170")
PARTS = {
    "years": (
        [f"CLM/{YEARS[i % 9]}/{n:05d}" for i, n in enumerate(NUMBERS)],
        rf"CLM/({'|'.join(map(str, YEARS))})/\d{{5}}",
    ),
    "prefixes": (
        [f"{PREFIXES[i % 3]}/{n * 49_999 % 10**6:06d}" for i, n in enumerate(NUMBERS)],
        r"(0151|0160|0170)/\d{6}",
    ),
    "leading zero": ([f"{'MH'[n % 2]}O{n // 2 % 10_000:08d}" for n in NUMBERS], r"[MH]O000[1-9]\d{4}"),
    "no room": ([f"{2000 + n // 1000}/{n % 1000:03d}" for n in NUMBERS], r"20[2-9]\d/\d{3}"),
}


@pytest.mark.parametrize("name", PARTS)
def test_few_numbers_of_a_form_are_kept_where_others_leave_room(name: str) -> None:
    values, pattern = PARTS[name]
    form = identifier_form(pa.chunked_array([values]), is_key=name == "prefixes") if name != "leading zero" else None
    form = form or IdentifierForm("shape", patterns_of(sorted({*values})))
    assert form is not None
    refined = form.refined(SeenValues.of(form.patterns, pa.array(values)))
    made = refined.values("x", np.arange(5_000, dtype=np.uint64), 0).to_pylist()
    assert all(re.fullmatch(pattern, text) for text in made)
    assert len({*made}) == len(made) and not {*made} & {*values}


def test_numbers_that_less_than_five_values_have_are_no_codes() -> None:
    """A year of one row may name someone."""
    numbers = np.random.default_rng(3).choice(10**6, 44, replace=False)
    values = [f"CLM/{1931 if i == 7 else YEARS[i % 2]}/{number:06d}" for i, number in enumerate(numbers)]
    form = identifier_form(pa.chunked_array([values]))
    assert form is not None and form.patterns[0].codes == (("2015", "2016"),)
    few = identifier_form(pa.chunked_array([[f"CLM/{2015 + i % 8}/{number:06d}" for i, number in enumerate(numbers)]]))
    assert few is not None and not few.patterns[0].codes


@pytest.mark.parametrize(
    "make",
    [
        lambda i: f"{i // 60 + 24}:{i % 60:02d}" + f":{i % 59:02d}" * (i % 2),
        lambda i: f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}T{i // 28 % 24:02d}:00:00+0{i % 2 + 1}:30",
        lambda i: f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2024" if i % 3 else f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}",
        lambda i: f"{i % 12 + 1}.{i // 12 % 12 + 1}.{1600 + i // 144}",
        lambda i: f"Mo. {i % 28 + 1}. Jan 2024 {i % 24}:{i // 24 % 60:02d} Uhr",
    ],
    ids=["durations of two forms", "offsets", "two forms", "an open order", "a foreign weekday"],
)
@pytest.mark.parametrize("options", [{}, {"when": "id"}], ids=["inferred", "declared"])
def test_no_date_or_time_is_made_up_digit_by_digit(make: Any, options: dict[str, str]) -> None:
    frame = pd.DataFrame({"when": texts(make)[:3_000], "x": NUMBERS[:3_000] % 40})
    if frame["when"].nunique() > 1_000:
        with pytest.warns(gpuvgm.errors.InferenceWarning, match="look like dates or times .* convert them first"):
            fitted = gpuvgm.TableSynthesizer(options).fit(frame)
        assert fitted.sample(50)["when"].isna().all()
    form = identifier_form(pa.chunked_array([frame["when"].tolist()]), is_key=True)
    assert form is not None
    assert form.kind == "moment"


@pytest.mark.parametrize("text", ["V{0}.{1}.2024", "{0}.{1}.{0}", "{0}-{1}", "{0}:{1}:{1}:{0}"])
def test_codes_with_the_marks_of_dates_and_times_are_made(text: str) -> None:
    column = pa.chunked_array([[text.format(i % 90 + 10, i // 90 + 10) for i in range(3_000)]])
    form = identifier_form(column)
    assert form is not None
    assert form.kind in ("shape", "number")


def test_codes_with_accents_are_kept() -> None:
    random = np.random.default_rng(0)
    kinds = random.choice(["AŽ", "LR"], 600, p=[0.6, 0.4])
    texts = [f"{104011 + number // 5 * 3}/{kind}{number % 5 + 1:02d}" for number, kind in enumerate(kinds)]
    table = pd.DataFrame({"hive": texts, "weight": random.normal(size=600).round(2)})
    hives = gpuvgm.TableSynthesizer({"hive": {"key": True}}, threads=1).fit(table).sample(500, seed=1).hive
    codes = hives.str.extract(r"^104\d{3}/(AŽ|LR)0\d$")[0]
    assert codes.notna().all()
    assert 0.5 < (codes == "AŽ").mean() < 0.75
    assert not hives.isin(texts).any()
