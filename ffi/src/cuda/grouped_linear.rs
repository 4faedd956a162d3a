//! Products of row ranges with the matrix of their expert. How many rows there are is known on the device only, so the lengths of
//! the buffers of rows are those of the caller's plan.

use super::{Cuda, F, I};
use crate::error::Result;

pub fn forward(b: &Cuda, out: &mut F, x: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    b.device.grouped_linear_forward(out.output(0), x.input(0), w.input(e * o * i), offsets.input(e + 1), e, o, i)
}

pub fn backward_input(b: &Cuda, d_x: &mut F, d_out: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    b.device.grouped_linear_backward_input(d_x.output(0), d_out.input(0), w.input(e * o * i), offsets.input(e + 1), e, o, i)
}

pub fn backward_weight(b: &Cuda, d_w: &mut F, d_out: &F, x: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    b.device.grouped_linear_backward_weight(d_w.output(e * o * i), d_out.input(0), x.input(0), offsets.input(e + 1), e, o, i)
}
