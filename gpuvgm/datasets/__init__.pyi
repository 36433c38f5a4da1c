from .ranges import RowRange
from .writing import Generator, generate

__all__ = [
    "Generator",
    "RowRange",
    "generate",
]
