//! A trained model that writes and scores text, and jobs: what is made once and asked for its result.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::calls::{parse, to_json, watched};
use super::device::{DeviceRequest, Opened, map_device, on_device};
use super::handles::{self, Entry, JobCall, Object, OpenModel, Work, lock};
use super::stats::Stats;
use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::data::jobs::report;
use crate::error::{Error, Result};
use crate::generate::{GenerateRequest, Generation};
use crate::jobs::Job;
use crate::layout::Layout;
use crate::memory::MemoryPlan;
use crate::plan::Plan;
use crate::score::{ScoreRequest, score};
use crate::train::open_model;

fn opened_model(entry: &Entry, id: u32) -> Result<&OpenModel> {
    match &entry.object {
        Object::Model(open) => Ok(open),
        _ => Err(Error::Handle(id)),
    }
}

pub fn model_open(folder: &Path, device: &str) -> Result<u32> {
    let (backend, opened) = parse::<DeviceRequest>("device request", device)?.open(0)?;
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
    to_json(&opened_model(&*handles::get(id)?, id)?.opened)
}

pub fn generator_new(id: u32, request: &str) -> Result<u32> {
    let request: GenerateRequest = parse("generation request", request)?;
    let entry = handles::get(id)?;
    let OpenModel { writer, opened } = opened_model(&entry, id)?;
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
    job(Work::Score(map_device!(&opened_model(&entry, id)?.writer, w => w.clone()), request))
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
