"""EM in the engine's own loops: the bits of Python's loop over the engine's E-steps, whatever runs beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpuvgm.config import FitConfig
from gpuvgm.engines import native_is_built
from gpuvgm.engines.base import Engine
from gpuvgm.mixture import Prior, cell_em
from gpuvgm.mixture.accumulate import over_cells
from gpuvgm.mixture.cell_em import Ascent, cell_objective, fit_batch
from gpuvgm.mixture.em import AcceleratedEM, Objective, Stopping, fit_mixture
from gpuvgm.mixture.search import Effort, cell_starts
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.mixture.summary_fit import distance
from gpuvgm.summary import Cells, Frame, Grid, Masses
from tests.conftest import make_engine, native_names
from tests.harness.shapes import shape

REFERENCE = Engine()
POINTS = 9000  # at least: more than two chunks
ROUNDS = (15, 0, 60)  # iterations, which are taken up again
PRIORS: dict[str, dict[str, Any]] = {
    "process": {},
    "distribution": {"concentration_type": "dirichlet_distribution", "weight_concentration": 0.1},
    "tied": {"covariance_type": "tied", "origin": 0.5},
    "held up": {"least_covariance": 2e-4},
}
pytestmark = pytest.mark.skipif(not native_is_built(), reason="the C++ extension was not built")


def column(name: str, rows: int = 20_000) -> tuple[Cells, Prior]:
    x = shape(name, rows)
    frame = Frame.around(x)
    y = frame.apply(x)
    cells = REFERENCE.summarise(x, Grid.of(frame, Masses.of_sample(y), np.empty(0))).cells()
    return cells, Prior.of_column(*Cells.of_values(y, np.ones(rows)).mean_and_variance(), frame, FitConfig())


def points(cells: Cells, least: int = POINTS) -> Cells:
    """The same without scatter: rows with weights, more than one chunk of them."""
    many = np.concatenate([cells.mean + 1e-9 * i for i in range(1 + least // len(cells.mean))])
    ones = np.ones(len(many))
    return Cells(many, ones, 0 * ones, ones.astype(int), ones.astype(int), 0 * ones)


def starts(cells: Cells, components: int = 10) -> list[Statistics]:
    return cell_starts(cells, components, np.random.RandomState(0), Effort(starts=2, rich_starts=0))


def bits(ascent: Ascent) -> list[bytes]:
    best = ascent.best
    assert best.posterior is not None
    arrays = [best.statistics.reference, best.statistics.counts, best.statistics.first, best.statistics.second]
    arrays += [*best.posterior.arrays(), np.array([best.statistics.entropy, best.bound]), np.array(ascent.bounds)]
    return [array.tobytes() for array in arrays]


def run_with(objective: Any, begin: Sequence[Statistics], rounds: Sequence[int] = ROUNDS) -> list[list[bytes]]:
    ascents = objective.ascents(begin)
    for iterations in rounds:
        objective.run(ascents, iterations, 1e-9)
    return [bits(ascent) for ascent in ascents]


def run(
    engine: Engine, cells: Cells, prior: Prior, begin: Sequence[Statistics], rounds: Sequence[int] = ROUNDS
) -> list[list[bytes]]:
    return run_with(cell_objective(engine, cells, prior), begin, rounds)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", ["cents", "t3 returns", "two close spikes", "constant"])
@pytest.mark.parametrize("candidate", native_names())
def test_ascents_have_the_bits_of_the_loop_in_python(candidate: str, name: str, prior: str) -> None:
    engine = make_engine(candidate)
    cells, of_column = column(name)
    own = replace(of_column, **PRIORS[prior])
    for there in (cells, points(cells)):
        objective = Objective(over_cells(engine, there), own, there.rows)
        expected = []
        for start in starts(cells):
            ascent = AcceleratedEM(objective, start)
            for iterations in ROUNDS:
                ascent.run(iterations, 1e-9)
            expected.append(bits(ascent))
        assert run(engine, there, own, starts(cells)) == expected


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", ["cents", "t3 returns", "constant"])
def test_the_bound_of_sums_has_the_bits_of_python(name: str, prior: str) -> None:
    cells, of_column = column(name)
    objective = cell_objective(make_engine("native"), cells, replace(of_column, **PRIORS[prior]), sound=True)
    ends = objective.ascents(starts(cells))
    objective.run(ends, 3, 0.0)
    for sums in [*starts(cells), *(end.statistics.take(np.arange(9, -1, -1)) for end in ends)]:
        assert objective.bound(sums) == objective.point(sums).bound


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("iterations", [1, 5, 33])
def test_plain_em_has_the_bits_of_the_loop_in_python(prior: str, iterations: int) -> None:
    engine = make_engine(native_names()[0])
    cells, of_column = column("cents")
    own = replace(of_column, **PRIORS[prior])
    start = own.update(starts(cells)[0])
    expected = fit_mixture(Objective(over_cells(engine, cells), own, cells.rows), start, Stopping(iterations, 0.0), 20)
    objective = cell_objective(engine, cells, own)
    found = fit_batch([(objective, start)], Stopping(iterations, 0.0), 20)[0]
    assert found.bounds == expected.bounds
    for one, other in ((found.posterior, expected.posterior), (found.earlier, expected.earlier)):
        assert [a.tobytes() for a in one.arrays()] == [a.tobytes() for a in other.arrays()]
    ended = fit_batch([(objective, start)], Stopping(10**12, 1e-2 * cells.rows))[0]
    assert ended.converged and len(ended.bounds) < 1000


def test_a_fit_that_pauses_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(native_names()[0])
    cells, prior = column("cents")
    start = prior.update(starts(cells)[0])
    objective = cell_objective(engine, cells, prior)
    whole = fit_batch([(objective, start)], Stopping(40, 0.0), 20)[0]
    monkeypatch.setattr(cell_em, "_UNINTERRUPTED", 7)
    parts = fit_batch([(objective, start)], Stopping(40, 0.0), 20)[0]
    assert parts.bounds == whole.bounds
    for one, other in zip(parts.earlier.arrays(), whole.earlier.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["cents", "t3 returns", "mixed signs"])
def test_fits_are_those_of_the_reference_engine(name: str) -> None:
    cells, prior = column(name, 5_000)
    start = prior.update(starts(cells)[0])
    ours, theirs = (
        fit_batch([(cell_objective(engine, cells, prior), start)], Stopping(100, 0.0))[0]
        for engine in (make_engine(native_names()[0]), REFERENCE)
    )
    np.testing.assert_allclose(ours.bounds, theirs.bounds, rtol=1e-12)
    assert distance(ours.posterior, theirs.posterior) < 1e-9


def test_neither_instruction_set_nor_threads_nor_batch_change_a_bit() -> None:
    cells, prior = column("cents")
    begin = [*starts(cells), *starts(cells, 4), *starts(cells, 1)]
    alone = [run(make_engine(native_names()[0]), cells, prior, [start])[0] for start in begin]
    for name in native_names():
        for threads in (1, 4):
            engine: Any = make_engine(name)
            loops = engine.em(cells, prior.table(), sound=False)
            loops._threads = threads
            objective: Any = cell_objective(engine, cells, prior)
            assert run_with(replace(objective, loops=loops), begin) == alone


def test_an_ascent_that_was_not_run_has_made_one_iteration() -> None:
    cells, prior = column("cents", 2_000)
    (start, *_) = starts(cells)
    engine = make_engine(native_names()[0])
    (ascent,) = cell_objective(engine, cells, prior).ascents([start])
    assert list(ascent.bounds) == AcceleratedEM(Objective(over_cells(engine, cells), prior, cells.rows), start).bounds
    assert not ascent.converged


def test_arrays_of_the_wrong_length_are_refused() -> None:
    cells, prior = column("cents", 2_000)
    loops = make_engine(native_names()[0]).em(cells, prior.table(), sound=True)
    assert loops is not None
    three, two = np.ones(3), np.ones(2)
    for start in ([three] * 3, [three, three, two, three], [np.ones(0)] * 4):
        with pytest.raises(ValueError, match="one value a component"):
            loops.ascents([start])
    with pytest.raises(ValueError, match="one value a component"):
        loops.plain([three] * 4, 1)
    with pytest.raises(ValueError, match="at least one posterior"):
        loops.plain([three] * 6, 0)
    with pytest.raises(ValueError, match="every cell a weight"):
        make_engine(native_names()[0]).em(replace(cells, weight=two), prior.table(), sound=True)
