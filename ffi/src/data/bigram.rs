//! The baseline that a model must beat: how often one token followed another in the training windows, plus one.

use super::Corpus;
use std::collections::HashMap;

/// Mean loss in nats over the targets of the held-out windows of a bigram with add-one smoothing:
/// `-ln((count(a, b) + 1) / (count(a) + V))`, counted over the (input, target) pairs of the training windows.
///
/// Only pairs that the held-out part asks for are kept, so memory goes with it and not with `V * V`.
pub fn bigram_loss(corpus: &Corpus) -> f64 {
    let vocab = corpus.tokenizer.vocab() as f64;
    let mut pairs: HashMap<(i32, i32), u64> = HashMap::new();
    let mut firsts = vec![0u64; corpus.tokenizer.vocab()];
    let mut window = vec![0; corpus.seq_len + 1];
    for at in 0..corpus.num_held_out_windows() {
        corpus.held_out_window(at, &mut window);
        pairs.extend(window.windows(2).map(|pair| ((pair[0], pair[1]), 0)));
    }
    for at in 0..corpus.num_windows() {
        corpus.train_window(at, &mut window);
        for pair in window.windows(2) {
            firsts[pair[0] as usize] += 1;
            if let Some(count) = pairs.get_mut(&(pair[0], pair[1])) {
                *count += 1;
            }
        }
    }
    let mut sum = 0.0;
    for at in 0..corpus.num_held_out_windows() {
        corpus.held_out_window(at, &mut window);
        for pair in window.windows(2) {
            let together = pairs[&(pair[0], pair[1])] as f64 + 1.0;
            sum -= (together / (firsts[pair[0] as usize] as f64 + vocab)).ln();
        }
    }
    sum / (corpus.num_held_out_windows() * corpus.seq_len) as f64
}
