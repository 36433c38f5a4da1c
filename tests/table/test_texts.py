"""Tables with text that is dates, times or numbers, whatever they come as."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import gpuvgm
from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.errors import ColumnsFailed, InferenceWarning, InputError

ROWS = 4_000
RANDOM = np.random.default_rng(5)
HOURS = np.datetime64("2013-01-01T05:00:00") + np.sort(RANDOM.integers(0, 8_760, ROWS)) * np.timedelta64(3600, "s")
FRAME = pd.DataFrame(
    {
        "time_hour": pd.Series(HOURS).dt.strftime("%Y-%m-%d %H:%M:%S"),
        "day": pd.Series(HOURS).dt.strftime("%Y-%m-%d"),
        "price": [f"{x:,.2f}".translate(str.maketrans(",.", ".,")) for x in RANDOM.lognormal(6, 1.5, ROWS)],
        "share": [f"{x:.1f} %" for x in RANDOM.uniform(1, 99, ROWS)],
        "code": [f"{x:05}" for x in RANDOM.integers(0, 300, ROWS)],
    }
)
KINDS = {"time_hour": "continuous", "day": "continuous", "price": "continuous", "share": "continuous"}
KINDS |= {"code": "categorical"}


def kinds(transformer: TableTransformer) -> dict[str, str]:
    return {spec.name: spec.kind for spec in transformer.schema_.columns}


def sources(folder):
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    pa.parquet.write_table(table, folder / "rows.parquet")
    pa.csv.write_csv(table, folder / "rows.csv")
    return {
        "frame": FRAME,
        "objects": FRAME.astype(object),
        "arrow": table,
        "parquet": folder / "rows.parquet",
        "csv": folder / "rows.csv",
    }


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("texts"))


@pytest.mark.parametrize("name", ["frame", "objects", "arrow", "parquet", "csv"])
def test_kinds_and_rows_whatever_the_table_comes_as(given, name, tmp_path) -> None:
    transformer = TableTransformer().fit(given[name])
    assert kinds(transformer) == KINDS
    transformer.transform(given[name], out=tmp_path / "encoded.parquet")
    transformer.inverse_transform(tmp_path / "encoded.parquet", out=tmp_path / "back.parquet")
    back = pd.read_parquet(tmp_path / "back.parquet")
    for column in FRAME:
        if name == "csv" and column in ("time_hour", "day"):  # pyarrow reads them
            assert (pd.to_datetime(back[column]) == pd.to_datetime(FRAME[column])).all()
        else:
            assert (back[column] == FRAME[column]).all(), column


def test_frames_and_matrices_come_back_as_text() -> None:
    transformer = TableTransformer(dtype="float64").fit(FRAME)
    for layout in ("compact", "onehot"):
        back, valid = transformer.inverse_transform(transformer.transform(FRAME, layout=layout), return_valid=True)
        assert valid.all()
        pd.testing.assert_frame_equal(back, FRAME)


def test_missing_and_modal_values() -> None:
    frame = FRAME.assign(price=np.where(np.arange(ROWS) % 4 == 0, "0,00", FRAME["price"]))
    frame.loc[7, ["day", "price"]] = None
    frame.loc[8, "day"] = " "
    transformer = TableTransformer({"price": {"modal": ["0,00", None]}}).fit(frame)
    assert transformer.columns_["price"].modal_values == (0, None)
    assert transformer.columns_["price"].modal_counts == (ROWS // 4, 1)
    back = transformer.inverse_transform(transformer.transform(frame))
    assert back["day"].isna().tolist() == [i in (7, 8) for i in range(ROWS)]
    held = frame["price"].notna()
    assert (back["price"][held] == frame["price"][held]).all()
    assert back["price"].isna()[7]


def test_spikes_and_logarithms_of_text() -> None:
    spiked = np.where(np.arange(ROWS) % 3 == 0, "0,00", FRAME["price"])
    assert TableTransformer(tails="clip").fit({"price": spiked}).schema_["price"].kind == "mixed"
    transformer = TableTransformer({"price": {"kind": "continuous", "log": True}}).fit(FRAME[["price"]])
    back = transformer.inverse_transform(transformer.transform(FRAME[["price"]]))
    assert (back["price"] == FRAME["price"]).all()


def test_one_value_stands_out_and_off_the_step_of_text() -> None:
    table = {"x": ["1.5"] * 16 + [str(i) for i in range(200)]}
    transformer = TableTransformer().fit(table)
    assert transformer.columns_["x"].modal_values == (15,)  # tenths
    assert list(transformer.inverse_transform(transformer.transform(table))["x"]) == table["x"]


def test_the_research_effort_reads_no_text() -> None:
    transformer = TableTransformer(effort="research").fit(FRAME[["day", "code"]])
    assert kinds(transformer) == {"day": "categorical", "code": "categorical"}
    with pytest.raises(InputError, match='"continuous" column holds numbers'):
        TableTransformer({"day": "continuous"}, effort="research").fit(FRAME[["day"]])


def test_models_hold_how_text_is_written(reloaded) -> None:
    transformer = TableTransformer().fit(FRAME)
    loaded = reloaded(transformer)
    assert loaded.columns_["price"].codec == transformer.columns_["price"].codec
    pd.testing.assert_frame_equal(
        loaded.inverse_transform(loaded.transform(FRAME, dtype="float64")),
        FRAME,
    )


def test_rows_of_another_form_are_named() -> None:
    transformer = TableTransformer().fit(FRAME)
    later = FRAME.head(10).copy()
    later.loc[6, "price"] = "12.50 EUR"
    with pytest.raises(InputError, match=r"""column "price": 1 value is .* '12\.50 EUR' \(first at .*row 6\)"""):
        transformer.transform(later)
    with pytest.raises(InputError, match=r"""column "price": 1 value is .* '12\.50 EUR'"""):
        transformer.evaluate(later)


@pytest.mark.parametrize("name", ["frame", "arrow", "parquet", "csv"])
def test_words_beside_numbers_are_modal_values_or_missing(tmp_path, name) -> None:
    amounts = [str(x) for x in RANDOM.integers(0, 10**6, ROWS)]
    amounts[11], amounts[12], amounts[13] = "n/k", "<5", "n/k"
    table = pa.table({"amount": amounts})
    pa.parquet.write_table(table, tmp_path / "rows.parquet")
    pa.csv.write_csv(table, tmp_path / "rows.csv")
    given = {"frame": table.to_pandas(), "arrow": table}.get(name, tmp_path / f"rows.{name}")
    with pytest.warns(
        InferenceWarning, match=r'words among values .* "amount" \(text such as "\d+" beside "<5", "n/k"'
    ):
        transformer = TableTransformer().fit(given)
    column = transformer.columns_["amount"]
    assert (column.kind, [column.codec.show(value) for value in column.modal_values]) == ("mixed", ["<5", "n/k"])
    assert column.modal_counts == (1, 2)
    assert column.maximum < 10**6
    back = transformer.inverse_transform(transformer.transform(table, dtype="float64"))
    assert back["amount"].to_pylist() == amounts
    declared = TableTransformer({"amount": {"na_values": ["n/k", "<5"]}}).fit(given)
    back = declared.inverse_transform(declared.transform(table, dtype="float64"))["amount"].to_pylist()
    assert back == [None if text in ("n/k", "<5") else text for text in amounts]
    kept = TableTransformer({"amount": "categorical"}).fit(given)
    assert "n/k" in kept.columns_["amount"].categories


def test_words_are_no_numbers_to_reports_and_samples() -> None:
    """They are counted apart, and stand outside every distribution, distance and range."""
    table = {"amount": [f"{x:.2f}" for x in RANDOM.lognormal(3, 1, ROWS)]}
    table["amount"][:50] = ["nil"] * 50
    transformer = TableTransformer().fit(table)
    figures = transformer.evaluate(table).columns["amount"]
    assert [(count.text, count.rows_before, count.rows_after) for count in figures.modal] == [("nil", 50, 50)]
    assert figures.sd < 10_000  # hundredths
    assert figures.unchanged
    assert transformer.validate(table).columns["amount"].invalid_rows == 0
    other = TableTransformer().fit({"amount": [*table["amount"][:40], *table["amount"][60:]]})
    assert transformer.distance_to(other).columns["amount"].wasserstein < 0.1
    synthesizer = TableSynthesizer().fit(table)
    assert set(synthesizer.sample(20, conditions={"amount": "nil"})["amount"]) == {"nil"}
    large = synthesizer.sample(200, conditions={"amount": ("30.00", None)})["amount"]
    assert min(map(float, large)) >= 30
    assert synthesizer.sample(ROWS, seed=1)["amount"].tolist().count("nil") > 0


LONG = 300_000


def long_table(last: str) -> pa.Table:
    """Text of which only the last row is otherwise: no sample sees it."""
    texts = [f"{x / 100:.2f}".rstrip("0").rstrip(".") for x in RANDOM.integers(10**4, 10**6, LONG)]
    days = (np.datetime64("2013-01-01") + RANDOM.integers(0, 1_000, LONG)).astype(str).tolist()
    return pa.table({"amount": [*texts, last], "day": [*days, last], "x": RANDOM.normal(size=LONG + 1)})


@pytest.mark.exhaustive
def test_what_only_all_rows_show_costs_another_plan(caplog) -> None:
    table = long_table("12.125").select(["amount"])
    with caplog.at_level(logging.INFO, logger="gpuvgm"):
        transformer = TableTransformer().fit(table)
    assert transformer.columns_["amount"].codec.type == pa.decimal128(15, 3)
    assert "planned again" in caplog.text
    assert "12.125" in transformer.schema_["amount"].reason
    back = transformer.inverse_transform(transformer.transform(table, dtype="float64"))
    assert back.equals(table)


@pytest.mark.exhaustive
def test_a_word_that_only_all_rows_show() -> None:
    table = long_table("unknown")
    transformer = TableTransformer().fit(table)
    for name in ("amount", "day"):
        assert transformer.columns_[name].modal_counts == (1,)
        assert "'unknown'" in transformer.schema_[name].reason
    back = transformer.inverse_transform(transformer.transform(table, dtype="float64"))
    assert back.select(["amount", "day"]).equals(table.select(["amount", "day"]))


@pytest.mark.exhaustive
def test_a_stray_in_rows_that_come_once() -> None:
    table = long_table("unknown")
    with pytest.raises(ColumnsFailed, match=f"such as 'unknown'.*row {LONG}.*na_values.*\"categorical\"") as caught:
        TableTransformer().fit(iter(table.to_batches(50_000)))
    assert caught.value.fitted == 1


def test_leading_zeros_of_csv_files_stay_text(tmp_path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("zip,n\n" + "".join(f"{i % 500:05},{i % 700}\n" for i in range(3_000)))
    transformer = TableTransformer().fit(path)
    assert transformer.columns_["zip"].type == pa.string()
    assert transformer.columns_["n"].type == pa.int64()
    late = tmp_path / "late.csv"
    late.write_text("zip\n" + "10001\n" * 400_000 + "02134\n")
    assert gpuvgm.io.open_source(late).schema.field("zip").type == pa.string()


def test_text_of_another_form_is_invalid_in_a_table_to_judge() -> None:
    transformer = TableTransformer().fit(FRAME)
    assert transformer.validate(FRAME).columns["price"].invalid_rows == 0
    wrong = FRAME.copy()
    wrong.loc[[3, 8], "price"] = ["12.50 EUR", None]
    found = transformer.validate(wrong).columns["price"]
    assert found.invalid_rows == 2
    assert found.rows == ROWS
