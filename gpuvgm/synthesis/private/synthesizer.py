"""PrivateSynthesizer: fit, sample and file of a generator with a stated (epsilon, delta)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any, Self

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.config import EngineName, Flavor
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InputError, ModelFileError, warn
from gpuvgm.estimator import Estimator
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import TableLike
from gpuvgm.rules import whole
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Codes, check_names, restricted
from gpuvgm.synthesis.private.account import WEAK_EPSILON, Promise, Release
from gpuvgm.synthesis.private.declared import Domain
from gpuvgm.synthesis.private.mechanism import NothingRead, release
from gpuvgm.synthesis.private.model import ColumnCounts, GivenNetwork, releases_of
from gpuvgm.synthesis.private.row_model import PrivateRowModel
from gpuvgm.synthesis.sampling import Sampler
from gpuvgm.table import ModelFile, TableTransformer

Path_ = str | PathLike[str]
_ROWS = whole()


class PrivateSynthesizer(Estimator):
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
    engine : str
        Engine that draws rows, as for `TableTransformer`.
    executor, threads : optional
        As for `TableTransformer`, but a cluster may draw rows alone: workers log what they cannot read, with values.

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
    >>> age, group = rows["age"].to_numpy(), rows["group"].to_numpy(zero_copy_only=False)
    >>> bool(np.mean((age < 65) == (group == "working")) > 0.9)
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
        threads: int | None = None,
    ) -> None:
        self.domain = domain
        self.epsilon = epsilon
        self.delta = delta
        self.rows_per_person = rows_per_person
        self.engine = engine
        self.executor = executor
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
            read, after which there is no second fit either. No message tells of a row.

        Warns
        -----
        UserWarning
            For an epsilon above 3, which is a weak promise.

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> synthesizer.fit({"colour": ["red", "red", "blue"] * 100}).sample(5).num_rows
        5
        """
        domain, promise = Domain.of(self.domain), Promise.of(self.epsilon, self.delta, self.rows_per_person)
        releases = releases_of(domain, promise)
        LocalExecutor(self.threads)  # refuses wrong numbers, as reasons are withheld from here on
        if hasattr(self, "_begun"):
            raise InputError("this object has been fitted, and each fit costs its own epsilon: make another one")
        if promise.epsilon > WEAK_EPSILON:
            warn(
                f"epsilon {float(promise.epsilon):g} is a weak promise, as all above {WEAK_EPSILON}: who knows all "
                "other rows can be nearly sure whether somebody is in the table; 1 suits most tables"
            )
        self._begun = True

        def bins_of(counts: Sequence[Ints]) -> Mapping[str, Codes]:
            return ColumnCounts.of(domain, counts, releases).bins

        try:
            released = release(source, domain.counted, releases, bins_of, (self.executor, self.threads))
        except NothingRead:
            del self._begun  # a refusal for what rows do not decide: the fit may be tried again
            raise
        return self._with(PrivateRowModel.of(domain, promise, released))

    @property
    def _fitted(self) -> PrivateRowModel:
        """What is learnt."""
        self._check_is_fitted()
        return self._model

    def _with(self, model: PrivateRowModel) -> Self:
        """The synthesizer itself, once it has learnt."""
        self._begun, self._model = True, model
        self.ledger_, self.network_, self.rows_ = model.released.releases, model.network, model.rows
        return self

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
        out : path, optional
            File or folder to write, as for `TableSynthesizer.sample`.
        first_row : int
            Number of the first row; of a folder a multiple of 2^26, the rows of a file.
        seed : int
            0 to 2^64 - 1. It is no secret.
        flavor : {"spark"}, optional
            For `out`: as for `TableTransformer.transform`.
        resume : bool
            Keep the complete files of a folder whose writing was interrupted.

        Returns
        -------
        pyarrow.Table or RunSummary
            The rows; with `out` what was written.

        Raises
        ------
        InputError
            For conditions that no row of the model can meet.

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> rows = synthesizer.fit({"colour": ["red", "red", "blue"] * 100}).sample(2, conditions={"colour": "red"})
        >>> rows["colour"].to_pylist()
        ['red', 'red']
        """
        sampler = self._sampler({str(label): condition for label, condition in (conditions or {}).items()})
        part, row_seed, here = RowRange(first_row, _ROWS(n, "n")), int(seed), LocalExecutor(self.threads)
        part.check(row_seed)
        if out is not None:
            generator = sampler.generator(row_seed, ("", self._model.tables), flavor)
            return generator.write(out, part, self.executor, here=here, resume=resume)
        return pa.Table.from_batches(sampler.batches(part, row_seed, here), sampler.schema)

    def _sampler(self, conditions: Mapping[str, Any]) -> Sampler:
        """Sampler of rows that meet conditions; refuses those that no row can meet."""
        domain = self._fitted.domain
        columns = domain.counted
        check_names(conditions, columns)
        restrictions = {
            place: restricted(columns[bins.name], bins, conditions[bins.name])
            for place, bins in enumerate(self.network_.structure.bins)
            if bins.name in conditions
        }
        sampler = Sampler.of(domain.model, self.network_, restrictions, self.engine)
        if restrictions:
            _ = sampler.drawing.messages  # before a file is begun
        return sampler

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

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> table = {"colour": ["red", "red", "blue"] * 1000}
        >>> bool(synthesizer.fit(table).evaluate(table).columns["colour"].score > 0.9)
        True
        """
        names = [*self._fitted.domain.counted]
        sampled = self.sample(min(self.rows_, 1_000_000) if n is None else n, seed=seed)
        return TableTransformer(names).fit(source).evaluate(source, compare=sampled)

    def save(self, path: Path_) -> None:
        """Write the synthesizer to a directory or a `.gpuvgm` file.

        It holds the domain, the promise, what it cost, and the noisy counts: nothing that the promise does not cover.

        Parameters
        ----------
        path : path
            Where to.

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> synthesizer.fit({"colour": ["red", "red", "blue"] * 100}).save("private.gpuvgm")
        >>> gpuvgm.load("private.gpuvgm").sample(3).equals(synthesizer.sample(3))
        True
        """
        learnt = self._fitted
        model = replace(learnt.domain.model, columns=(), network=learnt.tables)
        model = replace(model, settings={"synthesizer": learnt.document})
        ModelFile.at(path).save(model, lambda read: type(self)._of_model(read, path))

    @classmethod
    def _of_model(cls, model: TableModel, path: Path_) -> Self:
        """The synthesizer of a stored model; see `gpuvgm.load`."""
        try:
            row_model = PrivateRowModel.of_file(model.settings["synthesizer"], model.network)
        except (ValueError, LookupError, TypeError, ArithmeticError, *ARROW_PROBLEMS) as problem:
            raise ModelFileError(f"{fspath(path)}: is inconsistent ({problem}); write it again") from problem
        return cls(**row_model.parameters)._with(row_model)

    def to_dict(self) -> dict[str, Any]:
        """Give what the file says: domain, promise, unit, neighbours, and what was spent on what.

        Returns
        -------
        dict
            As JSON has it, fractions as text.

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> synthesizer.fit({"colour": ["red", "red", "blue"] * 100}).to_dict()["delta"]
        '1/1000000000'
        """
        return self._fitted.document

    def describe(self) -> str:
        """Describe the promise and what it cost.

        Returns
        -------
        str
            A line of text.

        Examples
        --------
        >>> import gpuvgm
        >>> domain = {"colour": {"kind": "category", "categories": ["red", "blue"]}}
        >>> synthesizer = gpuvgm.PrivateSynthesizer(domain, epsilon=1, delta=1e-9)
        >>> text = synthesizer.fit({"colour": ["red", "red", "blue"] * 100}).describe()
        >>> text.partition("; ")[0]
        '(1, 1e-09)-differentially private for persons with at most 1 row (rho 0.0143'
        """
        return self._fitted.description

    def __str__(self) -> str:
        return "\n".join([repr(self), *([self.describe()] if hasattr(self, "network_") else [])])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What notebooks show: the text that `print` shows, where scikit-learn's diagram has parameters alone."""
        return {"text/plain": str(self)}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")
