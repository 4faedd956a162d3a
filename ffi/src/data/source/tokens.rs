//! Files of token ids without an index: NumPy arrays, llm.c's files, bare ids. They are cut behind each separator, and
//! a document that is too long, or a file without a separator, at every `PIECE`-th id.

use super::fault::Fault;
use super::reader::{Item, Reader};
use super::token_layout::{Layout, decode, layout};
use super::{Cursor, ReadAt, Record, TokenType};
use std::sync::Arc;

/// Most ids in a record.
pub(super) const PIECE: usize = 1 << 20;

/// The records of one file.
pub(super) struct Tokens {
    file: Arc<dyn ReadAt>,
    layout: Layout,
    separator: Option<u32>,
    /// Ids from `at.block` on that have been read.
    ahead: Vec<u32>,
    /// How many of them have gone into records.
    used: usize,
    at: Cursor,
}

impl Tokens {
    pub fn open(file: &Arc<dyn ReadAt>, dtype: Option<TokenType>, separator: Option<u32>, at: &Cursor) -> Result<Self, Fault> {
        let layout = layout(&**file, dtype)?;
        let at = Cursor { file: 0, ..*at };
        Ok(Self { file: Arc::clone(file), layout, separator, ahead: Vec::new(), used: 0, at })
    }

    /// Where the record at hand ends among the ids ahead, if that is known: behind the separator.
    fn cut(&self) -> Option<usize> {
        let separator = self.separator?;
        self.ahead[self.used..].iter().position(|&id| id == separator).map(|at| at + 1)
    }

    /// Has a whole piece ahead, or all that is left.
    fn fill(&mut self) -> Result<(), Fault> {
        self.ahead.drain(..std::mem::take(&mut self.used));
        let left = self.layout.count.saturating_sub(self.at.block + self.ahead.len() as u64);
        let count = (PIECE - self.ahead.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        let width = self.layout.dtype.width();
        let first = self.at.block + self.ahead.len() as u64;
        let mut bytes = vec![0; count * width];
        self.file.read_at(self.layout.start + first * width as u64, &mut bytes)?;
        decode(&bytes, self.layout.dtype, &mut self.ahead).map_err(|reason| {
            let token = self.at.block + self.ahead.len() as u64 + 1;
            self.at.block = self.layout.count;
            Fault::bad(format!("token {token} cannot be used ({reason}), nor what follows"))
        })
    }
}

impl Reader for Tokens {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        if self.at.block >= self.layout.count {
            return Ok(None);
        }
        let mut cut = self.cut();
        if cut.is_none() {
            self.fill()?;
            cut = self.cut();
        }
        let count = cut.unwrap_or(self.ahead.len() - self.used);
        let ids = self.ahead[self.used..self.used + count].to_vec();
        self.used += count;
        let cursor = self.at;
        self.at.block += count as u64;
        // Without a separator each piece is a row; with one, a row ends where the document does.
        (self.at.row, self.at.element) = match cut.is_some() || self.separator.is_none() {
            true => (cursor.row + 1, 0),
            false => (cursor.row, cursor.element + 1),
        };
        Ok(Some((cursor, Item::Record(Record::Tokens(ids)))))
    }

    fn place(&self) -> Cursor {
        self.at
    }
}
