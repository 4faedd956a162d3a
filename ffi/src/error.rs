//! The one error type of the core. Each variant says what the user can do about it; the C border turns it
//! into a code and one line of text.

use std::path::{Path, PathBuf};

/// Result of everything in the core that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the core could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan has a wrong, missing or unknown field; `field` is its path, for example `sites[3].router`.
    #[error("Cannot use the plan: {reason} ({field})")]
    Plan { field: String, reason: String },
    /// An argument of a call is outside its domain.
    #[error("{0}")]
    Argument(String),
    /// Training data that cannot be used.
    #[error("Cannot read training data from {}: {reason}", path.display())]
    Data { path: PathBuf, reason: String },
    /// A checkpoint that cannot be used.
    #[error("Cannot use the checkpoint {}: {reason}", path.display())]
    Checkpoint { path: PathBuf, reason: String },
    /// The file system refused.
    #[error("Cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// A number that is not finite appeared while training.
    #[error("Cannot go on at step {step}: {what} is not finite")]
    NotFinite { step: u64, what: String },
    /// A device failed, or has no memory left.
    #[error("{0}")]
    Device(String),
    /// The caller asked to stop; the state is that of the last completed step.
    #[error("Cancelled")]
    Cancelled,
    /// No object has this handle.
    #[error("Cannot use the handle {0:#x}: it was never given or was freed")]
    Handle(u32),
    /// A fault of this library.
    #[error("Internal error: {0}")]
    Internal(String),
}

impl Error {
    /// An error about the plan field at `field`.
    pub fn plan(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Plan { field: field.into(), reason: reason.into() }
    }

    /// An error about a file of training data.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Error::Data { path: path.as_ref().into(), reason: reason.into() }
    }

    /// An error about a checkpoint folder or a file in it.
    pub fn checkpoint(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Error::Checkpoint { path: path.as_ref().into(), reason: reason.into() }
    }

    /// Wraps an I/O error: `action` is a verb such as "write".
    pub fn file(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::File { action, path: path.as_ref().into(), source }
    }
}
