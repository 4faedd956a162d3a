//! The attention half of a site: `h += wo(attention(rope(clamp(norm(wq x)))))` with `x = norm(h)`. An adapter adds
//! `b a x` to the raw projections of q and k.
//!
//! Kept for the backward pass: the site's input, the raw projections and the attention's output. Norm, clamp and rotation of
//! q, k and v are cheap and are computed again.

use crate::backend::{AttentionDims, Backend, Memory};
use crate::error::Result;
use crate::layout::{AdapterUse, AttentionUse};
use crate::plan::QkNorm;

/// All that backward may read of the forward pass.
pub struct AttentionSaved<B: Memory> {
    /// (T, D) the site's input
    pub h_in: B::F,
    /// (T, H*P) and (T, Hkv*P) projections before norm, clamp and rotation
    q: B::F,
    k: B::F,
    v: B::F,
    /// (T, H*P)
    out: B::F,
    /// (B, H, S)
    lse: B::F,
}

/// Buffers whose content does not outlive a call.
pub struct AttentionScratch<B: Memory> {
    /// (T, D)
    x: B::F,
    pub(super) d_x: B::F,
    /// (T, H*P), (T, Hkv*P): ready for attention
    q: B::F,
    k: B::F,
    v: B::F,
    d_out: B::F,
    d_q: B::F,
    d_k: B::F,
    d_v: B::F,
    /// Gradient of the raw projections.
    d_q_raw: B::F,
    d_k_raw: B::F,
    /// (T, R) the adapter's inner vector.
    low: B::F,
    d_low: B::F,
}

impl<B: Memory> AttentionSaved<B> {
    /// Room for `t` tokens.
    pub fn new(b: &B, site: &AttentionUse, d: usize, t: usize) -> Result<Self> {
        let (q, kv) = (t * site.q_width(), t * site.kv_width());
        Ok(AttentionSaved {
            h_in: b.zeros(t * d)?,
            q: b.zeros(q)?,
            k: b.zeros(kv)?,
            v: b.zeros(kv)?,
            out: b.zeros(q)?,
            lse: b.zeros(t * site.heads)?,
        })
    }
}

impl<B: Memory> AttentionScratch<B> {
    /// Room for `t` tokens of the widest site; gradients only when `train`.
    pub fn new(b: &B, sites: impl Iterator<Item = AttentionUse> + Clone, d: usize, t: usize, train: bool) -> Result<Self> {
        let q = t * sites.clone().map(|s| s.q_width()).max().unwrap_or(0);
        let kv = t * sites.clone().map(|s| s.kv_width()).max().unwrap_or(0);
        let low = t * sites.filter_map(|s| s.adapter).map(|a| a.rank).max().unwrap_or(0);
        let grad = |n: usize| b.zeros(if train { n } else { 0 });
        Ok(AttentionScratch {
            x: b.zeros(t * d)?,
            d_x: grad(t * d)?,
            q: b.zeros(q)?,
            k: b.zeros(kv)?,
            v: b.zeros(kv)?,
            d_out: grad(q)?,
            d_q: grad(q)?,
            d_k: grad(kv)?,
            d_v: grad(kv)?,
            d_q_raw: grad(q)?,
            d_k_raw: grad(kv)?,
            low: b.zeros(low)?,
            d_low: grad(low)?,
        })
    }
}

/// Overwrites `out` with a raw q or k made ready up to the clamp: the norm's output, or a copy.
fn normed<B: Backend>(b: &B, out: &mut B::F, raw: &B::F, gain: Option<&B::F>, site: &AttentionUse, t: usize, width: usize) -> Result<()> {
    match (site.options.qk_norm, gain) {
        (QkNorm::Whole, Some(w)) => b.rmsnorm_forward(out, raw, w, t, width, site.options.eps),
        (QkNorm::Head, Some(w)) => b.rmsnorm_forward(out, raw, w, t * width / site.head_dim, site.head_dim, site.options.eps),
        _ => b.copy(out, raw, t * width),
    }
}

/// Norm, clamp and rotation of q and k, clamp of v, from the raw projections into the scratch.
fn prepare<B: Backend>(
    b: &B,
    scratch: &mut AttentionScratch<B>,
    raw: [&B::F; 3],
    weights: &[B::F],
    site: &AttentionUse,
    start: usize,
    dims: AttentionDims,
) -> Result<()> {
    let (t, q_width, kv_width) = (dims.batch * dims.seq, site.q_width(), site.kv_width());
    let gains = site.qk_norm.map(|(q, k)| (&weights[q], &weights[k]));
    normed(b, &mut scratch.q, raw[0], gains.map(|g| g.0), site, t, q_width)?;
    normed(b, &mut scratch.k, raw[1], gains.map(|g| g.1), site, t, kv_width)?;
    b.copy(&mut scratch.v, raw[2], t * kv_width)?;
    if let Some(limit) = site.options.clamp {
        b.clamp_forward(&mut scratch.q, limit, t * q_width)?;
        b.clamp_forward(&mut scratch.k, limit, t * kv_width)?;
        b.clamp_forward(&mut scratch.v, limit, t * kv_width)?;
    }
    b.rope_forward(&mut scratch.q, start, dims.batch, dims.seq, site.heads, site.head_dim, site.options.rope_theta)?;
    b.rope_forward(&mut scratch.k, start, dims.batch, dims.seq, site.kv_heads, site.head_dim, site.options.rope_theta)
}

/// Adds the attention's output to the residual stream `h` (T, D).
pub fn forward<B: Backend>(
    b: &B,
    h: &mut B::F,
    saved: &mut AttentionSaved<B>,
    scratch: &mut AttentionScratch<B>,
    weights: &[B::F],
    site: &AttentionUse,
    d: usize,
    dims: AttentionDims,
) -> Result<()> {
    let t = dims.batch * dims.seq;
    b.copy(&mut saved.h_in, h, t * d)?;
    project(b, [&mut saved.q, &mut saved.k, &mut saved.v], scratch, h, weights, site, d, t)?;
    prepare(b, scratch, [&saved.q, &saved.k, &saved.v], weights, site, 0, dims)?;
    b.attention_forward(&mut saved.out, &mut saved.lse, &scratch.q, &scratch.k, &scratch.v, dims)?;
    b.linear_forward(&mut scratch.x, &saved.out, &weights[site.wo], t, d, site.q_width())?;
    b.add(h, &scratch.x, t * d)
}

/// The same for new positions `start..` of one sequence, over a cache of keys and values (capacity, Hkv, P).
pub fn forward_cached<B: Backend>(
    b: &B,
    h: &mut B::F,
    cache: (&mut B::F, &mut B::F),
    saved: &mut AttentionSaved<B>,
    scratch: &mut AttentionScratch<B>,
    weights: &[B::F],
    site: &AttentionUse,
    d: usize,
    start: usize,
    t: usize,
) -> Result<()> {
    let dims = site.dims(1, t);
    project(b, [&mut saved.q, &mut saved.k, &mut saved.v], scratch, h, weights, site, d, t)?;
    prepare(b, scratch, [&saved.q, &saved.k, &saved.v], weights, site, start, dims)?;
    b.attention_cached(&mut saved.out, cache.0, cache.1, &scratch.q, &scratch.k, &scratch.v, start, dims)?;
    b.linear_forward(&mut scratch.x, &saved.out, &weights[site.wo], t, d, site.q_width())?;
    b.add(h, &scratch.x, t * d)
}

/// Overwrites q, k and v with the projections of `x = norm(h)`.
fn project<B: Backend>(
    b: &B,
    out: [&mut B::F; 3],
    scratch: &mut AttentionScratch<B>,
    h: &B::F,
    weights: &[B::F],
    site: &AttentionUse,
    d: usize,
    t: usize,
) -> Result<()> {
    let ([q, k, v], x) = (out, &mut scratch.x);
    b.rmsnorm_forward(x, h, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.linear_forward(q, x, &weights[site.wq], t, site.q_width(), d)?;
    b.linear_forward(k, x, &weights[site.wk], t, site.kv_width(), d)?;
    b.linear_forward(v, x, &weights[site.wv], t, site.kv_width(), d)?;
    let Some(adapter) = site.adapter else { return Ok(()) };
    b.linear_forward(&mut scratch.low, x, &weights[adapter.a], t, adapter.rank, d)?;
    // The buffers of q and k ready for attention are free until then.
    for (raw, ready, w, width) in [(q, &mut scratch.q, adapter.b_q, site.q_width()), (k, &mut scratch.k, adapter.b_k, site.kv_width())] {
        b.linear_forward(ready, &scratch.low, &weights[w], t, width, adapter.rank)?;
        b.add(raw, ready, t * width)?;
    }
    Ok(())
}

/// Takes `d_h` (T, D), the gradient of the residual stream after this half, to that before it, in place; adds into the gradients of the banks.
pub fn backward<B: Backend>(
    b: &B,
    d_h: &mut B::F,
    grads: &mut [B::F],
    saved: &AttentionSaved<B>,
    scratch: &mut AttentionScratch<B>,
    weights: &[B::F],
    site: &AttentionUse,
    d: usize,
    dims: AttentionDims,
) -> Result<()> {
    let (t, q_width, kv_width) = (dims.batch * dims.seq, site.q_width(), site.kv_width());
    // 1. Through the output projection.
    b.fill(&mut scratch.d_out, 0.0, t * q_width)?;
    b.linear_backward_input(&mut scratch.d_out, d_h, &weights[site.wo], t, d, q_width)?;
    b.linear_backward_weight(&mut grads[site.wo], d_h, &saved.out, t, d, q_width)?;
    // 2. Through attention and the rotation.
    prepare(b, scratch, [&saved.q, &saved.k, &saved.v], weights, site, 0, dims)?;
    let s = &mut *scratch;
    b.attention_backward(&mut s.d_q, &mut s.d_k, &mut s.d_v, &saved.out, &saved.lse, &s.q, &s.k, &s.v, &s.d_out, dims)?;
    b.rope_backward(&mut s.d_q, 0, dims.batch, dims.seq, site.heads, site.head_dim, site.options.rope_theta)?;
    b.rope_backward(&mut s.d_k, 0, dims.batch, dims.seq, site.kv_heads, site.head_dim, site.options.rope_theta)?;
    // 3. Through clamp and norm, to the raw projections.
    let gains = site.qk_norm;
    if let Some(limit) = site.options.clamp {
        normed(b, &mut s.q, &saved.q, gains.map(|g| &weights[g.0]), site, t, q_width)?;
        normed(b, &mut s.k, &saved.k, gains.map(|g| &weights[g.1]), site, t, kv_width)?;
        b.clamp_backward(&mut s.d_q, &s.q, limit, t * q_width)?;
        b.clamp_backward(&mut s.d_k, &s.k, limit, t * kv_width)?;
        b.clamp_backward(&mut s.d_v, &saved.v, limit, t * kv_width)?;
    }
    normed_backward(b, &mut s.d_q_raw, &s.d_q, &saved.q, gains.map(|g| g.0), weights, grads, site, t, q_width)?;
    normed_backward(b, &mut s.d_k_raw, &s.d_k, &saved.k, gains.map(|g| g.1), weights, grads, site, t, kv_width)?;
    // 4. Through the projections and the norm, to the residual stream.
    b.rmsnorm_forward(&mut s.x, &saved.h_in, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.fill(&mut s.d_x, 0.0, t * d)?;
    for (w, d_raw, width) in [(site.wq, &s.d_q_raw, q_width), (site.wk, &s.d_k_raw, kv_width), (site.wv, &s.d_v, kv_width)] {
        b.linear_backward_input(&mut s.d_x, d_raw, &weights[w], t, width, d)?;
        b.linear_backward_weight(&mut grads[w], d_raw, &s.x, t, width, d)?;
    }
    if let Some(adapter) = &site.adapter {
        adapter_backward(b, grads, s, weights, adapter, site, d, t)?;
    }
    b.rmsnorm_backward(d_h, &mut grads[site.norm.w], &saved.h_in, &weights[site.norm.w], &s.d_x, t, d, site.norm.eps)
}

/// Overwrites `d_raw` with the gradient of a raw q or k; adds into the gradient of its gain.
fn normed_backward<B: Backend>(
    b: &B,
    d_raw: &mut B::F,
    d_normed: &B::F,
    raw: &B::F,
    gain: Option<usize>,
    weights: &[B::F],
    grads: &mut [B::F],
    site: &AttentionUse,
    t: usize,
    width: usize,
) -> Result<()> {
    let Some(gain) = gain else { return b.copy(d_raw, d_normed, t * width) };
    let row = if site.options.qk_norm == QkNorm::Head { site.head_dim } else { width };
    b.fill(d_raw, 0.0, t * width)?;
    b.rmsnorm_backward(d_raw, &mut grads[gain], raw, &weights[gain], d_normed, t * width / row, row, site.options.eps)
}

/// From the gradients of the raw q and k: adds into `d_x` and into the gradients of the adapter.
fn adapter_backward<B: Backend>(
    b: &B,
    grads: &mut [B::F],
    s: &mut AttentionScratch<B>,
    weights: &[B::F],
    adapter: &AdapterUse,
    site: &AttentionUse,
    d: usize,
    t: usize,
) -> Result<()> {
    let r = adapter.rank;
    b.linear_forward(&mut s.low, &s.x, &weights[adapter.a], t, r, d)?;
    b.fill(&mut s.d_low, 0.0, t * r)?;
    for (w, d_raw, width) in [(adapter.b_q, &s.d_q_raw, site.q_width()), (adapter.b_k, &s.d_k_raw, site.kv_width())] {
        b.linear_backward_input(&mut s.d_low, d_raw, &weights[w], t, width, r)?;
        b.linear_backward_weight(&mut grads[w], d_raw, &s.low, t, width, r)?;
    }
    b.linear_backward_input(&mut s.d_x, &s.d_low, &weights[adapter.a], t, r, d)?;
    b.linear_backward_weight(&mut grads[adapter.a], &s.d_low, &s.x, t, r, d)
}
