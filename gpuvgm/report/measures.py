"""Measures of columns and tables: how the figures of each read in text, on the page, in JSON and in limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from gpuvgm.errors import InputError

NOTHING = "–"  # a place without a figure
Cell = tuple[str, float | str]  # what is shown, and what it is sorted by
Tile = tuple[str, str, str]  # what a figure is, its value, and what that means


def share(part: float) -> str:
    """A share for people: three digits at most, and never 0 % or 100 % where it is not."""
    percent = 100 * part
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.001:
        return "< 0.001 %"
    if percent > 99.999:
        return "> 99.999 %"
    digits = 3 if percent < 0.1 or percent > 99.9 else 2 if percent < 10 or percent > 99 else 1
    return f"{percent:.{digits}f} %"


def short(value: float) -> str:
    """A figure for people: two digits, powers of ten where it is small or large."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def percent_text(part: float) -> str:
    """A share in a table of text."""
    return f"{100 * part:.3f} %"


def score_text(score: float | None) -> str:
    """A score for people."""
    return NOTHING if score is None else f"{score:.3f}"


@dataclass(frozen=True, slots=True)
class Unit:
    """How figures of one sort are written.

    Parameters
    ----------
    text, page : callable
        A figure in a table of text, and on the page.
    suffix : str
        What follows it where it stands alone on the page.
    none : str
        What stands for a figure that is None there; empty where it is left out.
    """

    text: Callable[[Any], str]
    page: Callable[[Any], str]
    suffix: str = ""
    none: str = ""


COUNT = Unit("{:,}".format, "{:,}".format)
SHARE = Unit(percent_text, share)
#: Shares that are zero for most columns.
SPARSE_SHARE = Unit(lambda part: f"{100 * part:.2f} %", lambda part: share(part) if part else NOTHING)
DISTANCE = Unit("{:.1e}".format, short)
LENGTH = Unit("{:.1e}".format, short, " sd")
SCORE = Unit(score_text, score_text, none=NOTHING)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure that columns or tables may have, and its words.

    Parameters
    ----------
    name : str
        Attribute that is the figure; objects without it, or with None, do not have it.
    title : str
        Its title in tables and tiles.
    unit : Unit
        How it is written.
    meaning : str
        What it means, for the page.
    alone : str
        Its title outside the tables of text; by default `title`.
    limit : str
        Name of the limit on it, of counts on their share of all rows: "min_" of a lower limit, "max_" of an upper one.
        Without either, the largest figure of a table is its worst.
    words : str
        What a sentence on the broken limit calls it.
    bound : float or None
        The limit by default; None where there is none.
    unknown : str
        What the sentence says where it is None; empty where the limit holds then.
    table : int
        Which of the tables of text has it, from 1; 0 for none.
    note : str
        Lines below these tables that explain its title.
    tile : int
        Its place among the tiles of a column on the page, from 1; 0 for none.
    overview : bool
        Whether the page's table of all columns has it.
    overall : bool
        Whether reports have the worst and the mean of all columns.
    """

    name: str
    title: str
    unit: Unit = DISTANCE
    meaning: str = ""
    alone: str = ""
    limit: str = ""
    words: str = ""
    bound: float | None = None
    unknown: str = ""
    table: int = 0
    note: str = ""
    tile: int = 0
    overview: bool = False
    overall: bool = False

    @property
    def label(self) -> str:
        """Title outside the tables of text."""
        return self.alone or self.title

    @property
    def is_lower(self) -> bool:
        """True if small figures are the worst."""
        return self.limit.startswith("min_")

    def of(self, part: Any) -> Any:
        """The figure of a column or a table; None where it has none."""
        return getattr(part, self.name, None)

    def text(self, part: Any) -> str:
        """The figure in a table of text."""
        figure = self.of(part)
        return "" if figure is None else self.unit.text(figure)

    def cell(self, part: Any) -> Cell:
        """The figure in the overview of a page; columns without it come last."""
        figure = self.of(part)
        return ("", "") if figure is None else (self.unit.page(figure), f"{figure:.9g}")

    def limited(self, part: Any) -> float | None:
        """The figure that the limit is on."""
        figure: float | None = self.of(part)
        return figure / max(part.rows, 1) if figure is not None and self.unit is COUNT else figure

    def is_broken(self, figure: float | None, limit: float) -> bool:
        """Return whether a figure breaks its limit."""
        if figure is None:
            return bool(self.unknown)
        # Negated, so that NaN breaks its limit.
        return not (figure >= limit if self.is_lower else figure <= limit)

    def sentence(self, figure: float | None, limit: float) -> str:
        """Sentence on a figure that breaks its limit."""
        text = self.unknown if figure is None else f"{figure:.6g}"
        return f"{self.words} is {text}, but must be at {'least' if self.is_lower else 'most'} {limit:g}"


def figure_tiles(measures: Iterable[Measure], part: Any) -> Iterator[Tile]:
    """Yield tiles of the figures of a column or a table that has them."""
    for measure in measures:
        figure, unit = measure.of(part), measure.unit
        if figure is not None or unit.none:
            yield measure.label, unit.none if figure is None else f"{unit.page(figure)}{unit.suffix}", measure.meaning


def broken_limits(
    measures: Iterable[Measure], part: Any, bounds: Mapping[str, float | None]
) -> Iterator[tuple[Measure, str]]:
    """Yield the measures of a column or a table whose limits are broken, each with a sentence; None is no limit."""
    for measure in measures:
        limit, figure = bounds.get(measure.limit), measure.limited(part)
        if limit is not None and measure.is_broken(figure, limit):
            yield measure, measure.sentence(figure, limit)


def check_limits(names: Iterable[str], measures: Iterable[Measure]) -> None:
    """Raise InputError for a limit that no measure has."""
    limits = [measure.limit for measure in measures if measure.limit]
    for name in names:
        if name not in limits:
            raise InputError(f'no limit is called "{name}": choose from {", ".join(limits)}')


class ReportPart:
    """Part of a report, which becomes a dict that JSON can hold."""

    __slots__ = ()
    _DERIVED: ClassVar[tuple[str, ...]] = ()  # properties that are in the dict, after the fields
    _DOCUMENT: ClassVar[tuple[str, ...]] = ()  # all that is in the dict, where it is not these

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold, without what is passed for pictures alone."""
        part: Any = self  # a dataclass
        names = [field.name for field in fields(part) if field.repr or not field.init]
        return {name: document(getattr(self, name)) for name in self._DOCUMENT or [*names, *self._DERIVED]}


def document(value: Any) -> Any:
    """A value of a report as JSON can hold it."""
    if isinstance(value, ReportPart):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: document(item) for key, item in value.items()}
    return [document(item) for item in value] if isinstance(value, tuple | list) else value
