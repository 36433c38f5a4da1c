"""Log records as JSON, one object a line."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from gpuvgm.table import jsonable

HIDDEN = "***"
_PASSWORD = re.compile(r"(://[^\s/?#:@]*):[^\s/?#]*@")
_QUERY = re.compile(r"(://[^\s?#\"']*\?)[^\s\"'=]*=[^\s\"']*")  # signed URLs; a "?" without "=" is a wildcard
_ALWAYS_THERE = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}  # all others come from `extra`


class JsonLines(logging.Formatter):
    """One line for each record: time, level, logger, message, and the fields of its `extra`.

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
        return json.dumps(redact(line), allow_nan=False)


def redact(value: Any) -> Any:
    """Return a value in JSON form, without credentials in URLs."""
    return _without_credentials(jsonable(value))


def _without_credentials(value: Any) -> Any:
    """Replace passwords and queries of the URLs in a JSON value by stars."""
    if isinstance(value, dict):
        return {name: _without_credentials(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_credentials(part) for part in value]
    if isinstance(value, str) and "://" in value:
        return _QUERY.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", value))
    return value
