// Row loops of the host engine, compiled once for each instruction set with -DGPUVGM_ISA=<name>. Everything but the
// table at the end has internal linkage, so that no copy for a newer instruction set can end up in an older one's
// place.
#include "decode.hpp"
#include "draw.hpp"
#include "e_step.hpp"
#include "em.hpp"
#include "encode.hpp"
#include "features.hpp"
#include "k_means.hpp"
#include "special.hpp"
#include "summarise.hpp"

#define GPUVGM_JOIN(a, b) a##b
#define GPUVGM_TABLE(isa) GPUVGM_JOIN(gpuvgm_kernels_, isa)

extern "C" const gpuvgm::HostKernels GPUVGM_TABLE(GPUVGM_ISA);
const gpuvgm::HostKernels GPUVGM_TABLE(GPUVGM_ISA) = {
    gpuvgm::e_step_rows,     gpuvgm::e_step_cells,  gpuvgm::count_most_probable,
    gpuvgm::e_step_features, gpuvgm::log_prob,      gpuvgm::encode,
    gpuvgm::decode,          gpuvgm::summarise,     gpuvgm::log_rows,
    gpuvgm::exp_rows,        gpuvgm::digamma_rows,  gpuvgm::gammaln_rows,
    gpuvgm::nearest_centres, gpuvgm::label_and_sum, gpuvgm::sums_by_centre,
    gpuvgm::closer,          gpuvgm::draw_rows,     gpuvgm::find_bins,
    gpuvgm::em_step,         gpuvgm::em_begin,      gpuvgm::em_iterate,
    gpuvgm::em_split,        gpuvgm::em_bound,
};
