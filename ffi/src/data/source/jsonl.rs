//! JSON lines: each line an object, one column of it the text. Lines are numbered from 1 in messages; those with
//! nothing but white space are no rows, but count as lines.

use super::compress::decoded;
use super::fault::Fault;
use super::json::{self, Found};
use super::reader::{Item, Reader};
use super::{Cursor, ReadAt, Record, column, kind};
use crate::error::{Error, Result};
use std::io::{BufRead, Read};
use std::sync::Arc;

/// A longer line is no document but a file that is not JSON lines, or one that shall fill the memory.
const MAX_LINE_BYTES: u64 = 1 << 28;

/// The lines of one file.
pub(super) struct Jsonl {
    column: String,
    lines: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// Place of the line at hand, and of the one behind it.
    here: Cursor,
    behind: Cursor,
    /// What the line at hand still holds.
    slots: std::vec::IntoIter<Option<String>>,
    /// Records of the next line that were read already.
    to_skip: u64,
    /// Whether nothing behind can be decoded.
    is_broken: bool,
}

/// The full path of the column that `wanted` names in the first line of `file`. A line that does not have it, or that
/// cannot be read, says nothing: then the name is taken as it is, and rows without it are bad ones.
pub(super) fn resolve(file: &Arc<dyn ReadAt>, wanted: &str) -> Result<String> {
    let exact = wanted.strip_prefix('.').unwrap_or(wanted).to_string();
    let Ok(mut jsonl) = Jsonl::open(file, &exact, &Cursor::default()) else { return Ok(exact) };
    match jsonl.read_line() {
        Ok(true) => {}
        Err(Fault::Stop(error)) => return Err(error),
        _ => return Ok(exact),
    }
    let Some(leaves) = std::str::from_utf8(&jsonl.line).ok().and_then(|text| json::leaves(text).ok()) else { return Ok(exact) };
    column::choose(wanted, &leaves).or_else(|reason| {
        // A full path may lead to an empty list here.
        let text = String::from_utf8_lossy(&jsonl.line);
        let is_there = wanted.contains('.') && json::extract(&text, &exact).is_ok_and(|found| found.missing < found.slots.len());
        if is_there { Ok(exact) } else { Err(Error::data(file.name(), format!("line {}: {reason}", jsonl.here.row + 1))) }
    })
}

/// Paths of all strings in the first line of `file`; none if that cannot be read.
pub(super) fn columns(file: &Arc<dyn ReadAt>) -> Vec<String> {
    let Ok(mut jsonl) = Jsonl::open(file, "", &Cursor::default()) else { return Vec::new() };
    let has_line = matches!(jsonl.read_line(), Ok(true));
    let text = std::str::from_utf8(&jsonl.line).ok().filter(|_| has_line);
    text.and_then(|text| json::leaves(text).ok()).unwrap_or_default()
}

impl Jsonl {
    pub fn open(file: &Arc<dyn ReadAt>, column: &str, at: &Cursor) -> std::result::Result<Self, Fault> {
        Ok(Self {
            column: column.to_string(),
            lines: decoded(file, kind::compression(file.name()), at.block)?,
            line: Vec::new(),
            here: Cursor::default(),
            behind: Cursor { row: at.row, block: at.block, ..Cursor::default() },
            slots: Vec::new().into_iter(),
            to_skip: at.element,
            is_broken: false,
        })
    }

    /// Reads the next line that is not blank into `line`; false at the end.
    fn read_line(&mut self) -> std::result::Result<bool, Fault> {
        loop {
            self.here = self.behind;
            self.line.clear();
            let read = self.lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line);
            let row = self.here.row + 1;
            let count = read.map_err(|e| {
                self.is_broken = true;
                Fault::from_io(e, |e| format!("the compressed data ends early or is damaged in line {row} ({e})"))
            })? as u64;
            self.behind = Cursor { row, block: self.here.block + count, ..Cursor::default() };
            if count == 0 {
                return Ok(false);
            }
            if count == MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
                return Err(self.skip_long_line());
            }
            while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                self.line.pop();
            }
            if self.here.block == 0 && self.line.starts_with("\u{feff}".as_bytes()) {
                self.line.drain(.."\u{feff}".len());
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Goes to the end of a line that is too long.
    fn skip_long_line(&mut self) -> Fault {
        while !self.line.ends_with(b"\n") {
            self.line.clear();
            match self.lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line) {
                Ok(0) => break,
                Ok(count) => self.behind.block += count as u64,
                Err(_) => {
                    self.is_broken = true;
                    break;
                }
            }
        }
        Fault::bad(format!("line {} is longer than {MAX_LINE_BYTES} bytes", self.here.row + 1))
    }

    /// What the line at hand has in the column.
    fn parse(&self) -> std::result::Result<Found, Fault> {
        let row = self.here.row + 1;
        let text =
            std::str::from_utf8(&self.line).map_err(|e| Fault::bad(format!("line {row} is not UTF-8 at its byte {}", e.valid_up_to())))?;
        let found = json::extract(text, &self.column).map_err(|e| match e.is_data() {
            true => Fault::bad(format!("line {row} has no text in column \"{}\" ({})", self.column, why(&e))),
            false => Fault::bad(format!("line {row} is not valid JSON ({})", why(&e))),
        })?;
        if found.missing == found.slots.len() {
            let leaves = json::leaves(text).unwrap_or_default();
            let reason = column::choose(&format!(".{}", self.column), &leaves).err().unwrap_or_default();
            return Err(Fault::bad(format!("line {row}: {reason}")));
        }
        Ok(found)
    }
}

/// The parser's reason, without its own count of lines.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("{reason} at byte {}", error.column())
}

impl Reader for Jsonl {
    fn next(&mut self) -> std::result::Result<Option<(Cursor, Item)>, Fault> {
        loop {
            if let Some(slot) = self.slots.next() {
                let cursor = self.here;
                self.here.element += 1;
                return Ok(Some((cursor, slot.map_or(Item::Empty, |text| Item::Record(Record::Text(text))))));
            }
            if self.is_broken || !self.read_line()? {
                return Ok(None);
            }
            let to_skip = std::mem::take(&mut self.to_skip);
            self.slots = self.parse()?.slots.into_iter();
            self.here.element = to_skip.min(self.slots.len() as u64);
            self.slots.by_ref().take(self.here.element as usize).for_each(drop);
        }
    }

    fn place(&self) -> Cursor {
        if self.slots.len() > 0 { self.here } else { self.behind }
    }
}
