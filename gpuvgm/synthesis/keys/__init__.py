"""Identifiers and keys: text whose values each name someone, what belongs to each of them, and how new ones are made.

Begin with `identifiers.py`, the form of new values, and `keys.py`, which rows have the same one; then `attributes.py`
and `habits.py`. `seen.py` has what all rows of a table hold.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
