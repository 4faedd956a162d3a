//! Arrow IPC, stream and file: nested lists and nulls, several batches, from any place, damaged.

use crate::common::message;
use crate::source_common::{check_places, column, memory, open, rest, skipping, spec, text, texts_of};
use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Int8Array, Int64Array, LargeStringArray, RecordBatch, StructArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use std::sync::Arc;

/// Rows `from..to`: a text or nothing, and a list inside a struct.
fn batch(from: i64, to: i64) -> RecordBatch {
    let texts: LargeStringArray = (from..to).map(|n| (n % 5 != 3).then(|| format!("row {n}"))).collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for n in from..to {
        for at in 0..n % 4 {
            if at == 2 { lists.values().append_null() } else { lists.values().append_value(format!("row {n} item {at}")) }
        }
        lists.append(n % 6 != 5);
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let nested = StructArray::try_from(vec![("tags", lists)]).unwrap();
    let ids = Int64Array::from_iter_values(from..to);
    let columns: [(&str, ArrayRef, bool); 3] =
        [("id", Arc::new(ids), true), ("meta", Arc::new(nested), true), ("text", Arc::new(texts), true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn batches() -> Vec<RecordBatch> {
    vec![batch(0, 7), batch(7, 7), batch(7, 8), batch(8, 30)]
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

#[test]
fn streams_and_files_give_both_columns_from_any_place() {
    let (mut texts, mut tags, mut empty) = (Vec::new(), Vec::new(), 0);
    for n in 0..30 {
        texts.extend((n % 5 != 3).then(|| format!("row {n}")));
        match if n % 6 == 5 { 0 } else { n % 4 } {
            0 => empty += 1,
            count => (0..count).for_each(|at| if at == 2 { empty += 1 } else { tags.push(format!("row {n} item {at}")) }),
        }
    }
    let all = batches();
    for bytes in [stream(&all), file(&all, None), file(&all, Some(CompressionType::ZSTD)), file(&all, Some(CompressionType::LZ4_FRAME))] {
        let files = [memory("a.arrow", bytes)];
        let records = check_places(&files, &spec());
        assert_eq!(records.into_iter().map(|(_, record)| text(record)).collect::<Vec<_>>(), texts);
        let records = check_places(&files, &column("meta.tags.list.element"));
        assert_eq!(records.into_iter().map(|(_, record)| text(record)).collect::<Vec<_>>(), tags);
        let (got, source) = texts_of(files[0].clone(), column("tags")).unwrap();
        assert_eq!((got, source.counts().empty), (tags.clone(), empty));
    }
}

/// Rows that name few texts, which stand in a dictionary; a null in every fourth row.
fn named(texts: &[&str], rows: usize) -> RecordBatch {
    let mut names = StringDictionaryBuilder::<Int8Type>::new();
    // The dictionary has them in another order than the rows.
    texts.iter().rev().for_each(|text| drop(names.append(text)));
    let dictionary = names.finish().values().clone();
    let keys: Int8Array = (0..rows).map(|row| (row % 4 != 2).then(|| (texts.len() - 1 - row % texts.len()) as i8)).collect();
    let names: ArrayRef = Arc::new(DictionaryArray::new(keys, dictionary));
    RecordBatch::try_from_iter_with_nullable([("name", names, true)]).unwrap()
}

#[test]
fn texts_of_a_dictionary_are_read_from_any_place() {
    let wanted = |texts: &[&str], rows: usize| {
        (0..rows).filter(|row| row % 4 != 2).map(|row| texts[row % texts.len()].to_string()).collect::<Vec<_>>()
    };
    let (first, second) = (["one", "two", "three"], ["four", "five"]);
    let same = [named(&first, 11), named(&first, 7)];
    // A stream may bring another dictionary.
    let other = [named(&first, 11), named(&second, 7)];
    let compressed = file(&same, Some(CompressionType::LZ4_FRAME));
    for (bytes, last) in [(stream(&same), &first[..]), (file(&same, None), &first), (compressed, &first), (stream(&other), &second)] {
        let records = check_places(&[memory("a.arrow", bytes.clone())], &column("name"));
        let got: Vec<_> = records.into_iter().map(|(_, record)| text(record)).collect();
        assert_eq!(got, [wanted(&first, 11), wanted(last, 7)].concat());
        assert_eq!(texts_of(memory("a.arrow", bytes), column("name")).unwrap().1.counts().empty, 5);
    }
}

#[test]
fn wrong_columns_are_refused() {
    let told = message(open(&[memory("a.arrow", stream(&batches()))], column("id")));
    assert!(told.contains("there is no column \"id\" of strings; those of strings are \"meta.tags.list.element\", \".text\""), "{told}");
}

#[test]
fn damage_is_named_or_counted() {
    let bytes = stream(&batches());
    for keep in [0, 3, 6, 100] {
        let file = memory("a.arrow", &bytes[..keep]);
        assert!(message(texts_of(file.clone(), spec())).starts_with("Cannot read training data from a.arrow: it "), "{keep}");
        assert_eq!(texts_of(file, skipping(spec())).unwrap().1.counts().bad, 1);
    }
    // Cut in the last batch: those before it are read.
    let file = memory("a.arrow", &bytes[..bytes.len() - 200]);
    let told = message(texts_of(file.clone(), spec()));
    assert!(told.contains("it ends in the middle of a message at byte"), "{told}");
    let (texts, source) = texts_of(file, skipping(spec())).unwrap();
    assert_eq!((texts.len(), source.counts().bad), (7, 1));
    // A text that is not UTF-8 spoils its batch.
    let mut wrong = bytes;
    let at = wrong.windows(5).position(|window| window == b"row 1").unwrap();
    let at = wrong[at + 5..].windows(5).position(|window| window == b"row 1").map_or(at, |next| at + 5 + next);
    wrong[at] = 0xff;
    let file = memory("a.arrow", wrong);
    let (texts, source) = texts_of(file.clone(), skipping(spec())).unwrap();
    assert!((source.counts().bad == 7 || source.counts().bad == 22) && texts.len() < 24, "{:?}", source.counts());
    assert!(message(texts_of(file, spec())).contains("cannot be decoded ("));
    let mut source =
        open(&[memory("a.arrow", b"PAR1PAR1PAR1PAR1".as_slice()), memory("b.arrow", stream(&batches()))], skipping(spec())).unwrap();
    assert_eq!((rest(&mut source).unwrap().len(), source.counts().bad), (24, 1));
}
