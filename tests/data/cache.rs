//! The cache of prepared data: found again when whole, made again when not.

use crate::common::{Folder, message, settings};
use bowline::data::{DataInfo, HeldOut, Settings, TokenizerSpec};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

fn entries(folder: &Folder) -> Vec<PathBuf> {
    fs::read_dir(folder.cache()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn info(folder: &Folder, files: &[PathBuf], settings: &Settings) -> DataInfo {
    folder.prepare(files, settings).unwrap().info()
}

/// When the entry was written: another time means that it was made again.
fn written(entry: &Path) -> SystemTime {
    fs::metadata(entry.join("corpus.json")).unwrap().modified().unwrap()
}

#[test]
fn the_same_text_is_prepared_once() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let first = info(&folder, &files, &settings());
    let entry = entries(&folder).pop().unwrap();
    let time = written(&entry);
    let moved: Vec<_> = files.iter().map(|file| file.with_extension("md")).collect();
    files.iter().zip(&moved).for_each(|(from, to)| fs::rename(from, to).unwrap());
    let mut longer = settings();
    longer.seq_len = 20;
    info(&folder, &moved, &longer);
    assert_eq!(info(&folder, &moved, &settings()), first);
    assert_eq!(entries(&folder), [entry.as_path()]);
    assert_eq!(written(&entry), time);
}

#[test]
fn other_text_and_other_settings_have_their_own_entry() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let base = settings();
    let mut all = vec![base.clone(); 5];
    all[1].tokenizer = TokenizerSpec::TrainBpe { vocab: 280 };
    all[2].separator = "<|end|>".into();
    all[3].min_characters = 51;
    all[4].held_out = HeldOut::Documents { every: 5, index: 3 };
    for (at, settings) in all.iter().enumerate() {
        info(&folder, &files, settings);
        assert_eq!(entries(&folder).len(), at + 1);
    }
    info(&folder, &files[..9], &base);
    let reversed: Vec<_> = files.iter().rev().cloned().collect();
    info(&folder, &reversed, &base);
    assert_eq!(entries(&folder).len(), all.len() + 2);
}

#[test]
fn a_damaged_entry_is_made_again() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let first = info(&folder, &files, &settings());
    let entry = entries(&folder).pop().unwrap();
    for name in ["tokenizer.json", "train.bin", "held_out.bin", "corpus.json"] {
        let path = entry.join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [Some(flipped), Some(whole[..whole.len() - 2].to_vec()), Some(Vec::new()), None] {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(info(&folder, &files, &settings()), first, "{name}");
            assert_eq!(fs::read(&path).unwrap(), whole, "{name}: preparing again gives the same bytes");
        }
    }
    assert_eq!(entries(&folder), [entry], "nothing is left beside it");
}

#[test]
fn two_callers_at_once_both_get_it() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let infos: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| info(&folder, &files, &settings()))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(infos.iter().all(|info| *info == infos[0]));
    assert_eq!(entries(&folder).len(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    let files = folder.ten_files();
    folder.file("cache", "a file where the folder should be");
    let says = message(folder.prepare(&files, &settings()));
    assert!(says.starts_with(&format!("Cannot create the folder {}: ", folder.cache().display())), "{says}");
}
