//! From the plan's sources to records: finds the files, here or on a hub, and opens them.

use super::hub::{Hub, HubOptions};
use super::records::{Open, Records, Skipped};
use super::source::{self, Cursor, Format, OnBad, ReadAt, Record, Source, TokenType, local_files};
use super::{AtEnd, Builtin, HeldOut, MixtureSource, MixtureSpec, SeparatorPlacement, Stream, StreamSettings, Tokenizer, Watch, sample};
use crate::error::{Error, Result};
use crate::files::{sha256_hex, write_file};
use crate::plan::{AtEndSpec, FormatSpec, HeldOutSpec, OnBadSpec, PlacementSpec, Plan, SourceSpec, TokenizerSpec};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Text that a tokenizer is trained on at most, in bytes.
const SAMPLE_BYTES: usize = 64 << 20;

/// How sources are read.
#[derive(Clone, Copy)]
pub struct OpenOptions<'a> {
    pub min_characters: usize,
    pub on_bad: OnBadSpec,
    /// For what is fetched.
    pub cache_dir: &'a Path,
}

/// A source at its start.
pub struct Opened {
    pub records: Box<dyn Records>,
    /// Names and lengths of its files.
    pub files: Vec<(String, u64)>,
    /// Paths of all columns of strings.
    pub columns: Vec<String>,
}

/// Opens one source.
pub fn open_source(spec: &SourceSpec, options: OpenOptions, watch: &Watch) -> Result<Opened> {
    let files = files_of(&spec.paths, options.cache_dir, &mut None, watch)?;
    let listed = files.iter().map(|file| (file.name().to_string(), file.len())).collect();
    let source = Source::open(files, source_spec(spec, options))?;
    let columns = source.columns();
    Ok(Opened { records: Box::new(source), files: listed, columns })
}

/// The files that paths, globs and addresses mean, in the order given. `hub` is opened when it is first needed: all sources
/// of a mixture share one, with its connections and the bound on its cache.
pub(super) fn files_of(paths: &[String], cache_dir: &Path, hub: &mut Option<Arc<Hub>>, watch: &Watch) -> Result<Vec<Arc<dyn ReadAt>>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.starts_with("hf://") {
            files.extend(local_files(path)?);
            continue;
        }
        let hub = match hub {
            Some(hub) => hub,
            None => hub.insert(Hub::open(&HubOptions::from_environment(&cache_dir.join("hub"), |name| std::env::var(name).ok())?)?),
        };
        files.extend(hub.files(path, watch)?);
    }
    Ok(files)
}

fn source_spec(spec: &SourceSpec, options: OpenOptions) -> source::SourceSpec {
    let tokens = |dtype| Format::Tokens { dtype: Some(dtype), separator: None };
    source::SourceSpec {
        name: spec.name.clone(),
        paths: spec.paths.clone(),
        column: spec.column.clone(),
        format: match spec.format {
            FormatSpec::Auto => Format::Auto,
            FormatSpec::Text => Format::Text,
            FormatSpec::Jsonl => Format::Jsonl,
            FormatSpec::Parquet => Format::Parquet,
            FormatSpec::Arrow => Format::Arrow,
            FormatSpec::TokensU16 => tokens(TokenType::U16),
            FormatSpec::TokensU32 => tokens(TokenType::U32),
        },
        min_characters: options.min_characters,
        on_bad: match options.on_bad {
            OnBadSpec::Stop => OnBad::Stop,
            OnBadSpec::Skip => OnBad::Skip,
        },
    }
}

impl Records for Source {
    fn next(&mut self) -> Result<Option<(Cursor, Record)>> {
        Source::next(self)
    }
    fn cursor(&self) -> Cursor {
        Source::cursor(self)
    }
    fn seek(&mut self, to: &Cursor) -> Result<()> {
        Source::seek(self, to)
    }
    fn skipped(&self) -> Skipped {
        let counts = self.counts();
        Skipped { short: counts.short, empty: counts.empty, bad: counts.bad }
    }
    fn file_name(&self, file: usize) -> String {
        self.files().nth(file).map_or_else(|| "the end of the data".into(), |file| file.name().to_string())
    }
    fn identity(&self) -> String {
        Source::identity(self)
    }
    fn progress(&self) -> f64 {
        Source::progress(self)
    }
}

/// What is known of a stream before it is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamInfo {
    pub kind: &'static str,
    pub sources: Vec<SourceInfo>,
    pub vocab: usize,
    pub tokenizer_file: PathBuf,
}

/// A source of a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceInfo {
    pub name: String,
    /// Share of the documents drawn.
    pub share: f64,
    pub files: usize,
    pub bytes: u64,
}

/// The stream that a plan asks for, for one of `world` ranks.
pub fn open_stream(
    plan: &Plan,
    cache_dir: &Path,
    threads: usize,
    rank: usize,
    world: usize,
    watch: &Watch,
) -> Result<(Stream, StreamInfo)> {
    let data = &plan.data;
    let options = OpenOptions { min_characters: data.min_characters, on_bad: data.on_bad_record, cache_dir };
    let weights: f64 = data.sources.iter().map(|source| source.weight).sum();
    let (mut sources, mut infos, mut hub) = (Vec::new(), Vec::new(), None);
    for (i, spec) in data.sources.iter().enumerate() {
        let done = |i: usize| 0.1 * i as f64 / data.sources.len() as f64;
        let files = files_of(&spec.paths, cache_dir, &mut hub, &watch.part(done(i), done(i + 1)))?;
        let bytes = files.iter().map(|file| file.len()).sum();
        infos.push(SourceInfo { name: spec.name.clone(), share: spec.weight / weights, files: files.len(), bytes });
        let spec_of = source_spec(spec, options);
        let open: Open = Arc::new(move || Ok(Box::new(Source::open(files.clone(), spec_of.clone())?)));
        sources.push(MixtureSource { name: spec.name.clone(), weight: spec.weight, open });
    }
    let mixture = MixtureSpec {
        sources,
        seed: plan.seed.into(),
        shuffle_buffer: data.shuffle_buffer,
        at_end: match data.at_end {
            AtEndSpec::Stop => AtEnd::Stop,
            AtEndSpec::Repeat => AtEnd::Repeat,
            AtEndSpec::Drop => AtEnd::Drop,
        },
        held_out: match data.held_out {
            HeldOutSpec::Documents { every, index } => HeldOut::Documents { every, index },
            HeldOutSpec::Tail { fraction } => HeldOut::Tail { fraction },
            HeldOutSpec::SkipTokens { tokens } => HeldOut::SkipTokens { tokens },
        },
    };
    let tokenizer = match &data.tokenizer {
        &TokenizerSpec::TrainBpe { vocab } => trained(&mixture, vocab, &data.separator, cache_dir, &watch.part(0.1, 1.0))?,
        other => Tokenizer::of(other, &data.separator)?,
    };
    let tokenizer_file = stored(&tokenizer, cache_dir)?;
    let info = StreamInfo { kind: "stream", sources: infos, vocab: tokenizer.vocab(), tokenizer_file };
    let settings = StreamSettings {
        mixture,
        tokenizer: Arc::new(tokenizer),
        separator: match data.separator_placement {
            PlacementSpec::Before => SeparatorPlacement::Before,
            PlacementSpec::After => SeparatorPlacement::After,
            PlacementSpec::None => SeparatorPlacement::None,
        },
        seq_len: plan.train.seq_len,
        model_vocab: plan.model.vocab,
        batch: plan.train.batch,
        rank,
        world,
        threads,
    };
    Ok((Stream::new(settings)?, info))
}

impl Tokenizer {
    /// The tokenizer that a plan names, where it need not be trained.
    pub fn of(spec: &TokenizerSpec, separator: &str) -> Result<Self> {
        match spec {
            TokenizerSpec::File { path } => Tokenizer::load(Path::new(path), separator),
            TokenizerSpec::Cl100k => Builtin::Cl100kBase.tokenizer(separator),
            TokenizerSpec::Bytes => Builtin::Bytes.tokenizer(separator),
            TokenizerSpec::TrainBpe { .. } => {
                Err(Error::Argument("Cannot use a tokenizer that is yet to be trained: wanted cl100k, bytes or a tokenizer.json".into()))
            }
        }
    }
}

/// A tokenizer trained on the beginning of a mixture, once: the cache keeps it under the name of what it was made from.
fn trained(mixture: &MixtureSpec, vocab: usize, separator: &str, cache_dir: &Path, watch: &Watch) -> Result<Tokenizer> {
    let identities = mixture.sources.iter().map(|source| Ok((&source.name, source.weight, (source.open)()?.identity())));
    let identities = identities.collect::<Result<Vec<_>>>()?;
    let made_from = serde_json::json!([identities, mixture.seed, mixture.shuffle_buffer, mixture.held_out, vocab, separator, SAMPLE_BYTES]);
    let path = cache_dir.join("tokenizers").join(format!("trained-{}.json", sha256_hex(made_from.to_string().as_bytes())));
    if path.exists()
        && let Ok(tokenizer) = Tokenizer::load(&path, separator)
    {
        return Ok(tokenizer);
    }
    let texts = sample(mixture, SAMPLE_BYTES, &watch.part(0.0, 0.3))?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::train(&texts, vocab, separator, &watch.part(0.3, 1.0))?;
    place(&path, tokenizer.json())?;
    Ok(tokenizer)
}

/// Where the tokenizer lies on disk, for the run's folder.
fn stored(tokenizer: &Tokenizer, cache_dir: &Path) -> Result<PathBuf> {
    let path = cache_dir.join("tokenizers").join(format!("{}.json", sha256_hex(tokenizer.json())));
    if !path.exists() {
        place(&path, tokenizer.json())?;
    }
    Ok(path)
}

/// Writes a file of the cache in one step; several processes may do so at once.
fn place(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::file("create the folder", folder, e))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    write_file(&temporary, bytes)?;
    std::fs::rename(&temporary, path).map_err(|e| Error::file("write", path, e))
}
