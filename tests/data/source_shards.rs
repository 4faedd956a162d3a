//! Shards as a source: the documents that were tokenised, from any place, and damage that is noticed.

use crate::common::{Folder, SEPARATOR, message, watched};
use crate::memory::{Store, text};
use crate::source_common::{check_places, memory, open, rest, skipping, spec};
use bowline::data::jobs::{TokenizeOptions, tokenize};
use bowline::data::{Builtin, Format, Index, ReadAt, Record, Source, SourceSpec, TokenType};
use bowline::plan::SeparatorPlacement;
use std::sync::Arc;

/// Documents of 2, 0, 3 and 1 ids, with the separator 9 before each.
const IDS: [u16; 10] = [9, 1, 2, 9, 9, 9, 5, 6, 9, 7];
const ENDS: [u64; 4] = [3, 4, 8, 10];

fn shards(placement: SeparatorPlacement) -> SourceSpec {
    SourceSpec { format: Format::Shards { dtype: TokenType::U16, separator: 9, placement }, min_characters: 100, ..spec() }
}

fn files(ids: &[u16], ends: &[u64]) -> [Arc<dyn ReadAt>; 2] {
    let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
    [memory("shard-00000.bin", ids), memory("shard-00000.ends", ends)]
}

fn documents(source: &mut Source) -> bowline::error::Result<Vec<Vec<u32>>> {
    let ids = |record| match record {
        Record::Tokens(ids) => ids,
        Record::Text(text) => panic!("wanted tokens, got {text:?}"),
    };
    Ok(rest(source)?.into_iter().map(|(_, record)| ids(record)).collect())
}

#[test]
fn documents_come_without_their_separator() {
    let mut source = open(&files(&IDS, &ENDS), shards(SeparatorPlacement::Before)).unwrap();
    // A separator inside of a document is one of its ids.
    assert_eq!(documents(&mut source).unwrap(), [vec![1, 2], vec![], vec![9, 5, 6], vec![7]]);
    let after: Vec<u16> = IDS[1..].iter().copied().chain([9]).collect();
    let mut source = open(&files(&after, &ENDS), shards(SeparatorPlacement::After)).unwrap();
    assert_eq!(documents(&mut source).unwrap(), [vec![1, 2], vec![], vec![9, 5, 6], vec![7]]);
    let mut source = open(&files(&IDS, &ENDS), shards(SeparatorPlacement::None)).unwrap();
    assert_eq!(documents(&mut source).unwrap(), [vec![9, 1, 2], vec![9], vec![9, 9, 5, 6], vec![9, 7]]);
    check_places(&files(&IDS, &ENDS), &shards(SeparatorPlacement::Before));
    assert!(documents(&mut open(&files(&[], &[]), shards(SeparatorPlacement::Before)).unwrap()).unwrap().is_empty());
}

#[test]
fn damage_is_named() {
    let ends = "Cannot read training data from shard-00000.ends: its document ends do not go up to the end of shard-00000.bin";
    for bounds in [&[3, 4, 8][..], &[4, 3, 8, 10], &[3, 4, 8, 11], &[u64::MAX]] {
        let error = message(open(&files(&IDS, bounds), shards(SeparatorPlacement::Before)));
        assert!(error.starts_with(ends), "{bounds:?}: {error}");
    }
    let [ids, _] = files(&IDS, &ENDS);
    let error = message(open(&[ids], shards(SeparatorPlacement::Before)));
    assert!(error.ends_with("shard-00000.bin: it has no file of document ends beside it; wanted a shard"), "{error}");
    let mut source = open(&files(&IDS, &[3, 4, 7, 10]), shards(SeparatorPlacement::Before)).unwrap();
    let error = message(documents(&mut source));
    assert!(error.contains("shard-00000.bin: document 4 does not have the separator 9 where it should stand;"), "{error}");
    let mut source = open(&files(&IDS, &[3, 4, 7, 10]), skipping(shards(SeparatorPlacement::Before))).unwrap();
    assert_eq!(documents(&mut source).unwrap(), [vec![1, 2], vec![], vec![9, 5]]);
    assert_eq!(source.counts().bad, 1);
}

#[test]
fn a_folder_that_is_not_complete_is_refused() {
    let (folder, store) = (Folder::new(), Store::numbered("a", 60));
    let out = folder.path().join("out");
    let tokenizer = Builtin::Bytes.tokenizer(SEPARATOR).unwrap();
    let options = TokenizeOptions { placement: SeparatorPlacement::After, out: &out, shard_tokens: 100, is_resuming: false };
    watched(|watch| tokenize(store.open()().unwrap(), &tokenizer, &options, watch)).unwrap();
    let mut index = Index::of_shards(&out).unwrap().expect("shards");
    let (files, format) = index.source(&out).unwrap();
    assert_eq!(files.len(), 2 * index.shards.len());
    let mut source = open(&files, SourceSpec { format, ..spec() }).unwrap();
    let wanted: Vec<Vec<u32>> = (0..60).map(|at| text("a", at).bytes().map(u32::from).collect()).collect();
    assert_eq!(documents(&mut source).unwrap(), wanted);
    index.next = Some(Default::default());
    let error = message(index.source(&out).map(|_| ()));
    assert!(error.ends_with("its shards are not complete; go on with `bowline data tokenize --resume`"), "{error}");
    assert_eq!(Index::of_shards(folder.path()).unwrap(), None);
}
