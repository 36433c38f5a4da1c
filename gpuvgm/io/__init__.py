"""Tables in, tables out: the only package that knows pandas, polars and file formats."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
