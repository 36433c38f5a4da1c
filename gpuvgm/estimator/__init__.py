"""`BayesianGaussianMixture` with scikit-learn's parameters, attributes and checks, for rows of any kind.

`protocol.py` has the base of transformers and synthesizers, which scikit-learn takes as its own. Begin with
`estimator.py`; `reading.py` makes rows of what scikit-learn's users hand in, and the fit itself lies in
`mixture`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
