"""Python objects that are categories, which Arrow cannot always hold or tell apart, as texts; and the objects back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.errors import InputError

Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTexts:
    """The values of a discrete column of pandas, and a text for each.

    Values are told apart as by ctgan, which is as in Python's dicts: 1, 1.0 and True are one, 1 and "1" are two. All
    missing ones are one, which has no text and comes back as NaN.

    Parameters
    ----------
    name : str
        The column.
    values : ndarray of shape (values,), object
        The different values, without missing ones.
    texts : tuple of str
        The text of each: itself or its `str`, and more where that is blank or another one's.
    dtype : dtype
        Dtype of the column.
    """

    name: str
    values: Objects
    texts: tuple[str, ...]
    dtype: Any

    @classmethod
    def of(cls, column: Any) -> ObjectTexts:
        """The values of a Series.

        Raises
        ------
        InputError
            For a value that cannot be a category since it has no hash, such as a list.
        """
        values = _factorized(column)[1]
        return cls(str(column.name), values, tuple(_texts_of_values(values, set())), column.dtype)

    @property
    def are_values(self) -> bool:
        """True if the texts are the values themselves."""
        return all(isinstance(value, str) for value in self.values) and tuple(self.values) == self.texts

    def encode(self, column: Any) -> Any:
        """A Series as texts, None where it is missing; values that are not known have other texts."""
        import pandas

        codes, values = _factorized(column)
        places = _index(self.values).get_indexer(_index(values))
        unknown_texts = iter(_texts_of_values(values[places < 0], set(self.texts)))
        texts = [self.texts[place] if place >= 0 else next(unknown_texts) for place in places.tolist()]
        return pandas.Series(_array([*texts, None])[codes], column.index, dtype=object)

    def text(self, value: object) -> str | None:
        """The text of one value."""
        import pandas

        text: str | None = self.encode(pandas.Series(_array([value]), dtype=object, name=self.name))[0]
        return text

    def decode(self, texts: Any) -> Any:
        """The values of a Series of their texts, in the dtype of the column."""
        import pandas

        codes, different = _factorized(texts)
        value_of = dict(zip(self.texts, self.values, strict=True))
        values = _array([*(value_of[text] for text in different), np.nan])
        return pandas.Series(values[codes], texts.index, dtype=object).astype(self.dtype)

    def condition(self, condition: Any) -> Any:
        """The text of a value that a condition names, or the texts of several."""
        is_single = isinstance(condition, (str, bytes, tuple)) or not isinstance(condition, Collection)
        if is_single or (_is_hashable(condition) and condition in set(self.values)):
            return self.text(condition)
        return [self.text(value) for value in condition]


def object_texts(frame: Any, names: Collection[str]) -> dict[str, ObjectTexts]:
    """Texts for the columns of a DataFrame, among those named, that hold objects or text.

    Raises
    ------
    InputError
        For a value that cannot be a category.
    """
    columns = [column for label, column in frame.items() if str(label) in names]
    return {str(column.name): ObjectTexts.of(column) for column in columns if _holds_objects(column.dtype)}


def _holds_objects(dtype: Any) -> bool:
    """Return whether a dtype is of objects or text, or of categories that are objects or text."""
    from pandas.api import types

    if isinstance(dtype, types.CategoricalDtype):
        dtype = dtype.categories.dtype
    return (
        types.is_string_dtype(dtype) or isinstance(dtype, (types.IntervalDtype, types.PeriodDtype)) or dtype.kind == "c"
    )


def _factorized(column: Any) -> tuple[NDArray[np.intp], Objects]:
    """Place of each row among the different values, -1 where it is missing, and these values."""
    import pandas

    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
    try:
        codes, different = pandas.factorize(values)
    except TypeError as problem:
        row, value = next((row, value) for row, value in enumerate(values) if not _is_hashable(value))
        raise InputError(
            f'column "{column.name}", row {row} holds a {type(value).__name__}, which cannot be a category '
            f"({problem}); convert it to a tuple or text"
        ) from problem
    return codes, np.asarray(different, dtype=object)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _texts_of_values(values: Objects, used_texts: set[str]) -> list[str]:
    """A text for each value, neither blank nor among `used_texts`, which it joins; texts as values come first."""
    texts: dict[int, str] = {}
    for number in sorted(range(len(values)), key=lambda number: not isinstance(values[number], str)):
        value = values[number]
        text = str(value) if str(value).strip() else repr(value)
        while not text.strip() or text in used_texts:
            text += f" ({type(value).__name__})"
        texts[number] = text
        used_texts.add(text)
    return [texts[number] for number in range(len(values))]


def _index(values: Objects) -> Any:
    """An index in which values are looked up as they are."""
    import pandas

    return pandas.Index(values, dtype=object, tupleize_cols=False)


def _array(values: Iterable[Any]) -> Objects:
    """An array of objects, of which some may be tuples."""
    return np.fromiter(values, dtype=object)
