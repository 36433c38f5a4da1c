"""Tables in, tables out: the only room that knows pandas, polars, cuDF and file formats.

A `Source` gives the blocks of rows of a table, a sink writes them; a `Block` is some consecutive rows. Begin with
`source.py`, then `open.py`, which finds the source of what a user hands in.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
