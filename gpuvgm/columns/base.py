"""Base of the columns of all kinds: encoding options, encoded parts, plans and fitted columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, namespace_of, to_numpy
from gpuvgm.codecs import missing_rows
from gpuvgm.columns.names import NameTemplate
from gpuvgm.columns.things import is_amount, number_things
from gpuvgm.columns.unseen import Pending, Unseen
from gpuvgm.config import Effort
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError, counted_values
from gpuvgm.io import is_text_type
from gpuvgm.records import document_of, read_as
from gpuvgm.rules import choice
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats, Ints, Summary

MOST_ORDINARY = 255  # different texts that are ordinary categories; of more, each may name someone or something
MISSING = None  # the modal value, or the category, that stands for "missing"
_PROBLEMS = (ValueError, ArithmeticError, TypeError, LookupError, *ARROW_PROBLEMS)
Modes = NDArray[np.signedinteger]
Category = str | int | float | bool | None
Family = Literal["numbers", "categories", "passed"]
Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """Options of encoding a table.

    Parameters
    ----------
    seed : int
        Seed of the generator.
    most_probable : bool
        Take the most probable mode instead of drawing one.
    dtype : str
        Type of the scalars, "float32" or "float64".
    first_row : int
        Global index of the source's first row.
    place : callable
        From a row of the source to the words that name its place in messages.
    """

    seed: int
    most_probable: bool = False
    dtype: str = "float32"
    first_row: int = 0
    place: Place = "row {}".format


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive values of a column that is being encoded.

    Parameters
    ----------
    values : pyarrow.Array or DeviceColumn
        The values.
    first_row : int
        Row of the source where they begin.
    uniforms : ndarray of shape (rows,), optional
        Uniforms to draw modes with, instead of the generator's.
    """

    values: Column
    first_row: int
    uniforms: Floats | None = None


@dataclass(frozen=True, slots=True)
class Coded:
    """An encoded part of a column: scalars, codes or both, by its kind, or the values of a passthrough column.

    Scalars and codes lie where the column's numbers do: on the device for floats, integers, datetimes, short decimals
    and codes that came from there, on the host for text and logarithms. `unseen` counts values that the fit had not
    seen, by their sort; of rows on a device that may be `pending`, and so may a complaint.
    """

    scalar: Floats | None = None
    code: Modes | None = None
    passthrough: Column | None = None
    unseen: Mapping[str, Unseen] = field(default_factory=dict)
    pending: Pending | None = None

    def with_counts(self, counts: Array) -> Coded:
        """The encoded part with its pending counts, which have reached the host.

        Raises
        ------
        InputError
            For a value that the model has no place for.
        """
        assert self.pending is not None
        return replace(self, unseen=self.pending.unseen(counts), pending=None)


#: Encodes parts of one column; raises InputError, naming column and row, for a value that the model has no place for.
#: What the result has pending may raise it later.
Encoder = Callable[[Slice], Coded]


@dataclass(frozen=True, slots=True)
class Values:
    """Decoded values of a column, and which of them lie in its training range (None: all)."""

    array: Column
    valid: NDArray[np.bool_] | None = None


#: Decodes parts of one column to values of its own type; the row where a part begins names rows in messages.
Decoder = Callable[[Coded, int], Values]


@dataclass(frozen=True, slots=True)
class FitRecord:
    """Record of a column's fit.

    Parameters
    ----------
    algorithm : str
        "summary", "exact", or "none" where no mixture was fitted.
    rows, missing : int
        Rows seen, and how many of them were missing.
    iterations : int
        Iterations of variational EM.
    converged : bool
        Whether the change of the bound fell under the tolerance.
    lower_bound : float
        Evidence lower bound, as scikit-learn defines it.
    fit_error : float
        Estimated distance to the exact fit in units of sigma; 0 for the exact algorithm.
    cells, refinements : int
        Occupied cells, and how often the grid was refined.
    effort : {"auto", "best", "research"}
        Effort of the fit.
    bound_with_fewer : float, optional
        The highest bound found with one mode fewer, where a search looked for it.
    """

    algorithm: Annotated[str, choice("summary", "exact", "none")]
    rows: int
    missing: int
    iterations: int = 0
    converged: bool = False
    lower_bound: float = 0.0
    fit_error: float = 0.0
    cells: int = 0
    refinements: int = 0
    effort: Effort = "research"
    bound_with_fewer: float | None = None

    @property
    def stopped_early(self) -> bool:
        """Return whether EM ended before it had converged.

        A search may put the components of an ascent that converged in a better order, or keep a point that it knew
        before. It makes no iterations from there, so that there is one bound, and nothing that converged.
        """
        is_kept = self.effort != "research" and self.iterations == 1
        return self.algorithm != "none" and not self.converged and not is_kept


class ColumnPlan:
    """Plan of a column, made before its rows are read; kinds define how its statistics are taken.

    Attributes
    ----------
    name : str
        The column.
    needs_rows : bool
        Whether the fit depends on the values.
    fitted_together : bool
        Whether all columns of such plans are fitted as one batch, which may read rows again, and not by `fit`.
    comes_first : bool
        Whether it looks for what the column's own plan needs, which `next_plan` makes, and is not fitted.
    """

    __slots__ = ()
    needs_rows: ClassVar[bool] = True
    fitted_together: ClassVar[bool] = False
    comes_first: ClassVar[bool] = False

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """The column."""

    @property
    def counts_codes(self) -> bool:
        """Whether text is counted by its codes in dictionaries, where it is stored so."""
        return False

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are processed on the device they lie on; see `Codec.works_on_device`."""
        return False

    def statistics(self, engine: Engine, values: Column, first_row: int) -> Any:
        """Statistics of rows, which can be merged."""
        raise NotImplementedError

    def running(self, engine: Engine, type_: pa.DataType) -> Any | None:
        """Statistics of rows of a device that nobody waits for between blocks; None where each block is looked at."""
        return None

    def next_plan(self, statistics: Any, sample: pa.ChunkedArray[Any]) -> ColumnPlan:
        """The column's own plan from the statistics of all rows and a sample of its values."""
        raise NotImplementedError

    def final_spec(self, statistics: Any) -> Any:
        """What all rows say that the column is; None where that was known before."""
        return None

    def fit(self, statistics: Any) -> FittedColumn:
        """The fitted column from the statistics of all rows, or from their number where it needs no more."""
        raise NotImplementedError


class FittedColumn:
    """A fitted column of any kind; kinds override attributes and methods.

    Attributes
    ----------
    name, kind : str
        The column, and its kind.
    type : pyarrow.DataType
        Arrow type of its values.
    fit : FitRecord
        Record of the fit.
    family : {"numbers", "categories", "passed"}
        What reports measure of its values; a kind on top of another one inherits it.
    has_scalar, has_codes : bool
        Whether encoded rows have a scalar, and one-hot columns; modes are drawn where they have both.
    width : int
        One-hot columns.
    without_meaning : tuple of str
        Parameters that do not decide what an encoded row means.
    all_known : bool
        Whether every row has a 1 in a one-hot column, or a scalar.
    """

    family: ClassVar[Family] = "passed"
    has_scalar: ClassVar[bool] = False
    has_codes: ClassVar[bool] = False
    without_meaning: ClassVar[tuple[str, ...]] = ("fit",)

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters alone: another process derives the cached tables again."""
        parts = fields(self)  # type: ignore[arg-type]  # columns are dataclasses
        return {part.name: getattr(self, part.name) for part in parts}

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """The column."""

        @property
        def kind(self) -> str:
            """Its kind."""

        @property
        def type(self) -> Any:
            """Arrow type of the values."""

        @property
        def fit(self) -> FitRecord:
            """Record of the fit."""

        @property
        def width(self) -> int:
            """One-hot columns."""

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are encoded and decoded on the device they lie on."""
        return False

    def __repr__(self) -> str:
        columns = f", {self.width:,} one-hot columns" if self.has_codes else ""
        return f'<{type(self).__name__} "{self.name}" of {self.type}: {self.kind}{columns}>'

    @property
    def scalar_dtype(self) -> str | None:
        """Fixed type of the scalars; None where the caller's `dtype` decides."""
        return None

    @property
    def encoding_reason(self) -> str:
        """Note on the column's encoding, appended to the reason for its kind; more rows do not change it."""
        return ""

    @property
    def is_encoded(self) -> bool:
        """True if the column is part of the onehot matrix."""
        return self.has_scalar or self.has_codes

    def declared_like(self, spec: Any, *, lacks_some: bool) -> Any:
        """How a further column is declared that has values of this one, of which any may be lacking.

        Parameters
        ----------
        spec : ColumnSpec
            How this one is declared.
        lacks_some : bool
            Whether some rows have no value.
        """
        return spec

    def tells_apart(self, different: int) -> bool:
        """Return whether values may each name someone or something: text of more than 255 different ones."""
        type_: Any = self.decoded_type
        return different > MOST_ORDINARY and is_text_type(getattr(type_, "value_type", type_))

    @property
    def holds_text(self) -> bool:
        """True of text, and of UUIDs, which people write as text."""
        type_: Any = self.decoded_type
        return is_text_type(type_) or type_.equals(pa.uuid())

    @cached_property
    def numbers_things(self) -> bool:
        """True if values name articles or places, not persons; see `gpuvgm.columns.things`."""
        return number_things(self.name)

    @cached_property
    def is_amount(self) -> bool:
        """True if values are amounts of money by the column's name."""
        return is_amount(self.name)

    @property
    def draws_modes(self) -> bool:
        """True if a mode is drawn for each row."""
        return self.has_scalar and self.has_codes

    @property
    def takes_uniforms(self) -> bool:
        """True if encoding a row takes a uniform."""
        return self.draws_modes

    @cached_property
    def column_id(self) -> int:
        """Column part of the generator's counter: the first 64 bits of SHA-256 of the name."""
        return int.from_bytes(sha256(self.name.encode()).digest()[:8], "big")

    @property
    def all_known(self) -> bool:
        """True if every row has a 1 in a one-hot column."""
        return True

    @cached_property
    def code_dtype(self) -> np.dtype[np.signedinteger]:
        """Integer type of the column's modes in the compact layout: signed, as Spark has no others.

        It holds `width` too, which stands for values that are no category.
        """
        return np.dtype(np.int8 if self.width < 1 << 7 else np.int16 if self.width < 1 << 15 else np.int32)

    @property
    def code_counts(self) -> Floats:
        """Training rows of each one-hot column."""
        return np.empty(0)

    @property
    def matrix_parts(self) -> list[tuple[int, str]]:
        """Width and activation of each part in the onehot matrix: "tanh" for a scalar, else "softmax"."""
        parts = (int(self.has_scalar), "tanh"), (self.width, "softmax")
        return [(width, activation) for width, activation in parts if width]

    def compact_names(self, names: NameTemplate = NameTemplate.DEFAULT) -> list[str]:
        """Names of the column's parts in the compact layout."""
        if not self.is_encoded:
            return [self.name]
        return [names.scalar(self.name)] * self.has_scalar + [names.mode(self.name)] * (self.width > 0)

    def onehot_names(self, names: NameTemplate = NameTemplate.DEFAULT) -> list[str]:
        """Names of the column's parts in the onehot layout."""
        return [names.scalar(self.name)] * self.has_scalar + [names.onehot(self.name, i) for i in range(self.width)]

    @property
    def row_type(self) -> pa.DataType:
        """Arrow type of rows: that of the values, or of the text that these are read from."""
        type_: pa.DataType = self.type
        return type_

    @property
    def decoded_type(self) -> pa.DataType:
        """Arrow type of decoded values."""
        return self.row_type

    def absent(self, first_row: int, rows: int) -> Coded | None:
        """Values for consecutive rows of a table without the column; None where they stay without."""
        return None

    def mode_codes(self) -> Ints:
        """One-hot columns in the order in which equal ones are taken."""
        return np.arange(self.width)

    def code_of(self, value: object) -> int | None:
        """One-hot column of a value as a user writes it; None for a value without one of its own."""
        return None

    def codes_of(self, numbers: Array, first_row: int) -> Modes:
        """Modes that were read as numbers, in the column's own type; NaN is a value that is no category.

        Raises
        ------
        InputError
            For a mode that the column does not have, or that is missing, naming the row.
        """
        xp = namespace_of(numbers)
        if numbers.dtype != self.code_dtype:
            if not self.all_known and numbers.dtype.kind == "f":
                numbers = xp.where(xp.isnan(numbers), numbers.dtype.type(self.width), numbers)
            end = self.width + (not self.all_known)
            is_invalid = ~((numbers >= 0) & (numbers < end) & (numbers == xp.floor(numbers)))
            if is_invalid.any():
                first = int(is_invalid.argmax())
                self.refuse_code(first_row + first, numbers[first].item())
            numbers = numbers.astype(self.code_dtype)
        contiguous: Modes = xp.ascontiguousarray(numbers)
        return contiguous

    def refuse_code(self, row: int, code: object) -> NoReturn:
        """Refuse a mode that the column does not have."""
        raise InputError(
            f'column "{self.name}.mode": {code} at row {row} is none of the {self.width} modes '
            f"(0 … {self.width - 1}); was it encoded with another model?"
        )

    def count_missing(self, values: Column) -> int:
        """Number of rows without a value."""
        missing = missing_rows(values)
        return 0 if missing is None else int(missing.sum())

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that encodes parts of the column on an engine."""
        raise NotImplementedError

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that decodes parts of the column; with `check` it marks rows in the training range."""
        raise NotImplementedError

    def refuse_type(self, source: str, type_: pa.DataType) -> None:
        """Refuse to encode values of an Arrow type; `source` names the table."""

    def is_comparable(self, column: FittedColumn) -> bool:
        """Return whether the distance to another fitted column has a meaning."""
        return self.kind == column.kind

    def to_json(self) -> dict[str, Any]:
        """All parameters, exact to the last bit; `from_json` reads them."""
        return document_of(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], where: str) -> FittedColumn:
        """Read a column that `to_json` wrote; its parts may not fit together yet, see `check`."""
        return read_as(cls, document, where)

    def meaning(self) -> dict[str, Any]:
        """Parameters that the meaning of an encoded row depends on."""
        return {part: value for part, value in self.to_json().items() if part not in self.without_meaning}

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        return {"type": str(self.row_type), "rows": self.fit.rows, "missing": self.fit.missing, "fit": asdict(self.fit)}

    def check(self) -> None:
        """Decode and encode a value of every one-hot column of a loaded column.

        Raises
        ------
        ValueError
            Naming the column, where its parts do not fit together.
        """
        try:
            with np.errstate(all="ignore"):
                self.check_parts()
        except _PROBLEMS as problem:
            text = str(problem) or type(problem).__name__
            raise ValueError(text if f'"{self.name}"' in text else f'column "{self.name}": {text}') from problem

    def check_parts(self) -> None:
        """Raise ValueError, or another error, if the parts of a loaded column do not fit together."""

    def check_summary(self, summary: Summary) -> None:
        """Raise ValueError for a summary that does not belong to the column."""
        raise ValueError(f'there is a summary of "{self.name}", which is no column of numbers')

    def plot(self, ax: Any = None, *, rows: Any = None) -> Any:
        """Draw the column with matplotlib (extra ``report``): its modes, over its rows if given, or its categories.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        rows : ndarray of shape (rows,), or Summary, optional
            Values of a continuous or mixed column; `TableTransformer.plot` takes those that it was fitted on.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            For a column that has neither modes nor categories.
        EnvironmentProblem
            Where matplotlib is missing.
        """
        raise InputError(f'column "{self.name}" is {self.kind}: only mixtures and categories can be drawn')


def refuse_rows(
    column: FittedColumn, rows: NDArray[np.bool_], first_row: int, place: Place, problem: str, remedy: str
) -> NoReturn:
    """Refuse rows of a part of a column that begins at `first_row`, naming the first."""
    rows = to_numpy(rows)
    first = place(first_row + int(np.argmax(rows)))
    problem_count = counted_values(int(np.count_nonzero(rows)), problem)
    raise InputError(f'column "{column.name}": {problem_count} (first at {first}); {remedy}')
