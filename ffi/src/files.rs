//! Files that are either whole or absent: hashed writing, synced folders that appear by one rename, and the cleaning
//! up after a process that was killed in between. Checkpoints and the cache of prepared data are written with it.
//!
//! Names that start with `.tmp-` and `.old-` in the parent of such a folder belong to this module.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Size and SHA-256 of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    pub bytes: u64,
    pub sha256: String,
}

/// Lower-case hexadecimal text of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of `bytes` in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A new file that is hashed while it is written, so that a large one is never read back.
pub struct HashedWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl HashedWriter {
    /// Creates (or empties) the file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::file("create", path, e))?;
        Ok(Self { path: path.into(), file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 })
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| Error::file("write", &self.path, e))
    }

    /// Brings everything to the disk.
    pub fn finish(self) -> Result<FileRecord> {
        let file = self.file.into_inner().map_err(|e| Error::file("write", &self.path, e.into_error()))?;
        file.sync_all().map_err(|e| Error::file("write", &self.path, e))?;
        Ok(FileRecord { bytes: self.bytes, sha256: hex(&self.hash.finalize()) })
    }
}

/// Refuses to `action` ("import into") something that exists.
pub fn require_new(path: &Path, action: &str) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::Argument(format!("Cannot {action} {}: it exists, wanted a new folder", path.display()))),
        Err(_) => Ok(()),
    }
}

/// Writes a whole file and brings it to the disk.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<FileRecord> {
    let mut writer = HashedWriter::create(path)?;
    writer.write(bytes)?;
    writer.finish()
}

/// Size and SHA-256 of an existing file.
pub fn record_of(path: &Path) -> Result<FileRecord> {
    record_watched(path, &mut |_| Ok(()))
}

/// The same; `report` is told the number of bytes read so far, and its error ends the reading.
pub fn record_watched(path: &Path, report: &mut dyn FnMut(u64) -> Result<()>) -> Result<FileRecord> {
    let mut file = File::open(path).map_err(|e| Error::file("read", path, e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(|e| Error::file("read", path, e))?;
        if count == 0 {
            return Ok(FileRecord { bytes, sha256: hex(&hash.finalize()) });
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
        report(bytes)?;
    }
}

/// Folders that this process is writing now. Whoever holds the lock may move and remove folders: two threads never clear
/// away or replace the same one.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder in the making beside its final place. Dropping it without `commit` removes it.
pub struct TempFolder {
    path: PathBuf,
    target: PathBuf,
}

impl TempFolder {
    /// Starts a folder that shall become `target`, and clears away what killed processes left in the same parent.
    pub fn beside(target: &Path) -> Result<Self> {
        let (parent, name) = parent_and_name(target)?;
        fs::create_dir_all(parent).map_err(|e| Error::file("create the folder", parent, e))?;
        let mut live = live();
        clear(parent, &live)?;
        let path = (0..).map(|n| parent.join(format!(".tmp-{name}-{n}-{}", std::process::id()))).find(|path| !live.contains(path));
        let path = path.unwrap_or_default();
        fs::create_dir(&path).map_err(|e| Error::file("create the folder", &path, e))?;
        live.insert(path.clone());
        Ok(Self { path, target: target.into() })
    }

    /// Where to put the files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder appear at its final place in one step. A folder that is there already is moved aside first and
    /// put back by `clear_stale` if the process dies between the two renames.
    pub fn commit(self) -> Result<()> {
        let (parent, name) = parent_and_name(&self.target)?;
        sync_folder(&self.path)?;
        let _live = live();
        let aside = parent.join(format!(".old-{name}-{}", std::process::id()));
        let replaces = self.target.is_dir();
        if replaces {
            fs::rename(&self.target, &aside).map_err(|e| Error::file("replace", &self.target, e))?;
        }
        if let Err(e) = fs::rename(&self.path, &self.target) {
            if replaces {
                fs::rename(&aside, &self.target).map_err(|e| Error::file("restore", &self.target, e))?;
            }
            return Err(Error::file("write", &self.target, e));
        }
        sync_folder(parent)?;
        if replaces {
            fs::remove_dir_all(&aside).map_err(|e| Error::file("remove", &aside, e))?;
        }
        Ok(())
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // After `commit` there is nothing here; after a failure the error that caused it matters more than this one.
        let _ = fs::remove_dir_all(&self.path);
        live().remove(&self.path);
    }
}

/// Removes a folder so that a kill in between leaves only something `clear_stale` knows.
pub fn remove_folder(folder: &Path) -> Result<()> {
    let (parent, name) = parent_and_name(folder)?;
    let _live = live();
    let doomed = parent.join(format!(".tmp-{name}-doomed-{}", std::process::id()));
    fs::rename(folder, &doomed).map_err(|e| Error::file("remove", folder, e))?;
    fs::remove_dir_all(&doomed).map_err(|e| Error::file("remove", &doomed, e))
}

/// Clears what killed processes left in `parent`: half-written folders go, a folder that was moved aside for a
/// replacement that never came is put back. A missing `parent` has nothing to clear.
pub fn clear_stale(parent: &Path) -> Result<()> {
    clear(parent, &live())
}

fn clear(parent: &Path, live: &BTreeSet<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some((kind, name, pid)) = file_name.to_str().and_then(parse_reserved) else { continue };
        let path = entry.path();
        if live.contains(&path) || !is_stale(pid, &entry) {
            continue;
        }
        let target = parent.join(name);
        if kind == Reserved::Aside && !target.exists() {
            fs::rename(&path, &target).map_err(|e| Error::file("restore", &target, e))?;
        } else {
            fs::remove_dir_all(&path).map_err(|e| Error::file("remove", &path, e))?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reserved {
    Temp,
    Aside,
}

fn parse_reserved(file_name: &str) -> Option<(Reserved, &str, u32)> {
    let (kind, rest) = match (file_name.strip_prefix(".tmp-"), file_name.strip_prefix(".old-")) {
        (Some(rest), _) => (Reserved::Temp, rest),
        (_, Some(rest)) => (Reserved::Aside, rest),
        _ => return None,
    };
    let (name, pid) = rest.rsplit_once('-')?;
    Some((kind, name, pid.parse().ok()?))
}

/// What carries our own id and is not live was left by a killed process with the same id, which is common in containers.
/// An old entry is stale too, whoever has its id now.
fn is_stale(pid: u32, entry: &fs::DirEntry) -> bool {
    let is_own = pid == std::process::id();
    let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    is_own || is_dead(pid) || age > Duration::from_secs(24 * 3600)
}

/// Whether no process has this id; only Unix can tell.
#[cfg(unix)]
fn is_dead(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_dead(_pid: u32) -> bool {
    false
}

fn parent_and_name(folder: &Path) -> Result<(&Path, &str)> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let parent = folder.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    match (parent, name) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Error::Argument(format!("Cannot write the folder {}: it has no name", folder.display()))),
    }
}

/// Makes renames and new files in `folder` survive a power cut. Only Unix can open a folder for this.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::file("write", folder, e))?;
    }
    Ok(())
}
