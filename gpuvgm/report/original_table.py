"""The original table of a comparison: what is counted of its columns, and of those of the table compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed, to_numpy
from gpuvgm.columns import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import Run, Sampled
from gpuvgm.io import is_number_type
from gpuvgm.report.column_comparison import ColumnComparison
from gpuvgm.report.column_pairs import PAIRS, ROWS_OF_KEY, ColumnRows, Pair
from gpuvgm.report.combinations import Combination, combinations
from gpuvgm.report.comparison import Comparison
from gpuvgm.report.copies import Copies, copies
from gpuvgm.report.counting import (
    FIRST_COLUMNS,
    FIRST_ROWS,
    FirstRows,
    TableCounts,
    count_table,
    counts_of_table,
    refuse_types,
)
from gpuvgm.report.detection import Detection, Feature, Words, detect, row_hashes, sample_places
from gpuvgm.report.laws.rows import SomeRows
from gpuvgm.report.laws.rules import Rising
from gpuvgm.report.laws.shares import law_shares
from gpuvgm.report.near import NearRows, near_rows
from gpuvgm.report.near_keys import NearKeys, near_keys
from gpuvgm.report.pair_trends import PairTrend, missing_together, pair_trends, rows_at, thinned, worst_pairs
from gpuvgm.report.pictures import JointPictures
from gpuvgm.report.sequences import LEAST_KEYS, RowFeatures, Sequences, WholeKeys, sequences_between
from gpuvgm.summary import Ints


@dataclass(frozen=True, slots=True)
class OriginalTable:
    """The original table, counted, and what counts the synthetic one the same way.

    The numbers of a column are kept as they are, 8 bytes each, so that the distance of two tables is exact.

    Parameters
    ----------
    model : TableModel
        The fitted model.
    pairs : dict of str to Pair
        The columns that are compared.
    counts : TableCounts
        Counts and rows of the table.
    sample : SomeRows
        Some of its rows, in which laws are looked for.
    sequence : (str, str), optional
        The column of keys to which rows belong, and that of the order of their rows or "".
    """

    model: TableModel
    pairs: Mapping[str, Pair]
    counts: TableCounts
    sample: SomeRows
    sequence: tuple[str, str] | None = None

    @classmethod
    def count(
        cls, model: TableModel, names: Sequence[str], run: Run, sequence: tuple[str, str] | None = None
    ) -> OriginalTable:
        """Count the table.

        Parameters
        ----------
        model : TableModel
            The fitted model.
        names : sequence of str
            Its columns that both tables have, which are compared.
        run : Run
            The rows, and where and how they are counted.
        sequence : (str, str), optional
            As for the table.

        Raises
        ------
        InputError
            For columns of another sort, and for a table without rows.
        """
        refuse_types(model, run.source)
        columns = [column for column in model.columns if column.name in names]
        # `copies` takes the first columns as those that are modelled.
        columns.sort(key=lambda column: column.family == "passed")
        names = [column.name for column in columns]
        if not names or columns[0].family == "passed":
            raise InputError("the model encodes no column, so that there is nothing to compare")
        sample = Sampled.of(run, names, model.seed)
        engine = get_engine(run.here.engine)
        pairs: dict[str, Pair] = {column.name: PAIRS[column.family](engine, column, sample.rows) for column in columns}
        counts = count_table(run, pairs, "compare", sample.blocks, keeps_rows=True)
        by_name = {column.name: column for column in columns}
        return cls(model, pairs, counts, SomeRows(sample.rows, counts.rows, by_name), sequence)

    def count_synthetic(self, run: Run) -> tuple[TableCounts, SomeRows]:
        """Count the synthetic table, and take some of its rows. Errors as for `count`."""
        refuse_types(self.model, run.source)
        sample = Sampled.of(run, [*self.pairs], self.model.seed)
        counts = count_table(run, self.pairs, "compare", sample.blocks, keeps_rows=True)
        return counts, replace(self.sample, rows=sample.rows, total=counts.rows)

    def count_held_out(self, run: Run) -> TableCounts | None:
        """Count original rows that were held out; None where there are none."""
        refuse_types(self.model, run.source)
        return counts_of_table(run, self.pairs, keeps_rows=True)

    def compare(
        self,
        synthetic: TableCounts,
        sample: SomeRows,
        held_out: TableCounts | None = None,
        declared: tuple[Any, ...] = (),
    ) -> Comparison:
        """The figures of all columns.

        Parameters
        ----------
        synthetic : TableCounts
            Counts and rows of the synthetic table.
        sample : SomeRows
            Some of its rows.
        held_out : TableCounts, optional
            Those of original rows that were held out of the fit, to which distances are compared.
        declared : tuple of Law, optional
            Laws that are judged, too, though no search finds them.
        """
        columns = {
            name: pair.compare(self.counts.columns[name], synthetic.columns[name]) for name, pair in self.pairs.items()
        }
        modelled = [name for name, column in columns.items() if column.is_modelled]
        tables, row_count = (self.counts, synthetic), min(self.counts.rows, synthetic.rows, FIRST_ROWS)
        before, after = (
            {name: texts[:row_count] for name, texts in counts.first.before.items() if name in modelled}
            for counts in tables
        )
        samples = [
            {name: thinned(counts.columns[name].rows) for name in [*columns][:FIRST_COLUMNS]} for counts in tables
        ]
        original_sample, synthetic_sample = (
            {name: rows for name, rows in table.items() if name in modelled} for table in samples
        )
        missing = [{name: self.pairs[name].is_missing(rows) for name, rows in table.items()} for table in samples]
        binned = {
            name: self.pairs[name].binned(columns[name], (original_sample[name], synthetic_sample[name]))
            for name in original_sample
        }
        modelled_pairs = {name: self.pairs[name] for name in modelled}
        owners = _owners(self.pairs, columns, self.counts)
        judged = _repeats(self.pairs, columns, [*tables, *([held_out] if held_out is not None else [])], owners)
        key = self.sequence[0] if self.sequence is not None else "" if owners is None else owners[0]
        keys = [_keys(self.pairs[key], counts.columns[key]) for counts in tables] if key in columns else []
        of_rows = {name: pair for name, pair in modelled_pairs.items() if name != key}
        compared = tables[1:] if held_out is None else (synthetic, held_out)
        return Comparison(
            rows=self.counts.rows,
            synthetic_rows=synthetic.rows,
            columns=columns,
            first=FirstRows(0, before, after),
            pairs=worst_pairs([*pair_trends(original_sample, synthetic_sample), *missing_together(*missing)]),
            copies=judged[0],
            near=judged[1],
            combinations=judged[2],
            detection=_detected(of_rows or modelled_pairs, tables, keys),
            sequences=self._sequences(key, keys, columns, synthetic) if keys else None,
            near_keys=self._near_keys_of(key, columns, compared) if keys else None,
            laws=law_shares(
                self.sample, sample, declared, key if keys else "", self.sequence[1] if self.sequence else ""
            ),
            joint=JointPictures.of({name: rows for name, rows in binned.items() if rows is not None}),
        )

    def trends(self, synthetic: TableCounts, groups: Mapping[str, Any]) -> tuple[PairTrend, ...]:
        """Dependence of pairs of columns of different groups, those that have lost most first; see `pair_trends`.

        Categories that are numbers, such as goals, have correlations, of their places.
        """

        def some_rows(name: str, counts: TableCounts) -> NDArray[Any]:
            rows = thinned(counts.columns[name].rows)
            return self.pairs[name].order(rows) if is_number_type(self.model.by_name[name].decoded_type) else rows

        samples = [{name: some_rows(name, counts) for name in self.pairs} for counts in (self.counts, synthetic)]
        return pair_trends(samples[0], samples[1], groups)

    def near_keys(self, compared: Sequence[TableCounts], keys: Sequence[Ints], index: str) -> NearKeys | None:
        """Keys that repeat original ones; None where one of both tables has too few. See `near_keys` of near_keys.py.

        Parameters
        ----------
        compared : sequence of TableCounts
            Counts and rows of the synthetic table, and of one that was held out, if there is any.
        keys : sequence of ndarray of shape (rows,), int64
            Number of the key of each row of all of these tables, the original one first; below 0 for those without.
        index : str
            The column of the order of their rows; "" for one of dates that rises, if there is any.
        """
        return self._near_keys([*self.pairs], compared, keys, index)

    def _near_keys_of(
        self, key: str, columns: Mapping[str, ColumnComparison], compared: Sequence[TableCounts]
    ) -> NearKeys | None:
        """Keys of a column that repeat original ones; rows without a key are none. See `_sequences`."""
        hashes = [self.pairs[key].keys(counts.columns[key]) for counts in (self.counts, *compared)]
        keys = [np.where(of_rows == 0, -1, (of_rows >> np.uint64(1)).astype(np.int64)) for of_rows in hashes]
        index = "" if self.sequence is None else self.sequence[1]
        return self._near_keys(_of_keys(key, columns), compared, keys, index, key)

    def _near_keys(
        self, names: Sequence[str], compared: Sequence[TableCounts], keys: Sequence[Ints], index: str, key: str = ""
    ) -> NearKeys | None:
        """Keys that repeat original ones in some columns."""
        rows = [WholeKeys.all_of(of_table) for of_table in keys]
        if not all(of_table.are_enough for of_table in rows[:2]):
            return None
        if not rows[-1].are_enough:  # those held out: copies stand out without them
            compared, rows = compared[:1], rows[:2]
        first = rows[0].places[rows[0].starts]
        pairs = {
            name: self.pairs[name]
            for name in names
            if self.pairs[name].tells_near
            and not self.pairs[name].numbers_rows(_some_rows(self.counts.columns[name], first))
        }
        index = index or _rising(pairs, self.counts, rows[0])
        index = index if index in pairs else ""
        tables = zip((self.counts, *compared), rows, strict=True)
        return near_keys([self._seen(pairs, *table, index) for table in tables], key, are_ordered=bool(index))

    def _sequences(
        self, key: str, keys: Sequence[Words], columns: Mapping[str, ColumnComparison], synthetic: TableCounts
    ) -> Sequences | None:
        """What classifiers say of rows that belong to keys; None where a table has too few such keys.

        Parameters
        ----------
        key : str
            The column of the keys.
        keys : sequence of ndarray of shape (rows,), uint64
            The key of each row of both tables.
        columns : mapping of str to ColumnComparison
            Figures of the columns.
        synthetic : TableCounts
            Counts and rows of the synthetic table.
        """
        pairs = {name: self.pairs[name] for name in _of_keys(key, columns)}
        original, other = (WholeKeys.of(of_rows, len(pairs)) for of_rows in keys)
        if not original.have_several_rows or not other.are_enough:
            return None
        index = _rising(pairs, self.counts, original) if self.sequence is None else self.sequence[1]
        index = index if index in columns and columns[index].is_modelled else ""
        tables = (self.counts, original), (synthetic, other)
        return sequences_between(key, index, *(self._seen(pairs, *table, index) for table in tables))

    def _seen(self, pairs: Mapping[str, Pair], counts: TableCounts, rows: WholeKeys, index: str) -> RowFeatures:
        """The rows of some keys in the order of a column, and what is seen of them; without one as they stand."""
        if index:
            rows = rows.sorted_by(self.pairs[index].order(rows_at(counts.columns[index].rows, rows.places)))
        return rows, _RowFeatures(pairs, counts, rows.places)


@dataclass(frozen=True, slots=True)
class _RowsOnHost(Mapping[str, NDArray[Any]]):
    """Numbers or codes of some columns of a table, each brought to the host when it is asked for.

    Parameters
    ----------
    names : sequence of str
        The columns.
    counts : TableCounts
        Counts and rows of the table.
    chosen : ndarray of bool, optional
        Its rows that are asked for; all by default.
    """

    names: Sequence[str]
    counts: TableCounts
    chosen: NDArray[np.bool_] | None = None

    def __getitem__(self, name: str) -> NDArray[Any]:
        rows: NDArray[Any] = to_numpy(self.counts.columns[name].rows)
        return rows if self.chosen is None else rows[self.chosen]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class _RowFeatures(Mapping[Feature, NDArray[Any]]):
    """What a classifier sees of some rows of a table, a column at a time when it is asked for.

    Parameters
    ----------
    pairs : mapping of str to Pair
        The columns.
    counts : TableCounts
        Counts and rows of the table.
    places : ndarray of int64
        Which of its rows.
    """

    pairs: Mapping[str, Pair]
    counts: TableCounts
    places: Ints

    def __getitem__(self, feature: Feature) -> NDArray[Any]:
        return _features({feature[0]: self.pairs[feature[0]]}, self.counts, self.places)[feature]

    def __iter__(self) -> Iterator[Feature]:
        return (feature for feature in _features(self.pairs, self.counts, self.places[:0]) if not feature[1])

    def __len__(self) -> int:
        return sum(1 for _ in self)


_Owners = tuple[str, Words]  # a column of keys, and the key of each row


def _repeats(
    pairs: Mapping[str, Pair],
    columns: Mapping[str, ColumnComparison],
    tables: Sequence[TableCounts],
    owners: _Owners | None,
) -> tuple[Copies, NearRows | None, tuple[Combination, ...]]:
    """Rows that equal original ones, that do but for small changes, and combinations of columns that they repeat.

    Rows of one key are one there; those that were held out count where no row of their key was fitted.
    """
    chosen: list[NDArray[np.bool_] | None] = [None] * len(tables)
    if owners is not None:
        name, of_rows = owners
        chosen[2:] = [~np.isin(pairs[name].keys(counts.columns[name]), of_rows) for counts in tables[2:]]

    def rows_of(names: Sequence[str]) -> list[_RowsOnHost]:
        return [_RowsOnHost(names, *part) for part in zip(tables, chosen, strict=True)]

    keys = None if owners is None else owners[1]
    modelled = [name for name, column in columns.items() if column.is_modelled]
    names = [name for name in modelled if not _tells_apart(pairs[name], columns[name], tables[0].columns[name])]
    whole = [
        {name: counts.columns[name].blocks for name in columns if columns[name].kind != "id"} for counts in tables[:2]
    ]
    equal = copies(whole[0], whole[1], len(modelled), names)
    if len(names) < 2:  # rows of one column are told by nothing else
        return equal, None, ()
    near = near_rows(rows_of([name for name in names if pairs[name].tells_near]), keys)
    on_host = rows_of(names)
    known = {name: pairs[name].known([table[name] for table in on_host]) for name in names}
    return equal, near, combinations(known, keys)


def _tells_apart(pair: Pair, column: ColumnComparison, counts: ColumnRows) -> bool:
    """Return whether a modelled column only tells rows or keys apart, so that a copied row may have a new value."""
    return column.has_new_keys or pair.numbers_rows(counts)


def _owners(pairs: Mapping[str, Pair], columns: Mapping[str, ColumnComparison], counts: TableCounts) -> _Owners | None:
    """The column of keys that has several original rows each, the fewest keys where there are more, and these keys."""
    names = [name for name, column in columns.items() if column.has_new_keys or column.kind == "id"]
    different: dict[str, int] = {}
    for name in names:
        count = len(np.unique(pairs[name].keys(counts.columns[name])))
        if ROWS_OF_KEY[0] <= columns[name].present[0] / count <= ROWS_OF_KEY[1]:
            different[name] = count
    if not different:
        return None
    name = min(different, key=different.__getitem__)
    return name, _keys(pairs[name], counts.columns[name])


def _keys(pair: Pair, column: ColumnRows) -> Words:
    """The keys of all rows; those without one have one of their own."""
    keys = pair.keys(column)
    return np.where(keys == 0, mixed(np.arange(len(keys), dtype=np.uint64), 1), keys)


def _of_keys(key: str, columns: Mapping[str, ColumnComparison]) -> list[str]:
    """Columns by which keys of a column are judged."""
    return [name for name, of in columns.items() if of.is_modelled and not of.has_new_keys and name != key]


def _some_rows(column: ColumnRows, places: Ints) -> ColumnRows:
    """Some rows of a column, with the counts of all."""
    return replace(column, blocks=(rows_at(column.rows, places),))


def _rising(pairs: Mapping[str, Pair], counts: TableCounts, rows: WholeKeys) -> str:
    """The column of dates that rises most often along the rows of keys as they stand; "" where none does."""
    rises: dict[str, int] = {}
    for name in (name for name, pair in pairs.items() if pair.has_dates):
        numbers = pairs[name].order(rows_at(counts.columns[name].rows, rows.places))
        with np.errstate(invalid="ignore"):  # missing ones may be infinite
            steps = numbers[rows.successors] - numbers[rows.successors - 1]
        if Rising.way(steps) > 0:
            rises[name] = int(np.count_nonzero(steps > 0))
    return max(rises, key=rises.__getitem__, default="")


def _detected(pairs: Mapping[str, Pair], tables: Sequence[TableCounts], keys: Sequence[Words]) -> Detection | None:
    """What a classifier says of some rows of both tables; those of a key are seen together, where rows have keys."""
    places = [sample_places(counts.rows, len(pairs)) for counts in tables]
    features = [_features(pairs, counts, at) for counts, at in zip(tables, places, strict=True)]
    hashes = [of_rows[at] for of_rows, at in zip(keys, places, strict=False)]
    if not hashes or min(len(np.unique(of_rows)) for of_rows in hashes) < LEAST_KEYS:
        values = [{key: part for key, part in table.items() if not key[1]} for table in features]
        hashes = [*row_hashes(values[0], values[1])]
    return detect(features[0], features[1], hashes)


def _features(pairs: Mapping[str, Pair], counts: TableCounts, places: Ints) -> dict[Feature, NDArray[Any]]:
    """What a classifier sees of the rows at some places."""
    of_pairs = (pair.features(rows_at(counts.columns[name].rows, places)) for name, pair in pairs.items())
    return {feature: of_rows for features in of_pairs for feature, of_rows in features.items()}
