// Variational EM of a mixture of one feature, plain and accelerated: the operations of gpuvgm/mixture/posterior.py,
// statistics.py and em.py one by one and in their order, hence the same bits. Sums over components and coordinates run
// in index order. What a caller hands in is the E-step: a function of means, half precisions and coefficients that
// writes the 3 K + 1 sums over all rows or cells.
//
// A problem is worked on by a team: one thread on the host, a block on a device. All of a team take the same way and
// know the same scalars; `team.each` shares the elements of a vector out, and all wait for each other before and after;
// `team.apply` does so with a function of vgm_special.cuh of groups of as many elements.
#pragma once
#include "vgm_special.cuh"

namespace gpuvgm {

constexpr int STEP_MEMORY = 12;  // steps that the curvature is learnt from

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

// The numbers of a problem of accelerated EM.
struct EMState {
    PriorTable prior;
    bool sound;
    int components;
    Point best, reached;
    Statistics trial;
    double *half, *coefficients, *totals;
    double *at, *end, *residual, *last, *last_residual, *metric, *scaled, *direction, *extra;  // (3 K,)
    double* terms;                                                                             // (4 K,)
    double *along, *share;                                                                     // (STEP_MEMORY,)
    double *pairs, *weighed;  // (STEP_MEMORY, 2, 3 K): a ring, and the same in the metric, in order
    int first_pair, pair_count, quiet;
    bool has_trial, has_last, has_extra, converged;
    double length;

    GPUVGM_FN static constexpr int size(int k) {
        return 3 * Statistics::size(k) + 2 * Posterior::size(k) + 2 * k + 3 * k + 1 + 9 * 3 * k + 4 * k +
               2 * STEP_MEMORY;
    }
    GPUVGM_FN static constexpr int size_of_pairs(int k) { return 2 * STEP_MEMORY * 2 * 3 * k; }
};

namespace {

constexpr double LN_2_PI = 1.8378770664093453;
constexpr double LEAST_COUNT = 10 * 2.220446049250313e-16;  // scikit-learn's guard against empty components
constexpr double LARGE_STICK = 1e7;                         // from here on Stirling's formula is exact enough
constexpr double NO_VARIANCE = 1e-280, LEAST_VARIANCE = 1e-13, LONGEST_STEP = 0.5, ROOT_2 = 1.4142135623730951;
constexpr double LEAST_CURVATURE = 1e-8, SHORTER = 0.25, SHORTEST = 0.2;
constexpr int PATIENCE = 4;

GPUVGM_FN double larger(double a, double b) { return a >= b || a != a ? a : b; }  // NaN stays, as in numpy.maximum

template <class Term> GPUVGM_FN double added(int terms, Term term) {
    double sum = term(0);
#if defined(__CUDACC__)
#pragma unroll 4  // or some compilers write it out for more terms than there are components
#endif
    for (int i = 1; i < terms; ++i) {
        sum = sum + term(i);
    }
    return sum;
}

// ---- M-step and bound: posterior.py --------------------------------------------------------------------------------

// Gives what the bound lacks where a covariance is held up; see `slack` there. `terms` has K numbers.
template <class Team>
GPUVGM_CALL double update(const Team& team, const PriorTable& prior, const Statistics& sums, const Posterior& out,
                          double* terms) {
    const int k = sums.components;
    team.each(k, [&](int i) {
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
    });
    const double* nk = out.degrees_of_freedom();
    team.each(k, [&](int i) {
        const double later = i == k - 1 ? 0.0 : added(k - 1 - i, [&](int j) { return nk[k - 1 - j]; });
        out.weight_a()[i] = (prior.dirichlet ? prior.weight_concentration : 1.0) + nk[i];
        out.weight_b()[i] = prior.weight_concentration + later;
    });
    if (prior.tied) {
        const double mean_nk = added(k, [&](int i) { return nk[i]; }) / k;
        const double mean_scatter = added(k, [&](int i) { return out.covariances()[i]; }) / k;
        team.each(k, [&](int i) {
            out.degrees_of_freedom()[i] = mean_nk;
            out.covariances()[i] = mean_scatter;
        });
    }
    team.each(k, [&](int i) {
        const double degrees_of_freedom = prior.degrees_of_freedom + nk[i];
        const double covariance = (prior.covariance + out.covariances()[i]) / degrees_of_freedom;
        const double held = prior.least_covariance != 0 ? larger(covariance, prior.least_covariance) : covariance;
        out.degrees_of_freedom()[i] = degrees_of_freedom;
        out.covariances()[i] = held;
        terms[i] = 0.5 * degrees_of_freedom * (1 - covariance / held);
    });
    return prior.least_covariance != 0 ? added(k, [&](int i) { return terms[i]; }) : 0.0;
}

// What digamma and log-gamma are taken of: all four of a Dirichlet process, the first two of a distribution.
GPUVGM_FN double argument_of(const Posterior& p, int group, int i) {
    const double a = p.weight_a()[i], b = p.weight_b()[i];
    return group == 0 ? a : group == 1 ? 0.5 * p.degrees_of_freedom()[i] : group == 2 ? b : a + b;
}

// What the row formulas take, to base 2. `terms` has 4 K numbers.
template <class Team>
GPUVGM_CALL void kernel_table(const Team& team, const PriorTable& prior, const Posterior& p, double* half,
                              double* coefficients, double* terms) {
    const int k = p.components;
    const double all = prior.dirichlet ? digamma_of(added(k, [&](int i) { return p.weight_a()[i]; })) : 0.0;
    team.apply(
        Digamma{}, prior.dirichlet ? 2 : 4, k, [&](int group, int i) { return argument_of(p, group, i); }, terms);
    team.apply(Log{}, 1, k, [&](int, int i) { return p.covariances()[i] * p.degrees_of_freedom()[i]; }, half);
    const double *of_b = terms + 2 * k, *of_both = terms + 3 * k;
    team.each(k, [&](int i) {
        double log_weight = terms[i] - (prior.dirichlet ? all : of_both[i]);
        if (!prior.dirichlet) {  // what the sticks before leave of it
            log_weight = log_weight + (i == 0 ? 0.0 : added(i, [&](int j) { return of_b[j] - of_both[j]; }));
        }
        const double log_determinant = -0.5 * half[i], log_precision = LN_2 + terms[k + i];
        half[i] = 0.5 * PER_LN_2 / p.covariances()[i];
        coefficients[i] =
            (log_weight - 0.5 * LN_2_PI + log_determinant + 0.5 * (log_precision - 1 / p.mean_precision()[i])) *
            PER_LN_2;
    });
}

// Logarithm of gamma(a + b) / gamma(b) for large b.
GPUVGM_CALL double rise_of_gammaln(double b, double a) {
    const double t = a / b, f = t / (2 + t), q = f * f;
    const double log1p =
        t < 0.1 ? 2 * f * (1 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q / 11))))) : log_of(1 + t);
    return a * log_of(a + b) - a + (b - 0.5) * log1p;
}

// `terms` has 4 K numbers, `logs` 2 K.
template <class Team>
GPUVGM_CALL double lower_bound(const Team& team, const PriorTable& prior, const Posterior& p, double entropy,
                               double* terms, double* logs) {
    const int k = p.components;
    const double *a = p.weight_a(), *b = p.weight_b();
    const double all = prior.dirichlet ? gammaln_of(added(k, [&](int i) { return a[i]; })) / k : 0.0;
    team.apply(
        LogGamma{}, prior.dirichlet ? 2 : 4, k, [&](int group, int i) { return argument_of(p, group, i); }, terms);
    const auto log_argument = [&](int group, int i) {
        return group == 0 ? p.covariances()[i] * p.degrees_of_freedom()[i] : p.mean_precision()[i];
    };
    team.apply(Log{}, 2, k, log_argument, logs);
    team.each(k, [&](int i) {
        double log_norm = terms[i];
        if (prior.dirichlet) {
            log_norm = log_norm - all;
        } else if (b[i] > LARGE_STICK) {
            log_norm = log_norm + -rise_of_gammaln(b[i], a[i]);
        } else {
            log_norm = log_norm + (terms[2 * k + i] - terms[3 * k + i]);
        }
        const double degrees_of_freedom = p.degrees_of_freedom()[i];
        const double log_determinant = -0.5 * logs[i];
        const double log_wishart =
            -(degrees_of_freedom * log_determinant + 0.5 * degrees_of_freedom * LN_2 + terms[k + i]);
        terms[i] = log_norm - log_wishart - 0.5 * logs[k + i];
    });
    return entropy + added(k, [&](int i) { return terms[i]; });
}

// ---- coordinates of the statistics: statistics.py ------------------------------------------------------------------

// From the sums of an E-step; with `sound`, components of negative counts are empty.
template <class Team>
GPUVGM_CALL void statistics_of(const Team& team, const double* totals, const double* means, const double* half,
                               const double* coefficients, bool sound, const Statistics& out) {
    const int k = out.components;
    const double expected = added(k, [&](int i) { return coefficients[i] * totals[i] - half[i] * totals[2 * k + i]; });
    team.each(k, [&](int i) {
        const double kept = !sound || totals[i] >= 0 ? 1.0 : 0.0;
        out.reference()[i] = means[i];
        out.counts()[i] = totals[i] * kept;
        out.first()[i] = totals[k + i] * kept;
        out.second()[i] = totals[2 * k + i] * kept;
        if (i == 0) {
            out.entropy() = (totals[3 * k] - expected) * LN_2;
        }
    });
}

// Means and standard deviations of the components, none less than a tiny part of that of all rows.
template <class Team>
GPUVGM_CALL void moments_of(const Team& team, const Statistics& sums, double* means, double* deviations) {
    const int k = sums.components;
    const double* counts = sums.counts();
    team.each(k, [&](int i) {
        const double count = counts[i] + LEAST_COUNT, shift = sums.first()[i] / count;
        means[i] = sums.reference()[i] + shift;
        deviations[i] = larger(sums.second()[i] / count - shift * shift, 0.0);
    });
    const double total = added(k, [&](int i) { return counts[i] + LEAST_COUNT; });
    const double centre = added(k, [&](int i) { return (counts[i] + LEAST_COUNT) * means[i]; }) / total;
    const double overall = added(k,
                                 [&](int i) {
                                     const double off = means[i] - centre;
                                     return (counts[i] + LEAST_COUNT) * (deviations[i] + off * off);
                                 }) /
                           total;
    const double floor = overall > NO_VARIANCE ? LEAST_VARIANCE * overall : 1.0;
    team.each(k, [&](int i) { deviations[i] = sqrt(larger(deviations[i], floor)); });
}

// Roots of the counts, means and standard deviations: out has 3 K.
template <class Team> GPUVGM_CALL void coordinates_of(const Team& team, const Statistics& sums, double* out) {
    const int k = sums.components;
    moments_of(team, sums, out + k, out + 2 * k);
    team.each(k, [&](int i) { out[i] = sqrt(sums.counts()[i]); });
}

template <class Team> GPUVGM_CALL void metric_of(const Team& team, int k, const double* coordinates, double* out) {
    team.each(k, [&](int i) {
        const double information = coordinates[i] / coordinates[2 * k + i];
        out[i] = 2.0;
        out[k + i] = information;
        out[2 * k + i] = ROOT_2 * information;
    });
}

// Statistics at other coordinates; a component's root, mean and deviation move by at most half of their size.
template <class Team>
GPUVGM_CALL void move(const Team& team, int k, const double* at, const double* step, const Statistics& out) {
    team.each(k, [&](int i) {
        const double root = at[i], deviation = at[2 * k + i], none = 0.0;
        const double by_root = fabs(step[i]) / (root + LEAST_COUNT), by_mean = fabs(step[k + i]) / deviation;
        const double longest = larger(larger(by_root, by_mean), fabs(step[2 * k + i]) / deviation);
        const double shorter = larger(longest / LONGEST_STEP, 1.0);
        const double moved_root = root + step[i] / shorter, moved_deviation = deviation + step[2 * k + i] / shorter;
        out.reference()[i] = at[k + i] + step[k + i] / shorter;
        out.counts()[i] = moved_root * moved_root;
        out.first()[i] = none;
        out.second()[i] = out.counts()[i] * (moved_deviation * moved_deviation);
    });
}

// ---- accelerated EM: em.py -----------------------------------------------------------------------------------------

GPUVGM_FN double inner(int n, const double* one, const double* other) {
    return added(n, [&](int i) { return one[i] * other[i]; });
}

// Step of limited-memory BFGS by the two-loop recursion; `step` is the residual and becomes the step. Pair p is the
// earlier step at pairs + 2 p n and the fall of the residual along it, the oldest first. `along` and `share` have room
// for a number of each pair.
template <class Team>
GPUVGM_CALL void quasi_newton(const Team& team, int n, int count, const double* pairs, double* step, double* along,
                              double* share) {
    team.each(count, [&](int p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        const double curvature = inner(n, taken, fall);
        const bool used = curvature > LEAST_CURVATURE * sqrt(inner(n, taken, taken)) * sqrt(inner(n, fall, fall));
        along[p] = used ? curvature : 0.0;
    });
    for (int p = count - 1; p >= 0; --p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        if (along[p] != 0) {
            const double by = inner(n, taken, step) / along[p];
            team.each(n, [&](int i) {
                step[i] = step[i] - by * fall[i];
                if (i == 0) {
                    share[p] = by;
                }
            });
        }
    }
    for (int p = 0; p < count; ++p) {
        const double *taken = pairs + 2 * p * n, *fall = taken + n;
        if (along[p] != 0) {
            const double by = share[p] - inner(n, fall, step) / along[p];
            team.each(n, [&](int i) { step[i] = step[i] + by * taken[i]; });
        }
    }
}

// A problem before its first iteration: size(components) numbers in `memory`, size_of_pairs(components) in `pairs`.
GPUVGM_CALL EMState em_state(const PriorTable& prior, bool sound, int k, double* memory, double* pairs) {
    EMState em{};
    em.prior = prior;
    em.sound = sound;
    em.components = k;
    em.length = 1.0;
    em.pairs = pairs;
    em.weighed = pairs + STEP_MEMORY * 2 * 3 * k;
    auto take = [&](int numbers) {
        double* start = memory;
        memory += numbers;
        return start;
    };
    em.best = {{take(Statistics::size(k)), k}, {take(Posterior::size(k)), k}, 0.0};
    em.reached = {{take(Statistics::size(k)), k}, {take(Posterior::size(k)), k}, 0.0};
    em.trial = {take(Statistics::size(k)), k};
    em.half = take(2 * k);  // and coefficients, which the bound uses as room
    em.coefficients = em.half + k;
    em.totals = take(3 * k + 1);
    em.at = take(3 * k);
    em.end = take(3 * k);
    em.residual = take(3 * k);
    em.last = take(3 * k);
    em.last_residual = take(3 * k);
    em.metric = take(3 * k);
    em.scaled = take(3 * k);
    em.direction = take(3 * k);
    em.extra = take(3 * k);
    em.terms = take(4 * k);
    em.along = take(STEP_MEMORY);
    em.share = take(STEP_MEMORY);
    return em;
}

// A team at work on a problem.
template <class Team> struct EM : EMState {
    Team team;

    GPUVGM_FN EM(const Team& team_, const EMState& state) : EMState(state), team(team_) {}

    // One iteration of variational EM from a posterior, which may be that of `to`.
    template <class EStep> GPUVGM_CALL void step(const Posterior& from, Point& to, EStep& e_step) {
        kernel_table(team, prior, from, half, coefficients, terms);
        e_step(components, from.means(), half, coefficients, totals);
        statistics_of(team, totals, from.means(), half, coefficients, sound, to.statistics);
        const double slack = update(team, prior, to.statistics, to.posterior, terms);
        to.bound = lower_bound(team, prior, to.posterior, to.statistics.entropy(), terms, half) + slack;
    }

    // The first iteration, from the statistics in `trial`.
    template <class EStep> GPUVGM_CALL void begin(EStep& e_step) { step(begun(), best, e_step); }

    // One accelerated iteration.
    template <class EStep> GPUVGM_CALL void iterate(double least_gain, EStep& e_step) {
        step(aimed(), reached, e_step);
        judge(least_gain);
    }

    GPUVGM_CALL void exchange() {
        const Point before = best;
        best = reached;
        reached = before;
    }

    // The posterior of the statistics in `trial`, which the first iteration takes its step from.
    GPUVGM_CALL Posterior begun() {
        update(team, prior, trial, best.posterior, terms);
        return best.posterior;
    }

    // The posterior that the next iteration takes its step from: that of the trial, or else the best.
    GPUVGM_CALL Posterior aimed() {
        if (!has_trial) {
            return best.posterior;
        }
        update(team, prior, trial, reached.posterior, terms);
        return reached.posterior;
    }

    // Takes what was reached for the best, if it is, and aims anew.
    GPUVGM_CALL void judge(double least_gain) {
        const int k = components, n = 3 * k;
        const double gain = reached.bound - best.bound;
        if (!(gain >= 0)) {
            fall_back();
            return;
        }
        const Statistics from{has_trial ? trial.values : best.statistics.values,
                              k};  // no reference: it stays in registers
        coordinates_of(team, from, at);
        exchange();
        coordinates_of(team, best.statistics, end);
        metric_of(team, k, end, metric);
        team.each(n, [&](int i) { residual[i] = end[i] - at[i]; });
        remember();
        team.each(n, [&](int i) {
            for (int p = 0; p < pair_count; ++p) {
                const int from = (first_pair + p) % STEP_MEMORY * 2 * n + i, to = 2 * p * n + i;
                weighed[to] = pairs[from] * metric[i];
                weighed[to + n] = pairs[from + n] * metric[i];
            }
            last[i] = at[i];
            last_residual[i] = residual[i];
            scaled[i] = residual[i] * metric[i];
            direction[i] = scaled[i];
        });
        has_last = true;
        length = 1.0;
        quasi_newton(team, n, pair_count, weighed, direction, along, share);
        const double expected = 0.5 * inner(n, direction, scaled);
        quiet = (expected > gain ? expected : gain) < least_gain ? quiet + 1 : 0;
        converged = quiet >= PATIENCE;
        has_extra = pair_count > 0;
        team.each(has_extra ? n : 0, [&](int i) { extra[i] = direction[i] / larger(metric[i], 1e-300) - residual[i]; });
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
        team.each(n, [&](int i) {
            pair[i] = at[i] - last[i];
            pair[n + i] = last_residual[i] - residual[i];
        });
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
        if (has_trial) {
            team.each(3 * components, [&](int i) { direction[i] = length * extra[i]; });
            coordinates_of(team, best.statistics, end);
            move(team, components, end, direction, trial);
        }
    }
};

}  // namespace
}  // namespace gpuvgm
