//! Fill, copy, add and the sum of squares, in fixed blocks.

use multiversion::multiversion;
use rayon::prelude::*;

use super::math;

/// Elements of one task: 64 KiB of f32.
const BLOCK: usize = 16 * 1024;

pub fn fill(out: &mut [f32], value: f32) {
    out.par_chunks_mut(BLOCK).for_each(|out| out.fill(value));
}

pub fn copy(out: &mut [f32], x: &[f32]) {
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| out.copy_from_slice(x));
}

pub fn add(out: &mut [f32], x: &[f32]) {
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| math::add_into(out, x));
}

pub fn sum_squares(x: &[f32]) -> f64 {
    let blocks: Vec<f64> = x.par_chunks(BLOCK).map(block_sum_squares).collect();
    blocks.into_iter().sum()
}

#[multiversion(targets = "simd")]
pub fn block_sum_squares(x: &[f32]) -> f64 {
    let mut lanes = [0.0f64; math::LANES];
    let (chunks, rest) = x.as_chunks::<{ math::LANES }>();
    for chunk in chunks {
        for lane in 0..math::LANES {
            lanes[lane] += chunk[lane] as f64 * chunk[lane] as f64;
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane += v as f64 * v as f64;
    }
    lanes.into_iter().sum()
}
