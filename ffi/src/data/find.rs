//! The files that a plan's source means, here or on a hub, and how they are read.

use super::hub::{Hub, HubOptions};
use super::shards::Index;
use super::source::{self, Format, ReadAt, TokenType, local_files};
use super::{OnBad, Watch};
use crate::error::{Error, Result};
use crate::plan::{FormatSpec, SourceSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The files of a source.
pub(super) struct Found {
    pub files: Vec<Arc<dyn ReadAt>>,
    /// What they are where that is not to be told by their names: shards, and the checksum of the tokenizer that made them.
    pub shards: Option<(Format, String)>,
}

/// Finds the files of several sources. The hub is opened when it is first needed: all of them share one, with its
/// connections and the bound on its cache.
pub(super) struct Finder<'a> {
    cache_dir: &'a Path,
    hub: Option<Arc<Hub>>,
    commits: BTreeMap<String, String>,
    stop: Arc<AtomicBool>,
}

impl<'a> Finder<'a> {
    /// With the commits of an earlier `StreamInfo`, if there was one.
    pub fn new(cache_dir: &'a Path, commits: BTreeMap<String, String>) -> Self {
        Self { cache_dir, hub: None, commits, stop: Arc::default() }
    }

    /// Set when what was found is not read any more: whoever waits for the hub then gives up.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// What the revisions of datasets stood for.
    pub fn commits(&self) -> BTreeMap<String, String> {
        self.hub.as_ref().map_or_else(BTreeMap::new, |hub| hub.commits())
    }

    /// The files that the paths, globs and addresses of a source mean, in the order given. Reading gives up while `stop`
    /// is set, or when a call with the cancel flag of this one is cancelled.
    pub fn find(&mut self, spec: &SourceSpec, watch: &Watch) -> Result<Found> {
        let (mut files, mut kinds) = (Vec::new(), Vec::new());
        for path in &spec.paths {
            if spec.format == FormatSpec::Auto
                && let Some(index) = Index::of_shards(Path::new(path))?
            {
                let (shards, format) = index.source(Path::new(path))?;
                files.extend(shards);
                kinds.push(Some((format, index.made_from.tokenizer_sha256)));
            } else {
                files.extend(self.at(path, watch)?);
                kinds.push(None);
            }
        }
        if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            let reason = "one of its paths is a folder of shards and another is not, or was made otherwise; give each a source of its own";
            return Err(Error::data(spec.paths.join(", "), reason));
        }
        Ok(Found { files, shards: kinds.pop().flatten() })
    }

    /// All files that `paths` mean, as they are.
    pub fn files(&mut self, paths: &[String], watch: &Watch) -> Result<Vec<Arc<dyn ReadAt>>> {
        let files = paths.iter().map(|path| self.at(path, watch)).collect::<Result<Vec<_>>>()?;
        Ok(files.concat())
    }

    fn at(&mut self, path: &str, watch: &Watch) -> Result<Vec<Arc<dyn ReadAt>>> {
        if path.starts_with("hf://") { self.hub(watch)?.files(path, watch) } else { local_files(path) }
    }

    fn hub(&mut self, watch: &Watch) -> Result<Arc<Hub>> {
        if let Some(hub) = &self.hub {
            return Ok(hub.clone());
        }
        let mut options = HubOptions::from_environment(&self.cache_dir.join("hub"), |name| std::env::var(name).ok())?;
        options.commits = self.commits.clone();
        let flags = [watch.cancel(), self.stop.clone()];
        options.is_cancelled = Arc::new(move || flags.iter().any(|flag| flag.load(Ordering::Relaxed)));
        Ok(self.hub.insert(Hub::open(&options)?).clone())
    }
}

impl Found {
    /// How a source of these files is read.
    pub fn reading(&self, spec: &SourceSpec, min_characters: usize, on_bad: OnBad) -> source::SourceSpec {
        let tokens = |dtype| Format::Tokens { dtype: Some(dtype), separator: None };
        let format = match spec.format {
            FormatSpec::Auto => self.shards.as_ref().map_or(Format::Auto, |(format, _)| *format),
            FormatSpec::Text => Format::Text,
            FormatSpec::Jsonl => Format::Jsonl,
            FormatSpec::Parquet => Format::Parquet,
            FormatSpec::Arrow => Format::Arrow,
            FormatSpec::TokensU16 => tokens(TokenType::U16),
            FormatSpec::TokensU32 => tokens(TokenType::U32),
        };
        source::SourceSpec {
            name: spec.name.clone(),
            paths: spec.paths.clone(),
            column: spec.column.clone(),
            format,
            min_characters,
            on_bad,
        }
    }
}
