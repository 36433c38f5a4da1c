"""Counts of encoded rows against those taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.report.counting import SCALAR_BINS, EncodedCounts

ROWS, CODES, LIMIT = 50_000, 5, 0.99


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scalar = random.normal(0, 0.4, ROWS).astype(np.float32)
    scalar[:8] = [-1, 1, 0, -0.0, 5, -1e30, np.float32(LIMIT), -np.float32(LIMIT)]
    return scalar, random.integers(0, CODES, ROWS).astype(np.uint8)


@pytest.mark.parametrize("limit", [LIMIT, 3.4e38])
def test_counts(limit: float) -> None:
    scalar, code = rows()
    scalar = np.clip(scalar, -np.float32(limit), np.float32(limit))
    found = EncodedCounts.of_modes(scalar, code, limit, CODES)
    edges = np.r_[-np.inf, np.linspace(-1, 1, SCALAR_BINS + 1), np.inf].astype(np.float32)
    for mode in range(CODES):
        held = scalar[code == mode]
        expected = np.bincount(np.searchsorted(edges, held, side="right") - 1, minlength=SCALAR_BINS + 2)
        # a scalar within a rounding of an edge may lie on either side of it
        assert np.max(np.abs(np.cumsum(found.scalars[mode]) - np.cumsum(expected))) <= 1
        assert found.below[mode] == np.count_nonzero(held <= -np.float32(limit))
        assert found.above[mode] == np.count_nonzero(held >= np.float32(limit))
    assert np.sum(found.scalars) == ROWS
    assert found.clipped == np.sum(found.below) + np.sum(found.above)


def test_parts_merge_to_the_whole() -> None:
    scalar, code = rows()
    scalar = np.clip(scalar, -np.float32(LIMIT), np.float32(LIMIT))
    whole = EncodedCounts.of_modes(scalar, code, LIMIT, CODES)
    cuts = np.split(np.arange(ROWS), [1, 777, 20_000])
    parts = [EncodedCounts.of_modes(scalar[cut], code[cut], LIMIT, CODES) for cut in cuts]
    merged = parts[3].merge(parts[0]).merge(parts[2].merge(parts[1]))
    for name in ("scalars", "below", "above"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


def test_ranges() -> None:
    found = EncodedCounts.of_range(np.array([-2.0, 0.0, 1.0, 2.0, np.nan]), 0.0, 1.0)
    assert (found.below.tolist(), found.above.tolist(), found.clipped) == ([1], [1], 2)
