"""Whether a classifier tells rows: tables spoilt in one way each, halves of a table, copies, and parts of dates."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

import gpuvgm
from gpuvgm.codecs import DatetimeCodec, FloatCodec
from gpuvgm.report import Comparison
from gpuvgm.report.detection import LEAST_ROWS, MOST_ROWS, Detection, _auc, date_parts, row_hashes, sample_places
from tests.report.documents import parsed

ROWS = 4000
DAY = 86_400


def shop(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Orders: of days that weigh the same, mostly in the afternoon; two columns hang on each other."""
    random = np.random.default_rng(seed)
    width = random.normal(size=rows)
    clock = np.clip(random.normal(14, 3, rows) * 3600, 0, DAY - 1).astype(np.int64)
    return {
        "when": (18_000 + random.integers(0, 364, rows)) * DAY + clock,
        "width": width,
        "height": 2 * width + 0.2 * random.normal(size=rows),
        "price": random.gamma(2, 10, rows).round(2),
        "colour": random.choice([*"rgb"], rows, p=[0.4, 0.3, 0.3]),
        "city": np.array([f"c{i}" for i in (60 * random.random(rows) ** 2).astype(int)]),
    }


def as_table(columns: dict[str, np.ndarray]) -> pa.Table:
    when = pa.array(columns["when"], pa.timestamp("s"))
    return pa.table(columns).set_column(0, "when", when)


@pytest.fixture(scope="module")
def original() -> pa.Table:
    return as_table(shop(ROWS, 0))


@pytest.fixture(scope="module")
def transformer(original: pa.Table) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(effort="research", max_iter=5).fit(original)


def spoilt(how: str) -> dict[str, np.ndarray]:
    """Honest rows, spoilt in one way."""
    columns, random = shop(ROWS, 1), np.random.default_rng(2)
    when, colour = columns["when"], columns["colour"]
    ways = {
        "shifted": {"price": columns["price"] + 10},
        "shuffled": {"height": random.permutation(columns["height"])},
        "hours": {"when": when // DAY * DAY + (when + 6 * 3600) % DAY},
        "weekdays": {"when": when - (when // DAY + 3) % 7 // 5 * 2 * DAY},
        "lost": {"colour": np.where(colour == "b", "r", colour)},
        "missing": {"price": np.where(random.random(ROWS) < 0.3, np.nan, columns["price"])},
        "city": {"city": np.where(columns["city"] == "c0", "c9", columns["city"])},
        "honest": {},
    }
    return columns | ways[how]


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("shifted", ("price", "")),
        ("shuffled", ("height", "")),
        ("hours", ("when", "hour")),
        ("weekdays", ("when", "weekday")),
        ("lost", ("colour", "")),
        ("missing", ("price", "missing values")),
        ("city", ("city", "")),
    ],
)
def test_the_column_that_is_spoilt_is_seen_first(
    how: str, seen: tuple[str, str], transformer: gpuvgm.TableTransformer, original: pa.Table
) -> None:
    found = transformer.evaluate(original, compare=as_table(spoilt(how)))
    detection = found.detection
    assert not detection.by_chance
    first = {(feature.column, feature.part) for feature in detection.seen[: 2 if how == "shuffled" else 1]}
    assert seen in first, "of a broken pair both columns are alike"
    assert [feature.drop for feature in detection.seen] == sorted((one.drop for one in detection.seen), reverse=True)
    text = " of ".join(filter(None, reversed(seen)))
    assert text in detection.text.partition("seen first: ")[2]
    assert not found.near.stand_out
    line, *further = found.verdict.split("; ")
    if how == "hours":  # of a table without nights
        assert found.broken_law.law == "hour(when)" and further[0] == detection.text
    else:
        assert found.broken_law is None and line == detection.text[0].upper() + detection.text[1:]
    page = parsed(found.to_html())
    assert page.all("dl")[0].all("dt")[0].text == "AUC of a classifier"
    assert page.all("p", "verdict")[0].text.startswith(line)
    if not detection.hardly:
        assert page.all("ul", "warning")[0].all("li")[0].text.startswith(line)
        assert "no column stands out" not in found.verdict
    document = json.loads(json.dumps(found.to_dict()))["detection"]
    assert (document["auc"], document["verdict"]) == (detection.auc, detection.words)
    assert (document["seen"][0]["column"], document["rows"]) == (detection.seen[0].column, ROWS)


@pytest.mark.parametrize("seed", range(3))
def test_halves_of_a_table_cannot_be_told(seed: int, transformer: gpuvgm.TableTransformer) -> None:
    """Nor can another sample of the distribution, though it has rare categories of its own."""
    rows = as_table(shop(ROWS, 10 + seed))
    half, other = rows[::2], rows[1::2]
    for one, two in ((half, other), (rows, as_table(shop(ROWS, 20 + seed)))):
        found = transformer.evaluate(one, compare=two)
        assert found.detection.by_chance and found.detection.seen == ()
        assert not found.near.stand_out
        assert found.verdict.startswith("Synthetic rows can hardly be told from original ones (AUC 0.5")
        assert found.verdict.endswith("; no column stands out")


@pytest.mark.parametrize("how", ["itself", "shuffled", "half"])
def test_copies_are_the_worst_though_nothing_tells_them(
    how: str, transformer: gpuvgm.TableTransformer, original: pa.Table
) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    copied = {"itself": original, "shuffled": original.take(pa.array(order))}.get(how)
    if copied is None:
        copied = pa.concat_tables([original[: ROWS // 2], as_table(shop(ROWS, 1))[ROWS // 2 :]])
    found = transformer.evaluate(original, compare=copied)
    assert found.detection.auc <= 0.52
    assert found.verdict.startswith(f"{'50.0' if how == 'half' else '100'} % of the synthetic rows equal an original")
    assert "hardly" not in found.verdict and "no column stands out" not in found.verdict
    assert found.near.stand_out
    if how != "half":
        assert found.detection.auc == 0.5


def test_few_rows_are_not_judged(transformer: gpuvgm.TableTransformer, original: pa.Table) -> None:
    few = transformer.evaluate(original, compare=original[: LEAST_ROWS - 1])
    assert few.detection is few.to_dict()["detection"] is None
    assert few.broken({"max_auc": 1}) == [
        "the AUC of a classifier is not known for fewer than 200 rows, but must be at most 1"
    ]
    assert transformer.evaluate(original, compare=original[:LEAST_ROWS]).detection is not None


def test_a_limit_of_the_auc(transformer: gpuvgm.TableTransformer, original: pa.Table) -> None:
    found = replace(transformer.evaluate(original, compare=original), detection=Detection(0.75, 300, 300))
    assert found.broken({"max_auc": 0.75}) == found.broken({"max_auc": None}) == []
    assert found.broken({"max_auc": 0.7}) == ["the AUC of a classifier is 0.75, but must be at most 0.7"]


@pytest.mark.parametrize(
    ("auc", "rows", "words"),
    [
        (0.55, 10_000, "can hardly be told"),
        (0.56, 10_000, "with effort"),
        (0.56, 200, "can hardly be told"),
        (0.70, 10_000, "with effort"),
        (0.71, 10_000, "at once"),
    ],
)
def test_what_an_auc_means(auc: float, rows: int, words: str) -> None:
    assert words in Detection(auc, rows, rows).text


def test_the_auc_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(5)
    labels, scores = random.integers(0, 2, 500), random.integers(0, 20, 500)
    expected = roc_auc_score(labels, scores + labels)
    assert _auc(scores + labels, labels) == pytest.approx(expected)


def test_columns_without_a_difference_tell_nothing() -> None:
    table = {"x": np.full(300, 2.5)}
    fitted = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit(table)
    assert fitted.evaluate(table, compare=table).detection == Detection(0.5, 300, 300)


def test_columns_that_no_model_sees_are_no_features() -> None:
    random = np.random.default_rng(6)
    tables = [
        {"x": random.normal(size=500), "id": [f"{word}{i}" for i in range(500)], "note": [word] * 500} for word in "ab"
    ]
    fitted = gpuvgm.TableTransformer({"id": "id", "note": "pass"}, effort="research", max_iter=5).fit(tables[0])
    assert fitted.evaluate(tables[0], compare=tables[1]).detection.by_chance


def judged(found: Comparison) -> tuple:
    return found.detection, found.near, found.verdict


@pytest.mark.parametrize(("block_rows", "threads"), [(256, 1), (1000, 2)])
def test_blocks_and_threads_change_no_verdict(
    block_rows: int, threads: int, transformer: gpuvgm.TableTransformer, original: pa.Table
) -> None:
    synthetic = as_table(spoilt("shifted"))
    whole = transformer.evaluate(original, compare=synthetic)
    how = {"block_rows": block_rows, "threads": threads}
    fitted = gpuvgm.TableTransformer(effort="research", max_iter=5, **how).fit(original)
    assert judged(fitted.evaluate(original, compare=synthetic)) == judged(whole)


def test_rows_are_taken_evenly() -> None:
    rows = 10 * MOST_ROWS + 7
    places = sample_places(rows, 5)
    assert len(places) == MOST_ROWS and len(np.unique(places)) == MOST_ROWS
    assert np.all(places // 10 >= np.arange(MOST_ROWS) - 1) and np.all(places < rows)
    assert np.max(np.diff(places)) <= 21
    assert np.bincount(places % 10).min() > MOST_ROWS / 12
    assert sample_places(300, 5).tolist() == [*range(300)]
    assert len(sample_places(rows, 2000)) < 1000
    assert len(sample_places(rows, 10**6)) == LEAST_ROWS


def test_equal_rows_have_pairs_of_hashes() -> None:
    one, other = {("x", ""): np.array([1.0, np.nan, 1.0, 2.0])}, {("x", ""): np.array([np.nan, 1.0, 3.0])}
    first, second = (words.tolist() for words in row_hashes(one, other))
    assert len({*first}) == 4 and len({*second}) == 3
    assert second[0] == first[1] and second[1] == first[0]
    assert second[2] not in first


@pytest.mark.parametrize(
    ("type_", "parts"),
    [
        (pa.timestamp("s"), ("hour", "weekday", "day of the month")),
        (pa.timestamp("ns", "America/New_York"), ("hour", "weekday", "day of the month")),
        (pa.timestamp("ms", "Asia/Kolkata"), ("hour", "weekday", "day of the month")),
        (pa.date32(), ("weekday", "day of the month")),
        (pa.date64(), ("weekday", "day of the month")),
        (pa.time32("s"), ("hour",)),
        (pa.duration("s"), ()),
        (pa.float64(), ()),
    ],
)
def test_parts_of_dates_are_those_of_the_calendar(type_: pa.DataType, parts: tuple[str, ...]) -> None:
    random = np.random.default_rng(7)
    zone = ZoneInfo(getattr(type_, "tz", None) or "UTC")
    moments = [datetime.fromtimestamp(second, zone) for second in random.integers(0, 2**31, 200).tolist()]
    moments.append(datetime(1969, 12, 31, 23, 59, tzinfo=zone))
    if pa.types.is_date(type_):
        values = pa.array([moment.date() for moment in moments], type_)
    elif pa.types.is_time(type_):
        values = pa.array([moment.time() for moment in moments], type_)
    elif pa.types.is_timestamp(type_):
        values = pa.array([moment if type_.tz else moment.replace(tzinfo=None) for moment in moments], type_)
    else:
        values = pa.array([*range(len(moments))], pa.int64()).cast(type_)
    base = 10**6 if pa.types.is_timestamp(type_) else 0
    codec = DatetimeCodec(type_, base) if pa.types.is_temporal(type_) else FloatCodec(type_)
    found = date_parts(codec, np.append(codec.encode(values), np.nan))
    expected = {
        "hour": [moment.hour for moment in moments],
        "weekday": [moment.weekday() for moment in moments],
        "day of the month": [moment.day - 1 for moment in moments],
    }
    assert tuple(found) == parts
    for part, rows in found.items():
        assert np.isnan(rows[-1])
        assert rows[:-1].tolist() == expected[part]


@pytest.mark.parametrize("kind", ["categorical", "continuous", "general", {"kind": "mixed", "modal": [0.1]}])
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_floats_a_rounding_apart_are_equal(kind: object, precision: type) -> None:
    random = np.random.default_rng(8)
    place, rest = random.integers(0, 4, 500), random.normal(size=500)
    values, noisy = np.array([0.1, 0.2, 0.3, 0.7])[place], np.array([0.3 - 0.2, 0.2, 0.1 + 0.2, 0.7])[place]
    fitted = gpuvgm.TableTransformer({"x": kind}, effort="research", max_iter=5).fit({"x": values, "y": rest})
    found = fitted.evaluate({"x": values, "y": rest}, compare={"x": noisy.astype(precision), "y": rest})
    assert found.columns["x"].score == found.copies.share == 1
    for count in getattr(found.columns["x"], "modal", ()):
        assert count.rows_before == count.rows_after == np.sum(place == 0)
    apart = fitted.evaluate({"x": values, "y": rest}, compare={"x": values + 1e-6, "y": rest})
    assert apart.columns["x"].score < 0.8


def test_a_column_among_many_is_seen() -> None:
    """More features than are permuted one by one."""
    random = np.random.default_rng(9)
    tables = [{f"c{i}": random.normal(size=1500) for i in range(150)} for _ in range(2)]
    tables[1]["c101"] += 1
    tables[1]["c17"] = tables[1]["c17"] - 0.8
    fitted = gpuvgm.TableTransformer(effort="research", n_components=2, max_iter=2).fit(tables[0])
    assert [one.text for one in fitted.evaluate(tables[0], compare=tables[1]).detection.seen] == ["c101", "c17"]
