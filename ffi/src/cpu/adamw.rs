//! AdamW, all parameters in one parallel list of blocks.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Cpu;
use crate::backend::{AdamwStep, AdamwUpdate};

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

struct Block<'a> {
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    g: &'a [f32],
    factors: Factors,
}

pub fn step(updates: &mut [AdamwUpdate<'_, Cpu>], step: AdamwStep) {
    let power = |beta: f32| (beta as f64).powf(step.update as f64);
    let mut blocks = Vec::new();
    for update in updates {
        let factors = Factors {
            grad_scale: step.grad_scale,
            beta1: step.beta1,
            beta2: step.beta2,
            eps: step.eps,
            keep: (1.0 - update.lr as f64 * step.weight_decay as f64) as f32,
            rate: (update.lr as f64 / (1.0 - power(step.beta1))) as f32,
            root: (1.0 / (1.0 - power(step.beta2)).sqrt()) as f32,
        };
        let part = update.at..update.at + update.n;
        let w = update.w[part.clone()].chunks_mut(BLOCK);
        let m = update.m[..update.n].chunks_mut(BLOCK);
        let v = update.v[..update.n].chunks_mut(BLOCK);
        let g = update.g[part].chunks(BLOCK);
        blocks.extend(w.zip(m).zip(v.zip(g)).map(|((w, m), (v, g))| Block { w, m, v, g, factors }));
    }
    blocks.into_par_iter().for_each(step_block);
}

// m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w = keep w - rate m / (root sqrt(v) + eps)
#[multiversion(targets = "simd")]
fn step_block(block: Block<'_>) {
    let Block { w, m, v, g, factors } = block;
    let Factors { grad_scale, beta1, beta2, eps, keep, rate, root } = factors;
    let (m, v, g) = (&mut m[..w.len()], &mut v[..w.len()], &g[..w.len()]);
    for i in 0..w.len() {
        let g = g[i] * grad_scale;
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * (g * g);
        w[i] = keep * w[i] - rate * m[i] / (root * v[i].sqrt() + eps);
    }
}
