//! Checks a folder of shards.

use crate::data::shards::{INDEX_FILE, Index, Shard, ends_name};
use crate::data::{TokenIds, Watch};
use crate::error::{Error, Result};
use crate::files::{record_of, sha256_hex};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    pub shards: usize,
    pub tokens: u64,
    pub documents: u64,
    pub is_complete: bool,
    pub faults: Vec<String>,
}

/// Checks every shard of a folder against its index.
pub fn verify(folder: &Path, watch: &Watch) -> Result<VerifyReport> {
    let index = Index::read(folder)?;
    let index =
        index.ok_or_else(|| Error::data(folder, format!("it has no {INDEX_FILE}; wanted a folder that `bowline data tokenize` wrote")))?;
    let mut report = VerifyReport { shards: index.shards.len(), is_complete: index.next.is_none(), ..Default::default() };
    for (i, shard) in index.shards.iter().enumerate() {
        watch.report(i as f64 / index.shards.len() as f64)?;
        report.tokens += shard.tokens;
        report.documents += shard.documents;
        report.faults.extend(fault(folder, &index, shard));
    }
    watch.report(1.0)?;
    Ok(report)
}

/// What is wrong with a shard.
fn fault(folder: &Path, index: &Index, shard: &Shard) -> Option<String> {
    let path = folder.join(&shard.file);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) => return Some(format!("{}: {e}", shard.file)),
    };
    let wanted = shard.tokens * index.width as u64;
    if bytes.len() as u64 != wanted {
        return Some(format!("{}: it has {} bytes, wanted {wanted}", shard.file, bytes.len()));
    }
    if sha256_hex(&bytes) != shard.sha256 {
        return Some(format!("{}: its content is not what was written", shard.file));
    }
    if TokenIds::from_bytes(&bytes, index.vocab).is_none() {
        return Some(format!("{}: a token is not below the vocabulary of {}", shard.file, index.vocab));
    }
    let ends = ends_name(&shard.file);
    match record_of(&folder.join(&ends)) {
        Err(e) => Some(format!("{ends}: {e}")),
        Ok(record) if record.sha256 != shard.ends_sha256 => Some(format!("{ends}: its content is not what was written")),
        Ok(_) => None,
    }
}
