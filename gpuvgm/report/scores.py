"""Scores of tables: how alike the distributions of their columns are, and how these depend on each other."""

from __future__ import annotations

from abc import abstractmethod

from gpuvgm.report.layout import Paged
from gpuvgm.report.pair_trends import PairTrend


class Scored(Paged):
    """A result that has a score for every column, and for pairs of columns."""

    __slots__ = ()
    pairs: tuple[PairTrend, ...]

    @property
    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Score of every column that has one, 0 to 1."""

    @property
    def score(self) -> float | None:
        """Mean of the columns' scores, SDMetrics' Column Shapes; None where no column has one."""
        return _mean([*self.scores.values()])

    @property
    def pair_score(self) -> float | None:
        """Mean of the pairs' scores; None where no pair has one."""
        return _mean([pair.score for pair in self.pairs if pair.score is not None])

    def _score_below(self, limit: float | None) -> list[str]:
        """A sentence where the overall score is below its limit; None is no limit."""
        score = self.score
        if limit is None or (score is not None and score >= limit):
            return []
        found = "not known" if score is None else f"{score:.6g}"
        return [f"the overall score is {found}, but must be at least {limit:g}"]


def score_text(score: float | None) -> str:
    """A score for people."""
    return "–" if score is None else f"{score:.3f}"


def _mean(scores: list[float]) -> float | None:
    return sum(scores) / len(scores) if scores else None
