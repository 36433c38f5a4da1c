"""The command line: each command is one call or two of the public interface.

No logic of its own: what a command computes, a call in Python computes as well. Begin with `commands.py`, where each
command is a function; `options.py` has their options, `record.py` what is printed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
