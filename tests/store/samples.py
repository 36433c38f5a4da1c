"""Models with awkward numbers in them."""

from __future__ import annotations

import numpy as np

from gpuvgm.codecs import FloatCodec, IntegerCodec
from gpuvgm.concentration import StickBreaking
from gpuvgm.config import EncodingRules
from gpuvgm.grid import Frame, Masses, build_grid
from gpuvgm.model import ColumnModel, FitRecord, MixtureModel, TableModel
from gpuvgm.posterior import Posterior
from gpuvgm.schema import ColumnSpec, TableSchema
from gpuvgm.store import StoredModel
from gpuvgm.summary import Summary

AWKWARD = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, -2.2250738585072014e-308])


def make_mixture(values, active):
    k = len(values)
    posterior = Posterior(
        StickBreaking(np.stack((values, values[::-1]))), values + 1, values, values + 2, np.abs(values) + 1e-300
    )
    active = np.asarray(active, np.bool_)
    counts = np.arange(k, dtype=np.float64)
    return MixtureModel(Frame(0.5, -1e300), posterior, values * 0.5, counts, active, counts[active])


def make_model():
    mixed = ColumnModel(
        "Amount é\n\"'", "continuous", FloatCodec("float", True), EncodingRules(3.7, "exact", None),
        make_mixture(AWKWARD, [True, False, True, True, False, False]), (None,), (2, 0, 3, 1), -0.0, 5e-324,
        FitRecord("summary", 10**12, 3, 100, False, float("-inf"), float("inf"), 7, 2),
    )  # fmt: skip
    whole = ColumnModel(
        "id", "continuous", IntegerCodec("uint64", 2**63 + 1), EncodingRules(),
        make_mixture(AWKWARD[:1], [True]), (), (0,), -(2**63), 2**64 - 1, FitRecord("exact", 5, 0),
    )  # fmt: skip
    empty = ColumnModel(
        "none",
        "continuous",
        FloatCodec("null"),
        EncodingRules(),
        None,
        (None,),
        (0,),
        None,
        None,
        FitRecord("none", 4, 4),
    )
    return TableModel((mixed, whole, empty), 2**64 - 1, 10**12, {"paths": ["a.parquet"], "bytes": 12})


def make_stored(*, summaries=True):
    model = make_model()
    schema = TableSchema(tuple(ColumnSpec(name) for name in model.names))
    y = np.array([0.0, 1.5, 1.5, 1.5, -3.25, 1e300, np.nan, np.inf])
    frame = Frame.around(y[np.isfinite(y)])
    grid = build_grid(frame, Masses.of_sample(frame.apply(y[np.isfinite(y)])), np.array([0.0, 1.0]))
    held = {model.names[0]: Summary.from_array(y, grid), "id": Summary.empty(grid)} if summaries else {}
    settings = {"n_components": 10, "tol": float("inf"), "columns": {"id": ["a", None, True]}, "floor": 1e-6}
    return StoredModel(model, settings, schema, held)
