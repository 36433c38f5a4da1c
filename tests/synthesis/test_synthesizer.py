"""TableSynthesizer: every column comes back, whatever the source, the parts and the executor."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import gpuvgm
from gpuvgm.datasets import mixed_table_rows
from gpuvgm.engines import get_engine
from gpuvgm.errors import InferenceWarning, InputError, ModelFileError
from gpuvgm.synthesis.bins.finders import bins_of_rows
from gpuvgm.synthesis.bins.training_values import TAILS
from gpuvgm.synthesis.counts import state
from gpuvgm.synthesis.counts.network import Structure
from gpuvgm.synthesis.counts.state import write_network
from gpuvgm.synthesis.drawing import conditioned
from gpuvgm.synthesis.keys.patterns import Pattern
from gpuvgm.table import ModelFile

ROWS = 4000


def _frame(rows: int = ROWS) -> pd.DataFrame:
    """Columns of every sort, which depend on each other."""
    random = np.random.default_rng(5)
    age = random.integers(18, 90, rows)
    income = np.where(age > 65, random.lognormal(7, 0.4, rows), random.lognormal(8, 0.5, rows)).round(2)
    income[random.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "age": age.astype(np.int16),
            "income": income,
            "group": np.where(age > 65, "retired", "working"),
            "rating": pd.Series(random.integers(1, 6, rows), dtype="Int8"),
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, rows), unit="D"),
            "colour": pd.Categorical(random.choice(["red", "green", "blue"], rows)),
            "member": random.random(rows) < 0.3,
            "constant": "always",
            "height": random.normal(170, 9, rows).astype(np.float32),
            "id": np.arange(1000, 1000 + rows),
            "note": [f"note number {i * 7919 % rows} of many" for i in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The training rows."""
    return _frame()


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> gpuvgm.TableSynthesizer:
    """A synthesizer of them."""
    return gpuvgm.TableSynthesizer().fit(frame)


def test_what_a_prompt_shows_fits_a_screen(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    transformer = fitted.transformer_
    shown = [fitted.network_, fitted.evaluate(frame), fitted.validate(fitted.sample(100)), fitted.schema_]
    shown += [fitted.fit_report_, gpuvgm.TableTransformer(transformer.columns).fit(frame).evaluate(frame)]
    assert [len(repr(result)) < 1000 and repr(result).startswith("<") for result in shown] == [True] * len(shown)
    assert fitted._repr_mimebundle_() == {"text/plain": str(fitted)}, "notebooks show what print shows"
    assert "laws: age -> group" in str(fitted)
    assert "id (running numbers)" in str(fitted)


def test_all_columns_come_back_in_their_order_and_types(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Columns, dtypes, ranges, steps and categories are those of the training rows."""
    rows = fitted.sample(3000)
    assert list(rows) == list(frame)
    assert rows.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
    assert len(rows) == 3000
    for name in ("age", "income", "since", "height", "rating"):
        assert rows[name].dropna().between(frame[name].min(), frame[name].max()).all(), name
    for name in ("group", "colour", "member", "constant"):
        assert set(rows[name]) == set(frame[name])
    assert np.array_equal(rows["income"].dropna(), rows["income"].dropna().round(2))
    assert 0.07 < rows["income"].isna().mean() < 0.13
    assert rows["id"].is_unique


@pytest.mark.parametrize(
    ("kind", "make", "pattern"),
    [
        ("number", lambda i: f"C{i * 3:06d}", r"C\d{6}"),
        ("number", lambda i: f"order-{5000 + i}/x", r"order-\d+/x"),
        ("shape", lambda i: str(UUID(int=i * 2**90 + i * 7919)), r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        (
            "shape",
            lambda i: f"u{i * 7919 % 10 ** (3 + i % 2)}@x.org" + "." * (i % 9 == 0),
            r"u\d{1,4}@x\.org\.?",
        ),
        ("shape", lambda i: f"{'abcdefghij'[i % 10]}{i % 7}X-{i:04d}{'KLM'[i % 3]}", r"[a-z]\dX-\d{4}[A-Z]"),
    ],
)
def test_identifiers_keep_their_form(kind: str, make: Any, pattern: str, reloaded: Any) -> None:
    """New identifiers look like those of the table, and depend on the row alone."""
    table = pd.DataFrame({"key": [make(i) for i in range(3000)], "x": np.arange(3000) % 50})
    synthesizer = gpuvgm.TableSynthesizer({"key": "id", "x": "continuous"}).fit(table)
    assert synthesizer.identifiers_["key"].kind == kind
    rows = synthesizer.sample(500)["key"]
    assert rows.str.fullmatch(pattern).all()
    assert rows.is_unique
    assert kind == "shape" or not set(rows) & set(table["key"])
    assert synthesizer.sample(20, first_row=100)["key"].tolist() == rows[100:120].tolist()
    assert reloaded(synthesizer).sample(500)["key"].equals(rows)


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda i: f"{i * 7919 % 10**5:05d}", r"\d{5,6}"),  # as identifiers they go on after the largest
        (lambda i: f"https://x.org/{i * 7919 % 10**5}", r"https://x\.org/\d+"),
        (lambda i: f"user{i * 7919 % 10**5}@{['gmail', 'web'][i % 2]}.com", r"user\d+@[a-z]+\.com"),
        (lambda i: f"+49 {i * 37 % 900 + 100} {i * 7919 % 10**6:06d}", r"\+49 \d{3} \d{6}"),
        (lambda i: " ".join("some words that make no form".split()[: 2 + i % 5]) + f" {i}", None),
    ],
)
@pytest.mark.parametrize("kind", ["pass", "id"])
def test_text_that_is_not_modelled_keeps_its_shape_or_is_missing(make: Any, pattern: str | None, kind: str) -> None:
    table = pd.DataFrame({"text": [make(i) for i in range(2000)], "x": np.arange(2000) % 50})
    rows = gpuvgm.TableSynthesizer({"text": kind, "x": "continuous"}).fit(table).sample(300)["text"]
    assert rows.isna().all() if pattern is None else rows.str.fullmatch(pattern).all()
    assert pattern is None or rows.is_unique


@pytest.mark.parametrize(
    ("shape", "values"),
    [(r"\A\0\a", 6_760), (r"x\0\0-", 100), (r"\A" * 20, 5_000), (r"\0" * 18 + "-" + r"\a" * 4, 5_000)],
)
def test_random_letters_are_no_two_the_same_while_there_are_enough(shape: str, values: int) -> None:
    texts = Pattern(shape).texts(np.arange(values, dtype=np.uint64), "key", seed=3).to_pylist()
    assert len({*texts}) == values
    assert {len({*letters}) for letters in zip(*texts, strict=True)} <= {1, 10, 26}


def test_a_fit_warns_of_columns_that_samples_leave_empty() -> None:
    """Unless it was declared so: new identifiers and running numbers are no loss."""
    notes = [f"{i * 7919 % 997} words of note {i * 31 % 1009}, and {'more ' * (i % 4)}" for i in range(2000)]
    table = pd.DataFrame({"note": notes, "id": np.arange(2000), "x": np.arange(2000) % 50})
    with pytest.warns(
        InferenceWarning, match='samples have no values of "note", which the model does not see: declare'
    ):
        fitted = gpuvgm.TableSynthesizer().fit(table)
    sample = fitted.sample(500)
    assert sample["note"].isna().all()
    remedy = (
        'declare "categorical" for the real ones, columns={"note": {"key": True}} for new ones in their form, or "drop"'
    )
    assert f'samples have no values of "note", which the model does not see: {remedy}' in str(fitted)
    page = fitted.transformer_.evaluate(table, compare=sample).to_html()
    assert "The model does not see free text: declare &quot;categorical&quot; for the real ones" in page
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = gpuvgm.TableSynthesizer({"note": {"key": True}}).fit(table).sample(50)["note"]
    assert new.notna().all() and not {*new} & {*notes}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpuvgm.TableSynthesizer({"note": "pass", "id": "id", "x": "continuous"}).fit(table)


@pytest.mark.parametrize("kind", ["text", "dictionary"])
@pytest.mark.filterwarnings("error")
def test_a_fit_names_columns_of_which_samples_hold_real_values(kind: str) -> None:
    """Text of more than 255 values that come back in several rows; not fifty states, nor declared categories."""
    who = np.random.default_rng(0).integers(0, 400, 4000)
    table = pd.DataFrame(
        {
            "iban": [f"DE{7919 * one + 10**12:020}" for one in who],
            "mail": [f"user{one}@mail.example" for one in who],
            "state": [f"state {one % 50}" for one in who],
            "agent": [f"agent {one % 255}" for one in who],
            "x": who % 40,
        }
    )
    if kind == "dictionary":
        table = table.astype({"iban": "category", "mail": "category"})
    told = 'samples hold real values of "iban", "mail": text of more than 255 different values, each of which may name'
    with pytest.warns(InferenceWarning, match=told) as caught:
        fitted = gpuvgm.TableSynthesizer(dict.fromkeys(["iban", "mail"], {"keep": True})).fit(table)
    assert len([one for one in caught if "real values" in str(one.message)]) == 1
    assert 'declare columns={"iban": {"key": True}, "mail": {"key": True}}, which makes new ones, or "drop"' in str(
        caught[0].message
    )
    assert {*fitted.sample(500)["iban"]} <= {*table["iban"]}, "so that the warning is true"
    assert told in str(fitted)
    declared = {"iban": "id", "mail": {"kind": "categorical", "categories": sorted({*table["mail"]})}}
    with pytest.warns(InferenceWarning, match='another value of "iban" in each row') as caught:
        again = gpuvgm.TableSynthesizer(declared | dict.fromkeys(["state", "agent"], "categorical")).fit(table)
    assert len(caught) == 1, "and nothing of real values"
    assert not {*again.sample(500)["iban"]} & {*table["iban"]}
    assert str(again).endswith("\ncolumns that are not modelled: iban (random letters and digits)")
    assert "\n" not in str(gpuvgm.TableSynthesizer()), "before the fit nothing is known"


def test_dependence_is_in_the_sample(fitted: gpuvgm.TableSynthesizer) -> None:
    """The group follows from the age, and the income from the group."""
    rows = fitted.sample(5000)
    assert np.mean((rows["age"] > 65) == (rows["group"] == "retired")) > 0.98
    medians = rows.groupby("group")["income"].median()
    assert medians["working"] > 2 * medians["retired"]


def test_rows_are_functions_of_their_number(fitted: gpuvgm.TableSynthesizer) -> None:
    """Any part alone equals the part of the whole, with one thread and several; another seed gives other rows."""
    whole = fitted.sample(2000)
    parts = [fitted.sample(stop - start, first_row=start) for start, stop in ((0, 1), (1, 700), (700, 2000))]
    assert pd.concat(parts, ignore_index=True).equals(whole)
    other = clone(fitted).set_params(threads=1)._with(fitted._fitted)
    assert other.sample(2000).equals(whole)
    assert not fitted.sample(2000, seed=1)["age"].equals(whole["age"])


def test_files_hold_the_same_rows(tmp_path: Path, fitted: gpuvgm.TableSynthesizer) -> None:
    """A file of a sample, and one of conditions, have the rows that are returned."""
    written = fitted.sample(1500, out=tmp_path / "rows.parquet")
    assert written.rows == 1500
    assert pq.read_table(tmp_path / "rows.parquet").to_pandas()["age"].equals(fitted.sample(1500)["age"])
    fitted.sample(10, out=tmp_path / "some.parquet", conditions={"group": "retired"})
    assert set(pq.read_table(tmp_path / "some.parquet")["group"].to_pylist()) == {"retired"}


def test_saved_loaded_pickled_and_cloned(reloaded: Any, fitted: gpuvgm.TableSynthesizer) -> None:
    """Files and pickles give the same rows and densities; a clone is not fitted."""
    loaded = reloaded(fitted)
    assert isinstance(loaded, gpuvgm.TableSynthesizer)
    for one in (loaded, pickle.loads(pickle.dumps(fitted))):
        assert one.sample(300).equals(fitted.sample(300))
        assert np.array_equal(one.score_samples(_frame(200)), fitted.score_samples(_frame(200)))
    assert loaded.get_params()["bins"] == 1000
    with pytest.raises(NotFittedError, match="not fitted"):
        clone(fitted).sample(1)


def _turned(structure: Structure) -> Structure:
    return replace(structure, nodes=structure.nodes[::-1])


def _with_bins(structure: Structure, **parts: Any) -> Structure:
    return replace(structure, bins=(replace(structure.bins[0], **parts), *structure.bins[1:]))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_turned, "the network's nodes are not its columns"),
        (lambda one: _with_bins(one, mass=-one.bins[0].mass), 'the bins of ".+" have numbers that none can have'),
        (lambda one: _with_bins(one, high=one.bins[0].high * np.nan), 'the bins of ".+" have numbers that none can'),
        (lambda one: _with_bins(one, codes=one.bins[0].codes - 1), 'the bins of ".+" have numbers that none can have'),
        (lambda one: _with_bins(one, low=one.bins[0].low[1:]), 'the bins of ".+" differ in length'),
    ],
)
def test_a_damaged_network_is_refused(tmp_path: Path, fitted: gpuvgm.TableSynthesizer, spoil: Any, why: str) -> None:
    """A network whose parts do not fit together is an error that names the file."""
    network = fitted.network_
    stored = fitted.transformer_._stored(summaries=False)
    settings = stored.settings | {
        "synthesizer": {
            "bins": 64,
            "safer": False,
            "laws": "auto",
            "proven": (),
            "orders": {},
            "random_state": 0,
            "identifiers": {},
            "attributes": {},
            "hold_out": None,
        }
    }
    path = tmp_path / "damaged.gpuvgm"
    damaged = write_network(replace(network, structure=spoil(network.structure)))
    ModelFile.at(path).save(replace(stored, settings=settings, network=damaged))
    with pytest.raises(ModelFileError, match=rf"damaged\.gpuvgm: its network is inconsistent \({why}"):
        gpuvgm.load(path)


def _save_with(network: bytes, fitted: gpuvgm.TableSynthesizer, path: Path) -> None:
    """A model of right checksums with another network."""
    fitted.save(path)
    stored = ModelFile.at(path).load()
    ModelFile.at(path).save(replace(stored, network=network))


def test_offsets_of_a_forged_network_lead_nowhere(tmp_path: Path, fitted: gpuvgm.TableSynthesizer) -> None:
    table = pa.ipc.open_file(pa.BufferReader(write_network(fitted.network_))).read_all()
    sink, length = pa.BufferOutputStream(), len(table.column(0)[0])
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    whole, forged = (np.array([0, end]).tobytes() for end in (length, length + 10**9))
    network = sink.getvalue().to_pybytes().replace(whole, forged)
    _save_with(network, fitted, tmp_path / "forged.gpuvgm")
    with pytest.raises(ModelFileError, match=r"forged\.gpuvgm: its network is inconsistent"):
        gpuvgm.load(tmp_path / "forged.gpuvgm")


def test_tables_of_a_forged_network_take_no_memory(
    tmp_path: Path, fitted: gpuvgm.TableSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are as large as the bins say, and these may say too much."""
    _save_with(write_network(fitted.network_), fitted, tmp_path / "forged.gpuvgm")
    monkeypatch.setattr(state.math, "prod", lambda shape: 1 << 40)
    with pytest.raises(ModelFileError, match=r"forged\.gpuvgm: .*its tables would take more than [\d,]+ bytes"):
        gpuvgm.load(tmp_path / "forged.gpuvgm")


@pytest.mark.parametrize("kind", ["arrow", "polars", "dict", "parquet", "csv", "batches"])
def test_sources_of_every_sort(tmp_path: Path, kind: str) -> None:
    """The kinds of the transformer's sources fit, also those that can be read only once."""
    rows = mixed_table_rows(0, 3000, 0)
    table = pa.Table.from_batches([rows])
    source: Any = table
    if kind == "polars":
        import polars

        source = polars.from_arrow(table)
    elif kind == "dict":
        source = {name: table.column(name).to_numpy() for name in ("amount", "quantity", "score")}
    elif kind == "parquet":
        source = tmp_path / "rows.parquet"
        pq.write_table(table, source)
    elif kind == "csv":
        from pyarrow import csv

        source = tmp_path / "rows.csv"
        csv.write_csv(table, source)
    elif kind == "batches":
        source = iter([rows[:1000], rows[1000:]])
    synthesizer = gpuvgm.TableSynthesizer().fit(source)
    sample = synthesizer.sample(50)
    names = (
        sample.column_names if isinstance(sample, pa.Table) else list(sample.columns if kind == "polars" else sample)
    )
    assert names == (list(source) if kind == "dict" else table.column_names)
    if kind in ("arrow", "parquet", "batches"):
        assert sample.schema.types == table.schema.types


def test_all_types_come_back() -> None:
    """Columns of every Arrow type have it in the sample, within the range of the training rows."""
    random, rows = np.random.default_rng(0), 600
    days = [date(2020, 1, 1) + timedelta(int(day)) for day in random.integers(0, 99, rows)]
    cents = [Decimal(int(cent)).scaleb(-2) for cent in random.integers(-500, 500, rows)]
    table = pa.table(
        {
            "cents": pa.array(np.round(random.lognormal(3, 1, rows), 2), mask=np.arange(rows) % 10 == 0),
            "float32": pa.array(random.normal(size=rows).astype(np.float32)),
            "year": pa.array(random.integers(1950, 2020, rows).astype(np.int16)),
            "big": pa.array(random.integers(2**60, 2**60 + 10**6, rows)),
            "unsigned": pa.array(random.integers(0, 100, rows).astype(np.uint64) + np.uint64(2**63)),
            "when": pa.array(random.integers(0, 10**9, rows)).cast(pa.timestamp("s")).cast(pa.timestamp("ns", "UTC")),
            "day": pa.array(days),
            "price": pa.array(cents, pa.decimal128(9, 2)),
            "wide": pa.array([Decimal(int(value)) for value in random.integers(0, 500, rows)], pa.decimal128(30, 0)),
            "date": pa.array([day.isoformat() for day in days]),
            "percent": pa.array([f"{value} %" for value in random.integers(0, 100, rows)]),
            "text": pa.array([f"t{i % 7}" for i in range(rows)]),
            "category": pa.array([f"t{i % 3}" for i in range(rows)]).dictionary_encode(),
            "truth": pa.array(np.arange(rows) % 3 == 0),
            "nothing": pa.nulls(rows, pa.float64()),
            "nested": pa.array([[i % 3] for i in range(rows)]),
        }
    )
    sample = gpuvgm.TableSynthesizer({"nested": "pass"}).fit(table).sample(500)
    assert sample.schema.names == table.schema.names
    assert sample.schema.types == table.schema.types
    for name in ("cents", "float32", "year", "big", "unsigned", "when", "day", "price", "wide", "date"):
        low, high = (getattr(pc, end)(table[name]) for end in ("min", "max"))
        assert pc.all(pc.and_(pc.greater_equal(sample[name], low), pc.less_equal(sample[name], high))).as_py(), name
    for name in ("date", "percent", "text", "category", "truth"):
        assert set(sample[name].to_pylist()) <= {*table[name].to_pylist(), *(f"{i} %" for i in range(100))} | {
            (date(2020, 1, 1) + timedelta(day)).isoformat() for day in range(99)
        }


def test_counts_do_not_depend_on_blocks_or_order(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Parts that are merged in any order, and added, give the counts of one fit to the last bit."""
    like = gpuvgm.TableSynthesizer(like=fitted)
    parts = [clone(like).fit(frame[start : start + 1500]) for start in (0, 1500, 3000)]
    whole = fitted.network_.counts
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = parts[order[0]].merge(parts[order[1]]).merge(parts[order[2]])
        assert all(map(np.array_equal, merged.network_.counts.pairs, whole.pairs))
        assert all(map(np.array_equal, merged.network_.counts.triples, whole.triples))
        assert merged.sample(200).equals(fitted.sample(200))
    added = clone(like).partial_fit(frame[:1000]).partial_fit(frame[1000:])
    assert all(map(np.array_equal, added.network_.counts.triples, whole.triples))


def test_fits_of_other_bins_are_not_merged(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Counts of other bins cannot be added."""
    other = gpuvgm.TableSynthesizer(bins=16).fit(frame[:2000])
    with pytest.raises(InputError, match="different bins or networks"):
        fitted.merge(other)


def test_counts_do_not_depend_on_row_groups_and_threads(tmp_path: Path, frame: pd.DataFrame) -> None:
    """Files of 1 block and 7, read by 1 worker and 3, give the same network and the same rows to the last bit."""
    found = []
    for blocks in (1, 7):
        path = tmp_path / f"{blocks}.parquet"
        frame.to_parquet(path, row_group_size=-(-len(frame) // blocks))
        for threads in (1, 3):
            one = gpuvgm.TableSynthesizer(threads=threads).fit(path)
            found.append((write_network(one.network_), one.sample(300)))
    assert all(network == found[0][0] and rows.equals(found[0][1]) for network, rows in found[1:])


def test_new_categories_are_refused_by_partial_fit(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """A value that has no bin is an error that names the column."""
    rows = frame[:20].assign(group="unheard of")
    with pytest.raises(InputError, match='column "group": a value is no category'):
        clone(gpuvgm.TableSynthesizer(like=fitted)).fit(rows)


def test_numbers_without_a_bin_are_refused(fitted: gpuvgm.TableSynthesizer) -> None:
    """A column that had modal and missing values alone has no bin for another number."""
    column = fitted.transformer_.model_["income"]
    bins = next(one for one in fitted.network_.structure.bins if one.name == "income")
    few = replace(bins, codes=bins.codes[: len(column.modal_values)], edges=bins.edges[:0])
    assert bins_of_rows(column, few, np.array([np.nan]), None, get_engine()).tolist() == [bins.codes[0]]
    with pytest.raises(InputError, match='column "income": a value differs'):
        bins_of_rows(column, few, np.array([np.nan, 3.0]), None, get_engine())


def test_densities_are_finite_and_tell_odd_rows(frame: pd.DataFrame, fitted: gpuvgm.TableSynthesizer) -> None:
    """Held-out rows, unseen categories and numbers far out have finite densities; odd rows have lower ones."""
    usual = fitted.score_samples(_frame(500))
    assert np.all(np.isfinite(usual))
    odd = frame[:100].assign(group=np.where(frame["age"][:100] > 65, "working", "retired"))
    assert np.median(fitted.score_samples(odd)) < np.median(fitted.score_samples(frame[:100])) - 3
    far = frame[:3].assign(group="unheard of", age=np.nan, height=np.float32(1e6), income=1e9)
    assert np.all(np.isfinite(fitted.score_samples(far)))
    assert np.all(fitted.score_samples(far) < fitted.score_samples(frame[:3]))


def test_densities_of_numbers_add_up_to_one(random: np.random.Generator) -> None:
    """Probabilities of a column on a step, and the integral of another one, are 1."""
    whole = gpuvgm.TableSynthesizer().fit({"x": random.poisson(40, 5000), "y": random.random(5000) < 0.5})
    values = np.arange(0, 120)
    found = sum(np.exp(whole.score_samples({"x": values, "y": np.full(120, fill)})).sum() for fill in (True, False))
    low, high = (
        values[np.exp(whole.score_samples({"x": values, "y": np.full(120, True)})) > 1e-5][at] for at in (0, -1)
    )
    assert low < 30 and high > 50
    assert found == pytest.approx(1, abs=0.01)  # beyond the range there is a little more
    smooth = gpuvgm.TableSynthesizer().fit({"x": random.normal(0, 1, 5000)})
    grid = np.linspace(-3, 3, 60_001)
    share = np.mean(np.abs(random.normal(0, 1, 200_000)) < 3)
    assert np.exp(smooth.score_samples({"x": grid})).sum() * 1e-4 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("kind", ["uint64", "datetime64[ns]"])
def test_steps_finer_than_floats_have_a_density(kind: str) -> None:
    longest = 2**62
    numbers = np.random.default_rng(0).integers(0, longest, 6000)
    rows = {"x": numbers.astype("u8" if kind == "uint64" else kind)}
    scores = gpuvgm.TableSynthesizer({"x": "continuous"}).fit(rows).score_samples(rows)
    assert np.median(scores) == pytest.approx(-np.log(longest), abs=0.1)
    assert np.ptp(scores) < 5


@pytest.mark.parametrize(
    ("conditions", "check"),
    [
        ({"age": 30}, lambda rows: (rows["age"] == 30).all()),
        ({"age": (None, 25)}, lambda rows: (rows["age"] <= 25).all()),
        ({"age": [20, 40], "group": "working"}, lambda rows: set(rows["age"]) == {20, 40}),
        ({"income": None}, lambda rows: rows["income"].isna().all()),
        ({"income": (1000, 1500.5)}, lambda rows: rows["income"].between(1000, 1500.5).all()),
        ({"height": (170.25, 171.5)}, lambda rows: rows["height"].between(170.25, 171.5).all()),
        (
            {"since": (date(2021, 1, 1), "2021-02-01")},
            lambda rows: rows["since"].between("2021-01-01", "2021-02-01").all(),
        ),
        ({"colour": {"red", "blue"}, "member": True}, lambda rows: set(rows["colour"]) == {"red", "blue"}),
    ],
)
def test_conditions_hold(fitted: gpuvgm.TableSynthesizer, conditions: dict[str, Any], check: Any) -> None:
    """Every row meets the conditions."""
    assert check(fitted.sample(400, conditions=conditions))


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({"shade": "red"}, 'no modelled column "shade"'),
        ({"colour": "purple"}, 'column "colour": .*purple'),
        ({"colour": ("a", "b")}, "no range"),
        ({"age": (100, 200)}, 'column "age": no value of the model meets >= 100 and <= 200; its values'),
        ({"age": (100, None)}, 'column "age": no value of the model meets >= 100; its values'),
        ({"age": [(None, -5), 300]}, 'column "age": no value of the model meets <= -5 or = 300; its values'),
        ({"age": (50, 20)}, "ends before it begins"),
        ({"age": (50,)}, r"a range has two ends, \(low, high\), got \(50,\)"),
        ({"age": "old"}, 'column "age"'),
        ({"note": "x"}, 'no modelled column "note"'),
    ],
)
def test_conditions_that_cannot_be_met(
    fitted: gpuvgm.TableSynthesizer, conditions: dict[str, Any], problem: str
) -> None:
    """The error names the column."""
    with pytest.raises(InputError, match=problem):
        fitted.sample(1, conditions=conditions)


@pytest.mark.parametrize("condition", [10.005, [10.001], (10.001, 10.004)])
def test_conditions_between_two_steps_cannot_be_met(condition: Any) -> None:
    """No rounding of the ends of a step leaves a share of it."""
    paid = np.random.default_rng(0).lognormal(3, 1, 2000).round(2)
    synthesizer = gpuvgm.TableSynthesizer().fit({"paid": paid})
    with pytest.raises(InputError, match=r"no value of the model meets .* reach from 0.41 to 430.97 in steps of 0.01"):
        synthesizer.sample(10, conditions={"paid": condition})
    assert set(synthesizer.sample(10, conditions={"paid": (10.001, 10.014)})["paid"]) == {10.01}
    with pytest.raises(InputError, match="'much' is no number"):
        synthesizer.sample(10, conditions={"paid": "much"})


def test_conditions_leave_whole_steps_and_count_none_twice(random: np.random.Generator) -> None:
    """A range holds the steps within it; ranges that overlap are one; dates are no numbers."""
    table = {
        "wind": random.integers(0, 36, 5000) * 10,
        "warmth": random.normal(10, 5, 5000).round(1),
        "place": random.integers(0, 1000, 5000),
        "day": np.datetime64("2020-01-01") + random.integers(0, 1000, 5000),
    }
    synthesizer = gpuvgm.TableSynthesizer().fit(table)
    for wrong in ({"wind": 15}, {"wind": (15, 18)}, {"warmth": 10.05}):
        with pytest.raises(InputError, match="no value of the model meets"):
            synthesizer.sample(10, conditions=wrong)
    with pytest.raises(InputError, match=r'2000 is no value of type .*; write it as text, such as "2024-01-31"'):
        synthesizer.sample(10, conditions={"day": (2000, None)})
    assert set(synthesizer.sample(500, conditions={"wind": (15, 20)})["wind"]) == {20}
    assert set(synthesizer.sample(500, conditions={"warmth": (10.07, 10.32)})["warmth"]) == {10.1, 10.2, 10.3}
    place = synthesizer.sample(20_000, conditions={"place": [(200, 299), (250, 349)]})["place"]
    assert np.mean((place >= 250) & (place < 300)) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("rows", [1e3, "10", -1, True])
def test_numbers_of_rows_are_whole(fitted: gpuvgm.TableSynthesizer, rows: Any) -> None:
    with pytest.raises(InputError, match="n must be a whole number, at least 0, got"):
        fitted.sample(rows)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT", "s")], ids=repr)
def test_whatever_means_missing_is_a_condition(missing: Any) -> None:
    """As a value, and as the end of a range that has none."""
    table = pd.DataFrame(
        {
            "count": pd.array([1, 2, None, 4] * 200, dtype="Int64"),
            "size": np.where(np.arange(800) % 7, np.random.default_rng(0).normal(size=800).round(2), np.nan),
        }
    )
    synthesizer = gpuvgm.TableSynthesizer({"count": "categorical", "size": "continuous"}).fit(table)
    for name in table:
        assert synthesizer.sample(30, conditions={name: missing})[name].isna().all()
    assert (synthesizer.sample(30, conditions={"size": (missing, 0.5)})["size"] <= 0.5).all()
    with pytest.raises(InputError, match="column \"count\": 'many' is no value of type int64"):
        synthesizer.sample(1, conditions={"count": "many"})


def test_conditions_that_hardly_any_training_row_meets_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Back-off gives a probability to what never occurs; likely conditions say nothing."""
    colour = np.array(["red", "green"] * 2000)
    synthesizer = gpuvgm.TableSynthesizer(laws="off").fit({"colour": colour, "leaf": colour == "green"})
    synthesizer.sample(10, conditions={"colour": "red", "leaf": False})
    assert not caplog.messages
    synthesizer.sample(10, conditions={"colour": "red", "leaf": True})
    (said,) = caplog.messages
    assert re.fullmatch(r"conditions: the model expects only \S+ of 4,000 training rows to meet them", said)


def test_independent_columns_get_no_parents() -> None:
    """Leave-one-out likelihood sees that nothing is gained."""
    random = np.random.default_rng(1)
    table = {f"x{i}": random.normal(0, 1, 20_000) for i in range(4)} | {"c": random.choice(list("abcdefgh"), 20_000)}
    assert all(node.parents == () for node in gpuvgm.TableSynthesizer().fit(table).network_.nodes)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"conditions_on": ["y"]}, '"y"'),
        ({"bins": 1}, "bins"),
        ({"bins": 1001}, "bins"),
        ({"safer": 1}, "safer must be true or false"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], problem: str) -> None:
    """They are refused by name."""
    with pytest.raises(ValueError, match=problem):
        gpuvgm.TableSynthesizer(**parameters).fit({"x": [1.0, 2.0]})


def test_the_safer_setting_relies_on_more_rows(tmp_path: Path) -> None:
    """Smaller trees, and shares nearer to those of the nodes above; kept by files and by fits of the same counts."""
    random = np.random.default_rng(0)
    x = random.normal(size=2_000)
    table = pd.DataFrame({"x": x, "y": x + random.normal(size=2_000), "z": random.integers(0, 9, 2_000)})
    usual, safer = (gpuvgm.TableSynthesizer(safer=safer).fit(table) for safer in (False, True))
    splits = [
        sum(np.count_nonzero(one.trees.nodes[:, 0] >= 0) for one in fitted.network_.structure.trees)
        for fitted in (usual, safer)
    ]
    assert 0 < splits[1] < 0.8 * splits[0]
    near = [fitted.score_samples(table).mean() for fitted in (usual, safer)]
    assert near[0] - near[1] > 0.05  # nats by which the training rows themselves are likelier
    safer.save(tmp_path / "safer.gpuvgm")
    loaded = gpuvgm.load(tmp_path / "safer.gpuvgm")
    like = gpuvgm.TableSynthesizer(like=safer).fit(table)
    like.save(tmp_path / "like.gpuvgm")
    loaded_like = gpuvgm.load(tmp_path / "like.gpuvgm")
    for one in (loaded, like, loaded_like, gpuvgm.TableSynthesizer(like=like).fit(table)):
        assert one.sample(300).equals(safer.sample(300))
    assert loaded.safer and loaded_like.safer
    parts = [gpuvgm.TableSynthesizer(like=safer).fit(part) for part in (table[:700], table[700:])]
    assert parts[0].merge(parts[1]).sample(300).equals(safer.sample(300))


@pytest.mark.parametrize(("rows", "intervals"), [(80, 10), (1_000, 125), (4_000, 200), (10_000, 400), (30_000, 1_000)])
def test_large_tables_have_finer_bins(rows: int, intervals: int) -> None:
    """8 rows a bin and more, from 200 bins on 25."""
    table = {"x": np.random.default_rng(0).normal(size=rows)}
    (bins,) = gpuvgm.TableSynthesizer().fit(table).network_.structure.bins
    assert intervals - 1 <= len(bins.edges) <= intervals - 1 + 2 * len(TAILS)
    (bins,) = gpuvgm.TableSynthesizer(bins=50).fit(table).network_.structure.bins
    assert len(bins.edges) <= 49 + 2 * len(TAILS)


def test_the_network_has_groups_of_many_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing or modal has a group of its own, so that it comes back from there."""
    monkeypatch.setattr(conditioned, "MOST_COMBINATIONS", 0)
    monkeypatch.setattr(conditioned, "LEAST_SHARE", 2.0)
    draws, rows = np.random.default_rng(0), 40_000
    label, amount = np.repeat(["yes", "no"], [160, rows - 160]), draws.normal(10, 3, rows)
    amount[:160] = draws.normal(14, 1, 160)
    amount[:4_000:4], amount[1:8_000:4] = 0.0, np.nan
    fitted = gpuvgm.TableSynthesizer(columns={"amount": "mixed"}).fit(pd.DataFrame({"label": label, "amount": amount}))
    structure = fitted.network_.structure
    size = {bins.name: (len(bins), len(axis)) for bins, axis in zip(structure.bins, structure.axes, strict=True)}
    assert size["label"] == (2, 2) and size["amount"][0] > 900 and 180 < size["amount"][1] < 204
    sample = fitted.sample(4_000, conditions={"label": "yes"})["amount"]
    assert np.mean(sample == 0) == pytest.approx(0.25, abs=0.03)
    assert np.mean(sample.isna()) == pytest.approx(0.25, abs=0.03)
    assert np.mean(sample[sample > 0]) == pytest.approx(14, abs=0.3)
    both = fitted.sample(200, conditions={"amount": (13, 13.01), "label": "yes"})
    assert both["amount"].between(13, 13.01).all() and (both["label"] == "yes").all()


def test_rare_conditions_follow_the_trees_where_their_columns_come_first(caplog: pytest.LogCaptureFixture) -> None:
    """A class of 200 rows of 20,000: exact with `conditions_on`, else of the network of parents, with a warning."""
    random = np.random.default_rng(2)
    x, y = random.normal(0, 1, (2, 20_000))
    rare = np.argsort(x + y)[-200:]
    label = np.full(20_000, "no", object)
    label[rare] = "yes"
    table = {"x": x, "y": y, "z": random.choice(list("ab"), 20_000), "label": label}
    rows = gpuvgm.TableSynthesizer(conditions_on=["label"]).fit(table).sample(2_000, conditions={"label": "yes"})
    assert not caplog.records and set(rows["label"]) == {"yes"}
    assert np.mean(rows["x"]) == pytest.approx(np.mean(x[rare]), abs=0.2)
    gpuvgm.TableSynthesizer(conditions_on=["x", "y", "z"]).fit(table).sample(10, conditions={"label": "yes"})
    assert "fit with conditions_on=['label'] to have them drawn from the trees" in caplog.text


@pytest.mark.parametrize("rows", [1, 2, 7, 60])
def test_tiny_tables(rows: int) -> None:
    """A fit of few rows samples, scores and comes back from a file."""
    frame = _frame(rows)
    synthesizer = gpuvgm.TableSynthesizer().fit(frame)
    assert list(synthesizer.sample(20)) == list(frame)
    assert np.all(np.isfinite(synthesizer.score_samples(frame)))


def test_no_torch(fitted: gpuvgm.TableSynthesizer) -> None:
    """Nothing of a neural network is imported."""
    code = (
        "import sys, gpuvgm; gpuvgm.TableSynthesizer().fit({'x': [1, 2] * 50}).sample(3); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_table_of_conditions_is_met_row_by_row() -> None:
    """Whatever the kind of the table; each row has the values of its row there, and the rest follows them."""
    frame = _frame()
    fitted = gpuvgm.TableSynthesizer().fit(frame)
    wanted = pd.DataFrame({"group": ["retired", "working"] * 300, "rating": pd.array([1, 2, 3] * 200, "Int8")})
    wanted.loc[::3, "rating"] = 5
    rows = fitted.sample(600, conditions=wanted, seed=3)
    assert isinstance(rows, pd.DataFrame) and list(rows) == list(frame)
    assert rows["group"].tolist() == wanted["group"].tolist()
    assert rows["rating"].tolist() == wanted["rating"].tolist()
    assert fitted.sample(2, conditions=pd.DataFrame({"income": [np.nan, np.nan]}))["income"].isna().all()
    assert (rows["age"] > 65).mean() == pytest.approx(0.5, abs=0.05), "what depends on the group follows it"
    again = fitted.sample(600, conditions=pa.Table.from_pandas(wanted), seed=3)
    pd.testing.assert_frame_equal(rows, again)
    other = fitted.sample(600, conditions=wanted, seed=3, first_row=600)
    assert not other["income"].equals(rows["income"])


def test_tables_of_conditions_that_cannot_be_met(tmp_path: Path) -> None:
    fitted = gpuvgm.TableSynthesizer().fit(_frame())
    with pytest.raises(InputError, match="conditions: .* has 2 rows, but n is 3"):
        fitted.sample(3, conditions=pd.DataFrame({"group": ["retired", "working"]}))
    with pytest.raises(InputError, match='conditions: there is no modelled column "town"'):
        fitted.sample(1, conditions=pd.DataFrame({"town": ["Bonn"]}))
    with pytest.raises(InputError, match='column "group"'):
        fitted.sample(1, conditions=pd.DataFrame({"group": ["idle"]}))
    with pytest.raises(InputError, match="rows with the values of a table are not written"):
        fitted.sample(1, conditions=pd.DataFrame({"group": ["retired"]}), out=tmp_path / "rows.parquet")
    assert not list(tmp_path.iterdir())


def test_a_synthesizer_judges_as_its_transformer_does() -> None:
    frame = _frame()
    fitted = gpuvgm.TableSynthesizer().fit(frame)
    comparison = fitted.evaluate(frame, n=1000, seed=4)
    assert comparison.synthetic_rows == 1000 and comparison.rows == ROWS
    direct = fitted.transformer_.evaluate(frame, compare=fitted.sample(1000, seed=4))
    assert comparison.columns == direct.columns
    assert fitted.evaluate(frame).synthetic_rows == ROWS
    assert fitted.validate(frame).to_dict() == fitted.transformer_.validate(frame).to_dict()
    assert fitted.schema_ == fitted.transformer_.schema_
    for call in (
        lambda s: s.evaluate(frame),
        lambda s: s.validate(frame),
        lambda s: s.schema_,
        lambda s: s.plot("age"),
    ):
        with pytest.raises(NotFittedError):
            call(gpuvgm.TableSynthesizer())


def test_print_says_how_much_is_modelled() -> None:
    frame = _frame()
    fitted = gpuvgm.TableSynthesizer().fit(frame)
    modelled = len(fitted.network_.structure.bins)
    assert f"fitted on {ROWS:,} rows: {modelled} columns modelled" in str(fitted).splitlines()


def test_the_same_call_gives_the_same_rows_and_the_docstring_says_how_to_go_on():
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": np.random.default_rng(0).normal(size=500)})
    first, again, onwards = (
        synthesizer.sample(3)["x"],
        synthesizer.sample(3)["x"],
        synthesizer.sample(3, first_row=3)["x"],
    )
    assert (first == again).all()
    assert (np.concatenate([first, onwards]) == synthesizer.sample(6)["x"]).all()
    assert "first_row=rows_so_far" in gpuvgm.TableSynthesizer.sample.__doc__
