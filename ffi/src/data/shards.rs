//! A folder of shards: files of token ids, one document after the other, with an index that vouches for them.
//!
//! Read as a source, such a folder gives the documents as they were, without their separators: training on it is training
//! on the text that it was made from.
//!
//! `index.json` says what the tokens were made from and where the next shard begins in the source, so that a stopped
//! tokenisation goes on. Shards are headerless little-endian ids, as OLMo, dolma and nanoGPT have them, each with a file
//! `.ends` of u64: the end of every document, in tokens.

use super::TokenIds;
use super::jobs::RecordCounts;
use super::source::{Cursor, Format, ReadAt, TokenType, local_files};
use crate::error::{Error, Result};
use crate::files::{FileRecord, write_file};
use crate::plan::SeparatorPlacement;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Arc;

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
    pub separator_placement: SeparatorPlacement,
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

    /// The index of a folder that holds shards; `None` for other folders, files and patterns.
    pub fn of_shards(folder: &Path) -> Result<Option<Self>> {
        if folder.join(shard_name(0)).is_file() { Index::read(folder) } else { Ok(None) }
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
        let file = shard_name(self.shards.len());
        let FileRecord { sha256, .. } = write_file(&folder.join(&file), tokens.as_bytes())?;
        let ends_bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let FileRecord { sha256: ends_sha256, .. } = write_file(&folder.join(ends_name(&file)), &ends_bytes)?;
        self.shards.push(Shard { file, tokens: tokens.len() as u64, documents: ends.len() as u64, sha256, ends_sha256 });
        Ok(())
    }

    /// The shards of `folder` as files of a source, each followed by its ends, and how they are read.
    pub fn source(&self, folder: &Path) -> Result<(Vec<Arc<dyn ReadAt>>, Format)> {
        if self.next.is_some() {
            return Err(Error::data(folder, "its shards are not complete; go on with `bowline data tokenize --resume`"));
        }
        let mut files = Vec::new();
        for shard in &self.shards {
            for name in [&shard.file, &ends_name(&shard.file)] {
                files.extend(local_files(&folder.join(name).to_string_lossy())?);
            }
        }
        let dtype = if self.width == 2 { TokenType::U16 } else { TokenType::U32 };
        let MadeFrom { separator, separator_placement: placement, .. } = self.made_from;
        Ok((files, Format::Shards { dtype, separator, placement }))
    }
}

fn shard_name(number: usize) -> String {
    format!("shard-{number:05}.bin")
}

pub(super) fn ends_name(file: &str) -> String {
    file.replace(".bin", ".ends")
}
