"""Rows drawn from a model: by their numbers, with conditions and without.

Begin with `sampler.py`; `conditions.py` restricts a sampler to rows that meet conditions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
