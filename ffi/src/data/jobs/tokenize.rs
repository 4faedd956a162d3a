//! From text to shards of tokens, resumable after every shard. The same source and options give the same bytes, stopped
//! and resumed or not, whatever the number of threads.

use super::RecordCounts;
use crate::data::records::{Records, Skipped};
use crate::data::shards::{Index, MadeFrom};
use crate::data::source::{Cursor, Record};
use crate::data::{TokenIds, Tokenizer, Watch};
use crate::error::{Error, Result};
use crate::files::{sha256_hex, write_file};
use crate::plan::SeparatorPlacement;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Text that is tokenised at a time, in bytes: enough for all cores, little beside a shard.
const BATCH_BYTES: usize = 8 << 20;
const TOKENIZER_FILE: &str = "tokenizer.json";

/// How shards are written.
pub struct TokenizeOptions<'a> {
    pub placement: SeparatorPlacement,
    pub out: &'a Path,
    /// A shard ends with the document that reaches so many tokens.
    pub shard_tokens: usize,
    pub is_resuming: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizeReport {
    pub shards: usize,
    /// Shards that were there before.
    pub kept: usize,
    pub tokens: u64,
    #[serde(flatten)]
    pub counts: RecordCounts,
}

/// A document's ids and where it stood.
struct Encoded {
    cursor: Cursor,
    /// What was passed over up to it.
    skipped: Skipped,
    ids: Vec<u32>,
}

/// Reads `records` to the end and writes its shards.
pub fn tokenize(mut records: Box<dyn Records>, tokenizer: &Tokenizer, options: &TokenizeOptions, watch: &Watch) -> Result<TokenizeReport> {
    let mut index = begin(&*records, tokenizer, options)?;
    let kept = index.shards.len();
    let before = index.counts;
    if let Some(next) = index.next {
        records.seek(&next)?;
        let mut shard = TokenIds::for_vocab(tokenizer.vocab());
        let mut ends = Vec::new();
        let start = records.skipped();
        let mut documents = 0;
        loop {
            watch.report(records.progress())?;
            let batch = next_batch(&mut *records, tokenizer, options.placement, watch)?;
            let is_last = batch.is_empty();
            let mut batch = batch.into_iter().peekable();
            while let Some(document) = batch.next() {
                shard.extend(&document.ids);
                ends.push(shard.len() as u64);
                documents += 1;
                if shard.len() >= options.shard_tokens {
                    // What was passed over before the next document is counted now, and not read again.
                    let (next, skipped) =
                        batch.peek().map_or_else(|| (records.cursor(), records.skipped()), |next| (next.cursor, next.skipped));
                    index.next = Some(next);
                    index.counts = added(before, documents, skipped - start);
                    index.push(options.out, &shard, &ends)?;
                    index.write(options.out)?;
                    shard = TokenIds::for_vocab(tokenizer.vocab());
                    ends.clear();
                }
            }
            if is_last {
                break;
            }
        }
        index.next = None;
        index.counts = added(before, documents, records.skipped() - start);
        if !shard.is_empty() {
            index.push(options.out, &shard, &ends)?;
        }
        index.write(options.out)?;
    }
    watch.report(1.0)?;
    let tokens = index.shards.iter().map(|shard| shard.tokens).sum();
    Ok(TokenizeReport { shards: index.shards.len(), kept, tokens, counts: index.counts })
}

fn added(before: RecordCounts, documents: u64, skipped: Skipped) -> RecordCounts {
    RecordCounts {
        documents: before.documents + documents,
        short: before.short + skipped.short,
        empty: before.empty + skipped.empty,
        bad: before.bad + skipped.bad,
    }
}

/// The index to go on with: a new one, or that of the folder when it was made from the same.
fn begin(records: &dyn Records, tokenizer: &Tokenizer, options: &TokenizeOptions) -> Result<Index> {
    let made_from = MadeFrom {
        source: records.identity(),
        tokenizer_sha256: sha256_hex(tokenizer.json()),
        separator: tokenizer.separator(),
        separator_placement: options.placement,
        shard_tokens: options.shard_tokens,
    };
    let out = options.out;
    match Index::read(out)? {
        Some(_) if !options.is_resuming => Err(Error::data(out, "it holds shards; go on with --resume, or choose another folder")),
        Some(index) if index.made_from != made_from => {
            let reason =
                "its shards were made from other text, or with another tokenizer, separator or size of shard; choose another folder";
            Err(Error::data(out, reason))
        }
        Some(index) => Ok(index),
        None => {
            let is_taken = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
            if is_taken {
                return Err(Error::data(out, "it holds other files; choose a new folder"));
            }
            fs::create_dir_all(out).map_err(|e| Error::file("create the folder", out, e))?;
            write_file(&out.join(TOKENIZER_FILE), tokenizer.json())?;
            let width = TokenIds::for_vocab(tokenizer.vocab()).width();
            let index = Index::new(width, tokenizer.vocab(), made_from);
            index.write(out)?;
            Ok(index)
        }
    }
}

/// The next documents, encoded in parallel; none at the end.
fn next_batch(records: &mut dyn Records, tokenizer: &Tokenizer, placement: SeparatorPlacement, watch: &Watch) -> Result<Vec<Encoded>> {
    let (mut places, mut texts, mut bytes) = (Vec::new(), Vec::new(), 0);
    while bytes < BATCH_BYTES {
        match records.next()? {
            None => break,
            Some((cursor, Record::Text(text))) => {
                bytes += text.len();
                places.push((cursor, records.skipped()));
                texts.push(text);
            }
            Some((cursor, Record::Tokens(_))) => {
                return Err(Error::data(records.file_name(cursor.file), "it holds tokens already; wanted text"));
            }
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoded = tokenizer.encode_all(&texts, &watch.part(records.progress(), records.progress()))?;
    let separator = tokenizer.separator();
    let with_separator = |mut ids: Vec<u32>| match placement {
        SeparatorPlacement::Before => [&[separator], ids.as_slice()].concat(),
        SeparatorPlacement::After => {
            ids.push(separator);
            ids
        }
        SeparatorPlacement::None => ids,
    };
    Ok(places.into_iter().zip(encoded).map(|((cursor, skipped), ids)| Encoded { cursor, skipped, ids: with_separator(ids) }).collect())
}
