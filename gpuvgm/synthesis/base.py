"""What may be asked of a fitted synthesizer: what it has learnt, and reports, drawings and densities of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from gpuvgm.estimator import Estimator
from gpuvgm.execution import any_source
from gpuvgm.io import TableLike
from gpuvgm.laws import Laws
from gpuvgm.summary import Floats
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.keys import IdentifierForm, describe_unmodelled
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings
from gpuvgm.synthesis.scoring import score_rows
from gpuvgm.synthesis.sequences import SequenceModel
from gpuvgm.table import TableTransformer

if TYPE_CHECKING:
    from gpuvgm.columns import TableSchema
    from gpuvgm.report import Comparison, Validation

MOST_COMPARED = 1_000_000  # rows that are drawn to be compared


class BaseSynthesizer(Estimator, ABC):
    """What a fitted `TableSynthesizer` has learnt, and what it tells of tables; fits and samples are defined there."""

    _model: RowModel | SequenceModel  # once it is fitted

    @property
    def _settings(self) -> SynthesizerSettings:
        """Parameters, as the stages of a fit take them."""
        return SynthesizerSettings.of(self.get_params(deep=False))

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params(deep=False))  # an executor is the same one

    @abstractmethod
    def sample(self, n: int | None = None, *, seed: int | None = None) -> Any:
        """Draw rows, as a table of the kind that was fitted."""

    @property
    def _fitted(self) -> RowModel | SequenceModel:
        """What is learnt."""
        self._check_is_fitted()
        return self._model

    def _with(self, model: RowModel | SequenceModel) -> Self:
        """The synthesizer itself, once it has learnt."""
        self._model = model
        return self

    @property
    def transformer_(self) -> TableTransformer:
        """The fitted columns."""
        return self._fitted.transformer

    @property
    def network_(self) -> Network:
        """Trees, parents and counts of each column."""
        return self._fitted.network

    @property
    def identifiers_(self) -> dict[str, IdentifierForm]:
        """Forms of the columns that are not modelled."""
        return dict(self._fitted.forms)

    @property
    def _unmodelled(self) -> str:
        """How columns are made that are not modelled, or once for each key."""
        return describe_unmodelled(self._fitted.table, self.identifiers_, self.attributes_)

    @property
    def attributes_(self) -> dict[str, str]:
        """Modelled columns that have one value for each key, each with the first column of these keys."""
        return dict(self._fitted.attributes)

    @property
    def laws_(self) -> Laws:
        """Laws between columns that no fitted row breaks, and those that rows have broken that were added later."""
        return self._fitted.laws

    @property
    def schema_(self) -> TableSchema:
        """The columns' kinds with the reason for each."""
        return self.transformer_.schema_

    @property
    def fit_report_(self) -> Any:
        """Report of the fit of the columns, as that of `TableTransformer`, the laws between them, and proposed keys."""
        model = self._fitted
        return replace(model.transformer.fit_report_, laws=model.law_texts, proposals=model.proposals)

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
        rows = min(self.network_.counts.rows, MOST_COMPARED) if n is None else n
        sample: Any = self.sample(rows, seed=seed)
        tables, laws = (any_source(source), any_source(sample)), self._fitted.kept_laws.judging
        comparison: Comparison = self.transformer_._evaluator().compare(*tables, laws)
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
        return self.transformer_.plot(name, ax)

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
            which is minus infinity here. The densities of rows that keep a law of your own are not raised by the share
            of those that do not.

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
        return score_rows(self._fitted, any_source(source), self._settings)

    def __str__(self) -> str:
        lines = self._fitted.description if self.__sklearn_is_fitted__() else []
        return "\n".join([repr(self), *lines])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What notebooks show: the text that `print` shows, where scikit-learn's diagram has parameters alone."""
        return {"text/plain": str(self)}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")
