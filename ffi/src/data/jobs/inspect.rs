//! What a source holds.

use super::RecordCounts;
use crate::data::open::Opened;
use crate::data::source::Record;
use crate::data::{Tokenizer, Watch};
use crate::error::Result;
use serde::Serialize;

/// Characters of a document that are shown.
const SHOWN: usize = 200;

/// Text that is tokenised at a time, in bytes.
const BATCH_BYTES: usize = 4 << 20;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    name: String,
    files: Vec<FileReport>,
    columns: Vec<String>,
    is_part: bool,
    characters: Option<Lengths>,
    bytes: u64,
    tokens: Option<u64>,
    first: Vec<String>,
    #[serde(flatten)]
    counts: RecordCounts,
}

#[derive(Debug, Serialize)]
struct FileReport {
    name: String,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Lengths {
    least: usize,
    median: usize,
    mean: f64,
    most: usize,
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Option<Lengths> {
        lengths.sort_unstable();
        let (least, most) = (*lengths.first()?, *lengths.last()?);
        let mean = lengths.iter().map(|&n| n as f64).sum::<f64>() / lengths.len() as f64;
        Some(Lengths { least, median: lengths[lengths.len() / 2], mean, most })
    }
}

/// Reads a source, at most `limit` documents of it, and says what is there; `rows` beginnings are shown.
pub fn inspect(
    name: &str,
    opened: Opened,
    tokenizer: Option<&Tokenizer>,
    rows: usize,
    limit: Option<u64>,
    watch: &Watch,
) -> Result<SourceReport> {
    let Opened { mut records, files, columns } = opened;
    let (mut first, mut lengths, mut bytes, mut tokens, mut is_part) = (Vec::new(), Vec::new(), 0, 0, false);
    let mut batch: Vec<String> = Vec::new();
    let mut documents = 0;
    let encode = |batch: &mut Vec<String>| -> Result<u64> {
        let Some(tokenizer) = tokenizer else { return Ok(0) };
        let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
        // Its own progress would run backwards.
        let ids = tokenizer.encode_all(&texts, &watch.part(0.0, 0.0))?;
        batch.clear();
        Ok(ids.iter().map(|ids| ids.len() as u64).sum())
    };
    let mut waiting = 0;
    while let Some((_, record)) = records.next()? {
        watch.report(records.progress())?;
        documents += 1;
        match record {
            Record::Text(text) => {
                if first.len() < rows {
                    first.push(text.chars().take(SHOWN).collect());
                }
                lengths.push(text.chars().count());
                bytes += text.len() as u64;
                if tokenizer.is_some() {
                    waiting += text.len();
                    batch.push(text);
                }
            }
            Record::Tokens(ids) => {
                tokens += ids.len() as u64;
                if first.len() < rows {
                    first.push(format!("{:?}", &ids[..ids.len().min(16)]));
                }
            }
        }
        if waiting >= BATCH_BYTES {
            tokens += encode(&mut batch)?;
            waiting = 0;
        }
        if limit.is_some_and(|limit| documents >= limit) {
            is_part = true;
            break;
        }
    }
    tokens += encode(&mut batch)?;
    let skipped = records.skipped();
    Ok(SourceReport {
        name: name.into(),
        files: files.into_iter().map(|(name, bytes)| FileReport { name, bytes }).collect(),
        columns,
        is_part,
        characters: Lengths::of(lengths),
        bytes,
        tokens: (tokens > 0 || tokenizer.is_some()).then_some(tokens),
        first,
        counts: RecordCounts { documents, short: skipped.short, empty: skipped.empty, bad: skipped.bad },
    })
}
