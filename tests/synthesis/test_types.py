"""A sample has every column of the table, in its order and type, whatever the type."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import plain_type, plain_values_of
from gpuvgm.synthesis.drawing.values import missing_values
from gpuvgm.synthesis.learning.samples import SAMPLE_ROWS
from tests.io.arrow_types import ALL

ROWS = 300
WHOLE = np.random.default_rng(0).integers(0, 100, ROWS)
MASK = np.arange(ROWS) % 11 == 0
DAY = date(2024, 2, 1)
WORDS = [f"w{value % 5}" for value in WHOLE]
MOMENTS = [datetime(2024, 2, 1) + timedelta(hours=int(value)) for value in WHOLE]
ARROW: dict[str, Any] = {
    **{str(type_): pa.array(WHOLE, type_, mask=MASK) for type_ in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(type_): pa.array(WHOLE, type_) for type_ in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{str(type_): pa.array(WHOLE / 8).cast(type_) for type_ in (pa.float16(), pa.float32(), pa.float64())},
    **{str(type_): pa.array(WORDS, type_) for type_ in (pa.string(), pa.large_string(), pa.string_view())},
    **{
        str(type_): pa.array([Decimal(int(value)).scaleb(-1) for value in WHOLE], type_)
        for type_ in (pa.decimal32(6, 1), pa.decimal64(9, 1), pa.decimal128(20, 2), pa.decimal256(40, 1))
    },
    **{str(type_): pa.array(MOMENTS, type_) for type_ in (pa.timestamp("ms"), pa.timestamp("us", "Europe/Rome"))},
    "timestamp[ns, UTC]": pa.array(MOMENTS, pa.timestamp("ns", "UTC"), mask=MASK),
    "timestamp[s, +02:00]": pa.array(MOMENTS, pa.timestamp("s", "+02:00")),
    "date32": pa.array([DAY + timedelta(int(value)) for value in WHOLE]),
    "date64": pa.array([DAY + timedelta(int(value)) for value in WHOLE], pa.date64()),
    "time32": pa.array([time(int(value) % 24) for value in WHOLE], pa.time32("s")),
    "time64": pa.array([time(int(value) % 24, int(value) % 60) for value in WHOLE], pa.time64("us")),
    "duration": pa.array(WHOLE).cast(pa.duration("ms")),
    "bool": pa.array(WHOLE > 50, mask=MASK),
    "dictionary": pa.array(WORDS).dictionary_encode(),
    "dictionary of int8": pa.array(WORDS).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
    "dictionary of numbers": pa.array(WHOLE % 4).dictionary_encode(),
    "constant number": pa.array(np.full(ROWS, 7)),
    "constant text": pa.array(["same"] * ROWS),
    "missing numbers": pa.nulls(ROWS, pa.float64()),
    "missing text": pa.nulls(ROWS, pa.string()),
    "missing datetimes": pa.nulls(ROWS, pa.timestamp("us")),
    "null": pa.nulls(ROWS),
    "running number": pa.array(np.arange(ROWS)),
    "identifiers": pa.array([f"C{row:05d}" for row in range(ROWS)]),
    "free text": pa.array([f"row {row} says {row * 7919 % 997}" for row in range(ROWS)]),
    "text of dates": pa.array([(DAY + timedelta(int(value))).isoformat() for value in WHOLE]),
    "binary": pa.array([word.encode() for word in WORDS]),
}
PANDAS: dict[str, Any] = {
    **{name: WHOLE.astype(name) for name in ("int8", "uint16", "int64", "float32", "float64")},
    **{name: pd.array(WHOLE % 2, dtype=name) for name in ("Int8", "UInt32", "Int64", "Float32", "Float64")},
    "boolean": pd.array(
        [None if mask else bool(value % 2) for mask, value in zip(MASK, WHOLE, strict=True)], "boolean"
    ),
    "bool": WHOLE > 50,
    "object": np.array(WORDS, object),
    "string": pd.array(WORDS, "string"),
    "category": pd.Categorical(WORDS),
    "ordered category": pd.Categorical(WORDS, sorted(set(WORDS)), ordered=True),
    "datetime": pd.to_datetime(MOMENTS),
    "datetime with a zone": pd.to_datetime(MOMENTS).tz_localize("Europe/Rome"),
    "timedelta": pd.to_timedelta(WHOLE, unit="h"),
    "Arrow's int16": pd.array(WHOLE, pd.ArrowDtype(pa.int16())),
    "Arrow's text": pd.array(WORDS, pd.ArrowDtype(pa.string())),
    "intervals": pd.arrays.IntervalArray.from_arrays(WHOLE - 0.5, WHOLE + 0.5),
    "intervals of whole numbers": pd.arrays.IntervalArray.from_arrays(WHOLE % 9, WHOLE % 9 + 2, "left"),
    "intervals of moments": pd.cut(pd.Series(pd.to_datetime(MOMENTS)), 5).astype("interval").array,
    "intervals as categories": pd.cut(WHOLE, 4),
    "periods": pd.to_datetime(MOMENTS).to_period("D"),
    "months": pd.to_datetime(MOMENTS).to_period("M"),
    "months as categories": pd.Categorical(pd.to_datetime(MOMENTS).to_period("M")),
    "missing": np.full(ROWS, np.nan),
    "constant": np.full(ROWS, 3),
}
POLARS = [
    polars.Series("int16", WHOLE, polars.Int16),
    polars.Series("uint8", WHOLE, polars.UInt8),
    polars.Series("float32", WHOLE / 8, polars.Float32),
    polars.Series("date", [DAY + timedelta(int(value)) for value in WHOLE]),
    polars.Series("datetime", MOMENTS, polars.Datetime("ms")),
    polars.Series("duration", [timedelta(hours=int(value)) for value in WHOLE]),
    polars.Series("text", WORDS),
    polars.Series("categorical", WORDS, polars.Categorical),
    polars.Series("enum", WORDS, polars.Enum([*sorted(set(WORDS)), "never"])),
    polars.Series("boolean", WHOLE > 50),
    polars.Series("decimal", [Decimal(int(value)).scaleb(-2) for value in WHOLE], polars.Decimal(12, 2)),
    polars.Series("missing", [None] * ROWS, polars.Float64),
]


@pytest.mark.parametrize("name", ARROW)
def test_arrow_types(name: str) -> None:
    table = pa.table({"before": WHOLE, name: ARROW[name], "after": WORDS})
    sample = gpuvgm.TableSynthesizer(threads=1).fit(table).sample(40)
    assert sample.column_names == table.column_names
    assert sample.schema.types == table.schema.types


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_types(name: str, reloaded: Any) -> None:
    frame = pd.DataFrame({"before": WHOLE, name: PANDAS[name], "after": WORDS})
    synthesizer = gpuvgm.TableSynthesizer(threads=1).fit(frame)
    sample = synthesizer.sample(40)
    assert list(sample) == list(frame)
    assert sample.dtypes.to_list() == frame.dtypes.to_list()
    assert list(reloaded(synthesizer).sample(40)) == list(frame)


@pytest.mark.parametrize("fitted_on_file", [True, False])
def test_pandas_reads_its_nullable_dtypes_from_files(fitted_on_file: bool, tmp_path: Path, reloaded: Any) -> None:
    """Of what was sampled and of what was decoded, whether the model was fitted on the frame or on its file."""
    frame = pd.DataFrame(
        {name: one for name, one in PANDAS.items() if not name.startswith(("interval", "period", "month"))}
    )
    frame.loc[::9, [name for name, dtype in frame.dtypes.items() if pd.api.types.is_extension_array_dtype(dtype)]] = (
        None
    )
    frame.to_parquet(tmp_path / "table.parquet")
    dtypes = pd.read_parquet(tmp_path / "table.parquet").dtypes.astype(str).to_dict()
    source = tmp_path / "table.parquet" if fitted_on_file else frame
    reloaded(gpuvgm.TableSynthesizer(threads=1).fit(source)).sample(40, out=tmp_path / "sample.parquet")
    transformer = gpuvgm.TableTransformer().fit(source)
    transformer.transform(source, out=tmp_path / "encoded.parquet")
    transformer.inverse_transform(tmp_path / "encoded.parquet", out=tmp_path / "decoded.parquet")
    for file in ("sample.parquet", "decoded.parquet"):
        assert pd.read_parquet(tmp_path / file).dtypes.astype(str).to_dict() == dtypes


@pytest.mark.parametrize("name", [name for name in PANDAS if name.startswith(("intervals", "periods", "months"))])
def test_intervals_and_periods_are_modelled_and_come_back(name: str) -> None:
    """Also where some are missing; new ones are of the training rows, or for periods between them."""
    frame = pd.DataFrame({"before": WHOLE, name: PANDAS[name], "after": WORDS})
    can_miss = name != "intervals of whole numbers"
    if can_miss:
        frame.loc[:20, name] = None
    transformer = gpuvgm.TableTransformer().fit(frame)
    back = transformer.inverse_transform(transformer.transform(frame))
    pd.testing.assert_frame_equal(back, frame)
    sample = gpuvgm.TableSynthesizer(threads=1).fit(frame).sample(ROWS)[name]
    assert (0 < sample.isna().sum() < ROWS / 2) == can_miss
    if name == "periods":
        assert sample.dropna().between(frame[name].min(), frame[name].max()).all()
    else:
        assert set(sample.dropna()) <= set(frame[name].dropna())


@pytest.mark.parametrize("column", POLARS, ids=lambda column: column.name)
def test_polars_types(column: polars.Series) -> None:
    frame = polars.DataFrame([polars.Series("before", WHOLE), column, polars.Series("after", WORDS)])
    sample = gpuvgm.TableSynthesizer(threads=1).fit(frame).sample(40)
    assert sample.columns == frame.columns
    assert sample.dtypes == frame.dtypes


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("name", ALL)
def test_fields_that_are_never_null_hold_values_below_missing_rows(name: str, rows: int) -> None:
    field = pa.field("x", ALL[name].type, nullable=ALL[name].type == pa.null())
    for type_ in (ALL[name].type, pa.struct([field]), pa.list_(field, 2)):
        missing = missing_values(rows, type_)
        missing.validate(full=True)
        assert missing.type == type_
        assert (missing.storage if isinstance(type_, pa.BaseExtensionType) else missing).to_pylist() == [None] * rows
        assert not nulls_below(missing)


def nulls_below(values: Any) -> int:
    """Nulls in fields that are declared as never null; unions have none of their own."""
    if isinstance(values.type, pa.BaseExtensionType):
        return nulls_below(values.storage)
    if pa.types.is_struct(values.type):
        fields = list(values.type)
        parts = [values.field(place) for place in range(len(fields))]
    elif pa.types.is_fixed_size_list(values.type):
        fields, parts = [values.type.value_field], [values.values]
    else:
        return 0
    found = [
        nulls_below(part) + (0 if field.nullable else part.null_count)
        for field, part in zip(fields, parts, strict=True)
    ]
    return sum(found)


@pytest.mark.parametrize("rows", [400, SAMPLE_ROWS + 100])
def test_views_of_text_in_tables_with_keys(rows: int) -> None:
    draws = np.random.default_rng(0)
    keys = draws.integers(0, rows // 8, rows)
    columns = {
        "mail": [f"user{key}@example.org" for key in keys],
        "city": [f"city {key % 7}" for key in keys],
        "amount": [f"{cents / 100:.2f}" for cents in draws.integers(0, 10**6, rows)],
    }
    text = pa.table(columns).append_column("size", pa.array(draws.normal(size=rows)))
    views = text.cast(pa.schema([(name, pa.string_view()) for name in columns] + [("size", pa.float64())]))
    of_text, of_views = (gpuvgm.TableSynthesizer(threads=1).fit(table) for table in (text, views))
    wanted = text.select(["city"]).slice(0, 30)
    for conditions in (None, wanted):
        expected = of_text.sample(30, conditions=conditions)
        assert of_views.sample(30, conditions=conditions).to_pydict() == expected.to_pydict()
    assert of_views.evaluate(views, n=100).to_dict() == of_text.evaluate(text, n=100).to_dict()
    encoded = gpuvgm.TableTransformer(effort="research", threads=1)
    assert encoded.fit(views).evaluate(views).to_dict() == encoded.fit(text).evaluate(text).to_dict()


DIFFERENT = range(600)
VIEWED = {
    "numbered": [f"C{i:05d}" for i in DIFFERENT],
    "uuids": [str(UUID(int=i * 7919 << 64 | i)) for i in DIFFERENT],
    "plates": [f"B-AB {i * 37 % 8_999}" for i in DIFFERENT],
    "sentences": [f"thing number {i} was here" for i in DIFFERENT],
    "codes": [f"c{i % 5}" for i in DIFFERENT],
    "amounts": [f"{i % 90}.50" for i in DIFFERENT],
    "amounts and words": ["none" if i % 7 == 0 else f"{i % 90}.50" for i in DIFFERENT],
    "dates": [f"2024-01-{i % 28 + 1:02d}" for i in DIFFERENT],
}


@pytest.mark.parametrize("name", VIEWED)
def test_views_of_text_with_missing_values_are_read_as_text_is(name: str) -> None:
    texts = [None if i % 5 == 0 else text for i, text in enumerate(VIEWED[name])]
    of_text = pa.table({name: pa.array(texts), "size": pa.array(np.arange(600) % 40)})
    of_views = of_text.set_column(0, name, pa.array(texts, pa.string_view()))
    frame = polars.DataFrame({name: texts, "size": np.arange(600) % 40})
    first, *others = (gpuvgm.TableSynthesizer(threads=1).fit(one) for one in (of_text, of_views, frame))
    for other, table in zip(others, (of_views, frame), strict=True):
        for conditions in (None, {"size": 3}):
            expected, rows = (one.sample(50, conditions=conditions) for one in (first, other))
            found = rows.to_pydict() if isinstance(rows, pa.Table) else rows.to_dict(as_series=False)
            assert found == expected.to_pydict()
        assert other.evaluate(table, n=100).to_dict() == first.evaluate(of_text, n=100).to_dict()
        assert np.array_equal(other.score_samples(table), first.score_samples(of_text))
        assert other.validate(table).to_dict() == first.validate(of_text).to_dict()
    expected, encoded = (gpuvgm.TableTransformer(threads=1).fit(one) for one in (of_text, of_views))
    rows = encoded.inverse_transform(encoded.transform(of_views))
    assert rows.schema.field(name).type == pa.string_view()
    assert rows.to_pydict() == expected.inverse_transform(expected.transform(of_text)).to_pydict()


@pytest.mark.parametrize(("type_", "text"), [(pa.string_view(), str), (pa.binary_view(), str.encode)])
def test_values_that_columns_stand_for_are_no_views(type_: Any, text: Any) -> None:
    values = [text("a"), None, text("b")]
    views = pa.array(values, type_)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 7], pa.int32()), views)
    for array, expected in ((views, values), (views[1:], values[1:]), (runs[1:4], [values[at] for at in (0, 1, 2)])):
        plain = plain_values_of(array)
        assert plain.drop_null().to_pylist() == [value for value in expected if value is not None]
        assert plain_type(array.type) == plain.type == plain_values_of(pa.chunked_array([array])).type


def test_forms_of_whole_numbers_of_many_digits_are_saved(tmp_path: Path) -> None:
    numbers = pa.array([10**25 + 10 * (7 * k * k % 1_000) for k in range(600)], pa.decimal128(38, 0))
    synthesizer = gpuvgm.TableSynthesizer().fit(pa.table({"x": numbers, "y": range(600)}))
    synthesizer.save(tmp_path / "x.gpuvgm")
    assert gpuvgm.load(tmp_path / "x.gpuvgm").sample(500).equals(synthesizer.sample(500))


def _takes_uuids() -> bool:
    """Whether this pyarrow takes objects of Python's UUID, which older ones do not."""
    try:
        return bool(pa.array([UUID(int=1)], pa.uuid()).type == pa.uuid())
    except pa.ArrowTypeError:
        return False


@pytest.mark.parametrize("kind", [pa.table, pd.DataFrame])
def test_uuids_are_new_ones(kind: Any, tmp_path: Path) -> None:
    words = np.random.default_rng(3).integers(0, 2**63, (200, 2)).tolist()
    given = [*(UUID(int=high << 64 | low, version=4) for high, low in words), *[None] * 20]
    array = pa.array([value and value.bytes for value in given], pa.uuid())
    table = kind({"id": given if kind is pd.DataFrame else array, "y": range(220)})
    if kind is pd.DataFrame and not _takes_uuids():
        with pytest.raises(InputError, match='column "id", row 0 does not fit .*UUID.*column.astype'):
            gpuvgm.TableSynthesizer(random_state=0).fit(table)
        return
    synthesizer = gpuvgm.TableSynthesizer(random_state=0).fit(table)
    sample = synthesizer.sample(400, seed=1)
    values = [value for value in (sample["id"].tolist() if kind is pd.DataFrame else sample["id"].to_pylist()) if value]
    assert 320 < len(values) == len(set(values)) < 395
    assert all(isinstance(value, UUID) and value.version == 4 for value in values)
    assert not set(values) & set(given)
    synthesizer.save(tmp_path / "x.gpuvgm")
    assert gpuvgm.load(tmp_path / "x.gpuvgm").sample(400, seed=1).equals(sample)
