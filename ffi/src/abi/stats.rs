//! The block of numbers that a caller shares with a running call: 32 f64, laid out as in `ffi/ts/stats.ts`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::metrics::RouterMetrics;
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
        self.set_all(0, &[r.step as f64, r.loss, r.lm_loss]);
        self.set_all(5, &[r.grad_norm, r.lr.muon, r.lr.adamw, r.tokens as f64, seconds]);
        self.set_all(11, &[r.forward_s, r.backward_s, r.optimizer_s]);
        self.set(23, r.epochs);
        self.routers(&r.routers);
        self.progress(1.0);
    }

    /// Tells the result of an evaluation; the routers' numbers are then those of the held-out tokens.
    pub fn eval(&self, r: &EvalReport) {
        self.set_all(14, &[r.loss, r.tokens as f64, r.bits_per_byte]);
        self.routers(&r.routers);
        self.progress(1.0);
    }

    fn routers(&self, m: &RouterMetrics) {
        self.set_all(3, &[m.balance, m.z]);
        self.set_all(17, &[m.entropy, m.max_expert_share, m.dead_expert_share, m.max_logit, m.agreement, m.set_agreement]);
        self.set(24, m.imbalance);
    }

    fn set_all(&self, first: usize, values: &[f64]) {
        for (i, value) in values.iter().enumerate() {
            self.set(first + i, *value);
        }
    }
}
