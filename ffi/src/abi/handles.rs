//! Integer handles: no pointer leaves the library, so a stale handle or a second free is an error instead of undefined
//! behaviour, and freeing during a call is safe because the call holds its own reference.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::device::{Any, Opened};
use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::error::{Error, Result};
use crate::generate::{Generation, Writer};
use crate::jobs::Job;
use crate::memory::MemoryPlan;
use crate::score::ScoreRequest;
use crate::train::Trainer;

pub type AnyTrainer = Any<Trainer<Cpu>, Trainer<Cuda>>;
pub type AnyWriter = Any<Arc<Writer<Cpu>>, Arc<Writer<Cuda>>>;
pub type AnyGeneration = Any<Generation<Cpu>, Generation<Cuda>>;

/// What a handle stands for.
pub enum Object {
    Trainer(Box<OpenTrainer>),
    Model(Box<OpenModel>),
    Generation(Box<Mutex<AnyGeneration>>),
    Job(Box<Mutex<JobCall>>),
}

/// A trainer, where it computes and the memory that it takes there.
pub struct OpenTrainer {
    pub trainer: Mutex<AnyTrainer>,
    pub opened: Opened,
    pub memory: MemoryPlan,
}

/// A model to write and score with, and where it computes.
pub struct OpenModel {
    pub writer: AnyWriter,
    pub opened: Opened,
}

/// What a job does.
pub enum Work {
    Job(Job),
    Score(AnyWriter, ScoreRequest),
}

/// Work and, when it is done, its report.
pub struct JobCall {
    pub work: Work,
    pub report: Option<String>,
}

/// An object and its cancel flag, which may be set while a call holds the object.
pub struct Entry {
    pub cancel: Arc<AtomicBool>,
    pub object: Object,
}

struct Slot {
    generation: u16,
    entry: Option<Arc<Entry>>,
}

static TABLE: Mutex<Vec<Slot>> = Mutex::new(Vec::new());

fn table() -> MutexGuard<'static, Vec<Slot>> {
    TABLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A slot by handle: generation in the high half, index + 1 in the low half; 0 is never a handle.
fn slot(table: &mut [Slot], id: u32) -> Option<&mut Slot> {
    let index = (id & 0xffff).checked_sub(1)? as usize;
    table.get_mut(index).filter(|s| s.generation == (id >> 16) as u16)
}

/// Gives `object` a handle.
pub fn insert(object: Object) -> Result<u32> {
    let mut table = table();
    let index = match table.iter().position(|s| s.entry.is_none()) {
        Some(index) => index,
        None if table.len() < 0xffff => {
            table.push(Slot { generation: 0, entry: None });
            table.len() - 1
        }
        None => return Err(Error::Internal("Cannot give another handle: 65535 are in use".into())),
    };
    let slot = &mut table[index];
    slot.generation = slot.generation.wrapping_add(1);
    slot.entry = Some(Arc::new(Entry { cancel: Arc::default(), object }));
    Ok(u32::from(slot.generation) << 16 | (index as u32 + 1))
}

/// The entry of a handle.
pub fn get(id: u32) -> Result<Arc<Entry>> {
    slot(&mut table(), id).and_then(|s| s.entry.clone()).ok_or(Error::Handle(id))
}

/// Forgets a handle; the object goes when the last running call ends.
pub fn free(id: u32) -> bool {
    let taken = slot(&mut table(), id).and_then(|s| s.entry.take());
    taken.is_some()
}

/// Asks the running call, or the next one, to stop.
pub fn cancel(id: u32) -> bool {
    get(id).map(|e| e.cancel.store(true, Ordering::Relaxed)).is_ok()
}

/// Locks an object; one whose call panicked is not used again.
pub fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::Internal("Cannot use this object: an earlier call on it panicked".into()))
}
