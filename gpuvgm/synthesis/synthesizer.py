"""TableSynthesizer: fit, sample and score of whole tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Generic, Self, overload

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.config import EngineName, Flavor
from gpuvgm.errors import InputError
from gpuvgm.execution import Progress, any_source
from gpuvgm.io import TableLike
from gpuvgm.synthesis.base import BaseSynthesizer
from gpuvgm.synthesis.databases import DatabaseSynthesizer
from gpuvgm.synthesis.learning import SynthesizerSettings, learn
from gpuvgm.synthesis.private import PrivateSynthesizer
from gpuvgm.synthesis.sequences import learn_sequences, read_sequences, sampler_of
from gpuvgm.table import ModelFile, RunSummary, TableTransformer, load_as

if TYPE_CHECKING:
    import pandas as pd  # noqa: TID251
    import polars as pl
    from typing_extensions import TypeVar

    Drawn = TypeVar("Drawn", default=Any)  # the kind of table that `sample` gives
    Frame = TypeVar("Frame", pa.Table, pd.DataFrame, pl.DataFrame)
else:
    from typing import TypeVar

    Drawn = TypeVar("Drawn")

Path_ = str | PathLike[str]


class TableSynthesizer(BaseSynthesizer, Generic[Drawn]):
    """A generator of synthetic tables that is made of counts.

    Every column is cut into bins, and drawn given all columns before it: by binary trees of counts over their bins
    (as synthpop's, Nowok et al. 2016), which are grown from a sample and counted over all rows in one scan. The same
    scan counts a Bayesian network (Chow & Liu 1968; with two parents as in Zhang et al. 2017), from which rows are
    drawn that hardly any row of the table is like. No neural network is trained. "A generator made of counts" in the
    documentation has the formulas, and tells of dates, keys and laws.

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
    laws : "auto", "off" or sequence
        Laws between columns that every sampled row keeps, as every fitted row does: "auto" finds them. Or texts of
        laws, with "auto" among them to find others too: ``"net + tax = gross"``, ``"price * pieces = total"``,
        ``"days(end) - days(start) = nights"``, ``"ordered <= sent"``, ``"city -> country"``, each with its kin in the
        table of laws in the documentation ("A generator made of counts"). ``"not a <= b"`` forbids a law. A text
        may hold several, between semicolons. What no text says, an object does: ``holds(rows)`` gets a table of the
        kind that `sample` gives, of the modelled columns, and returns a boolean for each row, by that row alone. Rows
        that break it are drawn again; one of 64 must keep it. It goes by its `name`, or that of its class.
    sequence_key : label, optional
        Column of keys whose rows belong together, such as the lines of an order or the visits of a patient. Keys are
        drawn first, with their number of rows and all columns that have one value for each key; then each row given
        that before. Keys of the table are not in samples.
    sequence_index : label, optional
        Column by which the rows of a key are in order; by default they are in the order of the source.
    random_state : int or None
        Seed of the fit, and of `sample` unless it is given another.
    like : TableSynthesizer, optional
        A fitted synthesizer whose bins, network and `safer` are taken, so that only counts are learnt. Such fits can be
        merged. The rows that it holds out are held out here, too.
    hold_out : float
        Share of the rows that the fit does not see, chosen by a hash of each row's values, so that `evaluate` says how
        near samples are to the fitted rows beside them; 0 for none. With `sequence_key` it is a share of the keys, all
        rows of which are held out.
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
    laws_ : Laws
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

    def __init__(
        self,
        columns: Any = None,
        *,
        bins: int = 1000,
        conditions_on: Sequence[Any] = (),
        safer: bool = False,
        laws: str | Sequence[Any] = "auto",
        sequence_key: Any = None,
        sequence_index: Any = None,
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
        self.sequence_key = sequence_key
        self.sequence_index = sequence_index
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
        SynthesizerSettings.check(self.bins, self.safer, self.laws)
        table, settings = any_source(source), self._settings
        if self.like is not None:
            return self._with(self.like._fitted.of_rows(table, settings))
        if settings.sequence_key is not None:
            return self._with(learn_sequences(table, settings))
        return self._with(learn(table, settings))

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
        if not self.__sklearn_is_fitted__():
            self.fit(source)
            return self
        return self._with(self._fitted.with_rows(any_source(source), self._settings))

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
        return self.__sklearn_clone__()._with(self._fitted.merge(other._fitted))

    @overload
    def sample(
        self,
        n: int | None = None,
        *,
        keys: int | None = None,
        first_key: int = 0,
        conditions: Any = None,
        out: None = None,
        first_row: int = 0,
        sort: Any = None,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Drawn: ...

    @overload
    def sample(
        self,
        n: int | None = None,
        *,
        keys: int | None = None,
        first_key: int = 0,
        conditions: Any = None,
        out: Path_,
        first_row: int = 0,
        sort: Any = None,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> RunSummary: ...

    def sample(
        self,
        n: int | None = None,
        *,
        keys: int | None = None,
        first_key: int = 0,
        conditions: Any = None,
        out: Path_ | None = None,
        first_row: int = 0,
        sort: Any = None,
        seed: int | None = None,
        flavor: Flavor | None = None,
        resume: bool = False,
    ) -> Any:
        """Draw rows. Each depends on the seed and its number only, so that parts can be drawn apart.

        The same call gives the same rows. More of them are ``sample(n, first_row=rows_so_far)``, others
        ``sample(n, seed=1)``.

        Parameters
        ----------
        n : int, optional
            Number of rows.
        keys, first_key : int, optional
            With `sequence_key`, in place of `n` and `first_row`: how many keys are drawn, and which is the first.
        conditions : mapping or table, optional
            By column: a value; a list or set of values; or a tuple (low, high), both ends included, None for no end.
            Dates are text or datetimes. Rows have the exact distribution that the model has under all conditions
            together. Or a table of `n` rows: each row that is drawn has the values of its row there.
        out : path, optional
            File to write (Parquet, or CSV where it ends in .csv or .csv.gz), or a folder of Parquet files if the name
            has no ending; several machines may fill one folder, each with rows of its own.
        first_row : int
            Number of the first row; of a folder a multiple of 2^26, the rows of a file.
        sort : label, optional
            A modelled column by which the rows are in order, missing values last. Running numbers that rise with it
            have no gaps. This process draws the whole sample, and for `out` sorts it in temporary files of its size.
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
            For conditions that no row of the model can meet, and for a table of them with other than `n` rows.

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
        sampler = sampler_of(self._fitted, self._settings, None if sort is None else str(sort))
        part = sampler.part(n, first_row, keys, first_key)
        if conditions is not None and not isinstance(conditions, Mapping):
            return sampler.beside_rows(any_source(conditions), part, seed, out)
        rows = sampler.under(conditions or {})
        row_seed = sampler.seed_of(part, seed)
        part = part if keys is None else sampler.of_keys(rows, first_key, keys, row_seed)
        if out is None:
            return sampler.table(rows, part, row_seed)
        return sampler.write(sampler.generator(rows, row_seed, flavor), out, part, self.executor, resume=resume)

    def save(self, path: Path_) -> None:
        """Write the synthesizer to a directory or a `.gpuvgm` file; summaries of the columns are not kept.

        Of laws that are objects their names are, and no code: `load` takes the objects.

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
        stored = self._fitted.stored(self.get_params(deep=False))
        ModelFile.at(path).save(stored, lambda model: _of_model(model, path))


def load(
    path: Path_, *, laws: Sequence[Any] = ()
) -> TableTransformer | TableSynthesizer | PrivateSynthesizer | DatabaseSynthesizer:
    """Read a model that `save` of a transformer or a synthesizer wrote.

    Parameters
    ----------
    path : path
        A directory or a `.gpuvgm` file.
    laws : sequence, optional
        Objects with ``holds(rows)`` that the synthesizer was fitted with: a file has their names, and no code.

    Returns
    -------
    TableTransformer, TableSynthesizer, PrivateSynthesizer or DatabaseSynthesizer
        The model that was saved.

    Raises
    ------
    InputError
        For `laws` that are none of the model's.
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
    model = ModelFile.at(path).load()
    database = DatabaseSynthesizer._of_model(model, path)
    if database is not None:
        return database
    is_private = model.generator == "private"
    if laws and (is_private or not model.network):
        raise InputError(f"{fspath(path)}: laws are for a TableSynthesizer, which this is not")
    return PrivateSynthesizer._of_model(model, path) if is_private else _of_model(model, path, laws)


def _of_model(model: TableModel, path: Path_, laws: Sequence[Any] = ()) -> TableTransformer | TableSynthesizer:
    """Transformer or synthesizer of a stored model."""
    transformer = load_as(TableTransformer, path, model)
    if not model.network:
        return transformer
    parameters, learnt = read_sequences(transformer, model, path, laws)
    return TableSynthesizer(**parameters)._with(learnt)
