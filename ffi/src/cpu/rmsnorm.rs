//! Root-mean-square norm of rows. The backward pass computes `rstd` again: it costs one sum, less than keeping it.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{math, row_block};

pub fn forward(out: &mut [f32], x: &[f32], w: &[f32], d: usize, eps: f32) {
    let block = row_block(d) * d;
    out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| forward_rows(out, x, w, eps));
}

/// Adds into `d_x` and `d_w`. The sum over rows in `d_w` goes by fixed blocks of rows, then over the blocks in order.
pub fn backward(d_x: &mut [f32], d_w: &mut [f32], x: &[f32], w: &[f32], d_out: &[f32], d: usize, eps: f32) {
    let block = row_block(d) * d;
    let tasks = d_x.par_chunks_mut(block).zip(x.par_chunks(block)).zip(d_out.par_chunks(block));
    let partial: Vec<Vec<f32>> = tasks
        .map(|((d_x, x), d_out)| {
            let mut d_w = vec![0.0; d];
            backward_rows(d_x, &mut d_w, x, w, d_out, eps);
            d_w
        })
        .collect();
    for block in &partial {
        math::add_into(d_w, block);
    }
}

#[inline(always)]
fn rstd(x: &[f32], eps: f32) -> f32 {
    1.0 / (math::dot(x, x) / x.len() as f32 + eps).sqrt()
}

#[multiversion(targets = "simd")]
fn forward_rows(out: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    let d = w.len();
    for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
        let rstd = rstd(x, eps);
        for i in 0..d {
            out[i] = x[i] * rstd * w[i];
        }
    }
}

// y_i = x_i r w_i with r = (mean x^2 + eps)^(-1/2), so with s_i = w_i d_y_i
// d_x_i = r (s_i - x_i r^2 mean_j(x_j s_j)) and d_w_i = sum over rows of x_i r d_y_i
#[multiversion(targets = "simd")]
fn backward_rows(d_x: &mut [f32], d_w: &mut [f32], x: &[f32], w: &[f32], d_out: &[f32], eps: f32) {
    let d = w.len();
    let mut s = vec![0.0; d];
    for ((d_x, x), d_out) in d_x.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(d_out.chunks_exact(d)) {
        let rstd = rstd(x, eps);
        for (s, (&w, &d_out)) in s.iter_mut().zip(w.iter().zip(d_out)) {
            *s = w * d_out;
        }
        let pull = math::dot(x, &s) / d as f32 * rstd * rstd;
        for ((d_x, &x), &s) in d_x.iter_mut().zip(x).zip(&s) {
            *d_x += rstd * (s - x * pull);
        }
        for ((d_w, &x), &d_out) in d_w.iter_mut().zip(x).zip(d_out) {
            *d_w += x * rstd * d_out;
        }
    }
}
