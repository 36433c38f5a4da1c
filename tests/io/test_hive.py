"""Folders named key=value: columns of the rows below, with types and gaps, whatever the format of the files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from tests.io.conftest import rows_of, write_file


def frame(rows: int = 600) -> pd.DataFrame:
    year = [2019 + i % 3 for i in range(rows)]
    month = [f"{1 + i % 2:02}" for i in range(rows)]
    return pd.DataFrame({"x": [i * 0.5 for i in range(rows)], "year": year, "month": month})


def written(folder: Path, *files: tuple[str, dict[str, list[object]]]) -> Path:
    for name, columns in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(pa.table(columns), path)
    return folder


def test_a_key_may_begin_with_an_underscore(tmp_path: Path) -> None:
    files = ("_year=2024/a.parquet", {"x": [1.0]}), ("_year=2025/b.parquet", {"x": [2.0]})
    folder = written(
        tmp_path / "t", *files, ("_delta=1/_hidden/c.parquet", {"x": [3.0]}), ("_d/d.parquet", {"x": [4.0]})
    )
    assert rows_of(folder).to_pylist() == [{"x": 1.0, "_year": 2024}, {"x": 2.0, "_year": 2025}]


def test_partitions_of_pandas_come_back(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "t", partition_cols=["year", "month"])
    source = open_source(tmp_path / "t")
    assert source.schema == pa.schema({"x": pa.float64(), "year": pa.int64(), "month": pa.string()})
    assert source.rows == 600
    expected = pa.Table.from_pandas(frame(), schema=source.schema).sort_by("x")
    assert rows_of(source).sort_by("x").equals(expected)
    assert rows_of(source, ["month"]).column_names == ["month"]
    assert rows_of(source, ["month", "x"]).column("month").value_counts().to_pylist()[0] == {
        "values": "01",
        "counts": 300,
    }
    runs = [(0, 3), (150, 2), (599, 1)]
    picked = pa.concat_tables([rows_of(source, ["year", "x"]).slice(*run) for run in runs])
    assert source.sample(["year", "x"], runs).equals(picked)


def test_a_model_knows_the_columns_of_folders(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "t", partition_cols=["year"])
    transformer = gpuvgm.TableTransformer().fit(tmp_path / "t")
    assert [column.name for column in transformer.schema_.columns] == ["x", "month", "year"]
    back = transformer.inverse_transform(transformer.transform(tmp_path / "t"))
    assert sorted(back.column("year").to_pylist()) == sorted(frame()["year"])
    assert transformer.transform(tmp_path / "t").equals(transformer.transform(rows_of(tmp_path / "t")))


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_all_formats_have_columns_of_folders(tmp_path: Path, ending: str) -> None:
    written(tmp_path, *((f"year={year}/a.{ending}", {"x": [year + 0.5]}) for year in (1, 2)))
    assert rows_of(tmp_path).to_pydict() == {"x": [1.5, 2.5], "year": [1, 2]}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["1", "02"], ["1", "02"]),
        (["+1", "2"], ["+1", "2"]),
        (["-0"], ["-0"]),
        (["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
        (["__HIVE_DEFAULT_PARTITION__"], [None]),
        (["a%2Fb%3D", "c d"], ["a/b=", "c d"]),
        (["2024-01-01"], ["2024-01-01"]),
        (["1.5"], ["1.5"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        ([""], [""]),
    ],
)
def test_values_of_folders(tmp_path: Path, values: list[str], wanted: list[object]) -> None:
    written(tmp_path, *((f"k={value}/a.parquet", {"x": [1.0]}) for value in values))
    assert sorted(map(repr, rows_of(tmp_path).column("k").to_pylist())) == sorted(map(repr, wanted))


def test_keys_are_unescaped_too(tmp_path: Path) -> None:
    written(tmp_path, ("a%20b=1/x.parquet", {"x": [1.0]}))
    assert rows_of(tmp_path).to_pydict() == {"x": [1.0], "a b": [1]}


def test_patterns_count_folders_from_where_they_vary(tmp_path: Path) -> None:
    files = [(f"run=1/year={year}/m={month}/a.parquet", {"x": [1.0]}) for year in (1, 2) for month in (3, 4)]
    written(tmp_path, *files)
    for pattern in ("run=1/year=*", "run=1/*/*", "run=1/*/*/*.parquet", "run=1/**/a.parquet", "run=1/year=[12]/m=*"):
        assert rows_of(tmp_path / pattern).to_pydict() == {"x": [1.0] * 4, "year": [1, 1, 2, 2], "m": [3, 4, 3, 4]}
    assert rows_of(tmp_path).column_names == ["x", "run", "year", "m"]
    assert rows_of(tmp_path / "run=1" / "year=1").column_names == ["x", "m"]
    assert rows_of(tmp_path / files[0][0]).column_names == ["x"]


@pytest.mark.parametrize("stored", [[2020], ["2020"], pd.Categorical(["2020"])], ids=["whole", "text", "dictionary"])
def test_a_column_that_the_file_has_too_must_agree(tmp_path: Path, stored: list[object]) -> None:
    written(tmp_path, ("year=2020/a.parquet", {"year": stored, "x": [1.0]}))
    found = rows_of(tmp_path)
    assert found.column_names == ["year", "x"]
    assert str(pc.cast(found.column("year"), pa.string())[0]) == "2020"
    (tmp_path / "year=2020").rename(tmp_path / "year=2021")
    assert rows_of(tmp_path, ["x"]).column_names == ["x"]
    with pytest.raises(InputError, match=r"a\.parquet: column \"year\" holds '2020', its folder says '2021'; rename"):
        rows_of(tmp_path)


def test_folders_that_say_different_things_are_refused(tmp_path: Path) -> None:
    written(tmp_path, ("year=1/a.parquet", {"x": [1.0]}), ("b.parquet", {"x": [1.0]}))
    with pytest.raises(InputError, match='column "year" is '):
        open_source(tmp_path)
    with pytest.raises(InputError, match="year=1/year=2: two folders say what year is; rename one"):
        open_source(written(tmp_path / "twice", ("year=1/year=2/a.parquet", {"x": [1.0]})))
