//! Whole rows of every kind of file, here and on a hub, as JSON that keeps keys in order and floats apart from integers.

use crate::common::{Folder, message, watched};
use crate::hub::rows_of_hub;
use crate::source_common::memory;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, LargeStringArray, RecordBatch, StructArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use bowline::data::jobs::{JobRequest, rows};
use bowline::data::source::json_rows;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;

const LINES: &str = "{\"z\": 1, \"a\": [1.0, \"caf\u{e9}\"]}\n\n{\"z\": 2.50, \"a\": []}\r\n";

fn parquet_file() -> Vec<u8> {
    let schema = "message set { REQUIRED INT64 label; OPTIONAL DOUBLE weight;
        OPTIONAL GROUP choices { OPTIONAL GROUP text (LIST) { REPEATED GROUP list { OPTIONAL BYTE_ARRAY element (STRING); } } } }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::builder().build())).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    let mut column = group.next_column().expect("a column").expect("label");
    column.typed::<Int64Type>().write_batch(&[3, -4], None, None).expect("labels");
    column.close().expect("closed");
    let mut column = group.next_column().expect("a column").expect("weight");
    column.typed::<DoubleType>().write_batch(&[2.0], Some(&[1, 0]), None).expect("weights");
    column.close().expect("closed");
    let mut column = group.next_column().expect("a column").expect("choices");
    let texts = [ByteArray::from("a \"b\""), ByteArray::from("\u{e9}")];
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&[4, 4, 0]), Some(&[0, 1, 0])).expect("texts");
    column.close().expect("closed");
    group.close().expect("closed");
    writer.into_inner().expect("bytes")
}

fn batch() -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.values().append_value("x");
    lists.values().append_value("y");
    lists.append(true);
    lists.append(false);
    let lists: ArrayRef = Arc::new(lists.finish());
    let choices = StructArray::try_from(vec![("text", lists)]).expect("a struct");
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("z", Arc::new(Int32Array::from(vec![7, 8])), true),
        ("f", Arc::new(Float64Array::from(vec![Some(1.0), None])), true),
        ("g", Arc::new(Float32Array::from(vec![0.5, 1e20])), true),
        ("choices", Arc::new(choices), true),
        ("a", Arc::new(LargeStringArray::from(vec!["q", "r"])), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

#[test]
fn lines_are_given_as_they_stand() {
    let wanted = ["{\"z\": 1, \"a\": [1.0, \"caf\u{e9}\"]}", "{\"z\": 2.50, \"a\": []}"];
    let zst = zstd::encode_all(LINES.as_bytes(), 3).expect("compressed");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(LINES.as_bytes()).expect("compressed");
    for (name, bytes) in [("a.jsonl", LINES.into()), ("a.jsonl.zst", zst), ("a.jsonl.gz", gz.finish().expect("compressed"))] {
        assert_eq!(json_rows(&memory(name, bytes)).expect("rows"), wanted, "{name}");
    }
}

#[test]
fn parquet_and_arrow_keep_order_and_types() {
    let wanted = [
        "{\"label\":3,\"weight\":2.0,\"choices\":{\"text\":[\"a \\\"b\\\"\",\"\u{e9}\"]}}",
        "{\"label\":-4,\"weight\":null,\"choices\":null}",
    ];
    assert_eq!(json_rows(&memory("a.parquet", parquet_file())).expect("rows"), wanted);
    let wanted = [
        "{\"z\":7,\"f\":1.0,\"g\":0.5,\"choices\":{\"text\":[\"x\",\"y\"]},\"a\":\"q\"}",
        "{\"z\":8,\"f\":null,\"g\":1.0000000200408773e20,\"choices\":{\"text\":null},\"a\":\"r\"}",
    ];
    let mut file = FileWriter::try_new(Vec::new(), &batch().schema()).expect("a writer");
    file.write(&batch()).expect("written");
    let mut stream = StreamWriter::try_new(Vec::new(), &batch().schema()).expect("a writer");
    stream.write(&batch()).expect("written");
    for bytes in [file.into_inner().expect("bytes"), stream.into_inner().expect("bytes")] {
        assert_eq!(json_rows(&memory("a.arrow", bytes)).expect("rows"), wanted);
    }
}

#[test]
fn the_job_reads_files_one_after_the_other_and_counts_them() {
    let folder = Folder::new();
    let (first, second) = (folder.file("1.jsonl", LINES), folder.file("2.jsonl", "{\"z\": 3}\n"));
    let paths = [&first, &second].map(|path| path.display().to_string()).to_vec();
    let report = watched(|watch| JobRequest::Rows { paths, cache_dir: folder.cache() }.run(watch)).expect("a report");
    assert!(report.ends_with("\"rows\":[{\"z\": 1, \"a\": [1.0, \"caf\u{e9}\"]},{\"z\": 2.50, \"a\": []},{\"z\": 3}]}"), "{report}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let counts: Vec<_> = report["files"].as_array().expect("files").iter().map(|file| file["rows"].as_u64()).collect();
    assert_eq!(counts, [Some(2), Some(1)]);
}

#[test]
fn a_hub_gives_the_rows_of_the_file() {
    let folder = Folder::new();
    let files = [("set/test/0.parquet", parquet_file()), ("set/train/0.parquet", vec![1, 2, 3]), ("other/test/0.jsonl", LINES.into())];
    let local = json_rows(&memory("a.parquet", parquet_file())).expect("rows");
    let (remote, requests, again) = rows_of_hub(&files, "set/test", &folder.cache());
    assert_eq!(remote, local);
    assert!(requests > 0);
    assert_eq!(again, 0, "a second reading takes the content from the cache");
}

#[test]
fn damage_is_told_with_its_place() {
    let cases = [
        ("a.jsonl", b"{\"a\": 1}\n{\"a\": oops}\n".to_vec(), "line 2 is not valid JSON"),
        ("a.jsonl", b"[1]\n".to_vec(), "line 1 is not a JSON object"),
        ("a.jsonl", vec![0xff, b'\n'], "cannot be read as text"),
        ("a.parquet", b"PAR1".to_vec(), "its rows cannot be read"),
        ("a.arrow", b"ARROW1\0\0".to_vec(), "its rows cannot be read"),
        ("a.txt", b"text".to_vec(), "it has no rows"),
    ];
    for (name, bytes, says) in cases {
        let error = message(json_rows(&memory(name, bytes)));
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
    assert!(watched(|watch| rows(&[], watch)).expect("a report").ends_with("\"rows\":[]}"));
}
