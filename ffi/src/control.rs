//! How a long call is watched and stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A flag that asks the call to stop, and where it tells how far it is.
pub struct Control<'a> {
    pub cancel: &'a AtomicBool,
    /// Gets the part of the call that is done, 0 to 1.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

impl Control<'_> {
    /// Tells the progress; fails when the caller asked to stop.
    pub fn tick(&self, done: f64) -> Result<()> {
        (self.progress)(done);
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
