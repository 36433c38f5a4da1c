"""A generator of tables from counts: a Bayesian network over bins of fitted columns, and rows drawn from it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
