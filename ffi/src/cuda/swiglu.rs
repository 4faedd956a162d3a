//! `combine_weight * silu(gate) * up`.

use super::{Cuda, F};
use crate::backend::DispatchPlan;
use crate::error::Result;

pub fn forward(b: &Cuda, act: &mut F, gate_up: &F, combine_weights: &F, plan: &DispatchPlan<Cuda>, n: usize, f: usize) -> Result<()> {
    b.device.swiglu_forward(act.output(n * f), gate_up.input(n * 2 * f), combine_weights.input(n), plan.slot_of_row.input(n), n, f)
}

pub fn backward(
    b: &Cuda,
    d_act: &mut F,
    gate_up: &mut F,
    d_combine_weights: &mut F,
    combine_weights: &F,
    plan: &DispatchPlan<Cuda>,
    n: usize,
    f: usize,
) -> Result<()> {
    let (d_act, gate_up, d_combine_weights) = (d_act.output(n * f), gate_up.output(n * 2 * f), d_combine_weights.output(n));
    b.device.swiglu_backward(d_act, gate_up, d_combine_weights, combine_weights.input(n), plan.slot_of_row.input(n), n, f)
}
