"""Tables from noisy counts: a generator with a stated (epsilon, delta), in which one module alone reads rows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
