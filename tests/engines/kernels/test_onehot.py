"""The kernels of the onehot layout on the host, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.engines.base import Engine
from gpuvgm.engines.cuda import rows
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, Resident, resident
from tests.engines.test_onehot import parts, room

pytestmark = needs_compiler
REFERENCE = Engine()
#: Columns by whether they have scalars, and how many one-hot columns.
LAYOUTS = {
    "a scalar": [(True, 0)],
    "codes": [(False, 3)],
    "several columns": [(True, 5), (False, 300), (True, 0), (True, 2)],
    "more codes than threads": [(True, 700), (False, 1)],
}
VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("size", [0, 1, 31, 33, 700])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fill(device: EmulatedDevice, size: int, layout: str, dtype: str) -> None:
    for seed in range(2):
        given = parts(LAYOUTS[layout], size, seed)
        width = sum(has_scalar + codes for has_scalar, codes in LAYOUTS[layout])
        found, expected = (np.full((size, width), 7, dtype) for _ in range(2))
        rows.fill_onehot(
            device, [(resident(scalar), resident(code), codes) for scalar, code, codes in given], found.view(Resident)
        )
        REFERENCE.fill_onehot(given, expected)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [0, 1, 255, 257, 2000])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_read(device: EmulatedDevice, size: int, layout: str, dtype: str) -> None:
    for seed in range(2):
        width = sum(has_scalar + codes for has_scalar, codes in LAYOUTS[layout])
        matrix = np.random.default_rng(seed).choice(VALUES, (size, width)).astype(dtype)
        found, expected = (room(size, LAYOUTS[layout], dtype, seed) for _ in range(2))
        written = [(resident(scalar), resident(code), order, zero) for scalar, code, order, zero in found]
        rows.read_onehot(device, matrix.view(Resident), written)
        REFERENCE.read_onehot(matrix, expected)
        for one, other in zip(found, expected, strict=True):
            for a, b in zip(one[:2], other[:2], strict=True):
                np.testing.assert_array_equal(a, b)
