"""What a type checker knows of user code: what `fit` takes, and what `sample` gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.project import ROOT

USER_CODE = """
from typing import Any, assert_type

import pandas as pd
import polars as pl
import pyarrow as pa
from pyarrow.dataset import dataset

import gpuvgm
from gpuvgm.report import Comparison, Report
from gpuvgm.table.write import RunSummary

frame, lazy, folder = pd.DataFrame(), pl.LazyFrame(), dataset("folder")
synthesizer = gpuvgm.TableSynthesizer().fit(frame)
assert_type(synthesizer.sample(3), pd.DataFrame)
assert_type(synthesizer.sample(3, conditions={"age": (18, None)}, first_row=3), pd.DataFrame)
assert_type(synthesizer.sample(3, out="rows.parquet", flavor="spark"), RunSummary)
assert_type(synthesizer.partial_fit(frame).sample(3), pd.DataFrame)
assert_type(gpuvgm.TableSynthesizer().fit(pl.DataFrame()).sample(3), pl.DataFrame)
assert_type(gpuvgm.TableSynthesizer().fit(pa.table({})).sample(3), pa.Table)
assert_type(gpuvgm.TableSynthesizer().fit("rows.csv").sample(3), pa.Table)
assert_type(gpuvgm.TableSynthesizer().fit(["a.csv", "b.csv"]).sample(3), pa.Table)
assert_type(gpuvgm.TableSynthesizer().fit({"age": [18]}).sample(3), dict[Any, Any])
assert_type(gpuvgm.TableSynthesizer().fit(lazy).sample(3), Any)
assert_type(gpuvgm.TableSynthesizer().sample(3), Any)

gpuvgm.TableSynthesizer().fit(20)  # type: ignore[call-overload]
gpuvgm.TableTransformer().fit(None)  # type: ignore[arg-type]
transformer = gpuvgm.TableTransformer().fit(folder).fit(frame).fit(lazy).fit(iter([frame]))
assert_type(transformer, gpuvgm.TableTransformer)
assert_type(transformer.evaluate(frame), Report)
assert_type(transformer.evaluate(frame, compare=frame), Comparison)
"""


@pytest.mark.slow
def test_type_checkers_know_what_fit_takes_and_sample_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker = pytest.importorskip("mypy.api", reason="mypy is of those who work on gpuvgm")
    (tmp_path / "user.py").write_text(USER_CODE, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    said, problems, failed = checker.run([str(tmp_path / "user.py")])  # with the settings of the project
    assert not failed, said + problems
