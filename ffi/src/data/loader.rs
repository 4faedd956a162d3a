//! Hands out training windows in a shuffled order that starts over, shuffled anew, when all were seen.

use super::{Corpus, permutation};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// Where a loader stands; a checkpoint saves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// Times that all windows were seen.
    pub epoch: u64,
    /// Windows of this epoch that were used.
    pub position: usize,
    /// Which windows these numbers are about.
    pub fingerprint: String,
}

/// Order of the windows over training: micro-batches of B windows, one after the other through all epochs. A batch that
/// meets the end of an epoch goes on in the next one. Nothing moves until `advance`, so a step that was cancelled sees
/// the same windows again.
pub struct Loader {
    corpus: Arc<Corpus>,
    batch: usize,
    seed: u64,
    epoch: u64,
    position: usize,
    /// Orders of the epochs from `epoch` on, as far as they were asked for.
    orders: VecDeque<Vec<u32>>,
}

impl Loader {
    /// A loader at the start of the first epoch.
    pub fn new(corpus: Arc<Corpus>, batch: usize, seed: u64) -> Self {
        Self { corpus, batch, seed, epoch: 0, position: 0, orders: VecDeque::new() }
    }

    /// The corpus behind it.
    pub fn corpus(&self) -> &Arc<Corpus> {
        &self.corpus
    }

    /// Fills `out` (B, S+1) with the micro-batch that is `ahead` micro-batches after the position.
    pub fn peek(&mut self, ahead: usize, out: &mut [i32]) {
        let window = self.corpus.seq_len + 1;
        debug_assert_eq!(out.len(), self.batch * window);
        let count = self.corpus.num_windows();
        for (row, out) in out.chunks_exact_mut(window).enumerate() {
            let at = self.position + ahead * self.batch + row;
            while self.orders.len() <= at / count {
                let epoch = self.epoch + self.orders.len() as u64;
                self.orders.push_back(permutation(count, self.seed, epoch));
            }
            self.corpus.train_window(self.orders[at / count][at % count] as usize, out);
        }
    }

    /// Moves on: `num_batches` micro-batches were used.
    pub fn advance(&mut self, num_batches: usize) {
        self.position += num_batches * self.batch;
        while self.position >= self.corpus.num_windows() {
            self.position -= self.corpus.num_windows();
            self.epoch += 1;
            self.orders.pop_front();
        }
    }

    /// Epochs of data used so far.
    pub fn epochs(&self) -> f64 {
        self.epoch as f64 + self.position as f64 / self.corpus.num_windows() as f64
    }

    /// The position as a value to save.
    pub fn state(&self) -> LoaderState {
        LoaderState { epoch: self.epoch, position: self.position, fingerprint: self.corpus.fingerprint().to_string() }
    }

    /// Goes to a saved position. `checkpoint` is where it was saved, for the message when it is about other data.
    pub fn restore(&mut self, state: &LoaderState, checkpoint: &Path) -> Result<()> {
        if state.fingerprint != self.corpus.fingerprint() {
            let reason = "it was trained on other data: the text, its order, the tokenizer or train.seqLen changed since";
            return Err(Error::checkpoint(checkpoint, reason));
        }
        if state.position >= self.corpus.num_windows() {
            let reason = format!("its position {} is not below the {} windows", state.position, self.corpus.num_windows());
            return Err(Error::checkpoint(checkpoint, reason));
        }
        (self.epoch, self.position) = (state.epoch, state.position);
        self.orders.clear();
        Ok(())
    }

    /// Number of held-out batches; the last one may be shorter.
    pub fn num_held_out_batches(&self) -> usize {
        self.corpus.num_held_out_windows().div_ceil(self.batch)
    }

    /// Held-out batch `at` as `(rows, S+1)` tokens, always in the same order, with `rows <= B`.
    pub fn held_out_batch(&self, at: usize) -> Vec<i32> {
        let window = self.corpus.seq_len + 1;
        let from = at * self.batch;
        let to = (from + self.batch).min(self.corpus.num_held_out_windows());
        let mut out = vec![0; to.saturating_sub(from) * window];
        for (row, out) in out.chunks_exact_mut(window).enumerate() {
            self.corpus.held_out_window(from + row, out);
        }
        out
    }
}
