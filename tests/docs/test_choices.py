"""Choices in docstrings are those of the annotations, from which editors complete and arguments are checked."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import gpuvgm
from gpuvgm.datasets import writing

LISTED = re.compile(r"^ *(\w+(?:, \w+)*) : (\{.*?\})", re.MULTILINE)
TABLE, MIXTURE, ROWS = gpuvgm.TableTransformer, gpuvgm.BayesianGaussianMixture, gpuvgm.TrainingRows


def choices(hint: Any) -> Iterator[object]:
    """The values that an annotation allows one by one."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif hint is bool:
        yield from (True, False)
    else:
        for part in get_args(hint):
            yield from choices(part)


def annotated(function: Callable[..., Any]) -> dict[str, set[object]]:
    """The choices of each argument that is annotated with a Literal."""
    hints = {name: set(choices(hint)) for name, hint in get_type_hints(function).items() if name != "return"}
    return {name: values for name, values in hints.items() if any(isinstance(value, str) for value in values)}


def documented(text: str) -> dict[str, set[object]]:
    """The choices of each argument whose docstring lists them."""
    return {name: ast.literal_eval(values) for names, values in LISTED.findall(text) for name in names.split(", ")}


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (TABLE.__init__, inspect.getdoc(TABLE)),
        (TABLE.iter_batches, inspect.getdoc(TABLE.iter_batches)),
        (TABLE.inverse_transform, inspect.getdoc(TABLE.inverse_transform)),
        (TABLE.set_output, inspect.getdoc(TABLE.set_output)),
        (TABLE.get_feature_names_out, inspect.getdoc(TABLE.get_feature_names_out)),
        (MIXTURE.__init__, inspect.getdoc(MIXTURE)),
        (ROWS.__init__, inspect.getdoc(ROWS)),
        (gpuvgm.generate, inspect.getdoc(gpuvgm.generate)),
    ],
    ids=lambda part: getattr(part, "__qualname__", ""),
)
def test_docstrings_list_the_choices_of_the_annotations(function: Callable[..., Any], text: str) -> None:
    ours, theirs = annotated(function), documented(text)
    assert ours
    both = set(ours) & set(theirs)
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}
    assert set(theirs) - set(ours) <= {"init_params"}  # an array, too
    if function is not TABLE.iter_batches:  # whose mode and dtype are those of the class
        assert set(ours) <= set(theirs)


def test_every_kind_of_generated_table_can_be_generated() -> None:
    assert get_args(writing.Kind) == tuple(writing.TABLES)
