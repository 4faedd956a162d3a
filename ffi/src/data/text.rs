//! Reads text files as documents: one file is one document.

use super::Watch;
use crate::error::{Error, Result};
use crate::files::sha256_hex;
use std::fs;
use std::path::{Path, PathBuf};

/// One text and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Number of its file in the list as given, skipped files included.
    pub index: usize,
    pub path: PathBuf,
    pub text: String,
}

/// The documents of a list of files, in the order given.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    pub documents: Vec<Document>,
    /// Files with fewer characters than wanted.
    pub num_skipped: usize,
    /// SHA-256 of every file, skipped ones included.
    pub sha256: Vec<String>,
}

/// Reads `files`; those with fewer than `min_characters` characters are skipped and counted.
pub fn read_documents(files: &[PathBuf], min_characters: usize, watch: &Watch) -> Result<Documents> {
    let mut read = Documents::default();
    for (index, path) in files.iter().enumerate() {
        watch.report(index as f64 / files.len() as f64)?;
        let (text, sha256) = read_text(path)?;
        read.sha256.push(sha256);
        if text.chars().take(min_characters).count() < min_characters {
            read.num_skipped += 1;
        } else {
            read.documents.push(Document { index, path: path.clone(), text });
        }
    }
    if read.documents.is_empty() {
        let reason = format!("no document has the {min_characters} characters of data.minCharacters; give longer text or lower it");
        return Err(Error::data(name_of(files), reason));
    }
    Ok(read)
}

/// Names a list of files in an error: the first and how many more.
pub(super) fn name_of(files: &[PathBuf]) -> PathBuf {
    match files {
        [] => PathBuf::from("an empty list of files"),
        [only] => only.clone(),
        [first, rest @ ..] => PathBuf::from(format!("{} and {} more", first.display(), rest.len())),
    }
}

/// The text and the SHA-256 of a file. A byte order mark is not text and is left out.
fn read_text(path: &Path) -> Result<(String, String)> {
    if path.is_dir() {
        return Err(Error::data(path, "it is a folder; name the text files in it"));
    }
    let bytes = fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::data(path, "there is no such file; check the path"),
        _ => Error::data(path, format!("{e}; check its permissions")),
    })?;
    if bytes.is_empty() {
        return Err(Error::data(path, "the file is empty; remove it from the list or put text in it"));
    }
    let sha256 = sha256_hex(&bytes);
    let text = String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        Error::data(path, format!("byte {offset} is not UTF-8; convert the file to UTF-8 text"))
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    };
    Ok((text, sha256))
}
