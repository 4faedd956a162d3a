//! The block of numbers that a caller shares with a running call: 32 f64, laid out as in `ffi/ts/stats.ts`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::train::{EvalReport, StepReport};

/// Number of f64 in the block.
pub const STATS_LEN: usize = 32;

/// The index that tells how far the running call is, 0 to 1.
const PROGRESS: usize = 10;

/// The caller's block; it may be read while a call writes it, so every access is atomic.
pub struct Stats<'a>(pub &'a [AtomicU64; STATS_LEN]);

impl Stats<'_> {
    fn set(&self, index: usize, value: f64) {
        self.0[index].store(value.to_bits(), Ordering::Relaxed);
    }

    /// Tells how far the call is.
    pub fn progress(&self, done: f64) {
        self.set(PROGRESS, done);
    }

    /// Tells what a step did; `seconds` is its whole time.
    pub fn step(&self, r: &StepReport, seconds: f64) {
        let m = &r.routers;
        let values = [r.step as f64, r.loss, r.lm_loss, m.balance, m.z, r.grad_norm, r.lr.muon, r.lr.adamw, r.tokens as f64, seconds];
        for (i, value) in values.into_iter().enumerate() {
            self.set(i, value);
        }
        for (i, value) in [r.forward_s, r.backward_s, r.optimizer_s].into_iter().enumerate() {
            self.set(11 + i, value);
        }
        let routers =
            [m.entropy, m.max_expert_share, m.dead_expert_share, m.max_logit, m.agreement, m.set_agreement, r.epochs, m.imbalance];
        for (i, value) in routers.into_iter().enumerate() {
            self.set(17 + i, value);
        }
        self.progress(1.0);
    }

    /// Tells the result of an evaluation.
    pub fn eval(&self, r: &EvalReport) {
        for (i, value) in [r.loss, r.tokens as f64, r.bits_per_byte].into_iter().enumerate() {
            self.set(14 + i, value);
        }
        self.progress(1.0);
    }
}
