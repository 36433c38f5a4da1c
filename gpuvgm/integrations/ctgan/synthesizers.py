"""CTGAN and TVAE that train on compact rows: from memory or from disk, for some steps, and on from a checkpoint."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, wraps
from itertools import count, islice
from numbers import Integral
from os import fspath
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from ctgan.synthesizers import ctgan, tvae
from ctgan.synthesizers.base import BaseSynthesizer, random_state
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from torch.optim import Adam
from tqdm import tqdm

from gpuvgm.config import Effort, Flavor, ModeChoice
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InputError, ModelFileError, counted, listed
from gpuvgm.execution import LocalExecutor, Progress, any_source
from gpuvgm.integrations.ctgan.sampler import DataSampler
from gpuvgm.integrations.ctgan.state import read_weights, write_weights
from gpuvgm.integrations.ctgan.training import Checkpoint, Training, average, refuse_to_forget
from gpuvgm.integrations.ctgan.transformer import DataTransformer, draw_seed, list_names
from gpuvgm.integrations.torch import processes
from gpuvgm.io import Source
from gpuvgm.records import document_of, read_as
from gpuvgm.rules import choice
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.synthesis import IdentifierForm, SampledTable, categories_that_meet
from gpuvgm.table import ModelFile, Place, TableTransformer, TrainingRows, load_as

SAMPLED_BYTES = 1 << 26  # of generated rows that are decoded together
NOT_MEANT = ("epochs", "verbose", "enable_gpu", "random_states")  # what a training may go on without
PLAIN = (bool, int, float, str, list, tuple, np.generic)  # types of hyperparameters
Matrix = NDArray[np.float32]
_LOG = logging.getLogger("gpuvgm")


def _repeatable(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method with the random state of its synthesizer, if that has one; it keeps its name and docstring."""
    return wraps(method)(random_state(method))


@dataclass(frozen=True, slots=True)
class _Request:
    """What `sample` is asked for."""

    rows: int
    conditions: Mapping[str, Any]
    out: str | Path | None
    flavor: Flavor | None
    progress: Progress | None

    def drawing(self) -> AbstractContextManager[LocalExecutor]:
        """Executor of one thread, as outputs come one after the other, in the stage that draws rows."""
        return LocalExecutor.drawing(self.rows, self.progress, 1)


@dataclass(frozen=True, slots=True)
class _FitRequest:
    """What `fit` is asked for, beside rows and columns."""

    steps: int | None
    epochs: int
    place: Place
    folder: str | Path | None
    checkpoint: str | Path | None
    checkpoint_steps: int
    resume: bool
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Steps of a training: of each epoch, and of all."""

    per_epoch: int
    total: int

    def ends_epoch(self, number: int) -> bool:
        """Whether a step is the last one of its epoch."""
        return (number + 1) % self.per_epoch == 0


class _Networks(Protocol):
    """The networks of a training, with their optimizers."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """Objects with a state, which a checkpoint keeps."""

    def losses(self, numbers: Iterable[int], first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Learn a step for each number, of which `first` is the first, and yield it with its losses."""


class _OnCompactRows(BaseSynthesizer):  # type: ignore[misc]  # ctgan ships no types
    """Base of both synthesizers: sources of rows, the training, conditions, model files and checkpoints.

    What is a synthesizer's own are its networks (`_new_networks`, `_network`, `_build`), the steps of an epoch
    (`_steps_of_epoch`), which losses are kept (`_record`), and the attribute of its transformer (`_take`).
    """

    EFFORT: ClassVar[Effort] = "research"  # of the fit, unless `encoding` says otherwise
    CTGANS: ClassVar[Any]  # class of ctgan, whose hyperparameters these are
    LOSSES: ClassVar[list[str]]  # columns of `loss_values`
    ROWS: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # further arguments of `TrainingRows`
    _table: SampledTable | None = None  # where kinds were inferred, or rows had been encoded
    _refuse_to_forget = staticmethod(refuse_to_forget)

    def __init__(
        self,
        *hyperparameters: Any,
        encoding: Mapping[str, Any] | None = None,
        enforce_min_max_values: bool = True,
        **named: Any,
    ) -> None:
        super().__init__(*hyperparameters, **named)
        self._encoding = dict(encoding or {})
        self._enforce_min_max_values = enforce_min_max_values

    @classmethod
    def load(cls, path: Any) -> Any:
        """Load a model that `save` has written.

        Parameters
        ----------
        path : path
            The file. If its name does not end in ``.gpuvgm`` it is a pickle, which can run any code: load only what you
            trust.

        Returns
        -------
        CTGAN or TVAE
            The model.

        Raises
        ------
        InputError
            If the file holds something else.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import TVAE
        >>> model = TVAE(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"], steps=1)
        >>> model.save("model.pt")
        >>> TVAE.load("model.pt").sample(10).shape
        (10, 1)
        """
        if fspath(path).endswith(ModelFile.SUFFIX):
            return cls._of_model(path)
        try:
            model = super().load(path)
        except OSError:
            raise
        except Exception as error:  # torch and pickle raise anything for other files
            message = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise InputError(f"{path}: no model that {cls.__name__}.save wrote ({message})") from error
        if not isinstance(model, cls):
            raise InputError(f"{path}: no model that {cls.__name__}.save wrote (it holds a {type(model).__name__})")
        return model

    @property
    def transformer_(self) -> TableTransformer:
        """The fitted columns, of a fit that inferred the kinds."""
        if self._table is None:
            raise NotFittedError(f"this {type(self).__name__} knows no kinds: call fit without discrete_columns")
        return self._table.transformer

    @property
    def identifiers_(self) -> Mapping[str, IdentifierForm]:
        """Forms of identifiers of text, of a fit that inferred the kinds."""
        return {} if self._table is None else self._table.identifiers

    @property
    def _unmodelled(self) -> str:
        """How columns are made that the network does not see."""
        return "" if self._table is None else self._table.unmodelled

    def _tell_share(self, accepted_rows: int, drawn_rows: int) -> None:
        self.condition_share_ = accepted_rows / drawn_rows
        _LOG.info(
            "%.3g %% of %s drawn met the conditions", 100 * accepted_rows / drawn_rows, counted(drawn_rows, "row")
        )

    def save(self, path: Any) -> None:
        """Write the model.

        Parameters
        ----------
        path : path
            A name that ends in ``.gpuvgm`` gives a model file without pickle, which `gpuvgm sample` reads; it takes
            kinds that `fit` inferred. Any other name gives ctgan's pickle.

        Raises
        ------
        InputError
            For a model file after a fit with `discrete_columns`.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import TVAE
        >>> model = TVAE(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), steps=1)
        >>> model.save("model.gpuvgm")
        >>> TVAE.load("model.gpuvgm").sample(10).shape
        (10, 1)
        """
        if not fspath(path).endswith(ModelFile.SUFFIX):
            super().save(path)
            return
        if self._table is None:
            raise InputError(
                f"{fspath(path)}: a model file holds kinds that fit inferred: fit without discrete_columns, or give a "
                f"name without {ModelFile.SUFFIX}"
            )
        parameters = inspect.signature(self.CTGANS.__init__).parameters
        values = {name: self._hyperparameter(name) for name in parameters}
        plain = {name: _plain_value(value) for name, value in values.items() if isinstance(value, PLAIN)}
        synthesizer_settings = {
            "with": type(self).__name__.lower(),
            "identifiers": {name: document_of(form) for name, form in self._table.identifiers.items()},
            "enforce_min_max_values": self._enforce_min_max_values,
            "hyperparameters": {name: value for name, value in plain.items() if name != "verbose"},
        }
        weights = {name: tensor.cpu().numpy() for name, tensor in self._network().state_dict().items()}
        body = write_weights(weights | self._extra_arrays())
        self._table.transformer._save_generator(synthesizer_settings, body, path)

    @classmethod
    def _of_model(cls, path: Any) -> Any:
        """A model from a file without pickle."""
        table_model = ModelFile.at(path).load()
        settings = table_model.settings.get("synthesizer")
        if not isinstance(settings, dict) or table_model.generator != cls.__name__.lower():
            raise InputError(f"{fspath(path)}: no model that {cls.__name__}.save wrote")
        table = load_as(TableTransformer, path, table_model)
        transformer = DataTransformer()
        transformer.take(table)
        try:
            forms = {name: read_as(IdentifierForm, form, name) for name, form in settings["identifiers"].items()}
            model = cls(enforce_min_max_values=settings["enforce_min_max_values"], **settings["hyperparameters"])
            model._table = SampledTable(table, forms, settings["enforce_min_max_values"])
            weights = read_weights(table_model.network)
            counts = {name: weights.pop(name) for name in [*weights] if name.startswith("counts ")}
            with torch.device("meta"):  # no memory for widths that the file names: its weights take all there is
                model._build(transformer, counts)
            network = model._network()
            dtypes = {name: empty.dtype for name, empty in network.state_dict().items()}
            tensors = {name: torch.from_numpy(array).to(dtypes[name]) for name, array in weights.items()}
            network.load_state_dict(tensors, assign=True)
            network.to(model._device)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, *ARROW_PROBLEMS) as problem:
            message = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            raise ModelFileError(
                f"{fspath(path)}: its network is inconsistent ({message}); write it again"
            ) from problem
        return model

    def _extra_arrays(self) -> dict[str, Any]:
        """Arrays of a model file that are not weights."""
        return {}

    def _hyperparameter(self, name: str) -> Any:
        """A hyperparameter, which ctgan's classes keep with an underscore before its name or without."""
        return vars(self).get(f"_{name}", vars(self).get(name))

    def _train(self, train_data: Any, discrete_columns: list[Any] | None, columns: Any, request: _FitRequest) -> None:
        """Fit the transformer on every row, then train: what `fit` of both synthesizers does."""
        _check_count("steps", request.steps)
        checkpoint = Checkpoint(request.checkpoint, request.checkpoint_steps, resume=request.resume)
        options = {"place": request.place, "folder": request.folder, **self.ROWS}
        transformer, rows, table = self._encode(train_data, discrete_columns, columns, checkpoint.seed, options)
        checkpoint.begin(self._meaning(rows))
        per_epoch = self._steps_of_epoch(rows)
        self._take(transformer)
        self._table = table
        networks = self._new_networks(rows)
        training = Training(checkpoint, networks.parts)
        schedule = _Schedule(per_epoch, per_epoch * request.epochs if request.steps is None else request.steps)
        self._learn(networks, training, schedule, request.progress)

    def _learn(self, networks: _Networks, training: Training, schedule: _Schedule, progress: Progress | None) -> None:
        """Make the remaining steps of a training, with a bar, and keep the losses."""
        numbers, first = training.steps(schedule.total, progress), training.steps_done
        bar = tqdm(numbers, total=schedule.total, initial=first, disable=not self._hyperparameter("verbose"))
        try:
            for number, losses in networks.losses(bar, first):
                if text := self._record(training.losses, number, schedule, losses):
                    bar.set_description(text)
        finally:
            self.loss_values = pd.DataFrame(training.losses, columns=self.LOSSES)

    def _encode(
        self, train_data: Any, discrete_columns: list[Any] | None, columns: Any, seed: int, options: Mapping[str, Any]
    ) -> tuple[DataTransformer, TrainingRows, SampledTable | None]:
        """The fitted transformer, the rows to train on, and the maker of whole tables of samples.

        `options` are those of the rows. Kinds of CTGAN's own are not those of a whole table, which has no maker then.
        """
        if isinstance(train_data, TrainingRows):
            self._refuse_stray({"discrete_columns": discrete_columns, "columns": columns}, options)
            transformer = DataTransformer()
            transformer.take(train_data.transformer)
            return transformer, train_data, SampledTable(train_data.transformer, {}, self._enforce_min_max_values)
        source = any_source(train_data)
        if not source.repeatable:
            raise InputError(
                f"{source.name}: is read twice, to fit the encoder and to encode, which an iterator cannot be: "
                "give a file or a frame, or fit a TableTransformer and give TrainingRows"
            )
        if discrete_columns is None:
            return self._encode_inferred(source, columns, seed, options)
        if columns is not None:
            raise InputError("columns says what all columns are: leave out discrete_columns")
        transformer = DataTransformer(**{"effort": self.EFFORT, **self._encoding})
        transformer.fit(train_data, discrete_columns)
        return transformer, transformer.rows(train_data, seed, **options), None

    def _refuse_stray(self, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Refuse arguments that say again how `TrainingRows` are encoded, or where they are kept."""
        arguments = {**arguments, "encoding": self._encoding, "folder": options["folder"]}
        stray = [name for name, value in arguments.items() if value] + ["place"] * (options["place"] != "memory")
        if stray:
            raise InputError(f"TrainingRows are encoded and have their place: leave out {listed(stray)}")

    def _encode_inferred(
        self, source: Source, columns: Any, seed: int, options: Mapping[str, Any]
    ) -> tuple[DataTransformer, TrainingRows, SampledTable]:
        """What `_encode` gives of a table whose kinds are inferred, or given for all its columns."""
        table = self._fitted_table(source, columns)
        sampled_table = SampledTable.of_source(
            table,
            source,
            enforce=self._enforce_min_max_values,
            fitted_by_user=isinstance(columns, TableTransformer),
        )
        transformer = DataTransformer()
        transformer.take(table)
        return transformer, TrainingRows(table, source, seed=seed, **options), sampled_table

    def _meaning(self, rows: TrainingRows) -> dict[str, Any]:
        """Settings that a training must share with the checkpoint that it goes on from."""
        hyperparameters = {
            name.lstrip("_"): _plain_value(value) for name, value in vars(self).items() if isinstance(value, PLAIN)
        }
        meaning = {name: value for name, value in hyperparameters.items() if name not in NOT_MEANT}
        return meaning | {"columns": rows.transformer.model_.fingerprint(), "rows": rows.digest}

    def _fitted_table(self, source: Source, columns: Any) -> TableTransformer:
        """The fitted columns of a table, of kinds that are inferred or given."""
        if isinstance(columns, TableTransformer):
            columns._fitted().check_source(source)
            return columns
        settings = dict(self._encoding)
        if columns is not None and "columns" in settings:
            raise InputError("columns are given twice: leave them out of encoding")
        settings["n_components"] = settings.pop("max_clusters", 10)
        table = TableTransformer(**{"columns": columns, **settings})._fit_for_samples(source)
        table.summaries_ = {}  # nearly the raw rows, which no pickle of a synthesizer should hold
        return table

    def _give(
        self, transformer: DataTransformer, outputs: Iterator[Matrix], request: _Request, sigmas: Any = None
    ) -> Any:
        """Return rows of a network's outputs as a table, or write them to a file."""
        rows, conditions, out = request.rows, request.conditions, request.out
        if conditions or self._table is not None:  # which look at rows with their noise
            outputs, sigmas = map(partial(transformer._with_noise, sigmas=sigmas), outputs), None
        if conditions:
            table = self._table or SampledTable(transformer._fitted(), {}, enforce=False)
            outputs = table.that_meet(conditions, outputs, rows, self._tell_share)
        if self._table is not None:
            seed, part = draw_seed(), RowRange(0, rows)
            with request.drawing() as executor:
                if out is None:
                    return self._table.table(outputs, part, seed, executor)
                return self._table.generator(outputs, seed, request.flavor).write(out, part, executor, resume=None)
        blocks = _join_outputs(outputs, rows)
        if out is None:
            return transformer.inverse_transform(np.concatenate([*blocks]), sigmas)
        return transformer.write(blocks, out, sigmas, request.flavor)


class CTGAN(_OnCompactRows, ctgan.CTGAN):  # type: ignore[misc]  # ctgan ships no types
    """CTGAN for any number of rows: it keeps a few bytes of each, in memory or in a file.

    A subclass of `ctgan.CTGAN` with the same hyperparameters. With the same random state and the same encoded rows its
    losses are equal to ctgan's: it draws the same random numbers, and leaves out only gradients that are never used.

    Parameters
    ----------
    *hyperparameters
        As for `ctgan.CTGAN`.
    encoding : mapping of str to object, optional
        Arguments of `DataTransformer`, for example ``{"columns": {"amount": {"log": True}}}``. Where `fit` infers kinds
        they reach `gpuvgm.TableTransformer`. With `discrete_columns` columns are fitted as ctgan does it by default,
        with ``effort="research"``.
    enforce_min_max_values : bool
        Keep sampled numbers within the training range, as SDV does. With `discrete_columns` they are ctgan's.
    **named
        Hyperparameters by their names.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from gpuvgm.integrations.ctgan import CTGAN
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 600)
    >>> frame = pd.DataFrame({"amount": amount, "colour": ["red", "red", "blue"] * 200})
    >>> model = CTGAN(batch_size=100, encoding={"columns": {"amount": {"log": True}}})
    >>> model.fit(frame, ["colour"], steps=1)  # leave out steps for a whole training
    >>> model.sample(10).shape
    (10, 2)
    """

    CTGANS: ClassVar[Any] = ctgan.CTGAN
    LOSSES: ClassVar[list[str]] = ["Epoch", "Generator Loss", "Discriminator Loss"]

    @_repeatable
    def fit(  # noqa: PLR0913
        self,
        train_data: Any,
        discrete_columns: Iterable[Any] | None = None,
        epochs: int | None = None,
        *,
        columns: Any = None,
        steps: int | None = None,
        place: Place = "memory",
        folder: str | Path | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_steps: int = 1000,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Fit the transformer on every row, then train.

        With `torch.distributed` each process trains on its own batches, and the gradients are averaged. An epoch of N
        processes has N times fewer steps. Give every process the same file, or the same `TrainingRows`.

        Parameters
        ----------
        train_data : pandas.DataFrame, ndarray, path, `TrainingRows`, or what `TableTransformer.fit` takes
            The training rows.
        discrete_columns : iterable of str or int, optional
            Columns of categories; all others are continuous, and samples are what ctgan gives. By default kinds are
            inferred as by `gpuvgm.TableTransformer`. Leave it out for `TrainingRows`, which know their columns.
        epochs : int, optional
            Deprecated by ctgan: give it to the constructor.
        columns : None, list, dict or TableTransformer
            Columns and kinds, as for `gpuvgm.TableSynthesizer`, instead of `discrete_columns`.
        steps : int, optional
            Number of steps of the generator. By default each epoch has ``rows // batch_size`` steps.
        place, folder : optional
            Where the encoded rows are kept, as for `TrainingRows`.
        checkpoint : path, optional
            File to save the state of the training to; one of an unfinished training is refused without `resume`.
        checkpoint_steps : int
            Steps between two such saves; the state is also saved after the last step.
        resume : bool
            Continue from the checkpoint, if it exists. Losses and samples are the same as without the interruption.
            Give the same arguments as before; only `steps` may be larger.
        progress : callable, optional
            Called as ``progress("train", steps_done, steps)``.

        Raises
        ------
        InputError
            If rows cannot be encoded, or the checkpoint is that of another training.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import CTGAN
        >>> model = CTGAN(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"], steps=1)
        >>> model.loss_values.columns.tolist()
        ['Epoch', 'Generator Loss', 'Discriminator Loss']
        """
        if epochs is not None:
            message = "`epochs` argument in `fit` method has been deprecated; please pass `epochs` to the constructor"
            # Level 3: the wrapper of `_repeatable` lies between this method and its caller.
            warnings.warn(message, DeprecationWarning, stacklevel=3)
        discrete_columns = list_names(discrete_columns)
        if discrete_columns and isinstance(train_data, (pd.DataFrame, np.ndarray)):
            self._validate_discrete_columns(train_data, discrete_columns)
        if self._batch_size % self.pac:
            raise InputError(f"batch_size={self._batch_size} is no multiple of pac={self.pac}")
        request = _FitRequest(
            steps=steps,
            epochs=self._epochs if epochs is None else epochs,
            place=place,
            folder=folder,
            checkpoint=checkpoint,
            checkpoint_steps=checkpoint_steps,
            resume=resume,
            progress=progress,
        )
        self._train(train_data, discrete_columns, columns, request)

    def sample(
        self,
        n: int,
        condition_column: Any = None,
        condition_value: Any = None,
        *,
        conditions: Mapping[str, Any] | None = None,
        log_frequency: bool | None = None,
        out: str | Path | None = None,
        flavor: Flavor | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Generate rows.

        Parameters
        ----------
        n : int
            Number of rows.
        condition_column, condition_value : optional
            A discrete column and one of its values, which rows will have more often.
        conditions : mapping, optional
            By column: a value; a list or set of values; or a tuple (low, high), both ends included, None for no end.
            Every row meets all of them: others are drawn and thrown away. `condition_share_` is the share that is kept.
        log_frequency : bool, optional
            Whether the categories on which rows are conditioned are drawn by the logarithm of their frequency or by the
            frequency itself. With False the shares of categories come closer to those of the table. By default it is as
            in the training, which is what ctgan does.
        out : path, optional
            File to write (Parquet, or CSV where it ends in .csv or .csv.gz), or a folder of Parquet files (a name
            without an ending), in bounded memory.
        flavor : {"spark"}, optional
            For `out`: as for `TableTransformer.transform`.
        progress : callable, optional
            Called as ``progress("sample", rows_done, rows)``.

        Returns
        -------
        object
            Where `fit` inferred the kinds: all columns of the table, in their order, as a table of the kind that was
            fitted; columns that the network does not see are made as by `gpuvgm.TableSynthesizer`. With
            `discrete_columns`: what ctgan gives. With `out`: path, rows and bytes of what was written.

        Raises
        ------
        InputError
            For conditions that are none, or that hardly any row meets.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import CTGAN
        >>> model = CTGAN(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"], steps=1)
        >>> model.sample(10, "colour", "blue").shape
        (10, 1)
        >>> model.sample(1000, out="rows.parquet").rows
        1000
        """
        if self._data_sampler is None:
            raise NotFittedError("this CTGAN is not fitted yet: call fit")
        _check_count("rows", n)
        value_ids = None
        if condition_column is not None and condition_value is not None:
            value_ids = self._transformer.convert_column_name_value_to_id(condition_column, condition_value)
        with self._data_sampler.drawing(log_frequency=log_frequency):
            met = self._transformer._text_conditions(conditions or {})
            return self._generate(value_ids, _Request(n, met, out, flavor, progress))

    @_repeatable
    def _generate(self, value_ids: dict[str, int] | None, request: _Request) -> Any:
        sampler, batch = self._data_sampler, self._batch_size
        vectors = None if value_ids is None else sampler.generate_cond_from_condition_column_info(value_ids, batch)
        rarest = self._rarest(request.conditions)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def generated(_: int) -> Matrix:
            noise = torch.normal(torch.zeros(batch, self._embedding_dim), 1.0).to(self._device)
            condition_vectors = vectors
            if condition_vectors is None:
                condition_vectors = (
                    sampler.vectors_of(*rarest, batch) if rarest else sampler.sample_original_condvec(batch)
                )
            if condition_vectors is not None:
                noise = torch.cat([noise, torch.from_numpy(condition_vectors).to(self._device)], dim=1)
            matrix: Matrix = self._apply_activate(self._generator(noise)).cpu().numpy()
            return matrix

        # As many batches as ctgan draws, which leaves the same random state.
        numbers = count() if request.conditions else range(request.rows // batch + 1)
        return self._give(self._transformer, map(generated, numbers), request)

    def _rarest(self, conditions: Mapping[str, Any]) -> tuple[int, NDArray[np.int64]] | None:
        """Condition on a discrete column that the fewest rows meet; the generator is conditioned on it."""
        model = self._transformer._fitted().model_
        discrete = [column for column in model.categorical if column.has_codes]
        candidates = []
        for number, column in enumerate(discrete):
            if column.name in conditions:
                places = categories_that_meet(column, conditions[column.name])
                codes = np.array([place for place in places if place < column.width], np.int64)
                shares = self._data_sampler.counts[number]
                candidates.append((np.sum(shares[codes]) / np.sum(shares), number, codes))
        return min(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None

    def _take(self, transformer: DataTransformer) -> None:
        """Keep the transformer, where ctgan's class has it."""
        self._transformer = transformer

    def _steps_of_epoch(self, rows: TrainingRows) -> int:
        """Steps of an epoch in each process."""
        steps: int = len(rows) // (self._batch_size * processes()[1])
        return max(steps, 1)

    def _new_networks(self, rows: TrainingRows) -> _Networks:
        """The networks to train on some rows."""
        self._data_sampler = DataSampler(rows, self._transformer.output_info_list, self._log_frequency)
        self._generator = self._new_generator().to(self._device)
        width = self._transformer.output_dimensions + self._data_sampler.dim_cond_vec()
        critic = ctgan.Discriminator(width, self._discriminator_dim, pac=self.pac).to(self._device)
        return _Pair(self, rows, self._generator, critic)

    def _record(
        self, history: list[dict[str, Any]], number: int, schedule: _Schedule, losses: Mapping[str, Any]
    ) -> str:
        """Add the losses of the last step of an epoch to the history, and give the text of the bar; else empty."""
        if not schedule.ends_epoch(number) and number + 1 != schedule.total:
            return ""
        numbers, epoch = {name: loss.item() for name, loss in losses.items()}, number // schedule.per_epoch
        if history and history[-1]["Epoch"] == epoch:
            history.pop()  # of its first steps, with which the training had ended before
        history.append({"Epoch": epoch, **numbers})
        return "Gen. ({}) | Discrim. ({})".format(*map(_loss_text, numbers.values()))

    def _new_generator(self) -> Any:
        inputs = self._embedding_dim + self._data_sampler.dim_cond_vec()
        return ctgan.Generator(inputs, self._generator_dim, self._transformer.output_dimensions)

    def _network(self) -> Any:
        return self._generator

    def _extra_arrays(self) -> dict[str, Any]:
        return {f"counts {number}": counts for number, counts in enumerate(self._data_sampler.counts)}

    def _build(self, transformer: DataTransformer, counts_by_name: Mapping[str, Any]) -> None:
        """Set up the parts that sample; the weights of the network are loaded afterwards."""
        self._take(transformer)
        counts = [counts_by_name[f"counts {number}"] for number in range(len(counts_by_name))]
        self._data_sampler = DataSampler.of_counts(counts, transformer.output_info_list, self._log_frequency)
        self._generator = self._new_generator()


class _Pair:
    """A generator and its critic, and a step of each (Xu et al. 2019, Algorithm 1).

    Batches, and the random numbers of both networks, come in CTGAN's order.
    """

    def __init__(self, model: CTGAN, rows: TrainingRows, generator: Any, critic: Any) -> None:
        self._model, self._rows, self._generator, self._critic = model, rows, generator, critic
        self._device = model._device
        self._weights, self._critic_weights = list(generator.parameters()), list(critic.parameters())
        self._optimizer = _adam(self._weights, model._generator_lr, model._generator_decay)
        self._critic_optimizer = _adam(self._critic_weights, model._discriminator_lr, model._discriminator_decay)
        self._mean = torch.zeros(model._batch_size, model._embedding_dim, device=self._device)
        self._deviation = self._mean + 1
        self.parts = {
            "generator": generator,
            "critic": critic,
            "optimizer": self._optimizer,
            "critic_optimizer": self._critic_optimizer,
        }

    def losses(self, numbers: Iterable[int], first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Learn a step of the generator for each number, after those of the critic, and yield it with its losses."""
        for number in numbers:
            for _ in range(self._model._discriminator_steps):
                critic_loss = self.step_of_critic()
            yield number, {"Generator Loss": self.step_of_generator(), "Discriminator Loss": critic_loss}

    def step_of_critic(self) -> Any:
        """Loss of the critic, after which it has learned from a batch; the generator's gradient is not computed."""
        model, sampler = self._model, self._model._data_sampler
        noise, vectors, _, ids = self._noise()
        if vectors is None:
            real = sampler.sample_data(self._rows, model._batch_size, None, None)
        else:
            order = np.arange(model._batch_size)
            np.random.shuffle(order)
            column, category = ids
            real = sampler.sample_data(self._rows, model._batch_size, column[order], category[order])
        real = torch.from_dlpack(real).to(self._device)
        with torch.no_grad():
            generated = model._apply_activate(self._generator(noise))
        if vectors is not None:
            generated, real = torch.cat([generated, vectors], dim=1), torch.cat([real, vectors[order]], dim=1)
        generated.requires_grad_()  # rows between these and real ones are what the penalty differentiates by
        score_made, score_real = self._critic(generated), self._critic(real)
        penalty = self._critic.calc_gradient_penalty(real, generated, self._device, model.pac)
        loss = -(torch.mean(score_real) - torch.mean(score_made))
        self._critic_optimizer.zero_grad()
        penalty.backward(inputs=self._critic_weights)
        loss.backward(inputs=self._critic_weights)
        average(self._critic_weights)
        self._critic_optimizer.step()
        return loss.detach()

    def step_of_generator(self) -> Any:
        """Loss of the generator, after which it has learned from a batch; the critic's gradient is not computed."""
        noise, vectors, mask, _ = self._noise()
        logits = self._generator(noise)
        activated = self._model._apply_activate(logits)
        if vectors is None:
            loss = -torch.mean(self._critic(activated))
        else:
            score = self._critic(torch.cat([activated, vectors], dim=1))
            loss = -torch.mean(score) + self._model._cond_loss(logits, vectors, mask)
        self._optimizer.zero_grad()
        loss.backward(inputs=self._weights)
        average(self._weights)
        self._optimizer.step()
        return loss.detach()

    def _noise(self) -> tuple[Any, Any, Any, Any]:
        """A batch of noise with its conditions: vectors, masks, and (column, category) as numbers."""
        noise = torch.normal(mean=self._mean, std=self._deviation)
        conditions = self._model._data_sampler.sample_condvec(len(noise))
        if conditions is None:
            return noise, None, None, None
        vectors, mask = (torch.from_numpy(array).to(self._device) for array in conditions[:2])
        return torch.cat([noise, vectors], dim=1), vectors, mask, conditions[2:]


class TVAE(_OnCompactRows, tvae.TVAE):  # type: ignore[misc]
    """TVAE for any number of rows: it keeps a few bytes of each, in memory or in a file.

    A subclass of `ctgan.TVAE` with the same hyperparameters. Each epoch reads every row once, in a random order that
    takes no memory (`TrainingRows.batches`). Samples are closer to the table than ctgan's, because better modes are
    searched, and because `sample` draws modes and categories by their probability.

    Parameters
    ----------
    *hyperparameters
        As for `ctgan.TVAE`.
    encoding : mapping of str to object, optional
        As for `CTGAN`. By default it has ``effort="auto"``, which brings samples closer to the table.
    enforce_min_max_values : bool
        As for `CTGAN`.
    **named
        Hyperparameters by their names.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from gpuvgm.integrations.ctgan import TVAE
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 600)
    >>> frame = pd.DataFrame({"amount": amount, "colour": ["red", "red", "blue"] * 200})
    >>> model = TVAE(batch_size=100, encoding={"columns": {"amount": {"log": True}}})
    >>> model.fit(frame, ["colour"], steps=1)  # leave out steps for a whole training
    >>> model.sample(10).shape
    (10, 2)
    """

    EFFORT: ClassVar[Effort] = "auto"
    CTGANS: ClassVar[Any] = tvae.TVAE
    LOSSES: ClassVar[list[str]] = ["Epoch", "Batch", "Loss"]
    ROWS: ClassVar[Mapping[str, Any]] = MappingProxyType({"columns": []})  # it is not conditioned

    @_repeatable
    def fit(  # noqa: PLR0913
        self,
        train_data: Any,
        discrete_columns: Iterable[Any] | None = None,
        *,
        columns: Any = None,
        steps: int | None = None,
        place: Place = "memory",
        folder: str | Path | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_steps: int = 1000,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Fit the transformer on every row, then train.

        Parameters
        ----------
        train_data, discrete_columns, columns : object
            As for `CTGAN.fit`.
        steps : int, optional
            Number of steps, instead of epochs.
        place, folder, checkpoint, checkpoint_steps, resume, progress : optional
            As for `CTGAN.fit`.

        Raises
        ------
        InputError
            If rows cannot be encoded, or the checkpoint is that of another training.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import TVAE
        >>> model = TVAE(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"], steps=1)
        >>> model.loss_values.columns.tolist()
        ['Epoch', 'Batch', 'Loss']
        """
        request = _FitRequest(
            steps=steps,
            epochs=self.epochs,
            place=place,
            folder=folder,
            checkpoint=checkpoint,
            checkpoint_steps=checkpoint_steps,
            resume=resume,
            progress=progress,
        )
        self._train(train_data, list_names(discrete_columns), columns, request)

    def sample(
        self,
        samples: int,
        *,
        mode: ModeChoice = "sample",
        conditions: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        flavor: Flavor | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Generate rows.

        The decoder gives every mode and every category a probability. ``ctgan.TVAE`` takes the most probable one, so
        that frequent categories come too often and rare ones hardly ever.

        Parameters
        ----------
        samples : int
            Number of rows.
        mode : {"sample", "argmax"}
            "sample" draws modes and categories by their probability; "argmax" takes the most probable ones, as
            ``ctgan.TVAE`` does.
        conditions, out, flavor, progress : optional
            As for `CTGAN.sample`.

        Returns
        -------
        object
            As `CTGAN.sample`.

        Raises
        ------
        InputError
            For another `mode`, a number below 0, and conditions that are none or that hardly any row meets.

        Examples
        --------
        >>> import pandas as pd
        >>> from gpuvgm.integrations.ctgan import TVAE
        >>> model = TVAE(batch_size=100)
        >>> model.fit(pd.DataFrame({"colour": ["red", "red", "blue"] * 200}), ["colour"], steps=1)
        >>> model.sample(10).shape
        (10, 1)
        >>> model.sample(1000, out="rows.parquet").rows
        1000
        """
        choice(ModeChoice)(mode, "mode")
        if not hasattr(self, "decoder"):
            raise NotFittedError("this TVAE is not fitted yet: call fit")
        _check_count("rows", samples)
        met = self.transformer._text_conditions(conditions or {})
        return self._generate(_Request(samples, met, out, flavor, progress), draw_modes=mode == "sample")

    @_repeatable
    def _generate(self, request: _Request, *, draw_modes: bool) -> Any:
        self.decoder.eval()
        spans = (span for column in self.transformer.output_info_list for span in column)
        is_drawn = [draw_modes and span.activation_fn == "softmax" for span in spans for _ in range(span.dim)]
        choices = torch.tensor(is_drawn, device=self._device)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def generated(_: int) -> Matrix:
            noise = torch.normal(torch.zeros(self.batch_size, self.embedding_dim), 1.0).to(self._device)
            logits = self.decoder(noise)[0]
            if draw_modes:  # the largest of the logits plus Gumbel noise is a draw from their softmax
                gumbel = -torch.empty_like(logits).exponential_().log()
                logits = torch.where(choices, logits + gumbel, torch.tanh(logits))
            else:
                logits = torch.tanh(logits)
            rows: Matrix = logits.cpu().numpy()
            return rows

        sigmas = self.decoder.sigma.detach().cpu().numpy()
        numbers = count() if request.conditions else range(request.rows // self.batch_size + 1)
        return self._give(self.transformer, map(generated, numbers), request, sigmas)

    def _take(self, transformer: DataTransformer) -> None:
        """Keep the transformer, where ctgan's class has it."""
        self.transformer = transformer

    def _steps_of_epoch(self, rows: TrainingRows) -> int:
        """Steps of an epoch in each process.

        Raises
        ------
        InputError
            Where there is none.
        """
        _, count_of_processes = processes()
        steps = rows.batch_count(self.batch_size, count_of_processes)
        if steps == 0:
            raise InputError(
                f"{len(rows)} rows are less than a batch of {self.batch_size} for each of {count_of_processes} "
                "processes"
            )
        return steps

    def _new_networks(self, rows: TrainingRows) -> _Networks:
        """The networks to train on some rows."""
        encoder = tvae.Encoder(self.transformer.output_dimensions, self.compress_dims, self.embedding_dim)
        encoder = encoder.to(self._device)
        self.decoder = self._new_decoder().to(self._device)
        return _Autoencoder(self, rows, encoder, self.decoder)

    def _record(
        self, history: list[dict[str, Any]], number: int, schedule: _Schedule, losses: Mapping[str, Any]
    ) -> str:
        """Add the loss of a step to the history, and give the text of the bar at the end of an epoch; else empty."""
        epoch, batch = divmod(number, schedule.per_epoch)
        loss = losses["Loss"].item()
        history.append({"Epoch": epoch, "Batch": batch, "Loss": loss})
        return f"Loss: {_loss_text(loss)}" if schedule.ends_epoch(number) else ""

    def _new_decoder(self) -> Any:
        width = self.transformer.output_dimensions
        return tvae.Decoder(self.embedding_dim, self.decompress_dims, width)

    def _network(self) -> Any:
        return self.decoder

    def _build(self, transformer: DataTransformer, arrays: Mapping[str, Any]) -> None:
        """Set up the parts that sample; the weights of the network are loaded afterwards."""
        self._take(transformer)
        self.decoder = self._new_decoder()


class _Autoencoder:
    """An encoder and its decoder, and a step of both (Xu et al. 2019, section 4.4)."""

    def __init__(self, model: TVAE, rows: TrainingRows, encoder: Any, decoder: Any) -> None:
        self._model, self._rows, self._encoder, self._decoder = model, rows, encoder, decoder
        self._weights = [*encoder.parameters(), *decoder.parameters()]
        self._optimizer = Adam(self._weights, weight_decay=model.l2scale)
        self.parts = {"encoder": encoder, "decoder": decoder, "optimizer": self._optimizer}

    def losses(self, numbers: Iterable[int], first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Learn a batch for each number, of which `first` is the first, and yield it with its loss."""
        for number, real in zip(numbers, self._batches(first), strict=False):  # batches have no end
            yield number, {"Loss": self._step(torch.from_dlpack(real).to(self._model._device))}

    def _batches(self, first: int) -> Iterator[Any]:
        """The batches from a step on, epoch after epoch."""
        model, rank = self._model, processes()
        epoch, done = divmod(first, model._steps_of_epoch(self._rows))
        epochs = (self._rows.batches(model.batch_size, epoch=number, rank=rank) for number in count(epoch))
        return islice((batch.rows for batches in epochs for batch in batches), done, None)

    def _step(self, real: Any) -> Any:
        """Loss of a batch, after which both have learned from it."""
        model, transformer = self._model, self._model.transformer
        self._optimizer.zero_grad()
        mean, deviation, logarithm = self._encoder(real)
        outputs, sigmas = self._decoder(torch.randn_like(deviation) * deviation + mean)
        spans, factor = transformer.output_info_list, model.loss_factor
        loss = sum(tvae._loss_function(outputs, real, sigmas, mean, logarithm, spans, factor))
        loss.backward()
        average(self._weights)
        self._optimizer.step()
        self._decoder.sigma.data.clamp_(0.01, 1.0)
        return loss.detach()


def _plain_value(value: Any) -> Any:
    """A value of NumPy's as Python's own, which is all that a checkpoint may hold."""
    return value.item() if isinstance(value, np.generic) else value


def _check_count(name: str, count: Any) -> None:
    if count is not None and (not isinstance(count, Integral) or count < 0):
        raise InputError(f"{name} must be a whole number, at least 0, got {count!r}")


def _loss_text(loss: float) -> str:
    """A loss in six characters."""
    return f"{min(max(loss, -99.99), 99.99):+06.2f}"


def _adam(weights: list[torch.nn.Parameter], rate: float, decay: float) -> Adam:
    return Adam(weights, lr=rate, betas=(0.5, 0.9), weight_decay=decay)


def _join_outputs(batches: Iterable[Matrix], rows: int) -> Iterator[Matrix]:
    """Yield the first `rows` rows of a network's outputs, in blocks that are decoded together."""
    block: list[Matrix] = []
    for batch in batches:
        block.append(batch[:rows])
        rows -= len(block[-1])
        if sum(part.nbytes for part in block) >= SAMPLED_BYTES:
            yield np.concatenate(block)
            block = []
    if block:
        yield np.concatenate(block)
