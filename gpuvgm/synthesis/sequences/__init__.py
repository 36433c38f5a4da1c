"""Rows that belong together, such as the lines of an order, the stays of a patient, the years of an account.

Begin with `plan.py`, then `model.py`: keys are learnt as a table of their own, rows as one that has the row before
beside each row. `sampler.py` draws keys, then the first rows of all of them, then the next ones.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
