"""Speed and memory of gpuvgm, beside numpy.sum, a plain copy, scikit-learn and pyarrow in the same run."""

import sys
from pathlib import Path

if sys.argv[:1] == ["-m"]:  # as Python has it while it looks for what `python -m benchmarks` runs
    # Measured is the installed gpuvgm: the sources in this checkout have no C++ extension of their own.
    _CHECKOUT = Path(__file__).parents[1]
    sys.path[:] = [path for path in sys.path if Path(path).absolute() != _CHECKOUT] + [str(_CHECKOUT)]
