"""Speed and memory of gpuvgm, beside numpy.sum, a plain copy, scikit-learn and pyarrow in the same run."""
