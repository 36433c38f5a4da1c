"""Tables from noisy counts: a generator with a stated (epsilon, delta), in which one module alone sees rows."""
