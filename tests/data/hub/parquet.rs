//! One column of parquet files on the hub, read by the source itself: its records, few requests, and little more than the
//! column's bytes, although one request in twenty fails.

use super::server::Server;
use super::{at, file, files, options, read};
use crate::common::{Folder, words};
use crate::source_common::{column, open, rest, shared, texts_of};
use bowline::data::local_files;
use bowline::data::source::ReadAt;
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::Path;
use std::sync::Arc;

/// Compressed bytes of a column in all row groups.
fn compressed(content: &[u8], path: &str) -> u64 {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(content)).unwrap();
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    let sizes: Vec<_> = chunks.filter(|chunk| chunk.column_path().string() == path).map(|chunk| chunk.compressed_size() as u64).collect();
    assert_eq!(sizes.len(), metadata.num_row_groups(), "{path}");
    sizes.iter().sum()
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

#[test]
fn a_column_costs_little_more_than_its_bytes() {
    for (groups, rows, words_each) in [(1, 1000, 400), (5, 300, 500)] {
        let folder = Folder::new();
        let content = written(groups, rows, words_each);
        let server = Server::start(&[("a.parquet", content.clone())]);
        server.world().per_mille = 50;
        let (options, _) = options(&server, &folder.cache());
        let texts = texts_of(file(&options, &at("a.parquet")), column("b")).unwrap().0;
        let wanted: Vec<_> = (0..groups * rows).map(|row| text(row / rows, 1, row % rows, words_each)).collect();
        assert!(texts == wanted, "{groups} groups: other texts");
        let size = compressed(&content, "b");
        let (sent, requests) = server.traffic();
        assert!(sent as f64 <= 1.2 * size as f64, "{sent} bytes for {size} of {}", content.len());
        assert!(requests <= 12 + 4 * groups, "{requests} requests for {groups} groups");
        assert!(content.len() as u64 > 2 * sent, "most of the file is never fetched");
    }
}

#[test]
fn the_nested_column_of_novels_is_that_of_the_files_on_disk() {
    let Some(path) = shared("data/text/novels") else { return };
    let local = local_files(&path.display().to_string()).unwrap();
    let named: Vec<_> = local.iter().map(|file| Path::new(file.name()).file_name().unwrap().to_str().unwrap()).collect();
    let contents: Vec<_> = local.iter().map(|file| read(&**file, 0, file.len() as usize).unwrap()).collect();
    let folder = Folder::new();
    let server = Server::start(&named.iter().copied().zip(contents.iter().cloned()).collect::<Vec<_>>());
    server.world().per_mille = 50;
    let (options, _) = options(&server, &folder.cache());
    let nested = "rollout_results.list.element.text";
    let all = |files: &[Arc<dyn ReadAt>], path: &str| rest(&mut open(files, column(path)).unwrap()).unwrap();
    let list = || files(&options, &at("*.parquet")).unwrap();
    let got = all(&list(), nested);
    assert!(got == all(&local, nested), "other records than on disk");
    let size: u64 = contents.iter().map(|content| compressed(content, nested)).sum();
    let (sent, requests) = server.traffic();
    assert!(sent as f64 <= 1.2 * size as f64, "{sent} bytes for {size}, in {requests} requests");
    assert!(all(&list(), nested) == got);
    assert_eq!(server.traffic().0, sent, "from the cache the second time");
    assert!(all(&list(), ".text") == all(&local, ".text"), "other pages than on disk");
}
