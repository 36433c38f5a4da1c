// Logarithm, digamma and log-gamma, and parts of the exponential: the operations of gpuvgm/mixture/special.py one by
// one, hence the same bits.
#pragma once
#include "vgm_math.cuh"

#if !defined(__CUDACC_RTC__)
#include <cmath>
#endif

namespace gpuvgm {
namespace {

constexpr double PER_LN_2 = 1.4426950408889634, LN_2 = 0.6931471805599453;
constexpr double HALF_LOG_2_PI = 0.5 * 1.8378770664093453;
constexpr double LOG_2_HIGH = 6.93147180369123816490e-01;  // has trailing zeros
constexpr double LOG_2_LOW = 1.90821492927058770002e-10;
constexpr double HUGE_ARGUMENT = 1e25;  // from here on the product would overflow, and a shift changes nothing
constexpr int SHIFT = 10;               // arguments are moved up by recurrence until the asymptotic series hold

// Logarithm of mantissa * 2^exponent; the mantissa lies between the root of 0.5 and that of 2.
template <class Real> GPUVGM_FN Real log_of_parts(Real mantissa, Real exponent) {
    typedef Splat<Real> S;
    const Real f = (mantissa - S::of(1.0)) / (mantissa + S::of(1.0)), q = f * f;
    Real series = S::of(1.0 / 21);  // written out: several numbers at once are done of what has no loop
    series = series * q + S::of(1.0 / 19);
    series = series * q + S::of(1.0 / 17);
    series = series * q + S::of(1.0 / 15);
    series = series * q + S::of(1.0 / 13);
    series = series * q + S::of(1.0 / 11);
    series = series * q + S::of(1.0 / 9);
    series = series * q + S::of(1.0 / 7);
    series = series * q + S::of(1.0 / 5);
    series = series * q + S::of(1.0 / 3);
    series = series * q + S::of(1.0);
    return exponent * S::of(LOG_2_HIGH) + (S::of(2.0) * f * series + exponent * S::of(LOG_2_LOW));
}

// Exponential of x without its factor 2^power; power is the whole number nearest to x / log 2.
GPUVGM_FN double exp_of_rest(double x, double power) {
    const double r = (x - power * LOG_2_HIGH) - power * LOG_2_LOW;
    double series = 1.0 / 6227020800;  // 13!
    series = series * r + 1.0 / 479001600;
    series = series * r + 1.0 / 39916800;
    series = series * r + 1.0 / 3628800;
    series = series * r + 1.0 / 362880;
    series = series * r + 1.0 / 40320;
    series = series * r + 1.0 / 5040;
    series = series * r + 1.0 / 720;
    series = series * r + 1.0 / 120;
    series = series * r + 1.0 / 24;
    series = series * r + 1.0 / 6;
    series = series * r + 1.0 / 2;
    series = series * r + 1.0;
    return series * r + 1.0;
}

GPUVGM_FN double log_of(double x) {
    int power;
    double mantissa = frexp(x, &power);
    if (mantissa < 0.7071067811865476) {
        mantissa = 2 * mantissa;
        power -= 1;
    }
    return log_of_parts(mantissa, (double)power);
}

template <class Real> GPUVGM_CALL Real digamma_of(Real x) {
    typedef Splat<Real> S;
    Real below = S::of(1.0) / (x + S::of(SHIFT - 1));
    for (int i = SHIFT - 2; i >= 0; --i) {
        below = below + S::of(1.0) / (x + S::of(i));
    }
    const Real y = x + S::of(SHIFT), q = S::of(1.0) / y / y;
    Real series = S::of(691.0 / 32760) - q / S::of(12.0);
    series = S::of(1.0 / 132) - q * series;
    series = S::of(1.0 / 240) - q * series;
    series = S::of(1.0 / 252) - q * series;
    series = S::of(1.0 / 120) - q * series;
    series = q * (S::of(1.0 / 12) - q * series);
    return log_of(y) - S::of(0.5) / y - series - below;
}

// Stirling's formula for log-gamma of large numbers.
template <class Real> GPUVGM_FN Real stirling_of(Real y) {
    typedef Splat<Real> S;
    const Real q = S::of(1.0) / y / y;
    Real series = S::of(691.0 / 360360) - q / S::of(156.0);
    series = S::of(1.0 / 1188) - q * series;
    series = S::of(1.0 / 1680) - q * series;
    series = S::of(1.0 / 1260) - q * series;
    series = S::of(1.0 / 360) - q * series;
    series = (S::of(1.0 / 12) - q * series) / y;
    return (y - S::of(0.5)) * log_of(y) - y + S::of(HALF_LOG_2_PI) + series;
}

// x (x + 1) ... (x + SHIFT - 1).
template <class Real> GPUVGM_FN Real rising_product(Real x) {
    Real product = x;
    for (int i = 1; i < SHIFT; ++i) {
        product = product * (x + Splat<Real>::of(i));
    }
    return product;
}

GPUVGM_CALL double gammaln_of(double x) {
    const bool shifted = x < HUGE_ARGUMENT;
    const double stirling = stirling_of(shifted ? x + SHIFT : x);
    return shifted ? stirling - log_of(rising_product(x)) : stirling;
}

// The functions as things that teams are given.
struct Log {
    template <class Real> GPUVGM_FN Real operator()(Real x) const { return log_of(x); }
};
struct Digamma {
    template <class Real> GPUVGM_FN Real operator()(Real x) const { return digamma_of(x); }
};
struct LogGamma {
    template <class Real> GPUVGM_FN Real operator()(Real x) const { return gammaln_of(x); }
};

}  // namespace
}  // namespace gpuvgm
