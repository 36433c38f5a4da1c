"""Distances between fits: against closed forms, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.report.distance import CategoriesDistance, ModelDistance, NumbersDistance, RangeDistance

SETTINGS = {"effort": "research", "max_iter": 20}
RANDOM = np.random.default_rng(0)


def one_component(x: np.ndarray, **options: object) -> TableTransformer:
    return TableTransformer({"x": {"kind": "continuous", **options}}, n_components=1, **SETTINGS).fit({"x": x})


def test_shifted_gaussians_have_the_distances_of_the_closed_form() -> None:
    x = RANDOM.normal(0, 1, 5_000)
    here, there = one_component(x), one_component(x + 0.5)
    sd = there.columns_["x"].stds[0]
    found = here.distance_to(there).columns["x"]
    assert isinstance(found, NumbersDistance)
    assert found.ks == pytest.approx(2 * norm.cdf(0.25 / sd) - 1, abs=2e-5)
    assert found.wasserstein == pytest.approx(0.5 / sd, rel=1e-4)


def test_a_model_is_at_no_distance_from_itself() -> None:
    table = pa.table(
        {
            "x": np.where(RANDOM.random(3_000) < 0.3, 0.0, RANDOM.lognormal(0, 1, 3_000)),
            "category": np.array(["a", "b"])[RANDOM.integers(0, 2, 3_000)],
            "r": RANDOM.random(3_000),
        }
    )
    fitted = TableTransformer({"x": {"kind": "mixed", "modal": [0]}, "r": "general"}, **SETTINGS).fit(table)
    columns = fitted.distance_to(fitted).columns
    assert (columns["x"].ks, columns["x"].wasserstein) == (0.0, 0.0)
    assert columns["category"] == CategoriesDistance(2, 2, 0.0)
    assert columns["r"] == RangeDistance(1.0)


def test_modal_values_count_as_jumps_and_missing_rows_do_not() -> None:
    x = RANDOM.normal(5, 0.1, 4_000)
    some, more = x.copy(), x.copy()
    some[:400], more[:1_200] = 0.0, 0.0
    more[1_200:2_000] = np.nan
    spec = {"x": {"kind": "mixed", "modal": [0]}}
    here, there = (TableTransformer(spec, n_components=1, **SETTINGS).fit({"x": y}) for y in (some, more))
    found = here.distance_to(there).columns["x"]
    assert found.ks == pytest.approx(1_200 / 3_200 - 0.1, abs=1e-2)
    assert (found.modal_share, found.other_modal_share) == (0.1, 0.5)
    assert found.wasserstein == pytest.approx((1_200 / 3_200 - 0.1) * 5 / np.std(more[~np.isnan(more)]), rel=0.02)


def test_other_origins_of_numbers_and_logarithms_do_not_matter() -> None:
    days = pa.array(RANDOM.integers(1_600_000_000, 1_700_000_000, 4_000), pa.timestamp("s"))
    later = pa.chunked_array([days]).cast(pa.int64()).to_numpy() + 50_000_000
    here = TableTransformer({"x": "continuous"}, n_components=1, **SETTINGS).fit(pa.table({"x": days}))
    there = TableTransformer({"x": "continuous"}, n_components=1, **SETTINGS).fit(
        pa.table({"x": pa.array(later, pa.timestamp("s"))})
    )
    sd = there.columns_["x"].stds[0]
    assert here.distance_to(there).columns["x"].wasserstein == pytest.approx(5e7 / sd, rel=1e-3)
    y = RANDOM.lognormal(3, 0.5, 4_000) - 5
    logs, others = one_component(y, log=True), one_component(np.append(y, y.min() - 2), log=True)
    assert logs.columns_["x"].codec.low != others.columns_["x"].codec.low
    assert logs.distance_to(others).columns["x"].ks < 0.05


def test_ranges_of_logarithms_that_start_elsewhere() -> None:
    """Logarithms count from the lowest value of each model where that is not positive."""
    fits = [
        TableTransformer({"x": {"kind": "general", "log": True}}, **SETTINGS).fit({"x": np.linspace(*ends, 100)})
        for ends in ((-5, 100), (-100, 5))
    ]
    covered = fits[0].distance_to(fits[1]).columns["x"].covered
    assert covered == pytest.approx(1 - np.log1p(95) / np.log1p(105))
    assert fits[0].distance_to(fits[0]).columns["x"].covered == 1.0


def test_levels_differ_by_half_the_sum_of_the_shares() -> None:
    here, there = (TableTransformer(**SETTINGS).fit({"l": np.array(list(text))}) for text in ("aabb" * 9, "aaac" * 9))
    assert here.distance_to(there).columns["l"] == CategoriesDistance(2, 2, 0.5)


def test_the_document_is_json_and_the_text_fits_the_width() -> None:
    x = RANDOM.normal(0, 1, 500)
    frame = {"a rather long name of a column of numbers": x, "l": np.array(["u", "v"])[(x > 0).astype(int)]}
    fitted = TableTransformer(**SETTINGS).fit(frame)
    distance = fitted.distance_to(fitted)
    document = json.loads(json.dumps(distance.to_dict()))
    assert document["rows"] == document["other_rows"] == 500 and list(document["columns"]) == list(frame)
    assert all(len(line) <= 80 for line in str(distance).splitlines())
    assert "variation: total variation" in str(distance)


def test_columns_of_different_kinds_are_refused() -> None:
    x = RANDOM.normal(0, 1, 500)
    mixture = one_component(x)
    ranged = TableTransformer({"x": "general"}, **SETTINGS).fit({"x": x})
    with pytest.raises(InputError, match='column "x": is continuous of type double here and general'):
        mixture.distance_to(ranged)
    words = TableTransformer({"x": "categorical"}, **SETTINGS).fit({"x": np.round(x)})
    with pytest.raises(InputError, match="is categorical of type double here and continuous"):
        words.distance_to(mixture)
    logs = one_component(np.exp(x), log=True)
    with pytest.raises(InputError, match=r"fitted on the plain scale here and fitted on the scale log \(log=True\) in"):
        mixture.distance_to(logs)
    with pytest.raises(InputError, match=r"scale log \(log=True\) here and .* scale asinh\(x / 2\) \(asinh=2\.0\) in"):
        logs.distance_to(one_component(x, asinh=2.0))
    with pytest.raises(InputError, match="is fitted as log here and fitted as log1p in the other model"):
        logs.distance_to(one_component(np.exp(x) - 1, log=True))
    strange = replace(mixture.model_, columns=(replace(mixture.model_.columns[0], name="y"),))
    with pytest.raises(InputError, match="no column in common"):
        ModelDistance.between(mixture.model_, strange)
