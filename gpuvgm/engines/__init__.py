"""Engines: the same row loops on different hardware, chosen once by name.

`Engine` is the contract, and as a class the reference in NumPy: `summarise`, `encode` and `decode` the rows of a
column, and run EM. `native` is C++, `cuda` is CuPy; both equal the reference. Begin with `base.py`, then
`kernels/vgm_math.cuh`, which has the formulas for a row.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
