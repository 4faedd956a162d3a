//! Muon: all matrices of a parameter at once.

use super::Cuda;
use crate::backend::{MuonStep, MuonUpdate};
use crate::error::Result;

pub fn step(b: &Cuda, updates: &mut [MuonUpdate<'_, Cuda>], step: MuonStep) -> Result<()> {
    let MuonStep { momentum, weight_decay, newton_schulz_steps, grad_scale } = step;
    for MuonUpdate { w, m, g, count, rows, cols, lr } in updates {
        let (count, rows, cols) = (*count, *rows, *cols);
        let n = count * rows * cols;
        let (w, m, g) = (w.output(n), m.output(n), g.input(n));
        b.device.muon_step(w, m, g, count, rows, cols, *lr, momentum, weight_decay, newton_schulz_steps, grad_scale)?;
    }
    Ok(())
}
