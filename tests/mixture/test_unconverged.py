"""A search that ends before EM has converged: the fit warns once, and reports say it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gpuvgm import TableSynthesizer, TableTransformer
from gpuvgm.mixture.search import SEARCHES

ROWS = 2_000
RANDOM = np.random.default_rng(0)
AMOUNT = RANDOM.normal(50, 9, ROWS)
UNCONVERGED = {"amount": AMOUNT, "waiting": RANDOM.gamma(2.0, size=ROWS), "word": ["a", "b"] * (ROWS // 2)}
KINDS = {"amount": "continuous", "waiting": "continuous"}


@pytest.fixture
def short_searches(monkeypatch):
    """Searches that end long before EM converges, as none of these tables makes them."""
    for effort in ("auto", "best"):
        monkeypatch.setitem(SEARCHES, effort, replace(SEARCHES[effort], max_iter=2, lesser=None))


@pytest.mark.parametrize("effort", ["auto", "best"])
def test_a_search_that_did_not_converge_is_one_warning(short_searches, effort):
    with pytest.warns(ConvergenceWarning) as caught:
        fitted = TableTransformer(KINDS, effort=effort).fit(UNCONVERGED)
    (warning,) = caught
    assert warning.filename == __file__
    told = str(warning.message)
    columns = fitted.columns_
    texts = [
        f'"{name}" ({columns[name].fit.iterations} iterations, lower bound {columns[name].fit.lower_bound:,.6g})'
        for name in KINDS
    ]
    assert told.startswith(f"EM did not converge: {', '.join(texts)}: ")
    assert ('fit with effort="best"' in told) == (effort == "auto")
    report = fitted.fit_report_
    assert report.unconverged == told.partition(": see")[0].partition(": fit")[0]
    assert report.unconverged in str(report) and report.unconverged in report.to_dict()["unconverged"]
    assert [(column.converged, column.iterations > 0) for column in report.columns.values()] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert report.unconverged in " ".join(str(fitted.evaluate(UNCONVERGED)).split())


def test_rows_that_are_added_are_warned_of_too(short_searches):
    with pytest.warns(ConvergenceWarning):
        fitted = TableTransformer(KINDS).fit(UNCONVERGED)
    with pytest.warns(ConvergenceWarning, match='^EM did not converge: "amount"'):
        fitted.partial_fit(UNCONVERGED)


def test_a_generator_warns_as_well(short_searches):
    with pytest.warns(ConvergenceWarning, match='^EM did not converge: "amount"'):
        TableSynthesizer(KINDS).fit(UNCONVERGED)


def test_the_iterations_of_research_code_are_told_in_report_and_log_alone(caplog):
    with caplog.at_level(logging.INFO, "gpuvgm"):
        fitted = TableTransformer(KINDS, effort="research", max_iter=3).fit(UNCONVERGED)
    (told,) = [record for record in caplog.records if hasattr(record, "unconverged")]
    assert told.unconverged == [*KINDS] and told.getMessage() == fitted.fit_report_.unconverged
    assert told.getMessage().startswith('EM did not converge: "amount" (3 iterations, lower bound ')
    assert fitted.fit_report_.unconverged in " ".join(str(fitted.evaluate(UNCONVERGED)).split())


def test_a_fit_that_converged_says_nothing(caplog):
    with caplog.at_level(logging.INFO, "gpuvgm"):
        fitted = TableTransformer(KINDS).fit(UNCONVERGED)
    assert fitted.fit_report_.unconverged == "" and "converge" not in str(fitted.evaluate(UNCONVERGED))
    assert not [record for record in caplog.records if hasattr(record, "unconverged")]


def test_many_columns_that_did_not_converge_are_counted(short_searches):
    table = {f"c{number:02}": AMOUNT for number in range(25)}
    with pytest.warns(ConvergenceWarning, match=r'"c19" \(.*\) and 5 more: fit with'):
        TableTransformer(dict.fromkeys(table, "continuous")).fit(table)


def test_a_better_order_of_components_is_no_early_end():
    """The bound rises where components are put in order after the last ascent, which had converged."""
    table = {"x": np.random.default_rng(0).normal(size=1000)}
    fitted = TableTransformer().fit(table)  # warnings are errors
    fit = fitted.columns_["x"].fit
    assert (fit.iterations, fit.converged, fit.stopped_early) == (1, False, False)
    assert fitted.fit_report_.unconverged == "" and "converge" not in str(fitted.evaluate(table))
    once = TableTransformer({"x": "continuous"}, effort="research", max_iter=1).fit(table).columns_["x"].fit
    assert (once.iterations, once.stopped_early) == (1, True)
