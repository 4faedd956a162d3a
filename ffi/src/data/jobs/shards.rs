//! A folder of shards: files of token ids, one document after the other, with an index that vouches for them.
//!
//! `index.json` says what the tokens were made from and where the next shard begins in the source, so that a stopped
//! tokenisation goes on. Shards are headerless little-endian ids, as OLMo, dolma and nanoGPT have them, each with a file
//! `.ends` of u64: the end of every document, in tokens.

use super::RecordCounts;
use crate::data::source::Cursor;
use crate::data::{TokenIds, Watch};
use crate::error::{Error, Result};
use crate::files::{FileRecord, record_of, sha256_hex, write_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Raised when folders that were written before cannot be read any more.
const FORMAT: u32 = 1;
pub(super) const INDEX_FILE: &str = "index.json";

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shard {
    /// Name of the tokens' file; that of the documents' ends has `.ends` in place of `.bin`.
    pub file: String,
    pub tokens: u64,
    pub documents: u64,
    pub sha256: String,
    pub ends_sha256: String,
}

/// What the tokens were made from: another folder's must be the same to go on in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeFrom {
    /// Identity of the source.
    pub source: String,
    pub tokenizer_sha256: String,
    pub separator: u32,
    pub separator_placement: String,
    pub shard_tokens: usize,
}

/// Content of `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    pub format: u32,
    /// Bytes of an id: 2 or 4.
    pub width: usize,
    pub vocab: usize,
    pub made_from: MadeFrom,
    pub shards: Vec<Shard>,
    pub counts: RecordCounts,
    /// Where the next shard begins; null when the source has ended.
    pub next: Option<Cursor>,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    pub shards: usize,
    pub tokens: u64,
    pub documents: u64,
    pub is_complete: bool,
    pub faults: Vec<String>,
}

impl Index {
    /// An index without shards.
    pub fn new(width: usize, vocab: usize, made_from: MadeFrom) -> Self {
        Index {
            format: FORMAT,
            width,
            vocab,
            made_from,
            shards: Vec::new(),
            counts: RecordCounts::default(),
            next: Some(Cursor::default()),
        }
    }

    /// The index of a folder; `None` if it has none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(INDEX_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file("read", &path, e)),
        };
        let index: Index = serde_json::from_str(&text)
            .map_err(|e| Error::data(&path, format!("{e}; wanted the index that `bowline data tokenize` writes")))?;
        if index.format != FORMAT {
            return Err(Error::data(&path, format!("its format is {}, this version reads {FORMAT}", index.format)));
        }
        Ok(Some(index))
    }

    /// Replaces the folder's index in one step.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let (path, temporary) = (folder.join(INDEX_FILE), folder.join(format!("{INDEX_FILE}.tmp")));
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Internal(format!("writing {INDEX_FILE}: {e}")))?;
        write_file(&temporary, format!("{text}\n").as_bytes())?;
        fs::rename(&temporary, &path).map_err(|e| Error::file("write", &path, e))
    }

    /// Writes the next shard, and then the index that names it: a shard that is not named does not count.
    pub fn push(&mut self, folder: &Path, tokens: &TokenIds, ends: &[u64]) -> Result<()> {
        let file = format!("shard-{:05}.bin", self.shards.len());
        let FileRecord { sha256, .. } = write_file(&folder.join(&file), tokens.as_bytes())?;
        let ends_bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let FileRecord { sha256: ends_sha256, .. } = write_file(&folder.join(ends_name(&file)), &ends_bytes)?;
        self.shards.push(Shard { file, tokens: tokens.len() as u64, documents: ends.len() as u64, sha256, ends_sha256 });
        Ok(())
    }
}

pub(super) fn ends_name(file: &str) -> String {
    file.replace(".bin", ".ends")
}

/// Checks every shard of a folder against its index.
pub fn verify(folder: &Path, watch: &Watch) -> Result<VerifyReport> {
    let index = Index::read(folder)?;
    let index =
        index.ok_or_else(|| Error::data(folder, format!("it has no {INDEX_FILE}; wanted a folder that `bowline data tokenize` wrote")))?;
    let mut report = VerifyReport { shards: index.shards.len(), is_complete: index.next.is_none(), ..Default::default() };
    for (i, shard) in index.shards.iter().enumerate() {
        watch.report(i as f64 / index.shards.len() as f64)?;
        report.tokens += shard.tokens;
        report.documents += shard.documents;
        report.faults.extend(fault(folder, &index, shard));
    }
    watch.report(1.0)?;
    Ok(report)
}

/// What is wrong with a shard.
fn fault(folder: &Path, index: &Index, shard: &Shard) -> Option<String> {
    let path = folder.join(&shard.file);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) => return Some(format!("{}: {e}", shard.file)),
    };
    let wanted = shard.tokens * index.width as u64;
    if bytes.len() as u64 != wanted {
        return Some(format!("{}: it has {} bytes, wanted {wanted}", shard.file, bytes.len()));
    }
    if sha256_hex(&bytes) != shard.sha256 {
        return Some(format!("{}: its content is not what was written", shard.file));
    }
    if TokenIds::from_bytes(&bytes, index.vocab).is_none() {
        return Some(format!("{}: a token is not below the vocabulary of {}", shard.file, index.vocab));
    }
    let ends = ends_name(&shard.file);
    match record_of(&folder.join(&ends)) {
        Err(e) => Some(format!("{ends}: {e}")),
        Ok(record) if record.sha256 != shard.ends_sha256 => Some(format!("{ends}: its content is not what was written")),
        Ok(_) => None,
    }
}
