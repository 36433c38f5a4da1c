"""Settings as frozen values, and the environment variables that may stand for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Algorithm = Literal["summary", "exact", "auto"]
EngineName = Literal["auto", "reference", "native", "cuda"]
Effort = Literal["auto", "best", "research"]
Standardize = Literal["auto"] | bool
Tails = Literal["modes", "clip", "exact"]
Infinities = Literal["error", "missing"]
UnknownCategories = Literal["error", "ignore"]
Layout = Literal["compact", "onehot"]
ModeChoice = Literal["sample", "argmax"]
ScalarType = Literal["float32", "float64"]
Compression = Literal["zstd", "snappy", "none"]
Flavor = Literal["spark"]
InvalidRows = Literal["mask", "drop"]

#: Rows whose sums the exact E-step takes together; blocks are multiples of it.
CHUNK_ROWS = 4096
#: Rows of a block unless the user says otherwise.
BLOCK_ROWS = 1 << 20
#: algorithm="auto" takes the summary from this many rows on.
SUMMARY_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a mixture is fitted; names and defaults are those of `TableTransformer`.

    `active_by="weight"` takes every component above the weight threshold for a mode, in the order of the components, as
    RDT and CTGAN do; "rows" also asks for one training row whose most probable component it is, and puts the most
    frequent mode first.
    """

    #: Concentration of the Dirichlet process in CTGAN: less than any row.
    SPARSE: ClassVar[float] = 1e-3

    n_components: int = 10
    weight_threshold: float = 0.005
    weight_concentration_prior: float | None = None
    max_iter: int = 100
    tol: float = 1e-3
    tol_per_row: float | None = None
    random_state: int = 0
    algorithm: Algorithm = "summary"
    effort: Effort = "auto"
    standardize: Standardize = "auto"
    reg_covar: float = 1e-6
    active_by: Literal["rows", "weight"] = "rows"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> FitConfig:
        """The settings of fits among those of a table."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__ if name in settings})

    @property
    def concentration(self) -> float:
        """Concentration of the Dirichlet process: unless it is given, CTGAN's with effort="research", else 100."""
        if self.weight_concentration_prior is not None:
            return self.weight_concentration_prior
        return self.SPARSE if self.effort == "research" else 100.0

    @property
    def prior_share(self) -> float:
        """Prior covariance of a component, in variances of the column: scikit-learn's 1 with effort="research".

        One of several components is narrower than all of them together (Fraley and Raftery 2007 take 1 / K^2).
        """
        return 1.0 if self.effort == "research" else self.n_components**-0.5

    @property
    def mean_precisions(self) -> tuple[float, ...]:
        """Strengths of the prior of a component's mean that a search tries: scikit-learn's 1 with effort="research".

        With 1 a narrow component far from the mean of the column costs much: half the square of that distance in its
        own standard deviations. Fraley and Raftery (2007) take 0.01.
        """
        return (1.0,) if self.effort == "research" else (1.0, 0.01)


#: Added to each mode's probability before the draw by the research code.
RESEARCH_FLOOR = 1e-6


def environment(option: str) -> str | None:
    """Value of GPUVGM_<OPTION>, or None where it is unset or empty.

    Parameters
    ----------
    option : str
        Name of a setting, for example ``"instruction_set"``.
    """
    return os.environ.get(f"GPUVGM_{option.upper().replace('-', '_')}") or None
