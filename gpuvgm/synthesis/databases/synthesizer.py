"""DatabaseSynthesizer: fit and sample of tables that refer to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Self

from gpuvgm.columns import TableModel
from gpuvgm.config import EngineName
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InferenceWarning, InputError, warn
from gpuvgm.estimator import Estimator
from gpuvgm.execution import any_source
from gpuvgm.io import Source, TableSource
from gpuvgm.rules import finite
from gpuvgm.synthesis.databases.checks import (
    check_mapping,
    check_names_made,
    check_parameters,
    conditions_by_table,
)
from gpuvgm.synthesis.databases.comparison import DatabaseComparison, compare_database
from gpuvgm.synthesis.databases.flow import can_flow, written_in_blocks
from gpuvgm.synthesis.databases.learning import learn_database, tables_to_learn
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.references import Reference, check_references, unnamed_references
from gpuvgm.synthesis.databases.sampler import DatabaseSampler
from gpuvgm.synthesis.databases.stored import DATABASE, read_database, stored_database
from gpuvgm.synthesis.databases.writing import new_folder, paths_of_tables, written_tables
from gpuvgm.synthesis.learning import SynthesizerSettings
from gpuvgm.table import ModelFile

Path_ = str | PathLike[str]


class DatabaseSynthesizer(Estimator):
    """A generator of tables that refer to each other, such as customers, their orders and the lines of these.

    Each table is learnt as by `TableSynthesizer`, beside what the rows have that it refers to. Rows of a child belong
    to those of its parent as rows of a sequence do to their key: parents are drawn first, with their numbers of
    children, then all children of each, one after the other. References of samples lead to rows of the sample, or
    nowhere, in as many rows as those of the tables; keys are new ones.

    Parameters
    ----------
    columns : mapping, optional
        By table, columns and their kinds as for `TableSynthesizer`.
    sequence_index : mapping of str to label, optional
        By table, the column by which the children of a parent are in order; by default that of the table's rows.
    keep : sequence of str
        Tables that samples have as they are, since they name no persons: countries, products. References to them have
        their real keys.
    hold_out : float
        Share of the rows of tables without parents that the fit does not see, with all rows that refer to them, so that
        `evaluate` has customers with their orders that no fit has seen. Tables are held in memory then.
    bins, safer, random_state, engine, threads : optional
        As for `TableSynthesizer`.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> random = np.random.default_rng(0)
    >>> customers = {"id": np.arange(300), "segment": random.choice(["private", "business"], 300)}
    >>> orders = {"customer": np.sort(random.integers(0, 300, 1000)), "amount": random.lognormal(3, 1, 1000).round(2)}
    >>> tables = {"customers": customers, "orders": orders}
    >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
    >>> sample = synthesizer.sample()
    >>> bool(np.isin(sample["orders"]["customer"], sample["customers"]["id"]).all())
    True
    """

    _model: DatabaseModel  # once it is fitted

    def __init__(
        self,
        columns: Mapping[str, Any] | None = None,
        *,
        sequence_index: Mapping[str, Any] | None = None,
        keep: Sequence[str] = (),
        hold_out: float = 0.0,
        bins: int = 1000,
        safer: bool = False,
        random_state: int | None = 0,
        engine: EngineName = "auto",
        threads: int | None = None,
    ) -> None:
        self.columns = columns
        self.sequence_index = sequence_index
        self.keep = keep
        self.hold_out = hold_out
        self.bins = bins
        self.safer = safer
        self.random_state = random_state
        self.engine = engine
        self.threads = threads

    @property
    def _settings(self) -> SynthesizerSettings:
        """Parameters, as the stages of a fit take them."""
        machine = {"engine": self.engine, "threads": self.threads, "executor": None, "memory": None, "progress": None}
        return SynthesizerSettings(None, self.bins, "auto", (), self.safer, self.random_state, machine)

    @property
    def _fitted(self) -> DatabaseModel:
        """What is learnt."""
        self._check_is_fitted()
        return self._model

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def fit(self, tables: Mapping[str, Any], y: None = None, *, keys: Mapping[str, str]) -> Self:
        """Learn tables, and which rows refer to which.

        Tables of up to a million rows each are held in memory. Others are sorted into temporary files, which are
        removed at the end; of several parents of a table all but the first are held, if they are at most four million
        rows. The model is the same.

        Parameters
        ----------
        tables : mapping of str to object
            The tables by name, each as for `TableSynthesizer.fit`.
        y : None
            Ignored.
        keys : mapping of str to str
            Columns that refer to the key of another table: ``{"orders.customer": "customers.id"}``, of several columns
            ``{"flights.(origin, hour)": "weather.(origin, hour)"}``. Of several parents of a table the one that
            tells most of it comes first: its numbers of children are exact, those of others hold on average.

        Returns
        -------
        DatabaseSynthesizer
            The synthesizer itself.

        Raises
        ------
        InputError
            For references that cannot be, keys that come twice, and tables that cannot be fitted.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> print(synthesizer)
        DatabaseSynthesizer()
        customers: 300 rows
        orders: 900 rows, by "customer" rows of customers
        """
        SynthesizerSettings.check(self.bins, self.safer, "auto")
        check_mapping("tables", tables, '{"customers": customers, "orders": orders}')
        check_mapping("keys", keys, '{"orders.customer": "customers.id"}')
        given = {"columns": self.columns or {}, "sequence_index": self.sequence_index or {}}
        for parameter, by_table in given.items():
            check_mapping(parameter, by_table, '{"orders": …}')
        sources = {str(name): any_source(table) for name, table in tables.items()}
        references, names = Reference.read(keys), {name: source.schema.names for name, source in sources.items()}
        check_references(references, names)
        check_parameters(names, given | {"keep": self.keep}, references)
        for line in unnamed_references(references, names):
            warn(f"keys: names suggest {line}, which is not among them", InferenceWarning, ("keys", line))
        keep, hold_out = [*map(str, self.keep)], (self.hold_out, self.random_state or 0)
        with tables_to_learn(sources, references, keep, given["sequence_index"], hold_out) as to_learn:
            check_names_made(names, to_learn.plan)
            for name, rows in to_learn.plan.maybe_things(to_learn.counts).items():
                remedy = f'if its {rows:,} rows are no persons\', keep=["{name}"] gives samples the real ones'
                warn(f"{name}: samples have invented rows; {remedy}", InferenceWarning, ("keep", name))
            self._model = learn_database(to_learn, given["columns"], self._settings)
        return self

    def sample(
        self,
        scale: float = 1.0,
        *,
        conditions: Mapping[str, Any] | None = None,
        out: Path_ | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Draw all tables. The same call gives the same rows.

        Parameters
        ----------
        scale : float
            How many times as many rows the tables without parents have as those that were fitted; their children
            follow. Tables that are kept do not change.
        conditions : mapping, optional
            Conditions on columns of tables without parents, ``{"customers.country": "AT", "customers.age": (60,
            None)}``, each a value, a list or a range, as for `TableSynthesizer.sample`. All rows of these tables meet
            them, as many as without; their children follow.
        out : path, optional
            A new folder, for a Parquet file of each table. Nothing is there before all are written. Rows are written
            as they are drawn, unless one of several parents of a table refers to another one, or a key has several
            columns.
        seed : int, optional
            0 to 2^64 - 1; by default that of the fit.

        Returns
        -------
        dict of str to object
            The tables, each of the kind that was fitted; with `out` the paths of their files.

        Raises
        ------
        InputError
            For a scale that is not positive, a folder that is there already, and conditions that cannot be met, or are
            on tables that refer to others.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> sample = synthesizer.sample(2)
        >>> len(sample["customers"]["id"]), len(sample["orders"]["customer"])
        (600, 1800)
        """
        model = self._fitted
        folder = None if out is None else new_folder(out, model.names)
        sampler = self._sampler(scale, seed, conditions_by_table(conditions or {}, model))
        if folder is not None:
            return written_in_blocks(folder, sampler) if can_flow(model) else written_tables(folder, sampler.tables())
        return {name: model.made(name, table) for name, table in sampler.tables().items()}

    def _sampler(self, scale: Any, seed: int | None, conditions: Mapping[str, Any]) -> DatabaseSampler:
        """What draws tables; scale and seed are checked."""
        if float(finite(scale, "scale")) <= 0:
            raise InputError(f"scale: give a positive number, got {scale:g}")
        row_seed = (self.random_state or 0) if seed is None else int(seed)
        RowRange(0, 0).check(row_seed)
        return DatabaseSampler(self._fitted, float(scale), row_seed, conditions)

    def evaluate(
        self,
        tables: Mapping[str, Any],
        compare: Mapping[str, Any] | Path_ | None = None,
        *,
        held_out: Mapping[str, Any] | Path_ | None = None,
        seed: int | None = None,
    ) -> DatabaseComparison:
        """Compare a sample with the tables: references, numbers of children, and rows beside those that they refer to.

        Parameters
        ----------
        tables : mapping of str to object
            The tables that were fitted, or others like them. With `hold_out` those of its rows that the fit did not see
            are compared as `held_out`, and are not among the tables.
        compare : mapping of str to object, or path of a folder, optional
            A sample of any generator, by table, or with a Parquet file of each; by default one is drawn. Tables that
            are kept need not be among them.
        held_out : mapping of str to object, or path of a folder, optional
            Rows of the same kind that were not fitted, as for `compare`: parents of the sample are to come no nearer
            to parents of the tables than these do.
        seed : int, optional
            As for `sample`.

        Returns
        -------
        DatabaseComparison
            Its text begins with what is worst.

        Raises
        ------
        InputError
            For tables that are not there, keys that come twice, and tables held out that are those that were fitted.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> comparison = synthesizer.evaluate(tables)
        >>> comparison.references[0].sampled["here"]
        1.0
        """
        model = self._fitted
        if compare is None:
            drawn = self._sampler(1.0, seed, {}).tables()
            sampled: dict[str, Any] = {name: TableSource(name, "pyarrow", table) for name, table in drawn.items()}
        else:
            sampled = _drawn_sources(compare, model, "compare")
        not_fitted = None if held_out is None else _drawn_sources(held_out, model, "held_out")
        return compare_database(model, _sources(tables, model.names, "tables"), sampled, not_fitted)

    def save(self, path: Path_) -> None:
        """Write the synthesizer to a directory or a `.gpuvgm` file, which holds the rows of tables that are kept.

        Parameters
        ----------
        path : path
            Where to.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> synthesizer.save("shop.gpuvgm")
        >>> sample = gpuvgm.load("shop.gpuvgm").sample()
        >>> bool((sample["orders"]["amount"] == synthesizer.sample()["orders"]["amount"]).all())
        True
        """
        ModelFile.at(path).save(stored_database(self._fitted), lambda model: self._of_model(model, path))

    @classmethod
    def _of_model(cls, model: TableModel, path: Path_) -> Self | None:
        """The synthesizer of a stored model; None for a model of another kind."""
        if model.generator != DATABASE:
            return None
        loaded = cls()
        loaded._model = read_database(model, path, loaded._settings)
        loaded.keep = loaded._model.plan.kept
        loaded.hold_out = next((rule.share for rule in loaded._model.held_out.rules.values()), 0.0)
        of_tables = next(iter(loaded._model.parts.values())).settings
        loaded.sequence_index = {**loaded._model.plan.indices} or None
        loaded.bins, loaded.safer, loaded.random_state = of_tables.bins, of_tables.safer, of_tables.random_state
        return loaded

    def to_dict(self) -> dict[str, Any]:
        """What is learnt, as a dict that JSON can hold: rows of the tables, references, laws, and what is kept.

        Returns
        -------
        dict
            Under "tables", by name.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> synthesizer.to_dict()["tables"]["orders"]["references"]
        ['orders.customer -> customers.id']
        """
        return {"tables": {name: self._fitted.document_of(name) for name in self._fitted.names}}

    def describe(self) -> list[str]:
        """The same as lines of text.

        Returns
        -------
        list of str
            One for each table.

        Examples
        --------
        >>> import numpy as np
        >>> import gpuvgm
        >>> orders = {"customer": np.repeat(np.arange(300), 3), "amount": np.random.default_rng(0).normal(50, 9, 900)}
        >>> tables = {"customers": {"id": np.arange(300)}, "orders": orders}
        >>> synthesizer = gpuvgm.DatabaseSynthesizer().fit(tables, keys={"orders.customer": "customers.id"})
        >>> synthesizer.describe()[0]
        'customers: 300 rows'
        """
        return [self._fitted.describe(name) for name in self._fitted.names]

    def __str__(self) -> str:
        return "\n".join([repr(self), *(self.describe() if self.__sklearn_is_fitted__() else [])])


def _drawn_sources(tables: Mapping[str, Any] | Path_, model: DatabaseModel, parameter: str) -> dict[str, Source]:
    """Tables by name or of a folder, opened; those that are kept need not be among them."""
    by_name = paths_of_tables(tables, [*model.parts]) if isinstance(tables, (str, PathLike)) else tables
    check_mapping(parameter, by_name, '{"customers": customers, "orders": orders}')
    return _sources({**model.kept, **by_name}, model.names, parameter)


def _sources(tables: Mapping[str, Any], names: Sequence[str], parameter: str) -> dict[str, Source]:
    """The tables of these names, opened."""
    check_mapping(parameter, tables, '{"customers": customers, "orders": orders}')
    for name in names:
        if name not in tables:
            raise InputError(f'{parameter}: there is no table "{name}", which was fitted')
    return {name: any_source(tables[name]) for name in names}
