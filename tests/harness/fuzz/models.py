"""Models that were spoilt: their bytes, and, with right checksums, what they say."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import string
import warnings
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from gpuvgm.cli import tables as views
from gpuvgm.cli.console import json_text
from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.io import plain
from gpuvgm.table import ModelFile
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.mutations import spoil

ROWS = 600
NAMES = ("plain", "summaries")
COLUMNS = {
    "income": {"kind": "continuous", "log": True},
    "spikes": {"kind": "mixed", "modal": [0.0, None]},
    "day": {"kind": "mixed", "modal": ["2024-01-05"]},
    "range": {"kind": "general", "clip": True},
    "whole_range": "general",
    "id": "pass",
    "code": "categorical",
    "grade": "categorical",
}


def rows_of_every_column() -> pa.Table:
    """A column of every kind, codec and type of categories."""
    random = np.random.default_rng(0)
    spikes = np.where(random.random(ROWS) < 0.3, 0.0, random.normal(5, 1, ROWS))
    whole = random.integers(0, 5000, ROWS)
    return pa.table(
        {
            "count": pa.array(whole, mask=random.random(ROWS) < 0.1),
            "large": whole + 2**60,
            "amount": random.lognormal(2, 1, ROWS),
            "income": random.lognormal(9, 1, ROWS),
            "narrow": random.normal(0, 1, ROWS).astype(np.float32),
            "price": pa.array([Decimal(int(n)) / 100 for n in whole], pa.decimal128(12, 2)),
            "when": pa.array(whole * 10**9, pa.timestamp("us", "Europe/Berlin")),
            "day": pa.array(19_727 + whole % 40, pa.int32()).cast(pa.date32()),
            "spikes": pa.array(spikes, mask=random.random(ROWS) < 0.1),
            "word": pa.array(random.choice(["a", "bb", "ccc"], ROWS), mask=random.random(ROWS) < 0.1),
            "yes": random.random(ROWS) < 0.3,
            "code": random.integers(0, 5, ROWS),
            "grade": pa.array(random.choice(["low", "high"], ROWS)).dictionary_encode(),
            "range": random.normal(0, 1, ROWS),
            "whole_range": whole,
            "id": [[int(n)] for n in whole],
        }
    )


def prepare(folder: Path) -> Path:
    """Models with and without summaries, as zips and as folders, and what they make of the rows."""
    pq.write_table(rows_of_every_column(), folder / "rows.parquet")
    transformer = gpuvgm.TableTransformer(COLUMNS, effort="research", threads=1).fit(folder / "rows.parquet")
    for name in NAMES:
        for path in (folder / name, folder / f"{name}.gpuvgm"):
            transformer.save(path, summaries=name == "summaries")
    transformer.transform(folder / "rows.parquet", out=folder / "encoded.parquet")
    return folder


def changed_bytes(prepared: Path, random: random.Random, folder: Path) -> None:
    """A zip, or one file of a folder, with a fault: refused, or the model that it was."""
    name = random.choice(NAMES)
    if random.random() < 0.5:
        model = folder / "m.gpuvgm"
        model.write_bytes(spoil((prepared / f"{name}.gpuvgm").read_bytes(), random))
    else:
        model = folder / "m"
        shutil.copytree(prepared / name, model)
        file = random.choice(sorted(path for path in model.rglob("*") if path.is_file()))
        file.write_bytes(spoil(file.read_bytes(), random))
    transformer = gpuvgm.load(model)
    found = transformer.transform(prepared / "rows.parquet", layout="compact")
    if not found.equals(pq.read_table(prepared / "encoded.parquet").cast(found.schema)):
        raise WrongResult("a spoilt model encodes otherwise")


def changed_content(prepared: Path, random: random.Random, folder: Path) -> None:
    """A model that says something else, with right checksums: refused when it is loaded, or one that works."""
    model = folder / "m"
    shutil.copytree(prepared / random.choice(NAMES), model)
    summaries = sorted((model / "summaries").glob("*")) if (model / "summaries").exists() else []
    if summaries and random.random() < 0.3:
        change_summary(random.choice(summaries), random)
    else:
        document = json.loads((model / "model.json").read_text())
        for _ in range(random.choice((1, 1, 1, 2, 5))):
            change(document, random)
        (model / "model.json").write_text(json.dumps(document))
    seal(model)
    if random.random() < 0.2:
        model = zipped(model)
    transformer = gpuvgm.load(model)  # errors after this are none of the file
    try:
        use(transformer, prepared, folder)
    except ModelFileError as problem:
        raise AssertionError(f"only when it was used: {problem}") from problem
    except InputError:  # the rows fit another model, which it is now
        pass


def use(transformer: gpuvgm.TableTransformer, prepared: Path, folder: Path) -> None:
    """Everything that a model is good for."""
    repr(transformer)
    json_text(transformer.model_.describe())
    views.model_tables(transformer.model_)
    views.modes_tables(transformer.model_)
    rows = pq.read_table(prepared / "rows.parquet")
    transformer.set_params(threads=1)
    encoded = transformer.transform(rows)
    transformer.inverse_transform(encoded)
    str(transformer.evaluate(rows.slice(0, 100)))
    if transformer.summaries_:
        transformer.partial_fit(rows.slice(0, 50))
    transformer.save(folder / "again.gpuvgm", summaries=True)
    ModelFile.at(folder / "again.gpuvgm").load()


def seal(model: Path) -> None:
    """Right sizes and checksums."""
    manifest = json.loads((model / "manifest.json").read_text())
    for name in manifest["files"]:
        body = (model / name).read_bytes()
        manifest["files"][name] = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    (model / "manifest.json").write_text(json.dumps(manifest))


def zipped(model: Path) -> Path:
    """The same model as one file."""
    with zipfile.ZipFile(model.with_suffix(".gpuvgm"), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in model.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(model).as_posix())
    return model.with_suffix(".gpuvgm")


# -- changes of JSON


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key within a document; `None` stands in no container."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        left += [one[key] for key in keys]
    return found


def change(document: dict[str, Any], random: random.Random) -> None:
    """Change one place, often one within the columns."""
    within: Any = document
    if random.random() < 0.8:
        within = random.choice(document.get("columns") or [document]) if document.get("columns") else document
    found = places(within) or places(document)
    container, key = random.choice(found)
    random.choice(CHANGES)(container, key, random)


def drop(container: Any, key: Any, random: random.Random) -> None:
    """Leave a part out."""
    del container[key]


def put(container: Any, key: Any, random: random.Random) -> None:
    """Another value, of any type."""
    container[key] = random.choice(VALUES)()


def alter(container: Any, key: Any, random: random.Random) -> None:
    """A value of the same type."""
    value = container[key]
    if isinstance(value, bool):
        container[key] = not value
    elif isinstance(value, (int, float)):
        container[key] = random.choice(
            (-value, value + 1, value * 10, value * 1e300, 0, -1, 10**30, 2**63, 1e-320, value / 3, float(value) + 0.5)
        )
    elif isinstance(value, str):
        letter = random.choice(string.printable)
        container[key] = random.choice((value + letter, value[:-1], value[::-1], "", letter * 9, "int64", "string"))
    elif isinstance(value, list):
        container[key] = random.choice((value[:-1], value + value[:1], [], value[::-1], [value], value[1:] * 2))
    else:
        container[key] = random.choice(VALUES)()


def exchange(container: Any, key: Any, random: random.Random) -> None:
    """Two parts of one object or list in each other's place."""
    other = random.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]


def repeat(container: Any, key: Any, random: random.Random) -> None:
    """A part twice, or one that no model has."""
    if isinstance(container, list):
        container.insert(key, container[key])
    else:
        container["another"] = container[key]


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (drop, put, put, alter, alter, alter, exchange, repeat)
VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: -1,
    lambda: 2**64,
    lambda: 10**400,
    lambda: 1e308,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: {"$float": "nan"},
    lambda: {"$float": "-inf"},
    lambda: {"$float": []},
    lambda: "",
    lambda: "text",
    lambda: "\ud800",
    lambda: "x" * 10**6,
    lambda: {"$type": "AAAA"},
    lambda: plain(pa.decimal128(38, -100)),
    lambda: plain(pa.timestamp("us", "Nowhere/There")),
    lambda: plain(pa.dictionary(pa.int8(), pa.string())),
    lambda: plain(pa.list_(pa.int64())),
    lambda: plain(pa.dense_union([pa.field("x", pa.int8())])),
    lambda: [],
    lambda: [1.5],
    lambda: [0] * 10**6,
    lambda: {},
    lambda: {"name": "float", "type": plain(pa.float64()), "infinite_is_missing": False},
    lambda: nested(30),
    lambda: nested(900),
)


# -- changes of summaries


def change_summary(file: Path, random: random.Random) -> None:
    """Another header or other cells."""
    with pa.ipc.open_file(file) as reader:
        table = reader.read_all()
    metadata = dict(table.schema.metadata)
    if random.random() < 0.5:
        header = json.loads(metadata[b"gpuvgm.summary"])
        container, key = random.choice(places(header))
        random.choice(CHANGES)(container, key, random)
        table = table.replace_schema_metadata({"gpuvgm.summary": json.dumps(header)})
    else:
        table = random.choice(TABLES)(table, random).replace_schema_metadata(metadata)
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def other_numbers(table: pa.Table, random: random.Random) -> pa.Table:
    """Extreme numbers in one column."""
    at = random.randrange(table.num_columns)
    column = table.column(at).to_numpy().copy()
    if len(column):
        column[random.randrange(len(column))] = random.choice((0, 1, 2**22, 2**40, 2**63 - 1))
    return table.set_column(at, table.column_names[at], pa.array(column))


def other_type(table: pa.Table, random: random.Random) -> pa.Table:
    """One column of another type."""
    at = random.randrange(table.num_columns)
    column = pa.array(np.array(table.column(at)).astype(random.choice((np.float64, np.int8, np.bool_, str))))
    return table.set_column(at, table.column_names[at], column)


def without_numbers(table: pa.Table, random: random.Random) -> pa.Table:
    """One column with gaps."""
    at = random.randrange(table.num_columns)
    return table.set_column(at, table.column_names[at], pa.nulls(len(table), table.column(at).type))


TABLES: tuple[Callable[[pa.Table, random.Random], pa.Table], ...] = (
    other_numbers,
    other_numbers,
    other_type,
    without_numbers,
    lambda table, random: table.take(np.arange(len(table))[::-1]),
    lambda table, random: table.slice(0, len(table) // 2),
    lambda table, random: table.drop_columns(random.choice(table.column_names)),
    lambda table, random: pa.concat_tables([table, table]),
    lambda table, random: table.rename_columns(["a", "b", "c", "d", "e"]),
    lambda table, random: table.select(table.column_names[::-1]),
)

# -- models of synthesizers


def prepare_synthesizers(folder: Path) -> Path:
    """A model of either class in a folder, its network uncompressed, so that spoilt bytes are offsets and numbers."""
    rows = {
        "mail": [f"p{number % 150}@example.org" for number in range(ROWS)],
        "age": np.arange(ROWS) % 60,
        "paid": np.round(np.random.default_rng(0).lognormal(3, 1, ROWS), 2),
        "kind": np.where(np.arange(ROWS) % 60 < 20, "young", "old"),
    }
    domain = {
        "age": {"kind": "number", "low": 0, "high": 60, "step": 1},
        "kind": {"kind": "category", "categories": ["young", "old"]},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gpuvgm.TableSynthesizer(threads=1).fit(rows).save(folder / "counts")
        gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-6, threads=1).fit(rows).save(folder / "private")
    for model in ("counts", "private"):
        network = folder / model / "network.arrow"
        table = pa.ipc.open_file(pa.BufferReader(network.read_bytes())).read_all()
        with pa.ipc.new_file(network, table.schema) as writer:
            writer.write_table(table)
        seal(folder / model)
    return folder


def changed_network(prepared: Path, random: random.Random, folder: Path) -> None:
    """A synthesizer whose network has a fault, with right checksums: refused when it is loaded, or one that samples."""
    model = folder / "m"
    shutil.copytree(prepared / random.choice(("counts", "private")), model)
    network = model / "network.arrow"
    network.write_bytes(spoil(network.read_bytes(), random))
    seal(model)
    gpuvgm.load(model).sample(20)


TARGETS = (
    Target("model-bytes", prepare, changed_bytes),
    Target("model-content", prepare, changed_content),
    Target("model-network", prepare_synthesizers, changed_network),
)
