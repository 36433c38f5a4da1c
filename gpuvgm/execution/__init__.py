"""Where rows are worked on: in threads of this process, or on the workers of a Dask cluster.

A `Run` is a source with the engine, the executor and the memory for its rows; an `Executor` maps a function over blocks
and merges what it returns. Begin with `context.py`, then `local.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
