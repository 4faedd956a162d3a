//! Clamp to a symmetric range.

use multiversion::multiversion;
use rayon::prelude::*;

const BLOCK: usize = 16 * 1024;

pub fn forward(x: &mut [f32], limit: f32) {
    x.par_chunks_mut(BLOCK).for_each(|x| clamp(x, limit));
}

pub fn backward(d_x: &mut [f32], x: &[f32], limit: f32) {
    d_x.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(d_x, x)| mask(d_x, x, limit));
}

// comparisons, not f32::min and max: those would turn NaN into the limit
#[multiversion(targets = "simd")]
fn clamp(x: &mut [f32], limit: f32) {
    for v in x {
        let low = if *v < -limit { -limit } else { *v };
        *v = if low > limit { limit } else { low };
    }
}

#[multiversion(targets = "simd")]
fn mask(d_x: &mut [f32], x: &[f32], limit: f32) {
    for (d, &v) in d_x.iter_mut().zip(x) {
        *d = if v.abs() > limit { 0.0 } else { *d };
    }
}
