//! AdamW, one launch per parameter.

use super::Cuda;
use crate::backend::{AdamwStep, AdamwUpdate};
use crate::error::Result;

pub fn step(b: &Cuda, updates: &mut [AdamwUpdate<'_, Cuda>], step: AdamwStep) -> Result<()> {
    let AdamwStep { beta1, beta2, eps, weight_decay, update, grad_scale } = step;
    for AdamwUpdate { w, m, v, g, n, lr } in updates {
        let n = *n;
        let (w, m, v) = (w.output(n), m.output(n), v.output(n));
        b.device.adamw_step(w, m, v, g.input(n), n, *lr, beta1, beta2, eps, weight_decay, update, grad_scale)?;
    }
    Ok(())
}
