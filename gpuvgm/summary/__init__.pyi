from .distribution import Distances, Pieces
from .grid import OUTER_CELLS, Floats, Frame, Grid, Ints, Keys, Masses, midpoints, values_of
from .summary import STRAYS, Cells, Summary

__all__ = [
    "Cells",
    "Distances",
    "Floats",
    "Frame",
    "Grid",
    "Ints",
    "Keys",
    "Masses",
    "OUTER_CELLS",
    "Pieces",
    "STRAYS",
    "Summary",
    "midpoints",
    "values_of",
]
