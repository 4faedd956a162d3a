//! Reads a checkpoint folder and trusts nothing in it.

use super::difference::first_difference;
use super::state::{State, StateFile};
use super::tensors::{TensorMut, damaged, read_tensors};
use super::{MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, TOKENIZER_FILE};
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::files::{FileRecord, record_of, record_watched, sha256_hex};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// An opened checkpoint: its state is read, its other files are known to be there with the right size.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    content: StateFile,
}

impl Checkpoint {
    /// Opens `folder`. Fails when `state.json` is missing, damaged or from a newer version, and when a file is missing
    /// or has another size.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(STATE_FILE);
        let bytes = fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound if folder.is_dir() => Error::checkpoint(folder, format!("it has no {STATE_FILE}")),
            std::io::ErrorKind::NotFound => Error::checkpoint(folder, "there is no such folder"),
            _ => Error::checkpoint(&path, format!("it cannot be read: {e}")),
        })?;
        let content = StateFile::from_bytes(&bytes, &path)?;
        let checkpoint = Self { folder: folder.into(), content };
        for name in [MODEL_FILE, OPTIMIZER_FILE] {
            checkpoint.record(name)?;
        }
        for (name, record) in &checkpoint.content.files {
            let path = folder.join(name);
            let is = fs::metadata(&path).map_err(|_| Error::checkpoint(&path, "it is missing; use an older checkpoint"))?.len();
            if is != record.bytes {
                let reason = format!("it has {is} bytes, {} were written; use an older checkpoint", record.bytes);
                return Err(Error::checkpoint(&path, reason));
            }
        }
        Ok(checkpoint)
    }

    /// Where training stood.
    pub fn state(&self) -> &State {
        &self.content.state
    }

    /// The plan's JSON as it was given to the trainer.
    pub fn plan(&self) -> &str {
        &self.content.plan
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads every file once and compares its SHA-256, so that a load that has begun does not fail half-way.
    pub fn verify(&self) -> Result<()> {
        for (name, record) in &self.content.files {
            let path = self.folder.join(name);
            if record_of(&path)? != *record {
                return Err(damaged(&path));
            }
        }
        Ok(())
    }

    /// The same of the model's file alone, with progress.
    pub fn verify_model(&self, watch: &Watch) -> Result<()> {
        let (path, record) = (self.folder.join(MODEL_FILE), self.record(MODEL_FILE)?);
        let found = record_watched(&path, &mut |bytes| watch.report(bytes as f64 / record.bytes.max(1) as f64))?;
        if found == *record { Ok(()) } else { Err(damaged(&path)) }
    }

    /// Refuses a checkpoint of another plan than `plan` and names the first key that differs.
    pub fn require_plan(&self, plan: &str) -> Result<()> {
        if sha256_hex(plan.as_bytes()) == self.content.plan_sha256 {
            return Ok(());
        }
        let parse = |text| serde_json::from_str(text).unwrap_or(Value::Null);
        match first_difference(&parse(&self.content.plan), &parse(plan)) {
            // The same plan in other words.
            None => Ok(()),
            Some(difference) => Err(Error::checkpoint(&self.folder, format!("it is from another manifest: {difference}"))),
        }
    }

    /// Reads the parameters into `targets`, which must be all of them.
    pub fn read_model(&self, targets: &mut [TensorMut]) -> Result<()> {
        read_tensors(&self.folder.join(MODEL_FILE), self.record(MODEL_FILE)?, targets)
    }

    /// Reads the optimizer's tensors into `targets`, which must be all of them.
    pub fn read_optimizer(&self, targets: &mut [TensorMut]) -> Result<()> {
        read_tensors(&self.folder.join(OPTIMIZER_FILE), self.record(OPTIMIZER_FILE)?, targets)
    }

    /// Content of the tokenizer file, if the checkpoint has one.
    pub fn read_tokenizer(&self) -> Result<Option<Vec<u8>>> {
        let Some(record) = self.content.files.get(TOKENIZER_FILE) else { return Ok(None) };
        let path = self.folder.join(TOKENIZER_FILE);
        let bytes = fs::read(&path).map_err(|e| Error::file("read", &path, e))?;
        if sha256_hex(&bytes) == record.sha256 { Ok(Some(bytes)) } else { Err(damaged(&path)) }
    }

    fn record(&self, name: &str) -> Result<&FileRecord> {
        let missing = || Error::checkpoint(self.folder.join(STATE_FILE), format!("it does not list {name}"));
        self.content.files.get(name).ok_or_else(missing)
    }
}
