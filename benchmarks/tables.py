"""The defaults on public tables that nobody here chose, and on made columns with sentinels, beside what is aimed at.

``python -m benchmarks tables`` takes minutes; ``--splits 20`` as many times what its held-out likelihoods take with 1.
Kinds are compared with labels that were written before (`benchmarks.public_tables`).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

import gpuvgm
from benchmarks.defaults import COLUMNS, FEW_ROWS, cpu_seconds, generated
from benchmarks.machine import describe_machine, machine_line
from benchmarks.measure import Measurement, append_lines, documents
from benchmarks.public_tables import Label, labels, public_tables
from benchmarks.tables_held_out import AUTO, BIC, RESEARCH, likelihoods
from benchmarks.tables_points import points
from benchmarks.tables_sentinels import LEAST_ROWS, LEAST_SHARE, SHARES, judge, made_columns, own_values
from gpuvgm.codecs import OfText
from gpuvgm.codecs.texts import DatetimeText
from gpuvgm.columns import MISSING, MixtureColumn

SPLITS = 5
REPEATS = 3
FEW = 5  # rows that are too few for a one-hot column
DUST = 8  # units in the last place of the largest value
NEAR = 1e-6  # standard deviations
TEXT_KINDS = ("number text", "date text")
OUTSIDE = ("id", "passthrough")  # kinds that no network sees
GOALS, SENTINELS, POINTS = "goals", "made columns with sentinels", "other made columns"


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, print tables of tables, goals and columns of another kind, and append JSON lines where asked to."""
    machine = describe_machine()
    logging.getLogger("gpuvgm").addHandler(logging.NullHandler())  # warnings are counted, not shown
    with threadpool_limits(1):
        measurements = list(measure(options.splits or SPLITS))
    if options.json == Path("-"):
        print(json.dumps(documents("tables", machine, measurements)))
        return 0
    console.print(f"tables: {machine_line(machine)}", soft_wrap=True, highlight=False)
    console.print(tables_table(measurements), goals_table(measurements[-1]), differences_table(measurements))
    if options.json is not None:
        append_lines(options.json, "tables", machine, measurements)
    return 0


def measure(splits: int) -> Iterator[Measurement]:
    """A measurement a table, two of made columns, and one of the goals; the time is CPU seconds a column."""
    measurements = [table_measurement(name, frame, splits) for name, frame in public_tables()]
    measurements += [sentinels_measurement(), points_measurement()]
    yield from measurements
    small = generated(FEW_ROWS, COLUMNS)
    seconds = min(cpu_seconds(lambda: _fit(small)) for _ in range(REPEATS)) / len(small)
    yield Measurement(GOALS, FEW_ROWS, seconds, details={"goals": list(goals(measurements, seconds))})


# -- one table


def table_measurement(name: str, frame: Any, splits: int) -> Measurement:
    """What the defaults make of a table, fitted without an argument and back; its columns are in the details."""
    start = time.process_time()
    found = facts(frame, labels()[name], splits)
    return Measurement(name, len(frame), found.pop("seconds", time.process_time() - start), details=found)


def facts(frame: Any, labelled: Mapping[str, Label], splits: int = 0) -> dict[str, Any]:
    """Facts of a table and of each column, and CPU seconds a column of the fit; or why it was refused."""
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            transformer = _fit(frame)
        except ValueError as problem:
            return {"refused": str(problem)}
    seconds = (time.process_time() - start) / frame.shape[1]
    told = [str(warning.message) for warning in caught]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = transformer.inverse_transform(transformer.transform(frame))
        report = transformer.evaluate(frame)
    columns = []
    for name, label in labelled.items():
        before = frame[name]
        found = column_facts(transformer, name, label, is_text=before.dtype.kind not in "biufM")
        found |= round_trip(before, back[name])
        if not found["equal"] and before.dtype.kind in "iu":
            found["said to come back"] = report.columns[name].comes_back
        found["named in a warning"] = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for text in told)
        if splits and before.dtype.kind in "iuf" and found["kind"] in ("continuous", "mixed"):
            found["held out"] = held_out(before.dropna().to_numpy(float), splits)
        columns.append(found)
    return {"seconds": seconds, "width": transformer.model_.onehot_width, "warnings": told, "columns": columns}


def _fit(table: Any) -> Any:
    return gpuvgm.TableTransformer(threads=1, random_state=0).fit(table)


def column_facts(transformer: Any, name: str, label: Label, *, is_text: bool) -> dict[str, Any]:
    """What was chosen for a column, beside its label."""
    column, reported = transformer.columns_.get(name), transformer.fit_report_.columns.get(name)
    own = own_values(column)
    reason = reported.reason if reported else ""
    found = {
        "column": name,
        "label": list(label.kinds),
        "code": label.code,
        "kind": kind_of(column, transformer.model_.widths.get(name, 0), is_text=is_text),
        "reason": reason,
        "width": transformer.model_.widths.get(name, 0),
        "modes": 0 if reported is None else reported.modes,
        "scale": reported.scale if reported else "",
        "hinted": "declare" in reason,
        "dust": [],
        "few rows": [],
    }
    if label.sentinels:
        found["sentinels"] = {str(value): value in own for value in label.sentinels}
    if label.kinds[0] == "mixed":
        found["spikes"] = {str(value): value in own for value in label.modal}
    if isinstance(column, MixtureColumn):
        counts = dict(zip(column.modal_values, column.modal_counts, strict=True))
        counts.pop(MISSING, None)
        found["few rows"] = [str(value) for value, count in counts.items() if count < FEW]
        found["dust"] = [str(value) for value in counts if is_dust(column, value)]
    return found


def kind_of(column: Any, width: int, *, is_text: bool) -> str:
    """The kind of a fitted column in the words of labels; a missing value alone makes nothing mixed."""
    if column is None:
        return "left out"
    if column.kind in ("id", "pass"):
        return "id" if column.kind == "id" else "passthrough"
    if width == 0:
        return "constant"
    if not isinstance(column, MixtureColumn):
        return str(column.kind)
    if is_text and isinstance(column.codec.plain, OfText):
        return "date text" if isinstance(column.codec.plain, DatetimeText) else "number text"
    return "mixed" if set(column.modal_values) - {MISSING} else "continuous"


def is_dust(column: MixtureColumn, value: Any) -> bool:
    """Whether a modal value is a multiple of the step but for what floating point does to it."""
    codec = column.codec.plain
    if not codec.step_text or not isinstance(value, float) or column.maximum is None or column.minimum is None:
        return False
    on_step = codec.decode(np.array([codec.number(value)]))[0].as_py()
    largest = max(abs(column.minimum), abs(column.maximum), abs(value))
    return bool(value != on_step and abs(value - on_step) <= DUST * np.spacing(largest))


def round_trip(before: Any, after: Any) -> dict[str, Any]:
    """Whether all rows of a column come back equal, missing ones and the type too, and else how far the farthest is."""
    missing = before.isna()
    same = before.dtype == after.dtype and bool((missing == after.isna()).all())
    equal = same and bool((before[~missing].to_numpy() == after[~missing].to_numpy()).all())
    found: dict[str, Any] = {"equal": equal}
    if not equal and before.dtype.kind in "iuf" and same:
        x = before[~missing].to_numpy(float)
        error = np.max(np.abs(after[~missing].to_numpy(float) - x), initial=0.0)
        found["farthest, sd"] = float(error / (np.std(x) or 1.0))
        found["whole"] = before.dtype.kind in "iu"
    return found


def agrees(found: dict[str, Any]) -> bool:
    """Whether the kind of a column is one of those that its label allows; codes may be numbers with a hint."""
    return found["kind"] in found["label"] or is_hinted_code(found)


def is_hinted_code(found: dict[str, Any]) -> bool:
    """Whether a column is of codes that are taken for numbers, and the fit says how to declare them."""
    return bool(found["code"] and found["kind"] in ("continuous", "mixed") and found["hinted"])


def held_out(x: np.ndarray, splits: int) -> dict[str, Any]:
    """Mean gains of the defaults in nats a row, and their standard errors over splits."""
    found = likelihoods(x, splits)
    gains = {name: np.subtract(found[AUTO], found[name]) for name in found if name != AUTO}
    return {
        name: {
            "mean": float(np.mean(gain)),
            "error": float(np.std(gain, ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None,
        }
        for name, gain in gains.items()
    }


# -- made columns


def sentinels_measurement() -> Measurement:
    """Made columns with sentinels."""
    start, found = time.process_time(), []
    for made in made_columns():
        result = judge(made)
        found.append({"aimed at": made.is_aimed_at, **vars(made), **result})
    seconds = (time.process_time() - start) / len(found)
    return Measurement(SENTINELS, max(one["rows"] for one in found), seconds, details={"made": found})


def points_measurement() -> Measurement:
    """Made columns of everything else that goes wrong, each a table of its own."""
    import pandas as pd

    start, found = time.process_time(), []
    for name, label, values in points():
        result = facts(pd.DataFrame({name: values}), {name: label})
        found += result.get("columns", [{"column": name, "label": list(label.kinds), **result}])
    seconds = (time.process_time() - start) / len(found)
    return Measurement(POINTS, len(found), seconds, details={"points": found})


# -- all tables


def goals(measurements: Sequence[Measurement], seconds: float) -> Iterator[tuple[str, str, str]]:
    """What was aimed at on all tables: the figure, what was measured, and the goal."""
    tables = [row for row in measurements if row.case not in (SENTINELS, POINTS)]
    fitted = [row for row in tables if "columns" in row.details]
    columns = [one for row in fitted for one in row.details["columns"]]
    yield "tables that fit with no argument", of(len(fitted), len(tables)), "all"
    yield from _goals_of_round_trips(columns)
    right = [one["kind"] == one["label"][0] for one in columns]
    yield "kinds as labelled, or another that is right too", of(sum(map(agrees, columns)), len(columns)), "≥ 96 %"
    yield "kinds that the labels prefer", of(sum(right), len(columns)), ""
    yield "codes taken for numbers without a hint", str(sum(_is_silent_code(one) for one in columns)), ""
    yield from _goals_of_sentinels(columns, [one for row in measurements for one in row.details.get("made", ())])
    yield from _goals_of_points([one for row in measurements for one in row.details.get("points", ())])
    yield from _goals_of_likelihoods([one["held out"] for one in columns if "held out" in one])
    yield from _goals_of_one_hot_columns(columns)
    yield "numbers or dates in text that are not read; without a warning", _unread(columns), "; 0"
    silent = [one for one in columns if one["kind"] in OUTSIDE and not one["named in a warning"]]
    yield "columns that leave the model without a warning", str(len(silent)), "0"
    widest = sorted(fitted, key=lambda row: -row.details["width"])[:5]
    named = "; ".join(f"{row.details['width']:,} for {row.rows:,} rows" for row in widest)
    yield "the widest five matrices", named, ""
    wide = [row for row in fitted if row.details["width"] > row.rows / 5]
    warned = [row for row in wide if any("one-hot" in text for text in row.details["warnings"])]
    yield "matrices wider than rows / 5, with a warning", of(len(warned), len(wide)), "all"
    told = sum(bool(row.details["warnings"]) for row in fitted)
    yield "tables with a warning", of(told, len(fitted)), ""
    median = statistics.median(row.seconds for row in fitted)
    yield f"CPU s a column of {FEW_ROWS:,} generated rows; median table", f"{seconds:.3f}; {median:.3f}", "0.032"


def _goals_of_round_trips(columns: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    others = [one for one in columns if not one["equal"]]
    near = sum(one.get("farthest, sd", np.inf) <= NEAR for one in others)
    wrong = sum(bool(one.get("said to come back")) for one in others)
    yield "columns equal to the bit", of(len(columns) - len(others), len(columns)), "≥ 99 %"
    yield f"others within {NEAR:g} sd; of whole numbers", f"{near} of {len(others)}; {_whole(others)}", "all; 0"
    yield "changed whole numbers that are said to come back", str(wrong), "0"


def _whole(columns: Sequence[dict[str, Any]]) -> int:
    return sum(bool(one.get("whole")) for one in columns)


def _goals_of_sentinels(
    columns: Sequence[dict[str, Any]], made: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    labelled = [own for one in columns for own in one.get("sentinels", {}).values()]
    yield "labelled sentinels with a one-hot column", of(sum(labelled), len(labelled)), "all"
    spikes = [own for one in columns for own in one.get("spikes", {}).values()]
    yield "labelled spikes with a one-hot column", of(sum(spikes), len(spikes)), ""
    for type_ in ("float", "whole"):
        aimed = [one for one in made if one["aimed at"] and one["type"] == type_]
        own = sum(one["own"] == len(one["sentinels"]) for one in aimed)
        back = sum(one["decoded"] >= 0.99 for one in aimed)
        what = f"made columns, {type_} numbers, ≥ {per_cent(LEAST_SHARE)} and ≥ {LEAST_ROWS} rows"
        yield f"{what}: all sentinels have one", of(own, len(aimed)), "all"
        yield f"{what}: ≥ 99 % of their rows decoded", of(back, len(aimed)), "all"
    rare = [one for one in made if one["sentinels"] and one["share"] < LEAST_SHARE]
    yield f"made columns below {per_cent(LEAST_SHARE)}", of(_own(rare), len(rare)), ""
    for share in SHARES:
        some = [one for one in made if one["share"] == share]
        yield f"made columns with sentinels in {per_cent(share)} of rows each", of(_own(some), len(some)), ""
    plain = [one for one in made if not one["sentinels"]]
    yield (
        "made columns without sentinels that have modal values",
        of(sum(bool(one["others"]) for one in plain), len(plain)),
        "",
    )


def _goals_of_points(made: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    if not made:
        return
    fitted = [one for one in made if "refused" not in one]
    yield "other made columns, each a table: refused", of(len(made) - len(fitted), len(made)), "0"
    yield "other made columns: kinds as aimed at", of(sum(map(agrees, fitted)), len(made)), "all"
    yield "other made columns: not read; without a warning", _unread(fitted), "; 0"
    for what, count, goal in (*_goals_of_one_hot_columns(fitted), *_goals_of_round_trips(fitted)):
        yield f"other made columns: {what}", count, goal


def _goals_of_one_hot_columns(columns: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    yield "columns with one-hot columns for dust", str(sum(bool(one["dust"]) for one in columns)), "0"
    yield f"columns with some for fewer than {FEW} rows", str(sum(bool(one["few rows"]) for one in columns)), "0"


def _unread(columns: Sequence[dict[str, Any]]) -> str:
    silent = [one for one in columns if one["label"][0] in TEXT_KINDS and one["kind"] not in TEXT_KINDS]
    return f"{len(silent)}; {sum(not one['named in a warning'] for one in silent)}"


def _own(made: Sequence[dict[str, Any]]) -> int:
    return sum(one["own"] == len(one["sentinels"]) for one in made)


def _goals_of_likelihoods(found: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for name, losses in ((RESEARCH, (0.005, 0.02)), (BIC, (0.05,))):
        gains = [one[name] for one in found if name in one]
        if not gains:
            continue
        for loss, goal in zip(losses, ("≤ 5 %", "0"), strict=False):
            worse = [gain for gain in gains if gain["mean"] < -loss]
            clear = sum(_is_clear(gain) for gain in worse)
            told = f"{of(len(worse), len(gains))}; {clear} by more than 2 standard errors"
            yield f"held out, worse than {name} by > {loss} nats a row", told, goal
        better, median = sum(gain["mean"] > losses[0] for gain in gains), statistics.median(g["mean"] for g in gains)
        yield f"held out, better than {name} by > {losses[0]}; median", f"{better}; {median:+.4f}", ""


def _is_clear(gain: dict[str, Any]) -> bool:
    return gain["error"] is not None and abs(gain["mean"]) > 2 * gain["error"]


def _is_silent_code(found: dict[str, Any]) -> bool:
    return bool(found["code"] and found["kind"] in ("continuous", "mixed") and not found["hinted"])


def of(count: int, all_: int) -> str:
    """A count of all, and its share."""
    return f"{count} of {all_}" + (f" ({per_cent(count / all_)})" if all_ else "")


def per_cent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.3g} %"


def tables_table(measurements: Sequence[Measurement]) -> Table:
    """What the defaults make of each table."""
    headings = ("rows", "columns", "kinds right", "equal to the bit", "width", "warnings", "CPU s a column")
    table = Table("table", *headings, title="tables", title_justify="left")
    for row in measurements:
        if "refused" in row.details:
            table.add_row(row.case, f"{row.rows:,}", row.details["refused"])
        elif "columns" in row.details:
            columns = row.details["columns"]
            counts = (len(columns), sum(map(agrees, columns)), sum(one["equal"] for one in columns))
            figures = (row.rows, *counts, row.details["width"], len(row.details["warnings"]))
            table.add_row(row.case, *(f"{figure:,}" for figure in figures), f"{row.seconds:.3f}")
    return table


def goals_table(measurement: Measurement) -> Table:
    """Goals beside what was measured."""
    table = Table("figure", "measured", "goal", title="goals", title_justify="left")
    for row in measurement.details["goals"]:
        table.add_row(*row)
    return table


def differences_table(measurements: Sequence[Measurement]) -> Table:
    """Columns whose kind is not as labelled."""
    table = Table("table", "column", "label", "kind", "reason", title="columns of another kind", title_justify="left")
    for row in measurements:
        for one in (*row.details.get("columns", ()), *row.details.get("points", ())):
            if "refused" in one:
                table.add_row(row.case, one["column"], " or ".join(one["label"]), "refused", one["refused"])
            elif not agrees(one):
                table.add_row(row.case, one["column"], " or ".join(one["label"]), one["kind"], one["reason"])
    return table
