//! Several sources as one: for each document a draw by weight says which source gives it.
//!
//! The draws are numbers of one random stream, so that the state of a mixture is how many were made and the place of
//! each source. Which documents are held out is decided by their number in their source, before anything is shuffled:
//! a held-out document is never trained on, in no epoch.

use super::blocks::{Blocks, Keep, Place};
use super::records::Open;
use super::shuffle::keyed;
use super::source::{Cursor, Record};
use super::split::require_rule;
use super::{AtEnd, HeldOut, Watch};
use crate::error::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// One part of a mixture.
#[derive(Clone)]
pub struct MixtureSource {
    /// Names its random order; another name is another order.
    pub name: String,
    /// Share of the documents, relative to the other weights.
    pub weight: f64,
    pub open: Open,
}

/// What to mix and how.
#[derive(Clone)]
pub struct MixtureSpec {
    pub sources: Vec<MixtureSource>,
    pub seed: u64,
    /// Documents of a source that are shuffled among each other.
    pub shuffle_buffer: usize,
    pub at_end: AtEnd,
    /// `Tail` is not for mixtures.
    pub held_out: HeldOut,
}

/// The documents to train on, or those to evaluate on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Training,
    /// The held-out documents in the order of their sources, each once, mixed by weight. None with `SkipTokens`.
    HeldOut,
}

/// Where a mixture stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixtureState {
    /// Draws made.
    pub draws: u64,
    /// Of the sources, in their order.
    pub places: Vec<Place>,
}

/// A document of a mixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Index of its source.
    pub source: usize,
    pub cursor: Cursor,
    pub record: Record,
}

/// The documents of one part in order.
pub struct Mixture {
    sources: Vec<Blocks>,
    weights: Vec<f64>,
    at_end: AtEnd,
    rng: ChaCha8Rng,
    draws: u64,
}

impl MixtureSpec {
    /// Refuses what cannot be mixed.
    pub fn check(&self) -> Result<()> {
        if self.sources.is_empty() {
            return Err(Error::plan("data.sources", "it is empty, at least one source is wanted"));
        }
        for (at, source) in self.sources.iter().enumerate() {
            if !(source.weight > 0.0 && source.weight.is_finite()) {
                let reason = format!("it is {}, wanted a number above 0; remove a source that is not wanted", source.weight);
                return Err(Error::plan(format!("data.sources[{at}].weight"), reason));
            }
            if self.sources[..at].iter().any(|other| other.name == source.name) {
                let reason = format!("two sources are called \"{}\", wanted one name each", source.name);
                return Err(Error::plan(format!("data.sources[{at}].name"), reason));
            }
        }
        if self.shuffle_buffer == 0 {
            return Err(Error::plan("data.shuffleBuffer", "it is 0; 1 keeps the order of the documents"));
        }
        match self.held_out {
            HeldOut::Documents { every, index } => require_rule(every, index),
            HeldOut::Tail { .. } => Err(Error::plan("data.heldOut.kind", "the tail of a stream is not known; hold documents out")),
            HeldOut::SkipTokens { .. } => Ok(()),
        }
    }

    fn keep(&self, part: Part) -> Keep {
        match (self.held_out, part) {
            (HeldOut::Documents { every, index }, Part::Training) => Keep::Except { every: every as u64, index: index as u64 },
            (HeldOut::Documents { every, index }, Part::HeldOut) => Keep::Only { every: every as u64, index: index as u64 },
            (_, Part::Training) => Keep::All,
            (_, Part::HeldOut) => Keep::None,
        }
    }
}

impl Mixture {
    /// Opens all sources at their start.
    pub fn open(spec: &MixtureSpec, part: Part) -> Result<Self> {
        spec.check()?;
        let (size, at_end) = match part {
            Part::Training => (spec.shuffle_buffer, spec.at_end),
            Part::HeldOut => (1, AtEnd::Drop),
        };
        let open = |source: &MixtureSource| Ok(Blocks::new((source.open)()?, &source.name, spec.seed, size, spec.keep(part)));
        let sources = spec.sources.iter().map(open).collect::<Result<Vec<_>>>()?;
        let weights = spec.sources.iter().map(|source| source.weight).collect();
        let rng = keyed(&[&spec.seed.to_le_bytes(), if part == Part::Training { b"mixture" } else { b"held-out" }]);
        Ok(Self { sources, weights, at_end, rng, draws: 0 })
    }

    /// The identities of the sources, in their order.
    pub fn identities(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.records().identity()).collect()
    }

    /// What messages call the file of a document.
    pub fn file_name(&self, document: &Drawn) -> String {
        self.sources[document.source].records().file_name(document.cursor.file)
    }

    /// Where it stands.
    pub fn state(&self) -> MixtureState {
        MixtureState { draws: self.draws, places: self.sources.iter().map(|source| *source.place()).collect() }
    }

    /// Goes to a state of a mixture of the same sources. Each source reads one block again when it is next drawn.
    pub fn restore(&mut self, state: &MixtureState) {
        debug_assert_eq!(state.places.len(), self.sources.len());
        self.sources.iter_mut().zip(&state.places).for_each(|(source, place)| source.restore(place));
        self.go_to_draw(state.draws);
    }

    /// The next document; `None` when the data has ended. After an error it stands before the draw that met it.
    pub fn next_document(&mut self) -> Result<Option<Drawn>> {
        loop {
            let ended = self.sources.iter().filter(|source| source.place().ended).count();
            if ended == self.sources.len() || (ended > 0 && self.at_end == AtEnd::Stop) {
                return Ok(None);
            }
            let before = self.draws;
            let source = self.draw();
            match self.sources[source].next(self.at_end == AtEnd::Repeat) {
                Ok(Some((cursor, record))) => return Ok(Some(Drawn { source, cursor, record })),
                Ok(None) => continue,
                Err(e) => {
                    self.go_to_draw(before);
                    return Err(e);
                }
            }
        }
    }

    /// One of the sources that have not ended, by weight.
    fn draw(&mut self) -> usize {
        let weight = |(source, weight): (&Blocks, &f64)| if source.place().ended { 0.0 } else { *weight };
        let weights: Vec<f64> = self.sources.iter().zip(&self.weights).map(weight).collect();
        // 53 bits, so that the fraction is exact and below 1.
        let fraction = (self.rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        self.draws += 1;
        let mut left = fraction * weights.iter().sum::<f64>();
        let chosen = weights.iter().position(|&weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a little at the end; it belongs to the last source that can give.
        chosen.unwrap_or_else(|| weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0))
    }

    fn go_to_draw(&mut self, draws: u64) {
        self.draws = draws;
        // A draw is a u64: two words.
        self.rng.set_word_pos(2 * u128::from(draws));
    }
}

/// The first documents of the training part, until they have `bytes` bytes or a source would start over: the text to
/// train a tokenizer on.
pub fn sample(spec: &MixtureSpec, bytes: usize, watch: &Watch) -> Result<Vec<String>> {
    let at_end = if spec.at_end == AtEnd::Repeat { AtEnd::Drop } else { spec.at_end };
    let mut mixture = Mixture::open(&MixtureSpec { at_end, ..spec.clone() }, Part::Training)?;
    let (mut texts, mut size) = (Vec::new(), 0);
    while size < bytes {
        watch.report(size as f64 / bytes as f64)?;
        let Some(document) = mixture.next_document()? else { break };
        let Record::Text(text) = document.record else {
            let reason = "it holds token ids, a tokenizer is trained on text; set data.tokenizer to the one that made them";
            return Err(Error::data(mixture.file_name(&document), reason));
        };
        size += text.len();
        texts.push(text);
    }
    Ok(texts)
}
