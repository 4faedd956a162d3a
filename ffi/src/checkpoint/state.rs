//! `state.json`: a small file that vouches for all others and for itself.
//!
//! Its first line holds the SHA-256 of all that follows that line. Every later format keeps that line and the keys `format` and
//! `needs`, so that an old version can say which new one reads a checkpoint.

use super::STATE_FILE;
use crate::data::WindowsState;
use crate::error::{Error, Result};
use crate::files::{FileRecord, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Number of the layout that this version writes, and the oldest version of Bowline that reads it.
const FORMAT: u64 = 1;
const NEEDS: &str = "0.1.0";

/// Where training stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Optimizer steps done.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Position in the data; null when the tokens came from the caller.
    pub loader: Option<WindowsState>,
}

/// All of `state.json` after the first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateFile {
    pub format: u64,
    pub needs: String,
    pub state: State,
    /// The plan as the trainer got it, to the byte.
    pub plan: String,
    pub plan_sha256: String,
    pub files: BTreeMap<String, FileRecord>,
}

impl StateFile {
    pub fn new(state: &State, plan: &str, files: BTreeMap<String, FileRecord>) -> Self {
        let plan_sha256 = sha256_hex(plan.as_bytes());
        Self { format: FORMAT, needs: NEEDS.into(), state: state.clone(), plan: plan.into(), plan_sha256, files }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Internal(format!("writing {STATE_FILE}: {e}")))?;
        // The object's own brace moves to the checksum's line.
        let rest = format!("{}\n", &json[2..]);
        Ok(format!("{}{rest}", first_line(&rest)).into_bytes())
    }

    /// Reads the bytes of the file at `path`, which is named in errors.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &str| Error::checkpoint(path, format!("{what}; use an older checkpoint"));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is damaged"))?;
        let start = text.find('\n').ok_or_else(|| damaged("it is truncated"))? + 1;
        let (first, rest) = text.split_at(start);
        if first != first_line(rest) {
            return Err(damaged("it is damaged or truncated, its content is not what its checksum says"));
        }
        let json: Value = serde_json::from_str(text).map_err(|e| damaged(&format!("it is not JSON: {e}")))?;
        let format = json["format"].as_u64();
        if format.is_some_and(|format| format > FORMAT) {
            let (format, needs) = (format.unwrap_or(0), json["needs"].as_str().unwrap_or("a newer version"));
            let reason = format!("its format is {format}, this version of Bowline reads up to {FORMAT}; use Bowline {needs} or newer");
            return Err(Error::checkpoint(path, reason));
        }
        serde_json::from_str(&format!("{{{rest}")).map_err(|e| damaged(&format!("it has not the fields of format {FORMAT}: {e}")))
    }
}

fn first_line(rest: &str) -> String {
    format!("{{ \"sha256\": \"{}\",\n", sha256_hex(rest.as_bytes()))
}
