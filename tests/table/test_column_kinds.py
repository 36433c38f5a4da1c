"""Kinds that are asked for without a fit, and handed back to one."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.columns import ColumnSpec, TableSchema
from gpuvgm.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::gpuvgm.errors.InferenceWarning")
ROWS = 3_000


@pytest.fixture(scope="module")
def frame():
    """A column of every kind, of each that the sample or all rows decide, and with names that TOML must quote."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": np.arange(ROWS) * 2 + 5,
            "age": random.integers(0, 90, ROWS),
            "fare": np.where(random.random(ROWS) < 0.2, 0, random.lognormal(3, 1.5, ROWS).round(2)),
            "holes": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(size=ROWS)),
            "few": random.choice([1, 2, 3], ROWS),
            "city": random.choice(["Ulm", "Bonn", None], ROWS),
            "mail": [f"p{i % 700}@x{i % 5}.org" for i in range(ROWS)],  # a key of a synthesizer
            "when": pd.to_datetime(random.integers(1_600_000_000, 1_700_000_000, ROWS), unit="s"),
            "written number": [f"{value:,.2f}" for value in random.lognormal(8, 1, ROWS)],
            "key": [f"{i:08x}-0000-4000-8000-000000000000" for i in range(ROWS)],
            'steps "of" 0.1\x7f': random.integers(0, 1_000, ROWS) * 0.1,  # with dust, which declared ones keep
            "blocks": [1.0] * (ROWS - 1) + [2.5],
        }
    )
    frame.loc[5, "when"] = pd.NaT
    return frame


def read_toml(text):
    return tomllib.loads(text)["columns"]


def state_of(transformer):
    return transformer._fingerprint(), transformer.schema_


def write(frame, ending, folder):
    table, path = pa.Table.from_pandas(frame), folder / f"rows.{ending}"
    (pq.write_table if ending == "parquet" else pa.csv.write_csv)(table, path)
    return path


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
def test_a_fit_with_what_was_asked_is_the_fit_without(frame, form, tmp_path):
    source = frame if form == "frame" else write(frame, form, tmp_path)
    kinds = gpuvgm.kinds(source)
    expected = state_of(gpuvgm.TableTransformer().fit(source))
    for columns in (kinds, dict(kinds), read_toml(kinds.to_toml())):
        assert state_of(gpuvgm.TableTransformer(columns).fit(source)) == expected
    assert {spec.name: spec.kind for spec in kinds.columns} == {
        spec.name: "continuous" if spec.name in {"holes", "when"} else spec.kind for spec in expected[1].columns
    }
    assert "missing, which makes it mixed in a fit" in kinds["holes"].reason
    assert str(kinds).splitlines()[4].split("  ")[0] == "few"
    assert "sampled rows" in str(kinds)


def test_the_synthesizer_finds_keys_among_what_was_asked(frame):
    """An unchanged column may still be a key; one that was changed is what it was changed to."""
    plain = gpuvgm.TableSynthesizer(random_state=0).fit(frame)
    kinds = gpuvgm.kinds(frame)
    columns = read_toml(kinds.to_toml())
    assert plain.schema_["mail"].regenerate == "key"
    assert gpuvgm.TableSynthesizer(columns, random_state=0).fit(frame).sample(200).equals(plain.sample(200))
    columns["mail"]["kind"] = "categorical"
    changed = gpuvgm.TableSynthesizer(columns, random_state=0).fit(frame)
    assert (changed.schema_["mail"].kind, changed.schema_["mail"].is_declared) == ("categorical", True)


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("age", {"kind": "categorical"}, "categorical"),
        ("fare", {"modal": []}, "continuous"),
        ("city", {"kind": "pass"}, "pass"),  # which all rows make categorical
        ("mail", {"kind": "categorical"}, "categorical"),
        ("holes", {"inf": "missing"}, "mixed"),
    ],
)
def test_what_is_changed_is_declared(frame, name, change, kind):
    columns = read_toml(gpuvgm.kinds(frame).to_toml())
    columns[name] |= change
    if change == {"modal": []}:
        columns[name]["kind"] = "continuous"
    spec = gpuvgm.TableTransformer(columns).fit(frame).schema_[name]
    assert (spec.kind, spec.is_declared) == (kind, True)
    assert all(spec.options[option] == value for option, value in change.items() if option != "kind")


def test_kinds_hold_for_other_rows(frame):
    """Where other rows would make something else of a column, it is what it was; text too, which all rows decide."""
    kinds = gpuvgm.kinds(frame)
    other = frame.assign(city=[f"city {i}" for i in range(ROWS)], age=np.arange(ROWS), key=frame["city"])
    free = gpuvgm.TableTransformer().fit(other).schema_
    assert [free[name].kind for name in ("city", "age", "key")] == ["id", "id", "categorical"]
    for columns in (kinds, read_toml(kinds.to_toml())):
        fitted = gpuvgm.TableTransformer(columns).fit(other)
        assert [fitted.schema_[name].kind for name in ("city", "age", "key")] == ["categorical", "continuous", "id"]
        assert all(fitted.schema_[name].reason.startswith("declared") for name in ("city", "age", "key"))
        assert set(fitted.schema_) == set(frame)
    once = gpuvgm.TableTransformer(kinds).fit(iter([other]))
    assert [once.schema_[name].kind for name in ("city", "age", "key")] == ["categorical", "continuous", "id"]


def test_a_schema_of_a_fit_is_taken_too(frame):
    fitted = gpuvgm.TableTransformer(["when", "holes", "city"]).fit(frame)
    again = gpuvgm.TableTransformer(fitted.schema_).fit(frame)
    assert state_of(again) == state_of(fitted)
    assert list(again.schema_) == ["when", "holes", "city"]


@pytest.mark.parametrize("rows", [2_000, 300_000])
def test_all_rows_decide_what_text_is(rows):
    """As in a fit, wherever the rows lie that the sample has."""
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "name": [f"name {i % (rows // 4)}" for i in range(rows)],
            "codes": [f"c{i}" for i in random.integers(0, 400, rows)],
            "sorted": sorted(f"word {i}" for i in random.integers(0, rows // 3, rows)),
        }
    )
    kinds, fitted = gpuvgm.kinds(table), gpuvgm.TableTransformer().fit(table).schema_
    assert [(spec.name, spec.kind) for spec in kinds.columns] == [(spec.name, spec.kind) for spec in fitted.columns]
    assert kinds["name"].reason == fitted["name"].reason
    assert kinds["sorted"].kind == "pass"


def test_settings_are_those_of_a_fit(frame):
    """Of the research code, of some columns, of a sample, of a table that is read once."""
    settings = {"effort": "research", "sample_rows": 500, "random_state": 3}
    kinds = gpuvgm.kinds(frame, columns=["key", "few", "city"], **settings)
    assert list(kinds) == ["key", "few", "city"]
    assert kinds["key"].kind == "pass" and "500" in kinds["few"].reason
    fitted = gpuvgm.TableTransformer(kinds, **settings).fit(frame)
    assert state_of(fitted) == state_of(gpuvgm.TableTransformer(["key", "few", "city"], **settings).fit(frame))
    parts = (pa.Table.from_pandas(part) for part in (frame[:1_000], frame[1_000:]))
    assert [spec.kind for spec in gpuvgm.kinds(parts).columns] == [spec.kind for spec in gpuvgm.kinds(frame).columns]


def test_declared_columns_stay_declared(frame):
    declared = {"age": "drop", "fare": {"kind": "mixed", "modal": [0, None], "floor": None}, "few": "general"}
    kinds = gpuvgm.kinds(frame, columns=declared)
    lines = dict(line.split(" = ", 1) for line in kinds.to_toml().splitlines() if " = " in line and line[0] != "#")
    assert lines["age"] == '"drop"' and lines["few"] == '"general"'
    assert lines["fare"] == '{kind = "mixed", modal = [0, "missing"], floor = "none"}'
    assert "age" in read_toml(kinds.to_toml())
    fitted = gpuvgm.TableTransformer(read_toml(kinds.to_toml())).fit(frame)
    assert state_of(fitted) == state_of(gpuvgm.TableTransformer(declared).fit(frame))
    listed = TableSchema((ColumnSpec.declare("x", {"categories": ["a", None]}),))
    with pytest.raises(InputError, match='"x": categories holds None'):
        listed.to_toml()


def test_what_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"nothing of the kind")
    for source, message in [
        (tmp_path / "rows.parquet", "rows.parquet"),
        (tmp_path / "none.csv", "none.csv"),
        ({"x": []}, "there are no rows"),
        (3, "int"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            gpuvgm.kinds(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match='"y"'):
        gpuvgm.kinds({"x": [1.0, 2.0]}, columns=["y"])
