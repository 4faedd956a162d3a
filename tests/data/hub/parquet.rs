//! One column of a parquet file read through the hub: few requests, and little more than the column's bytes.

use super::server::Server;
use super::{at, file, options, read};
use crate::common::{Folder, words};
use bowline::data::source::ReadAt;
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// A reader of pages as a simple program writes it: headers through a small buffer, pages by themselves.
struct Pages(Arc<dyn ReadAt>);

struct From {
    file: Arc<dyn ReadAt>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min((self.file.len() - self.at) as usize);
        self.file.read_at(self.at, &mut buffer[..count]).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Pages {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(4096, From { file: self.0.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        Ok(read(&*self.0, start, length).map_err(|e| ParquetError::General(e.to_string()))?.into())
    }
}

/// `groups` row groups of `rows` rows with three text columns of which `b` is the middle one.
fn written(groups: usize, rows: usize, words_each: usize) -> Vec<u8> {
    let schema = parse_message_type("message rows { required binary a (utf8); required binary b (utf8); required binary c (utf8); }");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(64 << 10)
        .set_write_batch_size(16);
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema.unwrap()), Arc::new(properties.build())).unwrap();
    for group in 0..groups {
        let mut columns = writer.next_row_group().unwrap();
        let mut number = 0;
        while let Some(mut column) = columns.next_column().unwrap() {
            let values: Vec<ByteArray> = (0..rows).map(|row| text(group, number, row, words_each).as_str().into()).collect();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
            number += 1;
        }
        columns.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn text(group: usize, column: usize, row: usize, words_each: usize) -> String {
    words((group * 1000 + column * 100_000 + row) as u64, words_each)
}

/// Reads column `b` and compares it; gives its compressed size.
fn read_column(reader: &impl FileReader, rows: usize, words_each: usize) -> u64 {
    let mut compressed = 0;
    for group in 0..reader.num_row_groups() {
        let columns = reader.get_row_group(group).unwrap();
        compressed += columns.metadata().column(1).compressed_size() as u64;
        let ColumnReader::ByteArrayColumnReader(mut column) = columns.get_column_reader(1).unwrap() else { panic!("wanted text") };
        let mut values = Vec::new();
        while column.read_records(100, None, None, &mut values).unwrap().0 > 0 {}
        assert_eq!(values.len(), rows);
        for (row, value) in values.iter().enumerate() {
            assert_eq!(value.as_utf8().unwrap(), text(group, 1, row, words_each), "{group} {row}");
        }
    }
    compressed
}

#[test]
fn a_column_costs_little_more_than_its_bytes() {
    for (groups, rows, words_each) in [(1, 1000, 400), (5, 300, 500)] {
        let folder = Folder::new();
        let content = written(groups, rows, words_each);
        let local = SerializedFileReader::new(Bytes::from(content.clone())).unwrap();
        let pages: usize = (0..groups).map(|group| local.get_row_group(group).unwrap().get_column_page_reader(1).unwrap().count()).sum();
        let server = Server::start(&[("a.parquet", content.clone())]);
        server.world().per_mille = 50;
        let (options, _) = options(&server, &folder.cache());
        let reader = SerializedFileReader::new(Pages(file(&options, &at("a.parquet")))).unwrap();
        let compressed = read_column(&reader, rows, words_each);
        let (sent, requests) = server.traffic();
        assert!(sent as f64 <= 1.2 * compressed as f64, "{sent} bytes for {compressed} of {} ({pages} pages)", content.len());
        assert!(requests <= 12 + pages + pages / 5 + 2 * groups, "{requests} requests for {pages} pages in {groups} groups");
        assert!(content.len() as u64 > 2 * sent, "most of the file is never fetched");
    }
}
