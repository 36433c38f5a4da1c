"""Texts on charts."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.report.charts import HEIGHT, axis_labels, histogram_chart, scalars_chart
from tests.report.tables import profile_of

RANDOM = np.random.default_rng(0)
ROWS = 3000


def texts_of(values: object) -> list[str]:
    profile = profile_of(values)
    assert profile.histogram is not None
    labels = axis_labels(profile.type, profile.histogram)
    assert all(0 <= label.place <= 1 for label in labels)
    return [label.text for label in labels]


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.integers(2**63 - 10**6, 2**63 - 1, ROWS),
        RANDOM.integers(10**12, 10**12 + 10**6, ROWS),
        RANDOM.integers(10**8, 10**8 + 300, ROWS),
        RANDOM.uniform(1234.1, 1235.9, ROWS),
        RANDOM.uniform(-54321.4, -54320.2, ROWS),
        RANDOM.uniform(0, 1, ROWS),
    ],
)
def test_ticks_tell_their_values_apart(values: np.ndarray) -> None:
    texts = texts_of(values)
    assert len(texts) > 1
    assert len(set(texts)) == len(texts)


def test_short_ticks() -> None:
    assert texts_of(RANDOM.integers(10**12, 10**12 + 10**6, ROWS))[1] == "1.0000004 T"
    assert texts_of(RANDOM.uniform(0, 50_000, ROWS))[:2] == ["10,000", "20,000"]


def test_times_and_durations_have_ticks_in_their_own_units() -> None:
    random = np.random.default_rng(1)
    skewed = random.lognormal(8, 2, ROWS).astype(np.int64)
    durations = texts_of(pa.array(skewed, pa.duration("ms")))
    assert [text.split()[1] for text in durations] == ["ms", "ms", "s", "min"]
    even = texts_of(pa.array(random.integers(0, 4 * 3_600_000, ROWS), pa.duration("ms")))
    assert {text.split()[1] for text in even} == {"min", "h"}
    times = texts_of(pa.array(np.minimum(skewed // 10, 86_399).astype(np.int32), pa.time32("s")))
    assert len(times) == 4
    assert all(text[2] == text[5] == ":" for text in times)


def test_the_bell_has_the_width_of_the_scale() -> None:
    """Of rows of one mode the bars fill the bell, whatever the scale is."""
    modes = [profile_of(RANDOM.normal(size=ROWS), scale=scale).modes[0] for scale in (4.0, 6.0)]
    for mode, sd in zip(modes, (1 / 4, 1 / 6), strict=True):
        edges = np.linspace(-1, 1, 65)
        middles = (edges[1:] + edges[:-1]) / 2
        spread = np.sqrt(np.average(middles**2, weights=mode.scalars[1:-1]))
        assert mode.scalar_sd == pytest.approx(sd)
        assert spread == pytest.approx(sd, rel=0.05)
    assert scalars_chart(1, modes[1]) != scalars_chart(1, replace(modes[1], scalar_sd=1 / 4))


def test_the_axis_of_rows_and_the_highest_bar_have_numbers() -> None:
    random = np.random.default_rng(2)
    values = np.where(random.random(20_000) < 0.3, random.normal(50, 0.01, 20_000), random.normal(40, 15, 20_000))
    profile = profile_of(values)
    assert profile.histogram is not None
    text = str(histogram_chart("amount", profile, profile.histogram))
    assert f"▲ {max(profile.histogram.before):,} rows<" in text
    ticks = re.findall(r'x="100.00%" y="([\d.]+)"[^>]*>(\d+)(?: rows)?</text>', text)
    heights = [HEIGHT * 0.99 - float(y) for y, _ in ticks]
    rows = [int(tick) for _, tick in ticks]
    assert len(rows) >= 2
    np.testing.assert_allclose(heights, np.array(rows) * heights[0] / rows[0], atol=0.2)


def test_a_chart_without_high_bars_has_no_mark() -> None:
    profile = profile_of(np.random.default_rng(2).normal(40, 15, 20_000))
    assert profile.histogram is not None
    assert "▲" not in str(histogram_chart("amount", profile, profile.histogram))
