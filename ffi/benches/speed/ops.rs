//! Every operation at the sizes of a model, each with buffers of its own that are gone before the next.

use bowline::backend::{AdamwStep, AdamwUpdate, AttentionDims, Backend, Gradient, MuonStep, MuonUpdate, TableRows};
use bowline::cpu::Cpu;

use super::moe;
use super::sizes::{Sizes, random, random_tokens};
use super::timing::{Outcome, Timer, Work, with_timer};
use Work::{Floats, Flops};

const EPS: f32 = 1e-5;
const THETA: f32 = 10_000.0;
/// Newton-Schulz iterations.
const ITERATIONS: usize = 5;

/// Times all ops on the pool, as a step runs them.
pub fn run(sizes: &Sizes) -> Outcome {
    let cpu = Cpu::new(0)?;
    cpu.install(|| with_timer(sizes.model, |timer| all(timer, &cpu, sizes)))
}

fn all(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (q_width, kv_width) = (s.heads * s.p(), s.kv_heads * s.p());
    embedding(timer, cpu, s)?;
    rows(timer, cpu, s)?;
    linear(timer, cpu, s, "query", q_width)?;
    if kv_width != q_width {
        linear(timer, cpu, s, "key", kv_width)?;
    }
    router_linear(timer, cpu, s)?;
    attention(timer, cpu, s)?;
    attention_cached(timer, cpu, s)?;
    moe::run(timer, cpu, s)?;
    head(timer, cpu, s)?;
    muon(timer, cpu, s)?;
    adamw(timer, cpu, s)
}

fn embedding(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, v, d) = (s.t(), s.v, s.d);
    let (mut table, mut out, tokens) = (random(v * d), random(t * d), random_tokens(t, v));
    let shape = format!("T {t} D {d}");
    timer.time("embedding_forward", shape.clone(), Floats(2 * t * d), || cpu.embedding_forward(&mut out, &table, &tokens, t, v, d))?;
    timer.time("embedding_backward", shape, Floats(3 * t * d), || cpu.embedding_backward(&mut table, &out, &tokens, t, v, d))?;
    let kept = t.min(v);
    let row_of_id: Vec<i32> = (0..v as i32).map(|id| if id < kept as i32 { id } else { -1 }).collect();
    timer.time("sum_squares_of_rows", format!("V {v} R {kept} D {d}"), Floats(kept * d), || {
        cpu.sum_squares_of_rows(TableRows { rows: &out, row_of_id: &row_of_id, d }).map(|_| ())
    })
}

/// What works on rows or elements alone.
fn rows(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, d, n) = (s.t(), s.d, s.t() * s.d);
    let (x, w, mut d_w, mut out, mut other) = (random(n), random(d), random(d), random(n), random(n));
    let (heads, p, shape) = (s.heads, s.p(), format!("T {t} D {d}"));
    timer.time("rmsnorm_forward", shape.clone(), Floats(2 * n), || cpu.rmsnorm_forward(&mut out, &x, &w, t, d, EPS))?;
    timer.time("rmsnorm_backward", shape.clone(), Floats(4 * n), || cpu.rmsnorm_backward(&mut other, &mut d_w, &x, &w, &out, t, d, EPS))?;
    if s.is_norm_by_head {
        let (rows, shape) = (t * heads, format!("T {t} H {heads} P {p}"));
        timer.time("rmsnorm_forward", shape.clone(), Floats(2 * n), || cpu.rmsnorm_forward(&mut out, &x, &w, rows, p, EPS))?;
        timer.time("rmsnorm_backward", shape, Floats(4 * n), || cpu.rmsnorm_backward(&mut other, &mut d_w, &x, &w, &out, rows, p, EPS))?;
    }
    timer.time("rope_forward", shape.clone(), Floats(2 * n), || cpu.rope_forward(&mut out, 0, s.batch, s.seq, heads, p, THETA))?;
    timer.time("rope_backward", shape.clone(), Floats(2 * n), || cpu.rope_backward(&mut out, 0, s.batch, s.seq, heads, p, THETA))?;
    timer.time("clamp_forward", shape.clone(), Floats(2 * n), || cpu.clamp_forward(&mut out, 8.0, n))?;
    timer.time("clamp_backward", shape.clone(), Floats(3 * n), || cpu.clamp_backward(&mut out, &x, 8.0, n))?;
    timer.time("fill", shape.clone(), Floats(n), || cpu.fill(&mut out, 0.0, n))?;
    timer.time("copy", shape.clone(), Floats(2 * n), || cpu.copy(&mut out, &x, n))?;
    timer.time("add", shape.clone(), Floats(3 * n), || cpu.add(&mut out, &x, n))?;
    timer.time("sum_squares", shape, Floats(n), || cpu.sum_squares(&x, 0, n).map(|_| ()))
}

fn linear(timer: &mut Timer, cpu: &Cpu, s: &Sizes, what: &str, o: usize) -> Outcome {
    let (t, i) = (s.t(), s.d);
    let (mut x, mut w, mut out) = (random(t * i), random(o * i), random(t * o));
    let (shape, work) = (format!("{what}: T {t} O {o} I {i}"), || Flops(2 * t * o * i));
    timer.time("linear_forward", shape.clone(), work(), || cpu.linear_forward(&mut out, &x, &w, t, o, i))?;
    timer.time("linear_backward_input", shape.clone(), work(), || cpu.linear_backward_input(&mut x, &out, &w, t, o, i))?;
    timer.time("linear_backward_weight", shape, work(), || cpu.linear_backward_weight(&mut w, &out, &x, t, o, i))
}

fn router_linear(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, o, i) = (s.t(), s.e, s.d);
    let (mut x, mut w, mut out) = (random(t * i), random(o * i), random(t * o));
    let (shape, work) = (format!("T {t} O {o} I {i}"), || Flops(2 * t * o * i));
    timer.time("router_linear_forward", shape.clone(), work(), || cpu.router_linear_forward(&mut out, &x, &w, t, o, i))?;
    timer.time("router_linear_backward_input", shape.clone(), work(), || cpu.router_linear_backward_input(&mut x, &out, &w, t, o, i))?;
    timer.time("router_linear_backward_weight", shape, work(), || cpu.router_linear_backward_weight(&mut w, &out, &x, t, o, i))
}

fn attention(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (n, kv, heads, kv_heads) = (s.t() * s.d, s.t() * s.kv_heads * s.p(), s.heads, s.kv_heads);
    let dims = AttentionDims { batch: s.batch, seq: s.seq, heads, kv_heads, head_dim: s.p() };
    let (q, k, v, mut out, mut lse) = (random(n), random(kv), random(kv), random(n), random(s.t() * heads));
    let shape = format!("B {} S {} H {heads} KV {kv_heads} P {}", s.batch, s.seq, s.p());
    // Causal: (S + 1) / 2 keys per query. Two products forward; backward five: the scores again and four gradients.
    let product = n * (s.seq + 1);
    timer.time("attention_forward", shape.clone(), Flops(2 * product), || cpu.attention_forward(&mut out, &mut lse, &q, &k, &v, dims))?;
    let (d_out, mut d_q, mut d_k, mut d_v) = (random(n), random(n), random(kv), random(kv));
    timer.time("attention_backward", shape, Flops(5 * product), || {
        cpu.attention_backward(&mut d_q, &mut d_k, &mut d_v, &out, &lse, &q, &k, &v, &d_out, dims)
    })
}

/// One token at the end of a full window, as in generation.
fn attention_cached(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (row, kv, heads, kv_heads, seq) = (s.d, s.kv_heads * s.p(), s.heads, s.kv_heads, s.seq);
    let dims = AttentionDims { batch: 1, seq: 1, heads, kv_heads, head_dim: s.p() };
    let (q, k, v, mut out) = (random(row), random(kv), random(kv), random(row));
    let (mut k_cache, mut v_cache) = (random(seq * kv), random(seq * kv));
    let shape = format!("S {seq} H {heads} KV {kv_heads} P {}", s.p());
    timer.time("attention_cached", shape, Floats(2 * seq * kv), || {
        cpu.attention_cached(&mut out, &mut k_cache, &mut v_cache, &q, &k, &v, seq - 1, dims)
    })
}

fn head(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, v, d) = (s.t(), s.v, s.d);
    let (h, w, mut d_h, mut d_w) = (random(t * d), random(v * d), random(t * d), vec![0.0; v * d]);
    let (mut losses, targets, shape) = (random(t), random_tokens(t, v), format!("T {t} V {v} D {d}"));
    timer.time("cross_entropy_forward", shape.clone(), Flops(2 * t * v * d), || {
        cpu.cross_entropy_forward(&mut losses, &h, &w, &targets, t, v, d)
    })?;
    let scale = 1.0 / t as f32;
    timer.time("cross_entropy_forward_backward", shape, Flops(6 * t * v * d), || {
        cpu.cross_entropy_forward_backward(&mut losses, &mut d_h, &mut d_w, &h, &w, &targets, scale, t, v, d)
    })
}

/// One bank of experts, and the matrices of one attention that are square.
fn muon(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    for (what, count, rows, cols) in
        [("gate_up", s.e, 2 * s.f, s.d), ("down", s.e, s.d, s.f), ("attention", if s.kv_heads == s.heads { 4 } else { 2 }, s.d, s.d)]
    {
        let size = count * rows * cols;
        let (mut w, mut m, g) = (random(size), vec![0.0; size], random(size));
        let step = MuonStep { momentum: 0.95, weight_decay: 0.1, newton_schulz_steps: ITERATIONS as u32, grad_scale: 1.0 };
        let (short, long) = (rows.min(cols), rows.max(cols));
        // X X^T, G^2 and G X, symmetry not counted, as in the plan's count.
        let flops = count * ITERATIONS * 2 * short * short * (2 * long + short);
        timer.time("muon_step", format!("{what}: {count} x {rows} x {cols}"), Flops(flops), || {
            cpu.muon_step(&mut [MuonUpdate { w: &mut w, m: &mut m, g: &g, at: 0, count, rows, cols, lr: 0.02 }], step)
        })?;
    }
    Ok(())
}

/// The embedding's update, the largest that is AdamW's.
fn adamw(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let n = s.v * s.d;
    let (mut w, mut m, mut v, g) = (random(n), vec![0.0; n], vec![0.0; n], random(n));
    let step = AdamwStep { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01, update: 1, grad_scale: 1.0 };
    timer.time("adamw_step", format!("V {} D {}", s.v, s.d), Floats(7 * n), || {
        cpu.adamw_step(&mut [AdamwUpdate { w: &mut w, m: &mut m, v: &mut v, g: Gradient::Whole(&g), at: 0, n, lr: 0.002 }], step)
    })
}
