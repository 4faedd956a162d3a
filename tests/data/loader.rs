//! The order of training windows, and going on from a saved position.

use crate::common::{Folder, message, settings};
use bowline::data::{Corpus, Loader, LoaderState, permutation};
use proptest::prelude::*;
use std::path::Path;
use std::sync::{Arc, LazyLock};

static CORPUS: LazyLock<Arc<Corpus>> = LazyLock::new(|| {
    let folder = Folder::new();
    Arc::new(folder.prepare(&folder.ten_files(), &settings()).unwrap())
});

fn peek(loader: &mut Loader, ahead: usize, batch: usize) -> Vec<i32> {
    let mut out = vec![-1; batch * (loader.corpus().seq_len + 1)];
    loader.peek(ahead, &mut out);
    out
}

fn next(loader: &mut Loader, batch: usize) -> Vec<i32> {
    let out = peek(loader, 0, batch);
    loader.advance(1);
    out
}

fn window(at: u32) -> Vec<i32> {
    let mut out = vec![0; CORPUS.seq_len + 1];
    CORPUS.train_window(at as usize, &mut out);
    out
}

#[test]
fn batches_follow_the_order_of_each_epoch_and_cross_its_end() {
    let count = CORPUS.num_windows();
    let batch = 7;
    assert!(!count.is_multiple_of(batch), "a batch shall meet the end of an epoch");
    let mut loader = Loader::new(CORPUS.clone(), batch, 42);
    let want: Vec<i32> = (0..3).flat_map(|epoch| permutation(count, 42, epoch)).flat_map(window).collect();
    let got: Vec<i32> = (0..3 * count / batch).flat_map(|_| next(&mut loader, batch)).collect();
    assert_eq!(got, want[..got.len()]);
    assert!((loader.epochs() - (3 * count / batch * batch) as f64 / count as f64).abs() <= 1e-12);
}

#[test]
fn a_batch_may_be_larger_than_the_data() {
    let count = CORPUS.num_windows();
    let batch = 2 * count + 3;
    let mut loader = Loader::new(CORPUS.clone(), batch, 1);
    let want: Vec<i32> = (0..6).flat_map(|epoch| permutation(count, 1, epoch)).flat_map(window).collect();
    let got = [next(&mut loader, batch), next(&mut loader, batch)].concat();
    assert_eq!(got, want[..got.len()]);
    assert_eq!((loader.state().epoch, loader.state().position), (4, 6));
}

#[test]
fn looking_moves_nothing() {
    let mut loader = Loader::new(CORPUS.clone(), 3, 5);
    let start = loader.state();
    let ahead: Vec<_> = (0..4).map(|ahead| peek(&mut loader, ahead, 3)).collect();
    assert_eq!(loader.state(), start);
    let again: Vec<_> = (0..4).map(|_| next(&mut loader, 3)).collect();
    assert_eq!(ahead, again);
}

#[test]
fn seeds_and_epochs_have_their_own_orders() {
    let count = CORPUS.num_windows();
    let epoch = |seed| next(&mut Loader::new(CORPUS.clone(), count, seed), count);
    assert_eq!(epoch(1), epoch(1));
    assert_ne!(epoch(1), epoch(2));
    let mut loader = Loader::new(CORPUS.clone(), count, 1);
    assert_ne!(next(&mut loader, count), next(&mut loader, count));
}

#[test]
fn a_position_in_other_data_is_refused() {
    let folder = Folder::new();
    let files = folder.ten_files();
    let same = folder.prepare(&files, &settings()).unwrap();
    assert_eq!(same.fingerprint(), CORPUS.fingerprint(), "the same text elsewhere is the same data");
    let mut longer = settings();
    longer.seq_len = 17;
    let longer = folder.prepare(&files, &longer).unwrap();
    let reordered: Vec<_> = files.iter().rev().cloned().collect();
    let reordered = folder.prepare(&reordered, &settings()).unwrap();
    let state = Loader::new(CORPUS.clone(), 3, 5).state();
    for other in [longer, reordered] {
        let says = message(Loader::new(Arc::new(other), 3, 5).restore(&state, Path::new("run/step")));
        let want = "it was trained on other data: the text, its order, the tokenizer or train.seqLen changed since";
        assert_eq!(says, format!("Cannot use the checkpoint run/step: {want}"));
    }
    let beyond = LoaderState { position: CORPUS.num_windows(), ..state };
    let says = message(Loader::new(CORPUS.clone(), 3, 5).restore(&beyond, Path::new("run/step")));
    assert!(says.contains("is not below the"), "{says}");
}

#[test]
fn held_out_batches_are_in_order_and_the_last_is_shorter() {
    let count = CORPUS.num_held_out_windows();
    let batch = count - 1;
    let loader = Loader::new(CORPUS.clone(), batch, 5);
    let size = CORPUS.seq_len + 1;
    assert_eq!(loader.num_held_out_batches(), 2);
    let batches = [loader.held_out_batch(0), loader.held_out_batch(1), loader.held_out_batch(2)];
    assert_eq!(batches.each_ref().map(Vec::len), [batch * size, size, 0]);
    let mut want = vec![0; count * size];
    want.chunks_exact_mut(size).enumerate().for_each(|(at, out)| CORPUS.held_out_window(at, out));
    assert_eq!(batches.concat(), want);
}

proptest! {
    /// Saved after any number of steps and read back from JSON, the rest is the same.
    #[test]
    fn resuming_equals_going_on(steps in 0usize..400, batch in 1usize..9, accumulation in 1usize..4, seed: u64) {
        let mut straight = Loader::new(CORPUS.clone(), batch, seed);
        for _ in 0..steps {
            straight.advance(accumulation);
        }
        let json = serde_json::to_string(&straight.state()).unwrap();
        let mut resumed = Loader::new(CORPUS.clone(), batch, seed);
        peek(&mut resumed, 3, batch); // what it looked at before must not matter
        resumed.restore(&serde_json::from_str(&json).unwrap(), Path::new("x")).unwrap();
        for _ in 0..20 {
            prop_assert_eq!(peek(&mut straight, 1, batch), peek(&mut resumed, 1, batch));
            straight.advance(accumulation);
            resumed.advance(accumulation);
            prop_assert_eq!(straight.state(), resumed.state());
        }
    }
}
