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

/// The same of a table (V, d) that is 0 but for `rows`: a square of 0 changes no sum, so only places count.
pub fn sum_squares_of_rows(rows: &[f32], row_of_id: &[i32], d: usize) -> f64 {
    let n = row_of_id.len() * d;
    let of_block = |block: usize| {
        let (from, to) = (block * BLOCK, n.min((block + 1) * BLOCK));
        let mut lanes = [0.0f64; math::LANES];
        for (id, &row) in row_of_id.iter().enumerate().take(to.div_ceil(d)).skip(from / d) {
            let Ok(row) = usize::try_from(row) else { continue };
            let first = id * d;
            for at in from.max(first)..to.min(first + d) {
                let x = rows[row * d + at - first] as f64;
                lanes[(at - from) % math::LANES] += x * x;
            }
        }
        lanes.into_iter().sum::<f64>()
    };
    let blocks: Vec<f64> = (0..n.div_ceil(BLOCK)).into_par_iter().map(of_block).collect();
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
