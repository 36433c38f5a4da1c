"""The docstrings of the public interface are complete numpydoc."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pkgutil import resolve_name

import pytest
from numpydoc.validate import validate

import gpuvgm

#: Sections that not every function needs: an extended summary and "See Also". Properties need no examples either.
OPTIONAL = {"ES01", "SA01"}
OF_RDT_1 = ("PR02", "Unknown parameters {'model_missing_values'}")
DROP_INS = {
    "rdt.ClusterBasedNormalizer": "rdt",
    "ctgan.DataTransformer": None,
    "ctgan.CTGAN": "ctgan",
    "ctgan.TVAE": "ctgan",
    "ctabgan.DataTransformer": None,
    "sdv.read_kinds": None,
    "sdv.read_keys": None,
    "torch.TrainingDataset": "torch",
    **dict.fromkeys(("spark.fit", "spark.encode", "spark.decode"), "pyspark"),
}


def public_names() -> Iterator[str]:
    """Everything exported, and the methods and properties that gpuvgm defines on it."""
    names = [name for name in gpuvgm.__all__ if name != "__version__"]
    names += [f"integrations.{name}" for name, needs in DROP_INS.items() if needs is None or find_spec(needs)]
    for name in names:
        yield f"gpuvgm.{name}"
        value = resolve_name(f"gpuvgm.{name}")
        if inspect.isclass(value):
            yield from (f"gpuvgm.{name}.{member}" for member in own_members(value))


def own_members(cls: type) -> Iterator[str]:
    """Public methods and properties of a class that are no other library's."""
    for name, value in inspect.getmembers(cls):
        function = getattr(value, "fget", getattr(value, "func", value))  # of a property, cached or not
        ours = getattr(function, "__module__", None) or ""
        if not name.startswith("_") and inspect.isroutine(function) and ours.startswith("gpuvgm"):
            yield name


@pytest.mark.parametrize("name", list(public_names()))
def test_docstrings_are_complete(name):
    optional = OPTIONAL | {"EX01"} if isinstance(resolve_name(name), (property, cached_property)) else OPTIONAL
    errors = [error for error in validate(name)["errors"] if error[0] not in optional]
    assert [error for error in errors if tuple(error) != OF_RDT_1] == []
