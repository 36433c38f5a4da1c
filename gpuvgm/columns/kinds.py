"""Kinds of columns: what each does in fit, transform and inverse, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuvgm.columns.base import ColumnRequest, Decoder, Encoder, EncodingOptions
from gpuvgm.columns.categorical import LevelDecoder, LevelEncoder, plan_levels
from gpuvgm.columns.general import RangeDecoder, RangeEncoder
from gpuvgm.columns.mixture_rows import MixtureDecoder, MixtureEncoder
from gpuvgm.columns.model import ColumnModel
from gpuvgm.columns.numeric import Lowest, plan_numbers
from gpuvgm.columns.passthrough import Passing, PassPlan
from gpuvgm.engines import Engine
from gpuvgm.execution.aggregate import Plan


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of column does.

    Parameters
    ----------
    plan : callable
        (request, sample, smallest ordinary value of a log column) -> Plan.
    encoder, decoder : callable
        (engine, column, options) -> Encoder and (engine, column, check) -> Decoder.
    """

    plan: Callable[[ColumnRequest, Any, Lowest | None], Plan]
    encoder: Callable[[Engine, Any, EncodingOptions], Encoder]
    decoder: Callable[[Engine, Any, bool], Decoder]


_MIXTURE = Kind(plan_numbers, MixtureEncoder, lambda engine, column, check: MixtureDecoder(engine, column, check=check))
KINDS: dict[str, Kind] = {
    "continuous": _MIXTURE,
    "mixed": _MIXTURE,
    "categorical": Kind(
        lambda request, sample, _: plan_levels(request, sample),
        LevelEncoder,
        lambda engine, column, _: LevelDecoder(engine, column),
    ),
    "general": Kind(plan_numbers, RangeEncoder, lambda engine, column, _: RangeDecoder(engine, column)),
    "pass": Kind(
        lambda request, sample, _: PassPlan(request.name, str(sample.type)),
        Passing,
        lambda engine, column, _: Passing(engine, column),
    ),
}


def encoder_of(engine: Engine, column: ColumnModel, options: EncodingOptions) -> Encoder:
    """What encodes a column."""
    return KINDS[column.kind].encoder(engine, column, options)


def decoder_of(engine: Engine, column: ColumnModel, *, check: bool) -> Decoder:
    """What decodes a column."""
    return KINDS[column.kind].decoder(engine, column, check)
