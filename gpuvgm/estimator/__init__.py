"""BayesianGaussianMixture: rows of any kind, fitted by the mixture, with scikit-learn's manners."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
