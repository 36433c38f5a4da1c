"""Continuous and mixed columns: their fitted mixture, its documents, and values to scalars and cells and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, beside, is_on_device, namespace_of, to_numpy, widened
from gpuvgm.columns.base import (
    FIT,
    MISSING,
    Cells,
    Coded,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    Slice,
    Values,
    refuse,
    refuse_cell,
)
from gpuvgm.columns.codecs import Codec, Number, codec_document, codec_of, rows_for, step_text, with_value
from gpuvgm.columns.codecs.base import Bools
from gpuvgm.columns.coverage import modes_of_tails
from gpuvgm.columns.documents import Record, anything, listed, optional, text
from gpuvgm.columns.landmarks import DOCUMENT as LANDMARKS
from gpuvgm.columns.landmarks import Landmarks
from gpuvgm.columns.numbers import (
    FLOAT32_STEP,
    ORDINARY,
    NumericColumn,
    check_codec,
    check_values,
    error_of,
    off_step_rows,
    ordinary_numbers,
    refuse_infinite,
)
from gpuvgm.columns.rules import boolean, finite, not_negative, one_of, positive, share, whole
from gpuvgm.columns.text import modal_text, value_text
from gpuvgm.columns.unseen import Pending, Unseen
from gpuvgm.config import EncodingRules
from gpuvgm.engines import Engine, get_engine
from gpuvgm.engines.hold import SORTS, Coverage, HoldTable
from gpuvgm.engines.tables import Draw, DrawTable, Float32Table, InverseTable, Step
from gpuvgm.errors import InputError
from gpuvgm.mixture.posterior import Posterior, StickBreaking
from gpuvgm.summary.grid import Floats, Frame, Ints

BOUND_TOLERANCE = 1e-9  # of the larger of range and magnitude
SCALAR_STEP = 2.0**-24  # relative step of a float32 scalar, which bounds must not trip over
_GAUSSIANS = ("mean_precision", "means", "degrees_of_freedom", "covariances")

RULES = Record(
    {
        "scale": positive,
        "tails": one_of("modes", "clip", "exact"),
        "floor": optional(share),
        "precision": one_of("float64", "float32"),
    },
    frozenset({"precision"}),
)
POSTERIOR = Record(
    {
        "sticks": listed(listed(positive)),
        "mean_precision": listed(positive),
        "means": listed(finite),
        "degrees_of_freedom": listed(positive),
        "covariances": listed(positive),
    }
)
MIXTURE = Record(
    {
        "frame": Record({"scale": positive, "centre": finite}),
        "posterior": POSTERIOR,
        "centres": listed(finite),
        "counts": listed(not_negative),
        "active": listed(boolean),
        "active_counts": listed(not_negative),
        "tails": listed(listed(finite)),
        "tail_counts": listed(not_negative),
    },
    frozenset({"tails", "tail_counts"}),
)
DOCUMENT = Record(
    {
        "name": text,
        "kind": one_of("continuous", "mixed"),
        "codec": check_codec,
        "rules": RULES,
        "mixture": optional(MIXTURE),
        "modal_values": listed(anything),
        "modal_counts": listed(whole()),
        "order": listed(whole(0, 2**16)),
        "minimum": anything,
        "maximum": anything,
        "fit": FIT,
        "wide_scalars": boolean,
        "landmarks": optional(LANDMARKS),
    },
    frozenset({"modal_counts", "wide_scalars", "landmarks"}),
)


def falling(counts: Sequence[int] | Floats) -> tuple[int, ...]:
    """Indices by falling count; of equal counts the lower index first."""
    return tuple(int(i) for i in np.argsort(-np.asarray(counts, np.float64), kind="stable"))


@dataclass(frozen=True, slots=True)
class MixtureModel:
    """A fitted mixture in the coordinates of its frame.

    Parameters
    ----------
    frame : Frame
        Coordinates of the column's numbers.
    posterior : Posterior
        The fitted posterior, K components.
    centres : ndarray of shape (K,)
        Centres that the fit started from.
    counts : ndarray of shape (K,)
        Training rows whose most probable component is k.
    active : ndarray of shape (K,), bool
        Components that rows may be given to.
    active_counts : ndarray of shape (A,)
        Training rows by most probable active component.
    tails : ndarray of shape (T, 2)
        Ends of the tail modes, which hold rows that no active component can hold; in the frame's coordinates.
    tail_counts : ndarray of shape (T,)
        Training rows of each tail mode; they are not counted in `active_counts`.
    """

    frame: Frame
    posterior: Posterior
    centres: Floats
    counts: Floats
    active: NDArray[np.bool_]
    active_counts: Floats
    tails: Floats = field(default_factory=lambda: np.empty((0, 2)))
    tail_counts: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def deviations(self) -> Floats:
        """Standard deviations in the frame's coordinates, shape (K,)."""
        return np.sqrt(self.posterior.covariances)

    def to_json(self) -> dict[str, Any]:
        """All parameters."""
        concentration = self.posterior.concentration
        assert isinstance(concentration, StickBreaking)  # tables are fitted with no other prior
        return {
            "frame": asdict(self.frame),
            "posterior": {
                "sticks": concentration.sticks,
                **{part: getattr(self.posterior, part) for part in _GAUSSIANS},
            },
            "centres": self.centres,
            "counts": self.counts,
            "active": self.active,
            "active_counts": self.active_counts,
            **({"tails": self.tails, "tail_counts": self.tail_counts} if len(self.tails) else {}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> MixtureModel:
        """Mixture from its document.

        Raises
        ------
        ValueError
            Where its parameters do not fit together.
        """
        parameters = {part: _floats(document["posterior"][part]) for part in ("sticks", *_GAUSSIANS)}
        sticks = parameters.pop("sticks")
        mean_precision, means, degrees_of_freedom, covariances = parameters.values()
        posterior = Posterior(StickBreaking(sticks), mean_precision, means, degrees_of_freedom, covariances)
        mixture = cls(
            frame=Frame(float(document["frame"]["scale"]), float(document["frame"]["centre"])),
            posterior=posterior,
            centres=_floats(document["centres"]),
            counts=_floats(document["counts"]),
            active=np.array(document["active"], np.bool_),
            active_counts=_floats(document["active_counts"]),
            tails=_floats(document.get("tails", [])).reshape(-1, 2),
            tail_counts=_floats(document.get("tail_counts", [])),
        )
        k = len(posterior.means)
        vectors = [
            *parameters.values(),
            mixture.counts,
            mixture.active,
        ]  # of few rows a search may have had fewer centres
        if sticks.shape != (2, k) or any(vector.shape != (k,) for vector in vectors):
            raise ValueError("the components' parameters differ in length")
        if mixture.active_counts.shape != (int(np.count_nonzero(mixture.active)),):
            raise ValueError("the active components differ in number")
        if len(mixture.tails) != len(mixture.tail_counts) or not np.all(mixture.tails[:, 0] <= mixture.tails[:, 1]):
            raise ValueError("the tail modes are no intervals")
        return mixture


def _floats(values: list[Any]) -> Floats:
    return np.array(values, np.float64)


@dataclass(frozen=True, repr=False)  # no slots: the tables are cached
class MixtureColumn(NumericColumn):
    """A continuous or mixed column: everything that transform and inverse need to know of it.

    Parameters
    ----------
    name, kind : str
        The column and its kind, "continuous" or "mixed".
    codec : Codec
        From the column's values to numbers and back.
    rules : EncodingRules
        How scalars are made.
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
        How the fit went.
    wide_scalars : bool
        Whether scalars are always float64, since float32 would not bring the column's multiples of a step back.
    landmarks : Landmarks or None
        Where the ordinary training values lay; None where there was none, or an older version fitted the column.

    Raises
    ------
    InputError
        For a mixture that transform in float32, where the rules ask for it, cannot hold.
    """

    name: str
    kind: str
    codec: Codec
    rules: EncodingRules
    mixture: MixtureModel | None
    modal_values: tuple[Number | None, ...]
    modal_counts: tuple[int, ...]
    order: tuple[int, ...]
    minimum: Number | None
    maximum: Number | None
    fit: FitRecord
    wide_scalars: bool = False
    landmarks: Landmarks | None = None
    has_cells: ClassVar[bool] = True
    without_meaning: ClassVar[tuple[str, ...]] = (
        "fit",
        "minimum",
        "maximum",
        "modal_counts",
        "wide_scalars",
        "landmarks",
    )

    def __post_init__(self) -> None:
        table = self.draw_table() if self.rules.precision == "float32" else None
        if table is not None:
            Float32Table.of(table)  # refuses a mixture that float32 cannot hold

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the tables are made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def scalar_dtype(self) -> str | None:
        """The type that scalars have whatever is asked for."""
        return "float64" if self.wide_scalars else None

    @property
    def width(self) -> int:
        """Number of one-hot columns."""
        return len(self.order)

    @property
    def cell_counts(self) -> Floats:
        """Training rows of each one-hot column, by most probable active component."""
        mixture = self.mixture
        counts = [] if mixture is None else [*mixture.active_counts, *mixture.tail_counts]
        return np.asarray(np.array([*self.modal_counts, *counts])[list(self.order)], np.float64)

    def _means_and_widths(self) -> tuple[Floats, Floats]:
        """Of the active components, then of the tail modes, in the frame's coordinates."""
        assert self.mixture is not None
        means, widths = modes_of_tails(self.mixture.tails, self.rules.scalar_limit)
        return (
            np.concatenate((self.mixture.posterior.means[self.active], means)),
            np.concatenate((self.rules.scale * self.mixture.deviations[self.active], widths)),
        )

    @property
    def scalar_step(self) -> float:
        """Step of a float32 scalar in the widest active mode, in the unit of `means`."""
        if self.mixture is None:
            return 0.0
        return float(np.max(self._means_and_widths()[1]) * FLOAT32_STEP / self.mixture.frame.scale)

    @property
    def resolution(self) -> float:
        """Largest distance of a value from what comes back for it, in the unit of `minimum`; 0 where all are exact.

        That is of ordinary values within the training range whose scalars were not cut, and are float32 unless
        `scalar_dtype` says float64, as it does of the compact layout alone. It is a step of the largest scalar, and the
        rounding of float64 and of the column's type; for log columns, what that comes to at the largest value.
        Multiples of a step come back exactly where that is below half a step.
        """
        if self.mixture is None or self.minimum is None or self.maximum is None:
            return 0.0
        low, high = (self.codec.number(end) for end in (self.minimum, self.maximum))
        means, widths = self._means_and_widths()
        means = self.mixture.frame.invert(means) * FLOAT32_STEP
        steps = np.maximum(np.abs(low * FLOAT32_STEP - means), np.abs(high * FLOAT32_STEP - means))
        with np.errstate(over="ignore"):
            cut = self.rules.scalar_limit * (widths / self.mixture.frame.scale * FLOAT32_STEP)
        error = error_of(float(np.max(np.minimum(steps, cut))), low, high, self.rules.precision, wide=self.wide_scalars)
        return self.codec.value_error(error, self.minimum, self.maximum)

    def cell_positions(self) -> NDArray[np.int64]:
        """One-hot column of each of [modal values, then active components in index order, then tail modes]."""
        positions = np.empty(self.width, np.int64)
        positions[list(self.order)] = np.arange(self.width)
        return positions

    def draw_table(self) -> DrawTable | None:
        """Table for transform; None where the column has no mixture."""
        return self._draw_table

    @cached_property
    def _draw_table(self) -> DrawTable | None:
        if self.mixture is None:
            return None
        active, positions, modal = self.active_components, self.cell_positions(), len(self.modal_values)
        taking_part = np.flatnonzero(~self.active) if self.rules.floor is not None else np.empty(0, np.int64)
        table = self.mixture.posterior.kernel_table(self.mixture.frame)
        return DrawTable(
            mixture=table.take(np.concatenate((active, taking_part))),
            widths=self.rules.scale * self.mixture.deviations[active],
            cells=positions[modal : modal + len(active)].astype(np.float64),
            floor=self.rules.floor or 0.0,
            limit=self.rules.scalar_limit,
            missing_cell=self.missing_cell,
            precision=self.rules.precision,
        )

    @cached_property
    def coverage(self) -> Coverage | None:
        """Which modes hold which rows; None where no row may leave the mode that was drawn for it."""
        if self.mixture is None or self.rules.tails != "modes":
            return None
        table = self.mixture.posterior.kernel_table(self.mixture.frame).take(self.active_components)
        return Coverage(table, *self._means_and_widths(), self.rules.scalar_limit)

    @cached_property
    def hold_table(self) -> HoldTable:
        """Which rows the modes hold, and which ones the fit had not seen."""
        cells = self.cell_positions()[len(self.modal_values) :]
        return HoldTable(self.coverage, cells, self.rules.scalar_limit, *self.bounds)

    def inverse_table(self) -> InverseTable:
        """Table for the inverse, one row a cell; modal cells have mean NaN and width 0."""
        return self._inverse_table

    @cached_property
    def _inverse_table(self) -> InverseTable:
        means, widths = np.full(self.width, np.nan), np.zeros(self.width)
        if self.mixture is None:
            return InverseTable(Frame(1.0, 0.0), means, widths, self.rules.inverse_limit)
        cells = self.cell_positions()[len(self.modal_values) :]
        means[cells], widths[cells] = self._means_and_widths()
        return InverseTable(self.mixture.frame, means, widths, self.rules.inverse_limit)

    @property
    def missing_cell(self) -> int:
        """One-hot column of missing rows; -1 where the column has none."""
        return int(self.cell_positions()[self.modal_values.index(MISSING)]) if MISSING in self.modal_values else -1

    def cell_of(self, value: object) -> int | None:
        """One-hot column of a modal value; None for every other value."""
        held = [one is MISSING if value is MISSING else self._is(one, value) for one in self.modal_values]
        return int(self.cell_positions()[held.index(True)]) if True in held else None

    def _is(self, modal: Number | None, value: object) -> bool:
        """Whether what a user writes is a modal value."""
        try:
            return modal is not MISSING and self.codec.parse(value) == modal
        except ValueError:
            return False

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Ends of the training range of ordinary values as numbers, with the tolerance of `within_bounds`.

        The lower one is above the other where there was no ordinary value.
        """
        if self.minimum is None or self.maximum is None:
            return np.inf, -np.inf
        low, high = self.codec.number(self.minimum), self.codec.number(self.maximum)
        base = self.codec.base
        tolerance = BOUND_TOLERANCE * max(high - low, abs(low + base), abs(high + base))
        tolerance += SCALAR_STEP * max(high - low, self.scalar_step / SCALAR_STEP)
        return low - tolerance, high + tolerance

    def in_range(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows whose number lies within `bounds`."""
        numbers = widened(numbers)  # bounds must not be rounded to the rows' precision
        low, high = self.bounds
        inside: NDArray[np.bool_] = (numbers >= low) & (numbers <= high)
        return inside

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """What encodes parts of the column on an engine."""
        return MixtureEncoder(engine, self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """What decodes parts of the column; with `check` it finds out which rows lie in the training range."""
        return MixtureDecoder(engine, self, check=check)

    def to_json(self) -> dict[str, Any]:
        """All parameters, exact to the last bit."""
        return {
            "name": self.name,
            "kind": self.kind,
            "codec": codec_document(self.codec),
            "rules": asdict(self.rules),
            "mixture": None if self.mixture is None else self.mixture.to_json(),
            "modal_values": self.modal_values,
            "modal_counts": self.modal_counts,
            "order": self.order,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "fit": asdict(self.fit),
            **({"wide_scalars": True} if self.wide_scalars else {}),
            **({} if self.landmarks is None else {"landmarks": asdict(self.landmarks)}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], where: str) -> MixtureColumn:
        """Column from its document, of any format; see `gpuvgm.columns.model.column_of`."""
        DOCUMENT(document, where)
        check_values(document, where)
        modal = tuple(document["modal_values"])
        counts = document.get("modal_counts", [document["fit"]["missing"]] * len(modal))  # 1 and 2 knew no others
        column = cls(
            name=str(document["name"]),
            kind=str(document["kind"]),
            codec=codec_of(document["codec"]),
            rules=EncodingRules(**document["rules"]),
            mixture=None if document["mixture"] is None else MixtureModel.from_json(document["mixture"]),
            modal_values=modal,
            modal_counts=tuple(int(count) for count in counts),
            order=tuple(int(cell) for cell in document["order"]),
            minimum=document["minimum"],
            maximum=document["maximum"],
            fit=FitRecord(**document["fit"]),
            wide_scalars=document.get("wide_scalars", False),
            landmarks=None if (marks := document.get("landmarks")) is None else Landmarks.from_json(marks),
        )
        tails = 0 if column.mixture is None else len(column.mixture.tails)
        cells = len(modal) + len(column.active_components) + tails
        if sorted(column.order) != list(range(cells)) or len(counts) != len(modal):
            raise ValueError("the order does not fit the cells")
        return column

    def meaning(self) -> dict[str, Any]:
        """The parameters that decide what an encoded row means."""
        document = super().meaning()
        for part in ("centres", "counts", "active_counts", "tail_counts"):
            (document["mixture"] or {}).pop(part, None)
        del document["rules"]["precision"]  # the inverse is the same
        return document

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        return super().describe() | {
            "components": len(self.means),
            "step": step_text(self.codec),
            "modes": self.describe_cells(),
            "scale": self.rules.scale,
            "tails": self.rules.tails,
            "floor": self.rules.floor,
            "precision": self.rules.precision,
        }

    def describe_cells(self) -> list[dict[str, Any]]:
        """The one-hot columns in their order; means and deviations of log columns are of logarithms."""
        active = self.active_components
        modal = len(self.modal_values)
        out: list[dict[str, Any]] = []
        for cell, (index, rows) in enumerate(zip(self.order, self.cell_counts, strict=True)):
            if index < modal:
                value = self.modal_values[index]
                out.append(
                    {"cell": cell, "modal_value": value, "text": modal_text(self.codec, value), "rows": int(rows)}
                )
                continue
            if index >= modal + len(active):
                ends = self._tail(index - modal - len(active))
                name = " to ".join(value_text(self.codec, self.codec.value(end)) for end in ends)
                out.append({"cell": cell, "tail": ends, "text": name, "rows": int(rows)})
                continue
            k = int(active[index - modal])
            figures = {"mean": self.means[k], "sd": self.stds[k], "weight": self.weights[k]}
            out.append({"cell": cell, "component": k, **{name: float(value) for name, value in figures.items()}})
            out[-1]["rows"] = int(rows)
        return out

    def _tail(self, index: int) -> list[float]:
        """Ends of a tail mode, in the unit of `means`."""
        assert self.mixture is not None
        ends: list[float] = self.mixture.frame.invert(self.mixture.tails[index]).tolist()
        return ends

    def check(self) -> None:
        """Refuse parameters that give no densities, and try a value of every cell."""
        self._check_tables()
        super().check()
        with suppress(InputError):  # of values too extreme to come back, which is no fault of the model
            coded = Coded(np.zeros(self.width), np.arange(self.width).astype(self.cell_dtype))
            engine = get_engine("reference")
            encode = self.encoder(engine, EncodingOptions(seed=0))
            encode(Slice(self.decoder(engine, check=True)(coded, 0).array, 0))

    def _check_tables(self) -> None:
        """Refuse parameters whose tables hold NaN or infinities."""
        draw, inverse = self.draw_table(), self.inverse_table()
        if draw is None:
            return
        if not len(draw.widths):
            raise ValueError("no component is active")
        vectors = (draw.mixture.half_precisions, draw.mixture.coefficients, draw.widths, inverse.widths)
        if not all(np.all(np.isfinite(vector)) for vector in vectors) or np.min(draw.widths) <= 0:
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
        How to encode.
    """

    def __init__(self, engine: Engine, column: MixtureColumn, options: EncodingOptions) -> None:
        self._engine, self._column, self._options = engine, column, options
        self._table, self._column_id = column.draw_table(), column.column_id
        self._modal_cells = column.cell_positions()[: len(column.modal_values)].astype(column.cell_dtype)

    def __call__(self, part: Slice) -> Coded:
        """Scalars and cells of a part."""
        column, options = self._column, self._options
        values = rows_for(column.codec, part.values)
        numbers, which = ordinary_numbers(column.codec, column.modal_values, values)
        xp = namespace_of(numbers)
        scalar, cell = (
            xp.empty(len(numbers), column.scalar_dtype or options.dtype),
            xp.empty(len(numbers), column.cell_dtype),
        )
        counts: Ints | None = None
        if self._table is None:
            self._check(numbers, which, part.first_row)
            scalar.fill(0)
            cell.fill(max(column.missing_cell, 0))
        else:
            first_row = options.first_row + part.first_row
            uniforms = None if part.uniforms is None else beside(part.uniforms, numbers)
            draw = Draw(options.seed, self._column_id, first_row, uniforms, options.most_probable)
            self._engine.transform(numbers, self._table, draw, scalar, cell)
            counts = self._hold(values, numbers, (scalar, cell))
            if which is not None and column.missing_cell < 0:  # rows without a number may all hold modal values
                modal = (which != ORDINARY).sum(keepdims=True).astype(counts.dtype)
                counts = xp.concatenate((counts, modal))
        if which is not None:
            cell = xp.where(which == ORDINARY, cell, xp.asarray(self._modal_cells)[which])
        coded = Coded(scalar, cell)
        if counts is None:
            return coded
        coded = replace(coded, pending=Pending(counts, partial(self._unseen, part)))
        return coded if is_on_device(counts) else coded.settled(counts)

    def _hold(self, values: Column, numbers: Floats, coded: tuple[Floats, Cells]) -> Ints:
        """Give rows that their modes cannot hold to others, and count those that the fit had not seen."""
        codec = self._column.codec
        off_step: Bools | Step | None
        if is_on_device(numbers):
            off_step = getattr(codec, "counted_step", None) or codec.off_step(values, numbers)
        else:
            off_step = off_step_rows(codec, values, numbers)
        return self._engine.hold(numbers, *coded, self._column.hold_table, off_step)

    def _unseen(self, part: Slice, counts: Ints) -> dict[str, Unseen]:
        """What the counts of `Engine.hold` say of a part; refuses what the column has no place for."""
        column, sorts = self._column, 2 * len(SORTS)
        (infinite, missing, outside, clipped, off_step), modal = counts[:sorts].reshape(-1, 2), counts[sorts:].sum()
        if infinite[0] or column.missing_cell < 0 and missing[0] > modal:
            numbers, which = ordinary_numbers(column.codec, column.modal_values, rows_for(column.codec, part.values))
            self._check(numbers, which, part.first_row)
        return Unseen.counted(part.first_row, outside=outside, clipped=clipped, off_step=off_step)

    def _check(self, numbers: Floats, which: NDArray[np.int64] | None, first_row: int) -> None:
        """Refuse what the cells cannot hold: infinities, missing rows without a cell, values without a mixture."""
        column, xp = self._column, namespace_of(numbers)
        finite = xp.isfinite(numbers)
        if column.mixture is not None and finite.all():
            return

        def place(row: int) -> str:
            return self._options.place(first_row + row)

        infinite = xp.isinf(numbers)
        if infinite.any():
            refuse_infinite(column, infinite, place)
        if column.mixture is None and finite.any():
            shown = column.codec.show(column.codec.value(float(numbers[finite][0])))
            problem = f"values (such as {shown}) are present in a column that had none at fit"
            refuse(column, finite, place, problem, "fit again with these rows")
        missing = ~finite if which is None else ~finite & (which == ORDINARY)
        if column.missing_cell < 0 and missing.any():
            problem = "values are missing in a column that had none missing at fit"
            refuse(column, missing, place, problem, "fill them in, or fit with rows that have missing values")


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
        self._table = column.inverse_table()
        cells = column.cell_positions()
        self._modal = [(cells[i], value) for i, value in enumerate(column.modal_values) if value is not MISSING]

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of scalars and cells."""
        assert part.scalar is not None and part.cell is not None
        column = self._column
        numbers = self._room(part.cell)
        wrong, complete = self._engine.inverse_transform(part.scalar, part.cell, self._table, numbers)
        if wrong >= 0:
            refuse_cell(column, first_row + wrong, int(part.cell[wrong]))
        array = column.codec.decode(numbers, complete=complete)
        cells = part.cell if isinstance(array, DeviceColumn) else to_numpy(part.cell)
        valid = within_bounds(column, column.codec.encode(array), cells) if self._check else None
        for cell, value in self._modal:
            held = cells == cell
            if held.any():
                array = with_value(column.codec, array, held, value)
        return Values(array, valid)

    def _room(self, cells: Cells) -> Floats:
        """Where numbers are written: in float64, or on a device in what the codec makes of them without a loss."""
        dtype = getattr(self._column.codec, "decoded", np.float64) if is_on_device(cells) else np.float64
        room: Floats = namespace_of(cells).empty(len(cells), dtype)
        return room


def within_bounds(column: MixtureColumn, numbers: Floats, cell: Cells) -> NDArray[np.bool_]:
    """Rows whose (rounded) number lies in the training range of the ordinary values; modal and missing rows always do.

    The tolerance is 1e-9 of range or magnitude, and what the step of a float32 scalar amounts to.
    """
    modal = np.zeros(column.width, np.bool_)
    modal[column.cell_positions()[: len(column.modal_values)]] = True
    inside: NDArray[np.bool_] = beside(modal, cell)[cell]
    inside |= column.in_range(numbers)
    return inside
