//! Where training gets its windows from: a prepared corpus, or a stream.

use super::{Corpus, Loader, LoaderState, Met, Stream, StreamState, Tokenizer, Watch};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Windows of S+1 in the order of training, in micro-batches of B. Nothing moves until `advance`.
pub enum Windows {
    Corpus(Loader),
    Stream(Box<Stream>),
}

/// Where they stand; a checkpoint saves it. The kinds are told apart by their fields, since the first kind was there before
/// the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WindowsState {
    Corpus(LoaderState),
    Stream(StreamState),
}

impl Windows {
    /// The prepared corpus, if it is one.
    pub fn corpus(&self) -> Option<&Arc<Corpus>> {
        match self {
            Windows::Corpus(loader) => Some(loader.corpus()),
            Windows::Stream(_) => None,
        }
    }

    /// The tokenizer that makes the ids.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Windows::Corpus(loader) => &loader.corpus().tokenizer,
            Windows::Stream(stream) => stream.tokenizer(),
        }
    }

    /// Fills `out` (B, S+1) with the micro-batch that is `ahead` micro-batches after the place.
    pub fn peek(&mut self, ahead: usize, out: &mut [i32], watch: &Watch) -> Result<()> {
        match self {
            Windows::Corpus(loader) => {
                loader.peek(ahead, out);
                Ok(())
            }
            Windows::Stream(stream) => stream.peek(ahead, out, watch),
        }
    }

    /// Moves on: `num_batches` micro-batches were used.
    pub fn advance(&mut self, num_batches: usize) {
        match self {
            Windows::Corpus(loader) => loader.advance(num_batches),
            Windows::Stream(stream) => stream.advance(num_batches),
        }
    }

    /// Epochs of data used so far; whole ones of a stream.
    pub fn epochs(&self) -> f64 {
        match self {
            Windows::Corpus(loader) => loader.epochs(),
            Windows::Stream(stream) => stream.epochs(),
        }
    }

    /// What was met in each source of a stream so far; nothing of a prepared corpus.
    pub fn met(&self) -> Vec<Met> {
        match self {
            Windows::Corpus(_) => Vec::new(),
            Windows::Stream(stream) => stream.met(),
        }
    }

    /// The place as a value to save.
    pub fn state(&self) -> WindowsState {
        match self {
            Windows::Corpus(loader) => WindowsState::Corpus(loader.state()),
            Windows::Stream(stream) => WindowsState::Stream(stream.state()),
        }
    }

    /// Goes to a saved place, of the same data. `checkpoint` is where it was saved, for messages.
    pub fn restore(&mut self, state: &WindowsState, checkpoint: &Path) -> Result<()> {
        match (self, state) {
            (Windows::Corpus(loader), WindowsState::Corpus(state)) => loader.restore(state, checkpoint),
            (Windows::Stream(stream), WindowsState::Stream(state)) => stream.restore(state, checkpoint),
            (Windows::Corpus(_), _) => Err(Error::checkpoint(checkpoint, "it was trained on data.sources, not on data.files")),
            (Windows::Stream(_), _) => Err(Error::checkpoint(checkpoint, "it was trained on data.files, not on data.sources")),
        }
    }

    /// The first `batches` held-out batches, or all with 0, as `(rows, S+1)` tokens; the last one may be shorter.
    pub fn held_out(&mut self, batches: usize, watch: &Watch) -> Result<Vec<Vec<i32>>> {
        match self {
            Windows::Corpus(loader) => {
                let all = loader.num_held_out_batches();
                let count = if batches == 0 { all } else { batches.min(all) };
                Ok((0..count).map(|at| loader.held_out_batch(at)).collect())
            }
            Windows::Stream(stream) => stream.held_out(batches, watch),
        }
    }
}
