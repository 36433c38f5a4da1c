"""Faults are what they say, of functions that stay in the tree's order, and are taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import mutations

TEXT = '''"""A module: ä."""


class Reader:
    def rows(self, count, values):
        """How many."""
        if count > 3 and "ä" in values: return len(values)
        return [
            values,
        ]
'''
FAULTS = {
    "count > 3 and 'ä' in values": "(not (count > 3 and 'ä' in values))",
    "count > 3": "(count <= 3)",
    "'ä' in values": "('ä' not in values)",
    "len(values)": "values",
    "[values]": "values",
    "3": "4",
}


@pytest.fixture
def module(working_folder: Path) -> Path:
    path = Path("gpuvgm/io/reader.py")
    path.parent.mkdir(parents=True)
    path.write_text(TEXT, encoding="utf-8")
    Path("tests/io").mkdir(parents=True)
    return path


def test_faults_are_put_in_and_taken_out(module: Path, tmp_path: Path) -> None:
    (name, function), mark = next(iter(mutations.all_functions().items())), tmp_path / "called"
    assert name == "gpuvgm/io/reader.py:Reader.rows"
    found = {mutations.ast.unparse(node): (node, after) for node, after in mutations.faults_in(function)}
    assert {before: after for before, (_, after) in found.items()} == FAULTS
    for before, (node, after) in found.items():
        with mutations.put_in(mutations.Mutation(name, node.lineno, before, after), mark):
            names: dict[str, type] = {}
            exec(compile(module.read_text(encoding="utf-8"), "reader.py", "exec"), names)
            results = [names["Reader"]().rows(count, "ä") for count in (3, 4)]
            assert results != [["ä"], 1] and mark.exists()
        assert module.read_text(encoding="utf-8") == TEXT
        mark.unlink()


def test_a_seed_gives_the_same_faults(module: Path) -> None:
    assert [*mutations.mutations_by_lot(1)] == [*mutations.mutations_by_lot(1)]
    assert {mutation.after for seed in range(30) for mutation in mutations.mutations_by_lot(seed)} == {
        *dict(FAULTS).values()
    }
