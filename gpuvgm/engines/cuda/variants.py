"""Every kernel, in the variants that differ in kind: what is compiled ahead, counted and predicted."""

from __future__ import annotations

from functools import cache

from gpuvgm.engines.cuda import e_step, em, features, hold, rows, summary, synthesis
from gpuvgm.engines.cuda.programs import Program

REALS = ("float32", "float64")
#: Numbers of components, sources of uniforms, and types of rows, scalars and codes.
TRANSFORMS = (
    (10, "generator", "float64", "float32", "uint8"),
    (10, "generator", "float32", "float32", "uint8"),
    (10, "generator", "float64", "float64", "uint16"),
    (10, "given", "float64", "float32", "uint8"),
    (10, "none", "float64", "float32", "uint8"),
    (10, "none", "float32", "float32", "uint8"),
    (1, "none", "float64", "float32", "uint8"),
    (16, "generator", "float64", "float32", "uint8"),
    (17, "generator", "float64", "float32", "uint8"),
)
INVERSES = (("float32", "uint8"), ("float32", "uint16"), ("float64", "uint8"))
HOLDS = (("float64", "float32", "uint8"), ("float32", "float32", "uint8"), ("float64", "float64", "uint16"))
#: Numbers of components, types of rows, and whether they are weighted.
E_STEPS = (
    (1, "float64", False),
    (1, "float64", True),
    (10, "float64", False),
    (10, "float32", False),
    (10, "float64", True),
    (e_step.MOST_IN_REGISTERS, "float64", True),
    (0, "float64", False),
    (0, "float32", True),
)
#: Numbers of features, types of rows, and whether the features are independent and the rows weighted.
FEATURES = (
    (2, "float64", False, False),
    (5, "float32", False, True),
    (8, "float64", False, False),
    (8, "float64", False, True),
    (features.MOST_FEATURES, "float64", False, True),
    (3, "float32", True, False),
    (features.MOST_FEATURES, "float64", True, True),
)


@cache
def every_program() -> tuple[Program, ...]:
    """All of them."""
    return (
        *(
            rows.transform_program(components, randomness, tuple(types))
            for components, randomness, *types in TRANSFORMS
        ),
        *(rows.inverse_program(*types, number) for types in INVERSES for number in REALS),
        *(program(real) for program in (rows.fill_program, rows.read_program) for real in REALS),
        *(hold.hold_program(*types) for types in HOLDS),
        *(program(x) for program in (summary.rows_program, summary.off_step_program) for x in REALS),
        summary.CARRY,
        summary.FREQUENT,
        summary.GATHER,
        synthesis.BINS,
        synthesis.COUNTS,
        synthesis.ROWS,
        *(e_step.e_step_program(components, x, weighted=weighted) for components, x, weighted in E_STEPS),
        e_step.e_step_program(0, "float64", weighted=True, cells=True),
        e_step.most_probable_program("float64", weighted=True),
        e_step.most_probable_program("float32", weighted=False),
        e_step.TOTALS,
        *(
            features.features_program(count, x, diagonal=diagonal, weighted=weighted)
            for count, x, diagonal, weighted in FEATURES
        ),
        *(em.em_program(most) for most in em.SIZES),
    )
