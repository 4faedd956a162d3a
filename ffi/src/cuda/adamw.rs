//! AdamW, one launch per parameter.

use super::Cuda;
use crate::backend::{AdamwStep, AdamwUpdate};
use crate::error::Result;

pub fn step(b: &Cuda, updates: &mut [AdamwUpdate<'_, Cuda>], step: AdamwStep) -> Result<()> {
    let AdamwStep { beta1, beta2, eps, weight_decay, update, grad_scale } = step;
    for AdamwUpdate { w, m, v, g, at, n, lr } in updates {
        let (at, n) = (*at, *n);
        let (w, m, v) = (w.output_from(at, n), m.output(n), v.output(n));
        b.device.adamw_step(w, m, v, g.input_from(at, n), n, *lr, beta1, beta2, eps, weight_decay, update, grad_scale)?;
    }
    Ok(())
}
