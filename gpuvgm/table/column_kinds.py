"""What a table is without a fit: the kinds that a fit would give its columns, and what these hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from gpuvgm.columns import ColumnSpec, TableSchema
from gpuvgm.errors import counted
from gpuvgm.execution import Sampled, any_source, summarise_columns
from gpuvgm.io import TableLike, plain_values_of
from gpuvgm.report import TableDescription
from gpuvgm.table.base import BaseTransformer
from gpuvgm.table.fit import Settings, infer_kinds, plan_columns, refuse_empty, training_run, with_seed


def kinds(source: TableLike, **settings: Any) -> TableSchema:
    """Infer the kinds of the columns of a table as a fit does, without the fit.

    Kinds are inferred from the sample that a fit takes. Text is read in all rows, which decide whether it is
    categories, free text or identifiers. What rows outside the sample refute only a fit finds, such as a whole number
    that comes twice in a column of different ones.

    Parameters
    ----------
    source : object
        A table, as `TableTransformer.fit` takes it.
    **settings
        Arguments of `TableTransformer`. Kinds depend on `columns`, `effort`, `tails`, `n_components`, `random_state`
        and `sample_rows`; `executor`, `memory`, `threads` and `progress` say where and how rows are read.

    Returns
    -------
    TableSchema
        The columns with kind, options and reason. `print` shows a table; ``dict(kinds)`` has the columns by name, and
        `to_toml` gives the file for ``--columns``. The argument `columns` takes the schema as it is, also with changes:
        ``dict(kinds) | {"zip": "categorical"}``. Where the rows and settings are the same, the fit is the same to the
        bit as without it; where other rows would make a column something else, it is declared to be what it was.

    Raises
    ------
    InputError
        For a source that cannot be read, and columns or settings that no fit takes.

    Examples
    --------
    >>> import gpuvgm
    >>> table = {"age": [20 + i % 50 for i in range(400)], "colour": ["red", "red", "red", "blue"] * 100}
    >>> kinds = gpuvgm.kinds(table)
    >>> print(kinds)
    age     continuous   int64 with 50 distinct values in 400
    colour  categorical  string with 2 distinct values
    >>> gpuvgm.TableTransformer(dict(kinds) | {"age": "categorical"}).fit(table).columns_["age"].kind
    'categorical'
    """
    transformer, table = BaseTransformer(**settings), any_source(source)
    fit_settings = with_seed(transformer._fit_settings)
    declared = TableSchema.declare(transformer.columns, table.schema, table.name)
    with training_run(table, declared, fit_settings, transformer._run_settings) as run:
        sampled, schema = infer_kinds(run, declared, fit_settings)
        refuse_empty(sampled)
        schema = TableSchema(tuple(_with_missing(spec, sampled) for spec in schema.columns))
        return schema.with_others(_text_kinds(sampled, schema, fit_settings))


def describe(source: TableLike, **settings: Any) -> TableDescription:
    """Describe a table without a model: kinds of its columns, moments and quantiles, missing and different values.

    All rows are read once, in blocks, beside the sample that kinds are inferred from, and memory does not grow with
    their number.

    Parameters
    ----------
    source : object
        A table, as `TableTransformer.fit` takes it.
    **settings
        Arguments of `TableTransformer`, as for `kinds`.

    Returns
    -------
    TableDescription
        `print` shows tables, `to_html` writes a page, and `to_dict` gives the figures. Mean, sd, skewness and
        quantiles are those of pandas; quantiles are exact where values come back, as prices do, and elsewhere within a
        cell of about 2^-14 of the rows. More than some 16,000 different values are counted to about 1 %. Text that the
        sample shows to be numbers, and other rows do not, has no moments.

    Raises
    ------
    InputError
        For a source that cannot be read, or has no rows, and columns or settings that no fit takes.

    Examples
    --------
    >>> import gpuvgm
    >>> table = {"price": [20.15, 20.16] * 200, "colour": ["red", "red", "red", "blue"] * 100}
    >>> description = gpuvgm.describe(table)
    >>> description.columns["price"].texts[4], description.columns["colour"].different
    ('20.155', 2)
    """
    transformer, table = BaseTransformer(**settings), any_source(source)
    fit_settings = with_seed(transformer._fit_settings)
    declared = TableSchema.declare(transformer.columns, table.schema, table.name)
    with training_run(table, declared, fit_settings, transformer._run_settings) as run:
        sampled, schema = infer_kinds(run, declared, fit_settings)
        refuse_empty(sampled)
        schema = TableSchema(tuple(_with_missing(spec, sampled) for spec in schema.columns))
        plans = schema.value_plans(fit_settings, sampled.rows, run.source.schema)
        counts = summarise_columns([*plans.values()], run, sampled.blocks)
        for name, problem in counts.failed.items():
            if not run.source.repeatable or plans[name].codec is None:
                raise problem
            plans[name] = plans[name].without_numbers()  # text that is read as numbers in the sample alone
        again = summarise_columns([plans[name] for name in counts.failed], run)
        for problem in again.failed.values():
            raise problem
        return TableDescription.of(table.name, schema, plans, counts.good | again.good, run.source.schema)


def _with_missing(spec: ColumnSpec, sampled: Sampled) -> ColumnSpec:
    """A column of numbers with what missing rows of the sample make of it."""
    if spec.kind != "continuous":
        return spec
    missing = pc.sum(pc.is_null(plain_values_of(sampled.rows.column(spec.name)), nan_is_null=True)).as_py()
    rows = f"{counted(missing, 'sampled row')} {'is' if missing == 1 else 'are'} missing"
    return replace(spec, reason=f"{spec.reason}; {rows}, which makes it mixed in a fit") if missing else spec


def _text_kinds(sampled: Sampled, schema: TableSchema, settings: Settings) -> TableSchema:
    """The columns of undeclared text, whose kinds all rows decide."""
    texts = TableSchema(tuple(spec for spec in schema.columns if spec.remark is not None))
    if not texts.columns:
        return texts
    plans = plan_columns(sampled, texts, settings, final=not sampled.run.source.repeatable)
    counts = summarise_columns([*plans.good.values()], sampled.run, sampled.blocks)
    for problem in (plans.failed | counts.failed).values():
        raise problem
    specs = (plans.good[name].final_spec(count) for name, count in counts.good.items())
    return TableSchema(tuple(spec for spec in specs if spec is not None))
