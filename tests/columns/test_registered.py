"""A kind and a scale of their own: each is one module, entered in two lines, and goes the whole way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm import codecs
from gpuvgm.codecs import Codec, CurvedCodec
from gpuvgm.codecs.types import value_codec_of
from gpuvgm.columns import kinds, options
from gpuvgm.columns.base import (
    Coded,
    ColumnPlan,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    FittedColumn,
    Slice,
    Values,
)
from gpuvgm.columns.options import positive
from gpuvgm.engines import Engine
from gpuvgm.io import plain
from gpuvgm.rules import choice
from gpuvgm.summary import Floats

ROWS = pa.table({"x": np.random.default_rng(0).gamma(2.0, 30.0, 2_000)})


# -- a kind: numbers as shares of the largest


@dataclass(frozen=True, slots=True)
class Largest:
    """Rows, and the largest size among them."""

    rows: int
    size: float

    def merge(self, other: Largest) -> Largest:
        return Largest(self.rows + other.rows, max(self.size, other.size))


@dataclass(frozen=True, slots=True, repr=False)
class ShareColumn(FittedColumn):
    """Numbers without missing ones, divided by the largest."""

    name: str
    type: str
    size: Annotated[float, positive]
    fit: FitRecord
    kind: ClassVar[str] = "share"
    has_scalar: ClassVar[bool] = True
    width: ClassVar[int] = 0

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        def encode(part: Slice) -> Coded:
            return Coded(scalar=(part.values.to_numpy() / self.size).astype(options.dtype))  # type: ignore[union-attr]

        return encode

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        def decode(part: Coded, first_row: int) -> Values:
            assert part.scalar is not None
            return Values(pa.array(part.scalar.astype(np.float64) * self.size))

        return decode


@dataclass(frozen=True, slots=True)
class SharePlan(ColumnPlan):
    """Looks for the largest."""

    name: str

    def statistics(self, engine: Engine, values: Any, first_row: int) -> Largest:
        return Largest(len(values), float(np.max(np.abs(values.to_numpy()), initial=0.0)))

    def fit(self, statistics: Largest) -> ShareColumn:
        return ShareColumn(self.name, "double", statistics.size, FitRecord("none", statistics.rows, 0))


# -- a scale: thirds


@dataclass(frozen=True, slots=True)
class ThirdsCodec(CurvedCodec):
    """Numbers that are a third of the values."""

    inner: Annotated[Codec, value_codec_of]
    name: ClassVar[str] = "thirds"

    @property
    def formula(self) -> str:
        return "x / 3"

    def curve(self, numbers: Floats) -> Floats:
        return numbers / 3

    def linear(self, numbers: Floats) -> Floats:
        return 3 * numbers

    def slope(self, numbers: Floats) -> Floats:
        return np.full(len(numbers), 3.0)


def whole_way(columns: dict[str, Any], folder: Any) -> gpuvgm.TableTransformer:
    """Fit, transform, inverse, save, load, evaluate and validate; the loaded model, which does the same."""
    fitted = gpuvgm.TableTransformer(columns).fit(ROWS)
    fitted.save(folder / "m.gpuvgm")
    loaded = gpuvgm.load(folder / "m.gpuvgm")
    assert plain(loaded.columns_["x"].to_json()) == plain(fitted.columns_["x"].to_json())
    encoded = fitted.transform(ROWS)
    assert loaded.transform(ROWS).equals(encoded)
    back = loaded.inverse_transform(encoded)["x"].to_numpy()
    np.testing.assert_allclose(back, ROWS["x"].to_numpy(), rtol=1e-4, atol=1e-4)
    report = loaded.evaluate(ROWS)
    assert "x" in str(report)
    assert "x" in report.to_html()
    assert str(loaded.validate(ROWS))
    return loaded


def test_a_kind(tmp_path, monkeypatch):
    options.KIND_NAMES.append("share")
    monkeypatch.setitem(kinds.KINDS, "share", kinds.Kind(lambda request, _: SharePlan(request.name), ShareColumn))
    try:
        loaded = whole_way({"x": "share"}, tmp_path)
    finally:
        options.KIND_NAMES.remove("share")
    assert isinstance(loaded.columns_["x"], ShareColumn)
    assert loaded.columns_["x"].describe()["rows"] == 2_000


@pytest.mark.parametrize("kind", ["continuous", "mixed"])
def test_a_scale(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(codecs.SCALES, "thirds", ThirdsCodec)
    monkeypatch.setitem(options._OPTIONS, "thirds", options._Option(options.MIXTURE, choice(Literal[True, False])))
    declared = {"kind": kind, "thirds": True} | ({"modal": [0.0]} if kind == "mixed" else {})
    column = whole_way({"x": declared}, tmp_path).columns_["x"]
    assert column.codec == ThirdsCodec(codecs.FloatCodec(pa.float64()))
    assert column.describe()["codec"]["name"] == "thirds"
