"""A service over HTTP that transforms and inverts rows with fitted models; needs the extra `serve`.

Begin with `app.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
