"""Scores of two tables beside those of SDMetrics."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Comparison
from tests.report.test_kinds import COLUMNS, make_table

single_column = pytest.importorskip("sdmetrics.single_column", reason="SDMetrics is not installed")

ROWS = 5000


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    original, synthetic = make_table(ROWS), make_table(ROWS // 2, seed=1)
    city = pa.array(np.random.default_rng(2).choice(["a", "b", "new", None], ROWS // 2, p=[0.5, 0.2, 0.2, 0.1]))
    return original, synthetic.set_column(synthetic.column_names.index("city"), "city", city)


@pytest.fixture(scope="module")
def comparison(tables: tuple[pa.Table, pa.Table]) -> Comparison:
    original, synthetic = tables
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research", max_iter=10).fit(original)
    return fitted.evaluate(original, compare=synthetic)


@pytest.mark.parametrize("name", [name for name in make_table(10).column_names if name != "key"])
def test_scores_are_those_of_sdmetrics(name: str, comparison: Comparison, tables: tuple[pa.Table, pa.Table]) -> None:
    one, other = (table[name].to_pandas() for table in tables)
    if name == "cents":
        one, other = one.astype(float), other.astype(float)
    if name == "day":
        one, other = (values.astype("datetime64[s]") for values in (one, other))
    metric = single_column.TVComplement if name in ("city", "size") else single_column.KSComplement
    assert comparison.columns[name].score == pytest.approx(metric.compute(one, other), abs=1e-9)


@pytest.mark.filterwarnings("ignore:The single table quality report is deprecated:FutureWarning")
def test_the_overall_score_is_that_of_column_shapes(comparison: Comparison, tables: tuple[pa.Table, pa.Table]) -> None:
    reports = pytest.importorskip("sdmetrics.reports.single_table", reason="SDMetrics is not installed")
    types = dict.fromkeys(comparison.columns, "numerical") | {"when": "datetime", "day": "datetime"}
    types |= {"city": "categorical", "size": "categorical"}
    frames = [table.drop_columns("key").to_pandas() for table in tables]
    for frame in frames:
        frame["cents"] = frame["cents"].astype(float)
        frame["day"] = frame["day"].astype("datetime64[s]")
    report = reports.QualityReport()
    report.generate(*frames, {"columns": {name: {"sdtype": type_} for name, type_ in types.items()}}, verbose=False)
    shapes = report.get_properties().set_index("Property")["Score"]["Column Shapes"]
    assert comparison.score == pytest.approx(shapes, abs=1e-9)
