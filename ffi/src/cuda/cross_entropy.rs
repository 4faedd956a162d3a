//! Head and cross-entropy together.

use super::embedding::id_at;
use super::library::Out;
use super::{Cuda, F, I};
use crate::error::{Error, Result};

pub fn forward(b: &Cuda, losses: &mut F, h: &F, w: &F, targets: &I, t: usize, v: usize, d: usize) -> Result<()> {
    let mut bad = [t];
    let (h, w) = (h.input(t * d), w.input(v * d));
    b.device.cross_entropy_forward(losses.output(t), Out::host(&mut bad), h, w, targets.input(t), t, v, d)?;
    check(targets, bad[0], t, v)
}

pub fn forward_backward(
    b: &Cuda,
    losses: &mut F,
    d_h: &mut F,
    d_w: &mut F,
    h: &F,
    w: &F,
    targets: &I,
    grad_scale: f32,
    t: usize,
    v: usize,
    d: usize,
) -> Result<()> {
    let mut bad = [t];
    b.device.cross_entropy_forward_backward(
        losses.output(t),
        d_h.output(t * d),
        d_w.output(v * d),
        Out::host(&mut bad),
        h.input(t * d),
        w.input(v * d),
        targets.input(t),
        grad_scale,
        t,
        v,
        d,
    )?;
    check(targets, bad[0], t, v)
}

fn check(targets: &I, bad: usize, t: usize, v: usize) -> Result<()> {
    match id_at(targets, bad, t)? {
        Some(target) => {
            Err(Error::Argument(format!("Cannot score target {target} at position {bad}: ids must be below {v}, or negative for none")))
        }
        None => Ok(()),
    }
}
