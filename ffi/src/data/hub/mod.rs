//! Datasets on the Hugging Face hub, or whatever answers like it, read in place over HTTP ranges.
//!
//! `address` reads `hf://` addresses, `client` makes requests, `apart` waits for them, `cache` keeps what was fetched on
//! disk, `file` is a file as bytes at any offset. Branches and tags are turned into a commit once, when the files are
//! listed; everything after that asks for the commit, which is also part of each file's identity. A run that goes on brings
//! the commits along that it began with, so that it reads the same files although a branch has moved.

mod address;
mod apart;
mod cache;
mod client;
mod file;
pub mod headers;
mod options;

pub use address::Address;
pub use file::HubFile;
pub use options::HubOptions;

use super::Watch;
use super::source::ReadAt;
use crate::error::{Error, Result};
use cache::{Cache, key_of};
use client::Client;
use file::State;
use headers::escape_path;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A thousand files a page make ten million files.
const MAX_PAGES: usize = 10_000;

/// A hub and the cache of what came from it, shared by all files.
pub struct Hub {
    endpoint: String,
    client: Client,
    cache: Cache,
    /// By `hf://datasets/org/name@revision`.
    commits: Mutex<BTreeMap<String, String>>,
    is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The part of the hub's answer about a revision that is used.
#[derive(Deserialize)]
struct Revision {
    sha: String,
}

/// An entry of a listing.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Large>,
}

/// Stands for the content of a large file, whose entry has the size and hash of a pointer.
#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Hub {
    /// Makes no request yet.
    pub fn open(options: &HubOptions) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            endpoint: options.endpoint.clone(),
            client: Client::new(options)?,
            cache: Cache::open(&options.cache_dir, options.cache_bytes)?,
            commits: Mutex::new(options.commits.clone()),
            is_cancelled: options.is_cancelled.clone(),
        }))
    }

    /// The files that `address` means, in order of their names, at the commit that its revision stands for now.
    pub fn files(self: &Arc<Self>, address: &str, watch: &Watch) -> Result<Vec<Arc<dyn ReadAt>>> {
        let parsed = Address::parse(address)?;
        let commit = self.commit(&parsed, address, watch)?;
        let mut entries = self.list(&parsed, &commit, address, watch)?;
        let chosen: Vec<String> = parsed.select(entries.keys().map(String::as_str)).into_iter().map(String::from).collect();
        if chosen.is_empty() {
            let some: Vec<&str> = entries.keys().map(String::as_str).take(5).collect();
            let has = if some.is_empty() { "no files".into() } else { format!("{} files ({}, ...)", entries.len(), some.join(", ")) };
            let reason = format!("none of its files is meant: there it has {has}; give a glob after the name, such as /**/*.parquet");
            return Err(Error::data(address, reason));
        }
        let open = |path: String| entries.remove(&path).map(|entry| -> Arc<dyn ReadAt> { Arc::new(self.file(&parsed, &commit, entry)) });
        Ok(chosen.into_iter().filter_map(open).collect())
    }

    /// What each revision stood for when it was first met: the commits that its files are read at.
    pub fn commits(&self) -> BTreeMap<String, String> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The commit of the address's revision, which stays the same from the first time on.
    fn commit(&self, parsed: &Address, address: &str, watch: &Watch) -> Result<String> {
        let name = format!("hf://datasets/{}@{}", parsed.dataset, parsed.revision);
        if let Some(known) = self.commits().get(&name) {
            return Ok(known.clone());
        }
        let commit = self.ask_for_commit(parsed, address, watch)?;
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).insert(name, commit.clone());
        Ok(commit)
    }

    fn ask_for_commit(&self, parsed: &Address, address: &str, watch: &Watch) -> Result<String> {
        let revision = escape_path(&parsed.revision).replace('/', "%2F");
        let url = format!("{}/api/datasets/{}/revision/{revision}?expand=sha", self.endpoint, parsed.dataset);
        let (Revision { sha }, _) = self.client.page(&url, address, &|| self.check(watch, 0.0))?;
        let is_commit = sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_commit {
            return Ok(sha);
        }
        Err(Error::data(address, format!("{} answers with '{}' for a commit; check HF_ENDPOINT", self.endpoint, sha.escape_default())))
    }

    /// All files of the folder that has to be listed, by path.
    fn list(&self, parsed: &Address, commit: &str, address: &str, watch: &Watch) -> Result<BTreeMap<String, Entry>> {
        let (folder, with_subfolders) = parsed.folder();
        let folder = if folder.is_empty() { String::new() } else { format!("/{}", escape_path(folder)) };
        let url =
            format!("{}/api/datasets/{}/tree/{commit}{folder}?recursive={with_subfolders}&expand=false", self.endpoint, parsed.dataset);
        let mut files = BTreeMap::new();
        let mut next = Some(url);
        for num_pages in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(files) };
            // How many pages there are is not known before the last one.
            let done = 1.0 - 1.0 / (num_pages + 1) as f64;
            let (entries, link) = self.client.page::<Vec<Entry>>(&url, address, &|| self.check(watch, done))?;
            files.extend(entries.into_iter().filter(|entry| entry.kind == "file").map(|entry| (entry.path.clone(), entry)));
            next = link;
        }
        Err(Error::data(address, format!("its listing has more than {MAX_PAGES} pages; name a folder of it")))
    }

    fn file(self: &Arc<Self>, parsed: &Address, commit: &str, entry: Entry) -> HubFile {
        let dataset = &parsed.dataset;
        let name = format!("hf://datasets/{dataset}@{commit}/{}", entry.path);
        let linked_etag = entry.lfs.as_ref().map(|large| large.oid.clone());
        let (oid, len) = entry.lfs.map_or((entry.oid, entry.size), |large| (large.oid, large.size));
        HubFile {
            hub: self.clone(),
            url: format!("{}/datasets/{dataset}/resolve/{commit}/{}", self.endpoint, escape_path(&entry.path)),
            len,
            key: key_of(&format!("{name} {oid} {len}")),
            oid,
            name,
            state: Mutex::new(State::new(linked_etag)),
        }
    }

    fn check(&self, watch: &Watch, done: f64) -> Result<()> {
        self.check_cancel()?;
        watch.report(done)
    }

    fn check_cancel(&self) -> Result<()> {
        if (self.is_cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
