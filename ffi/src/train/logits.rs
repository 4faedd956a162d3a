//! The logits of a model in training, to look at.

use super::Trainer;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::model::decoder::Decoder;

impl<B: Backend> Trainer<B> {
    /// The logits (n, V) after each of the `n` tokens of one sequence, taken one by one with a cache of keys and values, as
    /// text is generated.
    pub fn logits(&self, tokens: &[i32]) -> Result<Vec<f32>> {
        let (b, vocab) = (&*self.backend, self.model.layout.vocab);
        if let Some(i) = tokens.iter().position(|&id| id < 0 || id as usize >= vocab) {
            return Err(Error::Argument(format!("Cannot use token {} at position {i}: wanted 0 to {}", tokens[i], vocab - 1)));
        }
        let mut decoder = Decoder::new(b, &self.model.layout, tokens.len())?;
        let mut out = Vec::with_capacity(tokens.len() * vocab);
        for token in tokens.chunks(1) {
            out.extend(decoder.push(b, &self.model, token)?);
        }
        Ok(out)
    }
}
