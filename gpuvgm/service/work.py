"""The work of a request for rows, from the bytes of its body to those of its answer, in a thread of the pool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from gpuvgm.errors import printable
from gpuvgm.io import TableSource, written_bytes
from gpuvgm.service import arrow_bodies, json_bodies
from gpuvgm.service.limits import JSON_VALUE_BYTES, Deadline, Limits
from gpuvgm.service.models import Served
from gpuvgm.service.refusals import Refused

SOURCE = "the request"
VALID, UNSEEN = "valid", "unseen"


class TransformOptions(BaseModel):
    """Options of a transform, in the query."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["sample", "argmax"] = "sample"
    layout: Literal["compact", "onehot"] = "compact"
    dtype: Literal["float32", "float64"] = "float32"
    seed: int | None = Field(None, ge=0, lt=2**64)
    first_row: int = Field(0, ge=0, lt=2**63)


class InverseOptions(BaseModel):
    """Options of an inverse, in the query."""

    model_config = ConfigDict(extra="forbid")

    return_valid: bool = False
    invalid: Literal["mask", "drop"] = "mask"


class SampleOptions(BaseModel):
    """Options of a sample, in the query."""

    model_config = ConfigDict(extra="forbid")

    rows: int = Field(ge=0, lt=2**63)
    seed: int | None = Field(None, ge=0, lt=2**64)
    first_row: int = Field(0, ge=0, lt=2**63)


@dataclass(frozen=True, slots=True)
class SampleWork:
    """One request for sampled rows. Parameters as for `Work`."""

    served: Served
    options: SampleOptions
    answer_type: str
    limits: Limits
    deadline: Deadline

    def __call__(self) -> tuple[int, bytes | memoryview]:
        """Number of rows drawn, and the body of the answer.

        Raises
        ------
        InputError, Refused
            For what cannot be answered.
        """
        self.deadline.check()
        options = self.options
        _check_size(options.rows, self.served.widths["inverse"], self.answer_type, self.limits, "ask for")
        table = self.served.sample(options.rows, options.first_row, options.seed, self.deadline.check)
        self.deadline.check()
        is_json = self.answer_type == json_bodies.MEDIA_TYPE
        return table.num_rows, json_bodies.write_document(table) if is_json else arrow_bodies.write_stream(table)


def _check_size(rows: int, width: float, answer_type: str, limits: Limits, remedy: str) -> None:
    """Refuse rows whose answer would be too large; a table of no bytes may claim any number of rows.

    Parameters
    ----------
    rows : int
        Rows of the answer.
    width : float
        Bytes of a row, at most.
    answer_type : str
        Media type of the answer.
    limits : Limits
        Limits of sizes.
    remedy : str
        What to do with fewer rows: "send" or "ask for".
    """
    if answer_type == json_bodies.MEDIA_TYPE:
        width = max(width / 8, 1.0) * JSON_VALUE_BYTES
    limit = int(limits.answer_bytes / max(width, 1.0))
    if rows > limit:
        fault = f"{rows} rows would become more than {limits.answer_bytes} bytes"
        raise Refused(413, "TooLarge", f"{fault}; {remedy} at most {limit} rows at a time")


@dataclass(frozen=True, slots=True)
class Work:
    """One request for rows.

    Parameters
    ----------
    served : Served
        The model.
    options : TransformOptions or InverseOptions
        Options for the rows.
    body_type, answer_type : str
        Media types of body and answer.
    limits : Limits
        Limits of their sizes.
    deadline : Deadline
        Time by which it must be done; checked after every block.
    """

    served: Served
    options: TransformOptions | InverseOptions
    body_type: str
    answer_type: str
    limits: Limits
    deadline: Deadline

    def __call__(self, body: bytearray) -> tuple[int, bytes | memoryview]:
        """Number of rows received, and the body of the answer.

        Raises
        ------
        InputError, Refused
            For what cannot be answered.
        """
        self.deadline.check()
        rows = self._parse_body(body)
        self._check_answer(rows)
        source: Any = TableSource(SOURCE, "pyarrow", rows)
        model = self.served.reporting(self.deadline.check)
        if isinstance(self.options, TransformOptions):
            encoded, unseen = model.transform(source, **self.options.model_dump(), return_unseen=True)
            return rows.num_rows, self._answer(encoded, unseen=unseen)
        values, valid = model.inverse_transform(source, return_valid=True, invalid=self.options.invalid)
        return rows.num_rows, self._answer(values, valid if self.options.return_valid else None)

    def _parse_body(self, body: bytearray) -> pa.Table:
        if self.body_type == json_bodies.MEDIA_TYPE:
            return json_bodies.read_document(body, self.served.types)
        return arrow_bodies.read_stream(body, self.limits.max_bytes, self.deadline)

    def _check_answer(self, rows: pa.Table) -> None:
        """Refuse rows whose answer would be too large."""
        options = self.options
        width = self.served.widths[options.layout if isinstance(options, TransformOptions) else "inverse"]
        _check_size(rows.num_rows, width, self.answer_type, self.limits, "send")
        if self.answer_type == json_bodies.MEDIA_TYPE != self.body_type:
            self._check_written(rows)

    def _check_written(self, rows: pa.Table) -> None:
        """Refuse columns that are passed through and would be too large as text."""
        budget = self.limits.answer_bytes
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            self.deadline.check()
            budget -= sum(written_bytes(chunk, JSON_VALUE_BYTES) for chunk in column.chunks)
            if budget < 0:
                fault = f'column "{printable(name)}" would become more than {self.limits.answer_bytes} bytes of JSON'
                raise Refused(413, "TooLarge", f"{fault}; send fewer rows, or ask for Arrow")

    def _answer(
        self, table: pa.Table, valid: Any = None, unseen: Mapping[str, Any] | None = None
    ) -> bytes | memoryview:
        self.deadline.check()
        if self.answer_type == json_bodies.MEDIA_TYPE:
            mask = None if valid is None else valid.tolist()
            entries = {VALID: mask, UNSEEN: unseen}
            members = {name: value for name, value in entries.items() if value not in (None, {})}
            return json_bodies.write_document(table, members)
        if valid is not None:
            table = table.append_column(VALID, pa.array(valid))
        if unseen:
            marks = {**(table.schema.metadata or {}), f"gpuvgm.{UNSEEN}".encode(): json.dumps(unseen).encode()}
            table = table.replace_schema_metadata(marks)
        return arrow_bodies.write_stream(table)
