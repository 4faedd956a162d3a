//! The section `data`: what is trained on, and how text becomes windows.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSpec {
    pub corpus: Option<String>,
    pub files: Vec<String>,
    pub sources: Vec<SourceSpec>,
    pub tokenizer: TokenizerSpec,
    /// Text of the token that separates documents.
    pub separator: String,
    pub separator_placement: SeparatorPlacement,
    pub min_characters: usize,
    pub held_out: HeldOut,
    pub order: OrderSpec,
    /// Documents of a source that are shuffled together.
    pub shuffle_buffer: usize,
    pub at_end: AtEnd,
    pub on_bad_record: OnBad,
}

/// Files of documents and their share of the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSpec {
    pub name: String,
    /// Files, folders, globs, `hf://` addresses.
    pub paths: Vec<String>,
    /// Full path of the text's column.
    pub column: Option<String>,
    pub format: FormatSpec,
    pub weight: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatSpec {
    /// By the files' names.
    Auto,
    Text,
    Jsonl,
    Parquet,
    Arrow,
    TokensU16,
    TokensU32,
}

/// Where the tokenizer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// A byte-level BPE of `vocab` tokens, trained on the data.
    TrainBpe { vocab: usize },
    /// A Hugging Face tokenizer.json.
    File { path: PathBuf },
    /// cl100k_base, which is part of the program.
    Cl100k,
    /// 256 bytes and the separator.
    Bytes,
}

/// Where the separator stands, seen from a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeparatorPlacement {
    /// Before each document.
    Before,
    /// After each document.
    After,
    /// Documents follow each other directly.
    None,
}

/// Which text is kept for evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeldOut {
    /// Document `i` (counted over the files as given) when `i % every == index`.
    Documents { every: usize, index: usize },
    /// The last `fraction` of all text.
    Tail { fraction: f64 },
    /// The windows after the first `tokens` tokens of a mixture, as the published trainer has it. Training starts at the
    /// beginning too, so a run longer than that trains on them: these figures compare, they do not test.
    SkipTokens { tokens: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderSpec {
    /// All windows of the training part, shuffled anew each epoch.
    ShuffledWindows,
    /// Documents of all sources as they are drawn.
    Stream,
}

/// What happens when a source has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// The source starts over, shuffled anew.
    Repeat,
    /// The others go on with their weights; the data ends with the last of them.
    Drop,
    /// The data ends with the first source that ends.
    Stop,
}

/// What to do about a record that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBad {
    /// The error is returned; the source stands before the record.
    #[default]
    Stop,
    /// The record is counted and left out.
    Skip,
}
