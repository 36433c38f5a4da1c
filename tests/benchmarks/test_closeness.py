"""What the page on summaries says of the correction holds at a small size, too."""

from __future__ import annotations

import numpy as np

from benchmarks import closeness


def test_the_correction_gains_orders_of_magnitude() -> None:
    levels = list(closeness.measure(closeness.SHAPES["lognormal"](np.random.default_rng(0), 30_000)))
    cells = [count for count, _, _ in levels]
    assert cells == sorted(cells, reverse=True)
    assert all(corrected < plain for _, plain, corrected in levels[:3])
    assert levels[0][2] < 1e-8 < 1e-6 < levels[0][1]


def test_cells_put_together_keep_rows_and_moments(random: np.random.Generator) -> None:
    mean, weight, scatter = np.sort(random.normal(size=50)), random.uniform(1, 9, 50), random.uniform(0, 1e-3, 50)
    label = np.repeat([0, 1], 25)
    cells = closeness.Cells(mean, weight, scatter, label, np.arange(50), np.zeros(50))
    wide = closeness.put_together(cells, 4)
    assert len(wide.mean) == 2 * 7

    def moments(of: closeness.Cells) -> list[float]:
        return [of.rows, float(np.sum(of.weight * of.mean)), float(np.sum(of.weight * of.mean**2 + of.scatter))]

    np.testing.assert_allclose(moments(wide), moments(cells), rtol=1e-13)


def test_one_step_is_of_second_order_without_the_correction_and_above_with_it() -> None:
    levels = list(closeness.one_step(closeness.SHAPES["lognormal"](np.random.default_rng(0), 100_000)))
    for narrow, wide in zip(levels[:-1], levels[1:], strict=True):
        assert 3.5 < wide[1] / narrow[1] < 4.5
    assert levels[-1][2] / levels[0][2] > 8 ** len(levels[1:])


def test_the_tables_have_every_shape(monkeypatch) -> None:
    monkeypatch.setattr(closeness, "measure", lambda x: iter([(len(x), 1e-5, 1e-9)] * len(closeness.TOGETHER)))
    monkeypatch.setattr(closeness, "one_step", lambda x: iter([(len(x), 1e-5, 1e-9)] * len(closeness.WIDTHS)))
    lines = list(closeness.text(100))
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:10]] == list(closeness.SHAPES)
    assert "| 256 by 256 | 100 | 1.0e-05 | 1.0e-09 |" in lines
    assert lines[-1] == "| 1/2 sd of the narrowest component | 100 | 1.0e-05 | 1.0e-09 |"
