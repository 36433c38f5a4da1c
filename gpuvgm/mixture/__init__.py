"""The parts of BayesianGaussianMixture: reading rows, priors, starts, fits of one and of several features, outputs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
