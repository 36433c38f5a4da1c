"""One-column data of every shape that has broken a mixture fit: the shapes behind the promises of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from gpuvgm.datasets import amount

Maker = Callable[[np.random.Generator, int], np.ndarray]


def _spikes(g: np.random.Generator, n: int) -> np.ndarray:
    narrow = g.choice([1.0, 2.0, 3.0], n) + 1e-6 * g.normal(size=n)
    return np.where(g.uniform(size=n) < 0.5, narrow, g.uniform(0, 4, n))


def _far_rows(g: np.random.Generator, n: int) -> np.ndarray:
    x = g.normal(size=n)
    x[:3] = [1e6, -1e5, 1e4]
    return x


SHAPES: dict[str, Maker] = {
    "cents": lambda g, n: amount(0, n),
    "lognormal": lambda g, n: g.lognormal(2, 1, n),
    "timestamps": lambda g, n: 1.6e9 + 1e3 * g.normal(size=n),
    "t3 returns": lambda g, n: 0.01 * g.standard_t(3, n),
    "uniform": lambda g, n: g.uniform(size=n),
    "spikes": _spikes,
    "poisson": lambda g, n: g.poisson(4, n).astype(float),
    "zipf": lambda g, n: np.minimum(g.zipf(1.5, n), 1e9).astype(float),
    "1e12 +- 1": lambda g, n: 1e12 + g.normal(size=n),
    "cauchy": lambda g, n: g.standard_cauchy(n),
    "+-1e9": lambda g, n: np.where(g.uniform(size=n) < 0.5, 1e9, -1e9) + g.normal(size=n),
    "pareto 1.2": lambda g, n: g.pareto(1.2, n),
    "u-shape": lambda g, n: g.beta(0.3, 0.3, n),
    "70 % zeros": lambda g, n: np.where(g.uniform(size=n) < 0.7, 0, g.lognormal(3, 1, n)),
    "three rows far out": _far_rows,
    "integers": lambda g, n: g.integers(-50000, 50000, n).astype(float),
    "large integers": lambda g, n: g.integers(0, 10**12, n).astype(float),
    "mixed signs": lambda g, n: g.normal(size=n) * np.exp(g.normal(size=n) * 2),
    "1e-9 scale": lambda g, n: 1e-9 * (5 + g.normal(size=n)),
    "1e300": lambda g, n: 1e300 * g.normal(size=n),
    "1e-300": lambda g, n: 1e-300 * g.normal(size=n),
    "subnormal": lambda g, n: 5e-324 * np.rint(1000 * g.normal(size=n)),
    "float32": lambda g, n: g.lognormal(0, 2, n).astype(np.float32).astype(float),
    "two close spikes": lambda g, n: np.where(g.uniform(size=n) < 0.5, 1e6, 1e6 + 10) + 1e-3 * g.normal(size=n),
    "constant": lambda g, n: np.full(n, 3.7),
    "two values": lambda g, n: g.choice([0.1, 7.3], n),
    "sorted": lambda g, n: np.sort(g.lognormal(1, 1, n)),
}


#: Those of which each has broken what the others had not.
TELLING = {
    "cents",
    "t3 returns",
    "1e12 +- 1",
    "+-1e9",
    "70 % zeros",
    "1e300",
    "subnormal",
    "two close spikes",
    "constant",
}


def each_shape(names: Iterable[str] = SHAPES) -> pytest.MarkDecorator:
    """A test for each shape, exhaustive for those that are not telling."""
    each = [name if name in TELLING else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]
    return pytest.mark.parametrize("name", each)


def shape(name: str, rows: int, seed: int = 0) -> np.ndarray:
    """Rows of one shape."""
    return SHAPES[name](np.random.default_rng(seed), rows)


def with_gaps(rows: int, dtype: str = "float64") -> np.ndarray:
    """Lognormal rows, of which every eleventh is missing."""
    x = shape("lognormal", rows, rows).astype(dtype)
    x[::11] = np.nan
    return x
