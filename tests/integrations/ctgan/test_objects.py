"""Discrete columns of Python objects: as texts and back, and as ctgan's own class encodes them."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pickle
import uuid
import warnings
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError
from gpuvgm.integrations import ctgan as drop_in
from gpuvgm.integrations.ctgan.objects import ObjectTexts, object_texts

NAN = float("nan")


class Size(enum.Enum):
    """Objects of a class of one's own."""

    SMALL = 1
    LARGE = 2


def series(values, dtype=object):
    array = np.empty(len(values), object)
    array[:] = values
    return pd.Series(array, dtype=dtype, name="x")


COLUMNS = {
    "text": series(["a", "A", " a", "a "]),
    "bytes": series([b"a", b"b", b"a"]),
    "bytes and text": series([b"a", "a", "b'a'", b""]),
    "tuples": series([(1, 2), (3,), (1, 2)]),
    "tuples of one length": series([(1, 2), (3, 4), (1, 2)]),
    "tuples with NaN": series([(1, NAN), (2,), (1, float("nan"))]),
    "frozensets": series([frozenset([1]), frozenset([2])]),
    "numbers and text": series([1, "1", 2.5, "2.5", "1 (int)"]),
    "booleans and text": series([True, "True", "a", 1.0]),
    "equal numbers": series([1, "1", True, 1.0, 2]),
    "0 and False": series([0, False, 2]),
    "whole and other numbers": series([1, 2.5, 1]),
    "blank text": series(["a", "", " ", "\t", "\n", "\u2028", "''"]),
    "blank text and missing values": series(["", None, "a", " "]),
    "None and NaN": series(["a", None, NAN, "b"]),
    "pandas.NA": series([pd.NA, "a", pd.NaT, "b"]),
    "None alone": series([None, None]),
    "words for nothing": series(["nan", "None", "NULL", None]),
    "whole numbers with None": series([1, None, 2]),
    "booleans": series([False, True, True]),
    "booleans with None": series([None, True, False]),
    "infinities": series([1.0, np.inf, -np.inf]),
    "infinities and text": series([1.0, np.inf, "inf"]),
    "negative zero": series([0.0, -0.0, 1.0]),
    "large integers": series([10**30, 10**30 + 1]),
    "integers of NumPy": series([np.int8(3), np.int8(-3)]),
    "text of NumPy": series([np.str_("a"), "a", "b"]),
    "timedelta": series([datetime.timedelta(1), datetime.timedelta(2)]),
    "Timedelta": series([pd.Timedelta("1D"), pd.Timedelta("2h"), pd.NaT]),
    "time": series([datetime.time(1), datetime.time(2), None]),
    "date": series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), None]),
    "Timestamp": series([pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-01")]),
    "time zones": series([pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02", tz="Europe/Berlin")]),
    "Decimal": series([decimal.Decimal("1.0"), decimal.Decimal("1.00"), decimal.Decimal("2.5")]),
    "Decimal and float": series([decimal.Decimal("1.5"), 1.5, 2]),
    "Fraction": series([fractions.Fraction(1, 3), fractions.Fraction(1, 2)]),
    "UUID": series([uuid.UUID(int=1), uuid.UUID(int=2)]),
    "Enum": series([Size.LARGE, Size.SMALL]),
    "classes": series([int, str]),
    "complex": series([1 + 2j, 2 + 0j]),
    "Interval": series([pd.Interval(0, 1), pd.Interval(1, 2)]),
    "Period": series([pd.Period("2020-02"), pd.Period("2020-01")]),
    "string dtype": series(["b", None, "", "a"], "string"),
    "string dtype of Arrow": series(["b", None, "", "a"], "string[pyarrow]"),
    "categories": series(["b", "a", "b", None], pd.CategoricalDtype(["unused", "a", "b"])),
    "categories of blank text": series(["", "a", " "], "category"),
    "categories of objects": series([b"b", b"a", None], "category"),
    "categories of numbers": series([3, 1, 3], pd.CategoricalDtype([1, 2, 3], ordered=True)),
    "intervals of a cut": pd.cut(pd.Series([1.0, 2.0, 3.0, NAN], name="x"), 3),
    "numbers": series([2.5, 1.0, 2.5], float),
    "integers of pandas": series([2, None, 1], "Int64"),
}
BY_NAME = pytest.mark.parametrize("name", COLUMNS)


def same(one, other):
    """Whether two values are alike, and of the same type."""
    return type(one) is type(other) and repr(one) == repr(other)


def places(column):
    return pd.factorize(column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array)[0].tolist()


# -- without ctgan


@BY_NAME
def test_objects_come_back_from_their_texts(name):
    column = COLUMNS[name]
    texts = ObjectTexts.of(column)
    encoded = texts.encode(column)
    assert all(text is None or (isinstance(text, str) and text.strip()) for text in encoded)
    assert encoded.isna().tolist() == column.isna().tolist()
    back = pickle.loads(pickle.dumps(texts)).decode(encoded)
    assert back.dtype == column.dtype
    assert places(encoded) == places(back) == places(column)
    if column.dtype == object:
        first = dict(reversed([*zip(places(column), column, strict=True)])) | {-1: NAN}
        assert all(same(value, first[place]) for place, value in zip(places(column), back, strict=True))


def test_text_stands_for_itself():
    texts = ObjectTexts.of(series([1, "1", b"b", "b'b'", "", "x"]))
    assert texts.texts == ("1 (int)", "1", "b'b' (bytes)", "b'b'", "''", "x")
    assert ObjectTexts.of(series(["", "''"])).texts == ("''", "'' (str)")
    assert not texts.are_values
    assert ObjectTexts.of(series(["x", None, "y"])).are_values


def test_unknown_values_have_other_texts():
    texts = ObjectTexts.of(series([1, "x", (1, 2)]))
    found = texts.encode(series(["1", True, (1, 2), "(1, 2)", None, "", "y", "x"])).tolist()
    assert found == ["1 (str)", "1", "(1, 2)", "(1, 2) (str)", None, "''", "y", "x"]
    assert texts.text((1, 2)) == "(1, 2)" and texts.text(pd.NaT) is None


def test_conditions_name_values_or_several():
    texts = ObjectTexts.of(series([(1, 2), b"ab", "", frozenset([1])]))
    assert texts.condition((1, 2)) == "(1, 2)"
    assert texts.condition(b"ab") == "b'ab'"
    assert texts.condition(frozenset([1])) == "frozenset({1})"
    assert texts.condition(["", (1, 2), None]) == ["''", "(1, 2)", None]


def test_only_objects_and_text_are_texts():
    frame = pd.concat([column.rename(name) for name, column in COLUMNS.items()], axis=1)
    kept = {"numbers", "integers of pandas", "categories of numbers"}
    assert set(object_texts(frame, set(frame))) == set(frame) - kept
    assert [*object_texts(frame, {"bytes"})] == ["bytes"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}])
def test_what_has_no_hash_is_refused(value):
    with pytest.raises(InputError, match=f'column "x", row 1 holds a {type(value).__name__}, .* to a tuple or text'):
        ObjectTexts.of(series(["a", value]))


# -- beside ctgan

# Of its own for tuples, which pandas spreads over columns, False where 0 came first, dates beside Timestamps, and NA.
OF_CTGAN = (ValueError, TypeError)
IGNORED = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:The data contains:UserWarning")


def repeated(column, rows=60):
    return pd.DataFrame({"x": column.iloc[np.arange(rows) % len(column)].reset_index(drop=True)})


def fitted(kind, rows, names=("x",)):
    transformer = kind()
    transformer.fit(rows, list(names))
    return transformer


@IGNORED
@BY_NAME
def test_encoded_and_decoded_as_by_ctgan(ctgan, name):
    frame = repeated(COLUMNS[name])
    stock, ours = fitted(ctgan.DataTransformer, frame), fitted(drop_in.DataTransformer, frame)
    expected, found = stock.transform(frame), ours.transform(frame)
    np.testing.assert_array_equal(found, expected)
    theirs, mine = stock.inverse_transform(expected), pickle.loads(pickle.dumps(ours)).inverse_transform(found)
    assert mine.dtypes.equals(theirs.dtypes)
    assert all(map(same, mine["x"], theirs["x"]))
    anything = np.random.default_rng(0).normal(size=(30, ours.output_dimensions))
    anything[:3] = 0
    assert all(map(same, ours.inverse_transform(anything)["x"], stock.inverse_transform(anything)["x"]))


@IGNORED
@BY_NAME
def test_values_stand_where_ctgan_has_them(ctgan, name):
    frame = repeated(COLUMNS[name])
    stock, ours = fitted(ctgan.DataTransformer, frame), fitted(drop_in.DataTransformer, frame)
    for row, value in enumerate(COLUMNS[name]):
        told = ours.convert_column_name_value_to_id("x", value)
        assert told["value_id"] == np.argmax(ours.transform(frame)[row])
        with suppress(*OF_CTGAN):
            assert told == stock.convert_column_name_value_to_id("x", value)


@pytest.mark.parametrize(
    ("values", "others"),
    [
        (["a", "b"], ["c", "a", "", None, NAN, "b"]),
        (["a", "b", None], ["c", "a", "", " ", None, "b"]),
        (["a", "b"], ["a", b"a", 1, ("a",)]),
        ([1, "1"], [True, "1", 2, None, "2"]),
        ([b"a", ""], ["a", b"a", " ", ""]),
        ([1, 2, 3], [1, 4, 2]),
        ([1.5, NAN], [1.5, 2.5, NAN]),
        ([True, False], [True, True]),
        ([pd.Timestamp("2024-01-01")], [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-01")]),
    ],
)
def test_values_that_were_not_seen_are_zeros(ctgan, values, others):
    stock, ours = (fitted(kind, repeated(series(values))) for kind in (ctgan.DataTransformer, drop_in.DataTransformer))
    rows = pd.DataFrame({"x": series(others)})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        expected = stock.transform(rows)
    unseen = int((expected.sum(axis=1) == 0).sum())
    if not unseen:
        np.testing.assert_array_equal(ours.transform(rows), expected)
        return
    assert told
    with pytest.warns(UserWarning, match=f'column "x": {unseen} values? w(as|ere) not seen in fit: .* zeros'):
        found = ours.transform(rows)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match='column "x"'):
        ours.rows(rows)


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[1.5, ""], [2.5, " "], [8.0, None], [1.0, b"x"]] * 15, object),
        np.array([["a", "x"], ["", "y"], ["b", " "]] * 20),
        np.array([[True, False], [False, False], [False, True]] * 20),
        np.array([[True, "a"], [False, ""], [False, "b"]] * 20, object),
    ],
    ids=["objects", "text", "booleans", "booleans and text"],
)
@pytest.mark.parametrize("discrete", [[1], [0, 1]])
def test_arrays_of_objects(ctgan, rows, discrete):
    discrete = [0, 1] if rows.dtype.kind == "U" else discrete
    stock, ours = (fitted(kind, rows, discrete) for kind in (ctgan.DataTransformer, drop_in.DataTransformer))
    expected, found = stock.inverse_transform(stock.transform(rows)), ours.inverse_transform(ours.transform(rows))
    assert type(found) is np.ndarray
    for number in range(2):
        for one, other in zip(found[:, number], expected[:, number], strict=True):
            assert same(one, other) if number in discrete or isinstance(one, bool) else np.isclose(one, other)


def test_booleans_among_numbers_may_be_objects(ctgan):
    frame = pd.DataFrame({"x": series([True, False, False] * 50), "c": ["a", "b"] * 75})
    stock, ours = (fitted(kind, frame, ["c"]) for kind in (ctgan.DataTransformer, drop_in.DataTransformer))
    pd.testing.assert_frame_equal(ours.inverse_transform(ours.transform(frame)), frame.infer_objects())
    pd.testing.assert_frame_equal(stock.inverse_transform(stock.transform(frame)), frame.infer_objects())
    general = drop_in.DataTransformer(columns={"x": "general"})
    general.fit(frame, ["c"])
    np.testing.assert_array_equal(general.inverse_transform(general.transform(frame))["x"], frame["x"])


def test_a_frame_is_not_changed(ctgan):
    frame = repeated(COLUMNS["bytes and text"])
    before = frame.copy()
    fitted(drop_in.DataTransformer, frame).transform(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_rows_of_another_kind(ctgan, tmp_path):
    words, objects = (fitted(drop_in.DataTransformer, repeated(series(one))) for one in (["a", None], ["a", ""]))
    path = tmp_path / "rows.parquet"
    repeated(series(["a", None])).to_parquet(path)
    np.testing.assert_array_equal(words.transform(path)[:2], [[1, 0], [0, 1]])
    with pytest.raises(InputError, match='"x": fitted with objects of Python; give rows as a pandas DataFrame'):
        objects.transform(path)


def test_models_of_objects_train_sample_and_are_stored(ctgan, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    frame = repeated(COLUMNS["bytes and text"], 600).assign(y=repeated(COLUMNS["tuples"], 600)["x"], z=np.arange(600.0))
    model = drop_in.CTGAN(embedding_dim=8, generator_dim=(16,), discriminator_dim=(16,), batch_size=100, pac=5)
    model.fit(frame, ["x", "y"], steps=3)
    model.save(tmp_path / "model.pt")
    loaded = drop_in.CTGAN.load(tmp_path / "model.pt")
    for one in (model, loaded):
        one.set_random_state(1)
    rows = loaded.sample(200)
    assert rows.equals(model.sample(200))
    assert set(rows["x"]) <= set(frame["x"]) and set(rows["y"]) <= set(frame["y"])
    assert set(loaded.sample(50, conditions={"x": [b"a", b""], "y": (3,)})["y"]) == {(3,)}
    assert len(loaded.sample(20, "y", (1, 2))) == 20
    with pytest.raises(InputError, match="conditions: column \"x\": 'c' is none of its categories"):
        loaded.sample(50, conditions={"x": "c"})
    loaded.sample(50, out=tmp_path / "rows.parquet")
    assert set(pq.read_table(tmp_path / "rows.parquet")["y"].to_pylist()) <= {"(1, 2)", "(3,)"}
