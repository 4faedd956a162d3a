//! Causal attention.

use super::{Cuda, F};
use crate::backend::AttentionDims;
use crate::error::Result;

/// Elements of queries, of keys, and of `lse`.
fn sizes(dims: AttentionDims) -> (usize, usize, usize) {
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    (batch * seq * heads * p, batch * seq * kv_heads * p, batch * heads * seq)
}

pub fn forward(b: &Cuda, out: &mut F, lse: &mut F, q: &F, k: &F, v: &F, dims: AttentionDims) -> Result<()> {
    let (n, kv, rows) = sizes(dims);
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    b.device.attention_forward(out.output(n), lse.output(rows), q.input(n), k.input(kv), v.input(kv), batch, seq, heads, kv_heads, p)
}

/// What the backward pass reads.
pub struct Saved<'a> {
    pub out: &'a F,
    pub lse: &'a F,
    pub q: &'a F,
    pub k: &'a F,
    pub v: &'a F,
    pub d_out: &'a F,
}

pub fn backward(b: &Cuda, d_q: &mut F, d_k: &mut F, d_v: &mut F, saved: Saved<'_>, dims: AttentionDims) -> Result<()> {
    let (n, kv, rows) = sizes(dims);
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    let Saved { out, lse, q, k, v, d_out } = saved;
    b.device.attention_backward(
        d_q.output(n),
        d_k.output(kv),
        d_v.output(kv),
        out.input(n),
        lse.input(rows),
        q.input(n),
        k.input(kv),
        v.input(kv),
        d_out.input(n),
        batch,
        seq,
        heads,
        kv_heads,
        p,
    )
}

pub fn cached(b: &Cuda, out: &mut F, caches: [&mut F; 2], q: &F, k: &F, v: &F, start: usize, dims: AttentionDims) -> Result<()> {
    let (n, kv, _) = sizes(dims);
    let AttentionDims { seq, heads, kv_heads, head_dim: p, .. } = dims;
    let [k_cache, v_cache] = caches.map(|cache| cache.output((start + seq) * kv_heads * p));
    b.device.attention_cached(out.output(n), k_cache, v_cache, q.input(n), k.input(kv), v.input(kv), start, seq, heads, kv_heads, p)
}
