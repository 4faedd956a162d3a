//! Writes a checkpoint folder: everything in a temporary folder beside it, synced, then one rename.

use super::state::{State, StateFile};
use super::tensors::{TensorRef, write_tensors};
use super::{MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, TOKENIZER_FILE};
use crate::error::Result;
use crate::files::{TempFolder, write_file};
use std::collections::BTreeMap;
use std::path::Path;

/// What goes into a checkpoint, borrowed from where it lives.
pub struct Content<'a> {
    pub state: &'a State,
    /// The plan's JSON as the trainer got it.
    pub plan: &'a str,
    /// Every parameter, each bank once.
    pub model: &'a [TensorRef<'a>],
    /// What the optimizer keeps.
    pub optimizer: &'a [TensorRef<'a>],
    /// Content of `tokenizer.json`.
    pub tokenizer: Option<&'a [u8]>,
}

/// Makes `folder` hold `content`. On an error, or when the process dies at any moment, what was there before is still
/// there and nothing half-written is ever seen under its name.
pub fn write(folder: &Path, content: &Content) -> Result<()> {
    let temp = TempFolder::beside(folder)?;
    let path = |name: &str| temp.path().join(name);
    let mut files = BTreeMap::new();
    files.insert(MODEL_FILE.to_string(), write_tensors(&path(MODEL_FILE), content.model)?);
    files.insert(OPTIMIZER_FILE.to_string(), write_tensors(&path(OPTIMIZER_FILE), content.optimizer)?);
    if let Some(tokenizer) = content.tokenizer {
        files.insert(TOKENIZER_FILE.to_string(), write_file(&path(TOKENIZER_FILE), tokenizer)?);
    }
    let state = StateFile::new(content.state, content.plan, files);
    write_file(&path(STATE_FILE), &state.to_bytes()?)?;
    temp.commit()
}
