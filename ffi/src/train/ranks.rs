//! What several ranks do together in a step; one rank on its own passes through all of it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::backend::{Backend, BalanceCounts, RouterStats};
use crate::comm::{Comm, Move, MoveKind, Shard, complete_after};
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::layout::{Layout, ParamId};
use crate::model::metrics::RouterMetrics;
use crate::optim::{Moment, Optimizer};

/// The ranks, and what they move when.
pub(super) struct Ranks<B: Backend> {
    pub comm: Comm<B>,
    /// Gradients that are summed after each stage of the backward pass.
    reduce: Vec<Vec<Move>>,
    /// Weights that their owners give to all after an update.
    broadcast: Vec<Move>,
    /// Set when a rank is gone.
    gone: Arc<AtomicBool>,
}

/// The routers over a whole micro-batch.
pub(super) struct Shared {
    pub stats: Vec<RouterStats>,
    pub metrics: RouterMetrics,
}

/// Refuses a number of ranks that does not divide the batch.
pub fn require_divisor(batch: usize, world: usize) -> Result<()> {
    if batch.is_multiple_of(world) {
        return Ok(());
    }
    let divisors: Vec<_> = (1..=batch).filter(|n| batch.is_multiple_of(*n)).map(|n| n.to_string()).collect();
    let above = batch.next_multiple_of(world);
    Err(Error::Argument(format!(
        "Cannot share train.batch {batch} among {world} processes: wanted a divisor of it ({}), or train.batch {}",
        divisors.join(", "),
        if above - world > 0 { format!("{} or {above}", above - world) } else { above.to_string() },
    )))
}

impl<B: Backend> Ranks<B> {
    pub fn new(comm: Comm<B>, layout: &Layout, shards: &[Shard]) -> Self {
        let of = |kind, shard: &Shard| Move { kind, buffer: shard.param, at: shard.at, len: shard.len, owner: shard.owner };
        let bucket = |params: Vec<usize>| {
            params.iter().flat_map(|param| shards.iter().filter(move |s| s.param == *param)).map(|s| of(MoveKind::Reduce, s)).collect()
        };
        Ranks {
            gone: comm.control().map(|control| control.gone().clone()).unwrap_or_default(),
            comm,
            reduce: complete_after(layout).into_iter().map(bucket).collect(),
            broadcast: shards.iter().map(|shard| of(MoveKind::Broadcast, shard)).collect(),
        }
    }

    /// This rank's part of `rows` rows of `width`: the same number for all where it can be.
    pub fn part(&self, rows: usize, width: usize) -> Range<usize> {
        let (rank, world) = (self.comm.rank(), self.comm.world());
        rows * rank / world * width..rows * (rank + 1) / world * width
    }

    /// What stops work that several ranks must all do or all leave: the end of a rank. Whether the caller wants to stop is
    /// agreed upon in [`Ranks::share`]. One rank on its own stops when the caller wants it to.
    pub fn stop(&self, watch: &Watch) -> Arc<AtomicBool> {
        if self.comm.world() == 1 { watch.cancel() } else { self.gone.clone() }
    }

    /// The error of work that was stopped: why.
    pub fn explain(&self, error: Error) -> Error {
        match (error, self.comm.control().and_then(|control| control.failure())) {
            (Error::Cancelled, Some(failure)) => failure,
            (error, _) => error,
        }
    }

    /// Starts to sum the gradients that are complete after `stage`.
    pub fn reduce(&mut self, b: &B, stage: usize, grads: &mut [B::F]) -> Result<()> {
        if self.comm.world() == 1 || self.reduce[stage].is_empty() { Ok(()) } else { self.comm.start(b, &self.reduce[stage], grads) }
    }

    /// Gives everyone the weights of their owners.
    pub fn broadcast(&mut self, b: &B, weights: &mut [B::F]) -> Result<()> {
        if self.comm.world() == 1 {
            return Ok(());
        }
        self.comm.start(b, &self.broadcast, weights)?;
        self.comm.finish(b, weights)
    }

    /// Refuses to go on when the ranks' weights differ, of which each gives a hash.
    pub fn require_equal(&mut self, b: &B, hash: &[u8; 32]) -> Result<()> {
        // 32 bits at a time, which f64 holds
        let values = hash.chunks_exact(4).map(|c| f64::from(u32::from_le_bytes([c[0], c[1], c[2], c[3]]))).collect::<Vec<_>>();
        let all = self.comm.gather(b, &values)?;
        match all.iter().position(|values| *values != all[0]) {
            None => Ok(()),
            Some(rank) => Err(Error::Internal(format!("the weights of rank {rank} are not those of rank 0"))),
        }
    }

    /// The whole of a moment at rank 0, in host memory; what others return is of no use. What comes from other ranks lands in the
    /// gradient of the parameter, which nobody reads after a step: so a checkpoint takes no memory of the device.
    pub fn gather_moment(
        &mut self,
        b: &B,
        layout: &Layout,
        optimizer: &mut Optimizer<B>,
        grads: &mut [B::F],
        param: ParamId,
        moment: Moment,
    ) -> Result<Vec<f32>> {
        let rank = self.comm.rank();
        let parts: Vec<_> = optimizer.shards.iter().copied().enumerate().filter(|(_, shard)| shard.param == param).collect();
        let buffers = optimizer.moments_mut(moment);
        for (i, shard) in parts.iter().filter(|(_, shard)| shard.owner != 0) {
            let deliver = |buffer, at| Move { kind: MoveKind::Deliver, buffer, at, len: shard.len, owner: shard.owner };
            if rank == 0 {
                self.comm.start(b, &[deliver(param, shard.at)], grads)?;
                self.comm.finish(b, grads)?;
            } else if shard.owner == rank {
                self.comm.start(b, &[deliver(*i, 0)], buffers)?;
                self.comm.finish(b, buffers)?;
            }
        }
        if rank > 0 {
            return Ok(Vec::new());
        }
        let mut out = vec![0.0; layout.params[param].size()];
        if parts.iter().any(|(_, shard)| shard.owner != 0) {
            b.download(&mut out, &grads[param])?;
        }
        for (i, shard) in parts.iter().filter(|(_, shard)| shard.owner == 0) {
            b.download(&mut out[shard.at..shard.at + shard.len], &buffers[*i])?;
        }
        Ok(out)
    }

    /// What the routers tell of a micro-batch, from what they tell of this rank's part of it, if it has one. Here all ranks agree
    /// on going on: when one is to stop, this fails with `Error::Cancelled` on all, and when one has met a number that is none,
    /// with `Error::NotFinite`. `step` is the number of completed steps.
    pub fn share(
        &mut self,
        b: &B,
        layout: &Layout,
        local: Result<Option<(Vec<RouterStats>, RouterMetrics)>>,
        step: u64,
        counts: BalanceCounts,
        watch: &Watch,
    ) -> Result<Shared> {
        const GO_ON: f64 = 0.0;
        const STOP: f64 = 1.0;
        const NOT_FINITE: f64 = 2.0;
        if self.comm.world() == 1 {
            let (stats, metrics) = local?.ok_or_else(|| Error::Internal("one rank on its own has no part".into()))?;
            return Ok(Shared { stats, metrics });
        }
        let (word, local, failure) = match local {
            Ok(local) => (if watch.check().is_err() { STOP } else { GO_ON }, local, None),
            Err(error @ Error::NotFinite { .. }) => (NOT_FINITE, None, Some(error)),
            Err(error) => return Err(error),
        };
        let mut values = vec![word, step as f64];
        values.extend(packed(layout, local));
        let all = self.comm.gather(b, &values)?;
        if let Some(rank) = all.iter().position(|values| values[1] != step as f64) {
            return Err(Error::Argument(format!(
                "Cannot train together: rank {} is at step {step}, rank {rank} at step {}; wanted one folder that all ranks see",
                self.comm.rank(),
                all[rank][1]
            )));
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if let Some(rank) = all.iter().position(|values| values[0] == NOT_FINITE) {
            return Err(Error::NotFinite { step, what: format!("a number of rank {rank}") });
        }
        if all.iter().any(|values| values[0] == STOP) {
            return Err(Error::Cancelled);
        }
        let parts: Vec<&[f64]> = all.iter().map(|values| &values[2..]).collect();
        Ok(unpacked(layout, &parts, counts))
    }
}

/// Numbers of a rank: tokens, and the agreements times tokens; then for each router its sums.
fn packed(layout: &Layout, local: Option<(Vec<RouterStats>, RouterMetrics)>) -> Vec<f64> {
    let experts = layout.sites.iter().filter_map(|site| site.ffn.moe()).map(|moe| moe.rule.experts);
    let Some((stats, metrics)) = local else {
        let nothing = experts.flat_map(|e| [0.0, 0.0, 0.0, f64::NEG_INFINITY].into_iter().chain(vec![0.0; 3 * e]));
        return [0.0; 3].into_iter().chain(nothing).collect();
    };
    let tokens = stats.first().map_or(0.0, |s| s.tokens as f64);
    let mut out = vec![tokens, metrics.agreement * tokens, metrics.set_agreement * tokens];
    for s in &stats {
        out.extend([s.tokens as f64, s.z_sum, s.entropy_sum, f64::from(s.max_logit)]);
        // counts are whole numbers far below 2^53
        out.extend(s.tokens_per_expert.iter().chain(&s.top1_per_expert).map(|&count| count as f64));
        out.extend(&s.score_sum);
    }
    out
}

/// The sums over the ranks' numbers, in the order of the ranks.
fn unpacked(layout: &Layout, parts: &[&[f64]], counts: BalanceCounts) -> Shared {
    let sum = |at: usize| parts.iter().map(|part| part[at]).sum::<f64>();
    let mut stats = Vec::new();
    let mut at = 3;
    for moe in layout.sites.iter().filter_map(|site| site.ffn.moe()) {
        let e = moe.rule.experts;
        let sums = |from: usize| (0..e).map(move |i| sum(at + 4 + from * e + i));
        stats.push(RouterStats {
            tokens: sum(at) as usize,
            z_sum: sum(at + 1),
            entropy_sum: sum(at + 2),
            max_logit: parts.iter().map(|part| part[at + 3]).fold(f64::NEG_INFINITY, f64::max) as f32,
            tokens_per_expert: sums(0).map(|count| count as u64).collect(),
            top1_per_expert: sums(1).map(|count| count as u64).collect(),
            score_sum: sums(2).collect(),
        });
        at += 4 + 3 * e;
    }
    let mut metrics = RouterMetrics::of_stats(&stats, counts);
    if !stats.is_empty() {
        (metrics.agreement, metrics.set_agreement) = (sum(1) / sum(0), sum(2) / sum(0));
    }
    Shared { stats, metrics }
}
