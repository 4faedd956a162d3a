//! The kernel library behind `kernels/include/kernels.h`: loading it, opening a device, and the table of its functions. The `unsafe` of
//! the device border stands here; the other files pass buffers whose lengths are known.

use std::error::Error as _;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};

/// `BOWLINE_KERNELS_ABI` of the header that the table was written for.
const ABI: u32 = 4;
/// Statuses that the user can do something about.
const SETUP: [i32; 3] = [1 /* BOWLINE_NO_DRIVER */, 2 /* BOWLINE_NO_DEVICE */, 4 /* BOWLINE_UNSUPPORTED */];
const TEXT_BYTES: usize = 512;

/// Memory that a function reads: of the device, or of the host where the header says so.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct In<'a, T>(*const T, PhantomData<&'a T>);

/// Memory that a function writes.
#[repr(transparent)]
pub struct Out<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<'a, T> In<'a, T> {
    pub fn host(x: &'a [T]) -> Self {
        In(x.as_ptr(), PhantomData)
    }
    /// Without its first `n` elements.
    pub fn skip(self, n: usize) -> Self {
        In(self.0.wrapping_add(n), PhantomData)
    }
    /// The same memory as bytes.
    pub fn bytes(self) -> In<'a, u8> {
        In(self.0.cast(), PhantomData)
    }
}

impl<'a, T> Out<'a, T> {
    pub fn host(x: &'a mut [T]) -> Self {
        Out(x.as_mut_ptr(), PhantomData)
    }
    /// Without its first `n` elements.
    pub fn skip(self, n: usize) -> Self {
        Out(self.0.wrapping_add(n), PhantomData)
    }
    /// The same memory as bytes.
    pub fn bytes(self) -> Out<'a, u8> {
        Out(self.0.cast(), PhantomData)
    }
}

/// Device memory of one buffer; null when it has no elements.
pub struct Memory<T>(*mut T);

// SAFETY: the address means something to the device only, whose calls are made one at a time; a host thread never follows it.
unsafe impl<T: Send> Send for Memory<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Memory<T> {}

impl<T> Memory<T> {
    pub fn input(&self) -> In<'_, T> {
        In(self.0, PhantomData)
    }
    pub fn output(&mut self) -> Out<'_, T> {
        Out(self.0, PhantomData)
    }
}

/// The opened device of the library, `bowline_device *`.
struct Handle(*mut c_void);

// SAFETY: the library keeps no state of a thread; the mutex around the handle makes its calls one at a time.
unsafe impl Send for Handle {}

/// An open device.
pub struct Device {
    functions: Functions,
    handle: Mutex<Handle>,
    /// Bytes of all buffers.
    allocated: AtomicU64,
}

/// The functions of kernels.h that take a device and answer a status: their addresses, and a method for each.
macro_rules! functions {
    ($($name:ident($($arg:ident: $type:ty),* $(,)?);)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn(*mut c_void, $($type),*) -> i32,)*
        }

        impl Functions {
            fn load(library: &libloading::Library) -> std::result::Result<Self, libloading::Error> {
                // SAFETY: the ABI number was compared, so the functions have the types of the header that this table mirrors.
                Ok(Functions { $($name: *unsafe { library.get(concat!("bowline_", stringify!($name)))? },)* })
            }
        }

        impl Device {
            $(pub fn $name(&self, $($arg: $type),*) -> Result<()> {
                let handle = self.lock();
                // SAFETY: the handle is open, and the caller's buffers hold the shapes that the function's line in the header names:
                // every `In` and `Out` was made from a slice or a buffer whose length was compared with them.
                let status = unsafe { (self.functions.$name)(handle.0, $($arg),*) };
                self.check(&handle, status)
            })*
        }
    };
}

functions! {
    close();
    set_precision(precision: i32);
    error(text: Out<u8>, size: usize);
    info(name: Out<u8>, size: usize, total: Out<u64>, free: Out<u64>, driver: Out<i32>);
    working(bytes: Out<u64>);

    alloc(memory: Out<*mut c_void>, bytes: usize);
    release(memory: Out<u8>);
    upload(out: Out<u8>, x: In<u8>, bytes: usize);
    download(out: Out<u8>, x: In<u8>, bytes: usize);

    comm_id(id: Out<u8>, size: usize);
    comm_join(id: In<u8>, size: usize, rank: u32, world: u32);
    comm_begin();
    comm_reduce(x: Out<f32>, n: usize, owner: u32);
    comm_broadcast(x: Out<f32>, n: usize, owner: u32);
    comm_deliver(x: Out<f32>, n: usize, owner: u32);
    comm_end();
    comm_finish();
    comm_gather(out: Out<f64>, x: In<f64>, n: usize, world: usize);
    comm_leave();

    fill(out: Out<f32>, value: f32, n: usize);
    copy(out: Out<f32>, x: In<f32>, n: usize);
    add(out: Out<f32>, x: In<f32>, n: usize);
    sum_squares(sum: Out<f64>, x: In<f32>, n: usize);

    embedding_forward(out: Out<f32>, bad: Out<usize>, table: In<f32>, tokens: In<i32>, t: usize, v: usize, d: usize);
    embedding_backward(d_table: Out<f32>, d_out: In<f32>, tokens: In<i32>, t: usize, v: usize, d: usize);

    rmsnorm_forward(out: Out<f32>, x: In<f32>, w: In<f32>, rows: usize, d: usize, eps: f32);
    rmsnorm_backward(d_x: Out<f32>, d_w: Out<f32>, x: In<f32>, w: In<f32>, d_out: In<f32>, rows: usize, d: usize, eps: f32);

    linear_forward(out: Out<f32>, x: In<f32>, w: In<f32>, rows: usize, o: usize, i: usize, is_f32: i32);
    linear_backward_input(d_x: Out<f32>, d_out: In<f32>, w: In<f32>, rows: usize, o: usize, i: usize, is_f32: i32);
    linear_backward_weight(d_w: Out<f32>, d_out: In<f32>, x: In<f32>, rows: usize, o: usize, i: usize, is_f32: i32);

    clamp_forward(x: Out<f32>, limit: f32, n: usize);
    clamp_backward(d_x: Out<f32>, x: In<f32>, limit: f32, n: usize);

    rope_forward(x: Out<f32>, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32);
    rope_backward(d_x: Out<f32>, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32);

    attention_forward(
        out: Out<f32>, lse: Out<f32>, q: In<f32>, k: In<f32>, v: In<f32>,
        batch: usize, seq: usize, heads: usize, kv_heads: usize, p: usize,
    );
    attention_backward(
        d_q: Out<f32>, d_k: Out<f32>, d_v: Out<f32>,
        out: In<f32>, lse: In<f32>, q: In<f32>, k: In<f32>, v: In<f32>, d_out: In<f32>,
        batch: usize, seq: usize, heads: usize, kv_heads: usize, p: usize,
    );
    attention_cached(
        out: Out<f32>, k_cache: Out<f32>, v_cache: Out<f32>, q: In<f32>, k: In<f32>, v: In<f32>,
        start: usize, seq: usize, heads: usize, kv_heads: usize, p: usize,
    );

    router_forward(
        scores: Out<f32>, lse: Out<f32>, expert_ids: Out<i32>, combine_weights: Out<f32>, sums: Out<f64>, logits: In<f32>,
        t: usize, e: usize, k: usize, choose_first: i32, renormalize: i32,
    );
    router_backward(
        d_logits: Out<f32>, scores: In<f32>, lse: In<f32>, expert_ids: In<i32>, combine_weights: In<f32>,
        d_combine_weights: In<f32>, balance: In<f32>, z: f32, t: usize, e: usize, k: usize, choose_first: i32, renormalize: i32,
    );

    dispatch_plan(offsets: Out<i32>, slot_of_row: Out<i32>, row_of_slot: Out<i32>, expert_ids: In<i32>, n: usize, e: usize);
    permute(rows: Out<f32>, x: In<f32>, slot_of_row: In<i32>, n: usize, k: usize, d: usize);
    combine(out: Out<f32>, rows: In<f32>, row_of_slot: In<i32>, t: usize, k: usize, d: usize);

    grouped_linear_forward(out: Out<f32>, x: In<f32>, w: In<f32>, offsets: In<i32>, most_rows: usize, e: usize, o: usize, i: usize);
    grouped_linear_backward_input(d_x: Out<f32>, d_out: In<f32>, w: In<f32>, offsets: In<i32>, most_rows: usize, e: usize, o: usize, i: usize);
    grouped_linear_backward_weight(d_w: Out<f32>, d_out: In<f32>, x: In<f32>, offsets: In<i32>, most_rows: usize, e: usize, o: usize, i: usize);

    swiglu_forward(act: Out<f32>, gate_up: In<f32>, combine_weights: In<f32>, slot_of_row: In<i32>, n: usize, f: usize);
    swiglu_backward(
        d_act: Out<f32>, gate_up: Out<f32>, d_combine_weights: Out<f32>,
        combine_weights: In<f32>, slot_of_row: In<i32>, n: usize, f: usize,
    );

    cross_entropy_forward(losses: Out<f32>, bad: Out<usize>, h: In<f32>, w: In<f32>, targets: In<i32>, t: usize, v: usize, d: usize);
    cross_entropy_forward_backward(
        losses: Out<f32>, d_h: Out<f32>, d_w: Out<f32>, bad: Out<usize>,
        h: In<f32>, w: In<f32>, targets: In<i32>, grad_scale: f32, t: usize, v: usize, d: usize,
    );

    adamw_step(
        w: Out<f32>, m: Out<f32>, v: Out<f32>, g: In<f32>, n: usize,
        lr: f32, beta1: f32, beta2: f32, eps: f32, weight_decay: f32, update: u64, grad_scale: f32,
    );
    muon_step(
        w: Out<f32>, m: Out<f32>, g: In<f32>, count: usize, rows: usize, cols: usize,
        lr: f32, momentum: f32, weight_decay: f32, newton_schulz_steps: u32, grad_scale: f32,
    );
}

impl Device {
    /// Opens the device of number `local_rank` of the library at `path`, counting on from the first again after the last.
    pub fn open(path: &Path, local_rank: usize) -> Result<Device> {
        let fail = |error: libloading::Error| {
            // the loader's own text is the source of the error
            let reason = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
            Error::Argument(format!("Cannot load the kernel library {}: {reason}", path.display()))
        };
        // SAFETY: the library is this project's own; what runs when it is loaded are the constructors of C++ statics.
        let library = unsafe { libloading::Library::new(path) }.map_err(fail)?;
        // SAFETY: the function has had this type since ABI 1.
        let abi = unsafe { (*library.get::<unsafe extern "C" fn() -> u32>("bowline_kernels_abi").map_err(fail)?)() };
        if abi != ABI {
            return Err(Error::Argument(format!(
                "Cannot use the kernel library {}: its ABI is {abi}, {ABI} is wanted; build it again",
                path.display()
            )));
        }
        let functions = Functions::load(&library).map_err(fail)?;
        type Count = unsafe extern "C" fn() -> u32;
        // SAFETY: as for the table.
        let count = unsafe { (*library.get::<Count>("bowline_device_count").map_err(fail)?)() };
        // Where there is none, opening the first says why.
        let ordinal = local_rank as u32 % count.max(1);
        type Open = unsafe extern "C" fn(*mut *mut c_void, u32) -> i32;
        // SAFETY: as for the table.
        let open = unsafe { *library.get::<Open>("bowline_open").map_err(fail)? };
        // Never closed: nothing is won by it, and threads of a driver may still run.
        std::mem::forget(library);
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` is valid for the write.
        let status = unsafe { open(&mut handle, ordinal) };
        if handle.is_null() {
            return Err(Error::Device("Cannot open a device: no host memory is left".into()));
        }
        let device = Device { functions, handle: Mutex::new(Handle(handle)), allocated: AtomicU64::new(0) };
        device.check(&device.lock(), status)?;
        Ok(device)
    }

    /// Zeroed memory for `len` elements.
    pub fn memory<T>(&self, len: usize) -> Result<Memory<T>> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or_else(|| Error::Device(format!("Cannot allocate {len} elements")))?;
        let mut at = [std::ptr::null_mut()];
        self.alloc(Out::host(&mut at), bytes)?;
        self.allocated.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(Memory(at[0].cast()))
    }

    /// Frees what [`Device::memory`] gave for `len` elements.
    pub fn free<T>(&self, memory: &mut Memory<T>, len: usize) -> Result<()> {
        self.allocated.fetch_sub((len * size_of::<T>()) as u64, Ordering::Relaxed);
        self.release(memory.output().bytes())
    }

    /// Bytes of all buffers, and of the library's working memory.
    pub fn held(&self) -> Result<[u64; 2]> {
        let mut bytes = [0];
        self.working(Out::host(&mut bytes))?;
        Ok([self.allocated.load(Ordering::Relaxed), bytes[0]])
    }

    fn lock(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The error of a status, with the library's own text.
    fn check(&self, handle: &Handle, status: i32) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let mut text = [0; TEXT_BYTES];
        // SAFETY: the handle is open and `text` has as many bytes as are named.
        unsafe { (self.functions.error)(handle.0, Out::host(&mut text), TEXT_BYTES) };
        let text = until_zero(&text);
        Err(if SETUP.contains(&status) { Error::Argument(text) } else { Error::Device(text) })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nothing uses it afterwards.
        unsafe { (self.functions.close)(self.lock().0) };
    }
}

/// A zero-terminated text.
pub fn until_zero(text: &[u8]) -> String {
    String::from_utf8_lossy(text.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// The file of a kernel library: what `BOWLINE_KERNELS` names, else the first of `folders` that has it.
pub fn find(file: &str, folders: &[PathBuf], remedy: &str) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("BOWLINE_KERNELS") {
        let named = PathBuf::from(named);
        return Ok(if named.is_dir() { named.join(file) } else { named });
    }
    folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file()).ok_or_else(|| {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let places =
            if folders.is_empty() { "BOWLINE_KERNELS is not set".into() } else { format!("it is not in {}", folders.join(" or ")) };
        Error::Argument(format!("Cannot find the kernel library {file}: {places}; {remedy}, or set BOWLINE_KERNELS to its file"))
    })
}
