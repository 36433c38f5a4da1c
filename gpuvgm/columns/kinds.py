"""The kinds of columns as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuvgm.columns.base import ColumnPlan, FittedColumn
from gpuvgm.columns.categorical import CategoricalColumn, plan_categories
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.columns.identifiers import IdColumn, plan_ids
from gpuvgm.columns.numeric import first_plan
from gpuvgm.columns.passthrough import PassthroughColumn, PassthroughPlan
from gpuvgm.columns.specs import ColumnRequest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of columns; everything after the fit is done by its fitted columns.

    Parameters
    ----------
    plan : callable
        (request, sample) -> ColumnPlan.
    column : type
        Class of its fitted columns.
    """

    plan: Callable[[ColumnRequest, Any], ColumnPlan]
    column: type[FittedColumn]


KINDS: dict[str, Kind] = {
    "continuous": Kind(first_plan, MixtureColumn),
    "mixed": Kind(first_plan, MixtureColumn),
    "categorical": Kind(plan_categories, CategoricalColumn),
    "general": Kind(first_plan, GeneralColumn),
    "id": Kind(plan_ids, IdColumn),
    "pass": Kind(lambda request, sample: PassthroughPlan(request.name, sample.type), PassthroughColumn),
}
