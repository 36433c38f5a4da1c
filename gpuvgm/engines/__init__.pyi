from .base import AcceleratedLoop, CellEM, Engine, OnehotPart
from .choice import ENGINES, choose_engine, cuda_problem, get_engine, native_is_built
from .chunk_sums import ChunkSums
from .cuda.device import Device, Lane, rmm_resources
from .cuda.variants import every_program
from .encode import Coverage, DecodeTable, EncodeTable
from .multivariate import GaussianTable
from .tables import (
    CountedColumn,
    Draw,
    DrawnColumn,
    KernelTable,
    Lottery,
    PriorTable,
    RowRules,
    Scale,
    Step,
    philox_words,
)
from .trees import AskedColumn, GrowthRules, Trees
from .whole import difference, nearest_multiples

__all__ = [
    "Device",
    "Lane",
    "rmm_resources",
    "every_program",
    "AcceleratedLoop",
    "AskedColumn",
    "CellEM",
    "ChunkSums",
    "CountedColumn",
    "Coverage",
    "DecodeTable",
    "Draw",
    "DrawnColumn",
    "ENGINES",
    "EncodeTable",
    "Engine",
    "GaussianTable",
    "GrowthRules",
    "KernelTable",
    "Lottery",
    "OnehotPart",
    "PriorTable",
    "RowRules",
    "Scale",
    "Step",
    "Trees",
    "choose_engine",
    "cuda_problem",
    "difference",
    "get_engine",
    "native_is_built",
    "nearest_multiples",
    "philox_words",
]
