//! The optimizers over all parameters: every bank is updated once, whatever the number of its uses.

use crate::backend::{AdamwStep, AdamwUpdate, Backend, Memory, MuonStep, MuonUpdate};
use crate::comm::Shard;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::model::Model;
use crate::plan::{OptimizerKind, OptimizerSpec};

pub mod schedule;

/// Moments of all parameters, as far as this rank owns them.
pub struct Optimizer<B: Memory> {
    /// The parts of all parameters, those of one in a row.
    pub shards: Vec<Shard>,
    rank: usize,
    /// Muon's momentum or AdamW's first moment of each part; empty where another rank owns it.
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
    /// Zeroed moments of what `rank` owns of `shards`.
    pub fn new(b: &B, layout: &Layout, shards: Vec<Shard>, rank: usize) -> Result<Self> {
        let owned = |shard: &Shard| if shard.owner == rank { shard.len } else { 0 };
        let second = |shard: &Shard| match layout.params[shard.param].optimizer {
            OptimizerKind::Adamw => b.zeros(owned(shard)),
            OptimizerKind::Muon => b.zeros(0),
        };
        Ok(Optimizer {
            first: shards.iter().map(|shard| b.zeros(owned(shard))).collect::<Result<_>>()?,
            second: shards.iter().map(second).collect::<Result<_>>()?,
            shards,
            rank,
        })
    }

    /// The parts that this rank owns.
    pub fn owned(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.owner == self.rank)
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

    /// The buffer of a moment of part `shard`.
    pub fn moment(&self, moment: Moment, shard: usize) -> &B::F {
        match moment {
            Moment::First => &self.first[shard],
            Moment::Second => &self.second[shard],
        }
    }

    /// The buffers of a moment, by part.
    pub fn moments_mut(&mut self, moment: Moment) -> &mut Vec<B::F> {
        match moment {
            Moment::First => &mut self.first,
            Moment::Second => &mut self.second,
        }
    }
}

impl<B: Backend> Optimizer<B> {
    /// Update number `update` (from 1) of what this rank owns, with gradients scaled by `grad_scale`.
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
        let mut weights: Vec<Option<&mut B::F>> = model.weights.iter_mut().map(Some).collect();
        for (shard, (first, second)) in self.shards.iter().zip(self.first.iter_mut().zip(&mut self.second)) {
            if shard.owner != self.rank {
                continue;
            }
            let (p, g, at) = (&model.layout.params[shard.param], &grads[shard.param], shard.at);
            let w = weights[shard.param].take().ok_or_else(|| Error::Internal("a rank owns two parts of a parameter".into()))?;
            match p.optimizer {
                OptimizerKind::Muon => muon.push(MuonUpdate {
                    w,
                    m: first,
                    g,
                    at,
                    count: shard.len / (p.rows * p.cols) * p.muon_parts,
                    rows: p.rows / p.muon_parts,
                    cols: p.cols,
                    lr: (lr.muon / p.lr_divisor) as f32,
                }),
                OptimizerKind::Adamw => {
                    adamw.push(AdamwUpdate { w, m: first, v: second, g, at, n: shard.len, lr: (lr.adamw / p.lr_divisor) as f32 })
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
