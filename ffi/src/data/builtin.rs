//! Tokenizers that need no file. In a checkpoint they are a line of JSON with their name.

use super::Tokenizer;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The separator of `bytes`, and the one that cl100k_base calls so.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Ranks of cl100k_base; its special tokens follow.
const CL100K_RANKS: usize = 100_256;
const CL100K_SPECIAL: [(&str, u32); 5] = [
    (END_OF_TEXT, 100_257),
    ("<|fim_prefix|>", 100_258),
    ("<|fim_middle|>", 100_259),
    ("<|fim_suffix|>", 100_260),
    ("<|endofprompt|>", 100_276),
];

/// A marker is shorter than this, a tokenizer.json longer.
const MAX_MARKER_BYTES: usize = 64;

/// A tokenizer known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Builtin {
    /// OpenAI's, of 100,277 ids; 100,256 and the ids between the special tokens stand for nothing.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    /// One id for each byte and 256 for the separator.
    #[serde(rename = "bytes")]
    Bytes,
}

/// What stands for a builtin tokenizer where others have a tokenizer.json.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    builtin: Builtin,
}

impl Builtin {
    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Builtin::Cl100kBase => "cl100k_base",
            Builtin::Bytes => "bytes",
        }
    }

    /// The tokenizer with this special token as separator.
    pub fn tokenizer(self, separator: &str) -> Result<Tokenizer> {
        let special = self.special();
        let Some(&(_, id)) = special.iter().find(|(text, _)| *text == separator) else {
            let names: Vec<_> = special.iter().map(|(text, _)| *text).collect();
            let has = format!("it has no token {separator}; set data.separator to one of its special tokens");
            return Err(Error::Argument(format!("Cannot use the tokenizer {}: {has} ({})", self.name(), names.join(", "))));
        };
        Ok(Tokenizer::of_builtin(self, id))
    }

    /// What `read` reads back.
    pub fn json(self) -> Vec<u8> {
        format!("{{\"builtin\":\"{}\"}}", self.name()).into_bytes()
    }

    /// The builtin tokenizer that `json` stands for, if it does.
    pub fn read(json: &[u8]) -> Option<Self> {
        let marker = if json.len() < MAX_MARKER_BYTES { serde_json::from_slice::<Marker>(json).ok() } else { None };
        Some(marker?.builtin)
    }

    /// Ids of a piece of text, never a special token.
    pub(super) fn encode(self, text: &str) -> Vec<u32> {
        match self {
            Builtin::Cl100kBase => bpe_openai::cl100k_base().encode(text),
            Builtin::Bytes => text.bytes().map(u32::from).collect(),
        }
    }

    /// The bytes of every id, none for those that stand for no text.
    pub(crate) fn bytes(self) -> Vec<Vec<u8>> {
        let last = self.special().iter().map(|&(_, id)| id as usize).max().unwrap_or(0);
        let mut bytes = match self {
            Builtin::Cl100kBase => {
                let bpe = &bpe_openai::cl100k_base().bpe;
                (0..CL100K_RANKS).map(|id| bpe.token_bytes(id as u32).to_vec()).collect()
            }
            Builtin::Bytes => (0..=255).map(|byte| vec![byte]).collect::<Vec<_>>(),
        };
        bytes.resize(last + 1, Vec::new());
        bytes
    }

    /// Its special tokens.
    pub(crate) fn special(self) -> &'static [(&'static str, u32)] {
        match self {
            Builtin::Cl100kBase => &CL100K_SPECIAL,
            Builtin::Bytes => &[(END_OF_TEXT, 256)],
        }
    }
}
