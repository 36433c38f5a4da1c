"""Laws of summaries: exact, mergeable in any order, bit for bit."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from gpuvgm.errors import InputError, ModelFileError
from gpuvgm.mixture.accumulate import WeightedSums
from gpuvgm.summary.grid import DIRECTORY_DTYPE, Frame, Grid, Masses, keys_of
from gpuvgm.summary.summary import Cells, Summary
from tests.harness.shapes import SHAPES, shape
from tests.summary.test_grid import grid_of

ARRAYS = ("cell", "count", "first", "second", "second_high")


def same(one: Summary, other: Summary) -> bool:
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)
    scalars = ("missing", "infinite", "minimum", "maximum")
    return arrays and all(getattr(one, name) == getattr(other, name) for name in scalars)


@pytest.fixture(scope="module")
def column() -> np.ndarray:
    x = shape("mixed signs", 6_000)
    x[::97] = np.nan
    x[::501] = 0.0
    return x


@pytest.fixture(scope="module")
def grid(column: np.ndarray) -> Grid:
    return grid_of(column)[0]


@given(cuts=st.lists(st.integers(0, 6_000), max_size=6), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_merging_parts_in_any_order_and_grouping(column: np.ndarray, grid: Grid, cuts: list[int], order) -> None:  # type: ignore[no-untyped-def]
    borders = [0, *sorted(cuts), len(column)]
    parts = [Summary.from_array(column[a:b], grid) for a, b in zip(borders[:-1], borders[1:], strict=True)]
    order.shuffle(parts)
    while len(parts) > 1:
        i = order.randrange(len(parts) - 1)
        parts[i : i + 2] = [parts[i].merge(parts[i + 1])]
    assert same(parts[0], Summary.from_array(column, grid))


def test_empty_is_neutral(column: np.ndarray, grid: Grid) -> None:
    whole = Summary.from_array(column, grid)
    assert same(whole.merge(Summary.empty(grid)), whole)
    assert same(Summary.empty(grid).merge(whole), whole)


def test_counts(column: np.ndarray, grid: Grid) -> None:
    x = np.concatenate([column, [np.inf, -np.inf, np.inf]])
    summary = Summary.from_array(x, grid)
    assert (summary.rows, summary.missing, summary.infinite) == (len(x), int(np.isnan(x).sum()), 3)
    assert (summary.minimum, summary.maximum) == (np.nanmin(column), np.nanmax(column))


def test_128_bit_sums_carry(grid: Grid) -> None:
    one = Summary.from_array(np.array([1.234, 1.234, -7.5]), grid)
    assert np.all(one.first > 0)
    near = replace(one, second=np.full(len(one.cell), 2**64 - 1, np.uint64))
    twice = near.merge(near)
    exact = [int(low) + 2**64 * int(high) for low, high in zip(twice.second, twice.second_high, strict=True)]
    assert exact == [2 * (2**64 - 1)] * len(one.cell)


def test_scatter_of_a_huge_cell_is_exact(grid: Grid) -> None:
    small = Summary.from_array(np.array([1.234, 1.2341]), grid)
    n = 3 << 24
    s1, s2 = 7 * n + n // 2, 56 * n + n // 2 + 3  # half of the rows at position 7, half at 8
    big = replace(
        small,
        cell=small.cell[:1],
        count=np.array([n], np.uint64),
        first=np.array([s1], np.uint64),
        second=np.array([s2 % 2**64], np.uint64),
        second_high=np.array([s2 // 2**64], np.uint64),
    )
    unit = np.sqrt(replace(big, count=np.array([2], np.uint64), first=np.array([1], np.uint64),
                           second=np.array([1], np.uint64)).cells().scatter[0] / 0.5)  # fmt: skip
    expected = float(Fraction(s2) - Fraction(s1**2, n))
    assert big.cells().scatter[0] == pytest.approx(expected * unit**2, rel=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_weighted_sums_are_those_of_a_summary(name: str) -> None:
    x = shape(name, 5_000)
    grid, y = grid_of(x)
    expected = Summary.from_array(x, grid).cells()
    parts = [WeightedSums.of(part, np.full(len(part), 0.5), grid) for part in (x[::2], x[1::2])]
    found = parts[0].merge(parts[1]).cells()
    np.testing.assert_array_equal(found.weight, 0.5 * expected.weight)
    tolerance = 1e-9 * np.max(np.abs(y))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5, atol=tolerance)
    mean, parts_mean = (np.sum(cells.weight * cells.mean) / cells.rows for cells in (expected, found))
    assert parts_mean == pytest.approx(mean, rel=1e-9, abs=tolerance)


@pytest.mark.parametrize("name", SHAPES)
def test_cells_hold_the_moments_of_their_rows(name: str) -> None:
    x = shape(name, 20_000)
    grid, y = grid_of(x)
    cells = Summary.from_array(x, grid).cells()
    assert cells.rows == len(y)
    low, high = float(np.min(y)), float(np.max(y))
    total = np.sum(cells.weight * (cells.mean / max(high, -low, 1e-300)))
    exact = float(np.sum((y / max(high, -low, 1e-300)).astype(np.longdouble)))
    assert total == pytest.approx(exact, rel=1e-9, abs=1e-9 * len(y) * 1e-2)
    where = grid.split(grid.locate(keys_of(y))[0], keys_of(y))
    _, index = np.unique(where, return_inverse=True)
    summary = Summary.from_array(x, grid)
    order = np.lexsort((grid.labels(summary.cell, grid.geometry(summary.cell).low), grid.geometry(summary.cell).low))
    means = np.bincount(index, y)[order] / np.bincount(index)[order]
    width = np.ldexp(1.0, (grid.geometry(summary.cell).drop)[order]) * np.spacing(np.abs(means))
    assert np.all(np.abs(cells.mean - means) <= 2 * width + 1e-12 * np.abs(means))


def test_repeated_values_are_exact() -> None:
    values = np.round(np.random.default_rng(1).lognormal(2, 2, 200), 2)
    x = np.random.default_rng(0).choice(values, 50_000)
    grid, y = grid_of(x)
    cells = Summary.from_array(x, grid).cells()
    np.testing.assert_array_equal(np.sort(cells.mean), np.unique(y))
    np.testing.assert_array_equal(cells.scatter, 0)


def test_coarsening_keeps_moments_and_labels(column: np.ndarray, grid: Grid) -> None:
    fine = Summary.from_array(column, grid).cells()
    coarse = fine.coarsen()
    assert len(coarse.mean) < len(fine.mean)
    for k in range(4):
        a, b = fine.label == k, coarse.label == k
        assert fine.weight[a].sum() == coarse.weight[b].sum()
        first = np.sum(fine.weight[a] * fine.mean[a])
        assert np.sum(coarse.weight[b] * coarse.mean[b]) == pytest.approx(first, rel=1e-12, abs=1e-9)
        second = np.sum(fine.weight[a] * fine.mean[a] ** 2 + fine.scatter[a])
        assert np.sum(coarse.weight[b] * coarse.mean[b] ** 2 + coarse.scatter[b]) == pytest.approx(second, rel=1e-12)


def test_coarsening_nothing() -> None:
    none = np.empty(0)
    empty = Cells(none, none, none, none.astype(np.int64), none.astype(np.int64), none)
    assert len(empty.coarsen().mean) == 0


def test_uneven_cells_keep_count_mean_and_scatter(column: np.ndarray, grid: Grid) -> None:
    cells = Summary.from_array(column, grid).cells()
    uneven, n = cells.uneven(), len(cells.mean)
    low, high = (uneven.weight[part] for part in (slice(n), slice(n, None)))
    np.testing.assert_allclose(low + high, cells.weight, rtol=1e-15)
    mean = (low * uneven.mean[:n] + high * uneven.mean[n:]) / cells.weight
    np.testing.assert_allclose(mean, cells.mean, rtol=1e-12, atol=1e-14)
    spread = low * (uneven.mean[:n] - cells.mean) ** 2 + high * (uneven.mean[n:] - cells.mean) ** 2
    np.testing.assert_allclose(spread, cells.scatter, rtol=1e-6, atol=1e-25)


def test_summaries_of_different_grids_do_not_merge(column: np.ndarray, grid: Grid) -> None:
    other, _ = grid_of(column, [0.0, 1.0])
    with pytest.raises(InputError, match="different grids"):
        Summary.from_array(column, grid).merge(Summary.from_array(column, other))


def test_written_and_read(column: np.ndarray, grid: Grid) -> None:
    summary = Summary.from_array(column, grid)
    loaded = Summary.from_bytes(written(summary), "a")
    assert same(loaded, summary)
    assert loaded.grid.fingerprint == grid.fingerprint
    assert same(loaded.merge(summary), summary.merge(summary))
    np.testing.assert_array_equal(loaded.cells().mean, summary.cells().mean)


def test_damaged_summary_is_refused(column: np.ndarray, grid: Grid) -> None:
    with pytest.raises(ModelFileError, match="a: .*damaged"):
        Summary.from_bytes(written(Summary.from_array(column, grid))[:1000], "a")


def _windows(change: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    return {
        "windows": lambda given: change(np.frombuffer(bytes.fromhex(given), DIRECTORY_DTYPE).copy()).tobytes().hex()
    }


def _shifted(windows: np.ndarray) -> np.ndarray:
    windows["first"] += 1
    return windows


HEADERS = {
    "a newer format": ({"format": 10**6}, "no summary of this version"),
    "windows out of order": (_windows(lambda windows: windows[::-1]), "windows of its grid are out of order"),
    "a rest too few": ({"rests": lambda given: given[16:]}, "windows of its grid are out of order"),
    "cells out of place": (_windows(_shifted), "windows of its grid do not follow each other"),
    "a scale that is no power of two": ({"scale": (3.0).hex()}, "no frame"),
    "a centre that is none": ({"centre": "nan"}, "no frame"),
    "a key below 0": ({"hot_key": "-1"}, "no frame"),
    "a midpoint twice": ({"midpoints": lambda given: given[:16] * 2}, "midpoints or anchors"),
    "an anchor twice": ({"anchors": np.full(2, 2**63, np.uint64).tobytes().hex()}, "midpoints or anchors"),
    "an infinite anchor": ({"anchors": keys_of(np.array([np.inf])).tobytes().hex()}, "midpoints or anchors"),
    "a count below 0": ({"missing": -1}, "counts that are no whole numbers"),
    "a count that is true": ({"infinite": True}, "counts that are no whole numbers"),
    "a modal count too large": ({"modal": [2**63]}, "counts that are no whole numbers"),
    "a minimum that is none": ({"minimum": "nan"}, "range is none"),
    "a maximum that is none": ({"maximum": "nan"}, "range is none"),
    "a range upside down": ({"ends": [2, 1]}, "range is none"),
    "a range of text": ({"ends": ["1", "2"]}, "range is none"),
}


@pytest.mark.parametrize(("change", "message"), HEADERS.values(), ids=HEADERS)
def test_headers_that_no_summary_has_are_refused(
    column: np.ndarray, grid: Grid, change: dict[str, Any], message: str
) -> None:
    table = pa.ipc.open_file(written(Summary.from_array(column, grid))).read_all()
    header = json.loads(table.schema.metadata[b"gpuvgm.summary"])
    header |= {name: value(header[name]) if callable(value) else value for name, value in change.items()}
    with pytest.raises(ModelFileError, match=f"^a: .*{message}"):
        Summary.from_bytes(bytes_of(table.replace_schema_metadata({"gpuvgm.summary": json.dumps(header)})), "a")


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("cell", 0, -1, "out of order, or none of its grid"),
        ("cell", 1, 0, "out of order, or none of its grid"),
        ("cell", -1, 2**40, "out of order, or none of its grid"),
        ("count", 2, 0, "sums that no rows have"),
        ("count", 2, 2**62, "sums that no rows have"),
        ("first", 2, 2**63, "sums that no rows have"),
        ("second", 0, None, "missing values"),
        ("second", 0, 0.5, "columns are not those"),
    ],
)
def test_numbers_that_no_summary_has_are_refused(
    column: np.ndarray, grid: Grid, name: str, place: int, value: Any, message: str
) -> None:
    table = pa.ipc.open_file(written(Summary.from_array(column, grid))).read_all()
    numbers = table[name].to_pylist()
    numbers[place] = value
    type_ = pa.float64() if isinstance(value, float) else table.schema.field(name).type
    at = table.schema.get_field_index(name)
    with pytest.raises(ModelFileError, match=f"^a: .*{message}"):
        Summary.from_bytes(bytes_of(table.set_column(at, name, pa.array(numbers, type_))), "a")


def bytes_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def written(summary: Summary) -> bytes:
    sink = pa.BufferOutputStream()
    summary.write(sink)
    return sink.getvalue().to_pybytes()


def test_overflow_in_the_frame_of_a_tiny_sample_is_refused() -> None:
    grid, _ = grid_of(1e-200 * np.arange(1.0, 100.0))
    with np.errstate(over="ignore"), pytest.raises(InputError, match="larger sample"):
        Summary.from_array(np.array([1e-200, 1e300]), grid)


@pytest.mark.parametrize("rows", [0, 1, 6_000])
def test_pickles_hold_everything(column: np.ndarray, grid: Grid, rows: int) -> None:
    many = Summary.from_array(column[:rows], grid).repeated(40)  # sums of squares of more than one word
    whole = replace(many, modal=(3, 4), ends=(-1, 7), off_step=2, strays=(0.5, 1.5))
    again = pickle.loads(pickle.dumps(whole))
    assert same(again, whole) and again.grid.fingerprint == grid.fingerprint
    assert all(getattr(again, part.name) == getattr(whole, part.name) for part in fields(Summary)[6:])
    for name in ARRAYS:
        assert getattr(again, name).dtype == getattr(whole, name).dtype and getattr(again, name).flags.writeable


def test_pickles_are_small() -> None:
    """A million rows in 30,000 cells."""
    x = np.random.default_rng(0).normal(size=1_000_000)
    frame = Frame.around(x)
    grid = Grid.of(frame, Masses.of_sample(frame.apply(x[: 1 << 17])), np.linspace(-2, 2, 10))
    summary = Summary.from_array(x, grid)
    assert len(summary.cell) > 30_000
    assert len(pickle.dumps(summary)) < 600_000
