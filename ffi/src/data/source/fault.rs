//! What a reader says when it cannot give a record, before the source decides whether that stops anything.

use crate::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why there is no record.
#[derive(Debug)]
pub(super) enum Fault {
    /// `lost` records cannot be used. `what` names the place and the damage; the reader stands behind it.
    Bad { what: String, lost: u64 },
    /// Nothing that leaving records out would help: the file is gone, the host is unreachable, the column is not there.
    Stop(Error),
}

impl Fault {
    /// One bad record.
    pub fn bad(what: impl Into<String>) -> Self {
        Fault::Bad { what: what.into(), lost: 1 }
    }

    /// What a decoder over a `ReadAt` returned: the file's own error, or damage described by `describe`.
    pub fn from_io(error: io::Error, describe: impl FnOnce(&io::Error) -> String) -> Self {
        match error.downcast::<Error>() {
            Ok(own) => Fault::Stop(own),
            Err(error) => Fault::bad(describe(&error)),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Stop(error)
    }
}

/// Calls a decoder of a library, which may panic on damaged bytes: that is a fault of the file then, not ours.
pub(super) fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| e.to_string().replace('\n', " ")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("the decoder gave up: {}", text.unwrap_or("no reason given")))
        }
    }
}
