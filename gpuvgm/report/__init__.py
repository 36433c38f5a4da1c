"""What a transform and its inverse do to the rows of a table, and how well samples match it: figures, text and pages.

Begin with `report.py`, which has the results of a call, and `differences.py`, which compares two columns.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
