//! Special functions behind the intervals and tests: the normal quantile, and the binomial
//! distribution with its tail and the tail's inverse.
//!
//! Every parameter here is a count, so the beta function is never needed apart from the binomial
//! probability, and that one keeps its precision for large counts where differences of `ln gamma`
//! lose it. Counts are passed as `f64`; they are exact up to 2^53.

use std::f64::consts::PI;

/// The standard normal quantile of `probability`, which lies between 0 and 1, both excluded.
///
/// Wichura (1988), Algorithm AS 241, routine PPND16: relative error about 1e-16.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    let q = probability - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(&CENTRE, r);
    }
    let tail = if q < 0.0 { probability } else { 1.0 - probability };
    let r = (-tail.ln()).sqrt();
    let quantile = if r <= 5.0 { ratio(&MIDDLE, r - 1.6) } else { ratio(&FAR, r - 5.0) };
    quantile.copysign(q)
}

/// A rational function: coefficients of the numerator and of the denominator, constants first.
type Rational = ([f64; 8], [f64; 8]);

fn ratio((above, below): &Rational, x: f64) -> f64 {
    let polynomial =
        |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(above) / polynomial(below)
}

/// |p - 0.5| up to 0.425.
const CENTRE: Rational = (
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
);

/// Tails down to exp(-25).
const MIDDLE: Rational = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);

/// Tails further out.
const FAR: Rational = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

/// The probability of exactly `k` hits in `n` trials that each hit with probability `x`.
///
/// Loader (2000), "Fast and Accurate Computation of Binomial Probabilities": the saddle point, so
/// that nothing large is subtracted from something large.
pub(super) fn binomial(k: f64, n: f64, x: f64) -> f64 {
    if k == 0.0 {
        return (n * (-x).ln_1p()).exp();
    }
    if k == n {
        return (n * x.ln()).exp();
    }
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(k, n * x)
        - deviance(n - k, n * (1.0 - x));
    exponent.exp() * (n / (2.0 * PI * k * (n - k))).sqrt()
}

/// `ln n! - ln(sqrt(2 pi n) (n/e)^n)` for a whole `n` from 1.
fn stirling_error(n: f64) -> f64 {
    if n > 15.0 {
        let square = n * n;
        let series = [1.0 / 1188.0, 1.0 / 1680.0, 1.0 / 1260.0, 1.0 / 360.0, 1.0 / 12.0];
        return series.iter().fold(0.0, |sum, coefficient| coefficient - sum / square) / n;
    }
    let mut factorial = 1.0;
    let mut factor = 2.0;
    while factor <= n {
        factorial *= factor;
        factor += 1.0;
    }
    f64::ln(factorial) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln()
}

/// `x ln(x/m) + m - x`, by its series where `x` and `m` are close: Loader's `bd0`.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    for odd in (3..1000).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The probability of at least `k` hits in `n` trials that each hit with probability `x`, for `k`
/// from 1 to `n`: the regularised incomplete beta function `I_x(k, n - k + 1)`.
///
/// The work grows at most as the square root of `n`.
pub(super) fn binomial_tail(k: f64, n: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let (a, b) = (k, n - k + 1.0);
    let y = 1.0 - x;
    let tail = if x <= (a + 1.0) / (a + b + 2.0) {
        binomial(k, n, x) * y * continued_fraction(a, b, x)
    } else {
        1.0 - binomial(k, n, x) * y * (a / b) * continued_fraction(b, a, y)
    };
    tail.clamp(0.0, 1.0)
}

/// The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    let mut m = 1.0;
    loop {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + coefficient * d);
            c = away_from_zero(1.0 + coefficient / c);
            step = c * d;
            fraction *= step;
        }
        // The bound on `m` is beyond what counts of 2^53 need; it only makes the end certain.
        if (step - 1.0_f64).abs() <= f64::EPSILON || m > 1e9 {
            return fraction;
        }
        m += 1.0;
    }
}

/// The `x` at which [`binomial_tail`] of `k` and `n` is `probability` (between 0 and 1, both
/// excluded); `start` is a first guess.
///
/// Newton's steps inside a bracket that always closes (Numerical Recipes 9.4, `rtsafe`).
pub(super) fn binomial_tail_inverse(k: f64, n: f64, probability: f64, start: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = if start > 0.0 && start < 1.0 { start } else { 0.5 };
    // 1100 halvings lead from 1 to the smallest number; Newton needs about five.
    for _ in 0..1100 {
        let excess = binomial_tail(k, n, x) - probability;
        let step = excess / (binomial(k, n, x) * k / x);
        if excess == 0.0 || step.abs() <= 4.0 * f64::EPSILON * x {
            return x;
        }
        if excess > 0.0 {
            high = x
        } else {
            low = x
        }
        let newton = x - step;
        x = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if x <= low || x >= high {
            return x;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_sum_of_its_probabilities() {
        for n in 1..40u32 {
            for k in 1..=n {
                for x in [1e-9, 0.01, 0.3, 0.5, 0.9, 1.0 - 1e-9] {
                    let n = f64::from(n);
                    let sum: f64 = (k..=40)
                        .map(f64::from)
                        .filter(|&j| j <= n)
                        .map(|j| binomial(j, n, x))
                        .sum();
                    let tail = binomial_tail(f64::from(k), n, x);
                    assert!((sum - tail).abs() < 1e-13, "{k} {n} {x}: {sum} {tail}");
                }
            }
        }
    }

    #[test]
    fn the_inverse_comes_back_for_counts_of_any_size() {
        for n in [1.0, 2.0, 17.0, 1e3, 1e6, 1e9] {
            for k in [1.0, (n / 3.0_f64).ceil(), n] {
                for probability in [1e-9, 0.025, 0.5, 0.999] {
                    let x = binomial_tail_inverse(k, n, probability, 0.5);
                    let back = binomial_tail(k, n, x);
                    assert!((back / probability - 1.0).abs() < 1e-6, "{k} {n} {probability} {x}");
                }
            }
        }
    }
}
