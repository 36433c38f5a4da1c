"""Rows that a fit does not see: chosen by their values alone, and the yardstick for how near samples are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.report import HoldOut
from tests.cli.running import invoke

ROWS = 4000


def table_of(rows: int = ROWS, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    return pa.table(
        {
            "x": x,
            "y": 2 * x + random.normal(size=rows),
            "city": pa.array(random.choice(["Bern", "Rome", None], rows)).dictionary_encode(),
            "when": np.datetime64("2024-01-01", "us") + 10**6 * random.integers(0, 10**7, rows),
            "key": [f"K{i:05}" for i in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of()


@pytest.fixture(scope="module")
def synthesizer(table: pa.Table) -> gpuvgm.TableSynthesizer:
    return gpuvgm.TableSynthesizer(hold_out=0.25).fit(table)


def is_held(table: pa.Table, share: float = 0.25, seed: int = 0) -> np.ndarray:
    (batch,) = table.combine_chunks().to_batches()
    return HoldOut(share, seed, tuple(table.column_names)).holds(batch)


def test_the_choice_is_of_values_and_the_seed_alone(table: pa.Table) -> None:
    held = is_held(table)
    assert abs(held.mean() - 0.25) < 3 * np.sqrt(0.25 * 0.75 / ROWS)
    order = np.random.default_rng(1).permutation(ROWS)
    np.testing.assert_array_equal(is_held(table.take(order)), held[order])
    assert 0.1 < np.mean(is_held(table, seed=1) & held) / 0.25 < 0.4, "another seed holds out other rows"
    assert not np.any(held & ~is_held(table, 0.5)), "a larger share holds out these and others"
    for name in table.column_names:
        others = table.set_column(table.column_names.index(name), name, table[name].take(order))
        assert np.mean(is_held(others) != held) > 0.2, "each column counts"


def test_the_choice_is_the_same_for_values_in_other_types(table: pa.Table) -> None:
    moments = pa.array([0, None, 10**6, -5], pa.timestamp("s"))
    one = pa.table(
        {
            "n": pa.array([1, 2, None, 4]),
            "when": moments,
            "day": pa.array([1, 2, 3, None], pa.date32()),
            "time": pa.array([1, None, 3, 4], pa.time32("s")),
            "money": pa.array([1, 2, 3, None]).cast(pa.decimal128(25, 2)),
            "word": ["a", "b", None, "c"],
        }
    )
    other = pa.table(
        {
            "n": pa.array([1.0, 2.0, np.nan, 4.0]),
            "when": moments.cast(pa.timestamp("us")),
            "day": one["day"].cast(pa.date64()),
            "time": one["time"].cast(pa.time64("ns")),
            "money": pa.array([1.0, 2.0, 3.0, None]),
            "word": one["word"].combine_chunks().dictionary_encode(),
        }
    )
    for seed in range(40):
        np.testing.assert_array_equal(is_held(one, 0.5, seed), is_held(other, 0.5, seed))
    assert len({is_held(one, 0.5, seed).tobytes() for seed in range(40)}) > 8


def test_a_fit_equals_that_of_the_rows_that_are_left(
    synthesizer: gpuvgm.TableSynthesizer, table: pa.Table, tmp_path: Path
) -> None:
    left = table.filter(~is_held(table))
    alone = gpuvgm.TableSynthesizer().fit(left)
    assert synthesizer.network_.counts.rows == left.num_rows < ROWS
    assert synthesizer.sample(500).equals(alone.sample(500))
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=700)
    table.take(pa.array(range(ROWS))).to_pandas().to_csv(tmp_path / "rows.csv", index=False)
    batches = iter(table.to_batches(max_chunksize=333))
    csv = gpuvgm.TableSynthesizer(hold_out=0.25, threads=2).fit(tmp_path / "rows.csv")
    assert csv.network_.counts.rows == left.num_rows
    for source in (tmp_path / "rows.parquet", batches):
        again = gpuvgm.TableSynthesizer(hold_out=0.25, threads=2).fit(source)
        assert again.sample(500).equals(alone.sample(500))
        assert "gpuvgm-" not in str(again.transformer_.model_.source), "the name of the copy"
    assert gpuvgm.TableSynthesizer().fit(table).network_.counts.rows == ROWS, "without it every row counts"


def test_frames_stay_frames(table: pa.Table) -> None:
    frame = table.to_pandas()
    rows = gpuvgm.TableSynthesizer(hold_out=0.25).fit(frame).sample(10)
    assert isinstance(rows, pd.DataFrame)
    assert (rows.dtypes == frame.dtypes).all()


def test_labels_that_are_no_text_stay(table: pa.Table, tmp_path: Path) -> None:
    frame = pd.DataFrame({2024: table["x"].to_numpy(), ("a", 1): table["y"].to_numpy()})
    fitted = gpuvgm.TableSynthesizer(hold_out=0.25).fit(frame)
    fitted.save(tmp_path / "model.gpuvgm")
    for one in (fitted, gpuvgm.load(tmp_path / "model.gpuvgm")):
        assert [*one.sample(3).columns] == [*frame.columns]


def test_further_rows_are_held_out_as_well(synthesizer: gpuvgm.TableSynthesizer, table: pa.Table) -> None:
    more = table_of(seed=5)
    own = gpuvgm.TableSynthesizer(hold_out=0.25).fit(table)
    other = gpuvgm.TableSynthesizer(like=own).fit(more)
    assert other.network_.counts.rows == ROWS - is_held(more).sum()
    assert own.partial_fit(more).network_.counts.rows == 2 * ROWS - is_held(table).sum() - is_held(more).sum()


def test_samples_are_measured_by_the_rows_held_out(synthesizer: gpuvgm.TableSynthesizer, table: pa.Table) -> None:
    near = synthesizer.evaluate(table).near
    assert near.rows == ROWS - is_held(table).sum()
    assert not near.stand_out
    assert near.held_out_share == pytest.approx(near.other_half_share, abs=0.02)
    assert "of the other half's rows and" in near.text and "of those held out do" in near.text
    assert gpuvgm.TableSynthesizer().fit(table).evaluate(table).near.held_out_share is None


def test_rows_that_were_fitted_stand_out_and_rows_held_out_do_not(
    synthesizer: gpuvgm.TableSynthesizer, table: pa.Table
) -> None:
    held = is_held(table)
    for rows, stand_out in ((table.filter(~held), True), (table.filter(held), False)):
        noise = np.random.default_rng(3).normal(scale=1e-3, size=rows.num_rows)
        noisy = rows.set_column(0, "x", pa.array(rows["x"].to_numpy() + noise))
        found = synthesizer.transformer_.evaluate(table, compare=noisy)
        assert found.near.stand_out == stand_out
        assert ("repeat an original row but for small changes" in found.verdict) == stand_out
    near = synthesizer.transformer_.evaluate(table.filter(~held), compare=noisy).near
    assert near.held_out_share is None, "where no row is, halves are compared"


def test_files_keep_the_rule(synthesizer: gpuvgm.TableSynthesizer, table: pa.Table, tmp_path: Path) -> None:
    synthesizer.save(tmp_path / "model.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "model.gpuvgm")
    assert loaded.hold_out == 0.25
    assert loaded.evaluate(table).to_dict() == synthesizer.evaluate(table).to_dict()
    pq.write_table(table, tmp_path / "table.parquet")
    synthesizer.sample(ROWS, out=tmp_path / "sample.parquet")
    model, compared = str(tmp_path / "model.gpuvgm"), str(tmp_path / "sample.parquet")
    run = invoke("evaluate", str(tmp_path / "table.parquet"), "--model", model, "--compare", compared)
    assert "of those held out do" in " ".join(run.stdout.split())


def test_the_command_line(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "table.parquet")
    source, model = str(tmp_path / "table.parquet"), str(tmp_path / "model.gpuvgm")
    run = invoke("train", source, "--model", model, "--hold-out", "0.25", "--seed", "3")
    rows = ROWS - is_held(table, seed=3).sum()
    assert f"trained on {rows:,} rows" in run.stdout
    assert gpuvgm.load(model).network_.counts.rows == rows
    refused = invoke("train", source, "--model", model, "--hold-out", "0.25", "--with", "tvae", code=2)
    assert "--hold-out is for counts, not for tvae" in refused.stderr


def test_what_is_refused(table: pa.Table, synthesizer: gpuvgm.TableSynthesizer) -> None:
    for share in (1, -0.5, "a"):
        with pytest.raises(InputError, match="hold_out is a share above 0 and below 1"):
            gpuvgm.TableSynthesizer(hold_out=share).fit(table)
    with pytest.raises(InputError, match="the transformer has seen all rows"):
        gpuvgm.TableSynthesizer(gpuvgm.TableTransformer().fit(table), hold_out=0.1).fit(table)
    with pytest.raises(InputError, match='no column "key"'):
        synthesizer.evaluate(table.drop_columns("key"))
    for rule in ({"share": 2, "seed": 0, "columns": []}, {"share": 0.5}, 7):
        with pytest.raises((ValueError, InputError)):
            HoldOut.of_settings({"hold_out": rule})


def test_workers_change_nothing(synthesizer: gpuvgm.TableSynthesizer, table: pa.Table, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=700)
    expected = synthesizer.evaluate(table).to_dict()
    with gpuvgm.cluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        again = gpuvgm.TableSynthesizer(hold_out=0.25, executor=gpuvgm.DaskExecutor(client)).fit(
            tmp_path / "rows.parquet"
        )
        assert again.evaluate(tmp_path / "rows.parquet").to_dict() == expected
        frame = pytest.importorskip("dask.dataframe").from_pandas(table.to_pandas(), npartitions=3)
        assert gpuvgm.TableSynthesizer(hold_out=0.25).fit(frame).network_.counts.rows == again.network_.counts.rows
