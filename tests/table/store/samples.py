"""Models with columns of every kind and codec, and awkward numbers in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from gpuvgm.codecs import DatetimeCodec, FloatCodec, IntegerCodec, LogCodec
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.codecs.texts import MomentText, NumberText, text_codec
from gpuvgm.columns import (
    CategoricalColumn,
    FitRecord,
    GeneralColumn,
    IdColumn,
    MixtureColumn,
    PassthroughColumn,
    TableModel,
    TableSchema,
)
from gpuvgm.columns.mixture_model import EncodingRules, MixtureModel
from gpuvgm.mixture import Posterior, StickBreaking
from gpuvgm.summary import Frame, Grid, Masses, Summary

AWKWARD = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, -2.2250738585072014e-308])
COUNTED = FitRecord("none", 40, 3)
OPTIONS = {
    "spikes": {"modal": [-0.0, 5e-324, None], "integer": True, "floor": None},
    "when": {"modal": ["2024-01-31T12:00:00+01:00"]},
    "income": {"log": True},
    "size": {"categories": [2**63 - 1, -(2**63), 0, None], "unknown": "ignore"},
    "general": {"integer": True, "clip": True},
}
RATE = NumberText(pa.large_string(), "1.234,50 %", ",", ".", 2, 2, " %")
HOUR = MomentText(pa.string(), "05:00", pa.time32("s"), "", 5)


def make_mixture(values, active):
    k = len(values)
    sticks = np.abs(np.arctan(values)) + 0.1
    covariances = np.abs(values) / 4 + 1e-290
    posterior = Posterior(StickBreaking(np.stack((sticks, sticks[::-1]))), sticks, values, sticks / 3 + 1, covariances)
    active = np.asarray(active, np.bool_)
    counts = np.arange(k, dtype=np.float64)
    return MixtureModel(Frame(0.5, -1e300), posterior, values * 0.5, counts, active, counts[active])


def mixture_columns():
    """Continuous and mixed columns, of every codec."""
    mixed = MixtureColumn(
        "Amount é\n\"'", "mixed", FloatCodec(pa.float32(), True), EncodingRules(3.7, "exact", None),
        make_mixture(AWKWARD, [True, False, True, True, False, False]), (None,), (3,), (2, 0, 3, 1), -0.0, 5e-324,
        FitRecord("summary", 10**12, 3, 100, False, float("-inf"), float("inf"), 7, 2),
    )  # fmt: skip
    whole = MixtureColumn(
        "id", "continuous", IntegerCodec(pa.uint64(), 2**63 + 1), EncodingRules(),
        make_mixture(AWKWARD[:1], [True]), (), (), (0,), 0, 2**64 - 1, FitRecord("exact", 5, 0),
    )  # fmt: skip
    return [
        mixed,
        whole,
        MixtureColumn(
            "none", "mixed", FloatCodec(pa.null()), EncodingRules(), None, (None,), (4,), (0,), None, None,
            FitRecord("none", 4, 4),
        ),
        replace(
            mixed, name="spikes", codec=FloatCodec(pa.float64(), integer=True), modal_values=(-0.0, 5e-324, None),
            modal_counts=(10**12, 0, 7), order=(3, 0, 5, 1, 4, 2),
        ),
        replace(whole, name="income", codec=LogCodec(FloatCodec(pa.float64()), -3.5), minimum=-3.5, maximum=1e300),
        replace(
            whole, name="sales", codec=LogCodec(IntegerCodec(pa.int64(), 2**62), None), minimum=1, maximum=2**63 - 1
        ),
        replace(
            whole, name="price", codec=DecimalCodec(pa.decimal128(38, 2), -(10**37)), minimum=-(10**38) + 1,
            maximum=10**38 - 1,
        ),
        replace(
            whole, name="rate", minimum=-(10**14), maximum=10**15 - 1,
            codec=replace(text_codec(RATE), base=-50, step=25),
        ),
        replace(
            mixed, name="when", codec=DatetimeCodec(pa.timestamp("ns", "Europe/Berlin"), 1_700_000_000_000_000_001),
            modal_values=(1_706_698_800_000_000_000,), modal_counts=(2,), minimum=-(2**63) + 1, maximum=2**63 - 1,
        ),
    ]  # fmt: skip


def other_columns():
    """Categorical, general and passed columns."""
    town = CategoricalColumn(
        "town é", pa.string(), ("b", None, 'é\n"', "A"), (20, 10, 5, 5), (0, 3, 1, 2), "error", None, False, COUNTED
    )
    low, high = -(2**63), 2**63 - 1
    return [
        town,
        replace(
            town, name="paid", type=pa.bool_(), categories=(True, None, False), counts=(5, 5, 1), appearance=(1, 2, 0)
        ),
        replace(
            town, name="size", type=pa.int64(), categories=(high, low, 0, None), unknown="ignore", declared=True,
            counts=(3, 1, 0, 0), appearance=(0, 1, -1, -1),
        ),
        replace(town, name="share", type=pa.float32(), categories=(5e-324, float("inf"), -0.5, None)),
        replace(
            town, name="grade", type=pa.dictionary(pa.int8(), pa.string(), ordered=True),
            dictionary=("A", "b", "é\n\"", "never"),
        ),
        GeneralColumn("general", FloatCodec(pa.float32(), integer=True), -0.0, 5e-324, 1e-3, True, COUNTED),
        GeneralColumn("day", DatetimeCodec(pa.date32(), 19_000), -700_000, 2**31 - 1, 1e-3, False, COUNTED),
        GeneralColumn("nothing", FloatCodec(pa.null()), None, None, 0.0, False, FitRecord("none", 0, 0)),
        GeneralColumn("noted", text_codec(HOUR), 0, 60, 1.0, True, COUNTED),
        IdColumn("account", pa.uint64(), COUNTED, "missing", 2**63, 10),
        PassthroughColumn("note", pa.list_(pa.string()), COUNTED),
    ]  # fmt: skip


def make_model():
    columns = (*mixture_columns(), *other_columns())
    kinds = {column.name: column.kind for column in columns} | {"key": "drop"}
    schema = TableSchema.from_json(
        {"name": name, "kind": kind, "reason": f"{kind} é", "options": OPTIONS.get(name, {})}
        for name, kind in kinds.items()
    )
    return TableModel(columns, 2**64 - 1, 10**12, {"paths": ["a.parquet"], "bytes": 12}, schema)


def make_stored(*, summaries=True):
    model = make_model()
    y = np.array([0.0, 1.5, 1.5, 1.5, -3.25, 1e300, np.nan, np.inf])
    frame = Frame.around(y[np.isfinite(y)])
    grid = Grid.of(frame, Masses.of_sample(frame.apply(y[np.isfinite(y)])), np.array([0.0, 1.0]))
    summary = Summary.from_array(y, grid)
    apart = replace(summary, missing=0, modal=(2**40, 0, 7))
    held = {model.names[0]: summary, "id": Summary.empty(grid), "spikes": apart} if summaries else {}
    settings = {"n_components": 10, "tol": float("inf"), "columns": {"id": ["a", None, True]}, "floor": 1e-6}
    return replace(model, summaries=held, settings=settings)
