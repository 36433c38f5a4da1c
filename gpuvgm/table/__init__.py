"""Whole tables: fit, transform, inverse, model files.

`BaseTransformer` has the verbs, `TableTransformer` the settings that users see, and a model file all that was fitted.
Begin with `base.py`, then `fit.py` and `encode.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
