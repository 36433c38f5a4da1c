"""Scores of two tables beside those of SDMetrics."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Comparison
from tests.report.tables import COLUMNS, make_table, synthetic_table

single_column = pytest.importorskip("sdmetrics.single_column", reason="SDMetrics is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:pandas", "ignore::FutureWarning:sdmetrics")
ROWS = 5000
CATEGORIES = ("city", "size")


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    return make_table(ROWS), synthetic_table(ROWS // 2)


@pytest.fixture(scope="module")
def comparison(tables: tuple[pa.Table, pa.Table]) -> Comparison:
    original, synthetic = tables
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", max_iter=10).fit(original)
    return fitted.evaluate(original, compare=synthetic)


@pytest.fixture(scope="module")
def frames(tables: tuple[pa.Table, pa.Table]) -> list[Any]:
    """Frames of pandas with types that SDMetrics knows."""
    found = [table.drop_columns("key").to_pandas() for table in tables]
    for frame in found:
        frame["cents"] = frame["cents"].astype(float)
        frame["day"] = frame["day"].astype("datetime64[s]")
    return found


@pytest.mark.parametrize("name", [name for name in make_table(10).column_names if name != "key"])
def test_scores_are_those_of_sdmetrics(name: str, comparison: Comparison, frames: list[Any]) -> None:
    metric = single_column.TVComplement if name in CATEGORIES else single_column.KSComplement
    expected = metric.compute(*(frame[name] for frame in frames))
    assert comparison.columns[name].score == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore:The single table quality report is deprecated:FutureWarning")
def test_the_overall_score_is_that_of_column_shapes(comparison: Comparison, frames: list[Any]) -> None:
    reports = pytest.importorskip("sdmetrics.reports.single_table", reason="SDMetrics is not installed")
    types = dict.fromkeys(comparison.scores, "numerical") | dict.fromkeys(("when", "day"), "datetime")
    types |= dict.fromkeys(CATEGORIES, "categorical")
    report = reports.QualityReport()
    report.generate(*frames, {"columns": {name: {"sdtype": type_} for name, type_ in types.items()}}, verbose=False)
    shapes = report.get_properties().set_index("Property")["Score"]["Column Shapes"]
    assert comparison.score == pytest.approx(shapes, abs=1e-9)


def test_pairs_are_those_of_sdmetrics(comparison: Comparison, frames: list[Any]) -> None:
    pairs = pytest.importorskip("sdmetrics.column_pairs", reason="SDMetrics is not installed")
    assert len(comparison.pairs) == 11 * 10 / 2
    for pair in comparison.pairs:
        names = [pair.one, pair.other]
        numbers = [name for name in names if name not in CATEGORIES]
        real, synthetic = (frame[names].copy() for frame in frames)
        for frame in (real, synthetic):
            for name in {"when", "day"} & set(numbers):
                frame[name] = frame[name].astype("int64")
        if len(numbers) == 2:
            expected = pairs.CorrelationSimilarity.compute(real, synthetic)
        else:
            expected = pairs.ContingencySimilarity.compute(real, synthetic, continuous_column_names=numbers)
        assert pair.score == pytest.approx(expected, abs=1e-9), names
