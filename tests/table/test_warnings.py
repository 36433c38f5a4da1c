"""A fit warns of what it chose of its own accord and may not be wanted, and says what to do."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline

from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.errors import InferenceWarning
from gpuvgm.execution import any_source

pytestmark = pytest.mark.filterwarnings("error")  # those of inferences too, but where a test asks for them
ROWS = 2_000
RANDOM = np.random.default_rng(0)
AMOUNT = RANDOM.normal(50, 9, ROWS)
NOTES = [f"note {i} of {j}" for i, j in enumerate(RANDOM.integers(0, 10**9, ROWS))]
LONGER = np.tile(AMOUNT, 2)
CITIES = [f"city {i}" for i in RANDOM.integers(0, 300, len(LONGER))]


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
    assert told.endswith(': declare their kind, or "pass" or "drop" if that is meant')  # "number" is an "id"
    declared = {"number": "id", "note": "pass", "raw": "drop"}
    TableTransformer(declared, n_components=2).fit(table)


def test_code_that_runs_under_no_name_is_warned():
    with pytest.warns(InferenceWarning, match='does not see "number"'):
        exec("fit(table)", {"fit": TableTransformer().fit, "table": {"amount": AMOUNT, "number": np.arange(ROWS)}})


def test_text_of_many_values_is_one_scalar():
    (told,) = warned({"amount": LONGER, "city": CITIES})
    assert told.startswith('one scalar stands for all categories of "city" (string with ')
    assert told.count("scalar") == 1
    assert "values in 4,000 rows): declare max_categories" in told


def test_numbers_whose_names_say_that_they_are_codes_are_told_of():
    codes = RANDOM.integers(10_000, 99_999, ROWS)
    named = ["movie_id", "movieId", "ZIP", "postal", "country code"]
    others = ["paid", "valid", "zipper", "id_age", "barcodes"]
    (told,) = warned({name: codes for name in (*named, *others)})
    assert told.startswith('by their names these numbers may be codes: "movie_id" (int64 with ')
    assert all(f'"{name}" (' in told for name in named) and not any(f'"{name}" (' in told for name in others)
    assert told.endswith(': declare the kind "categorical", "id", "pass" or "drop" if they are')
    TableTransformer({"zip": "continuous"}, n_components=2).fit({"zip": codes})
    TableTransformer(n_components=2).fit({"zip": codes / 7})


def test_a_matrix_that_is_wide_for_its_rows_is_told_of():
    table = {"amount": AMOUNT[:400], "code": [f"c{i % 90}" for i in range(400)]}
    (told,) = warned(table)
    assert told.startswith("the one-hot matrix has 9") and "max_categories" in told
    TableTransformer(n_components=2).fit({"amount": AMOUNT, "code": (table["code"] * 5)[:ROWS]})


def test_a_matrix_without_columns_is_told_of():
    told = warned(pa.table({"note": NOTES}))
    assert told[1].endswith("a network learns nothing of the table")


def test_a_warning_names_twenty_columns():
    (told, _) = warned({f"note {i}": NOTES for i in range(23)})
    assert '"note 19"' in told and " and 3 more: " in told and '"note 20"' not in told


WORDS_AND_CODES = ["words among values are kept as words:", "by their names these numbers may be codes:"]
SAMPLES = {"number": np.arange(ROWS), "note": NOTES, "zip": np.arange(ROWS) % 700, "amount": AMOUNT}
SAMPLES["delay"] = [f"{x:.2f}" if x < 58 else "cancelled" for x in AMOUNT]


def told_by(call, *arguments):
    """What a call warns of, each time at the line in this file that it was made in."""
    with pytest.warns(InferenceWarning) as caught:
        call(*arguments)
    first = inspect.getsourcelines(told_by)[1]
    for warning in caught:
        assert (warning.filename, warning.lineno - first) == (__file__, 3), str(warning.message)
    return [str(warning.message) for warning in caught]


def test_a_synthesizer_warns_once_of_what_is_true_of_samples():
    lost, unseen, words, codes = told_by(TableSynthesizer(random_state=0).fit, SAMPLES)
    assert lost == (
        'samples have no values of "note", which the model does not see: declare "categorical" for the real ones, '
        'columns={"note": {"key": True}} for new ones in their form, or "drop"'
    )
    assert unseen.startswith('the model does not see "number" (int64, all 2,000 sampled values different')
    assert '"note"' not in unseen and unseen.endswith(': declare their kind, or "drop" if that is meant')
    assert words.startswith('words among values are kept as words: "delay" (text such as "')
    assert words.endswith("name those that mean a missing value in na_values")
    assert codes.startswith('by their names these numbers may be codes: "zip" (int64 with 700')
    assert codes.endswith(
        ': declare the kind "categorical", columns={"zip": {"key": True}} for new ones that come back in as many rows, '
        '"id" or "drop" if they are'
    )
    assert told_by(TableSynthesizer(random_state=0).partial_fit, SAMPLES) == [lost, unseen, words, codes]


def test_a_synthesizer_warns_of_nothing_that_was_declared_or_told():
    kinds = {"number": "id", "note": "drop", "zip": "categorical", "delay": {"na_values": ["cancelled"]}}
    fitted = TableTransformer(random_state=0, n_components=2)
    told_by(fitted.fit, {name: SAMPLES[name] for name in ("zip", "delay", "amount")})
    first = TableSynthesizer(kinds, random_state=0).fit(SAMPLES)
    TableSynthesizer(fitted).fit(SAMPLES)
    first.partial_fit(SAMPLES).merge(TableSynthesizer(like=first).fit(SAMPLES))
    one = TableSynthesizer(random_state=0)
    told_by(one.fit, SAMPLES)
    TableSynthesizer(like=one).fit(SAMPLES)


def test_a_fit_for_samples_warns_of_nothing_and_leaves_nothing_to_tell():
    fitted = TableTransformer(random_state=0, n_components=2)
    fitted._fit_for_samples(any_source(SAMPLES))
    told = told_by(fitted.fit, SAMPLES)
    assert [text.partition(' "')[0] for text in told] == ["the model does not see", *WORDS_AND_CODES]
    assert vars(fitted).keys() == vars(TableTransformer().fit({"amount": AMOUNT})).keys()


def test_one_hot_columns_are_no_matter_of_counts():
    with pytest.warns(InferenceWarning) as caught:
        TableSynthesizer(random_state=0).fit({"amount": LONGER, "city": CITIES})
    assert [str(one.message).partition(":")[0] for one in caught] == ['samples hold real values of "city"']


@pytest.mark.parametrize(
    "call",
    [
        lambda estimator, table: estimator.fit(table),
        lambda estimator, table: estimator.partial_fit(table),
        lambda estimator, table: estimator.fit_transform(table),
        lambda estimator, table: make_pipeline(estimator.set_params(layout="onehot")).fit_transform(table),
        lambda estimator, table: FeatureUnion([("all", estimator.set_params(layout="onehot"))]).fit_transform(table),
    ],
    ids=["fit", "partial_fit", "fit_transform", "pipeline", "union"],
)
def test_a_warning_points_to_the_line_of_the_user(call):
    table = pd.DataFrame({"zip": RANDOM.integers(10_000, 99_999, ROWS)})
    with pytest.warns(InferenceWarning) as caught:
        call(TableTransformer(random_state=0, n_components=2), table)
    ((place, line),) = {(warning.filename, warning.lineno) for warning in caught}
    assert (place, line) == (__file__, call.__code__.co_firstlineno)


def shown(call):
    """What Python's own filters show of a call's warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        call()
    return [str(warning.message) for warning in caught]


def test_a_cause_is_told_once_in_a_process_whatever_its_figures(monkeypatch):
    monkeypatch.setattr("gpuvgm.errors._TOLD", set())
    table = {"amount": AMOUNT, "note": NOTES}
    parts = [{name: values[: ROWS - cut] for name, values in table.items()} for cut in (0, 1, 2)]
    texts = shown(lambda: [TableTransformer(n_components=2).fit(part) for part in parts])
    assert len(texts) == 1 and "2,000" in texts[0]
    assert len(shown(lambda: TableTransformer(n_components=2).fit({"other": NOTES, "amount": AMOUNT}))) == 1
    assert len(warned(parts[1])) == 1, "those who ask for all warnings get them"


def test_a_script_with_the_filters_that_python_begins_with():
    """One of these names a module by plain text."""
    script = """
import warnings
from gpuvgm.errors import InferenceWarning, warn
assert any(isinstance(module, str) for *_, module, _ in warnings.filters)
for figure in range(3):
    warn(f"{figure} values", InferenceWarning, ("values",))
warnings.filterwarnings("always", "4 values")
for _ in range(2):
    warn("4 values", InferenceWarning, ("values",))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert re.findall(r"Warning: (\d) values", done.stderr) == ["0", "4", "4"]


def test_what_a_transform_has_not_seen_is_told_once_for_each_column(monkeypatch):
    monkeypatch.setattr("gpuvgm.errors._TOLD", set())
    fitted = TableTransformer(n_components=2).fit({"amount": AMOUNT, "other": AMOUNT})
    rows = [{"amount": np.r_[AMOUNT, np.full(count, 1e9)], "other": np.r_[AMOUNT, AMOUNT[:count]]} for count in (1, 2)]
    assert shown(lambda: [fitted.transform(part) for part in rows]) == [
        'column "amount": 1 value outside the training range (first at dict, row 2000)'
    ]


def test_cross_validation_tells_what_can_be_declared_and_nothing_else(monkeypatch, caplog, capfd):
    monkeypatch.setattr("gpuvgm.errors._TOLD", set())
    rows, target = load_wine(return_X_y=True, as_frame=True)
    rows["name"] = [f"wine {number}" for number in range(len(rows))]
    pipeline = make_pipeline(TableTransformer(layout="onehot"), LogisticRegression(max_iter=1_000))
    texts = shown(lambda: cross_val_score(pipeline, rows, target))
    own = [text for text in texts if not text.startswith("scipy")]  # whose warning is of older scikit-learn
    assert [text.partition(" (")[0].partition(" has")[0] for text in own] == [
        'the model does not see "name"',
        "the one-hot matrix",
    ]
    assert not caplog.records and capfd.readouterr() == ("", "")
