"""A fitted table: the fitted columns of all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pyarrow as pa

from gpuvgm.columns.base import MOST_ORDINARY, FitRecord, FittedColumn
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.columns.identifiers import IdColumn
from gpuvgm.columns.kinds import KINDS
from gpuvgm.columns.names import NameTemplate
from gpuvgm.columns.numeric import NumberPlan
from gpuvgm.columns.options import kinds_with
from gpuvgm.columns.schema import TableSchema
from gpuvgm.columns.specs import ColumnSpec
from gpuvgm.errors import check_present, counted, declaration, listed, printable
from gpuvgm.io import Source, plain
from gpuvgm.records import refuse
from gpuvgm.summary import Summary

MOST_NAMED = 20  # columns that a sentence on single fits names
WIDEST = 3  # columns that are named where the matrix is wide


def column_from_json(document: Any) -> FittedColumn:
    """Read a fitted column that its `to_json` wrote.

    Raises
    ------
    ValueError
        Where the document is not such a one; the message says what is wrong, and where.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        refuse(document, "a column", f"a column ({', '.join(KINDS)})")
    name = document.get("name")
    return KINDS[kind].column.from_json(document, f'column "{name}"' if isinstance(name, str) else "a column")


@dataclass(frozen=True, slots=True)
class TableModel:
    """A fitted table: the result of a fit, the content of a model file, and what workers get.

    Parameters
    ----------
    columns : tuple of FittedColumn
        The columns that are fitted, in input order.
    seed : int
        Seed of transform's generator unless the caller gives another.
    rows : int
        Training rows.
    source : dict
        Fingerprint of the training source, for people.
    schema : TableSchema
        The columns as they were declared and inferred.
    summaries : dict of str to Summary
        Summaries that the columns of numbers were fitted from; empty in the model of a fitted transformer, so that no
        worker gets them.
    failed : dict of str to str
        Why the other columns are not fitted.
    settings : dict
        The transformer's parameters, as a file holds them: numbers, strings, booleans, None, lists and dicts of them.
    network : bytes
        Network of a synthesizer's file, as an Arrow file; see `gpuvgm.synthesis.state`.
    """

    columns: tuple[FittedColumn, ...]
    seed: int
    rows: int
    source: dict[str, Any]
    schema: TableSchema
    summaries: dict[str, Summary] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    network: bytes = b""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TableModel:
        """Read the document of a model file, and check it; summaries and network lie beside it.

        Raises
        ------
        ValueError
            Where its parts do not fit together.
        """
        for part in ("columns", "schema"):
            names = [column.get("name") for column in document[part] if isinstance(column, dict)]
            if len({str(name) for name in names}) < len(names):
                raise ValueError(f"{part} has a name twice")
        columns = tuple(map(column_from_json, document["columns"]))
        for column in columns:
            column.check()
        schema = TableSchema.from_json(document["schema"])
        unknown = {column.name for column in columns} - set(schema.names)
        if unknown:
            raise ValueError(f'the schema lacks column "{min(unknown)}"')
        parts = {part: document[part] for part in ("seed", "rows", "source", "failed", "settings")}
        return cls(columns=columns, schema=schema, **parts)

    def __getitem__(self, name: str) -> FittedColumn:
        return self.by_name[name]

    @property
    def generator(self) -> str | None:
        """Name of the generator that a file holds: "ctgan", "tvae", "private" or "database"; None for others."""
        settings = self.settings.get("synthesizer")
        return settings.get("with") if isinstance(settings, dict) else None

    @property
    def by_name(self) -> dict[str, FittedColumn]:
        """The columns by their names, a new dict each time."""
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def encoded(self) -> tuple[FittedColumn, ...]:
        """Columns with a scalar or one-hot columns, which are those of the onehot matrix."""
        return tuple(column for column in self.columns if column.is_encoded)

    def spans(self) -> dict[str, list[tuple[int, int, str]]]:
        """Spans (start, stop, activation) of the onehot layout, per column: "tanh" for scalars, else "softmax"."""
        spans: dict[str, list[tuple[int, int, str]]] = {}
        start = 0
        for column in self.encoded:
            spans[column.name] = column_spans = []
            for width, activation in column.matrix_parts:
                column_spans.append((start, start + width, activation))
                start += width
        return spans

    @property
    def onehot_width(self) -> int:
        """Columns of the onehot matrix."""
        return sum(self.widths.values())

    @property
    def widths(self) -> dict[str, int]:
        """Columns of the onehot matrix, by the column of the table that they come from."""
        return {column.name: int(column.has_scalar) + column.width for column in self.encoded}

    @staticmethod
    def describe_widths(widths: Mapping[str, int]) -> str:
        """Sentence on the width of the onehot matrix, and the columns of the table that make it wide."""
        if not any(widths.values()):
            return "the one-hot matrix has no columns, because no column of the table is encoded"
        widest = sorted(widths, key=lambda name: (widths[name], name), reverse=True)[:WIDEST]
        of_widest = ", ".join(f"{name} ({widths[name]:,})" for name in widest)
        return f"the one-hot matrix has {counted(sum(widths.values()), 'column')}, most of them for {of_widest}"

    @staticmethod
    def describe_unconverged(fits: Mapping[str, FitRecord]) -> str:
        """Sentence on the columns whose fit did not converge: iterations and bound of each; empty if there are none."""
        texts = [
            f'"{printable(name)}" ({counted(fit.iterations, "iteration")}, lower bound {fit.lower_bound:,.6g})'
            for name, fit in fits.items()
            if fit.stopped_early
        ]
        further = f" and {len(texts) - MOST_NAMED:,} more" if len(texts) > MOST_NAMED else ""
        return f"EM did not converge: {', '.join(texts[:MOST_NAMED])}{further}" if texts else ""

    def onehot_names(self, names: NameTemplate = NameTemplate.DEFAULT) -> list[str]:
        """Names of the onehot matrix's columns."""
        return [name for column in self.encoded for name in column.onehot_names(names)]

    @property
    def numeric(self) -> tuple[MixtureColumn | GeneralColumn, ...]:
        """Columns of numbers."""
        return tuple(column for column in self.columns if isinstance(column, (MixtureColumn, GeneralColumn)))

    @property
    def mixtures(self) -> tuple[MixtureColumn, ...]:
        """Continuous and mixed columns."""
        return tuple(column for column in self.columns if isinstance(column, MixtureColumn))

    @property
    def categorical(self) -> tuple[CategoricalColumn, ...]:
        """Categorical columns."""
        return tuple(column for column in self.columns if isinstance(column, CategoricalColumn))

    @property
    def real_values(self) -> tuple[str, ...]:
        """Columns of which samples hold values of the table that may each name someone or something."""
        return tuple(column.name for column in self.categorical if column.holds_keys)

    def describe_real_values(self) -> str:
        """Warning about `real_values` in samples, with the remedy; empty where there are none."""
        if not self.real_values:
            return ""
        return (
            f"samples hold real values of {listed(self.real_values)}: text of more than {MOST_ORDINARY} different "
            f"values, each of which may name someone or something; declare "
            f'{declaration(self.real_values, {"key": True})}, which makes new ones, or "drop"'
        )

    @property
    def identifiers(self) -> tuple[IdColumn, ...]:
        """Identifiers."""
        return tuple(column for column in self.columns if isinstance(column, IdColumn))

    def running_identifiers(self, names: Iterable[str]) -> list[IdColumn]:
        """Identifiers that are not among some encoded columns, and get running numbers."""
        present = set(names)
        return [c for c in self.identifiers if c.regenerate != "missing" and c.name not in present]

    def number_plans(self, settings: Mapping[str, Any]) -> list[NumberPlan]:
        """Plans for more rows of the columns of numbers, from their summaries and the table's settings."""
        settings, specs = {**settings, "random_state": self.seed}, {spec.name: spec for spec in self.schema.used}
        return [
            NumberPlan.of_fitted(column, specs[column.name].request(settings), self.summaries[column.name])
            for column in self.numeric
        ]

    def check_source(self, table: Source) -> None:
        """Refuse a table that lacks fitted columns, and columns fitted as numbers that hold something else here.

        A file that has the name of a fitted one and is another is noted in the log.
        """
        table.note_changes(self.source)
        schema = table.schema
        check_present(table.name, self.names, schema.names)
        for column in self.columns:
            column.refuse_type(table.name, schema.field(column.name).type)

    def decoded_schema(self, passthrough: Mapping[str, pa.Field[Any]]) -> pa.Schema:
        """Columns of decoded rows; `passthrough` holds the fields of those passthrough columns that the rows have."""
        fields = []
        for column in self.columns:
            if column.name in passthrough:
                fields.append(passthrough[column.name].with_nullable(True))  # noqa: FBT003
            elif column.is_encoded or column.absent(0, 0) is not None:
                fields.append(pa.field(column.name, column.decoded_type))
        return pa.schema(fields)

    def describe(self) -> dict[str, Any]:
        """The model for people and other programs."""
        reasons = self.schema.reasons
        dropped = {spec.name: spec.reason for spec in self.schema.columns if spec.kind == "drop"}
        columns = {
            column.name: {"kind": column.kind, "reason": reasons.get(column.name, "")} | column.describe()
            for column in self.columns
        }
        return {
            "rows": self.rows,
            "seed": self.seed,
            "source": self.source,
            "width": self.onehot_width,
            "columns": columns,
            "dropped": dropped,
        }

    def fingerprint(self) -> str:
        """SHA-256 over everything that decides what an encoded row means, as 64 hexadecimal digits.

        Two models with the same fingerprint can invert each other's files; time, source, start, counts and bounds of
        the fit do not take part.
        """
        columns = [column.meaning() for column in self.columns]
        text = json.dumps(plain(columns), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(text.encode()).hexdigest()

    def digest(self) -> str:
        """SHA-256 over every parameter of every column, also over those that only some runs depend on."""
        text = json.dumps(plain([column.to_json() for column in self.columns]), sort_keys=True, allow_nan=False)
        return sha256(text.encode()).hexdigest()

    @property
    def final_schema(self) -> TableSchema:
        """The schema after the fit: missing rows make numbers mixed, many categories one scalar."""
        columns = {column.name: column for column in self.columns}
        return TableSchema(
            tuple(
                _fitted_spec(spec, columns[spec.name]) if spec.name in columns else spec for spec in self.schema.columns
            )
        )


def _fitted_spec(spec: ColumnSpec, column: FittedColumn) -> ColumnSpec:
    """A column as it was fitted."""
    if column.kind == spec.kind:
        encoding_reason = column.encoding_reason
        return replace(spec, reason=f"{spec.reason}; {encoding_reason}") if encoding_reason not in spec.reason else spec
    options = {name: value for name, value in spec.options.items() if column.kind in kinds_with([name])}
    missing = column.fit.missing
    reason = f"{spec.reason}; {missing:,} {'row is' if missing == 1 else 'rows are'} missing"
    return replace(spec, kind=column.kind, reason=reason, options=options)
