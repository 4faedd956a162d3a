//! Token files of every make: ids as they were written, cut at separators, from any place, with headers that lie.

use crate::common::message;
use crate::source_common::{check_places, memory, open, rest, skipping, spec};
use bowline::data::{Cursor, Format, ReadAt, Record, SourceSpec, TokenType};
use bowline::error::Result;
use std::slice::from_ref;
use std::sync::Arc;

/// Most ids in one record.
const PIECE: usize = 1 << 20;

const IDS: [u32; 11] = [5, 6, 9, 9, 7, 40_000, 9, 8, 8, 8, 8];

fn tokens(dtype: Option<TokenType>, separator: Option<u32>) -> SourceSpec {
    SourceSpec { format: Format::Tokens { dtype, separator }, min_characters: 100, ..spec() }
}

fn bare(ids: &[u32], width: usize) -> Vec<u8> {
    ids.iter().flat_map(|id| u64::from(*id).to_le_bytes()[..width].to_vec()).collect()
}

fn llm_c(magic: i32, version: i32, count: usize, ids: &[u8]) -> Vec<u8> {
    let mut header = [0i32; 256];
    header[..3].copy_from_slice(&[magic, version, count as i32]);
    [header.iter().flat_map(|word| word.to_le_bytes()).collect(), ids.to_vec()].concat()
}

fn numpy(version: u8, descr: &str, shape: &str, ids: &[u8]) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    text.push_str(&" ".repeat(63 - (text.len() + 10) % 64));
    text.push('\n');
    let length = text.len() as u32;
    let length = if version == 1 { (length as u16).to_le_bytes().to_vec() } else { length.to_le_bytes().to_vec() };
    [b"\x93NUMPY".to_vec(), vec![version, 0], length, text.into_bytes(), ids.to_vec()].concat()
}

/// An index of sequences with these lengths, one after the other, that are documents as `bounds` says.
fn megatron(code: u8, width: usize, lengths: &[usize], bounds: &[u64]) -> Vec<u8> {
    let mut bytes = [b"MMIDIDX\0\0".to_vec(), 1u64.to_le_bytes().to_vec(), vec![code]].concat();
    bytes.extend((lengths.len() as u64).to_le_bytes());
    bytes.extend((bounds.len() as u64).to_le_bytes());
    bytes.extend(lengths.iter().flat_map(|&length| (length as i32).to_le_bytes()));
    let places = lengths.iter().scan(0, |at, length| Some(std::mem::replace(at, *at + length * width)));
    bytes.extend(places.flat_map(|place| (place as i64).to_le_bytes()));
    bytes.extend(bounds.iter().flat_map(|bound| bound.to_le_bytes()));
    bytes
}

fn ids(records: Vec<(Cursor, Record)>) -> Vec<Vec<u32>> {
    let ids = |record| match record {
        Record::Tokens(ids) => ids,
        Record::Text(text) => panic!("wanted tokens, got {text:?}"),
    };
    records.into_iter().map(|(_, record)| ids(record)).collect()
}

fn read(file: Arc<dyn ReadAt>, spec: SourceSpec) -> Result<Vec<Vec<u32>>> {
    rest(&mut open(&[file], spec)?).map(ids)
}

#[test]
fn every_header_gives_the_ids() {
    let files = [
        ("a.bin", bare(&IDS, 2), Some(TokenType::U16)),
        ("a.npy", bare(&IDS, 4), Some(TokenType::U32)),
        ("a.bin", bare(&IDS, 8), Some(TokenType::I64)),
        ("a.bin", llm_c(20240520, 1, 11, &bare(&IDS, 2)), None),
        ("a.bin", llm_c(20240801, 7, 11, &bare(&IDS, 4)), Some(TokenType::U32)),
        ("a.npy", numpy(1, "<u2", "(11,)", &bare(&IDS, 2)), None),
        ("a.npy", numpy(2, "<i4", "( 11, )", &bare(&IDS, 4)), None),
        ("a.npy", numpy(3, "<i8", "(11,)", &bare(&IDS, 8)), None),
    ];
    for (name, bytes, dtype) in files {
        let file = memory(name, bytes);
        assert_eq!(read(file.clone(), tokens(dtype, None)).unwrap(), [IDS.to_vec()]);
        let cut: [&[u32]; 4] = [&[5, 6, 9], &[9], &[7, 40_000, 9], &[8, 8, 8, 8]];
        assert_eq!(ids(check_places(&[file.clone(), file], &tokens(dtype, Some(9)))), [cut, cut].concat());
    }
    assert_eq!(read(memory("a.bin", ""), tokens(Some(TokenType::U16), None)).unwrap(), Vec::<Vec<u32>>::new());
}

#[test]
fn long_documents_come_in_pieces() {
    // Separators at 10, and one behind a piece and a half.
    let mut long: Vec<u32> = (0..2 * PIECE as u32 + 77).map(|n| n % 60_000 + 1).collect();
    (long[10], long[PIECE + PIECE / 2]) = (0, 0);
    let file = memory("a.bin", bare(&long, 2));
    let spec = tokens(Some(TokenType::U16), Some(0));
    let records = check_places(from_ref(&file), &spec);
    let places: Vec<_> = records.iter().map(|(c, _)| (c.row, c.element, c.block as usize)).collect();
    assert_eq!(places, [(0, 0, 0), (1, 0, 11), (1, 1, 11 + PIECE), (2, 0, PIECE + PIECE / 2 + 1)]);
    assert_eq!(ids(records).concat(), long, "the records are the file");
    let pieces = ids(check_places(&[file], &tokens(Some(TokenType::U16), None)));
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [PIECE, PIECE, 77]);
    assert_eq!(pieces.concat(), long);
}

#[test]
fn an_index_says_what_the_documents_are() {
    // Sequences 3 + 2, none, 0, 4 + 2.
    let files =
        |code, width| [memory("a.bin", bare(&IDS, width)), memory("a.idx", megatron(code, width, &[3, 2, 0, 4, 2], &[0, 2, 2, 3, 5]))];
    for (code, width) in [(8, 2), (4, 4), (5, 8)] {
        let records = check_places(&files(code, width), &tokens(None, None));
        assert_eq!(records.iter().map(|(c, _)| c.row).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(ids(records), [&IDS[..5], &IDS[5..]]);
    }
    let mut source = open(&files(8, 2), SourceSpec { format: Format::Auto, ..spec() }).unwrap();
    rest(&mut source).unwrap();
    assert_eq!((source.counts().records, source.counts().empty), (2, 2));
    let long: Vec<u32> = (0..PIECE as u32 + 1000).map(|n| n % 65_536).collect();
    let lengths = [PIECE - 10, 500, 510];
    let files = [memory("a.bin", bare(&long, 2)), memory("a.idx", megatron(8, 2, &lengths, &[0, 3]))];
    let records = check_places(&files, &tokens(None, None));
    assert_eq!(records[1].0, Cursor { element: 1, ..Cursor::default() });
    assert_eq!(ids(records).concat(), long);
}

#[test]
fn what_does_not_fit_is_named() {
    let u16s = Some(TokenType::U16);
    for (name, bytes, dtype, reason) in [
        ("a.bin", bare(&IDS, 2), None, "has no header that says the type of its ids; set the data type"),
        ("a.bin", vec![1, 2, 3], u16s, "its 3 bytes are no whole number of ids of 2 bytes"),
        ("a.bin", llm_c(20240520, 1, 12, &bare(&IDS, 2)), None, "its header says 12 ids of 2 bytes, and 22 bytes follow it"),
        ("a.bin", llm_c(20240520, 1, 11, &bare(&IDS, 2)), Some(TokenType::U32), "its header says U16, and the source says U32"),
        ("a.npy", numpy(1, "<u2", "(10,)", &bare(&IDS, 2)), None, "its header says 10 ids of 2 bytes, and 22 bytes follow it"),
        ("a.npy", numpy(1, "<u2", "(1, 11)", &bare(&IDS, 2)), None, "its NumPy header does not have one dimension"),
        ("a.npy", numpy(1, "<f4", "(11,)", &bare(&IDS, 4)), None, "its NumPy header has the type <f4; wanted"),
        ("a.npy", numpy(9, "<u2", "(11,)", &bare(&IDS, 2)), None, "its NumPy header has an unknown version"),
        ("a.npy", b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(), None, "its NumPy header ends early"),
        ("a.bin", (-5i32).to_le_bytes().to_vec(), Some(TokenType::I32), "token 1 cannot be used (-5 is no token id)"),
    ] {
        let told = message(read(memory(name, bytes), tokens(dtype, None)));
        assert!(told.starts_with(&format!("Cannot read training data from {name}: ")) && told.contains(reason), "{told}");
    }
}

#[test]
fn a_wrong_index_is_named() {
    let bin = memory("a.bin", bare(&IDS, 2));
    let told = |index: Vec<u8>| message(read_pair(&bin, index, tokens(None, None)));
    let good = megatron(8, 2, &[3, 8], &[0, 1, 2]);
    let with = |at: usize, byte: u8| {
        let mut index = good.clone();
        index[at] = byte;
        index
    };
    assert!(told(good[..20].to_vec()).contains("a.idx: it is shorter than its header"));
    assert!(told(with(3, b'X')).contains("a.idx: it does not start like an index"));
    assert!(told(with(17, 7)).contains("a.idx: it says type 7; wanted"));
    assert!(told(with(25, 0xff)).contains("a.idx: it says 18374686479671623682 sequences and 3 document bounds"));
    assert!(told(good[..good.len() - 1].to_vec()).contains("a.idx: it says 2 sequences"));
    assert!(told(megatron(8, 2, &[3, 8], &[0, 2, 1])).contains("a.idx: its document bounds"));
    assert!(told(megatron(8, 2, &[3, 8], &[0, 3])).contains("a.idx: its document bounds"));
    assert!(told(megatron(8, 2, &[3, 9], &[0, 1, 2])).contains("a.bin: sequence 2 of document 2 is outside of the file"));
    assert!(told(with(37, 0x80)).contains("a.bin: sequence 1 of document 1 has a negative length"));
    let read = read_pair(&bin, with(37, 0x80), skipping(tokens(None, None))).unwrap();
    assert_eq!(read, [&IDS[3..]], "the other document is read");
}

fn read_pair(bin: &Arc<dyn ReadAt>, index: Vec<u8>, spec: SourceSpec) -> Result<Vec<Vec<u32>>> {
    rest(&mut open(&[bin.clone(), memory("a.idx", index)], spec)?).map(ids)
}
