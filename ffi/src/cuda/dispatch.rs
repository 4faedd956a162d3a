//! The dispatch plan, and moving rows by it.

use super::{Cuda, F, I};
use crate::backend::DispatchPlan;
use crate::error::Result;

pub fn plan(b: &Cuda, plan: &mut DispatchPlan<Cuda>, expert_ids: &I, n: usize, e: usize) -> Result<()> {
    let DispatchPlan { offsets, slot_of_row, row_of_slot } = plan;
    b.device.dispatch_plan(offsets.output(e + 1), slot_of_row.output(n), row_of_slot.output(n), expert_ids.input(n), n, e)
}

pub fn permute(b: &Cuda, rows: &mut F, x: &F, plan: &DispatchPlan<Cuda>, t: usize, k: usize, d: usize) -> Result<()> {
    let n = t * k;
    b.device.permute(rows.output(n * d), x.input(t * d), plan.slot_of_row.input(n), n, k, d)
}

pub fn combine(b: &Cuda, out: &mut F, rows: &F, plan: &DispatchPlan<Cuda>, t: usize, k: usize, d: usize) -> Result<()> {
    let n = t * k;
    b.device.combine(out.output(t * d), rows.input(n * d), plan.row_of_slot.input(n), t, k, d)
}
