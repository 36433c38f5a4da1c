"""Kinds from a sample."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns.categories import is_category_type
from gpuvgm.columns.inference import RECOGNISERS, Finding, InferenceSettings, Sample, is_free_text, recognise

ROWS = 10_000


def found(values, type_=None, chunks=3, **settings):
    whole = pa.array(values, type_, from_pandas=False)
    size = -(-len(whole) // chunks) or 1
    column = pa.chunked_array([whole.slice(start, size) for start in range(0, len(whole), size)], whole.type)
    return recognise(Sample(column, InferenceSettings(**settings)))


def counts(*pairs, tail=0):
    """Values with their numbers of rows, then `tail` different ones from 1,000 on."""
    return [value for value, rows in pairs for _ in range(rows)] + list(range(1_000, 1_000 + tail))


TAIL, INFINITE = [float(value) for value in range(100)], float("inf")
DAY = datetime.date(2024, 1, 31)
NOON = datetime.datetime(2024, 1, 31, 12)
#: Values, their type, settings, and what is found.
FINDINGS = {
    "a constant": ([7] * 10, None, {}, Finding("categorical", "1 distinct value in 10 sampled rows")),
    "missing numbers are no value": (
        [1.0, 2.0, None, float("nan")] * 25,
        None,
        {},
        Finding("categorical", "2 distinct values in 100 sampled rows, 50 of them missing"),
    ),
    "nan alone is no value": ([float("nan")] * 5, None, {}, Finding("continuous", "no value in the sample")),
    "many different numbers": (
        np.arange(ROWS) * 0.5,
        None,
        {},
        Finding("continuous", "float64 with 10,000 distinct values in 10,000"),
    ),
    "many different numbers of float32": (
        np.arange(100, dtype=np.float32),
        None,
        {},
        Finding("continuous", "float32 with 100 distinct values in 100"),
    ),
    "categories that the caller rules out": (
        [0, 1] * 50,
        None,
        {"categorical": False},
        Finding("continuous", "int64 with 2 distinct values in 100; its options are not for categorical columns"),
    ),
    **{
        f"text as {type_}": (
            [f"{value % 16}" for value in range(ROWS)],
            type_,
            {},
            Finding("categorical", f"{type_} with 16 distinct values"),
        )
        for type_ in (pa.string(), pa.large_string(), pa.string_view())
    },
    "blank text is missing": (
        ["a", "", "  ", None],
        None,
        {},
        Finding("categorical", "string with 1 distinct value, 3 of 4 missing or blank"),
    ),
    "blank text alone": (["", None], None, {}, Finding("categorical", "no value in the sample")),
    "free text": (
        [str(value) for value in range(2_000)],
        None,
        {},
        Finding("pass", "string with 2,000 distinct values in 2,000: identifiers or free text"),
    ),
    "booleans": ([True, False, None], None, {}, Finding("categorical", "bool")),
    "a frequent number": (
        counts((0, 413), (5, 23), tail=564),
        None,
        {},
        Finding("mixed", "41.3 % of the sampled values are 0, the next most frequent value has 2.3 %", {"modal": [0]}),
    ),
    "an infinite number is no spike beside another": (
        [INFINITE] * 10 + [0.0] * 90 + TAIL,
        None,
        {},
        Finding(
            "mixed", "45.5 % of the sampled values are 0, the next most frequent value has 0.5 %", {"modal": [0.0]}
        ),
    ),
    "shares are of the values that are there": (
        [None] * 1_000 + counts((0, 50), tail=50),
        None,
        {},
        Finding(
            "mixed",
            "50.0 % of the sampled values are 0, the next most frequent value has 1.0 %, 1,000 of 1,100 missing",
            {"modal": [0]},
        ),
    ),
    "tiny shares": (
        counts((0, 90_000), tail=10_000),
        None,
        {},
        Finding(
            "mixed", "90.0 % of the sampled values are 0, the next most frequent value has 0.001 %", {"modal": [0]}
        ),
    ),
    "a dictionary of numbers": (
        pa.array(range(5_000)).dictionary_encode(),
        None,
        {},
        Finding("categorical", "dictionary of int64"),
    ),
}


#: By the recogniser that is the first to answer: values of such a column.
RECOGNISED = {
    "index_of_pandas": range(200, 0, -1),
    "other_types": [[1], [2]],
    "no_value": [None, float("nan")],
    "constant": [7] * 3,
    "numbered_rows": range(200),
    "check_digits": [100 * row + 98 - 100 * row % 97 for row in range(1_000, 99_000, 1_234)],  # ISO/IEC 7064, MOD 97-10
    "numbers_of_persons": [49_151_000_000 + 7_919 * row * row for row in range(100)],
    "moments_and_decimals": [f"2024-01-{day:02}" for day in range(1, 32)],
    "few_numbers": ["0", "1"] * 50,
    "spikes": [0] * 100 + [*range(100)],
    "other_numbers": [0.5, 1.5, 9.5],
    "uuids": [f"00000000-0000-0000-0000-{row:012}" for row in range(200)],
    "distinct_texts": [f"user {row}" for row in range(1_000)],
    "free_text": [f"user {row % 940}" for row in range(1_000)],
    "categories": [True, False],
}


def test_the_first_recogniser_that_answers_is_right():
    assert list(RECOGNISED) == [recogniser.__name__ for recogniser in RECOGNISERS]
    for name, values in RECOGNISED.items():
        column = pa.chunked_array([pa.array(values, from_pandas=False)])
        settings = InferenceSettings(texts=True, identifiers=True)
        names = {"index_of_pandas": "", "numbers_of_persons": "Phone No."}
        sample = Sample(column, settings, names.get(name, "x"))
        answers = {recogniser.__name__: recogniser(sample) for recogniser in RECOGNISERS}
        assert next(answer for answer in answers if answers[answer] is not None) == name
        assert recognise(sample) == answers[name]


@pytest.mark.parametrize("name", FINDINGS)
def test_findings(name):
    values, type_, settings, expected = FINDINGS[name]
    assert found(values, type_, **settings) == expected


#: Values, settings, and the kind of the column.
KINDS = {
    "one number, some missing": ([1.0, None] * 9, {}, "continuous"),
    "rare numbers among few": (counts((0, 99_940), (1, 59), (2, 1), (None, 100)), {}, "categorical"),
    "an infinite number is no category": ([1.0, 2.0, INFINITE] * 100, {}, "continuous"),
    "an infinite number is no spike": ([INFINITE] * 900 + TAIL, {}, "continuous"),
    "few rows of one number": ([5] * 9, {}, "continuous"),
    "few rows": ([1, 2, 3], {}, "continuous"),
    "spikes that the caller rules out": (counts((0, 500), tail=500), {"spikes": False}, "continuous"),
    "a dictionary of dates": (pa.array([DAY] * 3).dictionary_encode(), {}, "categorical"),
    "a dictionary of text": (pa.array(["a"], pa.large_string()).dictionary_encode(), {}, "categorical"),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name):
    values, settings, kind = KINDS[name]
    assert found(values, **settings).kind == kind


@pytest.mark.parametrize(
    ("categories", "rows", "kind"), [(20, 200, "categorical"), (20, 199, "continuous"), (21, 2_100, "continuous")]
)
@pytest.mark.parametrize("type_", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()])
def test_few_different_numbers_are_categorical(categories, rows, kind, type_):
    assert found(np.arange(rows) % categories, type_).kind == kind


def test_up_to_three_numbers_are_modal_values():
    finding = found(counts((-1.0, 100), (0.0, 400), (99.5, 60), tail=440))
    assert finding.options == {"modal": [0.0, -1.0, 99.5]}
    assert finding.reason == (
        "40.0 % of the sampled values are 0, 10.0 % are -1, 6.0 % are 99.5, the next most frequent value has 0.1 %"
    )
    assert [type(value) for value in finding.options["modal"]] == [float] * 3


@pytest.mark.parametrize(
    ("leading", "tail", "modal"),
    [
        ([(0, 50), (1, 10)], 940, (0,)),  # 5 %, five times as frequent
        ([(0, 49)], 951, ()),  # below 5 %
        ([(0, 99), (1, 20)], 881, ()),  # less than five times as frequent
        ([(0, 99), (1, 99), (2, 20)], 782, ()),
        ([(0, 100), (1, 100), (2, 20)], 780, (0, 1)),
        ([(0, 100), (1, 100), (2, 100)], 700, (0, 1, 2)),
        ([(0, 100), (1, 100), (2, 100), (3, 100)], 600, ()),  # a fourth one is no spike, and too frequent
        ([(0, 600), (1, 100), (2, 100), (3, 100)], 100, (0,)),
    ],
)
def test_what_stands_out(leading, tail, modal):
    finding = found(counts(*leading, tail=tail))
    assert finding.options.get("modal", []) == [*modal]
    assert finding.kind == ("mixed" if modal else "continuous")


def test_numbers_keep_their_digits():
    large = 2**63 + 1
    assert found([large] * 500 + list(range(500)), pa.uint64()).options == {"modal": [large]}
    finding = found([-0.0, 0.0] * 250 + [value / 7 for value in range(1, 500)])
    assert finding.options == {"modal": [0.0]}
    assert not np.signbit(finding.options["modal"][0])
    assert "are 0.1," in found(np.array([0.1] * 500 + list(range(500)), np.float32)).reason


@pytest.mark.parametrize(
    ("distinct", "rows", "kind"),
    [(101, 101, "pass"), (100, 100, "categorical"), (1_900, 2_000, "categorical"), (1_901, 2_000, "pass")],
)
@pytest.mark.parametrize("dictionary", [False, True])
def test_identifiers_and_free_text_pass_through(distinct, rows, kind, dictionary):
    values = pa.array([f"id {row % distinct}" for row in range(rows)] + [None, ""] * 500)
    assert found(values.dictionary_encode() if dictionary else values).kind == kind


@pytest.mark.parametrize(
    ("rows", "distinct", "is_free"),
    [
        (2_569, 257, True),
        (2_570, 257, False),  # ten rows each
        (300, 257, True),
        (2_000, 256, False),
        (34, 31, True),
        (35, 31, False),
        (33, 30, False),
        (10**7, 10**6 + 1, True),
    ],
)
def test_text_of_fewer_than_ten_rows_a_value_is_free(rows, distinct, is_free):
    assert is_free_text(distinct, rows) == is_free


@pytest.mark.parametrize(
    ("rows", "distinct", "kind"),
    [(100_000, 50_000, "categorical"), (100_000, 90_000, "pass"), (34, 31, "pass"), (36, 32, "categorical")],
)
def test_a_sample_proposes_free_text_where_categories_are_hardly_so_few(rows, distinct, kind):
    values = [f"text {row % distinct}" for row in range(rows)]
    proposal = found(values, identifiers=True)
    assert (proposal.kind, proposal.remark) == (kind, "")  # all rows decide
    research = found(values)
    assert (research.kind, research.remark) == ("categorical", None)


LONG = " of a long text" * 20


@pytest.mark.parametrize(("rows", "distinct"), [(3_000, 1_000), (3_000, 900), (2_000, 2_000), (2_000, 20)])
@pytest.mark.parametrize("blanks", [0, 7])
def test_large_text_is_told_as_small_text_is(rows, distinct, blanks, monkeypatch):
    values = [f"text {row % distinct}" for row in range(rows)] + [None, " "] * blanks
    settings = {"texts": True, "identifiers": True, "rows": rows}
    small = found(values, **settings)
    monkeypatch.setattr("gpuvgm.columns.inference.LARGE_SAMPLE", 0)
    assert found(values, **settings) == small


@pytest.mark.parametrize("form", ["{0:06} of long text", "{0},50 €"], ids=["text", "amounts"])
def test_a_sample_of_long_text_is_looked_at_where_it_lies(form):
    text = pa.chunked_array([pa.array([form.format(row) + LONG for row in range(60_000)])])
    outside = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(outside)
    pa.set_memory_pool(pool)
    try:
        assert recognise(Sample(text, InferenceSettings(texts=True, identifiers=True))).kind == "id"
    finally:
        pa.set_memory_pool(outside)
    assert pool.max_memory() < text.nbytes / 2


@pytest.mark.parametrize(("distinct", "kind"), [(2_000, "pass"), (1_000, "categorical")])
def test_amounts_and_dates_that_are_not_read_are_said(distinct, kind):
    values = [f"$-{1_000 + row % distinct:,}.50" for row in range(2_000)]
    finding = found(values, texts=True, identifiers=True)
    assert finding.kind == kind
    assert finding.reason.endswith('; if they are numbers, convert them: "$-1,000.50" is not read as such')
    assert "convert" not in found(values[:100], texts=True).reason


def test_dictionaries_are_categorical():
    chunks = [pa.array(["a", "b", None]).dictionary_encode(), pa.array(["c", "b"]).dictionary_encode()]
    finding = recognise(Sample(pa.chunked_array(chunks)))
    assert finding.reason == "dictionary of string with 3 distinct values, 1 of 5 missing"


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (NOON, pa.timestamp("s")),
        (NOON, pa.timestamp("ns", "Europe/Berlin")),
        (DAY, pa.date32()),
        (DAY, pa.date64()),
        (NOON.time(), pa.time32("s")),
        (NOON.time(), pa.time64("ns")),
        (datetime.timedelta(1), pa.duration("ms")),
        (Decimal("12.50"), pa.decimal128(10, 2)),
    ],
)
def test_datetimes_and_decimals_are_continuous(value, type_):
    assert found([value] * 100, type_) == Finding("continuous", str(type_))
    assert found([None] * 5, type_) == Finding("continuous", "no value in the sample")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1], []]),
        pa.array([{"a": 1}]),
        pa.array([b"a"]),
        pa.array([b"a"], pa.binary(1)),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        pa.array([Decimal(1)], pa.decimal256(50, 0)),
        pa.array([b"a", b"b"]).dictionary_encode(),
        pa.array([None], pa.month_day_nano_interval()),
        pa.array([None], pa.list_(pa.int8())),
    ],
)
def test_other_types_pass_through(values):
    finding = found(values)
    assert finding.kind == "pass"
    assert finding.reason.endswith("values, which only pass through")
    assert not is_category_type(values.type)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        *((type_, "continuous") for type_ in (pa.int32(), pa.float16(), pa.float64(), pa.null())),
        *((type_, "categorical") for type_ in (pa.string(), pa.bool_(), pa.dictionary(pa.int8(), pa.string()))),
    ],
)
@pytest.mark.parametrize("rows", [0, 5])
def test_columns_without_a_value(type_, kind, rows):
    assert found([None] * rows, type_) == Finding(kind, "no value in the sample")


def test_few_numbers_of_a_sample_that_are_many_in_all_rows_stay_numbers():
    values = np.arange(1_000_000) % 7  # more than the sample holds
    values[::9_973] = 100 + np.arange(len(values[::9_973])) % 3
    few = TableTransformer(random_state=0).fit({"x": values})
    assert few.schema_["x"].kind == "categorical"
    assert len(few.columns_["x"].categories) == 10
    values[7::45_000] = np.arange(500, 523)  # the sample meets one in eight
    many = TableTransformer(random_state=0).fit({"x": values})
    assert many.schema_["x"].kind in ("continuous", "mixed")
    assert "33 distinct values, of which the sample has at most 20" in many.schema_["x"].reason
    assert pa.table(many.inverse_transform(many.transform({"x": values})))["x"].to_numpy().tolist() == values.tolist()
