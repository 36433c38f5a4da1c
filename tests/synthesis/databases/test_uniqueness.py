"""Keys of several columns of tables that refer to others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gpuvgm.synthesis.databases.joins import Links
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.uniqueness import keys_of, repeated, with_free_parents


def links(column: str, rows: list[int], parents: int) -> Links:
    return Links(Reference("exams", (column,), f"{column}s", ("id",)), np.array(rows), parents)


def test_keys_are_such_that_rows_would_share_by_chance() -> None:
    students, courses = np.repeat(np.arange(60), 4), (np.arange(240) + np.arange(240) // 4) % 10
    both = [links("student", students.tolist(), 60), links("course", courses.tolist(), 10)]
    exams = pa.table({"marks": np.random.default_rng(0).random(240)})
    assert keys_of(exams, both, []) == (("student", "course"),)
    # A number of each row is a key by itself, and marks that no two rows share are none by chance.
    numbered = exams.append_column("number", pa.array(np.arange(240)))
    assert keys_of(numbered, both, []) == (("student", "course"),)
    # Two attempts at each exam, of which the first student misses one.
    attempts = pa.concat_tables([exams, exams]).append_column("attempt", pa.array(np.repeat([1, 2], 240)))
    again = [links("student", [*students, *students], 60), links("course", [*courses, *courses], 10)]
    assert keys_of(attempts, again, []) == (("student", "course", "attempt"),)
    assert keys_of(attempts, again[:1], [("student", "marks"), ("student",)]) == (("student", "marks"),)


def test_missing_parts_repeat_nothing() -> None:
    assert repeated([np.array([0, 0, 1, 0, -1, -1]), np.array([2, 2, 2, 2, 3, 3])]).tolist() == [1, 3]


def test_rows_that_repeat_a_key_have_free_parents() -> None:
    students, courses = np.array([0, 0, 0, 0, 1, 1]), np.array([2, 2, 2, 2, 2, 7])
    free = with_free_parents(courses, [students], np.array([1.0, 1, 1, 0, 1]), np.array([-1, 0, 0, -1, -1, -1]), 0)
    assert sorted(free[:3]) == [1, 2, 4]  # not 3, which none takes, nor 0, which rows are not to have
    assert free[3:].tolist() == [0, 2, 7]
    full = with_free_parents(np.zeros(3, np.int64), [np.zeros(3, np.int64)], np.ones(2), -np.ones(3, np.int64), 0)
    assert sorted(full) == [0, 0, 1]  # there are no more
