//! Writes a checkpoint folder: everything in a temporary folder beside it, synced, then one rename.

use super::state::{State, StateFile};
use super::tensors::{Made, TensorRef, write_made_tensors, write_tensors};
use super::{MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, TOKENIZER_FILE};
use crate::error::Result;
use crate::files::{FileRecord, TempFolder, write_file};
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
    let tensors = |model: &Path, optimizer: &Path| Ok([write_tensors(model, content.model)?, write_tensors(optimizer, content.optimizer)?]);
    write_files(folder, content.state, content.plan, content.tokenizer, tensors)
}

/// The same with tensors that are made while they are written; an error of making one is an error of writing.
pub fn write_made(folder: &Path, state: &State, plan: &str, model: Made, optimizer: Made, tokenizer: Option<&[u8]>) -> Result<()> {
    let tensors = |model_path: &Path, optimizer_path: &Path| {
        Ok([write_made_tensors(model_path, &model)?, write_made_tensors(optimizer_path, &optimizer)?])
    };
    write_files(folder, state, plan, tokenizer, tensors)
}

/// Writes everything; `tensors` writes the files of the model and of the optimizer.
fn write_files(
    folder: &Path,
    state: &State,
    plan: &str,
    tokenizer: Option<&[u8]>,
    tensors: impl FnOnce(&Path, &Path) -> Result<[FileRecord; 2]>,
) -> Result<()> {
    let temp = TempFolder::beside(folder)?;
    let path = |name: &str| temp.path().join(name);
    let [model, optimizer] = tensors(&path(MODEL_FILE), &path(OPTIMIZER_FILE))?;
    let mut files = BTreeMap::from([(MODEL_FILE.to_string(), model), (OPTIMIZER_FILE.to_string(), optimizer)]);
    if let Some(tokenizer) = tokenizer {
        files.insert(TOKENIZER_FILE.to_string(), write_file(&path(TOKENIZER_FILE), tokenizer)?);
    }
    let state = StateFile::new(state, plan, files);
    write_file(&path(STATE_FILE), &state.to_bytes()?)?;
    temp.commit()
}
