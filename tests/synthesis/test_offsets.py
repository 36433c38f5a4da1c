"""Text of times with several offsets from UTC in one column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gpuvgm

ROWS = 3_000


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """Events of a year from London, as Go writes them, and from Berlin, in text; some are missing."""
    random = np.random.default_rng(0)
    seconds = np.sort(random.integers(0, 365 * 86_400, ROWS))
    moments = pd.Series(pd.Timestamp("2025-07-01", tz="UTC") + pd.to_timedelta(seconds, unit="s"))
    zones = random.choice(["Europe/London", "Europe/Berlin"], ROWS)
    texts = [moment.tz_convert(zone).isoformat() for moment, zone in zip(moments, zones, strict=True)]
    return pd.DataFrame(
        {
            "when": [None if i % 100 == 0 else text.replace("+00:00", "Z") for i, text in enumerate(texts)],
            "load": seconds / 86_400 + random.normal(size=ROWS),
        }
    )


def moments_of(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, utc=True, format="ISO8601")


def test_moments_come_back_with_an_offset_of_the_table(events: pd.DataFrame) -> None:
    transformer = gpuvgm.TableTransformer(random_state=0).fit(events)
    back = transformer.inverse_transform(transformer.transform(events))
    pd.testing.assert_series_equal(moments_of(back["when"]), moments_of(events["when"]))
    assert set(back["when"].dropna().str[19:]) == {"Z", "+01:00", "+02:00"}


def test_samples_have_the_offsets_of_their_time(events: pd.DataFrame, tmp_path: Path) -> None:
    synthesizer = gpuvgm.TableSynthesizer(random_state=0).fit(events)
    sample = synthesizer.sample(ROWS)
    assert 0 < sample["when"].isna().mean() < 0.02
    present = sample[sample["when"].notna()]
    moments, offsets = moments_of(present["when"]), present["when"].str[19:]
    is_winter = moments.between(pd.Timestamp("2025-10-27", tz="UTC"), pd.Timestamp("2026-03-28", tz="UTC"))
    is_summer = (moments < pd.Timestamp("2025-10-25", tz="UTC")) | (moments > pd.Timestamp("2026-03-30", tz="UTC"))
    assert set(offsets[is_winter]) == {"Z", "+01:00"}
    assert set(offsets[is_summer]) == {"+01:00", "+02:00"}
    days = (moments - moments.min()).dt.total_seconds() / 86_400
    assert np.corrcoef(days, present["load"])[0, 1] > 0.99
    synthesizer.save(tmp_path / "model.gpuvgm")
    pd.testing.assert_frame_equal(gpuvgm.load(tmp_path / "model.gpuvgm").sample(ROWS), sample)
