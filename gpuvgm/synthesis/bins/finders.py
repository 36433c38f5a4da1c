"""What finds the bins of rows: of their columns, and of the parts that trees ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn, Engine
from gpuvgm.errors import InputError
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.bins import Bins, Codes, ascend, origin_of
from gpuvgm.synthesis.bins.clock import PARTS, RARE, TWIN, Part
from gpuvgm.synthesis.bins.numbers import Modal, Rows, numbers_since, twin_finder


def check_fits(columns: Mapping[str, FittedColumn], bins: Bins) -> None:
    """Raise ValueError for loaded bins that do not fit their column."""
    column = columns[bins.name]
    if isinstance(column, CategoricalColumn):
        fits = len(bins.codes) == len(bins.mass) == len(column.categories)
    else:
        modal = getattr(column, "modal_values", ())
        fits = isinstance(column, NumericColumn) and len(bins.codes) - len(modal) in (0, len(bins.edges) + 1)
        fits &= bins.has_missing == (MISSING in modal)
    if not fits or (bins.since is not None or bins.clock is not None) and not is_moment_type(column.type):
        raise ValueError(f'the bins of "{bins.name}" are none of its column')
    if bins.twin is not None:
        twin_finder(columns[bins.twin], column)  # refuses columns of another sort


def check_origins(bins: Sequence[Bins]) -> None:
    """Raise ValueError where values of loaded bins are made of each other, or of a column without bins."""
    unresolved = {bins_.name: bins_.made_of for bins_ in bins}
    while ready := [name for name, first in unresolved.items() if first not in unresolved]:
        for name in ready:
            del unresolved[name]
    if unresolved or any(bins_.made_of not in {None, *(any_bins.name for any_bins in bins)} for bins_ in bins):
        raise ValueError("its values are made of no column")


def bin_finder(columns: Mapping[str, FittedColumn], bins: Bins, engine: Engine) -> Callable[[Rows], Codes]:
    """Return a function that finds the bin, uint16, of every row of a column.

    The function raises InputError for missing values, categories and numbers that have no bin.
    """
    column = columns[bins.name]
    if isinstance(column, CategoricalColumn):
        index, codes = column.index, bins.codes.astype(np.uint16)

        def of_categories(rows: Rows) -> Codes:
            places = _check_known(column, index.find(rows(column.name)))
            bin_codes: Codes = namespace_of(places).asarray(codes)[places]
            return bin_codes

        return of_categories
    assert isinstance(column, NumericColumn)
    numbers = number_finder(columns, bins)
    return lambda rows: bins_of_rows(column, bins, *numbers(rows), engine)


def number_finder(columns: Mapping[str, FittedColumn], bins: Bins) -> Callable[[Rows], tuple[Floats, Modal | None]]:
    """Return a function that gives the numbers of which a column's bins are made, as `numbers_since` does."""
    column, origin = columns[bins.name], origin_of(columns, bins)
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> tuple[Floats, Modal | None]:
        numbers, which = numbers_since(column, origin, rows)
        return numbers if bins.clock is None else bins.clock.readings(numbers), which

    return of_rows


def code_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part], engine: Engine
) -> Callable[[Rows], tuple[Codes, dict[Part, Codes]]]:
    """Return a function that finds the bin of every row, as `bin_finder` does, and the codes of the column's parts."""
    column, clock, of_clock = columns[bins.name], bins.clock, _parts_of_clock(bins, parts)
    if clock is None or not of_clock:
        find, find_parts = bin_finder(columns, bins, engine), part_finder(columns, bins, parts)
        return lambda rows: (find(rows), find_parts(rows))
    find_others = _other_part_finder(columns, bins, parts)
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> tuple[Codes, dict[Part, Codes]]:
        numbers, which = column.plain_numbers(rows(column.name))
        readings, codes = clock.with_parts([part.name for part in of_clock], numbers)
        of_parts = dict(zip(of_clock, codes, strict=True)) | find_others(rows)
        return bins_of_rows(column, bins, readings, which, engine), of_parts

    return of_rows


def part_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part]
) -> Callable[[Rows], dict[Part, Codes]]:
    """Return a function that finds the codes of a column's parts alone, also of rows that have no bin."""
    column, clock, of_clock = columns[bins.name], bins.clock_of_parts, _parts_of_clock(bins, parts)
    find_others = _other_part_finder(columns, bins, parts)
    if clock is None or not of_clock:
        return find_others
    assert isinstance(column, NumericColumn)
    names = [part.name for part in of_clock]

    def of_rows(rows: Rows) -> dict[Part, Codes]:
        codes = clock.with_parts(names, column.plain_numbers(rows(column.name))[0])[1]
        return dict(zip(of_clock, codes, strict=True)) | find_others(rows)

    return of_rows


def _parts_of_clock(bins: Bins, parts: Sequence[Part]) -> list[Part]:
    """Parts of a column's datetimes."""
    return [part for part in parts if part.column == bins.name and part.name in PARTS]


def _other_part_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part]
) -> Callable[[Rows], dict[Part, Codes]]:
    """Return a function that finds the codes of those parts of a column that are none of its clock's."""
    column, finders = columns[bins.name], dict[Part, Callable[[Rows], Any]]()
    for part in parts:
        if part == Part(bins.name, TWIN) and bins.twin is not None:
            finders[part] = twin_finder(columns[bins.twin], column)
        elif part == Part(bins.name, RARE):
            finders[part] = _rare_finder(column, bins)
    return lambda rows: {part: find(rows).astype(np.uint16) for part, find in finders.items()}


def _rare_finder(column: FittedColumn, bins: Bins) -> Callable[[Rows], Codes]:
    """Return a function that finds which rows have a rare number, as `Bins.rare_numbers` has it."""
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> Codes:
        numbers = column.plain_numbers(rows(column.name))[0]
        xp = namespace_of(numbers)
        codes: Codes = xp.where(xp.isnan(numbers), xp.uint16(0), bins.rare_numbers(numbers))
        return codes

    return of_rows


def coded_columns(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], rows: Rows, engine: Engine
) -> dict[str, AskedColumn]:
    """The bin of each row, by column."""
    return {
        name: AskedColumn(
            bin_finder(columns, bins_of_column, engine)(rows),
            len(bins_of_column),
            is_category=not ascend(columns[name], len(bins_of_column)),
            missing=bins_of_column.missing_code(columns[name]),
        )
        for name, bins_of_column in bins.items()
    }


def coded_parts(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], parts: Sequence[Part], rows: Rows
) -> dict[Part, AskedColumn]:
    """The codes of parts of columns, by part."""
    coded = dict[Part, AskedColumn]()
    for bins_of_column in bins.values():
        for part, codes in part_finder(columns, bins_of_column, parts)(rows).items():
            coded[part] = AskedColumn(codes, bins_of_column.size_of(part.name), is_category=False)
    return {part: coded[part] for part in parts}


def _check_known(column: CategoricalColumn, places: Ints) -> Ints:
    if (places < 0).any():
        raise _no_bin_error(column, "is no category of it; list it, or fit with rows that have it")
    return places


def _no_bin_error(column: FittedColumn, why: str) -> InputError:
    return InputError(f'column "{column.name}": a value {why}')


def bins_of_rows(
    column: NumericColumn,
    bins: Bins,
    numbers: Floats,
    which: NDArray[np.signedinteger[Any]] | None,
    engine: Engine,
) -> Codes:
    """Bins of rows of a column of numbers, as `numbers_since` gives them.

    Raises
    ------
    InputError
        For missing values, or numbers, that have no bin.
    """
    codes, modal = bins.codes.astype(np.uint16), len(column.modal_values)
    intervals = codes[modal:] if len(codes) > modal else codes[:1]  # the latter: all values are modal
    row_bins = engine.find_bins(numbers, bins.edges, np.append(intervals, codes[0]))
    xp = namespace_of(row_bins)
    if which is not None:
        row_bins = xp.where(which >= 0, xp.asarray(codes)[which + int(bins.has_missing)], row_bins)
    if bins.has_missing and len(codes) > modal:
        return row_bins
    missing = xp.isnan(numbers)
    if not bins.has_missing and (missing if which is None else missing & (which < 0)).any():
        raise _no_bin_error(column, "is missing, but none was at fit; fit with such rows")
    if len(codes) == modal and not missing.all():
        raise _no_bin_error(column, "differs from the only ones that were there at fit; fit with rows that have it")
    return row_bins
