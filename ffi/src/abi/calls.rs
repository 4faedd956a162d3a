//! The calls of the C border on plain Rust values: steps of a model in training, its files and its values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::device::on_device;
use super::handles::{self, AnyTrainer, Entry, Object, OpenTrainer, lock};
use super::stats::Stats;
use crate::backend::Backend;
use crate::data::{Settings, Watch, open_stream, prepare};
use crate::error::{Error, Result};
use crate::plan::OrderSpec;
use crate::train::{EvalReport, StepReport};

pub(super) fn open_trainer(entry: &Entry, id: u32) -> Result<&OpenTrainer> {
    match &entry.object {
        Object::Trainer(open) => Ok(open),
        _ => Err(Error::Handle(id)),
    }
}

pub(super) fn trainer(entry: &Entry, id: u32) -> Result<MutexGuard<'_, AnyTrainer>> {
    lock(&open_trainer(entry, id)?.trainer)
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))
}

/// Parses a request; errors name the field.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(what: &str, json: &str) -> Result<T> {
    let mut de = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut de).map_err(|e| Error::Argument(format!("Cannot read the {what}: {} ({})", e.inner(), e.path())))
}

/// What a call gives; of several ranks, one that fails ends the others. A wish to stop and a number that is none are agreed
/// upon, and fail the call on all.
pub(super) fn together<R>(trainer: &mut AnyTrainer, result: Result<R>) -> Result<R> {
    result.map_err(|error| match error {
        Error::Cancelled | Error::NotFinite { .. } => error,
        error => on_device!(trainer, t => t.fail(error)),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AttachRequest {
    files: Vec<PathBuf>,
    cache_dir: PathBuf,
    #[serde(default)]
    commits: BTreeMap<String, String>,
}

pub fn attach_data(id: u32, request: &str, stats: &Stats<'_>) -> Result<()> {
    let request: AttachRequest = parse("data request", request)?;
    let entry = handles::get(id)?;
    let threads = open_trainer(&entry, id)?.opened.threads;
    let mut trainer = trainer(&entry, id)?;
    // The first rank prepares the data, the others find it in the cache.
    let is_first = on_device!(&*trainer, t => t.comm().rank() == 0);
    let meet = |trainer: &mut AnyTrainer, is_due: bool| if is_due { on_device!(trainer, t => t.meet()) } else { Ok(()) };
    let result = meet(&mut trainer, !is_first)
        .and_then(|()| attach(&entry, &mut trainer, &request, threads, stats))
        .and_then(|()| meet(&mut trainer, is_first));
    together(&mut trainer, result)
}

fn attach(entry: &Entry, trainer: &mut AnyTrainer, request: &AttachRequest, threads: usize, stats: &Stats<'_>) -> Result<()> {
    let plan = on_device!(&*trainer, t => t.plan().clone());
    let cache_dir = &request.cache_dir;
    if plan.data.order == OrderSpec::Stream {
        let (stream, info) = watched(entry, stats, |watch| open_stream(&plan, cache_dir, &request.commits, threads, 0, 1, watch))?;
        on_device!(trainer, t => t.attach_stream(stream, info));
        return Ok(());
    }
    let settings = Settings {
        tokenizer: plan.data.tokenizer.clone(),
        separator: plan.data.separator.clone(),
        min_characters: plan.data.min_characters,
        held_out: plan.data.held_out,
        seq_len: plan.train.seq_len,
        model_vocab: plan.model.vocab,
    };
    let corpus = watched(entry, stats, |watch| prepare(&request.files, &settings, cache_dir, watch))?;
    on_device!(trainer, t => t.attach(Arc::new(corpus)));
    Ok(())
}

/// Runs `body` with the entry's cancel flag, which it leaves cleared, and the caller's progress.
pub(super) fn watched<R>(entry: &Entry, stats: &Stats<'_>, body: impl FnOnce(&Watch<'_>) -> Result<R>) -> Result<R> {
    let progress = |done| stats.progress(done);
    let result = body(&Watch::new(&progress, &entry.cancel));
    entry.cancel.store(false, Ordering::Relaxed);
    result
}

pub fn data_info(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    let json = match on_device!(&*trainer, t => (t.corpus(), t.stream_info())) {
        (Some(corpus), _) => serde_json::to_string(&corpus.info()),
        (None, Some(info)) => serde_json::to_string(&info),
        (None, None) => return Err(Error::Argument("Cannot describe the data: none is attached".into())),
    };
    json.map_err(|e| Error::Internal(e.to_string()))
}

/// One step: on `tokens`, or on the attached data.
pub fn step(id: u32, tokens: Option<&[i32]>, stats: &Stats<'_>) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let start = Instant::now();
    let report = watched(&entry, stats, |watch| {
        on_device!(trainer, t => t.backend().install(|| match tokens {
            Some(tokens) => t.step_tokens(tokens, watch),
            None => t.step(watch),
        }))
    });
    let report: StepReport = together(trainer, report)?;
    stats.step(&report, start.elapsed().as_secs_f64());
    Ok(())
}

/// What to evaluate on.
pub enum EvalOn<'a> {
    /// The first batches of the held-out part, 0 for all.
    HeldOut(usize),
    Tokens(&'a [i32]),
}

pub fn evaluate(id: u32, on: EvalOn<'_>, stats: &Stats<'_>) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let report = watched(&entry, stats, |watch| {
        on_device!(trainer, t => t.backend().install(|| match on {
            EvalOn::HeldOut(batches) => t.evaluate(batches, watch),
            EvalOn::Tokens(tokens) => t.evaluate_tokens(tokens, watch),
        }))
    });
    let report: EvalReport = together(trainer, report)?;
    stats.eval(&report);
    Ok(())
}

pub fn save(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = on_device!(trainer, t => t.save(folder));
    together(trainer, result)
}

pub fn load(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = on_device!(trainer, t => t.load(folder));
    together(trainer, result)
}

pub fn load_weights(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = on_device!(trainer, t => t.load_weights(folder));
    together(trainer, result)
}

pub fn logits(id: u32, tokens: &[i32]) -> Result<Vec<f32>> {
    let entry = handles::get(id)?;
    on_device!(&*trainer(&entry, id)?, t => t.logits(tokens))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRequest {
    name: String,
    which: Which,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    Parameter,
    Gradient,
}

pub fn read(id: u32, request: &str) -> Result<Vec<f32>> {
    let request: ReadRequest = parse("read request", request)?;
    let entry = handles::get(id)?;
    on_device!(&*trainer(&entry, id)?, t => t.read(&request.name, request.which == Which::Gradient))
}

pub fn write(id: u32, name: &str, values: &[f32]) -> Result<()> {
    let entry = handles::get(id)?;
    on_device!(&mut *trainer(&entry, id)?, t => t.write(name, values))
}

#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    shape: &'a [usize],
    optimizer: crate::plan::OptimizerKind,
}

pub fn parameters(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    let params = on_device!(&*trainer, t => t.model().layout.params.iter());
    let list: Vec<_> = params.map(|p| Parameter { name: &p.name, shape: &p.shape, optimizer: p.optimizer }).collect();
    to_json(&list)
}
