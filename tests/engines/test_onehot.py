"""Rows of the onehot layout, written and read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gpuvgm.arrays import to_numpy
from gpuvgm.engines import get_engine
from gpuvgm.engines.base import Engine, OnehotPart, ReadPart
from tests.engines.kernels.building import needs_compiler
from tests.harness.device.module import up

WIDTHS = st.lists(st.tuples(st.booleans(), st.integers(0, 300)), min_size=1, max_size=4)


def parts(widths: list[tuple[bool, int]], rows: int, seed: int) -> list[OnehotPart]:
    """Encoded columns; some codes are one beyond the last."""
    random = np.random.default_rng(seed)
    made: list[OnehotPart] = []
    for has_scalar, codes in widths:
        scalar = random.normal(size=rows).astype(random.choice([np.float32, np.float64])) if has_scalar else None
        dtype = random.choice([np.uint8, np.uint16, np.uint32] if codes < 256 else [np.uint16, np.uint32])
        made.append((scalar, random.integers(0, codes + 1, rows).astype(dtype) if codes else None, codes))
    return made


@given(WIDTHS, st.integers(0, 20), st.integers(0, 99), st.sampled_from(["float32", "float64"]))
def test_matrices_equal_those_of_the_reference(
    widths: list[tuple[bool, int]], rows: int, seed: int, dtype: str
) -> None:
    given_ = parts(widths, rows, seed)
    width = sum(has_scalar + codes for has_scalar, codes in widths)
    matrices = [np.full((rows, width), 7, dtype) for _ in range(2)]
    for name, matrix in zip(("auto", "reference"), matrices, strict=True):
        get_engine(name).fill_onehot(given_, matrix)
    np.testing.assert_array_equal(*matrices)


def room(rows: int, widths: list[tuple[bool, int]], dtype: str, seed: int) -> list[ReadPart]:
    """Where to read to, with the codes of each column in a random order."""
    random = np.random.default_rng(seed)
    return [
        (
            np.full(rows, 7, dtype) if has_scalar else None,
            np.full(rows, 7, random.choice([np.uint8, np.uint16, np.uint32][codes >= 256 :])) if codes else None,
            random.permutation(codes),
            bool(random.random() < 0.5),
        )
        for has_scalar, codes in widths
    ]


@given(WIDTHS, st.integers(0, 40), st.integers(0, 99), st.sampled_from(["float32", "float64"]))
def test_what_is_read_equals_the_reference(widths: list[tuple[bool, int]], rows: int, seed: int, dtype: str) -> None:
    width = sum(has_scalar + codes for has_scalar, codes in widths)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf]
    matrix = np.random.default_rng(seed).choice(values, (rows, width)).astype(dtype)
    found = [room(rows, widths, dtype, seed) for _ in range(2)]
    for name, parts_ in zip(("auto", "reference"), found, strict=True):
        get_engine(name).read_onehot(matrix, parts_)
    for one, other in zip(*found, strict=True):
        for a, b in zip(one[:2], other[:2], strict=True):
            assert (a is None) == (b is None)
            np.testing.assert_array_equal(a, b)


def test_many_rows_are_read_as_they_were_written(engine: Engine) -> None:
    widths = [(True, 5), (False, 300), (True, 0), (True, 2)]
    written = [(s, None if c is None else np.minimum(c, n - 1), n) for s, c, n in parts(widths, 5000, 3)]
    matrix = np.empty((5000, 310))
    engine.fill_onehot(written, matrix)
    read = room(5000, widths, "float64", 0)
    engine.read_onehot(matrix, read)
    for (scalar, code, _), (found, place, _, _) in zip(written, read, strict=True):
        np.testing.assert_array_equal(scalar, found)
        np.testing.assert_array_equal(code, place)


@pytest.mark.parametrize(
    ("matrix", "order", "zeros_are_no_code", "codes"),
    [
        ([[0.5, 1.0, 1.0], [0.5, 0.5, 0.5]], [2, 0, 1], False, np.array([2, 2], np.uint16)),
        ([[0.0, -0.0], [0.0, 1.0], [np.nan, 0.0]], [0, 1], True, np.array([2, 1, 0], np.uint8)),
    ],
)
def test_ties_go_by_the_order_and_zeros_may_be_no_code(
    engine: Engine, matrix: list[list[float]], order: list[int], zeros_are_no_code: bool, codes: np.ndarray
) -> None:
    found = np.zeros_like(codes)
    engine.read_onehot(np.array(matrix), [(None, found, np.array(order), zeros_are_no_code)])
    np.testing.assert_array_equal(found, codes)


SCALAR, CODE, BOTH = np.zeros(3, np.float32), np.zeros(3, np.uint8), np.arange(2)


@pytest.mark.parametrize(
    ("name", "shape", "part", "message"),
    [
        ("fill_onehot", (4, 3), (SCALAR, CODE, 2), "one value a row"),
        ("fill_onehot", (3, 4), (SCALAR, CODE, 2), "one column for each"),
        ("fill_onehot", (3, 1), (np.zeros(3, np.int32), None, 0), "scalars must be"),
        ("read_onehot", (3, 4), (None, CODE, np.arange(3), False), "one column for each"),
        ("read_onehot", (3, 2), (None, CODE, np.array([0, 9]), False), "not there"),
        ("read_onehot", (3, 2), (None, np.zeros(3, np.int64), BOTH, False), "codes must be"),
        ("read_onehot", (3, 2), (None, None, BOTH, False), "where a column has some"),
        ("read_onehot", (4, 2), (None, CODE, BOTH, False), "one value a row"),
        ("read_onehot", (3, 3), (SCALAR, CODE, BOTH, False), "of the matrix's type"),
    ],
)
def test_wrong_shapes_are_refused_by_the_extension(
    name: str, shape: tuple[int, int], part: OnehotPart | ReadPart, message: str
) -> None:
    native = pytest.importorskip("gpuvgm._native", reason="the C++ extension is not built")
    matrix = np.zeros(shape)
    arguments = ([part], matrix) if name == "fill_onehot" else (matrix, [part])
    with pytest.raises(ValueError, match=message):
        getattr(native, name)(*arguments)


@needs_compiler
@pytest.mark.parametrize("on_device", [False, True])
def test_parts_may_lie_elsewhere_than_the_matrix(strict_cupy: Any, on_device: bool) -> None:
    """Columns that only the host encodes, such as text, stand in matrices of the device."""
    widths = [(True, 3), (False, 300), (True, 0), (True, 5)]
    given_ = parts(widths, 50, 1)
    expected = np.empty((50, 311))
    get_engine("reference").fill_onehot(given_, expected)
    for moved in (0, 1):  # of two columns
        mixed = [
            (scalar, code, width)
            if place % 2 == moved
            else (None if scalar is None else up(scalar), None if code is None else up(code), width)
            for place, (scalar, code, width) in enumerate(given_)
        ]
        out = up(np.empty((50, 311))) if on_device else np.empty((50, 311))
        get_engine("cuda").fill_onehot(mixed, out)
        np.testing.assert_array_equal(to_numpy(out), expected)
