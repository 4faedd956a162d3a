//! Products of row ranges with the matrix of their expert. How many rows there are is known on the device only: at most as many as the
//! buffers of rows hold.

use super::{Cuda, F, I};
use crate::error::Result;

/// How many rows both buffers hold, whose rows have so many elements.
fn most_rows(buffers: [(&F, usize); 2]) -> usize {
    let held = buffers.map(|(buffer, width)| buffer.len().checked_div(width).unwrap_or(usize::MAX));
    held[0].min(held[1])
}

pub fn forward(b: &Cuda, out: &mut F, x: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    let most = most_rows([(out, o), (x, i)]);
    b.device.grouped_linear_forward(out.output(0), x.input(0), w.input(e * o * i), offsets.input(e + 1), most, e, o, i)
}

pub fn backward_input(b: &Cuda, d_x: &mut F, d_out: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    let most = most_rows([(d_out, o), (d_x, i)]);
    b.device.grouped_linear_backward_input(d_x.output(0), d_out.input(0), w.input(e * o * i), offsets.input(e + 1), most, e, o, i)
}

pub fn backward_weight(b: &Cuda, d_w: &mut F, d_out: &F, x: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
    let most = most_rows([(d_out, o), (x, i)]);
    b.device.grouped_linear_backward_weight(d_w.output(e * o * i), d_out.input(0), x.input(0), offsets.input(e + 1), most, e, o, i)
}
