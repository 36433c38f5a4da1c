"""The ledger that `python -m benchmarks predict` reckons with is what the strict device counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import stages as predicted
from benchmarks.calls import Calls
from benchmarks.kernels import prediction
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.counting import ROWS, class_of
from tests.harness.device import stages
from tests.harness.ptx.programs import problem

pytestmark = [needs_compiler, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]
ANEW = "count anew: python -m tests.harness.device.stages"


@pytest.fixture(name="device")
def _device() -> Iterator[Any]:
    with stages.device_of_small_blocks() as cupy:
        yield cupy


def of_the_device(counts: dict[str, Any]) -> dict[str, Any]:
    """Counts without those of Python, which differ between its versions."""
    return {name: count for name, count in counts.items() if name != "calls"}


@pytest.mark.parametrize("stage", ["transform", "inverse"])
def test_the_ledger_of_a_stage_is_up_to_date(device: Any, stage: str) -> None:
    committed, found = predicted.ledger()["stages"][stage], stages.COUNTED[stage](device)
    for part in ("first", "column", "block", "both"):
        assert of_the_device(found[part]) == of_the_device(committed[part]), ANEW
        assert 0.7 < found[part]["calls"] / committed[part]["calls"] < 1.4, ANEW
    assert found["width"] == committed["width"] and found["block_rows"] == committed["block_rows"], ANEW


def test_the_ledger_of_a_block_of_a_fit_is_up_to_date(device: Any) -> None:
    committed = predicted.ledger()["stages"]["fit"]["block"]
    found = stages.block_of_a_fit(device)
    for name in ("kernels", "operations", "synchronisations", "allocations", "names"):
        assert found[name] == committed[name], ANEW


@pytest.mark.parametrize("stage", ["fit", "transform", "inverse"])
def test_a_partition_of_a_cluster_costs_what_it_does_in_one_process(device: Any, stage: str) -> None:
    pytest.importorskip("distributed")
    with stages.worker():
        found = stages.cluster_counts(device, stage)
    assert found == predicted.ledger()["cluster"][stage], ANEW
    assert found["partitions 1"] == found["one process"]


def test_calls_are_those_that_the_package_makes(device: Any) -> None:
    calls = Calls()
    with calls.counted():
        sorted([3, 1, 2], key=lambda x: -x)
    assert calls.count == 0
    with calls.counted():
        device.hardware.module.cuda.Device()
        prediction.LEDGER.exists()
    assert calls.count == 0
    fit = stages.counted(device, stages.inverting(1, 1))
    assert fit["calls"] > 50 and fit["kernels"] == 1


@pytest.mark.ptx
@pytest.mark.skipif(problem() is not None, reason=f"PTX cannot be executed: {problem()}")
def test_executed_instructions_are_up_to_date() -> None:
    committed = predicted.ledger()["programs"]
    found = {name: counts for work in ROWS for name, counts in work.counts().items()}
    assert set(found) == set(committed) - {"gpuvgm_em"}, ANEW
    for name, counts in found.items():
        assert counts == pytest.approx(committed[name], rel=0.02, abs=0.05), f"{name}: {ANEW}"


def test_a_row_of_a_summary_is_added_up_once() -> None:
    """Two words in global memory, or four halves in that of its block."""
    spread, frequent = (
        next(work for work in prediction.works() if work.case == case)
        for case in ("rows spread over many cells", "rows in frequent cells")
    )
    for work, atomics in ((spread, (2, 0)), (frequent, (0, 4))):
        counted = work.instructions["atomic"], work.instructions["shared atomic"]
        assert counted == pytest.approx(atomics, abs=0.2)
        assert work.instructions["fp64"] == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("fma.rn.f64 \t%fd1, %fd2, %fd3, %fd4", "fp64"),
        ("@%p1 bra \t$L__BB0_2", "control"),
        ("ld.global.nc.v2.f64 \t{%fd1, %fd2}, [%rd1]", "load"),
        ("ld.shared.f64 \t%fd1, [%r1]", "shared"),
        ("ld.param.u64 \t%rd1, [p]", None),
        ("mad.lo.s32 \t%r1, %r2, %r3, %r4", "multiply"),
        ("ex2.approx.ftz.f32 \t%f1, %f2", "special"),
        ("add.f32 \t%f1, %f2, %f3", "fp32"),
        ("setp.lt.u32 \t%p1, %r1, %r2", "integer"),
        ("cvt.rn.f64.s32 \t%fd1, %r1", "conversion"),
        ("atom.shared.add.u32 \t%r1, [%r2], 1", "shared atomic"),
        ("mov.u32 \t%r1, %tid.x", None),
    ],
)
def test_instructions_of_ptx_have_the_units_that_run_them(text: str, unit: str | None) -> None:
    assert class_of(text) == unit
