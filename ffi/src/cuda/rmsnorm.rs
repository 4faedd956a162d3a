//! Root-mean-square norm of rows.

use super::{Cuda, F};
use crate::error::Result;

pub fn forward(b: &Cuda, out: &mut F, x: &F, w: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
    let n = rows * d;
    b.device.rmsnorm_forward(out.output(n), x.input(n), w.input(d), rows, d, eps)
}

pub fn backward(b: &Cuda, d_x: &mut F, d_w: &mut F, x: &F, w: &F, d_out: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
    let n = rows * d;
    b.device.rmsnorm_backward(d_x.output(n), d_w.output(d), x.input(n), w.input(d), d_out.input(n), rows, d, eps)
}
