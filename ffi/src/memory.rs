//! How much memory a run takes, before it takes any: the code that allocates runs on a device that only counts.

use serde::Serialize;

use crate::backend::Meter;
use crate::comm::{Place, assign};
use crate::cuda::Precision;
use crate::error::Result;
use crate::layout::Layout;
use crate::model::decoder::{CHUNK, Decoder};
use crate::model::{Activations, Model, Workspace};
use crate::optim::Optimizer;
use crate::plan::Plan;
use crate::{cpu, cuda};

mod room;

pub use room::{Change, Processes, Room, fewest_processes, require_training, smallest_change};

/// What the working memory of ops depends on, beside their shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Cpu { threads: usize },
    Cuda(Precision),
}

/// The largest call of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// `B`
    pub batch: usize,
    /// `S`
    pub seq: usize,
    /// With a backward pass and an update; else forward only, over a cache.
    pub is_training: bool,
}

/// Bytes on a device, by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Parameters, each bank once.
    pub weights: u64,
    /// Gradients, each bank once.
    pub gradients: u64,
    /// Moments of Muon and AdamW.
    pub optimizer: u64,
    /// What the backward pass of a micro-step reads of its forward pass.
    pub activations: u64,
    /// Keys and values of a text in progress.
    pub cache: u64,
    /// Buffers whose content does not outlive a site, and the residual stream.
    pub scratch: u64,
    /// What ops keep for themselves: the largest of their needs.
    pub working: u64,
    /// The moments of all ranks, when one of several saves or loads a checkpoint in the memory that it computes in.
    pub gathered: u64,
    /// Sum of the above.
    pub total: u64,
}

impl MemoryPlan {
    /// Of training by `plan`, in one process or in one of several, which share out the batch and the moments. What NCCL takes
    /// for itself, which it does not tell, is not in it.
    pub fn training(plan: &Plan, target: Target, place: &Place) -> Result<Self> {
        let (layout, train) = (Layout::new(plan)?, &plan.train);
        let (batch, seq) = (train.batch / place.world, train.seq_len);
        let moments = |place: &Place| {
            let shards = assign(&layout, place.world, plan.optimizer.muon.newton_schulz_steps);
            Meter::bytes(|m| Optimizer::new(m, &layout, shards, place.rank))
        };
        let is_gathered = place.world > 1 && matches!(target, Target::Cpu { .. });
        let weights = weights(&layout)?;
        let activations = Meter::bytes(|m| Activations::new(m, &layout, batch * seq, true, train.recompute))?;
        let workspace = Meter::bytes(|m| Workspace::new(m, &layout, batch, seq, true, train.recompute))?;
        Ok(MemoryPlan {
            weights,
            gradients: weights,
            optimizer: moments(place)?,
            activations,
            scratch: workspace - activations,
            working: working(&layout, Pass { batch, seq, is_training: true }, target),
            gathered: if is_gathered { moments(&Place::alone())? } else { 0 },
            ..MemoryPlan::default()
        }
        .summed())
    }

    /// Of writing a text of `capacity` tokens, prompt included.
    pub fn generation(layout: &Layout, capacity: usize, target: Target) -> Result<Self> {
        let cache = Meter::bytes(|m| Decoder::cache(m, layout, capacity))?;
        Ok(MemoryPlan {
            weights: weights(layout)?,
            cache,
            scratch: Meter::bytes(|m| Decoder::new(m, layout, capacity))? - cache,
            working: working(layout, Pass { batch: 1, seq: CHUNK.min(capacity), is_training: false }, target),
            ..MemoryPlan::default()
        }
        .summed())
    }

    fn summed(self) -> Self {
        let MemoryPlan { weights, gradients, optimizer, activations, cache, scratch, working, gathered, .. } = self;
        MemoryPlan { total: weights + gradients + optimizer + activations + cache + scratch + working + gathered, ..self }
    }
}

fn weights(layout: &Layout) -> Result<u64> {
    Meter::bytes(|m| Model::zeroed(m, layout.clone()))
}

fn working(layout: &Layout, pass: Pass, target: Target) -> u64 {
    match target {
        Target::Cpu { threads } => cpu::working::bytes(layout, pass, threads),
        Target::Cuda(precision) => cuda::working::bytes(layout, pass, precision),
    }
}
