"""Whether rows that belong together look like those of the table: classifiers of keys, and of rows that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.report.advice import Advice
from gpuvgm.report.detection import (
    LEAST_ROWS,
    MOST_VALUES,
    OF_FOLDS,
    Detection,
    Feature,
    Features,
    Words,
    by_frequency,
    detection_between,
    row_hashes,
)
from gpuvgm.report.measures import ReportPart
from gpuvgm.summary import Floats, Ints

LEAST_KEYS = 20  # of several rows in the original table, and of any number in the synthetic one
MOST_KEYS, MOST_ROWS = 5_000, 10_000  # of each table, and pairs as many as rows
LONGER = 10  # times as many rows, where keys are so long that fewer than `LEAST_ROWS` of them were judged
TREES = 60  # of a classifier
OF_COLUMN = 7  # features of a key that one column makes, at most
CATEGORY = "most frequent value"  # that feature of a key which is a category
#: Features of a key that tell of the order of its rows.
OF_ORDER = ("first value", "last value", "change from first to last", "changes")
LISTED_CATEGORIES = 50  # that are told apart in a key
_KEY, _PAIR = 3, 4  # keys of hashes


@dataclass(frozen=True, slots=True)
class KeyDetection(Detection):
    """How well a classifier tells synthetic keys from original ones, by what their rows are like.

    Parameters as for `Detection`, with keys in the place of rows.
    """

    WHAT: ClassVar[str] = "keys"
    TREES: ClassVar[int] = TREES
    SPREAD: ClassVar[float] = OF_FOLDS


@dataclass(frozen=True, slots=True)
class PairDetection(Detection):
    """How well a classifier tells pairs of rows that follow each other in a key.

    Parameters as for `Detection`, with pairs in the place of rows.
    """

    WHAT: ClassVar[str] = "pairs of rows"
    TREES: ClassVar[int] = TREES
    SPREAD: ClassVar[float] = OF_FOLDS


@dataclass(frozen=True, slots=True)
class Sequences(ReportPart):
    """How well classifiers tell rows that belong to keys.

    Parameters
    ----------
    key : str
        The column whose value the rows of a key share.
    index : str
        The column that orders them; "" where they are in the order of their table.
    keys : KeyDetection
        Of keys: how many rows they have, and what their numbers and categories are like.
    pairs : PairDetection or None
        Of rows that follow each other in a key; None where a table has too few.
    """

    key: str
    index: str
    keys: KeyDetection
    pairs: PairDetection | None
    _DERIVED: ClassVar[tuple[str, ...]] = ("auc",)

    @property
    def auc(self) -> float:
        """The larger of both AUCs."""
        return max(detection.auc for detection in self.detections)

    @property
    def detections(self) -> list[Detection]:
        """What classifiers say of keys, and of pairs."""
        return [one for one in (self.keys, self.pairs) if one is not None]

    @property
    def clearest(self) -> Detection:
        """What is told more easily, of keys and pairs."""
        return max(self.detections, key=lambda one: (one.level, one.auc))

    def are_clearer_than(self, rows: Detection | None) -> bool:
        """Return whether a classifier tells them more easily than rows."""
        return self.clearest.level > (0 if rows is None else rows.level)

    @property
    def finding(self) -> str:
        """What is told beside rows, how easily and by what."""
        return f"the rows of one {self.key} {self.clearest.how} {self.clearest.figures}"

    @property
    def sentence(self) -> str:
        """The same alone."""
        clearest = self.clearest
        return f"a classifier tells the rows of one {self.key} from original ones {clearest.how} {clearest.figures}"

    @property
    def text(self) -> str:
        """Both figures for people."""
        order = f", in the order of {self.index}" if self.index else ""
        return f"rows of one {self.key}{order}: {'; '.join(detection.text for detection in self.detections)}"

    @property
    def advice(self) -> Advice:
        """What the page says of it at the top."""
        remedy = f'TableSynthesizer(sequence_key="{self.key}") draws such rows together; look at these columns.'
        return Advice(f"{self.sentence[0].upper()}{self.sentence[1:]}.", remedy)


@dataclass(frozen=True, slots=True)
class WholeKeys:
    """Rows of some keys of a table; those of a key stand next to each other.

    Parameters
    ----------
    places : ndarray of shape (rows,), int64
        Which row of the table each row is.
    keys : ndarray of shape (rows,), int64
        Number of each row's key: 0, and on without a gap.
    """

    places: Ints
    keys: Ints

    @classmethod
    def of(cls, keys: Words, columns: int) -> WholeKeys:
        """Those with the smallest hashes, with all of their rows in the order of the table; fewer of more columns.

        Parameters
        ----------
        keys : ndarray of shape (rows,), uint64
            The key of each row of the table.
        columns : int
            How many columns are judged.
        """
        values = MOST_VALUES // max(columns, 1)
        most = min(MOST_ROWS, max(LEAST_ROWS, values // OF_COLUMN))
        longer = min(LONGER * MOST_ROWS, max(most, values))
        words = mixed(keys, _KEY)
        # Of long tables no more rows are sorted than some times as many; keys with smaller hashes are all among them.
        share = 4 * longer / max(len(words), 1)
        near = np.flatnonzero(words < np.uint64(share * 2.0**64)) if share < 1 else np.arange(len(words))
        numbers, counts = np.unique(words[near], return_inverse=True, return_counts=True)[1:]
        rows = np.cumsum(counts[:MOST_KEYS])
        few, more = (int(np.searchsorted(rows, limit, side="right")) for limit in (most, longer))
        is_taken = numbers < max(few, min(more, LEAST_ROWS))
        return cls(near[is_taken], numbers[is_taken]).sorted_by(np.zeros(np.count_nonzero(is_taken)))

    @classmethod
    def all_of(cls, keys: Ints) -> WholeKeys:
        """All keys of a table, with their rows in its order.

        Parameters
        ----------
        keys : ndarray of shape (rows,), int64
            Number of the key of each row of the table; below 0 for rows that are left out.
        """
        places = np.flatnonzero(keys >= 0)
        numbers: Ints = np.unique(keys[places], return_inverse=True)[1]
        return cls(places, numbers).sorted_by(np.zeros(len(places)))

    def sorted_by(self, numbers: Floats) -> WholeKeys:
        """The rows of each key by numbers of the rows, and as they stood where these are equal."""
        order = np.lexsort((numbers, self.keys))
        return WholeKeys(self.places[order], self.keys[order])

    @property
    def starts(self) -> Ints:
        """The first row of each key."""
        return np.flatnonzero(np.diff(self.keys, prepend=-1))

    @property
    def counts(self) -> Ints:
        """Rows of each key."""
        return np.bincount(self.keys)

    @property
    def successors(self) -> Ints:
        """The rows that follow one of their key."""
        return 1 + np.flatnonzero(self.keys[1:] == self.keys[:-1])

    @property
    def are_enough(self) -> bool:
        """True if there are so many keys that a classifier may learn from them."""
        return len(self.starts) >= LEAST_KEYS

    @property
    def have_several_rows(self) -> bool:
        """True if so many keys have several rows."""
        return len(np.unique(self.keys[self.successors])) >= LEAST_KEYS


RowFeatures = tuple[WholeKeys, Features]  # rows of a table, in their order, and what is seen of them


def sequences_between(key: str, index: str, original: RowFeatures, synthetic: RowFeatures) -> Sequences:
    """What classifiers say of keys of both tables, and of pairs of rows that follow each other in them.

    Parameters
    ----------
    key, index : str
        The column of the keys, and that of the order of their rows; "" for their order in the table.
    original, synthetic : (WholeKeys, mapping of Feature to ndarray of shape (rows,))
        Rows of both tables, and their features.
    """
    rows = original[0], synthetic[0]
    values = by_frequency(original[1], synthetic[1])
    one, other = (dict(features_of_keys(key, *table)) for table in zip(rows, values, strict=True))
    hashes = row_hashes(one, other)
    return Sequences(
        key, index, detection_between(KeyDetection, one, other, hashes), _pairs_detected(rows, values, hashes)
    )


def _pairs_detected(
    rows: Sequence[WholeKeys], values: Sequence[Features], hashes: Sequence[Words]
) -> PairDetection | None:
    """What a classifier says of rows that follow one of their key, each with it; those of a key are in one fold."""
    places = [_some_pairs(table) for table in rows]
    keys = [words[table.keys[at]] for words, table, at in zip(hashes, rows, places, strict=True)]
    if min(len(np.unique(of_pairs)) for of_pairs in keys) < LEAST_KEYS:
        return None
    one, other = (dict(_of_pairs(table, at)) for table, at in zip(values, places, strict=True))
    return detection_between(PairDetection, one, other, keys)


def _some_pairs(rows: WholeKeys) -> Ints:
    """Rows that follow one of their key, at most `MOST_ROWS` by hash."""
    places = rows.successors
    return np.sort(places[np.argsort(mixed(places.astype(np.uint64), _PAIR), kind="stable")[:MOST_ROWS]])


def _of_pairs(values: Features, places: Ints) -> Iterator[tuple[Feature, Floats]]:
    """Yield values of rows and of those before them, and the difference of numbers, or whether another category."""
    for (name, _), of_rows in values.items():
        before, after = (of_rows[at].astype(np.float64) for at in (places - 1, places))
        yield (name, ""), after
        yield (name, "previous value"), before
        if of_rows.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):  # infinite numbers
                yield (name, "step"), after - before
        else:
            yield (name, "change"), (after != before).astype(np.float64)


def features_of_keys(key: str, rows: WholeKeys, values: Features) -> Iterator[tuple[Feature, Floats]]:
    """Yield what each key is like.

    Parameters
    ----------
    key : str
        The column of the keys.
    rows : WholeKeys
        Their rows.
    values : mapping of Feature to ndarray of shape (rows,)
        Numbers, and codes by their frequency.
    """
    yield (key, "number of rows"), rows.counts.astype(np.float64)
    for (name, _), of_rows in values.items():
        make = _of_numbers if of_rows.dtype.kind == "f" else _of_categories
        for part, of_keys in make(rows, of_rows):
            yield (name, part), of_keys.astype(np.float64)


def _of_numbers(rows: WholeKeys, numbers: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield mean, spread, span, ends, and how many are missing, of the numbers of each key."""
    starts, is_missing = rows.starts, np.isnan(numbers)
    missing = np.add.reduceat(is_missing.astype(np.float64), starts)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # infinite numbers, and keys without any
        present = rows.counts - missing
        mean = np.add.reduceat(np.where(is_missing, 0, numbers), starts) / present
        squares = np.add.reduceat(np.where(is_missing, 0, (numbers - mean[rows.keys]) ** 2), starts)
        first, last = numbers[starts], numbers[starts + rows.counts - 1]
        yield "mean", mean
        yield "spread", np.sqrt(squares / present)
        yield "span", np.fmax.reduceat(numbers, starts) - np.fmin.reduceat(numbers, starts)
        yield "first value", first
        yield "last value", last
        yield "change from first to last", last - first
        yield "missing values", missing


def _of_categories(rows: WholeKeys, codes: Ints) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the most frequent category of each key, how many it has, shares of the most frequent ones, and changes."""
    width = LISTED_CATEGORIES + 1
    places = rows.keys * width + np.minimum(codes, LISTED_CATEGORIES)
    counts = np.bincount(places, minlength=len(rows.starts) * width).reshape(-1, width)
    changes = rows.successors[codes[rows.successors] != codes[rows.successors - 1]]
    yield CATEGORY, np.argmax(counts, axis=1)
    yield "different values", np.count_nonzero(counts, axis=1)
    yield "share of the most frequent value", counts[:, 0] / rows.counts
    yield "share of the second value", counts[:, 1] / rows.counts
    yield "changes", np.bincount(rows.keys[changes], minlength=len(rows.starts))
