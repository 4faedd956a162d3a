//! Muon: all matrices of a parameter at once.

use super::Cuda;
use crate::backend::{MuonStep, MuonUpdate};
use crate::error::Result;

pub fn step(b: &Cuda, updates: &mut [MuonUpdate<'_, Cuda>], step: MuonStep) -> Result<()> {
    let MuonStep { momentum, weight_decay, newton_schulz_steps, grad_scale } = step;
    for MuonUpdate { w, m, g, at, count, rows, cols, lr } in updates {
        let (at, count, rows, cols) = (*at, *count, *rows, *cols);
        let n = count * rows * cols;
        let (w, m, g) = (w.output_from(at, n), m.output(n), g.input_from(at, n));
        b.device.muon_step(w, m, g, count, rows, cols, *lr, momentum, weight_decay, newton_schulz_steps, grad_scale)?;
    }
    Ok(())
}
