//! AdamW, the blocks of all parameters side by side.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Cpu;
use crate::backend::{AdamwStep, AdamwUpdate, Gradient, TableRows};

const BLOCK: usize = 16 * 1024;

/// Factors of one parameter, from f64.
#[derive(Clone, Copy)]
struct Factors {
    grad_scale: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    /// 1 - lr * weight_decay
    keep: f32,
    /// lr / (1 - beta1^update)
    rate: f32,
    /// 1 / sqrt(1 - beta2^update)
    root: f32,
}

impl Factors {
    fn new(step: AdamwStep, lr: f32) -> Self {
        let power = |beta: f32| (beta as f64).powf(step.update as f64);
        Factors {
            grad_scale: step.grad_scale,
            beta1: step.beta1,
            beta2: step.beta2,
            eps: step.eps,
            keep: (1.0 - lr as f64 * step.weight_decay as f64) as f32,
            rate: (lr as f64 / (1.0 - power(step.beta1))) as f32,
            root: (1.0 / (1.0 - power(step.beta2)).sqrt()) as f32,
        }
    }
}

/// The gradient of rows that have none.
static ZEROS: [f32; BLOCK] = [0.0; BLOCK];

pub fn step(updates: &mut [AdamwUpdate<'_, Cpu>], step: AdamwStep) {
    updates.par_iter_mut().for_each(|AdamwUpdate { w, m, v, g, at, n, lr }| {
        let (factors, part) = (Factors::new(step, *lr), *at..*at + *n);
        let (w, m, v) = (&mut w[part.clone()], &mut m[..*n], &mut v[..*n]);
        match g {
            Gradient::Whole(g) => {
                let blocks = w.par_chunks_mut(BLOCK).zip(m.par_chunks_mut(BLOCK)).zip(v.par_chunks_mut(BLOCK));
                blocks.zip(g[part].par_chunks(BLOCK)).for_each(|(((w, m), v), g)| step_block(w, m, v, g, factors));
            }
            Gradient::Rows(TableRows { rows, row_of_id, d }) => {
                let rows_of = |row: i32| usize::try_from(row).ok().map(|row| &rows[row * *d..][..*d]);
                let table = w.par_chunks_mut(*d).zip(m.par_chunks_mut(*d)).zip(v.par_chunks_mut(*d));
                let table = table.zip(row_of_id.par_iter()).with_min_len((BLOCK / *d).max(1));
                table.for_each(|(((w, m), v), &row)| step_row(w, m, v, rows_of(row), factors));
            }
        }
    });
}

fn step_row(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: Option<&[f32]>, factors: Factors) {
    let Some(g) = g else {
        let parts = w.chunks_mut(BLOCK).zip(m.chunks_mut(BLOCK)).zip(v.chunks_mut(BLOCK));
        return parts.for_each(|((w, m), v)| step_block(w, m, v, &ZEROS[..], factors));
    };
    step_block(w, m, v, g, factors);
}

// m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w = keep w - rate m / (root sqrt(v) + eps)
#[multiversion(targets = "simd")]
fn step_block(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], factors: Factors) {
    let Factors { grad_scale, beta1, beta2, eps, keep, rate, root } = factors;
    let (m, v, g) = (&mut m[..w.len()], &mut v[..w.len()], &g[..w.len()]);
    for i in 0..w.len() {
        let g = g[i] * grad_scale;
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * (g * g);
        w[i] = keep * w[i] - rate * m[i] / (root * v[i].sqrt() + eps);
    }
}
