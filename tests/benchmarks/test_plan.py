"""Plans past one machine: their arithmetic, and a page that holds what is committed."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import pytest

from benchmarks import pages, peers_page, plan
from benchmarks.peers import COLUMN_SIDES

UNITS = {
    "read": {"seconds": 1e-8, "row_bytes": 2.0},
    "write": {"seconds": 1e-8, "row_bytes": 5.0},
    "merge of two summaries": {"seconds": 1e-3, "row_bytes": 0.0},
}


def test_the_slowest_step_counts():
    found = plan.plan("fit", 10**12, 64, "object storage", UNITS, kernel=1e-11)
    steps = {step.name: step.seconds for step in found.steps}
    assert steps["storage"] == pytest.approx(10**12 * 2 / (8 * 12.5e9))
    assert steps["PCIe"] == pytest.approx(10**12 * 8 / (64 * 63e9))
    assert steps["kernel"] == pytest.approx(10**12 * 1e-11 / 64)
    assert steps["scheduler"] == pytest.approx(2e-3 * -(-(10**12) // 2**28))
    assert found.slowest.name == "storage"
    assert found.seconds == pytest.approx(steps["storage"] + 1 + 3_726 / 64 * 1e-3)
    few = {step.name: step.seconds for step in plan.plan("fit", 10**9, 64, "NVMe", UNITS, kernel=1e-11).steps}
    assert few["scheduler"] == pytest.approx(2e-3 * 4 * 64)


def test_more_gpus_and_faster_storage_never_cost_more():
    """But for the tasks of a fit that has too little to do for many GPUs."""
    for stage in plan.KERNELS:
        for rows in plan.ROWS:
            seconds = [
                [plan.plan(stage, rows, gpus, storage, UNITS, 1e-11).seconds for gpus in plan.GPUS]
                for storage in plan.STORAGE
            ]
            if (stage, rows) != ("fit", 10**9):
                assert all(row == sorted(row, reverse=True) for row in seconds)
            assert all(fast <= slow for fast, slow in zip(*seconds, strict=True))


def test_what_it_takes_is_committed():
    units = plan.units_of(plan.newest("results"))
    assert {"read", "write", "merge of two summaries"} <= set(units)
    for stage in plan.KERNELS:
        assert 1e-12 < plan.kernel_seconds(stage, plan.newest("predicted")) < 1e-10
    with pytest.raises(LookupError, match="no prediction of"):
        plan.kernel_seconds("fit", [])


def test_the_pages_hold_what_is_committed():
    measured = ("peers",) if peers_page.last_run(plan.newest("results")) else ()
    tables = (
        ("billion", "scaling", "plan"),
        measured,
        (),
        ("synthesis",),
        ("resources",),
        ("steps", "merged", "parents"),
    )
    for path, names in zip(pages.PAGES, tables, strict=True):
        page = path.read_text()
        assert pages.with_tables(page) == page, "write it again: python -m benchmarks pages"
        for name in names:
            assert "|--:|" in page.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]


def peers_documents():
    documents = peers_page.last_run(plan.newest("results"))
    if not documents:
        pytest.skip("no run of `make peers` is committed in benchmarks/results yet")
    return documents


def test_the_picture_is_that_of_the_last_peers_and_small():
    documents = peers_documents()
    picture = pages.PICTURE.read_text()
    assert escape(peers_page.machine_text(documents)) in picture, "draw it again: python -m benchmarks pages"
    assert len(picture) <= 100_000


def test_every_side_was_measured_on_both_columns():
    found = peers_page.by_job(peers_documents())
    columns = [sides for sides in found.values() if "scikit-learn" in sides]
    assert len(columns) == 2
    for sides in columns:
        left_out = sides["compact"]["left_out"]
        assert sides.keys() | left_out.keys() == set(COLUMN_SIDES)
        theirs, ours = (sides[side]["accuracy"]["log_likelihood"] for side in ("scikit-learn", "compact"))
        assert ours > theirs - 0.01


def test_the_run_of_a_billion_rows_is_committed():
    lines = [json.loads(line) for line in plan.newest("results")]
    runs = [line for line in lines if line["benchmark"] == "billion" and line["case"] == "the whole run"]
    assert runs and runs[-1]["rows"] == 10**9
    assert runs[-1]["details"]["peak_memory"] <= 2 << 30
