"""Scales: functions around codecs, and the way from a document to a codec with or without one."""

from __future__ import annotations

from typing import Any

from gpuvgm.codecs.asinh import AsinhCodec
from gpuvgm.codecs.base import Codec
from gpuvgm.codecs.curves import CurvedCodec
from gpuvgm.codecs.logarithms import LogCodec
from gpuvgm.codecs.types import value_codec_of
from gpuvgm.records import read_as

#: Functions around codecs, by their names.
SCALES: dict[str, type[CurvedCodec]] = {kind.name: kind for kind in (AsinhCodec, LogCodec)}


def codec_of(document: Any, where: str = "a codec") -> Codec:
    """Codec from its document, with at most one function around it.

    Raises
    ------
    ValueError
        For a document that is none.
    """
    name = document.get("name") if isinstance(document, dict) else None
    if isinstance(name, str) and name in SCALES:
        return read_as(SCALES[name], document, where)
    return value_codec_of(document, where)
