"""Whether keys and rows that follow each other are told: samples spoilt in one way each, halves of keys, and copies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Comparison
from gpuvgm.report.detection import LEAST_ROWS, Detection, _Examples, _variance
from gpuvgm.report.sequences import (
    LEAST_KEYS,
    LONGER,
    MOST_KEYS,
    MOST_ROWS,
    KeyDetection,
    PairDetection,
    Sequences,
    WholeKeys,
    _of_categories,
    _of_numbers,
    _of_pairs,
)
from gpuvgm.table import load_as
from tests.report.documents import parsed

ACCOUNTS = 220  # so many that boosted trees judge them
KEY = {"account": {"key": True}}


def bookings(accounts: int = ACCOUNTS, seed: int = 0) -> pd.DataFrame:
    """Accounts with a branch and a level of their own, whose bookings follow each other in time."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(accounts):
        name, branch, level = f"A{random.integers(10**8, 10**9)}", random.choice([*"NESW"]), random.normal(4, 0.7)
        moment = int(random.integers(0, 300 * 86_400))
        for _ in range(2 + random.poisson(4)):
            moment += 1 + int(random.exponential(9 * 86_400))
            rows.append((name, branch, moment, round(random.lognormal(level, 0.3), 2), random.choice([*"abc"])))
    frame = pd.DataFrame(rows, columns=["account", "branch", "booked", "amount", "kind"])
    return frame.assign(booked=pd.to_datetime(frame.booked, unit="s"))


def spoilt(how: str, accounts: int = ACCOUNTS) -> pd.DataFrame:
    """Other accounts, spoilt in one way, by which no row is told."""
    # Rows of accounts of seed 2 are told by what few accounts have, with scikit-learn 1.7 more than by chance.
    random, rows = np.random.default_rng(1), bookings(accounts, seed=4 if how == "rows" else 2)
    if how == "rows":  # each drawn for itself
        drawn = random.permutation(len(rows))
        return rows.assign(**{name: rows[name].to_numpy()[drawn] for name in ("branch", "booked", "amount", "kind")})
    if how == "branch":
        return rows.assign(branch=random.permutation(rows.branch))
    if how == "amount":
        return rows.assign(amount=random.permutation(rows.amount))
    if how == "alone":  # as if each row were an account
        return rows.assign(account=[f"X{place}" for place in range(len(rows))])
    if how == "following":  # whoever it is, the kind is that before
        return rows.assign(kind=rows.groupby("account").kind.transform("first"))
    return rows


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return bookings()


@pytest.fixture(scope="module")
def transformer(original: pd.DataFrame) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(KEY, effort="research", max_iter=5).fit(original)


@pytest.fixture(scope="module")
def honest(transformer: gpuvgm.TableTransformer, original: pd.DataFrame) -> Comparison:
    return transformer.evaluate(original, compare=bookings(40, seed=5))


def compared(rows: pd.DataFrame, transformer: gpuvgm.TableTransformer, original: pd.DataFrame) -> Comparison:
    return transformer.evaluate(original, compare=rows)


@pytest.mark.parametrize(
    ("how", "keys", "pairs"),
    [
        ("rows", {"branch", "booked", "amount"}, {"branch", "booked", "amount"}),
        ("branch", {"branch"}, {"branch"}),
        ("amount", {"amount"}, {"amount"}),
        ("alone", {"account", "branch", "booked", "amount", "kind"}, None),
        ("following", {"kind"}, {"kind"}),
    ],
)
def test_rows_that_do_not_belong_together_are_told_though_no_row_is(
    how: str,
    keys: set[str],
    pairs: set[str] | None,
    transformer: gpuvgm.TableTransformer,
    original: pd.DataFrame,
) -> None:
    found = compared(spoilt(how), transformer, original)
    sequences = found.sequences
    assert found.detection.hardly and sequences.key == "account" and sequences.index == "booked"
    assert not sequences.keys.by_chance and {feature.column for feature in sequences.keys.seen} <= keys
    if pairs is None:
        assert sequences.pairs is None
    else:
        assert not sequences.pairs.by_chance and {feature.column for feature in sequences.pairs.seen} <= pairs
    assert found.broken({"max_sequence_auc": 0.7}) and not found.broken({"max_sequence_auc": 1, "max_auc": 0.6})
    figures = f"{sequences.clearest.how} {sequences.clearest.figures}"
    told = f"classifier tells the rows of one account from original ones {figures}"
    beside = (
        f"can hardly be told from original ones (AUC {found.detection.auc:.3f}), but the rows of one account {figures}"
    )
    # Of a sample that breaks a law it is no praise that rows are hardly told.
    assert (
        beside if found.broken_law is None else f"; a {told}"
    ) in found.verdict and "no column stands out" not in found.verdict
    page = parsed(found.to_html())
    assert any(item.text.startswith(f"A {told}.") for item in page.all("ul", "warning")[0].all("li"))
    tiles = {tile.all("dt")[0].text: tile for tile in page.all("dl")[0].all("div")}
    assert tiles["AUC of keys"].attributes["title"] == sequences.keys.words
    assert ("AUC of pairs of rows" in tiles) == (pairs is not None)
    text = " ".join(found.to_text().split())
    assert f"rows of one account, in the order of booked: {sequences.keys.text}" in text
    document = json.loads(json.dumps(found.to_dict()))["sequences"]
    assert document["key"] == "account" and document["auc"] == sequences.auc
    assert document["keys"]["verdict"] == sequences.keys.words


@pytest.mark.parametrize("seed", range(2))
def test_other_keys_of_the_same_sort_are_not_told(
    seed: int, transformer: gpuvgm.TableTransformer, original: pd.DataFrame
) -> None:
    """Nor are rows: those of a key are alike, and are learnt or asked about together."""
    found = compared(bookings(seed=10 + seed), transformer, original)
    assert found.detection.by_chance and found.sequences.keys.by_chance and found.sequences.pairs.by_chance
    assert found.sequences.keys.seen == found.sequences.pairs.seen == ()
    assert found.verdict.startswith("Synthetic rows can hardly be told from original ones (AUC 0.5")
    assert "account" not in found.verdict and found.verdict.endswith("no column stands out")
    assert found.broken({"max_sequence_auc": 0.6}) == []


def test_copied_keys_are_not_told(transformer: gpuvgm.TableTransformer, original: pd.DataFrame) -> None:
    copied = original.assign(account="Z" + original.account)
    found = compared(copied, transformer, original)
    assert found.sequences.keys.auc == 0.5 and found.sequences.pairs.auc == 0.5
    assert "the rows of one account" not in found.verdict


def test_a_table_without_keys_of_several_rows_is_judged_as_ever(
    original: pd.DataFrame, transformer: gpuvgm.TableTransformer
) -> None:
    """Neither where no column says whose rows rows are, nor where each key has one, nor of few keys."""
    for rows in (original.drop(columns="account"), original.drop_duplicates("account")):
        plain = gpuvgm.TableTransformer(KEY if "account" in rows else None, effort="research", max_iter=2).fit(rows)
        found = plain.evaluate(rows, compare=rows)
        assert found.sequences is None and "sequences" not in found.to_dict()
        assert "AUC of keys" not in found.to_html() and "rows of one" not in found.to_text()
        assert found.broken({"max_sequence_auc": 1}) == [
            "the AUC of a classifier of rows that belong together is not known without enough keys of several rows, "
            "but must be at most 1"
        ]
    few = original[original.account.isin(original.account.unique()[: LEAST_KEYS - 1])]
    assert compared(few, transformer, original).sequences is None
    assert compared(original, transformer, few).sequences is None
    enough = original[original.account.isin(original.account.unique()[:LEAST_KEYS])]
    assert compared(enough, transformer, original).sequences.keys.synthetic_rows == LEAST_KEYS


def test_keys_are_found_among_categories_that_the_model_lacks() -> None:
    """Text of many values is categorical here; keys of a sample are no categories, and are told apart all the same."""
    original = bookings(300)
    fitted = gpuvgm.TableTransformer({"account": "categorical"}, effort="research", max_iter=2).fit(original)
    for how, is_told in (("honest", False), ("rows", True)):
        rows = spoilt(how, 300)
        sequences = fitted.evaluate(original, compare=rows).sequences
        assert sequences.keys.synthetic_rows == rows.account.nunique()
        assert sequences.keys.by_chance != is_told


def test_the_key_and_the_order_are_those_of_a_model_of_sequences(original: pd.DataFrame, tmp_path: object) -> None:
    """Also of its file, and whatever the order of the rows."""
    numbered = original.assign(number=original.groupby("account").cumcount()).drop(columns="booked")
    shuffled = numbered.sample(frac=1, random_state=0)
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="account", sequence_index="number", threads=1).fit(shuffled)
    found = synthesizer.evaluate(shuffled)
    assert (found.sequences.key, found.sequences.index) == ("account", "number")
    assert not found.sequences.pairs.seen or found.sequences.pairs.auc < 0.7
    synthesizer.save(tmp_path / "model.gpuvgm")
    spoilt_rows = numbered.assign(amount=np.random.default_rng(0).permutation(numbered.amount))
    of_file = load_as(gpuvgm.TableTransformer, tmp_path / "model.gpuvgm")
    read, loaded = (
        model.evaluate(shuffled, compare=spoilt_rows)
        for model in (of_file, gpuvgm.load(tmp_path / "model.gpuvgm").transformer_)
    )
    assert read.sequences == loaded.sequences and read.sequences.index == "number"
    assert read.sequences.clearest.level == 2


def test_blocks_and_threads_change_nothing(transformer: gpuvgm.TableTransformer, original: pd.DataFrame) -> None:
    fitted = gpuvgm.TableTransformer(KEY, effort="research", max_iter=5, block_rows=256, threads=2).fit(original)
    whole, cut = (compared(spoilt("rows"), one, original) for one in (transformer, fitted))
    assert (cut.sequences, cut.detection, cut.verdict) == (whole.sequences, whole.detection, whole.verdict)


def test_rows_of_missing_keys_are_keys_of_their_own(
    transformer: gpuvgm.TableTransformer, original: pd.DataFrame
) -> None:
    rows = spoilt("honest")
    lacking = rows.assign(account=rows.account.where(np.arange(len(rows)) % 7 > 0, None))
    found = compared(lacking, transformer, original)
    expected = lacking.account.nunique() + lacking.account.isna().sum()
    assert found.sequences.keys.synthetic_rows == expected


@pytest.mark.parametrize("type_", ["date", "categorical date", "duration", "falling"])
def test_rows_are_in_the_order_of_dates_that_rise(type_: str) -> None:
    """Days are ordered, whether they are counted or categories; durations and what falls are not."""
    rows = bookings(60)
    days = (rows.booked - pd.Timestamp(0)).dt.days.to_numpy()
    number = rows.groupby("account").cumcount().to_numpy()
    values = {
        "date": pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32()),
        "categorical date": pa.array(number.astype(np.int32), pa.int32()).cast(pa.date32()),
        "duration": pa.array(days, pa.duration("s")),
        "falling": pa.array(-days.astype(np.int32), pa.int32()).cast(pa.date32()),
    }
    table = pa.table({"account": rows.account, "when": values[type_], "amount": rows.amount})
    kinds = {**KEY, "when": "categorical"} if type_ == "categorical date" else KEY
    fitted = gpuvgm.TableTransformer(kinds, effort="research", max_iter=2).fit(table)
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    found = fitted.evaluate(table, compare=shuffled).sequences
    assert found.index == ("when" if "date" in type_ else "")
    # In the order of the days rows are what they were, but for those of one day.
    assert found.pairs.by_chance == ("date" in type_)


def keys_of(*counts: int) -> WholeKeys:
    keys = np.repeat(np.arange(len(counts)), counts)
    return WholeKeys(np.arange(len(keys)), keys)


def test_what_keys_are_like() -> None:
    numbers = np.array([1.0, 5.0, np.nan, 4.0, np.nan, np.inf, 2.0])
    found = dict(_of_numbers(keys_of(3, 1, 1, 2), numbers))
    assert found["mean"].tolist()[:2] == [3, 4] and np.isnan(found["mean"][2]) and found["mean"][3] == np.inf
    assert found["spread"].tolist()[:2] == [2, 0] and found["span"].tolist()[:2] == [4, 0]
    assert found["first value"][[0, 1, 3]].tolist() == [1, 4, np.inf] and found["last value"][3] == 2
    assert found["change from first to last"][[1, 3]].tolist() == [0, -np.inf]
    assert found["missing values"].tolist() == [1, 0, 1, 0]
    found = dict(_of_categories(keys_of(4, 2), np.array([0, 0, 1, 2**31 - 1, 1, 1])))
    assert found["most frequent value"].tolist() == [0, 1] and found["different values"].tolist() == [3, 1]
    assert found["share of the most frequent value"].tolist() == [0.5, 0]
    assert found["share of the second value"].tolist() == [0.25, 1] and found["changes"].tolist() == [2, 0]


def test_what_pairs_are_like() -> None:
    rows = keys_of(3, 1, 2)
    assert rows.successors.tolist() == [1, 2, 5] and rows.starts.tolist() == [0, 3, 4]
    values = {("x", ""): np.array([1.0, 4.0, 2.0, 0.0, 7.0, np.nan]), ("y", ""): np.array([0, 0, 1, 0, 1, 1])}
    found = dict(_of_pairs(values, rows.successors))
    assert found["x", "step"][:2].tolist() == [3, -2] and np.isnan(found["x", "step"][2])
    assert found["x", ""][:2].tolist() == [4, 2] and found["x", "previous value"].tolist() == [1, 4, 7]
    assert found["y", "change"].tolist() == [0, 1, 0] and found["y", "previous value"].tolist() == [0, 0, 1]


def test_whole_keys_are_chosen_by_their_hashes() -> None:
    """Which they are depends on the keys alone, and so many are taken as have the rows that are judged."""
    random = np.random.default_rng(0)
    keys = random.integers(1, 2**63, 40_000).astype(np.uint64)[random.integers(0, 40_000, 300_000)]
    chosen = WholeKeys.of(keys, 10)
    taken = np.unique(keys[chosen.places])
    assert MOST_ROWS * 0.99 < len(chosen.places) <= MOST_ROWS
    assert np.isin(keys, taken).sum() == len(chosen.places), "all of their rows"
    assert all(np.all(np.diff(chosen.places[chosen.keys == key]) > 0) for key in range(50))
    assert len(np.unique(keys[chosen.places[chosen.keys == 7]])) == 1
    order = random.permutation(len(keys))
    assert np.array_equal(np.unique(keys[order][WholeKeys.of(keys[order], 10).places]), taken)
    assert len(WholeKeys.of(keys, 1_000).places) < MOST_ROWS / 5
    assert LEAST_ROWS / 2 < len(WholeKeys.of(keys, 100_000).places) <= LEAST_ROWS
    assert len(WholeKeys.of(np.unique(keys), 1).places) == MOST_KEYS, "of keys of one row"


def test_of_long_keys_more_rows_are_taken() -> None:
    keys = np.repeat(np.random.default_rng(0).integers(1, 2**63, 500).astype(np.uint64), 400)
    assert len(np.unique(WholeKeys.of(keys, 1).keys)) == LEAST_ROWS
    longer = np.repeat(keys[::400], MOST_ROWS // 5)
    assert len(np.unique(WholeKeys.of(longer, 1).keys)) == 5 * LONGER


def test_the_deviation_of_the_auc_is_that_of_keys() -> None:
    """Rows of a key that are all alike say as much as one; rows each for itself have none of their own here."""
    random = np.random.default_rng(3)
    scores, labels = random.normal(size=200), np.repeat([0, 1], 100)
    alone = np.arange(200, dtype=np.uint64)
    assert _variance(scores, _Examples(np.empty((200, 0)), labels, alone)) == 0
    several = _Examples(np.empty((1000, 0)), np.repeat(labels, 5), np.repeat(alone, 5))
    found = _variance(np.repeat(scores, 5), several)
    drawn = []
    for _ in range(2000):
        one, other = (np.sort(random.choice(scores[side], 100)) for side in (slice(100), slice(100, None)))
        drawn.append(np.mean(np.searchsorted(one, other)) / 100)
    assert np.sqrt(found) == pytest.approx(np.std(drawn), rel=0.1)


@pytest.mark.parametrize(
    ("rows", "keys", "pairs", "told"),
    [
        (0.52, 0.52, 0.53, ""),
        (0.52, 0.9, 0.6, "can hardly be told from original ones (AUC 0.520), but the rows of one account at once"),
        (0.52, 0.52, 0.6, "can hardly be told from original ones (AUC 0.520), but the rows of one account with effort"),
        (0.65, 0.9, None, "from original ones with effort (AUC 0.650), and the rows of one account at once"),
        (0.9, 0.99, 0.9, ""),
        (0.65, 0.6, 0.6, ""),
        (None, 0.8, None, "A classifier tells the rows of one account from original ones at once (AUC 0.800)"),
    ],
)
def test_the_verdict_names_what_is_told_more_easily_than_rows(
    rows: float | None,
    keys: float,
    pairs: float | None,
    told: str,
    honest: Comparison,
) -> None:
    size = 5000, 5000
    sequences = Sequences(
        "account", "", KeyDetection(keys, *size), None if pairs is None else PairDetection(pairs, *size)
    )
    detection = None if rows is None else Detection(rows, *size)
    found = replace(honest, detection=detection, sequences=sequences)
    assert told in found.verdict and ("the rows of one account" in found.verdict) == bool(told)
    assert sum("the rows of one account" in advice.problem for advice in found._warnings()) == bool(told)
    assert sequences.auc == max(keys, pairs or 0)


def test_few_keys_are_judged_by_extra_trees(transformer: gpuvgm.TableTransformer, original: pd.DataFrame) -> None:
    few = spoilt("rows")
    few = few[few.account.isin(few.account.unique()[:60])]
    found = compared(few, transformer, original)
    assert found.sequences.keys.synthetic_rows == 60 < LEAST_ROWS and found.sequences.keys.level == 2
