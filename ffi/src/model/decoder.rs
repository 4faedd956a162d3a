//! The model one position after the other, with a cache of keys and values per site.

use super::Model;
use super::attention::{self, AttentionSaved, AttentionScratch};
use super::ffn::{self, FfnSaved, FfnScratch};
use crate::backend::Backend;
use crate::error::{Error, Result};

/// Positions taken in one pass while the prompt is read.
const CHUNK: usize = 128;

/// One sequence in progress.
pub struct Decoder<B: Backend> {
    capacity: usize,
    /// Positions in the cache.
    len: usize,
    /// Keys and values per site, (capacity, Hkv, P).
    cache: Vec<(B::F, B::F)>,
    tokens: B::I,
    h: B::F,
    x: B::F,
    /// (V)
    logits: B::F,
    saved: Vec<(AttentionSaved<B>, FfnSaved<B>)>,
    attention: AttentionScratch<B>,
    ffn: FfnScratch<B>,
}

impl<B: Backend> Decoder<B> {
    /// An empty sequence of at most `capacity` positions.
    pub fn new(b: &B, model: &Model<B>, capacity: usize) -> Result<Self> {
        let (layout, d) = (&model.layout, model.layout.width);
        let t = CHUNK.min(capacity);
        let cache = |width: usize| Ok((b.zeros(capacity * width)?, b.zeros(capacity * width)?));
        Ok(Decoder {
            capacity,
            len: 0,
            cache: layout.sites.iter().map(|s| cache(s.attention.kv_width())).collect::<Result<_>>()?,
            tokens: b.zeros_i32(t)?,
            h: b.zeros(t * d)?,
            x: b.zeros(d)?,
            logits: b.zeros(layout.vocab)?,
            saved: layout
                .sites
                .iter()
                .map(|s| Ok((AttentionSaved::new(b, &s.attention, d, t)?, FfnSaved::new(b, [&s.ffn], d, t)?)))
                .collect::<Result<_>>()?,
            attention: AttentionScratch::new(b, layout.sites.iter().map(|s| s.attention), d, t, false)?,
            ffn: FfnScratch::new(b, layout.sites.iter().map(|s| &s.ffn), d, t, false)?,
        })
    }

    /// Appends `tokens` and returns the logits (V) after the last one.
    pub fn push(&mut self, b: &B, model: &Model<B>, tokens: &[i32]) -> Result<Vec<f32>> {
        if tokens.is_empty() || self.len + tokens.len() > self.capacity {
            return Err(Error::Argument(format!(
                "Cannot append {} tokens at position {}: wanted 1 to {}",
                tokens.len(),
                self.len,
                self.capacity - self.len
            )));
        }
        let (layout, weights, d) = (&model.layout, &model.weights, model.layout.width);
        let mut last = 0;
        for chunk in tokens.chunks(CHUNK) {
            last = chunk.len();
            b.upload_i32(&mut self.tokens, chunk)?;
            b.embedding_forward(&mut self.h, &weights[layout.embedding], &self.tokens, last, layout.vocab, d)?;
            for ((site, (keys, values)), (attention, ffn)) in layout.sites.iter().zip(&mut self.cache).zip(&mut self.saved) {
                attention::forward_cached(
                    b,
                    &mut self.h,
                    (keys, values),
                    attention,
                    &mut self.attention,
                    weights,
                    &site.attention,
                    d,
                    self.len,
                    last,
                )?;
                ffn::forward(b, &mut self.h, ffn, &mut self.ffn, weights, &site.ffn, d, last)?;
            }
            self.len += last;
        }
        let mut rows = vec![0.0; last * d];
        b.download(&mut rows, &self.h)?;
        b.upload(&mut self.h, &rows[(last - 1) * d..])?;
        b.rmsnorm_forward(&mut self.x, &self.h, &weights[layout.final_norm.w], 1, d, layout.final_norm.eps)?;
        b.linear_forward(&mut self.logits, &self.x, &weights[layout.head], 1, layout.vocab, d)?;
        let mut logits = vec![0.0; layout.vocab];
        b.download(&mut logits, &self.logits)?;
        Ok(logits)
    }
}
