"""A table of every kind of column, a model of it, and its report; files may have tables of their own."""

from __future__ import annotations

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.report import Report
from tests.report.tables import COLUMNS, make_table


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """The training rows."""
    return make_table(4000)


@pytest.fixture(scope="module")
def transformer(table: pa.Table) -> gpuvgm.TableTransformer:
    """The model."""
    return gpuvgm.TableTransformer(COLUMNS, effort="research").fit(table)


@pytest.fixture(scope="module")
def report(transformer: gpuvgm.TableTransformer, table: pa.Table) -> Report:
    """Its report of the training rows."""
    return transformer.evaluate(table)
