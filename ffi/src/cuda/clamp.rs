//! Clamp to a symmetric range.

use super::{Cuda, F};
use crate::error::Result;

pub fn forward(b: &Cuda, x: &mut F, limit: f32, n: usize) -> Result<()> {
    b.device.clamp_forward(x.output(n), limit, n)
}

pub fn backward(b: &Cuda, d_x: &mut F, x: &F, limit: f32, n: usize) -> Result<()> {
    b.device.clamp_backward(d_x.output(n), x.input(n), limit, n)
}
