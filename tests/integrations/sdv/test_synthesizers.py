"""SDV's own synthesizers train on gpuvgm's encoder, and the page about them runs; with SDV 1 and 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuvgm.errors import InputError
from gpuvgm.integrations.ctgan import DataTransformer, installed
from gpuvgm.integrations.sdv import read_kinds
from tests.docs.pages import Block, python_blocks, run_python

pytest.importorskip("sdv", reason="SDV is not installed")

import sdv
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer, TVAESynthesizer
from sdv.utils import load_synthesizer

TWO = sdv.__version__ >= "2"
BLOCKS = python_blocks({"sdv"})
pytestmark = pytest.mark.filterwarnings("ignore")
each = pytest.mark.parametrize("synthesizer", [CTGANSynthesizer, TVAESynthesizer])


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    random, rows = np.random.default_rng(0), 600
    return pd.DataFrame(
        {
            "customer": [f"C{number:05}" for number in range(rows)],
            "age": random.integers(18, 90, rows),
            "pay": np.where(random.random(rows) < 0.1, np.nan, random.lognormal(8, 0.5, rows).round(2)),
            "work": random.choice(np.array(["office", "shop", None], object), rows),
            "member": random.random(rows) < 0.3,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, rows), unit="D"),
            "email": [f"user{number}@example.org" for number in range(rows)],
        }
    )


def fit(synthesizer: Any, people: pd.DataFrame, **options: Any) -> Any:
    """A synthesizer of SDV, trained for an epoch within the context."""
    metadata = Metadata.detect_from_dataframes({"people": people})
    made = synthesizer(metadata, epochs=1, batch_size=100)
    with installed(**options):
        made.fit({"people": people} if TWO else people)
    return made


def sample(made: Any, rows: int) -> pd.DataFrame:
    sampled = made.sample(num_rows=rows)
    return sampled["people"] if TWO else sampled


def encoder_of(made: Any) -> Any:
    """What the network within a synthesizer encodes with."""
    held = vars(made._model)
    return held.get("_transformer", held.get("transformer"))


@each
def test_synthesizers_train_on_this_encoder(synthesizer: Any, people: pd.DataFrame, tmp_path: Path) -> None:
    made = fit(synthesizer, people)
    assert type(encoder_of(made)) is DataTransformer
    rows = sample(made, 200)
    assert dict(rows.dtypes) == dict(people.dtypes)
    for name in ("age", "pay", "since"):
        assert rows[name].dropna().between(people[name].min(), people[name].max()).all()
    assert set(rows["work"].dropna()) <= {"office", "shop"}
    assert not set(rows["email"]) & set(people["email"])

    made.save(tmp_path / "synthesizer.pkl")
    loaded = load_synthesizer(tmp_path / "synthesizer.pkl")
    assert type(encoder_of(loaded)) is DataTransformer
    assert len(sample(loaded, 20)) == 20


@each
def test_arguments_reach_the_encoder(synthesizer: Any, people: pd.DataFrame) -> None:
    made = fit(synthesizer, people, effort="best", columns={"pay": {"log": True}})
    encoder = encoder_of(made)
    assert encoder._settings["effort"] == "best"
    assert encoder._table.schema_["pay"].options["log"]


@each
def test_without_the_context_it_is_ctgans_own(synthesizer: Any, people: pd.DataFrame) -> None:
    fit(synthesizer, people)
    made = synthesizer(Metadata.detect_from_dataframes({"people": people}), epochs=1, batch_size=100)
    made.fit({"people": people} if TWO else people)
    assert type(encoder_of(made)).__module__ == "ctgan.data_transformer"


def test_kinds_are_read_from_detected_metadata(people: pd.DataFrame, tmp_path: Path) -> None:
    metadata = Metadata.detect_from_dataframes({"people": people})
    kinds = read_kinds(metadata)
    assert kinds == {
        "customer": "id",
        "age": {"standardize": "auto"},
        "pay": {"standardize": "auto"},
        "work": "categorical",
        "member": "categorical",
        "email": "pass",
    }
    metadata.save_to_json(tmp_path / "people.json")
    assert read_kinds(tmp_path / "people.json", "people") == kinds
    with pytest.raises(InputError, match='no table "shops"'):
        read_kinds(metadata, "shops")


def test_metadata_of_one_table_is_read(people: pd.DataFrame) -> None:
    metadata = pytest.importorskip("sdv.metadata.single_table", reason="SDV 2 has no SingleTableMetadata")
    one = metadata.SingleTableMetadata()
    one.detect_from_dataframe(people)
    assert read_kinds(one) == read_kinds(Metadata.detect_from_dataframes({"people": people}))


def test_every_sdtype_has_a_kind() -> None:
    described = Metadata.load_from_dict({"tables": {"people": {"columns": {"age": {"sdtype": "numerical"}}}}})
    known = described.tables["people"]._SDTYPE_KWARGS
    kinds = read_kinds({"columns": {name: {"sdtype": name} for name in known}})
    assert set(known) - set(kinds) == {"datetime"}, "the kind of dates is inferred"
    assert kinds["numerical"] == {"standardize": "auto"}


def test_a_block_shows_it() -> None:
    assert BLOCKS


@pytest.mark.skipif(not TWO, reason="the page shows SDV 2")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}:{block.line}")
def test_a_block_of_the_page_runs(block: Block, working_folder: Path) -> None:
    run_python(block)
