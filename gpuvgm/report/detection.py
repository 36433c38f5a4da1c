"""Whether a classifier tells synthetic rows from original ones, and by which columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.codecs import Codec
from gpuvgm.report.differences import RARE, distance_by_chance
from gpuvgm.report.measures import ReportPart
from gpuvgm.summary import Floats, Ints

LEAST_ROWS = 200  # of each table; fewer teach boosted trees nothing
MOST_ROWS = 10_000  # of each table
MOST_VALUES = 1 << 20  # of each table: of wide tables fewer rows are taken, so that the time is bounded
HARDLY, WITH_EFFORT = 0.55, 0.7  # AUC up to which rows are hardly told, and told with effort
FOLDS = 3
UNKNOWN = 2**31 - 1  # code of values that are no category of the model
RARE_ROWS = 10  # of both tables: the original's own rare categories count as unknown, as the synthetic table's own do
MOST_CATEGORIES = 32  # that are told apart as such; more of them are ordered by their frequency
LEAST_DROP = 0.01  # of the AUC, from which on a feature is named
NAMED = 3  # features
MOST_TREES, LEAST_TREES, TREES_OF_FEATURES = 100, 30, 20_000  # fewer for more than 200 features
PERMUTED_VALUES, LEAST_PERMUTED, MOST_PERMUTED = 200_000, 400, 3_000
VALUES_AT_ONCE = 1 << 20  # of which scores are taken
GROUPS = 64  # of features that are permuted together first, where there are more
OF_FOLDS = 1.5  # times as much as of given scores the AUC varies, as classifiers of all folds are learnt from few keys
EXTRA_TREES = 200  # for fewer examples than `LEAST_ROWS`
_PLACE, _FOLD = 1, 2  # keys of hashes
_HOUR = 3600 * 10**9  # nanoseconds

Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Feature = tuple[str, str]  # a column, and which part of its values; "" for the values themselves
#: Numbers with NaN for missing values, or codes of categories, among them `UNKNOWN`.
Features = Mapping[Feature, NDArray[Any]]
#: A fitted classifier, which gives rows scores: larger ones for those that are rather synthetic.
Model = Callable[[Floats], Floats]
AnyDetection = TypeVar("AnyDetection", bound="Detection")


@dataclass(frozen=True, slots=True)
class SeenFeature(ReportPart):
    """A feature by which a classifier tells rows.

    Parameters
    ----------
    column : str
        The column.
    part : str
        Part of its values, such as "hour" or "missing values"; empty for the values themselves.
    drop : float
        By how much the AUC of held-out rows falls where the feature is permuted among them.
    """

    column: str
    part: str
    drop: float

    @property
    def text(self) -> str:
        """The feature for people, such as "hour of when"."""
        return f"{self.part} of {self.column}" if self.part else self.column


@dataclass(frozen=True, slots=True)
class Detection(ReportPart):
    """How well a boosted classifier tells synthetic rows from original ones.

    Parameters
    ----------
    auc : float
        Area under the ROC curve of rows that the classifier has not seen, the mean of its folds; 0.5 (and what falls
        below it by chance) means that it cannot tell them, 1 that it tells all.
    rows, synthetic_rows : int
        Rows of both tables that it saw.
    seen : tuple of SeenFeature
        What it saw first, those with the largest drop first; none where the AUC is no more than chance explains.
    deviation : float
        Standard deviation of the AUC that rows of the same keys explain; 0 where each row is for itself.
    """

    auc: float
    rows: int
    synthetic_rows: int
    seen: tuple[SeenFeature, ...] = ()
    deviation: float = field(default=0.0, repr=False)
    WHAT: ClassVar[str] = "rows"  # that are told
    TREES: ClassVar[int] = MOST_TREES  # of a classifier, at most
    SPREAD: ClassVar[float] = 1.0  # times as much as of given scores the AUC varies

    @property
    def hardly(self) -> bool:
        """True if rows are hardly told: the AUC is at most 0.55, or no more than chance explains."""
        return self.auc <= HARDLY or self.by_chance

    @property
    def by_chance(self) -> bool:
        """True if the AUC is no more than chance explains."""
        # The deviation of the AUC of scores that say nothing (Mann and Whitney 1947).
        by_chance = distance_by_chance((self.rows, self.synthetic_rows), 12**-0.5)
        return self.auc <= 0.5 + max(self.SPREAD * by_chance, RARE * self.deviation)

    @property
    def level(self) -> int:
        """How easily they are told: 0 hardly, 1 with effort, 2 at once."""
        return 0 if self.hardly else 1 if self.auc <= WITH_EFFORT else 2

    @property
    def how(self) -> str:
        """How easily they are told, as words."""
        return ("hardly", "with effort", "at once")[self.level]

    @property
    def words(self) -> str:
        """What the AUC means."""
        if self.hardly:
            return f"synthetic {self.WHAT} can hardly be told from original ones"
        return f"a classifier tells synthetic {self.WHAT} from original ones {self.how}"

    @property
    def figures(self) -> str:
        """The AUC, and what the classifier saw first."""
        features = f", seen first: {', '.join(feature.text for feature in self.seen)}" if self.seen else ""
        return f"(AUC {self.auc:.3f}{features})"

    @property
    def text(self) -> str:
        """What the AUC means, the AUC, and what the classifier saw first."""
        return f"{self.words} {self.figures}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold."""
        return ReportPart.to_dict(self) | {"verdict": self.words}


def sample_places(rows: int, columns: int) -> Ints:
    """Indices of the rows of a table that are judged: one, by hash, of each of even parts of the table.

    At most `MOST_ROWS`, and fewer for more columns than some hundred.
    """
    count = min(rows, MOST_ROWS, max(LEAST_ROWS, MOST_VALUES // max(columns, 1)))
    edges = np.arange(count + 1) * rows // max(count, 1)
    parts = np.diff(edges).astype(np.uint64)
    return edges[:-1] + (mixed(edges[:-1].astype(np.uint64), _PLACE) % np.maximum(parts, 1)).astype(np.int64)


def date_parts(codec: Codec, numbers: Floats) -> dict[str, Floats]:
    """Hour, weekday (Monday is 0) and day of the month of a codec's numbers, of the clock of the column's zone.

    Times of the day have no days, and dates no hours; other columns have no parts. NaN where a value is missing.
    """
    values, a_day = codec.on_clock(numbers), _length_of_day(codec)
    if values is None:
        return {}
    days = values // a_day
    parts: dict[str, Ints] = {}
    if not pa.types.is_date(codec.type):
        parts["hour"] = values % a_day // max(_HOUR // codec.nanoseconds, 1)
    if not pa.types.is_time(codec.type):
        dates = days.astype("M8[D]")
        parts["weekday"] = (days + 3) % 7  # 1970 began on a Thursday
        parts["day of the month"] = (dates - dates.astype("M8[M]")).astype(np.int64)
    return {part: np.where(np.isnan(numbers), np.nan, rows) for part, rows in parts.items()}


def local_days(codec: Codec, numbers: Floats) -> Floats | None:
    """Days since 1970 of a codec's numbers, of the clock of the column's zone; NaN where a value is missing.

    None for columns without dates.
    """
    values = None if pa.types.is_time(codec.type) else codec.on_clock(numbers)
    return None if values is None else np.where(np.isnan(numbers), np.nan, values // _length_of_day(codec))


def _length_of_day(codec: Codec) -> int:
    """A day in the unit of datetimes."""
    return max(24 * _HOUR // max(codec.nanoseconds, 1), 1)


def row_hashes(original: Features, synthetic: Features) -> tuple[Words, Words]:
    """64 bits for each row of two tables: of its values, and of how many equal rows stand before it in its table.

    Equal rows of the two tables have pairs of equal hashes, and equal rows of one table differ.
    """
    ranks = _ranks(original, synthetic)
    length = len(next(iter(original.values()), ()))
    keys: list[Words] = []
    for part in (slice(None, length), slice(length, None)):
        words: Words = np.zeros(len(next(iter(ranks.values()))[part]), np.uint64)
        for place, rows in enumerate(ranks.values(), 1):
            words = mixed(words ^ np.nan_to_num(rows[part], nan=-1).astype(np.int64).astype(np.uint64), place)
        keys.append(mixed(words ^ _occurrence(words), _FOLD))
    return keys[0], keys[1]


def _occurrence(keys: Words) -> Words:
    """Number of equal keys before each."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    occurrence = np.empty(len(keys), np.uint64)
    occurrence[order] = np.arange(len(keys)) - np.searchsorted(ordered, ordered)
    return occurrence


def by_frequency(original: Features, synthetic: Features) -> tuple[Features, Features]:
    """Features of both tables, with codes by falling frequency in both together, and rare ones as unknown.

    Codes by the frequency in one table alone would tell its rows: a category leads by chance where it has more of them.
    """
    tables: tuple[dict[Feature, Any], dict[Feature, Any]] = dict(original), dict(synthetic)
    for name, rows in original.items():
        if rows.dtype.kind != "f":
            codes, counts = np.unique(np.concatenate([rows, synthetic[name]]), return_counts=True)
            # Equal counts in an order that neither table has made.
            order = np.lexsort((mixed(codes.astype(np.int64).astype(np.uint64), _PLACE), -counts))
            frequency_ranks = np.empty(len(codes), np.int64)
            frequency_ranks[order] = np.arange(len(codes))
            is_unknown = (counts < RARE_ROWS) | (codes == UNKNOWN)
            new_codes = np.where(is_unknown, UNKNOWN, frequency_ranks)
            for table in tables:
                table[name] = new_codes[np.searchsorted(codes, table[name])]
    return tables


def _ranks(original: Features, synthetic: Features) -> dict[Feature, Floats]:
    """Ranks of the different values of both tables, one after the other; NaN stays.

    Trees see no difference, and numbers of any size, infinite ones too, are such ranks.
    """
    ranks = {}
    for name, rows in original.items():
        values = np.concatenate([rows, synthetic[name]]).astype(np.float64)
        rank = np.unique(values, return_inverse=True)[1].astype(np.float64)
        ranks[name] = np.where(np.isnan(values), np.nan, rank)
    return ranks


def detect(original: Features, synthetic: Features, hashes: Sequence[Words]) -> Detection | None:
    """What a classifier says of the rows of both tables; None for few rows. Parameters as for `detection_between`."""
    return detection_between(Detection, original, synthetic, hashes) if min(map(len, hashes)) >= LEAST_ROWS else None


def detection_between(
    kind: type[AnyDetection], original: Features, synthetic: Features, hashes: Sequence[Words]
) -> AnyDetection:
    """Train a classifier on two thirds of the rows, three times, and let it tell the others.

    Parameters
    ----------
    kind : type
        Class of the result.
    original, synthetic : mapping of feature to ndarray of shape (rows,)
        Features of both tables.
    hashes : sequence of ndarray of shape (rows,), uint64
        What `row_hashes` gives for the rows of both tables: copies of a row are seen together or not at all, so that
        no classifier is misled by them; or the keys of the rows, those of one key share a hash.
    """
    from threadpoolctl import ThreadpoolController

    original, synthetic = by_frequency(original, synthetic)
    ranks = {name: rank for name, rank in _ranks(original, synthetic).items() if len(np.unique(rank)) > 1}
    detection = kind(0.5, len(hashes[0]), len(hashes[1]))
    if not ranks:
        return detection
    are_codes = [
        original[name].dtype.kind != "f" and len(np.unique(rank)) <= MOST_CATEGORIES for name, rank in ranks.items()
    ]
    labels = np.repeat([0, 1], [len(words) for words in hashes])
    examples = _Examples(np.column_stack([*ranks.values()]), labels, np.concatenate(hashes))
    learn = partial(_boosted_trees, kind.TREES, are_codes) if min(map(len, hashes)) >= LEAST_ROWS else _extra_trees
    # Threads that wait for a busy processor cost more than they bring, for so few rows. OpenMP's limit is one of this
    # thread alone, so that comparisons in several threads do not disturb each other.
    with ThreadpoolController().limit(limits=1, user_api="openmp"):
        folds = [(learn(examples.part(~is_held)), examples.part(is_held)) for is_held in examples.folds()]
        auc, deviation = _figures(folds)
        detection = replace(detection, auc=auc, deviation=deviation)
        return detection if detection.by_chance else replace(detection, seen=_seen(folds[0], examples, [*ranks]))


@dataclass(frozen=True, slots=True)
class _Examples:
    """Rows of both tables, as classifiers take them.

    Parameters
    ----------
    matrix : ndarray of shape (rows, features)
        Features, NaN for missing ones.
    labels : ndarray of shape (rows,), int
        0 for original rows, 1 for synthetic ones.
    hashes : ndarray of shape (rows,), uint64
        Rows of one hash are in one fold.
    """

    matrix: Floats
    labels: Ints
    hashes: Words

    def part(self, is_chosen: Bools) -> _Examples:
        """Some of the rows."""
        return _Examples(self.matrix[is_chosen], self.labels[is_chosen], self.hashes[is_chosen])

    def folds(self) -> Iterator[Bools]:
        """Yield the rows of each fold; of few keys a fold may have none of one table by chance, and is left out."""
        for fold in range(FOLDS):
            is_held = self.hashes % np.uint64(FOLDS) == fold
            if all(len(np.unique(self.labels[part])) > 1 for part in (is_held, ~is_held)):
                yield is_held

    @property
    def have_keys(self) -> bool:
        """True if rows of one table have the same hash."""
        return any(len(np.unique(words)) < len(words) for words in (self.hashes[self.labels == at] for at in (0, 1)))


Fold = tuple[Model, _Examples]  # a classifier, and the rows that it has not seen


def _boosted_trees(most: int, are_codes: Sequence[bool], rows: _Examples) -> Model:
    """A classifier of rows, some of whose features are codes, of so many trees at most."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = max(LEAST_TREES, min(most, TREES_OF_FEATURES // len(are_codes)))
    model = HistGradientBoostingClassifier(
        max_iter=trees, early_stopping=False, random_state=0, categorical_features=np.array(are_codes)
    ).fit(rows.matrix, rows.labels)
    return lambda matrix: np.asarray(model.decision_function(matrix))


def _extra_trees(rows: _Examples) -> Model:
    """A classifier of so few rows that boosted trees find no split; codes are in the order of their frequency."""
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(EXTRA_TREES, random_state=0).fit(np.nan_to_num(rows.matrix, nan=-1), rows.labels)
    return lambda matrix: np.asarray(model.predict_proba(np.nan_to_num(matrix, nan=-1))[:, 1])


def _figures(folds: Sequence[Fold]) -> tuple[float, float]:
    """AUC of all folds, and its deviation where rows belong to keys."""
    scores = [model(unseen.matrix) for model, unseen in folds]
    aucs = [_auc(of_fold, unseen.labels) for of_fold, (_, unseen) in zip(scores, folds, strict=True)]
    variances = [_variance(of_fold, unseen) for of_fold, (_, unseen) in zip(scores, folds, strict=True)]
    deviation = OF_FOLDS * float(np.sqrt(np.sum(variances))) / max(len(folds), 1)
    return max(0.5, float(np.mean(aucs or [0.5]))), deviation


def _seen(fold: Fold, rows: _Examples, names: Sequence[Feature]) -> tuple[SeenFeature, ...]:
    """The features that the classifier of a fold misses most where they are permuted, of all rows."""
    drops = _drops(fold[0], fold[1].matrix, fold[1].labels)
    order = np.argsort(-drops, kind="stable")[:NAMED]
    first = [at for at in order if drops[at] >= max(LEAST_DROP, drops[order[0]] / 5)] or order[:1]
    parts = [_part(names[at], rows.matrix[:, at], rows.labels) for at in first]
    return tuple(SeenFeature(names[at][0], part, float(drops[at])) for at, part in zip(first, parts, strict=True))


def _auc(scores: Floats, labels: Ints) -> float:
    """Area under the ROC curve: share of pairs of rows in the right order, equal scores count half."""
    original, synthetic = np.sort(scores[labels == 0]), scores[labels == 1]
    places = [np.searchsorted(original, synthetic, side=side) for side in ("left", "right")]
    return float(np.mean((places[0] + places[1]) / 2) / max(len(original), 1))


def _variance(scores: Floats, rows: _Examples) -> float:
    """Variance of the AUC of rows that belong to keys (Obuchowski 1997); 0 where each is for itself."""
    if not rows.have_keys:
        return 0.0
    variance, is_original = 0.0, rows.labels == 0
    for mine in (is_original, ~is_original):
        others = np.sort(scores[~mine])
        places = [np.searchsorted(others, scores[mine], side=side) for side in ("left", "right")]
        shares = (places[0] + places[1]) / (2 * len(others))
        numbers = np.unique(rows.hashes[mine], return_inverse=True)[1]
        sums = np.bincount(numbers, shares - np.mean(shares))
        variance += float(np.sum(sums**2)) / len(shares) ** 2 * len(sums) / max(len(sums) - 1, 1)
    return variance


def _drops(model: Model, matrix: Floats, labels: Ints) -> Floats:
    """By how much the AUC falls where each feature is permuted; 0 for those of groups that matter less than others."""
    features = matrix.shape[1]
    most = min(MOST_PERMUTED, max(LEAST_PERMUTED, PERMUTED_VALUES // features))
    rows = np.argsort(mixed(np.arange(len(matrix), dtype=np.uint64), _PLACE))[:most]
    matrix, labels = matrix[rows], labels[rows]
    before = _auc(model(matrix), labels)

    def permuted(group: Ints) -> Floats:
        order = np.argsort(mixed(np.arange(len(matrix), dtype=np.uint64), _FOLD, int(group[0])))
        rows = matrix.copy()
        rows[:, group] = matrix[np.ix_(order, group)]
        return rows

    def drops_of(groups: Sequence[Ints]) -> list[float]:
        scores: list[Floats] = []
        at_once = max(VALUES_AT_ONCE // matrix.size, 1)
        for first in range(0, len(groups), at_once):
            tables = [permuted(group) for group in groups[first : first + at_once]]
            scores += np.split(model(np.concatenate(tables)), len(tables))
        return [before - _auc(of_table, labels) for of_table in scores]

    groups = np.array_split(np.arange(features), min(features, GROUPS))
    group_drops = drops_of(groups)
    drops = np.zeros(features)
    for at in np.argsort(group_drops)[::-1][: NAMED if features > GROUPS else features]:
        one_by_one = len(groups[at]) > 1
        drops[groups[at]] = drops_of([*groups[at][:, None]]) if one_by_one else group_drops[at]
    return drops


def _part(name: Feature, rows: Floats, labels: Ints) -> str:
    """Part of the values that tells most: "missing values" where these differ more than the values do."""
    if name[1]:
        return name[1]
    missing = [float(np.mean(np.isnan(rows[labels == label]))) for label in (0, 1)]
    present = [np.sort(rows[(labels == label) & ~np.isnan(rows)]) for label in (0, 1)]
    if not all(map(len, present)):
        return "missing values"
    points = np.concatenate(present)
    shares = [np.searchsorted(values, points, side="right") / len(values) for values in present]
    return "missing values" if abs(missing[0] - missing[1]) > np.max(np.abs(shares[0] - shares[1])) else ""
