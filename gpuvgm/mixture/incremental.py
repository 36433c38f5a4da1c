"""partial_fit: one feature keeps a summary that rows are added to, several features keep the sums of every block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import WeightedSums, over_features, summarise_rows
from gpuvgm.mixture.em import MixtureFit
from gpuvgm.mixture.estimator_fit import (
    Estimate,
    FeaturePlan,
    Problem,
    estimate_of,
    explained,
    fit_on_rows,
    outcome_of,
    plan,
)
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.rows import Moments, Rows
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.mixture.summary_fit import ColumnFit, ColumnStart
from gpuvgm.summary import Cells, Floats, Grid, Summary


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """Sums of all rows of one feature over the grid of the first call.

    Parameters
    ----------
    grid : Grid
        The grid.
    start : Seeds or Posterior
        Where every fit starts.
    counted, weighted : Summary and WeightedSums, optional
        Rows whose weights are whole numbers, and the others.
    """

    grid: Grid
    start: ColumnStart
    counted: Summary | None = None
    weighted: WeightedSums | None = None

    @classmethod
    def begin(cls, problem: Problem) -> SeenColumn:
        """Grid and start from the rows of the first call."""
        feature_plan = plan(replace(problem, starts=1))
        return cls(feature_plan.grid, feature_plan.starts[0])

    def add(self, engine: Engine, rows: Rows) -> SeenColumn:
        """Column with the sums of more rows added."""
        sums = summarise_rows(engine, rows, self.grid)
        if isinstance(sums, Summary):
            return replace(self, counted=sums if self.counted is None else self.counted.merge(sums))
        return replace(self, weighted=sums if self.weighted is None else self.weighted.merge(sums))

    def cells(self) -> Cells:
        """Occupied cells of all rows seen."""
        return reduce(Cells.concatenate, (sums.cells() for sums in (self.counted, self.weighted) if sums is not None))

    def moments(self) -> Moments:
        """Moments of all rows seen, in their own units."""
        cells = self.cells()
        mean, variance = cells.mean_and_variance()
        scatter = variance * (cells.rows - 1)
        return Moments(cells.rows, self.grid.frame.invert(np.array([mean])), np.array([[scatter]]))

    def estimate(self, problem: Problem, *, best: bool) -> Estimate:
        """Fit on all rows seen, or the best that a search finds."""
        feature_plan = FeaturePlan(grid=self.grid, starts=(self.start,), problem=problem, best=best, checked="refit")
        outcome = outcome_of(ColumnFit(feature_plan, self).fit_cells(problem.engine))
        estimate = estimate_of(self.grid.frame.centre, outcome)
        return explained(problem, estimate, np.nan) if best else estimate


@dataclass(frozen=True, slots=True)
class SeenBlocks:
    """Memoised variational inference (Hughes & Sudderth 2013): the sums that each block gave at its last visit.

    A visit computes the responsibilities of one block under the current posterior, puts their sums in the place of the
    block's former ones, and updates the posterior from the sums of all blocks. Over blocks seen before, every visit is
    a coordinate ascent: the lower bound of all rows cannot fall.

    Parameters
    ----------
    prior : Prior
        Prior of the first call.
    centre : ndarray of shape (D,)
        Mean of the first block, the origin of the coordinates of prior and posterior.
    posterior : Posterior
        The current posterior, in these coordinates.
    blocks : dict of str to Statistics
        Sums by the digest of the block's rows and weights.
    bounds : tuple of float
        Lower bound over the blocks seen, after each visit.
    grown : bool
        Whether the last visit was the first of its block.
    """

    prior: Prior
    centre: Floats
    posterior: Posterior
    blocks: dict[str, Statistics]
    bounds: tuple[float, ...] = ()
    grown: bool = True

    @classmethod
    def begin(cls, problem: Problem) -> SeenBlocks:
        """A posterior fitted to the first block alone."""
        centre = problem.moments.mean
        return cls(problem.prior, centre, fit_on_rows(problem).fit.posterior.within(centre), {})

    def add(self, engine: Engine, rows: Rows) -> SeenBlocks:
        """Blocks after one visit of a block."""
        accumulate = over_features(engine, rows, self.centre)
        digest = digest_of(rows)
        blocks = self.blocks | {digest: accumulate(self.posterior)}
        total = reduce(Statistics.plus, blocks.values()).about(self.posterior.means)
        posterior = self.prior.within(self.centre).update(total)
        bounds = (*self.bounds, posterior.lower_bound(total.entropy))
        return replace(self, posterior=posterior, blocks=blocks, bounds=bounds, grown=digest not in self.blocks)

    def moments(self) -> Moments:
        """Number of rows seen, about the mean of the first block; nothing asks for their scatter."""
        total = float(sum(np.sum(sums.counts) for sums in self.blocks.values()))
        features = len(self.centre)
        return Moments(total, self.centre, np.zeros((features, features)))

    def estimate(self, problem: Problem, *, best: bool) -> Estimate:
        """Estimate from the blocks seen; converged if a visit again changed the bound by less than the tolerance."""
        steady = not self.grown and abs(self.bounds[-1] - self.bounds[-2]) < problem.stopping.tolerance
        return Estimate(MixtureFit(self.posterior.outside(self.centre), self.bounds, steady), 0.0, exact=True)


def begin_partial_fit(problem: Problem) -> SeenColumn | SeenBlocks:
    """What is known before the rows of the first call are added."""
    return SeenColumn.begin(problem) if problem.rows.features == 1 else SeenBlocks.begin(problem)


def digest_of(rows: Rows) -> str:
    """Digest of the rows and weights of a block, however its rows are cut."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(str((rows.count, rows.features)).encode())
    digest.update(b"".join(rows.each(_digests_of_chunks)))
    return digest.hexdigest()


def _digests_of_chunks(block: Rows) -> bytes:
    """Digests of the chunks of some rows, one after the other."""
    numbers, weights = to_numpy(block.array), np.ones(block.count) if block.weight is None else to_numpy(block.weight)
    table = np.column_stack((numbers, weights)).astype(np.float64, copy=False)
    chunks = (table[start : start + CHUNK_ROWS].tobytes() for start in range(0, len(table), CHUNK_ROWS))
    return b"".join(hashlib.blake2b(chunk, digest_size=16).digest() for chunk in chunks)
