//! Parquet: files of every compression and page form against the rows that were written, from any place, damaged.

use crate::common::message;
use crate::source_common::{check_places, column, memory, open, rest, shared, skipping, spec, text, texts_of};
use bowline::data::{Cursor, ReadAt, local_files};
use bowline::error::Result;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page, and what was made of it: perhaps nothing, perhaps a list of texts and nulls.
#[derive(Clone)]
struct Row {
    page: Option<String>,
    rewrites: Option<Vec<Option<String>>>,
}

const SCHEMA: &str = "message set {
    OPTIONAL BYTE_ARRAY text (STRING);
    REQUIRED INT32 id;
    OPTIONAL GROUP rollout_results (LIST) { REPEATED GROUP list { OPTIONAL GROUP element { OPTIONAL BYTE_ARRAY text (STRING); } } }
    REQUIRED BYTE_ARRAY url;
}";

const REWRITES: &str = "rollout_results.list.element.text";

fn rows(count: usize) -> Vec<Row> {
    let words = |n: usize| format!("row {n} caf\u{e9} {}", "word ".repeat(n * 7919 % 50));
    let row = |n: usize| Row {
        page: (n % 7 != 3).then(|| words(n)),
        rewrites: (n % 11 != 5).then(|| (0..n % 4).map(|at| (at != 1 || !n.is_multiple_of(3)).then(|| words(n + 1000 * at))).collect()),
    };
    (0..count).map(row).collect()
}

fn write_column(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: Vec<&str>,
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) {
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = values.into_iter().map(ByteArray::from).collect();
    column.typed::<ByteArrayType>().write_batch(&values, definition, repetition).unwrap();
    column.close().unwrap();
}

/// Writes `rows` in row groups of `group_rows`.
fn write(rows: &[Row], group_rows: usize, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
    for rows in rows.chunks(group_rows) {
        let mut group = writer.next_row_group().unwrap();
        let definition: Vec<_> = rows.iter().map(|row| i16::from(row.page.is_some())).collect();
        write_column(&mut group, rows.iter().filter_map(|row| row.page.as_deref()).collect(), Some(&definition), None);
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&vec![7; rows.len()], None, None).unwrap();
        column.close().unwrap();
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let first = definition.len();
            match &row.rewrites {
                None => definition.push(0),
                Some(list) if list.is_empty() => definition.push(1),
                Some(list) => definition.extend(list.iter().map(|text| if text.is_some() { 4 } else { 3 })),
            }
            values.extend(row.rewrites.iter().flatten().flatten().map(String::as_str));
            repetition.extend((first..definition.len()).map(|at| i16::from(at > first)));
        }
        write_column(&mut group, values, Some(&definition), Some(&repetition));
        write_column(&mut group, vec!["http"; rows.len()], None, None);
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_dictionary_enabled(false)
}

/// A text and its row and entry.
type Placed = ((u64, u64), String);

/// What a source must give of the pages or the rewrites, with row and entry, and how many entries are empty.
fn wanted(rows: &[Row], rewrites: bool) -> (Vec<Placed>, u64) {
    let (mut texts, mut empty) = (Vec::new(), 0);
    for (n, row) in rows.iter().enumerate() {
        let entries = match &row.rewrites {
            _ if !rewrites => vec![row.page.clone()],
            Some(list) if !list.is_empty() => list.clone(),
            _ => vec![None],
        };
        for (element, entry) in entries.into_iter().enumerate() {
            match entry {
                Some(text) => texts.push(((n as u64, element as u64), text)),
                None => empty += 1,
            }
        }
    }
    (texts, empty)
}

#[test]
fn both_columns_are_read_whatever_the_file_is_like() {
    let rows = rows(230);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let (gzip, brotli) = (Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default()));
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, zstd, Compression::LZ4, Compression::LZ4_RAW, brotli] {
        for (version, has_dictionary, group_rows, page_rows) in [
            (WriterVersion::PARQUET_1_0, true, 100, 20_000),
            (WriterVersion::PARQUET_2_0, false, 64, 7),
            (WriterVersion::PARQUET_1_0, false, 1, 1),
        ] {
            let properties = WriterProperties::builder()
                .set_compression(compression)
                .set_writer_version(version)
                .set_dictionary_enabled(has_dictionary)
                .set_data_page_row_count_limit(page_rows)
                .set_write_batch_size(page_rows.min(64));
            let file = memory("a.parquet", write(&rows, group_rows, properties));
            for (path, rewrites) in [(".text", false), (REWRITES, true)] {
                let mut source = open(from_ref(&file), column(path)).unwrap();
                let got: Vec<_> = rest(&mut source).unwrap().into_iter().map(|(c, record)| ((c.row, c.element), text(record))).collect();
                let (texts, empty) = wanted(&rows, rewrites);
                assert!(got == texts, "{compression} {path} in groups of {group_rows}");
                assert_eq!((source.counts().records, source.counts().empty), (texts.len() as u64, empty));
            }
        }
    }
}

#[test]
fn reading_goes_on_from_any_place() {
    let rows = rows(40);
    let file = |rows: &[Row]| memory("a.parquet", write(rows, 9, plain().set_data_page_row_count_limit(4).set_write_batch_size(4)));
    let files = [file(&rows[..13]), file(&[]), file(&rows[13..])];
    for path in [".text", REWRITES] {
        let records = check_places(&files, &column(path));
        assert_eq!(records.len(), wanted(&rows, path == REWRITES).0.len());
        assert_eq!(records.last().unwrap().0.file, 2);
    }
}

#[test]
fn a_name_that_two_columns_have_is_refused() {
    let file = memory("a.parquet", write(&rows(3), 3, plain()));
    let told = |path: &str| message(open(from_ref(&file), column(path)));
    let both =
        "Cannot read training data from a.parquet: column \"text\" may be \".text\", \"rollout_results.list.element.text\"; name one";
    assert!(told("text").starts_with(both), "{}", told("text"));
    assert!(message(open(from_ref(&file), spec())).starts_with(both), "nor is it guessed when none is named");
    let missing = "there is no column \"body\" of strings; those of strings are \".text\", \"rollout_results.list.element.text\", \".url\"";
    assert!(told("body").contains(missing), "{}", told("body"));
    assert!(told("id").contains("there is no column \"id\" of strings"), "{}", told("id"));
    assert_eq!(texts_of(file, column("url")).unwrap().0, ["http"; 3]);
}

#[test]
fn a_damaged_page_is_an_error_with_its_row() {
    let rows = rows(150);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = plain().set_compression(zstd).set_data_page_row_count_limit(10).set_write_batch_size(10);
    let mut bytes = write(&rows, 50, properties);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes.clone())).unwrap();
    let (start, length) = metadata.row_group(1).column(0).byte_range();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let pages: Vec<_> = (start..start + length).filter(|&at| bytes[at as usize..].starts_with(&magic)).collect();
    assert_eq!(pages.len(), 5);
    bytes[pages[2] as usize] = 0;
    let file = memory("a.parquet", bytes);
    let mut source = open(from_ref(&file), column(".text")).unwrap();
    let mut count = 0;
    let told = loop {
        match source.next() {
            Ok(record) => count += usize::from(record.is_some()),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(count, wanted(&rows[..70], false).0.len(), "rows before the page are read");
    assert!(told.starts_with("Cannot read training data from a.parquet: row 71 of row group 2 cannot be decoded ("), "{told}");
    assert!(told.ends_with("); repair or replace it, or set data.onBadRecord to \"skip\""), "{told}");
    assert_eq!(source.cursor(), Cursor { row: 70, ..Cursor::default() });
    let (texts, source) = texts_of(file.clone(), skipping(column(".text"))).unwrap();
    assert_eq!((texts.len(), source.counts().bad), (count + wanted(&rows[100..], false).0.len(), 30));
    assert_eq!(texts_of(file, column(REWRITES)).unwrap().0.len(), wanted(&rows, true).0.len(), "other columns are whole");
}

#[test]
fn damaged_files_are_named() {
    let bytes = write(&rows(20), 20, plain());
    let length = bytes.len();
    let mut wrong_footer = bytes.clone();
    wrong_footer[length - 40..length - 8].fill(0xff);
    for damaged in [b"".to_vec(), b"PAR1".to_vec(), bytes[..length - 9].to_vec(), bytes[..length / 2].to_vec(), wrong_footer] {
        let file = memory("a.parquet", damaged);
        let mut source = open(from_ref(&file), column(".text")).unwrap();
        let told = message(source.next());
        assert!(told.starts_with("Cannot read training data from a.parquet: its footer cannot be read ("), "{told}");
        let mut source = open(&[file, memory("b.parquet", bytes.clone())], skipping(column(".text"))).unwrap();
        assert_eq!((rest(&mut source).unwrap().len(), source.counts().bad), (wanted(&rows(20), false).0.len(), 1));
    }
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let mut bytes = write(&rows(20), 20, plain());
    let at = bytes.windows(8).position(|window| window == b"row 4 ca").unwrap();
    bytes[at] = 0xff;
    let file = memory("a.parquet", bytes);
    let told = message(texts_of(file.clone(), column(".text")));
    assert!(told.contains("a.parquet: row 5 is not UTF-8 at its byte 0"), "{told}");
    let (texts, source) = texts_of(file, skipping(column(".text"))).unwrap();
    assert_eq!((texts.len(), source.counts().bad), (wanted(&rows(20), false).0.len() - 1, 1));
}

/// A file that counts what is read of it.
struct Counted(Arc<dyn ReadAt>, AtomicU64);

impl ReadAt for Counted {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.read_at(offset, buf)
    }

    fn identity(&self) -> String {
        self.0.identity()
    }
}

#[test]
fn only_the_footer_and_the_column_are_read() {
    let bytes = write(&rows(3000), 500, plain().set_data_page_size_limit(4096));
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes.clone())).unwrap();
    let column_bytes: i64 = metadata.row_groups().iter().map(|group| group.column(2).compressed_size()).sum();
    let footer = u64::from(u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap())) + 8;
    let counted = Arc::new(Counted(memory("a.parquet", bytes), AtomicU64::new(0)));
    let file: Arc<dyn ReadAt> = counted.clone();
    rest(&mut open(&[file], column(REWRITES)).unwrap()).unwrap();
    assert_eq!(counted.1.load(Ordering::Relaxed), footer + 8 + column_bytes as u64, "the last 8 bytes are read twice");
}

#[test]
fn novels_have_both_columns() {
    let Some(path) = shared("data/text/novels") else { return };
    let files = local_files(&path.display().to_string()).unwrap();
    assert!(message(open(&files, spec())).contains(&format!("\"{REWRITES}\"")));
    let mut source = open(&files, column(REWRITES)).unwrap();
    let records = rest(&mut source).unwrap();
    let counts = source.counts();
    assert_eq!((records.len(), counts.empty, counts.bad), (3557, 38, 0));
    for at in [0, records.len() / 3, records.len() - 1] {
        source.seek(&records[at].0).unwrap();
        assert_eq!(source.next().unwrap().unwrap(), records[at]);
    }
    let pages = rest(&mut open(&files, column(".text")).unwrap()).unwrap();
    assert_eq!(pages.len(), 3595, "each has one rewrite or none");
}
