//! Sources: files of documents, read one record after the other from any place in them.
//!
//! A source is a list of files of one kind, on this machine or elsewhere (`ReadAt`). Each format has a file here that
//! turns bytes into records (`reader::Reader`); what a record becomes (shuffled, tokenised) is decided by its callers.

mod arrow;
mod arrow_leaf;
mod column;
mod compress;
mod fault;
mod json;
mod jsonl;
mod kind;
mod local;
mod megatron;
mod meter;
mod parquet;
mod parquet_bytes;
mod reader;
mod rows;
mod rows_arrow;
mod rows_parquet;
mod shard;
mod text;
mod token_layout;
mod tokens;

pub use kind::{Format, TokenType};
pub use local::local_files;
pub use reader::Source;
pub use rows::json_rows;

use crate::error::Result;
use crate::plan::OnBad;
use serde::{Deserialize, Serialize};

/// Bytes of a file, wherever it is, read at any offset and by several threads.
pub trait ReadAt: Send + Sync {
    /// What messages call the file: a path or an `hf://` address.
    fn name(&self) -> &str;
    /// Length in bytes, fixed when the file was opened.
    fn len(&self) -> u64;
    /// Fills `buf` with the bytes from `offset` on. A file that has become shorter is an error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;
    /// Changes when the content does: a checksum, an ETag, or length and samples of the content.
    fn identity(&self) -> String;
    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a source yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Text(String),
    /// Ids from a token file, with the separators that stand in it: all records of a file one after the other are the
    /// file. A long document comes in several records.
    Tokens(Vec<u32>),
}

/// A place in a source: before one record of row `row` of file `file`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Index into the source's list of files.
    pub file: usize,
    /// Number of the row, line or token document in its file, from 0; bad, short and empty ones count.
    pub row: u64,
    /// What the format needs to get there fast: a byte offset in the decoded lines, an offset in tokens.
    pub block: u64,
    /// Number of the record in its row: rows with lists have several.
    pub element: u64,
}

/// What a source is: the plan's object of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// What the mixture calls it.
    pub name: String,
    /// Files, folders, globs, `hf://` addresses: what the list of files was made from.
    pub paths: Vec<String>,
    /// Full path of the leaf that holds the text, such as `rollout_results.list.element.text`, or a name that only one
    /// leaf of strings has; with a dot before it, a path from the top whatever else has the name. `text` by default.
    pub column: Option<String>,
    pub format: Format,
    /// Shorter texts are skipped and counted.
    pub min_characters: usize,
    pub on_bad: OnBad,
}

/// What a source has met since it was opened; going back counts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Records that were yielded.
    pub records: u64,
    /// Texts under `min_characters`.
    pub short: u64,
    /// Nulls, empty lists and empty files.
    pub empty: u64,
    /// Records that could not be read. What is lost behind damage of unknown extent counts as one.
    pub bad: u64,
}
