"""Public tables: the seed draws those that are labelled, and labels are of their columns."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks.public_tables import COLUMNS, DRAWN, ROWS, candidates, draw, labels, public_table

KINDS = {
    "continuous",
    "mixed",
    "categorical",
    "id",
    "passthrough",
    "constant",
    "date text",
    "number text",
}
PACKAGES = [pytest.param(name, marks=[] if find_spec(name) else pytest.mark.skip(f"no {name}")) for name in DRAWN]


def test_labelled_tables_are_those_drawn() -> None:
    missing = [package for package in DRAWN if not find_spec(package)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    assert sorted(draw()) == sorted(labels())


def test_at_least_forty_tables_are_labelled() -> None:
    assert len(labels()) == sum(DRAWN.values()) >= 40


@pytest.mark.parametrize("package", PACKAGES)
def test_every_column_has_a_label_and_no_other_has_one(package: str) -> None:
    tables = [name for name in labels() if name.partition("/")[0] == package]
    assert len(tables) == DRAWN[package] and set(tables) <= set(candidates(package))
    for name in tables:
        frame = public_table(name)
        assert len(frame) in ROWS and frame.shape[1] in COLUMNS
        assert list(labels()[name]) == list(frame.columns), name
        for column, label in labels()[name].items():
            assert set(label.kinds) <= KINDS, (name, column)
            assert set(label.modal) | set(label.sentinels) <= set(frame[column].dropna()), (name, column)
