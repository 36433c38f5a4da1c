"""JSON lines, which are not read: what a folder holds of them is refused, lest its rows be missed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from gpuvgm.errors import InputError
from gpuvgm.io.locations import Location
from gpuvgm.io.source import Format, TextOptions


def refuse_json_lines(paths: Sequence[Location], _options: TextOptions) -> NoReturn:
    """Refuse JSON lines, with the command that converts the first of the files.

    Raises
    ------
    InputError
        Always.
    """
    path = paths[0] if isinstance(paths[0], Path) else PurePosixPath(paths[0].name)
    converted = path.with_name(f"{path.name.partition('.')[0]}.parquet")
    code = f'p.write_table(j.read_json("{path}"), "{converted}")'
    command = shlex.join(["python", "-c", f"import pyarrow.json as j, pyarrow.parquet as p; {code}"])
    raise InputError(f"{paths[0]}: JSON lines are not read; convert them: {command}")


JSON_LINES = Format("JSON lines", (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), refuse_json_lines, is_read=False)
