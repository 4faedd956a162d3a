//! How much of a file was read, for progress.

use super::ReadAt;
use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that counts the bytes asked of it.
pub(super) struct Meter {
    file: Arc<dyn ReadAt>,
    bytes: AtomicU64,
}

impl Meter {
    pub fn new(file: Arc<dyn ReadAt>) -> Arc<Self> {
        Arc::new(Meter { file, bytes: AtomicU64::new(0) })
    }

    /// Part of the file that was read, if nothing was read twice.
    pub fn part(&self) -> f64 {
        (self.bytes.load(Ordering::Relaxed) as f64 / self.file.len().max(1) as f64).min(1.0)
    }
}

impl ReadAt for Meter {
    fn name(&self) -> &str {
        self.file.name()
    }
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.file.read_at(offset, buf)
    }
    fn identity(&self) -> String {
        self.file.identity()
    }
}
