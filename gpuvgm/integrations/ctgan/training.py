"""Trainings of CTGAN and TVAE: their progress, checkpoints, and several processes."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

from gpuvgm.errors import InputError, counted
from gpuvgm.execution import Progress, Stages
from gpuvgm.files import partial_of
from gpuvgm.integrations.ctgan.transformer import draw_seed
from gpuvgm.integrations.torch import processes
from gpuvgm.io import check_file, naming_file

MAGIC = b"gpuvgm checkpoint 2\n"  # followed by the SHA-256 of the rest, which torch wrote
_LOG = logging.getLogger("gpuvgm")


class Checkpoint:
    """A file with a training that is under way, from which it goes on as if it had not been cut short.

    Parameters
    ----------
    path : path, optional
        The file; None keeps nothing. Of several processes number r, from 1 on, has a file of its own beside it.
    interval : int
        Steps between two writes of it.
    resume : bool
        Go on from what the file holds, if it is there.

    Attributes
    ----------
    seed : int
        Seed to encode and shuffle rows with, the same in all processes: that of the training that goes on, else one
        that the first process draws from NumPy's random state.

    Raises
    ------
    InputError
        To resume without a file, or from one that is no checkpoint, and for a file that cannot be written.
    """

    def __init__(self, path: str | Path | None, interval: int, *, resume: bool) -> None:
        if path is None and resume:
            raise InputError("resume=True goes on from a checkpoint: name its file")
        if interval < 1:
            raise InputError(f"a checkpoint is written after at least 1 step, not {interval}")
        rank, _ = processes()
        self.path = None if path is None else Path(path).with_name(Path(path).name + (f".{rank}" if rank else ""))
        self.interval = interval
        self.state: dict[str, Any] | None = None
        if self.path is not None:
            check_file(self.path)
            if not resume:
                refuse_to_forget(self.path)
            self.state = _read_checkpoint(self.path) if resume and self.path.exists() else None
        self.seed = share_number(draw_seed() if self.state is None else self.state["seed"])

    def begin(self, meaning: dict[str, Any]) -> None:
        """Record the settings that a resumed training must share, and refuse to resume another training.

        Raises
        ------
        InputError
            Naming what differs.
        """
        self.meaning = meaning
        if self.state is None:
            return
        differences = [name for name, value in meaning.items() if self.state["meaning"].get(name) != value]
        if differences:
            raise InputError(
                f"{self.path}: a checkpoint of another training; these differ: {', '.join(differences)}; "
                "give what it was begun with, or remove it to begin again"
            )


def refuse_to_forget(path: Path, *, complete: bool = False) -> None:
    """Refuse to begin again over the checkpoint of a training that was cut short, or over a complete one too.

    Raises
    ------
    InputError
        Saying how many steps are done.
    """
    try:
        state = _read_checkpoint(path)
    except (InputError, FileNotFoundError):  # no checkpoint, which is replaced
        return
    steps_done, total = state["done"], state["total"]
    if complete or steps_done < total:
        problem = f"{path}: a training that was cut short is there, {steps_done:,} of {counted(total, 'step')}"
        raise InputError(f"{problem}: go on with resume=True, or remove that file to begin again")


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint."""
    with path.open("rb") as file:
        begins, digest, body = file.read(len(MAGIC)), file.read(hashlib.sha256().digest_size), file.read()
    problem = "it begins otherwise" if begins != MAGIC else "it is damaged"
    if begins == MAGIC and digest == hashlib.sha256(body).digest():
        try:
            # weights_only: a file from elsewhere must not run code.
            state: dict[str, Any] = torch.load(io.BytesIO(body), weights_only=True)
            return state
        except pickle.UnpicklingError as error:
            problem = f"it holds more than numbers and text: {error}".partition("\n")[0]
    raise InputError(
        f"{path}: no checkpoint of a training ({problem}); give its file, or leave resume=True out, which replaces it"
    )


class Training:
    """Progress of a training: the steps that are done, and their losses.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where it is kept, and what it goes on from.
    parts : mapping of str to object
        Objects with a state: networks and optimizers.
    """

    def __init__(self, checkpoint: Checkpoint, parts: Mapping[str, Any]) -> None:
        self._checkpoint, self._parts = checkpoint, parts
        self.steps_done = 0
        self.losses: list[dict[str, Any]] = []
        state = checkpoint.state
        if state is None:
            share_start([part for part in parts.values() if isinstance(part, torch.nn.Module)])
            return
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": state["numpy_key"].numpy()}})
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])
        self.steps_done, self.losses = state["done"], state["losses"]

    def steps(self, total: int, progress: Progress | None) -> Iterator[int]:
        """Yield the numbers of the remaining steps; a step is done when the next one is asked for."""
        stages = Stages.of(progress)
        with stages.stage("train", None, {"steps": total}):
            for number in range(self.steps_done, total):
                yield number
                self.steps_done = number + 1
                if self._checkpoint.path is not None and (
                    self.steps_done % self._checkpoint.interval == 0 or self.steps_done == total
                ):
                    self._keep(self._checkpoint.path, total)
                stages("train", self.steps_done, total)

    def _keep(self, path: Path, total: int) -> None:
        """Write a checkpoint; where that fails before the last one, the training goes on, and the older one stays."""
        random: Any = np.random.get_state(legacy=False)
        # As a tensor, because weights_only refuses NumPy's arrays.
        key = torch.from_numpy(random["state"].pop("key").astype(np.int64))
        state = {
            "done": self.steps_done,
            "total": total,
            "losses": self.losses,
            "meaning": self._checkpoint.meaning,
            "seed": self._checkpoint.seed,
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "numpy": random,
            "numpy_key": key,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        }
        body = io.BytesIO()
        torch.save(state, body)
        digest = hashlib.sha256(body.getbuffer()).digest()
        try:
            with naming_file(path), partial_of(path) as temporary:
                with temporary.open("wb") as file:
                    file.writelines((MAGIC, digest, body.getbuffer()))
                temporary.replace(path)
        except OSError as problem:
            if self.steps_done == total:
                raise
            with tqdm.external_write_mode():  # on a line of its own, where a bar is drawn
                _LOG.warning(
                    "%s: the checkpoint of step %d is not written: %s", path, self.steps_done, problem.strerror
                )


def share_number(number: int) -> int:
    """A number below 2^64 of the first process, which all processes take."""
    _, count = processes()
    if count == 1:
        return number
    numbers = [number]
    distributed.broadcast_object_list(numbers, 0)
    return numbers[0]


def share_start(parts: Sequence[torch.nn.Module]) -> None:
    """Broadcast the weights of the first process to all, and seed each one's own random numbers."""
    rank, count = processes()
    if count == 1:
        return
    for part in parts:
        for tensor in part.state_dict().values():
            distributed.broadcast(tensor, 0)
    seed = share_number(int(torch.randint(2**31, (1,)))) + rank
    torch.manual_seed(seed)
    np.random.seed(seed)


def average(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Mean of the gradients of all processes, which makes their batches one: as DistributedDataParallel does.

    That class knows gradients of one backward pass; the critic's are sums of two.
    """
    _, count = processes()
    if count == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    vector = parameters_to_vector(gradients)
    distributed.all_reduce(vector)
    vector_to_parameters(vector / count, gradients)
