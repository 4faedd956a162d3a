//! Shards that `data tokenize` wrote: ids in a `.bin`, and beside it `.ends`, where each document ends.

use super::fault::Fault;
use super::reader::{Item, Reader};
use super::token_layout::decode;
use super::tokens::PIECE;
use super::{Cursor, ReadAt, Record, TokenType};
use crate::error::Error;
use crate::plan::SeparatorPlacement;
use std::ops::Range;
use std::sync::Arc;

/// How ids stand in a shard.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub dtype: TokenType,
    pub separator: u32,
    pub placement: SeparatorPlacement,
}

/// The documents of one shard.
pub(super) struct Documents {
    file: Arc<dyn ReadAt>,
    layout: Layout,
    /// End of each document, in ids.
    ends: Vec<u64>,
    /// Ids from number `first` on that have been read.
    ahead: Vec<u32>,
    first: u64,
    row: u64,
}

impl Documents {
    pub fn open(file: &Arc<dyn ReadAt>, ends: &Arc<dyn ReadAt>, layout: Layout, at: &Cursor) -> Result<Self, Fault> {
        let mut bytes = vec![0; ends.len() as usize];
        ends.read_at(0, &mut bytes)?;
        let (words, rest) = bytes.as_chunks();
        let table: Vec<u64> = words.iter().map(|&end| u64::from_le_bytes(end)).collect();
        let last = table.last().copied().unwrap_or(0);
        let is_whole = rest.is_empty() && table.is_sorted() && last.checked_mul(layout.dtype.width() as u64) == Some(file.len());
        if !is_whole {
            let reason =
                format!("its document ends do not go up to the end of {}; check the folder with `bowline data verify`", file.name());
            return Err(Error::data(ends.name(), reason).into());
        }
        Ok(Self { file: Arc::clone(file), layout, ends: table, ahead: Vec::new(), first: 0, row: at.row })
    }

    /// The ids of a range, read together with those after them.
    fn ids(&mut self, range: Range<u64>) -> Result<&[u32], Fault> {
        if range.start < self.first || range.end > self.first + self.ahead.len() as u64 {
            let last = self.ends.last().copied().unwrap_or(0);
            let count = (range.end - range.start).max(PIECE as u64).min(last - range.start);
            let width = self.layout.dtype.width() as u64;
            let mut bytes = vec![0; (count * width) as usize];
            self.file.read_at(range.start * width, &mut bytes)?;
            (self.first, self.ahead) = (range.start, Vec::with_capacity(count as usize));
            decode(&bytes, self.layout.dtype, &mut self.ahead).map_err(Fault::bad)?;
        }
        let at = |id: u64| (id - self.first) as usize;
        Ok(&self.ahead[at(range.start)..at(range.end)])
    }
}

impl Reader for Documents {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        let row = self.row;
        let Some(&end) = self.ends.get(row as usize) else { return Ok(None) };
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        let Layout { separator, placement, .. } = self.layout;
        let ids = self.ids(start..end)?;
        let document = match placement {
            SeparatorPlacement::Before => ids.strip_prefix(&[separator]),
            SeparatorPlacement::After => ids.strip_suffix(&[separator]),
            SeparatorPlacement::None => Some(ids),
        };
        let record = document.map(|ids| Record::Tokens(ids.to_vec()));
        self.row += 1;
        let missing = || Fault::bad(format!("document {} does not have the separator {separator} where it should stand", row + 1));
        Ok(Some((Cursor { row, ..Cursor::default() }, Item::Record(record.ok_or_else(missing)?))))
    }

    fn place(&self) -> Cursor {
        Cursor { row: self.row, ..Cursor::default() }
    }
}
