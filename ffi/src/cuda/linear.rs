//! Linear maps, in f32 whatever the precision when `is_f32`.

use super::{Cuda, F};
use crate::error::Result;

pub fn forward(b: &Cuda, out: &mut F, x: &F, w: &F, rows: usize, o: usize, i: usize, is_f32: bool) -> Result<()> {
    b.device.linear_forward(out.output(rows * o), x.input(rows * i), w.input(o * i), rows, o, i, is_f32.into())
}

pub fn backward_input(b: &Cuda, d_x: &mut F, d_out: &F, w: &F, rows: usize, o: usize, i: usize, is_f32: bool) -> Result<()> {
    b.device.linear_backward_input(d_x.output(rows * i), d_out.input(rows * o), w.input(o * i), rows, o, i, is_f32.into())
}

pub fn backward_weight(b: &Cuda, d_w: &mut F, d_out: &F, x: &F, rows: usize, o: usize, i: usize, is_f32: bool) -> Result<()> {
    b.device.linear_backward_weight(d_w.output(o * i), d_out.input(rows * o), x.input(rows * i), rows, o, i, is_f32.into())
}
