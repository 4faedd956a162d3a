//! A thread that draws documents, tokenises them and cuts windows ahead of training.
//!
//! It decides nothing: what it hands over, and the state that goes with each window, depend on where it started only.

use super::mixture::{Drawn, Mixture, MixtureState};
use super::packing::Packer;
use super::source::Record;
use super::{AtEnd, SeparatorPlacement, Tokenizer};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Text of the documents that are tokenised together: enough for all threads, little to wait for.
const GROUP_BYTES: usize = 256 << 10;

/// Tokens that are kept ready: more than training uses while a source reads its next block.
const READY_TOKENS: usize = 1 << 20;

/// How documents become windows.
pub(super) struct Cutting {
    pub tokenizer: Arc<Tokenizer>,
    pub placement: SeparatorPlacement,
    /// S+1.
    pub size: usize,
    pub at_end: AtEnd,
    /// Threads that tokenise, which are not those that train.
    pub pool: rayon::ThreadPool,
}

/// A place between two tokens of a mixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Before the document that the place is in.
    pub before: Arc<MixtureState>,
    /// Tokens of that document before the place, its separator included.
    pub used: usize,
}

/// A window and the place after it.
pub(super) struct Ready {
    pub tokens: Vec<i32>,
    pub after: Mark,
}

/// Documents with their ids, and what came after them if they are the last.
pub(super) struct Group {
    pub documents: Vec<(Arc<MixtureState>, Result<Vec<u32>>)>,
    pub end: Option<End>,
}

pub(super) enum End {
    /// No source has more.
    Over,
    Failed(Error),
}

impl Cutting {
    pub fn packer(&self) -> Packer {
        Packer::new(self.size, self.tokenizer.separator(), self.placement)
    }

    /// The next documents of a mixture.
    pub fn group(&self, mixture: &mut Mixture) -> Group {
        let (mut drawn, mut end, mut bytes) = (Vec::new(), None, 0);
        while bytes < GROUP_BYTES && end.is_none() {
            let before = Arc::new(mixture.state());
            match mixture.next_document() {
                Ok(Some(document)) => {
                    bytes += match &document.record {
                        Record::Text(text) => text.len(),
                        Record::Tokens(ids) => size_of_val(ids.as_slice()),
                    };
                    drawn.push((before, self.checked(document, mixture)));
                }
                Ok(None) => end = Some(End::Over),
                Err(e) => end = Some(End::Failed(e)),
            }
        }
        let ids = |record: Result<Record>| match record? {
            Record::Text(text) => self.tokenizer.encode(&text),
            Record::Tokens(ids) => Ok(ids),
        };
        let documents = self.pool.install(|| drawn.into_par_iter().map(|(before, record)| (before, ids(record))).collect());
        Group { documents, end }
    }

    /// Refuses ids that the tokenizer does not have.
    fn checked(&self, document: Drawn, mixture: &Mixture) -> Result<Record> {
        let vocab = self.tokenizer.vocab();
        if let Record::Tokens(ids) = &document.record
            && let Some(id) = ids.iter().find(|&&id| id as usize >= vocab)
        {
            let reason = format!("document {} has token {id}, the tokenizer has {vocab} tokens", document.cursor.row + 1);
            let remedy = "set data.tokenizer to the one that made the file";
            return Err(Error::data(mixture.file_name(&document), format!("{reason}; {remedy}")));
        }
        Ok(document.record)
    }

    /// What to say when the data is over and more is wanted.
    fn over(&self) -> Error {
        let (what, remedy) = match self.at_end {
            AtEnd::Stop => ("a source has ended and data.atEnd is \"stop\"", "set it to \"repeat\" or \"drop\", or train fewer steps"),
            _ => ("all sources have ended", "set data.atEnd to \"repeat\", or train fewer steps"),
        };
        Error::data("the mixture", format!("{what}; {remedy}"))
    }
}

/// The running thread.
pub(super) struct Producer {
    windows: Option<Receiver<Result<Ready>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Mixture>>,
}

impl Producer {
    /// Starts at `from`; the mixture goes to the thread and comes back from `join`.
    /// `stop` is set while the thread is being ended.
    pub fn start(cutting: Arc<Cutting>, mixture: Mixture, from: Mark, stop: Arc<AtomicBool>) -> Result<Self> {
        let (sender, windows) = sync_channel((READY_TOKENS / cutting.size).max(64));
        let seen = stop.clone();
        let thread =
            std::thread::Builder::new().name("bowline-data".into()).spawn(move || produce(&cutting, mixture, from, &sender, &seen));
        let thread = thread.map_err(|e| Error::Internal(format!("starting the thread that reads data: {e}")))?;
        Ok(Self { windows: Some(windows), stop, thread: Some(thread) })
    }

    /// The windows in order; after an error there are no more.
    pub fn windows(&self) -> Option<&Receiver<Result<Ready>>> {
        self.windows.as_ref()
    }

    /// Ends the thread. `None` when it panicked.
    pub fn join(mut self) -> Option<Mixture> {
        self.end()
    }

    fn end(&mut self) -> Option<Mixture> {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that waits for a place in the queue wakes when the queue is gone.
        self.windows = None;
        let mixture = self.thread.take().and_then(|thread| thread.join().ok());
        self.stop.store(false, Ordering::Relaxed);
        mixture
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread: hands windows over until the data ends, fails or is not wanted any more.
fn produce(cutting: &Cutting, mut mixture: Mixture, from: Mark, sender: &SyncSender<Result<Ready>>, stop: &AtomicBool) -> Mixture {
    mixture.restore(&from.before);
    let (mut packer, mut skip) = (cutting.packer(), from.used);
    loop {
        let group = cutting.group(&mut mixture);
        for (before, ids) in group.documents {
            let mut send = |tokens, used| {
                let after = Mark { before: before.clone(), used };
                sender.send(Ok(Ready { tokens, after })).is_ok() && !stop.load(Ordering::Relaxed)
            };
            let pushed = ids.and_then(|ids| {
                require_tokens(packer.length(ids.len()), skip)?;
                Ok(packer.push(&ids, std::mem::take(&mut skip), &mut send))
            });
            match pushed {
                Ok(true) => {}
                Ok(false) => return mixture,
                Err(e) => {
                    // Nobody may be there to hear it.
                    sender.send(Err(e)).ok();
                    return mixture;
                }
            }
        }
        let error = match group.end {
            None if stop.load(Ordering::Relaxed) => return mixture,
            None => continue,
            Some(End::Over) => cutting.over(),
            Some(End::Failed(e)) => e,
        };
        sender.send(Err(error)).ok();
        return mixture;
    }
}

/// Refuses a saved place behind the end of its document.
fn require_tokens(length: usize, used: usize) -> Result<()> {
    if used <= length {
        return Ok(());
    }
    let reason = format!("of {length} tokens of a document, {used} were used; the data or the tokenizer changed since");
    Err(Error::data("the mixture", reason))
}
