"""The commands train and sample: generators of synthetic rows by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpuvgm
from gpuvgm.cli.options import GeneratorName, refuse
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.table import ModelFile

if TYPE_CHECKING:
    from gpuvgm.columns import TableModel

_LOG = logging.getLogger("gpuvgm")
#: Settings of counts alone, with their options and defaults.
OF_COUNTS: Mapping[str, tuple[str, Any]] = {
    "hold_out": ("--hold-out", 0.0),
    "safer": ("--safer", False),
    "laws": ("--laws", "auto"),
    "sequence_key": ("--sequence-key", None),
    "sequence_index": ("--sequence-index", None),
}


def train_generator(
    name: GeneratorName, source: Any, model: str, settings: Mapping[str, Any], *, epochs: int | None, resume: bool
) -> Any:
    """Train a generator on a table, and write it.

    Parameters
    ----------
    name : {"counts", "ctgan", "tvae"}
        The generator.
    source : str or Source
        The table.
    model : str
        Path or URL of the generator to write. The state of an interrupted training is kept next to it.
    settings : mapping
        Columns, random_state, executor, memory, threads and progress, as for `TableTransformer`, and those of
        `OF_COUNTS`, as for `TableSynthesizer`.
    epochs : int, optional
        Epochs of a neural network.
    resume : bool
        Go on with the epochs of a network that an interrupted training left.

    Returns
    -------
    TableSynthesizer, CTGAN or TVAE
        The generator.
    """
    target = ModelFile.at(model)
    target.check_target()
    if name == "counts" and epochs is not None:
        raise InputError("--epochs is for ctgan and tvae; counts read the table twice, whatever it holds")
    encoding = {setting: value for setting, value in settings.items() if setting not in OF_COUNTS}
    for setting, (option, default) in OF_COUNTS.items():
        if name != "counts" and settings[setting] != default:
            raise InputError(f"{option} is for counts, not for {name}")
    network = None if name == "counts" else _network(name, settings["executor"])
    place = target.place
    checkpoint = place.with_name(f".{place.name}.training") if network and isinstance(place, Path) else None
    if network is not None and checkpoint is not None and not resume:
        network._refuse_to_forget(checkpoint, complete=True)  # before all else is done again
    try:
        if network is None:
            generator = gpuvgm.TableSynthesizer(**settings).fit(source)
        else:
            generator = network(encoding=encoding, **({} if epochs is None else {"epochs": epochs}))
            generator.set_random_state(settings["random_state"])
            go_on = resume and checkpoint is not None
            generator.fit(source, checkpoint=checkpoint, resume=go_on, progress=settings["progress"])
    except ColumnsFailed as problem:
        remedy = "give failed columns another kind: --columns NAME=KIND, or a TOML file"
        raise InputError(problem.message(remedy)) from problem
    generator.save(model)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return generator


def train_private(
    domain: str, source: str, model: str, promise: Mapping[str, Any], foreign: Mapping[str, bool], **machine: Any
) -> gpuvgm.PrivateSynthesizer:
    """Train a private generator on a table, and write it.

    Parameters
    ----------
    domain : str
        File of JSON with the declared columns.
    source : str
        Path or URL of the table.
    model : str
        Path or URL of the generator to write.
    promise : mapping
        epsilon, delta and rows_per_person, of which the first two must be given.
    foreign : mapping of str to bool
        Options of other generators, and whether each is given.
    **machine
        Executor and threads.

    Raises
    ------
    InputError
        For options of other generators, which learn of rows what the promise forbids.
    """
    refuse(foreign, "is not for --private: all that is learnt of rows is counts with noise")
    ModelFile.at(model).check_target()
    generator = gpuvgm.PrivateSynthesizer(domain, **promise, **machine).fit(source)
    generator.save(model)
    return generator


def sample_rows(
    model: str, contents: TableModel, rows: int | None, wanted: Mapping[str, Any], **machine: Any
) -> tuple[Any, float | None]:
    """Write rows of a generator from `train_generator`, by default as many as its table has.

    `contents` are those of the file `model`.

    `wanted` has keys, conditions, sort, seed, out, flavor and resume, as for `TableSynthesizer.sample`; `machine` has
    executor, threads and progress.

    Returns
    -------
    summary : RunSummary
        Summary of the file or folder.
    share : float or None
        Share of the rows drawn by a neural network that met the conditions.

    Raises
    ------
    InputError
        For a model that generates no rows, and for a neural network with an executor.
    ModuleNotFoundError
        For a neural network, where ctgan is not installed.
    """
    name, keys = contents.generator, wanted["keys"]
    if keys is not None and rows is not None:
        raise InputError("--keys: all rows of so many keys are drawn: give no --rows")
    if keys is not None and name is not None:
        raise InputError(f"--keys is for counts with --sequence-key, and {model} is another generator")
    if wanted["sort"] is not None and name is not None:
        raise InputError(f"--sort is for counts, and {model} is another generator: sort the file that it writes")
    without = ("keys",) if name is None else ("keys", "sort")
    wanted = {label: value for label, value in wanted.items() if label not in without}
    if name in (None, "private"):
        generator = gpuvgm.load(model)
        if isinstance(generator, gpuvgm.PrivateSynthesizer):
            generator.set_params(executor=machine["executor"], threads=machine["threads"])
            rows = generator.rows_ if rows is None else rows
            return generator.sample(rows, **{**wanted, "seed": wanted["seed"] or 0}), None
        rows = contents.rows if rows is None and keys is None else rows
        if not isinstance(generator, gpuvgm.TableSynthesizer):
            raise InputError(f"{model}: a model that fit wrote, which generates no rows; write one with `gpuvgm train`")
        generator.set_params(**machine)
        return generator.sample(rows, keys=keys, **wanted), None
    if wanted["resume"]:
        _LOG.warning("--resume: %s draws its rows one after the other, from the first on", name)
    try:
        network = _network(name, machine["executor"]).load(model)
    except ModuleNotFoundError as problem:
        message = f"{model}: holds a {name.upper()}, a neural network that draws its rows with ctgan ({problem})"
        raise ModuleNotFoundError(message, name=problem.name) from problem
    network.set_random_state(contents.seed if wanted["seed"] is None else wanted["seed"])
    summary = network.sample(
        contents.rows if rows is None else rows,
        conditions=wanted["conditions"],
        out=wanted["out"],
        flavor=wanted["flavor"],
        progress=machine["progress"],
    )
    return summary, network.condition_share_ if wanted["conditions"] else None


def _network(name: str, executor: object) -> Any:
    """Class of a neural network, which trains and samples in this process."""
    if executor is not None:
        raise InputError(f"--scheduler and --workers are for counts; {name} works in one process")
    from gpuvgm.integrations import ctgan

    return getattr(ctgan, name.upper())
