// Numbers on a step: `Step` of gpuvgm/engines/tables.py, with its bits.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// Whether a number is no multiple of the step `step / parts`, both whole: not the float nearest to one, or of `narrow`
// columns not the float32. NaN is on every step.
GPUVGM_FN bool is_off_step(double x, double step, double parts, bool narrow) {
    const double snapped = rint(x * parts / step) * step / parts;
    const bool equal = narrow ? widened(narrowed(snapped)) == widened(narrowed(x)) : snapped == x;
    return !equal && x == x;
}

}  // namespace
}  // namespace gpuvgm
