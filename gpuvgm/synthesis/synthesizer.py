"""TableSynthesizer: fit, sample and score of whole tables."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, overload

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gpuvgm.arrays import Column
from gpuvgm.columns import FittedColumn, NumericColumn, TableModel, TableSchema
from gpuvgm.config import BLOCK_ROWS, EngineName, Flavor
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.engines import AskedColumn, get_engine
from gpuvgm.errors import InputError, ModelFileError, NamedParameters, counted, listed
from gpuvgm.execution import LocalExecutor, Need, Progress, Run, RunSettings, any_source, sample_runs
from gpuvgm.io import (
    Block,
    ParquetSink,
    Source,
    TableLike,
    TableSource,
    is_text_type,
    metadata_of_values,
    plain_type,
    restore,
    taken,
)
from gpuvgm.records import document_of, read_as
from gpuvgm.report import HoldOut
from gpuvgm.rules import whole
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import (
    LEAST_KEYS,
    PARTS,
    RARE,
    TWIN,
    AskedValues,
    Bins,
    Codes,
    KeysOfThings,
    Part,
    Persons,
    Rows,
    SampledRows,
    asked_values,
    bins_of_persons,
    bins_on_clock,
    bins_with_mass,
    check_fits,
    check_names,
    code_finder,
    coded_columns,
    coded_parts,
    hashes_of,
    numbers_of_rows,
    origins_of,
    part_finder,
    read_condition,
    restricted,
    restricted_or_whole,
    restricted_since,
)
from gpuvgm.synthesis.counts import (
    SAMPLE_ROWS,
    Dependence,
    JointCounts,
    KeyPath,
    Network,
    Structure,
    TreeSettings,
    clocks_and_parts,
    density_finder,
    grow_all,
    learn_structure,
    likeliest_bins,
    read_network,
    twins_of,
    write_network,
)
from gpuvgm.synthesis.drawing import (
    IdentifierCounts,
    IdentifierForm,
    check_attributes,
    describe_left_out,
    describe_unmodelled,
    lacking_keys,
    levels_of_attributes,
    levels_of_keys,
    rows_per_key,
    tell_of_longer,
    tell_of_numbers,
    tell_of_repeats,
    tell_of_samples,
)
from gpuvgm.synthesis.keys import (
    LACKING_CODES,
    PROBED,
    Claims,
    Habit,
    HabitSample,
    OrderEvidence,
    Orders,
    columns_left_out,
    describe_habits,
    describe_orders,
    find_attributes,
    find_orders,
    habits_of,
    keys_found,
    likely_habits,
    orders_of_file,
    rows_of_keys,
    seed_of_attempt,
    tell_of_orders,
    without_amounts,
)
from gpuvgm.synthesis.laws import (
    Law,
    LawKeeper,
    LawSearch,
    columns_to_restrict,
    laws_under,
    made_of,
    merged_laws,
    read_laws,
    tell_of_broken,
)
from gpuvgm.synthesis.private import NAME, PrivateSynthesizer
from gpuvgm.synthesis.sampling import Sampler
from gpuvgm.synthesis.sequences import tell_of_sequences
from gpuvgm.table import ModelFile, RunSummary, TableTransformer, load_as

if TYPE_CHECKING:
    import pandas as pd  # noqa: TID251
    import polars as pl
    from typing_extensions import TypeVar

    from gpuvgm.report import Comparison, Validation

    Drawn = TypeVar("Drawn", default=Any)  # the kind of table that `sample` gives
    Frame = TypeVar("Frame", pa.Table, pd.DataFrame, pl.DataFrame)
else:
    from typing import TypeVar

    Drawn = TypeVar("Drawn")

_LOG = logging.getLogger("gpuvgm")
Path_ = str | PathLike[str]
_BINS, _ROWS = whole(2, 1000), whole()
MOST_COMPARED = 1_000_000  # rows that are drawn to be compared
UNLIKELY_ROWS = 0.5  # of the training rows, that conditions leave
THIN_RUN = 64  # rows of a sample that follow each other in a smaller one
TREE_ROWS = 200_000  # of a sample, from which trees are grown
SETTINGS = ("bins", "safer", "random_state", "laws")  # that a file keeps


class TableSynthesizer(NamedParameters, BaseEstimator, Generic[Drawn]):  # type: ignore[misc]  # scikit-learn ships no types
    """A generator of synthetic tables that is made of counts.

    Every column is cut into bins, and drawn given all columns before it: by binary trees of counts over their bins
    (as synthpop's, Nowok et al. 2016), which are grown from a sample and counted over all rows in one scan. Values
    with many rows are drawn by their counts, others from the mixture that `TableTransformer` fits to the column.
    Dates that are never before others of their row are drawn as the time since these; others keep to their weekdays,
    days of the month and hours, which other columns may depend on. No neural network is trained.
    The same scan counts a Bayesian network (Chow & Liu 1968; with two parents as in Zhang et al. 2017), from which rows
    are drawn that hardly any row of the table is like.

    Parameters
    ----------
    columns : None, list, dict or TableTransformer
        The columns and their kinds, as for `TableTransformer`; or a transformer that is fitted to the table, with its
        summaries.
    bins : int
        Bins of equal share for a column of numbers, 2 to 1,000; there are more in the tails, and fewer in tables of
        fewer than 25,000 rows.
    conditions_on : sequence of labels
        Columns that `sample` is to have conditions on. They are drawn first, so that rows with one of them, or with
        values of the first ones, are drawn from the trees however few the rows that meet it.
    safer : bool
        Grow smaller trees, and count on few rows less: samples come less near to single rows of the table, and a
        classifier tells them from it more easily.
    laws : "auto", "off" or sequence of str
        Laws between columns that every sampled row keeps, as every fitted row does: "auto" finds them. Or texts of
        laws, with "auto" among them to find others too: ``"a + b = c"``, ``"a - b = c"`` (each with further
        columns, as in ``"a + b + d = c"``), ``"a * b = c"``, ``"a * b / 100 = c"`` (or another power of ten) and
        ``"a = b"``, whose right side is computed, to its step; ``"a <= b"``; and ``"a -> b"``, where each value of a
        has one of b, which is looked up for values that five rows and more have. ``"not a <= b"`` forbids one. A text
        may hold several, between semicolons.
    random_state : int or None
        Seed of the fit, and of `sample` unless it is given another.
    like : TableSynthesizer, optional
        A fitted synthesizer whose bins and network are taken, so that only counts are learnt. Such fits can be merged.
        The rows that it holds out are held out here, too.
    hold_out : float
        Share of the rows that the fit does not see, chosen by a hash of each row's values, so that `evaluate` says how
        near samples are to the fitted rows beside them; 0 for none.
    engine, executor, memory, threads, progress : optional
        As for `TableTransformer`.

    Attributes
    ----------
    transformer_ : TableTransformer
        The fitted columns.
    network_ : Network
        Trees, parents and counts of each column. Printed, it shows each column's parents and what they gain.
    identifiers_ : dict of str to IdentifierForm
        Forms of the columns that are not modelled.
    attributes_ : dict of str to str
        Modelled columns that have one value for each key, each with the first column of these keys.
    laws_ : tuple of Law
        Laws between columns that no fitted row breaks, and those that rows have broken that were added later.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 2000).round(2)
    >>> table = {"amount": amount, "size": np.where(amount > 20, "large", "small")}
    >>> synthesizer = gpuvgm.TableSynthesizer().fit(table)
    >>> rows = synthesizer.sample(1000)
    >>> bool(np.mean((rows["amount"] > 20) == (rows["size"] == "large")) > 0.97)
    True
    """

    transformer_: TableTransformer
    network_: Network
    identifiers_: dict[str, IdentifierForm]
    attributes_: dict[str, str]
    laws_: tuple[Law, ...]
    _orders: Orders

    def __init__(
        self,
        columns: Any = None,
        *,
        bins: int = 1000,
        conditions_on: Sequence[Any] = (),
        safer: bool = False,
        laws: str | Sequence[str] = "auto",
        random_state: int | None = 0,
        like: TableSynthesizer | None = None,
        hold_out: float = 0.0,
        engine: EngineName = "auto",
        executor: Any = None,
        memory: int | str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.columns = columns
        self.bins = bins
        self.conditions_on = conditions_on
        self.safer = safer
        self.laws = laws
        self.random_state = random_state
        self.like = like
        self.hold_out = hold_out
        self.engine = engine
        self.executor = executor
        self.memory = memory
        self.threads = threads
        self.progress = progress

    @overload
    def fit(self, source: Frame, y: Any = None) -> TableSynthesizer[Frame]: ...

    @overload
    def fit(self, source: Path_ | Sequence[Path_], y: Any = None) -> TableSynthesizer[pa.Table]: ...

    @overload
    def fit(self, source: Mapping[Any, Any], y: Any = None) -> TableSynthesizer[dict[Any, Any]]: ...

    @overload
    def fit(self, source: TableLike, y: Any = None) -> TableSynthesizer: ...

    def fit(self, source: TableLike, y: Any = None) -> TableSynthesizer[Any]:
        """Learn columns, network and counts of a table.

        The rows are read twice: by the fit of the columns, and to count. A source that can be read only once is first
        copied to a temporary Parquet file.

        Parameters
        ----------
        source : object
            As for `TableTransformer.fit`.
        y : None
            Ignored.

        Returns
        -------
        TableSynthesizer
            The synthesizer itself.

        Raises
        ------
        InputError
            For input that cannot be fitted; the message names file, column and row.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 100, "size": [1, 1, 2] * 100}
        >>> print(gpuvgm.TableSynthesizer().fit(table).network_)
        colour
        size    colour +0.64
        """
        _check_settings(self.bins, self.safer, self.laws)
        whole = any_source(source)
        rule = self._hold_out(whole)
        with _read_twice(whole, rule) as table:
            if self.like is not None:
                transformer, structure = self.like.transformer_, self.like._fitted().structure
                plan = _SamplePlan(structure, self.like.identifiers_, self.like.attributes_, self.like._claims)
                counts = self._counts(transformer, plan, table)
                plan = replace(plan, forms=counts.identifiers.refined(plan.forms), laws=counts.laws)
            else:
                transformer = self._transformer(table)
                plan, counts = self._learn(transformer, table)
        if rule is not None and self.like is None:
            transformer._note_hold_out(rule, whole)
        self.transformer_, self.attributes_ = transformer, {**plan.attributes}
        self.identifiers_, self.laws_ = dict(plan.forms), plan.laws
        self._orders = plan.orders if self.like is None else self.like._orders
        per_key, settings = rows_per_key(self.identifiers_, self.attributes_), self._tree_settings
        self.network_ = Network(plan.structure, counts.joint, per_key, settings)
        if self.like is None:  # which has told of its own choices
            is_fitted = isinstance(self.columns, TableTransformer)
            tell_of_samples(transformer.model_, self.identifiers_, self.attributes_, fitted_by_user=is_fitted)
            tell_of_orders(transformer.model_, self._orders)
            for bins in plan.structure.bins:
                if bins.forms is not None and bins.forms.moments is not None:
                    _LOG.info('column "%s": whole numbers that are %s', bins.name, bins.forms.moments)
        return self

    def partial_fit(self, source: TableLike, y: Any = None) -> Self:
        """Add rows: count them in the existing bins and network. The first call is the same as `fit`.

        Parameters
        ----------
        source : object
            As for `fit`. Numbers beyond the range of the first rows count in the outermost bins.
        y : None
            Ignored.

        Returns
        -------
        TableSynthesizer
            The synthesizer itself.

        Raises
        ------
        InputError
            For categories, or missing values, that the first rows did not have.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 100}
        >>> gpuvgm.TableSynthesizer().partial_fit(table).partial_fit(table).network_.counts.rows
        600
        """
        if not hasattr(self, "network_"):
            self.fit(source)
            return self
        network = self.network_
        plan = _SamplePlan(network.structure, self.identifiers_, self.attributes_, self._claims)
        with _read_twice(any_source(source), self.transformer_._hold_out) as table:
            counts = self._counts(self.transformer_, plan, table)
        self.network_ = replace(network, counts=network.counts.merge(counts.joint))
        self.identifiers_ = counts.identifiers.refined(plan.forms)
        self.laws_ = merged_laws(self.laws_, counts.laws)
        return self

    def merge(self, other: TableSynthesizer) -> TableSynthesizer:
        """Add the counts of another synthesizer, exactly; neither of the two is changed.

        Parameters
        ----------
        other : TableSynthesizer
            One with the same bins and network: both were fitted with the same `like`, or one is like the other.

        Returns
        -------
        TableSynthesizer
            A synthesizer of all rows, equal to one fit of them with these bins and this network.

        Raises
        ------
        InputError
            For other bins or another network.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 100}
        >>> first = gpuvgm.TableSynthesizer().fit(table)
        >>> second = gpuvgm.TableSynthesizer(like=first).fit(table)
        >>> first.merge(second).network_.counts.rows
        600
        """
        network, other_network = self._fitted(), other._fitted()
        if not network.structure.equals(other_network.structure) or self._claims != other._claims:
            raise InputError(
                "these fits have different bins or networks, whose counts cannot be added: fit one of them with "
                "TableSynthesizer(like=the_other)"
            )
        merged = self.__sklearn_clone__()
        merged.transformer_, merged.attributes_ = self.transformer_, self.attributes_
        merged.identifiers_ = {name: form.merge(other.identifiers_[name]) for name, form in self.identifiers_.items()}
        merged.network_ = replace(network, counts=network.counts.merge(other_network.counts))
        merged.laws_, merged._orders = merged_laws(self.laws_, other.laws_), self._orders
        return merged

    @overload
    def sample(
        self,
        n: int,
        *,
        conditions: Any = None,
        out: None = None,
        first_row: int = 0,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Drawn: ...

    @overload
    def sample(
        self,
        n: int,
        *,
        conditions: Any = None,
        out: Path_,
        first_row: int = 0,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> RunSummary: ...

    def sample(
        self,
        n: int,
        *,
        conditions: Any = None,
        out: Path_ | None = None,
        first_row: int = 0,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Any:
        """Draw rows. Each depends on the seed and its number only, so that parts can be drawn apart.

        The same call gives the same rows. More of them are ``sample(n, first_row=rows_so_far)``, others
        ``sample(n, seed=1)``.

        Parameters
        ----------
        n : int
            Number of rows.
        conditions : mapping or table, optional
            By column: a value; a list or set of values; or a tuple (low, high), both ends included, None for no end.
            Dates are text or datetimes. Rows have the exact distribution that the model has under all conditions
            together. Or a table of `n` rows, for example a data frame: each row that is drawn has the values of its
            row there.
        out : path, optional
            File to write (Parquet, or CSV where it ends in .csv or .csv.gz), or a folder of Parquet files if the name
            has no ending; several machines may fill one folder, each with rows of its own. Then what was written is
            returned.
        first_row : int
            Number of the first row; of a folder a multiple of 2^26, the rows of a file.
        seed : int, optional
            0 to 2^64 - 1; by default that of the fit.
        flavor : {"spark"}, optional
            For `out`: as for `TableTransformer.transform`.
        resume : bool
            Keep the complete files of a folder whose writing was interrupted.

        Returns
        -------
        object
            A table of the kind that was fitted: pandas for pandas and Dask, and so on; a pyarrow Table for files. With
            `out` a `RunSummary`: path, rows, bytes, columns, seconds and files.

        Raises
        ------
        InputError
            For conditions that no row of the model can meet, and for a table of conditions with another number of
            rows.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> age = np.random.default_rng(0).integers(18, 80, 2000)
        >>> table = {"age": age, "group": np.where(age < 65, "working", "retired")}
        >>> synthesizer = gpuvgm.TableSynthesizer().fit(table)
        >>> rows = synthesizer.sample(500, conditions={"age": (70, None)})
        >>> int(rows["age"].min()) >= 70, float(np.mean(rows["group"] == "retired")) > 0.95
        (True, True)
        """
        network = self._fitted()
        _ROWS(n, "n")
        if conditions is not None and not isinstance(conditions, Mapping):
            return self._sample_rows_of(any_source(conditions), RowRange(first_row, n), seed, out)
        sampler = self._sampler(network, {str(label): condition for label, condition in (conditions or {}).items()})
        if conditions and self.attributes_:
            sampler = replace(sampler, unconditioned=self._sampler(network, {}))
        if conditions:
            _warn_of_rare(sampler, network.counts.rows)
        part, row_seed = RowRange(first_row, n), self._seed_of(first_row, n, seed)
        tell_of_longer(self.identifiers_, part, row_seed)
        report = None if self.progress is None else partial(_report_rows, self.progress, n)
        if out is not None:
            executor = sampler.executor(self.executor, self.threads, report)
            return self._generator(sampler, row_seed, flavor).write(out, part, executor, resume=resume)
        batches = sampler.batches(part, row_seed, LocalExecutor(self.threads, report))
        return restored_sample(self.transformer_, batches, sampler.schema)

    def _seed_of(self, first_row: int, n: int, seed: int | None) -> int:
        """Seed of rows, which are checked."""
        row_seed = self.transformer_.model_.seed if seed is None else int(seed)
        RowRange(first_row, n).check(row_seed)
        return row_seed

    def _sample_rows_of(self, table: Source, part: RowRange, seed: int | None, out: Path_ | None) -> Any:
        """Rows with the values of the rows of a table, which may lack columns.

        Rows of the same values are drawn one after the other. They have keys of their own, as attributes depend on the
        conditions.
        """
        if out is not None:
            raise InputError(
                "conditions: rows with the values of a table are not written: give no out, write the result"
            )
        names = table.schema.names
        check_names(names, [bins.name for bins in self._fitted().structure.bins])
        conditions = [row for block in table.blocks(names, BLOCK_ROWS) for row in block.batch.to_pylist()]
        if len(conditions) != part.rows:
            raise InputError(f"conditions: {table.name} has {counted(len(conditions), 'row')}, but n is {part.rows}")
        places: dict[tuple[Any, ...], list[int]] = {}
        for place, row in enumerate(conditions):
            places.setdefault(tuple(row.values()), []).append(place)
        row_seed, start = self._seed_of(part.first_row, part.rows, seed), part.first_row
        batches: list[pa.RecordBatch] = []
        every, levels = self._sampler(self._fitted(), {}), [*levels_of_keys(self.identifiers_)]
        for number, (values, own) in enumerate(places.items()):
            sampler = self._sampler(self._fitted(), dict(zip(names, values, strict=True)))
            rows = RowRange(start, len(own))
            if not self.attributes_:
                blocks = rows.ranges(BLOCK_ROWS)
                batches += [sampler.rows(block.first_row, block.rows, row_seed) for block in blocks]
            else:
                sampler = replace(sampler, unconditioned=every if values else None)
                made = sampler.made(rows, seed_of_attempt(row_seed, number), is_whole=True)
                batches.append(sampler.batch(made.numbered(start, levels), rows, row_seed))
            start += len(own)
        order = np.argsort([place for own in places.values() for place in own])
        drawn = taken(pa.Table.from_batches(batches, every.schema), order).combine_chunks()
        return restored_sample(self.transformer_, drawn.to_batches(), every.schema)

    def _generator(self, sampler: Sampler, seed: int, flavor: Flavor | None) -> Generator:
        """Generator of rows that are written, with what tells their types."""
        model = self.transformer_.model_.digest(), write_network(self.network_)
        generator = sampler.generator(seed, model, flavor)
        of_values = metadata_of_values(self.transformer_.pandas_dtypes_, sampler.schema, sampler.model.source)
        return replace(generator, described={**generator.described, **of_values})

    def evaluate(self, source: TableLike, *, n: int | None = None, seed: int | None = None) -> Comparison:
        """Compare rows that are drawn with those of a table, by columns, pairs of them and whole rows.

        Parameters
        ----------
        source : object
            The table that was fitted, or other rows like it. With `hold_out` its fitted rows are compared, and the
            distances of samples to them stand beside those of the rows that were held out.
        n : int, optional
            Rows to draw; by default as many as were fitted, 1,000,000 at most.
        seed : int, optional
            As for `sample`.

        Returns
        -------
        Comparison
            As `TableTransformer.evaluate` returns with `compare`.

        Raises
        ------
        InputError
            For a table without the columns that are modelled, or without rows.

        Examples
        --------
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 1000}
        >>> comparison = gpuvgm.TableSynthesizer().fit(table).evaluate(table)
        >>> bool(comparison.columns["colour"].score > 0.95)
        True
        """
        rows = min(self._fitted().counts.rows, MOST_COMPARED) if n is None else n
        drawn: Any = self.sample(rows, seed=seed)
        comparison: Comparison = self.transformer_.evaluate(source, compare=drawn)
        return comparison

    def validate(self, source: TableLike) -> Validation:
        """Judge whether a table looks like the training table; as `TableTransformer.validate`.

        Parameters
        ----------
        source : object
            Rows, for example of a sample.

        Returns
        -------
        Validation
            Findings of every column.

        Examples
        --------
        >>> import gpuvgm
        >>> synthesizer = gpuvgm.TableSynthesizer().fit({"colour": ["red", "red", "blue"] * 100})
        >>> synthesizer.validate(synthesizer.sample(300)).broken()
        []
        """
        self._fitted()
        return self.transformer_.validate(source)

    def plot(self, name: str, ax: Any = None) -> Any:
        """Draw a column of the training table; as `TableTransformer.plot`.

        Parameters
        ----------
        name : str
            The column.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> synthesizer = gpuvgm.TableSynthesizer().fit({"colour": ["red", "red", "blue"] * 100})
        >>> ax = synthesizer.plot("colour", ax=Figure().subplots())
        >>> ax.figure.savefig("colour.png")
        """
        self._fitted()
        return self.transformer_.plot(name, ax)

    @property
    def schema_(self) -> TableSchema:
        """The columns' kinds with the reason for each."""
        self._fitted()
        return self.transformer_.schema_

    @property
    def fit_report_(self) -> Any:
        """Report of the fit of the columns, as that of `TableTransformer`, the laws between them, and proposed keys."""
        self._fitted()
        proposals = filter(None, [describe_orders(self.transformer_.model_, self._orders)])
        return replace(self.transformer_.fit_report_, laws=tuple(map(str, self._laws)), proposals=tuple(proposals))

    def score_samples(self, source: TableLike) -> Floats:
        """Logarithm of the density of rows, in nats: the lower, the less likely the model finds a row.

        Parameters
        ----------
        source : object
            As for `fit`; it needs the columns that are modelled.

        Returns
        -------
        ndarray of shape (rows,), float64
            Probabilities of categories, modal values and numbers on a step; of other numbers densities in the column's
            unit. Identifiers and free text are left out. Every value that the columns can hold has a finite one: a
            category that the fit had not seen counts as half a row, and beyond the training range densities fall with
            the square of the distance. What a law computes has probability 1; a row that breaks a law has that of 0,
            which is minus infinity here.

        Raises
        ------
        InputError
            For a table without the columns, or values of another type.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> x = np.random.default_rng(0).normal(0, 1, 2000).round(2)
        >>> synthesizer = gpuvgm.TableSynthesizer().fit({"x": x, "y": 2 * x})
        >>> usual, odd = synthesizer.score_samples({"x": [1.0, 1.0], "y": [2.0, -2.0]})
        >>> bool(usual > odd)
        True
        """
        network, table = self._fitted(), any_source(source)
        model = self.transformer_.model_
        structure, columns = network.structure, model.by_name
        names = [bins.name for bins in structure.bins]
        model.check_source(table)
        parts: list[Floats] = []
        with self._run("score", table) as run:
            forms = {name: form for name, form in self.identifiers_.items() if form.key and structure.keys_asked}
            build = partial(_scorer, {name: columns[name] for name in names}, network, forms, self._laws, self.engine)
            run.executor.map_blocks(run.prepared(build), run.blocks([*names, *forms]), parts.append)
        return np.concatenate([np.empty(0), *parts])

    def save(self, path: Path_) -> None:
        """Write the synthesizer to a directory or a `.gpuvgm` file; summaries of the columns are not kept.

        Parameters
        ----------
        path : path
            Where to.

        Examples
        --------
        >>> import gpuvgm
        >>> synthesizer = gpuvgm.TableSynthesizer().fit({"colour": ["red", "red", "blue"] * 100})
        >>> synthesizer.save("table.gpuvgm")
        >>> gpuvgm.load("table.gpuvgm").sample(2)["colour"].tolist() == synthesizer.sample(2)["colour"].tolist()
        True
        """
        network = self._fitted()
        settings: dict[str, Any] = {name: getattr(self, name) for name in SETTINGS}
        rule = self.transformer_._hold_out
        settings["hold_out"] = None if rule is None else rule.to_settings()
        settings["identifiers"] = {name: document_of(form) for name, form in self.identifiers_.items()}
        settings["attributes"] = self.attributes_
        settings["proven"] = tuple(map(document_of, self.laws_))
        settings["orders"] = self._orders
        # Read again before it is written, so that no file appears that cannot be loaded.
        self.transformer_._save_generator(settings, write_network(network), path, lambda model: _of_model(model, path))

    # -- what a fit is made of

    def _hold_out(self, table: Source) -> HoldOut | None:
        """Which rows are held out; None for none."""
        if self.like is not None:
            self.like._fitted()
            return self.like.transformer_._hold_out
        if not self.hold_out:
            return None
        if isinstance(self.columns, TableTransformer):
            raise InputError("hold_out: the transformer has seen all rows: give columns that are not fitted")
        return HoldOut(self.hold_out, self.random_state or 0, tuple(table.schema.names))

    def _transformer(self, table: Source) -> TableTransformer:
        """The fitted columns."""
        columns = self.columns
        if not isinstance(columns, TableTransformer):
            found: dict[str, Any] = {name: ({"key": True}, reason) for name, reason in self._keys(table).items()}
            settings = {"random_state": self.random_state, **self._machine}
            transformer = TableTransformer(columns, **settings)._fit_for_samples(table, found)
            ordinary = _modal_of_few(transformer.model_, table)
            if not ordinary:
                return transformer
            return TableTransformer(columns, **settings)._fit_for_samples(table, found | ordinary)
        model = columns._fitted()
        lacking = [column.name for column in model.numeric if column.name not in columns.summaries_]
        if lacking:
            raise InputError(f'columns: the transformer has no summary of "{lacking[0]}": fit it, or save it with them')
        model.check_source(table)
        return columns

    def _keys(self, table: Source) -> dict[str, str]:
        """Columns that are keys, of those whose kind is not declared, with the reasons."""
        declared = TableSchema.declare(self.columns, table.schema, table.name)
        names = [spec.name for spec in declared.columns if spec.is_open]
        texts = [name for name in names if is_text_type(plain_type(table.schema.field(name).type))]
        if not texts:
            return {}
        rows = sample_of(table, texts, self.random_state or 0, TREE_ROWS)
        whole = rows.num_rows == table.rows or rows.num_rows < TREE_ROWS
        return keys_found({name: rows.column(name) for name in texts}, whole=whole)

    def _learn(self, transformer: TableTransformer, table: Source) -> tuple[_SamplePlan, _TableCounts]:
        """How rows are made, from a sample, and the counts of all rows; what these refute is learnt again."""
        model = transformer.model_
        left_out = _orders_left_out(table, model)
        many, refuted, broken = sampled_rows(table, model, TREE_ROWS, left_out), set[tuple[str, str]](), set[str]()
        is_whole, known = many.num_rows == table.rows or many.num_rows < TREE_ROWS, dict[str, Ints]()
        forms, attributes = _forms_and_attributes(model, many, refuted)
        moments = [name for name, form in forms.items() if form.kind == "moment"]
        orders = find_orders(model.by_name, moments, many, whole=is_whole)
        while True:
            names, levels = [*keys_that_count(model, forms), *orders], levels_of_attributes(forms, attributes)
            persons, of_orders = (Persons.of(own, many, whole=is_whole) for own in (names, orders))
            sample = SampledRows(rows_of(many), persons, thin_places(many.num_rows), known)
            laws = self._laws_of(model, replace(sample, persons=of_orders), levels, broken)
            dependence = self._dependence(forms, attributes, laws)
            structure = self._structure(transformer, many, sample, dependence)
            asked = {} if is_whole or known else _asked_values(transformer, structure, sample)
            evidence = {} if is_whole else orders
            plan = _SamplePlan(structure, forms, attributes, laws, persons.names, asked, evidence)
            counts = self._counts(transformer, plan, table)
            more, against = counts.identifiers.refuted(forms, attributes), tell_of_broken(laws, counts.laws)
            broken |= {str(form) for law in against for form in law.forms}
            again = (forms, attributes) if more <= refuted else _forms_and_attributes(model, many, refuted | more)
            if again == (forms, attributes) and not any(law.decides for law in against):
                persons_of = {name: keys.persons(persons.are_rare) for name, keys in counts.keys.items()}
                known |= {name: values.known(persons_of[name]) for name, values in asked.items()}
                structure, is_fair = _with_known(transformer, structure, replace(sample, known=known))
                if asked and not is_fair:
                    continue
                tell_of_numbers(model, attributes, many)
                tell_of_repeats(model, many)
                tell_of_sequences(model.by_name, [names[0] for names in levels_of_keys(forms).values()], many)
                kept = tuple(law for law in counts.laws if law.holds)
                plan = replace(plan, structure=structure, forms=counts.identifiers.refined(forms), laws=kept)
                habits = self._habits(model, plan, counts, many, persons)
                confirmed = orders if is_whole else counts.orders.confirmed(orders)
                are_none = {*left_out, *(name for name, form in forms.items() if form.key is not None)}
                may_be_keys = {name: own for name, own in confirmed.items() if name not in are_none}
                proposed = without_amounts(model.by_name, may_be_keys, many)
                return replace(plan, structure=replace(structure, habits=habits), orders=proposed), counts
            refuted |= more
            (forms, attributes), known = again, {}

    def _habits(
        self, model: TableModel, plan: _SamplePlan, counts: _TableCounts, rows: pa.Table, persons: Persons
    ) -> tuple[Habit, ...]:
        """Days, times and values that keys have of their own, as a sample shows them, where other columns allow it."""
        structure, columns = plan.structure, model.by_name
        bound, counted = set[str](), {(one.name, one.since) for one in structure.bins}
        for law in plan.laws:
            first = law.operands[0]
            if law.decides:
                bound.add(law.target)
            elif counted.isdisjoint({(law.target, first), (first, law.target)}):  # they may change places afterwards
                bound |= {law.target, first}
        bins = [one for one in structure.bins if one.name not in {*plan.attributes, *bound}]
        every: Mapping[str, Any] = columns
        firsts = [names[0] for names in levels_of_keys(plan.forms).values()]
        hashes = {name: every[name].hashes(rows.column(name).combine_chunks()) for name in firsts}
        engine, values = get_engine(self.engine), rows_of(rows)
        finders = {one.name: code_finder(columns, one, structure.parts, engine) for one in structure.bins}

        def find(name: str, others: Column) -> tuple[Codes, dict[Part, Codes]]:
            return finders[name](lambda one: others if one == name else values(one))

        sample = HabitSample(columns, {one.name: one for one in bins}, values, find, tuple(finders), persons)
        habits, hashes = habits_of(sample, hashes)
        if not habits:
            return ()
        network = Network(structure, counts.joint, rows_per_key(plan.forms, plan.attributes), self._tree_settings)
        lacking = lacking_keys(plan.forms, structure.keys_asked.values(), values)
        codes = dict(enumerate(structure.with_parts([*sample.coded.values()], lacking)))
        places = {name: place for place, name in enumerate(finders)}
        parts = {part: place for place, part in enumerate(structure.parts, len(structure.bins))}

        def log_probability(name: str, own: Codes, of_parts: Mapping[Part, Codes]) -> Floats:
            changed = {places[name]: own} | {parts[part]: of_part for part, of_part in of_parts.items()}
            return network.log_shares_beside({*changed}, codes | changed, engine)

        return likely_habits(habits, sample, hashes, log_probability)

    def _laws_of(
        self, model: TableModel, sample: SampledRows, levels: Mapping[str, KeyPath], broken: Set[str]
    ) -> tuple[Law, ...]:
        """Laws of a sample of the rows, but for those that other rows break."""
        columns = {column.name: column for column in model.columns if column.is_encoded}
        if self.laws == "off":
            return ()
        dependence, engine = Dependence(levels), get_engine(self.engine)
        search = LawSearch(columns, sample.rows, dependence, self._conditioned, engine, sample.persons)
        return search.laws(self.laws, broken)

    @property
    def _conditioned(self) -> list[str]:
        """Names of the columns that are to have conditions."""
        return [*map(str, self.conditions_on)]

    def _dependence(
        self,
        forms: Mapping[str, IdentifierForm],
        attributes: Mapping[str, str],
        laws: Sequence[Law],
    ) -> Callable[[pa.Table], Dependence]:
        """Which columns may depend on which, with evidence from a sample of rows."""
        levels, first = levels_of_attributes(forms, attributes), columns_to_restrict(laws, self._conditioned)
        ordering, deciding = [law for law in laws if not law.is_learnt], [law for law in laws if law.has_table]
        computed, sources = frozenset(law.target for law in ordering if law.decides), made_of(ordering)
        chains = Dependence(made_of=made_of(deciding))
        deciders = {law.target: chains.sources(law.target) for law in deciding}

        def of_rows(rows: pa.Table) -> Dependence:
            one_of_each = {levels[name]: rows_of_keys(rows.column(key)) for name, key in attributes.items()}
            lacking = lacking_keys(forms, dict.fromkeys(attributes.values()), rows_of(rows))
            some = {part.column: codes for part, codes in lacking.items() if codes.any()}
            some_rows = Dependence(levels, one_of_each, first, attributes, some, computed, sources)
            return replace(some_rows, deciders=deciders)

        return of_rows

    @property
    def _laws(self) -> tuple[Law, ...]:
        """Laws that no row has broken."""
        return tuple(law for law in self.laws_ if law.holds)

    @property
    def _claims(self) -> tuple[Law, ...]:
        """All laws, without what rows say of them."""
        return tuple(law.uncounted for law in self.laws_)

    def _structure(
        self,
        transformer: TableTransformer,
        rows: pa.Table,
        sample: SampledRows,
        dependence: Callable[[pa.Table], Dependence],
    ) -> Structure:
        """Bins, network and trees, learnt from a sample of the rows."""
        model, summaries = transformer.model_, transformer.summaries_
        columns, engine = [column for column in model.columns if column.is_encoded], get_engine(self.engine)

        by_name = {column.name: column for column in columns}
        check_names(self._conditioned, [*by_name])
        few = thinned(rows)
        of_few = dependence(few)
        bins = likeliest_bins(transformer, sample, self.bins, engine, of_few)
        codes, origins = coded_columns(by_name, bins, rows_of(rows), engine), origins_of(bins.values())
        of_few, of_rows = (one.counted_from(origins) for one in (of_few, of_few if few is rows else dependence(rows)))
        clocks, parts = clocks_and_parts(by_name, bins, codes, sample, of_rows)
        on_clocks = {
            name: bins_on_clock(
                by_name[name],
                clock,
                sample,
                summaries[name],
                of_few.intervals(name, self.bins),
                are_told=bool(of_few.first),
            )
            for name, clock in clocks.items()
        }
        bins |= on_clocks
        codes |= coded_columns(by_name, on_clocks, rows_of(rows), engine)
        twins = twins_of(by_name, bins, codes, rows_of(rows), of_rows)
        bins |= twins
        parts = (*parts, *(Part(name, TWIN) for name in twins), *_parts_of_deciders(by_name, bins, of_rows))
        of_few, of_rows = (
            one.with_twins(origins_of(twins.values()), origins_of(bins.values())) for one in (of_few, of_rows)
        )
        thin = thin_places(rows.num_rows)
        nodes = learn_structure([*bins.values()], [own.codes[thin] for own in codes.values()], engine, of_few)
        names = [node.name for node in nodes]
        keys = {
            Part(name, "missing"): AskedColumn(own, LACKING_CODES, is_category=True)
            for name, own in of_rows.lacking.items()
        }
        first = (*of_rows.first, *dict.fromkeys(part.column for part in parts if part.name in PARTS))
        asked = dict[str | Part, AskedColumn]((name, codes[name]) for name in names)
        asked.update([*coded_parts(by_name, bins, parts, rows_of(rows)).items(), *keys.items()])
        order, trees = grow_all(
            asked,
            replace(of_rows, first=first),
            engine,
            LocalExecutor(self.threads).threads,
            self._tree_settings.rules,
        )
        return Structure(tuple(bins[name] for name in names), nodes, order, trees, (*parts, *keys))

    def _counts(self, transformer: TableTransformer, plan: _SamplePlan, table: Source) -> _TableCounts:
        """Counts of all rows."""
        model = transformer.model_
        model.check_source(table)
        names, columns = [bins.name for bins in plan.structure.bins], model.by_name
        read = {name: form for name, form in plan.forms.items() if form.is_read}
        keys = plan.keys if plan.asked else ()
        needed = [*dict.fromkeys((*names, *read, *keys, *plan.orders))]
        known = {name: columns[name] for name in (*names, *read, *plan.orders) if name in columns}
        with self._run("count", table) as run:
            build = partial(_counter, known, replace(plan, forms=read), run.engine)
            counts: _TableCounts | None = run.executor.map_merge(
                run.prepared(build), run.blocks(needed), _TableCounts.merge
            )
        if counts is None:
            raise InputError(f"{table.name}: there are no rows to fit on")
        return counts

    @property
    def _tree_settings(self) -> TreeSettings:
        return TreeSettings.of(safer=(self.like or self).safer)

    @property
    def _machine(self) -> dict[str, Any]:
        """Parameters of where and how the work is done."""
        return {name: getattr(self, name) for name in ("engine", "executor", "memory", "threads", "progress")}

    def _run(self, stage: str, table: Source) -> AbstractContextManager[Run]:
        return RunSettings(**self._machine).run(stage, table, lambda: Need.fit(table.schema))

    def _sampler(self, network: Network, conditions: Mapping[str, Any]) -> Sampler:
        """Sampler of rows that meet the conditions."""
        model = self.transformer_.model_
        columns: dict[str, Any] = model.by_name
        bins = {bins_.name: bins_ for bins_ in network.structure.bins}
        check_names(conditions, bins)
        laws = laws_under(self._laws, conditions, columns) if not self.attributes_ else self._laws
        keeper = LawKeeper(columns, laws, origins_of(bins.values()))
        restricted_bins = dict(bins)
        criteria = {name: read_condition(columns[name], condition) for name, condition in conditions.items()}
        for name, condition in conditions.items():
            if name in keeper.computed:
                restricted_bins |= keeper.restricted(restricted_bins, name, condition)
            elif bins[name].since is None:
                restricted_bins[name] = restricted(columns[name], restricted_bins[name], condition)
            else:
                restricted_bins |= restricted_since(columns, restricted_bins, name, condition)
        in_turn = keeper.in_turn([network.structure.bins[place].name for place in network.structure.order]).computed
        for name in keeper.computed:  # tests say whether values meet a condition, bins whether they may
            whole = bins_with_mass(bins[name], restricted_bins[name])
            restricted_bins[name] = whole if name in in_turn and restricted_bins[name] is not bins[name] else bins[name]
        for name, own in bins.items():
            if own.twin is not None and restricted_bins[name] is not own:
                restricted_bins[name] = restricted_or_whole(own, restricted_bins[name])
        restrictions = {
            place: restricted_bins[name] for place, name in enumerate(bins) if restricted_bins[name] is not bins[name]
        }
        tested = {
            name: met for name, met in criteria.items() if bins[name].made_of is not None or name in keeper.changed
        }
        sampler = Sampler(model, network, restrictions, self.identifiers_, self.attributes_, self.engine, tested)
        return replace(sampler, laws=laws, criteria=criteria)

    def _fitted(self) -> Network:
        if not hasattr(self, "network_"):
            raise NotFittedError("this TableSynthesizer is not fitted yet: call fit, or load a model")
        return self.network_

    def __str__(self) -> str:
        lines = [repr(self)]
        if hasattr(self, "network_"):
            model, network = self.transformer_.model_, self.network_
            rows, columns = counted(network.counts.rows, "row"), counted(len(network.structure.bins), "column")
            lines.append(f"fitted on {rows}: {columns} modelled")
            unmodelled = describe_unmodelled(model, self.identifiers_, self.attributes_)
            left_out = describe_left_out(model, self.identifiers_)
            laws = f"laws: {'; '.join(map(str, self._laws))}" if self._laws else ""
            habits = describe_habits(network.structure.habits, model.by_name)
            orders = describe_orders(model, self._orders)
            lines += filter(None, (laws, habits, unmodelled, left_out, model.describe_real_values(), orders))
        return "\n".join(lines)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What notebooks show: the text that `print` shows, where scikit-learn's diagram has parameters alone."""
        return {"text/plain": str(self)}

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params(deep=False))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")


def _check_settings(bins: Any, safer: Any, laws: Any) -> None:
    """Raise InputError, a ValueError, for values that a setting cannot have."""
    _BINS(bins, "bins")
    if not isinstance(safer, bool):
        raise InputError(f"safer must be true or false, got {safer!r}")
    texts = [laws] if isinstance(laws, str) else laws
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise InputError(f'laws must be "auto", "off" or texts of laws, got {laws!r}')


def _warn_of_rare(sampler: Sampler, rows: int) -> None:
    """Warn of conditions that hardly any row meets; those that none can meet raise InputError."""
    mass = float(np.exp(sampler.drawing.messages.log_mass))
    if mass * rows < UNLIKELY_ROWS:
        _LOG.warning(
            "conditions: the model expects only %.1g of %s training rows to meet them", mass * rows, f"{rows:,}"
        )
    if not sampler.conditions:
        return
    way, names = sampler.way, [sampler.network.structure.bins[place].name for place in sampler.conditions]
    if way.is_exact and not way.is_slow:
        return
    told = "so that hundreds are drawn for each", "to have them drawn at once"
    if not way.is_exact:
        told = "which are drawn from a network with two parents a column", "to have them drawn from the trees"
    remedy = f"; fit with conditions_on={names} {told[1]}" if way.is_helped else ""
    _LOG.warning("conditions: few rows meet those on %s, %s%s", listed(names), told[0], remedy)


def _report_rows(progress: Progress, rows: int, drawn_rows: int) -> None:
    """Report how many rows are drawn."""
    progress("sample", drawn_rows, rows)


def restored_sample(transformer: TableTransformer, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> Any:
    """Rows that were drawn, as a table of the kind that was fitted."""
    flavour = "pandas" if transformer.frame_ == "dask" else transformer.frame_
    rows = pa.Table.from_batches(batches, schema)
    like = TableSource("the sample", flavour, rows)
    return restore(rows, like, transformer.pandas_dtypes_, labels=transformer.labels_)


@contextmanager
def _read_twice(table: Source, rule: HoldOut | None = None) -> Iterator[Source]:
    """A source that can be read again, without the rows that are held out.

    Rows that can be read only once are copied to a file; so are those that are left of files of known length, because
    samples of them come from everywhere.
    """
    rows = table if rule is None else rule.part(table, held=False)
    if table.repeatable and (rule is None or table.rows is None):
        yield rows
    elif rule is not None and table.in_memory:
        yield rule.left_in_memory(table)
    else:
        why = "can be read only once" if rule is None else "some rows are held out"
        _LOG.info("%s: %s; its rows are copied to a temporary file", table.name, why)
        with tempfile.TemporaryDirectory(prefix="gpuvgm-") as folder:
            path = Path(folder) / "rows.parquet"
            with ParquetSink(path, table.schema) as sink:
                for block in rows.blocks(table.schema.names, BLOCK_ROWS):
                    sink.write(block.batch)
            yield any_source(path)


def rows_of(table: pa.Table) -> Rows:
    """Rows of each column of a table."""
    return lambda name: table.column(name).combine_chunks()


def thinned(rows: pa.Table) -> pa.Table:
    """Short runs of rows from everywhere; see `thin_places`. A table of `SAMPLE_ROWS` or fewer is taken as it is."""
    return taken(rows, thin_places(rows.num_rows)) if rows.num_rows > SAMPLE_ROWS else rows


def thin_places(rows: int) -> Ints:
    """Places of short runs from everywhere, about `SAMPLE_ROWS` rows in all: neighbours may be of one key."""
    places = np.arange(rows)
    kept: Ints = places[places // THIN_RUN % max(-(-rows // SAMPLE_ROWS), 1) == 0]
    return kept


def sampled_rows(table: Source, model: TableModel, most: int = SAMPLE_ROWS, left_out: Sequence[str] = ()) -> pa.Table:
    """Rows to learn a structure from, in their order: runs from everywhere, or the first ones of unknown length.

    With some columns that the model leaves out.
    """
    texts = [column for column in model.columns if column.kind == "pass" and is_text_type(column.decoded_type)]
    names = [column.name for column in model.columns if column.is_encoded or column in (*model.identifiers, *texts)]
    return sample_of(table, [*names, *left_out], model.seed, most)


def sample_of(table: Source, names: Sequence[str], seed: int, most: int = SAMPLE_ROWS) -> pa.Table:
    """A sample of some columns; see `sampled_rows`."""
    if table.rows is not None:
        return table.sample(names, sample_runs(table.rows, seed, most, runs=None))
    batches, rows = [], 0
    for block in table.blocks(names, most):
        batches.append(block.batch)
        rows += block.rows
        if rows >= most:
            break
    return pa.Table.from_batches(batches, table.fields(names)).slice(0, most)


def _parts_of_deciders(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], dependence: Dependence
) -> list[Part]:
    """Parts that tell which numbers of columns that decide others are rare.

    None of those on a clock, or counted from others, whose bins do not tell; nor of attributes of keys, whose values
    with counts of their own are others once keys are counted.
    """
    deciders = set[str]().union(*dependence.deciders.values()) - {*dependence.levels}
    numbers = [name for name in bins if name in deciders and isinstance(columns[name], NumericColumn)]
    return [Part(name, RARE) for name in numbers if bins[name].since is None and bins[name].clock is None]


def _forms_and_attributes(
    model: TableModel, rows: pa.Table, refuted: Claims
) -> tuple[dict[str, IdentifierForm], dict[str, str]]:
    """Forms of the columns that are not modelled, and attributes of keys, as a sample shows them."""
    forms = IdentifierForm.of_columns(model, thinned(rows), rows, refuted)
    firsts = [names[0] for names in levels_of_keys(forms).values()]
    return forms, find_attributes(model.by_name, firsts, rows, refuted)


def _modal_of_few(model: TableModel, table: Source) -> dict[str, Any]:
    """Columns with modal values that few persons have, each with its other modal values, and the reason."""
    columns = [column for column in model.numeric if column.modal_numbers and not model.schema[column.name].is_declared]
    if not columns:
        return {}
    rows, ordinary = sampled_rows(table, model, TREE_ROWS), dict[str, Any]()
    is_whole = rows.num_rows == table.rows or rows.num_rows < TREE_ROWS
    orders = find_orders(model.by_name, (), rows, whole=is_whole)
    persons = Persons.of([*keys_that_count(model, {}), *orders], rows, whole=is_whole)
    for column in columns if persons.keys else ():
        which = numbers_of_rows(column, rows.column(column.name).combine_chunks())[1]
        things = np.full(rows.num_rows, -1) if which is None else np.asarray(which, np.int64)
        counts = persons.counts(things, len(column.modal_numbers))
        few = {value for value, count in zip(column.modal_numbers, counts, strict=True) if count < LEAST_KEYS}
        modal = model.schema[column.name].modal
        kept = [value for value in modal if value is None or column.codec.parse(value) not in few]
        if few:
            ordinary[column.name] = {"modal": kept}, "few persons have its frequent values"
    return ordinary


def _asked_values(transformer: TableTransformer, structure: Structure, sample: SampledRows) -> dict[str, AskedValues]:
    """Values of columns of numbers of which a sample does not show that several persons have them."""
    if not sample.persons.keys:
        return {}
    columns, summaries = transformer.model_.by_name, transformer.summaries_
    names = [bins.name for bins in structure.bins if bins.since is None and bins.clock is None]
    asked = ((name, asked_values(columns[name], summaries.get(name), sample)) for name in names)
    return {name: values for name, values in asked if values is not None}


def _with_known(transformer: TableTransformer, structure: Structure, sample: SampledRows) -> tuple[Structure, bool]:
    """The structure with the same bins, given how many persons have values; and whether none is of few."""
    columns, summaries, is_fair = transformer.model_.by_name, transformer.summaries_, True
    every = list[Bins]()
    for bins in structure.bins:
        name = bins.name
        if name in sample.known and bins.since is None and bins.clock is None:
            bins, has_several = bins_of_persons(columns[name], summaries[name], sample, bins)
            is_fair &= has_several
        every.append(bins)
    return replace(structure, bins=tuple(every)), is_fair


def keys_that_count(model: TableModel, forms: Mapping[str, IdentifierForm]) -> list[str]:
    """Columns of which each value may be someone: the first one of each level of keys, and what samples have new of."""
    firsts = [names[0] for names in levels_of_keys(forms).values()]
    moments = {name for name, form in forms.items() if form.kind == "moment"}
    texts = [column for column in model.columns if column.kind in {"id", "pass"} and is_text_type(column.decoded_type)]
    others = [column.name for column in (*model.identifiers, *texts) if column.name not in moments]
    return [*firsts, *(name for name in dict.fromkeys(others) if name not in forms or forms[name].key is None)]


def _orders_left_out(table: Source, model: TableModel) -> list[str]:
    """Columns that the model leaves out, such as dropped ones, and that few rows show to be of orders."""
    names = columns_left_out(model, table.schema)
    rows = sample_of(table, names, model.seed, PROBED) if names else pa.table({})
    return [*find_orders(model.by_name, (), rows, whole=False)]


def forms_of_table(table: Source, model: TableModel) -> dict[str, IdentifierForm]:
    """Forms of the columns that are not modelled, which make no value of the table."""
    many, columns, refuted = sampled_rows(table, model, TREE_ROWS), model.by_name, set[tuple[str, str]]()
    while True:
        forms = IdentifierForm.of_columns(model, thinned(many), many, refuted)
        read = {name: form for name, form in forms.items() if form.is_read}
        blocks = table.blocks([*read], BLOCK_ROWS) if read else ()
        counts = [IdentifierCounts.of(columns, read, {}, block.host_column) for block in blocks]
        if not counts:
            return forms
        merged = reduce(IdentifierCounts.merge, counts)
        more = merged.refuted(forms, {})
        if more <= refuted:
            return merged.refined(forms)
        refuted |= more


@dataclass(frozen=True, slots=True)
class _SamplePlan:
    """How rows are made: bins and network, forms of columns that are not modelled, attributes of keys, and orders.

    And of which values all rows shall say how many keys have them, of some columns of keys.
    """

    structure: Structure
    forms: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    laws: tuple[Law, ...]
    keys: tuple[str, ...] = ()
    asked: Mapping[str, AskedValues] = field(default_factory=dict)
    orders: Orders = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _TableCounts:
    """Joint counts of rows, what they hold of columns that are not modelled, laws that they keep, and whose values are.

    Values are those of `_SamplePlan.asked`, by column.
    """

    joint: JointCounts
    identifiers: IdentifierCounts
    laws: tuple[Law, ...]
    keys: Mapping[str, KeysOfThings]
    orders: OrderEvidence

    def merge(self, other: _TableCounts) -> _TableCounts:
        """Counts of both sets of rows."""
        identifiers = self.identifiers.merge(other.identifiers)
        laws = tuple(map(Law.merge, self.laws, other.laws))
        keys, orders = {name: own.merge(other.keys[name]) for name, own in self.keys.items()}, self.orders
        return _TableCounts(self.joint.merge(other.joint), identifiers, laws, keys, orders.merge(other.orders))


def _counter(columns: dict[str, FittedColumn], plan: _SamplePlan, engine: str) -> Any:
    """Return a function that counts a block of rows where they lie."""
    row_engine, structure = get_engine(engine), plan.structure
    finders = [code_finder(columns, bins, structure.parts, row_engine) for bins in structure.bins]
    asked = {name: values.finder(columns[name], row_engine) for name, values in plan.asked.items()}

    def count(block: Block) -> _TableCounts:
        lacking = lacking_keys(plan.forms, structure.keys_asked.values(), block.host_column)
        codes = structure.with_parts([find(block.column) for find in finders], lacking)
        joint = structure.counts(codes, block.rows, row_engine)
        identifiers = IdentifierCounts.of(columns, plan.forms, plan.attributes, block.host_column)
        hashes = [hashes_of(block.host_column(name)) for name in plan.keys] if asked else []
        keys = {
            name: KeysOfThings.of(find(block.column(name)), len(plan.asked[name]), hashes)
            for name, find in asked.items()
        }
        laws = tuple(law.refute(columns, block.column) for law in plan.laws)
        return _TableCounts(joint, identifiers, laws, keys, OrderEvidence.of(columns, plan.orders, block.host_column))

    return count


def _scorer(
    columns: dict[str, FittedColumn],
    network: Network,
    forms: Mapping[str, IdentifierForm],
    laws: Sequence[Law],
    engine: str,
) -> Any:
    """Return a function that computes log densities of a block of rows, on the host."""
    engine_of_rows = get_engine(engine)
    structure = network.structure
    finders = [density_finder(columns, bins, engine_of_rows) for bins in structure.bins]
    part_finders = [part_finder(columns, bins, structure.parts) for bins in structure.bins]
    place_of = {bins.name: at for at, bins in enumerate(structure.bins)}
    keeper = LawKeeper(columns, laws, origins_of(structure.bins))
    in_turn = keeper.in_turn([structure.bins[place].name for place in structure.order]).computed
    # Where others depend on a column that is not computed in its turn, they say how likely its value was.
    asked = {place for trees in structure.trees for place in trees.asked}

    def score(block: Block) -> Floats:
        rows: Rows = block.batch.column
        codes_and_densities = [find(rows) for find in finders]
        outcomes = [law.score(columns, rows) for law in laws]
        pairs = zip(laws, outcomes, strict=True)
        certain = {place_of[law.target]: outcome.certain for law, outcome in pairs if law.decides}
        log_density = np.zeros(block.rows)
        of_columns = [(codes, parts(rows)) for (codes, _), parts in zip(codes_and_densities, part_finders, strict=True)]
        lacking = lacking_keys(forms, structure.keys_asked.values(), rows)
        codes = dict(enumerate(structure.with_parts(of_columns, lacking)))
        # The number of a twin is as certain as what a law decides, once it is known that a row has it.
        given = {**certain, **{place: codes[part] > 0 for place, part in structure.twins.items()}}
        for place, (_, density) in enumerate(codes_and_densities):
            log_density += np.where(given[place], 0.0, density) if place in given else density
        for outcome in outcomes:
            log_density[outcome.broken] = -np.inf
        known = {
            place: np.where(own, 0.0, np.nan)
            for place, own in certain.items()
            if structure.bins[place].name in in_turn or place not in asked
        }
        for law in laws:
            place = place_of[law.target]
            if law.apart and place in known and structure.bins[place].has_missing:  # trees say whether there is a value
                missing = np.full(block.rows, structure.bins[place].codes[0], np.uint16)
                is_missing = network.log_shares(place, codes | {place: missing}, engine_of_rows)
                known[place] += np.log1p(-np.exp(is_missing))
        return network.log_probability(codes, block.rows, engine_of_rows, known) + log_density

    return score


def load(path: Path_) -> TableTransformer | TableSynthesizer | PrivateSynthesizer:
    """Read a model that `save` of a transformer or a synthesizer wrote.

    Parameters
    ----------
    path : path
        A directory or a `.gpuvgm` file.

    Returns
    -------
    TableTransformer, TableSynthesizer or PrivateSynthesizer
        The model that was saved.

    Raises
    ------
    ModelFileError
        For a file that is damaged, tampered with, or of another format than this library writes.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000)}
    >>> transformer = gpuvgm.TableTransformer().fit(table)
    >>> transformer.save("table.gpuvgm")
    >>> loaded = gpuvgm.load("table.gpuvgm")
    >>> bool(np.all(loaded.transform(table)["amount.scalar"] == transformer.transform(table)["amount.scalar"]))
    True
    """
    model = ModelFile.at(fspath(path)).load()
    return PrivateSynthesizer._of_model(model, path) if model.generator == NAME else _of_model(model, path)


def _of_model(model: TableModel, path: Path_) -> TableTransformer | TableSynthesizer:
    """Transformer or synthesizer of a stored model."""
    settings = model.settings.get("synthesizer")
    transformer = load_as(TableTransformer, path, model)
    if not model.network:
        return transformer
    if isinstance(settings, dict) and "with" in settings:
        kind = {"ctgan": "CTGAN", "tvae": "TVAE"}.get(settings["with"], "synthesizer")
        raise InputError(f"{fspath(path)}: holds a {kind}: load it with gpuvgm.integrations.ctgan.{kind}.load")
    try:
        if not isinstance(settings, dict) or {*settings} != {
            *SETTINGS,
            "hold_out",
            "identifiers",
            "attributes",
            "proven",
            "orders",
        }:
            raise ValueError("its settings are not those of a synthesizer")
        rule = transformer._hold_out
        settings = dict(settings) | {"hold_out": 0.0 if rule is None else rule.share}
        forms = {name: read_as(IdentifierForm, form, name) for name, form in settings.pop("identifiers").items()}
        attributes, orders = settings.pop("attributes"), orders_of_file(settings.pop("orders"), transformer.model_)
        laws = read_laws(settings.pop("proven"), transformer.model_.by_name)
        _check_settings(settings["bins"], settings["safer"], settings["laws"])
        network = read_network(model.network)
        for bins in network.structure.bins:
            check_fits(transformer.model_.by_name, bins)
        for part in network.structure.parts:
            if part.name == RARE and not isinstance(transformer.model_.by_name[part.column], NumericColumn):
                raise ValueError(f'"{part.column}" has no numbers that are rare')
        check_attributes(network.structure, forms, attributes)
        bins_of_columns = {bins.name: bins for bins in network.structure.bins}
        keys = {name for name, form in forms.items() if form.key}
        for habit in network.structure.habits:
            habit.check(transformer.model_.by_name, bins_of_columns, keys)
        per_key, trees = rows_per_key(forms, attributes), TreeSettings.of(safer=settings["safer"])
        network = replace(network, rows_per_key=per_key, settings=trees)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, *ARROW_PROBLEMS) as problem:
        raise ModelFileError(f"{fspath(path)}: its network is inconsistent ({problem}); write it again") from problem
    synthesizer = TableSynthesizer(**settings)
    synthesizer.transformer_, synthesizer.network_ = transformer, network
    synthesizer.identifiers_, synthesizer.attributes_, synthesizer.laws_ = forms, attributes, laws
    synthesizer._orders = orders
    return synthesizer
