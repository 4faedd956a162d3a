//! Where things are computed: the request, what was opened for it, and one type for what exists on each kind of device.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::comm::Place;
use crate::cpu::Cpu;
use crate::cuda::{Cuda, Kind, Precision};
use crate::error::{Error, Result};
use crate::memory::{Room, Target};

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
    /// f32 on the CPU and bf16 elsewhere, unless it is told.
    precision: Option<Precision>,
    /// Where kernel libraries are looked for.
    folders: Vec<PathBuf>,
    /// CPU threads; 0 means all cores.
    threads: usize,
    /// Whether the processes of a launcher train together, this one among them.
    parallel: bool,
    /// Whether a run goes on, whose plan cannot be changed.
    pub resuming: bool,
}

/// What was opened.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// `cpu`, `cuda` or `cuda-emulated`.
    name: &'static str,
    precision: Precision,
    /// The card.
    card: Option<Card>,
    /// Why the CPU was taken for `auto`.
    fallback: Option<String>,
    /// Threads that compute, or that prepare data for a device that does.
    #[serde(skip)]
    pub threads: usize,
    /// The memory that may be used, where that is bounded.
    #[serde(skip)]
    pub room: Option<Room>,
    #[serde(skip)]
    pub target: Target,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Card {
    name: String,
    /// Bytes.
    memory: u64,
    free: u64,
    driver: String,
}

/// One of two, by the kind of device that it is on.
pub enum Any<C, G> {
    Cpu(C),
    Cuda(G),
}

/// Evaluates `$body` with `$x` as what is on the device, whatever that is.
macro_rules! on_device {
    ($any:expr, $x:ident => $body:expr) => {
        match $any {
            $crate::abi::device::Any::Cpu($x) => $body,
            $crate::abi::device::Any::Cuda($x) => $body,
        }
    };
}

/// As [`on_device`], and the value stays with its kind of device.
macro_rules! map_device {
    ($any:expr, $x:ident => $body:expr) => {
        match $any {
            $crate::abi::device::Any::Cpu($x) => $crate::abi::device::Any::Cpu($body),
            $crate::abi::device::Any::Cuda($x) => $crate::abi::device::Any::Cuda($body),
        }
    };
}
pub(super) use {map_device, on_device};

impl DeviceRequest {
    /// This process among those that train together.
    pub fn place(&self) -> Result<Place> {
        if self.parallel { Place::from_environment() } else { Ok(Place::alone()) }
    }

    /// Opens the device; of several GPUs that of process `local_rank` of this machine.
    pub fn open(&self, local_rank: usize) -> Result<(Any<Cpu, Cuda>, Opened)> {
        let (kind, name) = match self.name {
            DeviceName::Cpu => return self.open_cpu(None),
            DeviceName::Cuda | DeviceName::Auto => (Kind::Gpu, "cuda"),
            DeviceName::CudaEmulated => (Kind::Emulated, "cuda-emulated"),
        };
        let precision = self.precision.unwrap_or(Precision::Bf16);
        match Cuda::open_local(kind, precision, &self.folders, local_rank) {
            Err(Error::Argument(reason)) => match self.name {
                DeviceName::Auto => self.open_cpu(Some(reason)),
                _ => Err(Error::Argument(format!("{reason}; the device cpu needs none of it"))),
            },
            Err(error) => Err(error),
            Ok(cuda) => {
                let info = cuda.info()?;
                let free = Room { bytes: info.free, is: format!("free on {}", info.name) };
                let opened = Opened {
                    name,
                    precision,
                    card: Some(Card { name: info.name, memory: info.total, free: info.free, driver: info.driver }),
                    fallback: None,
                    threads: self.threads(),
                    // the emulator's memory is that of this machine, whatever it says
                    room: Room::of((kind == Kind::Gpu).then_some(free))?,
                    target: Target::Cuda(precision),
                };
                Ok((Any::Cuda(cuda), opened))
            }
        }
    }

    fn open_cpu(&self, fallback: Option<String>) -> Result<(Any<Cpu, Cuda>, Opened)> {
        if self.precision == Some(Precision::Bf16) {
            let why = fallback.map(|reason| format!(" ({reason})")).unwrap_or_default();
            return Err(Error::Argument(format!(
                "Cannot compute in bf16 on the device cpu{why}: wanted the precision f32, or the device cuda or cuda-emulated"
            )));
        }
        let cpu = Cpu::new(self.threads)?;
        let threads = cpu.threads();
        let target = Target::Cpu { threads };
        Ok((Any::Cpu(cpu), Opened { name: "cpu", precision: Precision::F32, card: None, fallback, threads, room: Room::of(None)?, target }))
    }

    fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Whether the device is one that not every machine has.
    pub fn may_be_missing(&self) -> bool {
        matches!(self.name, DeviceName::Cuda | DeviceName::CudaEmulated)
    }

    /// What the memory of ops depends on, whether or not the device is here.
    pub fn target(&self) -> Target {
        match self.name {
            DeviceName::Cpu => Target::Cpu { threads: self.threads() },
            _ => Target::Cuda(self.precision.unwrap_or(Precision::Bf16)),
        }
    }
}
