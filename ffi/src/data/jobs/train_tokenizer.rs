//! A byte-level BPE of the first documents of some sources.

use super::Sources;
use crate::data::open::open_source;
use crate::data::source::Record;
use crate::data::{Tokenizer, Watch};
use crate::error::{Error, Result};
use crate::files::write_file;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
pub struct TrainTokenizerReport {
    vocab: usize,
    documents: usize,
    bytes: usize,
}

/// Trains on at most `max_bytes` of text, an equal part of each source, and writes `out` in one step.
pub fn train(from: &Sources, vocab: usize, separator: &str, max_bytes: usize, out: &Path, watch: &Watch) -> Result<TrainTokenizerReport> {
    if out.is_dir() {
        return Err(Error::Argument(format!("Cannot write {}: it is a folder, wanted a file", out.display())));
    }
    let share = max_bytes / from.sources.len().max(1);
    let mut texts = Vec::new();
    for spec in &from.sources {
        let mut records = open_source(spec, from.options(), &watch.part(0.0, 0.1))?.records;
        let mut bytes = 0;
        while bytes < share {
            watch.report(0.1)?;
            match records.next()? {
                Some((_, Record::Text(text))) => {
                    bytes += text.len();
                    texts.push(text);
                }
                Some((cursor, Record::Tokens(_))) => {
                    return Err(Error::data(records.file_name(cursor.file), "it holds tokens already; wanted text"));
                }
                None => break,
            }
        }
    }
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::train(&all, vocab, separator, &watch.part(0.1, 1.0))?;
    let temporary = out.with_extension("json.tmp");
    write_file(&temporary, tokenizer.json())?;
    std::fs::rename(&temporary, out).map_err(|e| Error::file("write", out, e))?;
    Ok(TrainTokenizerReport { vocab: tokenizer.vocab(), documents: texts.len(), bytes: texts.iter().map(String::len).sum() })
}
