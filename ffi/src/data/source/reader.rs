//! A source as one list of records over all its files, with a place that can be saved and gone back to.

use super::fault::Fault;
use super::meter::Meter;
use super::{Counts, Cursor, Format, OnBad, ReadAt, Record, SourceSpec};
use super::{arrow, column, jsonl, kind, megatron, parquet, shard, text, tokens};
use crate::error::{Error, Result};
use crate::files::hex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Record(Record),
    /// A null, an empty list, an empty file.
    Empty,
}

/// The records of one file. Cursors that it gives have file 0.
pub(super) trait Reader: Send {
    /// The next record and its place. After `Fault::Bad` it may be called again.
    fn next(&mut self) -> std::result::Result<Option<(Cursor, Item)>, Fault>;
    /// Where `next` goes on.
    fn place(&self) -> Cursor;
    /// Paths of all columns of strings; none where the format has no columns.
    fn columns(&self) -> &[String] {
        &[]
    }
}

/// A file and, where the format has one, the index beside it.
struct Input {
    data: Arc<dyn ReadAt>,
    meter: Arc<Meter>,
    index: Option<Arc<dyn ReadAt>>,
}

/// Files of one kind, read one record after the other.
pub struct Source {
    spec: SourceSpec,
    inputs: Vec<Input>,
    format: Format,
    /// The column of JSON lines, found in the first one: lines have no schema.
    json_column: String,
    /// Where the next record is looked for.
    at: Cursor,
    /// The file of `at`, if it is open.
    reader: Option<Box<dyn Reader>>,
    counts: Counts,
}

impl Source {
    /// Takes `files` in this order. The first one is looked into, so that a wrong column is refused here.
    pub fn open(files: Vec<Arc<dyn ReadAt>>, spec: SourceSpec) -> Result<Self> {
        let inputs = pair(files)?;
        let Some(first) = inputs.first() else {
            return Err(Error::data(spec.paths.join(", "), "the source has no files; check its paths"));
        };
        let format = kind::resolve(spec.format, inputs.iter().map(|input| &*input.data))?;
        let wanted = spec.column.as_deref().unwrap_or(column::DEFAULT);
        let json_column = if format == Format::Jsonl { jsonl::resolve(&first.data, wanted)? } else { wanted.to_string() };
        let mut source = Self { spec, inputs, format, json_column, at: Cursor::default(), reader: None, counts: Counts::default() };
        match source.open_file() {
            Ok(reader) => source.reader = Some(reader),
            // Damage is met again, and told or counted, by `next`.
            Err(Fault::Bad { .. }) => {}
            Err(Fault::Stop(error)) => return Err(error),
        }
        Ok(source)
    }

    /// The next record and its place; `None` at the end. Records that are too short, empty or, if the source says so, bad
    /// are counted and left out.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would not say that a place can be gone back to")]
    pub fn next(&mut self) -> Result<Option<(Cursor, Record)>> {
        while self.at.file < self.inputs.len() {
            match self.step() {
                Ok(Some((cursor, Item::Record(record)))) if self.is_long_enough(&record) => {
                    self.counts.records += 1;
                    return Ok(Some((cursor, record)));
                }
                Ok(Some((_, Item::Record(_)))) => self.counts.short += 1,
                Ok(Some((_, Item::Empty))) => self.counts.empty += 1,
                Ok(None) => {}
                Err(fault) => self.settle(fault)?,
            }
        }
        Ok(None)
    }

    /// The next record of the file at hand; `None` when it goes on in the next file.
    fn step(&mut self) -> std::result::Result<Option<(Cursor, Item)>, Fault> {
        if self.reader.is_none() {
            self.reader = Some(self.open_file()?);
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let found = reader.next()?;
        match found {
            Some((cursor, item)) => {
                self.at = Cursor { file: self.at.file, ..reader.place() };
                Ok(Some((Cursor { file: self.at.file, ..cursor }, item)))
            }
            None => {
                self.next_file();
                Ok(None)
            }
        }
    }

    /// Counts what could not be read and goes on behind it, or fails and stays before it.
    fn settle(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Bad { lost, .. } if self.spec.on_bad == OnBad::Skip => {
                self.counts.bad += lost;
                match &self.reader {
                    Some(reader) => self.at = Cursor { file: self.at.file, ..reader.place() },
                    None => self.next_file(),
                }
                Ok(())
            }
            fault => {
                self.reader = None;
                Err(match fault {
                    Fault::Bad { what, .. } => {
                        let name = self.inputs[self.at.file].data.name();
                        Error::data(name, format!("{what}; repair or replace it, or set data.onBadRecord to \"skip\""))
                    }
                    Fault::Stop(error) => error,
                })
            }
        }
    }

    fn next_file(&mut self) {
        self.reader = None;
        self.at = Cursor { file: self.at.file + 1, ..Cursor::default() };
    }

    /// Opens the file of `at` there.
    fn open_file(&self) -> std::result::Result<Box<dyn Reader>, Fault> {
        let Input { data, index, .. } = &self.inputs[self.at.file];
        let wanted = self.spec.column.as_deref().unwrap_or(column::DEFAULT);
        Ok(match self.format {
            Format::Auto | Format::Text => Box::new(text::Text::open(data, &self.at)),
            Format::Jsonl => Box::new(jsonl::Jsonl::open(data, &self.json_column, &self.at)?),
            Format::Parquet => Box::new(parquet::Parquet::open(data, wanted, &self.at)?),
            Format::Arrow => Box::new(arrow::Arrow::open(data, wanted, &self.at)?),
            Format::Tokens { dtype, separator } => match index {
                Some(index) => Box::new(megatron::Megatron::open(data, index, &self.at)?),
                None => Box::new(tokens::Tokens::open(data, dtype, separator, &self.at)?),
            },
            Format::Shards { dtype, separator, placement } => match index {
                Some(ends) => Box::new(shard::Documents::open(data, ends, shard::Layout { dtype, separator, placement }, &self.at)?),
                None => return Err(Error::data(data.name(), "it has no file of document ends beside it; wanted a shard").into()),
            },
        })
    }

    fn is_long_enough(&self, record: &Record) -> bool {
        let min = self.spec.min_characters;
        match record {
            // A character has at most four bytes.
            Record::Text(text) => text.len() / 4 >= min || text.chars().take(min).count() == min,
            Record::Tokens(_) => true,
        }
    }

    /// Where the next record is looked for.
    pub fn cursor(&self) -> Cursor {
        self.at
    }

    /// Goes to a place that this source, or one with the same identity, gave.
    pub fn seek(&mut self, to: &Cursor) -> Result<()> {
        if to.file > self.inputs.len() {
            let reason = format!("the source {} has {} files, and file {} was to be read next", self.spec.name, self.inputs.len(), to.file);
            return Err(Error::Argument(format!("Cannot go on in the data: {reason}")));
        }
        if *to != self.at {
            self.reader = None;
            self.at = *to;
        }
        Ok(())
    }

    /// What has been met so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Paths of all columns of strings that the file at hand has; none where files have no columns, or it is damaged.
    pub fn columns(&self) -> Vec<String> {
        match self.format {
            // Lines have no schema: the first one says what the others are likely to have.
            Format::Jsonl => self.inputs.first().map_or_else(Vec::new, |input| jsonl::columns(&input.data)),
            _ => self.reader.as_ref().map_or_else(Vec::new, |reader| reader.columns().to_vec()),
        }
    }

    /// How much was read, 0 to 1, by the bytes of the files.
    pub fn progress(&self) -> f64 {
        let size = |inputs: &[Input]| inputs.iter().map(|input| input.data.len() as f64).sum::<f64>();
        let Some(input) = self.inputs.get(self.at.file) else { return 1.0 };
        (size(&self.inputs[..self.at.file]) + input.meter.part() * input.data.len() as f64) / size(&self.inputs).max(1.0)
    }

    /// The files in their order, without the indexes beside them.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Arc<dyn ReadAt>> {
        self.inputs.iter().map(|input| &input.data)
    }

    /// Changes when the records do: what a saved cursor refers to. The names and places of the files are not part of it.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        let column = self.spec.column.as_deref().unwrap_or(column::DEFAULT);
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(&format!("{:?}, at least {} characters, bad ones: {:?}", self.format, self.spec.min_characters, self.spec.on_bad));
        part(column);
        for input in &self.inputs {
            part(&input.data.identity());
            part(&input.index.as_ref().map_or_else(String::new, |index| index.identity()));
        }
        hex(&hash.finalize())
    }
}

impl Input {
    fn new(file: Arc<dyn ReadAt>) -> Self {
        let meter = Meter::new(file);
        Input { data: meter.clone(), meter, index: None }
    }
}

/// Extensions of the files that belong to a `.bin` file of the same name.
const INDEXES: [&str; 2] = ["idx", "ends"];

/// The name of a file up to the dot, if it is an index.
fn indexed(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    INDEXES.contains(&extension).then_some(stem)
}

/// Puts each index to the `.bin` file of the same name.
fn pair(files: Vec<Arc<dyn ReadAt>>) -> Result<Vec<Input>> {
    let (indexes, data): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| indexed(file.name()).is_some());
    let mut inputs: Vec<_> = data.into_iter().map(Input::new).collect();
    let place = |(at, input): (usize, &Input)| Some((input.data.name().strip_suffix(".bin")?.to_string(), at));
    let by_stem: HashMap<String, usize> = inputs.iter().enumerate().filter_map(place).collect();
    for index in indexes {
        let stem = indexed(index.name()).unwrap_or_default();
        match by_stem.get(stem) {
            Some(&at) => inputs[at].index = Some(index),
            None => return Err(Error::data(index.name(), format!("it is the index of {stem}.bin, which the source does not have"))),
        }
    }
    Ok(inputs)
}
