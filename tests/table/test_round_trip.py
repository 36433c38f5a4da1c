"""Tables through fit, transform and inverse: types, places, edge cases."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.errors import InputError
from tests.harness.shapes import each_shape, shape

ROWS = 3_000
FRAME_COLUMNS = {"nullable": "continuous"}  # few different values: categorical unless declared


def frame() -> pd.DataFrame:
    g = np.random.default_rng(0)
    missing = g.uniform(size=ROWS) < 0.1
    return pd.DataFrame(
        {
            "amount": np.round(g.lognormal(2, 1, ROWS), 2),
            "count": g.integers(0, 500, ROWS),
            "delay": np.where(missing, np.nan, g.normal(-5, 20, ROWS)),
            "small": g.normal(size=ROWS).astype(np.float32),
            "nullable": pd.array(np.where(missing, None, g.integers(-9, 9, ROWS)), dtype="Int64"),
        },
        index=np.arange(ROWS) * 3 + 7,
    )


def test_pandas_comes_back_with_index_and_dtypes() -> None:
    df = frame()
    before = df.copy(deep=True)
    transformer = TableTransformer(FRAME_COLUMNS, tails="exact").fit(df)
    encoded = transformer.transform(df)
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    pd.testing.assert_frame_equal(df, before)
    assert list(encoded.columns) == [f"{c}.{part}" for c in df.columns for part in ("scalar", "mode")]
    assert set(encoded.dtypes) == {np.dtype("float32"), np.dtype("int8")}
    pd.testing.assert_index_equal(encoded.index, df.index)
    pd.testing.assert_index_equal(back.index, df.index)
    pd.testing.assert_series_equal(back.dtypes, df.dtypes)
    pd.testing.assert_series_equal(back["count"], df["count"])
    pd.testing.assert_series_equal(back["nullable"], df["nullable"])
    for name in ("amount", "delay", "small"):
        np.testing.assert_allclose(back[name], df[name], rtol=0, atol=transformer.columns_[name].resolution)
    assert valid.all()


@pytest.mark.parametrize("flavour", ["pandas", "polars", "pyarrow", "dict", "parquet", "csv", "matrix", "stream"])
def test_every_source_gives_the_same_model_and_its_own_type(flavour: str, tmp_path: Path) -> None:
    g = np.random.default_rng(1)
    columns = {"0": np.round(g.lognormal(2, 1, ROWS), 2), "1": g.normal(size=ROWS)}
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    pd.DataFrame(columns).to_csv(tmp_path / "a.csv", index=False)
    sources = {
        "pandas": (pd.DataFrame(columns), pd.DataFrame),
        "polars": (polars.DataFrame(columns), polars.DataFrame),
        "pyarrow": (table, pa.Table),
        "dict": (columns, dict),
        "parquet": (tmp_path / "a.parquet", pa.Table),
        "csv": (str(tmp_path / "a.csv"), pa.Table),
        "matrix": (np.stack(list(columns.values()), axis=1), dict),
        "stream": (table, pa.Table),
    }
    source, kind = sources[flavour]
    given = iter([table.slice(0, 100), table.slice(100)]) if flavour == "stream" else source
    transformer = TableTransformer().fit(given)
    expected = TableTransformer().fit(table)
    assert transformer.columns_["0"].weights.tolist() == expected.columns_["0"].weights.tolist()
    encoded = transformer.transform(source, layout="compact")
    assert isinstance(encoded, kind)
    np.testing.assert_array_equal(np.asarray(encoded["1.mode"]), np.asarray(expected.transform(table)["1.mode"]))
    assert isinstance(transformer.inverse_transform(encoded), kind)


@each_shape()
def test_every_shape_comes_back(name: str) -> None:
    x = shape(name, ROWS)
    transformer = TableTransformer({"x": "continuous"}, tails="exact").fit({"x": x})
    encoded = transformer.transform({"x": x}, dtype="float64")
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    column = transformer.columns_["x"]
    width = column.rules.scale * column.stds.max()
    np.testing.assert_allclose(back["x"], x, rtol=1e-12, atol=1e-12 * width)
    assert valid.all()
    argmax = transformer.transform({"x": x}, mode="argmax")
    scalar = np.abs(argmax["x.scalar"].astype(float))
    modes = np.array(column.order)[argmax["x.mode"]]
    widths = column.rules.scale * column.stds[column.active_components[modes]]
    error = np.abs(transformer.inverse_transform(argmax)["x"] - x)
    assert np.all(error <= widths * (scalar * 2.0**-24 + 2.0**-126) * 1.01 + 4 * np.spacing(np.abs(x)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("poisson", "categorical"), ("constant", "categorical"), ("two values", "categorical"), ("70 % zeros", "mixed")],
)
def test_shapes_of_inferred_kinds_come_back(name: str, kind: str) -> None:
    x = shape(name, ROWS)
    transformer = TableTransformer(tails="exact").fit({"x": x})
    encoded = transformer.transform({"x": x}, dtype="float64")
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    assert transformer.columns_["x"].kind == kind
    again = x == 0 if kind == "mixed" else np.full(ROWS, True)
    np.testing.assert_array_equal(back["x"][again], x[again])
    np.testing.assert_allclose(back["x"], x, rtol=1e-11)
    assert valid.all()


def test_clipped_tails_stay_within_099() -> None:
    x = shape("cauchy", ROWS)
    scalar = TableTransformer({"x": "continuous"}, tails="clip").fit_transform({"x": x})["x.scalar"]
    assert np.abs(scalar).max() == np.float32(0.99)
    scalar = TableTransformer({"x": "continuous"}).fit_transform({"x": x})["x.scalar"]
    assert np.abs(scalar).max() < np.float32(0.99)


@pytest.mark.parametrize("effort", ["best", "research"])
@pytest.mark.parametrize("values", [[3.7], [1.0, 2.0], [0.0, -0.0, 5e-324], [1e300, -1e300], [1.0] * 50, [1, 2, 2, 3]])
def test_few_rows(values: list[float], effort: str) -> None:
    x = np.array(values, dtype=float)
    transformer = TableTransformer({"x": "continuous"}, effort=effort).fit({"x": x})
    back = transformer.inverse_transform(transformer.transform({"x": x}))
    column = transformer.columns_["x"]
    assert len(column.means) == min(10, len(x))
    assert 1 <= len(column.active_components) <= len(np.unique(x))
    np.testing.assert_allclose(back["x"], x, rtol=1e-6, atol=1e-300)


def test_a_constant_column_is_one_mode_and_exact() -> None:
    x = np.full(500, 123.456)
    transformer = TableTransformer({"x": "continuous"}).fit({"x": x})
    assert transformer.columns_["x"].width == 1
    encoded = transformer.transform({"x": x})
    np.testing.assert_array_equal(encoded["x.scalar"], 0)
    np.testing.assert_array_equal(transformer.inverse_transform(encoded)["x"], x)


def test_all_missing_is_legal_and_a_value_later_is_an_error() -> None:
    nothing = {"x": np.full(20, np.nan)}
    transformer = TableTransformer().fit(nothing)
    assert transformer.columns_["x"].width == 0
    encoded = transformer.transform(nothing)
    assert np.isnan(transformer.inverse_transform(encoded)["x"]).all()
    with pytest.raises(InputError, match=r'column "x": 1 value \(such as 4\.5\) .* \(first at dict, row 2\)'):
        transformer.transform({"x": np.array([np.nan, np.nan, 4.5])})


def test_missing_only_later_is_an_error() -> None:
    transformer = TableTransformer().fit({"x": np.arange(100.0)})
    with pytest.raises(InputError, match=r'column "x": 2 values are missing .* \(first at dict, row 1\)'):
        transformer.transform({"x": np.array([1.0, np.nan, np.nan])})


def test_batches_of_missing_or_ordinary_rows_only() -> None:
    x = np.where(np.arange(2000) % 3 == 0, np.nan, np.arange(2000.0))
    transformer = TableTransformer().fit({"x": x})
    code = transformer.columns_["x"].missing_code
    np.testing.assert_array_equal(transformer.transform({"x": np.full(5, np.nan)})["x.mode"], code)
    assert code not in transformer.transform({"x": np.arange(5.0)})["x.mode"]


def test_rows_never_seen_decode() -> None:
    x = shape("lognormal", ROWS)
    transformer = TableTransformer(tails="exact").fit({"x": x})
    new = np.linspace(x.min(), x.max(), 999)
    back = transformer.inverse_transform(transformer.transform({"x": new}))["x"]
    np.testing.assert_allclose(back, new, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_integers_to_the_ends_of_their_type(dtype: str) -> None:
    ends = np.iinfo(dtype)
    g = np.random.default_rng(0)
    x = np.concatenate([np.array([ends.min, ends.max], dtype), g.integers(0, 100, 500).astype(dtype)])
    transformer = TableTransformer(tails="exact").fit({"x": x})
    back, valid = transformer.inverse_transform(transformer.transform({"x": x}, dtype="float64"), return_valid=True)
    assert back["x"].dtype == x.dtype
    np.testing.assert_array_equal(back["x"][2:], x[2:])
    assert valid.all()


def test_int64_beyond_two_to_the_53_keeps_every_digit() -> None:
    x = 1_700_000_000_000_000_000 + np.random.default_rng(0).integers(-(10**6), 10**6, 2000)
    transformer = TableTransformer(tails="exact").fit({"x": x})
    np.testing.assert_array_equal(
        transformer.inverse_transform(transformer.transform({"x": x}, dtype="float64"))["x"], x
    )
    column = transformer.columns_["x"]
    assert (column.minimum, column.maximum) == (x.min(), x.max())


def test_float_rows_for_an_integer_column_and_the_other_way() -> None:
    integers = TableTransformer({"x": "continuous"}).fit({"x": np.arange(1000)})
    encoded = integers.transform({"x": np.array([3.0, 700.0])})
    np.testing.assert_array_equal(encoded["x.mode"], integers.transform({"x": np.array([3, 700])})["x.mode"])
    floats = TableTransformer().fit({"x": np.arange(1000.0)})
    np.testing.assert_array_equal(
        floats.transform({"x": np.array([3, 700])})["x.scalar"],
        floats.transform({"x": np.array([3.0, 700.0])})["x.scalar"],
    )


def test_infinities_are_refused_with_their_row_or_taken_for_missing() -> None:
    x = np.arange(100.0)
    x[[17, 40]] = np.inf, -np.inf
    with pytest.raises(
        InputError, match=r'column "x": 2 values are infinite \(first at .*row 17\); pass inf="missing"'
    ):
        TableTransformer().fit({"x": x})
    transformer = TableTransformer(inf="missing").fit({"x": x})
    assert transformer.columns_["x"].fit.missing == 2
    assert np.isnan(transformer.inverse_transform(transformer.transform({"x": x}))["x"][17])


def test_bounds_and_validity() -> None:
    x = np.arange(100.0, 200.0)
    transformer = TableTransformer(tails="exact").fit({"x": x})
    encoded = transformer.transform({"x": x}, dtype="float64")
    encoded["x.scalar"][5] = 50.0
    encoded["x.scalar"][9] = np.nan
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    assert list(np.flatnonzero(~valid)) == [5, 9]
    assert len(back["x"]) == 100
    dropped, kept = transformer.inverse_transform(encoded, return_valid=True, invalid="drop")
    assert len(dropped["x"]) == 98
    assert kept.all()


def test_inactive_codes_and_ties_in_a_onehot_matrix() -> None:
    x = np.where(np.arange(3000) % 4 == 0, np.nan, shape("lognormal", 3000))
    transformer = TableTransformer().fit({"x": x})
    column = transformer.columns_["x"]
    flat = np.zeros((1, 1 + column.width), np.float32)  # all codes tie: the modal value wins
    assert np.isnan(transformer.inverse_transform(flat)["x"][0])
    flat[0, 1 + column.missing_code] = -1  # then the component with the lowest index
    first = column.mode_codes()[1]
    expected = transformer.inverse_transform(
        {"x.scalar": np.zeros(1, np.float32), "x.mode": np.array([first], np.uint8)}
    )
    assert transformer.inverse_transform(flat)["x"][0] == expected["x"][0]


OF_TRANSFORM = ("mode", "layout", "dtype", "seed")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "best"),
        ("layout", "wide"),
        ("dtype", "int8"),
        ("seed", -1),
        ("seed", 1.5),
        ("algorithm", "fast"),
        ("tails", "cut"),
        ("inf", "drop"),
        ("n_components", 0),
        ("n_components", 2.5),
        ("scale", 0),
        ("scale", float("nan")),
        ("max_iter", 0),
        ("tol", -1.0),
        ("weight_threshold", 1.5),
        ("random_state", -1),
        ("random_state", 2**32),
        ("threads", 0),
        ("block_rows", 0),
    ],
)
def test_wrong_settings_are_refused(name: str, value: object) -> None:
    x, wrong = {"x": np.arange(100.0)}, {name: value}
    with pytest.raises(InputError, match=f"^{name} must be"):
        TableTransformer(**wrong).fit(x)  # type: ignore[arg-type]
    if name in OF_TRANSFORM:
        with pytest.raises(InputError, match=f"^{name} must be"):
            TableTransformer(effort="research").fit(x).transform(x, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("wrong", [100, -1])
@pytest.mark.parametrize("column", ["x", "c"])
def test_modes_that_do_not_exist_are_refused(engine: str, wrong: int, column: str) -> None:
    table = {"x": np.arange(100.0), "c": ["a", "b"] * 50}
    transformer = TableTransformer(engine=engine).fit(table)
    encoded = transformer.transform(table)
    encoded[f"{column}.mode"][[40, 50]] = wrong
    with pytest.raises(InputError, match=rf'dict: column "{column}\.mode": {wrong} at row 40'):
        transformer.inverse_transform(encoded)
    del encoded["c.mode"]
    transformer = TableTransformer(engine=engine).fit({"x": table["x"]})
    with pytest.raises(InputError, match=r"0\.5 at row 1"):
        transformer.inverse_transform({"x.scalar": np.zeros(2), "x.mode": np.array([0.0, 0.5])})


@pytest.mark.parametrize(
    ("categories", "dtype", "before"), [(127, "int8", "uint8"), (128, "int16", "uint8"), (257, "int16", "uint16")]
)
@pytest.mark.parametrize("unknown", ["error", "ignore"])
def test_modes_are_signed_and_unsigned_ones_are_read(categories: int, dtype: str, before: str, unknown: str) -> None:
    """Spark has no unsigned integers; files of earlier versions have."""
    table = {"c": [f"{i:03d}" for i in range(categories)] * 2}
    column = {"kind": "categorical", "max_categories": categories}
    transformer = TableTransformer({"c": column}, unknown=unknown).fit(table)
    encoded = transformer.transform(table)["c.mode"]
    assert encoded.dtype == dtype
    for modes in (encoded, encoded.astype(before)):
        assert transformer.inverse_transform({"c.mode": modes})["c"].tolist() == table["c"]
    if unknown == "ignore":
        nothing = pa.table(transformer.transform(pa.table({"c": ["none"] * 3})))
        assert nothing["c.mode"].null_count == 3
        assert transformer.inverse_transform(nothing)["c"].null_count == 3


def test_rows_that_cannot_be_encoded_or_decoded_are_said_with_their_file(tmp_path: Path) -> None:
    seconds = pa.table({"at": pa.array(np.arange(100), pa.timestamp("s"))})
    transformer = TableTransformer(effort="research").fit(seconds)
    pq.write_table(pa.table({"at": pa.array([1000, 1500], pa.timestamp("ms"))}), tmp_path / "halves.parquet")
    with pytest.raises(InputError, match=r'column "at": holds 1 value .* from \S+halves\.parquet, row 1 on\)$'):
        transformer.transform(tmp_path / "halves.parquet")
    encoded = transformer.transform(seconds)
    pq.write_table(encoded.set_column(1, "at.mode", [pa.array([200] * 100, pa.uint8())]), tmp_path / "modes.parquet")
    with pytest.raises(InputError, match=r'\S+modes\.parquet: column "at\.mode": 200 at row 0 is none of the'):
        transformer.inverse_transform(tmp_path / "modes.parquet")


def test_columns_of_the_wrong_type_are_refused() -> None:
    transformer = TableTransformer().fit({"x": np.arange(100.0)})
    with pytest.raises(InputError, match='column "x" holds string'):
        transformer.transform({"x": np.array(["a", "b"])})
    with pytest.raises(InputError, match="x"):
        transformer.transform({"y": np.arange(3.0)})


def test_not_fitted() -> None:
    for call in ("transform", "inverse_transform", "evaluate", "save"):
        with pytest.raises(NotFittedError):
            getattr(TableTransformer(), call)({"x": np.arange(3.0)})


def test_estimator_manners(reloaded: Any) -> None:
    df = frame()
    transformer = TableTransformer(n_components=5, tails="exact")
    assert clone(transformer).get_params() == transformer.get_params()
    transformer.set_params(random_state=3).fit(df)
    expected = transformer.transform(df)
    for other in (pickle.loads(pickle.dumps(transformer)), copy.deepcopy(transformer), reloaded(transformer)):
        pd.testing.assert_frame_equal(other.transform(df), expected)
        pd.testing.assert_frame_equal(other.inverse_transform(expected), transformer.inverse_transform(expected))


@pytest.mark.parametrize(
    ("rows", "stream", "algorithm"), [(500, False, "exact"), (200_000, False, "summary"), (500, True, "summary")]
)
def test_auto_is_exact_for_small_tables_that_can_be_read_again(rows: int, stream: bool, algorithm: str) -> None:
    table = {"x": np.arange(float(rows))}
    fitted = TableTransformer(algorithm="auto", effort="research", max_iter=3).fit(iter([table]) if stream else table)
    assert fitted.columns_["x"].fit.algorithm == algorithm


def test_exact_needs_a_source_that_can_be_read_again() -> None:
    with pytest.raises(InputError, match="read only once"):
        TableTransformer(algorithm="exact").fit(iter([{"x": np.arange(500.0)}]))


def test_no_random_state_draws_a_seed_that_the_model_keeps() -> None:
    x = {"x": shape("lognormal", 2000)}
    one, other = (TableTransformer(random_state=None).fit(x) for _ in range(2))
    assert one.model_.seed != other.model_.seed
    np.testing.assert_array_equal(one.transform(x)["x.mode"], one.transform(x)["x.mode"])


def test_a_model_file_leaves_out_what_belongs_to_the_machine(reloaded: Any) -> None:
    fitted = TableTransformer(threads=1, block_rows=5000, engine="reference", tails="exact").fit(
        {"x": np.arange(500.0)}
    )
    parameters = reloaded(fitted).get_params()
    assert (parameters["threads"], parameters["block_rows"], parameters["engine"]) == (None, None, "auto")
    assert parameters["tails"] == "exact"


def test_an_output_never_replaces_its_source(tmp_path: Path) -> None:
    source, encoded = tmp_path / "in" / "a.parquet", tmp_path / "encoded.parquet"
    source.parent.mkdir()
    pq.write_table(pa.table({"x": np.arange(500.0)}), source)
    before = source.read_bytes()
    transformer = TableTransformer().fit(source)
    with pytest.raises(InputError, match="give another name"):
        transformer.transform(source, out=source)
    with pytest.raises(InputError, match="elsewhere"):
        transformer.transform(source.parent, out=source.parent / "b.parquet")
    transformer.transform(source.parent, out=encoded)
    with pytest.raises(InputError, match="give another name"):
        transformer.inverse_transform(encoded, out=encoded)
    assert source.read_bytes() == before
    assert [path.name for path in source.parent.iterdir()] == ["a.parquet"]


def test_matrices_one_after_the_other() -> None:
    table = pa.table({"x": np.random.default_rng(0).normal(size=500), "c": ["a", "b"] * 250})
    transformer = TableTransformer().fit(table)
    matrix = transformer.transform(table, layout="onehot")
    parts = (matrix[start : start + 130] for start in range(0, 500, 130))
    assert transformer.inverse_transform(parts).equals(transformer.inverse_transform(matrix))
    with pytest.raises(InputError, match=f"3 columns, but the model's onehot layout has {matrix.shape[1]}"):
        transformer.inverse_transform(iter([matrix[:, :3]]))


LABELS = {
    "numbers": [0, 1, 2],
    "numbers and text": [7, "colour", 2.5],
    "several levels": [("a", 0), ("a", 1), ("b", 0)],
    "booleans": [True, False, "colour"],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=list(LABELS))
@pytest.mark.parametrize("kind", [pd.DataFrame, dict])
def test_labels_that_are_no_text_come_back(kind: Any, labels: list[Any], reloaded: Any) -> None:
    table = kind({label: np.arange(300) % (7 + place) for place, label in enumerate(labels)})
    expected = labels if kind is dict else table.columns.tolist()
    for transformer in (fitted := TableTransformer().fit(table), reloaded(fitted), pickle.loads(pickle.dumps(fitted))):
        encoded = transformer.transform(table)
        assert list(transformer.inverse_transform(encoded)) == expected
        assert list(transformer.inverse_transform(encoded, return_valid=True)[0]) == expected
    for synthesizer in (drawing := TableSynthesizer().fit(table), reloaded(drawing)):
        rows = synthesizer.sample(5)
        assert type(rows) is type(table)
        assert list(rows) == expected
        assert set(synthesizer.sample(5, conditions={labels[0]: 3})[labels[0]]) == {3}
    declared = TableSynthesizer({labels[0]: "continuous"}, conditions_on=[labels[1]]).fit(table)
    assert declared.transformer_.schema_[str(labels[0])].is_declared
    assert list(TableTransformer([labels[1]]).fit(table).columns_) == [str(labels[1])]
    streamed = TableTransformer().fit(iter([table, table]))
    assert list(streamed.inverse_transform(streamed.transform(table, layout="compact"))) == expected
    if kind is pd.DataFrame:
        pd.testing.assert_frame_equal(fitted.inverse_transform(fitted.transform(table)), table)


@pytest.mark.parametrize("number", [int, float])
def test_categories_of_numbers_and_labels_are_numbers_with_words(number: Any) -> None:
    """As `pandas.read_spss` gives codes of which some have labels."""
    random = np.random.default_rng(0)
    values = [number(age) if known else "refused" for age, known in random.integers([18, 0], [90, 10], (2000, 2))]
    values[7] = None
    table = pd.DataFrame({"age": pd.Categorical(values)})
    fitted = TableTransformer().fit(table)
    assert fitted.columns_["age"].kind == "mixed"
    assert fitted.inverse_transform(fitted.transform(table)).equals(table)
    sampled = TableSynthesizer().fit(table.drop(index=[3])).sample(200)["age"]
    assert {*map(type, sampled.dropna())} == {number, str}
    few = pd.DataFrame({"code": pd.Categorical([number(1), number(2), None, "other"] * 100)})
    fitted = TableTransformer().fit(few)
    assert fitted.inverse_transform(fitted.transform(few)).equals(few)


def test_frames_of_arrow_and_polars_have_names_alone() -> None:
    table = pd.DataFrame({0: np.arange(300) % 7})
    fitted = TableTransformer().fit(table)
    encoded = fitted.transform(table.rename(columns=str), layout="compact")
    assert fitted.inverse_transform(polars.from_pandas(encoded)).columns == ["0"]
    assert fitted.inverse_transform(pa.Table.from_pandas(encoded)).column_names == ["0"]
