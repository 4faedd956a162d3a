//! A file on the hub as bytes at any offset.
//!
//! A parquet reader asks for the end of the file, then for small headers and large pages one after the other within a
//! column chunk, then jumps to the next chunk. So a first read at a new place is fetched as it is (a small one a little
//! longer), a read that goes on where the last one ended is followed by an eighth of what the reader took in one go so
//! far, and the end of the file comes in one piece. That keeps what is fetched within 1.2 times what is read and makes
//! few requests out of many small reads. A file read from end to end is the same case.

use super::Hub;
use super::apart::content;
use super::cache::{Extents, MAX_PIECE, Piece, covering};
use super::client::{Again, Answer, Failure};
use super::headers::{content_range, etag};
use crate::data::source::ReadAt;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The least that a read at a new place fetches: the header of a page and some of the page.
const LEAST: u64 = 8 << 10;
/// A read that goes on is followed by this part of its run.
const AHEAD_PART: u64 = 8;
/// Runs of reads that are told apart in one file: as many columns may be read in turns.
const NUM_RUNS: usize = 4;
/// The end of the file comes in one piece of this part of it, within bounds: a parquet footer.
const TAIL_PART: u64 = 64;
const TAIL_BOUNDS: (u64, u64) = (8 << 10, 64 << 10);
/// A server that ignores ranges is borne up to this file size.
const MAX_WITHOUT_RANGES: u64 = 16 << 20;
/// An attempt that brought so much does not count as failed.
const PROGRESS: usize = 64 << 10;

/// One file of a dataset at a fixed commit.
pub struct HubFile {
    pub(super) hub: Arc<Hub>,
    /// `hf://datasets/org/name@commit/path`.
    pub(super) name: String,
    pub(super) url: String,
    pub(super) len: u64,
    /// SHA-256 of the content for large files, git's hash for small ones.
    pub(super) oid: String,
    /// Its folder in the cache.
    pub(super) key: String,
    pub(super) state: Mutex<State>,
}

/// What reading has found out so far.
#[derive(Default)]
pub(super) struct State {
    /// Pieces on disk, once looked up.
    extents: Option<Extents>,
    /// The latest last.
    runs: Vec<Range<u64>>,
    /// ETag stated by the endpoint for a file elsewhere; for a large file it is known from the listing.
    linked_etag: Option<String>,
    /// ETag of the content itself, where no other is stated.
    etag: Option<String>,
    /// Where the endpoint redirected to, and the ETag there: asked first the next time, which halves the requests.
    elsewhere: Option<(String, Option<String>)>,
}

impl ReadAt for HubFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= self.len).ok_or_else(|| {
            let wanted = format!("it has {} bytes, wanted {} from byte {offset}", self.len, buf.len());
            Error::data(&self.name, format!("{wanted}; it is cut short or damaged"))
        })?;
        // One thread at a time: a second one would fetch the same piece.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = state.follow(offset..end);
        let mut at = offset;
        while at < end {
            let piece = self.piece(&mut state, at, end, ahead)?;
            let from = (at - piece.start) as usize;
            let count = (piece.bytes.len() - from).min((end - at) as usize);
            let to = (at - offset) as usize;
            buf[to..to + count].copy_from_slice(&piece.bytes[from..from + count]);
            at += count as u64;
        }
        Ok(())
    }

    fn identity(&self) -> String {
        format!("{} {} {}", self.name, self.oid, self.len)
    }
}

impl State {
    /// Of a file whose linked ETag is known or not.
    pub fn new(linked_etag: Option<String>) -> Self {
        Self { linked_etag, ..Self::default() }
    }

    /// Notes a read and says how much to fetch after its end.
    fn follow(&mut self, read: Range<u64>) -> u64 {
        let goes_on = |run: &Range<u64>| run.start <= read.start && read.start <= run.end;
        let length = read.end - read.start;
        let (run, ahead) = match self.runs.iter().position(goes_on) {
            Some(found) => {
                let run = self.runs.remove(found);
                let run = run.start..run.end.max(read.end);
                let ahead = (run.end - run.start) / AHEAD_PART;
                (run, ahead.min(MAX_PIECE.saturating_sub(length)))
            }
            None => (read, LEAST.saturating_sub(length)),
        };
        if self.runs.len() == NUM_RUNS {
            self.runs.remove(0);
        }
        self.runs.push(run);
        ahead
    }
}

impl HubFile {
    /// A piece that holds byte `at` of a read that ends at `end`: from memory, from disk or from the hub.
    fn piece(&self, state: &mut State, at: u64, end: u64, ahead: u64) -> Result<Piece> {
        let cache = &self.hub.cache;
        if let Some(piece) = cache.recent(&self.key, at) {
            return Ok(piece);
        }
        let extents = state.extents.get_or_insert_with(|| cache.extents(&self.key));
        while let Some(range) = covering(extents, at) {
            if let Some(piece) = cache.load(&self.key, range.clone()) {
                return Ok(piece);
            }
            extents.remove(&range.start);
        }
        let mut range = at..self.len.min(end + ahead);
        let tail = (self.len / TAIL_PART).clamp(TAIL_BOUNDS.0, TAIL_BOUNDS.1);
        if at >= self.len.saturating_sub(tail) {
            let before = extents.range(..at).next_back().map_or(0, |(_, &end)| end);
            range = self.len.saturating_sub(tail).max(before)..self.len;
        }
        let next = extents.range(at..).next().map_or(self.len, |(&start, _)| start);
        range.end = range.end.min(next).min(range.start + MAX_PIECE);
        let bytes = self.fetch(state, range.clone())?;
        state.extents.get_or_insert_default().insert(range.start, range.end);
        Ok(cache.store(&self.key, range.start, bytes))
    }

    /// Exactly these bytes from the hub. A connection that breaks off is taken up again at the byte reached.
    fn fetch(&self, state: &mut State, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let stop = || self.hub.check_cancel();
        self.hub.client.retry(&self.name, &stop, || {
            let had = bytes.len();
            let attempt = self.attempt(state, &range, &mut bytes);
            let has_progress = bytes.len() - had >= PROGRESS;
            attempt.map_err(|failure| match failure {
                Failure::Again(again) => Failure::Again(Again { has_progress, ..again }),
                other => other,
            })
        })?;
        Ok(bytes)
    }

    /// One request for what is missing of `range` after `bytes`.
    fn attempt(&self, state: &mut State, range: &Range<u64>, bytes: &mut Vec<u8>) -> std::result::Result<(), Failure> {
        let first = range.start + bytes.len() as u64;
        let answer = self.ask(state, (first, range.end))?;
        let unwanted = self.check_range(&answer, (first, range.end))?;
        let (new, failure) = content(answer.body, unwanted + (range.end - first), &|| self.hub.check_cancel())?;
        bytes.extend_from_slice(new.get(unwanted as usize..).unwrap_or_default());
        let at = range.start + bytes.len() as u64;
        if at == range.end {
            return Ok(());
        }
        let why = failure.map_or_else(|| "too few bytes".into(), |e| e.to_string());
        Err(Failure::Again(Again { reason: format!("the connection broke off at byte {at} ({why})"), ..Again::default() }))
    }

    /// An answer whose ETag is that of all answers before. The place of the last redirect is tried first; whatever is
    /// wrong with it (signatures in addresses run out), the endpoint is asked and decides.
    fn ask(&self, state: &mut State, range: (u64, u64)) -> std::result::Result<Answer, Failure> {
        let stop = || self.hub.check_cancel();
        let tag = |answer: &Answer| answer.header("etag").map(|value| etag(value).to_string());
        if let Some((url, known)) = state.elsewhere.take()
            && let Ok(answer) = self.hub.client.send(&url, Some(range), &self.name, &stop)
            && tag(&answer) == known
        {
            state.elsewhere = Some((url, known));
            return Ok(answer);
        }
        let answer = self.hub.client.send(&self.url, Some(range), &self.name, &stop)?;
        let (known, new) = match &answer.linked_etag {
            Some(linked) => (&mut state.linked_etag, Some(linked.clone())),
            None => (&mut state.etag, tag(&answer)),
        };
        if known.is_some() && new.is_some() && *known != new {
            return Err(self.changed(format!("its ETag was {}, is {}", known.as_deref().unwrap_or(""), new.unwrap_or_default())));
        }
        *known = known.take().or(new);
        state.elsewhere = answer.elsewhere.clone().map(|url| (url, tag(&answer)));
        Ok(answer)
    }

    /// How many bytes to skip at the start of the body to be at `first`.
    fn check_range(&self, answer: &Answer, (first, end): (u64, u64)) -> std::result::Result<u64, Failure> {
        let has_ranges = answer.status == 206;
        let Some((got_first, got_last, len)) = answer.header("content-range").filter(|_| has_ranges).and_then(content_range) else {
            if !has_ranges && (self.len <= MAX_WITHOUT_RANGES || (first, end) == (0, self.len)) {
                let len = answer.header("content-length").and_then(|value| value.parse().ok());
                return if len.is_none_or(|len: u64| len == self.len) { Ok(first) } else { Err(self.other_length(len.unwrap_or(0))) };
            }
            let reason = "the server does not serve parts of files (HTTP ranges); use another HF_ENDPOINT, or download the dataset";
            return Err(Failure::Final(Error::data(&self.name, reason)));
        };
        if len != self.len {
            return Err(self.other_length(len));
        }
        if got_first != first || got_last < first || got_last >= end {
            let reason = format!("the server answers with bytes {got_first}-{got_last}, wanted {first}-{}", end - 1);
            return Err(Failure::Again(Again { reason, ..Again::default() }));
        }
        Ok(0)
    }

    fn other_length(&self, len: u64) -> Failure {
        self.changed(format!("it had {} bytes, has {len}", self.len))
    }

    fn changed(&self, how: String) -> Failure {
        let remedy = "start the run again to list the dataset anew, or use a mirror that keeps commits as they are";
        Failure::Final(Error::data(&self.name, format!("it changed while it was read: {how}; {remedy}")))
    }
}
