"""What `gpuvgm train` and `gpuvgm sample` do: generators of synthetic rows, by their names."""

from __future__ import annotations

import warnings
from typing import Any

from gpuvgm.cli.resume import checkpoint_of, complete, fit_or_resume
from gpuvgm.config import GeneratorName
from gpuvgm.errors import InferenceWarning, InputError
from gpuvgm.execution.stages import Report
from gpuvgm.synthesis.synthesizer import TableSynthesizer, load
from gpuvgm.table.model_file import check_target
from gpuvgm.table.transformer import TableTransformer


def train_generator(
    name: GeneratorName, source: Any, model: str, transformer: TableTransformer, *, epochs: int | None, resume: bool
) -> Any:
    """Fit the columns of a table, train a generator on them, and write it.

    Parameters
    ----------
    name : {"counts", "ctgan", "tvae"}
        The generator.
    source : str or Source
        The table.
    model : str
        Where to write the generator. What an interruption leaves is kept beside it.
    transformer : TableTransformer
        With the columns, and the settings of this run.
    epochs : int, optional
        Epochs of a neural network.
    resume : bool
        Go on with a training of this model that was interrupted.

    Returns
    -------
    TableSynthesizer
        The generator.
    """
    check_target(model)
    if name == "counts" and epochs is not None:
        raise InputError("--epochs is for ctgan and tvae; counts read the table twice, whatever it holds")
    folder = checkpoint_of(model)
    begun = folder is not None and folder.exists()
    with warnings.catch_warnings():  # of what a model does not see: generators say how they make it
        warnings.simplefilter("ignore", InferenceWarning)
        fit_or_resume(transformer, source, model, resume=resume and begun, journal=True)
    settings = {key: getattr(transformer, key) for key in ("random_state", "memory", "threads", "progress")}
    generator = TableSynthesizer(transformer, **settings).fit(source)
    complete(generator, model)
    return generator


def load_generator(model: str, threads: int | None, progress: Report) -> Any:
    """A generator that `train_generator` wrote.

    Raises
    ------
    InputError
        For a model that generates no rows.
    """
    generator = load(model)
    if not isinstance(generator, TableSynthesizer):
        raise InputError(f"{model}: a model that fit wrote, which generates no rows; write one with `gpuvgm train`")
    generator.set_params(threads=threads, progress=progress)
    return generator
