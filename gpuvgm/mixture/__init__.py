"""EM: priors, posteriors, starts and the search for the best fit, over cells of a summary or over rows.

`Posterior` and its prior are the mixture, `MixtureFit` is what a fit found, and a `Problem` is a fit of an estimator's
rows. Begin with `em.py`, then `posterior.py`; `summary_fit.py` fits one column on its summary.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
