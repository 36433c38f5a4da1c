"""A fit warns of what it chose of its own accord and may not be wanted, and says what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InferenceWarning

ROWS = 2_000
RANDOM = np.random.default_rng(0)
AMOUNT = RANDOM.normal(50, 9, ROWS)
NOTES = [f"note {i} of {j}" for i, j in enumerate(RANDOM.integers(0, 10**9, ROWS))]
CITIES = [f"city {i}" for i in RANDOM.integers(0, 400, ROWS)]


def warned(table, columns=None):
    with pytest.warns(InferenceWarning) as caught:
        TableTransformer(columns, random_state=0, n_components=2).fit(table)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def test_columns_that_the_model_does_not_see_are_named_once_with_the_remedy():
    table = {"amount": AMOUNT, "number": np.arange(ROWS), "note": NOTES, "raw": [b"x"] * ROWS}
    (told,) = warned(table)
    assert told.startswith('the model does not see "number" (int64, all 2,000 sampled values different')
    assert '"note" (' in told and '"raw" (binary values' in told and '"amount"' not in told
    assert told.endswith(': declare their kind, or "id", "pass" or "drop" if that is meant')
    declared = {"number": "id", "note": "pass", "raw": "drop"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableTransformer(declared, n_components=2).fit(table)


def test_text_of_many_values_is_one_scalar():
    (told,) = warned({"amount": AMOUNT, "city": CITIES})
    assert told.startswith('one scalar stands for all categories of "city" (string with ')
    assert told.count("scalar") == 1
    assert "values): declare max_categories" in told


def test_numbers_whose_names_say_that_they_are_codes_are_told_of():
    codes = RANDOM.integers(10_000, 99_999, ROWS)
    named = ["movie_id", "movieId", "ZIP", "postal", "country code"]
    others = ["paid", "valid", "zipper", "id_age", "barcodes"]
    (told,) = warned({name: codes for name in (*named, *others)})
    assert told.startswith('by their names these numbers may be codes: "movie_id" (int64 with ')
    assert all(f'"{name}" (' in told for name in named) and not any(f'"{name}" (' in told for name in others)
    assert told.endswith(': declare the kind "categorical", "id", "pass" or "drop" if they are')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableTransformer({"zip": "continuous"}, n_components=2).fit({"zip": codes})
        TableTransformer(n_components=2).fit({"zip": codes / 7})


def test_a_matrix_that_is_wide_for_its_rows_is_told_of():
    table = {"amount": AMOUNT[:400], "code": [f"c{i % 90}" for i in range(400)]}
    (told,) = warned(table)
    assert told.startswith("the one-hot matrix has 9") and "max_categories" in told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableTransformer(n_components=2).fit({"amount": AMOUNT, "code": (table["code"] * 5)[:ROWS]})


def test_a_matrix_without_columns_is_told_of():
    told = warned(pa.table({"note": NOTES}))
    assert told[1].endswith("a network learns nothing of the table")


def test_a_warning_names_twenty_columns():
    (told, _) = warned({f"note {i}": NOTES for i in range(23)})
    assert '"note 19"' in told and " and 3 more: " in told and '"note 20"' not in told
