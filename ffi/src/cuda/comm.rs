//! Collectives between GPUs, one process each.

use super::library::{In, Out};
use super::{Cuda, F};
use crate::error::Result;

/// Bytes of the id of a group of ranks.
const ID_BYTES: usize = 128;

impl Cuda {
    /// A new id for a group of ranks, to be given to all of them.
    pub fn comm_id(&self) -> Result<Vec<u8>> {
        let mut id = vec![0; ID_BYTES];
        self.device.comm_id(Out::host(&mut id), ID_BYTES)?;
        Ok(id)
    }

    /// Joins the group; waits until all ranks have.
    pub fn comm_join(&self, id: &[u8], rank: usize, world: usize) -> Result<()> {
        self.device.comm_join(In::host(id), id.len(), rank as u32, world as u32)
    }

    /// Begins moves of what was computed until now; they are made together after `comm_end`.
    pub fn comm_begin(&self) -> Result<()> {
        self.device.comm_begin()
    }

    /// `x[at..at + n]` of `owner` becomes the sum over ranks.
    pub fn comm_reduce(&self, x: &mut F, at: usize, n: usize, owner: usize) -> Result<()> {
        self.device.comm_reduce(x.output_from(at, n), n, owner as u32)
    }

    /// `x[at..at + n]` becomes that of `owner`.
    pub fn comm_broadcast(&self, x: &mut F, at: usize, n: usize, owner: usize) -> Result<()> {
        self.device.comm_broadcast(x.output_from(at, n), n, owner as u32)
    }

    /// `x[at..at + n]` of rank 0 becomes that of `owner`.
    pub fn comm_deliver(&self, x: &mut F, at: usize, n: usize, owner: usize) -> Result<()> {
        self.device.comm_deliver(x.output_from(at, n), n, owner as u32)
    }

    /// Starts the moves since `comm_begin`.
    pub fn comm_end(&self) -> Result<()> {
        self.device.comm_end()
    }

    /// What is computed from now on sees the moves done.
    pub fn comm_finish(&self) -> Result<()> {
        self.device.comm_finish()
    }

    /// The values (n) of every rank, (world, n).
    pub fn comm_gather(&self, values: &[f64], world: usize) -> Result<Vec<f64>> {
        let mut all = vec![0.0; values.len() * world];
        self.device.comm_gather(Out::host(&mut all), In::host(values), values.len(), world)?;
        Ok(all)
    }

    /// Leaves the group.
    pub fn comm_leave(&self) -> Result<()> {
        self.device.comm_leave()
    }
}
