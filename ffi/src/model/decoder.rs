//! The model one position after the other, with a cache of keys and values per site.

use super::Model;
use super::attention::{self, AttentionSaved, AttentionScratch};
use super::ffn::{self, FfnSaved, FfnScratch};
use crate::backend::{Backend, Memory};
use crate::error::{Error, Result};
use crate::layout::Layout;

/// Positions taken in one pass while the prompt is read.
pub const CHUNK: usize = 128;

/// Positions whose logits are made at once.
pub const HEAD_ROWS: usize = 16;

/// One sequence in progress.
pub struct Decoder<B: Memory> {
    capacity: usize,
    /// Positions in the cache.
    len: usize,
    /// Keys and values per site, (capacity, Hkv, P).
    cache: Vec<(B::F, B::F)>,
    tokens: B::I,
    /// (CHUNK, D) the residual stream, and its norm.
    h: B::F,
    x: B::F,
    /// (HEAD_ROWS, V)
    logits: B::F,
    saved: Vec<(AttentionSaved<B>, FfnSaved<B>)>,
    attention: AttentionScratch<B>,
    ffn: FfnScratch<B>,
}

impl<B: Memory> Decoder<B> {
    /// Keys and values of `capacity` positions, per site.
    pub fn cache(b: &B, layout: &Layout, capacity: usize) -> Result<Vec<(B::F, B::F)>> {
        let of_site = |width: usize| Ok((b.zeros(capacity * width)?, b.zeros(capacity * width)?));
        layout.sites.iter().map(|s| of_site(s.attention.kv_width())).collect()
    }

    /// An empty sequence of at most `capacity` positions.
    pub fn new(b: &B, layout: &Layout, capacity: usize) -> Result<Self> {
        let d = layout.width;
        let t = CHUNK.min(capacity);
        Ok(Decoder {
            capacity,
            len: 0,
            cache: Decoder::cache(b, layout, capacity)?,
            tokens: b.zeros_i32(t)?,
            h: b.zeros(t * d)?,
            x: b.zeros(t * d)?,
            logits: b.zeros(HEAD_ROWS.min(t) * layout.vocab)?,
            saved: layout
                .sites
                .iter()
                .map(|s| Ok((AttentionSaved::new(b, &s.attention, d, t)?, FfnSaved::new(b, [&s.ffn], d, t)?)))
                .collect::<Result<_>>()?,
            attention: AttentionScratch::new(b, layout.sites.iter().map(|s| s.attention), d, t, false)?,
            ffn: FfnScratch::new(b, layout.sites.iter().map(|s| &s.ffn), d, t, false)?,
        })
    }
}

impl<B: Backend> Decoder<B> {
    /// Appends `tokens` and returns the logits (V) after the last one.
    pub fn push(&mut self, b: &B, model: &Model<B>, tokens: &[i32]) -> Result<Vec<f32>> {
        let mut last = Vec::new();
        self.visit(b, model, tokens, tokens.len().saturating_sub(1), |_, logits| last.extend_from_slice(logits))?;
        Ok(last)
    }

    /// Forgets the positions from `len` on.
    pub fn rewind(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends `tokens` and shows `see` the logits (V) after each of them from number `from` on. What it shows depends on the
    /// tokens and on how they were cut into calls since the start, on nothing else.
    pub fn visit(&mut self, b: &B, model: &Model<B>, tokens: &[i32], from: usize, mut see: impl FnMut(usize, &[f32])) -> Result<()> {
        if tokens.is_empty() || self.len + tokens.len() > self.capacity {
            return Err(Error::Argument(format!(
                "Cannot append {} tokens at position {}: wanted 1 to {}",
                tokens.len(),
                self.len,
                self.capacity - self.len
            )));
        }
        let (d, vocab) = (model.layout.width, model.layout.vocab);
        let (mut rows, mut logits) = (Vec::new(), Vec::new());
        for (number, chunk) in tokens.chunks(CHUNK).enumerate() {
            self.advance(b, model, chunk)?;
            let first = (number * CHUNK).max(from);
            let skipped = first - number * CHUNK;
            if skipped >= chunk.len() {
                continue;
            }
            let norm = model.layout.final_norm;
            b.rmsnorm_forward(&mut self.x, &self.h, &model.weights[norm.w], chunk.len(), d, norm.eps)?;
            rows.resize(chunk.len() * d, 0.0);
            b.download(&mut rows, &self.x)?;
            for (piece, rows) in rows[skipped * d..].chunks(HEAD_ROWS * d).enumerate() {
                let count = rows.len() / d;
                b.upload(&mut self.h, rows)?;
                b.linear_forward(&mut self.logits, &self.h, &model.weights[model.layout.head], count, vocab, d)?;
                logits.resize(count * vocab, 0.0);
                b.download(&mut logits, &self.logits)?;
                logits.chunks_exact(vocab).enumerate().for_each(|(i, logits)| see(first + piece * HEAD_ROWS + i, logits));
            }
        }
        Ok(())
    }

    /// Takes at most CHUNK tokens through all sites.
    fn advance(&mut self, b: &B, model: &Model<B>, chunk: &[i32]) -> Result<()> {
        let (layout, weights, d, count) = (&model.layout, &model.weights, model.layout.width, chunk.len());
        b.upload_i32(&mut self.tokens, chunk)?;
        b.embedding_forward(&mut self.h, &weights[layout.embedding], &self.tokens, count, layout.vocab, d)?;
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
                count,
            )?;
            ffn::forward(b, &mut self.h, ffn, &mut self.ffn, weights, &site.ffn, d, count)?;
        }
        self.len += count;
        Ok(())
    }
}
