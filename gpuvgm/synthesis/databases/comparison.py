"""Samples of databases beside the tables: references, numbers of children, and rows beside their parents' rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import CategoricalColumn
from gpuvgm.errors import check_present
from gpuvgm.io import Document, Source, TableSource
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, NOWHERE, Links, alone_unless
from gpuvgm.synthesis.databases.learning import TablesToLearn
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.near_parents import NAMES, NearParents, near_parents
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.sequences import SequenceModel

Path_ = str | PathLike[str]
Shares = dict[str, float]
MOST_PAIRS, LEAST_LOST = 5, 0.02  # in the text: pairs of columns, and what each has lost of its score at least
NOT_HELD_OUT = (
    "Not judged, as no tables were held out of the fit: whether the sample comes nearer to fitted rows than to others "
    "(held_out=…, --held-out)"
)
TOO_FEW_HELD_OUT = (
    "Not judged, as the tables that were held out have too few parents with children: whether the sample comes nearer "
    "to fitted rows than to others"
)
LEAD = (
    "What is worst comes first. Below, each table is compared beside the rows that its rows refer to. Rows that belong "
    "together, such as the orders of a customer, are alike: only one of these is compared."
)
_LIMITED = {"max_auc": "detection", "max_sequence_auc": "sequences"}  # limits, and what they are of


@dataclass(frozen=True, slots=True)
class ReferenceComparison:
    """A reference in both databases.

    Parameters
    ----------
    reference : str
        The reference.
    child, parent : str
        The table that refers, and the one that is referred to.
    original, sampled : dict of str to float
        Shares of the rows that refer to a row that is "here", to one "elsewhere", or to none.
    children : float
        1 less the Kolmogorov-Smirnov distance of the numbers of children of a row.
    """

    reference: str
    child: str
    parent: str
    original: Shares
    sampled: Shares
    children: float

    @classmethod
    def of(cls, original: Links, sampled: Links) -> ReferenceComparison:
        """The figures of a reference."""
        from scipy.stats import ks_2samp  # takes longer to import than all of gpuvgm

        distance = float(ks_2samp(original.counts, sampled.counts).statistic)
        of = original.reference
        return cls(str(of), of.child, of.parent, _shares(original), _shares(sampled), 1 - distance)

    @property
    def difference(self) -> float:
        """The largest difference of shares."""
        return max(abs(self.original[target] - self.sampled[target]) for target in self.original)

    def __str__(self) -> str:
        lead = f"{self.reference}: {self.sampled[HERE]:.2%} of the rows of {self.child} lead to one of {self.parent}"
        numbers = f"numbers of {self.child} for a row of {self.parent} alike by {self.children:.3f} (1 is best)"
        return f"{lead} (in the tables {self.original[HERE]:.2%}); {numbers}"


@dataclass(frozen=True, slots=True)
class TotalComparison:
    """A law between a parent and its children in both databases.

    Parameters
    ----------
    table : str
        The table of the children.
    law : str
        The law.
    original, sampled : float
        Share of the parents that keep it.
    """

    table: str
    law: str
    original: float
    sampled: float

    def __str__(self) -> str:
        return f"{self.table}: {self.law} holds for {self.sampled:.2%} of the parents (table {self.original:.2%})"


@dataclass(frozen=True, slots=True)
class FurtherPair:
    """A column of a child, or of its first parent, and one of a further parent, in both databases.

    Parameters
    ----------
    table : str
        The child.
    columns : (str, str)
        Both columns, as they stand beside its rows.
    metric : str
        "correlation" of numbers, else "contingency".
    score : float or None
        How alike they go together, from 0 to 1; None where a column is constant.
    lost : float
        What the score is short of one that chance leaves.
    original, sampled : float or None
        Their correlations.
    """

    table: str
    columns: tuple[str, str]
    metric: str
    score: float | None
    lost: float
    original: float | None
    sampled: float | None

    def __str__(self) -> str:
        lead = f"{self.table}: {self.columns[0]} goes with {self.columns[1]}"
        if self.original is None or self.sampled is None:
            return f"{lead} alike by {self.score or 0.0:.3f}"
        return f"{lead} by a correlation of {self.sampled:z.2f} (table {self.original:z.2f})"


@dataclass(frozen=True, slots=True)
class DatabaseComparison:
    """A sample beside the tables.

    Parameters
    ----------
    references : tuple of ReferenceComparison
        Those to tables that are drawn, the most different first.
    totals : tuple of TotalComparison
        Laws between parents and their children, those that samples break most first.
    pairs : tuple of FurtherPair
        What goes with columns of further parents, in all rows; what has lost most first.
    tables : mapping of str to Comparison
        Each table that is drawn, beside what its rows refer to; those that a classifier tells most easily first.
    near : tuple of NearParents
        Parents with their children, by reference; those that repeat parents of the tables most first.
    has_held_out : bool
        Whether parents were compared with such that no fit has seen.
    kept : tuple of str
        Parents with their children that are not judged, as these parents are kept as they are.
    """

    references: tuple[ReferenceComparison, ...]
    totals: tuple[TotalComparison, ...]
    pairs: tuple[FurtherPair, ...]
    tables: Mapping[str, Any]
    near: tuple[NearParents, ...]
    has_held_out: bool = False
    kept: tuple[str, ...] = ()

    @property
    def _lines(self) -> list[str]:
        """Repeated parents, verdicts of the tables, laws over tables, pairs that have lost most, and references."""
        repeated = [str(parents) for parents in self.near if parents.stand_out]
        new = [str(parents) for parents in self.near if not parents.stand_out]
        verdicts = [f"{name}: {comparison.verdict}" for name, comparison in self.tables.items()]
        lost = [pair for pair in self.pairs if pair.lost >= LEAST_LOST][:MOST_PAIRS]
        lines = [*repeated, *verdicts, *map(str, self.totals), *map(str, lost), *map(str, self.references), *new]
        if self.kept:
            kept = " and ".join(self.kept)
            lines.append(f"Not judged, as they are kept as they are: whether {kept} repeat real ones")
        are_too_few = all(of.figures is None or of.figures.held_out_share is None for of in self.near)
        if self.near and are_too_few:
            lines.append(TOO_FEW_HELD_OUT if self.has_held_out else NOT_HELD_OUT)
        return lines

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def to_dict(self) -> dict[str, Any]:
        """The figures as a dict that JSON can hold."""
        return {
            "references": [asdict(figures) for figures in self.references],
            "totals": [asdict(figures) for figures in self.totals],
            "pairs": [asdict(figures) for figures in self.pairs],
            "near": [figures.to_dict() for figures in self.near],
            "has_held_out": self.has_held_out,
            "tables": {name: comparison.to_dict() for name, comparison in self.tables.items()},
        }

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that a table breaks, as sentences; empty where all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            As for `Comparison.broken`. Of tables that are too small for a classifier its AUC is not limited.
        """
        broken = list[str]()
        for name, comparison in self.tables.items():
            unknown = {limit for limit, of in _LIMITED.items() if getattr(comparison, of) is None}
            known = {limit: bound for limit, bound in bounds.items() if limit not in unknown}
            broken += [f"{name}: {text}" for text in comparison.broken(known)]
        return broken

    def to_html(self, path: Path_ | None = None, *, title: str = "Sample beside the tables") -> str:
        """One HTML page for people that needs nothing else.

        Parameters
        ----------
        path : path, optional
            File or URL to write the page to; its name ends in .html.
        title : str
            Heading of the page.
        """
        target = None if path is None else Document.page(path)
        text: str = next(iter(self.tables.values()))._page_of_tables(title, LEAD, self._lines, self.tables)
        if target is not None:
            target.write(text)
        return text


def _not_judged(model: DatabaseModel) -> tuple[str, ...]:
    """Parents that are kept, with their children, where these refer to no others that are drawn."""
    judged = {reference.child for reference in model.plan.references}
    kept = (of for of in model.plan.to_kept if of.child not in judged)
    return tuple(dict.fromkeys(f"{of.parent} with their {of.child}" for of in kept))


def compare_database(
    model: DatabaseModel,
    sources: Mapping[str, Source],
    sampled: Mapping[str, Source],
    held_out: Mapping[str, Source] | None = None,
) -> DatabaseComparison:
    """Compare a sample with tables.

    Parameters
    ----------
    model : DatabaseModel
        What tells which rows refer to which, and kinds of columns.
    sources, sampled : mapping of str to Source
        The tables of both.
    held_out : mapping of str to Source, optional
        Tables that were held out of the fit, if they are not those that the fit held out itself.
    """
    databases = {"tables": sources, "compare": sampled} | ({} if held_out is None else {"held_out": held_out})
    for parameter, tables in databases.items():
        for name in model.parts:
            check_present(f'{parameter}: "{name}"', model.schemas[name].names, tables[name].schema.names)
    read = [TablesToLearn.by(model.plan, tables) for tables in databases.values()]
    if model.held_out.rules:
        read[0], others = read[0].parted(model.held_out)
        read = read if held_out is not None else [*read, others]
    all_widened = [tables.widened(model.parts) for tables in read]
    near = near_parents(model, read, all_widened)
    both, widened = read[:2], all_widened[:2]
    references = [ReferenceComparison.of(*(tables.links[of] for tables in both)) for of in model.plan.references]
    totals, pairs, comparisons = list[TotalComparison](), list[FurtherPair](), dict[str, Any]()
    for name, part in model.parts.items():
        rows = [TableSource(name, "pyarrow", tables[name]) for tables in widened]
        if isinstance(part.model, SequenceModel):
            shares = [part.model.shares_of_totals(table) for table in rows]
            totals += [TotalComparison(name, law, share, shares[1][law]) for law, share in shares[0].items()]
        judged = [
            TableSource(f"{name}{of}", "pyarrow", _of_different_parents(name, tables, links.links, model))
            for tables, links, of in zip(widened, both, NAMES[:2], strict=True)
        ]
        evaluator = part.model.transformer._evaluator()
        groups = _groups(name, model)
        if any(groups.values()):
            trends = evaluator.trends(rows[0], rows[1], groups)
            pairs += [FurtherPair(name, of.columns, of.metric, of.score, of.lost, of.before, of.after) for of in trends]
        columns = tuple(column for column in part.model.table.columns if column.name in judged[0].schema.names)
        evaluator = replace(evaluator, model=replace(evaluator.model, columns=columns), sequence=None)
        comparisons[name] = evaluator.compare(judged[0], judged[1])
    ordered = sorted(comparisons, key=lambda name: -_auc(comparisons[name]))
    return DatabaseComparison(
        tuple(sorted(references, key=lambda figures: -max(figures.difference, 1 - figures.children))),
        tuple(sorted(totals, key=lambda figures: figures.sampled - figures.original)),
        tuple(sorted(pairs, key=lambda figures: -figures.lost)),
        {name: comparisons[name] for name in ordered},
        tuple(near),
        len(read) > len(both),
        _not_judged(model),
    )


def _groups(name: str, model: DatabaseModel) -> dict[str, str]:
    """Columns that are modelled beside the rows of a table, each with the further parent that it is of, or ""."""
    shared, left_out = model.plan.shared(name), model.plan.owners(name)
    modelled = [of.name for of in model.parts[name].model.table.columns if of.is_encoded and of.name not in left_out]
    return {column: next((lead for lead in shared if column.startswith(lead)), "") for column in modelled}


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
            is_here = (numbers >= 0) & (numbers < len(of_parents) - 1)
            numbers = of_parents[np.where(is_here, numbers, -1)]
            above = model.plan.first.get(above.parent)
        numbers = alone_unless(numbers >= 0, numbers)
        order = np.random.default_rng(0).permutation(rows.num_rows)
        rows = rows.take(np.sort(order[np.unique(numbers[order], return_index=True)[1]]))
    columns, shared = model.parts[name].model.columns, model.plan.shared(name)
    numbers_shared = [
        column
        for column in rows.schema.names
        if column.startswith(shared) and not isinstance(columns.get(column), CategoricalColumn)
    ]
    return rows.drop_columns([*numbers_shared, *model.plan.owners(name)])


def _auc(comparison: Any) -> float:
    """How easily rows are told."""
    return 0.5 if comparison.detection is None else float(comparison.detection.auc)


def _shares(links: Links) -> Shares:
    """Shares of the rows that refer to each target."""
    targets = links.targets
    return {target: float(np.mean(targets == target)) if len(targets) else 0.0 for target in (HERE, ELSEWHERE, NOWHERE)}
