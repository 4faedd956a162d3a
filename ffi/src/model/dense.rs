//! The feed-forward half of a site without experts: `h += W_down(silu(W_gate x) * (W_up x))` with `x = norm(h)`.
//!
//! Kept for the backward pass: the input of this half and the pre-activation. It is one expert that every token chooses
//! with weight 1, so the activation is the experts' op over rows in the order of the tokens.

use crate::backend::{Backend, DispatchPlan, Memory};
use crate::error::Result;
use crate::layout::DenseUse;

/// All that backward may read of the forward pass.
pub struct DenseSaved<B: Memory> {
    /// (T, D) the input of this half
    h_in: B::F,
    /// (T, 2F)
    gate_up: B::F,
}

/// Buffers whose content does not outlive a call, and constants.
pub struct DenseScratch<B: Memory> {
    /// (T, D)
    x: B::F,
    d_x: B::F,
    /// (T, F)
    act: B::F,
    /// (T) all 1: the combine weights
    ones: B::F,
    /// (T) the gradient of the weights, which nobody asks for
    d_ones: B::F,
    /// Row t is token t.
    in_order: DispatchPlan<B>,
}

impl<B: Memory> DenseSaved<B> {
    /// Room for `t` tokens.
    pub fn new(b: &B, site: &DenseUse, d: usize, t: usize) -> Result<Self> {
        Ok(DenseSaved { h_in: b.zeros(t * d)?, gate_up: b.zeros(t * 2 * site.width)? })
    }
}

impl<B: Memory> DenseScratch<B> {
    /// Room for `t` tokens of the widest site; gradients only when `train`.
    pub fn new(b: &B, sites: impl Iterator<Item = DenseUse>, d: usize, t: usize, train: bool) -> Result<Self> {
        let widest = sites.map(|site| site.width).max();
        let t = if widest.is_some() { t } else { 0 };
        let f = widest.unwrap_or(0);
        let grad = |len: usize| b.zeros(if train { len } else { 0 });
        let order: Vec<i32> = (0..t as i32).collect();
        let mut scratch = DenseScratch {
            x: b.zeros(t * d)?,
            d_x: grad(t * d)?,
            act: b.zeros(t * f)?,
            ones: b.zeros(t)?,
            d_ones: grad(t)?,
            in_order: DispatchPlan { offsets: b.zeros_i32(2)?, slot_of_row: b.zeros_i32(t)?, row_of_slot: b.zeros_i32(t)? },
        };
        b.upload(&mut scratch.ones, &vec![1.0; t])?;
        b.upload_i32(&mut scratch.in_order.offsets, &[0, t as i32])?;
        b.upload_i32(&mut scratch.in_order.slot_of_row, &order)?;
        b.upload_i32(&mut scratch.in_order.row_of_slot, &order)?;
        Ok(scratch)
    }
}

/// Adds the feed-forward's output to the residual stream `h` (T, D).
pub fn forward<B: Backend>(
    b: &B,
    h: &mut B::F,
    saved: &mut DenseSaved<B>,
    scratch: &mut DenseScratch<B>,
    weights: &[B::F],
    site: &DenseUse,
    d: usize,
    t: usize,
) -> Result<()> {
    let (f, s) = (site.width, &mut *scratch);
    b.copy(&mut saved.h_in, h, t * d)?;
    b.rmsnorm_forward(&mut s.x, h, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.linear_forward(&mut saved.gate_up, &s.x, &weights[site.gate_up], t, 2 * f, d)?;
    b.swiglu_forward(&mut s.act, &saved.gate_up, &s.ones, &s.in_order, t, f)?;
    b.linear_forward(&mut s.x, &s.act, &weights[site.down], t, d, f)?;
    b.add(h, &s.x, t * d)
}

/// Takes `d_h` (T, D), the gradient of the residual stream after this half, to that before it, in place; adds into the gradients of the banks.
/// `saved` is used up.
pub fn backward<B: Backend>(
    b: &B,
    d_h: &mut B::F,
    grads: &mut [B::F],
    saved: &mut DenseSaved<B>,
    scratch: &mut DenseScratch<B>,
    weights: &[B::F],
    site: &DenseUse,
    d: usize,
    t: usize,
) -> Result<()> {
    let (f, s) = (site.width, &mut *scratch);
    // 1. Through the down projection.
    b.fill(&mut s.act, 0.0, t * f)?;
    b.linear_backward_input(&mut s.act, d_h, &weights[site.down], t, d, f)?;
    // 2. Through SwiGLU, which leaves the activation where its gradient was, and the gradient of what was saved in its place.
    b.swiglu_backward(&mut s.act, &mut saved.gate_up, &mut s.d_ones, &s.ones, &s.in_order, t, f)?;
    let d_gate_up = &saved.gate_up;
    b.linear_backward_weight(&mut grads[site.down], d_h, &s.act, t, d, f)?;
    // 3. Through the gate and up projections.
    b.rmsnorm_forward(&mut s.x, &saved.h_in, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.linear_backward_weight(&mut grads[site.gate_up], d_gate_up, &s.x, t, 2 * f, d)?;
    b.fill(&mut s.d_x, 0.0, t * d)?;
    b.linear_backward_input(&mut s.d_x, d_gate_up, &weights[site.gate_up], t, 2 * f, d)?;
    // 4. Through the norm, onto the residual stream.
    b.rmsnorm_backward(d_h, &mut grads[site.norm.w], &saved.h_in, &weights[site.norm.w], &s.d_x, t, d, site.norm.eps)
}
