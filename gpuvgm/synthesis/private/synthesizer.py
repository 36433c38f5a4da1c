"""PrivateSynthesizer: fit, sample and file of a generator with a stated (epsilon, delta)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from os import PathLike, fspath
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gpuvgm.columns.model import TableModel
from gpuvgm.columns.records import document_of, read_record
from gpuvgm.columns.rules import whole
from gpuvgm.columns.schema import TableSchema
from gpuvgm.config import BLOCK_ROWS, Flavor
from gpuvgm.datasets.ranges import RowRange
from gpuvgm.datasets.writing import FILE_ROWS, Generator, write_generated
from gpuvgm.engines import EngineName
from gpuvgm.errors import InputError, ModelFileError, NamedParameters, counted
from gpuvgm.execution.context import executor_for
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.io import TableLike, restore
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import Domain
from gpuvgm.synthesis.private.mechanism import Machine, Released, level_sizes, pair_shapes, release
from gpuvgm.synthesis.private.model import GivenNetwork, NoisyColumns, network_of, releases_of
from gpuvgm.synthesis.private.sampling import PrivateRows
from gpuvgm.table.decode import EncodedTable
from gpuvgm.table.model_file import save_model
from gpuvgm.table.write import RunSummary

Path_ = str | PathLike[str]
NAME = "private"
UNIT = "a person, who has at most rows_per_person rows"
NEIGHBOURS = "tables that differ by all rows of one person, which one has and the other one lacks"
_ROWS = whole()


@dataclass(frozen=True, slots=True)
class _Record:
    """What a file holds beside the noisy counts."""

    domain: dict[str, Any]
    epsilon: str
    delta: str
    rows_per_person: int
    rho: str
    unit: str
    neighbours: str
    releases: tuple[Release, ...]
    variances: tuple[int, ...]


class PrivateSynthesizer(NamedParameters, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A generator of synthetic tables that keeps a promise of differential privacy. Experimental.

    What it learns of the rows is counts with noise, and nothing else: the model, all samples of it and whatever is
    computed from them are (epsilon, delta)-differentially private for persons (Dwork & Roth 2014, definition 2.4).
    Whoever sees them learns nearly the same of a person whether that person's rows were in the table or not.

    Everything else is declared before a row is read. Rows with other values are not refused: they count at the nearest
    bound, as another category, or as missing. Nobody outside the project has reviewed the code yet.

    Rows are read twice: by the cells of each column, and by the bins of every two columns, which are made from the
    noisy counts of the first scan. Noise is discrete Gaussian, drawn exactly in integers (Canonne, Kamath & Steinke
    2020) from the generator of the operating system.

    Parameters
    ----------
    domain : mapping or path
        Declaration of each column by name, or a file of JSON that holds it; columns that are not declared are not
        read. Each has a ``"kind"``:

        - ``"number"``: ``"low"`` and ``"high"``; ``"step"`` between values, for any value 0 (the default); ``"scale"``
          ``"linear"`` or ``"log"``, with ``"unit"`` (1), above which it is logarithmic; ``"special"``, a list of values
          that have counts of their own; ``"missing"``, whether values may be missing (false).
        - ``"category"``: ``"categories"``, a list of texts or of whole numbers; ``"other"``, what all other values
          become; without it they count as the first category; ``"missing"``.
        - ``"boolean"``: ``"missing"``.
        - ``"date"``: ``"low"`` and ``"high"``, such as ``"2024-01-31"``; ``"missing"``.
        - ``"datetime"``: ``"low"``, ``"high"``, ``"step"`` such as ``"1s"``, ``"15min"`` or ``"1h"``; ``"tz"``, in UTC
          without; ``"missing"``.
        - ``"id"``: running numbers from ``"first"`` (1) on; the column is not read.

    epsilon : float
        The promise, more than 0 and at most 20. Above 3 it is weak.
    delta : float
        The probability with which the promise may fail; more than 0 and at most 1e-5, and far below one over the number
        of persons.
    rows_per_person : int
        Rows that a person has in the table, at most. This is declared, not checked. Noise grows with it.
    executor, memory, threads : optional
        As for `TableTransformer`.

    Attributes
    ----------
    ledger_ : tuple of Release
        What was counted, with which variance of noise, and what it cost in zero-concentrated differential privacy.
    network_ : Network
        The columns with their parents.
    rows_ : int
        About how many rows the table has, by noisy counts.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> age = np.random.default_rng(0).integers(18, 80, 20_000)
    >>> table = {"age": age, "group": np.where(age < 65, "working", "retired")}
    >>> domain = {
    ...     "age": {"kind": "number", "low": 0, "high": 120, "step": 1},
    ...     "group": {"kind": "category", "categories": ["working", "retired"], "other": "other"},
    ... }
    >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9).fit(table)
    >>> rows = synthesizer.sample(1000)
    >>> bool(np.mean((rows["age"] < 65) == (rows["group"] == "working")) > 0.9)
    True
    """

    ledger_: tuple[Release, ...]
    network_: GivenNetwork
    rows_: int

    def __init__(
        self,
        domain: Any,
        *,
        epsilon: Any,
        delta: Any,
        rows_per_person: int = 1,
        engine: EngineName = "auto",
        executor: Any = None,
        memory: int | str | None = None,
        threads: int | None = None,
    ) -> None:
        self.domain = domain
        self.epsilon = epsilon
        self.delta = delta
        self.rows_per_person = rows_per_person
        self.engine = engine
        self.executor = executor
        self.memory = memory
        self.threads = threads

    def fit(self, source: TableLike, y: Any = None) -> Self:
        """Count the rows of a table with noise, which keeps the promise once: there is no second fit of an object.

        Fits of the same persons add up: two with epsilon 1 promise epsilon 2.

        Parameters
        ----------
        source : object
            As for `TableTransformer.fit`, but it must be one that can be read twice.
        y : None
            Ignored.

        Returns
        -------
        PrivateSynthesizer
            The synthesizer itself.

        Raises
        ------
        InputError
            For a domain or a promise that is none, columns that are not there, a second fit, and a table that cannot be
            read. No message tells of a row.
        """
        domain, promise = Domain.of(self.domain), Promise.of(self.epsilon, self.delta, self.rows_per_person)
        releases = releases_of(domain, promise)
        LocalExecutor(self.threads)  # refuses wrong numbers, before all reasons are withheld
        if hasattr(self, "_begun"):
            raise InputError("this object has been fitted, and each fit costs its own epsilon: make another one")
        machine = Machine(self.executor, self.memory, self.threads)
        self._begun = True
        released = release(source, domain, releases, lambda noisy: NoisyColumns(domain, noisy, releases).bins, machine)
        self._take(domain, promise, released)
        self._flavour = _flavour_of(source)
        return self

    def _take(self, domain: Domain, promise: Promise, released: Released) -> None:
        """Make the model of what was released."""
        self._begun, self._flavour = True, "path"
        self._domain, self._promise, self._released = domain, promise, released
        self.ledger_ = released.releases
        self.network_ = network_of(domain, released)
        self.rows_ = round(NoisyColumns(domain, released.columns, released.releases).rows)

    def sample(
        self,
        n: int,
        *,
        conditions: Mapping[Any, Any] | None = None,
        out: Path_ | None = None,
        first_row: int = 0,
        seed: int = 0,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Any:
        """Draw rows, as many as one likes: the promise holds for all of them together.

        Each depends on the seed and its number only, so that parts can be drawn apart.

        Parameters
        ----------
        n : int
            Number of rows. The promise does not cover the number of the table's own rows if you choose it.
        conditions : mapping, optional
            By column: a value; a list or set of values; or a tuple (low, high), both ends included, None for no end.
            Rows have the exact distribution that the model has under all conditions together.
        out, first_row, flavor, resume : optional
            As for `TableSynthesizer.sample`.
        seed : int
            0 to 2^64 - 1. It is no secret.

        Returns
        -------
        object
            A table of the kind that was fitted; of a model from a file a pyarrow Table. With `out` a `RunSummary`.

        Raises
        ------
        InputError
            For conditions that no row of the model can meet.
        """
        rows = self._rows({str(label): condition for label, condition in (conditions or {}).items()})
        part, row_seed, schema = RowRange(first_row, _ROWS(n, "n")), int(seed), self._domain.schema
        part.check(row_seed)
        if out is not None:
            return self._write(rows, part, row_seed, out, flavor=flavor, resume=resume)
        batches: list[pa.RecordBatch] = []
        LocalExecutor(self.threads).map_blocks(
            lambda block: rows.rows(block.first_row, block.rows, row_seed), part.ranges(BLOCK_ROWS), batches.append
        )
        return restore(pa.Table.from_batches(batches, schema), EncodedTable("the sample", self._flavour, schema))

    def _rows(self, conditions: Mapping[str, Any]) -> PrivateRows:
        self._check_fitted()
        return PrivateRows.that_meet(self._domain, self.network_, conditions, self.engine)

    def _write(
        self, rows: PrivateRows, part: RowRange, seed: int, out: Path_, *, flavor: Flavor | None, resume: bool
    ) -> RunSummary:
        conditions = repr([(place, bins.mass.tolist()) for place, bins in rows.conditions.items()])
        digest = sha256(conditions.encode() + _tables_of(self._released)).hexdigest()
        metadata = {"gpuvgm.kind": "sample", "gpuvgm.seed": str(seed), "gpuvgm.digest": digest}
        generator = Generator(rows.rows, self._domain.schema, seed, BLOCK_ROWS, metadata, flavor)
        cluster = executor_for(self.executor, EncodedTable("the sample", "path", self._domain.schema))
        executor = LocalExecutor(self.threads) if cluster is None else cluster
        return write_generated(generator, out, part, FILE_ROWS, executor, resume=resume)

    def evaluate(self, source: TableLike, *, n: int | None = None, seed: int = 0) -> Any:
        """Compare rows that are drawn with those of a table. This needs raw rows, and what it gives is not private.

        Show its result only to those who may see the rows: no noise is added to it.

        Parameters
        ----------
        source : object
            The table that was fitted, or other rows like it.
        n : int, optional
            Rows to draw; by default `rows_`, 1,000,000 at most.
        seed : int
            As for `sample`.

        Returns
        -------
        Comparison
            As `TableTransformer.evaluate` returns with `compare`.
        """
        from gpuvgm.table.transformer import TableTransformer

        self._check_fitted()
        drawn = self.sample(min(self.rows_, 1_000_000) if n is None else n, seed=seed)
        names = [*self._domain.counted]
        return TableTransformer(names).fit(source).evaluate(source, compare=drawn)

    def save(self, path: Path_) -> None:
        """Write the synthesizer to a directory or a `.gpuvgm` file.

        It holds the domain, the promise, what it cost, and the noisy counts: nothing that the promise does not cover.

        Parameters
        ----------
        path : path
            Where to.
        """
        self._check_fitted()
        promise, releases = self._promise, self._released.releases
        record = _Record(
            self._domain.document,
            str(promise.epsilon),
            str(promise.delta),
            promise.rows_per_person,
            str(sum((spent.rho for spent in releases), Fraction(0))),
            UNIT,
            NEIGHBOURS,
            releases,
            tuple(spent.variance for spent in releases),
        )
        settings = {"synthesizer": {"with": NAME, **document_of(record)}}
        schema = TableSchema(())
        model = TableModel((), 0, 0, {}, schema, settings=settings, network=_tables_of(self._released))
        save_model(model, path, lambda read: type(self).of_model(read, path))

    @classmethod
    def of_model(cls, model: TableModel, path: Path_) -> Self:
        """The synthesizer of a stored model; see `gpuvgm.load`."""
        try:
            settings = {name: value for name, value in model.settings["synthesizer"].items() if name != "with"}
            record = read_record(_Record, settings, "the synthesizer")
            promise = Promise.of(record.epsilon, record.delta, record.rows_per_person)
            domain = Domain.of(record.domain)
            released = _released_of(model.network, domain, record.releases)
            if str(sum((spent.rho for spent in record.releases), Fraction(0))) != record.rho:
                raise ValueError("its noise does not cost what it says")
            if Fraction(record.rho) > promise.rho:
                raise ValueError("its noise does not keep its promise")
            synthesizer = cls(
                record.domain,
                epsilon=float(promise.epsilon),
                delta=float(promise.delta),
                rows_per_person=promise.rows_per_person,
            )
            synthesizer._take(domain, promise, released)
        except (ValueError, LookupError, TypeError, ArithmeticError, *ARROW_PROBLEMS) as problem:
            raise ModelFileError(f"{fspath(path)}: is inconsistent ({problem}); write it again") from problem
        return synthesizer

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError("this PrivateSynthesizer is not fitted yet: call fit, or load a model")

    def __str__(self) -> str:
        lines = [repr(self)]
        if hasattr(self, "network_"):
            rho = float(sum((spent.rho for spent in self.ledger_), Fraction(0)))
            lines.append(
                f"({float(self._promise.epsilon):g}, {float(self._promise.delta):g})-differentially private for persons "
                f"with at most {counted(self._promise.rows_per_person, 'row')}: rho {rho:.4g}"
            )
        return "\n".join(lines)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")


def is_private(model: TableModel) -> bool:
    """Return whether a stored model is that of a private synthesizer."""
    settings = model.settings.get("synthesizer")
    return isinstance(settings, dict) and settings.get("with") == NAME


def _flavour_of(source: Any) -> str:
    """Kind of table that samples come as: that of the object, whatever it holds."""
    module, name = type(source).__module__.partition(".")[0], type(source).__name__
    if isinstance(source, Mapping):
        return "dict"
    kinds = {("pandas", "DataFrame"): "pandas", ("dask", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars"}
    return kinds.get((module, name), "path")


def _tables_of(released: Released) -> bytes:
    """Noisy counts as the bytes of an Arrow file."""
    tables = [np.ravel(table) for table in (*released.columns, *released.pairs)]
    column = pa.array(tables, pa.large_list(pa.int64()))
    sink = pa.BufferOutputStream()
    table = pa.table({"counts": column})
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _released_of(body: bytes, domain: Domain, releases: tuple[Release, ...]) -> Released:
    """What was released, from the bytes of an Arrow file.

    Raises
    ------
    ValueError
        Where the tables are not those of the domain.
    """
    stored = pa.ipc.open_file(pa.BufferReader(body)).read_all().column("counts")
    tables = [np.array(table.values.to_numpy()) for table in stored]
    sizes = [size for column in domain.counted.values() for size in level_sizes(column)]
    columns, others = tuple(tables[: len(sizes)]), tables[len(sizes) :]
    if [len(table) for table in columns] != sizes:
        raise ValueError("its counts do not fit its domain")
    bins = NoisyColumns(domain, columns, releases).bins
    shapes = pair_shapes(bins) if len(releases) > 1 else []
    if [len(table) for table in others] != [first * second for first, second in shapes]:
        raise ValueError("its counts of pairs do not fit its bins")
    pairs = tuple(table.reshape(shape) for table, shape in zip(others, shapes, strict=True))
    return Released(columns, pairs, releases)
