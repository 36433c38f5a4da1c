"""The steps from the research loop to a billion rows: what their code gives, and how it is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import steps
from benchmarks.inputs import amounts
from benchmarks.machine import describe_machine
from benchmarks.measure import documents

MIXTURE = np.array([0.7, 0.3]), np.array([10.0, 200.0]), np.array([100.0, 1e5])
ROWS = 3_000


def test_each_step_has_a_block_of_the_page() -> None:
    assert len(steps.blocks(steps.PAGE)) == len(steps.STEPS)


@pytest.mark.parametrize("number", range(len(steps.STEPS)), ids=[step.name for step in steps.STEPS])
def test_a_step_is_measured(number: int) -> None:
    taken = steps.run(number, ROWS, MIXTURE)
    assert {"fit", "rows"} & taken.keys()
    assert 0 <= taken["mean_error"] < 0.05
    assert taken["peak_memory"] > 0
    assert -7 < taken["log_likelihood"] < -4
    assert len(taken["mixture"]) == 3


def test_batches_are_encoded_as_whole_columns_are() -> None:
    """But for their random numbers."""
    x = amounts(ROWS)
    whole, batches = (steps.code_of(number)["round_trip"](x, MIXTURE) for number in (1, steps.BATCHES))
    clipped = np.abs(whole - x) > 1e-9
    assert np.mean(clipped) < 0.02
    np.testing.assert_allclose(batches[~clipped], x[~clipped])


def test_sums_over_rows_and_over_cells_fit_the_same_mixture() -> None:
    x = amounts(ROWS)
    for rows, cells in zip(steps.code_of(3)["fit"](x), steps.code_of(4)["fit"](x), strict=True):
        np.testing.assert_allclose(cells, rows, rtol=1e-6)


def test_averages_of_models_of_different_parts_are_worse_than_one_of_all_rows() -> None:
    found = steps.merged(ROWS)
    likelihoods = {case: figures["log_likelihood"] for case, figures in found.items()}
    assert likelihoods["parts of sorted rows, averaged"] < likelihoods["all rows"] - 0.1
    assert found["parts of sorted rows, all components"]["components"] == 80
    assert all(np.isfinite([*figures.values()]).all() for figures in found.values())


def test_tables_show_what_each_step_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def found_by(module: str, step: str, rows: str, *more: str, **variables: str) -> dict[str, object]:
        figures = {"mean_error": 0.01, "largest_error": 2.0, "log_likelihood": -4.5}
        if step == "merged":
            return {"all rows": {"seconds": 3.0, "components": 10, **figures}}
        parts = {"fit": 2.0} if int(step) in (0, 3, 4, 5) else {}
        parts |= {"rows": 0.5} if int(step) in (0, 1, 2, 5) else {}
        return {**parts, "peak_memory": 200 << 20, "mixture": [[1.0], [0.0], [1.0]], **figures}

    monkeypatch.setattr(steps, "found_by", found_by)
    rows = steps.measure(100_000)
    wholes = {row.details["whole"] for row in rows if "whole" in row.details}
    assert wholes == {2.5}
    lines = [json.dumps(one) for one in documents("steps", describe_machine(), rows)]
    tables = {name: list(table) for name, table in steps.sections(lines).items() if name != "parents"}
    expected = "| cells | 100,000 | 2.00 s |  | 200 MiB | 0.01 sd | 2 sd | -4.5000 |"
    assert expected in tables["steps"]
    assert tables["merged"][-1] == "| all rows | 10 | 3.00 s | 0.01 sd | 2 sd | -4.5000 |"
