"""Comparing a synthetic table with the original one, column by column: one scan of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from textwrap import fill
from typing import Any, ClassVar

from gpuvgm.arrays import on_host
from gpuvgm.columns.model import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, counted
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import take_sample
from gpuvgm.io import Block, Source
from gpuvgm.report.comparison_page import LOW, content_of
from gpuvgm.report.comparison_trial import ColumnComparison, NumberComparison, Pair, missing_shares, pair_of
from gpuvgm.report.counting import count_columns, count_table, merged_columns
from gpuvgm.report.facts import RunFacts
from gpuvgm.report.figures import description_document
from gpuvgm.report.first_rows import COLUMNS, ROWS, FirstRows
from gpuvgm.report.layout import Content
from gpuvgm.report.pair_trends import PairTrend, pair_trends, thinned
from gpuvgm.report.scores import Scored
from gpuvgm.report.text import WIDTH, Row, aligned, head_text

_NAMED = 3  # columns that the verdict names
_NOTE = """\
score: 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the
    total variation distance of categories, as SDMetrics' KSComplement and
    TVComplement; missing values are left out
pairs: correlations of numbers, joint shares of all others, as SDMetrics'
    CorrelationSimilarity and ContingencySimilarity
missing: share of rows without a value in the original and the synthetic table
Wasserstein: distance of the values, in standard deviations of the original"""


@dataclass(frozen=True, slots=True)
class Comparison(Scored):
    """How alike two tables are, column by column; `str` gives a verdict and a table.

    Parameters
    ----------
    rows, synthetic_rows : int
        Rows of the original and of the synthetic table.
    columns : dict of str to NumberComparison or CategoryComparison
        The columns that are encoded, in the model's order.
    reasons : dict of str to str
        Why each column has its kind; those that are not in `columns` are not compared.
    facts : RunFacts, optional
        When and how the comparison was made, for people.
    first : FirstRows, optional
        The first rows of both tables, for the page.
    pairs : tuple of PairTrend
        Pairs of the first 50 columns, those with the lowest score first.
    """

    rows: int
    synthetic_rows: int
    columns: Mapping[str, ColumnComparison]
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: RunFacts | None = field(default=None, compare=False)
    first: FirstRows | None = field(default=None, repr=False)
    pairs: tuple[PairTrend, ...] = field(default=(), repr=False)
    TITLE: ClassVar[str] = "Original and synthetic rows"

    @property
    def scores(self) -> dict[str, float]:
        """Score of every column that has a value in both tables, 0 to 1."""
        return {name: column.score for name, column in self.columns.items() if column.score is not None}

    @property
    def verdict(self) -> str:
        """One line: the overall score, and the columns with the lowest ones."""
        scores = self.scores
        if self.score is None:
            return "No column has a value in both tables"
        line = f"Overall score {self.score:.3f} of 1 for {counted(len(scores), 'column')}"
        low = sorted((name for name in scores if scores[name] < LOW), key=scores.__getitem__)
        named = ", ".join(f"{name} ({scores[name]:.3f})" for name in low[:_NAMED])
        more = f" and {len(low) - _NAMED:,} more below {LOW:g}" if len(low) > _NAMED else ""
        return f"{line}; look at {named}{more}" if low else f"{line}, none below {LOW:g}"

    @property
    def facts_line(self) -> str:
        """When and how the comparison was made, in one line; empty where that is not known."""
        return "" if self.facts is None else self.facts.line(self.rows, self.synthetic_rows)

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that do not hold, as sentences; empty when all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            "min_score" limits the overall score. None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        for bound in bounds:
            if bound != "min_score":
                raise InputError(f'no limit of a comparison is called "{bound}": choose min_score')
        return self._score_below(bounds.get("min_score"))

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict that JSON can hold."""
        return {
            "rows": self.rows,
            "synthetic_rows": self.synthetic_rows,
            "verdict": self.verdict,
            "score": self.score,
            "pair_score": self.pair_score,
            "pairs": [asdict(pair) for pair in self.pairs],
            "columns": {name: _document(column) for name, column in self.columns.items()},
        }

    def to_text(self) -> str:
        """A verdict, and a table for people, 80 columns wide."""
        head = head_text(self.verdict, self.facts_line)
        rows: list[Row] = [(name, list(_cells(column))) for name, column in self.columns.items()]
        table = aligned(["metric", "score", "missing", "synthetic", "Wasserstein"], rows)
        return "\n\n".join([head, "\n".join(table), *self._pairs_text(), _NOTE])

    def _pairs_text(self) -> Iterator[str]:
        """The overall score of pairs, and the lowest ones."""
        if self.pair_score is not None:
            low = [
                f"{pair.one} and {pair.other} {pair.score:.3f}"
                for pair in self.pairs[:_NAMED]
                if pair.score is not None
            ]
            yield fill(f"pairs of columns: {self.pair_score:.3f}, the lowest: {', '.join(low)}", WIDTH)

    def _content(self, title: str, *, first_rows: bool) -> Content:
        return content_of(title, self if first_rows else replace(self, first=None))


def _cells(column: ColumnComparison) -> Iterator[str]:
    yield column.metric
    yield "" if column.score is None else f"{column.score:.3f}"
    yield from (f"{100 * part:.2f} %" for part in missing_shares(column))
    apart = getattr(column, "wasserstein", None)
    yield "" if apart is None else f"{apart:.2g}"


def _document(column: ColumnComparison) -> dict[str, Any]:
    if not isinstance(column, NumberComparison):
        return {"kind": column.kind, "metric": column.metric, **asdict(column)}
    document = asdict(replace(column, profile=None))
    del document["profile"]
    document["before"], document["after"] = map(description_document, (column.before, column.after))
    return document | {"metric": column.metric}


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What is kept of one table: rows, what is kept of each column, and its first rows."""

    rows: int
    columns: dict[str, Any]
    first: FirstRows

    def merge(self, other: TableCounts) -> TableCounts:
        """Of both sets of rows."""
        columns = merged_columns(self.columns, other.columns)
        return TableCounts(self.rows + other.rows, columns, self.first.merge(other.first))


def _count_block(pairs: Mapping[str, Pair], place: Callable[[int], str], block: Block) -> TableCounts:
    columns = count_columns(pairs, block, lambda pair, values: pair.count(on_host(values), block.first_row), place)
    return TableCounts(block.rows, columns, FirstRows.of(block, pairs))


def count_original(model: TableModel, source: Source, run: Run) -> tuple[dict[str, Pair], TableCounts]:
    """What is kept of the original table, and how to count the other one in the same way.

    The numbers of a column are kept as they are, 8 bytes each, so that the distance of two tables is exact.

    Parameters
    ----------
    model : TableModel
        The fitted model; its columns are compared.
    source : Source
        The rows.
    run : Run
        Where and how.

    Raises
    ------
    InputError
        For columns of another sort, and for a table without rows.
    """
    _refuse_types(model, source)
    names = [column.name for column in model.encoded]
    if not names:
        raise InputError("the model encodes no column, so that there is nothing to compare")
    sampled = take_sample(source, names, run, model.seed)
    engine = get_engine(run.here.engine)
    pairs = {column.name: pair_of(engine, column, sampled.rows) for column in model.encoded}
    return pairs, _count(pairs, source, sampled.blocks or run.blocks(source, names), run)


def count_synthetic(model: TableModel, pairs: Mapping[str, Pair], source: Source, run: Run) -> TableCounts:
    """What is kept of the synthetic table. Parameters and errors as for `count_original`."""
    _refuse_types(model, source)
    return _count(pairs, source, run.blocks(source, [*pairs]), run)


def _refuse_types(model: TableModel, source: Source) -> None:
    for column in model.encoded:
        column.refuse_type(source.name, source.schema.field(column.name).type)


def _count(pairs: Mapping[str, Pair], source: Source, blocks: Iterable[Any], run: Run) -> TableCounts:
    return count_table(source, blocks, partial(_count_block, pairs, source.place), TableCounts.merge, run, "compare")


def compare_counts(pairs: Mapping[str, Pair], original: TableCounts, synthetic: TableCounts) -> Comparison:
    """The figures of all columns.

    Parameters
    ----------
    pairs : dict of str to Pair
        The columns.
    original, synthetic : TableCounts
        What is kept of both tables.
    """
    columns = {name: pair.compare(original.columns[name], synthetic.columns[name]) for name, pair in pairs.items()}
    few = min(original.rows, synthetic.rows, ROWS)
    before, after = (
        {name: texts[:few] for name, texts in counts.first.before.items()} for counts in (original, synthetic)
    )
    rows = (
        {name: thinned(pairs[name].rows(counts.columns[name])) for name in islice(pairs, COLUMNS)}
        for counts in (original, synthetic)
    )
    first = FirstRows(0, before, after)
    return Comparison(original.rows, synthetic.rows, columns, first=first, pairs=pair_trends(next(rows), next(rows)))
