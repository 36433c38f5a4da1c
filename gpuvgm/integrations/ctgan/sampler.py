"""CTGAN's DataSampler: conditional vectors, and training rows that answer them, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gpuvgm.errors import InputError
from gpuvgm.summary import Floats, Ints
from gpuvgm.table import RowIndex, TrainingRows

Conditional = tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints]


class Span(NamedTuple):
    """A discrete column: where its one-hot columns begin in the matrix and in the conditional vector, and how many."""

    start: int
    first: int
    width: int


class DataSampler:
    """Conditional vectors and training rows that answer them: CTGAN's `DataSampler`.

    It draws what that draws, number for number, from NumPy's global generator, a batch at once instead of row by row.
    Conditions of all columns but the first one stand in their own places, where that writes them into the first one's.
    When it is pickled, the rows stay behind: a stored synthesizer samples, and is fitted anew to be trained.

    Parameters
    ----------
    data : TrainingRows or ndarray of shape (rows, width)
        The training rows.
    output_info : list of list of SpanInfo
        For each column the width and the activation of its parts.
    log_frequency : bool
        Draw categories by the logarithm of their frequency.
    """

    def __init__(self, data: Any, output_info: Sequence[Sequence[Any]], log_frequency: bool) -> None:  # noqa: FBT001
        spans = list(_discrete(output_info))
        index = _index(data, spans)
        self._begin(spans, [np.diff(starts).astype(np.float64) for starts in index.starts], log_frequency)
        self._index: RowIndex | None = index  # left behind where this is pickled

    @classmethod
    def of_counts(cls, counts: list[Floats], output_info: Sequence[Sequence[Any]], log_frequency: bool) -> Self:  # noqa: FBT001
        """A sampler without rows, of the rows that each category has: it draws conditions to generate with."""
        sampler, spans = cls.__new__(cls), list(_discrete(output_info))
        if [span.width for span in spans] != [len(rows) for rows in counts]:
            raise ValueError("counts of other categories")
        sampler._begin(spans, counts, log_frequency)
        return sampler

    def _begin(self, spans: list[Span], counts: list[Floats], log_frequency: bool) -> None:  # noqa: FBT001
        self._spans, self.counts = spans, counts
        self._index = None
        self._logarithmic = log_frequency
        weights = {False: self.counts, True: [np.log(count + 1) for count in self.counts]}
        self._probabilities: dict[bool, list[Floats]] = {
            logarithmic: [weight / np.sum(weight) for weight in column_weights]
            for logarithmic, column_weights in weights.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None}

    @contextmanager
    def drawing(self, *, log_frequency: bool | None) -> Iterator[None]:
        """Draw categories by the logarithm of their frequency, or by their frequency; None as ever.

        Parameters
        ----------
        log_frequency : bool, optional
            As in the constructor.
        """
        previous = self._logarithmic
        self._logarithmic = previous if log_frequency is None else log_frequency
        try:
            yield
        finally:
            self._logarithmic = previous

    def dim_cond_vec(self) -> int:
        """Length of a conditional vector."""
        return sum(span.width for span in self._spans)

    def sample_condvec(self, batch: int) -> Conditional | None:
        """Conditions of a batch for training; None without a discrete column.

        Parameters
        ----------
        batch : int
            Number of rows.

        Returns
        -------
        vectors : ndarray of shape (batch, dim_cond_vec()), float32
            One-hot over all categories.
        mask : ndarray of shape (batch, discrete columns), float32
            One-hot over the discrete columns.
        column, category : ndarray of shape (batch,)
            Discrete column and category of each row, as numbers.
        """
        if not self._spans:
            return None
        column = np.random.choice(np.arange(len(self._spans)), batch)
        uniform, category = np.random.rand(batch), np.zeros(batch, np.int64)
        for number, probabilities in enumerate(self._probabilities[self._logarithmic]):
            rows = np.flatnonzero(column == number)
            categories = np.searchsorted(np.cumsum(probabilities), uniform[rows], side="right")
            # Rounding may leave the sum below a uniform number: the argmax of no True, as in CTGAN, is 0.
            category[rows] = np.where(categories < len(probabilities), categories, 0)
        mask = np.zeros((batch, len(self._spans)), np.float32)
        mask[np.arange(batch), column] = 1
        firsts = np.array([span.first for span in self._spans])
        return self._vectors(firsts[column] + category), mask, column, category

    def sample_original_condvec(self, batch: int) -> NDArray[np.float32] | None:
        """Conditions to generate rows with; None without a discrete column.

        Parameters
        ----------
        batch : int
            Number of rows.

        Returns
        -------
        ndarray of shape (batch, dim_cond_vec()), float32
            One-hot over all categories.
        """
        if not self._spans:
            return None
        probabilities = np.concatenate(self._probabilities[self._logarithmic])
        places = np.flatnonzero(probabilities)
        draws = np.random.choice(np.arange(len(places)), batch, p=probabilities[places] / np.sum(probabilities[places]))
        return self._vectors(places[draws])

    def sample_data(self, data: Any, n: int, col: Ints | None, opt: Ints | None) -> Any:
        """Training rows that answer conditions, or any.

        Parameters
        ----------
        data : CompactMatrix or ndarray of shape (rows, width)
            The training rows.
        n : int
            Number of rows, where there are no conditions.
        col, opt : ndarray of shape (rows,), optional
            Discrete column, and category of it, of each condition.

        Returns
        -------
        ndarray of shape (rows, width)
            The rows.
        """
        if col is None or opt is None:
            return data[np.random.randint(len(data), size=n)]
        if self._index is None:
            raise RuntimeError("a synthesizer that was stored holds no training rows: fit it anew to train it further")
        return data[self._index.answers(col, opt, lambda row_count: np.random.randint(0, row_count))]

    def generate_cond_from_condition_column_info(self, condition_info: dict[str, int], batch: int) -> Any:
        """Vectors with one condition for all rows.

        Parameters
        ----------
        condition_info : dict
            What `DataTransformer.convert_column_name_value_to_id` gave.
        batch : int
            Number of rows.

        Returns
        -------
        ndarray of shape (batch, dim_cond_vec()), float32
            One-hot over all categories.
        """
        first = self._spans[condition_info["discrete_column_id"]].first
        return self._vectors(np.full(batch, first + condition_info["value_id"]))

    def vectors_of(self, column: int, categories: Ints, batch: int) -> NDArray[np.float32]:
        """Conditions on some categories of a column, by their frequency.

        Parameters
        ----------
        column : int
            Number of the discrete column.
        categories : ndarray of shape (categories,)
            Its categories, as numbers.
        batch : int
            Number of rows.

        Returns
        -------
        ndarray of shape (batch, dim_cond_vec()), float32
            One-hot over all categories.
        """
        share = self.counts[column][categories]
        drawn_categories = np.random.choice(categories, batch, p=share / np.sum(share) if share.any() else None)
        return self._vectors(self._spans[column].first + drawn_categories)

    def _vectors(self, places: Ints) -> NDArray[np.float32]:
        vectors = np.zeros((len(places), self.dim_cond_vec()), np.float32)
        vectors[np.arange(len(places)), places] = 1
        return vectors


def _index(data: Any, spans: Sequence[Span]) -> RowIndex:
    """Rows by the category that they hold, for each discrete column."""
    if isinstance(data, TrainingRows):
        if data.conditions.names != tuple(c.name for c in data.transformer.model_.categorical if c.has_codes):
            raise InputError("CTGAN conditions on all discrete columns: leave out the argument columns of TrainingRows")
        return data.index
    codes = [np.argmax(data[:, span.start : span.start + span.width], axis=1) for span in spans]
    return RowIndex.of(codes, [span.width for span in spans])


def _discrete(output_info: Sequence[Sequence[Any]]) -> Iterator[Span]:
    """The discrete columns: those of one part, which a softmax activates."""
    start = first = 0
    for spans in output_info:
        if len(spans) == 1 and spans[0].activation_fn == "softmax":
            yield Span(start, first, spans[0].dim)
            first += spans[0].dim
        start += sum(span.dim for span in spans)
