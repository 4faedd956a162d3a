//! Files of this machine: what a path stands for, and what happens when they change under a run.

use crate::common::{Folder, data_error, message};
use crate::source_common::{open, rest, spec, text};
use bowline::data::{ReadAt, local_files};
use std::fs;
use std::sync::Arc;

fn names(pattern: &str, folder: &Folder) -> Vec<String> {
    let files = local_files(&folder.path().join(pattern).display().to_string()).unwrap();
    let prefix = format!("{}/", folder.path().display());
    files.iter().map(|file| file.name().strip_prefix(&prefix).unwrap_or(file.name()).to_string()).collect()
}

#[test]
fn paths_stand_for_files_folders_and_patterns() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path().join("b/deep")).unwrap();
    fs::create_dir_all(folder.path().join(".git")).unwrap();
    for name in ["b/2.txt", "b/deep/1.jsonl.zst", "a.txt", "c.MD", "notes.json", "skip.py", ".hidden.txt", ".git/x.txt"] {
        folder.file(name, "x");
    }
    assert_eq!(names("", &folder), ["a.txt", "b/2.txt", "b/deep/1.jsonl.zst", "c.MD"]);
    assert_eq!(names("a.txt", &folder), ["a.txt"]);
    assert_eq!(names("notes.json", &folder), ["notes.json"]);
    assert_eq!(names("**/*.txt", &folder), [".git/x.txt", ".hidden.txt", "a.txt", "b/2.txt"]);
    assert_eq!(names("b/*", &folder), ["b/2.txt"]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("b/loop")).unwrap();
    assert_eq!(names("", &folder).len(), 4, "a loop of links ends");
}

#[test]
fn an_index_comes_with_its_tokens() {
    let folder = Folder::new();
    for name in ["x.bin", "x.idx", "y.bin"] {
        folder.file(name, "1234");
    }
    assert_eq!(names("x.bin", &folder), ["x.bin", "x.idx"]);
    assert_eq!(names("*.bin", &folder), ["x.bin", "x.idx", "y.bin"]);
    let index = local_files(&folder.path().join("x.idx").display().to_string()).unwrap();
    assert!(message(open(&index, spec())).contains("it is the index of "));
}

#[test]
fn nothing_found_is_an_error_that_names_the_pattern() {
    let folder = Folder::new();
    let check = |name: &str, reason: &str| {
        let path = folder.path().join(name);
        assert!(data_error(local_files(&path.display().to_string()), &path).contains(reason), "{name}");
    };
    check("absent.txt", "no such file");
    check("*.parquet", "no file matches");
    check("", "no data that is known");
    check("[", "not a pattern");
}

#[test]
fn files_of_two_kinds_are_refused() {
    let folder = Folder::new();
    folder.file("README.md", "about");
    folder.file("data.jsonl", "{}");
    let reason = message(open(&local_files(&folder.path().display().to_string()).unwrap(), spec()));
    assert!(reason.contains("data.jsonl: it is of another kind than ") && reason.contains("README.md"), "{reason}");
    folder.file("what.xyz", "");
    let files = local_files(&folder.path().join("what.xyz").display().to_string()).unwrap();
    assert!(message(open(&files, spec())).contains("its name does not say what it is"));
}

#[test]
fn text_files_are_documents() {
    let folder = Folder::new();
    folder.file("1.txt", "\u{feff}one");
    folder.file("2.txt", "");
    folder.file("3.md", "three\n");
    let files = local_files(&folder.path().display().to_string()).unwrap();
    let mut source = open(&files, spec()).unwrap();
    let texts: Vec<_> = rest(&mut source).unwrap().into_iter().map(|(_, record)| text(record)).collect();
    assert_eq!(texts, ["one", "three\n"]);
    assert_eq!((source.counts().records, source.counts().empty), (2, 1));
    folder.file("1.txt", b"ab\xff".as_slice());
    let files = local_files(&folder.path().display().to_string()).unwrap();
    assert!(message(open(&files, spec()).unwrap().next()).contains("1.txt: byte 2 is not UTF-8; repair"));
}

#[test]
fn a_file_that_changes_under_the_run_is_noticed() {
    let folder = Folder::new();
    let path = folder.file("a.txt", "some text");
    let file = local_files(&path.display().to_string()).unwrap().remove(0);
    let mut buf = [0; 4];
    file.read_at(5, &mut buf).unwrap();
    assert_eq!(&buf, b"text");
    folder.file("a.txt", "some");
    assert!(data_error(file.read_at(0, &mut buf), &path).contains("it has 4 bytes and had 9 when the run began; put it back"));
    fs::remove_file(&path).unwrap();
    assert!(data_error(file.read_at(0, &mut buf), &path).contains("is gone; put it back"));
    // Skipping bad records does not make it one.
    let mut source = open(&[file], crate::source_common::skipping(spec())).unwrap();
    assert!(message(source.next()).contains("is gone"));
}

#[test]
fn identity_follows_content_and_not_place() {
    let (one, two) = (Folder::new(), Folder::new());
    let identity = |folder: &Folder, content: &str, min_characters: usize| {
        let path = folder.file("a.txt", content);
        let files: Vec<Arc<dyn ReadAt>> = local_files(&path.display().to_string()).unwrap();
        open(&files, bowline::data::SourceSpec { min_characters, ..spec() }).unwrap().identity()
    };
    let first = identity(&one, "some text", 0);
    assert_eq!(first, identity(&two, "some text", 0));
    assert_ne!(first, identity(&two, "some texT", 0));
    assert_ne!(first, identity(&two, "some text", 1));
    assert_ne!(identity(&one, &"x".repeat(100_000), 0), identity(&one, &"x".repeat(100_001), 0));
}
