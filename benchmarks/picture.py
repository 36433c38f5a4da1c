"""The README's picture: a generated column and its modes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpuvgm
from benchmarks.inputs import COLUMN, amounts
from benchmarks.machine import ROOT
from gpuvgm.columns.continuous import MixtureColumn

PICTURE = ROOT / "docs" / "modes.svg"


def draw(rows: int, path: Path = PICTURE) -> Path:
    """Fit generated amounts and write the picture; the same bytes whenever the versions are the same."""
    import matplotlib

    matplotlib.use("svg")
    transformer = gpuvgm.TableTransformer().fit({COLUMN: amounts(rows)})
    column = transformer.columns_[COLUMN]
    assert isinstance(column, MixtureColumn)
    with matplotlib.rc_context({"svg.hashsalt": "gpuvgm", "svg.fonttype": "path"}):
        ax: Any = column.plot(rows=transformer.summaries_[COLUMN])
        ax.set_title(f"{rows:,} generated payment amounts and their modes", loc="left", fontsize="medium")
        path.parent.mkdir(parents=True, exist_ok=True)
        ax.figure.savefig(path, metadata={"Date": None})
    return path
