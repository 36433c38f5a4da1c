"""SHA-256 of files: written into the Parquet files that gpuvgm makes, and checked before a file is read.

The metadata of a Parquet file that gpuvgm wrote has the SHA-256 of all bytes before the footer, and of the footer
with 64 zeros where that digest stands. So every byte is covered; the checksums of pages leave out headers and offsets.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pyarrow as pa

from gpuvgm.errors import InputError

DATA_KEY, FOOTER_KEY = "gpuvgm.data", "gpuvgm.footer"
_VALUE = rb"\x18\x40([0-9a-f]{64})"  # a second field that is a text of 64 bytes, in Thrift's compact protocol
_DATA = re.compile(re.escape(DATA_KEY.encode()) + _VALUE)
_FOOTER = re.compile(re.escape(FOOTER_KEY.encode()) + _VALUE)
_SCHEMA = re.compile(rb"ARROW:schema\x18[\x80-\xff]*[\x00-\x7f]([A-Za-z0-9+/=]+)")
_NO_DIGEST = b"0" * 64
MAGIC = b"PAR1"
TRAILER_BYTES = 8  # after the footer: its length, and the magic
_TAIL_BYTES = 1 << 16  # footers that are no longer come with one request
_BUFFER_BYTES = 1 << 20
_FILES_KNOWN = 1 << 12


@dataclass(frozen=True, slots=True)
class Content:
    """Number and SHA-256 of the first bytes of a file on this machine.

    Parameters
    ----------
    stop : int
        Number of bytes.
    sha256 : str
        Their SHA-256, as hexadecimal digits.
    remedy : str
        Advice for where they differ.
    opening : str
        Identifies one opening of the file; the bytes are checked once for each.
    """

    stop: int
    sha256: str
    remedy: str = "write or copy the file again"
    opening: str = field(default_factory=lambda: secrets.token_hex(8))

    def check(self, path: Path) -> None:
        """Refuse a file that holds other bytes.

        Raises
        ------
        InputError
            Naming the file.
        """
        with _turn(path, self.opening):
            digest = _digest_of_start(path, self.stop, self.opening)
        if digest != self.sha256:
            raise InputError(f"{path}: damaged: its bytes are not those that were written (SHA-256); {self.remedy}")


@lru_cache(_FILES_KNOWN)
def _turn(path: Path, opening: str) -> Lock:
    """Lock of a digest: one thread computes it while the others wait."""
    return Lock()


@lru_cache(_FILES_KNOWN)
def _digest_of_start(path: Path, stop: int, opening: str) -> str:
    return sha256_of(path, stop)


def sha256_of(path: Path, stop: int) -> str:
    """SHA-256 of the first bytes of a file."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_BUFFER_BYTES))
    # A buffered file would copy every byte once more.
    with path.open("rb", buffering=0) as file:
        while stop > 0 and (count := file.readinto(buffer[: min(stop, _BUFFER_BYTES)])):
            digest.update(buffer[:count])
            stop -= count
    return digest.hexdigest()


def checksums_beside(data: str) -> dict[str, str]:
    """Key/value metadata for a footer: the SHA-256 of all bytes before it, and room for its own, see `sealed`."""
    return {DATA_KEY: data, FOOTER_KEY: _NO_DIGEST.decode()}


def sealed(footer: bytes) -> bytes:
    """A footer, with its length and magic, into which its own SHA-256 is written."""
    place = _FOOTER.search(footer)
    assert place is not None
    digest = hashlib.sha256(footer).hexdigest().encode()
    return footer[: place.start(1)] + digest + footer[place.end(1) :]


def footer_of(file: pa.NativeFile) -> bytes | None:
    """Footer of a Parquet file with its length and magic; None where there is none."""
    size = file.size()
    tail = _read_end(file, size, min(size, _TAIL_BYTES))
    length = int.from_bytes(tail[-TRAILER_BYTES:-4], "little") + TRAILER_BYTES
    if tail[-4:] != MAGIC or not TRAILER_BYTES < length <= size - len(MAGIC):
        return None
    return tail[-length:] if length <= len(tail) else _read_end(file, size, length)


def _read_end(file: pa.NativeFile, size: int, length: int) -> bytes:
    file.seek(size - length)
    return file.read(length)


def check_footer(name: str, footer: bytes) -> None:
    """Refuse a footer that was changed after it was written; footers without checksums pass.

    So do those that pyarrow has written again with the metadata of a file that had checksums: it stores the metadata
    of a table within the Arrow schema too, where `ParquetSink` puts nothing.

    Parameters
    ----------
    name : str
        Name of the file.
    footer : bytes
        Its footer.

    Raises
    ------
    InputError
        Naming the file.
    """
    data, place = _DATA.search(footer), _FOOTER.search(footer)
    if data is not None and place is not None:
        unsealed_footer = footer[: place.start(1)] + _NO_DIGEST + footer[place.end(1) :]
        if hashlib.sha256(unsealed_footer).hexdigest().encode() == place[1]:
            return
    has_no_checksums = DATA_KEY.encode() not in footer and FOOTER_KEY.encode() not in footer
    if has_no_checksums or _holds_checksums(footer):
        return
    raise InputError(
        f"{name}: damaged Parquet file: its footer is not the one that was written (SHA-256); write or copy the file "
        "again"
    )


def _holds_checksums(footer: bytes) -> bool:
    """Return whether the Arrow schema in a footer holds checksums."""
    schema = _SCHEMA.search(footer)
    with suppress(ValueError):  # of a schema that is damaged
        return schema is not None and DATA_KEY.encode() in b64decode(schema[1])
    return False


def without_checksums(pairs: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the checksums."""
    return {key: value for key, value in pairs.items() if key not in (DATA_KEY, FOOTER_KEY)}
