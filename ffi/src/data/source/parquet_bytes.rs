//! The bytes of a Parquet file for its library, which asks for page headers and pages one by one: they are cut from
//! larger pieces, so that a host is asked seldom and never for bytes outside the column.

use super::ReadAt;
use super::fault::Fault;
use crate::error::Error;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::{Buf, Bytes};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes read at once.
const PIECE_BYTES: u64 = 4 << 20;

/// A range of a file. Nothing outside it is read.
pub(super) struct FileBytes {
    file: Arc<dyn ReadAt>,
    range: Range<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The bytes that were read last, and where they start.
    start: u64,
    piece: Bytes,
    /// What the file said when it could not be read; the library would make a text of it.
    failure: Option<Error>,
}

impl FileBytes {
    pub fn new(file: &Arc<dyn ReadAt>, range: Range<u64>) -> Self {
        Self { file: Arc::clone(file), range, state: Mutex::default() }
    }

    /// Why the library could not read: the file's own error if it had one, else damage.
    pub fn fault(&self, reason: String) -> Fault {
        match self.state().failure.take() {
            Some(error) => Fault::Stop(error),
            None => Fault::bad(reason),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At least `length` bytes from `start` on: all that are at hand.
    fn bytes(&self, start: u64, length: u64) -> Result<Bytes> {
        let end = start.checked_add(length).filter(|&end| self.range.start <= start && end <= self.range.end);
        let Some(end) = end else {
            let (from, to) = (self.range.start, self.range.end);
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are outside of bytes {from} to {to}")));
        };
        let mut state = self.state();
        if start < state.start || end > state.start + state.piece.len() as u64 {
            let until = end.max(start.saturating_add(PIECE_BYTES).min(self.range.end));
            // A page may begin in the piece before.
            let known = start.checked_sub(state.start).and_then(|from| state.piece.get(from as usize..)).unwrap_or_default();
            let mut piece = vec![0; (until - start) as usize];
            piece[..known.len()].copy_from_slice(known);
            if let Err(error) = self.file.read_at(start + known.len() as u64, &mut piece[known.len()..]) {
                let text = error.to_string();
                state.failure = Some(error);
                return Err(ParquetError::General(text));
            }
            (state.start, state.piece) = (start, piece.into());
        }
        Ok(state.piece.slice((start - state.start) as usize..))
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for FileBytes {
    type T = bytes::buf::Reader<Bytes>;

    /// Gives what is left of a piece, which is enough for a page's header.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let header = self.range.end.saturating_sub(start).min(HEADER_BYTES);
        Ok(self.bytes(start, header)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        Ok(self.bytes(start, length as u64)?.slice(..length))
    }
}

/// More than a page's header has, its statistics included.
const HEADER_BYTES: u64 = 64 << 10;
