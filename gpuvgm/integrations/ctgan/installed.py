"""A context in which CTGAN and TVAE use gpuvgm's DataTransformer and DataSampler."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from threading import Lock
from typing import Any

from gpuvgm.integrations.ctgan.sampler import DataSampler
from gpuvgm.integrations.ctgan.transformer import STOCK, DataTransformer, stock_transformers

STOCK_SAMPLER = "ctgan.data_sampler"

_LOCK = Lock()
_ENTERED: list[partial[DataTransformer]] = []  # by the contexts that are open, the newest last


@contextmanager
def installed(**options: Any) -> Iterator[None]:
    """Let CTGAN and TVAE use this `DataTransformer`, and CTGAN the `DataSampler` that goes with it.

    ``with installed(): CTGAN().fit(rows)``. CTGAN's rows are kept compact, in a few bytes each beside the frame that
    you give; losses are equal to the bit to those with the whole matrix. What was fitted inside the context works
    outside of it too: it can be sampled from, saved and loaded. Contexts may be nested; the innermost one decides. The
    whole process is changed: if another thread fits a synthesizer at the same time, it uses these classes too. The
    modules `ctgan.data_transformer` and `ctgan.data_sampler` stay as they are, so that synthesizers that were fitted
    without gpuvgm can still be saved and loaded.

    Parameters
    ----------
    **options
        Keyword arguments of `DataTransformer`.

    Raises
    ------
    ModuleNotFoundError
        Where ctgan is not installed.
    """
    maker = partial(DataTransformer, **options)
    # Wrong options raise here, not in the middle of a fit.
    maker()
    with _LOCK:
        _ENTERED.append(maker)
        _name_newest()
    try:
        yield
    finally:
        with _LOCK:
            _ENTERED.remove(maker)
            _name_newest()


def _name_newest() -> None:
    """Set the DataTransformer of every module of ctgan that uses one to the newest, or back to its own.

    One that has a DataSampler too gets ours, which takes compact rows.
    """
    stock, samplers = stock_transformers().DataTransformer, import_module(STOCK_SAMPLER)
    newest = _ENTERED[-1] if _ENTERED else None
    # A copy, as other threads may import modules meanwhile.
    modules: list[tuple[str, Any]] = list(sys.modules.items())
    for name, module in modules:
        if not name.startswith("ctgan.") or name in (STOCK, STOCK_SAMPLER):
            continue
        current: Any = vars(module).get("DataTransformer")
        if current is not stock and getattr(current, "func", None) is not DataTransformer:
            continue
        module.DataTransformer = newest or stock
        if hasattr(module, "DataSampler"):
            module.DataSampler = DataSampler if newest else samplers.DataSampler
            if newest:
                module.DataTransformer = partial(newest, **{"compact": True, **newest.keywords})
