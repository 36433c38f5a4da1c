"""Types of the C++ extension."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary.grid import Floats, Ints, Keys

_Codes = NDArray[np.uint16]
_Lottery = tuple[Keys, Ints]
ColumnRules = tuple[Floats, tuple[float, float, int] | None, tuple[str, int], float]
_Found = tuple[int, int]

def grow_trees(
    target: _Codes,
    ranges: NDArray[np.int32],
    codes: Sequence[_Codes],
    sizes: Sequence[int],
    categories: Sequence[bool],
    entropy: Ints,
    rules: tuple[int, int, int, int, int],
) -> tuple[Any, ...]: ...
def joint_entropies(codes: Sequence[_Codes], sizes: Sequence[int], entropy: Ints) -> Ints: ...
def count_in_trees(target: _Codes, trees: tuple[Any, ...], codes: Sequence[_Codes]) -> Ints: ...
def draw_in_trees(
    trees: tuple[Any, ...],
    codes: Sequence[_Codes],
    shares: Floats,
    rows: tuple[int, int, NDArray[np.uint64] | None],
    randomness: tuple[int, int],
) -> _Codes: ...
def log_shares_in_trees(
    target: _Codes, trees: tuple[Any, ...], codes: Sequence[_Codes], log_shares: Floats
) -> Floats: ...
def instruction_sets() -> list[str]: ...
def distinct(keys: Keys) -> tuple[Keys, Floats]: ...
def length_of_rows(text: NDArray[np.uint8], delimiter: str) -> int: ...
def text_sums(offsets: Ints, texts: NDArray[np.uint8], factors: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
def are_plain(offsets: NDArray[np.int32], texts: NDArray[np.uint8], most: int, form: str | None) -> bool: ...
def plain_columns(text: NDArray[np.uint8], delimiter: str, asked: list[tuple[int, str | None]]) -> list[bool]: ...
def fill_onehot(parts: list[tuple[NDArray[Any] | None, NDArray[Any] | None, int]], out: NDArray[Any]) -> None: ...
def read_onehot(
    matrix: NDArray[Any], parts: list[tuple[NDArray[Any] | None, NDArray[Any] | None, Ints, bool]]
) -> None: ...

class Mixture:
    def __init__(
        self, scale: float, centre: float, means: Floats, half_precisions: Floats, coefficients: Floats
    ) -> None: ...

class EMProblem:
    def __init__(
        self,
        kernels: Kernels,
        mean: Floats,
        weight: Floats,
        scatter: Floats | None,
        prior: list[float],
        origin: float | None,
        dirichlet: bool,
        tied: bool,
        sound: bool,
    ) -> None: ...
    def bound(self, sums: list[Floats], entropy: float) -> float: ...

class EM:
    statistics: tuple[tuple[Floats, Floats, Floats, Floats], float]
    posterior: tuple[Floats, ...]
    bounds: list[float]
    bound: float
    converged: bool

class Ascent(EM):
    def __init__(self, problem: EMProblem, start: list[Floats]) -> None: ...
    def begin(self) -> None: ...

class PlainEM(EM):
    last: int
    oldest: tuple[Floats, ...]
    def __init__(self, problem: EMProblem, start: list[Floats], remembered: int) -> None: ...

def search_cells(
    levels: list[EMProblem],
    rows: list[float],
    starts: list[list[tuple[list[Floats], float]]],
    tolerances: tuple[float, ...],
    iterations: list[int],
    weight_threshold: float,
    least: tuple[float, float] | None,
) -> tuple[
    tuple[tuple[Floats, Floats, Floats, Floats], float] | None,
    Sequence[Floats] | None,
    list[float],
    bool,
    int,
    float | None,
]: ...
def run_em(batch: list[Any], iterations: int, tolerance: float, threads: int = 1) -> None: ...

class EncodedModes:
    def __init__(
        self,
        mixture: Mixture,
        widths: Floats,
        codes: Floats,
        modal_codes: Floats,
        rules: tuple[float, float, float],
        range: tuple[float, float],
    ) -> None: ...

class Gaussians:
    def __init__(self, centre: Floats, means: Floats, precisions: Floats, coefficients: Floats) -> None: ...

class Kernels:
    name: str
    def __init__(self, instruction_set: str) -> None: ...
    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, mixture: Mixture) -> Floats: ...
    def count_most_probable(self, x: Floats, weight: Floats | None, mixture: Mixture) -> Floats: ...
    def e_step_features(self, x: NDArray[Any], weight: Floats | None, gaussians: Gaussians) -> Floats: ...
    def log_prob(self, x: NDArray[Any], gaussians: Gaussians) -> Floats: ...
    def log(self, x: Floats) -> Floats: ...
    def exp(self, x: Floats) -> Floats: ...
    def digamma(self, x: Floats) -> Floats: ...
    def gammaln(self, x: Floats) -> Floats: ...
    def nearest_centres(self, x: Floats, centres: Floats, squares: Floats, labels: NDArray[np.int32]) -> bool: ...
    def label_and_sum(
        self, x: Floats, centres: Floats, squares: Floats, largest: float, labels: NDArray[np.int32], counts: Ints
    ) -> tuple[bool, Floats]: ...
    def sums_by_centre(self, x: Floats, labels: NDArray[np.int32], components: int) -> tuple[Floats, Floats]: ...
    def closer(
        self, x: Floats, row_squares: Floats, nearest: Floats, candidates: Floats, squares: Floats, out: Floats
    ) -> None: ...
    def first_reaching(self, x: Floats, parts: Floats) -> list[int]: ...
    def encode(
        self,
        values: Floats,
        rules: ColumnRules,
        modes: EncodedModes,
        randomness: tuple[int, int, int, bool],
        uniforms: Floats | None,
        scalar: NDArray[Any],
        code: NDArray[Any],
    ) -> tuple[tuple[_Found, _Found, _Found, _Found], Ints, Floats]: ...
    def decode(
        self,
        scalar: NDArray[Any],
        code: NDArray[Any],
        rules: ColumnRules,
        frame: tuple[float, float, float],
        modes: tuple[Floats, Floats, Floats],
        limits: tuple[float, float],
        value: Floats,
    ) -> tuple[int, bool]: ...
    def summarise(
        self,
        x: Floats,
        frame: tuple[float, float, int],
        directory: NDArray[np.uint8],
        midpoints: Keys,
        parents: Keys,
        inner_cells: int,
        rules: ColumnRules,
    ) -> tuple[
        tuple[Ints, Keys, Keys, Keys, Keys], tuple[int, int, float, float], int, list[int], tuple[float, float]
    ]: ...
    def draw_rows(
        self,
        lotteries: tuple[_Lottery | None, _Lottery | None, _Lottery],
        ends: tuple[Floats, Floats],
        contexts: tuple[int, Ints],
        parents: tuple[_Codes | None, _Codes | None],
        rows: tuple[int, int, NDArray[np.uint64] | None],
        randomness: tuple[int, int],
    ) -> tuple[_Codes, Floats]: ...
    def find_bins(self, numbers: Floats, edges: Floats, codes: _Codes) -> _Codes: ...
