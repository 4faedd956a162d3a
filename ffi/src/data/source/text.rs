//! Plain text: one file is one document. A byte order mark is not text.

use super::fault::Fault;
use super::reader::{Item, Reader};
use super::{Cursor, ReadAt, Record};
use std::sync::Arc;

/// One file.
pub(super) struct Text {
    file: Arc<dyn ReadAt>,
    is_read: bool,
}

impl Text {
    pub fn open(file: &Arc<dyn ReadAt>, at: &Cursor) -> Self {
        Self { file: Arc::clone(file), is_read: at.row > 0 }
    }
}

impl Reader for Text {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        if std::mem::replace(&mut self.is_read, true) {
            return Ok(None);
        }
        if self.file.is_empty() {
            return Ok(Some((Cursor::default(), Item::Empty)));
        }
        let mut bytes = vec![0; self.file.len() as usize];
        self.file.read_at(0, &mut bytes)?;
        let mut text = String::from_utf8(bytes).map_err(|e| {
            let offset = e.utf8_error().valid_up_to();
            Fault::bad(format!("byte {offset} is not UTF-8"))
        })?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Some((Cursor::default(), Item::Record(Record::Text(text)))))
    }

    fn place(&self) -> Cursor {
        Cursor { row: u64::from(self.is_read), ..Cursor::default() }
    }
}
