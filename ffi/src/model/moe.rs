//! The Mixture-of-Experts half of a site: `h += sum_k weight_k * expert_k(x)` with `x = norm(h)`.
//!
//! Kept for the backward pass: the routing and, unless they are computed again, the input of this half and the experts'
//! pre-activation. The combine weight is folded into the activation, so the experts' output is never stored: its gradient is
//! `<W_down^T d_out, activation>`.

use crate::backend::{Backend, DispatchPlan, Memory, RouterLoss, RouterStats, Routing};
use crate::error::Result;
use crate::layout::MoeUse;
use crate::plan::Recompute;

/// All that backward may read of the forward pass.
pub struct MoeSaved<B: Memory> {
    /// What the backward pass may have to compute again.
    kept: Option<Kept<B>>,
    pub routing: Routing<B>,
    plan: DispatchPlan<B>,
    /// Of the last forward pass.
    pub stats: RouterStats,
}

struct Kept<B: Memory> {
    /// (T, D) the input of this half
    h_in: B::F,
    /// (N, 2F)
    gate_up: B::F,
}

/// Buffers whose content does not outlive a call.
pub struct MoeScratch<B: Memory> {
    /// (T, D)
    x: B::F,
    d_x: B::F,
    /// (T, E)
    logits: B::F,
    /// (N, D) whatever lies in expert order: inputs, outputs or their gradients
    rows: B::F,
    /// (N, 2F), where it is not saved
    gate_up: B::F,
    /// (N, F) the activation, or its gradient
    act: B::F,
    /// (T, K)
    d_combine_weights: B::F,
}

impl<B: Memory> MoeSaved<B> {
    /// Room for `t` tokens.
    pub fn new(b: &B, site: &MoeUse, d: usize, t: usize, recompute: Recompute) -> Result<Self> {
        let (e, n) = (site.rule.experts, t * site.rule.top_k);
        let kept = || Ok(Kept { h_in: b.zeros(t * d)?, gate_up: b.zeros(n * 2 * site.expert_width)? });
        Ok(MoeSaved {
            kept: (recompute != Recompute::Experts).then(kept).transpose()?,
            routing: Routing { scores: b.zeros(t * e)?, lse: b.zeros(t)?, expert_ids: b.zeros_i32(n)?, combine_weights: b.zeros(n)? },
            plan: DispatchPlan { offsets: b.zeros_i32(e + 1)?, slot_of_row: b.zeros_i32(n)?, row_of_slot: b.zeros_i32(n)? },
            stats: RouterStats::default(),
        })
    }

    /// Whether the backward pass has to be told the input.
    pub fn lacks_input(&self) -> bool {
        self.kept.is_none()
    }
}

impl<B: Memory> MoeScratch<B> {
    /// Room for `t` tokens of the widest site; gradients only when `train`.
    pub fn new(b: &B, sites: impl Iterator<Item = MoeUse> + Clone, d: usize, t: usize, train: bool, recompute: Recompute) -> Result<Self> {
        let largest = |f: &dyn Fn(&MoeUse) -> usize| t * sites.clone().map(|s| f(&s)).max().unwrap_or(0);
        let n = largest(&|s| s.rule.top_k);
        let nf = largest(&|s| s.rule.top_k * s.expert_width);
        let grad = |len: usize| b.zeros(if train { len } else { 0 });
        Ok(MoeScratch {
            x: b.zeros(t * d)?,
            d_x: grad(t * d)?,
            logits: b.zeros(largest(&|s| s.rule.experts))?,
            rows: b.zeros(n * d)?,
            gate_up: b.zeros(if recompute == Recompute::Experts { 2 * nf } else { 0 })?,
            act: b.zeros(nf)?,
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
    if let Some(kept) = &mut saved.kept {
        b.copy(&mut kept.h_in, h, t * d)?;
    }
    b.rmsnorm_forward(&mut scratch.x, h, &weights[site.norm.w], t, d, site.norm.eps)?;
    b.router_linear_forward(&mut scratch.logits, &scratch.x, &weights[site.w_router], t, e, d)?;
    saved.stats = b.router_forward(&mut saved.routing, &scratch.logits, t, site.rule)?;
    // 2. Permute token rows into expert order.
    b.dispatch_plan(&mut saved.plan, &saved.routing.expert_ids, t, k, e)?;
    b.permute(&mut scratch.rows, &scratch.x, &saved.plan, t, k, d)?;
    // 3. Experts.
    let gate_up = saved.kept.as_mut().map_or(&mut scratch.gate_up, |kept| &mut kept.gate_up);
    b.grouped_linear_forward(gate_up, &scratch.rows, &weights[site.gate_up], &saved.plan.offsets, e, 2 * f, d)?;
    b.swiglu_forward(&mut scratch.act, gate_up, &saved.routing.combine_weights, &saved.plan, t * k, f)?;
    b.grouped_linear_forward(&mut scratch.rows, &scratch.act, &weights[site.down], &saved.plan.offsets, e, d, f)?;
    // 4. Back to token order, onto the residual stream.
    b.combine(h, &scratch.rows, &saved.plan, t, k, d)
}

/// Takes `d_h` (T, D), the gradient of the residual stream after this half, to that before it, in place; adds into the gradients of the banks.
/// `stats` are those of the whole micro-batch, of which these tokens may be a part; `h` (T, D) is the input of this half, read where
/// none was kept. `saved` is used up.
pub fn backward<B: Backend>(
    b: &B,
    d_h: &mut B::F,
    grads: &mut [B::F],
    saved: &mut MoeSaved<B>,
    h: &B::F,
    scratch: &mut MoeScratch<B>,
    weights: &[B::F],
    site: &MoeUse,
    loss: RouterLoss,
    stats: &RouterStats,
    d: usize,
    t: usize,
) -> Result<()> {
    let (e, k, f, is_recomputing) = (site.rule.experts, site.rule.top_k, site.expert_width, saved.kept.is_none());
    let (n, plan, s) = (t * k, &saved.plan, &mut *scratch);
    let (h_in, gate_up) = match &mut saved.kept {
        Some(kept) => (&kept.h_in, &mut kept.gate_up),
        None => (h, &mut s.gate_up),
    };
    b.rmsnorm_forward(&mut s.x, h_in, &weights[site.norm.w], t, d, site.norm.eps)?;
    if is_recomputing {
        b.permute(&mut s.rows, &s.x, plan, t, k, d)?;
        b.grouped_linear_forward(gate_up, &s.rows, &weights[site.gate_up], &plan.offsets, e, 2 * f, d)?;
    }
    // 1. Through the down projection; the combine weight is in the activation, so this gradient is before it.
    b.permute(&mut s.rows, d_h, plan, t, k, d)?;
    b.grouped_linear_backward_input(&mut s.act, &s.rows, &weights[site.down], &plan.offsets, e, d, f)?;
    // 2. Through SwiGLU, which leaves the weighted activation where its gradient was, and the gradient of gate and up in their place.
    b.swiglu_backward(&mut s.act, gate_up, &mut s.d_combine_weights, &saved.routing.combine_weights, plan, n, f)?;
    let d_gate_up = &*gate_up;
    b.grouped_linear_backward_weight(&mut grads[site.down], &s.rows, &s.act, &plan.offsets, e, d, f)?;
    // 3. Through the gate and up projections.
    b.permute(&mut s.rows, &s.x, plan, t, k, d)?;
    b.grouped_linear_backward_weight(&mut grads[site.gate_up], d_gate_up, &s.rows, &plan.offsets, e, 2 * f, d)?;
    b.grouped_linear_backward_input(&mut s.rows, d_gate_up, &weights[site.gate_up], &plan.offsets, e, 2 * f, d)?;
    b.fill(&mut s.d_x, 0.0, t * d)?;
    b.combine(&mut s.d_x, &s.rows, plan, t, k, d)?;
    // 4. Through the router.
    b.router_backward(&mut s.logits, &saved.routing, stats, &s.d_combine_weights, t, site.rule, loss)?;
    b.router_linear_backward_input(&mut s.d_x, &s.logits, &weights[site.w_router], t, e, d)?;
    b.router_linear_backward_weight(&mut grads[site.w_router], &s.logits, &s.x, t, e, d)?;
    // 5. Through the norm, onto the residual stream.
    b.rmsnorm_backward(d_h, &mut grads[site.norm.w], h_in, &weights[site.norm.w], &s.d_x, t, d, site.norm.eps)
}
