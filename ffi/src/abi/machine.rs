//! What is asked of this build and machine: versions, devices, the memory that a plan would take there.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::calls::{parse, to_json};
use super::device::{DeviceRequest, Opened};
use crate::comm::Place;
use crate::cpu;
use crate::error::{Error, Result};
use crate::memory::{Change, MemoryPlan, Processes, Room, fewest_processes, smallest_change};
use crate::plan::Plan;

/// Version of the C functions; `ffi/ts/library.ts` wants the same.
pub const ABI_VERSION: u32 = 5;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryRequest {
    /// As JSON.
    plan: String,
    device: DeviceRequest,
}

#[derive(Serialize)]
struct MemoryReport {
    needed: MemoryPlan,
    room: Option<Room>,
    fits: bool,
    change: Option<Change>,
    processes: Option<Processes>,
    device: Option<Opened>,
    missing: Option<String>,
}

/// The memory that training by a plan takes on a device, which need not be here: then only a limit of the
/// environment is known of what there is.
pub fn memory(request: &str) -> Result<String> {
    let MemoryRequest { plan, device } = parse("memory request", request)?;
    let plan = Plan::parse(&plan)?;
    let limit = Room::of(None)?;
    let (opened, missing) = match device.open(0) {
        Ok((_, opened)) => (Some(opened), None),
        Err(Error::Argument(reason)) if device.may_be_missing() => (None, Some(reason)),
        Err(error) => return Err(error),
    };
    let target = opened.as_ref().map_or(device.target(), |opened| opened.target);
    let room = opened.as_ref().map_or(limit, |opened| opened.room.clone());
    let alone = Place::alone();
    let needed = MemoryPlan::training(&plan, target, &alone)?;
    let lacking = room.as_ref().filter(|room| needed.total > room.bytes);
    let change = lacking.map(|room| smallest_change(&plan, target, &alone, room)).transpose()?.flatten();
    let processes = lacking.map(|room| fewest_processes(&plan, target, &alone, room)).transpose()?.flatten();
    to_json(&MemoryReport { needed, fits: lacking.is_none(), room, change, processes, device: opened, missing })
}

/// What a device is: opens it and closes it again.
pub fn device(request: &str) -> Result<String> {
    to_json(&parse::<DeviceRequest>("device request", request)?.open(0)?.1)
}
