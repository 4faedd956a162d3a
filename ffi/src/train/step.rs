//! One step, flat: the gradients of its micro-steps, what is shared between ranks, and the update.

use std::time::Instant;

use super::{Trainer, blame, no_data};
use crate::backend::Backend;
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::model::MicroStep;
use crate::model::metrics::RouterMetrics;
use crate::optim::{LearningRates, schedule};

/// What one step did. Losses are unscaled means; `loss` is their weighted sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Completed steps, this one included.
    pub step: u64,
    pub loss: f64,
    pub lm_loss: f64,
    /// Before clipping.
    pub grad_norm: f64,
    pub lr: LearningRates,
    /// Tokens trained on since the start of the run.
    pub tokens: u64,
    pub routers: RouterMetrics,
    pub forward_s: f64,
    pub backward_s: f64,
    pub optimizer_s: f64,
    /// Epochs of data used; NaN when the tokens were given by the caller.
    pub epochs: f64,
}

impl<B: Backend> Trainer<B> {
    /// One step on the attached data. A step that fails or is cancelled leaves weights, moments and the place in the data as they were.
    pub fn step(&mut self, watch: &Watch) -> Result<StepReport> {
        let (width, accumulation) = (self.plan.train.batch * (self.plan.train.seq_len + 1), self.plan.train.accumulation);
        let windows = &mut self.data.as_mut().ok_or_else(no_data)?.windows;
        let mut tokens = vec![0; accumulation * width];
        // One of several ranks must not stop before all agree to.
        let stop = self.ranks.stop(watch);
        let reading = watch.stopped_by(&stop);
        for (ahead, batch) in tokens.chunks_exact_mut(width).enumerate() {
            windows.peek(ahead, batch, &reading).map_err(|e| self.ranks.explain(e))?;
        }
        let mut report = self.step_tokens(&tokens, watch)?;
        let windows = &mut self.data.as_mut().ok_or_else(no_data)?.windows;
        windows.advance(accumulation);
        report.epochs = windows.epochs();
        Ok(report)
    }

    /// One step on `tokens` (accumulation, B, S+1), the same on all ranks.
    pub fn step_tokens(&mut self, tokens: &[i32], watch: &Watch) -> Result<StepReport> {
        let (b, train, losses) = (&*self.backend, &self.plan.train, &self.plan.losses);
        let width = train.batch * (train.seq_len + 1);
        if tokens.len() != train.accumulation * width {
            return Err(Error::Argument(format!(
                "Cannot train on {} tokens: wanted {} (accumulation {} x batch {} x (sequence length {} + 1))",
                tokens.len(),
                train.accumulation * width,
                train.accumulation,
                train.batch,
                train.seq_len
            )));
        }
        if self.step >= self.plan.schedule.steps {
            return Err(Error::Argument(format!("Cannot train past step {}: the schedule ends there", self.step)));
        }
        // 1. Gradients of all micro-steps.
        let targets = train.accumulation * train.batch * (train.seq_len - usize::from(losses.mask_last_target));
        let counts = losses.balance.counts.into();
        let micro = MicroStep::new(
            targets,
            train.accumulation,
            self.model.layout.routed_sites(),
            losses.balance.coefficient,
            counts,
            losses.z.coefficient,
        );
        for (g, p) in self.grads.iter_mut().zip(&self.model.layout.params) {
            b.fill(g, 0.0, p.size())?;
        }
        let (mut nll, mut routers, mut forward_s, mut backward_s) = (0.0, Vec::new(), 0.0, 0.0);
        let mine = self.ranks.part(train.batch, train.seq_len + 1);
        let stop = self.ranks.stop(watch);
        let quiet = watch.stopped_by(&stop);
        for (i, windows) in tokens.chunks_exact(width).enumerate() {
            let part = |from: f64, to: f64| {
                let n = train.accumulation as f64;
                quiet.part((i as f64 + from) / n, (i as f64 + to) / n)
            };
            let start = Instant::now();
            self.workspace.load(b, &self.model.layout, &windows[mine.clone()], losses.mask_last_target)?;
            let stats = self.workspace.forward(b, &self.model, &part(0.0, 0.3));
            let local = stats
                .map(|stats| {
                    let metrics = RouterMetrics::new(&self.model.layout, &stats, &self.workspace.expert_ids, counts);
                    Some((stats, metrics))
                })
                .map_err(|e| self.ranks.explain(blame(e, self.step, b, &self.model, &self.grads)));
            let shared = self.ranks.share(b, &self.model.layout, local, self.step, counts, watch)?;
            self.workspace.share(&self.model.layout, &shared.stats);
            routers.push((shared.metrics, 1.0));
            forward_s += start.elapsed().as_secs_f64();
            let start = Instant::now();
            // The last micro-step completes the gradients: they go to their owners while it goes on.
            let is_last = i + 1 == train.accumulation;
            let ranks = &mut self.ranks;
            let done = |stage: usize, grads: &mut [B::F]| if is_last { ranks.reduce(b, stage, grads) } else { Ok(()) };
            let losses = self.workspace.backward_in_stages(b, &self.model, &mut self.grads, &micro, &part(0.3, 1.0), done);
            let losses = losses.map_err(|e| self.ranks.explain(e))?;
            nll += losses.iter().map(|&l| f64::from(l)).sum::<f64>();
            backward_s += start.elapsed().as_secs_f64();
        }
        // 2. The losses and the gradient must be numbers before anything is changed.
        let start = Instant::now();
        self.ranks.comm.finish(b, &mut self.grads)?;
        let routers = RouterMetrics::mean(&routers);
        let mut sums = vec![nll];
        for shard in &self.optimizer.shards {
            let is_mine = shard.owner == self.ranks.comm.rank();
            sums.push(if is_mine { b.sum_squares(&self.grads[shard.param], shard.at, shard.len)? } else { 0.0 });
        }
        let sums = self.ranks.comm.sum(b, &sums)?;
        let (nll, squares) = (sums[0], sums[1..].iter().sum::<f64>());
        let lm_loss = nll / targets as f64;
        let loss = lm_loss + losses.balance.coefficient * routers.balance + losses.z.coefficient * routers.z;
        let grad_norm = squares.sqrt();
        if !loss.is_finite() || !grad_norm.is_finite() {
            let what = if loss.is_finite() { "the gradient" } else { "the loss" };
            return Err(blame(Error::NotFinite { step: self.step, what: what.into() }, self.step, b, &self.model, &self.grads));
        }
        // 3. Clip and update.
        let factor = schedule::factor(&self.plan.schedule, self.step);
        let lr = LearningRates { muon: self.plan.optimizer.muon.lr * factor, adamw: self.plan.optimizer.adamw.lr * factor };
        self.grad_scale = (self.plan.optimizer.clip_norm / (grad_norm + 1e-6)).min(1.0) as f32;
        self.optimizer.step(b, &mut self.model, &self.grads, &self.plan.optimizer, lr, self.step + 1, self.grad_scale)?;
        self.ranks.broadcast(b, &mut self.model.weights)?;
        self.step += 1;
        self.tokens += (train.accumulation * train.batch * train.seq_len) as u64;
        Ok(StepReport {
            step: self.step,
            loss,
            lm_loss,
            grad_norm,
            lr,
            tokens: self.tokens,
            routers,
            forward_s,
            backward_s,
            optimizer_s: start.elapsed().as_secs_f64(),
            epochs: f64::NAN,
        })
    }
}
