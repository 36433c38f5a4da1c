"""Generated tables of any length, any part of which can be made alone."""

from gpuvgm.datasets.amounts import amount
from gpuvgm.datasets.writing import generate

__all__ = ["amount", "generate"]
