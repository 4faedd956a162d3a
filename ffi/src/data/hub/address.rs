//! Addresses of hub datasets: `hf://datasets/org/name[@revision][/path or glob]`.

use crate::error::{Error, Result};
use glob::{MatchOptions, Pattern};

/// A dataset at a revision, and which of its files are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `org/name`.
    pub dataset: String,
    /// A branch, a tag, a commit, or `refs/convert/parquet` and the like.
    pub revision: String,
    files: Files,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Files {
    /// The data files below a folder; the empty text is the whole dataset.
    Below(String),
    One(String),
    Like(Pattern),
}

/// `*` stays within a folder, `**` crosses folders.
const MATCHING: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// What is taken of a folder: the first line that matches anything. Other kinds need a glob.
const DEFAULT_ENDINGS: [&[&str]; 2] = [&[".parquet"], &[".jsonl", ".jsonl.gz", ".jsonl.zst"]];

impl Address {
    /// Whether `text` is meant as such an address.
    pub fn is_hub(text: &str) -> bool {
        text.starts_with("hf://")
    }

    /// Takes `text` apart. A revision with `/` in it is written with `%2F`, or begins with `refs/` and has three parts.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |is: &str| Error::data(text, format!("{is}; wanted hf://datasets/<org>/<name>[@<revision>][/<path or glob>]"));
        let rest = text.strip_prefix("hf://datasets/").ok_or_else(|| wrong("it is not the address of a dataset"))?;
        let (org, rest) = rest.split_once('/').ok_or_else(|| wrong("it has no organisation"))?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, revision) = name.split_once('@').map_or((name, None), |(name, revision)| (name, Some(revision)));
        if !is_name(org) || !is_name(name) {
            return Err(wrong("its organisation or name is empty or has other characters than letters, digits, '-', '_' and '.'"));
        }
        let (revision, path) = match revision {
            None => ("main".into(), path),
            Some("refs") => {
                let end = path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at);
                (format!("refs/{}", &path[..end]), path.get(end + 1..).unwrap_or(""))
            }
            Some(revision) => (revision.replace("%2F", "/").replace("%2f", "/"), path),
        };
        if revision.is_empty() || revision.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong("its revision is empty or not a name"));
        }
        let path = path.trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or("");
        let files = if path.contains(['*', '?', '[']) {
            Files::Like(Pattern::new(path).map_err(|e| wrong(&format!("its glob is wrong ({e})")))?)
        } else if last.contains('.') {
            Files::One(path.into())
        } else {
            Files::Below(path.into())
        };
        Ok(Self { dataset: format!("{org}/{name}"), revision, files })
    }

    /// The deepest folder that holds all that is meant, and whether its subfolders count: so much has to be listed.
    pub fn folder(&self) -> (&str, bool) {
        match &self.files {
            Files::Below(folder) => (folder, true),
            Files::One(path) => (path.rsplit_once('/').map_or("", |(folder, _)| folder), false),
            Files::Like(pattern) => {
                let text = pattern.as_str();
                let literal = text.find(['*', '?', '[']).map_or(text, |at| &text[..at]);
                (literal.rsplit_once('/').map_or("", |(folder, _)| folder), true)
            }
        }
    }

    /// Those of `paths` that are meant, in order of their names.
    pub fn select<'a>(&self, paths: impl Iterator<Item = &'a str> + Clone) -> Vec<&'a str> {
        let mut chosen: Vec<&str> = match &self.files {
            Files::One(path) => paths.filter(|&candidate| candidate == path).collect(),
            Files::Like(pattern) => paths.filter(|candidate| pattern.matches_with(candidate, MATCHING)).collect(),
            Files::Below(_) => {
                let ends = |endings: &[&str]| paths.clone().filter(|path| endings.iter().any(|ending| path.ends_with(ending))).collect();
                DEFAULT_ENDINGS.iter().map(|endings| ends(endings)).find(|found: &Vec<&str>| !found.is_empty()).unwrap_or_default()
            }
        };
        chosen.sort_unstable();
        chosen
    }
}

fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
