"""Comparison of a synthetic table with the original one: verdict, limits, text and page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from textwrap import fill
from typing import Any, ClassVar

from gpuvgm.errors import InputError, counted, declaration, listed
from gpuvgm.report.advice import Advice
from gpuvgm.report.column_comparison import (
    LOST,
    OF_BOTH,
    ColumnComparison,
)
from gpuvgm.report.combinations import Combination
from gpuvgm.report.copies import LEAST, Copies
from gpuvgm.report.detection import LEAST_ROWS, Detection
from gpuvgm.report.laws.shares import LawShare
from gpuvgm.report.markup import Child, Markup
from gpuvgm.report.measures import SCORE, Measure, Tile, broken_limits, check_limits, score_text, share
from gpuvgm.report.near import NearRows
from gpuvgm.report.near_keys import NearKeys
from gpuvgm.report.page import (
    LISTED,
    SCORE_LIMIT,
    Places,
    Scored,
    chart_figure,
    first_rows_table,
    link,
    pair_cells,
    scroll_table,
    section,
)
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.pictures import JointPictures
from gpuvgm.report.sequences import Sequences
from gpuvgm.report.shares import heat_maps
from gpuvgm.report.text import WIDTH, Row, aligned, first_names, head_text

_NAMED = 3  # columns that the verdict names, and laws that are told at the top of the page
_MOST_LAWS = 10  # in the text
_NOTE = """\
AUC: how well a boosted classifier tells synthetic rows from original ones that
    it has not seen: 0.5 not at all, up to 0.55 hardly, up to 0.7 with effort,
    above at once, 1 all
score: 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the
    total variation distance of categories, as SDMetrics' KSComplement and
    TVComplement; missing values are left out
pairs: correlations of numbers, joint shares of all others, as SDMetrics'
    CorrelationSimilarity and ContingencySimilarity; beside a column the mean of
    its pairs
missing: share of rows without a value in the original and the synthetic table
laws: shares of the rows that keep what holds in the original table, such as
    equations, orders, forms, calendars, and what one or two columns decide
lengths: 1 less the Kolmogorov-Smirnov distance of the lengths of text, of
    columns that no model sees
Wasserstein: distance of the values, in standard deviations of the original"""
PAIRS = (
    "Pairs of columns that have lost most, but for chance and what each column has lost alone. Correlation: 1 less "
    "half the difference of Pearson's r. Contingency: 1 less the total variation distance of the joint shares, numbers "
    "in ten bins of one width over the original range. These are SDMetrics' CorrelationSimilarity and "
    "ContingencySimilarity. The bins mislead where values are skewed: one value far out puts nearly all rows into one "
    "bin, and the score is high whatever they are. Missing together: 1 less the difference of the shares of rows "
    "without a value in both columns, of those without one in either."
)
LAWS = (
    "Laws of the original table, and the shares of the rows of each table that keep them; those that most synthetic "
    "rows break come first. They are equations and orders of columns, what one or two columns decide, which forms, "
    "decimal places, hours, days and ranges there are, alone or by another column, what is missing together, which "
    "values come once, and what rises or falls from one row of a key to the next. Each holds in 99 % of the original "
    "rows and is more than chance, in up to 131,072 rows from all over the table. Rows without a value are not judged, "
    "nor values on which others depend that the original table lacks."
)
WORST = 5  # columns whose values stand side by side, and values of each
_IN_TEXT = (Measure("shown_score", "score", SCORE), *OF_BOTH)
_AUC_LIMIT = Measure(
    "auc",
    "AUC",
    limit="max_auc",
    words="the AUC of a classifier",
    unknown=f"not known for fewer than {LEAST_ROWS} rows",
)
_SEQUENCES_LIMIT = Measure(
    "auc",
    "AUC",
    limit="max_sequence_auc",
    words="the AUC of a classifier of rows that belong together",
    unknown="not known without enough keys of several rows",
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Scored):
    """Similarity of two tables, column by column; `str` gives a verdict and a table.

    Columns have `NumberComparison` or `CategoryComparison`, those that no model sees `UnmodelledComparison`, and come
    last; pairs are of the first 50 columns.

    Parameters
    ----------
    synthetic_rows : int
        Rows of the synthetic table.
    copies : Copies
        Synthetic rows that equal original ones.
    detection : Detection or None
        How well a classifier tells synthetic rows from original ones; None for fewer than 200 rows.
    sequences : Sequences or None
        How well classifiers tell keys, and rows of a key that follow each other; None without 20 keys of several rows.
    near : NearRows or None
        Synthetic rows that repeat original ones but for small changes; None where no column has numbers, and where too
        few columns tell rows apart for that to mean anything.
    near_keys : NearKeys or None
        Synthetic keys that repeat an original one with its rows; None where rows belong to none, or to fewer than 20.
    combinations : tuple of Combination
        Synthetic rows that have an original row's combination of two to four columns, by each choice of these.
    laws : tuple of LawShare
        Laws of the original table, and in how many rows of both tables each holds, of up to 2^17 rows in runs from all
        over each; those that most synthetic rows break come first.
    joint : JointPictures
        Joint shares of pairs of columns, of up to 50,000 rows of each table, as `plot_pair` draws them.
    rows, columns, reasons, facts, first, pairs : object
        As for `Scored`.
    """

    synthetic_rows: int
    copies: Copies
    detection: Detection | None = None
    sequences: Sequences | None = None
    near: NearRows | None = None
    near_keys: NearKeys | None = None
    combinations: tuple[Combination, ...] = ()
    laws: tuple[LawShare, ...] = ()
    joint: JointPictures = field(default_factory=JointPictures, repr=False, compare=False)
    _DOCUMENT: ClassVar[tuple[str, ...]] = (
        "rows", "synthetic_rows", "verdict", "laws", "detection", "sequences", "score", "pair_score", "copies",
        "near", "near_keys", "combinations", "real_values", "real_shares", "real_rows", "pairs", "columns",
    )  # fmt: skip
    TITLE: ClassVar[str] = "Original and synthetic rows"
    SHOWN: ClassVar[str] = "Blue: the original rows, orange line: the synthetic ones"
    _LEAD: ClassVar[str] = "How alike the synthetic rows and the original ones are, column by column."
    _FOOT: ClassVar[str] = "Wasserstein distances are in standard deviations (sd) of the original values."
    _REMEDIES: ClassVar[str] = (
        "Scores are 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the total variation distance "
        "of categories; missing values are left out. SDMetrics calls them KSComplement and TVComplement."
    )
    _OVERVIEW: ClassVar[Sequence[Measure]] = (Measure("score", "score", SCORE), *OF_BOTH)

    @property
    def worst_first(self) -> list[str]:
        """Names of the columns by falling loss, their own or that of a pair of them.

        The loss of a pair is divided between its columns in proportion to the losses of all pairs of each.
        """
        in_pairs = dict.fromkeys(self.columns, 0.0)
        for pair in self.pairs:
            for name in pair.columns:
                in_pairs[name] += max(pair.lost, 0.0)
        lost = {name: column.lost for name, column in self.columns.items()}
        for pair in self.pairs:
            total = sum(in_pairs[name] for name in pair.columns)
            for name in pair.columns:
                lost[name] = max(lost[name], pair.lost * in_pairs[name] / (total or 1.0))
        return sorted(self.columns, key=lost.__getitem__, reverse=True)

    @property
    def column_pair_scores(self) -> dict[str, float]:
        """Mean score of the pairs of values of every column that is in one with a score."""
        scores_by_column: dict[str, list[float]] = {}
        for pair in self.pairs:
            if pair.score is not None and pair.of_values:
                for name in pair.columns:
                    scores_by_column.setdefault(name, []).append(pair.score)
        return {name: fmean(scores) for name, scores in scores_by_column.items()}

    @property
    def real_values(self) -> list[str]:
        """Columns of text whose synthetic values are original ones that may each name someone or something."""
        return [name for name, part in self.real_shares.items() if part > 0.5 or name in self.real_keys]

    @property
    def real_keys(self) -> list[str]:
        """Columns of keys for which samples shall have new ones, and have real ones in a row or more.

        Of columns that are modelled those whose values are nearly all new, though the table repeats them.
        """
        keys = self.real_rows
        return [name for name, column in self.columns.items() if keys.get(name) and column.has_new_keys]

    @property
    def verdict(self) -> str:
        """One line: copied rows and keys, a broken law, whether rows are told, the score, what has lost most."""
        if self.score is None:
            return "No column has a value"
        columns = sorted(self.columns.items(), key=lambda item: -item[1].lost)
        low = [f"{name} ({column.worst_figure})" for name, column in columns if column.lost >= LOST]
        pairs = [f"{pair.one} and {pair.other} ({_pair_figure(pair)})" for pair in self.pairs if pair.lost >= LOST]
        sentences = [*self._on_privacy]
        if self.broken_law is not None:
            sentences.append(self.broken_law.sentence)
        sentences += self._on_told(after_others=bool(sentences))
        sentences.append(f"overall score {self.score:.3f} of 1 for {counted(len(self.scores), 'column')}")
        if low or not self._stand_out:
            sentences.append(f"look at {first_names(low, _NAMED)}" if low else "no column stands out")
        line = "; ".join([*sentences, f"pairs to look at: {first_names(pairs, _NAMED)}"] if pairs else sentences)
        return line[0].upper() + line[1:]

    def _on_told(self, *, after_others: bool) -> Iterator[str]:
        """Yield a sentence on rows, and on those of a key where a classifier tells these more easily."""
        rows, keys = self.detection, self._told_keys
        # Copies cannot be told from their originals, which is no praise.
        if rows is not None and not (after_others and rows.hardly):
            beside = "" if keys is None else f", but {keys.finding}" if rows.hardly else f", and {keys.finding}"
            yield rows.text + beside
        elif keys is not None:
            yield keys.sentence

    @property
    def _told_keys(self) -> Sequences | None:
        """Rows that belong to keys, where they are told more easily than rows."""
        sequences = self.sequences
        return sequences if sequences is not None and sequences.are_clearer_than(self.detection) else None

    @property
    def _on_privacy(self) -> list[str]:
        """Sentences on keys and rows that are original ones, or nearly so, where there are more than by chance."""
        rows, names = self.real_rows, self.real_keys
        keys = [
            f"{rows[name]:,} of {self.synthetic_rows:,} rows have a real value of {listed([name])}"
            for name in names[:_NAMED]
        ]
        if len(names) > _NAMED:
            keys.append(f"and so with {counted(len(names) - _NAMED, 'more column')}")
        return [*keys, *(repeated.share_text for repeated in self.repeated)]

    @property
    def broken_law(self) -> LawShare | None:
        """The law that most synthetic rows break, of those that clearly fewer keep than of the original rows."""
        return next((law for law in self.laws if law.is_broken), None)

    @property
    def combination(self) -> Combination | None:
        """The combination of columns that stands out most, else the first; None where no columns are chosen."""
        standing = [combination for combination in self.combinations if combination.stand_out]
        by_strength = sorted(standing, key=lambda known: known.excess / (known.by_chance + LEAST), reverse=True)
        return next(iter([*by_strength, *self.combinations]), None)

    @property
    def _repeats(self) -> list[Copies]:
        """What is known of rows that repeat original ones: whole, nearly, of a key, and in a few columns."""
        parts = self.copies, self.near, self.near_keys, self.combination
        return [copies for copies in parts if copies is not None]

    @property
    def repeated(self) -> list[Copies]:
        """What stands out of copied rows, near rows and combinations; each only if it has more than those before it."""
        standing: list[Copies] = []
        for copies in self._repeats:
            before = max((copies.excess for copies in standing), default=0.0)
            if copies.stand_out and copies.excess - before >= max(LEAST, copies.by_chance):
                standing.append(copies)
        return standing

    @property
    def _stand_out(self) -> bool:
        """True if rows stand out as wholes, whatever their columns are like."""
        is_told = not (self.detection is None or self.detection.hardly) or self._told_keys is not None
        return bool(self._on_privacy) or self.broken_law is not None or is_told

    @property
    def real_rows(self) -> dict[str, int]:
        """Synthetic rows with a value that is an original one, of columns of keys and text that may name someone."""
        return {name: column.real_rows for name, column in self.columns.items() if column.holds_keys}

    @property
    def real_shares(self) -> dict[str, float]:
        """Share of the synthetic values that are original ones, of the same columns."""
        return {name: rows / max(self.columns[name].present[1], 1) for name, rows in self.real_rows.items()}

    def plot(self, name: str | None = None, ax: Any = None) -> Any:
        """Draw columns with matplotlib (extra ``report``), original and synthetic rows on one axis, as the page does.

        Areas are shares of all rows, on the scale that was fitted; modal values and missing ones are left out. Of
        categories those of fewer than five rows are drawn together.

        Parameters
        ----------
        name : str, optional
            A column, or a part of its dates, such as "hour of when"; by default the six worst columns, the worst first.
        ax : matplotlib.axes.Axes, optional
            Where to draw one column; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes or ndarray of them
            What was drawn on: axes for one column, an array for the worst.

        Raises
        ------
        InputError
            For a column that cannot be drawn, and for `ax` without a column.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 1000}
        >>> comparison = gpuvgm.TableSynthesizer().fit(table).evaluate(table)
        >>> ax = comparison.plot("colour", ax=Figure().subplots())
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['red', 'blue']
        """
        from gpuvgm.report.plots import draw_all, draw_shares

        by_column = [self.columns[column].pictures for column in self.worst_first]
        if name is None and ax is None and any(by_column):
            return draw_all([pictures[0] for pictures in by_column if pictures])
        by_title = {shares.axis.title: shares for pictures in by_column for shares in pictures}
        if name not in by_title:
            raise InputError(f"there is no picture of {name!r}: choose from {', '.join(by_title)}")
        return draw_shares(by_title[name], ax)

    def plot_pair(self, one: str, other: str, axes: Any = None) -> Any:
        """Draw the joint shares of two columns with matplotlib: a heat map of each table, on one scale of colours.

        Parameters
        ----------
        one, other : str
            The columns, across and upwards: two of the first 50 that are modelled.
        axes : array of two matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            What was drawn on: the original rows first.

        Raises
        ------
        InputError
            For columns that cannot be drawn.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 1000, "size": ["S", "S", "L"] * 1000}
        >>> comparison = gpuvgm.TableSynthesizer().fit(table).evaluate(table)
        >>> axes = comparison.plot_pair("colour", "size", axes=Figure().subplots(1, 2))
        >>> axes[0].get_xlabel(), axes[0].get_ylabel()
        ('colour', 'size')
        """
        from gpuvgm.report.plots import draw_pair

        return draw_pair(self.joint.pair(one, other), axes)

    @property
    def facts_line(self) -> str:
        """Line on when and how the comparison was made; empty where that is not known."""
        return "" if self.facts is None else self.facts.line(self.rows, self.synthetic_rows)

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that do not hold, as sentences; empty when all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            "min_score" limits the overall score, "max_auc" the AUC of `detection`, "max_sequence_auc" that of
            `sequences`. None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        check_limits(bounds, [SCORE_LIMIT, _AUC_LIMIT, _SEQUENCES_LIMIT])
        limited = ((SCORE_LIMIT, self), (_AUC_LIMIT, self.detection), (_SEQUENCES_LIMIT, self.sequences))
        return [text for measure, part in limited for _, text in broken_limits([measure], part, bounds)]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold; `sequences` and `near_keys` where rows belong to keys."""
        of_keys = {"sequences": self.sequences, "near_keys": self.near_keys}
        return {name: figure for name, figure in Scored.to_dict(self).items() if of_keys.get(name, self) is not None}

    def to_text(self) -> str:
        """A verdict, and a table for people, 80 columns wide."""
        head = head_text(self.verdict, self.facts_line)
        pairs = {name: f"{score:.3f}" for name, score in self.column_pair_scores.items()}
        rows: list[Row] = []
        for name in self.worst_first:
            column = self.columns[name]
            metric = "" if column.shown_score is None else column.metric
            rows.append((name, [metric, *(measure.text(column) for measure in _IN_TEXT), pairs.get(name, "")]))
        table = aligned(["metric", *(measure.title for measure in _IN_TEXT), "pairs"], rows)
        overall = [] if self.pair_score is None else [f"mean score of all pairs of columns: {self.pair_score:.3f}"]
        on_keys = (advice for are_keys in (True, False) for advice in self._advice_on_keys(are_keys=are_keys))
        remarks = [self.sequences.text] if self.sequences is not None else []
        remarks += [copies.text for copies in self._repeats]
        remarks += [f"{advice.problem} {advice.remedy}" for advice in on_keys]
        return "\n\n".join(
            [head, *self._law_lines, "\n".join(table), *overall, *(fill(remark, WIDTH) for remark in remarks), _NOTE]
        )

    @property
    def _law_lines(self) -> list[str]:
        """A table of the first laws, and how many more there are; nothing where there are none."""
        rows = [(law.law, [share(law.original), law.synthetic_text]) for law in self.laws[:_MOST_LAWS]]
        if not rows:
            return []
        more = len(self.laws) - len(rows)
        last = [f"and {counted(more, 'more law')}"] if more else []
        return ["\n".join([*aligned(["original", "synthetic"], rows, "law"), *last])]

    def _warnings(self) -> Iterator[Advice]:
        """Yield advice on whole rows."""
        yield from self._advice_on_keys(are_keys=True)
        for copies in self.repeated:
            yield Advice(f"{copies.text}.", copies.REMEDY)
        yield from (law.advice for law in self.laws[:_NAMED] if law.is_broken)
        if self.detection is not None and not self.detection.hardly:
            sentence = self.detection.text
            yield Advice(f"{sentence[0].upper()}{sentence[1:]}.", "Look at these columns, and at the pairs of them.")
        if self._told_keys is not None:
            yield self._told_keys.advice
        yield from self._advice_on_keys(are_keys=False)

    def _advice_on_keys(self, *, are_keys: bool) -> Iterator[Advice]:
        """Yield advice on columns whose synthetic values are original ones: on `real_keys`, or on all others."""
        names = [name for name in self.real_values if (name in self.real_keys) == are_keys]
        shares = ", ".join(f"{listed([name])} ({share(self.real_shares[name])} of them)" for name in names)
        if names:
            problem = f"Synthetic rows hold real values of {shares}, each of which may name someone or something."
            typed = declaration(names, {"key": True})
            remedy = f'Declare {typed}, so that samples have new ones, or "drop".'
            yield Advice(problem, "The generator repeats original values." if are_keys else remedy)

    def _advice(self, name: str, column: ColumnComparison) -> Iterator[Advice]:
        """Yield advice on a column: on its values, and on the pair of it that has changed most."""
        yield from column.advice(name)
        changed_pairs = (pair for pair in self.pairs if name in pair.columns and pair.lost >= LOST)
        pair = max(changed_pairs, key=lambda pair: pair.lost, default=None)
        if pair is not None:
            yield _advice_on_pair(name, pair)

    def _tiles(self) -> Iterator[Tile]:
        scores = self.scores
        if self.detection is not None:
            yield "AUC of a classifier", score_text(self.detection.auc), self.detection.words
        if self.sequences is not None:
            for one in self.sequences.detections:
                yield f"AUC of {one.WHAT}", score_text(one.auc), one.words
        yield "overall score", score_text(self.score), "mean of the columns' scores, from 0 to 1"
        if scores:
            worst = min(scores, key=scores.__getitem__)
            yield "lowest score", score_text(scores[worst]), f"of {worst}"
        if self.pair_score is not None:
            yield "pair score", score_text(self.pair_score), "mean of the scores of pairs of columns"
        for copies in self._repeats:
            yield copies.TITLE, share(copies.share), copies.text
        for name, part in self.real_shares.items():
            yield f"real values of {name}", share(part), "of the synthetic values are values of the original table"
        yield "original rows", f"{self.rows:,}", "rows of the original table"
        yield "synthetic rows", f"{self.synthetic_rows:,}", "rows of the synthetic table"
        yield "columns", f"{len(self.columns):,}", "columns that are compared"

    def _parts(self, places: Places) -> Iterator[Markup | None]:
        yield _laws(self)
        yield _worst_values(self, places)
        if self.pairs:
            yield section("Pairs of columns", _worst_pair(self), _lowest_pairs(self, places))
        if self.first is not None:
            caption = (
                "Values of the first rows of both tables. Rows that stand beside each other do not belong together."
            )
            yield first_rows_table(self.first, "synthetic", caption, len(self.columns))

    def _body(self, name: str, column: ColumnComparison) -> Iterable[Child]:
        return column.sections()


def _pair_figure(pair: PairTrend) -> str:
    """Figure of a pair for the verdict: its score, or shares of rows where both values are missing."""
    if pair.of_values or pair.before is None or pair.after is None:
        return score_text(pair.score)
    return f"missing together {share(pair.before)}, synthetic {share(pair.after)}"


def _lowest_pairs(comparison: Comparison, places: Places) -> Markup:
    """The pairs of columns that have lost most; correlations where one of them has any."""
    lowest = comparison.pairs[:LISTED]
    rows, titles = [], ["original", "synthetic"] if any(pair.before is not None for pair in lowest) else []
    for pair in lowest:
        links, correlations = pair_cells(pair, places, 2)
        rows.append((*links, pair.metric, *correlations[: len(titles)], score_text(pair.score)))
    titles = ["column", "and", "metric", *titles, "score"]
    return scroll_table(titles, rows, PAIRS, text=3)


def _worst_values(comparison: Comparison, places: Places) -> Markup | None:
    """Five rows each of the worst columns, both tables side by side.

    They are values of many rows, and no rows of the table: these would be personal data.
    """
    values = {name: comparison.columns[name].values_of_many[:WORST] for name in comparison.worst_first}
    worst = [name for name, cells in values.items() if cells][:WORST]
    rows = [(link(name, places) if i == 0 else "", *cells) for name in worst for i, cells in enumerate(values[name])]
    caption = (
        "The worst columns. Of categories the shares of the most frequent ones, of numbers quantiles. No category of "
        "fewer than five original rows is shown, no quantile that fewer than five rows lie beyond, and no row."
    )
    titles = ("column", "value or quantile", "original", "synthetic")
    return section("Side by side", scroll_table(titles, rows, caption, text=2)) if rows else None


def _laws(comparison: Comparison) -> Markup | None:
    """All laws of the original table, and in how many rows of both tables each holds."""
    rows = [(one.law, share(one.original), one.synthetic_text, f"{one.rows:,}") for one in comparison.laws]
    return section("Laws", scroll_table(["law", "original", "synthetic", "judged"], rows, LAWS)) if rows else None


def _worst_pair(comparison: Comparison) -> Markup | None:
    """The pair of columns that has lost most, of those that can be drawn, as two heat maps."""
    pairs = [pair.columns for pair in comparison.pairs if pair.of_values]
    worst = next((pair for pair in pairs if pair in comparison.joint), None)
    if worst is None:
        return None
    joint = comparison.joint.pair(*worst)
    caption = f"{worst[0]} across, {worst[1]} upwards: the darkest cells hold {share(joint.largest)} of the rows."
    return chart_figure(heat_maps(joint), f"The pair that has lost most. {caption}")


def _advice_on_pair(name: str, pair: PairTrend) -> Advice:
    """Advice on a column whose dependence on another one has changed."""
    partner = pair.other if name == pair.one else pair.one
    if not pair.of_values:
        before, after = (share(part or 0.0) for part in (pair.before, pair.after))
        return Advice(
            f"Of the rows where this column or {partner} has no value, {before} have none in both, and {after} of the "
            "synthetic ones.",
            "The generator does not know which values are missing together.",
        )
    if pair.before is None or pair.after is None:
        problem = f"The contingency score with {partner} is {score_text(pair.score)}."
    else:
        problem = f"The correlation with {partner} is {pair.after:z.2f}, in the original table {pair.before:z.2f}."
    return Advice(problem, "The generator does not know how these columns depend on each other.")
