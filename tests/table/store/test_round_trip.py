"""What is written comes back, to the last bit."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

import gpuvgm
from gpuvgm.codecs import DatetimeCodec, FloatCodec, IntegerCodec, LogCodec
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.columns import (
    KIND_NAMES,
    CategoricalColumn,
    FitRecord,
    GeneralColumn,
    IdColumn,
    MixtureColumn,
    PassthroughColumn,
)
from gpuvgm.columns.model import column_from_json
from gpuvgm.errors import InputError
from gpuvgm.io import from_plain, plain
from gpuvgm.mixture import Posterior, StickBreaking
from gpuvgm.table.model_file import ModelFile
from tests.table.store.samples import make_mixture, make_model, make_stored

FORMS = ["model", "model.gpuvgm"]


def bits(value):
    """A nested value in which arrays and floats are their bytes, so that == compares every bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return value.hex()
    if dataclasses.is_dataclass(value):
        return type(value), [bits(getattr(value, part.name)) for part in dataclasses.fields(value)]
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return [type(value), *(bits(part) for part in value)] if isinstance(value, (list, tuple)) else (type(value), value)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("summaries", [True, False])
def test_everything_comes_back(tmp_path, name, summaries):
    stored = make_stored(summaries=summaries)
    path = tmp_path / name
    ModelFile.at(path).save(stored)
    assert bits(ModelFile.at(path).load()) == bits(stored)
    assert [part.name for part in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", FORMS)
def test_no_pickle_and_plain_json(tmp_path, name):
    path = tmp_path / name
    ModelFile.at(path).save(make_stored())
    read = zipfile.ZipFile(path).read if path.is_file() else lambda member: (path / member).read_bytes()

    def refuse(constant):
        raise AssertionError(constant)

    document = json.loads(read("model.json"), parse_constant=refuse)
    assert document["format"] == 28
    assert {column["kind"] for column in document["columns"]} == set(KIND_NAMES) - {"drop"}
    assert document["version"] == gpuvgm.__version__
    assert document["created"].endswith("+00:00")
    names = {"model.json", *(f"summaries/{number}.arrow" for number in range(3))}
    assert set(json.loads(read("manifest.json"))["files"]) == names


FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)
WHOLE = st.integers(-(2**63), 2**63 - 1)


@given(FLOATS, WHOLE, WHOLE, st.integers(0, 15))
def test_columns_survive_json(values, base, end, active):
    mask = [bool(active >> i & 1) for i in range(len(values))]
    with np.errstate(over="ignore"):
        mixture = make_mixture(np.array(values), mask)
    order = tuple(range(sum(mask)))[::-1]
    column = replace(
        make_model().columns[1],
        codec=IntegerCodec(pa.int64(), base),
        mixture=mixture,
        order=order,
        minimum=min(base, end),
        maximum=max(base, end),
    )
    text = json.dumps(plain(column.to_json()), allow_nan=False)
    assert bits(column_from_json(json.loads(text, object_hook=from_plain))) == bits(column)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner), max_leaves=8))  # fmt: skip
def test_settings_survive_json(value):
    assert bits(json.loads(json.dumps(plain(value), allow_nan=False), object_hook=from_plain)) == bits(value)


def test_nan_and_numpy_scalars_survive_json():
    again = json.loads(
        json.dumps(plain([np.float64("nan"), np.int64(-(2**63)), np.bool_(True)])), object_hook=from_plain
    )
    assert np.isnan(again[0])
    assert again[1:] == [-(2**63), True]


def test_a_setting_that_is_no_json_is_refused_by_name(tmp_path):
    stored = replace(make_stored(), settings={"executor": object()})
    with pytest.raises(InputError, match="model: settings: executor: a object cannot be stored"):
        ModelFile.at(tmp_path / "model").save(stored)
    assert not list(tmp_path.iterdir())


def test_summaries_merge_after_a_round_trip(tmp_path):
    stored = make_stored()
    place = ModelFile.at(tmp_path / "m.gpuvgm")
    place.save(stored)
    again = place.load()
    for name, summary in stored.summaries.items():
        assert bits(again.summaries[name].merge(summary)) == bits(summary.merge(summary))


OTHER_FIT = {"fit": FitRecord("exact", 1, 0)}
DOES_NOT_ENCODE = {
    MixtureColumn: {**OTHER_FIT, "minimum": None, "maximum": 3, "modal_counts": ()},
    CategoricalColumn: {**OTHER_FIT, "counts": (), "appearance": (), "declared": True},
    GeneralColumn: OTHER_FIT,
    IdColumn: {**OTHER_FIT, "type": pa.int8(), "regenerate": "sequence", "first": 1, "step": 1},
    PassthroughColumn: {**OTHER_FIT, "type": pa.null()},
}


def test_fingerprint_ignores_what_does_not_encode():
    model = make_model()
    columns = tuple(replace(column, **DOES_NOT_ENCODE[type(column)]) for column in model.columns)
    same = replace(model, columns=columns, source={}, rows=1)
    assert model.fingerprint() == same.fingerprint()
    assert len(model.fingerprint()) == 64


@pytest.mark.parametrize("part", [part for part in Posterior.__dataclass_fields__ if part not in ("slack", "factors")])
def test_fingerprint_sees_every_parameter(part):
    model = make_model()
    column = model.columns[0]
    posterior = column.mixture.posterior
    value = getattr(posterior, part)
    nudged = StickBreaking(np.nextafter(value.sticks, 0.0)) if part == "concentration" else np.nextafter(value, 0.0)
    moved = replace(posterior, **{part: nudged})
    changed = replace(column, mixture=replace(column.mixture, posterior=moved))
    assert replace(model, columns=(changed, *model.columns[1:])).fingerprint() != model.fingerprint()


def test_fingerprint_sees_rules_codec_and_order():
    model = make_model()
    column = model.columns[0]
    changes = [
        {"rules": replace(column.rules, scale=4.0)},
        {"codec": replace(column.codec, infinite_is_missing=False)},
        {"order": (0, 1, 2, 3)},
        {"name": "other"},
    ]
    prints = {replace(model, columns=(replace(column, **change),)).fingerprint() for change in [{}, *changes]}
    assert len(prints) == len(changes) + 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("spikes", {"modal_values": (0.5, 5e-324, None)}),
        ("spikes", {"codec": FloatCodec(pa.float64())}),
        ("income", {"codec": LogCodec(FloatCodec(pa.float64()), -3.25)}),
        ("income", {"codec": FloatCodec(pa.float64())}),
        ("price", {"codec": DecimalCodec(pa.decimal128(38, 2), -(10**37) + 1)}),
        ("when", {"codec": DatetimeCodec(pa.timestamp("ns", "UTC"), 1_700_000_000_000_000_001)}),
        ("town é", {"categories": ("b", None, "A", 'é\n"')}),
        ("town é", {"unknown": "ignore"}),
        ("town é", {"type": pa.large_string()}),
        ("general", {"minimum": 0.5}),
        ("general", {"margin": 0.0}),
        ("general", {"clip": False}),
        ("note", {"name": "other"}),
    ],
)
def test_fingerprint_sees_what_every_kind_encodes_with(name, change):
    model = make_model()
    columns = tuple(replace(column, **change) if column.name == name else column for column in model.columns)
    assert replace(model, columns=columns).fingerprint() != model.fingerprint()


def test_fingerprint_survives_the_round_trip(tmp_path):
    stored = make_stored()
    place = ModelFile.at(tmp_path / "m")
    place.save(stored)
    assert place.load().fingerprint() == stored.fingerprint()
