//! The optimizers over all parameters: every bank is updated once, whatever the number of its uses.

use crate::backend::{AdamwStep, AdamwUpdate, Backend, Memory, MuonStep, MuonUpdate};
use crate::error::Result;
use crate::layout::{Layout, ParamSpec};
use crate::model::Model;
use crate::plan::{OptimizerKind, OptimizerSpec};

pub mod schedule;

/// Moments of all parameters.
pub struct Optimizer<B: Memory> {
    /// Muon's momentum or AdamW's first moment.
    pub first: Vec<B::F>,
    /// AdamW's second moment; empty for Muon.
    pub second: Vec<B::F>,
}

/// Learning rates of one step, before a bank's divisor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    pub muon: f64,
    pub adamw: f64,
}

/// One moment as a checkpoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    First,
    Second,
}

impl<B: Memory> Optimizer<B> {
    /// Zeroed moments.
    pub fn new(b: &B, layout: &Layout) -> Result<Self> {
        let second = |p: &ParamSpec| b.zeros(if p.optimizer == OptimizerKind::Adamw { p.size() } else { 0 });
        Ok(Optimizer {
            first: layout.params.iter().map(|p| b.zeros(p.size())).collect::<Result<_>>()?,
            second: layout.params.iter().map(second).collect::<Result<_>>()?,
        })
    }

    /// Names of all moments with their parameter: `<parameter>.momentum`, or `<parameter>.m` and `<parameter>.v`.
    pub fn moments(layout: &Layout) -> Vec<(String, usize, Moment)> {
        let mut out = Vec::new();
        for (i, p) in layout.params.iter().enumerate() {
            match p.optimizer {
                OptimizerKind::Muon => out.push((format!("{}.momentum", p.name), i, Moment::First)),
                OptimizerKind::Adamw => {
                    out.push((format!("{}.m", p.name), i, Moment::First));
                    out.push((format!("{}.v", p.name), i, Moment::Second));
                }
            }
        }
        out
    }

    /// The buffer of a moment.
    pub fn moment(&self, param: usize, moment: Moment) -> &B::F {
        match moment {
            Moment::First => &self.first[param],
            Moment::Second => &self.second[param],
        }
    }
}

impl<B: Backend> Optimizer<B> {
    /// Update number `update` (from 1) of all parameters, with gradients scaled by `grad_scale`.
    pub fn step(
        &mut self,
        b: &B,
        model: &mut Model<B>,
        grads: &[B::F],
        spec: &OptimizerSpec,
        lr: LearningRates,
        update: u64,
        grad_scale: f32,
    ) -> Result<()> {
        let (mut muon, mut adamw) = (Vec::new(), Vec::new());
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((p, w), (first, second)), g) in model.layout.params.iter().zip(&mut model.weights).zip(moments).zip(grads) {
            match p.optimizer {
                OptimizerKind::Muon => muon.push(MuonUpdate {
                    w,
                    m: first,
                    g,
                    count: p.count * p.muon_parts,
                    rows: p.rows / p.muon_parts,
                    cols: p.cols,
                    lr: (lr.muon / p.lr_divisor) as f32,
                }),
                OptimizerKind::Adamw => {
                    adamw.push(AdamwUpdate { w, m: first, v: second, g, n: p.size(), lr: (lr.adamw / p.lr_divisor) as f32 })
                }
            }
        }
        let (m, a) = (&spec.muon, &spec.adamw);
        b.muon_step(
            &mut muon,
            MuonStep {
                momentum: m.momentum as f32,
                weight_decay: m.weight_decay as f32,
                newton_schulz_steps: m.newton_schulz_steps,
                grad_scale,
            },
        )?;
        b.adamw_step(
            &mut adamw,
            AdamwStep {
                beta1: a.beta1 as f32,
                beta2: a.beta2 as f32,
                eps: a.eps as f32,
                weight_decay: a.weight_decay as f32,
                update,
                grad_scale,
            },
        )
    }
}
