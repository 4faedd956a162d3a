//! Which format a file has: what the source says, or what its name says.

use super::ReadAt;
use super::compress::Compression;
use crate::error::{Error, Result};
use crate::plan::SeparatorPlacement;
use serde::{Deserialize, Serialize};

/// How the files of a source are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Format {
    /// By the names of the files.
    #[default]
    Auto,
    /// One file is one document.
    Text,
    /// One JSON object a line; `.gz` and `.zst` files are decompressed.
    Jsonl,
    Parquet,
    /// Arrow IPC, stream or file.
    Arrow,
    /// Token ids. A file with a header or an index says its own type; one without needs `dtype`. Where the id that ends
    /// documents is given, a record is a document with that id at its end; else the file is cut at fixed places.
    Tokens {
        #[serde(default)]
        dtype: Option<TokenType>,
        #[serde(default)]
        separator: Option<u32>,
    },
    /// Shards of this program, each with the ends of its documents beside it. A record is a document without the separator
    /// that stands at its `placement`.
    Shards {
        dtype: TokenType,
        separator: u32,
        placement: SeparatorPlacement,
    },
}

/// Type of the ids in a token file, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    U8,
    U16,
    U32,
    I32,
    I64,
}

impl TokenType {
    /// Bytes of one id.
    pub fn width(self) -> usize {
        match self {
            TokenType::U8 => 1,
            TokenType::U16 => 2,
            TokenType::U32 | TokenType::I32 => 4,
            TokenType::I64 => 8,
        }
    }
}

/// Extensions that say what a file is. Folders are searched for these.
const EXTENSIONS: &[(&str, Format)] = &[
    (".txt", Format::Text),
    (".md", Format::Text),
    (".jsonl", Format::Jsonl),
    (".ndjson", Format::Jsonl),
    (".jsonl.gz", Format::Jsonl),
    (".jsonl.zst", Format::Jsonl),
    (".parquet", Format::Parquet),
    (".arrow", Format::Arrow),
    (".bin", TOKENS),
    (".npy", TOKENS),
    (".idx", TOKENS),
];

/// Extensions that are believed only of a file that was named: in folders such files are mostly about the data.
const NAMED_EXTENSIONS: &[(&str, Format)] =
    &[(".json", Format::Jsonl), (".json.gz", Format::Jsonl), (".json.zst", Format::Jsonl), (".ds", TOKENS)];

const TOKENS: Format = Format::Tokens { dtype: None, separator: None };

fn find(table: &[(&str, Format)], name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    table.iter().find(|(extension, _)| name.ends_with(extension)).map(|&(_, format)| format)
}

/// Whether a file of this name in a folder is data.
pub(super) fn is_known(name: &str) -> bool {
    find(EXTENSIONS, name).is_some()
}

/// How a file of this name is compressed.
pub(super) fn compression(name: &str) -> Compression {
    let name = name.to_ascii_lowercase();
    match name.rsplit('.').next() {
        Some("gz") => Compression::Gzip,
        Some("zst") => Compression::Zstd,
        _ => Compression::None,
    }
}

/// The format of all of `files`, which is `format` unless that is `Auto`.
pub(super) fn resolve<'a>(format: Format, files: impl Iterator<Item = &'a dyn ReadAt>) -> Result<Format> {
    if format != Format::Auto {
        return Ok(format);
    }
    let mut first: Option<(Format, &str)> = None;
    for file in files {
        let name = file.name();
        let format = find(EXTENSIONS, name).or_else(|| find(NAMED_EXTENSIONS, name)).ok_or_else(|| {
            let known: Vec<_> = EXTENSIONS.iter().map(|(extension, _)| *extension).collect();
            Error::data(name, format!("its name does not say what it is ({}); set the format of the source", known.join(", ")))
        })?;
        match first {
            Some((other, example)) if other != format => {
                let reason =
                    format!("it is of another kind than {example}; give the source one kind of file by a pattern such as *.parquet");
                return Err(Error::data(name, reason));
            }
            _ => first = Some((format, name)),
        }
    }
    Ok(first.map_or(Format::Text, |(format, _)| format))
}
