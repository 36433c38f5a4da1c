"""Keys of several columns of tables that refer to others."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.uniqueness import keys_of, repeated, with_free_parents

STUDENT, COURSE = (Reference("exams", (name,), f"{name}s", ("id",)) for name in ("student", "course"))


def codes(**columns: Any) -> dict[tuple[str, ...], Any]:
    return {(name,): np.asarray(values) for name, values in columns.items()}


def test_keys_are_such_that_rows_would_share_by_chance() -> None:
    students, courses = np.repeat(np.arange(60), 4), (np.arange(240) + np.arange(240) // 4) % 10
    exams, both = codes(student=students, course=courses, marks=np.arange(240) // 2), [STUDENT, COURSE]
    assert keys_of([exams], both, []) == (("student", "course"),)
    # A number of each row is a key by itself, and marks that hardly any rows share are none by chance.
    assert keys_of([{**exams, ("number",): np.arange(240)}], both, []) == (("student", "course"),)
    # Two attempts at each exam, of which the first student misses one.
    twice = {name: np.tile(of, 2) for name, of in exams.items()} | codes(attempt=np.repeat([0, 1], 240))
    assert keys_of([twice], both, []) == (("student", "course", "attempt"),)
    assert keys_of([twice], both[:1], [("student", "marks"), ("student",)]) == (("student", "marks"),)


def test_keys_of_rows_in_parts_are_those_of_all_rows() -> None:
    """As long as the first parent is one of their parts."""
    random = np.random.default_rng(0)
    students = np.repeat(np.arange(80), 4)
    courses = np.concatenate([random.choice(10, 4, replace=False) for _ in range(80)])
    marks = random.integers(0, 5, 320)
    exams = codes(student=students, course=courses, marks=marks)
    parts = [{name: of[rows] for name, of in exams.items()} for rows in np.split(np.arange(320), [120, 200])]
    assert keys_of(parts, [STUDENT, COURSE], []) == keys_of([exams], [STUDENT, COURSE], []) == (("student", "course"),)
    assert keys_of(parts, [COURSE, STUDENT], []) == (("course", "student"),)
    parts[2]["course",][:2] = 7  # of one student, in the last part
    assert keys_of(parts, [STUDENT, COURSE], []) == ()


def test_missing_parts_repeat_nothing() -> None:
    assert repeated([np.array([0, 0, 1, 0, -1, -1]), np.array([2, 2, 2, 2, 3, 3])]).tolist() == [1, 3]


def test_rows_that_repeat_a_key_have_free_parents() -> None:
    students, courses = np.array([0, 0, 0, 0, 1, 1]), np.array([2, 2, 2, 2, 2, 7])
    free = with_free_parents(courses, [students], np.array([1.0, 1, 1, 0, 1]), np.array([-1, 0, 0, -1, -1, -1]), [0])
    assert sorted(free[:3]) == [1, 2, 4]  # not 3, which none takes, nor 0, which rows are not to have
    assert free[3:].tolist() == [0, 2, 7]
    full = with_free_parents(np.zeros(3, np.int64), [np.zeros(3, np.int64)], np.ones(2), -np.ones(3, np.int64), [0])
    assert sorted(full) == [0, 0, 1]  # there are no more
