//! Pieces of remote files on disk, so that a resumed or repeated run asks the hub for nothing twice.
//!
//! A piece is a file `<start>-<end>` in the folder of its content; its last 32 bytes are the SHA-256 of what stands before
//! them. Pieces appear by one rename and are never changed, so several processes may share the folder. The time of change
//! is the time of last use, by which the oldest go when the bound is reached; whoever misses one fetches it again.

use crate::error::{Error, Result};
use crate::files::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// No piece is longer.
pub(super) const MAX_PIECE: u64 = 8 << 20;
/// Pieces in memory: small reads that follow each other take one read and one checksum of the piece in all.
const NUM_RECENT: usize = 8;
const CHECKSUM_BYTES: usize = 32;

/// Bytes of a file from `start` on.
#[derive(Clone)]
pub(super) struct Piece {
    pub start: u64,
    pub bytes: Arc<Vec<u8>>,
}

impl Piece {
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }
}

/// Which pieces of one file there are: start to end. They may overlap, when two processes fetched them.
pub(super) type Extents = BTreeMap<u64, u64>;

/// The piece that holds byte `at`.
pub(super) fn covering(extents: &Extents, at: u64) -> Option<Range<u64>> {
    let starts = at.saturating_sub(MAX_PIECE)..=at;
    extents.range(starts).rev().map(|(&start, &end)| start..end).find(|range| range.contains(&at))
}

pub(super) struct Cache {
    root: PathBuf,
    bound: u64,
    /// Written since the folder was last measured.
    written: Mutex<u64>,
    recent: Mutex<VecDeque<(String, Piece)>>,
    num_temp: AtomicU64,
}

impl Cache {
    /// Opens or creates the folder and brings it within `bound` bytes.
    pub fn open(root: &Path, bound: u64) -> Result<Self> {
        fs::create_dir_all(root).map_err(|e| Error::file("create the folder", root, e))?;
        let cache =
            Self { root: root.into(), bound, written: Mutex::new(0), recent: Mutex::new(VecDeque::new()), num_temp: AtomicU64::new(0) };
        cache.shrink(bound);
        Ok(cache)
    }

    /// The pieces on disk of the content named `key`.
    pub fn extents(&self, key: &str) -> Extents {
        let mut extents = Extents::new();
        for entry in fs::read_dir(self.root.join(key)).into_iter().flatten().flatten() {
            if let Some(range) = entry.file_name().to_str().and_then(parse_name) {
                let end = extents.entry(range.start).or_insert(range.end);
                *end = range.end.max(*end);
            }
        }
        extents
    }

    /// A piece in memory that holds byte `at`.
    pub fn recent(&self, key: &str, at: u64) -> Option<Piece> {
        let mut recent = lock(&self.recent);
        let found = recent.iter().position(|(of, piece)| of == key && piece.range().contains(&at))?;
        let entry = recent.remove(found)?;
        recent.push_back(entry.clone());
        Some(entry.1)
    }

    /// Reads a piece from disk; `None` when it is gone or not what was written.
    pub fn load(&self, key: &str, range: Range<u64>) -> Option<Piece> {
        let path = self.path(key, &range);
        let mut bytes = fs::read(&path).ok()?;
        let length = bytes.len().checked_sub(CHECKSUM_BYTES)?;
        let is_whole = length as u64 == range.end - range.start && Sha256::digest(&bytes[..length])[..] == bytes[length..];
        if !is_whole {
            let _ = fs::remove_file(&path);
            return None;
        }
        bytes.truncate(length);
        // It only decides what goes first: a folder that may be read but not written still serves.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(self.remember(key, range.start, bytes))
    }

    /// Keeps a piece. What cannot be written, for a full disk say, is fetched again when it is needed again: that is no
    /// reason to end a run.
    pub fn store(&self, key: &str, start: u64, mut bytes: Vec<u8>) -> Piece {
        let length = bytes.len();
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        self.make_room(bytes.len() as u64);
        let path = self.path(key, &(start..start + length as u64));
        let number = self.num_temp.fetch_add(1, Ordering::Relaxed);
        let temp = path.with_file_name(format!(".tmp-{}-{number}", std::process::id()));
        let write = || {
            fs::create_dir_all(self.root.join(key))?;
            fs::write(&temp, &bytes)?;
            // Finer than the clock of many file systems, which gives pieces written together the same time.
            File::options().append(true).open(&temp)?.set_modified(SystemTime::now())?;
            fs::rename(&temp, &path)
        };
        if bytes.len() as u64 <= self.bound && write().is_err() {
            let _ = fs::remove_file(&temp);
        }
        bytes.truncate(length);
        self.remember(key, start, bytes)
    }

    fn remember(&self, key: &str, start: u64, bytes: Vec<u8>) -> Piece {
        let piece = Piece { start, bytes: Arc::new(bytes) };
        let mut recent = lock(&self.recent);
        if recent.len() == NUM_RECENT {
            recent.pop_front();
        }
        recent.push_back((key.into(), piece.clone()));
        piece
    }

    /// Measures the folder each time a sixteenth of the bound was written, and leaves two sixteenths free. So one process
    /// keeps the bound, and a second one that shares the folder does not break it either.
    fn make_room(&self, bytes: u64) {
        let mut written = lock(&self.written);
        *written += bytes;
        if *written > self.bound / 16 {
            self.shrink((self.bound - self.bound / 8).saturating_sub(bytes));
            *written = 0;
        }
    }

    /// Removes the pieces used least recently until at most `bytes` are left, unfinished ones of killed processes with
    /// them. What cannot be removed was removed by another process.
    fn shrink(&self, bytes: u64) {
        let mut pieces = Vec::new();
        for folder in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if let Ok(meta) = entry.metadata() {
                    pieces.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), meta.len()));
                }
            }
        }
        let mut total: u64 = pieces.iter().map(|piece| piece.2).sum();
        if total <= bytes {
            return;
        }
        pieces.sort_unstable();
        for (_, path, length) in pieces {
            if total <= bytes {
                break;
            }
            let _ = fs::remove_file(&path);
            // Only an empty folder goes.
            let _ = path.parent().map(fs::remove_dir);
            total -= length;
        }
    }

    fn path(&self, key: &str, range: &Range<u64>) -> PathBuf {
        self.root.join(key).join(format!("{}-{}", range.start, range.end))
    }
}

/// The folder of the content that `text` identifies.
pub(super) fn key_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..16])
}

fn parse_name(name: &str) -> Option<Range<u64>> {
    let (start, end) = name.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    (start < end && end - start <= MAX_PIECE).then_some(start..end)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
