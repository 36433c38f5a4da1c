"""Tables that refer to each other, such as customers, their orders and the lines of these, learnt and drawn together.

Begin with `references.py`: which table refers to which. `joins.py` puts beside each row what its parents have,
`learning.py` learns each table with that, and `sampler.py` draws parents first, then their children.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
