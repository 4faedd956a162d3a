//! Training data: text files become documents, documents become tokens, tokens become windows of S+1, and a loader
//! hands windows out in a shuffled order that a checkpoint can save and restore.
//!
//! Small text is prepared as a whole: `text` reads, `split` holds documents out, `tokenizer` makes ids, `corpus` puts them
//! together and `cache` keeps the result; `loader` orders, `bigram` is the baseline that a model must beat.
//!
//! Large data is streamed: `blocks` shuffles the records of one source, `mixture` draws from several, `packing` cuts
//! windows, `producer` does so ahead of training, `stream` hands them out. `windows` is either.

mod bigram;
mod blocks;
mod builtin;
mod cache;
mod corpus;
mod find;
mod held_out;
pub mod hub;
pub mod jobs;
mod loader;
mod mixture;
mod open;
mod packing;
mod pieces;
mod producer;
mod records;
mod shards;
mod shuffle;
pub mod source;
mod split;
mod stream;
mod stream_state;
mod text;
mod tokenizer;
mod tokens;
mod windows;

pub use bigram::bigram_loss;
pub use blocks::Place;
pub use builtin::Builtin;
pub use corpus::{Corpus, DataInfo, prepare};
pub use loader::{Loader, LoaderState};
pub use mixture::{Drawn, Mixture, MixtureSource, MixtureSpec, MixtureState, Part, sample};
pub use open::{SourceInfo, StreamInfo, open_stream};
pub use packing::Packer;
pub use pieces::pieces;
pub use records::{Open, Records, Skipped};
pub use shards::{Index, MadeFrom, Shard};
pub use shuffle::permutation;
pub use source::{Counts, Cursor, Format, ReadAt, Record, Source, SourceSpec, TokenType, local_files};
pub use split::{Parts, split};
pub use stream::{Met, Stream, StreamSettings};
pub use stream_state::{SourceState, StreamState};
pub use text::{Document, Documents, read_documents};
pub use tokenizer::Tokenizer;
pub(crate) use tokenizer::byte_alphabet;
pub use tokens::TokenIds;
pub use windows::{Windows, WindowsState};

pub use crate::plan::{AtEnd, HeldOut, OnBad, SeparatorPlacement, TokenizerSpec};

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to make of the files: the plan's `data` object and the two numbers of the model that bound it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub tokenizer: TokenizerSpec,
    /// Text of the token that stands before each document.
    pub separator: String,
    /// Shorter documents are skipped and counted.
    pub min_characters: usize,
    pub held_out: HeldOut,
    /// `S`: a window has S+1 tokens.
    pub seq_len: usize,
    /// `V` of the model: every token id must be below it.
    pub model_vocab: usize,
}

/// Progress and cancellation of a long call, seen from any thread.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    progress: &'a (dyn Fn(f64) + Sync),
    cancel: &'a Arc<AtomicBool>,
    from: f64,
    to: f64,
}

impl<'a> Watch<'a> {
    /// Reports to `progress` in 0..1 and stops when `cancel` is set.
    pub fn new(progress: &'a (dyn Fn(f64) + Sync), cancel: &'a Arc<AtomicBool>) -> Self {
        Self { progress, cancel, from: 0.0, to: 1.0 }
    }

    /// What is set when the caller asks to stop, for work that outlives the call.
    pub fn cancel(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// The part `from..to` of this call as a call of its own.
    pub fn part(&self, from: f64, to: f64) -> Self {
        let length = self.to - self.from;
        Self { from: self.from + from * length, to: self.from + to * length, ..*self }
    }

    /// The same call, stopped by `cancel` and nothing else.
    pub fn stopped_by(&self, cancel: &'a Arc<AtomicBool>) -> Self {
        Self { cancel, ..*self }
    }

    /// Says how far the call is and fails with `Error::Cancelled` when the caller asked to stop.
    pub fn report(&self, fraction: f64) -> Result<()> {
        (self.progress)(self.from + fraction * (self.to - self.from));
        self.check()
    }

    /// Fails with `Error::Cancelled` when the caller asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
