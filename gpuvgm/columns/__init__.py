"""Kinds of columns: how each is recognised, planned, fitted, encoded and decoded.

`TableSchema` says what each column is, a `ColumnPlan` counts its rows in the scan of a fit, and a `FittedColumn`
encodes and decodes; a `Codec` stands between the column's own type and float64. Begin with `base.py`, which has what
every kind does, and `passthrough.py`, the shortest kind.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
