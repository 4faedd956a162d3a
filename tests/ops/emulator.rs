//! The kernels on the emulated GPU, in several orders of blocks, warps and lanes; or on a GPU, as often, where BOWLINE_DEVICE is `cuda`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use bowline::cuda::{Cuda, Kind, Precision};
use libloading::Library;

/// Orders of execution that every case runs in; 0 is the natural one.
pub const SEEDS: usize = 3;

/// Which of the two it is.
fn kind() -> Kind {
    if std::env::var_os("BOWLINE_DEVICE").is_some_and(|name| name == "cuda") { Kind::Gpu } else { Kind::Emulated }
}

pub struct Emulator {
    cuda: Cuda,
    library: Library,
}

impl Emulator {
    fn open() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels/build");
        // the same file with its checker, when the environment names that
        let path = std::env::var_os("BOWLINE_KERNELS").map_or_else(|| folder.join(kind().file()), PathBuf::from);
        if !path.is_file() && kind() == Kind::Emulated && std::env::var_os("CI").is_none() {
            eprintln!("skip the emulated GPU: {} is not built; run \"deno task build:emulated\"", path.display());
            return None;
        }
        let cuda = Cuda::open(kind(), Precision::F32, &[folder]).unwrap();
        // SAFETY: the library was loaded a line above.
        Some(Emulator { cuda, library: unsafe { Library::new(path) }.unwrap() })
    }

    /// The device, on which blocks, warps and lanes run in the order of `seed` from now on.
    pub fn with_seed(&self, seed: usize) -> &Cuda {
        if kind() == Kind::Emulated {
            // SAFETY: the function has this type in kernels/emulator/launch.h.
            unsafe { self.library.get::<unsafe extern "C" fn(u32)>("emulator_set_seed").unwrap()(seed as u32) };
        }
        &self.cuda
    }

    /// What the checker has found so far: accesses out of bounds, races, reads of what nobody wrote. 0 where it is not built in.
    fn check_errors(&self) -> usize {
        if kind() == Kind::Gpu {
            return 0;
        }
        // SAFETY: as above.
        unsafe { self.library.get::<unsafe extern "C" fn() -> usize>("emulator_check_errors").unwrap()() }
    }
}

/// Runs `body` with the emulated GPU, where there is one; one caller at a time, since the order of execution belongs to all.
pub fn on_emulator(body: impl FnOnce(&Emulator)) {
    static EMULATOR: OnceLock<Option<Mutex<Emulator>>> = OnceLock::new();
    if let Some(emulator) = EMULATOR.get_or_init(|| Emulator::open().map(Mutex::new)) {
        let emulator = emulator.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = emulator.check_errors();
        body(&emulator);
        assert_eq!(emulator.check_errors(), before, "the checker of the emulator found faults; they stand above");
    }
}
