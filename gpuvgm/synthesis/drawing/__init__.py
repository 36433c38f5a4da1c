"""Rows drawn from counts: their bins, with conditions and without, then the values of their columns.

Begin with `drawing.py`, then `values.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
