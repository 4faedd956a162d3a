//! From files to windows.

use crate::common::{Folder, data_error, message, settings, watched, words};
use bowline::data::{HeldOut, TokenizerSpec, Watch, prepare};
use bowline::error::Error;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

#[test]
fn windows_are_the_documents_one_after_the_other() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let corpus = folder.prepare(&files, &settings()).unwrap();
    let window = corpus.seq_len + 1;
    let stream = |numbers: &[u64]| -> Vec<i32> {
        let separator = corpus.tokenizer.separator() as i32;
        let document =
            |&at: &u64| [vec![separator], corpus.tokenizer.encode(&words(at, 200)).unwrap().iter().map(|&id| id as i32).collect()];
        numbers.iter().flat_map(document).flatten().collect()
    };
    let (train, held_out) = (stream(&[0, 1, 3, 4, 5, 6, 8, 9]), stream(&[2, 7]));
    assert_eq!(corpus.num_windows(), train.len() / window);
    assert_eq!(corpus.num_held_out_windows(), held_out.len() / window);
    let mut out = vec![0; window];
    for at in 0..corpus.num_windows() {
        corpus.train_window(at, &mut out);
        assert_eq!(out, train[at * window..(at + 1) * window], "window {at}");
    }
    for at in 0..corpus.num_held_out_windows() {
        corpus.held_out_window(at, &mut out);
        assert_eq!(out, held_out[at * window..(at + 1) * window], "held-out window {at}");
    }
    let info = corpus.info();
    assert_eq!((info.documents, info.skipped, info.windows), (10, 0, corpus.num_windows()));
    assert_eq!(info.train_tokens + info.held_out_tokens + info.dropped_tokens, train.len() + held_out.len());
    assert_eq!(info.held_out_tokens, corpus.num_held_out_windows() * window);
    let kept: Vec<u32> = held_out[..info.held_out_tokens].iter().map(|&id| id as u32).collect();
    assert_eq!(info.held_out_bytes, Some(kept.iter().map(|&id| corpus.tokenizer.token_bytes(id).unwrap().len() as u64).sum()));
    assert!(info.tokenizer_file.is_file());
}

#[test]
fn the_tokenizer_never_sees_what_is_held_out() {
    let folder = Folder::new();
    let mut files = folder.ten_files();
    let corpus = folder.prepare(&files, &settings()).unwrap();
    files[2] = folder.file("other.txt", "zyzzyva ".repeat(300));
    let other = folder.prepare(&files, &settings()).unwrap();
    assert_eq!(corpus.tokenizer.json(), other.tokenizer.json());
    assert_eq!(corpus.fingerprint(), other.fingerprint(), "what is held out moves no position in the training data");
}

#[test]
fn one_file_is_split_by_its_tail() {
    let folder = Folder::new();
    let mut settings = settings();
    settings.held_out = HeldOut::Tail { fraction: 0.2 };
    let corpus = folder.prepare(&[folder.file("my.txt", words(1, 2000))], &settings).unwrap();
    let share = corpus.num_held_out_windows() as f64 / (corpus.num_windows() + corpus.num_held_out_windows()) as f64;
    assert!((share - 0.2).abs() <= 0.02, "{share}");
}

#[test]
fn a_tokenizer_file_is_used_as_it_is() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let trained = folder.prepare(&files, &settings()).unwrap();
    let path = folder.file("mine.json", trained.tokenizer.json());
    let mut settings = settings();
    settings.tokenizer = TokenizerSpec::File { path };
    let corpus = folder.prepare(&files[..6], &settings).unwrap();
    assert_eq!(corpus.tokenizer.json(), trained.tokenizer.json());
    assert_ne!(corpus.tokenizer_file, trained.tokenizer_file);
}

#[test]
fn too_little_text_and_too_small_a_model_write_nothing() {
    let folder = Folder::new();
    let file = folder.file("my.txt", words(1, 40));
    let files = [file.clone()];
    let mut long = settings();
    long.held_out = HeldOut::Tail { fraction: 0.5 };
    long.seq_len = 1000;
    let says = data_error(folder.prepare(&files, &long), &file);
    assert!(says.starts_with("the training part has "), "{says}");
    assert!(says.ends_with(" one window needs 1001 (train.seqLen + 1); give more text or a smaller train.seqLen"), "{says}");
    let mut nothing_held_out = settings();
    nothing_held_out.held_out = HeldOut::Documents { every: 5, index: 4 };
    let says = data_error(folder.prepare(&files, &nothing_held_out), &file);
    assert!(says.starts_with("the held-out part has 0 tokens"), "{says}");
    assert!(says.ends_with("or hold more out (data.heldOut)"), "{says}");
    let mut small = settings();
    small.held_out = long.held_out;
    small.model_vocab = 260;
    let says = message(folder.prepare(&files, &small));
    assert!(says.ends_with("tokens, the model's vocabulary only 260 (model.vocab)"), "{says}");
    assert!(!folder.cache().exists());
}

#[test]
fn progress_goes_from_zero_to_one_and_cancelling_writes_nothing() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let cancelled = Arc::new(AtomicBool::new(true));
    let result = prepare(&files, &settings(), &folder.cache(), &Watch::new(&|_| (), &cancelled));
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(!folder.cache().exists());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let seen = Mutex::new(Vec::new());
    let cancel = Arc::default();
    let progress = |fraction| seen.lock().unwrap().push(fraction);
    pool.install(|| prepare(&files, &settings(), &folder.cache(), &Watch::new(&progress, &cancel))).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!((seen[0], seen[seen.len() - 1]), (0.0, 1.0));
    assert!(watched(|watch| watch.part(0.5, 1.0).part(0.0, 0.5).report(1.0)).is_ok());
}
