//! Device memory with a length. It is taken as an argument of a kernel by how many elements the kernel's shape has, so that a
//! buffer that is too short stops the program instead of a kernel writing behind it.

use std::sync::Arc;

use bytemuck::Pod;

use super::library::{Device, In, Memory, Out};
use crate::error::Result;

/// `len` elements of device memory, freed when dropped.
pub struct Buffer<T: Pod> {
    device: Arc<Device>,
    memory: Memory<T>,
    len: usize,
}

impl<T: Pod> Buffer<T> {
    /// Zeros.
    pub fn zeros(device: &Arc<Device>, len: usize) -> Result<Self> {
        Ok(Buffer { memory: device.memory(len)?, device: device.clone(), len })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first `n` elements, to read.
    pub fn input(&self, n: usize) -> In<'_, T> {
        assert!(n <= self.len, "a kernel reads {n} elements of a buffer of {}", self.len);
        self.memory.input()
    }

    /// The first `n` elements, to write.
    pub fn output(&mut self, n: usize) -> Out<'_, T> {
        assert!(n <= self.len, "a kernel writes {n} elements of a buffer of {}", self.len);
        self.memory.output()
    }

    /// `n` elements from `at` on, to read.
    pub fn input_from(&self, at: usize, n: usize) -> In<'_, T> {
        self.input(at + n).skip(at)
    }

    /// `n` elements from `at` on, to write.
    pub fn output_from(&mut self, at: usize, n: usize) -> Out<'_, T> {
        self.output(at + n).skip(at)
    }

    /// Overwrites the first elements with `src`.
    pub fn upload(&mut self, src: &[T]) -> Result<()> {
        let device = self.device.clone();
        device.upload(self.output(src.len()).bytes(), In::host(src).bytes(), size_of_val(src))
    }

    /// Overwrites `dst` with the first elements.
    pub fn download(&self, dst: &mut [T]) -> Result<()> {
        let bytes = size_of_val(dst);
        self.device.download(Out::host(dst).bytes(), self.input(bytes / size_of::<T>()).bytes(), bytes)
    }
}

impl<T: Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        // Only a device that failed before refuses; that failure was told where it happened.
        let _ = self.device.free(&mut self.memory, self.len);
    }
}
