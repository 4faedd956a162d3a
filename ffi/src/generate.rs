//! Text from a model: a prompt, then one token after the other.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::backend::Backend;
use crate::data::Tokenizer;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::model::Model;
use crate::model::decoder::Decoder;
use crate::model::init::{stream, uniform};

/// A model with its tokenizer, ready to write.
pub struct Writer<B: Backend> {
    pub backend: B,
    pub model: Model<B>,
    pub tokenizer: Tokenizer,
    /// Longest sequence.
    pub max_seq_len: usize,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateRequest {
    pub prompt: String,
    /// Most tokens to write.
    pub tokens: usize,
    /// 0: always the likeliest token.
    pub temperature: f64,
    /// Only the likeliest tokens whose probabilities add up to this.
    pub top_p: f64,
    pub seed: u32,
}

impl GenerateRequest {
    fn check(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::Argument(format!("Cannot generate with temperature {}: wanted 0 or more", self.temperature)));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Argument(format!("Cannot generate with top-p {}: wanted more than 0 and at most 1", self.top_p)));
        }
        Ok(())
    }
}

/// One text in progress.
pub struct Generation<B: Backend> {
    writer: Arc<Writer<B>>,
    decoder: Decoder<B>,
    request: GenerateRequest,
    rng: ChaCha8Rng,
    /// Tokens still to be read by the model: the prompt, then the last token written.
    pending: Vec<i32>,
    written: usize,
    /// Ids whose text is not told yet: it may end inside a character.
    untold: Vec<u32>,
}

impl<B: Backend> Generation<B> {
    /// Starts with the separator and the prompt, as a document of the training data would. `admit` is given the number of
    /// positions before memory is taken for them, and may refuse.
    pub fn new(writer: Arc<Writer<B>>, request: GenerateRequest, admit: impl FnOnce(&Layout, usize) -> Result<()>) -> Result<Self> {
        request.check()?;
        let prompt = writer.tokenizer.encode(&request.prompt)?;
        let pending: Vec<i32> = [writer.tokenizer.separator()].iter().chain(&prompt).map(|&id| id as i32).collect();
        let capacity = pending.len() + request.tokens;
        if capacity > writer.max_seq_len {
            return Err(Error::Argument(format!(
                "Cannot generate {} tokens after a prompt of {}: together at most {} (model.maxSeqLen)",
                request.tokens,
                pending.len(),
                writer.max_seq_len
            )));
        }
        admit(&writer.model.layout, capacity)?;
        let decoder = Decoder::new(&writer.backend, &writer.model.layout, capacity)?;
        let rng = stream(request.seed, "generate");
        Ok(Generation { writer, decoder, request, rng, pending, written: 0, untold: Vec::new() })
    }

    /// The model that writes; a call runs faster inside its backend's `install`.
    pub fn writer(&self) -> Arc<Writer<B>> {
        self.writer.clone()
    }

    /// Writes up to `max_tokens` more tokens and returns their text; `None` when the text has ended (enough tokens, or the
    /// model began another document).
    pub fn next(&mut self, max_tokens: usize) -> Result<Option<String>> {
        let (writer, mut ended) = (self.writer.clone(), false);
        for _ in 0..max_tokens {
            if self.written == self.request.tokens || self.pending.is_empty() {
                ended = true;
                break;
            }
            let logits = self.decoder.push(&writer.backend, &writer.model, &self.pending)?;
            // A model may have more rows than its tokenizer has tokens: rows that were never trained and stand for no text.
            let known = &logits[..writer.tokenizer.vocab().min(logits.len())];
            let id = choose(known, &self.request, &mut self.rng)? as u32;
            self.pending.clear();
            if id != writer.tokenizer.separator() {
                self.pending.push(id as i32);
                self.untold.push(id);
                self.written += 1;
            }
        }
        let text = writer.tokenizer.decode(&self.untold)?;
        // A character may need the next token; its place is taken by U+FFFD until then.
        if !ended && text.ends_with('\u{fffd}') {
            return Ok(Some(String::new()));
        }
        let done = ended && self.untold.is_empty();
        self.untold.clear();
        Ok((!done).then_some(text))
    }
}

/// The next token from its logits (V).
fn choose(logits: &[f32], request: &GenerateRequest, rng: &mut ChaCha8Rng) -> Result<usize> {
    if let Some(i) = logits.iter().position(|x| !x.is_finite()) {
        return Err(Error::Argument(format!("Cannot choose a token: the logit of token {i} is not finite")));
    }
    // Likeliest first, ties to the lower id.
    let best_first = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if request.temperature == 0.0 {
        return Ok((0..logits.len()).min_by(best_first).expect("a vocabulary has tokens"));
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(best_first);
    let top = f64::from(logits[order[0]]);
    let weights: Vec<f64> = order.iter().map(|&i| ((f64::from(logits[i]) - top) / request.temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    // The shortest run of likeliest tokens that reaches top_p.
    let mut mass = 0.0;
    let kept = weights.iter().take_while(|&&w| {
        let inside = mass < request.top_p * total;
        mass += w;
        inside
    });
    let kept = kept.count();
    let sum: f64 = weights[..kept].iter().sum();
    let mut left = f64::from(uniform(rng)) * sum;
    let chosen = weights[..kept].iter().position(|&w| {
        left -= w;
        left < 0.0
    });
    Ok(order[chosen.unwrap_or(kept - 1)])
}
