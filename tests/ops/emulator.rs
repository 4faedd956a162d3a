//! The kernels on the emulated GPU, in several orders of blocks, warps and lanes; or on a GPU, as often, where BOWLINE_DEVICE is `cuda`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use bowline::cuda::{Cuda, Kind, Precision};
use libloading::Library;

/// Orders of execution that every case runs in; 0 is the natural one.
const SEEDS: usize = 5;

/// Which of the two it is.
fn kind() -> Kind {
    if std::env::var_os("BOWLINE_DEVICE").is_some_and(|name| name == "cuda") { Kind::Gpu } else { Kind::Emulated }
}

pub struct Emulator {
    f32: Cuda,
    /// Of compute capability 8.0: products by mma.sync.
    bf16: Cuda,
    /// Of compute capability 9.0: products by wgmma.
    wgmma: Cuda,
    library: Library,
    /// Whether the checker is built in, which takes up to a hundred times as long.
    pub is_checked: bool,
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
        // SAFETY: it is opened again below, as the kernel library.
        let library = unsafe { Library::new(&path) }.unwrap();
        let [f32, bf16, wgmma] = [(Precision::F32, 80), (Precision::Bf16, 80), (Precision::Bf16, 90)].map(|(precision, capability)| {
            // a card has one capability
            if kind() == Kind::Emulated {
                // SAFETY: the function has this type in kernels/emulator/runtime.h.
                unsafe { library.get::<unsafe extern "C" fn(u32)>("emulator_set_capability").unwrap()(capability) };
            }
            Cuda::open(kind(), precision, std::slice::from_ref(&folder)).unwrap()
        });
        let is_checked = path.file_name().is_some_and(|name| name == "libbowline_cuda_checked.so");
        Some(Emulator { f32, bf16, wgmma, library, is_checked })
    }

    /// A device on which blocks, warps and lanes run in the order of `seed` from now on.
    pub fn with(&self, seed: usize, precision: Precision) -> &Cuda {
        self.set_seed(seed);
        match precision {
            Precision::F32 => &self.f32,
            Precision::Bf16 => &self.bf16,
        }
    }

    /// The same in bf16, with products by wgmma.
    pub fn with_wgmma(&self, seed: usize) -> &Cuda {
        self.set_seed(seed);
        &self.wgmma
    }

    fn set_seed(&self, seed: usize) {
        if kind() == Kind::Emulated {
            // SAFETY: the function has this type in kernels/emulator/launch.h.
            unsafe { self.library.get::<unsafe extern "C" fn(u32)>("emulator_set_seed").unwrap()(seed as u32) };
        }
    }

    /// How many seeds a case runs under. The checker finds a race in any order; only asynchronous copies, of which there are none in
    /// f32, are done early or late.
    pub fn seeds(&self, precision: Precision) -> usize {
        match (self.is_checked, precision) {
            (false, _) => SEEDS,
            (true, Precision::F32) => 1,
            (true, Precision::Bf16) => 2,
        }
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
