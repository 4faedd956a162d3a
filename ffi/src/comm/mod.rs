//! Several processes, the ranks, that train one model: each computes the gradients of its part of every micro-batch, and
//! owns a part of the optimizer's state (ZeRO-1, arXiv 1910.02054, by whole matrices).
//!
//! `place` says which process this is, `owners` who owns what, `buckets` when a gradient is complete. `Comm` moves
//! numbers between ranks through an engine, `mpi` (host memory) or `nccl` (GPUs), and `control` watches that all live:
//! whatever a rank waits for ends with an error when another one is gone. One process needs none of it.
//!
//! Every collective is called by all ranks in the same order. Sums have an order that depends on the number of ranks
//! alone, so that the same number gives the same bits.

mod buckets;
mod control;
mod host;
mod mpi;
mod nccl;
mod owners;
mod place;

pub use buckets::complete_after;
pub use control::Control;
pub use host::{HostCollectives, HostEngine};
pub use owners::{Shard, assign};
pub use place::{Launcher, Place};

use crate::backend::Backend;
use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::error::{Error, Result};

/// What happens to a part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// The owner gets the sum over ranks; what the others have is of no use afterwards.
    Reduce,
    /// All get what the owner has.
    Broadcast,
    /// Rank 0 gets what the owner has. Only these two call it, and they are not the same.
    Deliver,
}

/// `len` elements from `at` on of buffer `buffer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub kind: MoveKind,
    pub buffer: usize,
    pub at: usize,
    pub len: usize,
    pub owner: usize,
}

/// A way of moving numbers between ranks. Calls fail, instead of waiting for ever, when a rank is gone.
pub trait Engine<B: Backend>: Send {
    fn name(&self) -> &'static str;
    /// Starts moves, which go on while the caller computes. Their buffers must not be used before `finish`.
    fn start(&mut self, b: &B, moves: &[Move], buffers: &mut [B::F]) -> Result<()>;
    /// Waits for all moves started with these buffers.
    fn finish(&mut self, b: &B, buffers: &mut [B::F]) -> Result<()>;
    /// The values (n) of every rank, (W, n).
    fn all_gather(&mut self, b: &B, values: &[f64]) -> Result<Vec<f64>>;
    /// The end: waits for the others.
    fn leave(&mut self, b: &B) -> Result<()>;
}

/// The ranks of a run, seen from one of them.
pub struct Comm<B: Backend> {
    place: Place,
    /// None in a process of its own.
    engine: Option<Box<dyn Engine<B>>>,
    control: Option<Control>,
}

impl<B: Backend> Comm<B> {
    /// A process of its own.
    pub fn single() -> Self {
        Comm { place: Place::alone(), engine: None, control: None }
    }

    /// Ranks that are connected already.
    pub fn new(place: Place, engine: Box<dyn Engine<B>>, control: Option<Control>) -> Self {
        Comm { place, engine: Some(engine), control }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn rank(&self) -> usize {
        self.place.rank
    }

    /// Number of ranks.
    pub fn world(&self) -> usize {
        self.place.world
    }

    /// `single`, `mpi` or `nccl`.
    pub fn engine(&self) -> &'static str {
        self.engine.as_ref().map_or("single", |engine| engine.name())
    }

    /// What tells that a rank is gone.
    pub fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }

    /// Starts moves; see [`Engine::start`].
    pub fn start(&mut self, b: &B, moves: &[Move], buffers: &mut [B::F]) -> Result<()> {
        self.call(|engine| engine.start(b, moves, buffers)).unwrap_or(Ok(()))
    }

    /// Waits for moves; see [`Engine::finish`].
    pub fn finish(&mut self, b: &B, buffers: &mut [B::F]) -> Result<()> {
        self.call(|engine| engine.finish(b, buffers)).unwrap_or(Ok(()))
    }

    /// The values of every rank, by rank.
    pub fn gather(&mut self, b: &B, values: &[f64]) -> Result<Vec<Vec<f64>>> {
        match self.call(|engine| engine.all_gather(b, values)) {
            None => Ok(vec![values.to_vec()]),
            Some(all) => Ok(all?.chunks(values.len().max(1)).map(<[f64]>::to_vec).collect()),
        }
    }

    /// The values summed over ranks, in their order.
    pub fn sum(&mut self, b: &B, values: &[f64]) -> Result<Vec<f64>> {
        let mut all = self.gather(b, values)?.into_iter();
        let mut sums = all.next().unwrap_or_default();
        for more in all {
            sums.iter_mut().zip(more).for_each(|(sum, x)| *sum += x);
        }
        Ok(sums)
    }

    /// Tells all ranks that this one cannot go on, which ends them. Returns what there is to say here: when another rank
    /// was the first, that.
    pub fn fail(&mut self, error: Error) -> Error {
        match &self.control {
            Some(control) => control.fail(error),
            None => error,
        }
    }

    /// Leaves in good order, together with all others.
    pub fn leave(&mut self, b: &B) -> Result<()> {
        self.call(|engine| engine.leave(b)).unwrap_or(Ok(()))?;
        if let Some(control) = &self.control {
            control.leave();
        }
        Ok(())
    }

    fn call<R>(&mut self, body: impl FnOnce(&mut dyn Engine<B>) -> Result<R>) -> Option<Result<R>> {
        let engine = self.engine.as_mut()?;
        if let Some(error) = self.control.as_ref().and_then(Control::failure) {
            return Some(Err(error));
        }
        let result = body(engine.as_mut());
        // When a rank is gone, that is the reason, whatever the engine makes of it.
        Some(result.map_err(|error| self.control.as_ref().and_then(Control::failure).unwrap_or(error)))
    }
}

impl Comm<Cpu> {
    /// Joins the other ranks by MPI.
    pub fn join(place: Place) -> Result<Self> {
        if place.world == 1 {
            return Ok(Comm { place, engine: None, control: None });
        }
        if place.launcher == Launcher::Torchrun {
            return Err(Error::Argument(format!(
                "Cannot train with {} processes of torchrun on the CPU: they are connected by MPI there; start them with mpirun or srun, or use --device cuda",
                place.world
            )));
        }
        let (engine, control) = mpi::join(&place)?;
        Ok(Comm::new(place, Box::new(engine), Some(control)))
    }
}

impl Comm<Cuda> {
    /// Joins the other ranks by NCCL.
    pub fn join(b: &Cuda, place: Place) -> Result<Self> {
        if place.world == 1 {
            return Ok(Comm { place, engine: None, control: None });
        }
        let (engine, control) = nccl::join(b, &place)?;
        Ok(Comm::new(place, Box::new(engine), Some(control)))
    }
}
