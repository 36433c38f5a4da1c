"""TableTransformer, which scikit-learn takes as an estimator."""

from __future__ import annotations

import sys
from typing import Self

from gpuvgm.estimator import Estimator
from gpuvgm.execution import clone_beside_executor
from gpuvgm.table.base import BaseTransformer


class TableTransformer(BaseTransformer, Estimator):
    """Mode-specific normalisation of the columns of a table.

    For every numeric column a variational Gaussian mixture with a Dirichlet-process prior is fitted to all rows in one
    scan. Its components are called modes. A value is encoded as a mode, which is drawn from the posterior, and the
    position within that mode, (x - mean) / (scale * sd) (Xu et al. 2019). Missing values get a mode of their own. Text,
    booleans and numbers with few different values are one-hot encoded. Decoded values have the columns' original types.

    Parameters
    ----------
    columns : None, list of str, dict, or TableSchema
        The columns to encode, and how. None: all columns; a list: those named. The kind of each is inferred. A dict
        maps names to a kind ("continuous", "mixed", "categorical", "general", "id", "pass", "drop") or to a dict of
        kind and options; kinds of columns that it does not name are inferred. What `gpuvgm.kinds` gives, and `schema_`
        of another fit, is taken as it is. Options of a column override the
        arguments below. They are: `modal` (values that get one-hot columns of their own; None stands for missing
        values), `integer` (round decoded values), `log` (fit the logarithms), `clip` (general columns: keep new rows
        within [-1, 1]), `na_values` (text that means a missing value, of text that is numbers, dates or times), `parse`
        (how such text is read where it leaves that open: "day_first", "month_first", "decimal_comma" or
        "decimal_point"), `categories`, `encoding` ("onehot" or "interval", for categorical columns), `regenerate`
        ("sequence" or "missing": what decoded rows without an identifier get), `key` and `keep` (samples of
        `TableSynthesizer` have new values that come back in several rows, or real ones), and the arguments
        n_components, weight_threshold, weight_concentration_prior, max_iter, tol, tol_per_row, effort, standardize,
        scale, tails, floor, inf, unknown and max_categories.
    n_components : int
        Upper limit of modes per column.
    weight_threshold : float
        A component becomes a mode if its weight is larger than this and at least one training row belongs to it.
    weight_concentration_prior : float, optional
        Concentration of the Dirichlet process; by default 0.001 with effort="research", as CTGAN has it, else 100.
    max_iter : int
        Iterations of variational EM.
    tol, tol_per_row : float
        Change of the lower bound, in total or per row, below which EM stops.
    random_state : int or None
        Seed of the sample, of k-means and of transform, below 2^32. With None `fit` draws a seed; the model keeps it.
    algorithm : {"summary", "exact", "auto"}
        "summary" counts the rows in one scan and fits the counts; from the same start the result is within 1e-8
        standard deviations of "exact", which reads every row in every iteration. With effort="research" both start from
        k-means: "exact" on all rows, as scikit-learn, and "summary" on a sample, which is all of up to 131,072 rows.
        Where the sample is less, or with another effort, they may find other modes. "auto" is "exact" below 200,000
        rows, else "summary".
    effort : {"auto", "best", "research"}
        How hard to search for the mixture. "research" does what the research code does: `max_iter` iterations from one
        k-means start. "auto" takes a few starts, that one among them, and fits each until little gain is expected.
        Then it adds and removes components until that gains less than 1e-4 of log-likelihood a row, and keeps the
        highest lower bound. "best" fits many starts to convergence. "auto" and "best" ignore `max_iter` and `tol`.
    engine : {"auto", "native", "cuda", "reference"}
        What computes: "native" is C++ on processors, "cuda" a GPU, "reference" NumPy. "auto" takes the GPU, if it is
        usable, for rows that lie on it; else the processor, also for files. With "cuda" and cuDF, Parquet files are
        read on the GPU too.
    standardize : {"auto", True, False}
        Whether the smallest variance of a component, 1e-6, is relative to the variance of the column. "auto": if the
        column's standard deviation is below 1.
    scale : float
        Scalars are positions in units of `scale` standard deviations.
    tails : {"modes", "clip", "exact"}, optional
        What happens to values far from all modes. "modes": modes are added, so that each training row has one in which
        its scalar lies within ±0.99. "clip": scalars are clipped to ±0.99, as in the research code. "exact": scalars
        are never clipped and may lie beyond ±1. The default is "modes", or "clip" with `effort="research"`.
    floor : float, optional
        Added to each mode's probability before a mode is drawn. The default is 0, or 1e-6 with `effort="research"`, as
        in the research code.
    inf : {"error", "missing"}
        Whether infinities are an error or are treated as missing.
    unknown : {"error", "ignore"}
        What to do with values of a categorical column that the fit had not seen: stop, or encode them as all zeros.
    max_categories : int, optional
        Largest number of one-hot columns of a categorical column. If it has more categories, the infrequent ones share
        the last one-hot column, as in scikit-learn's ``OneHotEncoder``, and come back as missing. Without this argument
        columns of up to 256 categories are one-hot encoded. Columns of more become a single scalar in which each
        category has an interval as long as its frequency; with `effort="research"` they are one-hot encoded too.
    layout : {"compact", "onehot"}, optional
        What `transform` returns: the columns `<column>.scalar` and `<column>.mode`, or a matrix of scalars and one-hot
        columns. By default two-dimensional arrays become a matrix, and all else columns. For a frame in a pipeline in
        front of an estimator take "onehot", because the numbers of modes have no order.
    mode : {"sample", "argmax"}
        Draw each row's mode from its posterior, or take the most probable one.
    dtype : {"float32", "float64"}
        Type of scalars and of the matrix.
    seed : int, optional
        Seed for drawing modes; by default that of the fit (`random_state`).
    executor : DaskExecutor or distributed.Client, optional
        The cluster to work on. By default Dask's frames and arrays use the current client, if there is one, and
        everything else is computed in this process.
    sample_rows : int, optional
        Fit a sample of about this many rows, which is held in memory, instead of all rows. The sample is made of runs
        of consecutive rows, spread over the source, and nothing else is read. Where neighbouring rows are alike, as in
        sorted columns, it is single rows, for which up to 2^24 rows are read. Of CSV it is lines at random places of
        the file; iterators, streams, and CSV that is compressed or remote are read through. Categories that are not in
        the sample are unknown to the model: see `unknown`, or declare `categories`. Numbers beyond the sample's range
        are clipped, unless `tails="exact"`.
    stratified : bool
        For `sample_rows`: let every column choose its own rows, so that rare values and both ends are in the sample.
        It draws single rows from everywhere, four times `sample_rows` and at least 32,768, and each column chooses
        among them by strata of its values. It reads all of a file of up to 2^24 rows, and up to 2,048 runs of more.
    block_rows : int, optional
        Rows in memory at a time, for each thread; 1,048,576 by default. Overrides `memory`.
    memory : int or str, optional
        Memory that the process may use, in bytes or as "512MB" or "1.5GiB". Blocks are shortened and threads reduced
        until it is enough. What you hold yourself (tables, returned results, summaries of this fit) is not counted.
        Results do not depend on it, with one exception, which is logged: if `algorithm="exact"` and
        `effort="research"`, and a column does not fit into memory, k-means runs on a sample of it.
    threads : int, optional
        Threads that compute, and the largest number of threads in which Arrow decodes files; by default all cores.
    progress : callable, optional
        Called as ``progress(stage, done, total)``. The numbers count rows, but columns in the stage "search modes".

    Attributes
    ----------
    columns_ : dict of str to FittedColumn
        The fitted columns.
    schema_ : TableSchema
        The columns' kinds with the reason for each.
    fit_report_ : FitReport
        What the fit did: rows, kinds, steps, modes, widths and seconds by stage.
    unfinished_ : TableModel
        After `ColumnsFailed`: the columns that were fitted, and why the others were not.
    layout_ : dict of str to list of (start, stop, activation)
        Spans of the onehot layout.
    feature_names_in_ : ndarray of str
        The columns of the training table, including those that are dropped.
    n_features_in_ : int
        Their number.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuvgm
    >>> amount = np.random.default_rng(0).lognormal(3, 1, 1000).round(2)
    >>> table = {"amount": amount, "colour": ["red", "red", "red", "blue"] * 250}
    >>> transformer = gpuvgm.TableTransformer().fit(table)
    >>> encoded = transformer.transform(table)
    >>> list(encoded)
    ['amount.scalar', 'amount.mode', 'colour.mode']
    >>> bool(np.allclose(transformer.inverse_transform(encoded)["amount"], amount))
    True
    """

    def _flavour(self) -> str | None:
        """The output that `set_output` chose, or scikit-learn's global setting; None for the default."""
        if hasattr(self, "_sklearn_output_config"):
            return super()._flavour()
        if "sklearn" not in sys.modules:  # nobody has set it
            return None
        from sklearn import get_config

        output = get_config()["transform_output"]
        return None if output == "default" else str(output)

    def __sklearn_clone__(self) -> Self:
        cloned: Self = clone_beside_executor(self)
        return cloned

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")
