//! Keeps prepared corpora on disk, one folder each, named by what it was made from. An entry is trusted only when every
//! byte of it is what was written; anything else is made again.

use super::corpus::{Prepared, Source};
use super::tokens::TokenIds;
use super::{Settings, Tokenizer};
use crate::error::Result;
use crate::files::{FileRecord, TempFolder, sha256_hex, write_file};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Raised when the same files and settings shall give other tokens than before.
const FORMAT: u32 = 1;

pub(super) const TOKENIZER_FILE: &str = "tokenizer.json";
const TRAIN_FILE: &str = "train.bin";
const HELD_OUT_FILE: &str = "held_out.bin";
const INDEX_FILE: &str = "corpus.json";

/// What an entry was made from. The sequence length is not part of it: windows are cut after loading.
pub(super) struct Key {
    /// Everything that decides the tokens.
    made_from: serde_json::Value,
    fingerprint: String,
    separator: String,
}

/// Content of `corpus.json`. Its own checksum is the last line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    made_from: serde_json::Value,
    vocab: usize,
    files: BTreeMap<String, FileRecord>,
}

impl Key {
    /// The key of files with these hashes.
    pub fn new(files: &[String], settings: &Settings, source: &Source) -> Self {
        let tokenizer = match source {
            Source::Train { vocab } => json!({ "vocab": vocab }),
            Source::Loaded(tokenizer) => json!({ "sha256": sha256_hex(tokenizer.json()) }),
        };
        let made_from = json!({
            "format": FORMAT,
            "files": files,
            "tokenizer": tokenizer,
            "separator": settings.separator,
            "minCharacters": settings.min_characters,
            "heldOut": settings.held_out,
        });
        let fingerprint = sha256_hex(made_from.to_string().as_bytes());
        Self { made_from, fingerprint, separator: settings.separator.clone() }
    }

    fn folder(&self, cache_dir: &Path) -> PathBuf {
        cache_dir.join(&self.fingerprint)
    }
}

/// The entry of `key` and its folder, if there is a whole one.
pub(super) fn load(cache_dir: &Path, key: &Key) -> Option<(Prepared, PathBuf)> {
    let folder = key.folder(cache_dir);
    let index = fs::read_to_string(folder.join(INDEX_FILE)).ok()?;
    let (content, checksum) = index.strip_suffix('\n')?.rsplit_once('\n')?;
    if sha256_hex(content.as_bytes()) != checksum {
        return None;
    }
    let index: Index = serde_json::from_str(content).ok()?;
    if index.made_from != key.made_from {
        return None;
    }
    let read = |name: &str| {
        let bytes = fs::read(folder.join(name)).ok()?;
        (index.files.get(name)?.sha256 == sha256_hex(&bytes)).then_some(bytes)
    };
    let tokenizer = Tokenizer::from_json(read(TOKENIZER_FILE)?, &key.separator, "in the cache").ok()?;
    let train = TokenIds::from_bytes(&read(TRAIN_FILE)?, index.vocab)?;
    let held_out = TokenIds::from_bytes(&read(HELD_OUT_FILE)?, index.vocab)?;
    (tokenizer.vocab() == index.vocab).then_some((Prepared { tokenizer, train, held_out }, folder))
}

/// Writes the entry of `key` in place of whatever is there and returns its folder.
pub(super) fn store(cache_dir: &Path, key: &Key, prepared: &Prepared) -> Result<PathBuf> {
    let folder = key.folder(cache_dir);
    let temp = TempFolder::beside(&folder)?;
    let mut files = BTreeMap::new();
    let mut write = |name: &str, bytes: &[u8]| {
        files.insert(name.to_string(), write_file(&temp.path().join(name), bytes)?);
        Ok(())
    };
    write(TOKENIZER_FILE, prepared.tokenizer.json())?;
    write(TRAIN_FILE, prepared.train.as_bytes())?;
    write(HELD_OUT_FILE, prepared.held_out.as_bytes())?;
    let index = Index { made_from: key.made_from.clone(), vocab: prepared.tokenizer.vocab(), files };
    let content = json!(index).to_string();
    write_file(&temp.path().join(INDEX_FILE), format!("{content}\n{}\n", sha256_hex(content.as_bytes())).as_bytes())?;
    temp.commit()?;
    Ok(folder)
}
