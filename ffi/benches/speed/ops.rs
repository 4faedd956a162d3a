//! Every operation at the sizes of a model, each with buffers of its own that are gone before the next.

use bowline::backend::{AdamwStep, AdamwUpdate, AttentionDims, Backend, MuonStep, MuonUpdate};
use bowline::cpu::Cpu;

use super::moe;
use super::sizes::{Sizes, random, random_ids};
use super::timing::{Outcome, Work, time};
use Work::{Floats, Flops};

const EPS: f32 = 1e-5;
const THETA: f32 = 10_000.0;
/// Newton-Schulz iterations.
const ITERATIONS: usize = 5;

/// Times all ops on the pool, as a step runs them.
pub fn run(sizes: &Sizes) -> Outcome {
    let cpu = Cpu::new(0)?;
    cpu.install(|| {
        embedding(&cpu, sizes)?;
        rows(&cpu, sizes)?;
        linear(&cpu, sizes, "attention", sizes.d)?;
        linear(&cpu, sizes, "router", sizes.e)?;
        attention(&cpu, sizes)?;
        moe::run(&cpu, sizes)?;
        head(&cpu, sizes)?;
        muon(&cpu, sizes)?;
        adamw(&cpu, sizes)
    })
}

fn embedding(cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, v, d) = (s.t(), s.v, s.d);
    let (mut table, mut out, tokens) = (random(v * d), random(t * d), random_ids(t, v));
    let shape = format!("T {t} D {d}");
    time(s, "embedding_forward", shape.clone(), Floats(2 * t * d), || cpu.embedding_forward(&mut out, &table, &tokens, t, v, d))?;
    time(s, "embedding_backward", shape, Floats(3 * t * d), || cpu.embedding_backward(&mut table, &out, &tokens, t, v, d))
}

/// What works on rows or elements alone.
fn rows(cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, d, n) = (s.t(), s.d, s.t() * s.d);
    let (x, w, mut d_w, mut out, mut other) = (random(n), random(d), random(d), random(n), random(n));
    let shape = format!("T {t} D {d}");
    time(s, "rmsnorm_forward", shape.clone(), Floats(2 * n), || cpu.rmsnorm_forward(&mut out, &x, &w, t, d, EPS))?;
    time(s, "rmsnorm_backward", shape.clone(), Floats(4 * n), || cpu.rmsnorm_backward(&mut other, &mut d_w, &x, &w, &out, t, d, EPS))?;
    let (heads, p) = (s.heads, s.p());
    time(s, "rope_forward", shape.clone(), Floats(2 * n), || cpu.rope_forward(&mut out, 0, s.batch, s.seq, heads, p, THETA))?;
    time(s, "clamp_forward", shape.clone(), Floats(2 * n), || cpu.clamp_forward(&mut out, 8.0, n))?;
    time(s, "clamp_backward", shape.clone(), Floats(3 * n), || cpu.clamp_backward(&mut out, &x, 8.0, n))?;
    time(s, "fill", shape.clone(), Floats(n), || cpu.fill(&mut out, 0.0, n))?;
    time(s, "copy", shape.clone(), Floats(2 * n), || cpu.copy(&mut out, &x, n))?;
    time(s, "add", shape.clone(), Floats(3 * n), || cpu.add(&mut out, &x, n))?;
    time(s, "sum_squares", shape, Floats(n), || cpu.sum_squares(&x, 0, n).map(|_| ()))
}

fn linear(cpu: &Cpu, s: &Sizes, what: &str, o: usize) -> Outcome {
    let (t, i) = (s.t(), s.d);
    let (mut x, mut w, mut out) = (random(t * i), random(o * i), random(t * o));
    let (shape, work) = (format!("{what}: T {t} O {o} I {i}"), || Flops(2 * t * o * i));
    time(s, "linear_forward", shape.clone(), work(), || cpu.linear_forward(&mut out, &x, &w, t, o, i))?;
    time(s, "linear_backward_input", shape.clone(), work(), || cpu.linear_backward_input(&mut x, &out, &w, t, o, i))?;
    time(s, "linear_backward_weight", shape, work(), || cpu.linear_backward_weight(&mut w, &out, &x, t, o, i))
}

fn attention(cpu: &Cpu, s: &Sizes) -> Outcome {
    let (n, heads) = (s.t() * s.d, s.heads);
    let dims = AttentionDims { batch: s.batch, seq: s.seq, heads, kv_heads: heads, head_dim: s.p() };
    let (q, k, v, mut out, mut lse) = (random(n), random(n), random(n), random(n), random(s.t() * heads));
    let shape = format!("B {} S {} H {heads} P {}", s.batch, s.seq, s.p());
    // Causal: (S + 1) / 2 keys per query. Two products forward; backward five: the scores again and four gradients.
    let product = n * (s.seq + 1);
    time(s, "attention_forward", shape.clone(), Flops(2 * product), || cpu.attention_forward(&mut out, &mut lse, &q, &k, &v, dims))?;
    let (d_out, mut d_q, mut d_k, mut d_v) = (random(n), random(n), random(n), random(n));
    time(s, "attention_backward", shape, Flops(5 * product), || {
        cpu.attention_backward(&mut d_q, &mut d_k, &mut d_v, &out, &lse, &q, &k, &v, &d_out, dims)
    })
}

fn head(cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, v, d) = (s.t(), s.v, s.d);
    let (h, w, mut d_h, mut d_w) = (random(t * d), random(v * d), random(t * d), vec![0.0; v * d]);
    let (mut losses, targets, shape) = (random(t), random_ids(t, v), format!("T {t} V {v} D {d}"));
    time(s, "cross_entropy_forward", shape.clone(), Flops(2 * t * v * d), || {
        cpu.cross_entropy_forward(&mut losses, &h, &w, &targets, t, v, d)
    })?;
    let scale = 1.0 / t as f32;
    time(s, "cross_entropy_forward_backward", shape, Flops(6 * t * v * d), || {
        cpu.cross_entropy_forward_backward(&mut losses, &mut d_h, &mut d_w, &h, &w, &targets, scale, t, v, d)
    })
}

/// One bank of experts, and the four matrices of one attention.
fn muon(cpu: &Cpu, s: &Sizes) -> Outcome {
    for (what, count, rows, cols) in [("gate_up", s.e, 2 * s.f, s.d), ("down", s.e, s.d, s.f), ("attention", 4, s.d, s.d)] {
        let size = count * rows * cols;
        let (mut w, mut m, g) = (random(size), vec![0.0; size], random(size));
        let step = MuonStep { momentum: 0.95, weight_decay: 0.1, newton_schulz_steps: ITERATIONS as u32, grad_scale: 1.0 };
        let (short, long) = (rows.min(cols), rows.max(cols));
        // X X^T, G^2 and G X, symmetry not counted, as in the plan's count.
        let flops = count * ITERATIONS * 2 * short * short * (2 * long + short);
        time(s, "muon_step", format!("{what}: {count} x {rows} x {cols}"), Flops(flops), || {
            cpu.muon_step(&mut [MuonUpdate { w: &mut w, m: &mut m, g: &g, at: 0, count, rows, cols, lr: 0.02 }], step)
        })?;
    }
    Ok(())
}

/// The embedding's update, the largest that is AdamW's.
fn adamw(cpu: &Cpu, s: &Sizes) -> Outcome {
    let n = s.v * s.d;
    let (mut w, mut m, mut v, g) = (random(n), vec![0.0; n], vec![0.0; n], random(n));
    let step = AdamwStep { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01, update: 1, grad_scale: 1.0 };
    time(s, "adamw_step", format!("V {} D {}", s.v, s.d), Floats(7 * n), || {
        cpu.adamw_step(&mut [AdamwUpdate { w: &mut w, m: &mut m, v: &mut v, g: &g, at: 0, n, lr: 0.002 }], step)
    })
}
