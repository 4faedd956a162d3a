//! The memory that there is: a run that does not fit is refused, with the smallest change that makes it fit.

use serde::Serialize;

use super::{MemoryPlan, Target};
use crate::comm::Place;
use crate::error::{Error, Result};
use crate::plan::Plan;

/// Bounds the memory of a run on any device, in bytes.
const VARIABLE: &str = "BOWLINE_MEMORY_LIMIT";

/// Memory that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    pub bytes: u64,
    /// Whose it is, such as `free on NVIDIA H100`.
    pub is: String,
}

/// A change of the manifest, and the memory that is needed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// As `--set` takes them.
    pub settings: Vec<String>,
    pub total: u64,
}

/// More processes, and the memory that each of them needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Processes {
    pub count: usize,
    /// Of the one that needs most.
    pub total: u64,
}

impl Room {
    /// What is free on a card, if it is one, and within the limit of the environment, if there is one.
    pub fn of(card: Option<Room>) -> Result<Option<Room>> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(card) };
        let text = text.to_string_lossy();
        let bytes = text.parse().map_err(|_| Error::Argument(format!("Cannot use {VARIABLE} \"{text}\": wanted a number of bytes")))?;
        Ok(Some(match card {
            Some(card) if card.bytes < bytes => card,
            _ => Room { bytes, is: format!("allowed by {VARIABLE}") },
        }))
    }

    /// Refuses what needs more than there is; `remedy` says what would fit.
    pub fn require(&self, needed: &MemoryPlan, action: &str, remedy: impl FnOnce() -> Result<String>) -> Result<()> {
        if needed.total <= self.bytes {
            return Ok(());
        }
        let (need, have) = (text(needed.total), text(self.bytes));
        Err(Error::Argument(format!("Cannot {action}: {need} are needed and {have} are {}; {}", self.is, remedy()?)))
    }
}

/// The memory of training by `plan`, refused where it does not fit into `room`. A run that goes on keeps its plan: what would
/// fit is then no change of it.
pub fn require_training(plan: &Plan, target: Target, place: &Place, room: Option<&Room>, is_resuming: bool) -> Result<MemoryPlan> {
    let needed = MemoryPlan::training(plan, target, place)?;
    let Some(room) = room else { return Ok(needed) };
    room.require(&needed, "train", || {
        let change = if is_resuming { None } else { smallest_change(plan, target, place, room)? };
        let processes = fewest_processes(plan, target, place, room)?;
        let more = processes.map(|Processes { count, total }| format!("with {count} processes ({} each)", text(total)));
        if is_resuming {
            let remedy = more.unwrap_or_else(|| "with more memory".into());
            return Ok(format!("a run that goes on keeps its manifest: it fits {remedy}, or perhaps on another --device"));
        }
        let change = change.map(|Change { settings, total }| {
            let settings: Vec<_> = settings.iter().map(|setting| format!("--set {setting}")).collect();
            format!("with {} ({})", settings.join(" "), text(total))
        });
        let remedies: Vec<_> = change.into_iter().chain(more).collect();
        Ok(if remedies.is_empty() {
            "neither train.recompute=true nor a smaller train.batch nor more processes make it fit, wanted a smaller model".into()
        } else {
            format!("it fits {}", remedies.join(", or "))
        })
    })?;
    Ok(needed)
}

/// The fewest processes, more than there are, that can share the batch and that each have enough in as much memory.
pub fn fewest_processes(plan: &Plan, target: Target, place: &Place, room: &Room) -> Result<Option<Processes>> {
    let batch = plan.train.batch;
    for world in (place.world + 1..=batch).filter(|world| batch.is_multiple_of(*world)) {
        let at = |rank| MemoryPlan::training(plan, target, &Place { rank, world, ..Place::alone() });
        // Ranks differ in nothing but their moments.
        let first = at(0)?;
        if first.total - first.optimizer > room.bytes {
            continue;
        }
        let mut total = first.total;
        for rank in 1..world {
            total = total.max(at(rank)?.total);
        }
        if total <= room.bytes {
            return Ok(Some(Processes { count: world, total }));
        }
    }
    Ok(None)
}

/// The first of these that fits: recomputation; a smaller batch with more accumulation, so that a step has the same windows;
/// both. Of batches it is the largest.
pub fn smallest_change(plan: &Plan, target: Target, place: &Place, room: &Room) -> Result<Option<Change>> {
    let (batch, is_recomputing) = (plan.train.batch, plan.train.recompute);
    let smaller = || (1..batch).rev().filter(|part| batch.is_multiple_of(*part) && part.is_multiple_of(place.world));
    let recompute = (!is_recomputing).then_some((true, batch));
    let split = smaller().map(|batch| (is_recomputing, batch));
    let both = smaller().filter(|_| !is_recomputing).map(|batch| (true, batch));
    for (recompute, part) in recompute.into_iter().chain(split).chain(both) {
        let mut changed = plan.clone();
        changed.train.recompute = recompute;
        changed.train.batch = part;
        changed.train.accumulation *= batch / part;
        let total = MemoryPlan::training(&changed, target, place)?.total;
        if total <= room.bytes {
            let mut settings = Vec::new();
            if recompute != is_recomputing {
                settings.push("train.recompute=true".into());
            }
            if part != batch {
                settings.push(format!("train.batch={part}"));
                settings.push(format!("train.accumulation={}", changed.train.accumulation));
            }
            return Ok(Some(Change { settings, total }));
        }
    }
    Ok(None)
}

/// A number of bytes for people, in decimal units.
pub fn text(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|&(unit, _)| bytes as f64 >= unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit),
        None => format!("{bytes} B"),
    }
}
