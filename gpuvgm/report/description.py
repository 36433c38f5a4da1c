"""Description of a table without a model: what each column is, its moments and quantiles, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from gpuvgm.columns import TableSchema
from gpuvgm.errors import counted
from gpuvgm.io import Document
from gpuvgm.report.figures import SHARE_NAMES, ColumnPart
from gpuvgm.report.markup import Markup, piece, resource
from gpuvgm.report.measures import NOTHING, ReportPart, Tile, share
from gpuvgm.report.page import scroll_table, section, tile_list, whole_page
from gpuvgm.report.text import Row, aligned
from gpuvgm.summary import Pieces

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_STEPS = {1: 11, 2: 20, 4: 80}  # between quantiles, by the letters that each may have
ROUNDING = 1e-12  # of a skewness
LONGEST_TYPE = 18  # letters
LARGE = 10**15  # beyond which whole numbers are not written as floats
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_FOOT = (
    "Quantiles are exact where few values lie near each other, as of prices and counts, and elsewhere within about "
    "2^-14 of the rows. More than some 16,000 different values are counted to about 1 %."
)


@dataclass(frozen=True, slots=True)
class ColumnDescription(ColumnPart):
    """What one column is and holds; moments and quantiles are those of pandas.

    Parameters
    ----------
    kind, rows, missing : object
        As for `ColumnPart`: the kind that a fit would give the column.
    reason : str
        Why it has its kind.
    type : str
        Arrow type.
    bytes : int
        Bytes of the values in Arrow's memory, without masks of missing ones.
    different : int or None
        Different values; None for types that are not compared, such as lists.
    is_exact : bool
        Whether that is their number; else it is known to about 1 %.
    infinite : int
        Infinite values, which moments and quantiles leave out.
    mean, sd, skewness : float or None
        Mean, standard deviation (n - 1) and skewness without bias (Joanes & Gill 1998, G1); of dates and times in units
        of their type. None where a column has no numbers, or too few of them.
    quantiles : tuple of float
        Minimum, quartiles and maximum, by linear interpolation; none where a column has no numbers.
    texts : tuple of str
        Mean, standard deviation and quantiles for people.
    """

    reason: str
    type: str
    bytes: int
    different: int | None
    is_exact: bool
    infinite: int = 0
    mean: float | None = None
    sd: float | None = None
    skewness: float | None = None
    quantiles: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    _DERIVED: ClassVar[tuple[str, ...]] = ("missing_share",)

    @classmethod
    def of(cls, plan: Any, counts: Any, type_: str) -> ColumnDescription:
        """Description of a column from the plan and the counts of its values."""
        spec, pieces = plan.final_spec(counts), plan.pieces(counts)
        return cls(
            kind=spec.kind,
            rows=counts.rows,
            missing=counts.missing,
            reason=spec.reason,
            type=type_,
            bytes=counts.bytes,
            different=counts.number,
            is_exact=counts.different is not None and counts.different.is_exact,
            infinite=0 if counts.summary is None else counts.summary.infinite,
            **({} if pieces is None else _figures(plan.codec, pieces)),
        )

    @property
    def different_text(self) -> str:
        """The number of different values, for people."""
        if self.different is None:
            return NOTHING
        number = self.different if self.is_exact else round(self.different, 3 - len(str(self.different)))
        return f"{'' if self.is_exact else 'about '}{number:,}"


def _figures(codec: Any, pieces: Pieces) -> dict[str, Any]:
    """Moments and quantiles of numbers, in the unit of their values."""
    rows, moments, quantiles = pieces.rows, pieces.moments(), pieces.interpolated(QUANTILES)
    sd = moments.sd * np.sqrt(rows / (rows - 1)) if rows > 1 else None
    skewness = moments.skewness
    if skewness is not None:
        skewness = float(skewness * np.sqrt(rows * (rows - 1)) / (rows - 2)) if rows > 2 else None

    def text(number: float) -> str:
        if not codec.plain_numbers:
            return str(codec.value_text(codec.value(number)))
        whole = codec.base % 1 == 0 and number % 1 == 0 and abs(codec.base) + abs(number) >= LARGE
        return str(int(codec.base) + int(number)) if whole else f"{codec.base + number:.15g}"

    return {
        "mean": codec.base + moments.mean,
        "sd": None if sd is None else float(sd),
        "skewness": skewness,
        "quantiles": tuple(codec.base + number for number in quantiles),
        "texts": (
            codec.mean_text(codec.base + moments.mean, moments.sd),
            NOTHING if sd is None else codec.length_text(float(sd)),
            *map(text, quantiles),
        ),
    }


@dataclass(frozen=True, slots=True, repr=False)
class TableDescription(ReportPart):
    """Description of a table; `str` gives tables for people.

    Parameters
    ----------
    name : str
        The table: its path, or the type of the object given.
    rows : int
        Rows.
    columns : dict of str to ColumnDescription
        The columns, in the order of the table.
    """

    name: str
    rows: int
    columns: Mapping[str, ColumnDescription]
    TITLE: ClassVar[str] = "What a table holds"
    _DERIVED: ClassVar[tuple[str, ...]] = ("bytes",)

    @classmethod
    def of(
        cls, name: str, schema: TableSchema, plans: Mapping[str, Any], counts: Mapping[str, Any], types: Any
    ) -> TableDescription:
        """Description of a table from the plans and counts of its columns."""
        columns = {
            spec.name: ColumnDescription.of(plans[spec.name], counts[spec.name], str(types.field(spec.name).type))
            for spec in schema.columns
        }
        return cls(name, max((column.rows for column in columns.values()), default=0), columns)

    @property
    def bytes(self) -> int:
        """Bytes of all columns in Arrow's memory."""
        return sum(column.bytes for column in self.columns.values())

    @property
    def verdict(self) -> str:
        """The table in one line."""
        missing = sum(column.missing > 0 for column in self.columns.values())
        parts = [counted(self.rows, "row"), counted(len(self.columns), "column"), f"{_size(self.bytes)} in memory"]
        return ", ".join([*parts, *[f"missing values in {counted(missing, 'column')}"] * (missing > 0)])

    def to_text(self) -> str:
        """Tables of what the columns are and hold, for people."""
        what, moments, (titles, quantiles) = self._tables()
        by_step: dict[int, list[Row]] = {step: [] for step in _STEPS}
        for name, cells in quantiles:
            by_step[step := _step(cells)].append((name, cells[::step]))
        tables = (what, moments, *((titles[::step], rows) for step, rows in by_step.items()))
        parts = [self.verdict, *("\n".join(aligned(titles, rows)) for titles, rows in tables if rows)]
        reasons = [f"{name}: {column.kind}, {column.reason}" for name, column in self.columns.items()]
        return "\n\n".join([*parts, "\n".join(reasons)])

    def _tables(self) -> Iterator[tuple[list[str], list[Row]]]:
        """Yield titles and rows of the tables; of numbers there are two, as wide as they need to be."""
        are_infinite = any(column.infinite for column in self.columns.values())
        rows: list[Row] = [
            (
                name,
                [
                    column.kind,
                    _short(column.type),
                    f"{column.missing:,}",
                    *[f"{column.infinite:,}"] * are_infinite,
                    column.different_text,
                    _size(column.bytes),
                ],
            )
            for name, column in self.columns.items()
        ]
        yield ["kind", "type", "missing", *["infinite"] * are_infinite, "different", "memory"], rows
        numbers = {name: column for name, column in self.columns.items() if column.quantiles}
        yield (
            ["mean", "sd", "skewness"],
            [(name, [*column.texts[:2], _number(column.skewness)]) for name, column in numbers.items()],
        )
        yield (
            [SHARE_NAMES[share] for share in QUANTILES],
            [(name, [*column.texts[2:]]) for name, column in numbers.items()],
        )

    def to_html(self, path: str | PathLike[str] | None = None, *, title: str | None = None) -> str:
        """One HTML page that needs nothing else.

        Parameters
        ----------
        path : path, optional
            File or URL to write the page to; its name ends in .html.
        title : str, optional
            Heading of the page.

        Returns
        -------
        str
            The page.

        Raises
        ------
        InputError
            For a path that cannot be written.
        """
        target = None if path is None else Document.page(path)
        text = whole_page(self.TITLE if title is None else title, self._main(title), packed=False)
        if target is not None:
            target.write(text)
        return text

    def _main(self, title: str | None) -> Any:
        captions = ("What the columns are", "Moments", "Quantiles, as pandas has them")
        tables = [
            scroll_table(["column", *titles], [(name, *cells) for name, cells in rows], caption, text=3 - 2 * (i > 0))
            for i, ((titles, rows), caption) in enumerate(zip(self._tables(), captions, strict=True))
            if rows
        ]
        reasons = [(name, column.kind, column.reason) for name, column in self.columns.items()]
        tables.append(scroll_table(["column", "kind", "why"], reasons, "Why the columns have their kinds", text=3))
        nothing = dict.fromkeys(("facts", "problems", "overview", "no_first_rows", "columns", "packed", "omitted"))
        return piece(
            "main",
            title=self.TITLE if title is None else title,
            verdict=self.verdict,
            lead="What each column is, and would become in a fit: no model is fitted.",
            tiles=tile_list(self._tiles()),
            parts=section("Columns", *tables),
            foot=_FOOT,
            **nothing,
        )

    def _tiles(self) -> Iterator[Tile]:
        cells = sum(column.rows for column in self.columns.values())
        missing = sum(column.missing for column in self.columns.values())
        yield "rows", f"{self.rows:,}", "rows of the table"
        yield "columns", f"{len(self.columns):,}", "columns of the table"
        yield "memory", _size(self.bytes), "of all values in Arrow's memory"
        yield "missing", share(missing / max(cells, 1)), "of all values"

    def _repr_html_(self) -> str:
        """HTML that notebooks show."""
        return piece("fragment", css=Markup(resource("page.css")), main=self._main(None))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict}>"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value if abs(value) > ROUNDING else 0:.4g}"


def _step(cells: Sequence[str]) -> int:
    """Which of a column's quantiles lines of text have room for: each one, every second one, the first and the last."""
    longest = max(map(len, cells))
    return next((step for step, most in _STEPS.items() if longest <= most), max(_STEPS))


def _short(type_: str) -> str:
    """An Arrow type for people: of dictionaries that of their values, of long ones their beginning."""
    name = type_.removeprefix("dictionary<values=").split(", indices=")[0]
    return name if len(name) <= LONGEST_TYPE else f"{name[: LONGEST_TYPE - 1]}…"


def _size(size: float) -> str:
    """Bytes for people."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
