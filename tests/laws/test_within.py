"""What goes on within a period: a number of the row before, where both rows are of one month, day or season."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import gpuvgm
from gpuvgm.laws.dated import DatesInText
from gpuvgm.laws.sorts import law_of_text, text_of
from gpuvgm.laws.within import Within

TEXT = "previous(sum) if year(day) is year(previous(day)) else 0 = sum of year"
NAMES = ("previous(sum)", "day", "previous(day)", "sum of year")


@pytest.mark.parametrize(
    ("names", "function", "start", "text"),
    [
        (NAMES, "year", 0, TEXT),
        (("a", "b", "c", "d"), "", -2, "a if b is c else -2 = d"),
        (("a if b", "what is b", "c else 0", "d = e"), "", 0, "a if b if what is b is c else 0 else 0 = d = e"),
    ],
)
def test_texts_are_read_as_they_are_written(names: Any, function: str, start: float, text: str) -> None:
    """Also where names hold words of the law."""
    law = Within(names[:3], names[3], function=function, shift=start)
    assert str(law) == text
    read = law_of_text(text, names)
    assert read == law
    assert text_of(read, names) == text
    assert law.renamed(str.upper).names == tuple(map(str.upper, names))


@pytest.mark.parametrize(
    ("unit", "first_days"),
    [
        ("year", ["1969-01-01", "1970-01-01", "2024-01-01"]),
        ("quarter", ["1969-10-01", "2024-04-01", "2024-07-01"]),
        ("month", ["1969-12-01", "2024-03-01", "2024-12-01"]),
        ("week", ["1969-12-29", "2024-02-26", "2024-12-30"]),  # Mondays
        ("day", ["1969-12-31", "2024-02-29", "2024-03-01"]),
    ],
)
def test_periods_begin_at_midnight_of_their_first_day(unit: str, first_days: list[str]) -> None:
    starts = pd.to_datetime(first_days).to_numpy("M8[s]").astype(np.int64)
    ends = np.array([DatesInText.MISSING])
    numbers = DatesInText.numbers_of_periods(np.stack([starts - 1, starts, starts + 86_399]), unit)
    assert np.array_equal(numbers[1] - numbers[0], [1, 1, 1])
    assert np.array_equal(numbers[1], numbers[2])
    assert not np.isin(DatesInText.numbers_of_periods(ends, unit), numbers).any()


@pytest.mark.parametrize(
    ("periods", "kind"),
    [(["b", "a", None, None, "a", "a"], "categorical"), ([3.5, 7.0, np.nan, np.nan, 7.0, 7.0], "continuous")],
)
def test_rows_of_another_value_begin_anew(periods: list[Any], kind: str) -> None:
    """Whatever places the values have in both columns; rows that both lack one go on, and first rows lack what does."""
    period = pd.Series(periods * 40)
    table = pd.DataFrame({"period": period, "before": period.shift(), "go on": np.arange(240.0)})
    begins = period.ne(period.shift()) & ~(period.isna() & period.shift().isna())
    table.loc[0, "go on"] = np.nan
    table["sum"] = table["go on"].where(~begins | table["go on"].isna(), 1.0)
    declared = {"period": kind, "before": kind, "go on": "continuous", "sum": "continuous"}
    transformer = gpuvgm.TableTransformer(declared).fit(table)
    columns, arrow = transformer.model_.by_name, pa.Table.from_pandas(table, preserve_index=False)
    law = Within(("go on", "period", "before"), "sum", shift=1.0)
    law.check(columns)

    def rows(name: str) -> Any:
        return arrow.column(name).combine_chunks()

    outcome = law.score(columns, rows)
    assert not outcome.broken.any()
    assert outcome.certain.all()
    arrays, beyond = law.compute(columns, rows, rows)
    assert arrays["sum"].to_pylist() == rows("sum").to_pylist()
    assert not beyond.any()
    wrong = arrow.set_column(3, "sum", pc.add(arrow.column("sum"), 1))
    assert law.score(columns, lambda name: wrong.column(name).combine_chunks()).broken.sum() == 239
