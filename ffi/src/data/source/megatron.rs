//! Megatron's token files: ids in a `.bin`, and beside it an `.idx` that says where each sequence lies and which
//! sequences make a document. Layout of the index: a magic text of 9 bytes, u64 version, u8 type, u64 number of
//! sequences, u64 number of document bounds, i32 length of each sequence, i64 place of each, i64 bounds of documents.

use super::fault::Fault;
use super::reader::{Item, Reader};
use super::token_layout::decode;
use super::tokens::PIECE;
use super::{Cursor, ReadAt, Record, TokenType};
use crate::error::Error;
use std::sync::Arc;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const HEADER_BYTES: usize = 34;

/// The tables of an index, checked for their sizes.
struct Index {
    dtype: TokenType,
    lengths: Vec<i32>,
    places: Vec<i64>,
    /// Document `d` has sequences `bounds[d]..bounds[d + 1]`.
    bounds: Vec<u64>,
}

impl Index {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or("it is shorter than its header")?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
        if !header.starts_with(MAGIC) || word(9) != 1 {
            return Err("it does not start like an index of version 1".into());
        }
        let dtype = match header[17] {
            1 => TokenType::U8,
            4 => TokenType::I32,
            5 => TokenType::I64,
            8 => TokenType::U16,
            code => return Err(format!("it says type {code}; wanted 1, 4, 5 or 8 (u8, i32, i64, u16)")),
        };
        let (sequences, documents) = (word(18), word(26));
        let tables = &bytes[HEADER_BYTES..];
        let wanted = sequences.checked_mul(12).and_then(|bytes| bytes.checked_add(documents.checked_mul(8)?));
        // Behind the tables some versions write one more.
        if wanted.is_none_or(|wanted| wanted > tables.len() as u64) {
            return Err(format!("it says {sequences} sequences and {documents} document bounds, and {} bytes follow", tables.len()));
        }
        let (lengths, tables) = tables.split_at(sequences as usize * 4);
        let (places, tables) = tables.split_at(sequences as usize * 8);
        let bounds: Vec<_> = tables.as_chunks().0[..documents as usize].iter().map(|&bound| u64::from_le_bytes(bound)).collect();
        if !bounds.is_sorted() || bounds.last().is_some_and(|&last| last > sequences) {
            return Err(format!("its document bounds do not go up to {sequences}, the number of sequences"));
        }
        Ok(Self {
            dtype,
            lengths: lengths.as_chunks().0.iter().map(|&length| i32::from_le_bytes(length)).collect(),
            places: places.as_chunks().0.iter().map(|&place| i64::from_le_bytes(place)).collect(),
            bounds,
        })
    }
}

/// The documents of one file.
pub(super) struct Megatron {
    file: Arc<dyn ReadAt>,
    index: Index,
    /// The sequence to read next, and how much of it is used up.
    sequence: usize,
    used: u64,
    at: Cursor,
}

impl Megatron {
    pub fn open(file: &Arc<dyn ReadAt>, index: &Arc<dyn ReadAt>, at: &Cursor) -> Result<Self, Fault> {
        let mut bytes = vec![0; index.len() as usize];
        index.read_at(0, &mut bytes)?;
        // Without its index nothing is known of a file: that is no bad record of it.
        let index = Index::parse(&bytes).map_err(|reason| Error::data(index.name(), reason))?;
        let mut megatron = Self { file: Arc::clone(file), index, sequence: 0, used: 0, at: Cursor { row: at.row, ..Cursor::default() } };
        megatron.enter();
        while megatron.at.row == at.row && megatron.at.element < at.element && megatron.next()?.is_some() {}
        Ok(megatron)
    }

    /// Number of documents.
    fn len(&self) -> u64 {
        self.index.bounds.len().saturating_sub(1) as u64
    }

    /// Goes to the start of the document of `at`.
    fn enter(&mut self) {
        self.sequence = self.index.bounds.get(self.at.row as usize).map_or(0, |&bound| bound as usize);
        self.used = 0;
    }

    fn next_document(&mut self) {
        self.at = Cursor { row: self.at.row + 1, ..Cursor::default() };
        self.enter();
    }

    /// Reads up to a piece of the document that ends before sequence `end`.
    fn piece(&mut self, end: usize) -> Result<Vec<u32>, Fault> {
        let width = self.index.dtype.width() as u64;
        let mut ids = Vec::new();
        while self.sequence < end && ids.len() < PIECE {
            let (length, place) = (self.index.lengths[self.sequence], self.index.places[self.sequence]);
            let wrong = |what: &str| Fault::bad(format!("sequence {} of document {} {what}", self.sequence + 1, self.at.row + 1));
            let (Ok(length), Ok(place)) = (u64::try_from(length), u64::try_from(place)) else {
                return Err(wrong("has a negative length or place"));
            };
            if place.checked_add(length * width).is_none_or(|end| end > self.file.len()) {
                return Err(wrong("is outside of the file"));
            }
            let count = (length - self.used).min((PIECE - ids.len()) as u64);
            let mut bytes = vec![0; (count * width) as usize];
            self.file.read_at(place + self.used * width, &mut bytes)?;
            decode(&bytes, self.index.dtype, &mut ids).map_err(|reason| wrong(&format!("cannot be used ({reason})")))?;
            self.used += count;
            if self.used == length {
                (self.sequence, self.used) = (self.sequence + 1, 0);
            }
        }
        Ok(ids)
    }
}

impl Reader for Megatron {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        if self.at.row >= self.len() {
            return Ok(None);
        }
        let cursor = self.at;
        let end = self.index.bounds[cursor.row as usize + 1] as usize;
        let piece = self.piece(end).inspect_err(|_| self.next_document());
        let ids = piece?;
        if self.sequence < end {
            self.at.element += 1;
        } else {
            self.next_document();
        }
        Ok(Some((cursor, if ids.is_empty() { Item::Empty } else { Item::Record(Record::Tokens(ids)) })))
    }

    fn place(&self) -> Cursor {
        self.at
    }
}
