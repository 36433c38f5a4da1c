"""Bins of columns: numbers of rows, where bins begin and end, how values lie within them, and conditions on them.

Begin with `bins.py`; `numbers.py` says which numbers of a column are put into bins, `origins.py` which datetimes these
are counted from, and `persons.py` whose they are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
