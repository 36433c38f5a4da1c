"""How rows are worked on: in threads of this process, or on the workers of a Dask cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
