//! The model and its training on the CPU: gradients of whole models, the law of tied banks, the cache of keys and values,
//! and what makes two runs equal to the bit.

mod common;

mod decoder;
mod gradient;
mod plan;
mod tied;
mod training;
