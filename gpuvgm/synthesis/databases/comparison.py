"""Samples of databases beside the tables: references, numbers of children, and rows beside their parents' rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import ks_2samp

from gpuvgm.columns import CategoricalColumn
from gpuvgm.io import Source, TableSource
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, NOWHERE, Links
from gpuvgm.synthesis.databases.learning import TablesToLearn
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.sampler import DatabaseSampler

Shares = dict[str, float]


@dataclass(frozen=True, slots=True)
class ReferenceComparison:
    """A reference in both databases.

    Parameters
    ----------
    reference : str
        The reference.
    original, sampled : dict of str to float
        Shares of the rows that refer to a row that is "here", to one "elsewhere", or to none.
    children : float
        1 less the Kolmogorov-Smirnov distance of the numbers of children of a row.
    """

    reference: str
    original: Shares
    sampled: Shares
    children: float

    @classmethod
    def of(cls, original: Links, sampled: Links) -> ReferenceComparison:
        """The figures of a reference."""
        distance = float(ks_2samp(original.counts, sampled.counts).statistic)
        return cls(str(original.reference), _shares(original), _shares(sampled), 1 - distance)

    @property
    def difference(self) -> float:
        """The largest difference of shares."""
        return max(abs(self.original[target] - self.sampled[target]) for target in self.original)

    def __str__(self) -> str:
        lead = f"{self.reference}: {self.sampled[HERE]:.2%} lead to a row (table {self.original[HERE]:.2%})"
        return f"{lead}; numbers of children alike by {self.children:.3f}"


@dataclass(frozen=True, slots=True)
class DatabaseComparison:
    """A sample beside the tables.

    Parameters
    ----------
    references : tuple of ReferenceComparison
        Those to tables that are drawn, the most different first.
    tables : mapping of str to Comparison
        Each table that is drawn, beside what its rows refer to; those that a classifier tells most easily first.
    """

    references: tuple[ReferenceComparison, ...]
    tables: Mapping[str, Any]

    def __str__(self) -> str:
        verdicts = [f"{name}: {comparison.verdict}" for name, comparison in self.tables.items()]
        return "\n".join([*verdicts, *map(str, self.references)])

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON can hold them."""
        references = [
            {
                "reference": figures.reference,
                "original": figures.original,
                "synthetic": figures.sampled,
                "children": figures.children,
            }
            for figures in self.references
        ]
        return {"references": references, "tables": {name: of.to_json() for name, of in self.tables.items()}}


def compare_database(
    model: DatabaseModel, sources: Mapping[str, Source], sampler: DatabaseSampler
) -> DatabaseComparison:
    """Compare a sample with tables."""
    original, sampled = TablesToLearn.by(model.plan, sources), sampler.widened()
    widened, links = original.widened(model.parts), sampler.links(sampled)
    references = [ReferenceComparison.of(original.links[of], links[of]) for of in model.plan.references]
    comparisons: dict[str, Any] = {}
    for name, part in model.parts.items():
        both = [
            TableSource(name, "pyarrow", _of_different_parents(name, of, which, model))
            for of, which in ((widened, original.links), (sampled, links))
        ]
        evaluator = part.model.transformer._evaluator()
        columns = tuple(column for column in part.model.table.columns if column.name in both[0].schema.names)
        evaluator = replace(evaluator, model=replace(evaluator.model, columns=columns))
        comparisons[name] = evaluator.compare(both[0], both[1])
    ordered = sorted(comparisons, key=lambda name: -_auc(comparisons[name]))
    worst_first = sorted(references, key=lambda figures: -max(figures.difference, 1 - figures.children))
    return DatabaseComparison(tuple(worst_first), {name: comparisons[name] for name in ordered})


def _of_different_parents(
    name: str, tables: Mapping[str, pa.Table], links: Mapping[Reference, Links], model: DatabaseModel
) -> pa.Table:
    """One row of each first parent, and of that one's, by which a classifier cannot know the parents of the others.

    Of further parents, which many rows share, categories are left alone.
    """
    rows, first = tables[name], model.plan.first.get(name)
    if first is not None:
        numbers, above = links[first].rows, model.plan.first.get(first.parent)
        while above is not None:
            of_parents = np.append(links[above].rows, -1)
            numbers = of_parents[np.where(numbers < len(of_parents) - 1, numbers, -1)]
            above = model.plan.first.get(above.parent)
        order = np.random.default_rng(0).permutation(rows.num_rows)
        rows = rows.take(np.sort(order[np.unique(numbers[order], return_index=True)[1]]))
    columns = model.parts[name].model.columns
    shared = {
        column
        for reference in (*model.plan.seconds(name), *model.plan.kept_beside(name))
        for column in rows.schema.names
        if column.startswith(reference.beside("")) and not isinstance(columns.get(column), CategoricalColumn)
    }
    return rows.drop_columns(sorted(shared))


def _auc(comparison: Any) -> float:
    """How easily rows are told."""
    return 0.5 if comparison.detection is None else float(comparison.detection.auc)


def _shares(links: Links) -> Shares:
    """Shares of the rows that refer to each target."""
    targets = links.targets
    return {target: float(np.mean(targets == target)) if len(targets) else 0.0 for target in (HERE, ELSEWHERE, NOWHERE)}
