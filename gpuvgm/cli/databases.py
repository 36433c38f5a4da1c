"""The commands train, sample and evaluate on tables that refer to each other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import gpuvgm
from gpuvgm.cli.console import BOUND_FAILED, DONE, CommandOutcome, json_text
from gpuvgm.cli.options import refuse
from gpuvgm.columns import TableModel
from gpuvgm.errors import InputError
from gpuvgm.io import Document
from gpuvgm.table import ModelFile


def tables_of(sources: Sequence[str]) -> dict[str, str]:
    """Tables as the command line has them: NAME=PATH, or a path whose file gives the name."""
    tables: dict[str, str] = {}
    for source in sources:
        name, sign, path = source.partition("=")
        if not sign or "/" in name:
            name, path = PurePath(source).name.partition(".")[0], source
        if not name or not path:
            raise InputError(f"{source}: give each table as NAME=PATH, such as customers=customers.parquet")
        if name in tables:
            raise InputError(f'{source}: a table "{name}" is there already: name it, OTHER={path}')
        tables[name] = path
    return tables


def references_of(keys: Sequence[str]) -> dict[str, str]:
    """References as the command line has them: CHILD.COLUMN=PARENT.KEY."""
    pairs = [text.partition("=") for text in keys]
    for text, (child, sign, parent) in zip(keys, pairs, strict=True):
        if not (child.strip() and sign and parent.strip()):
            raise InputError(f'--key "{text}": write CHILD.COLUMN=PARENT.KEY, such as orders.customer=customers.id')
    return {child.strip(): parent.strip() for child, _, parent in pairs}


def train_database(
    sources: Sequence[str],
    model: str,
    keys: Sequence[str],
    keep: str | None,
    indices: str | None,
    foreign: Mapping[str, bool],
    **settings: Any,
) -> CommandOutcome:
    """Train a generator of tables that refer to each other, and write it.

    Parameters
    ----------
    sources : sequence of str
        The tables; see `tables_of`.
    model : str
        Path or URL of the generator to write.
    keys : sequence of str
        References; see `references_of`.
    keep : str, optional
        Tables that are kept, with commas between.
    indices : str, optional
        TABLE.COLUMN of what orders children, with commas between.
    foreign : mapping of str to bool
        Options that are for one table, and whether each is given.
    **settings
        Parameters of `DatabaseSynthesizer`.
    """
    refuse(foreign, "is for one table, and --key for several that refer to each other")
    ModelFile.at(model).check_target()
    start = time.perf_counter()
    kept = [name.strip() for name in (keep or "").split(",") if name.strip()]
    orders = dict(text.strip().partition(".")[::2] for text in (indices or "").split(",") if text.strip())
    generator = gpuvgm.DatabaseSynthesizer(keep=kept, sequence_index=orders, **settings).fit(
        tables_of(sources), keys=references_of(keys)
    )
    generator.save(model)
    seconds = time.perf_counter() - start
    document = {"model": model, "with": "database", "seconds": seconds, **generator.to_dict()}
    return CommandOutcome(document, [f"{model}: trained in {seconds:.2f} s", *generator.describe()])


def sample_database(
    model: str, contents: TableModel, folder: str, wanted: Mapping[str, Any], foreign: Mapping[str, bool]
) -> CommandOutcome:
    """Write a folder with a file of each table.

    Parameters
    ----------
    model : str
        Path of a model of `train_database`.
    contents : TableModel
        What it holds.
    folder : str
        The folder to write.
    wanted : mapping of str to object
        Arguments of `DatabaseSynthesizer.sample`.
    foreign : mapping of str to bool
        Options that are for one table, and whether each is given.
    """
    refuse(foreign, f"is for one table, and {model} holds several: choose how many with --scale")
    paths = _database_of(model, contents).sample(**wanted, out=folder)
    document = {"model": model, "scale": wanted["scale"], "paths": {name: str(path) for name, path in paths.items()}}
    return CommandOutcome(document, [f"{folder}: {', '.join(path.name for path in paths.values())}"])


def evaluate_database(
    sources: Sequence[str],
    model: str,
    folders: tuple[str | None, str | None],
    bounds: Mapping[str, float | None],
    pages: tuple[str | None, str | None],
    foreign: Mapping[str, bool],
) -> CommandOutcome:
    """Compare tables with a sample.

    Parameters
    ----------
    sources : sequence of str
        The tables; see `tables_of`.
    model : str
        A model of `train_database`.
    folders : (str or None, str or None)
        Folders of a sample, by default one is drawn, and of tables that were not fitted.
    bounds : mapping of str to float
        Limits.
    pages : (str or None, str or None)
        Where to write the figures as JSON, and the page.
    foreign : mapping of str to bool
        Options that are for one table, and whether each is given.
    """
    refuse(foreign, "is for one table, and these are several")
    report, page = (None if pages[0] is None else Document.json(pages[0])), pages[1]
    compare, held_out = folders
    generator = _database_of(model, ModelFile.at(model).load())
    comparison = generator.evaluate(tables_of(sources), compare, held_out=held_out)
    violations = comparison.broken(bounds)
    document = {"model": model, "compare": compare, "held_out": held_out, **comparison.to_dict(), "broken": violations}
    if report is not None:
        report.write(json_text(document))
    if page is not None:
        comparison.to_html(page, title=f"{model if compare is None else compare} beside the tables")
    return CommandOutcome(document, [str(comparison)], BOUND_FAILED if violations else DONE, violations)


def describe_database(model: str, contents: TableModel) -> CommandOutcome:
    """What a model of `train_database` holds."""
    generator = _database_of(model, contents)
    return CommandOutcome({"model": model, **generator.to_dict()}, generator.describe())


def _database_of(model: str, contents: TableModel) -> gpuvgm.DatabaseSynthesizer:
    generator = gpuvgm.DatabaseSynthesizer._of_model(contents, model)
    if generator is None:
        raise InputError(f"{model}: a model of one table: give one SOURCE, or train with --key")
    return generator
