"""Single dates, times and durations: ISO text, and text as users write it, as integers in nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

SECOND = 10**9
DAY = 86_400 * SECOND

_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,9})0*)?)?"
# NumPy writes the year before 0 as -001.
_MOMENT = re.compile(
    r"(?P<date>(-\d{3,}|\d{4,})-\d\d-\d\d)([T ]" + _CLOCK + r"(?P<zone> ?Z|[+-]\d\d(:?\d\d(:\d\d)?)?)?)?"
)
_TIME = re.compile(_CLOCK)
_LENGTH = re.compile(
    r"((?P<days>-?\d+) days?(,? (?=[-+\d]))?)?"
    r"((?P<sign>[-+])?(?P<hour>\d+):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,9}))?)?)?"
)
_ISO_LENGTH = re.compile(
    r"(?P<sign>-)?P((?P<days>\d+)D)?(T((?P<hour>\d+)H)?((?P<minute>\d+)M)?((?P<second>\d+)(\.(?P<fraction>\d{1,9}))?S)?)?"
)
ATOMS = {"W": 7 * DAY, "D": DAY, "h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 10**6, "us": 1000, "ns": 1}


def moment_of(text: str, zone: str | None) -> int:
    """Nanoseconds since 1970 of a date or a date with a time.

    Parameters
    ----------
    text : str
        The moment. Without a time zone it is the time of the clock in `zone`.
    zone : str or None
        Time zone of the column; None for a column without one.

    Returns
    -------
    int
        Since 1970 in UTC, or by the clock for a column without a time zone.

    Raises
    ------
    ValueError
        For what is no moment, or has a time zone where the column has none.
    """
    match = _MOMENT.fullmatch(text.strip())
    if not match:
        raise ValueError(f'"{text}" is no date of the form 2024-01-31 or 2024-01-31T12:30:00')
    # NumPy's dates have more years than Python's 1 to 9999: an infinity of PostgreSQL lies in the year 294247.
    zone_text, days = match["zone"], int(np.datetime64(match["date"], "D").astype(np.int64))
    clock = days * DAY + (_clock(match) if match["hour"] else 0)
    if zone is None and zone_text is not None:
        raise ValueError(f"{text} has a time zone, the column has none")
    if zone is None or zone_text is not None and zone_text.strip() == "Z":
        return clock
    offset = offset_of_clock(clock, zone) if zone_text is None else _zone(zone_text).utcoffset(None) or timedelta(0)
    return clock - (offset.days * DAY + offset.seconds * SECOND + offset.microseconds * 1000)


def time_of(text: str) -> int:
    """Nanoseconds since midnight of a time of the day.

    Raises
    ------
    ValueError
        For what is no time of the day, or has a time zone.
    """
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no time of the day without a time zone")
    return _clock(match)


def length_of(text: str) -> int:
    """Nanoseconds of a duration.

    Raises
    ------
    ValueError
        For what is no duration.
    """
    text = text.strip()
    match = _ISO_LENGTH.fullmatch(text)
    if match and text[-1] not in "PT":
        size = int(match["days"] or 0) * DAY + _sum(match)
        return -size if match["sign"] else size
    match = _LENGTH.fullmatch(text)
    if not match or not text:
        raise ValueError(f'"{text}" is no duration of the form P1DT2H30M or "1 day, 2:30:00"')
    clock = _sum(match)
    return int(match["days"] or 0) * DAY + (-clock if match["sign"] == "-" else clock)


def timestamp_text(value: int, unit: str, zone: str | None) -> str:
    """ISO text of a moment in a unit of NumPy's since 1970; with the clock of `zone` and its distance from UTC."""
    if zone is None:
        return _moment(value, unit)
    per_second = SECOND // ATOMS[unit]
    try:
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value // per_second)
        offset = instant.astimezone(_zone(zone)).utcoffset() or timedelta(0)
    except (OverflowError, ValueError):
        # Outside of Python's years 1 to 9999, or in a zone that is unknown here, the text is in UTC.
        offset = timedelta(0)
    seconds = int(offset.total_seconds())
    if seconds == 0 or abs(value + seconds * per_second) >= 2**63:  # at the ends of the type
        return _moment(value, unit) + "Z"
    size = abs(seconds)
    text = f"{'-' if seconds < 0 else '+'}{size // 3600:02}:{size // 60 % 60:02}"
    text += f":{size % 60:02}" if size % 60 else ""
    return _moment(value + seconds * per_second, unit) + text


def time_text(nanoseconds: int) -> str:
    """ISO text of a time of the day."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{_fraction(fraction)}"


def nanoseconds_text(nanoseconds: int) -> str:
    """ISO text of a duration, such as P1DT2H30M."""
    seconds, fraction = divmod(abs(nanoseconds), SECOND)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    clock = "".join(f"{part}{letter}" for part, letter in ((hours, "H"), (minutes, "M")) if part)
    if seconds % 60 or fraction or not (days or clock):
        clock += f"{seconds % 60}{_fraction(fraction)}S"
    return ("-" if nanoseconds < 0 else "") + "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def offset_of_clock(clock: int, zone: str) -> timedelta:
    """Distance from UTC at a time of the clock in a zone; the first one where the clock shows it twice."""
    try:
        local = datetime(1970, 1, 1) + timedelta(seconds=clock // SECOND)
    except OverflowError:
        raise ValueError("the moment lies outside the years 1 to 9999, which time zones are known for") from None
    return local.replace(tzinfo=_zone(zone)).utcoffset() or timedelta(0)


@cache
def _zone(name: str) -> tzinfo:
    # A fixed offset such as +02:00, which ZoneInfo does not know.
    if name[:1] in "+-":
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo or UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as problem:
        raise ValueError(f'the time zone "{name}" is unknown here') from problem


def _moment(value: int, unit: str) -> str:
    """ISO text of a moment; one beyond the ends of the type, as a bin's edge may be, as that end."""
    text = str(np.datetime64(min(max(value, 1 - 2**63), 2**63 - 1), unit))  # type: ignore[call-overload]  # the stubs want a literal
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""


def _clock(match: re.Match[str]) -> int:
    """Nanoseconds since midnight."""
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f'"{match.string}" is no time of the day')
    return _sum(match)


def _sum(match: re.Match[str]) -> int:
    """Nanoseconds of hours, minutes, seconds and their fraction."""
    hours, minutes, seconds = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    return ((hours * 60 + minutes) * 60 + seconds) * SECOND + int((match["fraction"] or "").ljust(9, "0"))
