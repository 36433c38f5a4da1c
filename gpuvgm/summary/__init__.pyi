from .distribution import Distances as Distances, Pieces as Pieces
from .grid import (
    OUTER_CELLS as OUTER_CELLS,
    Floats as Floats,
    Frame as Frame,
    Grid as Grid,
    Ints as Ints,
    Keys as Keys,
    Masses as Masses,
    midpoints as midpoints,
    values_of as values_of,
)
from .summary import STRAYS as STRAYS, Cells as Cells, Summary as Summary
