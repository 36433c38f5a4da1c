"""Columns for tests of precision="float32", and the row formulas as a device runs them."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

import gpuvgm.engines.kernels
from gpuvgm import TableTransformer
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.engines.base import Engine
from gpuvgm.engines.tables import Draw, DrawTable, Float32Table
from tests.kernels.building import COMPILER
from tests.shapes import shape

ROWS = 6_000
HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared")


@cache
def column_of(name: str) -> MixtureColumn:
    """A column of this shape, fitted with a few components."""
    settings = {"effort": "research", "max_iter": 20, "n_components": 6, "tails": "exact"}
    fitted = TableTransformer({"x": "continuous"}, **settings).fit({"x": shape(name, ROWS)}).columns_["x"]
    assert isinstance(fitted, MixtureColumn)
    return fitted


def tables_of(name: str) -> tuple[DrawTable, DrawTable]:
    """Its table for either law."""
    table = column_of(name).draw_table()
    assert table is not None
    return table, replace(table, precision="float32")


def rows_of(name: str) -> np.ndarray:
    """Rows of this shape that were not fitted, and numbers of every magnitude, missing ones among them."""
    odd = [0.0, -0.0, np.nan, 5e-324, -1e-310, 1e-45, 1e-38, -1e-30, 1e-9, 1.0, -1e9, 1e9 + 1, 1e30, -3.4e38, 1e300]
    powers = np.ldexp(1.0, np.arange(-1070, 1020, 11))
    return np.concatenate([shape(name, ROWS, seed=5), odd, powers, np.nextafter(-powers, 0)])


def encode(engine: Engine, x: np.ndarray, table: DrawTable, draw: Draw, dtype: str = "float32"):  # type: ignore[no-untyped-def]
    """Scalars and cells."""
    scalar, cell = np.full(len(x), 9, dtype), np.full(len(x), 99, np.uint8)
    engine.transform(x, table, draw, scalar, cell)
    return scalar, cell


def bits(scalar: np.ndarray) -> np.ndarray:
    """Scalars as integers, so that zeros of either sign differ."""
    return scalar.view(np.uint32)


class _Parameters(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("components", "active", "exponent")),
        *((name, ctypes.c_void_p) for name in ("high", "low", "roots", "coefficients", "widths", "cells")),
        *((name, ctypes.c_float) for name in ("floor", "limit", "missing_cell")),
    ]


class DeviceRows:
    """float32_rows.cpp, compiled; `flush` says whether subnormal floats are taken as 0, as CuPy has it."""

    def __init__(self, folder: Path) -> None:
        sources = Path(gpuvgm.engines.kernels.__file__).parent
        library = folder / "float32_rows.so"
        command = [str(COMPILER), *FLAGS, f"-I{sources}", str(HERE / "float32_rows.cpp"), "-o", str(library)]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library))
        self._library.highs.argtypes = [ctypes.c_void_p, ctypes.c_longlong, ctypes.c_float, ctypes.c_void_p]
        self._library.flush.argtypes = [ctypes.c_bool]
        self._library.flush.restype = ctypes.c_bool

    def _run(self, name: str, flush: bool, *arguments: object) -> None:
        given = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else a for a in arguments]
        assert self._library.flush(flush)
        try:
            getattr(self._library, name)(*given)
        finally:
            self._library.flush(False)

    def halves(self, x: np.ndarray, exponent: int, *, flush: bool) -> tuple[np.ndarray, np.ndarray]:
        high, low = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
        self._run("halves", flush, x, ctypes.c_longlong(len(x)), exponent, high, low)
        return high, low

    def highs(self, x: np.ndarray, exponent: int, *, flush: bool) -> np.ndarray:
        high = np.empty(len(x), np.float32)
        self._run("highs", flush, x, len(x), 2.0**exponent, high)
        return high

    def powers(self, t: np.ndarray) -> np.ndarray:
        power = np.empty(len(t), np.float32)
        self._run("powers", False, t, ctypes.c_longlong(len(t)), power)
        return power

    def transform(self, x: np.ndarray, table: Float32Table, uniforms: np.ndarray | None, *, flush: bool):  # type: ignore[no-untyped-def]
        arrays = (table.mean_high, table.mean_low, table.root_precisions, table.coefficients, table.widths, table.cells)
        parameters = _Parameters(
            len(table.mean_high), len(table.widths), table.exponent,
            *(array.ctypes.data for array in arrays),
            table.floor, table.limit, max(table.missing_cell, 0),
        )  # fmt: skip
        scalar, cell = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
        given = (x, ctypes.c_longlong(len(x)), ctypes.byref(parameters), uniforms, scalar, cell)
        self._run("transform", flush, *given)
        return scalar, cell.astype(np.uint8)
