//! What a mixture needs of a source: its records, one after the other from any place. `source::Source` is one; tests have
//! others.

use super::source::{Cursor, Record};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};
use std::sync::Arc;

/// Records of one source in the order in which they are stored.
pub trait Records: Send {
    /// The next record and where it stands; `None` at the end, and again when asked again. Records that are not wanted
    /// (too short, empty, bad ones that shall be skipped) are passed over and counted.
    fn next(&mut self) -> Result<Option<(Cursor, Record)>>;
    /// Where `next` goes on, a place that `seek` takes; also at the end.
    fn cursor(&self) -> Cursor;
    /// Goes to a place that `cursor` gave here or to another object of the same `identity`; `Cursor::default()` is the start.
    fn seek(&mut self, to: &Cursor) -> Result<()>;
    /// Records passed over so far by this object.
    fn skipped(&self) -> Skipped;
    /// What messages call the file of a cursor.
    fn file_name(&self, file: usize) -> String;
    /// Changes when the records do.
    fn identity(&self) -> String;
    /// How much of it was read, 0 to 1, about.
    fn progress(&self) -> f64;
}

/// Opens a source at its start. It is called again for the held-out set and after a failure.
pub type Open = Arc<dyn Fn() -> Result<Box<dyn Records>> + Send + Sync>;

/// Records passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// With fewer characters than wanted.
    pub short: u64,
    /// Null, or a list without elements.
    pub empty: u64,
    /// That could not be read.
    pub bad: u64,
}

impl Sub for Skipped {
    type Output = Skipped;

    fn sub(self, other: Skipped) -> Skipped {
        Skipped { short: self.short - other.short, empty: self.empty - other.empty, bad: self.bad - other.bad }
    }
}

impl AddAssign for Skipped {
    fn add_assign(&mut self, other: Skipped) {
        self.short += other.short;
        self.empty += other.empty;
        self.bad += other.bad;
    }
}
