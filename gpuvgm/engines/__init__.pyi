from .base import AcceleratedLoop as AcceleratedLoop, CellEM as CellEM, Engine as Engine, OnehotPart as OnehotPart
from .choice import (
    ENGINES as ENGINES,
    choose_engine as choose_engine,
    cuda_problem as cuda_problem,
    get_engine as get_engine,
    native_is_built as native_is_built,
)
from .chunk_sums import ChunkSums as ChunkSums
from .cuda.device import Device as Device, Lane as Lane, rmm_resources as rmm_resources
from .cuda.variants import every_program as every_program
from .encode import Coverage as Coverage, DecodeTable as DecodeTable, EncodeTable as EncodeTable
from .multivariate import GaussianTable as GaussianTable
from .tables import (
    CountedColumn as CountedColumn,
    Draw as Draw,
    DrawnColumn as DrawnColumn,
    KernelTable as KernelTable,
    Lottery as Lottery,
    PriorTable as PriorTable,
    RowRules as RowRules,
    Scale as Scale,
    Step as Step,
    philox_words as philox_words,
)
from .trees import AskedColumn as AskedColumn, GrowthRules as GrowthRules, Trees as Trees
from .whole import difference as difference, nearest_multiples as nearest_multiples
