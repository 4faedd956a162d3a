//! The calls of the C border on plain Rust values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::device::{AnyTrainer, DeviceRequest, with_trainer};
use super::handles::{self, Entry, JobCall, Object, Work, lock};
use super::stats::Stats;
use crate::backend::Backend;
use crate::comm::Place;
use crate::cpu::{self, Cpu};
use crate::data::jobs::report;
use crate::data::{Settings, Watch, open_stream, prepare};
use crate::error::{Error, Result};
use crate::generate::{GenerateRequest, Generation};
use crate::jobs::Job;
use crate::plan::{OrderSpec, Plan};
use crate::score::{ScoreRequest, score};
use crate::train::{EvalReport, StepReport, open_model};

/// Version of the C functions; `ffi/ts/library.ts` wants the same.
pub const ABI_VERSION: u32 = 5;

fn trainer(entry: &Entry, id: u32) -> Result<MutexGuard<'_, AnyTrainer>> {
    match &entry.object {
        Object::Trainer(trainer) => lock(trainer),
        _ => Err(Error::Handle(id)),
    }
}

/// Parses a request; errors name the field.
fn parse<T: for<'de> Deserialize<'de>>(what: &str, json: &str) -> Result<T> {
    let mut de = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut de).map_err(|e| Error::Argument(format!("Cannot read the {what}: {} ({})", e.inner(), e.path())))
}

/// About this build and machine.
pub fn info() -> Result<String> {
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "abi": ABI_VERSION,
        "isa": cpu::probe::isa(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
    })
    .to_string())
}

pub fn trainer_new(plan: &str, device: &str, threads: u32) -> Result<u32> {
    let plan = Plan::parse(plan)?;
    let request: DeviceRequest = parse("device request", device)?;
    let trainer = AnyTrainer::new(plan, &request, threads as usize)?;
    handles::insert(Object::Trainer(Box::new(trainer.into())))
}

/// The device that a trainer was given.
pub fn trainer_device(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    serde_json::to_string(trainer.opened()).map_err(|e| Error::Internal(e.to_string()))
}

/// This process among those that a launcher started, by its environment.
pub fn place() -> Result<String> {
    serde_json::to_string(&Place::from_environment()?).map_err(|e| Error::Internal(e.to_string()))
}

/// The place that a trainer took, and what connects it with the others.
pub fn trainer_ranks(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    let (place, engine) = with_trainer!(&*trainer, t => (t.comm().place().clone(), t.comm().engine()));
    Ok(json!({ "rank": place.rank, "world": place.world, "engine": engine }).to_string())
}

/// The end of training, for all ranks together.
pub fn leave(id: u32) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = with_trainer!(trainer, t => t.leave());
    together(trainer, result)
}

/// The caller cannot go on: ends all other ranks, which say why.
pub fn fail(id: u32, reason: &str) -> Result<()> {
    let entry = handles::get(id)?;
    together(&mut *trainer(&entry, id)?, Err::<(), _>(Error::Argument(reason.into()))).or(Ok(()))
}

/// What a call gives; of several ranks, one that fails ends the others.
fn together<R>(trainer: &mut AnyTrainer, result: Result<R>) -> Result<R> {
    result.map_err(|error| match error {
        Error::Cancelled => error,
        error => with_trainer!(trainer, t => t.fail(error)),
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
    let mut trainer = trainer(&entry, id)?;
    // The first rank prepares the data, the others find it in the cache.
    let is_first = with_trainer!(&*trainer, t => t.comm().rank() == 0);
    if !is_first {
        with_trainer!(&mut *trainer, t => t.meet())?;
    }
    attach(&entry, &mut trainer, &request, stats)?;
    if is_first { with_trainer!(&mut *trainer, t => t.meet()) } else { Ok(()) }
}

fn attach(entry: &Entry, trainer: &mut AnyTrainer, request: &AttachRequest, stats: &Stats<'_>) -> Result<()> {
    let plan = with_trainer!(&*trainer, t => t.plan().clone());
    let cache_dir = &request.cache_dir;
    if plan.data.order == OrderSpec::Stream {
        let threads = trainer.threads();
        let (stream, info) = watched(entry, stats, |watch| open_stream(&plan, cache_dir, &request.commits, threads, 0, 1, watch))?;
        with_trainer!(trainer, t => t.attach_stream(stream, info));
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
    with_trainer!(trainer, t => t.attach(Arc::new(corpus)));
    Ok(())
}

/// Runs `body` with the entry's cancel flag, which it leaves cleared, and the caller's progress.
fn watched<R>(entry: &Entry, stats: &Stats<'_>, body: impl FnOnce(&Watch<'_>) -> Result<R>) -> Result<R> {
    let progress = |done| stats.progress(done);
    let result = body(&Watch::new(&progress, &entry.cancel));
    entry.cancel.store(false, Ordering::Relaxed);
    result
}

pub fn data_info(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    let json = match with_trainer!(&*trainer, t => (t.corpus(), t.stream_info())) {
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
        with_trainer!(trainer, t => t.backend().install(|| match tokens {
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
        with_trainer!(trainer, t => t.backend().install(|| match on {
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
    let result = with_trainer!(trainer, t => t.save(folder));
    together(trainer, result)
}

pub fn load(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = with_trainer!(trainer, t => t.load(folder));
    together(trainer, result)
}

pub fn load_weights(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = with_trainer!(trainer, t => t.load_weights(folder));
    together(trainer, result)
}

pub fn logits(id: u32, tokens: &[i32]) -> Result<Vec<f32>> {
    let entry = handles::get(id)?;
    with_trainer!(&*trainer(&entry, id)?, t => t.logits(tokens))
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
    with_trainer!(&*trainer(&entry, id)?, t => t.read(&request.name, request.which == Which::Gradient))
}

pub fn write(id: u32, name: &str, values: &[f32]) -> Result<()> {
    let entry = handles::get(id)?;
    with_trainer!(&mut *trainer(&entry, id)?, t => t.write(name, values))
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
    let params = with_trainer!(&*trainer, t => t.model().layout.params.iter());
    let list: Vec<_> = params.map(|p| Parameter { name: &p.name, shape: &p.shape, optimizer: p.optimizer }).collect();
    serde_json::to_string(&list).map_err(|e| Error::Internal(e.to_string()))
}

pub fn model_open(folder: &Path, threads: u32) -> Result<u32> {
    handles::insert(Object::Model(Arc::new(open_model(Cpu::new(threads as usize)?, folder)?)))
}

pub fn generator_new(id: u32, request: &str) -> Result<u32> {
    let request: GenerateRequest = parse("generation request", request)?;
    let entry = handles::get(id)?;
    let Object::Model(writer) = &entry.object else { return Err(Error::Handle(id)) };
    let generation = Generation::new(writer.clone(), request)?;
    handles::insert(Object::Generation(Box::new(generation.into())))
}

/// More text, at least one byte; empty when it has ended.
pub fn generator_next(id: u32, max_tokens: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let Object::Generation(generation) = &entry.object else { return Err(Error::Handle(id)) };
    let generation = &mut *lock(generation)?;
    let writer = generation.writer();
    loop {
        if entry.cancel.swap(false, Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        match writer.backend.install(|| generation.next(max_tokens.max(1) as usize))? {
            None => return Ok(String::new()),
            Some(text) if !text.is_empty() => return Ok(text),
            Some(_) => {}
        }
    }
}

pub fn job_new(request: &str) -> Result<u32> {
    let request: Job = parse("job", request)?;
    job(Work::Job(request))
}

pub fn score_new(id: u32, request: &str) -> Result<u32> {
    let request: ScoreRequest = parse("scoring request", request)?;
    let entry = handles::get(id)?;
    let Object::Model(writer) = &entry.object else { return Err(Error::Handle(id)) };
    job(Work::Score(writer.clone(), request))
}

fn job(work: Work) -> Result<u32> {
    handles::insert(Object::Job(Box::new(JobCall { work, report: None }.into())))
}

pub fn job_run(id: u32, stats: &Stats<'_>) -> Result<()> {
    let entry = handles::get(id)?;
    let Object::Job(call) = &entry.object else { return Err(Error::Handle(id)) };
    let mut call = lock(call)?;
    let report = watched(&entry, stats, |watch| match &call.work {
        Work::Job(request) => request.run(watch),
        Work::Score(writer, request) => {
            let lanes = (0..writer.backend.threads()).map(|_| Cpu::new(1)).collect::<Result<Vec<_>>>()?;
            report(&score(writer, &lanes, request, watch)?)
        }
    })?;
    call.report = Some(report);
    Ok(())
}

pub fn job_report(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let Object::Job(call) = &entry.object else { return Err(Error::Handle(id)) };
    lock(call)?.report.clone().ok_or_else(|| Error::Argument("Cannot report on the job: it was not run to its end".into()))
}
