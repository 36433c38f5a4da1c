"""A generator made of counts: a Bayesian network over the bins of fitted columns, and rows drawn from it."""
