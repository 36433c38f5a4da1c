"""Bins, joint counts and drawn rows of a synthesizer: the kernels against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.engines.base import Engine
from gpuvgm.engines.cuda import CudaEngine, synthesis
from gpuvgm.engines.tables import CountedColumn, Draw
from gpuvgm.engines.trees import HERE, LEFT, RIGHT
from gpuvgm.synthesis.counts.trees import halved_ranges
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, OutOfMemory, Resident
from tests.engines.kernels.test_rows import shifted
from tests.engines.test_engines import drawn_column, places_column
from tests.engines.test_trees import columns, target

pytestmark = needs_compiler
REFERENCE = Engine()


@pytest.mark.parametrize("edges", [0, 1, 2, 3, 63, 64, 209, 1100])
@pytest.mark.parametrize("shift", [0, 1])
def test_bins_of_numbers(device: EmulatedDevice, edges: int, shift: int) -> None:
    random = np.random.default_rng(edges)
    borders = np.unique(random.normal(size=edges))
    codes = random.permutation(1200)[: edges + 2].astype(np.uint16)
    numbers = np.concatenate((random.normal(size=500), borders, [np.nan, np.inf, -np.inf, -0.0]))
    found = CudaEngine(REFERENCE, device).find_bins(shifted(numbers, shift), borders, codes)
    assert isinstance(found, Resident) and found.dtype == np.uint16
    np.testing.assert_array_equal(found, REFERENCE.find_bins(numbers, borders, codes))


@pytest.mark.parametrize("parents", [0, 1, 2])
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("rows", [0, 1, 127, 129, 1500])
def test_drawn_rows(device: EmulatedDevice, parents: int, stages: int, rows: int) -> None:
    column, bins = drawn_column(parents, stages=stages)
    bins = [codes[:rows] for codes in bins]
    scattered = np.random.default_rng(4).integers(0, 2**63, rows).astype(np.uint64)
    for place, draw in enumerate((Draw(2**63, 7, 2**40 + 3), Draw(2**63, 7, numbers=scattered))):
        expected = REFERENCE.draw_rows(column, bins, draw, rows)
        found = CudaEngine(REFERENCE, device).draw_rows(column, [shifted(one, place) for one in bins], draw, rows)
        for one, other in zip(found, expected, strict=True):
            assert isinstance(one, Resident) and one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_places_in_bins_that_rows_have(device: EmulatedDevice) -> None:
    column, bins = places_column()
    expected = REFERENCE.draw_rows(column, [bins], Draw(7), 1500)
    found = CudaEngine(REFERENCE, device).draw_rows(column, [shifted(bins, 1)], Draw(7), 1500)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [1, 2, 60])
@pytest.mark.parametrize("rows", [0, 1, 129, 700])
def test_trees(device: EmulatedDevice, size: int, rows: int) -> None:
    """Rows are counted in trees, and drawn from them: nodes that ask numbers, categories, and such as no row had."""
    asked = columns(900, size)
    codes = target(asked, size)
    trees = REFERENCE.grow_trees(codes, halved_ranges(np.bincount(codes, minlength=size)), asked)
    assert size < 60 or {*np.sign(trees.nodes[:, 3])} == {-1, 0, 1} and {*trees.sides} == {LEFT, RIGHT, HERE}
    own = np.random.default_rng(5).integers(0, size, rows).astype(np.uint16)
    others = [column.codes[:rows] for column in columns(900, 99)]
    shares = np.random.default_rng(6).uniform(0.01, 0.99, len(trees.nodes))
    scattered = np.random.default_rng(4).integers(0, 2**63, rows).astype(np.uint64)
    draws, engine = (Draw(2**63, 7, 2**40 + 3), Draw(2**63, 7, numbers=scattered)), CudaEngine(REFERENCE, device)
    for place, draw in enumerate(draws):
        moved = [shifted(one, place) for one in others]
        counts = engine.count_in_trees(shifted(own, place), trees, moved)
        np.testing.assert_array_equal(counts, REFERENCE.count_in_trees(own, trees, others))
        drawn = engine.draw_in_trees(trees, moved, shares, draw, rows)
        np.testing.assert_array_equal(drawn, REFERENCE.draw_in_trees(trees, others, shares, draw, rows))


def counted_column(parents: int, groups: int) -> tuple[CountedColumn, list[np.ndarray]]:
    """A column of 200 bins in 9 groups, and bins of it and its parents at 2,000 rows."""
    random = np.random.default_rng(parents)
    second = random.permutation(np.arange(40) % groups) if parents > 1 else np.empty(0, np.int64)
    column = CountedColumn(11 if parents else 1, second, np.arange(200) // 25)
    sizes = (200, 11, 40)[: 1 + parents]
    return column, [np.minimum(random.integers(0, 2 * size, 2000), size - 1).astype(np.uint16) for size in sizes]


@pytest.mark.parametrize(("parents", "groups"), [(0, 1), (1, 1), (2, 1), (2, 7)])
@pytest.mark.parametrize("rows", [0, 1, 129, 2000])
def test_joint_counts(device: EmulatedDevice, parents: int, groups: int, rows: int) -> None:
    column, codes = counted_column(parents, groups)
    own, *others = (one[:rows] for one in codes)
    pairs, triples = REFERENCE.joint_counts(own, others, column)
    assert pairs.sum() == rows and (triples is None) == (groups == 1)
    engine = CudaEngine(REFERENCE, device)
    mixed = [others[0], *(shifted(one, 1) for one in others[1:])] if others else []
    for given in (others and mixed, [shifted(one, 0) for one in others]):
        found = engine.joint_counts(shifted(own, 1), given, column)
        np.testing.assert_array_equal(found[0], pairs)
        assert found[0].dtype == np.int64 and isinstance(found[0], Resident)
        assert (found[1] is None) == (triples is None)
        if triples is not None:
            np.testing.assert_array_equal(found[1], triples)
    assert {name for name, _ in device.launches} == {synthesis.COUNTS.name}


def test_rows_of_the_host_are_counted_there() -> None:
    device = EmulatedDevice()
    engine = CudaEngine(REFERENCE, device)
    column, (own, *others) = counted_column(2, 7)
    for one, other in zip(
        engine.joint_counts(own, others, column), REFERENCE.joint_counts(own, others, column), strict=True
    ):
        assert not isinstance(one, Resident)
        np.testing.assert_array_equal(one, other)
    assert engine.find_bins(np.zeros(3), np.ones(1), np.arange(3, dtype=np.uint16)).tolist() == [0, 0, 0]
    assert not device.launches


def test_without_room_the_host_draws(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    column, bins = drawn_column(1, stages=2)

    def full(*_: object) -> None:
        raise OutOfMemory

    monkeypatch.setattr(device, "run_rows", full)
    found = CudaEngine(REFERENCE, device).draw_rows(column, [shifted(bins[0], 0)], Draw(1, 2, 3), 1500)
    for one, other in zip(found, REFERENCE.draw_rows(column, bins, Draw(1, 2, 3), 1500), strict=True):
        np.testing.assert_array_equal(one, other)
