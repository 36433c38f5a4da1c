"""What the pages show of the drop-ins runs beside the libraries that they replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import REPLACED, Block, python_blocks, run_python

pytest.importorskip("ctgan", reason="ctgan is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
BLOCKS = [block for block in python_blocks(REPLACED) if "sdv" not in block.imported]  # which has tests of its own


def test_each_library_is_shown() -> None:
    assert set.union(*(block.imported for block in BLOCKS)) >= REPLACED


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}:{block.line}")
def test_a_block_runs(block: Block, working_folder: Path) -> None:
    run_python(block)
