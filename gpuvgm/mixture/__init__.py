"""The parts of BayesianGaussianMixture: reading rows, priors, starts, fits of one and of several features, outputs."""
