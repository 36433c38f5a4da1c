"""The benchmark of the CUDA engine, on a device that is emulated: its figures are shaped right, whatever they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import gpu
from benchmarks.__main__ import main
from benchmarks.gpu import BUS, COPY
from benchmarks.machine import describe_machine
from benchmarks.measure import append_lines, seconds_of, show
from gpuvgm.engines import cuda_problem
from tests.conftest import needs_gpu
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice

ROWS = 10_000


@needs_compiler
def test_every_kernel_is_measured_beside_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "REPEATS", 1)
    device = EmulatedDevice()
    measured = gpu.measure(ROWS, device, seconds_of)
    assert set(gpu.AIMS) - {row.case for row in measured} == {case for case in gpu.AIMS if case.startswith("whole")}
    lines = tmp_path / "lines.jsonl"
    append_lines(lines, "gpu", describe_machine(), measured)
    for line in map(json.loads, lines.read_text().splitlines()):
        details = line["details"]
        yardstick = BUS if "of the host" in line["case"] else COPY
        assert line["benchmark"] == "gpu" and line["seconds"] > 0 and line["yardsticks"].keys() == {yardstick}
        assert details["predicted_milliseconds_per_1e9_rows"] is None and line["notes"] == {}
        assert details["device"] == {"name": "EmulatedDevice"}
        assert details["kernels"] == gpu.fingerprint() and len(details["kernels"]) == 16
        assert details["share_of_copy_bandwidth"] == pytest.approx(line["ratios"][yardstick])
        assert details["seconds_per_1e9_rows"] == pytest.approx(line["seconds"] / ROWS * 1e9)
    ran = {name for name, _ in device.launches}
    for stem in (
        "encode_10",
        "decode",
        "fill_onehot",
        "read_onehot",
        "summarise",
        "e_step_10",
        "features_8",
    ):
        assert any(name.startswith(f"gpuvgm_{stem}") for name in ran), stem
    console = Console(width=150, record=True)
    show("gpu", measured, console)
    assert "exact E-step" in console.export_text()


def test_measurements_stand_beside_predictions_for_the_same_device() -> None:
    found = gpu.predicted("NVIDIA H200")
    assert found.keys() == gpu.PROGRAMS.keys() and all(0.5 < least < 50 for least in found.values())
    assert found["sampled, float64 rows"] > found["argmax, float64 rows"] > found["inverse"]
    assert gpu.predicted("NVIDIA H2000") == gpu.predicted("EmulatedDevice") == {}
    for name in ("NVIDIA A100-SXM4-80GB", "NVIDIA GeForce RTX 4090", "Tesla T4"):
        assert gpu.predicted(name)["inverse"] > found["inverse"]


def test_one_document_instead_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exact", "--rows", "2e4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["benchmark"] for row in rows} == {"exact"} and all(row["seconds"] > 0 for row in rows)


def test_without_a_device_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if cuda_problem() is None:
        pytest.skip("there is a GPU here")
    assert main(["gpu", "--json", str(tmp_path / "lines.jsonl")]) == 1
    assert "nothing is measured" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.gpu
@needs_gpu
def test_measuring_on_the_device() -> None:
    measured = gpu.measure(1_000_000)
    device = measured[0].details["device"]
    assert device["name"] and device["memory_gib"] > 0
    assert all(row.seconds > 0 for row in measured)
