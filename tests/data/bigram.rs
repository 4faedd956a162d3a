//! The bigram baseline against the plainest way to compute it.

use crate::common::{Folder, settings};
use bowline::data::{Corpus, TokenizerSpec, bigram_loss};

/// A table of all pairs, two loops.
fn reference(corpus: &Corpus) -> f64 {
    let vocab = corpus.tokenizer.vocab();
    let mut counts = vec![vec![0.0; vocab]; vocab];
    let mut window = vec![0; corpus.seq_len + 1];
    for at in 0..corpus.num_windows() {
        corpus.train_window(at, &mut window);
        for t in 0..corpus.seq_len {
            counts[window[t] as usize][window[t + 1] as usize] += 1.0;
        }
    }
    let mut losses = Vec::new();
    for at in 0..corpus.num_held_out_windows() {
        corpus.held_out_window(at, &mut window);
        for t in 0..corpus.seq_len {
            let row = &counts[window[t] as usize];
            let probability: f64 = (row[window[t + 1] as usize] + 1.0) / (row.iter().sum::<f64>() + vocab as f64);
            losses.push(-probability.ln());
        }
    }
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn it_is_the_mean_over_held_out_targets() {
    let folder = Folder::new();
    let corpus = folder.prepare(&folder.ten_files(), &settings()).unwrap();
    let (got, want) = (bigram_loss(&corpus), reference(&corpus));
    assert!((got - want).abs() <= 1e-12, "got {got}, want {want}");
    assert!(got < (corpus.tokenizer.vocab() as f64).ln(), "counting helps on text that repeats itself: {got}");
}

#[test]
fn text_that_was_never_seen_costs_what_chance_costs() {
    let folder = Folder::new();
    let mut files: Vec<_> = (0..4).map(|at| folder.file(&format!("{at}.txt"), "\u{6f22}".repeat(400))).collect();
    files.insert(2, folder.file("other.txt", "qz".repeat(400)));
    let mut bytes_only = settings();
    bytes_only.tokenizer = TokenizerSpec::TrainBpe { vocab: 257 };
    let corpus = folder.prepare(&files, &bytes_only).unwrap();
    // Neither q nor z was seen: 1 / (0 + 257). The separator was, at most four times, and is one of the inputs.
    let (low, high) = (257f64.ln(), 257f64.ln() + (261f64 / 257.0).ln() / (corpus.num_held_out_windows() * 16) as f64);
    let got = bigram_loss(&corpus);
    assert!(got >= low - 1e-12 && got <= high + 1e-12, "got {got}, wanted {low} to {high}");
}
