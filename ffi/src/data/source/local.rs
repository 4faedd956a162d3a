//! Files of this machine. Each read opens its file, so that thousands of them need no handle each, and one that has
//! gone or become another since the run began is noticed.

use super::{ReadAt, kind};
use crate::error::{Error, Result};
use crate::files::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes at the start, the middle and the end of a file that are part of its identity.
const SAMPLE_BYTES: u64 = 4096;

/// The data at `pattern`: a file, a folder (with everything below it that has a known extension; names that start with
/// a dot are left out), or a glob. Sorted by path; the index beside a token file comes with it.
pub fn local_files(pattern: &str) -> Result<Vec<Arc<dyn ReadAt>>> {
    let path = Path::new(pattern);
    let mut paths = BTreeSet::new();
    if path.is_dir() {
        walk(path, &mut BTreeSet::new(), &mut paths)?;
        if paths.is_empty() {
            return Err(Error::data(path, "the folder has no data that is known by its extension; name the files"));
        }
    } else if path.exists() {
        paths.insert(path.to_path_buf());
    } else if pattern.contains(['*', '?', '[']) {
        let matches = glob::glob(pattern).map_err(|e| Error::data(pattern, format!("it is not a pattern of paths ({e})")))?;
        for found in matches {
            let found = found.map_err(|e| {
                let path = e.path().to_path_buf();
                Error::file("read", path, e.into())
            })?;
            if found.is_file() {
                paths.insert(found);
            }
        }
        if paths.is_empty() {
            return Err(Error::data(pattern, "no file matches the pattern; check the path"));
        }
    } else {
        return Err(Error::data(pattern, "there is no such file or folder; check the path"));
    }
    let indexes: Vec<_> = paths.iter().filter(|path| has_extension(path, "bin")).map(|path| path.with_extension("idx")).collect();
    paths.extend(indexes.into_iter().filter(|index| index.is_file()));
    paths.iter().map(|path| Ok(Arc::new(LocalFile::open(path)?) as Arc<dyn ReadAt>)).collect()
}

/// Collects the data below `folder`, each folder once even if links lead to it twice.
fn walk(folder: &Path, visited: &mut BTreeSet<PathBuf>, paths: &mut BTreeSet<PathBuf>) -> Result<()> {
    let failed = |e| Error::file("read the folder", folder, e);
    if !visited.insert(folder.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, visited, paths)?;
        } else if kind::is_known(&name) {
            paths.insert(path);
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

/// A file of this machine.
struct LocalFile {
    path: PathBuf,
    name: String,
    len: u64,
    identity: String,
}

impl LocalFile {
    fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::file("read", path, e);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        // Length and samples, not the time of change: the same data copied to another machine is the same. Damage in
        // the middle of a compressed or columnar file changes its length or its end.
        let mut hash = Sha256::new();
        let sample = len.min(SAMPLE_BYTES);
        for at in [0, (len - sample) / 2, len - sample] {
            let mut bytes = vec![0; sample as usize];
            read_exact_at(&file, &mut bytes, at).map_err(failed)?;
            hash.update(&bytes);
        }
        let identity = format!("{len} bytes {}", hex(&hash.finalize()));
        Ok(Self { path: path.into(), name: path.display().to_string(), len, identity })
    }
}

impl ReadAt for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let remedy = "put it back as it was and resume, or start a new run with the files as they are";
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Error::data(&self.path, format!("it was there when the run began and is gone; {remedy}")),
            _ => Error::file("read", &self.path, e),
        };
        let file = File::open(&self.path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        if len != self.len {
            return Err(Error::data(&self.path, format!("it has {len} bytes and had {} when the run began; {remedy}", self.len)));
        }
        read_exact_at(&file, buf, offset).map_err(failed)
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buf)
}
