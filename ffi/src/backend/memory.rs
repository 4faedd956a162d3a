//! The memory of a device, and a device that has none: what is allocated on it is only counted, so that a plan of memory is
//! made by the very code that allocates.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;

/// A device that holds buffers. `F` is a buffer of f32, `I` a buffer of i32.
pub trait Memory: Send + Sync + Sized + 'static {
    type F: Send + Sync;
    type I: Send + Sync;

    /// A zeroed buffer of `len` elements.
    fn zeros(&self, len: usize) -> Result<Self::F>;
    /// A zeroed buffer of `len` elements.
    fn zeros_i32(&self, len: usize) -> Result<Self::I>;
    /// Overwrites the first `src.len()` elements of `dst`.
    fn upload(&self, dst: &mut Self::F, src: &[f32]) -> Result<()>;
    /// Overwrites the first `src.len()` elements of `dst`.
    fn upload_i32(&self, dst: &mut Self::I, src: &[i32]) -> Result<()>;
    /// Overwrites `dst` with the first `dst.len()` elements of `src`.
    fn download(&self, dst: &mut [f32], src: &Self::F) -> Result<()>;
    /// Overwrites `dst` with the first `dst.len()` elements of `src`.
    fn download_i32(&self, dst: &mut [i32], src: &Self::I) -> Result<()>;

    /// The buffer itself, when it lies in host memory.
    fn host<'a>(&self, x: &'a Self::F) -> Option<&'a [f32]>;
    /// The buffer itself, when it lies in host memory.
    fn host_mut<'a>(&self, x: &'a mut Self::F) -> Option<&'a mut [f32]>;
}

/// Counts what would be allocated. Its buffers have no content.
#[derive(Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Bytes that `allocate` asks for.
    pub fn bytes<R>(allocate: impl FnOnce(&Meter) -> Result<R>) -> Result<u64> {
        let meter = Meter::default();
        allocate(&meter)?;
        Ok(meter.0.into_inner())
    }

    fn count<T>(&self, len: usize) -> Result<()> {
        self.0.fetch_add((len * size_of::<T>()) as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Memory for Meter {
    type F = ();
    type I = ();

    fn zeros(&self, len: usize) -> Result<()> {
        self.count::<f32>(len)
    }
    fn zeros_i32(&self, len: usize) -> Result<()> {
        self.count::<i32>(len)
    }
    fn upload(&self, _: &mut (), _: &[f32]) -> Result<()> {
        Ok(())
    }
    fn upload_i32(&self, _: &mut (), _: &[i32]) -> Result<()> {
        Ok(())
    }
    fn download(&self, _: &mut [f32], _: &()) -> Result<()> {
        Ok(())
    }
    fn download_i32(&self, _: &mut [i32], _: &()) -> Result<()> {
        Ok(())
    }

    fn host<'a>(&self, _: &'a ()) -> Option<&'a [f32]> {
        None
    }
    fn host_mut<'a>(&self, _: &'a mut ()) -> Option<&'a mut [f32]> {
        None
    }
}
