"""Continuous and mixed columns: their fitted mixture, its documents, and values to scalars and codes and back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, is_on_device, namespace_of, to_numpy, widened
from gpuvgm.codecs import ORDINARY, Codec, FloatCodec, Number, codec_of, json_value
from gpuvgm.columns.base import (
    MISSING,
    Coded,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    Modes,
    Slice,
    Values,
    refuse_rows,
)
from gpuvgm.columns.coverage import modes_of_tails
from gpuvgm.columns.mixture_model import EncodingRules, MixtureModel, Quantiles
from gpuvgm.columns.numbers import (
    FLOAT32_STEP,
    NumericColumn,
    error_of,
    refuse_infinite_rows,
    refuse_missing_rows,
)
from gpuvgm.columns.options import positive, share
from gpuvgm.columns.unseen import Pending, Unseen
from gpuvgm.engines import Coverage, DecodeTable, Draw, EncodeTable, Engine, RowRules, get_engine
from gpuvgm.errors import InputError
from gpuvgm.rules import whole
from gpuvgm.summary import Floats, Frame, Ints

BOUND_TOLERANCE = 1e-9  # of the larger of range and magnitude


def falling(counts: Sequence[int] | Floats) -> tuple[int, ...]:
    """Indices by falling count; of equal counts the lower index first."""
    return tuple(int(i) for i in np.argsort(-np.asarray(counts, np.float64), kind="stable"))


@dataclass(frozen=True, repr=False)  # no slots: the tables are cached
class MixtureColumn(NumericColumn):
    """A continuous or mixed column, with all that transform and inverse need.

    Parameters
    ----------
    name, kind : str
        The column and its kind, "continuous" or "mixed".
    codec : Codec
        From the column's values to numbers and back.
    rules : EncodingRules
        Rules for scalars.
    mixture : MixtureModel or None
        None where the column had no ordinary value.
    modal_values : tuple
        Values with a one-hot column of their own, in the codec's unit; None stands for "missing".
    modal_counts : tuple of int
        Training rows that hold each modal value.
    order : tuple of int
        For each one-hot column its index in [modal values, then active components in index order, then tail
        modes].
    minimum, maximum : int, float or None
        Range of the ordinary training values, in the codec's unit: numbers as they are, datetimes and decimals as
        integers in their own unit.
    fit : FitRecord
        Record of the fit.
    wide_scalars : bool
        Whether scalars are always float64, since float32 would not bring the column's multiples of a step back.
    quantiles : Quantiles or None
        Where the ordinary training values lay; None where there was none.

    Raises
    ------
    InputError
        For a mixture that transform in float32, where the rules ask for it, cannot hold.
    """

    name: str
    kind: Literal["continuous", "mixed"]
    codec: Annotated[Codec, codec_of]
    rules: EncodingRules
    mixture: MixtureModel | None
    modal_values: tuple[Number | None, ...]
    modal_counts: tuple[int, ...]
    order: tuple[Annotated[int, whole(0, 2**16)], ...]
    minimum: Number | None
    maximum: Number | None
    fit: FitRecord
    wide_scalars: bool = False
    quantiles: Quantiles | None = None
    has_codes: ClassVar[bool] = True
    without_meaning: ClassVar[tuple[str, ...]] = (
        "fit",
        "minimum",
        "maximum",
        "modal_counts",
        "wide_scalars",
        "quantiles",
    )

    @property
    def scalar_dtype(self) -> str | None:
        """Fixed type "float64" of the scalars; None where the caller's `dtype` decides."""
        return "float64" if self.wide_scalars else None

    @property
    def width(self) -> int:
        """Number of one-hot columns."""
        return len(self.order)

    @property
    def code_counts(self) -> Floats:
        """Training rows of each one-hot column, by most probable active component."""
        mixture = self.mixture
        counts = [] if mixture is None else [*mixture.active_counts, *mixture.tail_counts]
        return np.asarray(np.array([*self.modal_counts, *counts])[list(self.order)], np.float64)

    @cached_property
    def _means_and_widths(self) -> tuple[Floats, Floats]:
        """Means and widths of the active components, then of the tail modes, in the frame's coordinates."""
        assert self.mixture is not None
        means, widths = modes_of_tails(self.mixture.tails, self.rules.scalar_limit)
        return (
            np.concatenate((self.mixture.posterior.means[self.active], means)),
            np.concatenate((self.rules.scale * self.mixture.deviations[self.active], widths)),
        )

    @property
    def resolution(self) -> float:
        """Largest distance of a value from its decoded value, in the unit of `minimum`; 0 if all are exact.

        That is of ordinary values within the training range whose scalars were not cut, and are float32 unless
        `scalar_dtype` says float64, as it does of the compact layout alone. It is a step of the largest scalar, and the
        rounding of float64 and of the column's type; for log columns, what that comes to at the largest value.
        Multiples of a step come back exactly where that is below half a step.
        """
        if self.mixture is None or self.minimum is None or self.maximum is None:
            return 0.0
        low, high = (self.codec.number(end) for end in (self.minimum, self.maximum))
        means, widths = self._means_and_widths
        means = self.mixture.frame.invert(means) * FLOAT32_STEP
        steps = np.maximum(np.abs(low * FLOAT32_STEP - means), np.abs(high * FLOAT32_STEP - means))
        with np.errstate(over="ignore"):
            largest_step = self.rules.scalar_limit * (widths / self.mixture.frame.scale * FLOAT32_STEP)
        error = error_of(float(np.max(np.minimum(steps, largest_step))), low, high, wide=self.wide_scalars)
        return self.codec.value_error(error, self.minimum, self.maximum)

    @cached_property
    def _positions(self) -> NDArray[np.int64]:
        positions = np.empty(self.width, np.int64)
        positions[list(self.order)] = np.arange(self.width)
        return positions

    def mode_codes(self) -> NDArray[np.int64]:
        """One-hot column of each of [modal values, then active components in index order, then tail modes]."""
        return self._positions

    @cached_property
    def encode_table(self) -> EncodeTable | None:
        """Table to encode by; None where the column has no mixture."""
        if self.mixture is None:
            return None
        active, positions, modal = self.active_components, self.mode_codes(), len(self.modal_values)
        other_components = np.flatnonzero(~self.active) if self.rules.floor is not None else np.empty(0, np.int64)
        table, limit = self.mixture.posterior.kernel_table(self.mixture.frame), self.rules.scalar_limit
        coverage = None
        if self.rules.tails == "modes":
            coverage = Coverage(table.take(active), *self._means_and_widths, limit)
        low, high = self.bounds
        return EncodeTable(
            mixture=table.take(np.concatenate((active, other_components))),
            widths=self.rules.scale * self.mixture.deviations[active],
            codes=positions[modal:],
            floor=self.rules.floor or 0.0,
            limit=limit,
            missing_code=self.missing_code,
            modal_codes=positions[:modal],
            low=low,
            high=high,
            coverage=coverage,
        )

    @cached_property
    def decode_table(self) -> DecodeTable:
        """Table to decode by, one row a one-hot column; those of missing and modal values have mean NaN and width 0."""
        means, widths = np.full(self.width, np.nan), np.zeros(self.width)
        frame = Frame(1.0, 0.0)
        if self.mixture is not None:
            frame, codes = self.mixture.frame, self.mode_codes()[len(self.modal_values) :]
            means[codes], widths[codes] = self._means_and_widths
        modal = tuple(
            (int(code), value)
            for code, value in zip(self.mode_codes(), self.modal_values, strict=False)
            if value is not MISSING
        )
        plain = self.codec.plain
        return DecodeTable(frame, means, widths, self.rules.inverse_limit, modal, plain.decoded_step, *plain.limits)

    @cached_property
    def missing_code(self) -> int:
        """One-hot column of missing rows; -1 where the column has none."""
        return int(self.mode_codes()[self.modal_values.index(MISSING)]) if MISSING in self.modal_values else -1

    def code_of(self, value: object) -> int | None:
        """One-hot column of a modal value; None for every other value."""
        try:
            modal = MISSING if value is MISSING else self.codec.parse(json_value(value))
        except ValueError:
            return None
        return int(self.mode_codes()[self.modal_values.index(modal)]) if modal in self.modal_values else None

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Ends of the training range of ordinary values as numbers, with the tolerance of `within_bounds`.

        The lower one is above the other where there was no ordinary value.
        """
        if self.minimum is None or self.maximum is None:
            return np.inf, -np.inf
        low, high = self.codec.number(self.minimum), self.codec.number(self.maximum)
        base = self.codec.base
        width, largest = min(high - low, np.finfo(float).max), max(abs(low + base), abs(high + base))
        widest = width
        if self.mixture is not None:
            with np.errstate(over="ignore"):
                of_mode = float(np.max(self._means_and_widths[1]) / self.mixture.frame.scale)
            widest = max(width, min(of_mode, np.finfo(float).max))
        # and the step of a float32 scalar
        tolerance = BOUND_TOLERANCE * max(width, largest) + FLOAT32_STEP * widest
        return low - tolerance, high + tolerance

    def in_range(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows whose number lies within `bounds`."""
        numbers = widened(numbers)  # bounds must not be rounded to the rows' precision
        low, high = self.bounds
        is_inside: NDArray[np.bool_] = (numbers >= low) & (numbers <= high)
        return is_inside

    def within_bounds(self, numbers: Floats, code: Modes) -> NDArray[np.bool_]:
        """Rows whose (rounded) number lies in the range of the ordinary values; modal and missing rows always do.

        The tolerance is 1e-9 of range or magnitude, and what the step of a float32 scalar amounts to.
        """
        modal = np.zeros(self.width, np.bool_)
        modal[self.mode_codes()[: len(self.modal_values)]] = True
        is_valid: NDArray[np.bool_] = namespace_of(code).asarray(modal)[code]
        is_valid |= self.in_range(numbers)
        return is_valid

    @cached_property
    def _own_rules(self) -> tuple[RowRules | None, RowRules | None]:
        rules = partial(self.codec.modal_rules, self.type, self.modal_values)
        return rules(on_device=False), rules(on_device=True) if self.works_on_device(self.type) else None

    def own_rules(self, *, on_device: bool) -> RowRules | None:
        """How an engine makes numbers of rows of the column's own type, of the host or of a device."""
        return self._own_rules[on_device]

    def rules_for(self, values: Column) -> RowRules | None:
        """Rules for an engine to make numbers of rows; kept for rows of the column's own type."""
        on_device = isinstance(values, DeviceColumn)
        if values.type == self.type:
            return self.own_rules(on_device=on_device)
        return self.codec.modal_rules(values.type, self.modal_values, on_device=on_device)

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that encodes parts of the column on an engine."""
        return MixtureEncoder(engine, self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that decodes parts of the column; with `check` it marks rows in the training range."""
        return MixtureDecoder(engine, self, check=check)

    def in_decoded_type(self, values: Column) -> Column:
        """Decoded values in `decoded_type`."""
        return values

    def meaning(self) -> dict[str, Any]:
        """Parameters that the meaning of an encoded row depends on."""
        document = super().meaning()
        for part in ("centres", "counts", "active_counts", "tail_counts"):
            (document["mixture"] or {}).pop(part, None)
        return document

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        return super().describe() | {
            "components": len(self.means),
            "step": self.codec.step_text,
            "modes": self.describe_codes(),
            "scale": self.rules.scale,
            "tails": self.rules.tails,
            "floor": self.rules.floor,
        }

    def describe_codes(self) -> list[dict[str, Any]]:
        """The one-hot columns in their order; means and deviations of log columns are of logarithms."""
        active = self.active_components
        modal = len(self.modal_values)
        codes: list[dict[str, Any]] = []
        for code, (index, rows) in enumerate(zip(self.order, self.code_counts, strict=True)):
            if index < modal:
                value = self.modal_values[index]
                description: dict[str, Any] = {"modal_value": value, "text": self.codec.modal_text(value)}
            elif index < modal + len(active):
                k = int(active[index - modal])
                figures = {"mean": self.means[k], "sd": self.stds[k], "weight": self.weights[k]}
                description = {"component": k, **{name: float(value) for name, value in figures.items()}}
            else:
                ends = self._tail(index - modal - len(active))
                text = " to ".join(self.codec.value_text(self.codec.value(end)) for end in ends)
                description = {"tail": ends, "text": text}
            codes.append({"code": code, **description, "rows": int(rows)})
        return codes

    def plot(self, ax: Any = None, *, rows: Any = None) -> Any:
        """Draw the modes, over the histogram of rows if given; see `FittedColumn.plot`."""
        from gpuvgm.columns.plots import plot_mixture

        return plot_mixture(self, rows, ax)

    def _tail(self, index: int) -> list[float]:
        """Ends of a tail mode, in the unit of `means`."""
        assert self.mixture is not None
        ends: list[float] = self.mixture.frame.invert(self.mixture.tails[index]).tolist()
        return ends

    def check_parts(self) -> None:
        """Refuse parameters that give no densities, and try a value of every code."""
        positive(self.rules.scale, "rules: scale")
        if self.rules.floor is not None:
            share(self.rules.floor, "rules: floor")
        for part in (self.mixture, self.quantiles):
            if part is not None:
                part.check()
        tails = 0 if self.mixture is None else len(self.mixture.tails)
        codes = len(self.modal_values) + len(self.active_components) + tails
        if sorted(self.order) != list(range(codes)) or len(self.modal_counts) != len(self.modal_values):
            raise ValueError("the order does not fit the codes")
        self._check_tables()
        super().check_parts()
        with suppress(InputError):  # of values too extreme to come back, which is no fault of the model
            coded = Coded(np.zeros(self.width), np.arange(self.width).astype(self.code_dtype))
            engine = get_engine("reference")
            encode = self.encoder(engine, EncodingOptions(seed=0))
            encode(Slice(self.decoder(engine, check=True)(coded, 0).array, 0, np.full(self.width, 0.5)))

    def _check_tables(self) -> None:
        """Refuse parameters whose tables hold NaN or infinities."""
        table = self.encode_table
        if table is None:
            return
        if not len(table.widths):
            raise ValueError("no component is active")
        vectors = (table.mixture.half_precisions, table.mixture.coefficients, table.widths, self.decode_table.widths)
        if not all(np.all(np.isfinite(vector)) for vector in vectors) or np.min(table.widths) <= 0:
            raise ValueError("the components' parameters give no densities")
        if not np.isfinite(self.mixture.frame.centre / self.mixture.frame.scale if self.mixture else 0.0):
            raise ValueError("the frame's centre lies outside of all numbers")


class MixtureEncoder:
    """Encodes a continuous or mixed column.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : MixtureColumn
        The fitted column.
    options : EncodingOptions
        Options of the encoding.
    """

    def __init__(self, engine: Engine, column: MixtureColumn, options: EncodingOptions) -> None:
        self._engine, self._column, self._options = engine, column, options
        self._table, self._column_id = column.encode_table, column.column_id
        self._plain_table = None if self._table is None else replace(self._table, modal_codes=np.empty(0, np.int64))

    def __call__(self, part: Slice) -> Coded:
        """Scalars and codes of a part."""
        column = self._column
        values = column.codec.rows_of(part.values)
        rules = column.rules_for(values)
        if rules is None or self._table is None:
            return self._by_codec(part, values)
        rows, missing = column.codec.stored_rows(values)
        out = self._arrays(rows)
        counts = self._engine.encode(rows, rules, self._table, self._draw(part, rows), out, missing)
        return self._coded(part, *out, counts)

    def _by_codec(self, part: Slice, values: Column) -> Coded:
        """Scalars and codes of rows whose numbers the codec makes, or that have no modes but modal ones."""
        column, table = self._column, self._plain_table
        numbers, which = column.codec.ordinary_numbers(values, column.modal_values, self._engine)
        xp = namespace_of(numbers)
        scalar, code = self._arrays(numbers)
        if table is None:
            self._check(numbers, which, part.first_row)
            scalar.fill(0)
            code.fill(max(column.missing_code, 0))
            return Coded(scalar, code if which is None else self._with_modal(code, which))
        counts = self._engine.encode(numbers, RowRules(), table, self._draw(part, numbers), (scalar, code))
        _, missing, _, _, off_step = counts.reshape(-1, 2)
        off = column.codec.off_step_rows(values, numbers)
        if off is not None and len(off):
            off_step[0], off_step[1] = xp.count_nonzero(off), off.argmax()
        if which is not None:
            missing[0] -= xp.count_nonzero(which != ORDINARY).astype(counts.dtype)
            code = self._with_modal(code, which)
        return self._coded(part, scalar, code, counts)

    def _with_modal(self, code: Modes, which: NDArray[np.signedinteger[Any]]) -> Modes:
        """Codes with those of modal values; on a device without waiting for how many there are."""
        xp, column = namespace_of(code), self._column
        modal_codes = xp.asarray(column.mode_codes()[: len(column.modal_values)].astype(code.dtype))
        codes: Modes = xp.where(which == ORDINARY, code, modal_codes[which])
        return codes

    def _arrays(self, rows: Array) -> tuple[Floats, Modes]:
        """Where scalars and codes of rows are written."""
        xp = namespace_of(rows)
        dtype, code_dtype = self._column.scalar_dtype or self._options.dtype, self._column.code_dtype
        return xp.empty(len(rows), dtype), xp.empty(len(rows), code_dtype)

    def _draw(self, part: Slice, rows: Array) -> Draw:
        options = self._options
        uniforms = None if part.uniforms is None else namespace_of(rows).asarray(part.uniforms)
        return Draw(options.seed, self._column_id, options.first_row + part.first_row, uniforms, options.most_probable)

    def _coded(self, part: Slice, scalar: Floats, code: Modes, counts: Ints) -> Coded:
        if is_on_device(counts):
            return Coded(scalar, code, pending=Pending(counts, partial(self._unseen, part)))
        return Coded(scalar, code, unseen=self._unseen(part, counts))

    def _unseen(self, part: Slice, counts: Ints) -> dict[str, Unseen]:
        """Unseen values of a part, from the counts of `Engine.encode`; refuses values that have no place."""
        if not counts.any():
            return {}
        column = self._column
        infinite, missing, outside, clipped, off_step = counts.reshape(-1, 2)
        if infinite[0] or column.missing_code < 0 and missing[0]:
            numbers, which = column.codec.ordinary_numbers(part.values, column.modal_values, self._engine)
            self._check(numbers, which, part.first_row)
        return Unseen.counted(part.first_row, outside=outside, clipped=clipped, off_step=off_step)

    def _check(self, numbers: Floats, which: NDArray[np.int64] | None, first_row: int) -> None:
        """Refuse rows without a code: infinities, missing rows, and values of a column without a mixture."""
        column, xp = self._column, namespace_of(numbers)
        finite = xp.isfinite(numbers)
        if column.mixture is not None and finite.all():
            return

        place = self._options.place
        infinite = xp.isinf(numbers)
        if infinite.any():
            refuse_infinite_rows(column, infinite, first_row, place)
        if column.mixture is None and finite.any():
            example = column.codec.show(column.codec.value(float(numbers[finite][0])))
            problem = f"values (such as {example}) are present in a column that had none at fit"
            refuse_rows(column, finite, first_row, place, problem, "fit again with these rows")
        missing = ~finite if which is None else ~finite & (which == ORDINARY)
        if column.missing_code < 0 and missing.any():
            refuse_missing_rows(column, missing, first_row, place)


class MixtureDecoder:
    """Decodes a continuous or mixed column.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : MixtureColumn
        The fitted column.
    check : bool
        Whether to find out which rows lie in the training range.
    """

    def __init__(self, engine: Engine, column: MixtureColumn, *, check: bool) -> None:
        self._engine, self._column, self._check = engine, column, check
        self._table = column.decode_table
        self._plain_table = replace(self._table, modal=(), step=None)  # for values that the codec makes

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of scalars and codes."""
        assert part.scalar is not None and part.code is not None
        column, on_device = self._column, is_on_device(part.code)
        rules, xp = column.own_rules(on_device=on_device), namespace_of(part.code)
        codec, table = column.codec, self._plain_table if rules is None else self._table
        is_stored = on_device and rules is not None
        out, missing = xp.empty(len(part.code), codec.stored_dtype if is_stored else np.float64), None
        if is_stored and not table.complete:
            missing = xp.empty(len(part.code), np.bool_)
        wrong, complete = self._engine.decode(part.scalar, part.code, rules or RowRules(), table, out, missing)
        if wrong >= 0:
            column.refuse_code(first_row + wrong, int(part.code[wrong]))
        array: Column
        if rules is None:
            array = codec.decode(out, complete=complete)
        elif is_stored:
            if missing is None and not complete:  # scalars that are NaN
                missing = xp.empty(len(part.code), np.bool_)
                self._engine.decode(part.scalar, part.code, rules, table, out, missing)
            array = DeviceColumn(out, column.type, missing if missing is not None and missing.any() else None)
        else:
            assert isinstance(codec.plain, FloatCodec)
            array = codec.plain.column_of(out, complete=complete)
        code = part.code if isinstance(array, DeviceColumn) else to_numpy(part.code)
        if rules is None:
            array = self._with_modal(array, code)
        valid = None
        if self._check:
            valid = column.within_bounds(codec.ordinary_numbers(array, (), self._engine)[0], code)
        return Values(column.in_decoded_type(array), valid)

    def _with_modal(self, array: Column, code: Modes) -> Column:
        """A decoded column with its modal values; the codes lie where it does."""
        for place, value in self._table.modal:
            has_code = code == place
            if has_code.any():
                array = self._column.codec.with_value(array, has_code, value)
        return array
