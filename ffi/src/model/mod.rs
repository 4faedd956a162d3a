//! The model over the op list: forward and backward composed by hand.
//!
//! `h += attention(norm(h)); h += ffn(norm(h))` for every site, `ffn` being experts or dense, then a final norm and the head. Backward reads as the same
//! list reversed; every site *adds* into the gradients of its banks, the last site first.

use crate::backend::Memory;
use crate::error::{Error, Result};
use crate::layout::Layout;

pub mod attention;
pub mod decoder;
pub mod dense;
pub mod ffn;
pub mod init;
pub mod metrics;
pub mod moe;
mod workspace;

pub use workspace::{Activations, MicroStep, Workspace};

/// Weights of a layout on a device.
pub struct Model<B: Memory> {
    pub layout: Layout,
    /// One buffer per parameter, in the layout's order.
    pub weights: Vec<B::F>,
}

impl<B: Memory> Model<B> {
    /// A model with its initial weights.
    pub fn new(backend: &B, layout: Layout, seed: u32) -> Result<Self> {
        let mut model = Model::zeroed(backend, layout)?;
        for (spec, w) in model.layout.params.iter().zip(&mut model.weights) {
            backend.upload(w, &init::values(spec, seed))?;
        }
        Ok(model)
    }

    /// A model whose weights are yet to be written.
    pub fn zeroed(backend: &B, layout: Layout) -> Result<Self> {
        let weights = layout.params.iter().map(|p| backend.zeros(p.size())).collect::<Result<_>>()?;
        Ok(Model { layout, weights })
    }

    /// One zeroed buffer per parameter, in the layout's order: gradients, moments.
    pub fn zeros_like(&self, backend: &B) -> Result<Vec<B::F>> {
        self.layout.params.iter().map(|p| backend.zeros(p.size())).collect()
    }

    /// Overwrites one parameter.
    pub fn write(&mut self, backend: &B, name: &str, values: &[f32]) -> Result<()> {
        let id = self.layout.find(name).ok_or_else(|| Error::Argument(format!("Cannot write \"{name}\": no parameter has this name")))?;
        let len = self.layout.params[id].size();
        if values.len() != len {
            return Err(Error::Argument(format!("Cannot write \"{name}\": {} values given, wanted {len}", values.len())));
        }
        backend.upload(&mut self.weights[id], values)
    }
}
