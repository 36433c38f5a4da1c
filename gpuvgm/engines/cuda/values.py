"""Values of columns as kernels read them: what programs are compiled for, and the words of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gpuvgm.engines.cuda.programs import C_TYPES, SHORT
from gpuvgm.engines.tables import RowRules, Step
from gpuvgm.summary import Keys

#: Files that come before those of programs which read or write values.
SOURCES = (
    "vgm_math.cuh",
    "vgm_special.cuh",
    "vgm_scale.cuh",
    "vgm_step.cuh",
    "vgm_whole.cuh",
    "cuda/block.cuh",
    "cuda/block_rows.cuh",
    "cuda/quad.cuh",
)
RULE_WORDS = 11  # before the modal values, see cuda/values.cuh
_FLAGS = ("origin", "unit", "modal", "step", "missing", "infinite")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is compiled into a program of the values that it reads, so that it does nothing that they do not need.

    Parameters
    ----------
    value : str
        Type of the values.
    scale : str
        Scale of the numbers; "linear" for none.
    origin : bool
        Values are counted from another origin than 0; always of whole numbers.
    unit : bool
        They are counted in another unit than 1.
    modal : bool
        There are modal values.
    step : int
        Values are compared with multiples of a step, as numbers of so many bits; 0 for none.
    missing : bool
        A mask says which rows are missing.
    infinite : bool
        Infinite values are missing.
    """

    value: str
    scale: str = "linear"
    origin: bool = False
    unit: bool = False
    modal: bool = False
    step: int = 0
    missing: bool = False
    infinite: bool = False

    @property
    def is_plain(self) -> bool:
        """Return whether values are numbers as they are."""
        return self == Reading(self.value) and self.value.startswith("float")

    @property
    def name(self) -> str:
        """Part of a program's name."""
        flags = [flag for flag in _FLAGS if getattr(self, flag)]
        if not self.value.startswith("float"):
            flags.remove("origin")
        bits = "" if self.step == 64 else str(self.step)
        flags = [flag + bits if flag == "step" else flag for flag in flags]
        scale = [] if self.scale == "linear" else [self.scale]
        return "_".join([SHORT[self.value], *scale, *flags])

    @property
    def constants(self) -> tuple[tuple[str, str], ...]:
        """Constants of programs that read such values."""
        flags = ((f"GPUVGM_{flag.upper()}", str(int(getattr(self, flag)))) for flag in _FLAGS)
        return (("GPUVGM_VALUE", C_TYPES[self.value]), ("GPUVGM_SCALE", f"gpuvgm::{self.scale.upper()}"), *flags)


@lru_cache(1024)
def reading_of(dtype: np.dtype[Any], rules: RowRules, *, missing: bool) -> Reading:
    """What values of a type need by their rules, with or without a mask."""
    is_whole = dtype.kind != "f"
    return Reading(
        value=dtype.name,
        scale="linear" if rules.scale is None else rules.scale.name,
        origin=is_whole or rules.origin != 0,
        unit=rules.unit != 1,
        modal=bool(_modal_bits(rules, dtype)),
        step=0 if rules.step is None else 64 if is_whole else rules.step.bits,
        missing=missing,
        infinite=rules.infinite_is_missing and not is_whole,
    )


@lru_cache(1024)
def rule_words(rules: RowRules, dtype: np.dtype[Any], modal_at: int = RULE_WORDS) -> Keys:
    """The rules without the modal values, which begin at a word; see cuda/values.cuh."""
    shift = 0 if rules.scale is None else rules.scale.exponent
    step, is_whole = rules.step or Step(1, 1, "float64"), dtype.kind != "f"
    # As `difference` of engines/whole.py has it: no difference of 64 bits is taken of a base that they do not hold.
    as_floats = is_whole and not (rules.origin >= 0 if dtype == np.uint64 else -(2**63) <= rules.origin < 2**63)
    step_limit = 2**64 if dtype == np.uint64 else 2 ** (32 if dtype.itemsize < 8 else 63)
    numbers = (
        *(float(rules.origin), int(rules.origin) if is_whole else 0, as_floats),
        *(float(rules.unit), 2.0**-shift, 1.0 - shift),
        *(float(step.numerator), float(step.denominator), step.numerator if step.numerator < step_limit else 0),
        *(len(_modal_bits(rules, dtype)), modal_at),
    )
    return np.array([word_of(number) for number in numbers], np.uint64)


def modal_words(rules: RowRules, dtype: np.dtype[Any], codes: Sequence[int]) -> Keys:
    """Bits and code of each modal value that rows of a type may have, one after the other."""
    pairs = [(bits, codes[index]) for index, bits in _modal_bits(rules, dtype)]
    return np.array(pairs, np.uint64).ravel()


def _modal_bits(rules: RowRules, dtype: np.dtype[Any]) -> list[tuple[int, int]]:
    """Index, and bits in 64, of each modal value that rows of a type may have."""
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        whole = [(i, int(v)) for i, v in enumerate(rules.modal) if isinstance(v, int) or v.is_integer()]
        return [(index, word_of(value)) for index, value in whole if limits.min <= value <= limits.max]
    with np.errstate(over="ignore"):
        values = [(index, float(dtype.type(value))) for index, value in enumerate(rules.modal) if value == value]
    is_missing = np.isinf if rules.infinite_is_missing else np.isnan
    return [(index, word_of(value)) for index, value in values if not is_missing(value)]


def word_of(number: int | float) -> int:
    """A number as a word of 64 bits: a float by its bits, a whole number modulo 2^64."""
    return int(np.float64(number).view(np.uint64)) if isinstance(number, float) else int(number) % 2**64
