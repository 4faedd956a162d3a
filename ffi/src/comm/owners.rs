//! Who owns what: every rank keeps the optimizer's state of its own matrices, gets their gradients and updates them.
//!
//! Muon orthogonalises a matrix as a whole, so a bank of experts is cut between matrices. AdamW works element by
//! element, so what it updates is cut between rows. A parameter has at most one part per rank.

use crate::layout::{Layout, ParamId, ParamSpec};
use crate::plan::OptimizerKind;

/// Parameters of AdamW with fewer elements are not cut: a message costs more than their update.
const MIN_CUT: usize = 4096;
/// Operations that an element's update by AdamW costs, counting memory traffic as what could be computed meanwhile.
const ADAMW_COST: f64 = 64.0;

/// A part of a parameter that has one owner: `len` elements from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub param: ParamId,
    pub at: usize,
    pub len: usize,
    pub owner: usize,
}

/// The parts of all parameters, in the order of the parameters, shared out so that ranks compute about the same. Depends
/// on the layout and the number of ranks alone.
pub fn assign(layout: &Layout, world: usize, newton_schulz_steps: u32) -> Vec<Shard> {
    let costs: Vec<f64> = layout.params.iter().map(|p| unit_cost(p, newton_schulz_steps) * units(p) as f64).collect();
    let mut order: Vec<ParamId> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]));
    let mut loads = vec![0.0; world];
    let mut shards = Vec::new();
    // The most costly first; each gives its largest parts to the ranks that have least.
    for param in order {
        let p = &layout.params[param];
        let (units, size) = (units(p), p.size() / units(p));
        let parts = world.min(units);
        let mut ranks: Vec<usize> = (0..world).collect();
        ranks.sort_by(|&a, &b| f64::total_cmp(&loads[a], &loads[b]));
        let mut at = 0;
        for (part, &owner) in ranks[..parts].iter().enumerate() {
            let count = units / parts + usize::from(part < units % parts);
            shards.push(Shard { param, at, len: count * size, owner });
            at += count * size;
            loads[owner] += count as f64 * unit_cost(p, newton_schulz_steps);
        }
    }
    shards.sort_by_key(|shard| (shard.param, shard.at));
    shards
}

/// How many pieces a parameter may be cut into.
fn units(p: &ParamSpec) -> usize {
    match p.optimizer {
        OptimizerKind::Muon => p.count,
        OptimizerKind::Adamw if p.size() < MIN_CUT => 1,
        OptimizerKind::Adamw => p.count * p.rows,
    }
}

/// What the update of one such piece costs.
fn unit_cost(p: &ParamSpec, newton_schulz_steps: u32) -> f64 {
    match p.optimizer {
        OptimizerKind::Muon => {
            let (rows, cols) = (p.rows as f64 / p.muon_parts as f64, p.cols as f64);
            let (short, long) = (rows.min(cols), rows.max(cols));
            // the Gram matrix, its square, and the polynomial's product
            let step = 4.0 * short * short * long + 2.0 * short * short * short;
            p.muon_parts as f64 * (f64::from(newton_schulz_steps) * step + ADAMW_COST * rows * cols)
        }
        OptimizerKind::Adamw => ADAMW_COST * (p.size() / units(p)) as f64,
    }
}
