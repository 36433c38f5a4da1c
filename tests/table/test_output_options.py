"""What encoded rows are called, which columns stay beside them, and how their files are written."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.columns import NameTemplate
from gpuvgm.errors import InputError

ROWS = 3000
TRANSFORMED = "{column}_Transformed"


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": random.lognormal(3, 1, ROWS).round(2),
            "key": np.arange(ROWS) * 7 + 1,
            "colour": random.choice(["red", "green", "blue"], ROWS),
            "note": [f"note {i * 17 % 2999}" for i in range(ROWS)],
            "unused": 1.5,
        },
        index=pd.RangeIndex(10, 10 + ROWS),
    )


@pytest.fixture(scope="module")
def transformer(frame):
    return gpuvgm.TableTransformer(columns={"key": "id", "note": "pass", "unused": "drop"}).fit(frame)


def check_back(decoded, frame):
    """Decoded rows are the original ones."""
    back = decoded if isinstance(decoded, pd.DataFrame) else decoded.to_pandas()
    assert list(back) == ["amount", "key", "colour", "note"]
    for name in back:
        assert back[name].tolist() == frame[name].tolist()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{column}.{part}", ["a.scalar", "a.mode", "a.mode.3"]),
        ("{column}_{part}", ["a_scalar", "a_mode", "a_mode_3"]),
        (TRANSFORMED, ["a_Transformed", "a_Transformed_mode", "a_Transformed_mode_3"]),
        ("{part} of {column}", ["scalar of a", "mode of a", "mode_3 of a"]),
        ("{{{column}}}-{part}", ["{a}-scalar", "{a}-mode", "{a}-mode-3"]),
    ],
)
def test_a_template_names_scalars_modes_and_onehot_columns(text, names):
    template = NameTemplate(text)
    assert [template.scalar("a"), template.mode("a"), template.onehot("a", 3)] == names


def test_a_column_called_like_a_field_is_no_field():
    assert NameTemplate("{column}_{part}").scalar("{part}") == "{part}_scalar"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs {column} once"),
        ("{part}", "needs {column} once"),
        ("{column}{column}", "needs {column} once"),
        ("{column}{part}{part}", "{part} at most once"),
        ("{column}_{code}", "has fields other than {column} and {part}"),
        ("{column!r}", "has fields other than"),
        ("{column:>30}", "has fields other than"),
        ("{column.name}", "has fields other than"),
        ("{column", "is no template"),
        (3, "is no template"),
    ],
)
def test_other_templates_are_refused(transformer, frame, text, problem):
    with pytest.raises(InputError, match=rf"^names .*: .*{re.escape(problem)}"):
        transformer.transform(frame, names=text)


@pytest.mark.parametrize("layout", ["compact", "onehot"])
@pytest.mark.parametrize("keep", [False, True], ids=["alone", "kept"])
@pytest.mark.parametrize("names", [None, TRANSFORMED, "{part}_{column}"])
def test_a_file_with_any_names_is_decoded_without_being_told(transformer, frame, tmp_path, names, keep, layout):
    path = tmp_path / "encoded.parquet"
    transformer.transform(frame, layout=layout, names=names, keep_original=keep, out=path)
    encoded = pq.read_table(path)
    expected = transformer.get_feature_names_out(layout=layout, names=names).tolist()
    assert [name for name in encoded.column_names if name in expected] == expected
    assert set(encoded.column_names) == {*expected, *(frame if keep else ())}
    decoded = transformer.inverse_transform(path)
    if layout == "compact" or keep:
        check_back(decoded, frame)
    else:
        assert decoded["amount"].to_pylist() == frame["amount"].tolist()
    again = transformer.inverse_transform(encoded)  # a pyarrow table says the names too
    assert again.equals(decoded)


def test_values_do_not_depend_on_names_and_kept_columns(transformer, frame):
    plain = transformer.transform(frame)
    named = transformer.transform(frame, names=TRANSFORMED, keep_original=True)
    assert list(named) == [
        *("amount", "colour", "unused"),
        *("amount_Transformed", "amount_Transformed_mode", "key", "colour_Transformed_mode", "note"),
    ]
    pd.testing.assert_frame_equal(named[["amount", "colour", "unused"]], frame[["amount", "colour", "unused"]])
    encoded = named.drop(columns=["amount", "colour", "unused"])
    pd.testing.assert_frame_equal(encoded.set_axis(plain.columns, axis=1), plain)
    check_back(transformer.inverse_transform(named, names=TRANSFORMED), frame)


def test_kept_columns_make_a_table_of_the_onehot_layout(transformer, frame):
    matrix = transformer.transform(frame, layout="onehot")
    table = transformer.transform(frame, layout="onehot", keep_original=True)
    assert list(table)[: len(frame.columns)] == list(frame)
    assert table.index.equals(frame.index)
    np.testing.assert_array_equal(table[table.columns[len(frame.columns) :]].to_numpy(), matrix)
    check_back(transformer.inverse_transform(table), frame)
    arrays = {"amount": frame["amount"].to_numpy(), "colour": frame["colour"].to_numpy()}
    kept = gpuvgm.TableTransformer().fit(arrays).transform(arrays, layout="onehot", keep_original=True)
    assert isinstance(kept, dict)
    np.testing.assert_array_equal(kept["amount"], arrays["amount"])


@pytest.mark.parametrize(
    ("names", "keep", "double"), [("{column}", True, "amount"), ("ke{column}", False, "key"), (None, True, "x.mode")]
)
def test_names_that_would_occur_twice_are_refused(frame, names, keep, double):
    renamed = frame.rename(columns={"unused": "x.mode", "amount": "y" if double == "key" else "amount"})
    renamed = renamed.rename(columns={"colour": "x"} if double == "x.mode" else {})
    columns = {"key": "id", "note": "pass", "x.mode": "drop"}
    transformer = gpuvgm.TableTransformer(columns=columns).fit(renamed)
    with pytest.raises(InputError, match=rf'two encoded or original columns would be called "{double}"'):
        transformer.transform(renamed, names=names, keep_original=keep)


@pytest.mark.parametrize(("layout", "unknown"), [("compact", {"colour.mode"}), ("onehot", set())])
def test_files_say_what_is_never_missing(tmp_path, layout, unknown):
    """Scalars and modes, but for those of categories that may be unknown."""
    rows = {"x": [1.0, None, 3.0, 2.5] * 50, "colour": ["red", "blue", "red", "green"] * 50, "note": ["a", None] * 100}
    columns = {"colour": {"kind": "categorical", "unknown": "ignore"}, "note": "pass"}
    transformer = gpuvgm.TableTransformer(columns=columns, effort="research").fit(pa.table(rows))
    more = pa.table(rows | {"colour": ["red", "none", "red", "green"] * 50})
    encoded = transformer.transform(more, layout=layout)
    transformer.transform(more, layout=layout, out=tmp_path / "e.parquet")
    written = pq.read_table(tmp_path / "e.parquet")
    passed = {"note"} if layout == "compact" else set()
    assert {field.name for field in written.schema if field.nullable} == unknown | passed
    back = transformer.inverse_transform(written)
    assert back.equals(transformer.inverse_transform(tmp_path / "e.parquet").cast(back.schema))
    assert layout == "onehot" or written.cast(encoded.schema).equals(encoded)


@pytest.mark.parametrize("codec", ["zstd", "snappy", "none"])
def test_files_have_the_codec_and_the_row_groups_that_are_asked_for(transformer, frame, tmp_path, codec):
    expected = transformer.transform(pa.Table.from_pandas(frame, preserve_index=False))
    options = {"compression": codec, "row_group_rows": 1000}
    transformer.transform(frame, out=tmp_path / "one.parquet", **options)
    transformer.transform(frame, out=tmp_path / "parts", part_rows=1500, **options)
    transformer.inverse_transform(tmp_path / "one.parquet", out=tmp_path / "back.parquet", **options)
    for path, groups in (("one.parquet", 3), ("parts/part-00001.parquet", 2), ("back.parquet", 3)):
        footer = pq.read_metadata(tmp_path / path)
        assert footer.num_row_groups == groups
        codecs = {footer.row_group(0).column(i).compression for i in range(footer.num_columns)}
        assert codecs == {"UNCOMPRESSED" if codec == "none" else codec.upper()}
    for path in ("one.parquet", "parts"):
        assert pq.read_table(tmp_path / path).cast(expected.schema).equals(expected)
    check_back(pq.read_table(tmp_path / "back.parquet"), frame)


def test_impossible_options_of_files_are_refused(transformer, frame, tmp_path):
    with pytest.raises(InputError, match=r'^compression must be .*"zstd"'):
        transformer.transform(frame, out=tmp_path / "o.parquet", compression="brotli")
    with pytest.raises(InputError, match=r"^row_group_rows must be .* got 0"):
        transformer.transform(frame, out=tmp_path / "o.parquet", row_group_rows=0)
    encoded = transformer.transform(frame)
    with pytest.raises(InputError, match=r'o\.csv: "compression" cannot be chosen for CSV'):
        transformer.inverse_transform(encoded, out=tmp_path / "o.csv", compression="zstd")
    assert not any(tmp_path.iterdir())


def test_a_folder_is_gone_on_with_by_the_same_options_alone(transformer, frame, tmp_path):
    path, rows = tmp_path / "encoded", tmp_path / "rows.parquet"
    frame.to_parquet(rows)
    transformer.transform(rows, out=path, names=TRANSFORMED, keep_original=True, compression="zstd")
    transformer.transform(rows, out=path, names=TRANSFORMED, keep_original=True, compression="zstd", resume=True)
    for other in ({"names": None}, {"keep_original": False}, {"compression": "snappy"}, {"row_group_rows": 9}):
        options = {"names": TRANSFORMED, "keep_original": True, "compression": "zstd"} | other
        with pytest.raises(InputError, match=f"the run to resume had {next(iter(other))} "):
            transformer.transform(rows, out=path, resume=True, **options)
