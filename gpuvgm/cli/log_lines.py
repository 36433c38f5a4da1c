"""Log records as JSON, one object a line."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

HIDDEN = "***"
_PASSWORD = re.compile(r"(://[^\s/?#:@]*):[^\s/?#]*@")
_QUERY = re.compile(r"(://[^\s?#\"']*\?)[^\s\"'=]*=[^\s\"']*")  # signed URLs; a "?" without "=" is a wildcard
_ALWAYS_THERE = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_DEEPEST = 20  # levels of a field; what lies below, as in a list that holds itself, becomes text


class JsonLines(logging.Formatter):
    """One line for each record: time, level, logger, message, then the fields that it was given as `extra`.

    The line is ASCII, so that no reader takes a separator of Unicode for its end, whatever the encoding of the stream.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _ALWAYS_THERE}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(plain(line), allow_nan=False)


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON can hold it: numbers that it lacks are null, the rest is text, without credentials of URLs."""
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(name): plain(part, depth + 1) for name, part in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [plain(part, depth + 1) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return without_credentials(str(value))


def without_credentials(text: str) -> str:
    """The text with stars for passwords and queries of URLs."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
