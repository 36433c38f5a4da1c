"""From a source and settings to fitted columns: schema, sample, fit, and what is left to do after a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from gpuvgm.columns.base import MODE, SCALAR, ColumnRequest
from gpuvgm.columns.model import FittedTable
from gpuvgm.columns.schema import Declared, TableSchema, check_settings
from gpuvgm.config import EncodingRules, FitConfig, check_choice
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import Sampled, take_sample
from gpuvgm.io import Source, stray_text
from gpuvgm.table.columns_fit import FittedColumns, fit_table
from gpuvgm.table.numeric_fit import read_once

Settings = Mapping[str, Any]
_PARTS = {"continuous": (SCALAR, MODE), "mixed": (SCALAR, MODE), "general": (SCALAR, MODE), "categorical": (MODE,)}


def fit_source(
    source: Source, declared: Declared, settings: Settings, run: Run, before: FittedTable | None = None
) -> FittedTable:
    """Fit the columns of a source.

    Parameters
    ----------
    source : Source
        The training rows.
    declared : None, list of str, or mapping
        What the user says of the columns.
    settings : mapping
        The table's settings, by the names of `TableTransformer`.
    run : Run
        Engine, executor and block size.
    before : FittedTable, optional
        What an earlier fit of the same source finished; only the other columns are fitted.

    Raises
    ------
    InputError
        For settings, declarations or a source that cannot be used at all, or when every column fails.
    """
    check_settings(settings)
    check_choice("algorithm", settings["algorithm"], ("summary", "exact", "auto"))
    schema = TableSchema.declare(declared, source.schema, source.name)
    seed = settings["random_state"]
    sampled = take_sample(source, schema.needed or schema.names, run, seed)
    schema = schema.inferred(sampled.rows, source.name, partial(stray_text, source))
    _check_names(schema)
    requests = requests_of(schema, settings)
    _refuse_exact(source, requests)
    if before is not None:
        return _resumed(before, sampled, schema, requests, run)
    fitted = fit_table(sampled, requests, run)
    return _table(schema, fitted, seed, source)


def _check_names(schema: TableSchema) -> None:
    """Refuse columns whose encoded parts would have the same name."""
    names = Counter(
        name
        for spec in schema.used
        for name in ([spec.name] if spec.kind == "pass" else [spec.name + part for part in _PARTS.get(spec.kind, ())])
    )
    double = [name for name, count in names.items() if count > 1]
    if double:
        raise InputError(f'two columns would both be encoded as "{double[0]}"; rename one of them, or drop it')


def _refuse_exact(source: Source, requests: list[ColumnRequest]) -> None:
    exact = any(r.config.algorithm == "exact" and r.spec.kind in ("continuous", "mixed") for r in requests)
    if exact and not source.repeatable:
        raise read_once(source.name)


def _table(schema: TableSchema, fitted: FittedColumns, seed: int, source: Source) -> FittedTable:
    failed = {name: str(fitted.failed[name].problem) for name in schema.names if name in fitted.failed}
    if failed and not fitted.columns:
        raise next(fitted.failed[name].problem for name in failed)
    return FittedTable(schema, fitted.columns, fitted.summaries, failed, seed, fitted.rows, source.fingerprint())


def _resumed(
    before: FittedTable, sampled: Sampled, schema: TableSchema, requests: list[ColumnRequest], run: Run
) -> FittedTable:
    """What was fitted before, and the columns that were not or are declared otherwise now."""
    source = sampled.source
    if before.source != source.fingerprint():
        raise InputError(f"{source.name}: is not the source that the earlier fit read; fit again without resume")
    known = {spec.name: (spec.kind, dict(spec.options)) for spec in before.schema.columns}
    kept = {
        spec.name: before.columns[spec.name]
        for spec in schema.used
        if spec.name in before.columns and known[spec.name] == (spec.kind, dict(spec.options))
    }
    left = [request for request in requests if request.name not in kept]
    if not left:
        return replace(before, schema=schema, columns=kept, failed={})
    fitted = fit_table(sampled, left, run)
    summaries = {name: summary for name, summary in before.summaries.items() if name in kept}
    failed = {name: str(failure.problem) for name, failure in fitted.failed.items()}
    return replace(
        before,
        schema=schema,
        columns=kept | fitted.columns,
        summaries=summaries | fitted.summaries,
        failed=failed,
        rows=max(before.rows, fitted.rows),
    )


def requests_of(schema: TableSchema, settings: Settings) -> list[ColumnRequest]:
    """What is asked for each column: the table's settings and its own."""
    config = FitConfig(**{name: settings[name] for name in FitConfig.__dataclass_fields__ if name in settings})
    rules = EncodingRules(**{name: settings[name] for name in EncodingRules.__dataclass_fields__})
    return [
        ColumnRequest(
            spec,
            spec.fit_config(config),
            spec.encoding_rules(rules),
            spec.inf(settings["inf"]) == "missing",
            spec.unknown(settings["unknown"]),
        )
        for spec in schema.used
    ]


def raise_failures(fitted: FittedTable) -> None:
    """Tell of the columns that failed.

    Raises
    ------
    ColumnsFailed
        Where there are any.
    """
    if fitted.failed:
        raise ColumnsFailed(fitted.failed, len(fitted.columns))
