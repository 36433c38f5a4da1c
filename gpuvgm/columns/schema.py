"""The columns of a table as they are declared, inferred and planned."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa

from gpuvgm.codecs import Refuted
from gpuvgm.columns.base import ColumnPlan
from gpuvgm.columns.inference import InferenceSettings
from gpuvgm.columns.kinds import KINDS
from gpuvgm.columns.names import NameTemplate
from gpuvgm.columns.open_text import plan_text
from gpuvgm.columns.options import INFER, MIXTURE, toml_text
from gpuvgm.columns.passthrough import PassthroughColumn
from gpuvgm.columns.specs import ColumnSpec, with_kind
from gpuvgm.columns.values import ValuePlan
from gpuvgm.errors import InputError, check_present, counted, listed
from gpuvgm.io import Source, from_plain, plain
from gpuvgm.shortage import reason

_LOG = logging.getLogger("gpuvgm")
_UNREAD = ("drop", "pass")
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_HEAD = """\
# Change a kind or an option, and hand this file back: --columns FILE. What you change is declared. The other kinds are
# inferred again from the same rows, and declared where other rows would make them something else.
[columns]
"""
Declared: TypeAlias = (
    "Sequence[Hashable] | Mapping[Hashable, str | Mapping[str, Any] | ColumnSpec] | TableSchema | None"
)
Found = tuple[Mapping[str, Any], str]  # options of a column that is not declared, and the reason for them
Planner = Callable[[Any], ColumnPlan]  # from a sample of a column's values, a ChunkedArray


@dataclass(frozen=True, slots=True, repr=False)
class TableSchema:
    """The columns of a table, in the order of the source, dropped ones included.

    Parameters
    ----------
    columns : tuple of ColumnSpec
        The columns.
    """

    columns: tuple[ColumnSpec, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Reason for the kind of each column."""
        return {column.name: column.reason for column in self.columns}

    def __getitem__(self, name: str) -> ColumnSpec:
        return {column.name: column for column in self.columns}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.columns)

    def keys(self) -> tuple[str, ...]:
        """Names of the columns, so that ``dict(schema)`` has the columns by name."""
        return self.names

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {counted(len(self), 'column')}>"

    def __str__(self) -> str:
        wide = max((len(spec.name) for spec in self.columns), default=0)
        kind = max((len(spec.kind) for spec in self.columns), default=0)
        return "\n".join(f"{s.name:{wide}}  {s.kind:{kind}}  {s.reason}" for s in self.columns)

    def _repr_html_(self) -> str:
        """HTML that notebooks show."""
        from gpuvgm.columns.text import html_table

        return html_table(("column", "kind", "reason"), [(s.name, s.kind, s.reason) for s in self.columns])

    @property
    def used(self) -> tuple[ColumnSpec, ...]:
        """Columns that take part, passthrough columns included."""
        return tuple(column for column in self.columns if column.kind != "drop")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that take part."""
        return tuple(column.name for column in self.used)

    @property
    def has_mixtures(self) -> bool:
        """True if some columns are fitted with a mixture."""
        return any(column.kind in MIXTURE for column in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the columns whose values a fit looks at: neither dropped nor passthrough."""
        return tuple(column.name for column in self.columns if column.kind not in _UNREAD)

    @classmethod
    def declare(cls, columns: Declared, arrow_schema: pa.Schema, source_name: str) -> TableSchema:
        """Columns of a source, as far as they are known without looking at values.

        Parameters
        ----------
        columns : None, sequence of str, mapping, or TableSchema
            None takes every column. Names take those columns and no other. A mapping of name to kind, or to a dict of
            kind and options, declares some columns. Kinds that are not declared are "infer". A schema takes its columns
            and no other; those that it inferred are inferred again and expected to be the same.
        arrow_schema : pyarrow.Schema
            The source's columns.
        source_name : str
            The source, for messages.

        Raises
        ------
        InputError
            For names that are not there, wrong declarations, types that no model can hold, or when no column is left.
        """
        declared = _declarations(columns)
        check_present(source_name, declared, arrow_schema.names)
        if isinstance(columns, Mapping) or columns is None:
            specs = [declared.get(name) or ColumnSpec.declare(name, INFER) for name in arrow_schema.names]
        else:
            specs = list(declared.values())
        schema = cls(tuple(specs))
        if not schema.used:
            names = listed(arrow_schema.names) or "none"
            raise InputError(f"{source_name}: no column is left to fit; it has {names}")
        for spec in schema.used:
            _check_storable(source_name, arrow_schema.field(spec.name))
        return schema

    def inferred(
        self,
        sample: pa.Table,
        source_name: str,
        settings: Callable[[ColumnSpec], InferenceSettings] = lambda _: InferenceSettings(),
        threads: int = 1,
    ) -> TableSchema:
        """Infer kinds: the columns, each with a kind and the reason for it, checked against the types.

        Parameters
        ----------
        sample : pyarrow.Table
            Some rows; it holds at least the columns that are `needed`.
        source_name : str
            The source, for messages.
        settings : callable, optional
            Settings of inference for each column; by default only types count.
        threads : int
            Threads that look at columns.

        Raises
        ------
        InputError
            For columns whose values do not fit the declared kind or options, and two that would be encoded by one name.
        """

        def inferred(declared: ColumnSpec) -> ColumnSpec:
            # No recursion: a closure that knows itself would keep the sample until Python collects garbage.
            while declared.kind not in _UNREAD:
                spec = with_kind(declared, sample.column(declared.name), source_name, settings(declared))
                if spec.remark is not None or declared.accepts(spec):
                    return spec
                declared = declared.expected or declared  # whether text is what was expected of it all rows decide
            return declared

        with ThreadPoolExecutor(threads) as pool:
            schema = TableSchema(tuple((pool.map if len(self.columns) > 1 else map)(inferred, self.columns)))
        _check_encoded_names(schema)
        return schema

    def with_found(self, found: Mapping[str, Found]) -> TableSchema:
        """The schema with some columns as they were found to be, for the reasons given."""
        specs = (ColumnSpec.declare(name, declared, reason) for name, (declared, reason) in found.items())
        return self.with_others(TableSchema(tuple(specs)))

    def as_expected(self) -> TableSchema:
        """The schema with what was expected of columns declared."""
        return TableSchema(tuple(column.expected or column for column in self.columns))

    def conflicts(self, specs: Mapping[str, ColumnSpec]) -> TableSchema:
        """The columns that were expected to be something else than they are, declared as expected."""
        columns = (column for column in self.columns if column.name in specs and not column.accepts(specs[column.name]))
        return TableSchema(tuple(columns)).as_expected()

    def with_others(self, schema: TableSchema) -> TableSchema:
        """The schema with another one's specs of columns."""
        specs = {spec.name: spec for spec in schema.columns}
        return TableSchema(tuple(specs.get(column.name, column) for column in self.columns))

    def without(self, names: Iterable[str]) -> TableSchema:
        """The schema without some columns."""
        left_out = set(names)
        return TableSchema(tuple(column for column in self.columns if column.name not in left_out))

    def planners(self, settings: Mapping[str, Any], *, final: bool = True) -> dict[str, Planner]:
        """For each column that takes part, a function from a sample of its values to its plan.

        Parameters
        ----------
        settings : mapping
            The table's settings.
        final : bool
            Whether what the sample says is not looked at again where the rows refute it.
        """
        return {
            spec.name: partial(
                KINDS[spec.kind].plan if spec.remark is None else plan_text, spec.request(settings, final=final)
            )
            for spec in self.used
        }

    def value_plans(self, settings: Mapping[str, Any], sample: pa.Table, types: pa.Schema) -> dict[str, ValuePlan]:
        """For each column, dropped ones included, what a description counts of it.

        Parameters
        ----------
        settings : mapping
            The table's settings.
        sample : pyarrow.Table
            Some rows; those of columns that are handed through may be missing.
        types : pyarrow.Schema
            Types of all columns.
        """

        def rows(name: str) -> pa.ChunkedArray[Any]:
            return sample.column(name) if name in sample.schema.names else pa.chunked_array([], types.field(name).type)

        return {spec.name: ValuePlan.of(spec, settings, rows(spec.name)) for spec in self.columns}

    def revised(
        self, name: str, problem: Exception, sample: pa.Table, source: Source, settings: Mapping[str, Any]
    ) -> tuple[TableSchema, pa.Table] | None:
        """The other kind of a column whose rows refuted the plan from the sample, and the sample of that kind.

        The kind is inferred from the sample and the values that refuted the plan. None where the problem is another.

        Parameters
        ----------
        name : str
            The column, which this schema declares.
        problem : Exception
            Why its fit failed.
        sample : pyarrow.Table
            Some rows.
        source : Source
            The training rows.
        settings : mapping
            The table's settings.
        """
        if not isinstance(problem, Refuted):
            return None
        declared, column, values = self[name], sample.column(name), problem.values
        column = pa.chunked_array([*column.chunks, pa.array(values, column.type)], column.type)
        inference = declared.inference_settings(settings, source.rows)
        if not values and pa.types.is_integer(column.type):  # no identifier, as all rows say
            inference = replace(inference, identifiers=False)
        inferred = with_kind(declared, column, source.name, inference)
        spec = replace(inferred, reason=f"{inferred.reason}; {str(problem).partition(': ')[2].partition(';')[0]}")
        _LOG.info('%s; it is planned again as "%s", with another scan', problem, spec.kind)
        return TableSchema((spec,)), pa.Table.from_arrays([column], [name])

    def to_toml(self) -> str:
        """The columns as a TOML file for ``--columns``, to be edited.

        Returns
        -------
        str
            A table ``[columns]`` with kind and options of each. What was inferred has an entry ``inferred`` too, with
            the reason; as long as it repeats kind and options, these do not count as declared.

        Examples
        --------
        >>> import gpuvgm
        >>> text = gpuvgm.kinds({"colour": ["red", "red", "red", "blue"] * 100}).to_toml()
        >>> print(text.splitlines()[-1])
        colour = {kind = "categorical", inferred = "categorical: string with 2 distinct values"}
        """
        names = (name if _BARE_KEY.fullmatch(name) else toml_text(name) for name in (c.name for c in self.columns))
        return _HEAD + "".join(f"{name} = {spec.toml}\n" for name, spec in zip(names, self.columns, strict=True))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-able form."""
        return [column.to_json() for column in self.columns]

    @classmethod
    def from_json(cls, document: Iterable[Mapping[str, Any]]) -> TableSchema:
        """Read a schema that `to_json` wrote."""
        return cls(tuple(ColumnSpec.from_json(column) for column in document))


def _declarations(columns: Declared) -> dict[str, ColumnSpec]:
    """Declared columns by name, which of a label such as 0 is its text."""
    if columns is None:
        return {}
    if isinstance(columns, str):
        raise InputError(f'columns="{columns}": give a list of names, ["{columns}"]')
    if isinstance(columns, (Mapping, TableSchema)):
        columns = {spec.name: spec for spec in columns.columns} if isinstance(columns, TableSchema) else columns
        items = [(str(label), declared) for label, declared in columns.items()]
    elif isinstance(columns, Sequence):
        items = [(str(label), INFER) for label in columns]
    else:
        raise InputError(f"columns: give a list of names or a dict of name and kind, not {type(columns).__name__}")
    double = [name for name, count in Counter(name for name, _ in items).items() if count > 1]
    if double:
        raise InputError(f"columns: {listed(double)} given more than once; name every column once")
    return {name: ColumnSpec.declare(name, declared) for name, declared in items}


def _check_encoded_names(schema: TableSchema) -> None:
    """Refuse columns whose encoded parts would have the same name."""
    encoded = [spec.name for spec in schema.used if not issubclass(KINDS[spec.kind].column, PassthroughColumn)]
    names, template = Counter(set(schema.names).difference(encoded)), NameTemplate.DEFAULT
    names.update(name for column in encoded for name in (template.scalar(column), template.mode(column)))
    duplicates = [name for name, count in names.items() if count > 1]
    if duplicates:
        raise InputError(f'two columns would both be encoded as "{duplicates[0]}"; rename one of them, or drop it')


def _check_storable(source: str, column: pa.Field[Any]) -> None:
    """Refuse a column whose type no model can hold, or that holds only few rows.

    Raises
    ------
    InputError
        Naming source, column and type.
    """
    type_: Any = column.type
    try:
        from_plain(plain(type_))
    except Exception as problem:  # what an extension type raises may be anything
        cause = problem.__cause__ if isinstance(problem.__cause__, Exception) else problem
        fault, remedy = f"a model cannot hold ({reason(cause)})", "convert it"
    else:
        if not (pa.types.is_run_end_encoded(type_) and type_.run_end_type == pa.int16()):
            return
        fault, remedy = "holds at most 32,767 rows", "decode it with pyarrow.compute.run_end_decode"
    raise InputError(
        f'{source}: column "{column.name}" is of type {type_}, which {fault}: {remedy}, or declare it "drop"'
    )
