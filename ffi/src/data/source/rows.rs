//! Whole rows of a file, every column of them, as JSON objects in the order of the file: what questions of a benchmark
//! are read from. Keys keep their order, and a number has a point or an exponent exactly where the file has a float.

use super::compress::decoded;
use super::fault::Fault;
use super::kind::{self, Format};
use super::{ReadAt, rows_arrow, rows_parquet};
use crate::error::{Error, Result};
use serde::de::IgnoredAny;
use std::io::Read;
use std::sync::Arc;

/// All rows of `file`, which is JSON lines (also compressed), Parquet or Arrow by its name.
pub fn json_rows(file: &Arc<dyn ReadAt>) -> Result<Vec<String>> {
    let rows = match kind::resolve(Format::Auto, std::iter::once(&**file))? {
        Format::Jsonl => lines(file),
        Format::Parquet => rows_parquet::rows(file),
        Format::Arrow => rows_arrow::rows(file),
        _ => return Err(Error::data(file.name(), "it has no rows; wanted .jsonl (also .gz, .zst), .parquet or .arrow")),
    };
    rows.map_err(|fault| match fault {
        Fault::Bad { what, .. } => Error::data(file.name(), what),
        Fault::Stop(error) => error,
    })
}

fn lines(file: &Arc<dyn ReadAt>) -> std::result::Result<Vec<String>, Fault> {
    let mut text = String::new();
    let mut reader = decoded(file, kind::compression(file.name()), 0)?;
    reader.read_to_string(&mut text).map_err(|e| Fault::from_io(e, |e| format!("it cannot be read as text ({e})")))?;
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let checked = lines.map(|(at, line)| match serde_json::from_str::<IgnoredAny>(line) {
        Ok(_) if line.trim_start().starts_with('{') => Ok(line.to_string()),
        Ok(_) => Err(Fault::bad(format!("line {} is not a JSON object", at + 1))),
        Err(e) => Err(Fault::bad(format!("line {} is not valid JSON ({e})", at + 1))),
    });
    checked.collect()
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object of keys and values that are JSON already.
pub(super) fn object<'a>(entries: impl Iterator<Item = (&'a str, String)>) -> String {
    let entries: Vec<_> = entries.map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
    format!("{{{}}}", entries.join(","))
}

/// A list of values that are JSON already.
pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// A float with its point; JSON has no word for those that are not finite.
pub(super) fn float(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { "null".into() }
}
