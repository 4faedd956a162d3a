//! A trainer from the opening of its device to its end, and its place among those that train together.

use serde::Serialize;
use serde_json::json;

use super::calls::{open_trainer, parse, to_json, together, trainer};
use super::device::{Any, DeviceRequest, on_device};
use super::handles::{self, Object, OpenTrainer};
use crate::comm::{Comm, Place};
use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::error::{Error, Result};
use crate::memory::{MemoryPlan, Room, require_training};
use crate::plan::Plan;
use crate::train::{Trainer, require_divisor};

pub fn trainer_new(plan: &str, device: &str) -> Result<u32> {
    let plan = Plan::parse(plan)?;
    let request: DeviceRequest = parse("device request", device)?;
    let place = request.place()?;
    require_divisor(plan.train.batch, place.world)?;
    let (backend, opened) = request.open(place.local_rank)?;
    let memory = require_training(&plan, opened.target, &place, opened.room.as_ref(), request.resuming)?;
    let trainer = match backend {
        Any::Cpu(cpu) => Any::Cpu(Trainer::with_ranks(cpu, plan, Comm::<Cpu>::join(place)?)?),
        Any::Cuda(cuda) => {
            let comm = Comm::<Cuda>::join(&cuda, place)?;
            Any::Cuda(Trainer::with_ranks(cuda, plan, comm)?)
        }
    };
    let trainer = trainer.into();
    handles::insert(Object::Trainer(Box::new(OpenTrainer { trainer, opened, memory })))
}

/// The device that a trainer was given.
pub fn trainer_device(id: u32) -> Result<String> {
    to_json(&open_trainer(&*handles::get(id)?, id)?.opened)
}

#[derive(Serialize)]
struct TrainerMemory<'a> {
    needed: MemoryPlan,
    room: Option<&'a Room>,
}

/// The memory that a trainer takes there.
pub fn trainer_memory(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let OpenTrainer { memory, opened, .. } = open_trainer(&entry, id)?;
    to_json(&TrainerMemory { needed: *memory, room: opened.room.as_ref() })
}

/// This process among those that a launcher started, by its environment.
pub fn place() -> Result<String> {
    to_json(&Place::from_environment()?)
}

/// The place that a trainer took, and what connects it with the others.
pub fn trainer_ranks(id: u32) -> Result<String> {
    let entry = handles::get(id)?;
    let trainer = trainer(&entry, id)?;
    let (place, engine) = on_device!(&*trainer, t => (t.comm().place().clone(), t.comm().engine()));
    Ok(json!({ "rank": place.rank, "world": place.world, "engine": engine }).to_string())
}

/// The end of training, for all ranks together.
pub fn leave(id: u32) -> Result<()> {
    let entry = handles::get(id)?;
    let trainer = &mut *trainer(&entry, id)?;
    let result = on_device!(trainer, t => t.leave());
    together(trainer, result)
}

/// The caller cannot go on: ends all other ranks, which say why. A trainer that has left, or is gone, has none.
pub fn fail(id: u32, reason: &str) -> Result<()> {
    let Ok(entry) = handles::get(id) else { return Ok(()) };
    together(&mut *trainer(&entry, id)?, Err::<(), _>(Error::Argument(reason.into()))).or(Ok(()))
}
