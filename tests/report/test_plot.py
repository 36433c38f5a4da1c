from __future__ import annotations

import numpy as np
import pytest

import gpuvgm
from gpuvgm.generation import amount
from gpuvgm.report import plot_column

pytest.importorskip("matplotlib").use("agg")


@pytest.mark.parametrize(
    ("values", "scale"),
    [(amount(0, 20_000), "log"), (np.random.default_rng(0).normal(5, 1, 5000), "linear"), (np.full(50, 3.0), "linear")],
    ids=["skewed", "bell", "constant"],
)
def test_every_active_mode_is_drawn_over_the_rows(values: np.ndarray, scale: str) -> None:
    from matplotlib import pyplot

    transformer = gpuvgm.TableTransformer().fit({"x": values})
    column = transformer.columns_["x"]
    for rows in (values, transformer.summaries_["x"]):
        ax = plot_column(column, rows)
        assert ax.get_xscale() == scale
        assert len(ax.lines) == len(column.active_components) + 1
        ax.figure.canvas.draw()
        pyplot.close(ax.figure)
