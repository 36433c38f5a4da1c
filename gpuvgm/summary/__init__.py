"""Summaries of columns: exact counts and moments on an adaptive grid.

A `Grid` says in which cell a value lies, a `Summary` what is counted in the cells; summaries are merged, in any order.
Begin with `grid.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
