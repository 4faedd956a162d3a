//! What the tests share: a folder of files, settings, text made of words.

use bowline::data::{Corpus, HeldOut, Settings, TokenizerSpec, Watch, prepare};
use bowline::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

pub const SEPARATOR: &str = "<|endoftext|>";

/// A temporary folder with text files in it and place for a cache.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// Puts `content` into a new file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Ten files of words.
    pub fn ten_files(&self) -> Vec<PathBuf> {
        (0..10).map(|at| self.file(&format!("{at}.txt"), words(at, 200))).collect()
    }

    pub fn prepare(&self, files: &[PathBuf], settings: &Settings) -> Result<Corpus> {
        watched(|watch| prepare(files, settings, &self.cache(), watch))
    }
}

/// Calls with a watch that nobody looks at.
pub fn watched<T>(call: impl FnOnce(&Watch) -> T) -> T {
    call(&Watch::new(&|_| (), &Arc::default()))
}

/// A small vocabulary, every fifth document held out, windows of 17.
pub fn settings() -> Settings {
    Settings {
        tokenizer: TokenizerSpec::TrainBpe { vocab: 300 },
        separator: SEPARATOR.into(),
        min_characters: 50,
        held_out: HeldOut::Documents { every: 5, index: 2 },
        seq_len: 16,
        model_vocab: 300,
    }
}

/// `count` words in lines, other ones for each `seed`.
pub fn words(seed: u64, count: usize) -> String {
    const WORDS: [&str; 12] = ["the", "union", "of", "states", "can", "hold", "we", "people", "freedom", "and", "caf\u{e9}", "1790."];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    for at in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push(if at % 10 == 9 { '\n' } else { ' ' });
    }
    text
}

/// The message of an error about training data, which must name `path`.
pub fn data_error<T>(result: Result<T>, path: &Path) -> String {
    match result {
        Err(Error::Data { path: named, reason }) if named == path => reason,
        Err(other) => panic!("wanted an error about {}, got: {other}", path.display()),
        Ok(_) => panic!("wanted an error about {}", path.display()),
    }
}

/// The message of any error.
pub fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}
