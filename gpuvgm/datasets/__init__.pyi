from .amounts import amount
from .mixed_table import mixed_table_rows
from .ranges import RowRange
from .writing import Generator, generate

__all__ = [
    "Generator",
    "RowRange",
    "amount",
    "generate",
    "mixed_table_rows",
]
