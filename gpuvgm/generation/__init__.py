"""Generated tables of any length, any part of which can be made alone."""

from gpuvgm.generation.amounts import amount
from gpuvgm.generation.writing import generate

__all__ = ["amount", "generate"]
