"""Example tables of any length; any row range can be made independently.

A `Generator` makes the rows of a `RowRange` and writes them. Begin with `amounts.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
