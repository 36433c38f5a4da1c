"""Trees of counts on every engine, against the reference and against what they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gpuvgm.arrays import to_numpy
from gpuvgm.engines.base import Engine
from gpuvgm.engines.tables import Draw
from gpuvgm.engines.trees import HERE, NAT, AskedColumn, GrowthRules, Trees, entropies
from gpuvgm.synthesis.counts.trees import halved_ranges

REFERENCE = Engine()
SIZES, CATEGORIES = (7, 40, 3, 900), (True, False, True, False)


def columns(rows: int, seed: int) -> list[AskedColumn]:
    """Columns of both sorts."""
    random = np.random.default_rng(seed)
    codes = [random.integers(0, size, rows).astype(np.uint16) for size in SIZES]
    return [AskedColumn(*column) for column in zip(codes, SIZES, CATEGORIES, strict=True)]


def target(asked: list[AskedColumn], size: int) -> np.ndarray:
    """Codes that follow those of two columns, most of them."""
    rows = len(asked[0].codes)
    noise = np.random.default_rng(rows).integers(0, 4, rows)
    return ((asked[1].codes // 3 + asked[0].codes + noise) % size).astype(np.uint16)


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 700, 1500])
@pytest.mark.parametrize("size", [1, 2, 23, 256])
def test_engines_grow_count_and_draw_the_same(candidate: Engine, rows: int, size: int) -> None:
    asked = columns(rows, size)
    codes = target(asked, size)
    ranges = halved_ranges(np.bincount(codes, minlength=size))
    assert len(ranges) == size - 1
    trees = REFERENCE.grow_trees(codes, ranges, asked, GrowthRules())
    found = candidate.grow_trees(codes, ranges, asked, GrowthRules())
    for part in dataclasses.fields(Trees):
        np.testing.assert_array_equal(getattr(found, part.name), getattr(trees, part.name))
    trees.check(size, SIZES)
    assert_walks_are_equal(candidate, trees, size, 500)


@pytest.mark.parametrize("seed", range(40))
def test_ranges_are_cut_where_their_halves_differ_least(seed: int) -> None:
    """And of several such places, between which no rows lie, at the first."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 1 + seed % 7, 1 + seed) * (random.random(1 + seed) < 0.7)
    for low, middle, high, *_ in halved_ranges(rows).tolist():
        differences = [abs(rows[low:at].sum() - rows[at:high].sum()) for at in range(low + 1, high)]
        assert middle == low + 1 + int(np.argmin(differences))


@pytest.mark.parametrize("rows", [0, 1, 5, 1500])
def test_engines_count_pairs_the_same(candidate: Engine, rows: int) -> None:
    asked = columns(rows, 3)
    sums = REFERENCE.joint_entropies(asked)
    np.testing.assert_array_equal(candidate.joint_entropies(asked), sums)
    np.testing.assert_array_equal(candidate.information(asked), REFERENCE.information(asked))
    assert candidate.joint_entropies([]).shape == (0, 0)


def test_information_is_that_of_the_joint_counts() -> None:
    asked = columns(1500, 5)
    counts = np.zeros((SIZES[0], SIZES[2]))
    np.add.at(counts, (asked[0].codes, asked[2].codes), 1)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    nats = np.sum(counts * np.log(counts / expected)) - (SIZES[0] - 1) * (SIZES[2] - 1) / 2
    assert REFERENCE.information(asked)[0, 2] / NAT == pytest.approx(nats, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 70_001])
def test_engines_walk_any_number_of_rows(candidate: Engine, rows: int) -> None:
    """C++ walks them in blocks."""
    asked = columns(1500, 23)
    codes = target(asked, 23)
    trees = REFERENCE.grow_trees(codes, halved_ranges(np.bincount(codes, minlength=23)), asked, GrowthRules())
    assert_walks_are_equal(candidate, trees, 23, rows)


def assert_walks_are_equal(candidate: Engine, trees: Trees, size: int, rows: int) -> None:
    """Check counts, draws and sums of rows against the reference."""
    others = [column.codes for column in columns(rows, 99)]
    own = np.random.default_rng(5).integers(0, size, rows).astype(np.uint16)
    counts = REFERENCE.count_in_trees(own, trees, others)
    np.testing.assert_array_equal(candidate.count_in_trees(own, trees, others), counts)
    assert counts.sum() >= rows * (size > 1)
    shares = np.random.default_rng(6).uniform(0.01, 0.99, len(trees.nodes))
    logs = np.log(np.stack((1 - shares, shares)))
    scattered = np.random.default_rng(7).integers(0, 2**63, rows).astype(np.uint64)
    for draw in (Draw(5, 77, 9), Draw(5, 2**63 + 1, 2**33), Draw(5, 77, numbers=scattered)):
        drawn = REFERENCE.draw_in_trees(trees, others, shares, draw, rows)
        np.testing.assert_array_equal(to_numpy(candidate.draw_in_trees(trees, others, shares, draw, rows)), drawn)
    sums = REFERENCE.log_shares_in_trees(own, trees, others, logs)
    np.testing.assert_array_equal(candidate.log_shares_in_trees(own, trees, others, logs), sums)


def test_the_first_split_is_the_best_of_all(candidate: Engine) -> None:
    """Of every way to part the categories of every column, written out."""
    every = columns(300, 3)
    asked = [every[0], every[2]]
    codes = (target(every, 2) ^ (asked[1].codes == 2)).astype(np.uint16)
    rules = GrowthRules(penalty=0.0, category_penalty=0.0, least_rows=1)
    trees = candidate.grow_trees(codes, halved_ranges(np.bincount(codes)), asked, rules)

    def likelihood(rows: np.ndarray) -> float:
        ones, count = np.count_nonzero(codes[rows]), np.count_nonzero(rows)
        return sum(n * np.log(n / count) for n in (ones, count - ones) if n)

    gains = {}
    for place, column in enumerate(asked):
        for parted in range(1, 2**column.size - 1):
            left = (parted >> column.codes.astype(int) & 1).astype(bool)
            if left.any() and not left.all():
                gains[place, parted] = likelihood(left) + likelihood(~left) - likelihood(np.ones(300, bool))
    place, _, _, sides_at = trees.nodes[0].tolist()
    sides = trees.sides[sides_at : sides_at + asked[place].size]
    parted = sum(1 << code for code, side in enumerate(sides) if side == 0)
    assert gains[place, parted] == pytest.approx(max(gains.values()), abs=300 / NAT)


def test_a_category_that_no_row_had_stops(candidate: Engine) -> None:
    column = AskedColumn(np.repeat([0, 1], 50).astype(np.uint16), 3, is_category=True)
    codes = column.codes.copy()
    trees = candidate.grow_trees(codes, halved_ranges(np.bincount(codes)), [column], GrowthRules())
    assert trees.sides.tolist() == [0, 1, HERE]
    counts = candidate.count_in_trees(np.array([0, 0, 1], np.uint16), trees, [np.array([0, 2, 2], np.uint16)])
    assert counts.tolist() == [[1, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("is_category", [False, True])
def test_a_cut_inherits_what_parts_the_codes_of_the_cut_above(candidate: Engine, *, is_category: bool) -> None:
    """Splits of 2.5 nats, which a split of its own would have to gain three of; those of 0 nats are not inherited."""
    rows = {(0, 0): 30, (0, 1): 15, (0, 2): 5, (0, 3): 5, (1, 0): 6, (1, 1): 11, (1, 2): 30, (1, 3): 30}
    others, codes = (np.repeat(one, [*rows.values()]).astype(np.uint16) for one in np.array([*rows]).T)
    asked, ranges = [AskedColumn(others, 2, is_category)], halved_ranges(np.bincount(codes))
    of_halves = {int(low): cut for cut, (low, _, high, *_) in enumerate(ranges) if high - low == 2}
    trees = candidate.grow_trees(codes, ranges, asked, GrowthRules())
    above, first, second = trees.nodes[trees.root[[0, of_halves[0], of_halves[2]]]].tolist()
    assert first[:2] == above[:2] == [0, 0] and first[3] == above[3] == (0 if is_category else -1)
    assert second[0] == -1 and trees.sides.tolist() == [0, 1] * is_category
    alone = candidate.grow_trees(codes, ranges, asked, GrowthRules(inherited_penalty=3.0))
    assert alone.nodes[alone.root[of_halves[0]]].tolist()[0] == -1


def test_splits_above_that_part_no_rows_are_passed_over(candidate: Engine) -> None:
    """All rows of the lower half are on one side of the first split above; they inherit the split below it."""
    first = np.repeat([0, 0, 0, 0, 1, 0, 0], [30, 15, 6, 11, 200, 5, 60])
    second = np.repeat([0, 0, 1, 1, 0, 0, 1], [30, 15, 6, 11, 200, 5, 60])
    codes = np.repeat([0, 1, 0, 1, 2, 3, 3], [30, 15, 6, 11, 200, 5, 60]).astype(np.uint16)
    asked = [AskedColumn(column.astype(np.uint16), 2, is_category=False) for column in (first, second)]
    ranges = np.array([[0, 2, 4, 1, 2], [0, 1, 2, -1, -1], [2, 3, 4, -1, -1]], np.int32)
    trees = candidate.grow_trees(codes, ranges, asked, GrowthRules())
    assert [trees.nodes[place, 0] for place in (0, *trees.nodes[0, 2] + np.arange(2))] == [0, 1, -1]
    assert trees.nodes[trees.root[1], 0] == 1
    alone = candidate.grow_trees(codes, ranges, asked, GrowthRules(inherited_penalty=3.0))
    assert alone.nodes[alone.root[1], 0] == -1


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [
        ("nodes", 2, 0),
        ("nodes", 2, 10**6),
        ("nodes", 0, 4),
        ("nodes", 3, 10**6),
        ("nodes", 3, -2),
        ("root", 0, -1),
        ("ranges", 1, 0),
    ],
)
def test_trees_that_lead_astray_are_refused(part: str, place: int, value: int) -> None:
    asked = columns(700, 1)
    codes = target(asked, 2)
    trees = REFERENCE.grow_trees(codes, halved_ranges(np.bincount(codes, minlength=2)), asked, GrowthRules())
    trees.check(2, SIZES)
    spoilt = getattr(trees, part).copy()
    spoilt.ravel()[place] = value
    with pytest.raises(ValueError, match="trees lead out of themselves"):
        dataclasses.replace(trees, **{part: spoilt}).check(2, SIZES)


def test_entropies_are_whole_numbers() -> None:
    n = np.array([2, 10, 20_000])
    np.testing.assert_allclose(entropies(20_000)[n] / NAT, n * np.log(n), atol=0.5 / NAT)
    assert entropies(3)[:2].tolist() == [0, 0]


@pytest.mark.parametrize("least", [1, 5, 6, 8])
def test_pruned_trees_have_those_splits_alone_that_leave_enough_groups(least: int) -> None:
    """Each row is followed from split to split, one by one."""
    asked = columns(900, 8)
    codes, groups = target(asked, 23), np.minimum(np.random.default_rng(1).geometric(0.25, 900), 12) - 1
    trees = REFERENCE.grow_trees(codes, halved_ranges(np.bincount(codes, minlength=23)), asked, GrowthRules())
    pruned = trees.pruned(codes, asked, groups, least)
    pruned.check(23, SIZES)
    enough, splits = 0, 0
    for cut, (low, _, high, *_) in enumerate(trees.ranges.tolist()):
        rows = np.flatnonzero((codes >= low) & (codes < high))
        pairs = [(int(trees.root[cut]), int(pruned.root[cut]), rows)]
        while pairs:
            node, kept, rows = pairs.pop()
            if trees.nodes[node, 0] < 0:
                assert pruned.nodes[kept, 0] == -1
                continue
            sides = sides_of(trees, node, asked, rows)
            splits += 1
            if min(len(np.unique(groups[rows[sides == side]])) if side in sides else 0 for side in (0, 1)) < least:
                assert pruned.nodes[kept].tolist() == [-1, 0, -1, -1]
                continue
            enough += 1
            np.testing.assert_array_equal(sides_of(pruned, kept, asked, rows), sides)
            children = zip(trees.nodes[node, 2] + np.arange(2), pruned.nodes[kept, 2] + np.arange(2), strict=True)
            pairs += [(int(one), int(other), rows[sides == side]) for side, (one, other) in enumerate(children)]
    assert len(pruned.nodes) == len(pruned.root) + 2 * enough
    assert (enough == splits) == (least == 1)
    assert enough > 10


def sides_of(trees: Trees, node: int, asked: list[AskedColumn], rows: np.ndarray) -> np.ndarray:
    """On which side of a split each row lies."""
    feature, threshold, _, start = trees.nodes[node].tolist()
    codes = asked[feature].codes[rows].astype(int)
    return trees.sides[start + codes] if start >= 0 else (codes > threshold).astype(int)


def test_trees_of_no_rows_are_pruned() -> None:
    asked = columns(0, 1)
    empty = np.empty(0, np.uint16)
    trees = REFERENCE.grow_trees(empty, halved_ranges(np.zeros(4, int)), asked, GrowthRules())
    pruned = trees.pruned(empty, asked, np.empty(0, np.int64), 5)
    for part in dataclasses.fields(Trees):
        np.testing.assert_array_equal(getattr(pruned, part.name), getattr(trees, part.name))


def test_missing_values_are_a_group_for_themselves() -> None:
    codes = np.repeat(np.arange(101, dtype=np.uint16), 10)
    column = AskedColumn(codes, 101, is_category=False, missing=0).grouped(8)
    assert column.size == 9
    assert [*codes[column.codes == 8]] == [0] * 10
    assert np.bincount(column.codes)[:8].min() >= 120
