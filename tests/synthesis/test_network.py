"""Networks of counts: structure, tables and messages against enumeration of every row."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri

import gpuvgm
from gpuvgm.engines import AskedColumn, Engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.synthesis.bins.bins import Bins
from gpuvgm.synthesis.bins.clock import Part
from gpuvgm.synthesis.counts.network import Network, Structure
from gpuvgm.synthesis.counts.structure import ANY_COLUMNS, Dependence, Node, learn_structure
from gpuvgm.synthesis.counts.tables import WEIGHTS, backed_off
from gpuvgm.synthesis.counts.trees import TreeSettings, grow_all
from gpuvgm.synthesis.drawing import conditioned
from gpuvgm.synthesis.drawing.drawing import Drawing
from gpuvgm.synthesis.drawing.messages import propagate
from tests.conftest import make_engine, native_names
from tests.engines.kernels.building import needs_compiler


def _bins(name: str, rows: np.ndarray) -> Bins:
    """Bins of one value each."""
    size = len(rows)
    places = np.arange(size, dtype=np.float64)
    return Bins(name, np.empty(0), np.arange(size), rows, np.arange(size + 1), np.ones(size), places, places, False)


def _network(seed: int = 0, sizes: tuple[int, ...] = (3, 4, 2, 30, 5)) -> Network:
    """A 2-tree over random counts."""
    random = np.random.default_rng(seed)
    parents = ((), ("a",), ("b", "a"), ("a", "b"), ("c", "b"))
    nodes = tuple(Node(name, one, (0.1,) * len(one)) for name, one in zip("abcde", parents, strict=True))
    codes = [random.integers(0, size, 400).astype(np.uint16) for size in sizes]
    codes[2] = ((codes[0] + codes[1]) % sizes[2]).astype(np.uint16)
    codes[3] = ((codes[0].astype(int) * 7 + codes[1] + random.integers(0, 3, 400)) % sizes[3]).astype(np.uint16)
    bins = tuple(
        _bins(name, np.bincount(code, minlength=size)) for name, code, size in zip("abcde", codes, sizes, strict=True)
    )
    coded = zip("abcde", zip(codes, sizes, strict=True), strict=True)
    columns = {name: AskedColumn(*own, is_category=False) for name, own in coded}
    order, trees = grow_all(columns, ANY_COLUMNS, Engine(), 1, TreeSettings.of(safer=False).rules)
    structure = Structure(bins, nodes, order, trees)
    return Network(structure, structure.counts(codes, 400, Engine()))


@cache
def _enumerated(seed: int) -> tuple[Network, list[np.ndarray], np.ndarray, np.ndarray]:
    """A network, every combination of its bins, and their probabilities by parents and by trees: for all tests."""
    network = _network(seed)
    codes, by_parents, by_trees = _all_rows(network)
    for array in (*codes, by_parents, by_trees):
        array.flags.writeable = False
    return network, codes, by_parents, by_trees


def _all_rows(network: Network) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Every combination of bins, and its probabilities by parents and by trees."""
    sizes = [range(len(bins)) for bins in network.structure.bins]
    rows = np.array(list(product(*sizes)), np.uint16)
    codes = [np.ascontiguousarray(column) for column in rows.T]
    by_trees = network.log_probability(dict(enumerate(codes)), len(rows), Engine())
    return codes, _by_parents(network, codes), np.exp(by_trees)


def _by_parents(network: Network, codes: list[np.ndarray]) -> np.ndarray:
    """Probabilities of rows by the network of parents, as rows with rare conditions are drawn."""
    structure, probabilities = network.structure, np.ones(len(codes[0]))
    for place, (axis, tables, parents) in enumerate(
        zip(structure.axes, network.tables, structure.parents, strict=True)
    ):
        first = codes[parents[0]] if parents else np.zeros(len(codes[0]), int)
        second = structure.axes[parents[1]].parent[codes[parents[1]]] if len(parents) > 1 else 0
        probabilities *= tables.groups[first, second, axis.child[codes[place]]] * tables.inside[first, codes[place]]
    return probabilities


def test_probabilities_of_all_rows_add_up_to_one() -> None:
    """No row has probability 0, neither by parents nor by trees."""
    for probability in _all_rows(_network())[1:]:
        assert np.sum(probability) == pytest.approx(1, abs=1e-12)
        assert np.all(probability > 0)


def test_trees_draw_rows_by_their_probability() -> None:
    """Every combination of the columns occurs as often as its probability says."""
    network = _network(sizes=(3, 4, 2, 5, 3))
    codes, _, probability = _all_rows(network)
    drawn = Drawing(network, {}, get_engine("auto")).rows(np.arange(7, 40_007, dtype=np.uint64), 3)
    shape = [len(bins) for bins in network.structure.bins]
    place, found = np.ravel_multi_index(codes, shape), np.ravel_multi_index([one for one, _ in drawn], shape)
    expected, counts = np.zeros(np.prod(shape)), np.bincount(found, minlength=np.prod(shape))
    expected[place] = 40_000 * probability
    tested = expected > 25
    scores = np.abs(counts - expected)[tested] / np.sqrt(expected * (1 - expected / 40_000))[tested]
    assert tested.sum() > 100 and np.max(scores) < ndtri(1 - 0.01 / (2 * tested.sum()))


def test_messages_agree_with_enumeration() -> None:
    """The mass of conditions is the sum over all rows."""
    for seed in range(100):
        network, codes, by_parents, _ = _enumerated(seed)
        evidence = _evidence(network, seed)
        weight = by_parents * np.prod([evidence[at][codes[at]] for at in evidence], axis=0)
        assert np.exp(propagate(network, evidence).log_mass) == pytest.approx(np.sum(weight), rel=1e-12)


def _evidence(network: Network, seed: int) -> dict[int, np.ndarray]:
    """Random conditions on 2 to 4 columns."""
    random = np.random.default_rng(seed)
    chosen = random.choice(5, random.integers(2, 5), replace=False)
    return {int(at): random.random(len(network.structure.bins[at])).round(1) for at in chosen}


WAYS = {  # MOST_COMBINATIONS, LEAST_SHARE, and the networks that are tried
    "combinations": (conditioned.MOST_COMBINATIONS, 0.0, 100),
    "candidates": (0, 0.0, 30),
    "parents": (0, 2.0, 100),
}


@pytest.mark.parametrize("way", WAYS)
def test_conditions_agree_with_enumeration(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """With random conditions every column's shares are those of the sum over all rows."""
    most, least_share, networks = WAYS[way]
    monkeypatch.setattr(conditioned, "MOST_COMBINATIONS", most)
    monkeypatch.setattr(conditioned, "LEAST_SHARE", least_share)
    rows, scores = 20_000, []
    for seed in range(networks):
        network, codes, by_parents, by_trees = _enumerated(seed)
        evidence = _evidence(network, seed)
        probability = by_parents if way == "parents" else by_trees
        weight = probability * np.prod([evidence[at][codes[at]] for at in evidence], axis=0)
        conditions = {at: replace(network.structure.bins[at], mass=share) for at, share in evidence.items()}
        drawing = Drawing(network, conditions, get_engine("auto"))
        assert drawing.trees.is_exact == (way != "parents")
        drawn = drawing.rows(np.arange(rows, dtype=np.uint64), seed)
        for at, bins in enumerate(network.structure.bins):
            share = np.minimum(np.bincount(codes[at], weight / np.sum(weight), len(bins)), 1.0)
            found = np.bincount(drawn[at][0], minlength=len(bins))
            assert np.all(found[share == 0] == 0)
            tested = (share * rows > 25) & ((1 - share) * rows > 25)
            scores.append(np.abs(found - share * rows)[tested] / np.sqrt(rows * share * (1 - share))[tested])
    every = np.concatenate(scores)
    assert len(every) > 25 * networks
    assert np.max(every) < ndtri(1 - 0.01 / (2 * len(every)))  # Bonferroni's limit at 1 %


@pytest.mark.parametrize("most", [0, conditioned.MOST_COMBINATIONS])
def test_rows_with_conditions_depend_on_their_number_alone(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Rows that are drawn in parts are those that are drawn together."""
    monkeypatch.setattr(conditioned, "MOST_COMBINATIONS", most)
    monkeypatch.setattr(conditioned, "MOST_CANDIDATES", 512)
    network = _network()
    bins = network.structure.bins[2]
    drawing = Drawing(network, {2: replace(bins, mass=np.array([0.2, 1.0]))}, get_engine("auto"))
    numbers = np.arange(5, 305, dtype=np.uint64)
    whole = drawing.rows(numbers, 9)
    order = np.random.default_rng(0).permutation(300)
    for taken in (np.arange(300), order):
        parts = [drawing.rows(numbers[part], 9) for part in np.split(taken, (1, 1, 131))]
        for at, (codes, places) in enumerate(whole):
            assert np.array_equal(codes[taken], np.concatenate([part[at][0] for part in parts]))
            assert np.array_equal(places[taken], np.concatenate([part[at][1] for part in parts]))


def test_conditions_without_mass_are_refused() -> None:
    """Two conditions that exclude each other are an error."""
    network = _network()
    size = len(network.structure.bins[0])
    with pytest.raises(InputError, match="meets all conditions"):
        propagate(network, {0: np.zeros(size), 1: np.ones(4)})


def test_counts_of_blocks_add_up() -> None:
    """Counts of 1 block and 7 are the same."""
    random = np.random.default_rng(2)
    structure = _network().structure
    codes = [random.integers(0, len(bins), 700).astype(np.uint16) for bins in structure.bins]
    engine = Engine()
    whole = structure.counts(codes, 700, engine)
    parts = [structure.counts([code[at : at + 100] for code in codes], 100, engine) for at in range(0, 700, 100)]
    merged = parts[3]
    for part in [*parts[:3], *parts[4:]]:
        merged = part.merge(merged)
    assert merged.rows == 700
    for part in ("pairs", "triples", "answers"):
        assert all(map(np.array_equal, getattr(merged, part), getattr(whole, part)))


def test_leave_one_out_is_what_it_says() -> None:
    """The likelihood of counts is that of each row by a table of all other rows."""
    random = np.random.default_rng(4)
    counts = random.poisson(2, (6, 5))
    levels = [np.zeros(6, np.int64), np.array([0, 0, 1, 1, 2, 2]), np.arange(6)]
    found = backed_off(counts, levels)
    assert np.allclose(found.table.sum(axis=1), 1)
    total = 0.0
    for context, value in zip(*np.nonzero(counts), strict=True):
        without = counts.copy()
        without[context, value] -= 1
        best = [_table_with(without, levels, weights)[context, value] for weights in product(WEIGHTS, repeat=3)]
        total += counts[context, value] * np.log(found.leave_one_out[context, value])
        assert np.min(np.abs(np.array(best) - found.leave_one_out[context, value])) < 1e-9
    assert found.likelihoods[-1] == pytest.approx(total)


def _table_with(counts: np.ndarray, levels: list[np.ndarray], weights: tuple[float, ...]) -> np.ndarray:
    """The formula of the module, written out."""
    table = np.full(counts.shape, 1 / counts.shape[1])
    for groups, weight in zip(levels, weights, strict=True):
        for context in range(len(counts)):
            n = counts[groups == groups[context]].sum(axis=0)
            mass = weight * max(np.count_nonzero(n), 1e-9)
            table[context] = (n + mass * table[context]) / (n.sum() + mass)
    return table


def test_structure_finds_a_parent_of_two(random: np.random.Generator) -> None:
    """A column that depends on two others together gets both; noise gets none."""
    a, b, noise = (random.integers(0, size, 8000).astype(np.uint16) for size in (6, 8, 9))
    b = ((b + a * (random.random(8000) < 0.5)) % 8).astype(np.uint16)
    c = ((a.astype(int) * 3 + b * 5 + (random.random(8000) < 0.1)) % 10).astype(np.uint16)
    codes = [a, b, noise, c]
    bins = [_bins(name, np.bincount(code)) for name, code in zip(("a", "b", "noise", "c"), codes, strict=True)]
    nodes = {node.name: node for node in learn_structure(bins, codes, Engine())}
    assert nodes["noise"].parents == ()
    assert max(len(node.parents) for node in nodes.values()) == 2
    assert all(gain > 0 for node in nodes.values() for gain in node.gains)


@needs_compiler
@pytest.mark.usefixtures("strict_cupy")
@pytest.mark.parametrize("name", [*native_names(), "cuda-strict"])
def test_engines_draw_the_same(name: str) -> None:
    """Samples of the NumPy engine and of every other one have the same bits, with and without conditions."""
    network, numbers = _network(), np.arange(11, 5011, dtype=np.uint64)
    bins = network.structure.bins[3]
    for conditions in ({}, {3: replace(bins, mass=(np.arange(len(bins)) % 3 == 0).astype(float))}):
        found = [Drawing(network, conditions, make_engine(one)).rows(numbers, 3) for one in ("reference", name)]
        for one, other in zip(*found, strict=True):
            assert all(map(np.array_equal, one, other))


def test_attributes_come_first_and_depend_on_attributes_of_their_keys_alone() -> None:
    """Whatever tells most of a column: others may depend on attributes, and attributes of accounts on customers'."""
    random = np.random.default_rng(0)
    of_customer = random.integers(0, 4, 3_000)
    codes = {"row": of_customer, "customer": of_customer, "other": of_customer, "account": of_customer}
    codes = {name: ((code + (random.random(3_000) < 0.1)) % 4).astype(np.uint16) for name, code in codes.items()}
    bins = [_bins(name, np.bincount(code, minlength=4)) for name, code in codes.items()]
    levels = {"customer": ("keys", (2,)), "account": ("keys", (0, 2)), "other": ("others", (0,))}
    levels |= {"card": ("keys", (1, 2))}
    forks = Dependence(levels)
    assert forks.allows("card", "customer") and not forks.allows("customer", "card")
    assert not forks.allows("card", "account") and not forks.allows("account", "card")
    del levels["card"]
    rows = dict.fromkeys(levels.values(), np.arange(0, 3_000, 2))
    nodes = learn_structure(bins, [*codes.values()], Engine(), Dependence(levels, rows))
    parents = {node.name: set(node.parents) for node in nodes}
    assert parents["account"] == {"customer"} and parents["customer"] == parents["other"] == set()
    assert parents["row"] and [*parents].index("row") == 3
    assert [*parents].index("customer") < [*parents].index("account")
    assert {node.name: {*node.parents} for node in learn_structure(bins, [*codes.values()], Engine())} != parents


def test_rare_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    fitted = gpuvgm.TableSynthesizer().fit({"model": ["a", "b", "c"] * 50, "x": [0.5, 1.5, 2.5] * 50})
    network = fitted.network_
    wrong = replace(network, structure=replace(network.structure, parts=(Part("model", "rare"),)))
    fitted._with(replace(fitted._fitted, network=wrong))
    with pytest.raises(InputError, match='"model" has no numbers that are rare'):
        fitted.save(tmp_path / "wrong.gpuvgm")
