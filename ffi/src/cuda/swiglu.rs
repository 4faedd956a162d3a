//! `combine_weight * silu(gate) * up`.

use super::{Cuda, F};
use crate::backend::DispatchPlan;
use crate::error::Result;

pub fn forward(b: &Cuda, act: &mut F, gate_up: &F, combine_weights: &F, plan: &DispatchPlan<Cuda>, n: usize, f: usize) -> Result<()> {
    b.device.swiglu_forward(act.output(n * f), gate_up.input(n * 2 * f), combine_weights.input(n), plan.slot_of_row.input(n), n, f)
}

/// What the backward pass reads.
pub struct Saved<'a> {
    pub gate_up: &'a F,
    pub d_act: &'a F,
    pub combine_weights: &'a F,
    pub plan: &'a DispatchPlan<Cuda>,
}

pub fn backward(b: &Cuda, act: &mut F, d_gate_up: &mut F, d_combine_weights: &mut F, saved: Saved<'_>, n: usize, f: usize) -> Result<()> {
    b.device.swiglu_backward(
        act.output(n * f),
        d_gate_up.output(n * 2 * f),
        d_combine_weights.output(n),
        saved.gate_up.input(n * 2 * f),
        saved.d_act.input(n * f),
        saved.combine_weights.input(n),
        saved.plan.slot_of_row.input(n),
        n,
        f,
    )
}
