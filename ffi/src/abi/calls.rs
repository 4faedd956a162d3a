//! The calls of the C border on plain Rust values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::device::{DeviceRequest, Opened, map_device, on_device};
use super::handles::{self, AnyTrainer, Entry, JobCall, Object, OpenModel, OpenTrainer, Work, lock};
use super::stats::Stats;
use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::cpu;
use crate::data::jobs::report;
use crate::data::{Settings, Watch, open_stream, prepare};
use crate::error::{Error, Result};
use crate::generate::{GenerateRequest, Generation};
use crate::jobs::Job;
use crate::layout::Layout;
use crate::memory::{MemoryPlan, require_training, smallest_change};
use crate::plan::{OrderSpec, Plan};
use crate::score::{ScoreRequest, score};
use crate::train::{EvalReport, StepReport, Trainer, open_model};

/// Version of the C functions; `ffi/ts/library.ts` wants the same.
pub const ABI_VERSION: u32 = 5;

fn open_trainer(entry: &Entry, id: u32) -> Result<&OpenTrainer> {
    match &entry.object {
        Object::Trainer(open) => Ok(open),
        _ => Err(Error::Handle(id)),
    }
}

fn trainer(entry: &Entry, id: u32) -> Result<MutexGuard<'_, AnyTrainer>> {
    lock(&open_trainer(entry, id)?.trainer)
}

fn open_model_of(entry: &Entry, id: u32) -> Result<&OpenModel> {
    match &entry.object {
        Object::Model(open) => Ok(open),
        _ => Err(Error::Handle(id)),
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))
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

pub fn trainer_new(plan: &str, device: &str) -> Result<u32> {
    let plan = Plan::parse(plan)?;
    let (backend, opened) = parse::<DeviceRequest>("device request", device)?.open()?;
    let memory = require_training(&plan, opened.target, opened.room.as_ref())?;
    let trainer = map_device!(backend, b => Trainer::new(b, plan)?).into();
    handles::insert(Object::Trainer(Box::new(OpenTrainer { trainer, opened, memory })))
}

/// The device that a trainer was given.
pub fn trainer_device(id: u32) -> Result<String> {
    to_json(&open_trainer(&*handles::get(id)?, id)?.opened)
}

/// The memory that a trainer takes there.
pub fn trainer_memory(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let OpenTrainer { memory, opened, .. } = open_trainer(&entry, id)?;
    to_json(&json!({ "needed": memory, "room": opened.room }))
}

/// The memory that training by a plan takes on a device, which need not be here: what there is of it is null then.
pub fn memory_of(plan: &str, device: &str) -> Result<String> {
    let plan = Plan::parse(plan)?;
    let request: DeviceRequest = parse("device request", device)?;
    let (opened, missing) = match request.open() {
        Ok((_, opened)) => (Some(opened), None),
        Err(Error::Argument(reason)) => (None, Some(reason)),
        Err(error) => return Err(error),
    };
    let target = opened.as_ref().map_or(request.target(), |opened| opened.target);
    let room = opened.as_ref().and_then(|opened| opened.room.as_ref());
    let needed = MemoryPlan::training(&plan, target)?;
    let lacking = room.filter(|room| needed.total > room.bytes);
    let change = lacking.map(|room| smallest_change(&plan, target, room)).transpose()?.flatten();
    to_json(&json!({ "needed": needed, "room": room, "fits": lacking.is_none(), "change": change, "device": opened, "missing": missing }))
}

/// What a device is: opens it and closes it again.
pub fn device(request: &str) -> Result<String> {
    to_json(&parse::<DeviceRequest>("device request", request)?.open()?.1)
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
    let plan = on_device!(&*trainer, t => t.plan().clone());
    let cache_dir = &request.cache_dir;
    if plan.data.order == OrderSpec::Stream {
        let (stream, info) = watched(&entry, stats, |watch| open_stream(&plan, cache_dir, &request.commits, threads, 0, 1, watch))?;
        on_device!(&mut *trainer, t => t.attach_stream(stream, info));
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
    let corpus = watched(&entry, stats, |watch| prepare(&request.files, &settings, cache_dir, watch))?;
    on_device!(&mut *trainer, t => t.attach(Arc::new(corpus)));
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
    let report: StepReport = watched(&entry, stats, |watch| {
        on_device!(trainer, t => t.backend().install(|| match tokens {
            Some(tokens) => t.step_tokens(tokens, watch),
            None => t.step(watch),
        }))
    })?;
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
    let report: EvalReport = watched(&entry, stats, |watch| {
        on_device!(trainer, t => t.backend().install(|| match on {
            EvalOn::HeldOut(batches) => t.evaluate(batches, watch),
            EvalOn::Tokens(tokens) => t.evaluate_tokens(tokens, watch),
        }))
    })?;
    stats.eval(&report);
    Ok(())
}

pub fn save(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    on_device!(&*trainer(&entry, id)?, t => t.save(folder))
}

pub fn load(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    on_device!(&mut *trainer(&entry, id)?, t => t.load(folder))
}

pub fn load_weights(id: u32, folder: &Path) -> Result<()> {
    let entry = handles::get(id)?;
    on_device!(&mut *trainer(&entry, id)?, t => t.load_weights(folder))
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

pub fn model_open(folder: &Path, device: &str) -> Result<u32> {
    let (backend, opened) = parse::<DeviceRequest>("device request", device)?.open()?;
    let plan = Plan::parse(Checkpoint::open(folder)?.plan())?;
    admit(&opened, &Layout::new(&plan)?, 1)?;
    let writer = map_device!(backend, b => open_model(b, folder)?.into());
    handles::insert(Object::Model(Box::new(OpenModel { writer, opened })))
}

/// Refuses a text of `capacity` tokens for which the device has no room.
fn admit(opened: &Opened, layout: &Layout, capacity: usize) -> Result<()> {
    let Some(room) = &opened.room else { return Ok(()) };
    let needed = MemoryPlan::generation(layout, capacity, opened.target)?;
    room.require(&needed, "generate", || Ok("wanted a smaller model, fewer tokens or another device".into()))
}

/// The device that a model was given.
pub fn model_device(id: u32) -> Result<String> {
    to_json(&open_model_of(&*handles::get(id)?, id)?.opened)
}

pub fn generator_new(id: u32, request: &str) -> Result<u32> {
    let request: GenerateRequest = parse("generation request", request)?;
    let entry = handles::get(id)?;
    let OpenModel { writer, opened } = open_model_of(&entry, id)?;
    let admit = |layout: &Layout, capacity| admit(opened, layout, capacity);
    let generation = map_device!(writer, w => Generation::new(w.clone(), request, admit)?);
    handles::insert(Object::Generation(Box::new(generation.into())))
}

/// More text, at least one byte; empty when it has ended.
pub fn generator_next(id: u32, max_tokens: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let Object::Generation(generation) = &entry.object else { return Err(Error::Handle(id)) };
    let generation = &mut *lock(generation)?;
    loop {
        if entry.cancel.swap(false, Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        match on_device!(generation, g => g.writer().backend.install(|| g.next(max_tokens.max(1) as usize)))? {
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
    job(Work::Score(map_device!(&open_model_of(&entry, id)?.writer, w => w.clone()), request))
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
        Work::Score(writer, request) => on_device!(writer, w => report(&score(w, &w.backend.lanes()?, request, watch)?)),
    })?;
    call.report = Some(report);
    Ok(())
}

pub fn job_report(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let Object::Job(call) = &entry.object else { return Err(Error::Handle(id)) };
    lock(call)?.report.clone().ok_or_else(|| Error::Argument("Cannot report on the job: it was not run to its end".into()))
}
