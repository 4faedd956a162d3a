//! Core of Bowline: training and serving of Mixture-of-Experts models whose layers share expert banks.
//!
//! This file is the C border and nothing else: it turns pointers into slices, and errors and panics into a status.
//! Conventions: text and JSON are UTF-8 with a u32 length; `status` and `stats` are the caller's blocks (`abi/status.rs`,
//! `abi/stats.rs`); a function that returns bytes writes nothing when `cap` is too small and returns the size needed.

#![allow(clippy::missing_safety_doc)] // one text for all of them stands below

pub mod backend;
pub mod checkpoint;
pub mod comm;
pub mod cpu;
pub mod cuda;
pub mod data;
pub mod error;
pub mod files;
pub mod generate;
pub mod interop;
pub mod jobs;
pub mod layout;
pub mod memory;
pub mod model;
pub mod optim;
pub mod plan;
pub mod score;
pub mod train;

mod abi;

use std::path::Path;
use std::sync::atomic::AtomicU64;

use abi::calls::{self, EvalOn};
use abi::handles;
use abi::machine;
use abi::stats::{STATS_LEN, Stats};
use abi::status::Status;
use abi::texts;
use abi::trainers;
use error::{Error, Result};

/// The caller's `len` elements.
///
/// # Safety
/// `ptr` must be valid for reads of `len` elements for `'a`, or `len` must be 0.
unsafe fn slice<'a, T>(ptr: *const T, len: u32) -> &'a [T] {
    // An empty view may come with a null or dangling pointer.
    if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(ptr, len as usize) } }
}

/// The caller's text.
///
/// # Safety
/// As for [`slice`].
unsafe fn text<'a>(ptr: *const u8, len: u32) -> Result<&'a str> {
    std::str::from_utf8(unsafe { slice(ptr, len) })
        .map_err(|e| Error::Argument(format!("Cannot read a text argument: it is not UTF-8 ({e})")))
}

/// Copies `from` out when it fits; returns its length.
///
/// # Safety
/// `out` must be valid for writes of `cap` elements, or `cap` must be 0.
unsafe fn copy_out<T: Copy>(from: &[T], out: *mut T, cap: u32) -> Result<u32> {
    let len = u32::try_from(from.len())
        .map_err(|_| Error::Argument(format!("Cannot copy {} elements out: wanted fewer than 2^32", from.len())))?;
    if len <= cap {
        // SAFETY: `out` has room for `cap >= len` elements, and `from` is the library's own memory.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), out, from.len()) };
    }
    Ok(len)
}

/// # Safety
/// `ptr` must be valid and 8-byte aligned for 32 f64 during the call.
unsafe fn stats<'a>(ptr: *const AtomicU64) -> Stats<'a> {
    Stats(unsafe { &*ptr.cast::<[AtomicU64; STATS_LEN]>() })
}

// SAFETY, for every function below: the pointers come from TypeScript's `buffer` parameters, which keep the memory alive
// during the call, and each length is taken from the view that is passed.

#[unsafe(no_mangle)]
pub extern "C" fn bowline_abi_version() -> u32 {
    machine::ABI_VERSION
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_info(out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(machine::info()?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_device(request: *const u8, len: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(machine::device(text(request, len)?)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_memory(request: *const u8, len: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(machine::memory(text(request, len)?)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub extern "C" fn bowline_free(id: u32) -> bool {
    handles::free(id)
}

#[unsafe(no_mangle)]
pub extern "C" fn bowline_cancel(id: u32) -> bool {
    handles::cancel(id)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_new(plan: *const u8, len: u32, device: *const u8, device_len: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| trainers::trainer_new(unsafe { text(plan, len) }?, unsafe { text(device, device_len) }?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_device(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(trainers::trainer_device(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_memory(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(trainers::trainer_memory(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_place(out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(trainers::place()?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_ranks(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(trainers::trainer_ranks(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_leave(id: u32, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| trainers::leave(id));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_fail(id: u32, reason: *const u8, len: u32, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| trainers::fail(id, unsafe { text(reason, len) }?));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_attach_data(
    id: u32,
    request: *const u8,
    len: u32,
    out: *const AtomicU64,
    status: *mut Status,
) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::attach_data(id, unsafe { text(request, len) }?, &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_data_info(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(calls::data_info(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_step(id: u32, out: *const AtomicU64, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::step(id, None, &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_step_tokens(
    id: u32,
    tokens: *const i32,
    len: u32,
    out: *const AtomicU64,
    status: *mut Status,
) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::step(id, Some(unsafe { slice(tokens, len) }), &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_evaluate(id: u32, batches: u32, out: *const AtomicU64, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::evaluate(id, EvalOn::HeldOut(batches as usize), &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_evaluate_tokens(
    id: u32,
    tokens: *const i32,
    len: u32,
    out: *const AtomicU64,
    status: *mut Status,
) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::evaluate(id, EvalOn::Tokens(unsafe { slice(tokens, len) }), &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_save(id: u32, folder: *const u8, len: u32, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::save(id, Path::new(unsafe { text(folder, len) }?)));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_load(id: u32, folder: *const u8, len: u32, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::load(id, Path::new(unsafe { text(folder, len) }?)));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_load_weights(id: u32, folder: *const u8, len: u32, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::load_weights(id, Path::new(unsafe { text(folder, len) }?)));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_logits(
    id: u32,
    tokens: *const i32,
    len: u32,
    out: *mut f32,
    cap: u32,
    status: *mut Status,
) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(&calls::logits(id, slice(tokens, len))?, out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_read(id: u32, request: *const u8, len: u32, out: *mut f32, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(&calls::read(id, text(request, len)?)?, out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_write(
    id: u32,
    name: *const u8,
    len: u32,
    data: *const f32,
    count: u32,
    status: *mut Status,
) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| calls::write(id, unsafe { text(name, len) }?, unsafe { slice(data, count) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_trainer_parameters(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(calls::parameters(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_job_new(request: *const u8, len: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| texts::job_new(unsafe { text(request, len) }?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_job_run(id: u32, out: *const AtomicU64, status: *mut Status) -> i32 {
    let status = unsafe { &mut *status };
    status.guard(|| texts::job_run(id, &unsafe { stats(out) }));
    status.code()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_job_report(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(texts::job_report(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_model_open(folder: *const u8, len: u32, device: *const u8, device_len: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| texts::model_open(Path::new(unsafe { text(folder, len) }?), unsafe { text(device, device_len) }?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_model_device(id: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(texts::model_device(id)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_generator_new(id: u32, request: *const u8, len: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| texts::generator_new(id, unsafe { text(request, len) }?))
}

/// A job that scores texts by a model; it is run, asked and freed as other jobs are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_score_new(id: u32, request: *const u8, len: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| texts::score_new(id, unsafe { text(request, len) }?))
}

/// More text of a generation, or 0 bytes when it has ended. Text that does not fit `cap` is lost: pass at least 256 bytes per token.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bowline_generator_next(id: u32, max_tokens: u32, out: *mut u8, cap: u32, status: *mut Status) -> u32 {
    unsafe { &mut *status }.guard(|| unsafe { copy_out(texts::generator_next(id, max_tokens)?.as_bytes(), out, cap) })
}

#[unsafe(no_mangle)]
pub extern "C" fn bowline_probe(threads: u32) -> f64 {
    cpu::probe::gflops(threads as usize)
}
