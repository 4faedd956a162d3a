//! Speed of the loader on prepared tokens, on this thread alone, and of a start in the middle.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bowline::data::{HeldOut, Loader, LoaderState, Settings, TokenizerSpec, Watch, prepare};
use serde::Deserialize;
use serde_json::json;

use super::timing::Outcome;

/// Batches of one round: enough that the clock costs nothing.
const ROUND: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    files: Vec<PathBuf>,
    /// Where the tokens are, or will be.
    cache_dir: PathBuf,
    tokenizer: TokenizerSpec,
    separator: String,
    min_characters: usize,
    held_out: HeldOut,
    seq_len: usize,
    vocab: usize,
    batch: usize,
    seed: u64,
    seconds: f64,
}

pub fn run(request: &str) -> Outcome {
    let request: Request = serde_json::from_str(request)?;
    let settings = Settings {
        tokenizer: request.tokenizer,
        separator: request.separator,
        min_characters: request.min_characters,
        held_out: request.held_out,
        seq_len: request.seq_len,
        model_vocab: request.vocab,
    };
    let cancel = Arc::default();
    let corpus = Arc::new(prepare(&request.files, &settings, &request.cache_dir, &Watch::new(&|_| (), &cancel))?);
    let mut batch = vec![0; request.batch * (request.seq_len + 1)];

    let mut loader = Loader::new(corpus.clone(), request.batch, request.seed);
    let (start, mut count) = (Instant::now(), 0);
    while count == 0 || start.elapsed().as_secs_f64() < request.seconds {
        for _ in 0..ROUND {
            loader.peek(0, &mut batch);
            loader.advance(1);
        }
        count += ROUND;
    }
    let tokens_per_s = (count * batch.len()) as f64 / start.elapsed().as_secs_f64();

    // The last place of a late epoch: its order has to be drawn.
    let state = LoaderState { epoch: 1000, position: corpus.num_windows() - 1, fingerprint: corpus.fingerprint().into() };
    let start = Instant::now();
    let mut loader = Loader::new(corpus.clone(), request.batch, request.seed);
    loader.restore(&state, Path::new("the benchmark's checkpoint"))?;
    loader.peek(0, &mut batch);
    let resume_ms = start.elapsed().as_secs_f64() * 1e3;

    let bigram_loss = corpus.info().bigram_loss;
    println!("{}", json!({ "tokens_per_s": tokens_per_s, "resume_ms": resume_ms, "bigram_loss": bigram_loss }));
    Ok(())
}
