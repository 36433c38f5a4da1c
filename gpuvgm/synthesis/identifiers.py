"""Text that is not modelled: new values in the form of those of the table, each a function of its row's number."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from os.path import commonprefix
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns.inference import UUID
from gpuvgm.columns.model import TableModel
from gpuvgm.columns.rules import whole
from gpuvgm.engines.base import philox_words
from gpuvgm.errors import InferenceWarning, listed, warn
from gpuvgm.io.arrow import is_text_type, plain_column
from gpuvgm.synthesis.drawing import column_number
from gpuvgm.table.fit_report import warnings_of_samples

_LOG = logging.getLogger("gpuvgm")
LONGEST = 64  # letters of a shape
MOST_SHUFFLED = 1 << 62  # values of a shape that are told apart by their number
MADE = {
    "number": "running numbers",
    "uuid": "new UUIDs",
    "shape": "random letters and digits",
    "missing": "missing values",
}
CLASSES = {"0": "0123456789", "a": "abcdefghijklmnopqrstuvwxyz", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@dataclass(frozen=True, slots=True)
class IdentifierForm:
    """Form of the values of a text column that is not modelled.

    Parameters
    ----------
    kind : {"number", "uuid", "shape", "missing"}
        A running number between two texts; random UUIDs; letters and digits drawn at the places where all values have
        such, or most, no two rows the same while there are enough; or missing values, for sentences.
    before, after : str
        Of a number: the texts around it. Of a shape: `before` has "0", "a" or "A" for a digit, a small letter and a
        capital, behind a backslash, and all other letters as they are.
    width : int
        Least digits of a number.
    first : int
        The number of row 0.
    """

    kind: Literal["number", "uuid", "shape", "missing"]
    before: str = ""
    after: str = ""
    width: Annotated[int, whole(0, LONGEST)] = 0
    first: Annotated[int, whole(0, 2**62)] = 0

    @classmethod
    def of_columns(cls, model: TableModel, rows: pa.Table) -> dict[str, IdentifierForm]:
        """Forms of the text columns that are not modelled, where a sample of the rows shows one."""
        names = [column.name for column in model.identifiers if column.regenerate == "sequence"]
        forms = {name: identifier_form(rows.column(name), model.rows) for name in names}
        pass_names = [
            column.name for column in model.columns if column.kind == "pass" and column.name in rows.column_names
        ]
        forms |= {name: _shape_of_texts(_texts_in(rows.column(name))) for name in pass_names}
        return {name: form for name, form in forms.items() if form is not None}

    def values(self, name: str, first_row: int, rows: int, seed: int) -> pa.Array[Any]:
        """Values of consecutive rows, as text."""
        if self.kind == "missing":
            return pa.nulls(rows, pa.string())
        if self.kind == "number":
            numbers = pa.array(np.arange(first_row, first_row + rows) + self.first).cast(pa.string())
            padded = pc.utf8_lpad(numbers, self.width, "0") if self.width else numbers
            parts: Any = (self.before, padded, self.after, "")
            identifiers: pa.Array[Any] = pc.binary_join_element_wise(*parts)
            return identifiers
        counter = np.arange(first_row, first_row + rows, dtype=np.uint64)
        if self.kind == "uuid":
            a, b, c, d = philox_words(counter, column_number(name), seed)
            b = b & np.uint64(0xFFFF0FFF) | np.uint64(0x4000)  # version 4 of RFC 9562
            c = c & np.uint64(0x3FFFFFFF) | np.uint64(0x80000000)
            texts = [
                f"{w:08x}{x:08x}{y:08x}{z:08x}" for w, x, y, z in zip(*(p.tolist() for p in (a, b, c, d)), strict=True)
            ]
            return pa.array([f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts], pa.string())
        places = re.findall(r"\\?.", self.before, re.S)
        choices = [np.array([*CLASSES[place[1]]] if len(place) == 2 else [place]) for place in places]
        count, first = 1, len(choices)
        while first and count * len(choices[first - 1]) <= MOST_SHUFFLED:
            first -= 1
            count *= len(choices[first])
        ranks = shuffled(counter % np.uint64(count), count, name, seed)
        letters = []
        for position, choice in reversed([*enumerate(choices)]):
            size = np.uint64(len(choice))
            if position >= first:
                ranks, digit = np.divmod(ranks, size)
            else:
                digit = philox_words(counter, column_number(f"{name}/{position}"), seed)[0] * size >> np.uint64(32)
            letters.append(choice[digit])
        return pa.array(["".join(row) for row in zip(*reversed(letters), strict=True)], pa.string())


def shuffled(numbers: NDArray[np.uint64], count: int, name: str, seed: int) -> NDArray[np.uint64]:
    """Other numbers below `count` for numbers below it, no two the same, as if drawn.

    A Feistel network of four rounds is applied again where it leaves the range (Black & Rogaway, 2002).
    """
    half = np.uint64((max(count - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)

    def permute(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
        for round_ in range(4):
            word = philox_words(right, column_number(f"{name}/round {round_}"), seed)[0]
            left, right = right, left ^ (word & mask)
        return left << half | right

    permutation = permute(numbers >> half, numbers & mask)
    while (is_outside := permutation >= np.uint64(count)).any():
        permutation[is_outside] = permute(permutation[is_outside] >> half, permutation[is_outside] & mask)
    return permutation


def identifier_form(values: Any, rows: int) -> IdentifierForm | None:
    """Form of a sample of identifiers.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        The sample.
    rows : int
        Rows of the table, which running numbers begin after.

    Returns
    -------
    IdentifierForm or None
        None where they are no text, or have no form in common and are no sentences.
    """
    texts = _texts_in(values)
    if not texts:
        return None
    if all(re.fullmatch(UUID, text) for text in texts):
        return IdentifierForm("uuid")
    # A number of 18 digits is below 2^62, the most that `first` may be.
    matches = [re.fullmatch(r"(\D*)(\d{1,18})(\D*)", text) for text in texts]
    affixes = {(match[1], match[3]) for match in matches if match}
    if all(matches) and len(affixes) == 1:
        ((before, after),) = affixes
        digits = [match[2] for match in matches if match]
        width = min(map(len, digits)) if any(text[0] == "0" for text in digits) else 0
        return IdentifierForm("number", before, after, width, max(rows, *map(int, digits)) + 1)
    return _shape_of_texts(texts) or (IdentifierForm("missing") if _hold_spaces(texts) else None)


def _texts_in(values: Any) -> list[str]:
    """The different texts of a column; none of another one."""
    plain = plain_column(values)
    texts: list[Any] = pc.unique(plain.drop_null().cast(pa.string())).to_pylist() if is_text_type(plain.type) else []
    return texts


def _hold_spaces(texts: list[str]) -> bool:
    """Return whether some texts have several words, as sentences do."""
    return any(" " in text.strip() for text in texts)


def _shape_of_texts(texts: list[str]) -> IdentifierForm | None:
    """The shape that all texts have, or that most of several single words have; None where they have none."""
    return _common_shape(texts) or (None if _hold_spaces(texts) else _usual_shape(texts))


def _common_shape(texts: list[str]) -> IdentifierForm | None:
    """Letters and digits at the places where all texts have such; None where lengths differ, or other letters."""
    if not texts or len({*map(len, texts)}) > 1 or len(texts[0]) > LONGEST:
        return None
    shape = "".join(_class_of({*letters}) for letters in zip(*texts, strict=True))
    return IdentifierForm("shape", shape) if "\\" in shape and "?" not in shape else None


def _usual_shape(texts: list[str]) -> IdentifierForm | None:
    """Most frequent shape of letters, digits and signs between the common prefix and suffix of all texts.

    None where no two texts share it, or it has few values.
    """
    before = commonprefix(texts)
    after = commonprefix([text[len(before) :][::-1] for text in texts])[::-1]
    shapes = Counter(
        "".join(map(_class_of_letter, text[len(before) : len(text) - len(after)]))
        for text in texts
        if len(text) <= LONGEST and not {*text} & {"\\", "?"}
    )
    shape, count = max(shapes.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    values = prod(len(CLASSES[name]) for name in re.findall(r"\\(.)", shape, re.S))
    return IdentifierForm("shape", f"{before}{shape}{after}") if count > 1 and values >= len(texts) else None


def ways_of_unmodelled(model: TableModel, forms: Mapping[str, IdentifierForm]) -> dict[str, str]:
    """Descriptions of how values of unmodelled columns are made, by column."""
    ways = {column.name: MADE["number"] for column in model.identifiers if column.regenerate == "sequence"}
    ways |= {column.name: "its one value" for column in model.categorical if not column.is_encoded}
    ways |= {name: MADE[form.kind] for name, form in forms.items()}
    return {column.name: ways.get(column.name, MADE["missing"]) for column in model.columns if not column.is_encoded}


def tell_of_samples(
    model: TableModel, forms: Mapping[str, IdentifierForm], *, fitted_by_user: bool, network: bool = False
) -> None:
    """Warn of choices that may not be wanted in samples, and log how columns are made that are not modelled.

    Where the user fitted the columns, that fit has warned of its choices.
    """
    ways = ways_of_unmodelled(model, forms)
    lost = [one.name for one in model.schema.columns if not one.is_declared and ways.get(one.name) == MADE["missing"]]
    if lost:
        told = f"samples have no values of {listed(lost)}, which is not modelled: declare its kind or leave it out"
        warn(told, InferenceWarning)
    if model.real_values:
        warn(model.describe_real_values(), InferenceWarning)
    for text in () if fitted_by_user else warnings_of_samples(model, lost, network=network):
        warn(text, InferenceWarning)
    if ways:
        _LOG.info("%s", describe_unmodelled(model, forms))


def describe_unmodelled(model: TableModel, forms: Mapping[str, IdentifierForm]) -> str:
    """Description of how values of unmodelled columns are made; empty if all are modelled."""
    descriptions = [f"{name} ({way})" for name, way in ways_of_unmodelled(model, forms).items()]
    return f"columns that are not modelled: {', '.join(descriptions)}" if descriptions else ""


def _class_of_letter(letter: str) -> str:
    """Class of a letter or digit; any other character as it is."""
    return next((f"\\{name}" for name, members in CLASSES.items() if letter in members), letter)


def _class_of(letters: set[str]) -> str:
    """Class of the letters at one place; "?" where they have none, or it cannot be written."""
    if len(letters) == 1 and not letters & {"\\", "?"}:
        return letters.pop()
    return next((f"\\{name}" for name, members in CLASSES.items() if letters <= {*members}), "?")
