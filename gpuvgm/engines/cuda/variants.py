"""Every kernel, in the variants that differ in kind: what is compiled ahead, counted and predicted."""

from __future__ import annotations

from functools import cache

from gpuvgm.engines.cuda import e_step, em, features, rows, summary, synthesis
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.cuda.values import Reading

REALS = ("float32", "float64")
SCALARS_AND_CODES = (("float32", "uint8"), ("float32", "uint16"), ("float64", "uint8"))
#: Values that programs read: plain ones, and all rules in some of them.
FLOATS, SHORT_FLOATS = Reading("float64"), Reading("float32")
RULED = (
    Reading("float64", step=64),
    Reading("float64", "asinh", step=64),
    Reading("float64", modal=True, missing=True, infinite=True),
    Reading("float64", "asinh", modal=True, step=64),
    Reading("float32", "asinh", modal=True, step=32, missing=True, infinite=True),
    Reading("float64", "log"),
    Reading("float64", "log1p", origin=True, modal=True, step=64),
    Reading("float32", "log1p", origin=True, unit=True),
    Reading("int16", origin=True),
    Reading("uint8", origin=True, modal=True, step=64, missing=True),
    Reading("int32", origin=True, modal=True, step=64, missing=True),
    Reading("int64", origin=True, modal=True, step=64, missing=True),
    Reading("uint64", origin=True, modal=True, step=64, missing=True),
    Reading("int64", "asinh", origin=True, unit=True, modal=True, missing=True),
)
#: Values, components and sources of uniforms, types of scalars and codes, and whether rows are held.
ENCODINGS = (
    (FLOATS, (10, "generator"), ("float32", "uint8"), False),
    (SHORT_FLOATS, (10, "generator"), ("float32", "uint8"), False),
    (FLOATS, (10, "generator"), ("float64", "uint16"), False),
    (FLOATS, (10, "given"), ("float32", "uint8"), False),
    (FLOATS, (10, "none"), ("float32", "uint8"), False),
    (SHORT_FLOATS, (10, "none"), ("float32", "uint8"), False),
    (FLOATS, (1, "none"), ("float32", "uint8"), False),
    (FLOATS, (16, "generator"), ("float32", "uint8"), False),
    (FLOATS, (17, "generator"), ("float32", "uint8"), False),
    (FLOATS, (10, "generator"), ("float32", "uint8"), True),
    (SHORT_FLOATS, (10, "none"), ("float64", "uint16"), True),
    *((reading, (10, "generator"), ("float32", "uint8"), True) for reading in RULED),
    (RULED[1], (10, "generator"), ("float32", "uint8"), False),
    (RULED[1], (10, "none"), ("float32", "uint8"), True),
)
#: Types of scalars, codes and values, scales, and what there is besides.
DECODINGS = (
    *(((*types, real), "linear", ()) for types in SCALARS_AND_CODES for real in REALS),
    (("float32", "uint8", "float64"), "linear", ("step",)),
    (("float32", "uint8", "float64"), "linear", ("modal", "missing")),
    (("float32", "uint8", "float64"), "asinh", ("step",)),
    (("float32", "uint8", "float64"), "asinh", ("step", "modal", "missing")),
    (("float32", "uint8", "float32"), "asinh", ("step", "modal")),
    (("float32", "uint8", "float64"), "log", ()),
    (("float32", "uint8", "float64"), "log1p", ("step", "modal")),
    (("float32", "uint8", "float32"), "log1p", ("unit",)),
    (("float32", "uint8", "int16"), "linear", ()),
    (("float32", "uint8", "uint8"), "linear", ("modal",)),
    (("float32", "uint8", "int64"), "linear", ("modal", "missing")),
    (("float64", "uint16", "uint64"), "linear", ("modal",)),
    (("float32", "uint8", "int64"), "asinh", ("unit", "modal")),
)
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
        *(rows.encode_program(reading, draw, types, holds=holds) for reading, draw, types, holds in ENCODINGS),
        *(rows.decode_program(types, scale, frozenset(flags)) for types, scale, flags in DECODINGS),
        *(program(real) for program in (rows.fill_program, rows.read_program) for real in REALS),
        *(summary.rows_program(reading) for reading in (FLOATS, SHORT_FLOATS, *RULED)),
        summary.CARRY,
        summary.FREQUENT,
        summary.GATHER,
        synthesis.BINS,
        synthesis.COUNTS,
        synthesis.ROWS,
        synthesis.TREE_COUNTS,
        synthesis.TREE_ROWS,
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
