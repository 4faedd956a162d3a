//! Fill, copy, add and the sum of squares.

use super::{Cuda, F};
use crate::cuda::library::Out;
use crate::error::Result;

pub fn fill(b: &Cuda, out: &mut F, value: f32, n: usize) -> Result<()> {
    b.device.fill(out.output(n), value, n)
}

pub fn copy(b: &Cuda, out: &mut F, x: &F, n: usize) -> Result<()> {
    b.device.copy(out.output(n), x.input(n), n)
}

pub fn add(b: &Cuda, out: &mut F, x: &F, n: usize) -> Result<()> {
    b.device.add(out.output(n), x.input(n), n)
}

pub fn sum_squares(b: &Cuda, x: &F, at: usize, n: usize) -> Result<f64> {
    let mut sum = [0.0];
    b.device.sum_squares(Out::host(&mut sum), x.input_from(at, n), n)?;
    Ok(sum[0])
}
