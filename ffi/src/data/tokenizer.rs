//! Text to token ids and back: a Hugging Face tokenizer file, a byte-level BPE trained here, or a builtin one.
//!
//! Special tokens are structure, not text: a document that spells `<|endoftext|>` is encoded as those characters.

use super::pieces::pieces;
use super::{Builtin, Watch};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, PreTokenizerWrapper, TokenizerBuilder};

/// Bytes and the separator: what a byte-level vocabulary has before its first merge.
const MIN_VOCAB: usize = 257;

/// Larger ids are a broken file, not a reason to ask for gigabytes.
const MAX_VOCAB: usize = 1 << 24;

/// What turns text into ids.
enum Engine {
    File(Box<tokenizers::Tokenizer>),
    Builtin(Builtin),
}

/// A tokenizer and the id of its separator.
pub struct Tokenizer {
    engine: Engine,
    json: Vec<u8>,
    separator: u32,
    vocab: usize,
    /// Bytes of text that each id stands for, when the tokenizer is byte-level.
    bytes: Option<Vec<Vec<u8>>>,
}

impl Tokenizer {
    /// Trains a byte-level BPE with `vocab` tokens in all (256 bytes, the separator, merges; fewer when the texts have
    /// nothing more to merge), cut into words by GPT-2's pattern. Same texts, same tokenizer, whatever the threads.
    pub fn train(texts: &[&str], vocab: usize, separator: &str, watch: &Watch) -> Result<Self> {
        if vocab < MIN_VOCAB {
            let reason = format!("it is {vocab}, at least {MIN_VOCAB} holds every byte and the separator");
            return Err(Error::plan("data.tokenizer.vocab", reason));
        }
        let byte_level = ByteLevel::new(false, false, true);
        let mut inner = TokenizerBuilder::<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(byte_level))
            .with_post_processor(Some(byte_level))
            .with_decoder(Some(byte_level))
            .build()
            .map_err(internal)?;
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocab)
            .min_frequency(0)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(separator, true)])
            .build();
        let total: usize = texts.iter().map(|text| text.len()).sum();
        let done = AtomicUsize::new(0);
        // Stops early when cancelled; the words counted so far are then thrown away below.
        let words = texts.iter().flat_map(|text| pieces(text)).take_while(|piece| {
            let done = done.fetch_add(piece.len(), Ordering::Relaxed);
            watch.report(0.8 * done as f64 / total.max(1) as f64).is_ok()
        });
        inner.train(&mut trainer, words).map_err(internal)?;
        watch.report(1.0)?;
        let json = inner.to_string(false).map_err(internal)?;
        Self::from_json(json.into_bytes(), separator, "trained here")
    }

    /// Reads a `tokenizer.json`, whose token `separator` shall stand before each document.
    pub fn load(path: &Path, separator: &str) -> Result<Self> {
        let name = path.display().to_string();
        let json = std::fs::read(path).map_err(|e| unusable(&name, format!("{e}; check the path")))?;
        Self::from_json(json, separator, &name)
    }

    /// A builtin tokenizer with the separator `id`.
    pub(super) fn of_builtin(builtin: Builtin, separator: u32) -> Self {
        let bytes = builtin.bytes();
        Self { engine: Engine::Builtin(builtin), json: builtin.json(), separator, vocab: bytes.len(), bytes: Some(bytes) }
    }

    /// The same from the content of a file, or from what `json` gave; `name` stands in error messages.
    pub fn from_json(json: Vec<u8>, separator: &str, name: &str) -> Result<Self> {
        if let Some(builtin) = Builtin::read(&json) {
            return builtin.tokenizer(separator);
        }
        let mut inner = tokenizers::Tokenizer::from_bytes(&json)
            .map_err(|e| unusable(name, format!("{e}; wanted a tokenizer.json of the Hugging Face tokenizers library")))?;
        let id = inner.token_to_id(separator).ok_or_else(|| unusable(name, missing_separator(&inner, separator)))?;
        // A file may ask for cut or padded sequences and may list the separator as ordinary text.
        inner.with_truncation(None).map_err(|e| unusable(name, e.to_string()))?;
        inner.with_padding(None);
        inner.add_special_tokens([AddedToken::from(separator, true)]).map_err(|e| unusable(name, e.to_string()))?;
        inner.set_encode_special_tokens(true);
        let vocab = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        if vocab > MAX_VOCAB {
            return Err(unusable(name, format!("it has a token with id {}, wanted less than {MAX_VOCAB}", vocab - 1)));
        }
        let bytes = is_byte_level(&json).then(|| token_bytes(&inner, vocab));
        let tokenizer = Self { engine: Engine::File(Box::new(inner)), json, separator: id, vocab, bytes };
        if tokenizer.encode(separator)?.contains(&id) {
            let reason = format!("the text {separator} becomes its separator; set data.separator to a token that text cannot spell");
            return Err(unusable(name, reason));
        }
        Ok(tokenizer)
    }

    /// The content of its `tokenizer.json`; a line with its name for a builtin one.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Number of ids: the largest id + 1.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// The id that stands before each document.
    pub fn separator(&self) -> u32 {
        self.separator
    }

    /// Refuses a tokenizer with ids that the model has no embedding for.
    pub fn require_vocab(&self, model_vocab: usize) -> Result<()> {
        if self.vocab <= model_vocab {
            return Ok(());
        }
        let reason = format!("the tokenizer has {} tokens, the model's vocabulary only {model_vocab}", self.vocab);
        Err(Error::plan("model.vocab", reason))
    }

    /// Ids of one text, without a separator.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        // GPT-2's pattern and cl100k's are known to break where `pieces` cuts; any other may look further.
        let breaks = match &self.engine {
            Engine::File(inner) => {
                matches!(inner.get_pre_tokenizer(), Some(PreTokenizerWrapper::ByteLevel(ByteLevel { use_regex: true, .. })))
            }
            Engine::Builtin(_) => true,
        };
        if !breaks {
            return self.encode_piece(text);
        }
        let pieces = pieces(text).into_par_iter().map(|piece| self.encode_piece(piece)).collect::<Result<Vec<_>>>()?;
        Ok(pieces.concat())
    }

    /// Ids of one text with the special tokens that the file's post-processor puts around it; a builtin one has none.
    pub fn encode_as_configured(&self, text: &str) -> Result<Vec<u32>> {
        match &self.engine {
            Engine::File(inner) => {
                let encoding = inner.encode_fast(text, true).map_err(|e| Error::Argument(format!("Cannot encode a text: {e}")))?;
                Ok(encoding.get_ids().to_vec())
            }
            Engine::Builtin(_) => self.encode(text),
        }
    }

    /// Ids of every text, in order; texts are encoded in parallel.
    pub fn encode_all(&self, texts: &[&str], watch: &Watch) -> Result<Vec<Vec<u32>>> {
        let total: usize = texts.iter().map(|text| text.len()).sum();
        let done = AtomicUsize::new(0);
        texts
            .par_iter()
            .map(|text| {
                let done = done.fetch_add(text.len(), Ordering::Relaxed);
                watch.report(done as f64 / total.max(1) as f64)?;
                self.encode(text)
            })
            .collect()
    }

    fn encode_piece(&self, text: &str) -> Result<Vec<u32>> {
        match &self.engine {
            Engine::File(inner) => {
                let encoding = inner.encode_fast(text, false).map_err(|e| Error::Argument(format!("Cannot encode a text: {e}")))?;
                Ok(encoding.get_ids().to_vec())
            }
            Engine::Builtin(builtin) => Ok(builtin.encode(text)),
        }
    }

    /// The text of `ids`; special tokens stand for none, bytes that are not UTF-8 become the replacement character.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocab) {
            return Err(Error::Argument(format!("Cannot decode token {id}: the tokenizer has {} tokens", self.vocab)));
        }
        if let (None, Engine::File(inner)) = (&self.bytes, &self.engine) {
            return inner.decode(ids, true).map_err(|e| Error::Argument(format!("Cannot decode tokens: {e}")));
        }
        let all: Vec<u8> = ids.iter().filter_map(|&id| self.token_bytes(id)).flatten().copied().collect();
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// The bytes of text that `id` stands for, none for a special token. `None` when the tokenizer is not byte-level,
    /// or has no such id.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.bytes.as_ref()?.get(id as usize).map(Vec::as_slice)
    }

    /// Length in bytes of every token's text, for bits per byte; `None` when the tokenizer is not byte-level.
    pub fn byte_lengths(&self) -> Option<Vec<u32>> {
        Some(self.bytes.as_ref()?.iter().map(|bytes| bytes.len() as u32).collect())
    }
}

fn internal(e: tokenizers::Error) -> Error {
    Error::Internal(format!("training the tokenizer: {e}"))
}

fn unusable(name: &str, reason: String) -> Error {
    Error::Argument(format!("Cannot use the tokenizer {name}: {reason}"))
}

fn missing_separator(inner: &tokenizers::Tokenizer, separator: &str) -> String {
    let mut special: Vec<_> = inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special).collect();
    special.sort_by_key(|(id, _)| *id);
    let names: Vec<_> = special.iter().take(8).map(|(_, token)| token.content.as_str()).collect();
    let has = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    format!("it has no token {separator}; set data.separator to one of its special tokens ({has})")
}

/// Whether ids are turned into text through the byte alphabet: the decoder says so, alone or in a sequence.
fn is_byte_level(json: &[u8]) -> bool {
    let file: Value = serde_json::from_slice(json).unwrap_or_default();
    let is_byte_level = |decoder: &Value| decoder["type"] == "ByteLevel";
    let sequence = file["decoder"]["decoders"].as_array();
    is_byte_level(&file["decoder"]) || sequence.is_some_and(|decoders| decoders.iter().any(is_byte_level))
}

/// The bytes of every id. Added tokens stand for their own text when ordinary and for nothing when special.
fn token_bytes(inner: &tokenizers::Tokenizer, vocab: usize) -> Vec<Vec<u8>> {
    let alphabet: HashMap<char, u8> = byte_alphabet().into_iter().zip(0..=255).collect();
    let mut bytes = vec![Vec::new(); vocab];
    for (token, id) in inner.get_vocab(false) {
        // A character outside the alphabet can only come from a token that no byte-level text produces.
        bytes[id as usize] = token.chars().filter_map(|c| alphabet.get(&c).copied()).collect();
    }
    for (id, token) in inner.get_added_tokens_decoder() {
        bytes[id as usize] = if token.special { Vec::new() } else { token.content.into_bytes() };
    }
    bytes
}

/// The character that stands for each byte in a byte-level vocabulary: printable Latin-1 for itself, the others for
/// the characters from U+0100 on, in order.
pub(crate) fn byte_alphabet() -> Vec<char> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = '\u{100}'..;
    (0..=255).map(|byte| if is_printable(byte) { char::from(byte) } else { next.next().unwrap_or_default() }).collect()
}
