//! Windows of a mixture for one rank, from any place in it.
//!
//! All ranks walk the same global order of windows. From the place where a step begins, window `i` belongs to rank
//! `i % world`, so that the windows of a step are the same for any number of ranks with the same product of ranks and
//! windows per rank, and so that the state, which counts the windows of all ranks, fits any number of them.

use super::held_out::held_out_windows;
use super::mixture::{Mixture, MixtureSpec, MixtureState, Part};
use super::producer::{Cutting, Mark, Producer, Ready};
use super::stream_state::{StreamState, recipe, restored, saved};
use super::{Place, SeparatorPlacement, Skipped, Tokenizer, Watch};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often a wait for data looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// What a stream is made of.
pub struct StreamSettings {
    pub mixture: MixtureSpec,
    pub tokenizer: Arc<Tokenizer>,
    pub separator: SeparatorPlacement,
    /// `S`: a window has S+1 tokens.
    pub seq_len: usize,
    /// `V` of the model.
    pub model_vocab: usize,
    /// `B`: windows of a micro-batch of one rank.
    pub batch: usize,
    pub rank: usize,
    /// Number of ranks.
    pub world: usize,
    /// Threads that tokenise.
    pub threads: usize,
    /// Set while the thread that reads ahead is being ended: a source that waits for a host then gives up.
    pub stop: Arc<AtomicBool>,
}

/// What was met in a source since the start, over all epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Met {
    /// Times that it was read to its end.
    pub epochs: u64,
    /// Documents that were used.
    pub documents: u64,
    /// Records passed over, up to the end of the block of documents in use.
    #[serde(flatten)]
    pub skipped: Skipped,
}

impl Met {
    fn of(place: &Place) -> Self {
        Self { epochs: place.epoch, documents: place.documents, skipped: place.skipped }
    }
}

/// The windows of one rank.
pub struct Stream {
    spec: MixtureSpec,
    cutting: Arc<Cutting>,
    identities: Vec<String>,
    recipe: String,
    batch: usize,
    rank: usize,
    world: usize,
    /// Windows that all ranks used.
    windows: u64,
    at: Mark,
    /// Windows of all ranks from the place on, as far as they were asked for.
    ready: VecDeque<Ready>,
    /// At rest when there is no producer.
    mixture: Option<Mixture>,
    producer: Option<Producer>,
    stop: Arc<AtomicBool>,
    /// The held-out windows, and how many were asked for.
    held_out: Option<(Option<usize>, Vec<Vec<i32>>)>,
}

impl Stream {
    /// A stream at its start. Opens every source; reads no document yet.
    pub fn new(settings: StreamSettings) -> Result<Self> {
        let StreamSettings { mixture: spec, tokenizer, separator, seq_len, model_vocab, batch, rank, world, threads, stop } = settings;
        tokenizer.require_vocab(model_vocab)?;
        if rank >= world || batch == 0 {
            let reason = format!("rank {rank} of {world} with {batch} windows; wanted a rank below the number of ranks and a batch");
            return Err(Error::Argument(format!("Cannot stream data to {reason}")));
        }
        let mixture = Mixture::open(&spec, Part::Training)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|at| format!("bowline-tokenise-{at}")).build();
        let pool = pool.map_err(|e| Error::Internal(format!("starting the threads that tokenise: {e}")))?;
        let recipe = recipe(&spec, &tokenizer, separator, seq_len);
        let cutting = Arc::new(Cutting { tokenizer, placement: separator, size: seq_len + 1, at_end: spec.at_end, pool });
        let at = Mark { before: Arc::new(mixture.state()), used: 0 };
        Ok(Self {
            identities: mixture.identities(),
            spec,
            cutting,
            recipe,
            batch,
            rank,
            world,
            windows: 0,
            at,
            ready: VecDeque::new(),
            mixture: Some(mixture),
            producer: None,
            stop,
            held_out: None,
        })
    }

    /// The tokenizer behind it.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.cutting.tokenizer
    }

    /// Fills `out` (B, S+1) with this rank's micro-batch that is `ahead` micro-batches after the place. Fails when the data
    /// ends or a source fails before the end of that micro-batch, of any rank; asked again, it tries again from there.
    pub fn peek(&mut self, ahead: usize, out: &mut [i32], watch: &Watch) -> Result<()> {
        debug_assert_eq!(out.len(), self.batch * self.cutting.size);
        // Every rank waits for the windows of all, so that all of them meet an error at the same step.
        self.fetch((ahead + 1) * self.batch * self.world, watch)?;
        for (row, out) in out.chunks_exact_mut(self.cutting.size).enumerate() {
            let at = (ahead * self.batch + row) * self.world + self.rank;
            out.copy_from_slice(&self.ready[at].tokens);
        }
        Ok(())
    }

    /// Moves on: `num_batches` micro-batches, which were looked at, were used by every rank.
    pub fn advance(&mut self, num_batches: usize) {
        let count = num_batches * self.batch * self.world;
        debug_assert!(count <= self.ready.len());
        if let Some(last) = self.ready.drain(..count).next_back() {
            self.at = last.after;
        }
        self.windows += count as u64;
    }

    /// How often the source that was read most often was read to its end.
    pub fn epochs(&self) -> f64 {
        self.at.before.places.iter().map(|place| place.epoch).max().unwrap_or(0) as f64
    }

    /// What each source has given up to the place, and what was passed over.
    pub fn met(&self) -> Vec<Met> {
        self.at.before.places.iter().map(Met::of).collect()
    }

    /// The place as a value to save; the same on every rank.
    pub fn state(&self) -> StreamState {
        saved(&self.spec, &self.identities, &self.recipe, self.windows, &self.at)
    }

    /// Goes to a saved place. Each source reads one block again when it is next drawn. `checkpoint` is where the place was
    /// saved, for the message when it is about other data.
    pub fn restore(&mut self, state: &StreamState, checkpoint: &Path) -> Result<()> {
        let at = restored(state, &self.spec, &self.identities, &self.recipe, checkpoint)?;
        self.rest();
        self.ready.clear();
        (self.windows, self.at) = (state.windows, at);
        Ok(())
    }

    /// The first `batches` held-out batches of B windows, or all with 0, as `(rows, S+1)` tokens; the last one may have
    /// fewer rows. Read at the first call, kept for the next ones.
    pub fn held_out(&mut self, batches: usize, watch: &Watch) -> Result<Vec<Vec<i32>>> {
        let limit = (batches > 0).then_some(batches * self.batch);
        let windows = match self.held_out.take() {
            Some((kept, windows)) if kept == limit => windows,
            _ => held_out_windows(&self.spec, &self.cutting, limit, watch)?,
        };
        let batches = windows.chunks(self.batch).map(<[Vec<i32>]>::concat).collect();
        self.held_out = Some((limit, windows));
        Ok(batches)
    }

    /// Waits until `count` windows from the place on are ready.
    fn fetch(&mut self, count: usize, watch: &Watch) -> Result<()> {
        while self.ready.len() < count {
            match self.receive(watch) {
                Ok(ready) => self.ready.push_back(ready),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(e) => {
                    self.rest();
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, watch: &Watch) -> Result<Ready> {
        let panicked = || Error::Internal("the thread that reads data ended".into());
        loop {
            let producer = match self.producer.take() {
                Some(producer) => producer,
                None => self.start()?,
            };
            let windows = self.producer.insert(producer).windows().ok_or_else(panicked)?;
            match windows.recv_timeout(LOOK) {
                // It was reading when this call, or one before, was cancelled.
                Ok(Err(Error::Cancelled)) => {
                    self.rest();
                    watch.report(0.0)?;
                }
                Ok(ready) => return ready,
                Err(RecvTimeoutError::Timeout) => watch.report(0.0)?,
                Err(RecvTimeoutError::Disconnected) => return Err(panicked()),
            }
        }
    }

    /// A producer that goes on after the windows that are ready.
    fn start(&mut self) -> Result<Producer> {
        let from = self.ready.back().map_or_else(|| self.at.clone(), |ready| ready.after.clone());
        let mixture = match self.mixture.take() {
            Some(mixture) => mixture,
            None => Mixture::open(&self.spec, Part::Training)?,
        };
        Producer::start(self.cutting.clone(), mixture, from, self.stop.clone())
    }

    /// Ends the producer.
    fn rest(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.mixture = producer.join();
        }
    }
}

impl Mark {
    /// The place before the first token of a document.
    pub fn at(before: MixtureState, used: usize) -> Self {
        Self { before: Arc::new(before), used }
    }
}
