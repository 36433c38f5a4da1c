"""Tables from counts: trees and a Bayesian network over bins of fitted columns, and rows drawn from them.

`TableSynthesizer` fits and samples; `PrivateSynthesizer` does so from counts with noise. Rooms stand on each other:
`bins`, `keys`, `counts`, `drawing`, `laws`, `learning`, `sampling`. Begin with `synthesizer.py`, then `learning`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
