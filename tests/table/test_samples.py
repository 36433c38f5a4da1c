"""Fits on samples: which rows they see, what the model says of it, and that the rest works as ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.datasets import amount
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.execution import LocalExecutor, RowSample, Run, Sampled, row_sample
from gpuvgm.execution.strata import stratify
from gpuvgm.io import open_source

ROWS = 50_000
SETTINGS = {"effort": "research", "max_iter": 10}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    random = np.random.default_rng(0)
    x = random.lognormal(0, 1, ROWS)
    x[random.random(ROWS) < 0.2] = np.nan
    return pa.table(
        {"x": x, "row": np.arange(ROWS), "category": np.array(["a", "b", "c"])[random.integers(0, 3, ROWS)]}
    )


@pytest.fixture(scope="module")
def path(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("samples") / "t.parquet"
    pq.write_table(table, target, row_group_size=7_000)
    return target


@pytest.mark.parametrize("rows, count", [(10, 3), (4, 3), (33, 32), (131_073, 131_072), (200_000, 150_001), (9, 9)])
def test_runs_are_as_many_rows_as_asked_for_in_order_and_apart(rows: int, count: int) -> None:
    runs = Sampled.runs(rows, 1, count)
    ends = [start + length for start, length in runs]
    assert sum(length for _, length in runs) == count
    assert all(length <= 4096 for _, length in runs)
    assert all(end <= start for end, (start, _) in zip(ends, runs[1:], strict=False)) and ends[-1] <= rows


def test_the_sample_is_spread_over_all_rows_and_follows_the_seed(table: pa.Table) -> None:
    one, again, other = (
        RowSample(3_200, stratified=False).take(open_source(table), ["row"], seed).table["row"].to_numpy()
        for seed in (0, 0, 1)
    )
    assert len(one) == 3_200 and np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.all(np.bincount(one * 32 // ROWS, minlength=32) > 0)


def test_rows_of_a_sample_are_located_in_the_source(path: Path) -> None:
    values = np.ones(ROWS)
    values[::3] = np.inf
    broken = path.with_name("broken.parquet")
    pq.write_table(pa.table({"x": values}), broken)
    with pytest.raises(InputError, match=r"first at .*broken.parquet, row (\d+)") as caught:
        TableTransformer(sample_rows=1_000, **SETTINGS).fit(broken)
    row = int(str(caught.value).split("row ")[1].split(")")[0])
    assert row > 1_000 / 32 and np.isinf(values[row - 1])


@pytest.mark.parametrize("stratified", [False, True])
def test_the_model_says_what_it_was_fitted_on(path: Path, stratified: bool) -> None:
    fitted = TableTransformer(sample_rows=2_000, stratified=stratified, **SETTINGS).fit(path)
    assert fitted.model_.rows == 2_000
    expected = {"rows": 2_000, "of": ROWS, "seed": 0, "stratified": stratified}
    assert fitted.model_.source == open_source(path).fingerprint() | {"sample": expected}
    assert fitted.transform(path).num_rows == ROWS


def test_a_sample_of_more_rows_than_there_are_is_the_full_fit(path: Path) -> None:
    full = TableTransformer(**SETTINGS).fit(path)
    for stratified in (False, True):
        sampled = TableTransformer(sample_rows=2 * ROWS, stratified=stratified, **SETTINGS).fit(path)
        assert np.array_equal(sampled.columns_["x"].means, full.columns_["x"].means)
        assert sampled.model_.rows == ROWS


def test_only_row_groups_that_hold_the_sample_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, read = open_source(path), []
    plain = type(source.parts[0])._as_stored

    def watched(self, columns, batch_rows, groups=None, **unit):
        read.extend(groups)
        return plain(self, columns, batch_rows, groups, **unit)

    monkeypatch.setattr(type(source.parts[0]), "_as_stored", watched)
    TableTransformer(sample_rows=3, **SETTINGS).fit(path)
    assert 0 < len(read) <= 3


def test_csv_and_iterators_give_rows_of_all_the_table(
    table: pa.Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table.to_pandas().to_csv(tmp_path / "t.csv", index=False)
    for source in (tmp_path / "t.csv", iter(table.to_batches(max_chunksize=300))):
        fitted = TableTransformer(sample_rows=1_000, **SETTINGS).fit(source)
        row = fitted.columns_["row"]
        assert fitted.model_.rows == 1_000 and row.minimum < 500 and row.maximum >= ROWS - 500
    assert not caplog.text


def test_strata_hold_the_ends_and_the_share_of_missing_values(table: pa.Table) -> None:
    taken = stratify(table, 1_000, 0)
    for name in ("x", "row"):
        before, after = (part[name].to_numpy() for part in (table, taken))
        assert (np.nanmin(before), np.nanmax(before)) == (np.nanmin(after), np.nanmax(after))
    assert abs(np.isnan(taken["x"].to_numpy()).mean() - np.isnan(table["x"].to_numpy()).mean()) < 1e-3
    for category in "abc":
        shares = [np.mean(part["category"].to_numpy(zero_copy_only=False) == category) for part in (table, taken)]
        assert abs(shares[0] - shares[1]) <= 2e-3
    quantiles = [np.nanquantile(part["x"].to_numpy(), np.linspace(0.01, 0.99, 99)) for part in (table, taken)]
    ranks = np.searchsorted(np.sort(table["x"].to_numpy()[~np.isnan(table["x"].to_numpy())]), quantiles[1])
    assert np.max(np.abs(ranks / 40_000 - np.linspace(0.01, 0.99, 99))) < 5e-3


def worst_decile(column: np.ndarray, sample: np.ndarray) -> float:
    """How far the share of a tenth of the column's values in the sample is from that in the column, at worst."""
    edges = np.quantile(column, np.arange(1, 10) / 10, method="inverted_cdf")
    up_to = [np.searchsorted(np.sort(values), edges, side="right") / len(values) for values in (column, sample)]
    before, after = (np.diff(shares, prepend=0, append=1) for shares in up_to)
    return float(np.abs(before - after).max())


@pytest.fixture(scope="module")
def ordered() -> pa.Table:
    """A column that is sorted, one that is not, and the time of day in rows sorted by day."""
    random = np.random.default_rng(0)
    amounts = amount(0, 200_000)
    time = np.sort(random.beta(2, 3, (400, 500)) * 24, axis=1).ravel()
    schema = pa.schema(
        [pa.field(name, pa.float64(), nullable=name != "amount") for name in ("sorted", "amount", "time")]
    )
    return pa.table([np.sort(amounts), amounts, time], schema=schema)


@pytest.mark.parametrize("count", [1_000, 10_000, 40_000])
def test_deciles_keep_their_share_in_strata_whatever_the_order_of_rows(
    ordered: pa.Table, tmp_path: Path, count: int
) -> None:
    pq.write_table(ordered, tmp_path / "t.parquet", row_group_size=30_000)
    for source in (ordered, tmp_path / "t.parquet", ordered.to_pandas()):
        sample = RowSample(count, stratified=True).take(open_source(source), ordered.schema.names, 0).table
        assert sample.num_rows == count
        for name in ordered.schema.names:
            assert worst_decile(ordered[name].to_numpy(), sample[name].to_numpy()) <= 0.01


def test_deciles_of_sorted_columns_keep_their_share_in_runs_of_long_sources(
    ordered: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_sample, "READ_THROUGH", 100_000)
    pq.write_table(ordered, tmp_path / "t.parquet")
    sample = RowSample(10_000, stratified=True).take(open_source(tmp_path / "t.parquet"), ["sorted"], 0).table["sorted"]
    assert worst_decile(ordered["sorted"].to_numpy(), sample.to_numpy()) <= 0.01


def test_strata_of_every_type() -> None:
    values = [
        pa.array([True, None] * 50),
        pa.array(["a", "b"] * 50).dictionary_encode(),
        pa.array(["x", None] * 50, pa.string_view()),
        pa.array(range(100), pa.timestamp("ns", "UTC")),
        pa.array(np.arange(100).astype(np.float16)),
        pa.array([[1], [2]] * 50),
        pa.nulls(100),
    ]
    taken = stratify(pa.table(values, names=[f"c{i}" for i in range(len(values))]), 10, 0)
    assert [len(column) for column in taken.columns] == [10] * len(values)
    assert taken.schema.types == [value.type for value in values]
    assert taken["c0"].null_count == taken["c2"].null_count == 5


def test_one_missing_value_among_those_read_is_not_lost() -> None:
    table = pa.table({"x": pa.array([None, *map(float, range(999))])})
    assert stratify(table, 10, 0)["x"].null_count == 1


def test_rows_are_added_to_a_sample_fit(path: Path, table: pa.Table) -> None:
    fitted = TableTransformer(sample_rows=2_000, **SETTINGS).fit(path)
    fitted.partial_fit(table.slice(0, 500))
    assert fitted.model_.rows == 2_500


def test_a_fit_of_a_sample_goes_on_with_the_same_sample(table: pa.Table) -> None:
    wide = pa.concat_tables([table] * 2).append_column("key", pa.array(np.full(2 * ROWS, np.inf)))
    transformer = TableTransformer({"key": "continuous"}, sample_rows=90_000, **SETTINGS)
    with pytest.raises(ColumnsFailed, match="values are infinite"):
        transformer.fit(wide)
    transformer.set_params(columns={"key": "drop"}).fit_failed(wide)
    fresh = TableTransformer({"key": "drop"}, sample_rows=90_000, **SETTINGS).fit(wide)
    assert transformer.model_.source == fresh.model_.source
    assert np.array_equal(transformer.columns_["x"].means, fresh.columns_["x"].means)


def test_a_level_that_the_sample_lacks_is_refused_or_ignored() -> None:
    categories = np.array(["common"] * 20_000, object)
    categories[-1] = "rare"
    with pytest.raises(InputError, match="rare"):
        TableTransformer(sample_rows=100, **SETTINGS).fit({"l": categories}).transform({"l": categories})
    ignoring = TableTransformer(sample_rows=100, unknown="ignore", **SETTINGS).fit({"l": categories})
    assert len(ignoring.transform({"l": categories})["l.mode"]) == 20_000


@pytest.mark.parametrize("algorithm, effort", [("exact", "research"), ("auto", "best")])
def test_other_algorithms_fit_the_sampled_table(path: Path, algorithm: str, effort: str) -> None:
    settings = {"algorithm": algorithm, "effort": effort, "max_iter": 5}
    fitted = TableTransformer({"x": "continuous"}, sample_rows=1_000, **settings).fit(path)
    source = RowSample(1_000, stratified=False).take(open_source(path), ["x", "row", "category"], 0)
    again = TableTransformer({"x": "continuous"}, **settings).fit(source.table)
    assert np.array_equal(fitted.columns_["x"].means, again.columns_["x"].means)


def test_sample_fits_are_saved_with_their_settings(path: Path, reloaded: Any) -> None:
    fitted = TableTransformer(sample_rows=1_000, stratified=True, memory="1GiB", **SETTINGS).fit(path)
    loaded = reloaded(fitted)
    assert (loaded.sample_rows, loaded.stratified, loaded.memory) == (1_000, True, None)
    assert loaded.model_.source == fitted.model_.source


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"sample_rows": 0}, "at least 1, got 0"),
        ({"sample_rows": True}, "got True"),
        ({"sample_rows": 1.5}, "got 1.5"),
        ({"stratified": True}, "give sample_rows too"),
    ],
)
def test_what_is_no_sample_is_refused(table: pa.Table, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TableTransformer(**settings).fit(table)


@pytest.mark.parametrize(("rows", "phases"), [(400_000, 250), (1 << 24, 250), (1 << 27, 60), (10**9, 31)])
def test_a_fine_sample_meets_all_phases_of_sorted_rows(rows: int, phases: int) -> None:
    runs = Sampled.runs(rows, 3, runs=None)
    assert sum(length for _, length in runs) == 1 << 17
    met = {(row * phases) // rows for start, length in runs for row in (start, start + length - 1)}
    assert met == set(range(phases))


def test_the_research_effort_keeps_its_sample() -> None:
    assert Sampled.runs(1_000_000, 0) == Sampled.runs(1_000_000, 0, runs=32)
    assert len(Sampled.runs(1_000_000, 0)) == 32


def test_kinds_are_those_of_all_phases() -> None:
    day = np.repeat(np.arange(365), 1_000)
    word = np.where(day == 200, "one day only", "others")
    transformer = TableTransformer().fit(pa.table({"day": day, "word": word}))
    assert "2 distinct values" in transformer.schema_["word"].reason
    assert "365 distinct values" in transformer.schema_["day"].reason


@pytest.mark.parametrize("type_", [pa.timestamp("ns", "UTC"), pa.date32(), pa.duration("ms"), pa.float32(), pa.uint8()])
def test_a_fine_sample_is_sorted_once_with_missing_values_last(type_: Any) -> None:
    numbers = pa.array([7, None, 3, 250, 3], pa.int32() if pa.types.is_date(type_) else pa.int64()).cast(type_)
    table = pa.table({"x": pa.chunked_array([numbers, numbers.slice(1, 2)])})
    run = Run(open_source(table), "auto", LocalExecutor(1))
    column = Sampled.of(run, ["x"], 0, fine=True).rows.column("x")
    assert column.type == type_ and column.num_chunks == 1
    assert column.to_pylist() == table.column("x").take(pa.array([2, 4, 6, 0, 3, 1, 5])).to_pylist()
