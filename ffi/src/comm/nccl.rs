//! The engine `nccl`: GPUs, through the kernel library, on a stream of its own beside the one that computes.

use std::net::TcpListener;

use super::{Control, Engine, Move, MoveKind, Place};
use crate::cuda::Cuda;
use crate::error::{Error, Result};

/// Ranks connected by NCCL.
pub struct Nccl {
    world: usize,
}

impl Engine<Cuda> for Nccl {
    fn name(&self) -> &'static str {
        "nccl"
    }

    fn start(&mut self, b: &Cuda, moves: &[Move], buffers: &mut [<Cuda as crate::backend::Memory>::F]) -> Result<()> {
        b.comm_begin()?;
        for m in moves {
            let x = &mut buffers[m.buffer];
            match m.kind {
                MoveKind::Reduce => b.comm_reduce(x, m.at, m.len, m.owner)?,
                MoveKind::Broadcast => b.comm_broadcast(x, m.at, m.len, m.owner)?,
                MoveKind::Deliver => b.comm_deliver(x, m.at, m.len, m.owner)?,
            }
        }
        b.comm_end()
    }

    fn finish(&mut self, b: &Cuda, _: &mut [<Cuda as crate::backend::Memory>::F]) -> Result<()> {
        b.comm_finish()
    }

    fn all_gather(&mut self, b: &Cuda, values: &[f64]) -> Result<Vec<f64>> {
        b.comm_gather(values, self.world)
    }

    fn leave(&mut self, b: &Cuda) -> Result<()> {
        b.comm_leave()
    }
}

/// Meets the other ranks at the port after the master's, where rank 0 gives out the id of the group, and starts NCCL.
pub(super) fn join(b: &Cuda, place: &Place) -> Result<(Nccl, Control)> {
    let Some((host, port)) = place.master.clone() else {
        return Err(Error::Argument(
            "Cannot meet the other ranks: nothing says where rank 0 is; wanted MASTER_ADDR and MASTER_PORT in the environment".into(),
        ));
    };
    let port = port + 1;
    let (control, word) = if place.rank == 0 {
        let id = b.comm_id()?.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let listener = TcpListener::bind(("0.0.0.0", port)).map_err(|error| {
            Error::Argument(format!("Cannot meet the other ranks at port {port}: {error}; wanted a free port after MASTER_PORT"))
        })?;
        (Control::host(listener, place.world, &id)?, id)
    } else {
        Control::guest(&[(host, port)], place.rank, place.world)?
    };
    let bytes = (0..word.len() / 2).map(|i| u8::from_str_radix(word.get(2 * i..2 * i + 2).unwrap_or(""), 16));
    let id = bytes.collect::<std::result::Result<Vec<u8>, _>>();
    let id = id.map_err(|_| Error::Internal(format!("rank 0 sent the id \"{word}\"")))?;
    b.comm_join(&id, place.rank, place.world).map_err(|error| control.fail(error))?;
    Ok((Nccl { world: place.world }, control))
}
