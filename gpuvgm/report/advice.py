"""Advice on columns: sentences about problems that their figures show, and remedies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from gpuvgm.codecs import values_in
from gpuvgm.columns import MISSING, ColumnSpec
from gpuvgm.errors import counted
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures, ValueCount
from gpuvgm.report.measures import share, short
from gpuvgm.report.profiles import ModeProfile, NumberProfile, hides_values, usual_ks

CLIPPED = 1e-3  # shares of rows from which on they are worth a word
INVALID = 0.01
UNDER_THRESHOLD = 0.01
OTHER_MODE = 0.01
DRIFT = 0.05  # difference of a fitted weight and a drawn share
FIT_ERROR = 1e-8  # in sigma
A_ROUNDING = 1e-4  # in sd: all rows but one in a thousand came back this close
OWN_CATEGORY, OWN_NUMBER = 0.95, 0.999  # share of different values from which on they may tell rows apart
LEAST_CATEGORIES, LEAST_NUMBERS = 20, 100  # rows below which different values say nothing


@dataclass(frozen=True, slots=True)
class Advice:
    """A problem of a column in a sentence, and what to do; notes are about what may be better, not wrong."""

    problem: str
    remedy: str
    sort: Literal["warning", "note"] = "warning"


_NO_VALUE = Advice("No row has a value.", 'Leave the column out (kind="drop").')
_CONSTANT = Advice("Every row holds the same value.", 'It tells a model nothing: kind="drop" leaves it out.')
_AS_IDENTIFIER = 'If it tells rows apart, kind="id" keeps it out of the model; kind="pass" hands it through.'


def advice(name: str, column: ColumnFigures) -> list[Advice]:
    """Return the advice on a column, the worst problem first; empty if its figures show none.

    Parameters
    ----------
    name : str
        The column.
    column : NumberFigures, CategoryFigures or PassedFigures
        Its figures.
    """
    if isinstance(column, CategoryFigures):
        return list(_of_categories(column))
    if not isinstance(column, NumberFigures):
        return []
    problems = list(_of_values(column))
    if column.profile is not None and column.has_modes:
        problems += [*_of_fit(column.profile), *_of_modes(column, column.profile), *_of_spikes(name, column.profile)]
        # Most columns use all their components, and nothing is wrong with them.
        problems += _of_components(column.profile) if any(problem.sort == "warning" for problem in problems) else ()
    return problems


def advice_on_kind(levels: Sequence[ValueCount], reason: str) -> Iterator[Advice]:
    """Yield advice on an undeclared categorical column whose categories are numbers or dates.

    Two categories need no advice: their order and distance are no more than those of two numbers.

    Parameters
    ----------
    levels : sequence of ValueCount
        Its most frequent categories.
    reason : str
        Why it has its kind.
    """
    texts = [count.text for count in levels if count.value is not MISSING]
    is_inferred = bool(reason) and not ColumnSpec.says_declared(reason)
    content = values_in(pa.array(texts)) if len(texts) > 2 and is_inferred else ""
    if content:
        yield Advice(
            f"The {content} count as categories, so that nothing is said of their order and distances.",
            'Declare the kind "continuous" if they are quantities; text of several forms must be converted first.',
        )


def _of_categories(column: CategoryFigures) -> Iterator[Advice]:
    present = column.rows - column.missing
    if not present:
        yield _NO_VALUE
    elif column.level_count == 1 and not column.missing and not column.unknown_rows:
        yield _CONSTANT
    elif column.distinct >= max(LEAST_CATEGORIES, OWN_CATEGORY * present):
        yield Advice(
            f"{column.distinct:,} different values in {counted(present, 'row')}: it looks like an identifier or free "
            "text, of which a model learns nothing.",
            _AS_IDENTIFIER,
        )
    if column.unknown_rows:
        yield Advice(
            f"{share(column.unknown_rows / column.rows)} of rows hold a value that the fit did not know; they come "
            "back missing.",
            "Fit again with these rows, or name all categories: categories=[…].",
        )
    if column.infrequent_rows:
        yield Advice(
            f"{share(column.infrequent_rows / column.rows)} of rows hold an infrequent category, which shares its "
            "one-hot column with others; they come back missing.",
            "Fit with a larger max_categories, or without it.",
        )


def _of_values(column: NumberFigures) -> Iterator[Advice]:
    if column.before is None:
        yield _NO_VALUE
        return
    if column.clipped_share >= CLIPPED and column.has_modes:
        yield Advice(
            f"{share(column.clipped_share)} of rows lie too far out for their mode and are cut at "
            f"±0.99{_clip_words(column)}: they come back too close to its mean.",
            'Fit with tails="exact" to keep them, or look at the rows if they should not be there.',
        )
    if column.invalid_share >= INVALID or (not column.has_modes and column.clipped_share >= INVALID):
        yield Advice(
            f"{share(max(column.invalid_share, column.clipped_share))} of rows lie outside the range that was fitted.",
            "Fit again with rows like these.",
        )
    spike = column.profile.spike if column.profile is not None else None
    heaviest = column.profile.heaviest if column.profile is not None else 1.0
    if column.p999_error < A_ROUNDING and hides_values(column.ks, column.rows, heaviest):
        yield Advice(
            "Errors are small beside the column's standard deviation, but larger than the distances between many of "
            f"its values: KS is {short(column.ks)}.",
            "Declare log=True for values of many magnitudes, or look at the rows farthest out.",
        )
    elif column.p999_error < A_ROUNDING and column.ks > max(usual_ks(column.rows), 2 * spike.share if spike else 0.0):
        yield Advice(
            f"Values that repeat come back a rounding apart: KS is {short(column.ks)}, though errors are tiny.",
            "Declare whole numbers integer=True, give amounts a decimal type, or declare repeated values modal=[…].",
        )
    if any(count.rows_before == column.rows for count in column.modal) or not (column.modal or column.before.sd):
        yield _CONSTANT
    if column.profile is not None and column.rows >= LEAST_NUMBERS and column.profile.different >= OWN_NUMBER:
        yield Advice(
            "Nearly all of these whole numbers are different: they may be identifiers.", _AS_IDENTIFIER, "note"
        )


def _clip_words(column: NumberFigures) -> str:
    """Text on the end and the mode where most rows are cut; empty if they are spread over several."""
    profile = column.profile
    if profile is None or not profile.modes:
        return ""
    mode = max(profile.modes, key=lambda mode: mode.below + mode.above)
    total = profile.below + profile.above
    ends = [word for word, rows in (("below", profile.below), ("above", profile.above)) if rows > 0.8 * total]
    worst_mode = f"most of them in mode {mode.code}" if 2 * (mode.below + mode.above) > total else ""
    words = ", ".join(filter(None, [f"mostly {ends[0]}" if ends else "", worst_mode]))
    return f" ({words})" if words else ""


def _of_fit(profile: NumberProfile) -> Iterator[Advice]:
    fit = profile.fit
    if fit.algorithm == "none":
        return
    if fit.stopped_early:
        yield Advice(
            f"The fit stopped after {fit.iterations:,} iterations, before it had converged.",
            "Look whether the curve follows the histogram."
            if fit.effort == "best"
            else 'Fit with effort="best", or with a larger max_iter.',
        )
    if fit.fit_error > FIT_ERROR:
        yield Advice(
            f"The fit may be {short(fit.fit_error)} sigma away from that on every row.",
            'Fit with algorithm="exact" if that matters.',
        )


def _of_components(profile: NumberProfile) -> Iterator[Advice]:
    active = sum(mode.weight is not None for mode in profile.modes)
    if active == profile.components > 1:
        yield Advice(
            f"All {active} components are in use: more might describe the column better.",
            f"Fit with n_components={2 * active}, and compare the curve with the histogram.",
            "note",
        )


def _of_modes(column: NumberFigures, profile: NumberProfile) -> Iterator[Advice]:
    if column.under_threshold_rows >= UNDER_THRESHOLD * column.rows:
        yield Advice(
            f"{share(column.under_threshold_rows / column.rows)} of rows belong to components that are too light to be "
            "modes, and go to others.",
            "Fit with a smaller weight_threshold.",
        )
    if column.mode_agreement is not None and column.mode_agreement < 1 - OTHER_MODE:
        yield Advice(
            f"{share(1 - column.mode_agreement)} of rows change their most probable mode on the way.",
            "Often these are cut rows or values between two modes of one place; fewer n_components may do.",
            "note",
        )
    modes = [mode for mode in profile.modes if mode.weight is not None]
    mode_rows = sum(mode.rows for mode in modes)
    inactive_weight = profile.other_weight
    drifts = [(_drift(mode, mode_rows, inactive_weight), mode) for mode in modes] if mode_rows else []
    drift, mode = max(drifts, default=(0.0, None), key=lambda pair: pair[0])
    if mode is not None and mode.weight is not None and drift >= DRIFT:
        yield Advice(
            f"Mode {mode.code} has a fitted weight of {share(mode.weight)} but was drawn by "
            f"{share(mode.rows / mode_rows)} of the rows: these rows are not distributed as those of the fit.",
            "Fit again if the data has changed.",
        )


def _drift(mode: ModeProfile, mode_rows: int, inactive_weight: float) -> float:
    """Distance of a mode's share of rows from its weight; it may also have rows of inactive components."""
    part, weight = mode.rows / mode_rows, mode.weight or 0.0
    return max(weight - part, part - weight - inactive_weight)


def _of_spikes(name: str, profile: NumberProfile) -> Iterator[Advice]:
    spike = profile.spike
    if spike is not None:
        column = json.dumps(name, ensure_ascii=False)
        other_options = "".join(f', "{option}": {value}' for option, value in spike.options.items())
        yield Advice(
            f"The value {spike.text} alone makes up {share(spike.share)} of the rows and stands out.",
            "Give it a one-hot column of its own: "
            f'columns={{{column}: {{"kind": "mixed", "modal": {spike.declared}{other_options}}}}}.',
        )
