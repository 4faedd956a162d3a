//! A prepared corpus: the token ids of the training and the held-out part, cut into windows of S+1.

use super::text::{Documents, name_of, read_documents};
use super::tokens::TokenIds;
use super::{Settings, Tokenizer, TokenizerSpec, Watch, bigram_loss, cache, split};
use crate::error::{Error, Result};
use crate::files::sha256_hex;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The tokens of a corpus before they are cut into windows; this is what the cache stores.
pub(super) struct Prepared {
    pub tokenizer: Tokenizer,
    /// Every document with the separator before it, one after the other.
    pub train: TokenIds,
    pub held_out: TokenIds,
}

/// Where the tokenizer comes from, its file read if it has one.
pub(super) enum Source {
    Train { vocab: usize },
    Loaded(Box<Tokenizer>),
}

/// Training and held-out windows and the tokenizer that made them.
pub struct Corpus {
    pub tokenizer: Tokenizer,
    /// Where that tokenizer lies on disk.
    pub tokenizer_file: PathBuf,
    /// `S`: windows have S+1 tokens.
    pub seq_len: usize,
    /// Documents used, and those left out as too short.
    pub num_documents: usize,
    pub num_skipped: usize,
    train: TokenIds,
    held_out: TokenIds,
    fingerprint: String,
}

/// What a corpus is, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataInfo {
    pub kind: &'static str,
    pub documents: usize,
    /// Documents that were too short.
    pub skipped: usize,
    /// Tokens in windows, the first of each included.
    pub train_tokens: usize,
    pub held_out_tokens: usize,
    /// Tokens after the last window, of both parts.
    pub dropped_tokens: usize,
    /// Bytes of text that the held-out tokens stand for; null when the tokenizer does not tell.
    pub held_out_bytes: Option<u64>,
    /// Training windows.
    pub windows: usize,
    pub vocab: usize,
    pub tokenizer_file: PathBuf,
    /// Loss of the bigram baseline on the held-out windows.
    pub bigram_loss: f64,
}

/// Reads `files`, holds a part out, makes or loads the tokenizer and turns everything into tokens, or finds all that in
/// the cache. The result depends on the content of the files, their order and the settings only.
pub fn prepare(files: &[PathBuf], settings: &Settings, cache_dir: &Path, watch: &Watch) -> Result<Corpus> {
    let read = read_documents(files, settings.min_characters, &watch.part(0.0, 0.05))?;
    let source = match &settings.tokenizer {
        &TokenizerSpec::TrainBpe { vocab } => Source::Train { vocab },
        other => Source::Loaded(Box::new(Tokenizer::of(other, &settings.separator)?)),
    };
    let key = cache::Key::new(&read.sha256, settings, &source);
    let (prepared, folder) = match cache::load(cache_dir, &key) {
        Some((prepared, folder)) => {
            require_fit(&prepared, settings, files)?;
            (prepared, folder)
        }
        None => {
            let prepared = make(&read, settings, source, &watch.part(0.05, 0.95))?;
            require_fit(&prepared, settings, files)?;
            match cache::store(cache_dir, &key, &prepared) {
                Ok(folder) => (prepared, folder),
                // Another process may have put the same entry there in between.
                Err(e) => cache::load(cache_dir, &key).ok_or(e)?,
            }
        }
    };
    watch.report(1.0)?;
    let Prepared { tokenizer, train, held_out } = prepared;
    let fingerprint = sha256_hex(format!("windows of {} of {}", settings.seq_len + 1, sha256_hex(train.as_bytes())).as_bytes());
    Ok(Corpus {
        tokenizer,
        tokenizer_file: folder.join(cache::TOKENIZER_FILE),
        seq_len: settings.seq_len,
        num_documents: read.documents.len(),
        num_skipped: read.num_skipped,
        train,
        held_out,
        fingerprint,
    })
}

/// Tokenizes everything.
fn make(read: &Documents, settings: &Settings, source: Source, watch: &Watch) -> Result<Prepared> {
    let parts = split(&read.documents, settings.held_out)?;
    let tokenizer = match source {
        Source::Train { vocab } => Tokenizer::train(&parts.train, vocab, &settings.separator, &watch.part(0.0, 0.6))?,
        Source::Loaded(tokenizer) => *tokenizer,
    };
    let train = tokens_of(&parts.train, &tokenizer, &watch.part(0.6, 0.95))?;
    let held_out = tokens_of(&parts.held_out, &tokenizer, &watch.part(0.95, 1.0))?;
    Ok(Prepared { tokenizer, train, held_out })
}

/// Refuses tokens that the model has no embedding for and parts without a single window.
fn require_fit(prepared: &Prepared, settings: &Settings, files: &[PathBuf]) -> Result<()> {
    prepared.tokenizer.require_vocab(settings.model_vocab)?;
    let window = settings.seq_len + 1;
    for (part, tokens, remedy) in [("training", &prepared.train, ""), ("held-out", &prepared.held_out, ", or hold more out (data.heldOut)")]
    {
        if tokens.len() < window {
            let has = format!("the {part} part has {} tokens, one window needs {window}", tokens.len());
            let reason = format!("{has} (train.seqLen + 1); give more text or a smaller train.seqLen{remedy}");
            return Err(Error::data(name_of(files), reason));
        }
    }
    Ok(())
}

/// The texts as one stream of ids, each after a separator.
fn tokens_of(texts: &[&str], tokenizer: &Tokenizer, watch: &Watch) -> Result<TokenIds> {
    let mut tokens = TokenIds::for_vocab(tokenizer.vocab());
    for ids in tokenizer.encode_all(texts, watch)? {
        tokens.extend(&[tokenizer.separator()]);
        tokens.extend(&ids);
    }
    Ok(tokens)
}

impl Corpus {
    /// Changes when the training windows do; what a saved position refers to.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Number of training windows.
    pub fn num_windows(&self) -> usize {
        self.train.len() / (self.seq_len + 1)
    }

    /// Number of held-out windows.
    pub fn num_held_out_windows(&self) -> usize {
        self.held_out.len() / (self.seq_len + 1)
    }

    /// Copies training window `at` into `out` (S+1).
    pub fn train_window(&self, at: usize, out: &mut [i32]) {
        debug_assert_eq!(out.len(), self.seq_len + 1);
        self.train.copy_to(at * (self.seq_len + 1), out);
    }

    /// Copies held-out window `at` into `out` (S+1).
    pub fn held_out_window(&self, at: usize, out: &mut [i32]) {
        debug_assert_eq!(out.len(), self.seq_len + 1);
        self.held_out.copy_to(at * (self.seq_len + 1), out);
    }

    /// Counts everything and computes the baseline.
    pub fn info(&self) -> DataInfo {
        let window = self.seq_len + 1;
        let held_out_tokens = self.num_held_out_windows() * window;
        let lengths = self.tokenizer.byte_lengths();
        let held_out_bytes = lengths.map(|lengths| (0..held_out_tokens).map(|at| u64::from(lengths[self.held_out.get(at) as usize])).sum());
        DataInfo {
            kind: "corpus",
            documents: self.num_documents,
            skipped: self.num_skipped,
            train_tokens: self.num_windows() * window,
            held_out_tokens,
            dropped_tokens: self.train.len() % window + self.held_out.len() % window,
            held_out_bytes,
            windows: self.num_windows(),
            vocab: self.tokenizer.vocab(),
            tokenizer_file: self.tokenizer_file.clone(),
            bigram_loss: bigram_loss(self),
        }
    }
}
