//! The loss on held-out windows; of several ranks, each takes its part of every batch.

use super::{Trainer, blame, no_data};
use crate::backend::Backend;
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::model::metrics::RouterMetrics;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalReport {
    /// Mean next-token cross-entropy, nats.
    pub loss: f64,
    /// Number of targets.
    pub tokens: u64,
    /// NaN when the tokens' bytes are unknown.
    pub bits_per_byte: f64,
    pub routers: RouterMetrics,
}

impl<B: Backend> Trainer<B> {
    /// Loss on the first `batches` held-out batches, or on all of them with 0.
    pub fn evaluate(&mut self, batches: usize, watch: &Watch) -> Result<EvalReport> {
        let stop = self.ranks.stop(watch);
        let windows = &mut self.data.as_mut().ok_or_else(no_data)?.windows;
        let batches = windows.held_out(batches, &watch.stopped_by(&stop)).map_err(|e| self.ranks.explain(e))?;
        self.evaluate_batches(&batches, watch)
    }

    /// Loss on `tokens` (n, B, S+1); the last batch may be shorter.
    pub fn evaluate_tokens(&mut self, tokens: &[i32], watch: &Watch) -> Result<EvalReport> {
        let width = self.plan.train.batch * (self.plan.train.seq_len + 1);
        let batches: Vec<Vec<i32>> = tokens.chunks(width).map(<[i32]>::to_vec).collect();
        self.evaluate_batches(&batches, watch)
    }

    fn evaluate_batches(&mut self, batches: &[Vec<i32>], watch: &Watch) -> Result<EvalReport> {
        if batches.is_empty() {
            return Err(Error::Argument("Cannot evaluate: no held-out window is as long as train.seqLen + 1 tokens".into()));
        }
        let (b, mask, seq) = (&*self.backend, self.plan.losses.mask_last_target, self.plan.train.seq_len);
        let byte_lengths = self.data.as_ref().and_then(|d| d.byte_lengths.as_ref());
        let counts = self.plan.losses.balance.counts.into();
        let (mut nll, mut tokens, mut bytes, mut routers) = (0.0, 0, 0u64, Vec::new());
        let stop = self.ranks.stop(watch);
        let quiet = watch.stopped_by(&stop);
        for (i, windows) in batches.iter().enumerate() {
            let n = batches.len() as f64;
            let rows = windows.len() / (seq + 1);
            // Tokens that are no whole windows are refused when they are loaded.
            let mine = if rows * (seq + 1) == windows.len() { self.ranks.part(rows, seq + 1) } else { 0..windows.len() };
            // A rank may be without a part of a short batch.
            let mut local = Ok(None);
            if !mine.is_empty() || windows.is_empty() {
                tokens += self.workspace.load(b, &self.model.layout, &windows[mine], mask)? as u64;
                let part = quiet.part(i as f64 / n, (i + 1) as f64 / n);
                match self.workspace.forward(b, &self.model, &part) {
                    Ok(stats) => {
                        let metrics = RouterMetrics::new(&self.model.layout, &stats, &self.workspace.expert_ids, counts);
                        local = Ok(Some((stats, metrics)));
                        nll += self.workspace.losses(b, &self.model)?.iter().map(|&l| f64::from(l)).sum::<f64>();
                    }
                    Err(e) => local = Err(self.ranks.explain(blame(e, self.step, b, &self.model, &self.grads))),
                }
            }
            let shared = self.ranks.share(b, &self.model.layout, local, self.step, counts, watch)?;
            routers.push((shared.metrics, windows.len() as f64));
            if let Some(lengths) = byte_lengths {
                let targets = windows.chunks_exact(seq + 1).flat_map(|w| &w[1..seq + 1 - usize::from(mask)]);
                bytes += targets.map(|&id| u64::from(lengths[id as usize])).sum::<u64>();
            }
        }
        let sums = self.ranks.comm.sum(b, &[nll, tokens as f64])?;
        let (nll, tokens) = (sums[0], sums[1] as u64);
        let bits_per_byte = if bytes == 0 { f64::NAN } else { nll / std::f64::consts::LN_2 / bytes as f64 };
        Ok(EvalReport { loss: nll / tokens as f64, tokens, bits_per_byte, routers: RouterMetrics::mean(&routers) })
    }
}
