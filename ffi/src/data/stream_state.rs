//! What a checkpoint knows of a stream: a few numbers for each source, whatever was read.

use super::mixture::{MixtureSpec, MixtureState};
use super::producer::Mark;
use super::{Place, SeparatorPlacement, Tokenizer};
use crate::error::{Error, Result};
use crate::files::sha256_hex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

/// Raised when the same settings shall give other windows than before.
const FORMAT: u32 = 1;

/// Where a stream stands: after `windows` windows, `used` tokens into the document that is drawn next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamState {
    /// Windows that all ranks used together.
    pub windows: u64,
    /// Draws of the mixture made.
    pub draws: u64,
    /// Tokens of the next document that were used, its separator included.
    pub used: usize,
    /// Which order these numbers are about: everything but the content of the sources.
    pub recipe: String,
    pub sources: Vec<SourceState>,
}

/// Where one source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceState {
    pub name: String,
    /// Of its content.
    pub identity: String,
    pub place: Place,
}

/// Names everything that decides the windows, apart from what the sources hold and how they are shared among ranks.
pub(super) fn recipe(spec: &MixtureSpec, tokenizer: &Tokenizer, separator: SeparatorPlacement, seq_len: usize) -> String {
    let sources: Vec<_> = spec.sources.iter().map(|source| json!([source.name, source.weight])).collect();
    let recipe = json!({
        "format": FORMAT,
        "sources": sources,
        "seed": spec.seed,
        "shuffleBuffer": spec.shuffle_buffer,
        "atEnd": spec.at_end,
        "heldOut": spec.held_out,
        "tokenizer": sha256_hex(tokenizer.json()),
        "separator": [json!(tokenizer.separator()), json!(separator)],
        "seqLen": seq_len,
    });
    sha256_hex(recipe.to_string().as_bytes())
}

/// A place as a value to save.
pub(super) fn saved(spec: &MixtureSpec, identities: &[String], recipe: &str, windows: u64, at: &Mark) -> StreamState {
    let sources = spec.sources.iter().zip(identities).zip(&at.before.places);
    let sources =
        sources.map(|((source, identity), place)| SourceState { name: source.name.clone(), identity: identity.clone(), place: *place });
    StreamState { windows, draws: at.before.draws, used: at.used, recipe: recipe.into(), sources: sources.collect() }
}

/// The place of a saved value, which must be about these sources in this order.
pub(super) fn restored(state: &StreamState, spec: &MixtureSpec, identities: &[String], recipe: &str, checkpoint: &Path) -> Result<Mark> {
    if state.recipe != recipe || state.sources.len() != spec.sources.len() {
        let what =
            "the sources' names or weights, the seed, data.shuffleBuffer, atEnd, heldOut, the separator, the tokenizer or train.seqLen";
        return Err(Error::checkpoint(checkpoint, format!("it was trained on other data: {what} changed since")));
    }
    for ((saved, source), identity) in state.sources.iter().zip(&spec.sources).zip(identities) {
        if saved.name != source.name || saved.identity != *identity {
            let what = "its files, their content, its revision, column or data.minCharacters";
            let reason = format!("it was trained on another source \"{}\": {what} changed since; bring the old ones back", source.name);
            return Err(Error::checkpoint(checkpoint, reason));
        }
    }
    let places = state.sources.iter().map(|source| source.place).collect();
    Ok(Mark::at(MixtureState { draws: state.draws, places }, state.used))
}
