"""Measures: how one figure reads in text, on the page, in limits and in JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import pytest

from gpuvgm.errors import InputError
from gpuvgm.report.measures import (
    COUNT,
    LENGTH,
    SCORE,
    SHARE,
    SPARSE_SHARE,
    Measure,
    ReportPart,
    broken_limits,
    check_limits,
    figure_tiles,
)

ERROR = Measure("error", "error", LENGTH, "how far off", limit="max_error", words="error, in sd")
AGREEMENT = Measure("agreement", "same", SHARE, alone="same mode", limit="min_agreement", words="agreement")
ROWS_OFF = Measure("rows_off", "off", COUNT, limit="max_off", words="share of rows that are off")
AUC = Measure("auc", "AUC", limit="max_auc", words="the AUC", unknown="not known")
MEASURES = [ERROR, AGREEMENT, ROWS_OFF]
COLUMN = SimpleNamespace(rows=2_000, error=0.016, agreement=0.99951, rows_off=1_500)


def sentences(measures: list[Measure], part: object, **bounds: float | None) -> list[str]:
    return [sentence for _, sentence in broken_limits(measures, part, bounds)]


def test_a_figure_in_text_on_the_page_and_in_a_tile() -> None:
    assert [measure.text(COLUMN) for measure in MEASURES] == ["1.6e-02", "99.951 %", "1,500"]
    assert ERROR.cell(COLUMN) == ("0.016", "0.016")
    assert list(figure_tiles([ERROR, AGREEMENT], COLUMN)) == [
        ("error", "0.016 sd", "how far off"),
        ("same mode", "99.951 %", ""),
    ]


def test_a_column_without_a_figure() -> None:
    without = SimpleNamespace(rows=1, error=None)
    assert ERROR.text(without) == AGREEMENT.text(without) == ""
    assert ERROR.cell(without) == ("", "")
    assert list(figure_tiles(MEASURES, without)) == []
    assert list(figure_tiles([Measure("score", "score", SCORE)], without)) == [("score", "–", "")]
    assert sentences(MEASURES, without, max_error=0, min_agreement=1, max_off=0) == []


def test_a_share_that_is_zero() -> None:
    assert Measure("none", "none", SPARSE_SHARE).cell(SimpleNamespace(none=0.0)) == ("–", "0")


def test_limits_of_figures_and_of_the_share_of_counted_rows() -> None:
    assert sentences(MEASURES, COLUMN, max_error=0.016, min_agreement=0.99951, max_off=0.75) == []
    assert sentences(MEASURES, COLUMN, max_error=0.01, min_agreement=1, max_off=0.5) == [
        "error, in sd is 0.016, but must be at most 0.01",
        "agreement is 0.99951, but must be at least 1",
        "share of rows that are off is 0.75, but must be at most 0.5",
    ]
    assert sentences(MEASURES, COLUMN, max_error=None) == []


def test_nan_breaks_every_limit() -> None:
    column = SimpleNamespace(rows=1, error=float("nan"), agreement=float("nan"))
    assert len(sentences(MEASURES, column, max_error=1e9, min_agreement=0)) == 2


def test_a_figure_that_must_be_known() -> None:
    assert sentences([AUC], None, max_auc=1) == ["the AUC is not known, but must be at most 1"]


def test_limits_that_no_measure_has() -> None:
    check_limits(["max_error", "max_off"], MEASURES)
    with pytest.raises(InputError, match='"max_eror": choose from max_error, min_agreement, max_off$'):
        check_limits(["max_eror"], MEASURES)


def test_parts_in_parts_become_json() -> None:
    @dataclass(frozen=True)
    class Inner(ReportPart):
        kind: str = field(default="inner", init=False, repr=False)
        value: int
        picture: object = field(default=None, repr=False)

    @dataclass(frozen=True)
    class Outer(ReportPart):
        parts: tuple[Inner, ...]
        by_name: dict[str, Inner]
        _DERIVED: ClassVar[tuple[str, ...]] = ("count",)

        @property
        def count(self) -> int:
            return len(self.parts)

    inner = {"kind": "inner", "value": 1}
    outer = Outer((Inner(1, object()),), {"a": Inner(1)})
    assert outer.to_dict() == {"parts": [inner], "by_name": {"a": inner}, "count": 1}
