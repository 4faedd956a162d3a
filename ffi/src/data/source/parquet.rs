//! A column of a Parquet file. Lists and nulls are taken apart by their levels: each entry of the column is a string or
//! an empty place, and an entry of repetition level 0 starts a row.

use super::fault::{Fault, guarded};
use super::parquet_bytes::FileBytes;
use super::reader::{Item, Reader};
use super::{Cursor, ReadAt, Record, column};
use crate::error::Error;
use ::parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::serialized_reader::SerializedPageReader;
use ::parquet::schema::types::ColumnDescriptor;
use std::ops::Range;
use std::sync::Arc;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 64;

/// The records of one file.
pub(super) struct Parquet {
    file: Arc<dyn ReadAt>,
    metadata: ParquetMetaData,
    /// Paths of all columns of strings.
    leaves: Vec<String>,
    /// Index of the leaf among the columns, and what its levels mean.
    leaf: usize,
    max_definition: i16,
    is_repeated: bool,
    /// Rows of the row group at hand, and how many groups have been entered.
    rows: Range<u64>,
    num_entered: usize,
    column: Option<Column>,
    batch: Batch,
    batch_rows: usize,
    /// Where the next entry is.
    at: Cursor,
}

/// The column in the row group at hand.
struct Column {
    bytes: Arc<FileBytes>,
    reader: ColumnReaderImpl<ByteArrayType>,
}

/// Decoded entries of whole rows, and how many of them are used up.
#[derive(Default)]
struct Batch {
    definition: Vec<i16>,
    repetition: Vec<i16>,
    values: std::vec::IntoIter<ByteArray>,
    used: usize,
    entries: usize,
}

impl Parquet {
    /// Opens `file` at `at`. `wanted` names the column.
    pub fn open(file: &Arc<dyn ReadAt>, wanted: &str, at: &Cursor) -> Result<Self, Fault> {
        let bytes = FileBytes::new(file, 0..file.len());
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&bytes));
        let metadata = metadata.map_err(|reason| bytes.fault(format!("its footer cannot be read ({reason})")))?;
        let columns = metadata.file_metadata().schema_descr().columns();
        let strings = columns.iter().enumerate().filter(|(_, column)| is_string(column));
        let (indexes, leaves): (Vec<_>, Vec<_>) = strings.map(|(index, column)| (index, column.path().string())).unzip();
        let chosen = column::choose(wanted, &leaves).map_err(|reason| Error::data(file.name(), reason))?;
        let leaf = leaves.iter().position(|leaf| *leaf == chosen).map_or(0, |at| indexes[at]);
        for group in metadata.row_groups() {
            // Of all kinds, the library lacks this one.
            if group.column(leaf).compression() == Compression::LZO {
                let reason = format!("column \"{chosen}\" is compressed by LZO; write it with any other kind, zstd for one");
                return Err(Error::data(file.name(), reason).into());
            }
        }
        let (max_definition, is_repeated) = (columns[leaf].max_def_level(), columns[leaf].max_rep_level() > 0);
        let mut parquet = Self {
            file: Arc::clone(file),
            metadata,
            leaf,
            leaves,
            max_definition,
            is_repeated,
            rows: 0..0,
            num_entered: 0,
            column: None,
            batch: Batch::default(),
            batch_rows: BATCH_ROWS,
            at: Cursor { row: at.row, element: at.element, ..Cursor::default() },
        };
        while parquet.at.row >= parquet.rows.end && parquet.next_group() {}
        Ok(parquet)
    }

    /// Goes to the next row group; false behind the last one.
    fn next_group(&mut self) -> bool {
        let Some(group) = self.metadata.row_groups().get(self.num_entered) else { return false };
        self.num_entered += 1;
        self.rows = self.rows.end..self.rows.end + group.num_rows().max(0) as u64;
        (self.column, self.batch, self.batch_rows) = (None, Batch::default(), BATCH_ROWS);
        true
    }

    /// The column of the row group at hand, from the row of `at` on.
    fn open_column(&self) -> Result<Column, Fault> {
        let group = self.metadata.row_group(self.num_entered - 1);
        let chunk = group.column(self.leaf);
        let (start, length) = guarded(|| Ok::<_, String>(chunk.byte_range())).map_err(Fault::bad)?;
        let end = start.checked_add(length).filter(|&end| end <= self.file.len());
        let end = end.ok_or_else(|| Fault::bad("its column is outside of the file"))?;
        let bytes = Arc::new(FileBytes::new(&self.file, start..end));
        let to_skip = (self.at.row - self.rows.start) as usize;
        let reader = guarded(|| {
            let pages = SerializedPageReader::new(Arc::clone(&bytes), chunk, group.num_rows() as usize, None)?;
            let mut reader = ColumnReaderImpl::<ByteArrayType>::new(chunk.column_descr_ptr(), Box::new(pages));
            match reader.skip_records(to_skip)? {
                skipped if skipped == to_skip => Ok(reader),
                skipped => Err(ParquetError::EOF(format!("it ends after {skipped} rows"))),
            }
        });
        let reader = reader.map_err(|reason| bytes.fault(reason))?;
        Ok(Column { bytes, reader })
    }

    /// Decodes the next rows.
    fn fill(&mut self) -> Result<(), Fault> {
        let mut column = match self.column.take() {
            Some(column) => column,
            None => self.open_column()?,
        };
        let count = self.batch_rows.min((self.rows.end - self.at.row) as usize);
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let read = guarded(|| column.reader.read_records(count, Some(&mut definition), Some(&mut repetition), &mut values));
        let (rows, _, entries) = read.map_err(|reason| column.bytes.fault(reason))?;
        if rows == 0 {
            return Err(Fault::bad("its row group ends early"));
        }
        self.batch = Batch { definition, repetition, values: values.into_iter(), used: 0, entries };
        self.column = Some(column);
        // A cursor inside of a row: its first entries have been read before.
        for _ in 0..std::mem::take(&mut self.at.element) {
            if self.batch.used == 0 || self.row_goes_on() {
                self.take_entry();
            }
        }
        Ok(())
    }

    /// Whether the next entry of the batch belongs to the same row as the one before it.
    fn row_goes_on(&self) -> bool {
        self.is_repeated && self.batch.repetition.get(self.batch.used).is_some_and(|&level| level > 0)
    }

    /// The next entry of the batch, which has one; `None` for an empty place.
    fn take_entry(&mut self) -> Option<ByteArray> {
        let has_value = self.max_definition == 0 || self.batch.definition.get(self.batch.used) == Some(&self.max_definition);
        self.batch.used += 1;
        self.at = match self.row_goes_on() {
            true => Cursor { element: self.at.element + 1, ..self.at },
            false => Cursor { row: self.at.row + 1, element: 0, ..self.at },
        };
        if has_value { self.batch.values.next() } else { None }
    }
}

impl Reader for Parquet {
    fn next(&mut self) -> Result<Option<(Cursor, Item)>, Fault> {
        while self.batch.used == self.batch.entries {
            if self.at.row >= self.rows.end {
                if self.next_group() {
                    continue;
                }
                return Ok(None);
            }
            match self.fill() {
                Ok(()) => {}
                // Rows before a damaged page may be in the same batch: one at a time they are all read.
                Err(Fault::Bad { .. }) if self.batch_rows > 1 => (self.column, self.batch_rows) = (None, 1),
                Err(Fault::Bad { what, .. }) => {
                    let row = self.at.row;
                    self.at = Cursor { row: self.rows.end, ..Cursor::default() };
                    let lost = self.rows.end - row;
                    let group = self.num_entered;
                    return Err(Fault::Bad { what: format!("row {} of row group {group} cannot be decoded ({what})", row + 1), lost });
                }
                Err(stop) => return Err(stop),
            }
        }
        let cursor = self.at;
        let Some(bytes) = self.take_entry() else { return Ok(Some((cursor, Item::Empty))) };
        let text = std::str::from_utf8(bytes.data())
            .map_err(|e| Fault::bad(format!("row {} is not UTF-8 at its byte {}", cursor.row + 1, e.valid_up_to())))?;
        Ok(Some((cursor, Item::Record(Record::Text(text.to_string())))))
    }

    fn place(&self) -> Cursor {
        self.at
    }

    fn columns(&self) -> &[String] {
        &self.leaves
    }
}

/// Whether a column has texts. Writers of old leave strings without a mark; what is not text among them is found when
/// it is read.
fn is_string(column: &ColumnDescriptor) -> bool {
    let is_marked = matches!(column.logical_type_ref(), Some(LogicalType::String | LogicalType::Json))
        || matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON);
    let has_no_mark = column.logical_type_ref().is_none() && column.converted_type() == ConvertedType::NONE;
    column.physical_type() == Type::BYTE_ARRAY && (is_marked || has_no_mark)
}
