"""BayesianGaussianMixture: rows of any kind, fitted by the mixture, with scikit-learn's manners."""
