//! A column of an Arrow IPC file, in the stream or the file form: the latter has the former in it. Messages say their
//! length, so that batches before the place to read at are passed over unread.

use super::fault::{Fault, guarded};
use super::reader::{Item, Reader};
use super::{Cursor, ReadAt, Record, arrow_leaf, column};
use crate::error::Error;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MessageHeader, root_as_message};
use std::sync::Arc;

/// What the file form starts with. Zeros follow it, up to a multiple of at most 64 bytes.
const FILE_MAGIC: &[u8] = b"ARROW1";
const FILE_PADDING: u64 = 64;

/// Says that the length of a message follows; files of old lack it.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The records of one file.
pub(super) struct Arrow {
    file: Arc<dyn ReadAt>,
    decoder: FileDecoder,
    /// Rest of the column's path below the top column.
    path: Option<String>,
    /// Where the next message starts, and the number of its first row.
    offset: u64,
    behind: u64,
    /// The top column in the batch at hand, and the number of its first row.
    batch: Option<ArrayRef>,
    first_row: u64,
    /// What the row at hand still holds.
    slots: std::vec::IntoIter<Option<String>>,
    at: Cursor,
    /// Records of the row of `at` that were read already.
    to_skip: u64,
    /// Paths of all columns of strings.
    leaves: Vec<String>,
}

/// A message without its body.
struct Message {
    /// The prefix and the metadata.
    head: Vec<u8>,
    prefix: usize,
    body: u64,
}

impl Message {
    /// The message at `offset`; `None` at the end of the stream.
    fn read(file: &dyn ReadAt, offset: u64) -> Result<Option<Self>, Fault> {
        let left = file.len().saturating_sub(offset);
        if left == 0 {
            return Ok(None);
        }
        let ends_early = || Fault::bad(format!("it ends in the middle of a message at byte {offset}"));
        let mut head = vec![0; left.min(8) as usize];
        file.read_at(offset, &mut head)?;
        let prefix = if head.starts_with(&CONTINUATION) { 8 } else { 4 };
        let length = head.get(prefix - 4..prefix).ok_or_else(ends_early)?;
        let length = i32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        if length == 0 {
            return Ok(None);
        }
        let length =
            prefix as u64 + u64::try_from(length).map_err(|_| Fault::bad(format!("the message at byte {offset} has no length")))?;
        if length > left {
            return Err(ends_early());
        }
        head.resize(length as usize, 0);
        file.read_at(offset, &mut head)?;
        let body = guarded(|| root_as_message(&head[prefix..]).map(|message| message.bodyLength()));
        let body = body.ok().and_then(|body| u64::try_from(body).ok());
        let body = body.ok_or_else(|| Fault::bad(format!("the message at byte {offset} cannot be read")))?;
        if body > left - length {
            return Err(ends_early());
        }
        Ok(Some(Self { head, prefix, body }))
    }

    fn len(&self) -> u64 {
        self.head.len() as u64 + self.body
    }

    /// Its kind and, if it is a batch, the number of its rows.
    fn kind(&self) -> (MessageHeader, u64) {
        let Ok(message) = root_as_message(&self.head[self.prefix..]) else { return (MessageHeader::NONE, 0) };
        let rows = message.header_as_record_batch().map_or(0, |batch| batch.length());
        (message.header_type(), u64::try_from(rows).unwrap_or_default())
    }
}

/// Where the first message is.
fn stream_start(file: &dyn ReadAt) -> Result<u64, Fault> {
    let mut head = vec![0; file.len().min(FILE_PADDING) as usize];
    file.read_at(0, &mut head)?;
    let Some(padding) = head.strip_prefix(FILE_MAGIC) else { return Ok(0) };
    let zeros = padding.iter().take_while(|&&byte| byte == 0).count();
    Ok((FILE_MAGIC.len() + zeros) as u64)
}

impl Arrow {
    /// Opens `file` at `at`. `wanted` names the column.
    pub fn open(file: &Arc<dyn ReadAt>, wanted: &str, at: &Cursor) -> Result<Self, Fault> {
        let start = stream_start(&**file)?;
        let message = Message::read(&**file, start)?.ok_or_else(|| Fault::bad("it has no schema"))?;
        let schema = guarded(|| {
            let parsed = root_as_message(&message.head[message.prefix..]).map_err(|e| e.to_string())?;
            let schema = parsed.header_as_schema().ok_or("it does not start with a schema")?;
            Ok::<_, String>((try_fb_to_schema(schema).map_err(|e| e.to_string())?, parsed.version()))
        });
        let (schema, version) = schema.map_err(|reason| Fault::bad(format!("its schema cannot be read ({reason})")))?;
        let schema = Arc::new(schema);
        let empty = guarded(|| Ok::<_, String>(RecordBatch::new_empty(Arc::clone(&schema)))).map_err(Fault::bad)?;
        let mut leaves = Vec::new();
        // Which top column each leaf is in.
        let mut tops = Vec::new();
        for (top, array) in empty.columns().iter().enumerate() {
            arrow_leaf::leaves(array, schema.field(top).name(), &mut leaves);
            tops.resize(leaves.len(), top);
        }
        let chosen = column::choose(wanted, &leaves).map_err(|reason| Error::data(file.name(), reason))?;
        let top = leaves.iter().position(|leaf| *leaf == chosen).map_or(0, |at| tops[at]);
        let path = column::behind(&chosen, schema.field(top).name()).flatten().map(str::to_string);
        Ok(Self {
            file: Arc::clone(file),
            decoder: FileDecoder::new(schema, version).with_projection(vec![top]),
            path,
            leaves,
            offset: start + message.len(),
            behind: 0,
            batch: None,
            first_row: 0,
            slots: Vec::new().into_iter(),
            at: Cursor { row: at.row, ..Cursor::default() },
            to_skip: at.element,
        })
    }

    /// Goes to the batch that has the row of `at`; false at the end.
    fn next_batch(&mut self) -> Result<bool, Fault> {
        self.batch = None;
        loop {
            // Where a message ends is not known if it cannot be read: then nothing behind it can be.
            let message = Message::read(&*self.file, self.offset).inspect_err(|_| self.offset = self.file.len())?;
            let Some(message) = message else { return Ok(false) };
            let offset = self.offset;
            self.offset += message.len();
            let (kind, rows) = message.kind();
            if kind == MessageHeader::DictionaryBatch {
                let (block, bytes) = self.load(&message, offset)?;
                guarded(|| self.decoder.read_dictionary(&block, &bytes.into()))
                    .map_err(|reason| Fault::bad(format!("the dictionary at byte {offset} cannot be decoded ({reason})")))?;
            }
            self.first_row = self.behind;
            self.behind += rows;
            if self.at.row < self.behind {
                let (block, bytes) = self.load(&message, offset)?;
                let decoded = guarded(|| self.decoder.read_record_batch(&block, &bytes.into()));
                let batch = decoded.and_then(|batch| batch.filter(|batch| batch.num_rows() as u64 == rows).ok_or("it lacks rows".into()));
                let batch = batch.map_err(|reason| {
                    let row = std::mem::replace(&mut self.at, Cursor { row: self.behind, ..Cursor::default() }).row;
                    Fault::Bad { what: format!("the batch with row {} cannot be decoded ({reason})", row + 1), lost: self.behind - row }
                })?;
                self.batch = Some(Arc::clone(batch.column(0)));
                return Ok(true);
            }
        }
    }

    /// The whole message, as the decoder wants it.
    fn load(&self, message: &Message, offset: u64) -> Result<(Block, Vec<u8>), Fault> {
        let head = message.head.len();
        let mut bytes = vec![0; message.len() as usize];
        bytes[..head].copy_from_slice(&message.head);
        self.file.read_at(offset + head as u64, &mut bytes[head..])?;
        Ok((Block::new(0, head as i32, message.body as i64), bytes))
    }
}

impl Reader for Arrow {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        loop {
            if let Some(slot) = self.slots.next() {
                let cursor = self.at;
                self.at = match self.slots.len() {
                    0 => Cursor { row: cursor.row + 1, ..Cursor::default() },
                    _ => Cursor { element: cursor.element + 1, ..cursor },
                };
                return Ok(Some((cursor, slot.map_or(Item::Empty, |text| Item::Record(Record::Text(text))))));
            }
            let Some(batch) = self.batch.as_ref().filter(|_| self.at.row < self.behind) else {
                if self.next_batch()? {
                    continue;
                }
                return Ok(None);
            };
            let mut slots = Vec::new();
            arrow_leaf::collect(batch, (self.at.row - self.first_row) as usize, self.path.as_deref(), &mut slots);
            self.at.element = std::mem::take(&mut self.to_skip).min(slots.len() as u64);
            if self.at.element == slots.len() as u64 {
                self.at = Cursor { row: self.at.row + 1, ..Cursor::default() };
                continue;
            }
            self.slots = slots.into_iter();
            self.slots.by_ref().take(self.at.element as usize).for_each(drop);
        }
    }

    fn place(&self) -> Cursor {
        self.at
    }

    fn columns(&self) -> &[String] {
        &self.leaves
    }
}
