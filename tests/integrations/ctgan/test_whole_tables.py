"""CTGAN and TVAE from a table to a table: kinds inferred, no column lost, conditions met, and models without pickle."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError, ModelFileError

ctgan = pytest.importorskip("ctgan", reason="ctgan is not installed")
pytest.importorskip("torch", reason="torch is not installed")

from gpuvgm.integrations import ctgan as ours  # noqa: E402
from gpuvgm.synthesis import outputs  # noqa: E402
from tests.cli.running import document, invoke  # noqa: E402

ROWS = 1_500
SMALL = {ours.CTGAN: {"generator_dim": (16,), "discriminator_dim": (16,), "pac": 5}, ours.TVAE: {}}
KINDS = list(SMALL)
BOTH = pytest.mark.parametrize("kind", KINDS)

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module")
def people():
    """A table as people have them."""
    random = np.random.default_rng(0)
    age = random.integers(18, 90, ROWS)
    return pd.DataFrame(
        {
            "customer": [f"C{row:06d}" for row in range(ROWS)],
            "age": age,
            "city": random.choice(["Rome", "New York", "Bonn", None], ROWS, p=[0.5, 0.3, 0.15, 0.05]),
            "price": [f"${price:,.2f}" for price in random.lognormal(5, 1, ROWS)],
            "rate": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(3, 1, ROWS).round(2)),
            "stars": random.integers(1, 6, ROWS),
            "joined": pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3000, ROWS), "D"),
            "active": random.random(ROWS) < 0.7,
            "phone": [f"+49 {a} {b}" for a, b in random.integers(100, 999_999, (ROWS, 2))],
            "country": "DE",
            "zeros": np.where(random.random(ROWS) < 0.4, 0.0, random.gamma(2, 50, ROWS).round(2)),
        }
    )


def fitted(kind, rows, *, steps=5, seed=5, **options):
    model = kind(embedding_dim=8, batch_size=200, epochs=3, **SMALL[kind])
    model.set_random_state(seed)
    model.fit(rows, steps=steps, **options)
    return model


@pytest.fixture(scope="module", params=KINDS)
def model(request, people):
    return fitted(request.param, people, steps=30)


def test_no_column_is_lost(model, people):
    rows = model.sample(700)
    assert rows.columns.tolist() == people.columns.tolist()
    assert rows.dtypes.equals(people.dtypes)
    assert rows["customer"].tolist() == [f"C{ROWS + row:06d}" for row in range(700)]
    assert rows["price"].str.fullmatch(r"\$[\d,]+\.\d\d").all()
    assert rows["country"].eq("DE").all()
    assert rows["rate"].isna().any() and not rows["rate"].isna().all()
    assert (rows["zeros"] == 0).any()


@BOTH
def test_intervals_and_periods_are_modelled(kind, people):
    rows = people[["age", "city"]].assign(band=pd.cut(people["age"], 3), month=people["joined"].dt.to_period("M"))
    sample = fitted(kind, rows).sample(50)
    assert sample.dtypes.equals(rows.dtypes)
    assert set(sample["band"]) <= set(rows["band"])
    assert sample["month"].dropna().between(rows["month"].min(), rows["month"].max()).all()


def test_kinds_are_those_of_a_table_transformer(model, people):
    alone = gpuvgm.TableTransformer().fit(people)
    kinds = {name: column.kind for name, column in model._table.transformer.columns_.items()}
    assert kinds == {name: column.kind for name, column in alone.columns_.items()}


def test_numbers_stay_within_the_training_range(model, people):
    rows = model.sample(3_000)
    for name in ("age", "rate", "zeros", "joined"):
        assert people[name].min() <= rows[name].min() <= rows[name].max() <= people[name].max()


def test_the_range_can_be_left():
    rows = pd.DataFrame(
        {"x": np.random.default_rng(0).normal(size=400), "n": np.random.default_rng(1).integers(0, 99, 400)}
    )
    transformer = gpuvgm.TableTransformer().fit(rows)
    matrix = transformer.transform(rows, layout="onehot")
    matrix = np.array(matrix)
    for start, _, activation in (span for spans in transformer.layout_.values() for span in spans):
        if activation == "tanh":
            matrix[:, start] = np.where(np.arange(400) % 2, 1, -1)
    free, bound = (
        outputs.SampledTable(transformer, {}, enforce=enforce).rows(matrix, 0, 0) for enforce in (False, True)
    )
    for name in rows:
        sampled, kept = free[name].to_numpy(), bound[name].to_numpy()
        low, high = rows[name].min(), rows[name].max()
        assert sampled.min() < low and sampled.max() > high
        assert kept.tolist() == np.clip(sampled, low, high).tolist()


@BOTH
def test_the_range_is_kept_unless_asked_for(kind, people):
    assert fitted(kind, people[["age"]])._table.enforce
    free = kind(embedding_dim=8, batch_size=200, enforce_min_max_values=False, **SMALL[kind])
    free.fit(people[["age"]], steps=1)
    assert not free._table.enforce


@BOTH
def test_columns_are_declared_as_for_a_table(kind, people):
    model = fitted(kind, people, columns={"stars": "continuous", "customer": "drop"})
    assert model._table.transformer.columns_["stars"].kind == "continuous"
    assert "customer" not in model.sample(3)
    chosen = fitted(kind, people, columns=["age", "city"])
    assert chosen.sample(3).columns.tolist() == ["age", "city"]
    table = gpuvgm.TableTransformer(["age", "zeros"]).fit(people)
    assert fitted(kind, people, columns=table).sample(3).columns.tolist() == ["age", "zeros"]
    with pytest.raises(InputError, match="leave out discrete_columns"):
        fitted(kind, people, discrete_columns=["city"], columns=["age"])


@BOTH
def test_columns_that_are_no_numbers_are_named_together(kind, people):
    with pytest.raises(InputError, match='columns "customer", "phone" hold no numbers') as told:
        fitted(kind, people[["age", "customer", "stars", "phone"]], discrete_columns=["stars"])
    assert str(told.value).endswith("give discrete_columns=['stars', 'customer', 'phone']")


def test_text_of_many_amounts_is_not_said_to_be_discrete() -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({"city": draws.choice(["a", "b"], 4_000), "level": draws.choice(["x", "y"], 4_000)})
    frame["price"] = [f"${value:,.2f}" for value in draws.lognormal(6, 2, 4_000)]
    with pytest.raises(InputError) as told:
        ours.CTGAN().fit(frame, ["city"], steps=1)
    different = frame["price"].nunique()
    assert str(told.value) == (
        "column \"level\" holds no numbers: give discrete_columns=['city', 'level']; "
        f'column "price" holds text of {different:,} different numbers or dates, too many to be discrete: convert it; '
        "without discrete_columns, CTGAN and TVAE read it as such"
    )
    with pytest.raises(InputError, match='^column "price" holds text of .* different numbers or dates, too'):
        ours.CTGAN().fit(frame[["city", "price"]], ["city"], steps=1)


@BOTH
def test_missing_numbers_have_a_place_by_default(kind, people):
    model = fitted(kind, people[["rate", "city"]].fillna({"city": "?"}), discrete_columns=["city"], steps=30)
    assert 0 < model.sample(2_000)["rate"].isna().sum() < 2_000


def test_several_conditions_hold_in_every_row(model, caplog):
    conditions = {"age": (30, 60), "city": ["Rome", "Bonn"], "joined": ("2018-01-01", None), "stars": (2, None)}
    with caplog.at_level("INFO", "gpuvgm"):
        rows = model.sample(250, conditions=conditions)
    assert len(rows) == 250
    assert rows["age"].between(30, 60).all()
    assert set(rows["city"]) == {"Rome", "Bonn"}
    assert rows["joined"].min() >= pd.Timestamp("2018-01-01")
    assert rows["stars"].min() >= 2
    assert 0 < model.condition_share_ < 1
    assert "drawn met the conditions" in caplog.text


@BOTH
def test_conditions_of_a_fit_with_discrete_columns(kind, people):
    rows = people[["age", "zeros", "stars"]]
    model = fitted(kind, rows, discrete_columns=["stars"], steps=30)
    sampled = model.sample(100, conditions={"stars": [4, 5], "age": (40, None)})
    assert len(sampled) == 100
    assert set(sampled["stars"]) == {4, 5}
    assert sampled["age"].min() >= 40


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"phone": "1"}, 'conditions: there is no modelled column "phone"; there are age'),
        ({"age": "old"}, 'conditions: column "age": "old" is no number'),
        ({"city": "Paris"}, "conditions: column \"city\": 'Paris' is none of its categories"),
        ({"zeros": (1e9, None)}, "conditions: 0 rows of .* drawn met them, which is too few to go on; loosen one"),
    ],
)
def test_conditions_that_no_row_meets(model, conditions, message, monkeypatch):
    monkeypatch.setattr(outputs, "MOST_TRIES", 2_000)
    with pytest.raises(InputError, match=message):
        model.sample(5, conditions=conditions)


def test_files_hold_what_memory_holds(model, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "BLOCK_ROWS", 300)
    heard = []
    model.set_random_state(3)
    written = model.sample(1_000, out=tmp_path / "rows.parquet", progress=lambda *step: heard.append(step))
    model.set_random_state(3)
    rows = model.sample(1_000)
    assert written.rows == 1_000
    assert pq.read_table(written.path).to_pandas()["price"].tolist() == rows["price"].tolist()
    assert heard[-1] == ("sample", 1_000, 1_000)
    assert len(heard) > 1


@BOTH
def test_tables_of_other_kinds(kind, people, tmp_path):
    people.to_parquet(tmp_path / "people.parquet")
    assert fitted(kind, tmp_path / "people.parquet").sample(5).column_names == people.columns.tolist()
    assert isinstance(fitted(kind, polars.from_pandas(people)).sample(5), polars.DataFrame)
    assert fitted(kind, people[["age", "zeros"]].to_numpy()).sample(5).shape == (5, 2)


def test_models_without_pickle(model, tmp_path):
    path = tmp_path / "model.gpuvgm"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert set(archive.namelist()) == {"model.json", "network.arrow", "manifest.json"}
        assert b"C000" not in b"".join(map(archive.read, archive.namelist()))
    loaded = type(model).load(path)
    for one in (model, loaded):
        one.set_random_state(1)
    assert loaded.sample(300).equals(model.sample(300))
    name = type(model).__name__
    with pytest.raises(InputError, match=f"holds a {name}: load it with gpuvgm.integrations.ctgan.{name}.load"):
        gpuvgm.load(path)
    other = next(kind for kind in KINDS if kind is not type(model))
    with pytest.raises(InputError, match=f"no model that {other.__name__}.save wrote"):
        other.load(path)


def test_only_inferred_kinds_go_without_pickle(people, tmp_path):
    model = fitted(ours.TVAE, people[["age", "stars"]], discrete_columns=["stars"])
    with pytest.raises(InputError, match="fit without discrete_columns, or give a name without .gpuvgm"):
        model.save(tmp_path / "model.gpuvgm")
    model.save(tmp_path / "model.pt")
    assert len(ours.TVAE.load(tmp_path / "model.pt").sample(3)) == 3


def test_a_network_that_does_not_fit_is_refused(model, tmp_path):
    model.save(tmp_path / "model")  # a pickle; the folder of a model file is written by hand
    stored = tmp_path / "model.gpuvgm"
    model.save(stored)
    from gpuvgm.table import ModelFile

    held = ModelFile.at(stored).load()
    held.settings["synthesizer"]["hyperparameters"]["embedding_dim"] = 9
    ModelFile.at(stored).save(held)
    with pytest.raises(ModelFileError, match="its network is inconsistent"):
        type(model).load(stored)
    assert json.dumps(held.settings["synthesizer"]["identifiers"])


def test_widths_that_a_file_only_names_take_no_memory(model, tmp_path):
    from gpuvgm.table import ModelFile

    stored = tmp_path / "model.gpuvgm"
    model.save(stored)
    held = ModelFile.at(stored).load()
    widths = {"CTGAN": "generator_dim", "TVAE": "decompress_dims"}[type(model).__name__]
    named = held.settings["synthesizer"]["hyperparameters"]
    named[widths] = [2**28] * len(named[widths])
    ModelFile.at(stored).save(held)
    with pytest.raises(ModelFileError, match=r"its network is inconsistent \(RuntimeError: Error\(s\) in loading"):
        type(model).load(stored)


@pytest.mark.parametrize("name", ["ctgan", "tvae"])
def test_the_commands_train_networks(name, people, tmp_path, monkeypatch):
    table, model, out = tmp_path / "people.parquet", tmp_path / "people.gpuvgm", tmp_path / "rows.parquet"
    people.to_parquet(table)
    kind = getattr(ours, name.upper())
    found = document("train", table, "--model", model, "--with", name, "--epochs", "1", "--seed", "3")
    assert (found["with"], found["rows"]) == (name, ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.gpuvgm", "people.parquet"]
    options = ("--where", "age >= 40 and city in (Rome, 'New York')", "--seed", "1")
    text = invoke("sample", model, out, "--rows", "50", *options).stdout
    assert "% of the rows drawn met the conditions" in text
    rows = pq.read_table(out)
    assert rows.column_names == people.columns.tolist()
    assert min(rows["age"].to_pylist()) >= 40
    free = document("sample", model, tmp_path / "free.parquet", "--rows", "9", "--for", "spark")
    assert (free["condition_share"], free["rows"]) == (None, 9)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(kind, "save", interrupted)
        invoke(
            "train", table, "--model", tmp_path / "cut.gpuvgm", "--with", name, "--epochs", "1", "--seed", "3", code=130
        )
    kept = tmp_path / ".cut.gpuvgm.training"
    before = kept.read_bytes()
    told = invoke("train", table, "--model", tmp_path / "cut.gpuvgm", "--with", name, "--epochs", "1", code=2).stderr
    assert told.startswith(f"gpuvgm: {kept}: a training that was cut short is there, ")
    assert told.endswith(": go on with --resume, or remove that file to begin again\n") and kept.read_bytes() == before
    seen = []
    fit = kind.fit
    monkeypatch.setattr(kind, "fit", lambda self, *given, **named: seen.append(named) or fit(self, *given, **named))
    invoke(
        "train", table, "--model", tmp_path / "cut.gpuvgm", "--with", name, "--epochs", "1", "--seed", "3", "--resume"
    )
    assert seen[0]["resume"]
    invoke("sample", tmp_path / "cut.gpuvgm", tmp_path / "again.parquet", "--rows", "50", *options)
    assert pq.read_table(tmp_path / "again.parquet").equals(rows)
    assert not [path.name for path in tmp_path.iterdir() if ".training" in path.name]


@pytest.mark.parametrize("discrete", [None, ["city"]])
@BOTH
def test_files_for_spark(kind, discrete, tmp_path):
    moments = pa.array(np.arange(ROWS) * 10**9, pa.timestamp("ns"))
    table = pa.table({"moment": moments, "city": ["Rome", "Bonn"] * (ROWS // 2)})
    model = fitted(kind, table, discrete_columns=discrete, steps=1)
    types = {}
    for flavor in (None, "spark"):
        written = model.sample(20, out=tmp_path / f"{flavor}.parquet", flavor=flavor)
        types[flavor] = pq.read_schema(written.path).field("moment").type
    assert types == {None: pa.timestamp("ns"), "spark": pa.timestamp("us")}


def test_the_commands_lead_from_a_csv_file_to_one(people, tmp_path):
    table, model, out = tmp_path / "people.csv", tmp_path / "people.gpuvgm", tmp_path / "rows.csv"
    seen = people["joined"].dt.strftime("%d/%m/%Y").where(people["age"] > 20)
    people.assign(seen=seen).to_csv(table, index=False)
    invoke("train", table, "--model", model, "--with", "tvae", "--epochs", "1")
    invoke("sample", model, out, "--rows", "500")
    real, rows = pd.read_csv(table), pd.read_csv(out)
    assert rows.columns.tolist() == real.columns.tolist()
    assert rows.drop(columns="phone").dtypes.equals(real.drop(columns="phone").dtypes)
    assert not {*rows["phone"]} & {*real["phone"]}
    texts = {
        "phone": r"\+49 \d+ \d+",
        "customer": r"C\d{6}",
        "price": r"\$[\d,]+\.\d\d",
        "seen": r"\d\d/\d\d/20\d\d",
        "joined": r"20\d\d-\d\d-\d\d",
    }
    for name, pattern in texts.items():
        assert rows[name].dropna().str.fullmatch(pattern).all(), name


@pytest.mark.parametrize("discrete", [None, [1]])
@BOTH
def test_labels_that_are_numbers_come_back(kind, discrete, tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({0: random.normal(size=600), 1: random.choice(["a", "b"], 600), 2: random.normal(size=600)})
    model = fitted(kind, frame, steps=1, discrete_columns=discrete)
    assert model.sample(5).columns.tolist() == [0, 1, 2]
    assert set(model.sample(5, conditions={1: "a"})[1]) == {"a"}
    if discrete is None:
        model.save(tmp_path / "model.gpuvgm")
        assert kind.load(tmp_path / "model.gpuvgm").sample(5).columns.tolist() == [0, 1, 2]
