"""Comparison of a column of two tables: its figures, advice on it, and its part of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from gpuvgm.errors import declaration
from gpuvgm.report.advice import Advice
from gpuvgm.report.differences import distance_by_chance, ks_by_chance
from gpuvgm.report.figures import SHARE_NAMES, SHARES, ColumnPart, Description, PartScore, Reached, ValueCount
from gpuvgm.report.markup import Child, Markup, join
from gpuvgm.report.measures import (
    COUNT,
    SCORE,
    SHARE,
    SPARSE_SHARE,
    Measure,
    Unit,
    figure_tiles,
    score_text,
    share,
    short,
)
from gpuvgm.report.page import chart_figure, description_table, scroll_table, share_bar, swatch, tile_list, with_others
from gpuvgm.report.pictures import FEWEST, Shares
from gpuvgm.report.shares import shares_chart

LOST = 0.1  # of a score, from which on a column or a pair is worth a look, and is named in the verdict
# Differences of shares, and shares of rows, from which on they are worth a word.
_MISSING_SHARE, _NEW_SHARE = 0.05, 0.01
_NO_CHANCE = 10  # synthetic rows of a category that are expected, where none is no chance
_QUANTILES = frozenset({0.05, 0.25, 0.5, 0.75, 0.95})
_NEARLY_ALL = 0.9999  # of the rows
_WASSERSTEIN = Measure(
    "wasserstein",
    "Wasserstein",
    Unit("{:.2g}".format, short, " sd"),
    "how far values would have to move, on average",
)
_LENGTHS = Unit(score_text, score_text)  # left out where a table has no text
_DIFFERENT_TILES = (
    Measure("different_share", "different", SHARE, "of the original values, among as many as are synthetic"),
    Measure("synthetic_different_share", "different, synthetic", SHARE, "of as many synthetic values"),
)
_MISSING_TILES = (
    Measure("missing_share", "missing", SHARE, "of the original values"),
    Measure("synthetic_missing_share", "missing, synthetic", SHARE, "of the synthetic values"),
)
OF_BOTH = (
    Measure("missing_share", "missing", SPARSE_SHARE),
    Measure("synthetic_missing_share", "synthetic", SPARSE_SHARE),
    _WASSERSTEIN,
)


def is_of_many(rows: int, synthetic_rows: int) -> bool:
    """True for a value that may be shown: of at least five original rows, or of none and five synthetic ones."""
    return (rows or synthetic_rows) >= FEWEST


@dataclass(frozen=True, slots=True)
class OfTables(Reached, ColumnPart):
    """Rows of a column in both tables, and how much of it is lost.

    Parameters
    ----------
    kind : str
        The column's kind.
    rows, missing : int
        All original rows, and those without a value.
    synthetic_rows, synthetic_missing : int
        The same of the synthetic rows.
    """

    synthetic_rows: int
    synthetic_missing: int
    is_modelled: ClassVar[bool] = True  # the others come last
    metric: ClassVar[str]
    _DERIVED: ClassVar[tuple[str, ...]] = ("metric",)
    _TILES: ClassVar[tuple[Measure, ...]]

    @property
    def tiles(self) -> Sequence[Measure]:
        """Measures at the top of the column's part of the page."""
        return self._TILES

    @property
    def synthetic_missing_share(self) -> float:
        """Share of synthetic rows without a value."""
        return self.synthetic_missing / max(self.synthetic_rows, 1)

    @property
    def present(self) -> tuple[int, int]:
        """Rows of both tables that have a value."""
        return self.rows - self.missing, self.synthetic_rows - self.synthetic_missing

    @property
    def shown_score(self) -> float | None:
        """The score that tables of text show."""
        return self.score

    @property
    def losses(self) -> dict[str, float]:
        """How much each figure has lost, less what chance explains, by the words for it."""
        before, after = self.missing_share, self.synthetic_missing_share
        rows = self.rows, self.synthetic_rows
        return {
            score_text(self.score): self.score_lost,
            f"missing {share(before)}, synthetic {share(after)}": _share_lost(before, after, rows),
        }

    @property
    def lost(self) -> float:
        """The largest of `losses`."""
        return max(self.losses.values())

    @property
    def worst_figure(self) -> str:
        """Words for the figure that has lost most."""
        losses = self.losses
        return max(losses, key=losses.__getitem__)

    @property
    def values_of_many(self) -> list[Sequence[str]]:
        """Values that stand for many rows, in both tables: what they are, and the figure of each table."""
        return []

    def advice(self, name: str) -> Iterator[Advice]:
        """Yield advice on the values of the column of this name."""
        yield from self._advice_on_score()
        yield from self._advice_on_missing(name)
        yield from self._advice_on_values()

    def _advice_on_score(self) -> Iterator[Advice]:
        if self.score is None:
            if self.is_modelled:
                yield Advice("The tables have no value here.", "Leave the column out.")
        elif self.score_lost >= LOST:
            yield Advice(f"The {self.metric} is {self.score:.3f}.", "See below where the two distributions differ.")

    def _advice_on_missing(self, name: str) -> Iterator[Advice]:
        before, after = self.missing_share, self.synthetic_missing_share
        if abs(before - after) >= _MISSING_SHARE:
            problem = f"{share(before)} of the original values are missing, and {share(after)} of the synthetic ones."
            yield Advice(problem, self._remedy_of_missing(name))

    def _remedy_of_missing(self, name: str) -> str:
        return "Look whether the generator knows missing values."

    def _advice_on_values(self) -> Iterable[Advice]:
        return ()

    def sections(self) -> Iterator[Child]:
        """Yield everything about the column on the page."""
        yield tile_list(figure_tiles(self.tiles, self))
        yield from self._pictures()

    def _pictures(self) -> Iterable[Child]:
        """Pictures and tables of the values."""
        return ()


def _share_lost(before: float, after: float, rows: Sequence[int]) -> float:
    """Difference of the shares of both tables' rows, less what chance explains."""
    p = float(np.average([before, after], weights=np.maximum(rows, 1)))
    return abs(before - after) - distance_by_chance(rows, float(np.sqrt(max(p * (1 - p), 0.0))))  # 1 may be rounded up


@dataclass(frozen=True, slots=True)
class NumberComparison(OfTables):
    """Similarity of the values of a column of numbers in two tables.

    Parameters
    ----------
    kind, rows, missing, synthetic_rows, synthetic_missing : object
        As for `OfTables`.
    score : float or None
        `ks_complement` of the values: 0 where one table has none, None where both have none.
    reachable : float
        Score that another sample of the original rows nearly always reaches: 1 less what chance explains.
    wasserstein : float or None
        Wasserstein distance of the values, in standard deviations of the original ones; None where there is none.
    before, after : Description or None
        The original and the synthetic values.
    modal : tuple of ValueCount
        Rows of each modal value, in the original and in the synthetic table.
    parts : dict of str to PartScore
        Of dates and times: "hour", "weekday" and "day of the month", of up to 50,000 rows.
    holds_keys : bool
        Whether the values may each name someone or something: whole numbers of as many digits, seven and more, all
        different, and far from filling their range.
    real_rows : int
        Synthetic rows with a value that the original table has; of keys alone, and 0 where chance explains them.
    pictures : tuple of Shares
        Shares of the values, and of hours and weekdays of dates and times, in both tables; no part of the document.
    """

    score: float | None
    reachable: float
    wasserstein: float | None
    before: Description | None
    after: Description | None
    modal: tuple[ValueCount, ...]
    parts: dict[str, PartScore] = field(default_factory=dict)
    holds_keys: bool = False
    real_rows: int = 0
    pictures: tuple[Shares, ...] = field(default=(), repr=False)
    metric: ClassVar[str] = "KS complement"
    _TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("score", metric, SCORE, "1: the distributions are the same"), _WASSERSTEIN, *_MISSING_TILES
    )  # fmt: skip

    @property
    def losses(self) -> dict[str, float]:
        """As for other columns, with the parts of dates and times."""
        parts = {f"{name} {score_text(part.score)}": part.score_lost for name, part in self.parts.items()}
        return super(NumberComparison, self).losses | parts  # of the class that has slots

    @property
    def has_new_keys(self) -> bool:
        """True if samples shall have new values, because the original ones may each name someone or something."""
        return self.holds_keys

    @property
    def shown_quantiles(self) -> frozenset[float]:
        """Shares of the quantiles that at least five original rows lie on either side of: others may name someone."""
        present = self.rows - self.missing
        return frozenset(part for part in SHARES if min(part, 1 - part) * present >= FEWEST)

    @property
    def values_of_many(self) -> list[Sequence[str]]:
        """Quantiles."""
        if self.before is None or self.after is None:
            return []
        texts = zip(SHARES, self.before.texts[2:], self.after.texts[2:], strict=True)
        return [(SHARE_NAMES[part], *cells) for part, *cells in texts if part in _QUANTILES & self.shown_quantiles]

    def _advice_on_score(self) -> Iterator[Advice]:
        yield from OfTables._advice_on_score(self)
        for name, part in self.parts.items():
            if part.score_lost >= LOST:
                yield Advice(
                    f"The {name} has another distribution: its TV complement is {score_text(part.score)}.",
                    "Look whether the generator knows parts of dates, and at the time zone.",
                )

    def _pictures(self) -> Iterator[Child]:
        for shares in self.pictures:
            yield chart_figure(shares_chart(shares), _picture_caption(shares))
        modal = [count for count in self.modal if is_of_many(count.rows_before, count.rows_after)]
        if modal:
            yield _shares_table(self, modal, "Modal values, with shares of all rows")
        if self.before is not None and self.after is not None:
            yield description_table(self.before, self.after, ("original", "synthetic"), self.shown_quantiles)


@dataclass(frozen=True, slots=True)
class CategoryComparison(OfTables):
    """Similarity of the categories of a column in two tables.

    Parameters
    ----------
    rows, missing, synthetic_rows, synthetic_missing : int
        As for `OfTables`.
    score : float or None
        `tv_complement` of the categories; as for `NumberComparison`.
    reachable : float
        As for `NumberComparison`.
    new_rows : int
        Synthetic rows of categories that the original table lacks.
    categories : int
        Categories of both tables.
    levels : tuple of ValueCount
        The most frequent categories of both tables together, with their rows in each. Those of fewer than five rows,
        and all that may name someone, are not among them.
    other_rows_before, other_rows_after : int
        Rows of the categories that are not listed.
    holds_keys : bool
        Whether the values may each name someone or something: text of more than 255 different ones.
    pictures : tuple of Shares
        Shares of the listed categories in both tables; no part of the document.
    """

    kind: str = field(default="categorical", init=False, repr=False)
    score: float | None
    reachable: float
    new_rows: int
    categories: int
    levels: tuple[ValueCount, ...]
    other_rows_before: int
    other_rows_after: int
    holds_keys: bool = False
    pictures: tuple[Shares, ...] = field(default=(), repr=False)
    metric: ClassVar[str] = "TV complement"
    _TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("score", metric, SCORE, "1: the distributions are the same"),
        Measure("categories", "categories", COUNT, "in both tables"),
        Measure("new_rows", "new", COUNT, "synthetic rows of categories that the original table lacks"),
        *_MISSING_TILES,
    )

    @property
    def real_rows(self) -> int:
        """Synthetic rows of categories that the original table has."""
        return self.present[1] - self.new_rows

    @property
    def has_new_keys(self) -> bool:
        """True if most of the values are new ones though the table repeats its own, as where a generator makes keys."""
        return self.holds_keys and 2 * self.new_rows >= self.present[1] and self.score_lost >= LOST

    @property
    def values_of_many(self) -> list[Sequence[str]]:
        """Shares of the listed categories."""
        return [(text, *map(share, parts)) for text, *parts in _parts_of(self, self.levels)]

    def _advice_on_values(self) -> Iterator[Advice]:
        if self.new_rows >= _NEW_SHARE * self.synthetic_rows:
            yield Advice(
                f"{share(self.new_rows / self.synthetic_rows)} of the synthetic rows hold categories that the original "
                "table lacks.",
                "Look at how both tables write their categories.",
            )
        absent = self._absent_rows()
        if absent and absent >= _NEW_SHARE * self.rows:
            yield Advice(
                f"{share(absent / self.rows)} of the original rows hold categories that the synthetic table lacks.",
                "Look whether the generator knows rare categories.",
            )

    def _absent_rows(self) -> int:
        """Original rows of the listed categories that the synthetic table lacks, where that is no chance."""
        scale = self.synthetic_rows / max(self.rows, 1)
        absent = [count.rows_before for count in self.levels if not count.rows_after]
        return sum(rows for rows in absent if rows * scale >= _NO_CHANCE)

    def _pictures(self) -> Iterator[Child]:
        counts = with_others(self, self.categories)
        yield _shares_table(self, counts, "Categories by falling frequency, with shares of all rows")


@dataclass(frozen=True, slots=True)
class UnmodelledComparison(OfTables):
    """Comparison of a column that is not modelled: an identifier or a passthrough column.

    Parameters
    ----------
    kind, rows, missing, synthetic_rows, synthetic_missing : object
        As for `OfTables`; blank text is no value.
    known_rows : int
        Synthetic rows with a value that the original table has.
    different, synthetic_different : int
        Different values of both tables.
    different_share, synthetic_different_share : float
        Shares of different values among equal numbers of rows, as many as the smaller table has (rarefaction, Hurlbert
        1971); rows without a value are left out.
    length_score : float or None
        1 less the Kolmogorov-Smirnov distance of the lengths of text; None for other types, for identifiers, whose new
        values may be longer, and where a table has none.
    holds_keys : bool
        Whether the values may each name someone or something: text of more than 255 different ones, identifiers, and
        keys, but no numbers that run in steps.
    real_rows : int
        Those of `known_rows` whose value few original rows have, as such as "unknown" names no one; 0 where original
        rows have values of others as often by chance.
    """

    known_rows: int
    different: int
    synthetic_different: int
    different_share: float
    synthetic_different_share: float
    length_score: float | None
    holds_keys: bool
    real_rows: int
    score: float | None = None
    reachable: float = 1.0
    is_modelled: ClassVar[bool] = False
    metric: ClassVar[str] = "lengths"
    _TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("different", "values", COUNT, "different values of the original table"),
        Measure("known_rows", "known", COUNT, "synthetic rows of values that the original table has"),
        Measure("length_score", "lengths", _LENGTHS, "1: texts are as long in both tables (KS complement)"),
        *_DIFFERENT_TILES,
        *_MISSING_TILES,
    )
    pictures: ClassVar[tuple[Shares, ...]] = ()

    @property
    def has_new_keys(self) -> bool:
        """True if samples shall have new values, because the original ones may each name someone or something."""
        return self.holds_keys

    @property
    def shown_score(self) -> float | None:
        """`length_score`."""
        return self.length_score

    @property
    def lengths_lost(self) -> float:
        """The distance of `length_score` below what is reachable."""
        return 0.0 if self.length_score is None else 1 - ks_by_chance(self.present) - self.length_score

    @property
    def different_lost(self) -> float:
        """Difference of the shares of different values, less what chance explains; 0 where a table has none."""
        fewest = min(self.present)
        return _share_lost(self.different_share, self.synthetic_different_share, (fewest, fewest)) if fewest else 0.0

    @property
    def losses(self) -> dict[str, float]:
        """As for other columns, with lengths of text and shares of different values."""
        shares = share(self.different_share), share(self.synthetic_different_share)
        return super(UnmodelledComparison, self).losses | {  # of the class that has slots
            f"lengths {score_text(self.length_score)}": self.lengths_lost,
            f"different {shares[0]}, synthetic {shares[1]}": self.different_lost,
        }

    @property
    def tiles(self) -> Sequence[Measure]:
        """As for other columns; shares of different values where both tables have any."""
        hidden = () if all(self.present) else _DIFFERENT_TILES
        return [measure for measure in self._TILES if measure not in hidden]

    def _remedy_of_missing(self, name: str) -> str:
        if self.synthetic_missing_share < 1:
            return OfTables._remedy_of_missing(self, name)
        return (
            'The model does not see free text: declare "categorical" for the real ones, '
            f'{declaration([name], {"key": True})} for new ones in their form, or "drop".'
        )

    def _advice_on_values(self) -> Iterator[Advice]:
        if self.lengths_lost >= LOST:
            yield Advice(
                f"The lengths of the texts differ: their KS complement is {score_text(self.length_score)}.",
                "Look at what the generator writes here.",
            )
        if self.different_lost >= LOST:
            yield Advice(
                f"{share(self.different_share)} of the original values are different, and "
                f"{share(self.synthetic_different_share)} of as many synthetic ones.",
                "Look whether the generator repeats values as the table does.",
            )


ColumnComparison = NumberComparison | CategoryComparison | UnmodelledComparison


def _picture_caption(shares: Shares) -> Markup:
    """What the two colours are, and what is not on the axis."""
    scale = f" The scale is {shares.axis.scale}, as it was fitted." if shares.axis.scale else ""
    on_axis = [min(sum(table), 1.0) for table in (shares.original, shares.synthetic)]
    outside = (
        f" On the axis are {share(on_axis[0])} of the original rows, and {share(on_axis[1])} of the synthetic ones."
        if min(on_axis) < _NEARLY_ALL
        else ""
    )
    swatches = [join(swatch(table), f"{table} ") for table in ("original", "synthetic")]
    return join(f"{shares.axis.title}: ", swatches, f"rows, as shares of all of them.{scale}{outside}")


def _parts_of(column: OfTables, counts: Iterable[ValueCount]) -> list[tuple[str, float, float]]:
    """Text and shares of values, of all rows of both tables."""
    return [
        (count.text, count.rows_before / max(column.rows, 1), count.rows_after / max(column.synthetic_rows, 1))
        for count in counts
    ]


def _shares_table(column: OfTables, counts: Iterable[ValueCount], caption: str) -> Markup:
    parts = _parts_of(column, counts)
    longest = max((max(pair) for _, *pair in parts), default=1.0) or 1.0
    rows = [
        (
            text,
            share_bar(original, original / longest, "original"),
            share_bar(synthetic, synthetic / longest, "synthetic"),
        )
        for text, original, synthetic in parts
    ]
    return scroll_table(("value", "original", "synthetic"), rows, caption)
