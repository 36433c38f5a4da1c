"""Example tables of any length; any row range can be made independently."""

from gpuvgm.datasets.amounts import amount
from gpuvgm.datasets.writing import generate

__all__ = ["amount", "generate"]
