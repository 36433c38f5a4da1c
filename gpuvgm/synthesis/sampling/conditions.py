"""Samplers of rows that meet conditions: what bins are left, and what is to be tested of the values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np

from gpuvgm.errors import listed
from gpuvgm.synthesis.bins import (
    Bins,
    bins_with_mass,
    check_names,
    origins_of,
    read_condition,
    restricted,
    restricted_or_whole,
    restricted_since,
)
from gpuvgm.synthesis.counts import Structure
from gpuvgm.synthesis.learning import RowModel
from gpuvgm.synthesis.sampling.keeper import LawKeeper
from gpuvgm.synthesis.sampling.rows import RowDrawer
from gpuvgm.synthesis.sampling.sampler import Sampler

_LOG = logging.getLogger("gpuvgm")
UNLIKELY_ROWS = 0.5  # of the training rows, that conditions leave


def sampler_under(model: RowModel, conditions: Mapping[str, Any], engine: str) -> Sampler:
    """Sampler of rows that meet the conditions."""
    columns: dict[str, Any] = model.columns
    structure = model.network.structure
    bins = {column_bins.name: column_bins for column_bins in structure.bins}
    check_names(conditions, bins)
    laws = model.kept_laws if model.attributes else model.kept_laws.without_computing(conditions, columns)
    keeper = LawKeeper(columns, laws, origins_of(bins.values()))
    criteria = {name: read_condition(columns[name], condition) for name, condition in conditions.items()}
    restricted_bins = _drawable_bins(keeper, structure, bins, _restricted_bins(keeper, bins, conditions))
    restrictions = {
        place: restricted_bins[name] for place, name in enumerate(bins) if restricted_bins[name] is not bins[name]
    }
    tested = {name: met for name, met in criteria.items() if bins[name].made_of is not None or name in keeper.changed}
    drawer = RowDrawer(model.table, model.network, restrictions, model.forms, model.attributes, engine, tested, laws)
    return Sampler(drawer, criteria)


def _restricted_bins(keeper: LawKeeper, bins: Mapping[str, Bins], conditions: Mapping[str, Any]) -> dict[str, Bins]:
    """Bins of all columns, restricted by each condition in turn."""

    def restricted_by(restricted_bins: dict[str, Bins], name: str) -> dict[str, Bins]:
        condition, columns = conditions[name], keeper.columns
        if name in keeper.computed:
            return restricted_bins | keeper.restricted(restricted_bins, name, condition)
        if bins[name].since is None:
            return restricted_bins | {name: restricted(columns[name], restricted_bins[name], condition)}
        return restricted_bins | restricted_since(columns, restricted_bins, name, condition)

    return reduce(restricted_by, conditions, dict(bins))


def _drawable_bins(
    keeper: LawKeeper, structure: Structure, bins: Mapping[str, Bins], restricted_bins: Mapping[str, Bins]
) -> dict[str, Bins]:
    """Restricted bins as they can be drawn: tests say whether values meet a condition, bins whether they may."""
    in_turn = keeper.in_turn([structure.bins[place].name for place in structure.order]).computed

    def drawable(name: str) -> Bins:
        column_bins, restriction = bins[name], restricted_bins[name]
        if name in keeper.computed:
            is_left = name in in_turn and restriction is not column_bins
            restriction = bins_with_mass(column_bins, restriction) if is_left else column_bins
        is_restricted_twin = column_bins.twin is not None and restriction is not column_bins
        return restricted_or_whole(column_bins, restriction) if is_restricted_twin else restriction

    return {name: drawable(name) for name in bins}


def warn_of_rare(sampler: Sampler) -> None:
    """Warn of conditions that hardly any row meets; those that none can meet raise InputError."""
    network, conditions = sampler.drawer.network, sampler.drawer.conditions
    rows = network.counts.rows
    mass = float(np.exp(sampler.drawing.messages.log_mass))
    if mass * rows < UNLIKELY_ROWS:
        _LOG.warning(
            "conditions: the model expects only %.1g of %s training rows to meet them", mass * rows, f"{rows:,}"
        )
    if not conditions:
        return
    way, names = sampler.way, [network.structure.bins[place].name for place in conditions]
    if way.is_exact and not way.is_slow:
        return
    consequence, gain = "so that hundreds are drawn for each", "to have them drawn at once"
    if not way.is_exact:
        consequence = "which are drawn from a network with two parents a column"
        gain = "to have them drawn from the trees"
    remedy = f"; fit with conditions_on={names} {gain}" if way.is_helped else ""
    _LOG.warning("conditions: few rows meet those on %s, %s%s", listed(names), consequence, remedy)
