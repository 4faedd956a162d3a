//! This process's place among those that a launcher started: torchrun, Open MPI, another MPI by PMI, or Slurm, as their
//! environment variables say.

use serde::Serialize;

use crate::error::{Error, Result};

/// Port of the rendezvous where nothing names one, as torchrun has it.
const DEFAULT_PORT: u16 = 29500;

/// Who started the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launcher {
    /// One process, started by nobody in particular.
    None,
    Torchrun,
    OpenMpi,
    Pmi,
    Slurm,
}

/// Rank and number of the processes, and where they find each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
    /// Number of this process among those of its machine: its GPU.
    pub local_rank: usize,
    pub launcher: Launcher,
    /// Host of rank 0 and a port for the launcher's own use; the next port is ours. None where nothing names a host and
    /// the processes may be on several machines.
    #[serde(skip)]
    pub master: Option<(String, u16)>,
}

/// The variables of a launcher: rank, number of processes, rank on the machine.
const LAUNCHERS: [(Launcher, [&str; 3]); 4] = [
    (Launcher::Torchrun, ["RANK", "WORLD_SIZE", "LOCAL_RANK"]),
    (Launcher::OpenMpi, ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"]),
    (Launcher::Pmi, ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"]),
    (Launcher::Slurm, ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"]),
];

impl Place {
    /// A process on its own.
    pub fn alone() -> Self {
        Place { rank: 0, world: 1, local_rank: 0, launcher: Launcher::None, master: None }
    }

    /// What the environment of this process says.
    pub fn from_environment() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// What variables say; `get` looks one up. The first launcher in the list that set any of its variables counts, and
    /// must have set all.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        for (launcher, names) in LAUNCHERS {
            // The script of a Slurm job has the job's variables, too; only what srun starts is one of several.
            let is_script = launcher == Launcher::Slurm && get("SLURM_STEP_ID").is_none();
            if is_script || names[..2].iter().all(|name| get(name).is_none()) {
                continue;
            }
            let [rank, world, local_rank] = names;
            let (rank, world) = (number(&get, rank)?, number(&get, world)?);
            if world == 0 || rank >= world {
                return Err(Error::Argument(format!(
                    "Cannot take a place among processes: {} is {rank} and {} is {world}; wanted a rank below the number of processes",
                    names[0], names[1]
                )));
            }
            if world == 1 {
                return Ok(Self { launcher, ..Self::alone() });
            }
            let local_rank = number(&get, local_rank)?;
            let master = master(&get, launcher, world)?;
            return Ok(Place { rank, world, local_rank, launcher, master });
        }
        Ok(Self::alone())
    }
}

fn number(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<usize> {
    let text = get(name).ok_or_else(|| {
        Error::Argument(format!("Cannot take a place among processes: {name} is not set, its launcher's other variables are"))
    })?;
    text.parse().map_err(|_| {
        Error::Argument(format!("Cannot take a place among processes: {name} is \"{text}\", wanted a whole number of at least 0"))
    })
}

/// Where rank 0 is to be found.
fn master(get: &impl Fn(&str) -> Option<String>, launcher: Launcher, world: usize) -> Result<Option<(String, u16)>> {
    let port = match get("MASTER_PORT") {
        Some(text) => {
            let port = text.parse().ok().filter(|port| (1..u16::MAX).contains(port));
            port.ok_or_else(|| {
                Error::Argument(format!("Cannot take a place among processes: MASTER_PORT is \"{text}\", wanted 1 to 65534"))
            })?
        }
        None if launcher == Launcher::Torchrun => return Err(unset("MASTER_PORT")),
        None => DEFAULT_PORT,
    };
    let on_one_machine = get("OMPI_COMM_WORLD_LOCAL_SIZE").is_some_and(|size| size == world.to_string());
    let host = match (get("MASTER_ADDR"), launcher) {
        (Some(host), _) => Some(host),
        (None, Launcher::Torchrun) => return Err(unset("MASTER_ADDR")),
        (None, Launcher::Slurm) => get("SLURM_LAUNCH_NODE_IPADDR"),
        (None, Launcher::OpenMpi) if on_one_machine => Some("127.0.0.1".into()),
        (None, _) => None,
    };
    Ok(host.map(|host| (host, port)))
}

fn unset(name: &str) -> Error {
    Error::Argument(format!("Cannot take a place among processes: {name} is not set, RANK and WORLD_SIZE are"))
}
