// Variational EM of a mixture of one feature, plain and accelerated: the operations of gpuvgm/mixture/posterior.py,
// statistics.py and em.py one by one and in their order, hence the same bits. Sums over components and coordinates run
// in index order. What a caller hands in is the E-step: a function of means, half precisions and coefficients that
// writes the 3 K + 1 sums over all rows or cells.
#pragma once
#include "vgm_special.cuh"

namespace gpuvgm {
namespace {

constexpr double LN_2 = 0.6931471805599453, LN_2_PI = 1.8378770664093453;
constexpr double LEAST_COUNT = 10 * 2.220446049250313e-16;  // scikit-learn's guard against empty components
constexpr double LARGE_STICK = 1e7;                         // from here on Stirling's formula is exact enough
constexpr double NO_VARIANCE = 1e-280, LEAST_VARIANCE = 1e-13, LONGEST_STEP = 0.5, ROOT_2 = 1.4142135623730951;
constexpr double LEAST_CURVATURE = 1e-8, SHORTER = 0.25, SHORTEST = 0.2;
constexpr int STEP_MEMORY = 12, PATIENCE = 4;

GPUVGM_FN double larger(double a, double b) { return a >= b || a != a ? a : b; }  // NaN stays, as in numpy.maximum

template <class Term> GPUVGM_FN double added(int terms, Term term) {
    double sum = term(0);
    for (int i = 1; i < terms; ++i) {
        sum = sum + term(i);
    }
    return sum;
}

struct PriorTable {
    double weight_concentration, mean, mean_precision, covariance, degrees_of_freedom, reg_covar, least_covariance;
    double origin;
    bool has_origin;  // where components without rows lie; else where they were
    bool dirichlet;   // weights have a Dirichlet distribution; else those of a Dirichlet process
    bool tied;        // components share one variance
};

// Views of 4 K + 1 and 6 K numbers.
struct Statistics {
    double* values;
    int components;

    GPUVGM_FN static constexpr int size(int components) { return 4 * components + 1; }
    GPUVGM_FN double* reference() const { return values; }
    GPUVGM_FN double* counts() const { return values + components; }
    GPUVGM_FN double* first() const { return values + 2 * components; }
    GPUVGM_FN double* second() const { return values + 3 * components; }
    GPUVGM_FN double& entropy() const { return values[4 * components]; }
};

struct Posterior {
    double* values;
    int components;

    GPUVGM_FN static constexpr int size(int components) { return 6 * components; }
    GPUVGM_FN double* weight_a() const {
        return values;
    }  // of the Beta distributions, or the Dirichlet's concentration
    GPUVGM_FN double* weight_b() const { return values + components; }
    GPUVGM_FN double* mean_precision() const { return values + 2 * components; }
    GPUVGM_FN double* means() const { return values + 3 * components; }
    GPUVGM_FN double* degrees_of_freedom() const { return values + 4 * components; }
    GPUVGM_FN double* covariances() const { return values + 5 * components; }
};

struct Point {
    Statistics statistics;
    Posterior posterior;
    double bound;
};

// ---- M-step and bound: posterior.py --------------------------------------------------------------------------------

// Gives what the bound lacks where a covariance is held up; see `slack` there.
GPUVGM_CALL double update(const PriorTable& prior, const Statistics& sums, const Posterior& out) {
    const int k = sums.components;
    for (int i = 0; i < k; ++i) {
        const double count = sums.counts()[i], reference = sums.reference()[i], first = sums.first()[i];
        const double nk = count + LEAST_COUNT, origin = prior.has_origin ? prior.origin : reference;
        const double shift = (first + LEAST_COUNT * (origin - reference)) / nk;
        const double spread = sums.second()[i] - shift * (2 * first - shift * count);
        const double xk = reference + shift, sk = larger(spread, 0.0) / nk + prior.reg_covar;
        const double mean_precision = prior.mean_precision + nk, off = xk - prior.mean;
        const double between = nk * (prior.mean_precision / mean_precision) * (off * off);
        out.mean_precision()[i] = mean_precision;
        out.means()[i] = (prior.mean_precision * prior.mean + nk * xk) / mean_precision;
        out.degrees_of_freedom()[i] = nk;
        out.covariances()[i] = nk * sk + between;
    }
    double later = 0.0;
    for (int i = k - 1; i >= 0; --i) {
        const double nk = out.degrees_of_freedom()[i];
        out.weight_a()[i] = (prior.dirichlet ? prior.weight_concentration : 1.0) + nk;
        out.weight_b()[i] = prior.weight_concentration + later;
        later = i == k - 1 ? nk : later + nk;
    }
    if (prior.tied) {
        const double mean_nk = added(k, [&](int i) { return out.degrees_of_freedom()[i]; }) / k;
        const double mean_scatter = added(k, [&](int i) { return out.covariances()[i]; }) / k;
        for (int i = 0; i < k; ++i) {
            out.degrees_of_freedom()[i] = mean_nk;
            out.covariances()[i] = mean_scatter;
        }
    }
    for (int i = 0; i < k; ++i) {
        const double degrees_of_freedom = prior.degrees_of_freedom + out.degrees_of_freedom()[i];
        out.degrees_of_freedom()[i] = degrees_of_freedom;
        out.covariances()[i] = (prior.covariance + out.covariances()[i]) / degrees_of_freedom;
    }
    if (prior.least_covariance == 0) {
        return 0.0;
    }
    return added(k, [&](int i) {
        const double covariance = out.covariances()[i];
        out.covariances()[i] = larger(covariance, prior.least_covariance);
        return 0.5 * out.degrees_of_freedom()[i] * (1 - covariance / out.covariances()[i]);
    });
}

// What the row formulas take, to base 2.
GPUVGM_CALL void kernel_table(const PriorTable& prior, const Posterior& p, double* half, double* coefficients) {
    const int k = p.components;
    const double* a = p.weight_a();
    double rest = 0.0;
    const double all = prior.dirichlet ? digamma_of(added(k, [&](int i) { return a[i]; })) : 0.0;
    for (int i = 0; i < k; ++i) {
        double log_weight;
        if (prior.dirichlet) {
            log_weight = digamma_of(a[i]) - all;
        } else {
            const double psi = digamma_of(a[i] + p.weight_b()[i]);
            log_weight = digamma_of(a[i]) - psi + rest;
            rest = i == 0 ? digamma_of(p.weight_b()[i]) - psi : rest + (digamma_of(p.weight_b()[i]) - psi);
        }
        const double covariance = p.covariances()[i], degrees_of_freedom = p.degrees_of_freedom()[i];
        const double log_determinant = -0.5 * log_of(covariance * degrees_of_freedom);
        const double log_precision = LN_2 + digamma_of(0.5 * degrees_of_freedom);
        half[i] = 0.5 * PER_LN_2 / covariance;
        coefficients[i] =
            (log_weight - 0.5 * LN_2_PI + log_determinant + 0.5 * (log_precision - 1 / p.mean_precision()[i])) *
            PER_LN_2;
    }
}

// Logarithm of gamma(a + b) / gamma(b) for large b.
GPUVGM_CALL double rise_of_gammaln(double b, double a) {
    const double t = a / b, f = t / (2 + t), q = f * f;
    const double log1p =
        t < 0.1 ? 2 * f * (1 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q / 11))))) : log_of(1 + t);
    return a * log_of(a + b) - a + (b - 0.5) * log1p;
}

GPUVGM_CALL double lower_bound(const PriorTable& prior, const Posterior& p, double entropy) {
    const int k = p.components;
    const double *a = p.weight_a(), *b = p.weight_b();
    const double all = prior.dirichlet ? gammaln_of(added(k, [&](int i) { return a[i]; })) / k : 0.0;
    return entropy + added(k, [&](int i) {
               double log_norm = gammaln_of(a[i]);
               if (prior.dirichlet) {
                   log_norm = log_norm - all;
               } else if (b[i] > LARGE_STICK) {
                   log_norm = log_norm + -rise_of_gammaln(b[i], a[i]);
               } else {
                   log_norm = log_norm + (gammaln_of(b[i]) - gammaln_of(a[i] + b[i]));
               }
               const double degrees_of_freedom = p.degrees_of_freedom()[i];
               const double log_determinant = -0.5 * log_of(p.covariances()[i] * degrees_of_freedom);
               const double log_wishart = -(degrees_of_freedom * log_determinant + 0.5 * degrees_of_freedom * LN_2 +
                                            gammaln_of(0.5 * degrees_of_freedom));
               return log_norm - log_wishart - 0.5 * log_of(p.mean_precision()[i]);
           });
}

// ---- coordinates of the statistics: statistics.py ------------------------------------------------------------------

// From the sums of an E-step; with `sound`, components of negative counts are empty.
GPUVGM_CALL void statistics_of(const double* totals, const double* means, const double* half,
                               const double* coefficients, bool sound, const Statistics& out) {
    const int k = out.components;
    const double expected = added(k, [&](int i) { return coefficients[i] * totals[i] - half[i] * totals[2 * k + i]; });
    bool held = true;
    for (int i = 0; i < k; ++i) {
        out.reference()[i] = means[i];
        out.counts()[i] = totals[i];
        out.first()[i] = totals[k + i];
        out.second()[i] = totals[2 * k + i];
        held = held && totals[i] >= 0;
    }
    for (int i = 0; sound && !held && i < k; ++i) {
        const double kept = totals[i] >= 0 ? 1.0 : 0.0;
        out.counts()[i] = totals[i] * kept;
        out.first()[i] = totals[k + i] * kept;
        out.second()[i] = totals[2 * k + i] * kept;
    }
    out.entropy() = (totals[3 * k] - expected) * LN_2;
}

// Means and standard deviations of the components, none less than a tiny part of that of all rows.
GPUVGM_CALL void moments_of(const Statistics& sums, double* means, double* deviations) {
    const int k = sums.components;
    const double* counts = sums.counts();
    for (int i = 0; i < k; ++i) {
        const double count = counts[i] + LEAST_COUNT, shift = sums.first()[i] / count;
        means[i] = sums.reference()[i] + shift;
        deviations[i] = larger(sums.second()[i] / count - shift * shift, 0.0);
    }
    const double total = added(k, [&](int i) { return counts[i] + LEAST_COUNT; });
    const double centre = added(k, [&](int i) { return (counts[i] + LEAST_COUNT) * means[i]; }) / total;
    const double overall = added(k,
                                 [&](int i) {
                                     const double off = means[i] - centre;
                                     return (counts[i] + LEAST_COUNT) * (deviations[i] + off * off);
                                 }) /
                           total;
    const double floor = overall > NO_VARIANCE ? LEAST_VARIANCE * overall : 1.0;
    for (int i = 0; i < k; ++i) {
        deviations[i] = sqrt(larger(deviations[i], floor));
    }
}

// Roots of the counts, means and standard deviations: out has 3 K.
GPUVGM_CALL void coordinates_of(const Statistics& sums, double* out) {
    const int k = sums.components;
    moments_of(sums, out + k, out + 2 * k);
    for (int i = 0; i < k; ++i) {
        out[i] = sqrt(sums.counts()[i]);
    }
}

GPUVGM_CALL void metric_of(int k, const double* coordinates, double* out) {
    for (int i = 0; i < k; ++i) {
        const double information = coordinates[i] / coordinates[2 * k + i];
        out[i] = 2.0;
        out[k + i] = information;
        out[2 * k + i] = ROOT_2 * information;
    }
}

// Statistics at other coordinates; a component's root, mean and deviation move by at most half of their size.
GPUVGM_CALL void move(int k, const double* at, const double* step, const Statistics& out) {
    for (int i = 0; i < k; ++i) {
        const double root = at[i], deviation = at[2 * k + i], none = 0.0;
        const double by_root = fabs(step[i]) / (root + LEAST_COUNT), by_mean = fabs(step[k + i]) / deviation;
        const double longest = larger(larger(by_root, by_mean), fabs(step[2 * k + i]) / deviation);
        const double shorter = larger(longest / LONGEST_STEP, 1.0);
        const double moved_root = root + step[i] / shorter, moved_deviation = deviation + step[2 * k + i] / shorter;
        out.reference()[i] = at[k + i] + step[k + i] / shorter;
        out.counts()[i] = moved_root * moved_root;
        out.first()[i] = none;
        out.second()[i] = out.counts()[i] * (moved_deviation * moved_deviation);
    }
}

// ---- accelerated EM: em.py -----------------------------------------------------------------------------------------

GPUVGM_FN double inner(int n, const double* one, const double* other) {
    return added(n, [&](int i) { return one[i] * other[i]; });
}

// Step of limited-memory BFGS by the two-loop recursion; `step` is the residual and becomes the step. Pair p is the
// earlier step at pairs + 2 p n and the fall of the residual along it, the oldest first.
GPUVGM_CALL void quasi_newton(int n, int count, const double* pairs, double* step) {
    double along[STEP_MEMORY], share[STEP_MEMORY];
    bool used[STEP_MEMORY];
    for (int p = 0; p < count; ++p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        along[p] = inner(n, taken, fall);
        used[p] = along[p] > LEAST_CURVATURE * sqrt(inner(n, taken, taken)) * sqrt(inner(n, fall, fall));
    }
    for (int p = count - 1; p >= 0; --p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        if (used[p]) {
            share[p] = inner(n, taken, step) / along[p];
            for (int i = 0; i < n; ++i) {
                step[i] = step[i] - share[p] * fall[i];
            }
        }
    }
    for (int p = 0; p < count; ++p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        if (used[p]) {
            const double by = share[p] - inner(n, fall, step) / along[p];
            for (int i = 0; i < n; ++i) {
                step[i] = step[i] + by * taken[i];
            }
        }
    }
}

// One problem's numbers; `memory` has size(components) doubles.
struct EM {
    PriorTable prior;
    bool sound;
    int components;
    Point best, reached;
    Statistics trial;
    double *half, *coefficients, *totals;
    double *at, *end, *residual, *last, *last_residual, *metric, *scaled, *direction, *extra;  // (3 K,)
    double *pairs, *weighed;  // (STEP_MEMORY, 2, 3 K): a ring, and the same in the metric, in order
    int first_pair = 0, pair_count = 0, quiet = 0;
    bool has_trial = false, has_last = false, has_extra = false, converged = false;
    double length = 1.0;

    GPUVGM_FN static constexpr int size(int k) {
        return 3 * Statistics::size(k) + 2 * Posterior::size(k) + 2 * k + 3 * k + 1 + 9 * 3 * k +
               2 * STEP_MEMORY * 2 * 3 * k;
    }

    GPUVGM_CALL EM(const PriorTable& prior_, bool sound_, int k, double* memory)
        : prior(prior_), sound(sound_), components(k) {
        auto take = [&](int numbers) {
            double* start = memory;
            memory += numbers;
            return start;
        };
        best = {{take(Statistics::size(k)), k}, {take(Posterior::size(k)), k}, 0.0};
        reached = {{take(Statistics::size(k)), k}, {take(Posterior::size(k)), k}, 0.0};
        trial = {take(Statistics::size(k)), k};
        half = take(k);
        coefficients = take(k);
        totals = take(3 * k + 1);
        double** const vectors[] = {&at, &end, &residual, &last, &last_residual, &metric, &scaled, &direction, &extra};
        for (double** vector : vectors) {
            *vector = take(3 * k);
        }
        pairs = take(STEP_MEMORY * 2 * 3 * k);
        weighed = take(STEP_MEMORY * 2 * 3 * k);
    }

    // One iteration of variational EM from a posterior, which may be that of `to`.
    template <class EStep> GPUVGM_CALL void step(const Posterior& from, Point& to, EStep& e_step) {
        kernel_table(prior, from, half, coefficients);
        e_step(components, from.means(), half, coefficients, totals);
        statistics_of(totals, from.means(), half, coefficients, sound, to.statistics);
        const double slack = update(prior, to.statistics, to.posterior);
        to.bound = lower_bound(prior, to.posterior, to.statistics.entropy()) + slack;
    }

    // The first iteration, from the statistics in `trial`.
    template <class EStep> GPUVGM_CALL void begin(EStep& e_step) {
        update(prior, trial, best.posterior);
        step(best.posterior, best, e_step);
    }

    // One accelerated iteration.
    template <class EStep> GPUVGM_CALL void iterate(double least_gain, EStep& e_step) {
        const int k = components, n = 3 * k;
        if (has_trial) {
            update(prior, trial, reached.posterior);
        }
        step(has_trial ? reached.posterior : best.posterior, reached, e_step);
        const double gain = reached.bound - best.bound;
        if (!(gain >= 0)) {
            fall_back();
            return;
        }
        coordinates_of(has_trial ? trial : best.statistics, at);
        const Point before = best;
        best = reached;
        reached = before;
        coordinates_of(best.statistics, end);
        metric_of(k, end, metric);
        for (int i = 0; i < n; ++i) {
            residual[i] = end[i] - at[i];
        }
        remember();
        for (int p = 0; p < pair_count; ++p) {
            const double* pair = pairs + (first_pair + p) % STEP_MEMORY * 2 * n;
            for (int i = 0; i < 2 * n; ++i) {
                weighed[2 * p * n + i] = pair[i] * metric[i % n];
            }
        }
        for (int i = 0; i < n; ++i) {
            last[i] = at[i];
            last_residual[i] = residual[i];
            scaled[i] = residual[i] * metric[i];
            direction[i] = scaled[i];
        }
        has_last = true;
        length = 1.0;
        quasi_newton(n, pair_count, weighed, direction);
        const double expected = 0.5 * inner(n, direction, scaled);
        quiet = (expected > gain ? expected : gain) < least_gain ? quiet + 1 : 0;
        converged = quiet >= PATIENCE;
        has_extra = pair_count > 0;
        for (int i = 0; has_extra && i < n; ++i) {
            extra[i] = direction[i] / larger(metric[i], 1e-300) - residual[i];
        }
        aim();
    }

    GPUVGM_CALL void remember() {
        const int n = 3 * components;
        if (!has_last) {
            return;
        }
        if (pair_count == STEP_MEMORY) {
            first_pair = (first_pair + 1) % STEP_MEMORY;
        } else {
            ++pair_count;
        }
        double* pair = pairs + (first_pair + pair_count - 1) % STEP_MEMORY * 2 * n;
        for (int i = 0; i < n; ++i) {
            pair[i] = at[i] - last[i];
            pair[n + i] = last_residual[i] - residual[i];
        }
    }

    // After a step that lowered the bound: a shorter one, then plain EM; where that lowers it too, the end.
    GPUVGM_CALL void fall_back() {
        if (!has_trial) {
            converged = true;
            return;
        }
        length *= SHORTER;
        if (length < SHORTEST) {
            pair_count = 0;
            has_last = has_extra = false;
        }
        aim();
    }

    // The next trial; none is plain EM.
    GPUVGM_CALL void aim() {
        has_trial = has_extra;
        for (int i = 0; has_trial && i < 3 * components; ++i) {
            direction[i] = length * extra[i];
        }
        if (has_trial) {
            coordinates_of(best.statistics, end);
            move(components, end, direction, trial);
        }
    }
};

}  // namespace
}  // namespace gpuvgm
