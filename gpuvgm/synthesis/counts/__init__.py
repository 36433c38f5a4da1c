"""What is learnt of rows: a structure of columns, counts of their bins, trees, and the probabilities that these give.

Begin with `structure.py` and `network.py`; `state.py` writes a network to a file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
