//! Bytes that nobody wrote on purpose: no parser of ours may panic, fail without naming the file, give more than the
//! file can hold, or not end.

use crate::source_common::{memory, skipping, spec};
use bowline::data::{Format, ReadAt, Record, Source, SourceSpec, TokenType};
use bowline::plan::SeparatorPlacement;
use proptest::prelude::*;
use std::sync::Arc;

/// Reads everything, bad records included, and checks that it ends and stays within the size of the files.
fn read(files: Vec<Arc<dyn ReadAt>>, spec: SourceSpec) {
    let bytes: u64 = files.iter().map(|file| file.len()).sum();
    let mut source = match Source::open(files.clone(), skipping(spec.clone())) {
        Ok(source) => source,
        Err(error) => return assert!(error.to_string().starts_with("Cannot read training data from "), "{error}"),
    };
    let mut content = 0;
    let mut failed = false;
    loop {
        match source.next() {
            Ok(Some((_, Record::Text(text)))) => content += text.len() as u64,
            // One byte is the smallest id.
            Ok(Some((_, Record::Tokens(ids)))) => content += ids.len() as u64,
            Ok(None) => break,
            Err(error) => {
                assert!(error.to_string().starts_with("Cannot read training data from "), "{error}");
                failed = true;
                break;
            }
        }
        // Sequences of an index may overlap, each up to the whole file.
        assert!(content <= bytes * (bytes + 1), "{content} bytes out of {bytes}");
    }
    let counts = source.counts();
    // Without skipping, the same records come, up to the first bad one.
    if let Ok(mut strict) = Source::open(files, spec) {
        let mut records = 0;
        let stopped = loop {
            match strict.next() {
                Ok(Some(_)) => records += 1,
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(records <= counts.records);
        assert_eq!(stopped, failed || counts.bad > 0);
    }
}

fn tokens(dtype: Option<TokenType>) -> SourceSpec {
    SourceSpec { format: Format::Tokens { dtype, separator: Some(7) }, ..spec() }
}

/// `valid` with some bytes replaced and perhaps cut: damage that gets past the first checks.
fn damaged(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = valid.len();
    (prop::collection::vec((0..length, any::<u8>()), 0..6), 0..=length, any::<bool>()).prop_map(move |(changes, cut, is_cut)| {
        let mut bytes = valid.clone();
        changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
        if is_cut {
            bytes.truncate(cut);
        }
        bytes
    })
}

fn numpy() -> Vec<u8> {
    let text = b"{'descr': '<u2', 'fortran_order': False, 'shape': (4,), }\n";
    [b"\x93NUMPY\x01\x00".as_slice(), &[text.len() as u8, 0], text, &[1, 0, 7, 0, 2, 0, 3, 0]].concat()
}

fn llm_c() -> Vec<u8> {
    let mut bytes = vec![0; 1024 + 8];
    bytes[..12].copy_from_slice(&[20_240_520i32, 1, 4].map(i32::to_le_bytes).concat());
    bytes
}

fn index() -> Vec<u8> {
    let mut bytes = b"MMIDIDX\0\0".to_vec();
    bytes.extend(1u64.to_le_bytes());
    bytes.push(8);
    [3u64, 3].iter().for_each(|count| bytes.extend(count.to_le_bytes()));
    [2i32, 1, 3].iter().for_each(|length| bytes.extend(length.to_le_bytes()));
    [0i64, 4, 6].iter().for_each(|place| bytes.extend(place.to_le_bytes()));
    [0i64, 2, 3].iter().for_each(|bound| bytes.extend(bound.to_le_bytes()));
    bytes
}

const LINES: &str =
    "{\"text\": \"one\", \"x\": [{\"text\": \"\\u00e9\"}, null]}\n\n{\"text\": null}\r\n{\"x\": {\"text\": []}}\n{\"text\": \"two\"}";

proptest! {
    // More with PROPTEST_CASES=100000.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_tokens(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for dtype in [None, Some(TokenType::U16), Some(TokenType::I32), Some(TokenType::I64)] {
            read(vec![memory("a.bin", bytes.clone())], tokens(dtype));
        }
    }

    #[test]
    fn damaged_headers(bytes in prop_oneof![damaged(numpy()), damaged(llm_c())]) {
        read(vec![memory("a.npy", bytes.clone())], tokens(None));
        read(vec![memory("a.npy", bytes)], tokens(Some(TokenType::U16)));
    }

    #[test]
    fn damaged_indexes(bytes in damaged(index()), ids in prop::collection::vec(any::<u8>(), 0..40)) {
        read(vec![memory("a.bin", ids), memory("a.idx", bytes)], tokens(None));
    }

    #[test]
    fn any_ends_of_shards(ends in prop::collection::vec(any::<u8>(), 0..40), few in prop::collection::vec(0u64..12, 0..6), ids in prop::collection::vec(any::<u8>(), 0..24)) {
        let few = few.iter().flat_map(|end| end.to_le_bytes()).collect();
        for ends in [ends, few] {
            for placement in [SeparatorPlacement::Before, SeparatorPlacement::After, SeparatorPlacement::None] {
                let format = Format::Shards { dtype: TokenType::U16, separator: 7, placement };
                read(vec![memory("a.bin", ids.clone()), memory("a.ends", ends.clone())], SourceSpec { format, ..spec() });
            }
        }
    }

    #[test]
    fn damaged_lines(bytes in damaged(LINES.into()), column in prop::sample::select(vec![".text", "x.list.element.text", "x", "text"])) {
        read(vec![memory("a.jsonl", bytes)], SourceSpec { column: Some(column.into()), ..spec() });
    }

    #[test]
    fn any_lines(text in "[\\[\\]{}\",:a-c\\\\\n\r 0-9\u{e9}.]{0,80}", column in "[a-c.]{0,4}") {
        read(vec![memory("a.jsonl", text)], SourceSpec { column: Some(column), ..spec() });
    }

    #[test]
    fn any_bytes_as_arrow_and_parquet(bytes in prop::collection::vec(any::<u8>(), 0..200), is_marked in any::<bool>()) {
        let marked = |magic: &[u8]| if is_marked { [magic, &bytes, magic].concat() } else { bytes.clone() };
        read(vec![memory("a.arrow", marked(b"ARROW1\0\0"))], spec());
        read(vec![memory("a.parquet", marked(b"PAR1"))], spec());
    }
}
