//! Reading of text files, and every way it can fail.

use crate::common::{Folder, data_error, message, watched, words};
use bowline::data::{Documents, read_documents};
use bowline::error::{Error, Result};
use std::path::PathBuf;

fn read(files: &[PathBuf], min_characters: usize) -> Result<Documents> {
    watched(|watch| read_documents(files, min_characters, watch))
}

#[test]
fn files_are_documents_in_the_order_given() {
    let folder = Folder::new();
    let files = [folder.file("b.txt", words(1, 30)), folder.file("a.md", words(2, 30))];
    let read = read(&files, 50).unwrap();
    let got: Vec<_> = read.documents.iter().map(|document| (document.index, document.path.clone(), document.text.clone())).collect();
    assert_eq!(got, [(0, files[0].clone(), words(1, 30)), (1, files[1].clone(), words(2, 30))]);
    assert_eq!(read.num_skipped, 0);
    assert_eq!(read.sha256.len(), 2);
}

#[test]
fn short_documents_are_skipped_and_counted_and_keep_their_number() {
    let folder = Folder::new();
    // Fifty characters are enough, in however many bytes; forty-nine are not.
    let files = [folder.file("short.txt", "\u{e9}".repeat(49)), folder.file("enough.txt", "\u{e9}".repeat(50))];
    let read = read(&files, 50).unwrap();
    assert_eq!(read.num_skipped, 1);
    assert_eq!(read.documents.len(), 1);
    assert_eq!(read.documents[0].index, 1);
    assert_eq!(read.sha256.len(), 2, "a skipped file still counts for what the data is");
}

#[test]
fn a_byte_order_mark_is_not_text() {
    let folder = Folder::new();
    let read = read(&[folder.file("bom.txt", format!("\u{feff}{}", words(1, 30)))], 50).unwrap();
    assert_eq!(read.documents[0].text, words(1, 30));
}

#[test]
fn errors_name_the_file_and_say_what_to_do() {
    let folder = Folder::new();
    let good = folder.file("good.txt", words(1, 30));
    let missing = folder.path().join("missing.txt");
    let empty = folder.file("empty.txt", "");
    let latin1 = folder.file("latin1.txt", [words(1, 30).as_bytes(), b"caf\xe9 au lait"].concat());
    let short = folder.file("short.txt", "too short");
    let offset = words(1, 30).len() + 3;
    for (bad, says) in [
        (&missing, "there is no such file; check the path".to_string()),
        (&empty, "the file is empty; remove it from the list or put text in it".into()),
        (&latin1, format!("byte {offset} is not UTF-8; convert the file to UTF-8 text")),
    ] {
        assert_eq!(data_error(read(&[good.clone(), bad.clone()], 50), bad), says);
    }
    assert_eq!(data_error(read(&[folder.path().into()], 50), folder.path()), "it is a folder; name the text files in it");
    let says = "no document has the 50 characters of data.minCharacters; give longer text or lower it";
    assert_eq!(data_error(read(std::slice::from_ref(&short), 50), &short), says);
    let both = message(read(&[short.clone(), short.clone()], 50));
    assert!(both.contains("short.txt and 1 more: no document has the 50 characters"), "{both}");
    assert!(!both.contains('\n'));
}

#[test]
fn reading_can_be_cancelled() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let cancel = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let result = read_documents(&files, 50, &bowline::data::Watch::new(&|_| (), &cancel));
    assert!(matches!(result, Err(Error::Cancelled)));
}
