//! The section `data`: what is trained on, and how text becomes windows.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSpec {
    pub corpus: Option<String>,
    pub files: Vec<String>,
    pub sources: Vec<SourceSpec>,
    pub tokenizer: TokenizerSpec,
    /// Text of the token that separates documents.
    pub separator: String,
    pub separator_placement: PlacementSpec,
    pub min_characters: usize,
    pub held_out: HeldOutSpec,
    pub order: OrderSpec,
    /// Documents of a source that are shuffled together.
    pub shuffle_buffer: usize,
    pub at_end: AtEndSpec,
    pub on_bad_record: OnBadSpec,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// A byte-level BPE of `vocab` tokens, trained on the data.
    TrainBpe { vocab: usize },
    /// A Hugging Face tokenizer.json.
    File { path: String },
    /// cl100k_base, which is part of the program.
    Cl100k,
    /// 256 bytes and the separator.
    Bytes,
}

/// Where the separator stands, seen from a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementSpec {
    Before,
    After,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeldOutSpec {
    /// Documents whose index modulo `every` is `index`.
    Documents { every: usize, index: usize },
    /// The last part of the text.
    Tail { fraction: f64 },
    /// What follows the first tokens of the stream; trained on, too, as published.
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
pub enum AtEndSpec {
    Repeat,
    Drop,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadSpec {
    Stop,
    Skip,
}
