"""Warnings of choices of a fit that the user may not want, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.errors import declaration, listed
from gpuvgm.io import is_text_type

WIDE, NARROW = 1_000, 20  # columns of a matrix that are always, and never, too many
ROWS_PER_COLUMN = 5
MOST_NAMED = 20  # columns that a warning names
CODE_NAME = re.compile(r"(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))(?i:id|code|zip|zipcode|postal|postcode)$")
CausedWarning = tuple[str, tuple[str, ...]]  # a warning, and what it is about


def warnings_of(model: TableModel) -> list[CausedWarning]:
    """Warnings of choices that the user may not want, each with its remedy."""
    kinds = '"id", "pass" or "drop"'
    return [*_column_warnings(model, kinds, (), are_samples=False), *_network_warnings(model, '"pass" or "drop"')]


def warning_of_convergence(model: TableModel) -> str:
    """The warning of columns whose search ended before EM had converged, with the remedy; empty if there are none.

    The effort "research" stops after `max_iter` iterations, as the research code does, which is meant.
    """
    searched = {column.name: column.fit for column in model.columns if column.fit.effort != "research"}
    statement = TableModel.describe_unconverged(searched)
    efforts = {fit.effort for fit in searched.values() if fit.stopped_early}
    other = 'fit with effort="best", or ' if "auto" in efforts else ""
    return f"{statement}: {other}see in the page of evaluate whether the modes follow the values" if statement else ""


def warnings_of_samples(model: TableModel, skip: Collection[str], *, network: bool) -> list[CausedWarning]:
    """Warnings of a generator, whose samples have no values of passthrough columns.

    Columns in `skip` are named by another warning. Warnings of scalars and widths are for networks: a generator from
    counts has bins instead.
    """
    network_warnings = _network_warnings(model, '"drop"') if network else ()
    return [*_column_warnings(model, '"id" or "drop"', skip, are_samples=True), *network_warnings]


def warnings_of_modes(model: TableModel) -> list[CausedWarning]:
    """Warnings of columns of the compact layout that an estimator after the transformer misreads."""
    modes = [name for column in model.encoded if column.width > 1 for name in column.compact_names()[-1:]]
    remark = 'numbers of modes, which an estimator takes for quantities: give layout="onehot"'
    return [(f"{listed(modes, 3)}: {remark}", ("modes", *model.names))] if modes else []


def _column_warnings(model: TableModel, kinds: str, skip: Collection[str], *, are_samples: bool) -> list[CausedWarning]:
    """Warnings for any model; `kinds` are those to declare for columns that it should not learn."""
    inferred = [spec for spec in model.schema.columns if not spec.is_declared]
    reasons = {spec.name: spec.reason for spec in inferred}
    word_columns = {column.name for column in model.numeric if column.codec.plain.word_values}
    integer_columns = [column.name for column in model.numeric if pa.types.is_integer(column.decoded_type)]
    codes = {*filter(CODE_NAME.search, integer_columns)}  # movie_id, movieId or ZIP, whose size says nothing
    unseen = {spec.name: spec.kind for spec in inferred if spec.kind in ("id", "pass") and spec.name not in skip}
    unseen_texts = [name for name, kind in unseen.items() if kind == "pass" and is_text_type(model[name].decoded_type)]
    remaining_kinds = kinds
    if "id" in unseen.values():  # it is one already
        remaining_kinds = kinds.removeprefix('"id"').lstrip(", ").removeprefix("or ")
    texts = [
        _warning(
            _among(reasons, unseen),
            "the model does not see",
            f"declare their kind, {_key_of(unseen_texts) * are_samples}or {remaining_kinds} if that is meant",
        ),
        _warning(
            _among(reasons, word_columns),
            "words among values are kept as words:",
            "name those that mean a missing value in na_values",
        ),
        _warning(
            _among(reasons, codes),
            "by their names these numbers may be codes:",
            f'declare the kind "categorical", {_key_of(_among(reasons, codes)) * are_samples}{kinds} if they are',
        ),
    ]
    return [warning for warning in texts if warning[0]]


def _network_warnings(model: TableModel, kinds: str) -> list[CausedWarning]:
    """Warnings of the columns that a network sees."""
    width, names = model.onehot_width, model.schema.names
    scalars = {column.name: column for column in model.categorical if column.encoding == "interval"}
    reasons = {
        spec.name: spec.reason.removesuffix(f"; {scalars[spec.name].encoding_reason}")
        for spec in model.schema.columns
        if spec.name in scalars and not spec.is_declared
    }
    remedy = f'declare max_categories, encoding="onehot" or the kind {kinds}'
    texts = [_warning(reasons, "one scalar stands for all categories of", remedy)] if reasons else []
    if width == 0:
        texts.append(
            (f"{model.describe_widths(model.widths)}: a network learns nothing of the table", ("width", *names))
        )
    elif width > min(WIDE, max(NARROW, model.rows // ROWS_PER_COLUMN)):
        texts.append(
            (f"{model.describe_widths(model.widths)}: declare the kind {kinds}, or max_categories", ("width", *names))
        )
    return texts


def _key_of(names: Collection[str]) -> str:
    """What makes new values of these columns, as part of a list of remedies; empty without columns."""
    return f"{declaration(names, {'key': True})} for new ones that come back in as many rows, " if names else ""


def _among(reasons: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The reasons of some columns, in the table's order."""
    return {name: reason for name, reason in reasons.items() if name in names}


def _warning(reasons: Mapping[str, str], statement: str, remedy: str) -> CausedWarning:
    """A warning: a statement on some columns with the reasons of each, and the remedy; "" without columns."""
    texts = [f"{listed([name])} ({reason})" for name, reason in reasons.items()]
    suffix = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    text = f"{statement} {', '.join(texts[:MOST_NAMED])}{suffix}: {remedy}" if texts else ""
    return text, (statement, *reasons)
