"""Codecs: Arrow columns to float64 arrays, in which NaN is the one mark of a missing value, and back.

Begin with `base.py`, which has what every codec does, and `integers.py`, the shortest codec; `types.py` says which
codec a type has, `scales.py` which functions may lie around it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
