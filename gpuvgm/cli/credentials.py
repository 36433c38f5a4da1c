"""What logs and records leave out: passwords and signatures in URLs."""

from __future__ import annotations

import re

HIDDEN = "***"
_PASSWORD = re.compile(r"(://[^\s/?#:@]*):[^\s/?#]*@")
_QUERY = re.compile(r"(://[^\s?#\"']*\?)[^\s\"'=]*=[^\s\"']*")  # signed URLs; a "?" without "=" is a wildcard


def without_credentials(text: str) -> str:
    """The text with stars for passwords and queries of URLs."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
