//! Where a trainer computes: the request, and one type for the trainers of all devices.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::comm::{Comm, Place};
use crate::cpu::Cpu;
use crate::cuda::{Cuda, Kind, Precision};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::train::{Trainer, require_divisor};

/// A device by name.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeviceName {
    Cpu,
    Cuda,
    CudaEmulated,
    /// A GPU where there is one, else the CPU.
    Auto,
}

/// Which device is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    name: DeviceName,
    /// Where kernel libraries are looked for.
    folders: Vec<PathBuf>,
    /// Whether the processes of a launcher train together, this one among them.
    #[serde(default)]
    parallel: bool,
}

/// What was opened.
#[derive(Clone, Serialize)]
pub struct Opened {
    /// `cpu`, `cuda` or `cuda-emulated`.
    name: &'static str,
    /// The card.
    card: Option<String>,
    /// Why the CPU was taken for `auto`.
    fallback: Option<String>,
}

/// A trainer on any device.
pub enum AnyTrainer {
    Cpu(Trainer<Cpu>, Opened),
    Cuda(Trainer<Cuda>, Opened),
}

/// Evaluates `$body` with `$t` as the trainer, whatever its device.
macro_rules! with_trainer {
    ($trainer:expr, $t:ident => $body:expr) => {
        match $trainer {
            $crate::abi::device::AnyTrainer::Cpu($t, _) => $body,
            $crate::abi::device::AnyTrainer::Cuda($t, _) => $body,
        }
    };
}
pub(super) use with_trainer;

impl AnyTrainer {
    pub fn new(plan: Plan, request: &DeviceRequest, threads: usize) -> Result<Self> {
        let place = if request.parallel { Place::from_environment()? } else { Place::alone() };
        require_divisor(plan.train.batch, place.world)?;
        let on_cpu = |plan, fallback| {
            let trainer = Trainer::with_ranks(Cpu::new(threads)?, plan, Comm::<Cpu>::join(place.clone())?)?;
            Ok(AnyTrainer::Cpu(trainer, Opened { name: "cpu", card: None, fallback }))
        };
        let (kind, name) = match request.name {
            DeviceName::Cpu => return on_cpu(plan, None),
            DeviceName::Cuda | DeviceName::Auto => (Kind::Gpu, "cuda"),
            DeviceName::CudaEmulated => (Kind::Emulated, "cuda-emulated"),
        };
        match Cuda::open_local(kind, Precision::F32, &request.folders, place.local_rank) {
            Err(Error::Argument(reason)) if request.name == DeviceName::Auto => on_cpu(plan, Some(reason)),
            Err(error) => Err(error),
            Ok(cuda) => {
                let card = Some(cuda.info()?.name);
                let comm = Comm::<Cuda>::join(&cuda, place.clone())?;
                Ok(AnyTrainer::Cuda(Trainer::with_ranks(cuda, plan, comm)?, Opened { name, card, fallback: None }))
            }
        }
    }

    pub fn opened(&self) -> &Opened {
        match self {
            AnyTrainer::Cpu(_, opened) | AnyTrainer::Cuda(_, opened) => opened,
        }
    }

    /// Threads that prepare data.
    pub fn threads(&self) -> usize {
        match self {
            AnyTrainer::Cpu(trainer, _) => trainer.backend().threads(),
            AnyTrainer::Cuda(..) => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
