"""The drop-ins beside CTGAN's and RDT's own classes, on odd columns; and checkpoints of trainings, spoilt."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gpuvgm.errors import InputError
from tests.harness.fuzz.harness import WHOLE, Target, WrongResult, taken_if
from tests.harness.fuzz.mutations import spoil
from tests.harness.fuzz.runs import limit_files

ROWS = 120  # fewer than those from which ctgan starts processes
WORDS: tuple[tuple[Any, ...], ...] = (
    ("a", "b", "c"),
    ("a", "A", " a", "a "),
    ("", "a"),
    (" ", "a", "b"),
    ("a", None),
    ("a", float("nan")),
    ("1", "1.0", "01"),
    ("ä", "a\u0308", "\u2028"),
    ("nan", "None", "NULL", "a"),
    ("True", "False"),
    (True, False),
    (1, 2, 3),
    (0, 1),
    (1.5, 2.5, -0.0),
    (1, 2.5),
    (10**18, 10**18 + 1),
    (np.int8(3), np.int8(-3)),
    (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")),
    (pd.Timestamp("2024-01-01", tz="Europe/Berlin"), pd.Timestamp("2024-07-01", tz="Europe/Berlin")),
    (pd.Timedelta("1D"), pd.Timedelta("2h")),
    ("x" * 5000, "x" * 5001),
    ("", " ", "\t", None, "a"),
    (b"a", "a", "b'a'", b""),
    (1, "1", True, 2.5),
    (True, None, False),
    ((1, 2), (3,), "(1, 2)"),
    (pd.Interval(0, 1), pd.Interval(1, 2)),
    tuple(f"w{number}" for number in range(60)),
)
DTYPES = ("float64", "float64", "float32", "int64", "int8", "uint16", "bool", "Int64", "Float64")


def words(random: random.Random, rows: int) -> Any:
    """A column of categories."""
    chosen = random.choice(WORDS)
    values = [chosen[min(int(random.expovariate(1.5)), len(chosen) - 1)] for _ in range(rows)]
    column = pd.Series(values, dtype=object) if random.random() < 0.3 else pd.Series(values)
    return column.astype("category") if random.random() < 0.2 else column


def numbers(random: random.Random, rows: int, *, gaps: bool = False) -> Any:
    """A column of numbers from a few modes, on some scale, of some type."""
    draws = np.random.default_rng(random.getrandbits(32))
    modes = draws.normal(0, 20, random.choice((1, 2, 3)))
    values = draws.choice(modes, rows) + draws.normal(0, random.choice((0.1, 1, 5)), rows)
    dtype = random.choice(DTYPES)
    if dtype in ("float64", "float32"):
        values = (values * 10.0 ** random.choice((-2, 0, 0, 3))).round(random.choice((0, 2, 9)))
    column = pd.Series(values)
    if dtype in ("bool", "int8", "uint16"):
        column = (column > 0) if dtype == "bool" else column.abs().clip(upper=100).astype(dtype)
    elif dtype in ("int64", "Int64"):
        column = (10 * column).round().astype(dtype)
    else:
        column = column.astype(dtype)
    if gaps and dtype in ("float64", "float32", "Int64", "Float64") and random.random() < 0.5:
        column[draws.random(rows) < 0.1] = None
    return column


def both(theirs: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any]:
    """What both make of it; where theirs fails, ours may as well.

    Raises
    ------
    WrongResult
        Where ours fails with an error that is none of gpuvgm's, and theirs does not.
    """
    try:
        expected = theirs()
    except Exception:
        expected = None
    try:
        return expected, ours()
    except InputError as problem:
        raise InputError(f"frame: {problem}") from problem
    except ValueError as problem:
        if expected is None or type(problem) is not ValueError:
            raise InputError(f"frame: {type(problem).__name__}") from problem
        raise


def same_values(one: Any, other: Any, given: Any, name: object) -> None:
    """Refuse values that are neither those of the frame nor the other library's, and another type than that gives."""
    intervals = isinstance(one.dtype, pd.IntervalDtype) and other.infer_objects().dtype == one.dtype  # of objects
    if one.dtype != other.dtype and not intervals:
        raise WrongResult(f"column {name!r} comes back as {one.dtype}, and theirs as {other.dtype}")
    for row, (mine, its, right) in enumerate(zip(one, other, given, strict=True)):
        missing = [pd.isna(value) for value in (mine, its, right)]
        if not (missing[0] and (missing[1] or missing[2])) and (missing[0] or mine not in (its, right)):
            raise WrongResult(f"column {name!r}, row {row}: {mine!r}, and theirs has {its!r}")


def as_ctgan(_: None, random: random.Random, folder: Path) -> None:
    """A frame of discrete columns and one of numbers, through ctgan's transformer and ours."""
    from ctgan import data_transformer

    from gpuvgm.integrations.ctgan import DataTransformer

    columns: dict[Any, Any] = {f"d{number}": words(random, ROWS) for number in range(random.randint(1, 3))}
    discrete = [*columns]
    if random.random() < 0.5:
        columns["x"] = numbers(random, ROWS)
    frame = pd.DataFrame(columns)
    if random.random() < 0.2:
        frame.index = pd.Index(random.sample(range(10 * ROWS), ROWS))

    def encode(transformer: Any) -> tuple[Any, Any]:
        transformer.fit(frame, discrete)
        return transformer, transformer.transform(frame)

    stock, mine = data_transformer.DataTransformer(), DataTransformer(algorithm="exact", threads=1)
    theirs, (ours, matrix) = both(lambda: encode(stock), lambda: encode(mine))
    if theirs is not None:
        compare_discrete(frame, discrete, (ours, matrix), theirs)


def compare_discrete(frame: Any, discrete: list[str], ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    """Refuse discrete columns whose rows are alike otherwise than ctgan's, or come back as something else."""
    for number, name in enumerate(discrete):
        codes, others = (codes_of(*one, number) for one in (ours, theirs))
        if len(set(zip(codes, others, strict=True))) != len(set(others)) or len(set(codes)) != len(set(others)):
            raise WrongResult(f"column {name!r}: other rows are alike than ctgan's")
    try:
        expected = theirs[0].inverse_transform(theirs[1])
    except Exception:  # of moments beside numbers, which ctgan cannot put together
        return
    back = ours[0].inverse_transform(ours[1])
    for name in back.columns:
        if name in discrete:
            same_values(back[name], expected[name], frame[name], name)
        elif back[name].dtype != expected[name].dtype:
            raise WrongResult(f"numbers come back as {back[name].dtype}, and ctgan's as {expected[name].dtype}")


def codes_of(transformer: Any, matrix: Any, number: int) -> list[int]:
    """The one-hot column of each row in a discrete column."""
    widths = [sum(part.dim for part in parts) for parts in transformer.output_info_list]
    start = sum(widths[:number])
    return np.asarray(matrix)[:, start : start + widths[number]].argmax(axis=1).tolist()


def as_rdt(_: None, random: random.Random, folder: Path) -> None:
    """A column of numbers through RDT's normalizer and ours."""
    from rdt import transformers

    from gpuvgm.integrations.rdt import ClusterBasedNormalizer

    frame = pd.DataFrame({"a": numbers(random, random.choice((1, 2, 20, ROWS)), gaps=True)})
    settings = {
        "learn_rounding_scheme": random.random() < 0.5,
        "enforce_min_max_values": random.random() < 0.5,
        "max_clusters": random.choice((1, 3, 10)),
        "missing_value_generation": random.choice(("random", "from_column", None)),
    }

    def encode(transformer: Any) -> tuple[Any, Any]:
        transformer.fit(frame, "a")
        return transformer, transformer.transform(frame)

    theirs, (ours, encoded) = both(
        lambda: encode(transformers.ClusterBasedNormalizer(**settings)),
        lambda: encode(ClusterBasedNormalizer(**settings, algorithm="exact")),
    )
    if theirs is None:
        return
    stock, expected = theirs
    if [*encoded.columns] != [*expected.columns] or [*encoded.dtypes] != [*expected.dtypes]:
        raise WrongResult(f"{[*encoded.columns]} of {[*encoded.dtypes]}, and RDT has {[*expected.dtypes]}")
    back, their_back = ours.reverse_transform(encoded), stock.reverse_transform(expected)
    if back["a"].dtype != their_back["a"].dtype or [*back["a"].isna()] != [*their_back["a"].isna()]:
        raise WrongResult(f"{back['a'].dtype} with {back['a'].isna().sum()} gaps, and RDT {their_back['a'].dtype}")
    far = np.flatnonzero(
        np.abs(back["a"].astype(float) - frame["a"].astype(float))
        > 2 * np.abs(their_back["a"].astype(float) - frame["a"].astype(float)).max() + 1e-3
    )
    if len(far) and settings["missing_value_generation"] == "from_column":
        raise WrongResult(f"row {far[0]}: {back['a'][far[0]]!r}, and the column has {frame['a'][far[0]]!r}")


# -- checkpoints

SMALL = {"embedding_dim": 8, "batch_size": 100, "epochs": 2}


def train(kind: str, rows: Any, **options: Any) -> Any:
    """A training of a few steps, from the same random state."""
    from gpuvgm.integrations import ctgan

    more = {"generator_dim": (16,), "discriminator_dim": (16,), "pac": 5} if kind == "CTGAN" else {}
    synthesizer = getattr(ctgan, kind)(**SMALL, **more)
    synthesizer.set_random_state(5)
    synthesizer.fit(rows, ["word"], **options)
    return synthesizer


def users(seed: int) -> Any:
    """Rows to train on."""
    draws = np.random.default_rng(seed)
    return pd.DataFrame({"amount": draws.lognormal(2, 1, ROWS).round(2), "word": draws.choice(["a", "b"], ROWS)})


def prepare(_: Path) -> Any:
    """Checkpoints of two trainings of each kind, and the rows that the finished ones give."""
    import tempfile

    import torch

    torch.set_num_threads(1)
    kept = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("CTGAN", "TVAE"):
            for seed in (0, 1):
                path = Path(folder, "training.pt")
                train(kind, users(seed), steps=3, checkpoint=path)
                kept[kind, seed] = path.read_bytes(), train(kind, users(seed), steps=5).sample(20)
                path.unlink()
    return kept


def resume(kept: Any, random: random.Random, folder: Path) -> None:
    """Go on with a checkpoint that is damaged, of other rows or of another model, or without room for the next."""
    kind, path = random.choice(("CTGAN", "TVAE")), folder / "training.pt"
    body, expected = kept[kind, 0]
    chosen = "whole" if random.random() < WHOLE else random.choice(("spoilt", "spoilt", "rows", "kind", "room"))
    other = {"rows": (kind, 1), "kind": ("TVAE" if kind == "CTGAN" else "CTGAN", 0)}
    path.write_bytes(kept[other[chosen]][0] if chosen in other else spoil(body, random) if chosen == "spoilt" else body)
    before = path.read_bytes()
    if chosen == "room":
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit_files(random.randrange(len(body)))
    try:
        with taken_if(chosen in ("whole", "room")):
            model = train(kind, users(0), steps=5, checkpoint=path, checkpoint_steps=1, resume=True)
    except OSError as problem:
        if chosen != "room" or problem.filename != str(path) or path.read_bytes() != before:
            raise
        if [other.name for other in folder.iterdir()] != [path.name]:
            raise WrongResult("left behind on a full disk") from problem
        return
    if chosen in ("rows", "kind", "room"):
        raise WrongResult(f"went on with a checkpoint: {chosen}")
    if not model.sample(20).equals(expected):
        raise WrongResult("the training that went on is another one")


def import_all(*names: str) -> None:
    """Import what all cases need, once."""
    for name in names:
        import_module(name)


def quietly(attempt: Callable[..., None]) -> Callable[..., None]:
    """Without the warnings of the libraries."""

    def run(*arguments: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(*arguments)

    return run


TARGETS = tuple(
    target
    for needs, target in (
        (
            "rdt",
            Target(
                "as-rdt",
                lambda _: import_all("rdt.transformers", "gpuvgm.integrations.rdt"),
                quietly(as_rdt),
                memory=None,
                named=("frame",),
            ),
        ),
        (
            "ctgan",
            Target(
                "as-ctgan",
                lambda _: import_all("ctgan", "gpuvgm.integrations.ctgan"),
                quietly(as_ctgan),
                memory=None,
                named=("frame",),
            ),
        ),
        ("ctgan", Target("checkpoints", prepare, quietly(resume), memory=None, named=("training.pt",))),
    )
    if find_spec(needs) is not None
)
