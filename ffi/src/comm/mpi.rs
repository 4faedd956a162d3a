//! The engine `mpi`: Open MPI, opened at run time, so that nothing is needed to build and nothing where it is not used.
//! One thread makes all its calls. The types are those of Open MPI 2 to 5, whose handles are addresses of its objects.

use std::ffi::{c_char, c_int, c_void};
use std::net::TcpListener;

use libloading::Library;

use super::{Control, HostCollectives, HostEngine, Place};
use crate::error::{Error, Result};

/// Names of the library, best first.
const NAMES: [&str; 3] = ["libmpi.so.40", "libmpi.so", "libmpi.40.dylib"];

const MPI_SUCCESS: c_int = 0;
/// Levels of threads: the first that lets a program have threads, and the one that is asked for.
const MPI_THREAD_FUNNELED: c_int = 1;
const MPI_THREAD_SERIALIZED: c_int = 2;
/// In the place of a buffer: it is the other one.
const MPI_IN_PLACE: *const c_void = std::ptr::without_provenance(1);
const MPI_STATUS_IGNORE: *mut c_void = std::ptr::null_mut();
/// Tag of deliveries.
const TAG: c_int = 1;
/// Elements of one call, whose counts are `int`.
const MOST: usize = 1 << 26;

/// An object of the library: a communicator, a type, an operation.
type Object = *const c_void;

/// The functions and objects of the library.
struct Functions {
    init_thread: unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> c_int,
    comm_rank: unsafe extern "C" fn(Object, *mut c_int) -> c_int,
    comm_size: unsafe extern "C" fn(Object, *mut c_int) -> c_int,
    reduce: unsafe extern "C" fn(*const c_void, *mut c_void, c_int, Object, Object, c_int, Object) -> c_int,
    bcast: unsafe extern "C" fn(*mut c_void, c_int, Object, c_int, Object) -> c_int,
    allgather: unsafe extern "C" fn(*const c_void, c_int, Object, *mut c_void, c_int, Object, Object) -> c_int,
    send: unsafe extern "C" fn(*const c_void, c_int, Object, c_int, c_int, Object) -> c_int,
    recv: unsafe extern "C" fn(*mut c_void, c_int, Object, c_int, c_int, Object, *mut c_void) -> c_int,
    finalize: unsafe extern "C" fn() -> c_int,
    set_errhandler: unsafe extern "C" fn(Object, Object) -> c_int,
    world: Object,
    errors_return: Object,
    float: Object,
    double: Object,
    byte: Object,
    sum: Object,
}

impl Functions {
    /// Opens the library, which stays open.
    fn open() -> Result<Self> {
        let mut reason = String::new();
        for name in NAMES {
            match open(name) {
                Ok(library) => {
                    let functions = Self::load(&library).map_err(|error| {
                        Error::Argument(format!("Cannot use {name} to connect the ranks: wanted Open MPI, 2 or newer ({error})"))
                    })?;
                    std::mem::forget(library);
                    return Ok(functions);
                }
                Err(error) if reason.is_empty() => reason = error.to_string(),
                Err(_) => {}
            }
        }
        Err(Error::Argument(format!("Cannot connect the ranks by MPI: wanted the library of Open MPI ({reason})")))
    }

    fn load(library: &Library) -> std::result::Result<Self, libloading::Error> {
        // SAFETY: only Open MPI has the objects `ompi_mpi_*`, and its functions have had these types since version 2; every symbol is
        // looked up before any is called.
        unsafe {
            let object = |name: &str| library.get::<*const c_void>(name).map(|symbol| symbol.into_raw().as_raw_ptr().cast_const());
            Ok(Functions {
                world: object("ompi_mpi_comm_world")?,
                errors_return: object("ompi_mpi_errors_return")?,
                float: object("ompi_mpi_float")?,
                double: object("ompi_mpi_double")?,
                byte: object("ompi_mpi_byte")?,
                sum: object("ompi_mpi_op_sum")?,
                init_thread: *library.get("MPI_Init_thread")?,
                comm_rank: *library.get("MPI_Comm_rank")?,
                comm_size: *library.get("MPI_Comm_size")?,
                reduce: *library.get("MPI_Reduce")?,
                bcast: *library.get("MPI_Bcast")?,
                allgather: *library.get("MPI_Allgather")?,
                send: *library.get("MPI_Send")?,
                recv: *library.get("MPI_Recv")?,
                finalize: *library.get("MPI_Finalize")?,
                set_errhandler: *library.get("MPI_Comm_set_errhandler")?,
            })
        }
    }
}

/// Its plugins look for its symbols among those of the whole process.
#[cfg(unix)]
fn open(name: &str) -> std::result::Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: what runs when the library is loaded is its own set-up.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn open(name: &str) -> std::result::Result<Library, libloading::Error> {
    // SAFETY: as above.
    unsafe { Library::new(name) }
}

/// MPI as it was started by this thread, which makes all calls.
struct Mpi {
    functions: Functions,
    rank: c_int,
    world: usize,
}

fn check(action: &str, code: c_int) -> Result<()> {
    if code == MPI_SUCCESS { Ok(()) } else { Err(Error::Device(format!("Cannot {action}: MPI answers error {code}"))) }
}

impl Mpi {
    fn start(place: &Place) -> Result<Self> {
        let f = Functions::open()?;
        let (mut provided, mut rank, mut world) = (0, 0, 0);
        // SAFETY: the addresses are valid for the writes; MPI takes no arguments when these are null.
        unsafe {
            let no_arguments = std::ptr::null_mut();
            check("start MPI", (f.init_thread)(no_arguments, std::ptr::null_mut(), MPI_THREAD_SERIALIZED, &mut provided))?;
            // Else an error ends the process, and nobody learns which rank was the reason.
            check("ask MPI to return errors", (f.set_errhandler)(f.world, f.errors_return))?;
            check("ask MPI for the rank", (f.comm_rank)(f.world, &mut rank))?;
            check("ask MPI for the number of ranks", (f.comm_size)(f.world, &mut world))?;
        }
        if provided < MPI_THREAD_FUNNELED {
            return Err(Error::Argument("Cannot use this MPI: it allows no threads, wanted MPI_THREAD_FUNNELED".into()));
        }
        if (rank as usize, world as usize) != (place.rank, place.world) {
            return Err(Error::Argument(format!(
                "Cannot use this MPI: it says rank {rank} of {world}, the launcher rank {} of {}; wanted the launcher of the same MPI, under Slurm srun --mpi=pmix",
                place.rank, place.world
            )));
        }
        Ok(Mpi { functions: f, rank, world: world as usize })
    }

    /// Gives all ranks the bytes of rank 0.
    fn share(&mut self, bytes: &mut [u8]) -> Result<()> {
        let f = &self.functions;
        // SAFETY: the slice has as many bytes as are named.
        check("share the address of rank 0", unsafe { (f.bcast)(bytes.as_mut_ptr().cast(), bytes.len() as c_int, f.byte, 0, f.world) })
    }
}

// SAFETY of the calls below: pointers and counts are those of slices, cut so that a count fits an `int`.
impl HostCollectives for Mpi {
    fn reduce(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        let f = &self.functions;
        let owner = owner as c_int;
        x.chunks_mut(MOST).try_for_each(|x| {
            let (at, n) = (x.as_mut_ptr().cast::<c_void>(), x.len() as c_int);
            let (from, to) = if self.rank == owner { (MPI_IN_PLACE, at) } else { (at.cast_const(), std::ptr::null_mut()) };
            check("sum gradients", unsafe { (f.reduce)(from, to, n, f.float, f.sum, owner, f.world) })
        })
    }

    fn broadcast(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        let f = &self.functions;
        x.chunks_mut(MOST).try_for_each(|x| {
            let (at, n) = (x.as_mut_ptr().cast(), x.len() as c_int);
            check("share weights", unsafe { (f.bcast)(at, n, f.float, owner as c_int, f.world) })
        })
    }

    fn deliver(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        let f = &self.functions;
        x.chunks_mut(MOST).try_for_each(|x| {
            let (at, n) = (x.as_mut_ptr().cast::<c_void>(), x.len() as c_int);
            let code = unsafe {
                if self.rank == 0 {
                    (f.recv)(at, n, f.float, owner as c_int, TAG, f.world, MPI_STATUS_IGNORE)
                } else {
                    (f.send)(at, n, f.float, 0, TAG, f.world)
                }
            };
            check("gather the state of the optimizer", code)
        })
    }

    fn all_gather(&mut self, x: &[f64]) -> Result<Vec<f64>> {
        let (f, n) = (&self.functions, x.len() as c_int);
        let mut all = vec![0.0; x.len() * self.world];
        let code = unsafe { (f.allgather)(x.as_ptr().cast(), n, f.double, all.as_mut_ptr().cast(), n, f.double, f.world) };
        check("gather numbers", code).map(|()| all)
    }

    fn leave(&mut self) -> Result<()> {
        check("end MPI", unsafe { (self.functions.finalize)() })
    }
}

/// Starts MPI and the control line, whose address rank 0 gives to the others by MPI.
pub(super) fn join(place: &Place) -> Result<(HostEngine, Control)> {
    let mine = place.clone();
    let open = move || {
        let mut mpi = Mpi::start(&mine)?;
        let listener = if mine.rank == 0 { Some(listen()?) } else { None };
        let mut address = [0u8; 256];
        if let Some((_, port)) = &listener {
            let text = format!("{port} {}", host_name());
            address[..text.len()].copy_from_slice(text.as_bytes());
        }
        mpi.share(&mut address)?;
        Ok((mpi, (listener, String::from_utf8_lossy(&address).trim_end_matches('\0').to_string())))
    };
    let (mut engine, (listener, address)) = HostEngine::start("mpi", open)?;
    let control = match listener {
        Some((listener, _)) => Control::host(listener, place.world, "")?,
        None => {
            let (port, host) = address.split_once(' ').unwrap_or_default();
            let port = port.parse().map_err(|_| Error::Internal(format!("rank 0 sent the address \"{address}\"")))?;
            // On the machine of rank 0 its name may mean anything.
            let host = if host == host_name() { "127.0.0.1" } else { host };
            Control::guest(&[(host.to_string(), port)], place.rank, place.world)?.0
        }
    };
    engine.watch(control.clone());
    Ok((engine, control))
}

/// A port of the system's choice.
fn listen() -> Result<(TcpListener, u16)> {
    let refused = |error| Error::Device(format!("Cannot meet the other ranks: opening a port: {error}"));
    let listener = TcpListener::bind(("0.0.0.0", 0)).map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    Ok((listener, port))
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().take(200).collect()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
