"""Results come back as what the caller gave."""

from __future__ import annotations

from datetime import time
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import open_source, restore
from tests.io.conftest import rows_of


def through(given, block_rows=3):
    """Read everything in blocks and give it back."""
    source = open_source(given)
    return restore(rows_of(source, block_rows=block_rows), source)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "double": [1.5, np.nan, 3.0, 4.0],
            "single": np.array([1, 2, 3, 4], np.float32),
            "whole": np.arange(4),
            "byte": np.arange(4, dtype=np.uint8),
            "Int": pd.array([1, None, 3, 4], dtype="Int64"),
            "Unsigned": pd.array([1, None, 3, 4], dtype="UInt16"),
            "Float": pd.array([1.5, None, 3, 4], dtype="Float32"),
            "Bool": pd.array([True, None, False, True], dtype="boolean"),
            "flag": [True, False, True, True],
            "text": ["a", "b", None, "d"],
            "string": pd.array(["a", "b", None, "d"], dtype="string"),
            "category": pd.Categorical(["u", "v", "u", None], categories=["w", "v", "u"], ordered=True),
            "zone": pd.date_range("2024-01-01", periods=4, tz="Europe/Rome"),
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04"]),
            "span": pd.to_timedelta([1, 2, 3, 4], unit="h"),
            "arrow": pd.array([1, None, 3, 4], dtype="int64[pyarrow]"),
        },
        index=pd.Index(["p", "q", "r", "s"], name="key"),
    )


def test_pandas_comes_back_with_dtypes_and_index(frame):
    pd.testing.assert_frame_equal(through(frame), frame, check_column_type=False)


def test_categories_keep_their_time_zone():
    days = pd.to_datetime(["2024-01-01", None, "2024-07-01"]).tz_localize("Europe/Rome")
    frame = pd.DataFrame({"day": pd.Categorical(days, ordered=True)})
    pd.testing.assert_frame_equal(through(frame, 2), frame)
    encoded = TableTransformer().fit(frame)
    back = encoded.inverse_transform(encoded.transform(frame))
    pd.testing.assert_frame_equal(back, frame)
    block = next(open_source(frame).blocks(["day"], 3))
    bare = restore(pa.Table.from_batches([block.batch]), open_source({"other": [1]}), flavour="pandas")
    assert bare["day"].tolist() == frame["day"].tolist()


def test_an_index_of_another_length_is_not_forced(frame):
    source = open_source(frame)
    assert restore(pa.table({"a": [1.0, 2.0]}), source).index.equals(pd.RangeIndex(2))


def test_new_columns_of_pandas_get_plain_dtypes(frame):
    encoded = pa.table(
        {
            "double.scalar": pa.array([1, 2, None, 4], pa.float32()),
            "double.mode": pa.array([1, 2, 3, 4], pa.uint8()),
            "maybe": pa.array([1, None, 2**53 + 1, 4]),
            "valid": pa.array([True, None, False, True]),
        }
    )
    got = restore(encoded, open_source(frame))
    assert got.dtypes.astype(str).to_dict() == {
        "double.scalar": "float32",
        "double.mode": "uint8",
        "maybe": "Int64",
        "valid": "boolean",
    }
    assert np.isnan(got["double.scalar"].iloc[2])
    assert got["maybe"].iloc[2] == 2**53 + 1
    assert got.index.equals(frame.index)


def test_given_dtypes_win_where_values_fit(frame):
    words = pa.array(["u", "v", "new", "u"])
    table = pa.table(
        {"whole": [1, None, 3, 4], "byte": [1, 2, 3, 4], "category": words, "coded": words.dictionary_encode()}
    )
    dtypes = {"whole": "int64", "byte": "Int8", **dict.fromkeys(("category", "coded"), frame["category"].dtype)}
    got = restore(table, open_source(frame), dtypes)
    assert got["whole"].tolist()[0] == 1 and got["whole"].isna().tolist() == [False, True, False, False]
    assert str(got["byte"].dtype) == "Int8"
    assert got["category"].tolist() == got["coded"].tolist() == words.to_pylist()


def test_polars_comes_back():
    frame = pl.DataFrame({"a": [1.5, None, 3.0, 4.0], "b": [1, 2, 3, None], "c": ["x", "y", None, "z"]})
    assert through(frame).equals(frame)


def test_pyarrow_streams_and_paths_give_tables(forms, table):
    for given in (table, forms.reader(), forms.parquet(), iter([table])):
        assert isinstance(through(given), pa.Table)


def test_dicts_and_matrices_give_dicts_of_arrays():
    arrays = {
        "x": np.array([1.5, np.nan, 3.0]),
        "n": np.array([1, 2, 2**62]),
        "f": np.array([1, 2, 3], np.float32),
        "t": np.array(["2024-01-01", "NaT", "2024-01-03"], "M8[s]"),
    }
    for block_rows in (2, 10):
        got = through(arrays, block_rows)
        for name, values in arrays.items():
            assert got[name].dtype == values.dtype
            np.testing.assert_array_equal(got[name], values)
            assert got[name].flags.writeable
            assert not np.shares_memory(got[name], values)
    got = through(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(got["1"], [1.0, 3.0, 5.0])


def test_missing_in_dicts_is_nan():
    got = restore(pa.table({"n": pa.array([1, None])}), open_source({"n": np.zeros(2)}))
    assert got["n"].dtype == np.float64
    assert np.isnan(got["n"][1])


FAR = 2**60 + 3  # between two floats


def arrays_of(table):
    return restore(table, open_source({"any": np.zeros(1)}))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"c": pd.Categorical(["a", None, "b"] * 20)}),
        pl.DataFrame({"c": pl.Series(["a", None, "b"] * 20, dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(["a", None, "b"] * 20, dtype=pl.Enum(["b", "a"]))}),
        pa.table({"c": pa.array(["a", None, "b"] * 20).dictionary_encode()}),
    ],
    ids=["pandas", "polars categorical", "polars enum", "arrow"],
)
def test_missing_categories_stay_missing_in_the_frame_of_a_matrix(frame):
    transformer = TableTransformer(effort="research").fit(frame)
    matrix = transformer.transform(frame, layout="onehot")
    values = list(transformer.inverse_transform(matrix)["c"])
    assert [None if str(value) in ("nan", "None") else str(value) for value in values] == ["a", None, "b"] * 20


@pytest.mark.parametrize("type_", [pa.int64(), pa.uint64()])
def test_integers_past_two_to_the_53_keep_their_digits_beside_missing_ones(type_):
    far = 2**64 - 3 if type_ == pa.uint64() else -FAR
    got = arrays_of(pa.table({"n": pa.array([far, None, 7], type_)}))["n"]
    assert got.dtype == object
    assert got.tolist() == [far, None, 7]
    assert arrays_of(pa.table({"n": pa.array([far, 7], type_)}))["n"].dtype == np.dtype(str(type_))


@pytest.mark.parametrize(("value", "dtype"), [(2**53, "f8"), (2**53 + 2, "O")])
def test_integers_with_missing_ones_are_floats_up_to_two_to_the_53(value, dtype):
    got = arrays_of(pa.table({"n": pa.array([value, None])}))["n"]
    assert got.dtype == dtype
    assert got[0] == value


def test_fitted_integers_past_two_to_the_53_come_back_whole_from_a_matrix():
    rows = [FAR, None, FAR + 2, FAR + 5] * 20
    transformer = TableTransformer({"n": {"kind": "categorical"}}, effort="research").fit({"n": rows})
    assert transformer.inverse_transform(transformer.transform({"n": rows}, layout="onehot"))["n"].tolist() == rows


def test_times_in_nanoseconds_are_durations_in_arrays():
    coarse = pa.array([1, None], pa.int64()).view(pa.time64("us"))
    fine = pa.array([1_001, None], pa.int64()).view(pa.time64("ns"))
    got = arrays_of(pa.table({"coarse": coarse, "fine": fine}))
    assert got["coarse"].tolist() == [time(microsecond=1), None]
    np.testing.assert_array_equal(got["fine"], np.array([1_001, "NaT"], "m8[ns]"))
    frame = restore(pa.table({"fine": fine}), open_source(pd.DataFrame({"any": [1]})))
    assert frame["fine"].dtype == pd.ArrowDtype(pa.time64("ns"))


def test_values_that_polars_cannot_have_are_refused():
    huge = pa.array([Decimal(10) ** 45], pa.decimal256(50, 0))
    far = pa.array([2**61], pa.int64()).view(pa.timestamp("s"))  # polars has no seconds, and would multiply them
    interval = pa.array([pa.MonthDayNano((1, 2, 3))])
    for values in (huge, far, far.view(pa.int64()).view(pa.duration("s")), interval):
        with pytest.raises(InputError, match='column "x" holds .* polars cannot have'):
            restore(pa.table({"x": values}), open_source(pl.DataFrame({"any": [1]})))


def test_dates_that_python_does_not_have_come_back_in_pandas():
    far = pa.array([2**30], pa.int32()).view(pa.date32())
    frame = restore(pa.table({"x": far}), open_source(pd.DataFrame({"any": [1]})))
    assert frame["x"].dtype == pd.ArrowDtype(pa.date32())
    assert arrays_of(pa.table({"x": far}))["x"].astype(np.int64).tolist() == [2**30]


def test_entries_of_a_dictionary_may_be_missing_or_repeated_in_pandas():
    entries = pa.array(["a", None, "b", "a"])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None], pa.int8()), entries)
    frame = restore(pa.table({"x": column}), open_source(pd.DataFrame({"any": [1]})))
    assert frame["x"].cat.categories.tolist() == ["a", "b"]
    assert frame["x"].astype(object).where(frame["x"].notna(), None).tolist() == ["a", None, "b", "a", None]


def test_a_column_that_only_makes_itself_an_arrow_array() -> None:
    """It has no dtype, and is of no library that is known."""

    class Column:
        def __init__(self, values: list[float]) -> None:
            self.values = values

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, rows: slice) -> Column:
            return Column(self.values[rows])

        def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:  # noqa: A002
            return pa.array(self.values, type or pa.float64())

    source = open_source({"x": Column([1.5, 2.5])})
    assert source.sample(["x"], [(0, 2)]).to_pydict() == {"x": [1.5, 2.5]}


@pytest.mark.parametrize("values", [[True, False, None], [1, 2, None]], ids=["booleans", "whole numbers"])
def test_missing_values_of_objects_of_pandas_are_none(values):
    frame = pd.DataFrame({"x": pd.Series(values * 20, dtype=object)})
    transformer = TableTransformer().fit(frame)
    back = transformer.inverse_transform(transformer.transform(frame))["x"]
    assert back.dtype == object
    assert back.tolist() == values * 20
