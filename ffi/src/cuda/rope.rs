//! Rotary position embedding.

use super::{Cuda, F};
use crate::error::Result;

pub fn forward(b: &Cuda, x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
    b.device.rope_forward(x.output(batch * seq * heads * p), start, batch, seq, heads, p, theta)
}

pub fn backward(b: &Cuda, d_x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
    b.device.rope_backward(d_x.output(batch * seq * heads * p), start, batch, seq, heads, p, theta)
}
