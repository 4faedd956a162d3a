//! Tokenising into shards and checking them.

use crate::common::{Folder, SEPARATOR, watched};
use crate::memory::{Store, text};
use bowline::data::jobs::{TokenizeOptions, TokenizeReport, tokenize, verify};
use bowline::data::{Builtin, Index, Record, Tokenizer, Watch};
use bowline::error::Error;
use bowline::plan::SeparatorPlacement;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SHARD: usize = 100;

fn bytes() -> Tokenizer {
    Builtin::Bytes.tokenizer(SEPARATOR).expect("it has the separator")
}

fn options(out: &Path, is_resuming: bool) -> TokenizeOptions<'_> {
    TokenizeOptions { placement: SeparatorPlacement::Before, out, shard_tokens: SHARD, is_resuming }
}

fn run(store: &Arc<Store>, out: &Path, is_resuming: bool) -> TokenizeReport {
    let records = store.open()().expect("open");
    watched(|watch| tokenize(records, &bytes(), &options(out, is_resuming), watch)).expect("tokenised")
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<_> = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    names.sort();
    names.into_iter().map(|path| (path.file_name().expect("name").to_string_lossy().into(), std::fs::read(&path).expect("file"))).collect()
}

#[test]
fn shards_hold_every_document_with_its_separator_and_end_with_one() {
    let (folder, store) = (Folder::new(), Store::numbered("a", 60));
    let out = folder.path().join("out");
    let report = run(&store, &out, false);
    let wanted: Vec<u16> =
        (0..60).flat_map(|at| [256].into_iter().chain(text("a", at).bytes().map(u16::from)).collect::<Vec<_>>()).collect();
    let index = Index::read(&out).expect("readable").expect("there");
    assert_eq!((report.shards, report.kept, report.tokens, report.counts.documents), (index.shards.len(), 0, wanted.len() as u64, 60));
    assert!(index.shards.len() > 3 && index.next.is_none(), "{index:?}");
    let mut all = Vec::new();
    for shard in &index.shards {
        let bytes = std::fs::read(out.join(&shard.file)).expect("shard");
        let ids: Vec<u16> = bytes.chunks_exact(2).map(|id| u16::from_le_bytes([id[0], id[1]])).collect();
        assert_eq!(ids[0], 256, "a shard begins with a document");
        let ends = std::fs::read(out.join(shard.file.replace(".bin", ".ends"))).expect("ends");
        let ends: Vec<u64> = ends.chunks_exact(8).map(|end| u64::from_le_bytes(end.try_into().expect("eight bytes"))).collect();
        assert_eq!((ends.len() as u64, ends.last().copied()), (shard.documents, Some(ids.len() as u64)));
        // Each document begins where the one before ends.
        assert!(ends[..ends.len() - 1].iter().all(|&end| ids[end as usize] == 256));
        all.extend(ids);
    }
    assert!(all == wanted);
}

/// Stops as soon as there are more shards than before.
fn stopped(store: &Arc<Store>, out: &Path, is_resuming: bool) -> Option<TokenizeReport> {
    let shards = || Index::read(out).ok().flatten().map_or(0, |index| index.shards.len());
    let (before, cancel) = (shards(), Arc::new(AtomicBool::new(false)));
    let progress = |_| cancel.store(shards() > before, Ordering::Relaxed);
    match tokenize(store.open()().expect("open"), &bytes(), &options(out, is_resuming), &Watch::new(&progress, &cancel)) {
        Ok(report) => Some(report),
        Err(Error::Cancelled) => None,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn stopped_and_resumed_gives_the_same_bytes_and_counts() {
    // Long documents, so that a batch is less than all; every third is empty and is skipped.
    let document = |at: usize| Record::Text(if at % 3 == 1 { String::new() } else { text("b", at).repeat(100_000) });
    let store = Store::new("b", (0..40).map(document).collect());
    let folder = Folder::new();
    let (straight, pieces) = (folder.path().join("straight"), folder.path().join("pieces"));
    let whole = run(&store, &straight, false);
    assert_eq!((whole.counts.documents, whole.counts.empty), (27, 13));
    let mut kept = Vec::new();
    let report = (0..).find_map(|turn| {
        if turn > 0 {
            kept.push(Index::read(&pieces).expect("readable").expect("there").shards.len());
        }
        stopped(&store, &pieces, turn > 0)
    });
    assert!(kept.len() > 1 && kept.is_sorted_by(|a, b| a < b), "each turn adds shards: {kept:?}");
    let report = report.expect("it ends");
    assert_eq!((report.kept, report.tokens, report.counts), (kept[kept.len() - 1], whole.tokens, whole.counts));
    assert!(files(&straight) == files(&pieces), "the bytes differ");
}

#[test]
fn a_folder_is_gone_on_with_only_when_asked_and_only_with_the_same() {
    let (folder, store) = (Folder::new(), Store::numbered("c", 20));
    let out = folder.path().join("out");
    run(&store, &out, false);
    assert_eq!(run(&store, &out, true).kept, Index::read(&out).expect("readable").expect("there").shards.len());
    let refused = |records, out: &Path, is_resuming| {
        watched(|watch| tokenize(records, &bytes(), &options(out, is_resuming), watch)).expect_err("refused").to_string()
    };
    let error = refused(store.open()().expect("open"), &out, false);
    assert!(error.contains("it holds shards; go on with --resume"), "{error}");
    let error = refused(Store::numbered("d", 20).open()().expect("open"), &out, true);
    assert!(error.contains("its shards were made from other text"), "{error}");
    folder.file("note.txt", "mine");
    let error = refused(store.open()().expect("open"), folder.path(), false);
    assert!(error.contains("it holds other files"), "{error}");
    let tokens = Store::new("e", vec![Record::Tokens(vec![1])]);
    let error = refused(tokens.open()().expect("open"), &folder.path().join("tokens"), false);
    assert!(error.contains("it holds tokens already; wanted text"), "{error}");
}

#[test]
fn verify_finds_what_is_damaged() {
    let (folder, store) = (Folder::new(), Store::numbered("f", 60));
    let out = folder.path().join("out");
    run(&store, &out, false);
    let check = || watched(|watch| verify(&out, watch)).expect("checked");
    let whole = check();
    assert!(whole.faults.is_empty() && whole.is_complete && whole.documents == 60, "{whole:?}");
    let damage = |name: &str, change: &dyn Fn(&mut Vec<u8>), wanted: &str| {
        let path = out.join(name);
        let before = std::fs::read(&path).expect("file");
        let mut bytes = before.clone();
        change(&mut bytes);
        std::fs::write(&path, bytes).expect("write");
        let faults = check().faults;
        assert!(faults.len() == 1 && faults[0].starts_with(name) && faults[0].contains(wanted), "{faults:?}");
        std::fs::write(&path, before).expect("write");
    };
    damage("shard-00001.bin", &|bytes| bytes[7] ^= 1, "not what was written");
    damage("shard-00001.bin", &|bytes| bytes.truncate(bytes.len() - 1), "bytes, wanted");
    damage("shard-00002.ends", &|bytes| bytes[0] ^= 1, "not what was written");
    std::fs::remove_file(out.join("shard-00000.bin")).expect("remove");
    assert_eq!(check().faults.len(), 1);
    let error = watched(|watch| verify(folder.path(), watch)).expect_err("no index").to_string();
    assert!(error.contains("it has no index.json"), "{error}");
}
