"""From the rows of a table to what its samples are drawn from: stages, each of which takes and gives a frozen record.

Begin with `learning.py`, which has them all in their order; `counting.py` counts all rows, and `row_model.py` is what
comes of it. Bins and trees of a sample are made by `counts/stages.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
