"""Numbers up to the largest float: nothing overflows from the fit to the comparison, and samples are finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuvgm
from gpuvgm.summary import Floats

RANDOM = np.random.default_rng(0)
ROWS = 900
LARGEST = np.finfo(np.float64).max


def _with_outliers(numbers: Floats, *outliers: float) -> Floats:
    numbers[7 : 7 + len(outliers)] = outliers
    return numbers


TABLES: dict[str, Any] = {
    "both signs": RANDOM.uniform(-1, 1, ROWS) * 1.7e308,
    "all magnitudes": 10.0 ** RANDOM.uniform(-308, 308, ROWS),
    "all magnitudes of both signs": 10.0 ** RANDOM.uniform(-308, 308, ROWS) * RANDOM.choice([-1, 1], ROWS),
    "one outlier on each side": _with_outliers(RANDOM.normal(size=ROWS), 1e308, -1e308),
    "largest floats among cents": _with_outliers(RANDOM.normal(size=ROWS).round(2), LARGEST, -LARGEST),
    "several outliers": _with_outliers(RANDOM.normal(size=ROWS), 1e308, -1e308, 1.79e308, -1.79e308),
    "modal values": RANDOM.choice([1e308, -1e308, 0.0], ROWS) + RANDOM.normal(size=ROWS),
    "two values": RANDOM.choice([-1.79e308, 1.79e308], ROWS),
    "one value": np.full(ROWS, 1.7e308),
    "some missing": np.where(RANDOM.random(ROWS) < 0.3, np.nan, RANDOM.uniform(-1, 1, ROWS) * 1.7e308),
    "smallest floats": RANDOM.integers(1, 999, ROWS) * 5e-324,
    "32 bits": (RANDOM.uniform(-1, 1, ROWS) * 3.4e38).astype(np.float32),
    "outliers of 32 bits among cents": _with_outliers(
        RANDOM.normal(size=ROWS).round(2).astype(np.float32), 3.4e38, -3.4e38
    ),
    "16 bits": (RANDOM.uniform(-1, 1, ROWS) * 65_000).astype(np.float16),
}


@pytest.mark.parametrize("name", TABLES)
def test_nothing_overflows(name: str, tmp_path: Path) -> None:
    """Warnings are errors."""
    numbers = TABLES[name]
    table = {"x": numbers, "y": numbers[::-1], "z": RANDOM.normal(size=ROWS), "of": RANDOM.integers(0, 3, ROWS)}
    transformer = gpuvgm.TableTransformer().fit(table)
    back = np.asarray(transformer.inverse_transform(transformer.transform(table))["x"])
    np.testing.assert_array_equal(np.isnan(back), np.isnan(numbers))
    synthesizer = gpuvgm.TableSynthesizer(hold_out=0.2).fit(table)
    synthesizer.save(tmp_path / "x.gpuvgm")
    sample = gpuvgm.load(tmp_path / "x.gpuvgm").sample(2_000)
    drawn, present = np.asarray(sample["x"]), numbers[~np.isnan(numbers)]
    drawn = drawn[~np.isnan(drawn)]
    assert len(drawn) and drawn.min() >= present.min() and drawn.max() <= present.max()
    assert np.isnan(np.asarray(sample["x"])).any() == np.isnan(numbers).any()
    scores = synthesizer.score_samples(table)
    assert np.isfinite(scores).all()
    comparison = synthesizer.evaluate(table)
    comparison.to_html(tmp_path / "x.html")
    assert str(comparison)
    if name != "one value":
        low = float(np.quantile(present / 2, 0.3)) * 2
        assert (np.asarray(synthesizer.sample(50, conditions={"x": (low, None)})["x"]) >= low).all()


@pytest.mark.parametrize("size", [1e308, 1e200, 1e30])
def test_outliers_beyond_the_precision_of_the_others_come_as_often_and_not_as_they_are(size: float) -> None:
    numbers = np.append(RANDOM.normal(size=999), -size)
    sample = np.asarray(gpuvgm.TableSynthesizer().fit({"x": numbers}).sample(20_000)["x"])
    far = sample < -10
    assert np.mean(far) == pytest.approx(1 / 1_000, rel=0.6)
    np.testing.assert_allclose(sample[far], -size, rtol=1e-12)
    assert np.mean(sample[far] == -size) < 0.2


@pytest.mark.parametrize("size", [1e38, 1e40, 1e200, LARGEST])
def test_numbers_beyond_floats_of_32_bits_keep_their_distribution(size: float) -> None:
    random = np.random.default_rng(4)
    table = {"x": random.uniform(-1, 1, 2_000) * size, "y": random.uniform(0.5, 1, 2_000) * size}
    sample = gpuvgm.TableSynthesizer().fit(table).sample(4_000)
    for name, numbers in table.items():
        drawn, expected = (np.quantile(some / size, [0.1, 0.5, 0.9]) for some in (np.asarray(sample[name]), numbers))
        np.testing.assert_allclose(drawn, expected, atol=0.1)
