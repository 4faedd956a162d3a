//! The order of the documents of one source: blocks of neighbours, each shuffled by itself.
//!
//! A reservoir, which hands out a random one of its documents and takes the next in, mixes a little better, but what it
//! holds depends on all that went before: its documents would have to be saved with every checkpoint, tens of megabytes.
//! A block is known by its place in the source, so that the state is a few numbers and resuming reads one block again.

use super::records::{Records, Skipped};
use super::shuffle::{keyed, shuffled};
use super::source::{Cursor, Record};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A block also ends when its documents have this many bytes: what a source holds in memory, and reads on resuming.
const BLOCK_BYTES: usize = 128 << 20;

/// Where a source stands: before document `used` of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Times that the source was read to its end.
    pub epoch: u64,
    /// Number of the block in its epoch.
    pub block: u64,
    /// Where the block starts.
    pub cursor: Cursor,
    /// Number in the source of the document there; those of the other part (training, held-out) count.
    pub number: u64,
    /// Documents of the block that were used.
    pub used: usize,
    /// Documents used since the start, over all epochs.
    pub documents: u64,
    /// Records passed over up to the end of the block in use, over all epochs.
    pub skipped: Skipped,
    /// Whether it has no more to give.
    pub ended: bool,
}

/// Which documents of a source are wanted, by their number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    All,
    None,
    /// Those with `number % every == index`.
    Only {
        every: u64,
        index: u64,
    },
    /// All others.
    Except {
        every: u64,
        index: u64,
    },
}

impl Keep {
    fn keeps(self, number: u64) -> bool {
        match self {
            Keep::All => true,
            Keep::None => false,
            Keep::Only { every, index } => number % every == index,
            Keep::Except { every, index } => number % every != index,
        }
    }
}

/// A source in the order of training.
pub(super) struct Blocks {
    records: Box<dyn Records>,
    name: String,
    seed: u64,
    /// Documents of a block.
    size: usize,
    keep: Keep,
    place: Place,
    block: Option<Block>,
}

/// A block in memory.
struct Block {
    /// In the order of their use; those before `used` are gone.
    documents: Vec<Option<(Cursor, Record)>>,
    /// Where the next block starts.
    end: Cursor,
    end_number: u64,
    /// Records passed over in it.
    skipped: Skipped,
}

impl Blocks {
    /// A source at its start. `size` is at least 1; 1 keeps the order of the source.
    pub fn new(records: Box<dyn Records>, name: &str, seed: u64, size: usize, keep: Keep) -> Self {
        Self { records, name: name.into(), seed, size, keep, place: Place::default(), block: None }
    }

    pub fn records(&self) -> &dyn Records {
        &*self.records
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Goes to `place`; nothing is read before the next document is asked for.
    pub fn restore(&mut self, place: &Place) {
        self.place = *place;
        self.block = None;
    }

    /// The next document. At the end of the source it starts over with other blocks when `repeat` is set, else it has
    /// `ended`. After an error the place is what it was.
    pub fn next(&mut self, repeat: bool) -> Result<Option<(Cursor, Record)>> {
        while !self.place.ended {
            let mut block = match self.block.take() {
                Some(block) => block,
                None => self.read()?,
            };
            if block.documents.is_empty() {
                self.end_epoch(&block, repeat)?;
                continue;
            }
            if self.place.used == 0 {
                self.place.skipped += block.skipped;
            }
            let document = block.documents[self.place.used].take();
            self.place.used += 1;
            self.place.documents += 1;
            if self.place.used < block.documents.len() {
                self.block = Some(block);
            } else {
                // One form for one place: a block that is used up is the start of the next one.
                (self.place.cursor, self.place.number) = (block.end, block.end_number);
                (self.place.block, self.place.used) = (self.place.block + 1, 0);
            }
            return Ok(document);
        }
        Ok(None)
    }

    /// Reads the block at the place. At the end of the source it has no documents.
    fn read(&mut self) -> Result<Block> {
        if self.records.cursor() != self.place.cursor {
            self.records.seek(&self.place.cursor)?;
        }
        let before = self.records.skipped();
        let (mut kept, mut bytes, mut number) = (Vec::new(), 0, self.place.number);
        while kept.len() < self.size && bytes < BLOCK_BYTES {
            let Some((cursor, record)) = self.records.next()? else { break };
            if self.keep.keeps(number) {
                bytes += size_of_record(&record);
                kept.push(Some((cursor, record)));
            }
            number += 1;
        }
        if self.place.used > 0 && self.place.used >= kept.len() {
            let reason = format!("of {} documents in a block, {} were used; the data changed since", kept.len(), self.place.used);
            return Err(Error::data(self.records.file_name(self.place.cursor.file), reason));
        }
        let (epoch, block) = (self.place.epoch.to_le_bytes(), self.place.block.to_le_bytes());
        let mut rng = keyed(&[&self.seed.to_le_bytes(), b"block", self.name.as_bytes(), &epoch, &block]);
        let mut documents: Vec<_> = shuffled(kept.len(), &mut rng).iter().map(|&at| kept[at as usize].take()).collect();
        documents[..self.place.used].fill(None);
        let skipped = self.records.skipped() - before;
        Ok(Block { documents, end: self.records.cursor(), end_number: number, skipped })
    }

    /// Goes to the start of the next epoch, or ends. `rest` is what stood after the last document.
    fn end_epoch(&mut self, rest: &Block, repeat: bool) -> Result<()> {
        if !repeat {
            self.place.ended = true;
            self.place.skipped += rest.skipped;
            return Ok(());
        }
        if self.place.block == 0 {
            let Skipped { short, empty, bad } = rest.skipped;
            let has = format!("the source \"{}\" has no document for this part of the data", self.name);
            let read = format!("{} are of the other part, {short} too short, {empty} empty, {bad} bad", rest.end_number);
            return Err(Error::data(self.records.file_name(0), format!("{has} ({read}); give more text or lower data.minCharacters")));
        }
        self.records.seek(&Cursor::default())?;
        let Place { epoch, documents, mut skipped, .. } = self.place;
        skipped += rest.skipped;
        self.place = Place { epoch: epoch + 1, documents, skipped, ..Place::default() };
        Ok(())
    }
}

fn size_of_record(record: &Record) -> usize {
    match record {
        Record::Text(text) => text.len(),
        Record::Tokens(ids) => size_of_val(ids.as_slice()),
    }
}
