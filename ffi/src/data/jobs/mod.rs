//! Work on data that belongs to no model: looking at sources, tokenising them into shards, training a tokenizer, checking
//! shards, reading whole rows. A request is JSON and so is its report; `ffi/ts/job.ts` has the types of both.

mod inspect;
mod rows;
mod tokenize;
mod train_tokenizer;
mod verify;

use super::find::Finder;
use super::open::{OpenOptions, open_source};
use super::{Tokenizer, Watch};
use crate::error::{Error, Result};
use crate::plan::{OnBad, SeparatorPlacement, SourceSpec, TokenizerSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use rows::rows;
pub use tokenize::{TokenizeOptions, TokenizeReport, tokenize};
pub use verify::{VerifyReport, verify};

/// Where sources are and how they are read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    pub sources: Vec<SourceSpec>,
    pub min_characters: usize,
    pub on_bad_record: OnBad,
    pub cache_dir: PathBuf,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum JobRequest {
    Inspect {
        #[serde(flatten)]
        from: Sources,
        tokenizer: Option<TokenizerSpec>,
        separator: String,
        rows: usize,
        limit: Option<u64>,
    },
    Tokenize {
        #[serde(flatten)]
        from: Sources,
        tokenizer: TokenizerSpec,
        separator: String,
        separator_placement: SeparatorPlacement,
        out: PathBuf,
        shard_tokens: usize,
        is_resuming: bool,
    },
    TrainTokenizer {
        #[serde(flatten)]
        from: Sources,
        vocab: usize,
        separator: String,
        max_bytes: usize,
        out: PathBuf,
    },
    Verify {
        folder: PathBuf,
    },
    Rows {
        paths: Vec<String>,
        cache_dir: PathBuf,
    },
}

/// Records of a source: those that became documents, and why others did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    pub documents: u64,
    pub short: u64,
    pub empty: u64,
    pub bad: u64,
}

impl Sources {
    fn options(&self) -> OpenOptions<'_> {
        OpenOptions { min_characters: self.min_characters, on_bad: self.on_bad_record, cache_dir: &self.cache_dir }
    }
}

impl JobRequest {
    /// Does it and returns the report.
    pub fn run(&self, watch: &Watch) -> Result<String> {
        match self {
            JobRequest::Inspect { from, tokenizer, separator, rows, limit } => {
                let tokenizer = tokenizer.as_ref().map(|spec| Tokenizer::of(spec, separator)).transpose()?;
                let parts = from.sources.iter().enumerate().map(|(i, spec)| {
                    let watch = watch.part(i as f64 / from.sources.len() as f64, (i + 1) as f64 / from.sources.len() as f64);
                    inspect::inspect(&spec.name, open_source(spec, from.options(), &watch)?, tokenizer.as_ref(), *rows, *limit, &watch)
                });
                report(&serde_json::json!({ "sources": parts.collect::<Result<Vec<_>>>()? }))
            }
            JobRequest::Tokenize { from, tokenizer, separator, separator_placement, out, shard_tokens, is_resuming } => {
                let [spec] = from.sources.as_slice() else {
                    let reason =
                        format!("Cannot tokenise {} sources into one folder: wanted one, since weights would be lost", from.sources.len());
                    return Err(Error::Argument(reason));
                };
                let tokenizer = Tokenizer::of(tokenizer, separator)?;
                let opened = open_source(spec, from.options(), &watch.part(0.0, 0.01))?;
                let options =
                    TokenizeOptions { placement: *separator_placement, out, shard_tokens: *shard_tokens, is_resuming: *is_resuming };
                report(&tokenize(opened.records, &tokenizer, &options, &watch.part(0.01, 1.0))?)
            }
            JobRequest::TrainTokenizer { from, vocab, separator, max_bytes, out } => {
                report(&train_tokenizer::train(from, *vocab, separator, *max_bytes, out, watch)?)
            }
            JobRequest::Verify { folder } => report(&verify(folder, watch)?),
            JobRequest::Rows { paths, cache_dir } => {
                let files = Finder::new(cache_dir, BTreeMap::new()).files(paths, &watch.part(0.0, 0.1))?;
                rows(&files, &watch.part(0.1, 1.0))
            }
        }
    }
}

/// A report as JSON.
pub(crate) fn report(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(format!("writing a report: {e}")))
}
