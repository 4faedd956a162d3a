//! Log-likelihoods of texts: of continuations after a context, and of whole texts by windows.
//!
//! A number depends on its own tokens and on nothing else. Each context is a sequence of its own, taken through the model
//! once and then followed by its continuations one after the other, so neither what stands beside it nor how many are
//! scored at a time changes a bit. Contexts are spread over lanes, one thread each; the longest come first.

mod encode;
mod lanes;

pub use encode::{Encoder, Pair, rolling_windows};
pub use lanes::score_pairs;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::data::Watch;
use crate::error::Result;
use crate::generate::Writer;

/// How a context and its continuation become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenization {
    /// As one text, cut where the tokens of the context alone end.
    Joint,
    /// Each on its own.
    Split,
}

/// Which token stands before a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bos {
    /// Those that the tokenizer's own file adds.
    Auto,
    /// The separator, also where the context had to be cut.
    Always,
    /// None. An empty context is the separator here as everywhere, since the model has nothing else to go on.
    Never,
}

/// What to score, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScoreRequest {
    pub tokenization: Tokenization,
    pub bos: Bos,
    pub prompts: Vec<Prompt>,
    /// Whole texts, scored by windows that follow each other.
    pub texts: Vec<String>,
}

/// A context and what may follow it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    pub context: String,
    pub continuations: Vec<String>,
}

/// Of one continuation: the sum of the log-probabilities of its tokens (nats), and whether each was the likeliest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    pub log_likelihood: f64,
    pub is_greedy: bool,
}

/// The scores in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreReport {
    /// Per prompt, per continuation.
    pub prompts: Vec<Vec<Score>>,
    /// Log-likelihood of each text (nats).
    pub texts: Vec<f64>,
    /// Tokens that the model read, each shared context once.
    pub tokens: usize,
}

/// Scores what `request` asks for on `lanes`, whose number changes no bit. Fails on a continuation that is empty or longer
/// than the model, before anything is scored.
pub fn score<B: Backend>(writer: &Writer<B>, lanes: &[B], request: &ScoreRequest, watch: &Watch) -> Result<ScoreReport> {
    let encoder =
        Encoder { tokenizer: &writer.tokenizer, tokenization: request.tokenization, bos: request.bos, max_len: writer.max_seq_len };
    let mut pairs = encoder.prompts(&request.prompts, watch)?;
    let mut ends = Vec::new();
    for text in &request.texts {
        pairs.extend(encoder.text(text)?);
        ends.push(pairs.len());
    }
    let (scores, tokens) = score_pairs(&writer.model, lanes, &pairs, watch)?;
    let mut scores = scores.into_iter();
    let prompts: Vec<Vec<Score>> =
        request.prompts.iter().map(|prompt| scores.by_ref().take(prompt.continuations.len()).collect()).collect();
    let mut start = prompts.iter().map(Vec::len).sum::<usize>();
    let texts = ends.iter().map(|&end| {
        let windows = end - std::mem::replace(&mut start, end);
        scores.by_ref().take(windows).map(|score| score.log_likelihood).sum()
    });
    let texts = texts.collect();
    Ok(ScoreReport { prompts, texts, tokens })
}
