"""A generator of tables from counts: a Bayesian network over bins of fitted columns, and rows drawn from it."""
