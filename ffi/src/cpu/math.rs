//! Scalar functions and sums that the compiler turns into vector code when inlined into a `multiversion` function. No fused
//! multiply-add: the portable path would call a library for it, and every path gives the same bits this way.

use multiversion::multiversion;

/// Lanes of a vector sum: one fixed order of additions, whatever the width of the machine's registers.
pub const LANES: usize = 16;

/// Below this `exp` is 0 (the true value is under 1.9e-38, and 2^(n-1) would soon leave the normal numbers).
const EXP_LOW: f32 = -86.9;
/// Above this `exp` is infinite, as in exact f32 rounding.
const EXP_HIGH: f32 = 88.722_84;

/// e^x, within 2 ulp: x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor polynomial of degree 7 in r, then 2^n. NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut tail = 1.0 / 5040.0;
    tail = tail * r + 1.0 / 720.0;
    tail = tail * r + 1.0 / 120.0;
    tail = tail * r + 1.0 / 24.0;
    tail = tail * r + 1.0 / 6.0;
    tail = tail * r + 0.5;
    let p = 1.0 + (r + r * r * tail);
    // 2^(n-1), then doubled: n itself may be 128
    let power = f32::from_bits(shifted.to_bits().wrapping_add(126) << 23);
    let y = p * power * 2.0;
    let y = if x < EXP_LOW { 0.0 } else { y };
    if x > EXP_HIGH { f32::INFINITY } else { y }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Adds the lanes by halves.
#[inline(always)]
pub fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `<x, y>`: lane i mod 16 first, then the lanes by halves.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane += x * y;
    }
    fold(lanes)
}

/// Largest element, NaN passed over. Negative infinity for none.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], x[lane]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = larger(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Overwrites `x` with `exp(x - shift)` and returns the sum; NaN when `shift` is infinite or an element is NaN.
#[inline(always)]
pub fn exp_all(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut one = |chunk: &mut [f32; LANES]| {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            lanes[lane] += chunk[lane];
        }
    };
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    chunks.iter_mut().for_each(&mut one);
    if !rest.is_empty() {
        // a padded chunk: up to 15 exponentials one by one would cost more than the rest of a short row
        let mut padded = [f32::NEG_INFINITY; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        one(&mut padded);
        rest.copy_from_slice(&padded[..rest.len()]);
    }
    fold(lanes)
}

/// See [`exp_all`].
#[multiversion(targets = "simd")]
pub fn exp_shifted(x: &mut [f32], shift: f32) -> f32 {
    exp_all(x, shift)
}

/// See [`max`].
#[multiversion(targets = "simd")]
pub fn row_max(x: &[f32]) -> f32 {
    max(x)
}

/// `<x, y>`, see [`dot`].
#[multiversion(targets = "simd")]
pub fn row_dot(x: &[f32], y: &[f32]) -> f32 {
    dot(x, y)
}

/// Multiplies `x` by `factor`.
#[multiversion(targets = "simd")]
pub fn scale(x: &mut [f32], factor: f32) {
    for v in x.iter_mut() {
        *v *= factor;
    }
}

/// Adds `x` into `out`.
#[multiversion(targets = "simd")]
pub fn add_into(out: &mut [f32], x: &[f32]) {
    for (o, &v) in out.iter_mut().zip(x) {
        *o += v;
    }
}
