"""Synthetic tables from counts, and the encoding of tables for neural networks, at any size.

The public names are in `__init__.pyi`, as those of each room are in its own, and are loaded on first use (PEP 562, by
lazy-loader), so that ``import gpuvgm`` stays light.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
