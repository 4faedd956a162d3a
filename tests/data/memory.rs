//! A source in memory: counts what is read, and fails where it is told to.

use crate::common::SEPARATOR;
use bowline::data::source::{Cursor, Record};
use bowline::data::{
    AtEnd, Drawn, HeldOut, Mixture, MixtureSource, MixtureSpec, Open, Part, Records, SeparatorPlacement, Skipped, Stream, StreamSettings,
};
use bowline::data::{Builtin, Tokenizer, Watch};
use bowline::error::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Two documents to a file; every document that is empty is skipped.
const FILE: usize = 2;

/// What a source in memory holds, and what was done with it.
#[derive(Default)]
pub struct Store {
    pub name: String,
    pub documents: Vec<Record>,
    /// Documents read.
    pub reads: AtomicUsize,
    /// Times that it was opened.
    pub opened: AtomicUsize,
    /// Reading document `fail_at - 1` fails while this is not 0.
    pub fail_at: AtomicUsize,
    /// While it is set, reading document 0 waits.
    pub held_up: AtomicBool,
    pub revision: u32,
}

impl Store {
    pub fn new(name: &str, documents: Vec<Record>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), documents, ..Self::default() })
    }

    /// `count` documents; number `i` has the text `<name><i>:` and a tail of `i % 7` letters.
    pub fn numbered(name: &str, count: usize) -> Arc<Self> {
        Self::new(name, (0..count).map(|at| Record::Text(text(name, at))).collect())
    }

    pub fn open(self: &Arc<Self>) -> Open {
        let store = self.clone();
        Arc::new(move || {
            store.opened.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Reader { store: store.clone(), at: 0, skipped: Skipped::default() }))
        })
    }

    pub fn source(self: &Arc<Self>, weight: f64) -> MixtureSource {
        MixtureSource { name: self.name.clone(), weight, open: self.open() }
    }

    pub fn take_reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

pub fn text(name: &str, at: usize) -> String {
    format!("{name}{at}:{}", "z".repeat(at % 7))
}

struct Reader {
    store: Arc<Store>,
    at: usize,
    skipped: Skipped,
}

fn cursor(at: usize) -> Cursor {
    Cursor { file: at / FILE, row: (at % FILE) as u64, ..Cursor::default() }
}

impl Records for Reader {
    fn next(&mut self) -> Result<Option<(Cursor, Record)>> {
        loop {
            let Some(record) = self.store.documents.get(self.at) else { return Ok(None) };
            if self.store.fail_at.load(Ordering::Relaxed) == self.at + 1 {
                return Err(Error::data(self.file_name(self.at / FILE), format!("document {} is broken", self.at % FILE + 1)));
            }
            while self.at == 0 && self.store.held_up.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            self.at += 1;
            self.store.reads.fetch_add(1, Ordering::Relaxed);
            if matches!(record, Record::Text(text) if text.is_empty()) {
                self.skipped.empty += 1;
                continue;
            }
            return Ok(Some((cursor(self.at - 1), record.clone())));
        }
    }

    fn cursor(&self) -> Cursor {
        cursor(self.at)
    }

    fn seek(&mut self, to: &Cursor) -> Result<()> {
        self.at = to.file * FILE + to.row as usize;
        Ok(())
    }

    fn skipped(&self) -> Skipped {
        self.skipped
    }

    fn file_name(&self, file: usize) -> String {
        format!("{}/{file}", self.store.name)
    }

    fn identity(&self) -> String {
        format!("{}@{}", self.store.name, self.store.revision)
    }

    fn progress(&self) -> f64 {
        self.at as f64 / self.store.documents.len().max(1) as f64
    }
}

/// Sources with these weights, blocks of 10, every fifth document held out, repeated.
pub fn spec(sources: &[(&Arc<Store>, f64)]) -> MixtureSpec {
    MixtureSpec {
        sources: sources.iter().map(|(store, weight)| store.source(*weight)).collect(),
        seed: 42,
        shuffle_buffer: 10,
        at_end: AtEnd::Repeat,
        held_out: HeldOut::Documents { every: 5, index: 2 },
    }
}

pub fn bytes() -> Arc<Tokenizer> {
    Arc::new(Builtin::Bytes.tokenizer(SEPARATOR).unwrap())
}

/// A stream of bytes in windows of 17 with a separator before each document.
pub fn settings(mixture: MixtureSpec, batch: usize, rank: usize, world: usize) -> StreamSettings {
    StreamSettings {
        mixture,
        tokenizer: bytes(),
        separator: SeparatorPlacement::Before,
        seq_len: 16,
        model_vocab: 300,
        batch,
        rank,
        world,
        threads: 2,
        stop: Arc::default(),
    }
}

pub fn stream(mixture: &MixtureSpec, batch: usize, rank: usize, world: usize) -> Stream {
    Stream::new(settings(mixture.clone(), batch, rank, world)).unwrap()
}

/// The next micro-batch, cut into its windows.
pub fn next(stream: &mut Stream, batch: usize) -> Result<Vec<Vec<i32>>> {
    let mut out = vec![-1; batch * 17];
    stream.peek(0, &mut out, &Watch::new(&|_| (), &Arc::default()))?;
    stream.advance(1);
    Ok(out.chunks_exact(17).map(<[i32]>::to_vec).collect())
}

/// Windows of bytes as text, `|` for the separator.
pub fn as_text(windows: &[Vec<i32>]) -> String {
    windows.iter().flatten().map(|&id| if id == 256 { '|' } else { char::from(id as u8) }).collect()
}

/// The training part of a mixture at its start.
pub fn open(spec: &MixtureSpec) -> Mixture {
    Mixture::open(spec, Part::Training).unwrap()
}

/// The next `count` documents.
pub fn take(mixture: &mut Mixture, count: usize) -> Vec<Drawn> {
    (0..count).map(|_| mixture.next_document().unwrap().expect("a document")).collect()
}

/// All that is left.
pub fn rest(mixture: &mut Mixture) -> Vec<Drawn> {
    std::iter::from_fn(|| mixture.next_document().unwrap()).collect()
}

pub fn texts(documents: &[Drawn]) -> Vec<&str> {
    documents.iter().map(|drawn| if let Record::Text(text) = &drawn.record { text.as_str() } else { panic!("tokens") }).collect()
}

pub fn of_source(documents: &[Drawn], source: usize) -> Vec<&str> {
    texts(documents).into_iter().zip(documents).filter(|(_, drawn)| drawn.source == source).map(|(text, _)| text).collect()
}

/// The texts of a numbered store without (or with only) the held-out ones of `spec`.
pub fn numbered(name: &str, count: usize, held_out: bool) -> BTreeSet<String> {
    (0..count).filter(|at| (at % 5 == 2) == held_out).map(|at| text(name, at)).collect()
}

pub fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| text.to_string()).collect()
}
