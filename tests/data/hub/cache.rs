//! What was fetched stays on disk, within its bound, and is trusted only when it is whole.

use super::server::Server;
use super::{at, file, noise, options, read, read_all};
use crate::common::{Folder, message};
use std::fs;
use std::path::{Path, PathBuf};

/// All pieces with their sizes.
fn pieces(folder: &Path) -> Vec<(PathBuf, u64)> {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pieces: Vec<_> = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    pieces.sort();
    pieces.into_iter().map(|path| (path.clone(), fs::metadata(path).unwrap().len())).collect()
}

#[test]
fn nothing_is_fetched_twice_by_two_runs() {
    let folder = Folder::new();
    let content = noise(500_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    for count in [10_000, 7777, 500_000] {
        assert_eq!(read_all(&*file(&options, &at("a.jsonl")), count).unwrap(), content);
        assert_eq!(server.world().sent, content.len() as u64);
    }
    server.world().files.insert("a.jsonl".into(), noise(500_000));
    assert_ne!(read_all(&*file(&options, &at("a.jsonl")), 10_000).unwrap(), content, "other content has its own place");
}

#[test]
fn a_damaged_piece_is_fetched_again() {
    let folder = Folder::new();
    let content = noise(100_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let whole = |opened: &dyn bowline::data::source::ReadAt| assert_eq!(read_all(opened, 10_000).unwrap(), content);
    whole(&*file(&options, &at("a.jsonl")));
    let before = pieces(&folder.cache());
    for (path, _) in before.iter().take(4) {
        let bytes = fs::read(path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 3] ^= 1;
        for damaged in [Some(flipped), Some(bytes[..bytes.len() - 1].to_vec()), Some(Vec::new()), None] {
            match damaged {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            whole(&*file(&options, &at("a.jsonl")));
        }
    }
    fs::write(before[0].0.with_file_name("5-notes"), "not ours").unwrap();
    fs::write(before[0].0.with_file_name("99999999999999999999-1"), "not ours").unwrap();
    fs::write(before[0].0.with_file_name("0-18446744073709551615"), "not ours").unwrap();
    whole(&*file(&options, &at("a.jsonl")));
    assert!(server.world().sent < 3 * content.len() as u64, "only what was damaged");
}

#[test]
fn the_bound_is_kept_and_the_least_used_goes_first() {
    let folder = Folder::new();
    let contents: Vec<Vec<u8>> = (0..12).map(|_| noise(10_000)).collect();
    let names: Vec<String> = (0..12).map(|at| format!("{at:02}.jsonl")).collect();
    let server = Server::start(&names.iter().map(String::as_str).zip(contents.iter().cloned()).collect::<Vec<_>>());
    let (mut options, _) = options(&server, &folder.cache());
    options.cache_bytes = 100_000;
    for number in 0..12 {
        assert_eq!(read_all(&*file(&options, &at(&names[number])), 10_000).unwrap(), contents[number]);
        // Used all the time.
        assert_eq!(read_all(&*file(&options, &at(&names[0])), 10_000).unwrap(), contents[0]);
        let total: u64 = pieces(&folder.cache()).iter().map(|piece| piece.1).sum();
        assert!(total <= 100_000, "{total} bytes after {number}");
    }
    assert!(pieces(&folder.cache()).len() >= 7, "most of the bound is used");
    let sent = |number: usize| {
        let before = server.world().sent;
        read_all(&*file(&options, &at(&names[number])), 10_000).unwrap();
        server.world().sent - before
    };
    assert_eq!((sent(0), sent(11), sent(10)), (0, 0, 0), "still there");
    assert_eq!(sent(1), 10_000, "the one that was used least recently is gone");
}

#[test]
fn a_smaller_bound_is_kept_from_the_start() {
    let folder = Folder::new();
    let content = noise(100_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (mut options, _) = options(&server, &folder.cache());
    read_all(&*file(&options, &at("a.jsonl")), 10_000).unwrap();
    for bound in [50_000, 100, 0] {
        options.cache_bytes = bound;
        let file = file(&options, &at("a.jsonl"));
        assert!(pieces(&folder.cache()).iter().map(|piece| piece.1).sum::<u64>() <= bound);
        assert_eq!(read_all(&*file, 10_000).unwrap(), content);
        assert!(pieces(&folder.cache()).iter().map(|piece| piece.1).sum::<u64>() <= bound);
    }
}

#[test]
fn unfinished_pieces_of_killed_processes_go_with_the_oldest() {
    let folder = Folder::new();
    let server = Server::start(&[("a.jsonl", noise(10_000))]);
    let (mut options, _) = options(&server, &folder.cache());
    let left = folder.cache().join("0000").join(".tmp-1-0");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, noise(30_000)).unwrap();
    options.cache_bytes = 35_000;
    read_all(&*file(&options, &at("a.jsonl")), 10_000).unwrap();
    assert!(!left.parent().unwrap().exists());
}

#[test]
fn a_cache_that_cannot_be_made_is_an_error_and_one_that_fails_later_is_not() {
    let folder = Folder::new();
    let content = noise(50_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let opened = file(&options, &at("a.jsonl"));
    read(&*opened, 0, 10_000).unwrap();
    fs::remove_dir_all(folder.cache()).unwrap();
    folder.file("cache", "a file where the folder was");
    assert_eq!(read_all(&*opened, 10_000).unwrap(), content);
    let says = message(super::files(&options, &at("a.jsonl")));
    assert!(says.starts_with(&format!("Cannot create the folder {}: ", folder.cache().display())), "{says}");
}
