//! The Mixture-of-Experts half of a site: `h += sum_k weight_k * expert_k(x)` with `x = norm(h)`.
//!
//! Kept for the backward pass: the site's input rows, the experts' pre-activation and the routing. The combine weight is
//! folded into the activation, so the experts' output is never stored: its gradient is `<W_down^T d_out, activation>`.

use crate::backend::{Backend, DispatchPlan, Memory, RouterLoss, RouterStats, Routing};
use crate::error::Result;
use crate::layout::MoeUse;

/// All that backward may read of the forward pass.
pub struct MoeSaved<B: Memory> {
    /// (T, D) the input of this half
    h_in: B::F,
    /// (N, 2F)
    gate_up: B::F,
    pub routing: Routing<B>,
    plan: DispatchPlan<B>,
    /// Of the last forward pass.
    pub stats: RouterStats,
}

/// Buffers whose content does not outlive a call.
pub struct MoeScratch<B: Memory> {
    /// (T, D)
    x: B::F,
    d_x: B::F,
    /// (T, E)
    logits: B::F,
    /// (N, D)
    rows: B::F,
    d_rows: B::F,
    /// (N, F)
    act: B::F,
    d_act: B::F,
    /// (N, 2F)
    d_gate_up: B::F,
    /// (T, K)
    d_combine_weights: B::F,
}

impl<B: Memory> MoeSaved<B> {
    /// Room for `t` tokens.
    pub fn new(b: &B, site: &MoeUse, d: usize, t: usize) -> Result<Self> {
        let (e, n) = (site.rule.experts, t * site.rule.top_k);
        Ok(MoeSaved {
            h_in: b.zeros(t * d)?,
            gate_up: b.zeros(n * 2 * site.expert_width)?,
            routing: Routing { scores: b.zeros(t * e)?, lse: b.zeros(t)?, expert_ids: b.zeros_i32(n)?, combine_weights: b.zeros(n)? },
            plan: DispatchPlan { offsets: b.zeros_i32(e + 1)?, slot_of_row: b.zeros_i32(n)?, row_of_slot: b.zeros_i32(n)? },
            stats: RouterStats::default(),
        })
    }
}

impl<B: Memory> MoeScratch<B> {
    /// Room for `t` tokens of the widest site; gradients only when `train`.
    pub fn new(b: &B, sites: impl Iterator<Item = MoeUse> + Clone, d: usize, t: usize, train: bool) -> Result<Self> {
        let largest = |f: &dyn Fn(&MoeUse) -> usize| t * sites.clone().map(|s| f(&s)).max().unwrap_or(0);
        let n = largest(&|s| s.rule.top_k);
        let nf = largest(&|s| s.rule.top_k * s.expert_width);
        let grad = |len: usize| b.zeros(if train { len } else { 0 });
        Ok(MoeScratch {
            x: b.zeros(t * d)?,
            d_x: grad(t * d)?,
            logits: b.zeros(largest(&|s| s.rule.experts))?,
            rows: b.zeros(n * d)?,
            d_rows: grad(n * d)?,
            act: b.zeros(nf)?,
            d_act: grad(nf)?,
            d_gate_up: grad(2 * nf)?,
            d_combine_weights: grad(n)?,
        })
    }
}

/// Adds the experts' output to the residual stream `h` (T, D).
pub fn forward<B: Backend>(
    b: &B,
    h: &mut B::F,
    saved: &mut MoeSaved<B>,
    scratch: &mut MoeScratch<B>,
    weights: &[B::F],
    site: &MoeUse,
    d: usize,
    t: usize,
) -> Result<()> {
    let (e, k, f) = (site.rule.experts, site.rule.top_k, site.expert_width);
    // 1. Route.
    b.copy(&mut saved.h_in, h, t * d)?;
    b.rmsnorm_forward(&mut scratch.x, h, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.router_linear_forward(&mut scratch.logits, &scratch.x, &weights[site.w_router], t, e, d)?;
    saved.stats = b.router_forward(&mut saved.routing, &scratch.logits, t, site.rule)?;
    // 2. Permute token rows into expert order.
    b.dispatch_plan(&mut saved.plan, &saved.routing.expert_ids, t, k, e)?;
    b.permute(&mut scratch.rows, &scratch.x, &saved.plan, t, k, d)?;
    // 3. Experts.
    b.grouped_linear_forward(&mut saved.gate_up, &scratch.rows, &weights[site.gate_up], &saved.plan.offsets, e, 2 * f, d)?;
    b.swiglu_forward(&mut scratch.act, &saved.gate_up, &saved.routing.combine_weights, &saved.plan, t * k, f)?;
    b.grouped_linear_forward(&mut scratch.rows, &scratch.act, &weights[site.down], &saved.plan.offsets, e, d, f)?;
    // 4. Back to token order, onto the residual stream.
    b.combine(h, &scratch.rows, &saved.plan, t, k, d)
}

/// Takes `d_h` (T, D), the gradient of the residual stream after this half, to that before it, in place; adds into the gradients of the banks.
/// `stats` are those of the whole micro-batch, of which these tokens may be a part.
pub fn backward<B: Backend>(
    b: &B,
    d_h: &mut B::F,
    grads: &mut [B::F],
    saved: &MoeSaved<B>,
    scratch: &mut MoeScratch<B>,
    weights: &[B::F],
    site: &MoeUse,
    loss: RouterLoss,
    stats: &RouterStats,
    d: usize,
    t: usize,
) -> Result<()> {
    let (e, k, f) = (site.rule.experts, site.rule.top_k, site.expert_width);
    let (n, plan, s) = (t * k, &saved.plan, &mut *scratch);
    // 1. Through the down projection; the combine weight is in the activation, so d_act is before it.
    b.permute(&mut s.d_rows, d_h, plan, t, k, d)?;
    b.grouped_linear_backward_input(&mut s.d_act, &s.d_rows, &weights[site.down], &plan.offsets, e, d, f)?;
    // 2. Through SwiGLU, which also gives the weighted activation and the gradient of the combine weights.
    b.swiglu_backward(
        &mut s.act,
        &mut s.d_gate_up,
        &mut s.d_combine_weights,
        &saved.gate_up,
        &s.d_act,
        &saved.routing.combine_weights,
        plan,
        n,
        f,
    )?;
    b.grouped_linear_backward_weight(&mut grads[site.down], &s.d_rows, &s.act, &plan.offsets, e, d, f)?;
    // 3. Through the gate and up projections.
    b.rmsnorm_forward(&mut s.x, &saved.h_in, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.permute(&mut s.rows, &s.x, plan, t, k, d)?;
    b.grouped_linear_backward_weight(&mut grads[site.gate_up], &s.d_gate_up, &s.rows, &plan.offsets, e, 2 * f, d)?;
    b.grouped_linear_backward_input(&mut s.d_rows, &s.d_gate_up, &weights[site.gate_up], &plan.offsets, e, 2 * f, d)?;
    b.fill(&mut s.d_x, 0.0, t * d)?;
    b.combine(&mut s.d_x, &s.d_rows, plan, t, k, d)?;
    // 4. Through the router.
    b.router_backward(&mut s.logits, &saved.routing, stats, &s.d_combine_weights, t, site.rule, loss)?;
    b.router_linear_backward_input(&mut s.d_x, &s.logits, &weights[site.w_router], t, e, d)?;
    b.router_linear_backward_weight(&mut grads[site.w_router], &s.logits, &s.x, t, e, d)?;
    // 5. Through the norm, onto the residual stream.
    b.rmsnorm_backward(d_h, &mut grads[site.norm.w], &saved.h_in, &weights[site.norm.w], &s.d_x, t, d, site.norm.eps)
}
