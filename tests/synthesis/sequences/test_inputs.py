"""Tables of keys as people have them: text of dates, frames of any library, missing values, columns left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.execution import any_source
from gpuvgm.synthesis.learning import RowModel
from gpuvgm.synthesis.sequences import SequenceModel
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder, sorted_by

KEYS = 80
NAMES = "Novak Kos Zupan Hribar Vidmar Kralj Golob Zajc Bizjak Rozman".split()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Bookings of accounts, from line 8 on, with a balance that runs on."""
    random = np.random.default_rng(0)
    rows = []
    for key in range(KEYS):
        day, balance = pd.Timestamp("2025-01-20") + pd.Timedelta(days=int(random.integers(0, 50))), 1000
        for line in range(8, 8 + int(random.integers(2, 7))):
            day += pd.Timedelta(days=int(random.integers(1, 15)))
            amount = int(random.integers(-50, 80))
            balance += amount
            kind = "xyz"[int(random.integers(0, 3))]
            rows.append((f"A-{key:04d}", line, day, amount, balance, kind, ("hr", "si")[key % 2]))
    return pd.DataFrame(rows, columns=["key", "line", "day", "amount", "balance", "kind", "land"])


def fitted(table: Any, index: str | None = "line", **parameters: Any) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(sequence_key="key", sequence_index=index, threads=1, **parameters).fit(table)


def shuffled(table: pd.DataFrame) -> pd.DataFrame:
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def runs_on(rows: pd.DataFrame) -> bool:
    before = rows.groupby("key", sort=False, observed=True).balance.shift()
    return bool(((before + rows.amount == rows.balance) | before.isna()).all())


# -- the index


def test_dates_in_text_are_in_the_order_of_time(table: pd.DataFrame) -> None:
    of_text = shuffled(table).assign(day=lambda rows: rows.day.dt.strftime("%d.%m.%Y")).drop(columns="line")
    rows = fitted(of_text, "day").sample(keys=50)
    days = pd.to_datetime(rows.day, format="%d.%m.%Y")
    assert runs_on(rows)
    assert not (days.groupby(rows.key, sort=False).diff() < pd.Timedelta(0)).any()


@pytest.mark.parametrize("dtype", ["str", "category"])
def test_numbers_in_text_are_in_the_order_of_numbers(table: pd.DataFrame, dtype: Any) -> None:
    rows = fitted(shuffled(table).assign(line=lambda rows: rows.line.astype(str).astype(dtype))).sample(keys=50)
    lines = rows.line.astype(int)
    assert runs_on(rows)
    assert (lines.groupby(rows.key, sort=False).diff().dropna() > 0).all()


def test_text_that_means_no_number_is_in_the_order_of_its_letters_and_the_fit_says_so(table: pd.DataFrame) -> None:
    with pytest.warns(InferenceWarning, match='"line" is text that is no dates or numbers'):
        fitted(table.assign(line=[f"v{line}" for line in table.line]))


def test_ordered_categories_are_in_their_order(table: pd.DataFrame) -> None:
    names = [f"v{line}" for line in range(8, 14)]
    ordered = pd.Categorical([f"v{line}" for line in table.line], categories=names, ordered=True)
    assert runs_on(fitted(shuffled(table.assign(line=ordered))).sample(keys=50))


def test_rows_that_lack_an_index_come_last_and_the_fit_counts_them(table: pd.DataFrame) -> None:
    lacking = table.assign(line=table.line.astype("Int64").mask(table.index % 60 == 0))
    with pytest.warns(InferenceWarning, match=f'"line" lacks {lacking.line.isna().sum()} values: .* last in their key'):
        fitted(lacking)
    rows = KeyRows.of(pa.Table.from_pandas(lacking), RowOrder("key", "line"))
    missing = rows.column("line").is_null().to_numpy(zero_copy_only=False)
    assert missing.any() and not (missing[:-1] & ~missing[1:] & ~rows.are_first[1:]).any()


def test_files_and_memory_have_the_same_order(table: pd.DataFrame) -> None:
    of_text = shuffled(table).assign(
        day=lambda rows: rows.day.dt.strftime("%d.%m.%Y"), kind=lambda rows: rows.kind.astype("category"), line=1
    )
    column = gpuvgm.TableTransformer({"day": "continuous"}).fit(of_text[["day"]]).columns_["day"]
    rows = pa.Table.from_pandas(of_text, preserve_index=False)
    in_memory = KeyRows.of(rows, RowOrder("key", "day", column)).table
    batches = (rows.slice(start, 50) for start in range(0, rows.num_rows, 50))
    with sorted_by(any_source(batches), "key", "day", column, part_bytes=2_000) as source:
        blocks = [block.batch for block in source.blocks(source.schema.names, 100)]
        assert pa.Table.from_batches(blocks).to_pylist() == in_memory.to_pylist()
        with sorted_by(source, "key", "day", column) as again:
            assert again is source


# -- columns of any type

TYPES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "polars": pl.from_pandas,
    "categories": lambda table: table.assign(key=table.key.astype("category"), kind=table.kind.astype("category")),
    "views": lambda table: pa.table(
        {name: _view(column) for name, column in pa.Table.from_pandas(table).to_pydict().items()}
    ),
    "lists": lambda table: pa.Table.from_pandas(table).append_column("list", pa.array([[1, 2]] * len(table))),
    "structs": lambda table: pa.Table.from_pandas(table).append_column("of", pa.array([{"a": 1}] * len(table))),
}


def _view(values: list[Any]) -> Any:
    return pa.array(values).cast(pa.string_view()) if isinstance(values[0], str) else pa.array(values)


@pytest.mark.parametrize("convert", TYPES.values(), ids=TYPES)
def test_columns_of_any_type_stand_beside_an_index(table: pd.DataFrame, convert: Callable[[pd.DataFrame], Any]) -> None:
    rows = fitted(convert(shuffled(table))).sample(keys=30)
    frame = (
        rows
        if isinstance(rows, pd.DataFrame)
        else pd.DataFrame(rows.to_dict(as_series=False) if isinstance(rows, pl.DataFrame) else rows.to_pydict())
    )
    assert frame.key.nunique() == 30
    assert runs_on(frame)


# -- keys


def test_keys_of_blank_text_are_missing(table: pd.DataFrame) -> None:
    blank = table.assign(key=table.key.where(table.index % 40 != 0, " "))
    rows = KeyRows.of(pa.Table.from_pandas(shuffled(blank)), RowOrder("key", "line"))
    lacking = rows.column("key").is_null().to_numpy(zero_copy_only=False)
    assert lacking.sum() == (blank.key == " ").sum() > 1
    assert (rows.counts[rows.keys[lacking]] == 1).all()
    sample = fitted(blank).sample(keys=60)
    assert not sample.key.isin([*table.key, "", " "]).any()


def test_whole_numbers_beside_missing_ones_are_keys(table: pd.DataFrame) -> None:
    numbers = (table.key.str[2:].astype(float) + 1000).where(table.index % 50 != 0)
    keys = fitted(table.assign(key=numbers)).sample(keys=20).key.dropna()
    assert (keys % 1 == 0).all() and not keys.isin(numbers).any()


def test_one_empty_identifier_is_no_fault() -> None:
    keys = ["", *(f"A-{number:04d}" for number in range(300))]
    sample = gpuvgm.TableSynthesizer({"key": {"key": True}}).fit({"key": keys, "of": [1, 2, 3] * 100 + [1]}).sample(20)
    assert not {*sample["key"].tolist()} & {*keys}


KEYS_REFUSED: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "dates": (lambda table: table.day, "timestamp.* number the keys"),
    "text of dates": (
        lambda table: (
            pd.Timestamp("2020-01-01") + pd.to_timedelta(table.key.str[2:].astype(int), unit="D")
        ).dt.strftime("%d.%m.%Y"),
        '"key" .dates, names, or text of no form.',
    ),
    "names": (
        lambda table: [
            f"{'Ana Bor Eva Fran Gal Hana Ivo Jan Kaja Lan'.split()[int(key[-1])]} {NAMES[int(key[-2])]}"
            for key in table.key
        ],
        "give a column of numbers or codes",
    ),
}


@pytest.mark.parametrize(("keys", "message"), KEYS_REFUSED.values(), ids=KEYS_REFUSED)
def test_keys_of_which_no_new_ones_are_made_are_refused(
    table: pd.DataFrame, keys: Callable[[pd.DataFrame], Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fitted(table.assign(key=keys(table)))


# -- what is declared


@pytest.mark.parametrize("name", ["balance", "land"])
def test_columns_that_are_left_out_are_not_in_samples(table: pd.DataFrame, name: str) -> None:
    synthesizer = fitted(table, columns={name: "drop"})
    names = [column for column in table.columns if column != name]
    assert [*synthesizer.sample(keys=3).columns] == names
    like = gpuvgm.TableSynthesizer(like=synthesizer).fit(table)
    pd.testing.assert_frame_equal(like.sample(20), synthesizer.sample(20))
    np.testing.assert_array_equal(like.score_samples(table), synthesizer.score_samples(table))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "the key left out": ({"columns": {"key": "drop"}}, 'sequence_key: "key" is declared "drop"'),
    "the index left out": ({"columns": {"line": "drop"}}, 'sequence_index: "line" is declared "drop"'),
    "keys kept": ({"columns": {"key": {"keep": True}}}, 'sequence_key: "key" is declared as categories'),
    "conditions on rows": ({"conditions_on": ["kind"]}, 'conditions_on: "kind" is no .* each "key"; there are "land"'),
    "conditions on no column": ({"conditions_on": ["lannd"]}, '"lannd" .*did you mean "land"'),
    "an index of keys": ({"index": "land"}, 'sequence_index: "land" has one value in .nearly. each "key"'),
}


@pytest.mark.parametrize(("parameters", "message"), REFUSED.values(), ids=REFUSED)
def test_declarations_that_do_not_go_with_keys_are_named(
    table: pd.DataFrame, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fitted(table, **parameters)


def test_a_table_of_keys_alone_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match='no column differs among the rows of a "key"'):
        fitted(table[["key", "land"]], None)


# -- samples


@pytest.fixture(scope="module")
def synthesizer(table: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    return fitted(table, conditions_on=["land"])


def keys_of(synthesizer: gpuvgm.TableSynthesizer) -> RowModel:
    model = synthesizer._fitted
    assert isinstance(model, SequenceModel)
    return model.keys


def test_columns_of_keys_are_drawn_first_where_conditions_are_foreseen(synthesizer: gpuvgm.TableSynthesizer) -> None:
    structure = keys_of(synthesizer).network.structure
    names = [structure.bins[place].name for place in structure.order]
    assert [name for name in names if name != "count()"][0] == "land"
    assert (synthesizer.sample(keys=5, conditions={"land": "hr"}).land == "hr").all()


def test_numbers_of_rows_are_conditions_too(synthesizer: gpuvgm.TableSynthesizer) -> None:
    rows = synthesizer.sample(keys=10, conditions={"count()": (4, None)})
    assert rows.groupby("key").size().min() >= 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"keys": 2, "first_row": 3}, "first_row: .*give first_key"),
        ({"n": 2, "first_key": 3}, "first_key: .*give first_row"),
        ({"keys": 2, "conditions": {"lamd": "hr"}}, '"lamd"; there are land; did you mean "land"'),
        ({"keys": 2, "conditions": {"nothing": "hr"}}, '"nothing"; there are land$'),
        ({"keys": 2, "conditions": {"any(kid)": "x"}}, '"kid"; there are line, .*; did you mean "kind"'),
    ],
)
def test_calls_of_sample_that_are_wrong_are_refused(
    synthesizer: gpuvgm.TableSynthesizer, call: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        synthesizer.sample(**call)


def test_keys_that_are_longer_are_counted_once_each(table: pd.DataFrame) -> None:
    names = np.random.default_rng(1).permutation([f"{first}{digit}" for first in "BCDFGHKLMP" for digit in range(10)])
    few = fitted(table.assign(key=names[table.key.str[2:].astype(int)]))
    with pytest.warns(UserWarning, match="new values are longer") as warned:
        rows = few.sample(600)
    (longer,) = (str(warning.message) for warning in warned if "longer" in str(warning.message))
    told = rows.key.nunique()
    assert f"of {told:,} new values" in longer and told < 300
    lengths = rows.key.drop_duplicates().str.len()
    assert f'"key": {(lengths > 2).sum():,} of' in longer


@pytest.mark.parametrize("type_", [pa.date32(), pa.time32("s"), pa.timestamp("us"), pa.decimal128(30, 2)], ids=str)
def test_days_times_and_amounts_may_be_categories(type_: pa.DataType) -> None:
    random = np.random.default_rng(2)
    numbers = pa.array(random.integers(0, 5, 1_200).astype(np.int32))
    values = numbers.cast(type_) if not pa.types.is_timestamp(type_) else numbers.cast(pa.int64()).cast(type_)
    table = pa.table({"key": np.repeat([f"k{i:03d}" for i in range(200)], 6), "at": [*range(6)] * 200, "x": values})
    made = gpuvgm.TableSynthesizer(columns={"x": "categorical"}, sequence_key="key", sequence_index="at").fit(table)
    rows = made.sample(300)
    assert rows.schema.field("x").type == type_
    assert set(rows["x"].to_pylist()) <= set(values.to_pylist())
