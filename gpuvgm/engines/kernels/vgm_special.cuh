// Logarithm, digamma and log-gamma, and parts of the exponential: the operations of gpuvgm/mixture/special.py one by
// one, hence the same bits.
#pragma once
#include "vgm_math.cuh"

#if !defined(__CUDACC_RTC__)
#include <cmath>
#endif

namespace gpuvgm {
namespace {

constexpr double PER_LN_2 = 1.4426950408889634;
constexpr double HALF_LOG_2_PI = 0.5 * 1.8378770664093453;
constexpr double LOG_2_HIGH = 6.93147180369123816490e-01;  // has trailing zeros
constexpr double LOG_2_LOW = 1.90821492927058770002e-10;
constexpr double HUGE_ARGUMENT = 1e25;  // from here on the product would overflow, and a shift changes nothing
constexpr int SHIFT = 10;               // arguments are moved up by recurrence until the asymptotic series hold

// Logarithm of mantissa * 2^exponent; the mantissa lies between the root of 0.5 and that of 2.
GPUVGM_FN double log_of_parts(double mantissa, double exponent) {
    const double f = (mantissa - 1) / (mantissa + 1), q = f * f;
    double series = 1.0 / 21;  // written out: several numbers at once are done of what has no loop
    series = series * q + 1.0 / 19;
    series = series * q + 1.0 / 17;
    series = series * q + 1.0 / 15;
    series = series * q + 1.0 / 13;
    series = series * q + 1.0 / 11;
    series = series * q + 1.0 / 9;
    series = series * q + 1.0 / 7;
    series = series * q + 1.0 / 5;
    series = series * q + 1.0 / 3;
    series = series * q + 1.0;
    return exponent * LOG_2_HIGH + (2 * f * series + exponent * LOG_2_LOW);
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
    return log_of_parts(mantissa, power);
}

GPUVGM_CALL double digamma_of(double x) {
    double below = 1 / (x + (SHIFT - 1));
    for (int i = SHIFT - 2; i >= 0; --i) {
        below = below + 1 / (x + i);
    }
    const double y = x + SHIFT, q = 1 / y / y;
    const double series =
        q * (1.0 / 12 -
             q * (1.0 / 120 - q * (1.0 / 252 - q * (1.0 / 240 - q * (1.0 / 132 - q * (691.0 / 32760 - q / 12))))));
    return log_of(y) - 0.5 / y - series - below;
}

GPUVGM_CALL double gammaln_of(double x) {
    const bool shifted = x < HUGE_ARGUMENT;
    double product = shifted ? x : 1.0;
    for (int i = 1; shifted && i < SHIFT; ++i) {
        product = product * (x + i);
    }
    const double y = shifted ? x + SHIFT : x, q = 1 / y / y;
    const double series =
        (1.0 / 12 -
         q * (1.0 / 360 - q * (1.0 / 1260 - q * (1.0 / 1680 - q * (1.0 / 1188 - q * (691.0 / 360360 - q / 156)))))) /
        y;
    const double stirling = (y - 0.5) * log_of(y) - y + HALF_LOG_2_PI + series;
    return shifted ? stirling - log_of(product) : stirling;
}

}  // namespace
}  // namespace gpuvgm
