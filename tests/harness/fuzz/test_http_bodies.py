"""What judges the service's answers to spoilt bodies finds whole ones right, and wrong answers wrong."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from tests.harness.fuzz import http_bodies
from tests.harness.fuzz.harness import WrongResult
from tests.harness.fuzz.http_bodies import ARROW, JSON, prepare, whole


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    prepared = prepare(tmp_path_factory.mktemp("models"))
    yield prepared
    prepared.app.gate.close()


@pytest.mark.parametrize("route", ["transform", "inverse"])
@pytest.mark.parametrize("kind", [JSON, ARROW])
def test_whole_bodies_are_answered_right(prepared, kind, route):
    for seed in range(6):
        whole(prepared, kind, route, random.Random(seed))


@pytest.mark.parametrize("route", ["transform", "inverse"])
@pytest.mark.parametrize("kind", [JSON, ARROW])
def test_answers_to_other_rows_are_wrong(prepared, kind, route, monkeypatch):
    """Two rows of the answer are exchanged, as if the service had read others."""
    plain = http_bodies.read_json if kind == JSON else http_bodies.read_arrow
    order = [1, 0, *range(2, http_bodies.ROWS)]
    monkeypatch.setattr(
        http_bodies, plain.__name__, lambda *body: pa.concat_tables([plain(*body).slice(row, 1) for row in order])
    )
    with pytest.raises(WrongResult, match="not what the library gives"):
        whole(prepared, kind, route, random.Random(0))
