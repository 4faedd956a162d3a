//! The checkpoints of a run: folders `step-%08d` beside each other.

use super::STATE_FILE;
use crate::error::{Error, Result};
use crate::files::{clear_stale, remove_folder};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the folder of `step`.
pub fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Steps and folders of the complete checkpoints in `parent`, oldest first. A folder gets its name only when it is
/// complete; whether it is still what was written is for reading to say.
pub fn list(parent: &Path) -> Result<Vec<(u64, PathBuf)>> {
    if !parent.is_dir() {
        return Ok(Vec::new());
    }
    clear_stale(parent)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).map_err(|e| Error::file("list", parent, e))? {
        let entry = entry.map_err(|e| Error::file("list", parent, e))?;
        let step = entry.file_name().to_str().and_then(|name| name.strip_prefix("step-")).and_then(|step| step.parse().ok());
        let Some(step) = step else { continue };
        if entry.path().join(STATE_FILE).is_file() {
            found.push((step, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The folder of the latest complete checkpoint in `parent`.
pub fn latest(parent: &Path) -> Result<Option<PathBuf>> {
    Ok(list(parent)?.pop().map(|(_, folder)| folder))
}

/// Removes all but the `keep` latest checkpoints; the latest always stays.
pub fn prune(parent: &Path, keep: usize) -> Result<()> {
    let found = list(parent)?;
    for (_, folder) in &found[..found.len().saturating_sub(keep.max(1))] {
        remove_folder(folder)?;
    }
    Ok(())
}
