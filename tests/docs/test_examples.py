"""The examples in the docstrings of the public interface give what they say."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

import pytest

from tests.docs.test_docstrings import public_names

#: What examples use of gpuvgm that needs another package, which they do not import themselves.
NEEDED_FOR = {
    "gpuvgm.cluster": "distributed",
    "gpuvgm.integrations.ctgan": "ctgan",
    "gpuvgm.integrations.rdt": "rdt",
    "gpuvgm.integrations.spark": "pyspark",
    "gpuvgm.integrations.torch": "torch",
}


def examples() -> Iterator[Any]:
    """The examples of every public name that has some, each with nothing defined before."""
    finder = doctest.DocTestFinder(recurse=False)
    for name in public_names():
        for test in finder.find(resolve_name(name), name, globs={}):
            if test.examples:
                yield pytest.param(test, id=name)


def packages(test: doctest.DocTest) -> set[str]:
    """Packages that examples need, by what they import and use."""
    source = "".join(example.source for example in test.examples)
    modules = {name for name in NEEDED_FOR if name in source}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module))
    return {NEEDED_FOR.get(module, module.partition(".")[0]) for module in modules}


@pytest.mark.parametrize("test", list(examples()))
def test_examples_give_what_they_say(test, working_folder):
    missing = [package for package in sorted(packages(test)) if find_spec(package) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not failed, "".join(report)
