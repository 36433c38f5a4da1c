"""Ways to spoil CSV text, as editors, exports and transfers do."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from tests.harness.fuzz.mutations import MUTATIONS

ODD_VALUES = (
    *(b"", b" ", b"NA", b"nan", b"NaN", b"null", b"-inf", b"inf", b"-", b"+5", b" 7 ", b"1e400", b"1e-400", b"-0.0"),
    *(b"0x10", b"1_000", b'"1,000"', b"1.000,5", b"00012", b"9223372036854775808", b"18446744073709551616", b"9" * 400),
    *(b"true", b"TRUE", b"False", b"yes", b"2020-02-30", b"2020-01-01", b"9999-12-31 23:59:59.999999999", b"25:00:00"),
    *(b"2020-01-01T00:00:00Z", b"2020-01-01T00:00:00+02:00", "١٢".encode(), "\u2028".encode(), "\ufeff1".encode()),
    *(
        b"\xff\xfe",
        b"\xe9t\xe9",
        b"\0",
        b'"',
        b'""',
        b'"a',
        b'a"b',
        b'"a"b',
        b'"two\nlines"',
        b'"a\r\nb"',
        b"\r",
        b"#",
        b"\\",
    ),
)


def odd_value(data: bytearray, random: random.Random) -> None:
    """Put an odd value into a cell."""
    start, stop = _cell(data, random)
    data[start:stop] = random.choice(ODD_VALUES)


def odd_bytes(data: bytearray, random: random.Random) -> None:
    """Put an odd value anywhere."""
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(ODD_VALUES)


def long_value(data: bytearray, random: random.Random) -> None:
    """Put a value of up to 3 MB into a cell, longer than what pyarrow reads at a time."""
    start, stop = _cell(data, random)
    data[start:stop] = random.choice((b"x", b"1", b'""')) * random.choice((1 << 12, 1 << 16, 3 << 19))


def other_cell(data: bytearray, random: random.Random) -> None:
    """Put a copy of one cell into another."""
    start, stop = _cell(data, random)
    value = data[start:stop]
    start, stop = _cell(data, random)
    data[start:stop] = value


def ragged_row(data: bytearray, random: random.Random) -> None:
    """Add or remove a comma or a line's end."""
    start, stop = _cell(data, random)
    if random.random() < 0.5:
        del data[start : stop + 1]
    else:
        data[start:start] = random.choice((b",", b"\n", b"\r\n", b"\n\n", b",,,,,,,,,"))


def other_line_ends(data: bytearray, random: random.Random) -> None:
    """Change the line ends, all or those of a stretch."""
    start = random.choice((0, random.randrange(len(data))))
    data[start:] = data[start:].replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n", b"\n\r", b"\r\r\n")))


def other_separator(data: bytearray, random: random.Random) -> None:
    """Change the separators, all or those of a stretch."""
    start = random.choice((0, random.randrange(len(data))))
    data[start:] = data[start:].replace(b",", random.choice((b";", b"\t", b"|", b", ", b" ,")))


def other_encoding(data: bytearray, random: random.Random) -> None:
    """Write the text in another encoding, or with a byte-order mark."""
    text = data.decode(errors="replace")
    data[:] = text.encode(random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")), "replace")


def other_header(data: bytearray, random: random.Random) -> None:
    """Take the header away, repeat it or a name of it, or leave nothing else."""
    header, _, rows = bytes(data).partition(b"\n")
    names = header.split(b",")
    names[random.randrange(len(names))] = random.choice((random.choice(names), b"", b'""', b"\xe9", b" "))
    data[:] = random.choice(
        (
            rows,
            header + b"\n" + bytes(data),
            b",".join(names) + b"\n" + rows,
            header,
            header + b"\n",
            b"\n" + bytes(data),
        )
    )


def _cell(data: bytearray, random: random.Random) -> tuple[int, int]:
    """Where a cell lies; the header's are cells too."""
    at = random.randrange(len(data) + 1)
    start = max(data.rfind(b",", 0, at), data.rfind(b"\n", 0, at)) + 1
    ends = [end for end in (data.find(b",", start), data.find(b"\n", start)) if end >= 0]
    return start, min(ends, default=len(data))


CSV_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(odd_value, odd_value, odd_value, odd_bytes, long_value, other_cell, ragged_row),
    *(other_line_ends, other_separator, other_encoding, other_header),
)


def spoil_csv(text: bytes, random: random.Random, *, faults: int, zipped: bool) -> bytes:
    """A copy of the text with so many faults; where it is zipped, the zip may be what is spoilt."""
    spoilt = bytearray(text)
    of_bytes = faults > 0 and random.random() < 0.3
    for _ in range(0 if of_bytes else faults):
        if spoilt:
            random.choice(CSV_MUTATIONS)(spoilt, random)
    if zipped:
        half = random.choice((0, len(spoilt) // 2))  # a zip may have several members
        spoilt = bytearray(b"".join(gzip.compress(part, 1, mtime=0) for part in (spoilt[:half], spoilt[half:])))
    if of_bytes:
        random.choice(MUTATIONS)(spoilt, random)
    return bytes(spoilt)
